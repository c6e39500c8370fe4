package phone

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

// A handset makes calls, one after another, with the scripts that are the newest at the time. Its methods may be called
// from any goroutine, and wait for nothing but Redial and Close.
type handset struct {
	ctx     context.Context
	library *engine.Library
	options Options
	tell    func(Event)

	dialling sync.Mutex // Redial and Close
	mu       sync.Mutex
	call     *Call
	closed   bool
}

// redialTime is how long the script of a call may take to end before the next is made.
const redialTime = 2 * time.Second

var errHungUp = errors.New("the phone is put away")

// Redial ends the call that is on and makes another.
func (h *handset) Redial() error {
	h.dialling.Lock()
	defer h.dialling.Unlock()
	if h.closed {
		return errHungUp
	}
	if old := h.current(); old != nil {
		h.hangup(redialTime)
		old.Close()
	}
	call, err := Start(h.ctx, h.library, h.options, h.tell)
	h.mu.Lock()
	h.call = call
	h.mu.Unlock()
	return err
}

// Close ends the call that is on. There will be no other.
func (h *handset) Close() {
	h.dialling.Lock()
	defer h.dialling.Unlock()
	h.closed = true
	if c := h.current(); c != nil {
		c.Close()
	}
}

func (h *handset) current() *Call {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.call
}

func (h *handset) on(do func(*Call)) {
	if c := h.current(); c != nil {
		do(c)
	}
}

func (h *handset) Press(keys string)      { h.on(func(c *Call) { c.Press(keys) }) }
func (h *handset) Say(text string)        { h.on(func(c *Call) { c.Say(text) }) }
func (h *handset) Hangup()                { h.on((*Call).Hangup) }
func (h *handset) Answer(leg string)      { h.on(func(c *Call) { c.Answer(leg) }) }
func (h *handset) Refuse(leg, why string) { h.on(func(c *Call) { c.HangupLeg(leg, why) }) }

// hangup lets the caller hang up, and the script come to its end within some time.
func (h *handset) hangup(patience time.Duration) {
	h.on(func(c *Call) {
		select {
		case <-c.Done():
			return
		default:
			c.Hangup()
		}
		late := time.NewTimer(patience)
		defer late.Stop()
		select {
		case <-c.Done():
		case <-late.C:
		}
	})
}

// tick is how far the call is that is on; not ok when there is none.
func (h *handset) tick() (t tick, ok bool) {
	h.on(func(c *Call) {
		select {
		case <-c.Done():
		default:
			t, ok = tick{c.Elapsed(), c.Hearing()}, true
		}
	})
	return t, ok
}

// watch tells of every new generation of the library, until ctx ends.
func (h *handset) watch(ctx context.Context) {
	was := h.library.Snapshot()
	for {
		changed := h.library.Changed()
		if is := h.library.Snapshot(); is != was {
			var at time.Duration
			h.on(func(c *Call) { at = c.Elapsed() })
			h.tell(Event{at, reloaded(was, is)})
			was = is
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// reloaded says what a new snapshot has that is new, and all that is wrong in it.
func reloaded(was, is *engine.Snapshot) Reloaded {
	names := map[string]*luabind.Program{}
	maps.Copy(names, was.Programs)
	maps.Copy(names, is.Programs)
	r := Reloaded{Generation: is.Number, Problems: is.Problems}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if was.Programs[name] != is.Programs[name] {
			r.Changed = append(r.Changed, names[name].File)
		}
	}
	return r
}
