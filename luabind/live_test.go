package luabind_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callisto/engine"
	"callisto/esl"
	"callisto/luabind"
)

// A live switch in front of an engine: `make test-live` says where it is. It wants the modules dptools, loopback,
// tone_stream, sndfile, say_en, conference, fifo and valet_parking.
type live struct {
	t      *testing.T
	sw     *esl.Conn
	log    *records
	server *engine.Server
	addr   string
}

func newLive(t *testing.T, scripts map[string]string, change ...func(*engine.Config)) *live {
	at := os.Getenv("CALLISTO_LIVE")
	if at == "" {
		t.Skip("no FreeSWITCH: make test-live FREESWITCH=host:8021 PASSWORD=ClueCon")
	}
	ctx := context.Background()
	sw, err := esl.Dial(ctx, at, esl.Auth{Password: os.Getenv("CALLISTO_LIVE_PASSWORD")})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name+".lua"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := *engine.DefaultConfig()
	config.Scripts.Root, config.Limits.Call = dir, time.Minute
	for _, f := range change {
		f(&config)
	}
	host := os.Getenv("CALLISTO_LIVE_LISTEN")
	if host == "" {
		host = "127.0.0.1"
	}
	config.Server.Allow = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}
	log := &records{}
	library, err := engine.NewLibrary(ctx, &config, slog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	l := &live{t: t, sw: sw, log: log, addr: ln.Addr().String(), server: &engine.Server{Library: library, Logger: slog.New(log)}}
	served := make(chan struct{})
	go func() {
		defer close(served)
		l.server.Serve(ln)
	}()
	t.Cleanup(func() {
		l.server.Close()
		<-served
		sw.Close()
	})
	return l
}

func (l *live) api(command, args string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	r, err := l.sw.Do(ctx, esl.API{Command: command, Args: args})
	if err != nil && r.Text == "" {
		l.t.Errorf("api %s %s: %v", command, args, err)
	}
	return strings.TrimSpace(r.Text)
}

// call makes a call to a script and returns its Unique-ID.
func (l *live) call(script string) string {
	uuid := l.api("create_uuid", "")
	l.sw.Post(esl.BgAPI{Command: "originate", Args: fmt.Sprintf("{origination_uuid=%s}null/1 &socket('%s/%s async full')", uuid, l.addr, script)})
	l.sw.Flush()
	return uuid
}

// logged waits until a script has logged a message, and reports whether it has.
func (l *live) logged(uuid, message string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return l.log.wait(ctx, message, uuid)
}

// liveFlows are flows on a real switch. The caller presses "digits" when the script has logged "press digits".
var liveFlows = []flow{
	{name: "gather", script: `call:answer() out("press 12#") out(call:gather{ prompt = { "tone_stream://%(100,0,440)", "silence_stream://9000" }, max = 4 })
out("press 5") out(call:gather{ prompt = "/nosuch/x.wav", max = 1, pattern = "[0-4]" }) out(call:gather{ timeout = "1s" })
out("press 2") out(call:menu{ prompt = "silence_stream://9000", keys = { ["1"] = "one", ["2"] = "two" } })`,
		want: []string{"12 digits #", "a prompt cannot be played", "nil invalid 5", "nil timeout", "two 2"}},
	{name: "handlers", script: `call:answer() call:on("dtmf", function(d) if d == "9" then return "stop" end end)
out("press 9") out(call:playback("silence_stream://20000")) out("press 9") out(call:gather{ timeout = "20s" })
out("press 9") out(call:conference("callisto-live").reason) out("press 9") out(call:fifo("callisto-live").reason)
out("press 9") out(call:valet_park("callisto-live", "7001", { music = "silence" }).reason) call:flush()
out("press 9") local b = call:bridge("loopback/app=park" and "null/2") out(b.answered, b.stopped)
local n = 0 local h = call:every("100ms", function() n = n + 1 if n == 3 then return "stop" end end) call:sleep("20s") h:cancel() out(n)
out("press 4") out(call:wait_for("dtmf", { timeout = "9s" }).digit)`,
		want: []string{"false stopped", "nil stopped", "stopped", "stopped", "stopped", "true true", "3", "4"}},
	{name: "legs", script: `call:answer() local leg = call:originate("null/2", { caller_id_name = "Ada, Test", vars = { x = "1 2" } })
out(leg.vars.x, leg:get("origination_caller_id_name")) leg:set("y", "${hostname}") out(leg:playback("silence_stream://100")) out(leg.vars.y)
local h = call:every("300ms", function() return "stop" end) local b = call:join(leg) h:cancel() out(b.answered, b.stopped, leg.up)
out(leg:playback("silence_stream://100")) leg:hangup("USER_BUSY") leg:wait_for("hangup", { timeout = "5s" }) out(leg.up, leg.cause) out(leg:playback("x.wav"))
out(call:originate("error/USER_BUSY"))`,
		want: []string{"1 2 Ada, Test", "true played", "${hostname}", "true true true", "true played", "false USER_BUSY", "nil hangup", "nil USER_BUSY"}},
	{name: "bridge", script: `call:answer() call:every("300ms", function() return "stop" end) local b = call:bridge({ "error/USER_BUSY", { "null/2", vars = { x = "a, b" } } }, { hangup_after = false, vars = { callisto_live = "1" } })
out(b.answered, b.stopped, b.target, call:get("hangup_after_bridge"))`,
		want: []string{"true true null/2 false"}},
	{name: "record", script: `call:answer() out(select(2, pcall(function() call:record("/nosuch-callisto/x.wav") end)))
local r = call:record("/tmp/callisto live's.wav", { max = "1s" }) out(r.path, r.reason) out("press #") r = call:record("/tmp/callisto-live.wav", { terminators = "#" }) out(r.reason, r.digit)
out(call:say(12)) out(call:playback("/nosuch/x.wav"))`,
		want: []string{"main.lua:1: record: there is no directory /nosuch-callisto on the switch; mkdir = true makes it", "/tmp/callisto live's.wav max", "terminated #", "said", "playback: not found", "false not found"}},
	{name: "conference", script: `call:answer() local room = call:conference("callisto-live-2", { wait = false, flags = "mute" })
out(room.member ~= nil, (room:unmute()), (room:kick(999))) out((room:leave())) out(room:wait("5s").reason)`,
		want: []string{"true true false", "true", "stopped"}},
	{name: "hangup", script: `call:answer() call:on("hangup", function(c) out(c) end) call:every("100ms", function() call:hangup("USER_BUSY") end) call:record("/tmp/callisto-live.wav")`, want: []string{"USER_BUSY"}},
}

func TestLiveVerbs(t *testing.T) {
	for _, f := range liveFlows {
		t.Run(f.name, func(t *testing.T) {
			l := newLive(t, map[string]string{"main": prelude + strings.ReplaceAll(f.script, "\n", " ")})
			t.Parallel()
			uuid := l.call("main")
			pressed, ended := 0, false
			for deadline := time.Now().Add(40 * time.Second); !ended && time.Now().Before(deadline); {
				_, ended = l.log.find("call ended", uuid)
				n := 0
				for _, m := range l.log.messages() {
					if digits, ok := strings.CutPrefix(m, "press "); ok {
						if n++; n > pressed {
							pressed = n
							time.Sleep(300 * time.Millisecond) // a caller is no faster
							l.api("uuid_recv_dtmf", uuid+" "+digits)
						}
					}
				}
				time.Sleep(20 * time.Millisecond)
			}
			got := slices.DeleteFunc(l.log.messages(), func(m string) bool { return strings.HasPrefix(m, "press ") })
			if !slices.Equal(got, f.want) {
				t.Errorf("logged %q\n  want %q\n%s", got, f.want, l.log)
			}
		})
	}
}

// What a caller sends is evaluated by no verb, in no argument, on a real switch.
func TestLiveNothingIsEvaluated(t *testing.T) {
	const attempts = 20 // at the same time
	marker := fmt.Sprintf("/tmp/callisto-%d-", os.Getpid())
	touch := func(form, name string) string {
		return strings.ReplaceAll(form, "RUN", "${system(touch "+marker+name+")}")
	}
	scripts := map[string]string{"control": prelude + `call:execute("log", expand "` + touch("RUN", "control") + `") out("ran")`}
	type attempt struct{ slot, name string }
	var list []attempt
	for _, v := range luabind.Verbs {
		for _, s := range slots(v) {
			for _, form := range []string{"RUN", "a'RUN'b", `\RUN`} {
				if strings.HasPrefix(s.source, "leg:") && form != "RUN" {
					continue
				}
				name := fmt.Sprintf("s%d", len(list))
				list = append(list, attempt{v.Name + " " + s.name, name})
				leg := ""
				if strings.HasPrefix(s.source, "leg:") {
					leg = `leg = call:originate("null/2") `
				}
				scripts[name] = prelude + "call:answer() " + leg + "local s = " + luaString(touch(form, name)) + ` pcall(function() ` + s.source + ` end) call:sleep(100) out("ran")`
			}
		}
	}
	l := newLive(t, scripts)
	if uuid := l.call("control"); !l.logged(uuid, "ran") || l.api("file_exists", marker+"control") != "true" {
		t.Fatalf("what the script asks for is not evaluated: this test would see nothing\n%s", l.log)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	var calls []string
	next := make(chan attempt)
	for range attempts {
		wg.Go(func() {
			for a := range next {
				uuid := l.call(a.name)
				mu.Lock()
				calls = append(calls, uuid)
				mu.Unlock()
				ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
				if !l.log.wait(ctx, "ran", uuid) {
					l.api("uuid_kill", uuid) // it waits for something that will not come
				}
				cancel()
			}
		})
	}
	for _, a := range list {
		next <- a
	}
	close(next)
	wg.Wait()
	for _, uuid := range calls { // some have gone from queue to queue, and are nobody's
		l.api("uuid_kill", uuid)
	}
	for _, a := range list {
		if l.api("file_exists", marker+a.name) != "false" {
			t.Errorf("%s: the switch ran what the caller sent", a.slot)
		}
	}
	l.api("system", "rm -f "+marker+"*")
	t.Logf("%d attempts", len(list))
}
