package luabind_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"callisto/engine/services"
	"callisto/luabind"
)

// newKV is a bench whose scripts have a store.
func newKV(t *testing.T, script string) *bench {
	b := newBench(t, map[string]string{"main": script}, nil)
	store := services.NewMemory(time.Now)
	t.Cleanup(func() {
		b.server.Close()
		store.Close()
	})
	b.server.Services = &luabind.Services{Store: store}
	return b
}

// says runs a script and compares what it logs.
func (b *bench) says(want ...string) {
	b.t.Helper()
	b.run("main")
	got := slices.DeleteFunc(b.log.messages(), func(m string) bool { return m == "a module's function failed" })
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		b.t.Errorf("it says\n%s\nnot\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), b.log)
	}
}

func TestKV(t *testing.T) {
	const show = `local function say(...)
	local list = {}
	for i = 1, select("#", ...) do list[i] = type((select(i, ...))) .. " " .. tostring((select(i, ...))) end
	log.info(table.concat(list, ", "))
end
`
	for _, test := range []struct {
		name, script string
		want         []string
	}{
		{"types", `for _, v in ipairs { "text", "", "5", "-1.5", "0701", "true", "\"", "{}", "[1", "a\0b\255", 5, -1.5, 1e300, 2^53, 0.1, true } do
	assert(kv.set("k", v)) local got = kv.get("k")
	if got ~= v then say(v, got) end
end
say(kv.set("f", false)) say(kv.get("f"))
kv.set("t", { a = 1, b = { "x", "y" }, c = { d = false } })
local t = kv.get("t") say(t.a, t.b[2], t.c.d)`,
			[]string{"boolean true", "boolean false", "number 1, string y, boolean false"}},
		{"nothing there", `say(kv.get("k")) say(kv.delete("k")) say(#kv.list("")) say(kv.swap("k", "x", "y"))`,
			[]string{"nil nil", "boolean false", "number 0", "boolean false"}},
		{"add", `say(kv.add("k", 1)) say(kv.add("k", 2)) say(kv.get("k"))`, []string{"boolean true", "boolean false", "number 1"}},
		{"swap", `say(kv.swap("k", nil, { n = 1 })) say(kv.swap("k", { n = 2 }, "no")) say(kv.swap("k", { n = 1 }, "yes")) say(kv.get("k"))
say(kv.swap("k", "yes", nil)) say(kv.get("k")) say(kv.swap("k", nil, "again", { ttl = 1000 })) say(kv.get("k")) call:sleep(1000) say(kv.get("k"))`,
			[]string{"boolean true", "boolean false", "boolean true", "string yes", "boolean true", "nil nil", "boolean true", "string again", "nil nil"}},
		{"incr", `say(kv.incr("n")) say(kv.incr("n", 9)) say(kv.incr("n", -3)) say(kv.get("n")) kv.set("s", "5") say(kv.incr("s")) kv.set("x", 1.5) say((kv.incr("x")))
say(kv.incr("big", 2^53 - 1)) say((kv.incr("big"))) say(kv.incr("big", -1))`,
			[]string{"number 1", "number 10", "number 7", "number 7", "nil nil, string its value is no whole number, or would be too large", "nil nil",
				"number 9007199254740991", "nil nil", "number 9007199254740990"}},
		{"expiry", `kv.set("k", 1, { ttl = "10s" }) kv.incr("n", 1, { ttl = "10s" }) call:sleep(9000) say(kv.get("k")) kv.incr("n") call:sleep(1000) say(kv.get("k")) say(kv.get("n"))`,
			[]string{"number 1", "nil nil", "nil nil"}},
		{"list", `for _, k in ipairs { "b", "a%", "a_", "a*", "c" } do kv.set(k, 1) end
say(table.concat(kv.list("a"), " ")) say(table.concat(kv.list("", { limit = 2 }), " ")) say(table.concat(kv.list("a%"), " "))`,
			[]string{"string a% a* a_", "string a% a*", "string a%"}},
		{"mistakes", `for _, f in ipairs {
	function() kv.set("k") end, function() kv.set("", 1) end, function() kv.get(("k"):rep(513)) end, function() kv.set("k", ("v"):rep(262145)) end,
	function() kv.set("k", print) end, function() kv.set("k", 0/0) end, function() kv.set("k", { f = print }) end, function() kv.set("k", 1, { ttl = 0 }) end,
	function() kv.set("k", 1, { tll = 1 }) end, function() kv.list("", { limit = 0 }) end, function() kv:get("k") end, function() kv.incr("k", 1.5) end,
} do say((select(2, pcall(f)):gsub("^%S+ ", ""))) end`, []string{
			"string kv.set: argument `value` is missing; it takes kv.set(key, value, { ttl = })",
			"string kv.set: argument `key` must have 1 to 512 bytes; it has 0",
			"string kv.get: argument `key` must have 1 to 512 bytes; it has 513",
			"string kv.set: argument `value` takes 262145 bytes; 262144 can be kept",
			"string kv.set: argument `value`: a string, a number, true, false or a table can be kept, not a function",
			"string kv.set: argument `value`: NaN cannot be kept",
			"string kv.set: argument `value`: f is a function, which JSON has not",
			"string kv.set: option `ttl` must be 1 ms or more; leave it out to keep the value for ever",
			"string kv.set: unknown option `tll`, did you mean `ttl`?",
			"string kv.list: option `limit` is a number from 1 to 10000",
			"string use a dot: kv.get(…), not kv:get(…)",
			"string kv.incr: argument `by` must be a whole number, not 1.5",
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) { newKV(t, show+test.script).says(test.want...) })
		})
	}
}

// Values are for all calls, and hangup handlers have them too.
func TestKVIsShared(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b := newKV(t, `call:on("hangup", function() log.info("handler " .. kv.incr("calls")) end)
log.info("script " .. kv.incr("calls"))
call:hangup()`)
		b.run("main")
		b.says("script 1", "handler 2", "script 3", "handler 4")
	})
}

// Whatever text is kept comes back as it was, byte for byte, as key and as value.
func TestKVKeepsBytes(t *testing.T) {
	simulated(t, func(t *testing.T) {
		keep := func(t *testing.T, s string) {
			b := newKV(t, fmt.Sprintf(`local s = %s
assert(kv.set("v", s)) assert(kv.get("v") == s, "value")
assert(kv.set("t", { s = "x" .. #s, [1] = nil })) 
local key = s:sub(1, 512) if key == "" then key = " " end
assert(kv.set(key, s)) assert(kv.get(key) == s, "key") assert(kv.list(key)[1] == key, "list") assert(kv.swap(key, s, "other") and kv.delete(key))
log.info("done")`, luaString(s)))
			b.says("done")
		}
		for _, s := range hostile {
			keep(t, s)
		}
	})
	t.Run("random", func(t *testing.T) {
		t.Parallel()
		rapid.Check(t, func(rt *rapid.T) {
			s := rapid.OneOf(rapid.StringMatching(`["{\[]?[-+]?[0-9]{0,20}(\.[0-9]*)?(e[0-9]+)?`), rapid.String(), rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) })).Draw(rt, "s")
			if got := luabind.KeptText(s); got != s {
				rt.Fatalf("%q comes back as %q", s, got)
			}
			n := rapid.OneOf(rapid.Float64(), rapid.Map(rapid.Int64(), func(n int64) float64 { return float64(n) })).Draw(rt, "n")
			if got := luabind.KeptNumber(n); got != n && n == n {
				rt.Fatalf("%v comes back as %v", n, got)
			}
		})
	})
}

// A badStore answers with err, or not at all.
type badStore struct {
	luabind.Store
	err   error
	asked chan struct{} // gets a token when somebody waits; nil: nobody listens
}

func (s *badStore) wait(ctx context.Context) error {
	if s.err != nil {
		return s.err
	}
	if s.asked != nil {
		s.asked <- struct{}{}
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s *badStore) Get(ctx context.Context, _ string) (string, bool, error) {
	return "", false, s.wait(ctx)
}
func (s *badStore) Set(ctx context.Context, _, _ string, _ time.Duration) error { return s.wait(ctx) }
func (s *badStore) Swap(ctx context.Context, _ string, _, _ *string, _ time.Duration) (bool, error) {
	return false, s.wait(ctx)
}
func (s *badStore) Incr(ctx context.Context, _ string, _ int64, _ time.Duration) (int64, error) {
	return 0, s.wait(ctx)
}
func (s *badStore) Delete(ctx context.Context, _ string) (bool, error) { return false, s.wait(ctx) }
func (s *badStore) List(ctx context.Context, _ string, _ int) ([]string, error) {
	return nil, s.wait(ctx)
}

const everyUse = `local function say(...) log.info(tostring((...)) .. " " .. tostring((select(2, ...)))) end
say(kv.get("k")) say(kv.set("k", 1)) say(kv.add("k", 1)) say(kv.swap("k", 1, 2)) say(kv.incr("k")) say(kv.delete("k")) say(kv.list("k"))`

// A store that is slow, or fails, costs a call three seconds at most, and the script hears why.
func TestKVWithoutAnswer(t *testing.T) {
	for _, test := range []struct {
		name string
		err  error
		want string
	}{{"silent", nil, "nil timeout"}, {"gone", errors.New("redis: connection refused"), "nil redis: connection refused"}} {
		t.Run(test.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newKV(t, everyUse)
				b.server.Services.Store = &badStore{err: test.err}
				began := time.Now()
				b.says(test.want, test.want, test.want, test.want, test.want, test.want, test.want)
				if took := time.Since(began); took > 25*time.Second {
					t.Errorf("it took %v", took)
				}
				if _, ok := b.log.find("a module's function failed", ""); !ok {
					t.Error("the log has no warning")
				}
			})
		})
	}
	t.Run("none", func(t *testing.T) {
		simulated(t, func(t *testing.T) {
			b := newBench(t, map[string]string{"main": `kv.get("k")`}, nil)
			b.run("main")
			if e, ok := b.log.find("script error", ""); !ok || !strings.Contains(e.attrs["error"], "set kv.store") {
				t.Errorf("without a store: %v", e)
			}
		})
	})
}

// While a script waits for the store its handlers run and may end the wait, the caller may hang up, and other
// calls go on.
func TestKVMeanwhile(t *testing.T) {
	t.Run("stop", func(t *testing.T) {
		simulated(t, func(t *testing.T) {
			b := newKV(t, `call:on("dtmf", function(digit) log.info("digit " .. digit) return "stop" end)
log.info(tostring((select(2, kv.get("k")))))`)
			stuck := &badStore{asked: make(chan struct{})}
			b.server.Services.Store = stuck
			c := b.start("main")
			<-stuck.asked
			c.Press("5")
			b.finish(c)
			if got := strings.Join(b.log.messages(), ","); got != "digit 5,stopped" {
				t.Errorf("it says %s", got)
			}
		})
	})
	t.Run("hangup", func(t *testing.T) {
		simulated(t, func(t *testing.T) {
			b := newKV(t, `call:on("hangup", function() log.info("handler " .. tostring(kv.get("k"))) end)
kv.set("k", 1)
log.info("not reached")`)
			stuck := &stuckSet{b.server.Services.Store, make(chan struct{})}
			b.server.Services.Store = stuck
			c := b.start("main")
			<-stuck.asked
			began := time.Now()
			c.Hangup("NORMAL_CLEARING")
			b.finish(c)
			if got := strings.Join(b.log.messages(), ","); got != "handler nil" {
				t.Errorf("it says %s", got)
			}
			if took := time.Since(began); took > time.Second {
				t.Errorf("it ended %v after the hangup", took)
			}
		})
	})
}

// A stuckSet answers, but for Set.
type stuckSet struct {
	luabind.Store
	asked chan struct{}
}

func (s *stuckSet) Set(ctx context.Context, _, _ string, _ time.Duration) error {
	s.asked <- struct{}{}
	<-ctx.Done()
	return ctx.Err()
}
