package luabind_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/engine/services"
	"callisto/luabind"
	"callisto/simulator"
)

// limited is a bench whose scripts have a limiter.
func limited(t *testing.T, script string, change func(*engine.Config)) (*bench, luabind.Limiter) {
	b := newBench(t, map[string]string{"main": script}, change)
	config := *engine.DefaultConfig()
	config.KV.Store = ""
	s, err := services.Open(&config, slog.New(b.log))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.server.Close()
		s.Close()
	})
	b.server.Services = &s.Services
	return b, s.Limiter
}

func TestLimit(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b, _ := limited(t, `local function say(...)
	local list = {}
	for i = 1, select("#", ...) do list[i] = tostring((select(i, ...))) end
	log.info(table.concat(list, " "))
end
local first, second = limit.acquire("sales", 2), limit.acquire("sales", 2)
say(limit.acquire("sales", 2)) say(limit.count("sales")) say(limit.count("other"))
say(first:release()) say(first:release()) say(limit.count("sales"))
say(limit.acquire("sales", 2) ~= nil)
for i = 1, 3 do say(limit.rate("sms", 2, "1m")) end
call:sleep("59s") say(limit.rate("sms", 2, "1m")) call:sleep("1s") say(limit.rate("sms", 2, "1m"))
for _, f in ipairs {
	function() limit.acquire("n") end, function() limit.acquire("", 1) end, function() limit.acquire("n", 0) end, function() limit.rate("n", 0, 1) end,
	function() limit.rate("n", 1, 0) end, function() limit.acquire(("n"):rep(513), 1) end, function() first.release() end, function() return first.nmae end,
} do say((select(2, pcall(f)):gsub("^%S+ ", ""))) end`, nil)
		b.says("nil full", "2", "0", "true", "false", "1", "true", "true", "true", "false 60000", "false 1000", "true",
			"limit.acquire: argument `places` is missing; it takes limit.acquire(name, places)",
			"limit.acquire: argument `name` must have 1 to 512 bytes; it has 0",
			"limit.acquire: argument `places` is a number from 1 to 1000000",
			"limit.rate: argument `times` is a number from 1 to 10000",
			"limit.rate: argument `per` is a duration from 1 ms to 744h",
			"limit.acquire: argument `name` must have 1 to 512 bytes; it has 513",
			"use a colon: place:release(…), not place.release(…)",
			"a place has no method or field `nmae`; it has release")
	})
}

// A script that takes places for ever is stopped: they are kept outside what limits.memory sees.
func TestPlacesOfOneCall(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b, l := limited(t, `for i = 1, 1e6 do limit.acquire("n" .. i, 1) end`, nil)
		c := b.run("main")
		if e, _ := b.log.find("script error", c.UUID); e.attrs["error"] != "limit.acquire: the call holds 1000 places: release those that it does not need" {
			t.Errorf("the error is %q", e.attrs["error"])
		}
		if n, err := l.Count(context.Background(), "n1000"); n != 0 || err != nil {
			t.Errorf("%d places are still taken, %v", n, err)
		}
	})
}

// However a call ends, its place is free.
func TestPlacesAreGivenBack(t *testing.T) {
	for _, test := range []struct {
		name, script string
		end          func(*bench, *simulator.Channel)
		change       func(*engine.Config)
	}{
		{name: "return"},
		{name: "error", script: `error("no")`},
		{name: "hangup by the script", script: `call:hangup()`},
		{name: "hangup by the caller", script: `call:sleep("1h")`, end: func(b *bench, c *simulator.Channel) { c.Hangup("NORMAL_CLEARING") }},
		{name: "hangup with handlers", script: `call:on("hangup", function() limit.acquire("sales", 10) error("no") end) call:sleep("1h")`, end: func(b *bench, c *simulator.Channel) { c.Hangup("NORMAL_CLEARING") }},
		{name: "transfer", script: `call:transfer("1000")`},
		{name: "computing", script: `while true do end`},
		{name: "memory", script: `local t = {} while true do t[#t + 1] = ("x"):rep(100000) end`},
		{name: "time", script: `call:sleep("3h")`, change: func(c *engine.Config) { c.Limits.Call = time.Minute }},
		{name: "panic", script: `limit.count("panic")`},
		{name: "connection lost", script: `call:sleep("1h")`, end: func(b *bench, c *simulator.Channel) { c.Drop() }},
		{name: "engine stopped", script: `call:sleep("1h")`, end: func(b *bench, c *simulator.Channel) { b.server.Close() }},
		{name: "in a coroutine", script: `coroutine.wrap(function() limit.acquire("sales", 10) coroutine.yield() end)()`},
	} {
		t.Run(test.name, func(t *testing.T) {
			bubble := simulated
			if test.name == "computing" { // for which time has to pass
				bubble = func(t *testing.T, test func(*testing.T)) { test(t) }
			}
			bubble(t, func(t *testing.T) {
				b, l := limited(t, `for i = 1, 3 do assert(limit.acquire("sales", 10)) end
call:answer()
`+test.script, test.change)
				b.server.Services.Limiter = panicking{l}
				c := b.start("main")
				if test.end != nil {
					time.Sleep(time.Second)
					if n, _ := l.Count(t.Context(), "sales"); n != 3 {
						t.Errorf("%d places are taken\n%s", n, b.log)
					}
					test.end(b, c)
				}
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Hour)
				defer cancel()
				b.log.wait(ctx, "call ended", "")
				b.server.Close()
				if n, _ := l.Count(t.Context(), "sales"); n != 0 {
					t.Errorf("%d places are left\n%s", n, b.log)
				}
				if r, _ := b.log.find("call ended", ""); test.name == "panic" && r.attrs["ending"] != "script error" {
					t.Errorf("%v", r)
				}
			})
		})
	}
}

type panicking struct{ luabind.Limiter }

func (p panicking) Count(ctx context.Context, name string) (int, error) {
	if name == "panic" {
		panic("no")
	}
	return p.Limiter.Count(ctx, name)
}

// A badLimiter gives a place when it is told to, or never.
type badLimiter struct {
	err      error
	asked    chan struct{}
	give     bool // although its context has ended
	released chan struct{}
}

func (l *badLimiter) wait(ctx context.Context) error {
	if l.err != nil {
		return l.err
	}
	if l.asked != nil {
		l.asked <- struct{}{}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (l *badLimiter) Acquire(ctx context.Context, _ string, _ int) (func(context.Context) error, error) {
	if err := l.wait(ctx); !l.give {
		return nil, err
	}
	return func(context.Context) error { close(l.released); return nil }, nil
}
func (l *badLimiter) Count(ctx context.Context, _ string) (int, error) { return 0, l.wait(ctx) }
func (l *badLimiter) Rate(ctx context.Context, _ string, _ int, _ time.Duration) (time.Duration, error) {
	return 0, l.wait(ctx)
}

func TestLimitWithoutAnswer(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{{"silent", nil, "nil timeout"}, {"gone", errors.New("redis: connection refused"), "nil redis: connection refused"}} {
		t.Run(test.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b, _ := limited(t, `local function say(...) log.info(tostring((...)) .. " " .. tostring((select(2, ...)))) end
say(limit.acquire("n", 1)) say(limit.count("n")) say(limit.rate("n", 1, "1s"))`, nil)
				b.server.Services.Limiter = &badLimiter{err: test.err}
				began := time.Now()
				b.says(test.want, test.want, test.want)
				if took := time.Since(began); took > 12*time.Second {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// A place that comes in the very moment in which the caller hangs up is given back too.
func TestPlaceComesAtTheEnd(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b, _ := limited(t, `limit.acquire("n", 1)`, nil)
		l := &badLimiter{asked: make(chan struct{}), give: true, released: make(chan struct{})}
		b.server.Services.Limiter = l
		c := b.start("main")
		<-l.asked
		c.Hangup("NORMAL_CLEARING")
		b.finish(c)
		<-l.released // or the test hangs
		if got := strings.Join(b.log.messages(), ","); got != "" {
			t.Error(got)
		}
	})
}
