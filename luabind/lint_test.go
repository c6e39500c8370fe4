package luabind_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"callisto/luabind"
)

// found lists what check finds in a script, "line: message", with a ? before what may be meant.
func found(t *testing.T, script string) []string {
	t.Helper()
	p, err := luabind.Compile("main", []byte(script))
	if err != nil {
		t.Fatalf("%s\n%v", script, err)
	}
	all := slices.Clone(p.Findings)
	for _, u := range p.Reads {
		all = append(all, u.Undefined(p.Sets))
	}
	var list []string
	for _, f := range all {
		doubt := ""
		if f.Doubt {
			doubt = "?"
		}
		list = append(list, fmt.Sprintf("%s%d: %s", doubt, f.Line, f.Message))
	}
	return list
}

func TestFindings(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"verb", `call:playbak("a.wav")`, "1: call has no verb or field `playbak`, did you mean `playback`?"},
		{"field", `log.info(call.callr.number)`, "1: call has no verb or field `callr`, did you mean `caller`?"},
		{"field of a field", "\nlog.info(call.caller.numbr)", "2: call.caller has no field `numbr`, did you mean `number`?"},
		{"option", `call:gather{ timout = "5s" }`, "1: gather: unknown option `timout`, did you mean `timeout`?"},
		{"option after arguments", `call:playback("a.wav", { lops = 2 })`, "1: playback: unknown option `lops`, did you mean `loops`?"},
		{"event", `call:on("dtfm", print)`, "1: on: argument `event`: there is no event `dtfm`, did you mean `dtmf`?"},
		{"event of a leg", "local leg = call:originate(\"user/1\")\nleg:wait_for(\"CHANEL_ANSWER\")", "2: wait_for: argument `event`: there is no event `CHANEL_ANSWER`, did you mean `CHANNEL_ANSWER`?"},
		{"global", "local name = 1\nprint(nmae)", "2: `nmae` is not defined: it is nil here"},
		{"global near another", "greeting = 'a'\nprint(greting)", "2: `greting` is not defined, did you mean `greeting`?"},
		{"global near a function", `pritn("x")`, "1: `pritn` is not defined, did you mean `print`?"},
		{"global in _G", "_G.a = 1\nprint(_G.a, _G.bb)", "2: `bb` is not defined: it is nil here"},
		{"what Lua has elsewhere", `os.execute("ls")`, "1: `os.execute` is not there: scripts start no processes"},
		{"a library that is not there", `local f = io.open("x")`, "1: `io` is not there: scripts have no files; kv and sql keep things, config has settings"},
		{"function of a library", `print(math.flor(1.5))`, "1: math has no `flor`, did you mean `floor`?"},
		{"function of a module", `log.inf("x")`, "1: log has no `inf`, did you mean `info`?"},
		{"module by require", "local l = require \"log\"\nl.inf(\"x\")", "2: log has no `inf`, did you mean `info`?"},
		{"method of a handle", `call:playback("a.wav", { wait = false }):stopp()`, "1: a handle of playback has no method or field `stopp`, did you mean `stop`?"},
		{"method of a leg", "local leg = call:originate(\"user/1\")\nleg:playbak(\"x\")", "2: a leg has no method or field `playbak`, did you mean `playback`?"},
		{"argument of a method", "local job = call:bgapi(\"status\")\njob:wait(\"soon\")", "2: wait: argument `timeout` must be milliseconds or a string such as \"20s\", not \"soon\""},
		{"field of a result", "local leg = call:bridge(\"user/1\")\nif leg.answred then print(leg.cause) end", "2: what bridge returns has no field `answred`, did you mean `answered`?"},
		{"type", `call:set("x", print)`, ""},
		{"number for text", `call:playback(true)`, "1: playback: argument `file` must be a string or a list of strings, not true"},
		{"text for number", `call:playback("a", { loops = "two" })`, "1: playback: option `loops` must be a whole number, not \"two\""},
		{"list", `call:playback{ "a.wav", 2, false }`, "1: playback: argument `file`: entry 3 must be a string, not false"},
		{"duration", `call:sleep("5 seconds")`, "1: sleep: argument `time` must be milliseconds or a string such as \"20s\", not \"5 seconds\""},
		{"milliseconds for seconds", `call:bridge("user/1", { ring = 20 })`, "1: bridge: option `ring` is 20ms; write \"20s\" for twenty seconds"},
		{"word", `call:execute("play back")`, "1: execute: argument `application` must be one word, without spaces or line breaks, not \"play back\""},
		{"expression", `call:gather{ pattern = "(" }`, "1: gather: option `pattern`: it is no regular expression (RE2): error parsing regexp: missing closing ): `(`"},
		{"opening hours", `print(time.open("mon-fry 09:00-17:00"))`, "1: time.open: the opening hours, character 5: \"fry\" is no day, did you mean `fri`?"},
		{"zone", `print(time.open("mon 09:00-17:00", { zone = "Mars" }))`, "1: time.open: there is no zone \"Mars\"; zones are named as \"Europe/Stockholm\", \"America/New_York\" or \"UTC\""},
		{"expression of re", `print(re.match("x", "("))`, "1: re.match: the expression is wrong: missing closing ): \"(\""},
		{"enumeration", `call:say(1, "nummber")`, "did you mean `number`?, not \"nummber\""},
		{"too few", `call:playback()`, "1: playback: argument `file` is missing; it takes playback(file, { loops =, terminators =, wait = })"},
		{"too many", `call:sleep("1s", 2)`, "1: sleep: too many arguments; it takes sleep(time)"},
		{"dot for colon", `call.playback("a.wav")`, "1: use a colon: call:playback(…), not call.playback(…)"},
		{"colon for dot", `log:info("x")`, "1: use a dot: log.info(…), not log:info(…)"},
		{"assignment", `call.caller = 1`, "1: call.caller cannot be assigned; channel variables are set with call:set(name, value)"},
		{"after the end", "call:hangup()\ncall:answer()", "?2: this is never reached: the script ends with call:hangup on line 1"},
		{"a require after the end", "do return end\nlocal x = require \"log\"", "?2: this is never reached: line 1 returns"},
		{"computed require", `require("a" .. call.args.x)`, "?1: require of a name that is put together: whether there is such a script shows only when it runs; write the name out"},
		{"inside functions and blocks", "call:on(\"hangup\", function()\n  for i = 1, 3 do\n    if i > 1 then call:gett(\"x\") end\n  end\nend)", "3: call has no verb or field `gett`, did you mean `get`?"},
		{"in a table", "return { a = { function() call:gett(\"x\") end } }", "1: call has no verb or field `gett`, did you mean `get`?"},
		{"in a concatenation", `print("a" .. call:gett("x") .. "b")`, "1: call has no verb or field `gett`, did you mean `get`?"},
		{"in until", "repeat local done = call:get(\"x\") until dne", "1: `dne` is not defined: it is nil here"},

		// What is right, or cannot be known, is left alone.
		{"right", "local d, why = call:gather{ prompt = \"a.wav\", timeout = \"5s\", pattern = \"[0-9]+\" }\nlog.info(why, { d = d })", ""},
		{"a variable of that name", "local call = { playbak = print }\ncall:playbak(1)", ""},
		{"a parameter of that name", "local function f(log) log.inf(1) end f({})", ""},
		{"an event's header", "local e = call:wait_for(\"dtmf\")\nprint(e[\"Channel-Name\"], e.Anything)", ""},
		{"a variable set twice", "local x = call:bridge(\"user/1\")\nx = { mine = 1 }\nprint(x.mine)", ""},
		{"a table added to", "local x = call:bridge(\"user/1\")\nx.mine = 1\nprint(x.mine)", ""},
		{"a library added to", "function string.trim(s) return s end\nprint(string.trim(\"x\"))", ""},
		{"a global set later", "local function f() return total end\ntotal = f()", ""},
		{"all results of a call", `call:playback(unpack({ "a.wav" })) call:sleep(call:get("x"))`, ""},
		{"options in a variable", `local o = { anything = 1 } call:playback("a.wav", o) call:gather(o)`, ""},
		{"a handle that may be a table", `local visit = call:conference("x", { wait = false }) visit:leave() print(visit.seconds)`, ""},
		{"a method handed over", `local ok = pcall(call.playback, call, "a.wav")`, ""},
		{"custom events", `call:on("conference::maintenance", print) call:on("CUSTOM sofia::register", print) call:on("CHANNEL_PROGRESS", print)`, ""},
		{"globals by hand", `for name in pairs(_G) do print(name) end print(whatever)`, ""},
		{"a recursive function", "local function f(n) return n == 0 and 1 or f(n - 1) end f(3)", ""},
		{"a condition", "if x == nil then x = 1 end", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(found(t, tt.script), "\n")
			if got != tt.want && (tt.want == "" || !strings.HasSuffix(got, tt.want)) {
				t.Errorf("%s\nfound %q\nwant  %q", tt.script, got, tt.want)
			}
		})
	}
}

// What check calls a mistake, the running script fails with, in the same words.
func TestFindingsAreWhatTheScriptFailsWith(t *testing.T) {
	for _, script := range []string{
		`call:playbak("a.wav")`, `print(call.callr)`, `call:gather{ timout = "5s" }`, `call:playback("a.wav", { lops = 2 })`, `call:on("dtfm", print)`,
		`log:info("x")`, `call:playback(true)`, `call:playback("a", { loops = "two" })`, `call:playback{ "a.wav", 2, false }`, `call:sleep("5 seconds")`,
		`call:bridge("user/1", { ring = 20 })`, `call:execute("play back")`, `call:gather{ pattern = "(" }`, `call:say(1, "nummber")`, `call:playback()`,
		`call:sleep("1s", 2)`, `call.caller = 1`, `call:playback("silence_stream://1", { wait = false }):stopp()`, `call:bgapi("status"):wait("soon")`, `call:hangup(false)`,
		`time.open("mon-fry 09:00-17:00")`, `time.now({ zone = "Mars" })`, `re.match("x", "(")`,
	} {
		t.Run(script, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				list := found(t, script)
				if len(list) != 1 {
					t.Fatalf("found %q", list)
				}
				b := newBench(t, map[string]string{"main": script}, nil)
				b.run("main")
				e, _ := b.log.find("script error", "")
				if want := strings.TrimPrefix(list[0], "1: "); e.attrs["error"] != want {
					t.Errorf("check says %q, the script fails with %q", want, e.attrs["error"])
				}
			})
		})
	}
}

// The scripts and examples that we ship have nothing to find in them.
func TestNothingIsFoundInOurScripts(t *testing.T) {
	n := 0
	for _, dir := range []string{"../scripts", "../examples"} {
		err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || filepath.Ext(path) != ".lua" || strings.HasSuffix(path, "_test.lua") {
				return err
			}
			text, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			n++
			if list := found(t, string(text)); len(list) > 0 {
				t.Errorf("%s: %q", path, list)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n == 0 {
		t.Error("there are no scripts")
	}
}

// Whatever a script holds, looking it through ends, and finds nothing in what names nothing of ours.
func TestFindingsOfAnything(t *testing.T) {
	parts := []string{"call", ":", ".", "playback", "(", ")", "{", "}", "\"a\"", "1", "nil", "=", ",", "local x", "x", "function()", "end", "if", "then", "for i=1,2 do", "while true do", "repeat", "until x", "return", "..", "and", "not", "_G", "log", "...", "\n", "require"}
	rapid.Check(t, func(t *rapid.T) {
		script := strings.Join(rapid.SliceOfN(rapid.SampledFrom(parts), 1, 20).Draw(t, "script"), " ")
		p, err := luabind.Compile("main", []byte(script))
		if err != nil {
			return
		}
		lines := strings.Count(script, "\n") + 1
		for _, f := range p.Findings {
			if f.Line < 1 || f.Line > lines || f.Message == "" {
				t.Errorf("%q: %+v", script, f)
			}
		}
	})
}

// What the texts of a flow have of the configuration is known, and of other scripts' texts nothing.
func TestTextsOfTheConfiguration(t *testing.T) {
	read := func(script string) (names []string) {
		p, err := luabind.Compile("main", []byte(script))
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range p.Config {
			names = append(names, fmt.Sprintf("%s:%d", u.Name, u.Line))
		}
		return names
	}
	got := read("return flow {\n start = \"a\",\n a = flow.playback { \"{config.greeting.wav}\", \"b-{config.lang}.wav\", next = \"done\" } }")
	if !slices.Equal(got, []string{"greeting:3", "lang:3"}) {
		t.Errorf("read %q", got)
	}
	if got := read("log.info(\"{config.greeting}\")"); got != nil {
		t.Errorf("read %q", got)
	}
}
