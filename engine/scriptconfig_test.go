package engine

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What scripts find in config, for all of them and for one.
func TestScriptValues(t *testing.T) {
	t.Setenv("CRM_TOKEN", "secret")
	c, err := parseConfig("c.toml", []byte(`
[config]
Greeting = "a.wav"
token = "env:CRM_TOKEN"
url = "env: no variable"
tries = 3
factor = 1.5
open = true
day = 2026-12-24
time = 08:30:00
moment = 2026-12-24T08:30:00+01:00
list = [1, ["a"], { B = 2 }]
queues = { gold = "1001", others = "1002" }

[config.script."support/menu"]
Greeting = "b.wav"
queues = { gold = "2001", silver = "2002" }
list = []

[config.script."/sales.lua"]
`), true)
	if err != nil {
		t.Fatal(err)
	}
	common := map[string]any{
		"Greeting": "a.wav", "token": "secret", "url": "env: no variable", "tries": 3.0, "factor": 1.5, "open": true,
		"day": "2026-12-24", "time": "08:30:00", "moment": "2026-12-24T08:30:00+01:00",
		"list":   []any{1.0, []any{"a"}, map[string]any{"B": 2.0}},
		"queues": map[string]any{"gold": "1001", "others": "1002"},
	}
	for _, script := range []string{"main", "sales"} {
		if diff := cmp.Diff(common, c.ScriptValues(script)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", script, diff)
		}
	}
	own := over(common, map[string]any{"Greeting": "b.wav", "list": []any{}})
	own["queues"] = map[string]any{"gold": "2001", "others": "1002", "silver": "2002"}
	if diff := cmp.Diff(own, c.ScriptValues("support/menu")); diff != "" {
		t.Errorf("support/menu (-want +got):\n%s", diff)
	}
}

func TestScriptValueMistakes(t *testing.T) {
	tests := []struct{ toml, want string }{
		{"config = 1", `c.toml:1: config is the integer 1: it is a section, write [config] and what scripts are to find below`},
		{"[config]\nget = 1", `c.toml:2: config.get is what a function of the module config is called: choose another name`},
		{"[config]\nscript = \"x\"", `c.toml:2: config.script is the string "x": it holds the tables of scripts, write [config.script."NAME"]`},
		{"[config.script]\nmain = 1", `c.toml:2: config.script.main is the integer 1: write [config.script."main"] and what the script main is to find below`},
		{"[config.script.\"../x\"]", `c.toml:1: config.script: "../x" is no script name: it holds .., names start at the script root and stay in it`},
		{"[config.script.main]\nget = 1", `c.toml:2: config.script.main.get is what a function of the module config is called: choose another name`},
		{"[config]\nid = 9007199254740993", `c.toml:2: config.id is 9007199254740993, which is no number in Lua: write it in quotes`},
		{"[config]\na = [ { token = \"env:CALLISTO_TEST_NOTHING\" } ]", `c.toml:2: config.a[0].token is to come from the environment, where there is no CALLISTO_TEST_NOTHING`},
		{"[confg]\na = 1", `c.toml:1: confg is not a setting, did you mean [config]?`},
	}
	for _, tt := range tests {
		_, err := parseConfig("c.toml", []byte(tt.toml), true)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s:\ngot  %v\nwant %s", tt.toml, err, tt.want)
		}
	}
}

// A name that the configuration does not have is found without running the script; so is a table for a script that
// is not there.
func TestConfigFindings(t *testing.T) {
	l, _ := newLibrary(t, `
[config]
greeting = "a.wav"
[config.script.menu]
queue = "gold"
[config.script.meun]
x = 1
`, map[string]string{
		"main.lua": "local c = config\nlog.info(config.greting, config.queue, config.get('nothing'), c.greetin)\nrequire 'lib'\nif nil then config.get = 1 end",
		"menu.lua": "log.info(config.queue, config.greeting)",
		"own.lua":  "local config = {}\nlog.info(config.anything)",
		"lib.lua":  "return config.queue, config.quue",
	}, nil)
	var got []string
	for _, p := range l.Snapshot().Problems {
		if strings.Contains(p.Message, "config") {
			got = append(got, p.String())
		}
	}
	want := []string{
		"config.toml:6: config.script.\"meun\" is for a script that does not exist, did you mean menu?",
		"lib.lua:1: config has no `quue`, did you mean `queue`?",
		"main.lua:2: config has no `greetin`, did you mean `greeting`?",
		"main.lua:2: config has no `greting`, did you mean `greeting`?",
		"main.lua:2: config has no `queue`: write it under [config] in config.toml, or ask with config.get, which takes a default",
	}
	for i := range got {
		if _, name, ok := strings.Cut(got[i], "/config.toml"); ok {
			got[i] = "config.toml" + name
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
