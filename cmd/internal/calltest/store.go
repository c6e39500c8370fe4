package calltest

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"callisto/luabind"
)

// A store is a luabind.Store in memory, on the test's clock.
type store struct {
	now    func() time.Time
	mu     sync.Mutex
	values map[string]stored
}

type stored struct {
	value   string
	expires time.Time // zero: never
}

// get is the value of a key that has not expired. s.mu is held.
func (s *store) get(key string) (string, bool) {
	v, ok := s.values[key]
	if ok && !v.expires.IsZero() && !s.now().Before(v.expires) {
		delete(s.values, key)
		return "", false
	}
	return v.value, ok
}

func (s *store) set(key, value string, ttl time.Duration) {
	v := stored{value: value}
	if ttl > 0 {
		v.expires = s.now().Add(ttl)
	}
	s.values[key] = v
}

func (s *store) Get(_ context.Context, key string) (string, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.get(key)
	return value, ok, nil
}

func (s *store) Set(_ context.Context, key, value string, ttl time.Duration) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.set(key, value, ttl)
	return nil
}

func (s *store) Swap(_ context.Context, key string, old, new *string, ttl time.Duration) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.get(key)
	if ok != (old != nil) || ok && value != *old {
		return false, nil
	}
	if new == nil {
		delete(s.values, key)
	} else {
		s.set(key, *new, ttl)
	}
	return true, nil
}

func (s *store) Incr(_ context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	value, ok := s.get(key)
	if !ok {
		s.set(key, "0", ttl)
		value = "0"
	}
	const most = 1<<53 - 1
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n+by > most || n+by < -most {
		return 0, luabind.ErrNotNumber
	}
	v := s.values[key]
	v.value = strconv.FormatInt(n+by, 10)
	s.values[key] = v
	return n + by, nil
}

func (s *store) Delete(_ context.Context, key string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ok := s.get(key)
	delete(s.values, key)
	return ok, nil
}

func (s *store) List(_ context.Context, prefix string, limit int) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var keys []string
	for _, key := range slices.Sorted(maps.Keys(s.values)) {
		if _, ok := s.get(key); ok && strings.HasPrefix(key, prefix) && len(keys) < limit {
			keys = append(keys, key)
		}
	}
	return keys, nil
}
