package luabind_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/simulator"
)

// lua is Lua itself, as far as scripts have it: each script logs what it finds.
func TestLanguage(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"concat", `local n, s = 1, "x" log.info(n .. s .. 2.5)`, "1x2.5"},
		{"break alone in loops, one after the other", `
			local function upto(n) local i = 0 return function() i = i + 1 if i <= n then return i end end end
			local t = {}
			for i = 1, 2 do local x = i end
			for r in upto(5) do break end t[#t + 1] = "a"
			while true do break end t[#t + 1] = "b"
			repeat break until false t[#t + 1] = "c"
			for r in upto(5) do do break end end t[#t + 1] = "d"
			for _ in pairs({ 1 }) do break end t[#t + 1] = "e"
			log.info(table.concat(t))`, "abcde"},
		{"concat is right associative with metamethods", `
			local mt = { __concat = function(a, b) return "[" .. tostring(type(a)) .. "," .. tostring(type(b)) .. "]" end }
			log.info("a" .. "b" .. setmetatable({}, mt))`, "a[string,table]"},
		{"concat of one value of a call", `local function f() return "a", "b" end log.info("x" .. f())`, "xa"},
		{"concat of a nil names the line", `log.info(select(2, pcall(function() return "a" .. nil end)))`, "main.lua:1: attempt to concatenate a nil value"},
		{"find plain", `log.info(table.concat({ string.find("a.b", ".", 1, true) }, ","))`, "2,2"},
		{"find captures", `log.info(table.concat({ ("key=value"):find("(%w+)=(%w+)") }, ","))`, "1,9,key,value"},
		{"match position captures", `log.info(table.concat({ ("hello"):match("()ll()") }, ","))`, "3,5"},
		{"gmatch", `local t = {} for k, v in ("a=1, b=2"):gmatch("(%w+)=(%w+)") do t[#t+1] = k .. v end log.info(table.concat(t, ";"))`, "a1;b2"},
		{"gmatch of the empty match", `local n = 0 for _ in ("abc"):gmatch("") do n = n + 1 end log.info(n)`, "4"},
		{"gsub string", `log.info((("hello world"):gsub("(%w+)", "<%1>")))`, "<hello> <world>"},
		{"gsub table and count", `local s, n = ("$name is $age"):gsub("%$(%w+)", { name = "Ada" }) log.info(s .. n)`, "Ada is $age2"},
		{"gsub function", `log.info((("abc"):gsub("%w", function(c) return c:upper() .. "." end)))`, "A.B.C."},
		{"gsub of the empty match", `log.info((("abc"):gsub("", "-")))`, "-a-b-c-"},
		{"gsub anchored", `log.info((("aaa"):gsub("^a", "b")))`, "baa"},
		{"gsub limit", `log.info((("aaa"):gsub("a", "b", 2)))`, "bba"},
		{"frontier", `log.info((("THE (quick) fox"):find("%f[%a]%a+%f[%A]")))`, "1"},
		{"balance", `log.info(("f(a(b)c)d"):match("%b()"))`, "(a(b)c)"},
		{"back reference", `log.info(("say 'hi' now"):match("(['\"])(.-)%1") and "yes")`, "yes"},
		{"set with range and class", `log.info(("x-42_b"):match("[%d_%-]+"))`, "-42_"},
		{"set with a bracket first", `log.info(("a]b"):match("[]]"))`, "]"},
		{"lazy", `log.info(("<a><b>"):match("<(.-)>"))`, "a"},
		{"format", `log.info(string.format("%5.2f|%-4s|%04d|%x|%q|%%", 3.14159, "ab", 42, 255, 'a"b'))`, ` 3.14|ab  |0042|ff|"a\"b"|%`},
		{"rep", `log.info(("ab"):rep(3) .. ("x"):rep(0) .. ("x"):rep(-1))`, "ababab"},
		{"byte char upper len", `log.info(("A"):byte() .. string.char(66) .. ("c"):upper() .. #"four")`, "65BC4"},
		{"table functions", `local t = {3,1,2} table.sort(t) table.insert(t, 9) log.info(table.concat(t, ",") .. #t)`, "1,2,3,94"},
		{"math", `log.info(math.floor(3.7) .. math.max(1, 5) .. tostring(math.huge > 1e308))`, "35true"},
		{"os.time and date", `log.info(os.date("!%Y-%m-%d", 86400))`, "1970-01-02"},
		{"coroutines", `local co = coroutine.wrap(function(a) local b = coroutine.yield(a + 1) return b * 2 end) log.info(co(1) .. "," .. co(10))`, "2,20"},
		{"pcall returns what was raised", `local ok, e = pcall(error, { code = 7 }) log.info(tostring(ok) .. e.code)`, "false7"},
		{"xpcall", `log.info(select(2, xpcall(function() error("boom", 0) end, function(e) return "handled " .. e end)))`, "handled boom"},
		{"error levels", `local function f() error("bad", 2) end log.info(select(2, pcall(function() f() end)))`, "main.lua:1: bad"},
		{"goto, repeat, vararg", `local n = 0 ::top:: n = n + 1 if n < 3 then goto top end log.info(n .. select("#", 1, nil, 3))`, "33"},
		{"shebang", "#!/usr/bin/lua\nlog.info('ran')", "ran"},
		{"globals are the call's own", `x = (x or 0) + 1 log.info(x)`, "1"},
		{"a library may be changed, for this call", `string.shout = function(s) return s .. "!" end log.info(string.shout("hey"))`, "hey!"},
		{"_G", `y = 5 log.info(_G.y .. tostring(_G.string == string))`, "5true"},
		{"print", `print("a", 1, nil)`, "a\t1\tnil"},
		{"tostring of the call", `log.info((tostring(call):match("^call %x+")) and "ok")`, "ok"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": tt.script}, nil)
				b.run("main")
				if got := b.log.messages(); len(got) != 1 || got[0] != tt.want {
					t.Errorf("logged %q, want %q\n%s", got, tt.want, b.log)
				}
			})
		})
	}
}

// What a sandboxed script cannot do, each with the error that tells.
func TestSandbox(t *testing.T) {
	for _, name := range []string{"io", "debug", "package", "channel", "dofile", "loadfile", "load", "loadstring", "module", "newproxy",
		"_printregs", "getfenv", "setfenv", "os.execute", "os.exit", "os.getenv", "os.remove", "os.rename", "os.tmpname", "os.setlocale", "os.setenv",
		"math.randomseed", "string.dump"} {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": `log.info(tostring(` + name + `))`}, nil)
				b.run("main")
				if got := b.log.messages(); !slices.Equal(got, []string{"nil"}) {
					t.Errorf("%s is %q", name, got)
				}
			})
		})
	}
	tests := []struct{ name, script, want string }{
		{"metatable of strings", `log.info(tostring(getmetatable("")))`, "protected"},
		{"metatable of the globals", `log.info(tostring(getmetatable(_G)))`, "protected"},
		{"metatable of the call", `log.info(tostring(getmetatable(call)))`, "protected"},
		{"setting the metatable of the globals", `log.info((pcall(setmetatable, _G, {})) and "set" or "refused")`, "refused"},
		{"methods of strings stay the shared ones", `string.upper = nil log.info(("a"):upper())`, "A"},
		{"the call cannot be assigned to", `log.info(select(2, pcall(function() call.answer = nil end)))`, "main.lua:1: call.answer cannot be assigned; channel variables are set with call:set(name, value)"},
		{"a verb that does not exist", `log.info(select(2, pcall(function() call:anser() end)))`, "main.lua:1: call has no verb or field `anser`, did you mean `answer`?"},
		{"an option that does not exist", `log.info(select(2, pcall(function() call:playback("x", { terminator = "#" }) end)))`, "main.lua:1: playback: unknown option `terminator`, did you mean `terminators`?"},
		{"a dot instead of a colon", `log.info(select(2, pcall(function() call.answer() end)))`, "main.lua:1: use a colon: call:answer(…), not call.answer(…)"},
		{"an argument of the wrong type", `log.info(select(2, pcall(function() call:playback({}) end)))`, "main.lua:1: playback: argument `file` must be a string or a list of strings, not a table"},
		{"an argument that is missing", `log.info(select(2, pcall(function() call:sleep() end)))`, "main.lua:1: sleep: argument `time` is missing; it takes sleep(time)"},
		{"an option of the wrong type", `log.info(select(2, pcall(function() call:playback("x", { loops = "many" }) end)))`, "main.lua:1: playback: option `loops` must be a whole number, not \"many\""},
		{"a duration that is none", `log.info(select(2, pcall(function() call:sleep("soon") end)))`, "main.lua:1: sleep: argument `time` must be milliseconds or a string such as \"20s\", not \"soon\""},
		{"too many arguments", `log.info(select(2, pcall(function() call:answer(1) end)))`, "main.lua:1: answer: too many arguments; it takes answer()"},
		{"a variable's name with =", `log.info(select(2, pcall(function() call:set("a=b", 1) end)))`, "main.lua:1: set: a variable's name cannot hold \"=\""},
		{"a NUL byte", `log.info(select(2, pcall(function() call:playback("a\0b") end)))`, "main.lua:1: argument of playback holds a NUL byte, where the switch would end it"},
		{"a dial string as a target", `log.info((select(2, pcall(function() call:bridge("user/1,user/2") end)):gsub(": give.*", "")))`, "main.lua:1: bridge: the target \"user/1,user/2\" is no single address"},
		{"a ring time in seconds", `log.info(select(2, pcall(function() call:bridge("user/1", { ring = 20 }) end)))`, "main.lua:1: bridge: option `ring` is 20ms; write \"20s\" for twenty seconds"},
		{"transfer to two words", `log.info(select(2, pcall(function() call:transfer("1 XML evil") end)))`, "main.lua:1: transfer: argument `extension` must be one word, without spaces or line breaks, not \"1 XML evil\""},
		{"api with a line break", `log.info((select(2, pcall(function() call:api("status", "x\n\napi shutdown") end)):gsub(",.*", "")))`, "main.lua:1: api arguments holds a line break or a NUL byte"},
		{"require of nothing", `log.info(select(2, pcall(require, "no.such")))`, "main.lua:1: require \"no.such\": there is no script no/such.lua and no module of that name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": tt.script}, nil)
				b.run("main")
				if got := b.log.messages(); len(got) != 1 || got[0] != tt.want {
					t.Errorf("logged\n  %q, want\n  %q\n%s", got, tt.want, b.log)
				}
			})
		})
	}
}

// Scripts that take too much are stopped, the error says what and where, and a call beside
// them does not notice.
func TestLimits(t *testing.T) {
	tests := []struct{ name, script, want string }{
		{"loop", "while true do end", "computes for too long"},
		{"loop behind pcall", "while true do pcall(function() while true do end end) end", "computes for too long"},
		{"loop in a coroutine", "coroutine.wrap(function() while true do end end)()", "computes for too long"},
		{"loop in coroutines without end", "while true do coroutine.wrap(function() end)() end", "computes for too long"},
		{"loop in a metamethod", "local t = setmetatable({}, { __index = function() while true do end end }) return t.x", "computes for too long"},
		{"loop in a sort", "local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() while true do end end)", "computes for too long"},
		{"loop in gsub", `("x"):gsub("x", function() while true do end end)`, "computes for too long"},
		{"pattern that backtracks", `("a"):rep(40):find(("a*"):rep(30) .. "b")`, "computes for too long"},
		{"strings that double", `local s = "x" while true do s = s .. s end`, "string of"},
		{"string.rep", `local s = ("x"):rep(1e9)`, "string of"},
		{"gsub that grows", `local s = "x" while true do s = s:gsub(".", "%0%0") end`, "string of"},
		{"table.concat that grows", `local t = {} for i = 1, 1000 do t[i] = ("x"):rep(5000) end local s = table.concat(t)`, "string of"},
		{"strings in a table", `local t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end`, "too much memory"},
		{"strings in an upvalue", `local t = {} local function f() t[#t + 1] = ("x"):rep(10000) .. #t end while true do f() end`, "too much memory"},
		{"strings in a global", `t = {} while true do t[#t + 1] = ("x"):rep(10000) .. #t end`, "too much memory"},
		{"strings in a list", `local l while true do l = { l, ("x"):rep(10000) .. "y" } end`, "too much memory"},
		{"tables in tables", `local t = {} while true do t[#t + 1] = {} end`, "too much memory"},
		{"numbers in a table", `local t = {} local i = 0 while true do i = i + 1 t[i] = i end`, "too much memory"},
		{"arrays with one far element", `local t = {} while true do local a = {} a[1000000] = 1 t[#t + 1] = a end`, "too much memory"},
		{"coroutines in a table", `local t = {} while true do t[#t + 1] = coroutine.create(function() end) end`, "too much memory"},
		{"recursion", "local function f() return 1 + f() end f()", "calls itself without end"},
		{"recursion through pcall", "local function f() pcall(f) error('x') end f()", "x"},
		{"unpack", "unpack({}, 1, 1e7)", "stack is full"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, map[string]string{"main": tt.script, "other": `call:answer() call:playback("a.wav") log.info("other done")`}, func(c *engine.Config) {
				c.Limits.Memory = 16 << 20
				c.Limits.CPU = time.Minute // where it is not what stops the script
				if tt.want == "computes for too long" {
					c.Limits.CPU = 100 * time.Millisecond
				}
			})
			b.sw.Sounds = func(string) (time.Duration, bool) { return 10 * time.Millisecond, true }
			other := b.start("other")
			c := b.start("main")
			b.finish(c)
			b.finish(other)
			e, ok := b.log.find("script error", c.UUID)
			if !ok || !strings.Contains(e.attrs["error"], tt.want) {
				t.Errorf("logged %v, want an error with %q", e, tt.want)
			}
			if !strings.HasPrefix(e.attrs["at"], "main.lua:1") {
				t.Errorf("the error is said to be at %q", e.attrs["at"])
			}
			if !slices.Contains(b.log.messages(), "other done") {
				t.Errorf("the other call was disturbed\n%s", b.log)
			}
			if c.Variable("hangup_cause") != "NORMAL_TEMPORARY_FAILURE" {
				t.Errorf("the caller got %q", c.Variable("hangup_cause"))
			}
		})
	}
}

// A hangup ends the script wherever it is, pcall or not, and then its handlers run.
func TestHangupUnwinds(t *testing.T) {
	wrap := map[string]string{
		"plain":     `%s`,
		"pcall":     `pcall(function() %s end) log.info("went on")`,
		"pcalls":    `while true do pcall(pcall, function() %s end) end`,
		"xpcall":    `xpcall(function() %s end, function() log.info("handler ran") end) log.info("went on")`,
		"coroutine": `local co = coroutine.create(function() %s end) coroutine.resume(co) log.info("went on")`,
		"wrap":      `local f = coroutine.wrap(function() %s end) pcall(f) log.info("went on")`,
		"require":   `pcall(require, "lib") log.info("went on")`,
	}
	for name, outer := range wrap {
		t.Run(name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				inner := `call:playback("long.wav") log.info("went on")`
				b := newBench(t, map[string]string{
					"main": `call:on("hangup", function(cause) log.info("hook " .. cause .. " " .. call:get("hangup_cause")) end)
call:answer() ` + strings.Replace(outer, "%s", inner, 1),
					"lib": inner,
				}, nil)
				b.sw.Sounds = func(string) (time.Duration, bool) { return time.Hour, true }
				c := b.start("main")
				time.AfterFunc(3*time.Second, func() { c.Hangup("ORIGINATOR_CANCEL") })
				b.finish(c)
				if got := b.log.messages(); !slices.Equal(got, []string{"hook ORIGINATOR_CANCEL ORIGINATOR_CANCEL"}) {
					t.Errorf("logged %q\n%s", got, b.log)
				}
				if e, _ := b.log.find("call ended", c.UUID); e.attrs["ending"] != "caller hung up" || e.attrs["cause"] != "ORIGINATOR_CANCEL" {
					t.Errorf("ended as %v", e.attrs)
				}
			})
		})
	}
}

// The script's own hangup and the end of the script run the handlers too; a transfer does not.
func TestEndings(t *testing.T) {
	tests := []struct {
		name, script string
		ending       string
		kind         simulator.OutcomeKind
		cause        string
		hook         bool
	}{
		{"return", ``, "returned", simulator.HungUpOutcome, "NORMAL_CLEARING", true},
		{"hangup", `call:hangup()`, "hung up by script", simulator.HungUpOutcome, "NORMAL_CLEARING", true},
		{"hangup with a cause", `call:hangup("user_busy")`, "hung up by script", simulator.HungUpOutcome, "USER_BUSY", true},
		{"hangup inside pcall", `pcall(function() call:hangup("CALL_REJECTED") end) log.info("went on")`, "hung up by script", simulator.HungUpOutcome, "CALL_REJECTED", true},
		{"transfer", `call:transfer("2000", "XML", "default") log.info("went on")`, "transferred", simulator.TransferredOutcome, "", false},
		{"error", `error("oops")`, "script error", simulator.HungUpOutcome, "NORMAL_TEMPORARY_FAILURE", true},
		{"unknown application", `call:execute("nosuchapp") log.info("went on")`, "caller hung up", simulator.HungUpOutcome, "DESTINATION_OUT_OF_ORDER", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": `call:on("hangup", function() log.info("hook") end) ` + tt.script}, nil)
				c := b.start("main")
				out := b.finish(c)
				if out.Kind != tt.kind || tt.cause != "" && out.Cause != tt.cause {
					t.Errorf("the switch saw %v", out)
				}
				e, _ := b.log.find("call ended", c.UUID)
				if e.attrs["ending"] != tt.ending || tt.hook && e.attrs["cause"] != tt.cause {
					t.Errorf("ended as %v", e.attrs)
				}
				want := []string(nil)
				if tt.hook {
					want = []string{"hook"}
				}
				if got := b.log.messages(); !slices.Equal(got, want) {
					t.Errorf("logged %q, want %q", got, want)
				}
			})
		})
	}
}

// An error carries the script's own file, line and traceback; one in a handler is logged and
// stops nothing else; a handler has its time and no more.
func TestScriptErrors(t *testing.T) {
	b := newBench(t, map[string]string{
		"main": `local lib = require("lib.deep")
call:on("hangup", function() local x = nil; x.y = 1 end)
call:on("hangup", function() while true do end end)
call:on("hangup", function() log.info("not reached") end)
local function outer()
  lib.fail()
end
outer()
`,
		"lib/deep": `local M = {}
function M.fail()
  error("no such account")
end
return M
`,
	}, func(c *engine.Config) { c.Limits.Hangup, c.Limits.CPU = 200*time.Millisecond, time.Minute })
	c := b.run("main")
	e, _ := b.log.find("script error", c.UUID)
	if e.attrs["error"] != "no such account" || e.attrs["at"] != "lib/deep.lua:3" {
		t.Errorf("logged %v", e.attrs)
	}
	for _, line := range []string{"lib/deep.lua:3", "main.lua:6", "main.lua:8"} {
		if !strings.Contains(e.attrs["traceback"], line) {
			t.Errorf("the traceback lacks %s:\n%s", line, e.attrs["traceback"])
		}
	}
	if e, ok := b.log.find("error in a hangup handler", c.UUID); !ok || e.attrs["at"] != "main.lua:2" {
		t.Errorf("logged %v", e)
	}
	if _, ok := b.log.find("the hangup handlers took too long and were stopped", c.UUID); !ok {
		t.Errorf("the handler that loops was not stopped\n%s", b.log)
	}
	if got := b.log.messages(); slices.Contains(got, "not reached") {
		t.Errorf("logged %q", got)
	}
}

// require runs a script once for a call, finds dotted names, and tells of circles.
func TestRequire(t *testing.T) {
	simulated(t, testRequire)
}

func testRequire(t *testing.T) {
	b := newBench(t, map[string]string{
		"main":     `local a, b = require("lib.a"), require("lib/a") log.info(tostring(a == b) .. a.n .. tostring(require("empty")) .. tostring(require("log") == log))`,
		"lib/a":    `log.info("loaded " .. ...) return { n = 1 }`,
		"empty":    `-- nothing to return`,
		"circle":   `log.info(select(2, pcall(require, "circle2")))`,
		"circle2":  `require("circle3")`,
		"circle3":  `local name = "circle2" require(name)`,
		"failing":  `for i = 1, 2 do log.info(select(2, pcall(require, "failing2"))) end`,
		"failing2": `error("each time")`,
	}, nil)
	b.run("main")
	if got, want := b.log.messages(), []string{"loaded lib.a", "true1truetrue"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q\n%s", got, want, b.log)
	}
	b.log.clear()
	b.run("circle")
	if got := b.log.messages(); len(got) != 1 || !strings.Contains(got[0], "it requires itself") {
		t.Errorf("logged %q", got)
	}
	b.log.clear()
	b.run("failing")
	if got := b.log.messages(); len(got) != 2 || !strings.Contains(got[1], "failing2.lua:1: each time") {
		t.Errorf("logged %q", got)
	}
}

func (r *records) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = nil
}

// A loop ends where its break says, however loops are nested: compared with breaks that nothing takes for a jump.
func TestBreaks(t *testing.T) {
	var block func(r *rand.Rand, depth int) string
	block = func(r *rand.Rand, depth int) string {
		var b strings.Builder
		for range 1 + r.IntN(3) {
			if depth == 0 {
				fmt.Fprintf(&b, "out(%d) ", r.IntN(100))
				continue
			}
			inner := block(r, depth-1)
			if r.IntN(2) == 0 {
				inner = "BREAK " + inner
			} else if r.IntN(2) == 0 {
				inner += " BREAK"
			}
			switch r.IntN(5) {
			case 0:
				fmt.Fprintf(&b, "for _ in upto(2) do %s end ", inner)
			case 1:
				fmt.Fprintf(&b, "for i = 1, 2 do %s end ", inner)
			case 2:
				fmt.Fprintf(&b, "do local n = 0 while n < 2 do n = n + 1 %s end end ", inner)
			case 3:
				fmt.Fprintf(&b, "while true do %s break end ", strings.ReplaceAll(inner, "BREAK", ""))
			default:
				fmt.Fprintf(&b, "do local n = 0 repeat n = n + 1 %s until n > 1 end ", inner)
			}
		}
		return b.String()
	}
	simulated(t, func(t *testing.T) {
		var script strings.Builder
		script.WriteString(`local yes, s = true
local function out(n) s = s .. n .. " " end
local function upto(n) local i = 0 return function() i = i + 1 if i <= n then return i end end end
local function same(a, b)
  s = "" a() local first = s
  s = "" b()
  if s ~= first then log.info("differs") end
end
`)
		for seed := range uint64(300) {
			text := block(rand.New(rand.NewPCG(seed, 1)), 3)
			fmt.Fprintf(&script, "same(function() %s end, function() %s end)\n", strings.ReplaceAll(text, "BREAK", "do break end"), strings.ReplaceAll(text, "BREAK", "if yes then break end"))
		}
		b := newBench(t, map[string]string{"main": script.String()}, nil)
		b.run("main")
		if e, ok := b.log.find("script error", ""); ok {
			t.Error(e.attrs)
		}
		if got := b.log.messages(); len(got) > 0 {
			t.Errorf("%d of 300 differ", len(got))
		}
	})
}
