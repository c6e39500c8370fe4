package esl

import (
	"context"
	"sync"
	"time"
)

// A Clock is the time by which a Conn's own waits end. Without one it is the system's; a
// simulated switch has another, on which an hour takes no time. Its methods may be called from any
// goroutine.
type Clock interface {
	Now() time.Time
	// AfterFunc calls f, once and on a goroutine other than the caller's,
	// when d has passed, unless the timer is stopped before.
	AfterFunc(d time.Duration, f func()) Timer
}

// A Timer is what [Clock.AfterFunc] returns. Stop reports whether it kept the
// function from being called.
type Timer interface{ Stop() bool }

// A Holder is a [Clock] that stands still as long as somebody is at work. A Conn holds it for its
// two goroutines, the one that reads and the one that handles the call, except while they wait.
type Holder interface {
	Clock
	// Hold keeps the time from passing until release is called.
	Hold() (release func())
}

// A clockReader is a connection whose Read lets go of the clock that its reader holds while it waits, and
// takes hold of it again in the reader's name before the writing of a byte returns.
type clockReader interface{ LetGo(Holder) }

// A turn is the part that one goroutine has in a clock that stands still while somebody works. Whoever
// wakes the goroutine takes hold of the clock in its name, so that no time passes between the waking
// and the work. A nil turn is one on the system's time.
type turn struct {
	clock Holder
	woken chan struct{} // holds a token where news is set

	mu      sync.Mutex
	release func() // nil: the goroutine waits
	news    bool   // something has happened since it looked
}

func newTurn(clock Holder) *turn {
	return &turn{clock: clock, woken: make(chan struct{}, 1), release: clock.Hold()}
}

// wake tells the goroutine to look again. What there is to see has to be there already.
func (t *turn) wake() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.release == nil {
		t.release = t.clock.Hold()
	}
	if !t.news {
		t.news = true
		t.woken <- struct{}{}
	}
}

// rest lets time pass until wake, and returns the channel that tells of it; where something has
// happened since the goroutine last looked, it has already. The goroutine looks at all that it waits for
// before it rests: who has brought one of it about may be gone, and nobody hold the clock any more.
func (t *turn) rest() <-chan struct{} {
	if t == nil {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.news {
		t.release()
		t.release = nil
	}
	return t.woken
}

// rise is the end of rest. The goroutine looks at everything after it.
func (t *turn) rise() {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.release == nil {
		t.release = t.clock.Hold()
	}
	t.news = false
	select {
	case <-t.woken:
	default:
	}
}

// end is the end of the goroutine.
func (t *turn) end() {
	if t != nil {
		t.mu.Lock()
		defer t.mu.Unlock()
		t.release()
	}
}

// Detached returns a Conn that has no connection and never had one: only its clock is of use, for
// what runs without a call.
func Detached(clock Clock) *Conn {
	c := &Conn{clock: clock, done: make(chan struct{}), gone: make(chan struct{}), err: ErrDisconnected}
	c.queue = newQueue(DefaultMaxQueue, c.share)
	c.queue.close(ErrDisconnected)
	close(c.done)
	close(c.gone)
	return c
}

// Now is the time by the connection's clock.
func (c *Conn) Now() time.Time {
	if c.clock == nil {
		return time.Now()
	}
	return c.clock.Now()
}

// AfterFunc is [time.AfterFunc] by the connection's clock.
func (c *Conn) AfterFunc(d time.Duration, f func()) Timer {
	if c.clock == nil {
		return time.AfterFunc(d, f)
	}
	return c.clock.AfterFunc(d, f)
}

// WithCancel is [context.WithCancel] for waits of the connection's event goroutine, or of one that
// Aside has started: a context that ends by the connection's clock, and with all that depends on
// it before that moves on.
func (c *Conn) WithCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	if c.turn == nil {
		return context.WithCancel(ctx)
	}
	x := c.newContext(ctx, turnOf(ctx, c))
	return x, func() { x.cancel(context.Canceled) }
}

// WithTimeout is [context.WithTimeout] likewise.
func (c *Conn) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	if c.clock == nil {
		return context.WithTimeout(ctx, d)
	}
	return c.withDeadline(ctx, c.clock.Now().Add(d))
}

// WithDeadline is [context.WithDeadline] likewise.
func (c *Conn) WithDeadline(ctx context.Context, at time.Time) (context.Context, context.CancelFunc) {
	if c.clock == nil {
		return context.WithDeadline(ctx, at)
	}
	return c.withDeadline(ctx, at)
}

func (c *Conn) withDeadline(parent context.Context, at time.Time) (context.Context, context.CancelFunc) {
	ctx := c.newContext(parent, turnOf(parent, c))
	if earlier, ok := parent.Deadline(); !ok || at.Before(earlier) {
		ctx.at = at
		timer := c.clock.AfterFunc(at.Sub(c.clock.Now()), func() { ctx.cancel(context.DeadlineExceeded) })
		ctx.AfterFunc(func() { timer.Stop() })
	}
	return ctx, func() { ctx.cancel(context.Canceled) }
}

// A clockContext is a context that ends by a connection's clock. All that depends on it ends before that
// clock moves on: its children of its own kind and context's are cancelled at once, not by a goroutine.
type clockContext struct {
	context.Context // its parent
	clock           Clock
	turn            *turn     // of the goroutine that waits under it
	at              time.Time // zero: no deadline of its own
	done            chan struct{}

	mu    sync.Mutex
	err   error
	after map[*func()]struct{}
}

// turnOf is the turn of the goroutine that a context is for.
func turnOf(ctx context.Context, c *Conn) *turn {
	if x, ok := ctx.Value(clockKey{}).(*clockContext); ok {
		return x.turn
	}
	return c.turn
}

func (c *Conn) newContext(parent context.Context, turn *turn) *clockContext {
	ctx := &clockContext{Context: parent, clock: c.clock, turn: turn, done: make(chan struct{}), after: make(map[*func()]struct{})}
	end := func() { ctx.cancel(parent.Err()) }
	if p, ok := parent.(*clockContext); ok {
		ctx.follow(p.AfterFunc(end))
	} else {
		ctx.follow(context.AfterFunc(parent, end))
	}
	return ctx
}

// follow forgets the parent when the context ends.
func (x *clockContext) follow(stop func() bool) { x.AfterFunc(func() { stop() }) }

func (x *clockContext) cancel(err error) {
	x.mu.Lock()
	if x.err != nil {
		x.mu.Unlock()
		return
	}
	x.err = err
	after := x.after
	x.after = nil
	close(x.done)
	x.mu.Unlock()
	for f := range after {
		(*f)()
	}
	x.turn.wake()
}

// Deadline implements context.Context.
func (x *clockContext) Deadline() (time.Time, bool) {
	if x.at.IsZero() {
		return x.Context.Deadline()
	}
	return x.at, true
}

// Done implements context.Context.
func (x *clockContext) Done() <-chan struct{} { return x.done }

// Err implements context.Context.
func (x *clockContext) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.err
}

type clockKey struct{}

// Value implements context.Context.
func (x *clockContext) Value(key any) any {
	if key == (clockKey{}) {
		return x
	}
	return x.Context.Value(key)
}

// AfterFunc is what package context asks of contexts of another kind, to learn of their end.
func (x *clockContext) AfterFunc(f func()) (stop func() bool) {
	x.mu.Lock()
	if x.err != nil {
		x.mu.Unlock()
		go f() // who asks may hold the lock that f takes
		return func() bool { return false }
	}
	x.after[&f] = struct{}{}
	x.mu.Unlock()
	return func() bool {
		x.mu.Lock()
		defer x.mu.Unlock()
		_, there := x.after[&f]
		delete(x.after, &f)
		return there
	}
}

// Aside runs work on a goroutine of its own, for the event goroutine, which may wait for events
// meanwhile, or for over with Rest. work's context ends with ctx.
func (c *Conn) Aside(ctx context.Context, work func(context.Context)) (over <-chan struct{}) {
	done := make(chan struct{})
	if c.turn == nil {
		go func() {
			defer close(done)
			work(ctx)
		}()
		return done
	}
	own := newTurn(c.turn.clock)
	x := c.newContext(ctx, own)
	go func() {
		defer own.end()
		defer c.turn.wake()
		defer close(done)
		defer x.cancel(context.Canceled)
		work(x)
	}()
	return done
}

// Rest waits on the event goroutine until a channel of Aside is closed.
func (c *Conn) Rest(over <-chan struct{}) { c.turn.await(over, nil) }

// await waits for over, or until ctx, which may be nil, ends: then it returns false.
func (t *turn) await(over <-chan struct{}, ctx context.Context) bool {
	var end <-chan struct{}
	if ctx != nil {
		end = ctx.Done()
	}
	for {
		select {
		case <-over:
			return true
		case <-end:
			return false
		default:
		}
		woken := t.rest()
		select {
		case <-over:
			t.rise()
			return true
		case <-end:
			t.rise()
			return false
		case <-woken:
			t.rise()
		}
	}
}

// Sleep waits for d, or until ctx ends, whose error it then returns. Under a context of a Conn's event
// goroutine, or of one that Aside has started, and on that goroutine, d is of the connection's time.
func Sleep(ctx context.Context, d time.Duration) error {
	var clock Clock = systemClock{}
	var turn *turn
	if x, ok := ctx.Value(clockKey{}).(*clockContext); ok {
		clock, turn = x.clock, x.turn
	}
	over := make(chan struct{})
	timer := clock.AfterFunc(d, func() {
		close(over)
		turn.wake()
	})
	defer timer.Stop()
	if !turn.await(over, ctx) {
		return ctx.Err()
	}
	return nil
}

type systemClock struct{}

func (systemClock) Now() time.Time                            { return time.Now() }
func (systemClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }
