package services

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"

	"callisto/luabind"
)

const (
	redisDial  = 2 * time.Second // for a connection
	redisReply = 2 * time.Second // for an answer
	redisConns = 64              // at once
)

// A redisLink is a pool of connections to a Redis.
type redisLink struct {
	client  *redis.Client
	running sync.WaitGroup
}

var quietRedis = sync.OnceFunc(func() { logging.Disable() }) // every error reaches the script that met it

// newRedisLink makes the link to a URL. Nothing is connected yet: what fails, fails where it is used.
func newRedisLink(address string) (*redisLink, error) {
	quietRedis()
	options, err := redis.ParseURL(address)
	if err != nil {
		return nil, errors.New("is no URL of a Redis: write such as \"redis://user:password@host:6379/0\"") // not its text: it may hold a password
	}
	options.DialTimeout, options.ReadTimeout, options.WriteTimeout = redisDial, redisReply, redisReply
	options.ContextTimeoutEnabled = true
	options.MaxRetries = -1 // what counts twice is worse than what fails
	options.DialerRetries = 1
	options.PoolSize = redisConns
	options.MaxIdleConns = 4
	options.DisableIdentity = true
	options.Protocol = 2
	options.MaintNotificationsConfig = &maintnotifications.Config{Mode: maintnotifications.ModeDisabled}
	return &redisLink{client: redis.NewClient(options)}, nil
}

// Close waits for what is still asked, which has not long to go.
func (l *redisLink) Close() error {
	err := l.client.Close()
	l.running.Wait()
	return err
}

// ask asks Redis, and leaves it when ctx ends: the client itself would wait for its own timeouts.
func ask[T any](ctx context.Context, l *redisLink, f func(ctx context.Context) (T, error)) (T, error) {
	type answer struct {
		value T
		err   error
	}
	answers := make(chan answer, 1)
	l.running.Go(func() {
		var a answer
		defer func() {
			if v := recover(); v != nil {
				a.err = fmt.Errorf("the client has failed: %v", v)
			}
			answers <- a
		}()
		a.value, a.err = f(ctx)
	})
	var none T
	select {
	case a := <-answers:
		if a.err != nil && ctx.Err() != nil {
			return none, ctx.Err()
		}
		return a.value, a.err
	case <-ctx.Done():
		return none, ctx.Err()
	}
}

// redisPrefix begins all keys of the module kv: others may use the same database.
const redisPrefix = "callisto:kv:"

// A redisStore keeps its values in a Redis.
type redisStore struct{ *redisLink }

// newRedisStore is the store in a Redis.
func newRedisStore(address string) (*redisStore, error) {
	l, err := newRedisLink(address)
	if err != nil {
		return nil, err
	}
	return &redisStore{l}, nil
}

// milliseconds is a time for Redis, which knows none that is shorter than one.
func milliseconds(d time.Duration) int64 {
	if d <= 0 {
		return 0
	}
	return max(1, d.Milliseconds())
}

func (s *redisStore) Get(ctx context.Context, key string) (string, bool, error) {
	value, err := ask(ctx, s.redisLink, func(ctx context.Context) (*string, error) {
		value, err := s.client.Get(ctx, redisPrefix+key).Result()
		if errors.Is(err, redis.Nil) {
			return nil, nil
		}
		return &value, err
	})
	if err != nil || value == nil {
		return "", false, redisError(err)
	}
	return *value, true, nil
}

func (s *redisStore) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	_, err := ask(ctx, s.redisLink, func(ctx context.Context) (any, error) {
		args := []any{"SET", redisPrefix + key, value}
		if ms := milliseconds(ttl); ms > 0 {
			args = append(args, "PX", ms)
		}
		return s.client.Do(ctx, args...).Result()
	})
	return redisError(err)
}

// A value is in two arguments: whether it is there, and what it is.
var redisSwap = redis.NewScript(`
local is = redis.call("GET", KEYS[1])
if ARGV[1] == "0" then
	if is then return 0 end
elseif is ~= ARGV[2] then
	return 0
end
if ARGV[3] == "0" then
	redis.call("DEL", KEYS[1])
elseif ARGV[5] == "0" then
	redis.call("SET", KEYS[1], ARGV[4])
else
	redis.call("SET", KEYS[1], ARGV[4], "PX", ARGV[5])
end
return 1`)

func (s *redisStore) Swap(ctx context.Context, key string, old, new *string, ttl time.Duration) (bool, error) {
	args := make([]any, 0, 5)
	for _, v := range []*string{old, new} {
		if v == nil {
			args = append(args, 0, "")
		} else {
			args = append(args, 1, *v)
		}
	}
	args = append(args, milliseconds(ttl))
	n, err := s.run(ctx, redisSwap, []string{redisPrefix + key}, args...)
	return n == 1, err
}

var redisIncr = redis.NewScript(`
local new = redis.call("EXISTS", KEYS[1]) == 0
local sum = redis.call("INCRBY", KEYS[1], ARGV[1])
if sum > 9007199254740991 or sum < -9007199254740991 then
	redis.call("DECRBY", KEYS[1], ARGV[1])
	return redis.error_reply("ERR value is not an integer or out of range")
end
if new and ARGV[2] ~= "0" then redis.call("PEXPIRE", KEYS[1], ARGV[2]) end
return sum`)

func (s *redisStore) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	n, err := s.run(ctx, redisIncr, []string{redisPrefix + key}, by, milliseconds(ttl))
	if err != nil && (strings.Contains(err.Error(), "not an integer") || strings.Contains(err.Error(), "WRONGTYPE") || strings.Contains(err.Error(), "would overflow")) {
		return 0, luabind.ErrNotNumber
	}
	return n, err
}

// run runs a script that answers with a number.
func (l *redisLink) run(ctx context.Context, script *redis.Script, keys []string, args ...any) (int64, error) {
	n, err := ask(ctx, l, func(ctx context.Context) (int64, error) {
		return script.Run(ctx, l.client, keys, args...).Int64()
	})
	return n, redisError(err)
}

func (s *redisStore) Delete(ctx context.Context, key string) (bool, error) {
	n, err := ask(ctx, s.redisLink, func(ctx context.Context) (int64, error) { return s.client.Del(ctx, redisPrefix+key).Result() })
	return n > 0, redisError(err)
}

// List looks through all keys of the database, a thousand at a time: Redis has no order of them.
func (s *redisStore) List(ctx context.Context, prefix string, limit int) ([]string, error) {
	pattern := redisPattern.Replace(redisPrefix+prefix) + "*"
	keys, err := ask(ctx, s.redisLink, func(ctx context.Context) ([]string, error) {
		var keys []string
		least := func() { // keeps the first ones
			slices.Sort(keys)
			keys = slices.Compact(keys) // a key may come twice
			if len(keys) > limit {
				clear(keys[limit:])
				keys = keys[:limit]
			}
		}
		for cursor := uint64(0); ; {
			page, next, err := s.client.Scan(ctx, cursor, pattern, 1000).Result()
			if err != nil {
				return nil, err
			}
			for _, key := range page {
				keys = append(keys, strings.TrimPrefix(key, redisPrefix))
			}
			if cursor = next; cursor == 0 {
				least()
				return keys, nil
			}
			if len(keys) > 2*limit+1000 {
				least()
			}
		}
	})
	return keys, redisError(err)
}

// redisPattern has the signs of a pattern stand for themselves.
var redisPattern = strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`, `]`, `\]`)

// redisError says whose error it is.
func redisError(err error) error {
	if err == nil || errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return err
	}
	var late net.Error
	if errors.As(err, &late) && late.Timeout() {
		return context.DeadlineExceeded
	}
	return fmt.Errorf("redis: %w", err)
}
