package luabind_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"callisto/engine"
	"callisto/luabind"
)

// A luaCase is a script and what it logs: the lines, joined by " | ".
type luaCase struct{ name, script, want string }

// runLua runs each script as a call of its own, twice: as the script itself, and in a hangup handler.
func runLua(t *testing.T, cases []luaCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{
					"main": tt.script,
					"hook": "call:on(\"hangup\", function()\n" + tt.script + "\nend)",
				}, nil)
				for _, name := range []string{"main", "hook"} {
					b.log.clear()
					b.run(name)
					if got := strings.Join(b.log.messages(), " | "); got != tt.want {
						t.Errorf("%s logged\n  %s, want\n  %s\n%s", name, got, tt.want, b.log)
					}
				}
			})
		})
	}
}

// oops wraps an expression such that its error is logged, without the line.
func oops(expression string) string {
	return `log.info((tostring(select(2, pcall(function() return ` + expression + ` end))):gsub("^[%w]+%.lua:%d+: ", "")))`
}

func TestJSON(t *testing.T) {
	encode := func(name, value, want string) luaCase {
		return luaCase{"encode " + name, "log.info(json.encode(" + value + "))", want}
	}
	again := func(text string) luaCase {
		return luaCase{"again " + text, "log.info(json.encode(json.decode('" + strings.ReplaceAll(text, `\`, `\\`) + "')))", text}
	}
	refuse := func(name, value, want string) luaCase {
		return luaCase{"refuse " + name, oops("json.encode(" + value + ")"), "json.encode: " + want}
	}
	wrong := func(text, want string) luaCase {
		return luaCase{"wrong " + text, "local v, e = json.decode(" + luaString(text) + ") log.info(tostring(v) .. \": \" .. e)", "nil: " + want}
	}
	runLua(t, []luaCase{
		encode("a table in the order of its names", `{ b = 1, a = "x", c = { true, false, json.null } }`, `{"a":"x","b":1,"c":[true,false,null]}`),
		encode("empty", `{ {}, json.array{}, json.array() }`, `[{},[],[]]`),
		encode("numbers", `{ 0, -1, 46701234567, 1.5, 1e-7, 2^53, 2^60, 1e300 }`, `[0,-1,46701234567,1.5,1e-07,9007199254740992,1.152921504606847e+18,1e+300]`),
		encode("strings", `"a\"\\/\n\r\t\1\0å\127"`, `"a\"\\/\n\r\t\u0001\u0000å`+"\x7f"+`"`),
		encode("what is no UTF-8", `"a\255b"`, `"a`+"\ufffd"+`b"`),
		encode("pretty", `{ a = { 1, {} }, b = json.array{} }, { pretty = true }`, "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}"),
		encode("the same table twice", `(function() local t = { 1 } return { t, t } end)()`, `[[1],[1]]`),
		again(`[]`), again(`{}`), again(`{"a":[],"b":{},"c":[[]],"d":null,"e":[null,null]}`), again(`[0.5,-3,1e+300]`), again(`"å\u0000\n"`),
		again(`null`), again(`false`), again(`{"1":"a"}`), again(`[1,2,3]`),
		{"a list that was emptied stays one", `local t = json.decode("[1]") table.remove(t) log.info(json.encode(t))`, "[]"},
		{"null", `local t = json.decode('{"a":null}') log.info(tostring(t.a == json.null) .. tostring(t.a) .. tostring(t.b))`, "truenullnil"},
		{"null as something else", `log.info(json.encode(json.decode('[null,{"a":null}]', { null = false })))`, `[false,{"a":false}]`},
		{"a field of null", oops(`json.decode('{"a":null}').a.b`), "json.null has no fields: where `b` was looked for the JSON has null"},
		{"null cannot be changed", oops(`setmetatable(json.null, {})`), "cannot change a protected metatable"},
		{"the mark cannot be changed", `log.info(tostring(getmetatable(json.array{})) .. tostring(pcall(setmetatable, json.array{}, {})))`, "protectedfalse"},
		{"a list behaves as one", `local t = json.decode('["a","b"]') table.insert(t, "c") local s = "" for i, v in ipairs(t) do s = s .. i .. v end log.info(s .. #t)`, "1a2b3c3"},
		{"large whole numbers", `local t = json.decode("[9007199254740992,9007199254740993,-123456789012345678901234567890]") log.info(type(t[1]) .. t[2] .. t[3])`,
			"number9007199254740993-123456789012345678901234567890"},
		{"a name twice", `log.info(json.encode(json.decode('{"a":1,"a":2}')))`, `{"a":2}`},
		{"surrogates", `log.info(json.decode('["\\ud83d\\ude00\\ud83d \\ude00\\ud83dx"]')[1])`, "😀\ufffd \ufffd\ufffdx"},
		{"a byte order mark", `log.info(json.decode("\239\187\191 [1] ")[1])`, "1"},
		refuse("a function", `{ orders = { 1, 2, { callback = print } } }`, "orders[3].callback is a function, which JSON has not"),
		refuse("the call", `call`, "the value is a userdata, which JSON has not"),
		refuse("a number", `{ ["a b"] = 0/0 }`, `["a b"] is NaN, which JSON has not`),
		refuse("infinity", `{ 1, -1/0 }`, "[2] is -Inf, which JSON has not"),
		refuse("a hole", `{ a = { 1, nil, 3 } }`, "a is a list with a hole: entry 2 of 3 is missing; json.null fills a place, and keys that only look like places are written tostring(key)"),
		refuse("one far entry", `{ [46701234567] = "x" }`, "the value is a list with a hole: entry 1 of 46701234567 is missing; json.null fills a place, and keys that only look like places are written tostring(key)"),
		refuse("both", `{ 1, name = "x" }`, `the value is a list that also has the name "name"`),
		refuse("a marked list with names", `json.array{ name = "x" }`, `the value is a list that also has the name "name"`),
		refuse("odd keys", `{ a = { [true] = 1 } }`, "a has an entry whose key is true: a key is a string, or the place in a list from 1 on"),
		refuse("key 0", `{ [0] = 1 }`, "the value has an entry whose key is 0: a key is a string, or the place in a list from 1 on"),
		refuse("a circle", `(function() local t = {} t.a = { t } return t end)()`, "a[1] is a table that contains itself"),
		refuse("depth", `(function() local t = {} for i = 1, 200 do t = { t } end return t end)()`, "[1][1][1][1][1][1][1][1][1][1]… is nested more than 200 deep"),
		refuse("nil", `nil`, "argument `value` is missing; it takes json.encode(value, { pretty = })"),
		{"array with a metatable", oops(`json.array(setmetatable({}, {}))`), "json.array: argument `list` has a metatable of its own"},
		wrong("", "there is no JSON: the text is empty"), wrong(" \n", "there is no JSON: the text is empty"),
		wrong("{\n  \"å\": 1,\n  å", `line 3, column 3: there is 'å' where a name in quotes should stand`),
		wrong("[1,]", `line 1, column 4: there is ']' where a value should stand`),
		wrong("[1", `line 1, column 3: the text ends where a comma or ] should stand`),
		wrong(`{"a":1,}`, `line 1, column 8: there is '}' where a name in quotes should stand`),
		wrong(`{"a" 1}`, `line 1, column 6: there is '1' where a colon should stand`),
		wrong(`{"a":1 "b":2}`, `line 1, column 8: there is '"' where a comma or } should stand`),
		wrong(`{"a":`, `line 1, column 6: the text ends where a value should stand`),
		wrong("[1] x", `line 1, column 5: there is 'x' after the value's end`),
		wrong("nul", `line 1, column 1: there is 'n' where a value should stand`), wrong("NaN", `line 1, column 1: there is 'N' where a value should stand`),
		wrong("'a'", `line 1, column 1: there is '\'' where a value should stand`),
		wrong("007", `line 1, column 1: a number begins with 0; a string keeps its zeros`), wrong("1.", `line 1, column 3: the text ends where a digit should stand`),
		wrong("-", `line 1, column 2: the text ends where a digit should stand`), wrong("1e", `line 1, column 3: the text ends where a digit should stand`),
		wrong("+1", `line 1, column 1: there is '+' where a value should stand`), wrong("[1e999]", `line 1, column 2: the number is too large`),
		wrong(`["a`, `line 1, column 2: the string that begins here has no end`), wrong(`["a\`, `line 1, column 2: the string that begins here has no end`),
		wrong(`["\x"]`, `line 1, column 4: there is 'x' after a backslash`), wrong(`["\u12"]`, `line 1, column 4: \u is followed by four hexadecimal digits`),
		wrong("\"a\nb\"", `line 1, column 3: the control character '\n' in a string is written \u000a`), wrong("\"a\xffb\"", `line 1, column 3: the byte 0xff is no UTF-8`),
		wrong("[\x00]", `line 1, column 2: there is '\x00' where a value should stand`),
		wrong(strings.Repeat("[", 201), `line 1, column 201: it is nested more than 200 deep`),
		{"a million deep", `local v, e = json.decode(("["):rep(1000000)) log.info(tostring(v) .. e)`, "nilline 1, column 201: it is nested more than 200 deep"},
	})
}

// JSON made here is what others take it for, and what others make is taken for what it is.
func TestJSONAgainstGo(t *testing.T) {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		gens := []*rapid.Generator[any]{
			rapid.Just[any](nil), rapid.Bool().AsAny(), rapid.String().AsAny(), rapid.Float64Range(-1e15, 1e15).AsAny(),
			rapid.Custom(func(t *rapid.T) any { return float64(rapid.Int64Range(-1<<53, 1<<53).Draw(t, "n")) }),
		}
		if depth > 0 {
			gens = append(gens, rapid.SliceOfN(value(depth-1), 0, 4).AsAny(), rapid.MapOfN(rapid.String(), value(depth-1), 0, 4).AsAny())
		}
		return rapid.OneOf(gens...)
	}
	simulated(t, func(t *testing.T) {
		var script strings.Builder
		var want []string
		gen := value(4)
		for seed := range 300 {
			v := gen.Example(seed)
			text, err := json.Marshal(v)
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, canonical(t, text))
			fmt.Fprintf(&script, "log.info(json.encode((json.decode(%s)), { pretty = %v }))\n", luaString(string(text)), seed%2 == 0)
		}
		b := newBench(t, map[string]string{"main": script.String()}, nil)
		b.run("main")
		got := b.log.messages()
		if len(got) != len(want) {
			t.Fatalf("%d of %d values\n%s", len(got), len(want), b.log)
		}
		for i := range got {
			if c := canonical(t, []byte(got[i])); c != want[i] {
				t.Errorf("became\n  %s, was\n  %s", c, want[i])
			}
		}
	})
}

func canonical(t *testing.T, text []byte) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	out, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// What decodes and encodes without end, or too much, is stopped as any other script.
func TestJSONLimits(t *testing.T) {
	runLimits(t, []luaCase{
		{"encode in a loop", `local t = {} for i = 1, 1000 do t[i] = { id = i } end while true do pcall(json.encode, t) end`, "computes for too long"},
		{"decode in a loop", `local s = "[" .. ("[],"):rep(1000) .. "1]" while true do pcall(json.decode, s) end`, "computes for too long"},
		{"text that doubles", `local t = "x" while true do t = { t, t } json.encode(t) end`, "string of"},
		{"a string that grows", `json.encode(("\1"):rep(1000000))`, "string of"},
		{"small lists", `local t = json.decode("[" .. ("[],"):rep(300000) .. "1]")`, "too much memory"},
		{"small lists behind pcall", `while true do pcall(json.decode, "[" .. ("[],"):rep(300000) .. "1]") end`, "too much memory"},
		{"many values", `local t = {} while true do t[#t + 1] = json.decode('{"a":[1,2,3]}') end`, "too much memory"},
	})
}

// runLimits expects each script to fail at its first line, with an error that has want in it.
func runLimits(t *testing.T, cases []luaCase) {
	t.Helper()
	for _, tt := range cases {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, map[string]string{"main": tt.script}, func(c *engine.Config) {
				c.Limits.Memory, c.Limits.CPU = 16<<20, time.Minute
				if tt.want == "computes for too long" {
					c.Limits.CPU = 100 * time.Millisecond
				}
			})
			c := b.run("main")
			if e, ok := b.log.find("script error", c.UUID); !ok || !strings.Contains(e.attrs["error"], tt.want) {
				t.Errorf("logged %v, want an error with %q", e, tt.want)
			}
		})
	}
}

// FuzzJSON: whatever is decoded, is as Go decodes it, and never panics.
func FuzzJSON(f *testing.F) {
	for _, s := range append([]string{`{"a":[1,2.5e3,"x\u00e5",null,true,{}]}`, `[]`, `"\ud83d\ude00"`, "-0", "[1,]", "1e999"}, hostile...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		out, err := luabind.RecodeJSON(s)
		if err != nil {
			return
		}
		if canonical(t, out) != canonical(t, []byte(strings.TrimPrefix(s, "\ufeff"))) && !strings.ContainsAny(s, "0123456789") {
			t.Errorf("%q became %s", s, out)
		}
	})
}
