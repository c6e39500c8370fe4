package esl

import "sync"

// DefaultMaxQueue is how many events wait for a Conn that does not say otherwise.
const DefaultMaxQueue = 500

// maxQueueBytes bounds what those events hold. An ordinary one has 3 to 6 KB.
const maxQueueBytes = 16 << 20

// A queue holds the events between the connection's reader, which never waits, and
// the one goroutine that handles them. It grows from nothing, as most calls
// never have more than a few.
type queue struct {
	mu      sync.Mutex
	events  []*Event
	first   int // events[first:] wait
	bytes   int // what they hold
	max     int
	share   func(*Event) int // how many times max, and maxQueueBytes, may be filled with it
	dropped uint64
	lost    map[string]uint64 // which were dropped, by name
	err     error             // why no more will come
	ready   chan struct{}     // holds a token when there is something to look at
	turn    *turn             // of whoever looks; may be nil
	due     bool              // signal has something to tell: the putting goroutine's
	only    string            // where set, whoever waits does so for the end of the application with this UUID
}

func newQueue(max int, share func(*Event) int) *queue {
	return &queue{max: max, share: share, ready: make(chan struct{}, 1)}
}

// put adds an event, or drops and counts it where the queue is full for its like. Who waits for it
// learns of it with the next signal.
func (q *queue) put(e *Event) {
	q.mu.Lock()
	if q.full(e) {
		q.drop(e)
		q.mu.Unlock()
		return
	}
	switch {
	case q.first > 0 && q.first == len(q.events):
		q.events, q.first = q.events[:0], 0
	case q.first > 64 && q.first > len(q.events)/2:
		n := copy(q.events, q.events[q.first:])
		clear(q.events[n:])
		q.events, q.first = q.events[:n], 0
	}
	q.events = append(q.events, e)
	q.bytes += e.Size()
	q.due = q.due || q.only == "" || ends(e, q.only) || q.waiting() >= q.max/2
	q.mu.Unlock()
}

// signal wakes whoever waits, if what was put since the last time is for them. The goroutine that
// puts calls it before it waits itself: one waking for all that came together.
func (q *queue) signal() {
	if q.due {
		q.due = false
		q.wake()
	}
}

// ends reports whether somebody who waits for the end of an application has to look at an event:
// the others of a call, such as the completions of what was set before a playback, need wake nobody.
func ends(e *Event, application string) bool {
	if e.kind != EventPlain {
		return true
	}
	switch name := e.Name(); name {
	case "CHANNEL_EXECUTE_COMPLETE":
		return e.Get("Application-UUID") == application
	case "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE":
		return true
	}
	return false
}

func (q *queue) full(e *Event) bool {
	n, bytes := q.waiting(), q.bytes+e.Size()
	if n == 0 || n < q.max && bytes <= maxQueueBytes {
		return false
	}
	share := q.share(e)
	return n >= share*q.max || bytes > share*maxQueueBytes
}

// maxLost bounds the names that are kept of what was dropped: some come from outside.
const maxLost = 32

func (q *queue) drop(e *Event) {
	q.dropped++
	name := e.Name()
	if s := e.Get("Event-Subclass"); s != "" && len(s) < 64 {
		name += " " + s
	}
	if q.lost == nil {
		q.lost = make(map[string]uint64)
	}
	if _, known := q.lost[name]; !known && len(q.lost) >= maxLost {
		name = "others"
	}
	q.lost[name]++
}

func (q *queue) waiting() int { return len(q.events) - q.first }

// length is how many events wait.
func (q *queue) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.waiting()
}

// close says that no more will come, and why. The first reason stands.
func (q *queue) close(err error) {
	q.mu.Lock()
	if q.err == nil {
		q.err = err
	}
	q.mu.Unlock()
	q.wake()
}

// take returns the next event, or nil when there is none now, or an error when there
// will be none. Where there is none, ready tells of the next; with an application's UUID, not of
// those that do not matter to who waits for its end.
func (q *queue) take(application string) (*Event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.only = application
	if q.first < len(q.events) {
		e := q.events[q.first]
		q.events[q.first] = nil
		q.first++
		q.bytes -= e.Size()
		return e, nil
	}
	return nil, q.err
}

func (q *queue) wake() {
	select {
	case q.ready <- struct{}{}:
	default:
	}
	q.turn.wake()
}
