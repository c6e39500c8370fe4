package luabind_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// A use is one way to use a verb, with what is needed to see it end in every way.
type use struct {
	verb  string
	args  string   // on the call, or on a leg
	apps  []string // what it has the channel run, where that is more than nothing; the last is waited for
	waits bool     // it waits for as long as nothing happens
	ends  string   // it is the end of the script, with this in the log
}

// uses are all verbs. TestVerbEndings fails for one that is not here.
var uses = []use{
	{verb: "answer", args: `()`, apps: []string{"answer"}},
	{verb: "pre_answer", args: `()`, apps: []string{"pre_answer"}},
	{verb: "ring_ready", args: `()`, apps: []string{"ring_ready"}},
	{verb: "sleep", args: `("1h")`, waits: true},
	{verb: "transfer", args: `("1000", "XML", "default")`, apps: []string{"transfer"}, ends: "transferred"},
	{verb: "hangup", args: `("USER_BUSY")`, ends: "hung up by script"},
	{verb: "execute", args: `("park")`, apps: []string{"park"}, waits: true},
	{verb: "set", args: `("x", "1")`, apps: []string{"set"}},
	{verb: "export", args: `("x", "1")`, apps: []string{"export"}},
	{verb: "unset", args: `("x")`, apps: []string{"unset"}},
	{verb: "get", args: `("x")`},
	{verb: "checkpoint", args: `{ x = 1 }`},
	{verb: "playback", args: `("silence_stream://-1")`, apps: []string{"playback"}, waits: true},
	{verb: "playback", args: `("silence_stream://-1", { wait = false }):wait()`, apps: []string{"playback"}, waits: true},
	{verb: "say", args: `(("12"):rep(50000))`, apps: []string{"say"}, waits: true},
	{verb: "speak", args: `(("hello "):rep(5000), { engine = "flite", voice = "slt" })`, apps: []string{"speak"}, waits: true},
	{verb: "phrase", args: `("greeting", ("x "):rep(50000))`, apps: []string{"phrase"}, waits: true},
	{verb: "display", args: `("Ada")`, apps: []string{"send_display"}},
	{verb: "gather", args: `{ prompt = "silence_stream://-1" }`, apps: []string{"read"}, waits: true},
	{verb: "gather", args: `{ timeout = "3h", max = 4 }`, apps: []string{"read"}, waits: true},
	{verb: "gather", args: `{ prompt = "silence_stream://-1", speech = { engine = "unimrcp", grammar = "g" } }`, apps: []string{"detect_speech", "read"}, waits: true},
	{verb: "menu", args: `{ prompt = "silence_stream://-1", keys = { ["1"] = "x" } }`, apps: []string{"read"}, waits: true},
	{verb: "confirm", args: `{ prompt = "silence_stream://-1" }`, apps: []string{"read"}, waits: true},
	{verb: "flush", args: `()`, apps: []string{"flush_dtmf"}},
	{verb: "detect_speech", args: `("unimrcp", "g")`, apps: []string{"detect_speech"}},
	{verb: "play_and_detect_speech", args: `("silence_stream://-1", "unimrcp", "g")`, apps: []string{"play_and_detect_speech"}, waits: true},
	{verb: "record", args: `("/tmp/a.wav")`, apps: []string{"record"}, waits: true},
	{verb: "record_call", args: `("/tmp/a.wav")`, apps: []string{"record_session"}},
	{verb: "stop_record_call", args: `("/tmp/a.wav")`, apps: []string{"stop_record_session"}},
	{verb: "mask_record_call", args: `("/tmp/a.wav")`, apps: []string{"record_session_mask"}},
	{verb: "unmask_record_call", args: `("/tmp/a.wav")`, apps: []string{"record_session_unmask"}},
	{verb: "bridge", args: `("user/never", { ring = "3h" })`, apps: []string{"bridge"}, waits: true},
	{verb: "bridge", args: `("user/1001")`, apps: []string{"bridge"}, waits: true},
	{verb: "originate", args: `("user/never", { ring = "3h" })`, waits: true},
	{verb: "join", args: `(call:originate("user/1001"))`, apps: []string{"bridge"}, waits: true},
	{verb: "deflect", args: `("sip:1@example.com")`, apps: []string{"deflect"}, ends: "caller hung up"},
	{verb: "redirect", args: `("sip:1@example.com")`, apps: []string{"redirect"}, ends: "caller hung up"},
	{verb: "hold", args: `()`, apps: []string{"hold"}},
	{verb: "unhold", args: `()`, apps: []string{"unhold"}},
	{verb: "send_dtmf", args: `("1")`, apps: []string{"send_dtmf"}},
	{verb: "schedule_hangup", args: `("3h")`, apps: []string{"sched_hangup"}},
	{verb: "conference", args: `("room")`, apps: []string{"conference"}, waits: true},
	{verb: "conference", args: `("room", { wait = false }):wait()`, apps: []string{"conference"}, waits: true},
	{verb: "valet_park", args: `("lot")`, apps: []string{"valet_park"}, waits: true},
	{verb: "fifo", args: `("never")`, apps: []string{"fifo"}, waits: true},
	{verb: "callcenter", args: `("never@default")`, apps: []string{"callcenter"}, waits: true},
	{verb: "voicemail", args: `(("1"):rep(90000), { domain = "example.com" })`, apps: []string{"voicemail"}, waits: true},
	{verb: "api", args: `("hostname")`},
	{verb: "bgapi", args: `("msleep", "1000000000"):wait()`, waits: true},
	{verb: "on", args: `("dtmf", function() end)`},
	{verb: "wait_for", args: `("dtmf")`, waits: true},
	{verb: "every", args: `("10m", function() end)`},
}

// An end is a way in which a verb may end other than well.
type end struct {
	name string
	run  func(t *testing.T, u use)
}

var ends = []end{
	{"the caller hangs up", func(t *testing.T, u use) {
		b, c := u.start(t, nil)
		time.Sleep(time.Second)
		c.Hangup("NORMAL_CLEARING")
		u.over(t, b, c, "caller hung up", "NORMAL_CLEARING")
	}},
	{"the application fails", func(t *testing.T, u use) {
		if len(u.apps) == 0 {
			return // nothing of it can
		}
		// An application that the switch does not have hangs the channel up and never completes.
		b, c := u.start(t, func(s *simulator.Switch) {
			s.Missing = func(app string) bool { return app == u.apps[len(u.apps)-1] }
		})
		u.ends = ""
		u.over(t, b, c, "caller hung up", "DESTINATION_OUT_OF_ORDER")
	}},
	{"the application never completes", func(t *testing.T, u use) {
		b, c := u.start(t, func(s *simulator.Switch) {
			s.Stuck = func(app string) bool { return slices.Contains(u.apps, app) }
		})
		if u.verb != "hangup" {
			u.ends = ""
		}
		u.over(t, b, c, "timed out", "ALLOTTED_TIMEOUT")
	}},
	{"the call's time is up", func(t *testing.T, u use) {
		b, c := u.start(t, nil)
		u.over(t, b, c, "timed out", "ALLOTTED_TIMEOUT")
	}},
	{"the connection dies", func(t *testing.T, u use) {
		b, c := u.start(t, nil)
		time.Sleep(time.Second)
		c.Drop()
		u.over(t, b, c, "disconnected", "")
	}},
	{"the engine stops", func(t *testing.T, u use) {
		b, c := u.start(t, nil)
		time.Sleep(time.Second)
		b.server.Close()
		u.over(t, b, c, "stopped", "")
	}},
	{"the leg hangs up", func(t *testing.T, u use) {
		if u.verb == "checkpoint" {
			return // it is of the call
		}
		// The same verb on a leg: the script goes on.
		b, c := u.serve(t, nil, `local leg = call:originate("user/1001") log.info(leg.uuid)
local ok, result, why = pcall(function() return leg:`+u.verb+u.args+` end)
if ok and not (result == nil and why == "hangup") then ok, result, why = pcall(function() return leg:playback("silence_stream://-1") end) end
out(ok, result, why, leg.up) out(call:playback("a.wav"))`)
		time.Sleep(time.Second)
		if m := b.log.messages(); len(m) > 0 {
			if leg := b.sw.Channel(m[0]); leg != nil {
				leg.Hangup("NORMAL_CLEARING")
			}
		}
		b.finish(c)
		got := b.log.messages()
		if u.verb == "transfer" || u.verb == "wait_for" || u.verb == "originate" {
			got = got[len(got)-1:] // what they return then is said in TestFlows
		} else {
			got = got[1:]
		}
		want := []string{"true nil hangup false", "true played"}[2-len(got):]
		if !slices.Equal(got, want) {
			t.Errorf("logged %q, want %q\n%s", got, want, b.log)
		}
		u.nothingLeft(t, b)
	}},
}

// start makes a call that uses the verb, and tries not to notice the end.
func (u use) start(t *testing.T, change func(*simulator.Switch)) (*bench, *simulator.Channel) {
	return u.serve(t, change, `call:on("hangup", function(cause) out("hangup", cause) end)
pcall(function() call:`+u.verb+u.args+` end)
pcall(function() call:execute("park") end)
local co = coroutine.create(function() call:execute("park") end)
coroutine.resume(co)
out("not reached")`)
}

func (u use) serve(t *testing.T, change func(*simulator.Switch), script string) (*bench, *simulator.Channel) {
	b := newBench(t, map[string]string{"main": prelude + script}, func(c *engine.Config) { c.Limits.Call = time.Hour })
	b.sw.Endpoints = []simulator.Endpoint{
		{Pattern: "user/never", Behaviour: simulator.NoAnswer()},
		{Pattern: "callcenter/never*", Behaviour: simulator.NoAnswer()},
		{Pattern: "fifo/never*", Behaviour: simulator.NoAnswer()},
	}
	if change != nil {
		change(b.sw)
	}
	return b, b.start("main")
}

// over checks that the call ended as it must, once, with nothing left behind.
func (u use) over(t *testing.T, b *bench, c *simulator.Channel, ending, cause string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Hour)
	defer cancel()
	if !b.log.wait(ctx, "call ended", c.UUID) {
		t.Fatalf("the call does not end\n%s", b.log)
	}
	e, _ := b.log.find("call ended", c.UUID)
	if u.ends != "" { // it ended by itself, before
		ending = u.ends
	} else if e.attrs["cause"] != cause {
		t.Errorf("the cause is %q, not %q\n%s", e.attrs["cause"], cause, b.log)
	}
	if e.attrs["ending"] != ending {
		t.Errorf("the call ended %q, not %q\n%s", e.attrs["ending"], ending, b.log)
	}
	var want []string
	if u.ends == "" && cause != "" {
		want = []string{"hangup " + cause}
	} else if u.ends == "hung up by script" || u.ends == "caller hung up" {
		want = []string{"hangup " + e.attrs["cause"]}
	}
	if got := b.log.messages(); !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q\n%s", got, want, b.log)
	}
	if e, ok := b.log.find("script error", ""); ok {
		t.Errorf("%v", e)
	}
	u.nothingLeft(t, b)
}

// nothingLeft checks that no channel is left but those that were given away or lost.
func (u use) nothingLeft(t *testing.T, b *bench) {
	t.Helper()
	time.Sleep(time.Minute)
	for _, e := range []string{"disconnected", "stopped", "transferred"} {
		if r, ok := b.log.find("call ended", ""); ok && r.attrs["ending"] == e {
			return
		}
	}
	if n := b.sw.Channels(); n > 0 && u.verb != "transfer" {
		t.Errorf("%d channels are left", n)
	}
}

// Every verb, ended in every way.
func TestVerbEndings(t *testing.T) {
	for _, v := range luabind.Verbs {
		if !slices.ContainsFunc(uses, func(u use) bool { return u.verb == v.Name }) {
			t.Errorf("uses has no case for the verb %s", v.Name)
		}
	}
	for _, u := range uses {
		for _, e := range ends {
			t.Run(u.verb+strings.ReplaceAll(u.args, "/", "|")+"/"+e.name, func(t *testing.T) {
				simulated(t, func(t *testing.T) { e.run(t, u) })
			})
		}
	}
}
