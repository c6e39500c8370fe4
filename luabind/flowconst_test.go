package luabind_test

import (
	"slices"
	"strings"
	"testing"

	"callisto/luabind"
	"callisto/simulator"
)

// Steps that are made of literals are made once; all others each time, as they stand.
func TestConstantSteps(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		want         []string
	}{
		{"of literals", `local made = {}
			for i = 1, 2 do made[i] = { flow.menu{ prompt = { "a.wav", "b.wav" }, keys = { ["1"] = "x" }, tries = -1, barge_in = false } } end
			out(made[1][1] == made[2][1], made[1][1])`, []string{"true flow.menu of main.lua:2"}},
		{"the line is that of the step", "local t = {\nx = flow.playback{\n\"a.wav\",\nnext = \"y\" } }\nout(t.x)", []string{"flow.playback of main.lua:2"}},
		{"of a variable", `local file, made = "a.wav", {}
			for i = 1, 2 do made[i] = { flow.playback{ file } } end
			out(made[1][1] == made[2][1])`, []string{"false"}},
		{"with a function", `local made = {}
			for i = 1, 2 do made[i] = { flow.run{ function() end, to = "x" } } end
			out(made[1][1] == made[2][1])`, []string{"false"}},
		{"of another flow", `local function make(flow) return { x = flow.playback{ "a.wav" } } end
			out(make({ playback = function(t) return t[1] end }).x)`, []string{"a.wav"}},
		{"of a flow that the script makes its own", `flow = { playback = function(t) return t[1] end }
			out(({ x = flow.playback{ "a.wav" } }).x)`, []string{"a.wav"}},
		{"as a key, and as a value", `local t = { x = flow.hangup{}, ["(step)0"] = "text" }
			out(t.x, t["(step)0"])`, []string{"flow.hangup of main.lua:1 text"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": prelude + tt.script}, nil)
				b.run("main")
				if got := b.log.messages(); !slices.Equal(got, tt.want) {
					t.Errorf("logged %q, want %q\n%s", got, tt.want, b.log)
				}
			})
		})
	}
}

// Calls at the same time share the steps, and none writes to them: the race detector looks on.
func TestCallsShareSteps(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"main": `return flow{ start = "put",
			put = flow.set{ data = { name = "Ada", list = { 1, 2, { deep = "{call.uuid}" } } }, vars = { language = "sv" }, next = "play" },
			play = flow.playback{ "a.wav", "{name}.wav", loops = 2, next = "menu" },
			menu = flow.menu{ prompt = { "a.wav", "b.wav" }, keys = { ["1"] = "ask", ["2"] = "ask" }, tries = 2, timeout = "5s", otherwise = "ask" },
			ask = flow.http{ "https://example.com/x", method = "POST", json = { name = "{name}", list = { 1, 2 } }, headers = { ["X-Name"] = "a" },
				query = { q = "1" }, next = "change", missing = "change", failed = "change" },
			change = flow.run{ to = { "dial" }, function(call, data) data.list[3].deep = call.uuid data.list[4] = { 5 } end },
			dial = flow.bridge{ "user/never", "user/busy", ring = "5s", vars = { a = "b" }, answered = "done", otherwise = "which" },
			which = flow.branch{ on = "name", cases = { Ada = "done", ["B*"] = "done" }, otherwise = "done" } }`}, nil)
		b.sw.Endpoints = []simulator.Endpoint{{Pattern: "user/never", Behaviour: simulator.NoAnswer()}, {Pattern: "user/busy", Behaviour: simulator.Refuses("USER_BUSY", 0)}}
		b.server.Services = &luabind.Services{HTTP: echoServer{}}
		var calls []*simulator.Channel
		for range 20 {
			calls = append(calls, b.start("main"))
		}
		for _, c := range calls {
			b.finish(c)
			if all := did(c, simulator.Executed); !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, "user/busy") }) {
				t.Fatalf("a call did not come to its end: it did %q\n%s", all, b.log)
			}
		}
		if e, ok := b.log.find("script error", ""); ok {
			t.Fatalf("%v", e)
		}
		if n := len(b.log.messages()); n > 0 {
			t.Errorf("logged %q", b.log.messages())
		}
	})
}
