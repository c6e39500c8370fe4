package services

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/alicebob/miniredis/v2"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"callisto/luabind"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// A testClock is moved by the test.
type testClock struct{ ms atomic.Int64 }

func (c *testClock) now() time.Time          { return time.UnixMilli(1_800_000_000_000 + c.ms.Load()) }
func (c *testClock) advance(d time.Duration) { c.ms.Add(d.Milliseconds()) }

// eachStore runs a test on every kind of store. pass has time pass by; it is nil where it passes by itself.
func eachStore(t *testing.T, test func(t *testing.T, s luabind.Store, pass func(time.Duration))) {
	t.Run("embedded", func(t *testing.T) {
		var clock testClock
		s := newEmbedded(filepath.Join(t.TempDir(), "a #?% name.db"))
		s.now = clock.now
		t.Cleanup(func() { s.Close() })
		test(t, s, clock.advance)
	})
	t.Run("memory", func(t *testing.T) {
		var clock testClock
		s := NewMemory(clock.now)
		t.Cleanup(func() { s.Close() })
		test(t, s, clock.advance)
	})
	shared := func(t *testing.T, url string) luabind.Store {
		s, err := newRedisStore(url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	t.Run("miniredis", func(t *testing.T) {
		m := miniredis.RunT(t)
		test(t, shared(t, "redis://"+m.Addr()), m.FastForward)
	})
	t.Run("redis", func(t *testing.T) { test(t, shared(t, startRedis(t)), nil) })
}

// isFake reports whether the store is miniredis, which lacks some of what Redis does.
func isFake(t *testing.T) bool { return strings.HasSuffix(t.Name(), "/miniredis") }

func text(s string) *string { return &s }

// mustGet looks a value up; "-" is none.
func mustGet(t *testing.T, s luabind.Store, key string) string {
	t.Helper()
	value, found, err := s.Get(within(t), key)
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	if !found {
		return "-"
	}
	return value
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestStore(t *testing.T) {
	eachStore(t, func(t *testing.T, s luabind.Store, _ func(time.Duration)) {
		ctx := within(t)
		is := func(key, want string) {
			t.Helper()
			if got := mustGet(t, s, key); got != want {
				t.Errorf("%q is %q, not %q", key, got, want)
			}
		}
		is("a", "-")
		must(t, s.Set(ctx, "a", "1", 0))
		is("a", "1")
		must(t, s.Set(ctx, "a", "", 0))
		is("a", "")

		for _, swap := range []struct {
			old, new *string
			want     bool
			after    string
		}{
			{text("x"), text("y"), false, ""}, {nil, text("y"), false, ""}, {text(""), text("y"), true, "y"},
			{text("y"), nil, true, "-"}, {text("y"), text("z"), false, "-"}, {text(""), text("z"), false, "-"},
			{nil, nil, true, "-"}, {nil, text("z"), true, "z"}, {nil, nil, false, "z"},
		} {
			got, err := s.Swap(ctx, "a", swap.old, swap.new, 0)
			if err != nil || got != swap.want {
				t.Errorf("swap: %v %v", got, err)
			}
			is("a", swap.after)
		}

		for _, by := range []int64{1, 41, -50, 0} {
			_, err := s.Incr(ctx, "n", by, 0)
			must(t, err)
		}
		is("n", "-8")
		for _, value := range []string{"abc", "", "1.5", "01", "+1", " 1", "1 ", "9223372036854775808", "-9223372036854775808", "9007199254740991", "9007199254740992"} {
			if isFake(t) && (strings.HasPrefix(value, "0") || strings.HasPrefix(value, "+")) {
				continue // it reads them as numbers
			}
			must(t, s.Set(ctx, "n", value, 0))
			if n, err := s.Incr(ctx, "n", 1, 0); err != luabind.ErrNotNumber {
				t.Errorf("incr of %q: %d %v", value, n, err)
			}
			is("n", value)
		}

		for _, want := range []bool{true, false} {
			if got, err := s.Delete(ctx, "n"); got != want || err != nil {
				t.Errorf("delete: %v %v", got, err)
			}
		}
		is("n", "-")
	})
}

// Keys and values are any bytes.
func TestStoreBytes(t *testing.T) {
	eachStore(t, func(t *testing.T, s luabind.Store, _ func(time.Duration)) {
		ctx := within(t)
		all := make([]byte, 256)
		for i := range all {
			all[i] = byte(i)
		}
		texts := []string{string(all), "日本語 ünï", "\x00", "\xff", "\xff\xff", "' OR 1=1 --", "*", "[a]", "?", "\\", "a\r\nSET x 1\r\n", strings.Repeat("k", 512)}
		for i, key := range texts {
			value := texts[(i+1)%len(texts)]
			must(t, s.Set(ctx, key, value, 0))
			if got := mustGet(t, s, key); got != value {
				t.Errorf("%q is %q, not %q", key, got, value)
			}
		}
		huge := strings.Repeat("0123456789abcdef", 256<<10/16)
		must(t, s.Set(ctx, "huge", huge, 0))
		if mustGet(t, s, "huge") != huge {
			t.Error("a huge value comes back as another")
		}
		keys, err := s.List(ctx, "", 1000)
		if want := slices.Sorted(slices.Values(append(texts, "huge"))); err != nil || !slices.Equal(keys, want) {
			t.Errorf("list: %q %v", keys, err)
		}
	})
}

func TestStoreList(t *testing.T) {
	eachStore(t, func(t *testing.T, s luabind.Store, pass func(time.Duration)) {
		ctx := within(t)
		prefixes := []string{"a", "a%", "a_", "a*", "a?", "a[", "a[b]", "a\\", "a\xff", "\xff", "\xff\xff", "å", "b"}
		var keys []string
		for _, p := range prefixes {
			for i := range 12 {
				key := fmt.Sprintf("%s%d", p, i)
				keys = append(keys, key)
				must(t, s.Set(ctx, key, "v", 0))
			}
		}
		slices.Sort(keys)
		for _, p := range append(prefixes, "", "none", "a1") {
			if isFake(t) && !utf8.ValidString(p) {
				continue // its patterns are regular expressions
			}
			var want []string
			for _, key := range keys {
				if strings.HasPrefix(key, p) {
					want = append(want, key)
				}
			}
			for _, limit := range []int{1000, 12, 3} {
				got, err := s.List(ctx, p, limit)
				if diff := cmp.Diff(want[:min(limit, len(want))], got, cmp.Transformer("none", func(s []string) []string { return append([]string{}, s...) })); err != nil || diff != "" {
					t.Errorf("list(%q, %d): %v %s", p, limit, err, diff)
				}
			}
		}
	})
}

// Many keys: no page of an answer is forgotten, and no key comes twice.
func TestStoreListMany(t *testing.T) {
	eachStore(t, func(t *testing.T, s luabind.Store, _ func(time.Duration)) {
		ctx := within(t)
		var wg sync.WaitGroup
		for w := range 10 {
			wg.Go(func() {
				for i := w; i < 3000; i += 10 {
					if err := s.Set(ctx, fmt.Sprintf("k%04d", i), "v", 0); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		wg.Wait()
		for _, limit := range []int{10, 2999, 5000} {
			keys, err := s.List(ctx, "k", limit)
			if err != nil || len(keys) != min(limit, 3000) || keys[0] != "k0000" || keys[len(keys)-1] != fmt.Sprintf("k%04d", min(limit, 3000)-1) || !slices.IsSorted(keys) {
				t.Errorf("list of %d has %d: %v", limit, len(keys), err)
			}
		}
	})
}

func TestStoreExpiry(t *testing.T) {
	eachStore(t, func(t *testing.T, s luabind.Store, pass func(time.Duration)) {
		ctx := within(t)
		const ttl = 50 * time.Millisecond
		// gone waits until a key has expired.
		gone := func(key string) {
			t.Helper()
			if pass != nil {
				pass(ttl)
			}
			for {
				got := mustGet(t, s, key)
				if got == "-" {
					break
				}
				if pass != nil || ctx.Err() != nil {
					t.Fatalf("%s does not expire: %q", key, got)
				}
			}
			if keys, err := s.List(ctx, key, 10); err != nil || len(keys) > 0 {
				t.Errorf("it is listed: %q %v", keys, err)
			}
		}
		is := func(key, want string) {
			t.Helper()
			if got := mustGet(t, s, key); got != want {
				t.Errorf("%q is %q, not %q", key, got, want)
			}
		}
		must(t, s.Set(ctx, "set", "v", ttl))
		gone("set")
		if swapped, err := s.Swap(ctx, "set", nil, text("w"), ttl); !swapped || err != nil {
			t.Errorf("what has expired is in the way: %v %v", swapped, err)
		}
		gone("set")
		if existed, err := s.Delete(ctx, "set"); existed || err != nil {
			t.Errorf("what has expired is deleted: %v %v", existed, err)
		}

		n, err := s.Incr(ctx, "n", 5, ttl)
		if n != 5 || err != nil {
			t.Fatal(n, err)
		}
		if _, err = s.Incr(ctx, "n", 5, time.Hour); err != nil { // it keeps its time
			t.Fatal(err)
		}
		gone("n")
		if n, err = s.Incr(ctx, "n", 5, 0); n != 5 || err != nil {
			t.Errorf("it goes on counting: %d %v", n, err)
		}
		must(t, s.Set(ctx, "stays", "v", ttl))
		must(t, s.Set(ctx, "stays", "v", 0)) // for ever, now
		must(t, s.Set(ctx, "swapped", "v", ttl))
		if _, err := s.Swap(ctx, "swapped", text("v"), text("w"), 0); err != nil {
			t.Fatal(err)
		}
		must(t, s.Set(ctx, "short", "v", ttl))
		gone("short")
		is("n", "5")
		is("stays", "v")
		is("swapped", "w")
		must(t, s.Set(ctx, "moment", "v", time.Nanosecond)) // rounded up
	})
}

// Nobody's change is lost, and one of many is told that it was first.
func TestStoreConcurrency(t *testing.T) {
	eachStore(t, func(t *testing.T, s luabind.Store, _ func(time.Duration)) {
		ctx := within(t)
		const workers, rounds = 50, 20
		var added, swapped atomic.Int64
		var sums sync.Map
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for i := range rounds {
					n, err := s.Incr(ctx, "n", 1, 0)
					if err != nil {
						t.Error(err)
						return
					}
					if _, twice := sums.LoadOrStore(n, true); twice {
						t.Errorf("two were told %d", n)
					}
					if ok, err := s.Swap(ctx, fmt.Sprint("add", i), nil, text("x"), 0); err != nil {
						t.Error(err)
					} else if ok {
						added.Add(1)
					}
					for { // an account that everybody pays into
						value, found, err := s.Get(ctx, "account")
						if err != nil {
							t.Error(err)
							return
						}
						old := &value
						if !found {
							old = nil
						}
						ok, err := s.Swap(ctx, "account", old, text(value+"."), 0)
						if err != nil {
							t.Error(err)
							return
						}
						if ok {
							swapped.Add(1)
							break
						}
						if i > 0 {
							break // to have won once is enough
						}
					}
				}
			})
		}
		wg.Wait()
		if got := mustGet(t, s, "n"); got != fmt.Sprint(workers*rounds) {
			t.Errorf("counted %s", got)
		}
		if added.Load() != rounds {
			t.Errorf("%d were first, of %d keys", added.Load(), rounds)
		}
		if got := len(mustGet(t, s, "account")); got != int(swapped.Load()) {
			t.Errorf("%d swaps left %d", swapped.Load(), got)
		}
	})
}

// Whatever is done, all stores say the same.
func TestStoresAgree(t *testing.T) {
	var clock testClock
	memory := NewMemory(clock.now)
	defer memory.Close()
	file := newEmbedded(filepath.Join(t.TempDir(), "kv.db"))
	defer file.Close()
	redis, err := newRedisStore("redis://" + miniredis.RunT(t).Addr())
	must(t, err)
	defer redis.Close()
	ctx := within(t)
	number := 0
	rapid.Check(t, func(t *rapid.T) {
		number++ // of a run: its keys are its own
		keys := rapid.SampledFrom([]string{"a", "b", "a*", "ab", "å"})
		values := rapid.SampledFrom([]string{"1", "-7", "x", "", "9007199254740991", "\x00"})
		maybe := func(name string) *string {
			if rapid.Bool().Draw(t, name+"?") {
				return text(values.Draw(t, name))
			}
			return nil
		}
		for range rapid.IntRange(1, 8).Draw(t, "steps") {
			key, verb := fmt.Sprintf("%d:%s", number, keys.Draw(t, "key")), rapid.SampledFrom([]string{"get", "set", "swap", "incr", "delete", "list"}).Draw(t, "verb")
			old, new, value, by := maybe("old"), maybe("new"), values.Draw(t, "value"), rapid.Int64Range(-3, 3).Draw(t, "by")
			var said []string
			for _, s := range []luabind.Store{memory, file, redis} {
				var r any
				var found bool
				var err error
				switch verb {
				case "get":
					r, found, err = s.Get(ctx, key)
				case "set":
					err = s.Set(ctx, key, value, 0)
				case "swap":
					r, err = s.Swap(ctx, key, old, new, 0)
				case "incr":
					r, err = s.Incr(ctx, key, by, 0)
				case "delete":
					r, err = s.Delete(ctx, key)
				case "list":
					r, err = s.List(ctx, key, 3)
				}
				said = append(said, fmt.Sprint(r, found, err))
			}
			if said[0] != said[1] || said[1] != said[2] {
				t.Fatalf("%s %q: %q", verb, key, said)
			}
		}
	})
}

// BenchmarkStore sets keys from several goroutines; batch=1 is a transaction for each.
func BenchmarkStore(b *testing.B) {
	for _, n := range []int{1, maxBatch} {
		b.Run(fmt.Sprint("batch=", n), func(b *testing.B) {
			s := newEmbedded(filepath.Join(b.TempDir(), "kv.db"))
			defer s.Close()
			if err := s.Set(context.Background(), "k", "v", 0); err != nil {
				b.Fatal(err)
			}
			s.file.batch = n
			b.SetParallelism(4)
			var key atomic.Int64
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					if err := s.Set(context.Background(), fmt.Sprint(key.Add(1)), "value", 0); err != nil {
						b.Error(err)
					}
				}
			})
		})
	}
}
