package luabind_test

import (
	"slices"
	"testing"
	"time"

	"callisto/luabind"
)

// What a mode of the socket application lacks is said, with what to write in the dialplan.
func TestModes(t *testing.T) {
	const needsFull = ` needs the word full in the dialplan: <action application="socket" data="host:port async full"/>`
	const needsAsync = ` needs the word async in the dialplan: <action application="socket" data="host:port async full"/>`
	tests := []struct{ name, mode, script, want string }{
		{"api", "async", `call:api("status")`, "api:" + needsFull},
		{"originate", "async", `call:originate("user/1001")`, "originate:" + needsFull},
		{"an event that myevents leaves out", "async", `call:on("CHANNEL_HOLD", function() end)`, "on:" + needsFull},
		{"an event of others", "async", `call:wait_for("dtmf", { match = { ["Caller-Context"] = "default" } })`, "wait_for:" + needsFull},
		{"conference with a handle", "async", `call:conference("room", { wait = false })`, "conference:" + needsFull},
		{"speech", "async", `call:gather{ speech = { engine = "x", grammar = "y" } }`, "gather:" + needsFull},
		{"fresh", "async", `call:get("x", { fresh = true })`, `get: fresh = true needs the word full in the dialplan: <action application="socket" data="host:port async full"/>`},
		{"stop", "async", `call:on("dtmf", function() return "stop" end) call:playback("silence_stream://5000")`, "this" + needsFull},
		{"on", "full", `call:on("dtmf", function() end)`, "on:" + needsAsync},
		{"wait_for", "full", `call:wait_for("dtmf")`, "wait_for:" + needsAsync},
		{"every", "full", `call:every("1s", function() end)`, "every:" + needsAsync},
		{"playback with a handle", "full", `call:playback("a.wav", { wait = false })`, "playback:" + needsAsync},
	}
	for _, tt := range tests {
		t.Run(tt.mode+" "+tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": prelude + `local ok, e = pcall(function() ` + tt.script + ` end) out(ok, (e:gsub("^main.lua:1: ", "")))`}, nil)
				b.mode = tt.mode
				c := b.start("main")
				time.Sleep(time.Second)
				c.Press("1")
				b.finish(c)
				if got := b.log.messages(); !slices.Equal(got, []string{"false " + tt.want}) {
					t.Errorf("logged %q, want %q", got, tt.want)
				}
			})
		})
	}
}

// What needs no more than the mode has works in it: digits, handlers and recordings without full, and all that waits
// for itself without async.
func TestFlowsInEveryMode(t *testing.T) {
	const script = prelude + `call:answer() out(call:playback("a.wav")) out(call:gather{ prompt = "b.wav", max = 1 }) out(call:record("/tmp/a.wav", { max = "2s" }).reason)
out(call:say(1)) local b = call:bridge({ "error/USER_BUSY", "error/GATEWAY_DOWN" }) out(b.answered, b.cause) call:sleep(10) out(call:menu{ keys = { ["1"] = "x" }, tries = 1 })`
	want := []string{"true played", "5 digits", "max", "said", "false GATEWAY_DOWN", "nil timeout"}
	for _, mode := range []string{"async full", "full", "async", ""} {
		t.Run(mode, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": script}, nil)
				b.mode = mode
				c := b.start("main")
				time.Sleep(1500 * time.Millisecond)
				c.Press("5")
				b.finish(c)
				if got := b.log.messages(); !slices.Equal(got, want) {
					t.Errorf("logged %q, want %q\n%s", got, want, b.log)
				}
			})
		})
	}
}

// Mistakes in the use of a verb raise, and name what was meant.
func TestVerbMistakes(t *testing.T) {
	tests := []struct{ script, want string }{
		{`call:on("CHANEL_ANSWER", function() end)`, "on: argument `event`: there is no event `CHANEL_ANSWER`, did you mean `CHANNEL_ANSWER`?"},
		{`call:on("dtfm", function() end)`, "on: argument `event`: there is no event `dtfm`, did you mean `dtmf`?"},
		{`call:on("dtmf", function() return "stopp" end) call:playback("silence_stream://3000")`, `a handler returns nothing, "stop", "pause", "restart", or such as "seek:+3000", "volume:-1" and "speed:1", not "stopp"`},
		{`call:on("dtmf", function() error("my mistake", 0) end) call:playback("silence_stream://3000")`, "my mistake"},
		{`call:gather{ patern = "x" }`, "gather: unknown option `patern`, did you mean `pattern`?"},
		{`call:gather{ pattern = "(" }`, "gather: option `pattern`: it is no regular expression (RE2): error parsing regexp: missing closing ): `(`"},
		{`call:gather{ min = 5, max = 2 }`, "gather: `max` is less than `min`"},
		{`call:gather{ terminators = "x" }`, "gather: option `terminators` holds keys, such as \"*#\", \"any\" or \"none\", not \"x\""},
		{`call:gather{ prompt = "phrase:x:${y}" }`, "gather: `phrase:x:${y}` holds a $: the macros of a phrase expand it, and would run what is in it"},
		{`call:playback("shell_stream://rm")`, "playback: `shell_stream://rm` runs a command on the switch; if that is meant, say so with expand"},
		{`call:menu{ keys = { x = 1 } }`, "menu: option `keys`: \"x\" is no key; write [\"1\"], [\"*\"], [\"12\"]"},
		{`call:menu{}`, "menu: option `keys` is missing: { [\"1\"] = … }"},
		{`call:confirm{ yes = "1", no = "1" }`, "confirm: the keys for yes and no are the same"},
		{`call:every(1, function() end)`, "every: the interval is 1ms; the shortest is 20ms"},
		{`call:bridge({ "user/1", vars = { x = "a[b" } })`, "bridge: the value of `x` cannot stand in a dial string: it holds a bracket, a quote, a $, a | or a backslash. Variables of a whole bridge, { vars = … } behind the targets, can hold anything"},
		{`call:bridge({ { "user/1", var = {} } })`, "bridge: a target with variables is { \"user/1001\", vars = { name = \"value\" } }; it has no \"var\""},
		{`call:bridge("loopback/app=system:x")`, "bridge: the target \"loopback/app=system:x\" runs an application on the switch; if that is meant, say so with expand"},
		{`call:bridge("user/1", { ring = 20 })`, "bridge: option `ring` is 20ms; write \"20s\" for twenty seconds"},
		{`call:record("/tmp/x.wav", { max = 30 })`, "record: option `max` is 30ms; write \"20s\" for twenty seconds"},
		{`call:join(call)`, "join: argument `leg` must be what originate returned, not a userdata"},
		{`call:conference("a+b")`, "conference: argument `name`: \"a+b\" holds a \"+\"; letters, digits, - _ and . are allowed"},
		{`call:send_dtmf("12x")`, `send_dtmf: "12x" is no digits: there are 0 to 9, *, #, A to D, F for flash, and the pauses w and W`},
		{`call:transfer("${x}")`, `transfer: "${x}" holds a $, a quote or a backslash: actions of the dialplan that use the number would expand it`},
		{`call:stop_record_call()`, "stop_record_call: nothing is being recorded: call:record_call(path) begins it"},
		{`call:say(1, "nummber")`, "say: argument `type` must be one of number, items, persons, messages, currency, time_measurement, current_date, current_time, current_date_time, telephone_number, telephone_extension, url, ip_address, email_address, postal_address, account_number, name_spelled, name_phonetic, short_date_time, did you mean `number`?, not \"nummber\""},
		{`local leg = call:originate("user/1") leg.x = 1`, "leg.x cannot be assigned; channel variables are set with leg:set(name, value)"},
		{`local leg = call:originate("user/1") leg:playbak("x")`, "a leg has no method or field `playbak`, did you mean `playback`?"},
	}
	for _, tt := range tests {
		t.Run(tt.script, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": prelude + `local ok, e = pcall(function() ` + tt.script + ` end) out((e:gsub("^main.lua:1: ", "")))`}, nil)
				c := b.start("main")
				time.Sleep(time.Second)
				c.Press("1")
				b.finish(c)
				if got := b.log.messages(); !slices.Equal(got, []string{tt.want}) {
					t.Errorf("logged %q, want %q\n%s", got, tt.want, b.log)
				}
			})
		})
	}
}

// Every verb has what the reference is made of.
func TestVerbsAreDescribed(t *testing.T) {
	for _, v := range luabind.Verbs {
		for _, p := range append(append([]luabind.Param{}, v.Params...), v.Options...) {
			if p.Doc == "" || p.Name == "" {
				t.Errorf("%s: a parameter %q without a description", v.Name, p.Name)
			}
		}
		if v.Doc == "" {
			t.Errorf("%s has no description", v.Name)
		}
	}
}
