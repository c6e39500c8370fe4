package luabind_test

import (
	"slices"
	"testing"
	"time"

	"callisto/luabind"
)

// The engine that takes a call over serves another version of its flow.
func TestTakenOverByAnotherVersion(t *testing.T) {
	const (
		uuid = "5b1d0f0e-1111-4222-8333-444455556666"
		sub  = prelude + `return flow{ start = "one", one = flow.run{ to = "two", function(call, data) out("one") data.seen = true end },
two = flow.playback{ "silence_stream://60000", next = "three" }, three = flow.run{ to = "done", function(call, data) out("three", data.seen) end } }`
		was = prelude + `return flow{ start = "a", a = flow.set{ data = { n = 7 }, next = "b" }, b = flow.subflow{ "sub", done = "c" }, c = flow.hangup{} }`
	)
	tests := []struct {
		name, main string
		more       map[string]string
		want       []string
	}{
		{"the same", was, nil, []string{"three true"}},
		{"its step is gone, and the flow says where to go on",
			prelude + `return flow{ start = "a", resume = "r", a = flow.run{ to = "r", function() out("anew") end }, r = flow.run{ to = "c", function(call, data) out("resumed", data.n) end }, c = flow.hangup{} }`,
			nil, []string{"the call's step is gone: it goes on at the flow's step for that", "resumed 7"}},
		{"its step is gone, and the flow begins anew",
			prelude + `return flow{ start = "a", a = flow.run{ to = "c", function(call, data) out("anew", data.n) end }, c = flow.hangup{} }`,
			nil, []string{"the call's step is gone: its flow begins anew", "anew nil"}},
		{"the step does something else, and a later one runs the flow that was inside",
			prelude + `return flow{ start = "a", a = flow.hangup{}, b = flow.run{ to = "d", function(call, data) out("b", data.n) end }, d = flow.subflow{ "sub", done = "c" }, c = flow.hangup{} }`,
			nil, []string{"b 7", "one", "three true"}},
		{"the step runs another flow, and a later one the flow that was inside",
			prelude + `return flow{ start = "a", a = flow.hangup{}, b = flow.subflow{ "other", done = "d" }, d = flow.subflow{ "sub", done = "c" }, c = flow.hangup{} }`,
			map[string]string{"other": prelude + `return flow{ start = "x", x = flow.run{ to = "done", function() out("other") end } }`}, []string{"other", "one", "three true"}},
		{"it is no flow any more", prelude + `out("script", call.resumed.step) call:hangup()`, nil, []string{"script two"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var state string
			simulatedHere(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": was, "sub": sub}, nil)
				c := startWith(b, uuid, "")
				time.Sleep(time.Second)
				state = c.Variable(luabind.StateVariable)
				c.Hangup("NORMAL_CLEARING")
				b.finish(c)
			})
			simulatedHere(t, func(t *testing.T) {
				scripts := map[string]string{"main": tt.main, "sub": sub}
				for name, text := range tt.more {
					scripts[name] = text
				}
				b := newBench(t, scripts, nil)
				c := startWith(b, uuid, state)
				b.finish(c)
				var got []string
				b.log.mu.Lock()
				for _, e := range b.log.list {
					if e.attrs["at"] != "" || e.message == "the call's step is gone: its flow begins anew" || e.message == "the call's step is gone: it goes on at the flow's step for that" {
						got = append(got, e.message)
					}
				}
				b.log.mu.Unlock()
				if !slices.Equal(got, tt.want) {
					t.Errorf("logged %q, want %q\n%s", got, tt.want, b.log)
				}
			})
		})
	}
}
