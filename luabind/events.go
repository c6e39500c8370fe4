package luabind

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var eventVerbs = []Verb{
	{
		Name:   "on",
		Params: []Param{{Name: "event", Type: Word, Enum: []string{"hangup"}, Doc: "hangup"}, {Name: "fn", Type: Function, Doc: "what to call; for hangup with the cause"}},
		Doc:    "Calls fn when it happens. Handlers of hangup run after the script has been ended by the hangup, with the final variables, for a bounded time.",
		run: func(c *Call, L *lua.LState, a args) int {
			if c.handlers == nil {
				c.handlers = make(map[string][]*lua.LFunction)
			}
			name := a.word(0)
			c.handlers[name] = append(c.handlers[name], a.function(1))
			return 0
		},
	},
}

// subscribe asks for an event that calls do not get by themselves.
func (c *Call) subscribe(L *lua.LState, name string) {
	if c.events[name] {
		return
	}
	if c.events == nil {
		c.events = make(map[string]bool)
	}
	c.events[name] = true
	c.conn.IgnoreOthers(name == "BACKGROUND_JOB" && len(c.events) == 1)
	c.check(L, c.conn.Post(esl.Events{Names: strings.Fields(name)}))
}

// dispatcher is what a wait hands the events to, in their order; nil where nobody listens.
func (c *Call) dispatcher(L *lua.LState) func(*esl.Event) {
	if len(c.jobs) == 0 {
		return nil
	}
	return func(e *esl.Event) { c.dispatch(L, e) }
}

func (c *Call) dispatch(L *lua.LState, e *esl.Event) {
	if e.Name() == "BACKGROUND_JOB" {
		if j := c.jobs[e.Get("Job-UUID")]; j != nil {
			j.text, j.done = e.Body(), true
		}
	}
}

// pump waits, handling events, until done says so. It returns false when the time is up; 0 is no
// time but the call's own.
func (c *Call) pump(L *lua.LState, timeout time.Duration, done func() bool) bool {
	c.check(L, c.conn.Flush())
	ctx := c.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	defer c.budget.resume()
	for !done() {
		if h := c.conn.Hangup(); h != nil && !c.inHooks {
			c.check(L, h)
		}
		e, err := c.conn.Next(ctx)
		if err != nil {
			if errors.Is(err, context.DeadlineExceeded) && c.ctx.Err() == nil {
				return false
			}
			c.check(L, err)
		}
		c.dispatch(L, e)
	}
	return true
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0xf|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
