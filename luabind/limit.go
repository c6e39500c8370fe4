package luabind

import (
	"context"
	"time"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxPlaces = 1_000_000
	maxTimes  = 10_000
	maxPer    = 31 * 24 * time.Hour
	maxHeld   = 1000 // places of one call: each is remembered outside its VM
)

var limitModule = &Module{
	Name: "limit",
	Doc: "`limit` bounds what calls do together: how many are at something at once, and how often something happens.\n\n" +
		"```lua\n" +
		`local place, why = limit.acquire("sales", 10)
if not place then
  log.info("all lines to sales are busy", { why = why })
  return call:hangup("USER_BUSY")
end
call:bridge("user/1001", { ring = "20s" })
place:release()

local allowed, wait = limit.rate("sms:" .. call.caller.number, 3, "1m")
if allowed == false then
  log.info("no further message", { wait = wait })
end
` + "```\n\n" +
		"A place is given back by `release`, or by itself when the script's part of the call is over, however it ends. A call holds 1,000 at most.\n\n" +
		"The counts are this Callisto's own, or those of all that share the Redis of [limit] `store` in the configuration. There a place of a Callisto that has died is free " +
		"again after 30 s. When that Redis does not answer within 3 s, or cannot, the result is nil and why: `timeout`, `stopped` where a handler of the call has ended the wait, or " +
		"what went wrong. A script that would rather go on then asks for `allowed ~= false`, or for `why == \"full\"`.",
	Functions: []Verb{
		{
			Name: "acquire",
			Params: []Param{{Name: "name", Type: String, Doc: "what the places belong to"},
				{Name: "places", Type: Integer, Doc: "how many there are, 1 to 1,000,000; those that are taken are counted, whatever number they were asked for with"}},
			Results: []Result{{"place", "Place?", "nil where all are taken"}, {"why", "string?", "full, or what went wrong"}},
			Doc:     "Takes one of so many places.",
			run:     acquire,
		},
		{
			Name: "rate",
			Params: []Param{{Name: "name", Type: String, Doc: "what happens"}, {Name: "times", Type: Integer, Doc: "how often it may, 1 to 10,000"},
				{Name: "per", Type: Duration, Doc: "in any stretch of so long, up to 31 days"}},
			Results: []Result{{"allowed", "boolean?", "whether it may happen now, and then it is counted; nil where it is not known"},
				{"wait", "number|string?", "milliseconds until it may, where it may not; or what went wrong"}},
			Doc: "Asks whether something may happen once more. What may not does not count.",
			run: func(c *Call, L *lua.LState, a args) int {
				name, times, per := a.limitName(), a.int(1), a.duration(2)
				if times < 1 || times > maxTimes {
					a.fail("argument `times` is a number from 1 to %d", maxTimes)
				}
				if per < time.Millisecond || per > maxPer {
					a.fail("argument `per` is a duration from 1 ms to 744h")
				}
				var wait time.Duration
				err := c.inLimiter(L, a, func(ctx context.Context, l Limiter) (err error) {
					wait, err = l.Rate(ctx, name, times, per)
					return err
				})
				switch {
				case err != nil:
					return failure(L, err)
				case wait > 0:
					L.Push(lua.LFalse)
					L.Push(lua.LNumber((wait + time.Millisecond - 1) / time.Millisecond)) // rounded up: then it may
					return 2
				}
				L.Push(lua.LTrue)
				return 1
			},
		},
		{
			Name:    "count",
			Params:  []Param{{Name: "name", Type: String, Doc: "as of acquire"}},
			Results: []Result{{"taken", "integer?", "nil where it is not known"}, whyResult},
			Doc:     "Tells how many places are taken.",
			run: func(c *Call, L *lua.LState, a args) int {
				name, n := a.limitName(), 0
				err := c.inLimiter(L, a, func(ctx context.Context, l Limiter) (err error) {
					n, err = l.Count(ctx, name)
					return err
				})
				if err != nil {
					return failure(L, err)
				}
				L.Push(lua.LNumber(n))
				return 1
			},
		},
	},
	Classes: []*Class{placeClass},
	Outside: true,
}

// A spot is a place that the script holds.
type spot struct {
	name    string
	release func(context.Context) error // nil: it is not, or not any more
	held    *held
}

var placeClass = &Class{
	Name: "Place", Article: "a place", Var: "place",
	Doc: "A place that `limit.acquire` has taken.",
	Methods: []Verb{{
		Name:    "release",
		Results: []Result{{"released", "boolean?", "false if it was before; nil where it failed, and then it lapses after 30 s"}, whyResult},
		Doc:     "Gives it back.",
		run: func(c *Call, L *lua.LState, a args) int {
			t := a.self().(*spot)
			release := t.release
			if release == nil {
				L.Push(lua.LFalse)
				return 1
			}
			c.letGo(t.held)
			t.release = nil
			if err := c.outside(L, storeTimeout, release); err != nil {
				c.warn(L, a, err)
				return failure(L, err)
			}
			L.Push(lua.LTrue)
			return 1
		},
	}},
}

func acquire(c *Call, L *lua.LState, a args) int {
	name, places := a.limitName(), a.int(1)
	if places < 1 || places > maxPlaces {
		a.fail("argument `places` is a number from 1 to %d", maxPlaces)
	}
	if len(c.held) >= maxHeld {
		a.fail("the call holds %d places: release those that it does not need", len(c.held))
	}
	t := &spot{name: name}
	t.held = c.hold(func(ctx context.Context) { // before there is a place: the call may end just when it comes
		if t.release != nil {
			t.release(ctx)
		}
	})
	err := c.inLimiter(L, a, func(ctx context.Context, l Limiter) (err error) {
		t.release, err = l.Acquire(ctx, name, places)
		return err
	})
	switch {
	case err != nil:
		c.letGo(t.held)
		return failure(L, err)
	case t.release == nil:
		c.letGo(t.held)
		return pushNone(L, "full")
	}
	L.Push(placeClass.new(t))
	return 1
}

// inLimiter has work done with the limiter, and logs what goes wrong.
func (c *Call) inLimiter(L *lua.LState, a args, work func(context.Context, Limiter) error) error {
	if c.env.Services == nil || c.env.Services.Limiter == nil {
		a.fail("there is nothing to count with")
	}
	err := c.outside(L, storeTimeout, func(ctx context.Context) error { return work(ctx, c.env.Services.Limiter) })
	c.warn(L, a, err)
	return err
}

func (a args) limitName() string {
	name := a.string(0)
	if name == "" || len(name) > maxKey {
		a.fail("argument `name` must have 1 to %d bytes; it has %d", maxKey, len(name))
	}
	return name
}
