package luabind_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"callisto/engine"
)

// 10,000 events of a conference come while the script does not wait: what waits for it stays in bounds and in
// order, what is dropped is counted and said, once, and what the call itself needs comes through.
func TestFlood(t *testing.T) {
	simulated(t, func(t *testing.T) {
		const flood = 10000
		b := newBench(t, map[string]string{"main": prelude + `
local seen, last, disorder = 0, 0, 0
call:on("conference::maintenance", function(e)
  local n = tonumber(e["Event-Sequence"])
  if n <= last then disorder = disorder + 1 end
  seen, last = seen + 1, n
end, { match = { ["Conference-Name"] = "sales" } })
call:on("hangup", function(cause) out("hangup", cause) end)
local room = call:conference("sales", { wait = false })
call:api("flood")
call:api("flood")
out(room:leave())
out(room:wait().reason)
out("disorder", disorder)
out(seen)
call:hangup()`}, nil)
		b.sw.API = func(function, args string) (string, bool) {
			if function != "flood" {
				return "", false
			}
			for i := range flood / 2 {
				order := []string{"mute", "unmute"}[i%2]
				if _, err := b.sw.Execute(context.Background(), "conference sales "+order+" all"); err != nil {
					return err.Error(), true
				}
			}
			return "+OK\n", true
		}
		c := b.start("main")
		b.finish(c)
		got := b.log.messages()
		if len(got) != 5 || got[0] != "true" || got[1] != "stopped" || got[2] != "disorder 0" || got[4] != "hangup NORMAL_CLEARING" {
			t.Fatalf("logged %q\n%s", got, b.log)
		}
		seen, err := strconv.Atoi(got[3])
		if err != nil || seen < 500 || seen > 600 {
			t.Errorf("%d events were seen; limits.queue is 500", seen)
		}
		var told []record
		for _, r := range b.log.list {
			if strings.HasPrefix(r.message, "events were dropped") {
				told = append(told, r)
			}
		}
		ended, _ := b.log.find("call ended", c.UUID)
		dropped, _ := strconv.Atoi(ended.attrs["events_dropped"])
		if dropped+seen < flood || dropped+seen > flood+20 {
			t.Errorf("%d were dropped and %d seen of %d and a few", dropped, seen, flood)
		}
		// It is told when the script first looks; a few may still be dropped after that.
		var n int
		if len(told) == 1 {
			fmt.Sscanf(told[0].attrs["events"], "CUSTOM conference::maintenance: %d", &n)
		}
		if n < dropped-20 || n > dropped || n == 0 {
			t.Errorf("the log says %v, once with some %d", told, dropped)
		}
	})
}

// Events that a script keeps count against its memory.
func TestKeptEventsAreWeighed(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"main": `local kept = {} call:on("CHANNEL_HOLD", function(e) kept[#kept + 1] = e end) call:playback("silence_stream://60000") log.info("kept " .. #kept)`},
			func(c *engine.Config) { c.Limits.Memory = 1 << 20 })
		c := b.start("main")
		time.Sleep(time.Second)
		for range 1000 {
			for _, order := range []string{"uuid_hold ", "uuid_hold off "} {
				if _, err := b.sw.Execute(context.Background(), order+c.UUID); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
		b.finish(c)
		if e, ok := b.log.find("call ended", c.UUID); !ok || e.attrs["ending"] != "over limit" {
			t.Errorf("the call ended %v\n%s", e, b.log)
		}
	})
}

// Events that come while a handler runs wait for it in order, and no more than a few hundred of them.
func TestFloodWhileAHandlerRuns(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"main": prelude + `
local first, n, bad, last = true, 0, 0, 0
call:on("CHANNEL_HOLD", function(e)
  local s = tonumber(e["Event-Sequence"])
  if s <= last then bad = bad + 1 end
  n, last = n + 1, s
  if first then first = false call:sleep(10000) end
end)
call:playback("silence_stream://60000")
out(n, bad)`}, nil)
		c := b.start("main")
		time.Sleep(time.Second)
		for range 1000 {
			for _, order := range []string{"uuid_hold ", "uuid_hold off "} {
				if _, err := b.sw.Execute(context.Background(), order+c.UUID); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(time.Millisecond)
		}
		b.finish(c)
		if got := b.log.messages(); len(got) != 1 || got[0] != "501 0" {
			t.Errorf("logged %q, not 501 in order\n%s", got, b.log)
		}
		if _, ok := b.log.find("events are lost: a handler runs too long to keep up with them", c.UUID); !ok {
			t.Errorf("the log does not say that events were lost\n%s", b.log)
		}
	})
}
