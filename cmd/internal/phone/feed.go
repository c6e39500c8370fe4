package phone

import "sync"

// maxWaiting is how many events may wait for the screen. A call that makes more waits for it.
const maxWaiting = 1000

// A feed brings events from a call's goroutines to the screen, in batches: a call that makes many does not
// have the screen drawn for each.
type feed struct {
	mu      sync.Mutex
	changed sync.Cond
	waiting []Event
	closed  bool
}

func newFeed() *feed {
	f := &feed{}
	f.changed.L = &f.mu
	return f
}

// put adds an event. On a closed feed it does nothing.
func (f *feed) put(e Event) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.waiting) >= maxWaiting && !f.closed {
		f.changed.Wait()
	}
	if !f.closed {
		f.waiting = append(f.waiting, e)
		f.changed.Broadcast()
	}
}

// take returns what waits, once anything does; nil means that the feed is closed.
func (f *feed) take() []Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.waiting) == 0 && !f.closed {
		f.changed.Wait()
	}
	if f.closed {
		return nil
	}
	list := f.waiting
	f.waiting = nil
	f.changed.Broadcast()
	return list
}

func (f *feed) close() {
	f.mu.Lock()
	f.closed = true
	f.changed.Broadcast()
	f.mu.Unlock()
}
