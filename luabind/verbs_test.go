package luabind_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/simulator"
)

// A flow is a script, what the caller does meanwhile, and what the script then knows.
type flow struct {
	name   string
	script string   // out(…) logs its arguments
	caller []string // "500ms press 12", "1s say yes", "2s hangup", "1s api hupall …" with UUID for the call's
	want   []string // what was logged
	does   []string // what the channel must have done, in this order: "read 1 4 …", as the application saw it
}

// prelude makes out, on the script's first line, so that the lines keep their numbers.
const prelude = `local function out(...) local t = {} for i = 1, select("#", ...) do t[i] = tostring((select(i, ...))) end log.info(table.concat(t, " ")) end `

func (f flow) run(t *testing.T) {
	b := newBench(t, map[string]string{"main": prelude + f.script}, func(c *engine.Config) { c.Limits.Call = time.Hour })
	b.sw.Endpoints = []simulator.Endpoint{
		{Pattern: "user/busy", Behaviour: simulator.Refuses("USER_BUSY", 0)},
		{Pattern: "user/never", Behaviour: simulator.NoAnswer()},
		{Pattern: "user/short", Behaviour: simulator.Answers(time.Second, 10*time.Second)},
		{Pattern: "callcenter/empty*", Behaviour: simulator.NoAnswer()},
		{Pattern: "fifo/empty*", Behaviour: simulator.NoAnswer()},
	}
	c := b.start("main")
	play(t, b, c, f.caller)
	b.finish(c)
	if e, ok := b.log.find("script error", ""); ok {
		t.Fatalf("%v", e)
	}
	if got := b.log.messages(); !slices.Equal(got, f.want) {
		t.Errorf("logged %q\n  want %q\n%s", got, f.want, b.log)
	}
	all := did(c, simulator.Executed)
	for _, want := range f.does {
		i := slices.Index(all, want)
		if i < 0 {
			t.Fatalf("the channel did not %q; it did %q", want, did(c, simulator.Executed))
		}
		all = all[i+1:]
	}
}

// play does what the caller does, each thing at its time.
func play(t *testing.T, b *bench, c *simulator.Channel, acts []string) {
	t.Helper()
	began := time.Now()
	for _, act := range acts {
		at, what, _ := strings.Cut(act, " ")
		when, err := time.ParseDuration(at)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Until(began.Add(when)))
		verb, arg, _ := strings.Cut(what, " ")
		switch verb {
		case "press":
			c.Press(arg)
		case "say":
			c.Say(arg)
		case "hangup":
			c.Hangup("NORMAL_CLEARING")
		case "api":
			if _, err := b.sw.Execute(context.Background(), strings.ReplaceAll(arg, "UUID", c.UUID)); err != nil {
				t.Fatal(err)
			}
		default:
			t.Fatalf("the caller cannot %q", what)
		}
	}
}

func TestFlows(t *testing.T) {
	for _, f := range flows {
		t.Run(f.name, func(t *testing.T) { simulated(t, f.run) })
	}
}

var flows = []flow{
	// Asking.
	{
		name:   "gather",
		script: `out(call:gather{ prompt = "a.wav", max = 4, timeout = "3s" })`,
		caller: []string{"500ms press 12#"},
		want:   []string{"12 digits #"},
		does:   []string{"read 1 4 a.wav callisto_digits 3000 # 3000"},
	},
	{
		name:   "gather until the digits are there",
		script: `out(call:gather{ prompt = "a.wav", max = 2 })`,
		caller: []string{"500ms press 123"},
		want:   []string{"12 digits"},
	},
	{
		name:   "gather without input",
		script: `out(call:gather{ prompt = "a.wav", tries = 2, timeout = "3s", no_input = "hello.wav" })`,
		want:   []string{"nil timeout"},
		does:   []string{"read 1 32 a.wav callisto_digits 3000 # 3000", "playback hello.wav", "read 1 32 a.wav callisto_digits 3000 # 3000", "playback hello.wav"},
	},
	{
		name:   "gather pattern",
		script: `out(call:gather{ prompt = "a.wav", max = 2, tries = 2, pattern = "[0-4]+", invalid = "no.wav" })`,
		caller: []string{"500ms press 56", "3s press 12"},
		want:   []string{"12 digits"},
		does:   []string{"playback no.wav"},
	},
	{
		name:   "gather a pattern matches the whole entry",
		script: `out(call:gather{ max = 3, pattern = "1|2" })`,
		caller: []string{"500ms press 123"},
		want:   []string{"nil invalid 123"},
	},
	{
		name:   "gather several prompts, any key ends them all",
		script: `out(call:gather{ prompt = { "a b.wav", "c'd.wav", "e!f.wav" }, max = 1 }) out(call:get("playback_delimiter"))`,
		caller: []string{"1500ms press 7"},
		want:   []string{"7 digits", "nil"},
	},
	{
		name:   "gather without barge-in",
		script: `out(call:gather{ prompt = "a.wav", barge_in = false, max = 1 })`,
		caller: []string{"500ms press 1", "2s press 2"},
		want:   []string{"2 digits"},
	},
	{
		name:   "gather with a prompt that is not there",
		script: `out(call:gather{ prompt = "/nosuch/a.wav", max = 1 })`,
		caller: []string{"500ms press 1"},
		want:   []string{"a prompt cannot be played", "1 digits"},
	},
	{
		name:   "gather with a terminator alone",
		script: `out(call:gather{ min = 0 }) out(call:gather{})`,
		caller: []string{"500ms press #", "1s press #"},
		want:   []string{" digits #", "nil invalid"},
	},
	{
		name:   "gather speech",
		script: `out(call:gather{ prompt = "a.wav", max = 4, speech = { engine = "unimrcp", grammar = "yesno" } })`,
		caller: []string{"500ms say yes please"},
		want:   []string{"yes please speech " + strings.ReplaceAll(`<?xml version="1.0"?><result grammar="yesno"><interpretation grammar="yesno" confidence="0.9"><instance>yes please</instance><input mode="speech">yes please</input></interpretation></result>`, "\n", "")},
		does:   []string{"detect_speech unimrcp yesno yesno", "detect_speech stop"},
	},
	{
		name:   "gather speech, or digits",
		script: `out(call:gather{ prompt = "a.wav", max = 2, speech = { engine = "unimrcp", grammar = "yesno" } })`,
		caller: []string{"500ms press 42"},
		want:   []string{"42 digits"},
		does:   []string{"detect_speech stop"},
	},
	{
		name:   "menu",
		script: `out(call:menu{ prompt = "a.wav", keys = { ["1"] = "sales", ["2"] = function(d) return "chose " .. d end } }) out(call:menu{ keys = { [1] = "one", ["12"] = "twelve" } })`,
		caller: []string{"500ms press 2", "1s press 12"},
		want:   []string{"chose 2 2", "twelve 12"},
	},
	{
		name:   "menu with a wrong key",
		script: `out(call:menu{ prompt = "a.wav", keys = { ["1"] = "sales" }, invalid = "no.wav", tries = 2 })`,
		caller: []string{"500ms press 5"},
		want:   []string{"nil timeout"},
		does:   []string{"playback no.wav"},
	},
	{
		name:   "confirm",
		script: `out(call:confirm{ prompt = "sure.wav" }) out(call:confirm{ prompt = "sure.wav", yes = "9", no = "0" }) out(call:confirm{ tries = 1 })`,
		caller: []string{"500ms press 1", "1s press 0"},
		want:   []string{"true 1", "false 0", "nil timeout"},
	},
	{
		name:   "flush",
		script: `call:sleep(1000) call:flush() out(call:gather{ max = 1, timeout = "1s" })`,
		caller: []string{"500ms press 5"},
		want:   []string{"nil timeout"},
		does:   []string{"flush_dtmf"},
	},
	{
		name:   "play_and_detect_speech",
		script: `out((call:play_and_detect_speech("a.wav", "unimrcp", "{start-input-timers=false}builtin:x"))) out(call:play_and_detect_speech("a.wav", "unimrcp", "g"))`,
		caller: []string{"500ms say hello"},
		want:   []string{"hello", "nil error"},
		does:   []string{"play_and_detect_speech a.wav detect:unimrcp {start-input-timers=false}builtin:x"},
	},
	{
		name:   "detect_speech",
		script: `call:on("speech", function(text, e) out(text, e.name) return "stop" end) call:detect_speech("unimrcp", "g") out(select(2, call:playback("silence_stream://20000"))) call:detect_speech("stop")`,
		caller: []string{"500ms say operator"},
		want:   []string{"operator DETECTED_SPEECH", "stopped"},
		does:   []string{"set fire_asr_events=true", "detect_speech unimrcp g g", "detect_speech stop"},
	},

	// Speaking.
	{
		name:   "playback",
		script: `out(call:playback("a.wav")) out(call:playback({ "a.wav", "b.wav" }, { loops = 2, terminators = "5" })) out(call:playback("/nosuch/a.wav"))`,
		caller: []string{"2500ms press 5"},
		want:   []string{"true played", "true terminated 5", "playback: not found", "false not found"},
	},
	{
		name: "playback with a handle",
		script: `local h = call:playback({ "silence_stream://20000", "b.wav" }, { wait = false })
call:sleep(1000) out(h:wait("1s")) h:pause() h:seek("+1000") h:volume("-1") h:stop() out(h:wait())
h = call:playback("a.wav", { wait = false }) out(h:wait())`,
		want: []string{"false timeout", "false stopped", "true played"},
	},
	{
		name:   "playback that is stopped before it begins",
		script: `local h = call:playback({ "a.wav", "b.wav" }, { wait = false }) h:stop() out(h:wait()) call:sleep(10)`,
		want:   []string{"false stopped"},
	},
	{
		name:   "say",
		script: `out(call:say(42)) out(call:say("12.50", "currency", { module = "sv", gender = "neuter" })) out(call:say("a b", "name_spelled", { method = "iterated", terminators = "any" }))`,
		want:   []string{"said", "said", "said"},
		does:   []string{"say en number pronounced 42", "say sv currency pronounced neuter 12.50", `say en name_spelled iterated a\sb`},
	},
	{
		name:   "say, ended by a digit",
		script: `out(call:say(1234567890, "number", { terminators = "9" }))`,
		caller: []string{"300ms press 9"},
		want:   []string{"terminated 9"},
	},
	{
		name:   "speak",
		script: `call:set{ tts_engine = "flite", tts_voice = "slt" } out(call:speak("hello | world")) out(call:speak("again", { engine = "vosk", voice = "en" }))`,
		want:   []string{"said", "said"},
		does:   []string{"speak flite|slt|hello | world", "speak vosk|en|again"},
	},
	{
		name:   "speak without a voice",
		script: `out(select(2, pcall(function() call:speak("hello") end)))`,
		want:   []string{`main.lua:1: speak: no engine is chosen: give it as an option, or once with call:set("tts_engine", …)`},
	},
	{
		name:   "phrase",
		script: `out(call:phrase("vm_greeting", "1000, and more")) out(call:phrase("x", nil, { language = "sv" })) out(call:get("language"))`,
		want:   []string{"said", "said", "nil"},
		does:   []string{"phrase vm_greeting,1000, and more", "set language=sv", "phrase x", "unset language"},
	},
	{
		name:   "display",
		script: `call:display("Ada", "100") call:sleep(1)`,
		does:   []string{"send_display Ada|100"},
	},

	// Recording.
	{
		name:   "record",
		script: `local r = call:record("/tmp/a b.wav", { max = "3s" }) out(r.path, r.seconds, r.reason, r.digit)`,
		want:   []string{"/tmp/a b.wav 3 max nil"},
		does:   []string{`record /tmp/a\sb.wav 3`},
	},
	{
		name:   "record until a digit, a silence, in a new directory",
		script: `local r = call:record("/tmp/a.wav", { terminators = "#", beep = true }) out(r.seconds, r.reason, r.digit) r = call:record("/tmp/new/a.wav", { silence = "2s", mkdir = true }) out(r.seconds, r.reason)`,
		caller: []string{"2s press #"},
		want:   []string{"1.75 terminated #", "0 silence"},
		does:   []string{"playback tone_stream://%(250,0,1000)", "record /tmp/a.wav", "mkdir /tmp/new", "record /tmp/new/a.wav 0 200 2"},
	},
	{
		name:   "record where there is no directory",
		script: `out(select(2, pcall(function() call:record("/nosuch/a.wav") end))) out(call:playback("a.wav"))`,
		want:   []string{"main.lua:1: record: there is no directory /nosuch on the switch; mkdir = true makes it", "true played"},
	},
	{
		name: "record_call",
		script: `call:record_call("/tmp/all.wav", { max = "60s", stereo = true }) call:sleep(1000) call:mask_record_call() call:sleep(1000) call:unmask_record_call()
call:stop_record_call() call:playback("a.wav") out(call:get("record_seconds"))`,
		want: []string{"2"},
		does: []string{"set RECORD_STEREO=true", "record_session /tmp/all.wav +60", "record_session_mask /tmp/all.wav", "record_session_unmask /tmp/all.wav", "stop_record_session /tmp/all.wav"},
	},

	// Connecting.
	{
		name:   "bridge",
		script: `local b = call:bridge("user/short", { ring = "20s", ringback = "%(2000,4000,440,480)", caller_id_name = "O'Brien, ${x}", vars = { a = "b" }, headers = { ["X-Id"] = "7" } }) out(b.answered, b.cause, b.disposition, b.seconds, b.target, b.leg ~= nil)`,
		want:   []string{"true NORMAL_CLEARING SUCCESS 10 user/short true"},
		does:   []string{"set call_timeout=20", "export nolocal:origination_caller_id_name=O'Brien, ${x}", "export nolocal:a=b", "export nolocal:sip_h_X-Id=7", "set continue_on_fail=true", "set hangup_after_bridge=false", "bridge user/short"},
	},
	{
		name:   "bridge alternatives",
		script: `local b = call:bridge({ "user/busy", { "user/short", vars = { a = "x, y", b = true } }, "user/other" }) out(b.answered, b.target) b = call:bridge({ "user/busy", "user/nobody@[x" and "error/GATEWAY_DOWN" }) out(b.answered, b.cause)`,
		want:   []string{"true user/short", "false GATEWAY_DOWN"},
		does:   []string{"bridge user/busy", `bridge [a=x\,\sy,b=true]user/short`},
	},
	{
		name:   "bridge all at once",
		script: `local b = call:bridge({ "user/never", "user/short" }, { all = true }) out(b.answered, b.cause) b = call:bridge("user/never", { ring = "5s" }) out(b.answered, b.cause, b.seconds)`,
		want:   []string{"true NORMAL_CLEARING", "false NO_ANSWER 0"},
		does:   []string{"bridge user/never,user/short"},
	},
	{
		name:   "bridge and hang up after it",
		script: `call:on("hangup", function(cause) out("hung up", cause) end) call:bridge("user/short", { hangup_after = true }) out("not reached")`,
		want:   []string{"hung up NORMAL_CLEARING"},
	},
	{
		name: "originate",
		script: `local leg, cause = call:originate("user/busy") out(leg, cause)
leg = call:originate("user/1001", { ring = "20s", caller_id_name = "Ada, Test", vars = { x = "1 2" } })
out(leg.up, leg.cause, leg.vars.x, leg:get("origination_caller_id_name"))
leg:set("y", "${hostname}") out(leg:playback("a.wav")) out(leg.vars.y)
leg:on("hangup", function(cause) out("leg", cause) end)
leg:hangup("USER_BUSY") out(leg:wait_for("hangup") ~= nil, leg.up, leg.cause) out(leg:playback("a.wav")) out(call:playback("a.wav"))`,
		want: []string{"nil USER_BUSY", "true nil 1 2 Ada, Test", "true played", "${hostname}", "leg USER_BUSY", "true false USER_BUSY", "nil hangup", "true played"},
	},
	{
		name:   "originated legs end with the script",
		script: `leg = call:originate("user/1001") out(leg.up) other = call:originate("user/1002") out((other:transfer("9000", "XML", "default"))) other = nil`,
		want:   []string{"true", "nil"},
	},
	{
		name: "join",
		script: `local leg = call:originate("user/1001") call:every("5s", function() return "stop" end)
local b = call:join(leg) out(b.answered, b.stopped, b.leg == leg.uuid, leg.up) out(leg:playback("a.wav"))
leg = call:originate("user/short") b = call:join(leg) out(b.answered, leg.up)`,
		want: []string{"true true true true", "true played", "true true"},
	},
	{
		name:   "join a leg that hangs up",
		script: `local leg = call:originate("user/short") local b = call:join(leg) out(b.answered, b.cause, leg.up, leg.cause) b = call:join(leg) out(b.answered, b.cause)`,
		want:   []string{"true NORMAL_CLEARING false NORMAL_CLEARING", "false NORMAL_CLEARING"},
	},
	{name: "transfer", script: `call:transfer("1000", "XML", "default") out("not reached")`, does: []string{"transfer 1000 XML default"}},
	{name: "deflect", script: `call:answer() call:deflect("sip:1001@example.com") out("not reached")`, does: []string{"deflect sip:1001@example.com"}},
	{name: "redirect", script: `call:redirect("sip:1001@example.com") out("not reached")`, does: []string{"redirect sip:1001@example.com"}},
	{name: "hold", script: `call:hold() call:sleep(1000) call:unhold() call:sleep(1)`, does: []string{"hold", "unhold"}},
	{name: "send_dtmf", script: `call:send_dtmf("12w#", { duration = 100 }) call:send_dtmf("5") call:sleep(1)`, does: []string{"send_dtmf 12w#@100", "send_dtmf 5"}},
	{
		name:   "schedule_hangup",
		script: `call:on("hangup", function(cause) out(cause) end) call:schedule_hangup("5s", "user_busy") call:sleep("1h") out("not reached")`,
		want:   []string{"USER_BUSY"},
		does:   []string{"sched_hangup +5 USER_BUSY"},
	},
	{
		name:   "hangup",
		script: `call:on("hangup", function(cause) out(cause) end) call:hangup("USER_BUSY") out("not reached")`,
		want:   []string{"USER_BUSY"},
	},

	// Conferences and queues.
	{
		name:   "conference",
		script: `local v = call:conference("sales", { profile = "wide", pin = "1234", flags = { "mute", "endconf" } }) out(v.name, v.member, v.reason, v.seconds)`,
		caller: []string{"5s api conference sales kick all"},
		want:   []string{"sales 1 left 5"},
		does:   []string{"conference sales@wide+1234+flags{mute|endconf}"},
	},
	{
		name: "conference with a handle",
		script: `local seen = {}
call:on("conference::maintenance", function(e) seen[#seen + 1] = e.action end, { match = { ["Conference-Name"] = "sales" } })
local room = call:conference("sales", { wait = false })
out(room.name, room.member) out(room:mute()) out(room:unmute(1)) out(room:kick(9)) out(room:play("a.wav")) out(room:wait("2s")) out(room:leave())
local v = room:wait() out(v.reason) out(table.concat(seen, " "))`,
		want: []string{"sales 1", "true", "true", "false -ERR Non-Existant ID 9", "true", "nil timeout", "true", "stopped", "conference-create add-member floor-change mute-member unmute-member kick-member floor-change del-member"},
	},
	{
		name:   "conference stopped by a digit",
		script: `call:on("dtmf", function(d) if d == "*" then return "stop" end end) out(call:conference("sales").reason)`,
		caller: []string{"1s press 1", "2s press *"},
		want:   []string{"stopped"},
	},
	{
		name:   "valet_park",
		script: `local p = call:valet_park("lot", { min = 10, max = 20, timeout = "30s", music = "silence", announce = false }) out(p.space, p.reason, p.seconds) call:every("1s", function() return "stop" end) p = call:valet_park("lot", "42") out(p.space, p.reason)`,
		want:   []string{"10 timeout 30", "42 stopped"},
		does:   []string{"set valet_parking_timeout=30", "set valet_hold_music=silence", "set valet_announce_slot=false", "valet_park lot auto in 10 20", "unset valet_parking_timeout", "valet_park lot 42"},
	},
	{
		name:   "fifo",
		script: `local q = call:fifo("empty", { exit_key = "*", announce = "a b.wav" }) out(q.reason, q.key, q.status, q.seconds) call:every("2s", function() return "stop" end) q = call:fifo("empty") out(q.reason) out(call:fifo("q", { side = "out", wait = false }).reason)`,
		caller: []string{"1s press 5", "3s press *"},
		want:   []string{"left * ABORTED 3", "stopped", "ended"},
		does:   []string{`fifo empty in a\sb.wav undef`, "fifo empty in undef undef", "fifo q out nowait undef undef"},
	},
	{name: "fifo, served", script: `call:fifo("support") out("not reached")`},
	{
		name:   "callcenter",
		script: `local s = call:callcenter("support@default") out(s.answered, s.reason, s.seconds) s = call:callcenter("empty@default", { exit_key = "*", music = "local_stream://jazz" }) out(s.answered, s.reason, s.key) out(call:callcenter("nosuch@default").reason)`,
		caller: []string{"70s press *"},
		want:   []string{"true answered 65", "false left *", "no such queue"},
		does:   []string{"callcenter support@default", "set cc_moh_override=local_stream://jazz", "callcenter empty@default"},
	},
	{
		name:   "voicemail",
		script: `call:voicemail("1000", { domain = "example.com" }) call:voicemail(nil, { domain = "example.com", check = true, profile = "other" }) out(select(2, pcall(function() call:voicemail("1000") end)))`,
		want:   []string{"main.lua:1: voicemail: option `domain` is missing, and the channel has no domain_name"},
		does:   []string{"voicemail default example.com 1000", "voicemail check other example.com"},
	},

	// Listening.
	{
		name: "on",
		script: `local h = call:on("dtmf", function(digit, e) out(digit, e.digit, e["DTMF-Digit"], e.name, e().Nothing) end)
call:on("answer", function(e) out(e.name, e.uuid == call.uuid) end) call:on("CHANNEL_HOLD", function(e) out(tostring(e)) end)
call:answer() call:sleep(1000) h:cancel() call:hold() call:sleep(1000) call:flush() call:sleep(1000)`,
		caller: []string{"500ms press 1", "1500ms press 2"},
		want:   []string{"CHANNEL_ANSWER true", "1 1 1 DTMF nil", "event CHANNEL_HOLD"},
	},
	{
		name:   "on the end of every application",
		script: `local apps = {} call:on("CHANNEL_EXECUTE_COMPLETE", function(e) apps[#apps + 1] = e.Application end) call:set("x", 1) call:playback("a.wav") out(table.concat(apps, " "))`,
		want:   []string{"set playback"},
	},
	{
		name:   "on bridge and unbridge",
		script: `call:on("bridge", function(e) out("bridge") end) call:on("unbridge", function(e) out("unbridge") end) call:bridge("user/short")`,
		want:   []string{"bridge", "unbridge"},
	},
	{
		name:   "handlers run in order, one after another, and may use verbs",
		script: `call:on("dtmf", function(d) out("begin", d) call:sleep(1000) out("end", d) end) call:sleep(100) call:sleep(5000)`,
		caller: []string{"50ms press 123"},
		want:   []string{"begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"},
	},
	{
		name:   "a handler stops what runs",
		script: `call:on("dtmf", function(d) if d == "9" then return "stop" end end) out(call:playback("silence_stream://60000")) out(call:gather{ prompt = "a.wav" }) local r = call:record("/tmp/a.wav") out(r.reason) local b = call:bridge("user/1001") out(b.answered, b.stopped) call:sleep("1h") out("awake")`,
		caller: []string{"1s press 19", "2s press 9", "3s press 9", "4s press 9", "5s press 9"},
		want:   []string{"false stopped", "nil stopped", "stopped", "true true", "awake"},
	},
	{
		name:   "a handler changes what plays",
		script: `local orders = { "pause", "seek:+500", "volume:-1", "stop" } call:on("dtmf", function(d) return orders[tonumber(d)] end) out(call:playback("silence_stream://60000"))`,
		caller: []string{"1s press 1", "2s press 2", "3s press 3", "4s press 4"},
		want:   []string{"false stopped"},
	},
	{
		name:   "a handler hangs up",
		script: `call:on("hangup", function(c) out(c) end) call:on("dtmf", function() call:hangup("USER_BUSY") end) call:bridge("user/1001") out("not reached")`,
		caller: []string{"1s press 1"},
		want:   []string{"USER_BUSY"},
	},
	{
		name:   "wait_for",
		script: `out(call:wait_for("dtmf", { timeout = "2s" }).digit) out(call:wait_for("dtmf", { timeout = "1s" })) out(call:wait_for("CHANNEL_UNHOLD", { timeout = "1s", match = { ["Unique-ID"] = call.uuid } }))`,
		caller: []string{"1s press 5"},
		want:   []string{"5", "nil timeout", "nil timeout"},
	},
	{
		name:   "every",
		script: `local n = 0 local h h = call:every("1s", function() n = n + 1 if n == 3 then h:cancel() end end) call:sleep(10000) out(n) call:every("2s", function() return "stop" end) out(call:wait_for("dtmf"))`,
		want:   []string{"3", "nil stopped"},
	},
	{
		name:   "variables are still there after an event that shows none",
		script: `call:set("x", 1) call:on("dtmf", function() end) call:sleep(1000) out(call:get("x"), call.vars.uuid == call.uuid)`,
		caller: []string{"500ms press 1"},
		want:   []string{"1 true"},
	},
	{
		name:   "bgapi",
		script: `local job = call:bgapi("status") out((job:wait()):match("UP") ~= nil, job.done)`,
		want:   []string{"true true"},
	},
	{name: "api", script: `out(call:api("hostname")) out(call:api("nosuch"))`, want: []string{"vm", "nil nosuch Command not found!"}},
	{name: "execute", script: `out(call:execute("playback", "a.wav")) out(call:execute("sleep", "60000", { timeout = "1s" }))`, want: []string{"FILE PLAYED", "nil"}},
	{
		name:   "variables",
		script: `call:set("a", "1") call:export("b", "2") call:set{ c = "3" } out(call:get("a"), call.vars.b, call.vars().c) call:unset("a") out(call:get("a")) out(call:get("c", { fresh = true }))`,
		want:   []string{"1 2 3", "nil", "3"},
	},
	{name: "answer", script: `call:ring_ready() call:pre_answer() call:answer() call:sleep(10)`, does: []string{"ring_ready", "pre_answer", "answer"}},
}
