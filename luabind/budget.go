package luabind

import (
	"context"
	"errors"
	"fmt"
	"time"
	"unsafe"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// Limits bound what one script may take. The zero value has no limits.
type Limits struct {
	CPU    time.Duration // computing without waiting
	Memory int           // bytes that the script's values hold
	Hangup time.Duration // all hangup handlers together
}

// What a script can exceed. Errors that say more wrap them.
var (
	ErrCPU    = errors.New("the script computes for too long without waiting")
	ErrMemory = errors.New("the script's values take too much memory")
)

const (
	checkEvery  = 64   // instructions between two looks at the clock
	chargeStep  = 24   // bytes that an instruction is held to allocate: a boxed number in a table
	starved     = 10   // a script that hardly runs, as the machine is busy, gets so many times its time
	mostlyRuns  = 20   // a script is weighed, for being slow, at most every so many times what that takes
	minProgress = 1000 // instructions per millisecond under which it hardly runs
)

// A budget is the context that a call's VM runs under. gopher-lua asks a context's Done
// before each instruction, and that is the only place where a running script can be
// counted and stopped: so Done counts. It returns nil, which never is ready, until
// the script has to stop.
type budget struct {
	context.Context // only for its Value and Deadline: there are none

	limits Limits
	root   *lua.LState
	call   *Call

	waits   uint64 // how often the script has waited
	steps   uint64 // instructions since it last did
	nextAt  uint64 // look at the clock when steps gets there
	every   uint64 // and so many instructions later again
	since   time.Time
	checked time.Time
	weighed time.Time     // when the memory was last measured
	weighs  time.Duration // how long that took
	charged int           // bytes since the memory was last measured
	held    int           // bytes as last measured
	err     error
}

var closedChan = func() chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()

func newBudget(limits Limits, call *Call) *budget {
	every := uint64(checkEvery)
	if call.env.Cover != nil {
		every = 1
	}
	return &budget{Context: context.Background(), limits: limits, call: call, nextAt: every, every: every}
}

// resume starts a new stretch of computing.
func (b *budget) resume() {
	b.waits++
	b.steps, b.nextAt = 0, b.every
	b.since = time.Now()
	b.checked = b.since
}

// Done implements context.Context.
func (b *budget) Done() <-chan struct{} {
	b.steps++
	if b.steps < b.nextAt && b.err == nil {
		return nil
	}
	return b.check()
}

// Err implements context.Context: the VM raises its text as a Lua error.
func (b *budget) Err() error { return b.err }

func (b *budget) check() <-chan struct{} {
	if b.err != nil {
		return closedChan
	}
	if b.call.env.Cover != nil {
		b.cover()
	}
	b.nextAt = b.steps + b.every
	b.charged += int(b.every) * chargeStep
	now := time.Now()
	slow := now.Sub(b.checked) > time.Millisecond // something large happened, or others ran
	b.checked = now
	if b.call.ctx.Err() != nil {
		b.err = b.call.timeUp
	}
	slow = slow && now.Sub(b.weighed) > mostlyRuns*b.weighs // on a busy machine everything is slow
	if b.err == nil && b.limits.Memory > 0 && (slow || b.charged > b.limits.Memory/2) {
		b.measure()
		b.checked = time.Now() // weighing is not the script's slowness
	}
	if took := now.Sub(b.since); b.err == nil && b.limits.CPU > 0 && took > b.limits.CPU {
		if b.steps/uint64(took.Milliseconds()+1) >= minProgress || took > starved*b.limits.CPU {
			b.err = fmt.Errorf("%w: more than %v (limits.cpu)", ErrCPU, b.limits.CPU)
		}
	}
	if b.err != nil {
		return closedChan
	}
	return nil
}

// cover tells of the line that runs next.
func (b *budget) cover() {
	L := b.thread()
	if frame, ok := L.GetStack(0); ok {
		if _, err := L.GetInfo("Sl", frame, lua.LNil); err == nil && frame.CurrentLine > 0 {
			b.call.env.Cover(frame.Source, frame.CurrentLine)
		}
	}
}

// thread is the coroutine that runs, or the script itself.
func (b *budget) thread() *lua.LState {
	if running := b.root.G.CurrentThread; running != nil {
		return running
	}
	return b.root
}

// charge accounts for n bytes that a function in Go is about to allocate for the script, and
// raises where that is too much.
func (b *budget) charge(L *lua.LState, n int) {
	b.charged += n
	if b.limits.Memory > 0 && b.err == nil && (n > b.limits.Memory || b.charged > b.limits.Memory/2) {
		if n > b.limits.Memory {
			b.tooMuch()
		} else {
			b.measure()
			if b.err == nil && b.held+n > b.limits.Memory {
				b.tooMuch()
			}
		}
	}
	if b.err != nil {
		L.RaiseError("%s", b.err.Error())
	}
}

func (b *budget) tooMuch() {
	b.err = fmt.Errorf("%w: more than %d MB (limits.memory)", ErrMemory, b.limits.Memory>>20)
}

// work accounts for n steps that a function in Go makes for the script, such as those of matching a
// pattern, and raises when its time is up.
func (b *budget) work(L *lua.LState, n int) {
	b.steps += uint64(n)
	if b.steps >= b.nextAt && b.check() != nil {
		L.RaiseError("%s", b.err.Error())
	}
}

// A meter accounts for what one function in Go makes for the script piece by piece, which
// measure cannot see before it is done.
type meter struct {
	L      *lua.LState
	budget *budget // nil outside a call
	made   int     // bytes so far
	fresh  int     // of them, not accounted for yet
	next   int     // charge when made gets there
}

const meterStep = 16 << 10

func newMeter(L *lua.LState) *meter {
	b, _ := L.Context().(*budget)
	return &meter{L: L, budget: b, next: meterStep}
}

// add counts n bytes that are read or made, and raises when it is too much, or took too long.
func (m *meter) add(n int) {
	if m.made += n; m.budget == nil {
		return
	}
	if m.fresh += n; m.fresh < meterStep {
		return
	}
	m.budget.work(m.L, m.fresh/8)
	m.fresh = 0
	if m.made >= m.next {
		m.next = 2 * m.made
		m.budget.charge(m.L, m.made) // all of it: none can be weighed yet
	}
}

// fits raises where a string of n bytes would be too long for a script.
func (m *meter) fits(n int) {
	if n > maxString {
		charge(m.L, n)
	}
}

// measure weighs what the script can still reach. What it can no longer reach is the
// collector's.
func (b *budget) measure() {
	began := time.Now()
	defer func() {
		b.weighed = time.Now()
		b.weighs = b.weighed.Sub(began)
	}()
	w := weigher{seen: make(map[any]bool), limit: b.limits.Memory}
	for _, v := range b.call.roots() {
		w.value(v)
	}
	w.stack(b.thread())
	b.charged, b.held = 0, w.total
	if w.total > b.limits.Memory {
		b.tooMuch()
	}
}

// A weigher adds up, roughly, what the values of a VM hold.
type weigher struct {
	seen  map[any]bool
	todo  []lua.LValue
	total int
	limit int
}

func (w *weigher) value(v lua.LValue) {
	w.todo = append(w.todo, v)
	for len(w.todo) > 0 && w.total <= w.limit {
		v := w.todo[len(w.todo)-1]
		w.todo = w.todo[:len(w.todo)-1]
		w.one(v)
	}
}

func (w *weigher) one(v lua.LValue) {
	switch v := v.(type) {
	case lua.LNumber:
		w.total += 8
	case lua.LString:
		// The same bytes may be had under many names; for short ones it does not matter.
		if len(v) > 64 {
			bytes := unsafe.StringData(string(v))
			if w.seen[bytes] {
				return
			}
			w.seen[bytes] = true
		}
		w.total += 16 + len(v)
	case *lua.LTable:
		if v == nil || w.seen[v] {
			return
		}
		w.seen[v] = true
		w.total += 120
		v.ForEach(func(key, value lua.LValue) {
			w.total += 40
			if w.total > w.limit {
				return
			}
			w.push(key)
			w.push(value)
		})
		w.total += 16 * v.MaxN() // array slots, empty ones too
		if v.Metatable != nil {
			w.push(v.Metatable)
		}
	case *lua.LFunction:
		if v == nil || w.seen[v] {
			return
		}
		w.seen[v] = true
		w.total += 80
		for _, u := range v.Upvalues {
			if u != nil {
				w.total += 48
				w.push(u.Value())
			}
		}
	case *lua.LState:
		if v == nil || w.seen[v] {
			return
		}
		w.seen[v] = true
		w.total += 8 << 10
		w.stack(v)
	case *lua.LUserData:
		w.total += 64
		if e, ok := v.Value.(*esl.Event); ok && !w.seen[e] {
			w.seen[e] = true
			w.total += e.Size()
		} else if s, ok := v.Value.(sized); ok && !w.seen[s] {
			w.seen[s] = true
			w.total += s.size()
		}
	}
}

// push puts off what has parts, and adds what has none.
func (w *weigher) push(v lua.LValue) {
	switch v.(type) {
	case nil: // a register that was never used
	case *lua.LTable, *lua.LFunction, *lua.LState:
		w.todo = append(w.todo, v)
	default:
		w.one(v)
	}
}

// stack weighs the locals of the functions that run in a thread, and of those that wait
// for it.
func (w *weigher) stack(L *lua.LState) {
	for ; L != nil; L = L.Parent {
		w.seen[L] = true
		for level := 0; ; level++ {
			frame, ok := L.GetStack(level)
			if !ok {
				break
			}
			fn, err := L.GetInfo("f", frame, lua.LNil)
			if err == nil {
				w.push(fn)
			}
			for i := 1; ; i++ {
				name, v := L.GetLocal(frame, i)
				if name == "" {
					break
				}
				w.push(v)
			}
		}
		w.value(lua.LNil)
	}
}
