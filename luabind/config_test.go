package luabind_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"callisto/engine"
)

// configured has a bench use a configuration file.
func configured(t *testing.T, path string) func(*engine.Config) {
	return func(c *engine.Config) {
		loaded, err := engine.LoadConfig(path)
		if err != nil {
			t.Fatal(err)
		}
		loaded.Scripts.Root = c.Scripts.Root
		*c = *loaded
	}
}

func writeConfig(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestConfigModule(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"a value", `out(config.greeting, config.Tries, config.open)`, "a.wav 3 true"},
		{"a list", `for i, v in ipairs(config.list) do out(i, v) end out(#config.list)`, "1 x|2 y|2"},
		{"a table", `out(config.queues.gold, config.queues["silver"])`, "1001 nil"},
		{"a table is the same each time", `out(config.queues == config.queues)`, "true"},
		{"get", `out(config.get("greeting"), config.get("nothing"), config.get("nothing", "x"), config.get("nothing", false))`, "a.wav nil x false"},
		{"get with dots", `out(config.get("queues.gold"), config.get("queues.silver", 1), config.get("a.b.c", 2), config.get("greeting.x", 3))`, "1001 1 2 3"},
		{"a typo", `out(config.greting)`, "config has no `greting`, did you mean `greeting`?"},
		{"what is not there", `out(config.xyzzy)`, "config has no `xyzzy`: write it under [config] in config.toml, or ask with config.get, which takes a default"},
		{"a name that is none", `out(config[1])`, "config has no `1`: write it under [config] in config.toml, or ask with config.get, which takes a default"},
		{"no case is lost", `out(config.tries)`, "config has no `tries`, did you mean `Tries`?"},
		{"an assignment", `config.greeting = "b"`, "config.greeting cannot be assigned"},
		{"required", `out(require("config").greeting, require("lib"))`, "a.wav a.wav"},
		{"nothing to see behind it", `out(getmetatable(config))`, "protected"},
		{"a colon", `config:get("greeting")`, "use a dot: config.get(…), not config:get(…)"},
		{"in the texts of a flow", `return flow{ start = "x", x = flow.set{ data = { seen = "{config.greeting} {config.queues.gold} {config.Tries}" }, next = "y" }, y = flow.run{ to = "done", function(_, data) out(data.seen) end } }`, "a.wav 1001 3"},
		{"what is not there, in the texts of a flow", `return flow{ start = "x", on_error = "y", x = flow.playback{ "{config.greting}", next = "done" }, y = flow.run{ to = "done", function(_, data) out(data.error.message) end } }`, "error in a flow|config has no `greting`, did you mean `greeting`?"},
		{"in a hangup handler", `call:on("hangup", function() out(config.greeting) end) call:hangup()`, "a.wav"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "config.toml")
				writeConfig(t, path, "[config]\ngreeting = \"a.wav\"\nTries = 3\nopen = true\nlist = [\"x\", \"y\"]\nqueues = { gold = \"1001\" }\n")
				b := newBench(t, map[string]string{"main": prelude + tt.script, "lib": `return config.greeting`}, configured(t, path))
				b.run("main")
				var got string
				for i, m := range b.log.messages() {
					if i > 0 {
						got += "|"
					}
					got += m
				}
				if r, ok := b.log.find("script error", ""); ok {
					got += r.attrs["error"]
				}
				if got != tt.want {
					t.Errorf("got %q, want %q\n%s", got, tt.want, b.log)
				}
			})
		})
	}
}

// A call keeps the values that it began with, and has its own copy of each table.
func TestConfigOfEachCall(t *testing.T) {
	simulated(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "config.toml")
		writeConfig(t, path, "[config]\nqueues = { gold = \"old\" }\n[config.script.other]\nqueues = { gold = \"own\" }\n")
		script := prelude + `call:sleep("10s") out(config.queues.gold) config.queues.gold = "changed" call:sleep("10s") out(config.queues.gold)`
		b := newBench(t, map[string]string{"main": script, "other": script}, configured(t, path))
		first := b.start("main")
		time.Sleep(time.Second)
		writeConfig(t, path, "[config]\nqueues = { gold = \"new\" }\n")
		b.server.Library.Reload(context.Background())
		second, third := b.start("main"), b.start("other")
		b.finish(first)
		b.finish(second)
		b.finish(third)
		if got, want := b.log.messages(), []string{"old", "new", "new", "changed", "changed", "changed"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q\n%s", got, want, b.log)
		}
	})
}
