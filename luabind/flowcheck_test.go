package luabind_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"callisto/engine"
)

// What is wrong with a flow, in the words of check and of a reload.
func TestFlowChecks(t *testing.T) {
	step := func(x string) string {
		return "return flow{ start = \"x\",\nx = " + x + ",\ny = flow.hangup{} }"
	}
	tests := []struct {
		name, script string
		want         []string
	}{
		{"nothing", step(`flow.playback{ "a.wav", next = "y" }`), nil},
		{"an unknown kind", "return flow{ start = \"x\",\nx = flow.playbck{ \"a.wav\" } }", []string{"main.lua:2: there is no step flow.playbck, did you mean `playback`?"}},
		{"an unknown option", step(`flow.menu{ prompt = "a.wav", timout = "5s", keys = { ["1"] = "y" }, otherwise = "y" }`),
			[]string{"main.lua:2: step `x`: flow.menu has no option or outcome `timout`, did you mean `timeout`?"}},
		{"an unknown outcome", step(`flow.bridge{ "user/1", answred = "y", otherwise = "y" }`),
			[]string{"main.lua:2: step `x`: flow.bridge has no option or outcome `answred`, did you mean `answered`?"}},
		{"an option of the wrong type", step(`flow.menu{ tries = "many", keys = { ["1"] = "y" }, otherwise = "y" }`),
			[]string{"main.lua:2: step `x`: option `tries` must be a whole number, not \"many\""}},
		{"an option that steps do not have", step(`flow.bridge{ "user/1", hangup_after = true, answered = "y", otherwise = "y" }`),
			[]string{"main.lua:2: step `x`: flow.bridge has no option `hangup_after`: a step always waits, and its outcomes say how the flow goes on"}},
		{"an option that holds itself", "local t = {} t.t = t\nreturn flow{ start = \"x\",\nx = flow.set{ data = { x = t }, next = \"y\" },\ny = flow.hangup{} }",
			[]string{"main.lua:3: step `x`: option `data`: there are more than 16 tables in one another, a table that holds itself, or more than 10000 values"}},
		{"an option of tables that are in others many times", "local t = {} for i = 1, 14 do t = { t, t, t, t, t, t, t, t } end\nreturn flow{ start = \"x\",\nx = flow.bridge{ \"user/1\", vars = { t = t }, otherwise = \"y\", answered = \"y\" },\ny = flow.hangup{} }",
			[]string{"main.lua:3: step `x`: option `vars`: there are more than 16 tables in one another, a table that holds itself, or more than 10000 values"}},
		{"an argument that is missing", step(`flow.playback{ next = "y" }`), []string{"main.lua:2: step `x`: argument `file` is missing: flow.playback{ … }"}},
		{"an argument too many", step(`flow.hangup{ "USER_BUSY", "now" }`), []string{"main.lua:2: step `x`: too many arguments; it takes cause"}},
		{"a step that does not exist", step(`flow.playback{ "a.wav", next = "yy" }`),
			[]string{"main.lua:2: step `x`: the outcome `next` leads to the step `yy`, which does not exist, did you mean `y`?"}},
		{"an outcome that is no name", step(`flow.playback{ "a.wav", next = 5 }`), []string{"main.lua:2: step `x`: the outcome `next` must name a step, not be 5"}},
		{"an outcome with no way on", step(`flow.bridge{ "user/1", answered = "y" }`),
			[]string{"main.lua:2: step `x`: no way on for the outcomes `busy`, `no_answer`, `rejected` and `failed`: write otherwise = \"…\""}},
		{"the outcome that must be named", step(`flow.bridge{ "user/1", otherwise = "y" }`),
			[]string{"main.lua:2: step `x`: no way on for the outcome `answered`: write answered = \"…\""}},
		{"a step that nothing reaches", "return flow{ start = \"x\",\nx = flow.hangup{},\ny = flow.hangup{} }", []string{"main.lua:3: warning: step `y`: nothing leads to it"}},
		{"no start", "return flow{\nx = flow.hangup{} }", []string{"main.lua:1: the flow names no first step: start = \"…\""}},
		{"a start that does not exist", "return flow{ start = \"welcom\",\nwelcome = flow.hangup{} }", []string{"main.lua:1: `start` names the step `welcom`, which does not exist, did you mean `welcome`?"}},
		{"no steps", "return flow{ start = \"x\" }", []string{"main.lua:1: `start` names the step `x`, which does not exist", "main.lua:1: the flow has no steps: write welcome = flow.playback{ … }"}},
		{"a word that is none", "return flow{ start = \"x\", on_eror = \"x\",\nx = flow.hangup{} }", []string{"main.lua:1: the flow has no word `on_eror`, did you mean `on_error`?"}},
		{"a table that is no step", "return flow{ start = \"x\", x = { \"a.wav\" } }",
			[]string{"main.lua:1: `start` names the step `x`, which does not exist", "main.lua:1: `x` is a table, not a step: write x = flow.playback{ … }", "main.lua:1: the flow has no steps: write welcome = flow.playback{ … }"}},
		{"a default that is none", "return flow{ start = \"x\", defaults = { tris = 3 },\nx = flow.hangup{} }", []string{"main.lua:1: defaults: unknown option `tris`, did you mean `tries`?"}},
		{"a loop that waits for nobody", "return flow{ start = \"x\",\nx = flow.branch{ on = \"a\", cases = { b = \"y\" }, otherwise = \"z\" },\ny = flow.set{ data = { a = 1 }, next = \"x\" },\nz = flow.hangup{} }",
			[]string{"main.lua:2: step `x`: the loop x → y → x waits for nobody"}},
		{"a loop of functions", "return flow{ start = \"x\",\nx = flow.run{ to = { \"x\", \"y\" }, function() end },\ny = flow.hangup{} }",
			[]string{"main.lua:2: step `x`: the loop x → x waits for nobody; if the function of `x` waits, say waits = true"}},
		{"a loop of a function that waits", "return flow{ start = \"x\",\nx = flow.run{ to = { \"x\", \"y\" }, waits = true, function(call) call:sleep(\"1s\") end },\ny = flow.hangup{} }", nil},
		{"a loop of playback", "return flow{ start = \"x\",\nx = flow.playback{ \"a.wav\", next = \"x\" } }", nil},
		{"a key that is none", step(`flow.menu{ keys = { x = "y" }, otherwise = "y" }`), []string{"main.lua:2: step `x`: option `keys`: \"x\" is no key; write [\"1\"], [\"*\"], [\"12\"]"}},
		{"a key without a step", step(`flow.menu{ keys = { ["1"] = "yy" }, otherwise = "y" }`), []string{"main.lua:2: step `x`: the outcome `1` leads to the step `yy`, which does not exist, did you mean `y`?"}},
		{"a text with a bad brace", step(`flow.playback{ "a{b c}.wav", next = "y" }`), []string{"main.lua:2: step `x`: the text \"a{b c}.wav\": after { comes a name in data and }, such as {name} or {call.caller.number}; {{ is a brace"}},
		{"a pattern with braces", step(`flow.gather{ prompt = "a.wav", pattern = "[0-9]{5,15}", next = "y", otherwise = "y" }`), nil},
		{"a text that expands", step(`flow.playback{ "${sounds}/a.wav", next = "y" }`), []string{"main.lua:2: step `x`: the text \"${sounds}/a.wav\": ${…} is not expanded: write expand \"…\" where the switch is to do that, or ${{ for these characters"}},
		{"a text about the call", step(`flow.playback{ "{call.number}.wav", next = "y" }`), []string{"main.lua:2: step `x`: the text \"{call.number}.wav\": there is no {call.number}; of the call there are {call.caller.number}, {call.caller.name}, {call.destination}, {call.uuid}, {call.vars.…} and {call.args.…}"}},
		{"data that cannot be kept", step(`flow.set{ data = { f = function() end }, next = "y" }`), []string{"main.lua:2: step `x`: f: a function cannot be kept with the call; strings, numbers, true, false and tables of them can"}},
		{"on_hangup leads to the caller", "return flow{ start = \"x\", on_hangup = \"y\",\nx = flow.hangup{},\ny = flow.playback{ \"a.wav\", next = \"done\" } }",
			[]string{"main.lua:3: step `y`: it comes after on_hangup, and then nobody is on the line: use set, branch, run, hours, http and sql there"}},
		{"a step that is a result", "return flow{ start = \"x\", results = { \"x\" },\nx = flow.hangup{} }", []string{"main.lua:1: `x` is both a step and a result"}},
		{"a run without to", step(`flow.run{ function() end }`), []string{"main.lua:2: step `x`: option `to` is missing: the steps that the function may return, to = { \"…\" }"}},
		{"the call while the flow is read", "call:answer()\nreturn flow{ start = \"x\", x = flow.hangup{} }", []string{"main.lua:1: there is no call while a flow is read: use call inside the function of a run step"}},
		{"an endless script", "while true do end\nreturn flow{ start = \"x\", x = flow.hangup{} }", []string{"main.lua:1: the script computes for too long without waiting: more than 200ms (limits.cpu)"}},
		{"hours that are none", step(`flow.hours{ "mon-fry 09-17", open = "y", closed = "y" }`), []string{"main.lua:2: step `x`: the opening hours, character 5: \"fry\" is no day, did you mean `fri`?"}},
		{"a zone that is none", step(`flow.hours{ "daily 09:00-17:00", zone = "Mars/Olympus", open = "y", closed = "y" }`), []string{"main.lua:2: step `x`: option `zone`: there is no zone \"Mars/Olympus\", such as \"Europe/Stockholm\""}},
		{"a statement without a database", step(`flow.sql{ "SELECT '{}'", next = "y", failed = "y" }`), []string{"main.lua:2: step `x`: option `database` is missing: the NAME of a [sql.NAME] in the configuration"}},
		{"several at once", step(`flow.playback{ "a.wav", next = "z", nxt = "y" }`) + "",
			[]string{"main.lua:2: step `x`: flow.playback has no option or outcome `nxt`, did you mean `next`?"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			if got := checkScripts(t, map[string]string{"main": tt.script}); !slices.Equal(got, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

func TestSubflowChecks(t *testing.T) {
	const card = `return flow{ start = "x", results = { "paid", "refused" }, x = flow.run{ to = { "paid", "refused" }, function() end } }`
	tests := []struct {
		name, x string
		want    []string
	}{
		{"all is well", `flow.subflow{ "pay.card", paid = "y", refused = "y" }`, nil},
		{"no such script", `flow.subflow{ "pay/cart", paid = "y" }`, []string{"main.lua:2: step `x`: there is no script pay/cart, did you mean pay/card?"}},
		{"no flow", `flow.subflow{ "lib", paid = "y" }`, []string{"main.lua:2: step `x`: the script lib returns no flow"}},
		{"an unknown result", `flow.subflow{ "pay/card", pad = "y", paid = "y", refused = "y" }`, []string{"main.lua:2: step `x`: the flow pay/card has no result `pad`, did you mean `paid`?"}},
		{"a result with no way on", `flow.subflow{ "pay/card", paid = "y" }`, []string{"main.lua:2: step `x`: no way on for the result `refused` of pay/card: write refused = \"…\""}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			main := "return flow{ start = \"x\",\nx = " + tt.x + ",\ny = flow.hangup{} }"
			if got := checkScripts(t, map[string]string{"main": main, "pay/card": card, "lib": "return {}"}); !slices.Equal(got, tt.want) {
				t.Errorf("got\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(tt.want, "\n  "))
			}
		})
	}
}

// A prompt that is not there is worth a warning, where the switch's sounds can be seen.
func TestMissingSounds(t *testing.T) {
	t.Parallel()
	sounds := t.TempDir()
	for _, name := range []string{"ivr/8000/menu.wav", "hello.wav"} {
		path := filepath.Join(sounds, name)
		os.MkdirAll(filepath.Dir(path), 0o755)
		if err := os.WriteFile(path, nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	main := "return flow{ start = \"x\",\nx = flow.playback{ \"hello.wav\", \"helo.wav\", \"tone_stream://%(100,100,440)\", \"{name}.wav\", next = \"y\" },\n" +
		"y = flow.menu{ prompt = \"ivr/menu.wav\", invalid = \"ivr/wrong.wav\", keys = { [\"1\"] = \"done\" }, otherwise = \"done\" } }"
	got := checkScripts(t, map[string]string{"main": main}, func(c *engine.Config) { c.Scripts.Sounds = sounds })
	want := []string{"main.lua:2: warning: step `x`: there is no sound helo.wav in " + sounds, "main.lua:3: warning: step `y`: there is no sound ivr/wrong.wav in " + sounds}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// checkScripts is what check says of scripts.
func checkScripts(t *testing.T, scripts map[string]string, change ...func(*engine.Config)) (list []string) {
	t.Helper()
	config := *engine.DefaultConfig()
	config.Scripts.Root = t.TempDir()
	for _, f := range change {
		f(&config)
	}
	for name, text := range scripts {
		path := filepath.Join(config.Scripts.Root, name+".lua")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	problems, err := engine.Check(context.Background(), &config)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		text := p.String()
		if p.Warning {
			text = strings.Replace(text, ": ", ": warning: ", 1)
		}
		list = append(list, text)
	}
	return list
}
