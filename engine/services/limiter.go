package services

import (
	"context"
	"fmt"
	"sync"
	"time"

	"callisto/luabind"
)

// maxRates is how many names are counted at a time: who rings may choose them.
const maxRates = 500_000

const sweepPause = 100 * time.Millisecond

// A localLimiter counts in this process.
type localLimiter struct {
	now func() time.Time

	mu     sync.Mutex
	places map[string]int // taken
	rates  map[string]*rate
	sweep  int       // rates are looked through when there are so many
	again  time.Time // and not before this: where all are needed it is of no use
}

var errRates = fmt.Errorf("%d names are counted already: use fewer, a shorter time, or [limit] store", maxRates)

// A rate is when something has happened.
type rate struct {
	times []time.Time // the oldest first; no more than may matter
	until time.Time   // when none of them matters any more
}

func newLocalLimiter() *localLimiter { return localLimiterAt(time.Now) }

// NewLimiter is a limiter for tests, of this process. now tells its time.
func NewLimiter(now func() time.Time) luabind.Limiter { return localLimiterAt(now) }

func localLimiterAt(now func() time.Time) *localLimiter {
	return &localLimiter{now: now, places: make(map[string]int), rates: make(map[string]*rate), sweep: 1000}
}

func (l *localLimiter) Acquire(_ context.Context, name string, places int) (func(context.Context) error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.places[name] >= places {
		return nil, nil
	}
	l.places[name]++
	return func(context.Context) error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.places[name]--; l.places[name] == 0 {
			delete(l.places, name)
		}
		return nil
	}, nil
}

func (l *localLimiter) Count(_ context.Context, name string) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.places[name], nil
}

func (l *localLimiter) Rate(_ context.Context, name string, times int, per time.Duration) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	r := l.rates[name]
	if r == nil {
		if l.forget(now); len(l.rates) >= maxRates {
			return 0, errRates
		}
		r = &rate{}
		l.rates[name] = r
	}
	if n := len(r.times) - times; n >= 0 {
		if wait := r.times[n].Add(per).Sub(now); wait > 0 {
			return min(wait, per), nil
		}
		r.times = r.times[n+1:]
	}
	r.times = append(r.times, now)
	if until := now.Add(per); until.After(r.until) {
		r.until = until
	}
	return 0, nil
}

// forget drops the rates that do not matter any more, once there are twice as many as were left the last time.
func (l *localLimiter) forget(now time.Time) {
	if len(l.rates) < l.sweep || now.Before(l.again) {
		return
	}
	for name, r := range l.rates {
		if !now.Before(r.until) {
			delete(l.rates, name)
		}
	}
	l.sweep = min(max(1000, 2*len(l.rates)), maxRates)
	l.again = now.Add(sweepPause)
}
