package luabind

import (
	"context"
	"fmt"
	"math"
	"strconv"
	"time"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxKey       = 512       // bytes
	maxKept      = 256 << 10 // bytes of a value
	maxKeys      = 10_000    // in one list
	defaultKeys  = 100
	storeTimeout = 3 * time.Second // for one answer of a store or a limiter
)

var kvModule = &Module{
	Name: "kv",
	Doc: "`kv` remembers values by key, for all calls, until they are deleted or expire: how often somebody has called, who is being called back, what is switched on.\n\n" +
		"```lua\n" +
		`local number = call.caller.number
local calls = kv.incr("calls:" .. number, 1, { ttl = "24h" })
if calls and calls > 20 then
  return call:hangup("CALL_REJECTED")
end
kv.set("last:" .. number, { at = os.time(), said = "hello" }, { ttl = "168h" })
local last = kv.get("last:" .. number)
log.info("welcome back", { said = last and last.said })
for _, key in ipairs(kv.list("last:", { limit = 10 }) or {}) do
  log.info(key)
end
` + "```\n\n" +
		"A value is a string of any bytes, a number, true or false, or a table that can be JSON, and comes back as the same type. " +
		"A key has up to 512 bytes, a value 256 KB.\n\n" +
		"What was acknowledged is not lost when Callisto is killed. Each function is done at once or not at all, whoever else uses the key: " +
		"`incr` counts every call, of those that `add` the same key one is told true, and `swap` changes a value only while it still is what you think it is:\n\n" +
		"```lua\n" +
		`if kv.add("callback:" .. call.caller.number, "waiting", { ttl = "10m" }) then
  log.info("will be called back")
end
local agent = kv.get("on call")
if agent == "1001" then
  kv.swap("on call", "1001", "1002")
end
` + "```\n\n" +
		"The values are in the file, or the Redis, of [kv] `store` in the configuration. When it does not answer within 3 s, or cannot, the result is nil and why: " +
		"`timeout`, `stopped` where a handler of the call has ended the wait, or what went wrong. The log has a warning then.",
	Functions: []Verb{
		{
			Name: "get", Params: []Param{keyParam},
			Results: []Result{{"value", "any", "nil where there is none"}, whyResult},
			Doc:     "Looks a value up.",
			run: func(c *Call, L *lua.LState, a args) int {
				key := a.key()
				var text string
				var found bool
				err := c.inStore(L, a, func(ctx context.Context, s Store) (err error) {
					text, found, err = s.Get(ctx, key)
					return err
				})
				switch {
				case err != nil:
					return failure(L, err)
				case !found:
					L.Push(lua.LNil)
					return 1
				}
				charge(L, len(text))
				L.Push(keptValue(L, text))
				return 1
			},
		},
		{
			Name: "set", Params: []Param{keyParam, valueParam}, Options: []Param{ttlOption},
			Results: []Result{{"done", "boolean?", "true; nil where it failed"}, whyResult},
			Doc:     "Keeps a value, whatever was there. Without `ttl` it stays for ever, even if the one before would have expired.",
			run: func(c *Call, L *lua.LState, a args) int {
				key, value, ttl := a.key(), a.kept(1), a.ttl()
				return c.store(L, a, func(ctx context.Context, s Store) (lua.LValue, error) { return lua.LTrue, s.Set(ctx, key, value, ttl) })
			},
		},
		{
			Name: "add", Params: []Param{keyParam, valueParam}, Options: []Param{ttlOption},
			Results: []Result{{"added", "boolean?", "false where there is a value already, which stays; nil where it failed"}, whyResult},
			Doc:     "Keeps a value where there is none.",
			run: func(c *Call, L *lua.LState, a args) int {
				key, value, ttl := a.key(), a.kept(1), a.ttl()
				return c.store(L, a, func(ctx context.Context, s Store) (lua.LValue, error) {
					added, err := s.Swap(ctx, key, nil, &value, ttl)
					return lua.LBool(added), err
				})
			},
		},
		{
			Name: "swap",
			Params: []Param{keyParam, {Name: "old", Type: Any, Optional: true, Doc: "what has to be there; nil: nothing"},
				{Name: "new", Type: Any, Optional: true, Doc: "what is kept instead; nil: nothing, it is deleted"}},
			Options: []Param{ttlOption},
			Results: []Result{{"swapped", "boolean?", "false where something else is there, which stays; nil where it failed"}, whyResult},
			Doc:     "Changes a value if it still is what the script thinks it is. Tables are the same when their JSON is.",
			run: func(c *Call, L *lua.LState, a args) int {
				key, ttl := a.key(), a.ttl()
				var values [2]*string
				for i := range values {
					if a.given(i + 1) {
						text := a.kept(i + 1)
						values[i] = &text
					}
				}
				return c.store(L, a, func(ctx context.Context, s Store) (lua.LValue, error) {
					swapped, err := s.Swap(ctx, key, values[0], values[1], ttl)
					return lua.LBool(swapped), err
				})
			},
		},
		{
			Name: "incr", Params: []Param{keyParam, {Name: "by", Type: Integer, Optional: true, Doc: "1 if left out; may be negative"}},
			Options: []Param{{Name: "ttl", Type: Duration, Doc: "expires after this long, if there was no value before; one that is there keeps its time"}},
			Results: []Result{{"sum", "integer?", "the number after it; nil where it failed, or something else than a whole number is there"}, whyResult},
			Doc:     "Adds to a number, which begins with 0.",
			run: func(c *Call, L *lua.LState, a args) int {
				key, by, ttl := a.key(), int64(1), a.ttl()
				if a.given(1) {
					by = int64(a.number(1))
				}
				return c.store(L, a, func(ctx context.Context, s Store) (lua.LValue, error) {
					sum, err := s.Incr(ctx, key, by, ttl)
					return lua.LNumber(sum), err
				})
			},
		},
		{
			Name: "delete", Params: []Param{keyParam},
			Results: []Result{{"existed", "boolean?", "whether there was a value; nil where it failed"}, whyResult},
			Doc:     "Forgets a value.",
			run: func(c *Call, L *lua.LState, a args) int {
				key := a.key()
				return c.store(L, a, func(ctx context.Context, s Store) (lua.LValue, error) {
					existed, err := s.Delete(ctx, key)
					return lua.LBool(existed), err
				})
			},
		},
		{
			Name: "list", Params: []Param{{Name: "prefix", Type: String, Doc: "what the keys begin with; \"\": all keys"}},
			Options: []Param{{Name: "limit", Type: Integer, Doc: "so many at most, up to 10,000; 100 if left out"}},
			Results: []Result{{"keys", "string[]?", "sorted by their bytes; nil where it failed"}, whyResult},
			Doc:     "Finds keys by how they begin. In Redis it looks through all keys, so leave it to small databases there.",
			run: func(c *Call, L *lua.LState, a args) int {
				prefix, limit := a.string(0), a.optInt("limit", defaultKeys)
				if limit < 1 || limit > maxKeys {
					a.fail("option `limit` is a number from 1 to %d", maxKeys)
				}
				var keys []string
				err := c.inStore(L, a, func(ctx context.Context, s Store) (err error) {
					keys, err = s.List(ctx, prefix, limit)
					return err
				})
				if err != nil {
					return failure(L, err)
				}
				t := L.CreateTable(len(keys), 0)
				for _, key := range keys {
					charge(L, 32+len(key))
					t.Append(lua.LString(key))
				}
				L.Push(t)
				return 1
			},
		},
	},
	Outside: true,
}

var (
	keyParam   = Param{Name: "key", Type: String, Doc: "such as \"calls:\" .. call.caller.number"}
	valueParam = Param{Name: "value", Type: Any, Doc: "a string, number, boolean or table"}
	ttlOption  = Param{Name: "ttl", Type: Duration, Doc: "it expires after this long"}
	whyResult  = Result{"why", "string?", "what went wrong"}
)

// inStore has work done with the store, and logs what goes wrong.
func (c *Call) inStore(L *lua.LState, a args, work func(context.Context, Store) error) error {
	if c.env.Services == nil || c.env.Services.Store == nil {
		a.fail("there is no store: set kv.store in the configuration")
	}
	err := c.outside(L, storeTimeout, func(ctx context.Context) error { return work(ctx, c.env.Services.Store) })
	c.warn(L, a, err)
	return err
}

// warn logs what went wrong outside, apart from what a handler has stopped.
func (c *Call) warn(L *lua.LState, a args, err error) {
	if err != nil && err != errStopped {
		file, line := where(L)
		c.log.Warn("a module's function failed", "function", a.verb.Label(), "error", err, "at", at(file, line))
	}
}

// store is inStore for a function with one result.
func (c *Call) store(L *lua.LState, a args, work func(context.Context, Store) (lua.LValue, error)) int {
	var v lua.LValue
	err := c.inStore(L, a, func(ctx context.Context, s Store) (err error) {
		v, err = work(ctx, s)
		return err
	})
	if err != nil {
		return failure(L, err)
	}
	L.Push(v)
	return 1
}

func (a args) key() string {
	key := a.string(0)
	if key == "" || len(key) > maxKey {
		a.fail("argument `key` must have 1 to %d bytes; it has %d", maxKey, len(key))
	}
	return key
}

func (a args) ttl() time.Duration {
	ttl, ok := a.optDuration("ttl")
	if ok && ttl < time.Millisecond {
		a.fail("option `ttl` must be 1 ms or more; leave it out to keep the value for ever")
	}
	return ttl
}

// kept is an argument as the store has it.
func (a args) kept(i int) string {
	name := a.verb.Params[i].Name
	text, err := keep(a.L, a.value(i))
	if err != nil {
		a.fail("argument `%s`: %v", name, err)
	}
	if len(text) > maxKept {
		a.fail("argument `%s` takes %d bytes; %d can be kept", name, len(text), maxKept)
	}
	return text
}

// keep writes a value as those see it too who look into the store by other means: a string as it is, a number in
// decimals, true or false, a table as JSON. A string that would be read as something else has a " before it.
func keep(L *lua.LState, v lua.LValue) (string, error) {
	switch v := v.(type) {
	case lua.LString:
		s := string(v)
		if s != "" && (s[0] == '"' || s[0] == '{' || s[0] == '[') || s == "true" || s == "false" {
			return `"` + s, nil
		}
		if _, ok := keptNumber(s); ok {
			return `"` + s, nil
		}
		return s, nil
	case lua.LNumber:
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return "", fmt.Errorf("%v cannot be kept", float64(v))
		}
		return numberText(float64(v)), nil
	case lua.LBool:
		return v.String(), nil
	case *lua.LTable:
		b, err := encodeJSON(L, v)
		return string(b), err
	}
	return "", fmt.Errorf("a string, a number, true, false or a table can be kept, not %s", describe(v))
}

// keptValue is the value that a text in the store stands for. Any text does.
func keptValue(L *lua.LState, text string) lua.LValue {
	switch {
	case text == "":
		return lua.LString("")
	case text == "true":
		return lua.LTrue
	case text == "false":
		return lua.LFalse
	case text[0] == '"':
		return lua.LString(text[1:])
	case text[0] == '{' || text[0] == '[':
		if v, err := decodeJSON(L, text); err == nil {
			return v
		}
	}
	if n, ok := keptNumber(text); ok {
		return lua.LNumber(n)
	}
	return lua.LString(text)
}

// numberText is the shortest text that is read as the same number.
func numberText(n float64) string {
	if math.Trunc(n) == n && math.Abs(n) <= 1<<53 {
		return strconv.FormatInt(int64(n), 10)
	}
	return strconv.FormatFloat(n, 'g', -1, 64)
}

// keptNumber reads what numberText writes, and nothing else: 0701234567 is a text.
func keptNumber(s string) (float64, bool) {
	if s == "" || s[0] != '-' && !isDigit(s[0]) || len(s) > 32 {
		return 0, false
	}
	n, err := strconv.ParseFloat(s, 64)
	return n, err == nil && numberText(n) == s
}
