package simulator

import (
	"container/heap"
	"sync"
	"time"

	"callisto/esl"
)

// A Clock is the time of a [Switch]: every wait of a simulated channel, a
// playback, a digit timeout, the linger time, is asked of it. Its methods may
// be called from any goroutine.
//
// A nil Clock is the real time. [NewVirtualClock] makes one for tests, on which
// a call of thirty minutes takes milliseconds; [Instant] is for benchmarks.
type Clock = esl.Clock

// A Timer is what [Clock].AfterFunc returns.
type Timer = esl.Timer

type realTime struct{}

func (realTime) Now() time.Time                            { return time.Now() }
func (realTime) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

// Instant is the clock on which no wait takes any time: a playback is over the
// moment it starts, and so are a digit timeout and the linger time. Times in
// events are real. It is for benchmarks of the other side's work per call, and
// wrong for whatever is about what happens first.
func Instant() Clock { return instant{} }

type instant struct{}

func (instant) Now() time.Time                            { return time.Now() }
func (instant) AfterFunc(_ time.Duration, f func()) Timer { return time.AfterFunc(0, f) }

// A VirtualClock stands still until it is told to move. [VirtualClock.Advance]
// moves it by hand, for tests that say what happens when;
// [VirtualClock.AutoAdvance] lets it jump whenever nobody has anything left to
// do, for scripts that just have to come to their end.
//
// The clock never moves while a goroutine of a simulator that uses it is at
// work, or while bytes that the other side wrote into a [Pipe] have not been
// taken in: all that a moment brings about has happened before the next moment
// comes. The other side takes part by holding the clock while it computes
// ([VirtualClock.Hold]): a server that is given the same clock does ([esl.Server].Clock).
type VirtualClock struct {
	mu      sync.Mutex
	idle    sync.Cond // holds is 0, or an automatic advance is to stop
	now     time.Time
	timers  timerHeap
	seq     uint64
	holds   int
	touched uint64 // counts holds and timers: unchanged means that nothing happened
}

// NewVirtualClock returns a clock that stands at a fixed, arbitrary time of day.
func NewVirtualClock() *VirtualClock {
	v := &VirtualClock{now: time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)}
	v.idle.L = &v.mu
	return v
}

// Now returns the time the clock stands at.
func (v *VirtualClock) Now() time.Time {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.now
}

// Set moves the clock to any time, back too, and its Now to the zone of that. It does so only while nothing is to
// come, and reports whether that is so.
func (v *VirtualClock) Set(now time.Time) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.timers) > 0 {
		return false
	}
	v.now = now
	return true
}

// AfterFunc implements [Clock]. f runs on the goroutine that moves the clock,
// which waits for it.
func (v *VirtualClock) AfterFunc(d time.Duration, f func()) Timer {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.seq++
	v.touched++
	t := &virtualTimer{clock: v, at: v.now.Add(max(d, 0)), seq: v.seq, f: f}
	heap.Push(&v.timers, t)
	v.idle.Broadcast()
	return t
}

// Hold keeps the clock from moving until release is called, which may be done
// more than once and from any goroutine.
func (v *VirtualClock) Hold() (release func()) {
	v.hold()
	return sync.OnceFunc(v.release)
}

func (v *VirtualClock) hold() {
	v.mu.Lock()
	v.holds++
	v.touched++
	v.mu.Unlock()
}

func (v *VirtualClock) release() {
	v.mu.Lock()
	v.holds--
	if v.holds == 0 {
		v.idle.Broadcast()
	}
	v.mu.Unlock()
}

// Wait returns when nobody holds the clock: when everything that could happen
// without time passing has happened. It must not be called while holding it.
func (v *VirtualClock) Wait() {
	v.mu.Lock()
	for v.holds > 0 {
		v.idle.Wait()
	}
	v.mu.Unlock()
}

// Advance moves the clock by d, stopping on the way at every moment at which
// something is due, and returns when all of it has happened.
func (v *VirtualClock) Advance(d time.Duration) {
	v.mu.Lock()
	target := v.now.Add(d)
	v.mu.Unlock()
	for v.step(target) {
	}
	v.mu.Lock()
	if v.now.Before(target) {
		v.now = target
	}
	v.mu.Unlock()
}

// Step moves the clock to the next moment at which something is due, and lets
// it happen. It returns false, without moving, when nothing is due within d.
func (v *VirtualClock) Step(d time.Duration) bool {
	v.mu.Lock()
	target := v.now.Add(d)
	v.mu.Unlock()
	return v.step(target)
}

// step lets the first timer that is due at or before target happen.
func (v *VirtualClock) step(target time.Time) bool {
	v.mu.Lock()
	for v.holds > 0 {
		v.idle.Wait()
	}
	if len(v.timers) == 0 || v.timers[0].at.After(target) {
		v.mu.Unlock()
		return false
	}
	t := heap.Pop(&v.timers).(*virtualTimer)
	t.fired = true
	v.touched++
	if t.at.After(v.now) {
		v.now = t.at
	}
	v.mu.Unlock()
	t.f()
	v.Wait()
	return true
}

// AutoAdvance makes the clock jump to the next moment at which something is
// due whenever nobody holds it and, for the length of settle in real time,
// nothing has happened. A settle of zero is right when the other side holds
// the clock while it works; a millisecond or two leaves time to one that does
// not. The returned function ends it and waits until it has ended.
func (v *VirtualClock) AutoAdvance(settle time.Duration) (stop func()) {
	quit, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			seen, ok := v.awaitIdle(quit)
			if !ok {
				return
			}
			if settle > 0 {
				t := time.NewTimer(settle)
				select {
				case <-quit:
					t.Stop()
					return
				case <-t.C:
				}
			}
			v.mu.Lock()
			quiet := v.touched == seen && v.holds == 0
			v.mu.Unlock()
			if quiet {
				v.Step(1<<62 - 1)
			}
		}
	}()
	return sync.OnceFunc(func() {
		close(quit)
		v.mu.Lock()
		v.idle.Broadcast()
		v.mu.Unlock()
		<-done
	})
}

// awaitIdle waits until something is due and nobody holds the clock.
func (v *VirtualClock) awaitIdle(quit <-chan struct{}) (seen uint64, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for {
		select {
		case <-quit:
			return 0, false
		default:
		}
		if v.holds == 0 && len(v.timers) > 0 {
			return v.touched, true
		}
		v.idle.Wait()
	}
}

type virtualTimer struct {
	clock *VirtualClock
	at    time.Time
	seq   uint64 // timers of one moment fire in the order they were set
	index int
	fired bool
	f     func()
}

func (t *virtualTimer) Stop() bool {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	if t.fired {
		return false
	}
	t.fired = true
	heap.Remove(&t.clock.timers, t.index)
	return true
}

type timerHeap []*virtualTimer

func (h timerHeap) Len() int { return len(h) }
func (h timerHeap) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h timerHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}
func (h *timerHeap) Push(x any) {
	t := x.(*virtualTimer)
	t.index = len(*h)
	*h = append(*h, t)
}
func (h *timerHeap) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return t
}
