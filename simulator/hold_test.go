package simulator

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// A call that is held costs little: two goroutines and some kilobytes.
func TestHeldCalls(t *testing.T) {
	if testing.Short() {
		t.Skip("two thousand calls")
	}
	const calls = 2000
	s := &Switch{Clock: NewVirtualClock(), Tick: 20 * time.Millisecond}
	defer s.Close()
	heap := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	before, goroutines := heap(), runtime.NumGoroutine()
	var ends []*pipeEnd
	for range calls {
		ours, theirs := Pipe()
		if _, err := s.Call(t.Context(), Invite{Socket: "x async full", Conn: theirs}); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(ours, "connect\n\nmyevents\n\nlinger\n\n%s\n\n%s\n\n", execute("answer", ""), execute("playback", "silence_stream://-1"))
		ends = append(ends, ours.(*pipeEnd))
	}
	s.Clock.(*VirtualClock).Advance(time.Second)
	for _, end := range ends { // what was sent is not the simulator's to keep
		end.in.mu.Lock()
		end.in.data, end.in.start = nil, 0
		end.in.mu.Unlock()
	}
	each := (heap() - before) / calls
	t.Logf("%d KiB and %.1f goroutines for each call", each>>10, float64(runtime.NumGoroutine()-goroutines)/calls)
	if each > 32<<10 {
		t.Errorf("a held call costs %d bytes", each)
	}
}
