package calltest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// A bench is what one test works on: a luabind.Bench. Its clock, and with it everything else, moves only while the
// test waits on it, and the test goes on only when nothing else has anything to do: they are never at work at the same
// time, so the order of what they do is not left to chance.
type bench struct {
	ctx     context.Context // the test's real time
	clock   *simulator.VirtualClock
	library *engine.Library
	server  *engine.Server
	sw      *simulator.Switch // nil before the first call
	fakes   *fakes
	stop    func() // of the clock's moving
	closing atomic.Bool

	mu      sync.Mutex
	woken   sync.Cond
	release func() // nil: the test waits, and time passes
	waking  bool   // and will look again
	ordinal map[string]int
	callers []*caller
	legs    []simulator.Endpoint
	sounds  map[string]time.Duration
	story   []event
	phase   int
	names   map[string]string // of legs, by UUID
	cut     int               // events that the story has no room for
}

// tick is what a switch takes for an application.
const tick = 20 * time.Millisecond

// maxStory is how many events of a test are kept: what a test that floods has done can be told from these.
const maxStory = 20000

func newBench(ctx context.Context, library *engine.Library, cover *Coverage) *bench {
	b := &bench{
		ctx: ctx, clock: simulator.NewVirtualClock(), library: library,
		ordinal: map[string]int{}, sounds: map[string]time.Duration{},
	}
	b.woken.L = &b.mu
	b.release = b.clock.Hold()
	b.fakes = newFakes(b, library.Snapshot().Config.Databases)
	b.server = &engine.Server{Library: library, Logger: slog.New(&scribe{bench: b}), Clock: b.clock, Services: b.fakes.services()}
	b.server.Flow = b.marked
	if cover != nil {
		b.server.Cover = cover.line
		b.server.Flow = func(uuid string, mark luabind.Mark) {
			b.marked(uuid, mark)
			cover.mark(uuid, mark)
		}
	}
	b.stop = b.clock.AutoAdvance(0)
	return b
}

// close ends everything that is left of the test.
func (b *bench) close() {
	b.closing.Store(true)
	if b.sw != nil {
		b.sw.Close()
	}
	b.server.Close()
	b.fakes.close()
	b.mu.Lock()
	b.release()
	b.mu.Unlock()
	b.stop()
}

// await lets time pass until done is true, at most for d. It is called on the test's goroutine, done with b.mu
// held. It returns whether done is true.
func (b *bench) await(d time.Duration, done func() bool) (bool, error) {
	expired := false
	timer := b.clock.AfterFunc(d, func() {
		b.mu.Lock()
		expired = true
		b.wake()
		b.mu.Unlock()
	})
	defer timer.Stop()
	defer context.AfterFunc(b.ctx, b.rise)()
	b.mu.Lock()
	defer b.mu.Unlock()
	for first := true; first || !done(); first = false {
		if b.ctx.Err() != nil {
			return false, errNoTime
		}
		if expired {
			return false, nil
		}
		if first {
			b.wake() // when what the test has done so far has had its effect
		}
		b.release()
		for b.release = nil; b.release == nil; {
			b.woken.Wait()
		}
	}
	return true, nil
}

// errNoTime ends a test in whatever it waits.
var errNoTime = errors.New("the test takes too long, and is stopped here")

// wake has the test look again, once all is done that there is to do at this moment. b.mu is held.
func (b *bench) wake() {
	if !b.waking {
		b.waking = true
		b.clock.AfterFunc(0, b.rise)
	}
}

// rise has the test look again.
func (b *bench) rise() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.waking = false
	if b.release == nil {
		b.release = b.clock.Hold()
		b.woken.Signal()
	}
}

// act does what the test wants done when it waits next, and when what it did before has had its effect.
func (b *bench) act(f func()) { b.clock.AfterFunc(0, f) }

// Wait implements luabind.Bench.
func (b *bench) Wait(d time.Duration) error {
	_, err := b.await(d, func() bool { return false })
	return err
}

// SetTime implements luabind.Bench.
func (b *bench) SetTime(at time.Time) error {
	if len(b.callers) == 0 && b.clock.Set(at) {
		return nil
	}
	d := at.Sub(b.clock.Now())
	if d < 0 {
		return fmt.Errorf("it is %s already: during a call time passes, and never goes back", b.clock.Now().In(at.Location()).Format("2006-01-02 15:04:05"))
	}
	return b.Wait(d)
}

// Leg implements luabind.Bench.
func (b *bench) Leg(target string, leg luabind.TestLeg) error {
	if leg.Keys != "" && !simcall.IsKeys(leg.Keys) {
		return fmt.Errorf("test.leg: the keys are 0 to 9, *, # and A to D, not %q", leg.Keys)
	}
	behaviour, ok := simcall.Refusal(leg.How, leg.After)
	if leg.How == "answers" {
		behaviour, ok = simulator.Answers(leg.After, leg.Talks), true
		behaviour.HangupCause, behaviour.Presses = leg.Cause, leg.Keys
	}
	if !ok {
		hint := luabind.Nearest(leg.How, []string{"answers", "busy", "no_answer"})
		if hint != "" {
			hint = ", did you mean " + hint + "?"
		}
		return fmt.Errorf("test.leg: %q is none of answers, busy, no_answer or a cause such as CALL_REJECTED%s", leg.How, hint)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.legs = append([]simulator.Endpoint{{Pattern: target, Behaviour: behaviour}}, b.legs...)
	return nil
}

// dialled says how a leg behaves: as the test said last, else it answers and talks for a while.
func (b *bench) dialled(leg simulator.DialedLeg) (simulator.Behaviour, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if said := simcall.Behaviour(simcall.Endpoints(b.legs), leg.DialString); said != nil {
		return *said, true
	}
	return simulator.Behaviour{}, false
}

// Sound implements luabind.Bench.
func (b *bench) Sound(file string, length time.Duration) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sounds[file] = length
	return nil
}

func (b *bench) sound(path string) (time.Duration, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if length, ok := b.sounds[path]; ok {
		return max(length, 0), length >= 0
	}
	return time.Second, !strings.HasPrefix(path, "/nosuch")
}

// Requests implements luabind.Bench.
func (b *bench) Requests() []luabind.HTTPRequest { return b.fakes.requests() }

// Mails implements luabind.Bench.
func (b *bench) Mails() []luabind.MailMessage {
	b.fakes.mu.Lock()
	defer b.fakes.mu.Unlock()
	return slices.Clone(b.fakes.mails)
}

// MailServer implements luabind.Bench.
func (b *bench) MailServer(how string) error {
	b.fakes.mu.Lock()
	defer b.fakes.mu.Unlock()
	b.fakes.post = how
	return nil
}

// StoreIs implements luabind.Bench.
func (b *bench) StoreIs(how string) error {
	b.fakes.mu.Lock()
	defer b.fakes.mu.Unlock()
	b.fakes.keeps = how
	return nil
}

// Databases implements luabind.Bench.
func (b *bench) Databases() map[string]*luabind.Database { return b.fakes.databases.own }

// DatabaseIs implements luabind.Bench.
func (b *bench) DatabaseIs(name, how string) { b.fakes.databases.are(name, how) }

// HTTP implements luabind.Bench.
func (b *bench) HTTP(method, url string, answers []luabind.HTTPAnswer) error {
	return b.fakes.answer(method, url, answers)
}

// Failed implements luabind.Bench.
func (b *bench) Failed(err error) {
	f := failureOf(err, nil)
	text := f.Message
	if f.File != "" {
		text = fmt.Sprintf("%s:%d: %s", f.File, f.Line, text)
	}
	b.mu.Lock()
	b.tell(event{at: b.clock.Now(), class: missed, what: "FAILED", text: simcall.Plain(text)})
	b.mu.Unlock()
}

// Store implements luabind.Bench.
func (b *bench) Store() luabind.Store { return b.fakes.store }

// connect is a new connection of the switch to the engine.
func (b *bench) connect() (net.Conn, error) {
	ours, theirs := simulator.Pipe()
	if err := b.server.ServeConn(ours); err != nil {
		return nil, err
	}
	return theirs, nil
}

// Call implements luabind.Bench.
func (b *bench) Call(t luabind.TestCall) (luabind.Caller, error) {
	socket, err := socketData(b.library.Snapshot(), t)
	if err != nil {
		return nil, err
	}
	if b.sw == nil {
		b.sw = &simulator.Switch{Clock: b.clock, Tick: tick, Observer: b.observe, Dial: b.dialled, Sounds: b.sound}
	}
	number := t.Number
	if number == "" && t.Name == "" {
		number = "+15551230000"
	}
	invite := simulator.Invite{
		UUID:       fmt.Sprintf("%08d-0000-4000-8000-000000000000", len(b.callers)+1), // the same each time
		CallerName: t.Name, CallerNumber: number, Destination: t.Destination, Context: t.Context, SIP: t.SIP,
		Variables: variables(t.Variables), Socket: socket,
		Dial: func(context.Context, string) (net.Conn, error) { return b.connect() },
	}
	c := &caller{bench: b, uuid: invite.UUID, began: b.clock.Now()}
	b.mu.Lock()
	b.callers = append(b.callers, c)
	b.mu.Unlock()
	b.act(func() {
		channel, err := b.sw.Call(b.ctx, invite)
		b.mu.Lock()
		defer b.mu.Unlock()
		if c.channel = channel; err != nil { // only when the test is being stopped
			c.left, c.returned, c.outcome = true, true, err.Error()
		}
	})
	return c, nil
}

func (b *bench) caller(uuid string) *caller {
	for _, c := range b.callers {
		if c.uuid == uuid {
			return c
		}
	}
	return nil
}
