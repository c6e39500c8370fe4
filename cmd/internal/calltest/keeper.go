package calltest

import (
	"context"
	"time"

	"callisto/esl"
)

// A keeper is the store as scripts reach it: a luabind.Store that may be gone or slow, as the test says.
type keeper struct{ *fakes }

// there waits for a store that is slow, and returns the error of one that is not there.
func (k keeper) there(ctx context.Context) error {
	k.mu.Lock()
	how := k.keeps
	k.mu.Unlock()
	switch how {
	case "gone":
		return errRefused
	case "slow":
		return esl.Sleep(ctx, 24*time.Hour) // ctx ends before
	}
	return nil
}

func (k keeper) Get(ctx context.Context, key string) (value string, found bool, err error) {
	if err = k.there(ctx); err == nil {
		value, found, err = k.store.Get(ctx, key)
	}
	return value, found, err
}

func (k keeper) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	if err := k.there(ctx); err != nil {
		return err
	}
	return k.store.Set(ctx, key, value, ttl)
}

func (k keeper) Swap(ctx context.Context, key string, old, new *string, ttl time.Duration) (swapped bool, err error) {
	if err = k.there(ctx); err == nil {
		swapped, err = k.store.Swap(ctx, key, old, new, ttl)
	}
	return swapped, err
}

func (k keeper) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (sum int64, err error) {
	if err = k.there(ctx); err == nil {
		sum, err = k.store.Incr(ctx, key, by, ttl)
	}
	return sum, err
}

func (k keeper) Delete(ctx context.Context, key string) (existed bool, err error) {
	if err = k.there(ctx); err == nil {
		existed, err = k.store.Delete(ctx, key)
	}
	return existed, err
}

func (k keeper) List(ctx context.Context, prefix string, limit int) (keys []string, err error) {
	if err = k.there(ctx); err == nil {
		keys, err = k.store.List(ctx, prefix, limit)
	}
	return keys, err
}
