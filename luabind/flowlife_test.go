package luabind_test

import (
	"context"
	"encoding/base64"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// A life is a flow, what the caller does, and what was logged and done.
type life struct {
	name   string
	script string
	more   map[string]string // other scripts
	caller []string
	want   []string
	ending string // of the call; "" is hung up by script or returned
	error  string // the script error, with its place
}

var lives = []life{
	{
		name: "texts are filled in",
		script: `return flow{ start = "a", a = flow.set{ data = { who = "Ada", order = { total = 3 }, list = { "x" } }, next = "b" },
b = flow.run{ to = "c", function(call, data) data.list[2] = "y" end },
c = flow.set{ data = { all = "{who} {order.total} {list.2} {call.destination} {call.args.lang} {{who}" }, next = "d" },
d = flow.run{ to = "done", function(call, data) out(data.all) end } }`,
		want: []string{"Ada 3 y 9000 sv {who}"},
	},
	{
		name: "what is not there is nothing, and warned of",
		script: `return flow{ start = "a", a = flow.set{ data = { all = "[{nobody}]" }, next = "b" },
b = flow.run{ to = "done", function(call, data) out(data.all) end } }`,
		want: []string{"nothing has the name in a text", "[]"},
	},
	{
		name: "a subflow has data of its own",
		script: `return flow{ start = "a", a = flow.set{ data = { n = 1, keep = "yes" }, next = "b" },
b = flow.subflow{ "sub", with = { start = "{n}" }, into = { back = "n" }, good = "c", bad = "c" },
c = flow.run{ to = "done", function(call, data) out(data.n, data.back, data.keep, data.inside) end } }`,
		more: map[string]string{"sub": `return flow{ start = "x", results = { "good", "bad" }, x = flow.run{ to = { "good", "bad" }, function(call, data)
data.n, data.inside = data.start + 41, true return "good" end } }`},
		want: []string{"1 42 yes nil"},
	},
	{
		name: "a script runs a flow",
		script: `local ask = require "sub" call:answer() local result, data = ask:run(call, { n = 1 }) out(result, data.n)
result, data = ask:run(call) out(result, data.n)`,
		more: map[string]string{"sub": `return flow{ start = "x", results = { "good", "bad" }, x = flow.run{ to = { "good", "bad" }, function(call, data)
if data.n then data.n = data.n + 1 return "good" end return "bad" end } }`},
		want: []string{"good 2", "bad nil"},
	},
	{
		name:   "a flow made while the script runs is checked then",
		script: `call:answer() local f = flow{ start = "x", x = flow.playback{ "a.wav", nxt = "done" } } f:run(call)`,
		error:  "main.lua:1: step `x`: flow.playback has no option or outcome `nxt`, did you mean `next`?",
	},
	{
		name: "an error names its step",
		script: `return flow{ start = "x",
x = flow.speak{ "hello", next = "done" } }`,
		error: "main.lua:2: step `x`: speak: no engine is chosen: give it as an option, or once with call:set(\"tts_engine\", …)",
	},
	{
		name: "an error in a function keeps its line",
		script: `return flow{ start = "x", x = flow.run{ to = "done", function(call, data)
error("bad luck") end } }`,
		error: "main.lua:2: step `x`: bad luck",
	},
	{
		name: "an error in a subflow is said once with its place",
		script: `return flow{ start = "a",
a = flow.subflow{ "sub", done = "done" } }`,
		more:  map[string]string{"sub": "return flow{ start = \"x\", x = flow.run{ to = \"done\", function()\nerror('bad luck') end } }"},
		error: "sub.lua:2: step `a`: step `x`: bad luck",
	},
	{
		name: "on_error gets the call",
		script: `return flow{ start = "x", on_error = "sorry", x = flow.run{ to = "done", function(call, data) error("bad luck") end },
sorry = flow.playback{ "sorry.wav", next = "tell" }, tell = flow.run{ to = "done", function(call, data) out(data.error.step, data.error.message) end } }`,
		want: []string{"error in a flow", "x bad luck"},
	},
	{
		name:   "an error in on_error ends the call",
		script: `return flow{ start = "x", on_error = "x", x = flow.run{ to = "done", function(call, data) error("bad luck") end } }`,
		want:   []string{"error in a flow"},
		error:  "main.lua:1: step `x`: bad luck",
	},
	{
		name:   "a function that returns no step of its own",
		script: `return flow{ start = "x", x = flow.run{ to = { "done", "other" }, function() return "dune" end }, other = flow.hangup{} }`,
		error:  "main.lua:1: step `x`: its function returned \"dune\"; in `to` there is \"done\" and \"other\", did you mean `done`?",
	},
	{
		name: "on_hangup runs when the caller has gone",
		script: `return flow{ start = "x", on_hangup = "bill", x = flow.playback{ "silence_stream://60000", next = "done" },
bill = flow.run{ to = "more", function(call, data) out("billed", call:get("hangup_cause") ~= nil) end }, more = flow.set{ data = { x = 1 }, next = "done" } }`,
		caller: []string{"2s hangup"},
		want:   []string{"billed true"},
		ending: "caller hung up",
	},
	{
		name:   "on_hangup of a subflow runs before that of the flow around it",
		script: `return flow{ start = "x", on_hangup = "bill", x = flow.subflow{ "sub", done = "done" }, bill = flow.run{ to = "done", function(call, data) out("outer") end } }`,
		more:   map[string]string{"sub": prelude + `return flow{ start = "x", on_hangup = "bill", x = flow.playback{ "silence_stream://60000", next = "done" }, bill = flow.run{ to = "done", function(call, data) out("inner") end } }`},
		caller: []string{"2s hangup"},
		want:   []string{"inner", "outer"},
		ending: "caller hung up",
	},
	{
		name:   "a loop at run time",
		script: `return flow{ start = "x", x = flow.run{ to = "x", waits = true, function() end } }`,
		error:  "main.lua:1: step `x`: 1000 steps in a row without waiting for anybody: a loop",
	},
	{
		name:   "a subflow that leads back to itself",
		script: `return flow{ start = "x", x = flow.subflow{ "main", done = "done" } }`,
		error:  "there are 16 flows in one another: does a subflow lead back to itself?",
	},
	{
		name: "what cannot be kept is refused when it is put into data",
		script: `return flow{ start = "x", x = flow.run{ to = "done", function(call, data)
local function try(f) local ok, e = pcall(f) out((e:gsub("^%S+ ", ""))) end
try(function() data.f = print end) try(function() data.a = { b = { c = coroutine.create(print) } } end) try(function() data.call = call end)
try(function() data.n = 0/0 end) try(function() local t = {} t.t = t data.t = t end) data.ok = {} try(function() data.ok.x = print end)
try(function() data[1.5] = 1 end) try(function() data[true] = 1 end) try(function() data.m = setmetatable({}, {}) end) try(function() data.s = ("x"):rep(9000) end)
data.list = { 1, 2 } table.insert(data.list, 3) out(#data.list, data.list[3], getmetatable(data)) end } }`,
		want: []string{
			"data.f: a function cannot be kept with the call; strings, numbers, true, false and tables of them can",
			"data.a.b.c: a thread cannot be kept with the call; strings, numbers, true, false and tables of them can",
			"data.call: a userdata cannot be kept with the call; strings, numbers, true, false and tables of them can",
			"data.n: the number is NaN, which cannot be kept with the call",
			"data.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t.t: more than 16 tables in one another, or a table that holds itself, cannot be kept with the call",
			"data.ok.x: a function cannot be kept with the call; strings, numbers, true, false and tables of them can",
			"data.1.5: a key in data is a string or a whole number, not 1.5", "data.a boolean: a key in data is a string or a whole number, not true",
			"data.m: a table with a metatable cannot be kept with the call", "data.s: the text has 9000 bytes; what is kept with the call has 8192 in all",
			"3 3 protected",
		},
	},
	{
		name:   "what came into data another way is refused when the step ends",
		script: `return flow{ start = "x", x = flow.run{ to = "done", function(call, data) data.list = {} table.insert(data.list, print) end } }`,
		error:  "main.lua:1: step `x`: data.list.1: a function cannot be kept with the call; strings, numbers, true, false and tables of them can",
	},
	{
		name:   "too much data",
		script: `return flow{ start = "x", x = flow.run{ to = "done", function(call, data) data.small = 1 data.large = ("x"):rep(4000) data.other = ("x"):rep(3000) end } }`,
		error:  "main.lua:1: step `x`: data.large: data takes 9419 bytes of the 8192 that a call can carry, this most of them: keep it outside, under a key that data holds",
	},
	{
		name: "what does not fit does not come to on_error",
		script: `return flow{ start = "x", on_error = "sorry",
x = flow.run{ to = "y", function(call, data) data.keep = "this" end },
y = flow.run{ to = "done", function(call, data) data.list = {} for i = 1, 9 do data.list[i] = ("x"):rep(1000) end end },
sorry = flow.playback{ "sorry.wav", next = "tell" }, tell = flow.run{ to = "done", function(call, data) out(data.keep, data.list, data.error.step) end } }`,
		want: []string{"error in a flow", "this nil y"},
	},
	{
		name: "what a handler makes of data, between steps",
		script: `return flow{ start = "x", x = flow.run{ to = "y", function(call, data) data.a = 1 call:on("dtmf", function() data.a = print end) end },
y = flow.playback{ "silence_stream://3000", next = "z" }, z = flow.playback{ "z.wav", next = "done" } }`,
		caller: []string{"1s press 1"},
		error:  "main.lua:2: step `z`: data.a: a function cannot be kept with the call; strings, numbers, true, false and tables of them can",
	},
	{
		name: "a handler has data hold itself",
		script: `return flow{ start = "x", x = flow.run{ to = "y", function(call, data) data.a = 1 call:on("dtmf", function() data.a = data end) end },
y = flow.playback{ "silence_stream://3000", next = "z" }, z = flow.playback{ "z.wav", next = "done" } }`,
		caller: []string{"1s press 1"},
		error:  "main.lua:2: step `z`: data.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a.a: more than 16 tables in one another, or a table that holds itself, cannot be kept with the call",
	},
	{
		name: "tables that are in others many times",
		script: `local function many() local t = { "x" } for i = 1, 14 do t = { t, t, t, t, t, t, t, t } end return t end
local function try(f) local ok, e = pcall(f) out((e:gsub("^%S+ ", ""):gsub("^%S+ ", ""))) end
return flow{ start = "x", x = flow.run{ to = "done", function(call, data)
local loose = {} data.loose = loose data.loose = nil
try(function() data.x = many() end)
local x = data for i = 1, 14 do x.a = {} x = x.a end
local at = data for i = 1, 14 do for k = 1, 8 do at["k" .. k] = at.a end at = at.a end
try(function() loose.f = print end) error("enough") end } }`,
		want:  []string{"there are more than 10000 values; what is kept with the call has 8192 bytes in all", "a function cannot be kept with the call; strings, numbers, true, false and tables of them can"},
		error: "main.lua:8: step `x`: enough",
	},
	{
		name: "options that hold themselves when they are used",
		script: `local vars = { who = "{call.caller.number}" }
return flow{ start = "x", x = flow.run{ to = "y", function(call, data) vars.vars = vars end }, y = flow.set{ data = { all = vars }, next = "done" } }`,
		error: "main.lua:2: step `y`: there are more than 16 tables in one another, a table that holds itself, or more than 10000 values",
	},
	{
		name: "options of tables that are in others many times",
		script: `local vars = { who = "{call.caller.number}" }
return flow{ start = "x", x = flow.run{ to = "y", function(call, data) local t = { "x" } for i = 1, 14 do t = { t, t, t, t, t, t, t, t } end vars.t = t end },
y = flow.set{ data = { all = vars }, next = "done" } }`,
		error: "main.lua:3: step `y`: there are more than 16 tables in one another, a table that holds itself, or more than 10000 values",
	},
	{
		name:   "a checkpoint in a flow",
		script: `return flow{ start = "x", x = flow.run{ to = "done", function(call, data) call:checkpoint{ x = 1 } end } }`,
		error:  "main.lua:1: step `x`: checkpoint: a flow keeps its place by itself: put what is to be kept into data",
	},
	{
		name:   "a checkpoint that cannot be kept",
		script: `call:checkpoint{ x = { print } }`,
		error:  "main.lua:1: checkpoint: state.x.1: a function cannot be kept with the call; strings, numbers, true, false and tables of them can",
	},
	{
		name:   "a call that begins here",
		script: `out(call.resumed)`,
		want:   []string{"nil"},
	},
}

func TestFlowLives(t *testing.T) {
	for _, tt := range lives {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				scripts := map[string]string{"main": prelude + tt.script}
				for name, text := range tt.more {
					scripts[name] = text
				}
				b := newBench(t, scripts, func(c *engine.Config) { c.Limits.Call = time.Hour })
				c := b.start("main", "lang=sv")
				play(t, b, c, tt.caller)
				b.finish(c)
				if got := b.log.messages(); !slices.Equal(got, tt.want) {
					t.Errorf("logged %q\n  want %q\n%s", got, tt.want, b.log)
				}
				said := ""
				if e, ok := b.log.find("script error", ""); ok {
					said = strings.TrimPrefix(e.attrs["at"]+": ", ": ") + e.attrs["error"]
				}
				if said != tt.error && (tt.error == "" || !strings.HasSuffix(said, tt.error)) {
					t.Errorf("the error is %q, want %q", said, tt.error)
				}
				if e, _ := b.log.find("call ended", c.UUID); tt.ending != "" && e.attrs["ending"] != tt.ending {
					t.Errorf("the call ended %v", e.attrs)
				}
			})
		})
	}
}

// The caller hangs up in each kind of step in which time passes: the step is told to be abandoned, and nothing is left.
func TestHangupInEachStep(t *testing.T) {
	for _, x := range []string{
		`flow.playback{ "silence_stream://-1", next = "done" }`, `flow.say{ ("12"):rep(4000), next = "done" }`, `flow.speak{ ("hello "):rep(1300), engine = "flite", voice = "slt", next = "done" }`,
		`flow.gather{ timeout = "1h", next = "done", otherwise = "done" }`, `flow.menu{ timeout = "1h", keys = { "done" }, otherwise = "done" }`, `flow.record{ "/tmp/a.wav", next = "done" }`,
		`flow.bridge{ "user/1001", answered = "done", otherwise = "done" }`, `flow.queue{ "never@default", answered = "done", otherwise = "done" }`, `flow.conference{ "room", next = "done" }`,
		`flow.run{ to = "done", function(call) call:sleep("1h") end }`, `flow.voicemail{ ("1"):rep(8000), domain = "example.com", next = "done" }`,
		`flow.subflow{ "sub", done = "done" }`,
	} {
		kind, _, _ := strings.Cut(x, "{")
		t.Run(kind, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": prelude + `return flow{ start = "x", x = ` + x + `, on_hangup = "bye", bye = flow.run{ to = "done", function() out("bye") end } }`,
					"sub": `return flow{ start = "y", y = flow.playback{ "silence_stream://-1", next = "done" } }`}, func(c *engine.Config) { c.Limits.Call = 3 * time.Hour })
				b.sw.Endpoints = []simulator.Endpoint{{Pattern: "callcenter/never*", Behaviour: simulator.NoAnswer()}}
				var marks []luabind.Mark
				b.server.Flow = func(_ string, m luabind.Mark) { marks = append(marks, m) }
				c := b.start("main")
				time.Sleep(3 * time.Second)
				c.Hangup("NORMAL_CLEARING")
				b.finish(c)
				if got := b.log.messages(); !slices.Equal(got, []string{"bye"}) {
					t.Errorf("logged %q\n%s", got, b.log)
				}
				at := slices.IndexFunc(marks, func(m luabind.Mark) bool { return m.Step == "x" && m.Outcome == luabind.Abandoned })
				if at < 0 || marks[at].Took < 2*time.Second || marks[at].Took > 3*time.Second {
					t.Errorf("marks %v", marks)
				}
				for _, m := range marks { // each step that was entered is left once
					in, left := 0, 0
					for _, n := range marks {
						if n.Flow == m.Flow && n.Step == m.Step && n.Outcome == luabind.Entered {
							in++
						} else if n.Flow == m.Flow && n.Step == m.Step {
							left++
						}
					}
					if in != 1 || left != 1 {
						t.Errorf("%s was entered %d times and left %d times", m.Step, in, left)
					}
				}
			})
		})
	}
}

// A flow that is broken by an edit is served as it last was.
func TestReloadKeepsTheLastGoodFlow(t *testing.T) {
	simulated(t, func(t *testing.T) {
		good := prelude + `return flow{ start = "x", x = flow.run{ to = "done", function() out("good") end } }`
		b := newBench(t, map[string]string{"main": good}, nil)
		b.run("main")
		root := b.server.Library.Snapshot().Config.Scripts.Root
		edit := func(text string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(root, "main.lua"), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
			b.server.Library.Reload(t.Context())
		}
		edit(strings.Replace(strings.Replace(good, `"done"`, `"dune"`, 1), "good", "bad", 1))
		problems := b.server.Library.Snapshot().Problems
		if len(problems) != 1 || problems[0].String() != "main.lua:1: step `x`: the outcome `dune` leads to the step `dune`, which does not exist, did you mean `done`?; still serving generation 1" {
			t.Errorf("problems %v", problems)
		}
		b.run("main")
		edit(strings.Replace(good, "good", "better", 1))
		b.run("main")
		if got := b.log.messages(); !slices.Equal(got, []string{"good", "good", "better"}) {
			t.Errorf("logged %q", got)
		}
	})
}

// Whatever a caller is called, it arrives at the switch as those bytes.
func TestDataIsLiteral(t *testing.T) {
	for _, text := range hostile {
		simulatedHere(t, func(t *testing.T) {
			b := newBench(t, map[string]string{"main": `return flow{ start = "x", x = flow.run{ to = "y", function(call, data) data.who = call.args[1] and ` + luaString(text) + ` or ` + luaString(text) + ` end },
y = flow.set{ vars = { who = "<{who}>" }, next = "z" },
z = flow.speak{ "-{who}-", engine = "flite", voice = "slt", next = "done" } }`}, nil)
			c := b.run("main")
			if got := did(c, simulator.Evaluated, simulator.System); len(got) > 0 {
				t.Errorf("%q was evaluated: %q", text, got)
			}
			if got := did(c, simulator.Said); !slices.Equal(got, []string{"speak -" + text + "-"}) {
				t.Errorf("%q was said as %q\n%s", text, got, b.log)
			}
		})
	}
}

// startWith makes a call of a channel with that Unique-ID that carries a state.
func startWith(b *bench, uuid, state string) *simulator.Channel {
	b.t.Helper()
	ours, theirs := simulator.Pipe()
	in := simulator.Invite{UUID: uuid, Socket: "127.0.0.1:8084/main async full", Conn: theirs}
	if state != "" {
		in.Variables = []simulator.Variable{{Name: luabind.StateVariable, Value: state}}
	}
	c, err := b.sw.Call(context.Background(), in)
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.server.ServeConn(ours); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// What a call carries is believed only if it was written for it, with this key, and whole.
func TestStateIsAuthenticated(t *testing.T) {
	const uuid = "5b1d0f0e-1111-4222-8333-444455556666"
	carried := func(t *testing.T, key string) (state string) {
		simulatedHere(t, func(t *testing.T) {
			b := newBench(t, map[string]string{"main": `call:answer() call:checkpoint{ n = 7, list = { 1, 2.5, true, "x" }, [10] = false } call:playback("a.wav") call:hangup()`}, func(c *engine.Config) { c.Flows.Key = key })
			c := startWith(b, uuid, "")
			b.finish(c)
			state = c.Variable(luabind.StateVariable)
		})
		return state
	}
	good, plain := carried(t, "secret"), carried(t, "")
	flip := []byte(good)
	flip[10] ^= 1
	parts := strings.Split(good, ".")
	body, _ := base64.RawURLEncoding.DecodeString(parts[1])
	tests := []struct{ name, state, uuid, key, refused string }{
		{"as it was", good, uuid, "secret", ""},
		{"without a key", plain, uuid, "", ""},
		{"another key", good, uuid, "other", "it was not written for this channel with this flows.key"},
		{"a key here, none there", plain, uuid, "secret", "it was not written for this channel with this flows.key"},
		{"another channel", plain, "5b1d0f0e-1111-4222-8333-444455556667", "", "it was not written for this channel with this flows.key"},
		{"a byte changed", string(flip), uuid, "secret", "it was not written for this channel with this flows.key"},
		{"cut", good[:len(good)-6], uuid, "secret", "it was not written for this channel with this flows.key"},
		{"cut in the middle", good[:20], uuid, "secret", "it is damaged"},
		{"another version", "2" + good[1:], uuid, "secret", "it is of a version that this Callisto does not know"},
		{"too large", good + strings.Repeat("A", 9000), uuid, "secret", "it is larger than 8192 bytes"},
		{"nonsense", "<xml>", uuid, "secret", "it is damaged"},
		{"its content without its seal", "1." + base64.RawURLEncoding.EncodeToString(body) + ".", uuid, "secret", "it was not written for this channel with this flows.key"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulatedHere(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": prelude + `local r = call.resumed if r then out(r.n, r.list[1], r.list[2], r.list[3], r.list[4], r[10], #r.list) else out("anew") end call:playback("a.wav")`},
					func(c *engine.Config) { c.Flows.Key = tt.key; c.Calls.OnReturn = engine.OnEndContinue })
				c := startWith(b, tt.uuid, tt.state)
				b.finish(c)
				want := "7 1 2.5 true x false 4"
				warned, ok := b.log.find("what the call carries is refused, and it begins anew", c.UUID)
				if tt.refused != "" {
					want = "anew"
				}
				if ok != (tt.refused != "") || warned.attrs["reason"] != tt.refused {
					t.Errorf("refused with %q, want %q", warned.attrs["reason"], tt.refused)
				}
				if got := b.log.messages(); !slices.Equal(got, []string{want}) {
					t.Errorf("logged %q, want %q", got, want)
				}
				if v := c.Variable(luabind.StateVariable); v != "" {
					t.Errorf("the call goes on in the dialplan and carries %q", v)
				}
			})
		})
	}
}
