package esl

import (
	"context"
	"sync"
	"testing"
	"time"
)

// A heldClock counts how often nobody held it: then time would have passed.
type heldClock struct {
	mu    sync.Mutex
	holds int
	idle  int
}

func (h *heldClock) Now() time.Time { return time.Time{} }

func (h *heldClock) AfterFunc(d time.Duration, f func()) Timer { return time.AfterFunc(d, f) }

func (h *heldClock) Hold() func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holds++
	return sync.OnceFunc(func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if h.holds--; h.holds == 0 {
			h.idle++
		}
	})
}

// No time passes between the end of what a goroutine waits for and its going on, also when it has been woken of it
// before it waits.
func TestNoTimePassesWhatIsOverAlready(t *testing.T) {
	over := make(chan struct{})
	close(over)
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for name, wait := range map[string]func(c *Conn){
		"a channel of Aside": func(c *Conn) { c.Rest(over) },
		"a context":          func(c *Conn) { c.turn.await(nil, ended) },
		"the next event":     func(c *Conn) { c.next(ended, "") },
	} {
		t.Run(name, func(t *testing.T) {
			clock := &heldClock{}
			c := &Conn{clock: clock, turn: newTurn(clock)}
			c.queue = newQueue(1, c.share)
			wait(c)
			if clock.idle > 0 {
				t.Error("nobody held the clock meanwhile")
			}
			if clock.holds != 1 {
				t.Errorf("it is held %d times", clock.holds)
			}
		})
	}
}

// Nor does any between work outside and what comes after it.
func TestNoTimePassesAfterAside(t *testing.T) {
	clock := &heldClock{}
	c := &Conn{clock: clock, turn: newTurn(clock)}
	for range 2000 {
		ctx, cancel := c.WithCancel(context.Background())
		wake, done := c.WithCancel(context.Background())
		over := c.Aside(ctx, func(context.Context) { done() })
		for wake.Err() == nil {
			c.turn.await(nil, wake)
		}
		c.Rest(over)
		cancel()
		c.Rest(over)
	}
	clock.mu.Lock()
	defer clock.mu.Unlock()
	if clock.idle > 0 {
		t.Errorf("nobody held the clock %d times", clock.idle)
	}
}
