package luabind

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// errStopped is what ends work outside when a handler returns "stop".
var errStopped = errors.New("stopped")

// outside has work done that waits for something other than the switch: a web server, a database. What the script
// has set is sent first. Meanwhile its handlers run, and the call's own end comes through: the caller's hangup, or
// the end of the call's time, ends work's context and then unwinds the script. In a hangup handler only the handlers'
// time does.
//
// work runs on another goroutine, must not touch the VM, and has to return soon after its context ends: outside waits
// for it. The error is work's own; context.DeadlineExceeded when timeout (0: none) is over, errStopped when a handler
// has ended it.
func (c *Call) outside(L *lua.LState, timeout time.Duration, work func(ctx context.Context) error) error {
	ctx, cancel := c.within(timeout)
	wake, done := c.conn.WithCancel(c.ctx)
	var err error
	var panicked any
	over := c.conn.Aside(ctx, func(ctx context.Context) {
		defer done()
		defer func() {
			if v := recover(); v != nil {
				panicked = fmt.Sprintf("%v\n%s", v, debug.Stack())
			}
		}()
		err = work(ctx)
	})
	defer func() { // also when the script is unwound
		cancel()
		c.conn.Rest(over)
	}()
	ordered := false                // by a handler: stop
	if c.inHooks || c.test != nil { // the connection may be gone, and with it the events
		c.conn.Rest(over)
		c.budget.resume()
	} else {
		in := c.enter("")
		defer c.leave(in)
		in.stop = func() {
			ordered = true
			cancel()
		}
		c.pumpUntil(L, wake, 0, func() bool { return wake.Err() != nil && c.ctx.Err() == nil })
		c.conn.Rest(over)
		c.stopped = in.stopped
	}
	switch {
	case panicked != nil: // here it ends this call only
		panic(panicked)
	case err == nil:
		return nil
	case ordered:
		return errStopped
	case ctx.Err() == context.DeadlineExceeded:
		return context.DeadlineExceeded
	}
	return err
}

// held is something outside the VM that a script holds: a transaction, a place under a limit.
type held struct{ release func(context.Context) }

// hold has release called when the call is over, unless letGo comes first. release may run on
// another goroutine than the script's, never at the same time, and must obey its context.
func (c *Call) hold(release func(context.Context)) *held {
	h := &held{release}
	c.held = append(c.held, h)
	return h
}

// letGo takes h out of what is released at the end.
func (c *Call) letGo(h *held) {
	c.held = slices.DeleteFunc(c.held, func(x *held) bool { return x == h })
}

// releaseAll gives back what the script holds, the newest first.
func (c *Call) releaseAll() {
	if len(c.held) == 0 {
		return
	}
	ctx, cancel := c.conn.WithTimeout(context.Background(), settle)
	defer cancel()
	for _, h := range slices.Backward(c.held) {
		h.release(ctx)
	}
	c.held = nil
}

// failure is what a module's function returns where something outside went wrong: nil and why.
func failure(L *lua.LState, err error) int {
	switch {
	case errors.Is(err, errStopped):
		return pushNone(L, "stopped")
	case errors.Is(err, context.DeadlineExceeded):
		return pushNone(L, "timeout")
	}
	return pushNone(L, err.Error())
}
