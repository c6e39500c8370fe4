package luabind_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/simulator"
)

// clocked makes a call on a virtual clock that moves by itself, as tools do that have no bubble of
// synctest's, and returns what was logged, with its times.
func clocked(t *testing.T, script string, change func(*engine.Config), caller func(*simulator.VirtualClock, *simulator.Channel)) string {
	t.Helper()
	b := newBench(t, map[string]string{"main": script}, change)
	clock := simulator.NewVirtualClock()
	b.sw.Clock, b.sw.Tick, b.server.Clock = clock, 20*time.Millisecond, clock
	began := clock.Now()
	c := b.start("main")
	if caller != nil {
		caller(clock, c)
	}
	defer clock.AutoAdvance(0)()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second) // real: a test that hangs says so
	defer cancel()
	if _, err := c.Wait(ctx); err != nil {
		t.Fatalf("the call does not end: %v\n%s", err, b.log)
	}
	if err := b.server.Shutdown(ctx); err != nil {
		t.Fatalf("the engine does not end the call: %v\n%s", err, b.log)
	}
	var text strings.Builder
	for _, o := range c.Log() {
		fmt.Fprintf(&text, "%v %s %s %s\n", o.Time.Sub(began), o.Kind, o.Name, strings.ReplaceAll(o.Data, c.UUID, "UUID"))
	}
	for _, m := range b.log.messages() {
		fmt.Fprintln(&text, m)
	}
	if r, ok := b.log.find("call ended", ""); ok {
		fmt.Fprintln(&text, r.attrs["ending"], r.attrs["duration"])
	}
	return text.String()
}

// Everything that a script waits for is of the engine's clock, to the tick, and nothing of it takes
// real time.
func TestClock(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, script string
		limit        time.Duration
		caller       func(*simulator.VirtualClock, *simulator.Channel)
		want         string
	}{
		{name: "a verb's timeout", script: `local ok, why = call:wait_for("dtmf", { timeout = "90s" }) log.info(tostring(ok), { why = why }) log.info(os.clock())`,
			want: "nil\n90\nreturned 1m30"},
		{name: "execute", script: `call:execute("playback", "silence_stream://-1", { timeout = "10m" }) log.info(os.clock())`, want: "\n600\n"},
		{name: "a handle", script: `call:answer() local p = call:playback("silence_stream://-1", { wait = false }) p:wait("5m") log.info(os.clock()) p:stop()`, want: "\n300\n"},
		{name: "every", script: `local n = 0 call:every("7s", function() n = n + 1 log.info(n .. " " .. os.clock()) end) call:sleep("30s")`,
			want: "1 7\n2 14\n3 21\n4 28\nreturned 30"},
		{name: "limits.call", script: `call:answer() while true do call:sleep("10s") end`, limit: time.Hour, want: "timed out 1h0m"},
		{name: "the time of day", script: `local t = os.time() call:sleep("2h") log.info(os.date("!%H:%M") .. " " .. os.time() - t)`, want: "10:00 7200"},
		{name: "a hangup handler's time", script: `call:on("hangup", function() pcall(call.api, call, "msleep 60000") end) call:sleep("1h")`,
			caller: func(clock *simulator.VirtualClock, c *simulator.Channel) {
				clock.AfterFunc(time.Minute, func() { c.Hangup("") })
			}, want: "caller hung up"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			change := func(c *engine.Config) { c.Limits.Call = test.limit }
			first := clocked(t, test.script, change, test.caller)
			if !strings.Contains(first, test.want) {
				t.Errorf("want %q in\n%s", test.want, first)
			}
			for range 10 {
				if again := clocked(t, test.script, change, test.caller); again != first {
					t.Fatalf("another time it was\n%s\ninstead of\n%s", again, first)
				}
			}
		})
	}
}
