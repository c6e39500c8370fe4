package services

import (
	"context"
	"crypto/rand"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/go-redis/v9"
)

const (
	placesPrefix = "callisto:limit:places:"
	ratePrefix   = "callisto:limit:rate:"

	placeLease   = 30 * time.Second // a place of a process that has died is free after this long
	renewAtOnce  = 1000             // places in one command
	renewTimeout = 5 * time.Second
)

// A redisLimiter counts in a Redis. A place is an entry of a sorted set, with the time at which it lapses; the process
// that holds it renews it until it gives it back. All times are Redis's own: clocks differ.
type redisLimiter struct {
	*redisLink
	log   *slog.Logger
	lease time.Duration

	mu     sync.Mutex
	held   map[*place]bool
	stop   chan struct{} // closed by Close
	done   chan struct{} // closed when the goroutine that renews has ended; nil: none was started
	failed bool          // the last renewal
}

// A place is one that a call of this process holds.
type place struct{ key, id string }

func newRedisLimiter(address string, log *slog.Logger) (*redisLimiter, error) {
	link, err := newRedisLink(address)
	if err != nil {
		return nil, err
	}
	return &redisLimiter{redisLink: link, log: log, lease: placeLease, held: make(map[*place]bool), stop: make(chan struct{})}, nil
}

// Close stops renewing: what is still held lapses.
func (l *redisLimiter) Close() error {
	l.mu.Lock()
	done := l.done
	close(l.stop)
	l.mu.Unlock()
	if done != nil {
		<-done
	}
	return l.redisLink.Close()
}

const redisNow = `
local time = redis.call("TIME")
local now = time[1] * 1000000 + time[2]
`

var redisAcquire = redis.NewScript(redisNow + `
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
if redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call("ZADD", KEYS[1], now + ARGV[3] * 1000, ARGV[1])
redis.call("PEXPIRE", KEYS[1], ARGV[3])
return 1`)

// What was forgotten meanwhile, by a Redis that was restarted or a process that stood still, is there again: the calls
// are.
var redisRenew = redis.NewScript(redisNow + `
for i = 2, #ARGV do
	redis.call("ZADD", KEYS[1], now + ARGV[1] * 1000, ARGV[i])
end
redis.call("PEXPIRE", KEYS[1], ARGV[1])
return 1`)

var redisCount = redis.NewScript(redisNow + `
redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
return redis.call("ZCARD", KEYS[1])`)

// The list has the newest first.
var redisRate = redis.NewScript(redisNow + `
local times, per = tonumber(ARGV[1]), tonumber(ARGV[2])
local last = redis.call("LINDEX", KEYS[1], times - 1)
if last and last + per > now then
	return math.min(last + per - now, per)
end
redis.call("LPUSH", KEYS[1], string.format("%.0f", now))
redis.call("LTRIM", KEYS[1], 0, times - 1)
if redis.call("PTTL", KEYS[1]) < per / 1000 then redis.call("PEXPIRE", KEYS[1], math.ceil(per / 1000)) end
return 0`)

func (l *redisLimiter) Acquire(ctx context.Context, name string, places int) (func(context.Context) error, error) {
	p := &place{key: placesPrefix + name, id: rand.Text()}
	var settled atomic.Bool // by the first of two: the place is there, and nobody waits for it any more
	got, err := ask(ctx, l.redisLink, func(ctx context.Context) (bool, error) {
		n, err := redisAcquire.Run(ctx, l.client, []string{p.key}, p.id, places, l.lease.Milliseconds()).Int64()
		if err != nil || n == 0 {
			return false, err
		}
		l.keep(p)
		if settled.Swap(true) {
			return false, l.release(ctx, p)
		}
		return true, nil
	})
	switch {
	case err != nil && settled.Swap(true):
		l.release(ctx, p)
		return nil, redisError(err)
	case err != nil || !got:
		return nil, redisError(err)
	}
	return func(ctx context.Context) error { return l.release(ctx, p) }, nil
}

// keep has a place renewed from now on.
func (l *redisLimiter) keep(p *place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held[p] = true
	if l.done == nil {
		l.done = make(chan struct{})
		go l.renewAll()
	}
}

// release gives a place back. It is done even if ctx has ended: only the waiting for it ends with that.
func (l *redisLimiter) release(ctx context.Context, p *place) error {
	l.mu.Lock()
	delete(l.held, p) // first: should Redis not hear of it, the place lapses
	l.mu.Unlock()
	_, err := ask(ctx, l.redisLink, func(ctx context.Context) (int64, error) {
		return l.client.ZRem(context.WithoutCancel(ctx), p.key, p.id).Result()
	})
	return redisError(err)
}

// renewAll is the goroutine that renews the places held.
func (l *redisLimiter) renewAll() {
	defer close(l.done)
	tick := time.NewTicker(l.lease / 3)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			err := l.renew()
			if err != nil && !l.failed {
				l.log.Warn("the places of limit cannot be renewed", "error", err)
			}
			l.failed = err != nil
		case <-l.stop:
			return
		}
	}
}

func (l *redisLimiter) renew() error {
	l.mu.Lock()
	byKey := make(map[string][]*place)
	for p := range l.held {
		byKey[p.key] = append(byKey[p.key], p)
	}
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), renewTimeout)
	defer cancel()
	for key, all := range byKey {
		for some := range slices.Chunk(all, renewAtOnce) {
			args := []any{l.lease.Milliseconds()}
			for _, p := range some {
				args = append(args, p.id)
			}
			if err := redisRenew.Run(ctx, l.client, []string{key}, args...).Err(); err != nil {
				return redisError(err)
			}
			l.mu.Lock()
			var gone []any // given back meanwhile, and now there again
			for _, p := range some {
				if !l.held[p] {
					gone = append(gone, p.id)
				}
			}
			l.mu.Unlock()
			if len(gone) > 0 {
				if err := l.client.ZRem(ctx, key, gone...).Err(); err != nil {
					return redisError(err)
				}
			}
		}
	}
	return nil
}

func (l *redisLimiter) Count(ctx context.Context, name string) (int, error) {
	n, err := l.run(ctx, redisCount, []string{placesPrefix + name})
	return int(n), err
}

func (l *redisLimiter) Rate(ctx context.Context, name string, times int, per time.Duration) (time.Duration, error) {
	wait, err := l.run(ctx, redisRate, []string{ratePrefix + name}, times, max(1000, per.Microseconds()))
	return time.Duration(wait) * time.Microsecond, err
}
