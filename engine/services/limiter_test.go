package services

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"callisto/luabind"
)

// eachLimiter runs a test on every kind of limiter. pass has time pass by; it is nil where it passes by itself.
func eachLimiter(t *testing.T, test func(t *testing.T, l luabind.Limiter, pass func(time.Duration))) {
	t.Run("local", func(t *testing.T) {
		var clock testClock
		l := newLocalLimiter()
		l.now = clock.now
		test(t, l, clock.advance)
	})
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		var clock testClock
		m.SetTime(clock.now())
		test(t, openRedisLimiter(t, "redis://"+m.Addr()), func(d time.Duration) {
			clock.advance(d)
			m.SetTime(clock.now())
			m.FastForward(d)
		})
	})
	t.Run("redis", func(t *testing.T) { test(t, openRedisLimiter(t, startRedis(t)), nil) })
}

func openRedisLimiter(t *testing.T, url string) *redisLimiter {
	t.Helper()
	l, err := newRedisLimiter(url, slog.New(slog.DiscardHandler))
	must(t, err)
	var once sync.Once
	closeOnce := func() { once.Do(func() { l.Close() }) }
	t.Cleanup(closeOnce)
	return l
}

func count(t *testing.T, l luabind.Limiter, name string) int {
	t.Helper()
	n, err := l.Count(within(t), name)
	must(t, err)
	return n
}

func TestPlaces(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l luabind.Limiter, _ func(time.Duration)) {
		ctx := within(t)
		take := func(places int) func(context.Context) error {
			t.Helper()
			release, err := l.Acquire(ctx, "sales", places)
			must(t, err)
			return release
		}
		first, second := take(2), take(2)
		if first == nil || second == nil || take(2) != nil || count(t, l, "sales") != 2 {
			t.Fatalf("%d places are taken", count(t, l, "sales"))
		}
		if third := take(3); third == nil { // somebody has more of them
			t.Error("the third of three is refused")
		} else {
			must(t, third(ctx))
		}
		if n := count(t, l, "support"); n != 0 {
			t.Errorf("another name has %d", n)
		}
		must(t, first(ctx))
		if n := count(t, l, "sales"); n != 1 {
			t.Errorf("%d are left of two", n)
		}
		over, cancel := context.WithCancel(ctx)
		cancel()
		second(over) // whoever waits for it: it is done
		for count(t, l, "sales") != 0 {
			if ctx.Err() != nil {
				t.Fatal("a place is not given back when nobody waits")
			}
		}
		if again := take(1); again == nil {
			t.Error("a place that was given back is not free")
		} else {
			must(t, again(ctx))
		}
	})
}

// However many want a place at once: there are never more than there are, and none is lost.
func TestPlacesConcurrency(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l luabind.Limiter, _ func(time.Duration)) {
		ctx := within(t)
		const places = 7
		var now, most, had atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 20 {
					release, err := l.Acquire(ctx, "n", places)
					if err != nil {
						t.Error(err)
						return
					}
					if release == nil {
						continue
					}
					had.Add(1)
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					now.Add(-1)
					if err := release(ctx); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if most.Load() > places || had.Load() < places {
			t.Errorf("%d at once, of %d; %d in all", most.Load(), places, had.Load())
		}
		if n := count(t, l, "n"); n != 0 {
			t.Errorf("%d are left", n)
		}
	})
}

func TestRate(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l luabind.Limiter, pass func(time.Duration)) {
		ctx := within(t)
		ask := func(times int, per time.Duration) time.Duration {
			t.Helper()
			wait, err := l.Rate(ctx, "sms", times, per)
			must(t, err)
			return wait
		}
		for i := range 3 {
			if wait := ask(3, time.Hour); wait != 0 {
				t.Fatalf("message %d has to wait %v", i+1, wait)
			}
		}
		wait := ask(3, time.Hour)
		if wait <= 0 || wait > time.Hour {
			t.Errorf("the fourth waits %v", wait)
		}
		if wait, err := l.Rate(ctx, "other", 1, time.Hour); err != nil || wait != 0 {
			t.Errorf("another name waits %v %v", wait, err)
		}
		if pass == nil {
			return
		}
		// A sliding window: each leaves it for itself, and what was refused does not count.
		pass(wait)
		for i, want := range []bool{true, true, true, false} {
			if wait := ask(3, time.Hour); (wait == 0) != want {
				t.Errorf("after an hour: message %d waits %v", i+1, wait)
			}
		}
		pass(40 * time.Minute)
		if wait := ask(4, time.Hour); wait != 0 {
			t.Errorf("the fourth of four waits %v", wait)
		}
		if wait := ask(4, time.Hour); wait != 20*time.Minute {
			t.Errorf("the fifth of four waits %v", wait)
		}
		pass(20 * time.Minute)
		for i, want := range []time.Duration{0, 0, 0, 40 * time.Minute} {
			if wait := ask(4, time.Hour); wait != want {
				t.Errorf("%d waits %v, not %v", i, wait, want)
			}
		}
		pass(24 * time.Hour)
		if wait := ask(1, time.Hour); wait != 0 {
			t.Errorf("a day later: %v", wait)
		}
		if wait := ask(1, time.Hour); wait != time.Hour {
			t.Errorf("at once: %v", wait)
		}
	})
}

// A short window, in which time passes by itself: what may not happen may, after the wait.
func TestRatePasses(t *testing.T) {
	l := openRedisLimiter(t, startRedis(t))
	ctx := within(t)
	began := time.Now()
	happened := 0
	for happened < 10 {
		wait, err := l.Rate(ctx, "n", 2, 30*time.Millisecond)
		must(t, err)
		if wait == 0 {
			happened++
			continue
		}
		timer := time.NewTimer(wait)
		<-timer.C
	}
	if took := time.Since(began); took < 4*30*time.Millisecond {
		t.Errorf("10, of 2 in 30 ms, took %v", took)
	}
	if keys := l.client.Keys(ctx, "*").Val(); len(keys) != 1 || l.client.PTTL(ctx, keys[0]).Val() <= 0 {
		t.Errorf("it stays: %v", keys)
	}
}

func TestRateConcurrency(t *testing.T) {
	eachLimiter(t, func(t *testing.T, l luabind.Limiter, _ func(time.Duration)) {
		ctx := within(t)
		var allowed atomic.Int64
		var wg sync.WaitGroup
		for range 50 {
			wg.Go(func() {
				for range 10 {
					wait, err := l.Rate(ctx, "n", 33, time.Hour)
					if err != nil {
						t.Error(err)
						return
					}
					if wait == 0 {
						allowed.Add(1)
					}
				}
			})
		}
		wg.Wait()
		if allowed.Load() != 33 {
			t.Errorf("%d were allowed", allowed.Load())
		}
	})
}

// What many callers did once does not stay for ever.
func TestRatesAreForgotten(t *testing.T) {
	var clock testClock
	l := newLocalLimiter()
	l.now = clock.now
	for i := range 100_000 {
		l.Rate(t.Context(), fmt.Sprint(i), 3, time.Second)
		clock.advance(10 * time.Millisecond)
	}
	if len(l.rates) > 2000 {
		t.Errorf("%d names are remembered", len(l.rates))
	}
}

// The places of a process that has died are free when their lease is over, and not before; those of one that lives
// stay its own.
func TestPlacesLapse(t *testing.T) {
	url := startRedis(t)
	const lease = 300 * time.Millisecond
	open := func() *redisLimiter {
		l := openRedisLimiter(t, url)
		l.lease = lease
		return l
	}
	ctx := within(t)
	dead, alive, other := open(), open(), open()
	lapses := time.Now().Add(lease) // or a little later
	for _, l := range []*redisLimiter{dead, alive} {
		if release, err := l.Acquire(ctx, "sales", 2); err != nil || release == nil {
			t.Fatal(err)
		}
	}
	close(dead.stop) // it renews no more
	<-dead.done
	dead.stop = make(chan struct{})
	for count(t, other, "sales") == 2 {
		if ctx.Err() != nil {
			t.Fatal("a dead process's place does not lapse")
		}
	}
	if early := time.Until(lapses); early > 0 {
		t.Errorf("it lapses %v too early", early)
	}
	for time.Since(lapses) < 2*lease { // the other has been renewed some times
		if n := count(t, other, "sales"); n != 1 {
			t.Fatalf("%d places", n)
		}
	}
	if release, err := other.Acquire(ctx, "sales", 2); err != nil || release == nil {
		t.Errorf("the free place cannot be had: %v", err)
	}
}

// A Redis that has forgotten everything knows the places again after a while, and one that was given back does not come
// again.
func TestPlacesComeBack(t *testing.T) {
	url := startRedis(t)
	l := openRedisLimiter(t, url)
	ctx := within(t)
	var releases []func(context.Context) error
	for range 2500 {
		release, err := l.Acquire(ctx, "sales", 5000)
		must(t, err)
		releases = append(releases, release)
	}
	must(t, l.client.FlushAll(ctx).Err())
	if n := count(t, l, "sales"); n != 0 {
		t.Fatalf("%d places", n)
	}
	must(t, l.renew())
	if n := count(t, l, "sales"); n != 2500 {
		t.Errorf("%d places after a renewal", n)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 20 {
			must(t, l.renew())
		}
	})
	for _, release := range releases {
		must(t, release(ctx))
	}
	wg.Wait()
	must(t, l.renew())
	if n := count(t, l, "sales"); n != 0 {
		t.Errorf("%d places were given back and are there again", n)
	}
}

// A call that is over before the answer comes has no place, and nobody else has it for it.
func TestPlaceComesTooLate(t *testing.T) {
	url := startRedis(t)
	l := openRedisLimiter(t, url)
	ctx := within(t)
	for i := range 300 {
		short, cancel := context.WithCancel(ctx)
		time.AfterFunc(time.Duration(i)*2*time.Microsecond, cancel)
		release, err := l.Acquire(short, "sales", 1000)
		if err == nil {
			must(t, release(ctx))
		} else if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		cancel()
	}
	l.running.Wait()
	if n := count(t, l, "sales"); n != 0 || len(l.held) != 0 {
		t.Errorf("%d places are taken, %d are renewed, by nobody", n, len(l.held))
	}
}

// Without its Redis a limiter says so, soon; a place that is given back meanwhile lapses.
func TestStrangeLimiter(t *testing.T) {
	for _, stranger := range strangers {
		t.Run(stranger.name, func(t *testing.T) {
			l := openRedisLimiter(t, "redis://"+stranger.serve(t))
			for name, ask := range map[string]func(context.Context) error{
				"acquire": func(ctx context.Context) error {
					release, err := l.Acquire(ctx, "n", 1)
					if err == nil && release != nil {
						err = release(ctx)
					}
					return err
				},
				"count": func(ctx context.Context) error { _, err := l.Count(ctx, "n"); return err },
				"rate":  func(ctx context.Context) error { _, err := l.Rate(ctx, "n", 1, time.Second); return err },
			} {
				ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
				began := time.Now()
				if err := ask(ctx); err == nil {
					t.Errorf("%s: no error", name)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("%s: an error comes after %v", name, took)
				}
				cancel()
			}
			if len(l.held) > 0 {
				t.Errorf("%d places are held", len(l.held))
			}
		})
	}
}

// Whoever rings with another number each time is counted under another name each time.
func TestNamesAreBounded(t *testing.T) {
	var clock testClock
	l := newLocalLimiter()
	l.now = clock.now
	ctx := within(t)
	for i := range maxRates {
		_, err := l.Rate(ctx, fmt.Sprint(i), 1, time.Hour)
		must(t, err)
	}
	clock.advance(time.Minute)
	if _, err := l.Rate(ctx, "new", 1, time.Hour); !errors.Is(err, errRates) {
		t.Errorf("one more name: %v", err)
	}
	if wait, err := l.Rate(ctx, "7", 1, time.Hour); err != nil || wait != 59*time.Minute {
		t.Errorf("a name that is counted: %v, %v", wait, err)
	}
	clock.advance(time.Hour)
	if wait, err := l.Rate(ctx, "new", 1, time.Hour); err != nil || wait != 0 {
		t.Errorf("when the others do not matter any more: %v, %v", wait, err)
	}
}
