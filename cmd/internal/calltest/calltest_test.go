package calltest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"callisto/engine"
	"callisto/luabind"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// project writes files, and makes a library of the scripts among them. The tests are below its root.
func project(t *testing.T, files map[string]string) (*engine.Library, string) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := *engine.DefaultConfig()
	if _, ok := files["config.toml"]; ok {
		loaded, err := engine.LoadConfig(filepath.Join(dir, "config.toml"))
		if err != nil {
			t.Fatal(err)
		}
		config = *loaded
	}
	config.Scripts.Root = dir
	config.Scripts.Watch = engine.WatchAuto
	library, err := engine.NewLibrary(t.Context(), &config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return library, dir
}

// run runs all tests of files, and returns what is printed, without what depends on the machine.
func run(t *testing.T, files map[string]string, o Options) (*Report, string) {
	t.Helper()
	library, dir := project(t, files)
	return runLibrary(t, library, dir, o)
}

func runLibrary(t *testing.T, library *engine.Library, dir string, o Options) (*Report, string) {
	t.Helper()
	var out strings.Builder
	p := Printer{Out: &out}
	o.Tell = p.File
	r, err := Run(t.Context(), library, o)
	if err != nil {
		t.Fatal(err)
	}
	p.Report(r)
	text := strings.ReplaceAll(out.String(), filepath.ToSlash(dir)+"/", "")
	return r, regexp.MustCompile(`in \d+\.\d\ds`).ReplaceAllString(text, "in #s")
}

// menu is a script that does a little of everything.
const menu = `call:answer()
local digits, why = call:gather { prompt = "ivr/menu.wav", max = 1, tries = 2, timeout = "5s" }
log.info("chose", { digits = digits, why = why })
if digits == "1" then
  local leg = call:bridge("user/1001", { ring = "20s" })
  log.warn("bridge", { answered = leg.answered, cause = leg.cause })
elseif digits == "2" then
  call:transfer("2000")
elseif digits == "3" then
  call:speak("You said " .. (call:gather { speech = { engine = "unimrcp", grammar = "yesno" }, prompt = "ivr/ask.wav" } or "nothing"), { engine = "flite", voice = "kal" })
elseif digits == "4" then
  call:record("/tmp/message.wav", { max = "10s" })
elseif digits == "5" then
  call:sleep("30m")
elseif digits == "6" then
  error("six")
elseif digits == "7" then
  while true do end
elseif digits == "8" then
  while true do call:sleep("10s") end
end
call:set("chosen", digits or "nothing")
call:playback("ivr/goodbye.wav")
call:hangup("USER_BUSY")
`

// Each step and each assertion, when it holds and when it does not, with what is said then.
func TestAssertions(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, body string
		want       []string // of the failures; none: it passes
	}{
		{name: "hears a file", body: `caller:hears("ivr/menu.wav")`},
		{name: "hears the end of a path", body: `caller:hears("menu.wav")`},
		{name: "does not hear part of a name", body: `caller:hears("enu.wav", { within = "3s" })`,
			want: []string{"the caller does not hear enu.wav within 3s: heard instead: ivr/menu.wav"}},
		{name: "hears in order", body: `caller:press("5") caller:hears("goodbye.wav") caller:hears("menu.wav")`,
			want: []string{"the caller does not hear menu.wav, and the call is over (hung up by script, USER_BUSY): heard instead: nothing"}},
		{name: "hears the same again", body: `caller:hears("menu.wav") caller:hears("menu.wav") caller:hears("goodbye.wav")`},
		{name: "hears nothing", body: `caller:hears("")`, want: []string{"hears what? Name a file, or a text"}},
		{name: "hears speech", body: `caller:press("3") caller:hears("ask.wav") caller:says("yes") caller:hears("you said yes")`},
		{name: "presses", body: `caller:press("5") caller:ends() expect(caller.pressed):is("5")`},
		{name: "presses no key", body: `caller:press("hash")`, want: []string{`press: the keys are 0 to 9, *, # and A to D, not "hash"`}},
		{name: "presses when it is over", body: `caller:hangs_up() caller:press("1")`,
			want: []string{"the caller cannot press 1: the call is over (caller hung up, NORMAL_CLEARING)"}},
		{name: "says when it is over", body: `caller:hangs_up() caller:says("yes")`,
			want: []string{`the caller cannot say "yes": the call is over (caller hung up, NORMAL_CLEARING)`}},
		{name: "hangs up twice", body: `caller:hangs_up() caller:hangs_up()`,
			want: []string{"the caller cannot hang up: the call is over (caller hung up, NORMAL_CLEARING)"}},
		{name: "waits", body: `caller:press("5") caller:waits("29m") expect(caller.up):is(true) caller:waits("2m") expect(caller.up):is(false) expect(caller.seconds):is_above(1800)`},
		{name: "ends", body: `caller:press("5") caller:ends() expect(caller.ending):is("hung up by script") expect(caller.cause):is("USER_BUSY")`},
		{name: "does not end", body: `caller:press("8") caller:ends { within = "1m" }`, want: []string{"the call has not ended within 1m"}},
		{name: "fails", body: `caller:press("6") caller:fails("six") expect(caller.error):is("menu.lua:16: six") expect(caller.ending):is("script error")`},
		{name: "fails in another way", body: `caller:press("6") caller:fails("seven")`,
			want: []string{"the script raised an error: menu.lua:16: six", `the script raised another error than "seven": menu.lua:16: six`}},
		{name: "does not fail", body: `caller:fails()`, want: []string{"the script raised no error: hung up by script, USER_BUSY"}},
		{name: "an error nobody expects", body: `caller:press("6") caller:ends()`, want: []string{"the script raised an error: menu.lua:16: six"}},
		{name: "a script that computes without end", body: `caller:press("7") caller:ends()`,
			want: []string{"the script raised an error: menu.lua:18: the script computes for too long without waiting: more than 200ms (limits.cpu)"}},
		{name: "dialled", body: `caller:press("1") caller:ends() expect(caller.dialled):is { "user/1001" } expect(caller.log):is { "chose", "bridge" }`},
		{name: "not dialled", body: `caller:press("1") caller:ends() expect(caller.dialled):is { "user/1002" }`,
			want: []string{`expected { "user/1002" }, not { "user/1001" }`}},
		{name: "busy", body: `test.leg("user/1001", "busy") caller:press("1") caller:hears("goodbye.wav") expect(caller.seconds):is_below(3)`},
		{name: "no answer", body: `test.leg("user/*", "no_answer") caller:press("1") caller:hears("goodbye.wav") expect(caller.seconds):is_above(19)`},
		{name: "a cause", body: `test.leg("user/1001", { cause = "CALL_REJECTED" }) caller:press("1") caller:hears("goodbye.wav")`},
		{name: "answers", body: `test.leg("user/1001", { answers_after = "9s", talks = "1m" }) caller:press("1") caller:hears("goodbye.wav") expect(caller.seconds):is_above(69)`},
		{name: "keys of who answers that are none", body: `test.leg("user/1001", { presses = "hash" })`, want: []string{`test.leg: the keys are 0 to 9, *, # and A to D, not "hash"`}},
		{name: "keys of who does not answer", body: `test.leg("user/1001", "busy", { presses = "1" })`, want: []string{"test.leg: `presses` is for who answers"}},
		{name: "a leg that does what is not known", body: `test.leg("user/1001", "bussy")`,
			want: []string{`test.leg: "bussy" is none of answers, busy, no_answer or a cause such as CALL_REJECTED, did you mean busy?`}},
		{name: "transferred", body: `caller:press("2") caller:ends() expect(caller.transferred):is("2000")`},
		{name: "not transferred", body: `caller:ends() expect(caller.transferred):is("2000")`, want: []string{`expected "2000", not nil`}},
		{name: "recorded", body: `caller:press("4") caller:ends() expect(caller.recorded):is { "/tmp/message.wav" }`},
		{name: "variables", body: `caller:press("5") caller:ends() expect(caller.vars.chosen):is("5") expect(caller.vars.other):is(nil)`},
		{name: "executed", body: `caller:hears("menu.wav") expect(caller.executed):contains("answer") expect(caller.answered):is(true) expect(caller.script):is("menu")`},
		{name: "played and said", body: `caller:press("3") caller:ends() expect(caller.played):contains("ivr/ask.wav") expect(#caller.said):is(1) expect(#caller.heard):is(4)`},
		{name: "is", body: `expect(1):is(2)`, want: []string{"expected 2, not 1"}},
		{name: "is, tables", body: `expect { a = { 1, 2 }, b = "x" }:is { b = "x", a = { 1, 2 } }`},
		{name: "is, not the same table", body: `expect { a = { 1, 2 } }:is { a = { 1 }, ["b c"] = true }`, want: []string{`expected { ["b c"] = true, a = { 1 } }, not { a = { 1, 2 } }`}},
		{name: "is_not", body: `expect(1):is_not(2) expect(nil):is_not(nil)`, want: []string{"expected something else than nil"}},
		{name: "contains", body: `expect("abc"):contains("b") expect { "x" }:contains("x") expect { "x" }:contains("y")`, want: []string{`expected { "x" } to contain "y"`}},
		{name: "lacks", body: `expect("abc"):lacks("d") expect("abc"):lacks("c")`, want: []string{`expected "abc" not to contain "c"`}},
		{name: "matches", body: `expect("abc"):matches("^a.c$") expect("abd"):matches("^a.c$")`, want: []string{`expected "abd" to match ^a.c$`}},
		{name: "is_above", body: `expect(2):is_above(1) expect("2"):is_above(1)`, want: []string{`expected more than 1, not "2"`}},
		{name: "is_below", body: `expect(1):is_below(2) expect(2):is_below(2)`, want: []string{"expected less than 2, not 2"}},
		{name: "an assertion that is none", body: `expect(1):equals(1)`,
			want: []string{"an expectation has no method or field `equals`; it has is, is_not, contains, lacks, is_above, is_below and matches"}},
		{name: "no such script", body: `test.call { script = "menue" }`, want: []string{`test.call: there is no script menue, did you mean menu?`}},
		{name: "a broken script", body: `test.call { script = "broken" }`, want: []string{`test.call: broken.lua:2: syntax error at the end of the file: something before is not closed`}},
		{name: "no such mode", body: `test.call { script = "menu", mode = "sync" }`,
			want: []string{`test.call: the mode "sync": its words are async and full, either, both, or none`}},
		{name: "an unknown option", body: `test.call { scripts = "menu" }`, want: []string{"test.call: unknown option `scripts`, did you mean `script`?"}},
		{name: "call", body: `call:answer()`, want: []string{`a test file has no call: caller = test.call{ script = "menu" } makes one`}},
		{name: "a describe in a test", body: `describe("x", function() end)`, want: []string{"describe: belongs into a file or a describe, not into a test"}},
		{name: "an error of the test", body: `error("mine")`, want: []string{"mine"}},
		{name: "a caller who is left", body: `caller:hears("menu.wav")`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, out := run(t, map[string]string{
				"menu.lua": menu, "broken.lua": "if true then\n",
				"menu_test.lua": "it(\"works\", function()\n  local caller = test.call { script = \"menu\" }\n  " + test.body + "\nend)\n",
			}, Options{})
			var got []string
			for _, f := range r.Files[0].Tests[0].Failures {
				got = append(got, f.Message)
				if f.Line != 3 && !strings.HasPrefix(f.Message, "the script raised an error") {
					t.Errorf("at line %d, not 3", f.Line)
				}
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, out)
			}
		})
	}
}

// A failure shows the line of the test, and the call as it went, with the moment of the failure.
func TestPrintedFailure(t *testing.T) {
	t.Parallel()
	_, out := run(t, map[string]string{"menu.lua": menu, "menu_test.lua": `describe("menu", function()
  local caller
  before_each(function() caller = test.call { script = "menu", number = "+4670" } end)
  after_each(function() caller:waits("1s") end)
  it("connects", function()
    caller:hears("menu.wav")
    caller:press("1")
    caller:hears("support.wav")
  end)
  describe("late", function()
    it("passes", function() caller:ends() end)
  end)
end)
`}, Options{})
	want := `FAIL  menu_test.lua  1 of 2 tests failed

  FAIL  menu: connects  (menu_test.lua:5)
    menu_test.lua:8: the caller does not hear support.wav, and the call is over (hung up by script, USER_BUSY): heard instead: ivr/goodbye.wav
      | caller:hears("support.wav")

    the call as it went:
        0.00s  call     +4670 calls 9000 and runs menu
        0.02s  switch   answer
        0.04s  switch   unset read_terminator_used
        0.04s  switch   read 1 1 ivr/menu.wav callisto_digits 5000 # 3000
        0.04s  hears    ivr/menu.wav
        0.06s  presses  1
        0.08s  info     chose digits=1 why=digits  (menu.lua:3)
        0.10s  switch   set call_timeout=20
        0.10s  switch   set continue_on_fail=true
        0.10s  switch   set hangup_after_bridge=false
        0.10s  switch   bridge user/1001
        0.10s  dials    user/1001
        2.10s  leg      user/1001 answers
        2.10s  talks    with user/1001
        7.10s  leg      user/1001 hangs up: NORMAL_CLEARING
        7.14s  warn     bridge answered=true cause=NORMAL_CLEARING  (menu.lua:6)
        7.16s  switch   unset call_timeout
        7.16s  switch   set chosen=1
        7.16s  hears    ivr/goodbye.wav
        8.20s  ends     USER_BUSY
  >     8.20s  FAILED   menu_test.lua:8: the caller does not hear support.wav, and the call is over (hung up by script, USER_BUSY): heard instead: ivr/goodbye.wav

1 failed, 1 passed: 23.36s of calls in #s
`
	if diff := cmp.Diff(want, out); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What a script finds when the store of kv is gone, or slow; the test looks into it all the same.
func TestStoreIs(t *testing.T) {
	t.Parallel()
	r, out := run(t, map[string]string{
		"count.lua": `local n, why = kv.incr("n") log.info(n or why)
log.info(select(2, kv.get("n")) or "read") log.info(select(2, kv.set("x", 1)) or "written") log.info(select(2, kv.add("y", 1)) or "added")
log.info(select(2, kv.delete("y")) or "deleted") log.info(select(2, kv.list("")) or "listed")`,
		"count_test.lua": `local function counts()
  local caller = test.call { script = "count" }
  caller:ends()
  return caller
end
it("is there", function()
  expect(counts().log):is { "1", "read", "written", "added", "deleted", "listed" }
  expect(kv.list("")):is { "n", "x" }
end)
it("is gone", function()
  test.store("gone")
  kv.set("n", 4)
  local caller = counts()
  for _, i in ipairs { 1, 3, 5, 7, 9, 11 } do expect(caller.log[i]):is("a module's function failed") expect(caller.log[i + 1]):is("refused") end
  expect(kv.get("n")):is(4)
end)
it("is slow", function()
  test.store("slow")
  local caller = counts()
  expect(caller.log[2]):is("timeout")
  expect(caller.seconds):is_above(17)
end)
it("is nothing else", function() test.store("lost") end)
`,
	}, Options{})
	if r.Passed != 3 || !strings.Contains(out, "store: argument `how` must be one of gone, slow") {
		t.Error(out)
	}
}

// Where a call is in a flow is in its story, but not how Callisto keeps that on the switch.
func TestFlowStory(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"async full", "async", "none"} {
		r, out := run(t, map[string]string{
			"shop.lua": `return flow {
  start = "greet",
  greet = flow.playback { "hello.wav", next = "ask" },
  ask = flow.menu { prompt = "menu.wav", tries = 1, keys = { ["1"] = "look" }, otherwise = "bye" },
  look = flow.run { to = { "bye" }, function(call, data) return data.order.id end },
  bye = flow.hangup {},
}`,
			"shop_test.lua": `it("x", function()
  local caller = test.call { script = "shop", mode = "` + mode + `" }
  caller:hears("menu.wav")
  caller:press("1")
  caller:fails("key 'id'")
  for _, application in ipairs(caller.executed) do expect(application):lacks("callisto_flow") end
  error("here is the story")
end)`}, Options{})
		if f := r.Files[0].Tests[0].Failures; len(f) != 1 || f[0].Message != "here is the story" || strings.Contains(out, "callisto_flow") || strings.Contains(out, "socket_resume") {
			t.Errorf("%s:\n%s", mode, out)
		}
		for _, want := range []string{
			"  0.00s  step     shop: greet\n", "  step     shop: greet → next\n", "  step     shop: ask\n", "  presses  1\n",
			"  step     shop: ask → 1\n", "  step     shop: look\n", "  step     shop: look → (error)\n",
		} {
			_, rest, ok := strings.Cut(out, want)
			if !ok {
				t.Errorf("%s: want %q in its order in\n%s", mode, want, out)
			}
			out = rest
		}
	}
}

// Who is called presses keys, too; and a leg that is not bridged was dialled all the same.
func TestLegPresses(t *testing.T) {
	t.Parallel()
	r, out := run(t, map[string]string{
		"offer.lua": `call:answer()
local leg = call:originate("user/1001")
log.info(leg:gather { prompt = "ivr/take.wav", max = 2 } or "nothing")`,
		"offer_test.lua": `it("takes it", function()
  test.leg("user/1001", { presses = "12", talks = "1m" })
  local caller = test.call { script = "offer" }
  caller:ends()
  expect(caller.log):is { "12" }
  expect(caller.dialled):is { "user/1001" }
  expect(caller.pressed):is("")
end)
`,
	}, Options{})
	if !r.Passes(1) {
		t.Error(out)
	}
}

// The order of all that happens is the same each time, however many tests run at once.
func TestSameEachTime(t *testing.T) {
	t.Parallel()
	files := map[string]string{"menu.lua": menu}
	var tests strings.Builder
	for i := range 60 {
		fmt.Fprintf(&tests, "it(\"call %d\", function()\n  local caller = test.call { script = \"menu\" }\n  caller:press(\"%d\")\n  caller:hears(\"nothing of this\")\nend)\n", i, []int{1, 2, 3, 4, 5, 9}[i%6])
	}
	files["many_test.lua"] = tests.String()
	library, dir := project(t, files)
	var first string
	for i := range 3 {
		r, out := runLibrary(t, library, dir, Options{Parallel: 1 + 8*i})
		if r.Failed != 60 {
			t.Fatalf("%d failed\n%s", r.Failed, out)
		}
		if first == "" {
			first = out
		}
		if diff := cmp.Diff(first, out); diff != "" {
			t.Fatalf("run %d differs:\n%s", i, diff)
		}
	}
	files = map[string]string{"menu.lua": menu, "one_test.lua": "it(\"x\", function() local c = test.call { script = \"menu\" } c:press(\"1\") c:hears(\"no\") end)"}
	library, dir = project(t, files)
	first = ""
	for range 20 {
		_, out := runLibrary(t, library, dir, Options{})
		if first == "" {
			first = out
		}
		if out != first {
			t.Fatal(cmp.Diff(first, out))
		}
	}
}

// What hangs ends, and says so.
func TestHanging(t *testing.T) {
	t.Parallel()
	scripts := map[string]string{
		"wait.lua":  `call:answer() while true do call:sleep("1h") end`,
		"flood.lua": `call:answer() while true do call:set("x", "1") call:playback("silence_stream://20") end`,
	}
	for _, test := range []struct {
		name, test string
		timeout    time.Duration
		limits     luabind.Limits
		want       string
	}{
		{name: "the test computes", test: `it("x", function() while true do end end)`, timeout: 200 * time.Millisecond, want: "the test was stopped: it has taken 200ms of real time (--timeout)"},
		{name: "the file computes", test: `while true do end`, timeout: 200 * time.Millisecond, want: "the test has no time left"},
		{name: "the call does not end", test: `it("x", function() test.call { script = "wait" }:ends() end)`, want: "the call has not ended within 1h"},
		{name: "a flood", test: `it("x", function() test.call { script = "flood" }:ends { within = "24h" } end)`, timeout: 500 * time.Millisecond, want: "the caller waits for the end of the call: the test takes too long, and is stopped here"},
		{name: "a stack", test: `local function f() return 1 + f() end it("x", f)`, want: "a function calls itself without end"},
		{name: "memory", limits: luabind.Limits{Memory: 4 << 20}, test: `it("x", function() local t = {} for i = 1, 1e9 do t[i] = ("x"):rep(100000) .. i end end)`, want: "the script's values take too much memory"},
		{name: "no tests", test: `print("hello")`, want: "none  hang_test.lua"},
		{name: "a broken file", test: "it(\"x\"\n", want: "FAIL  hang_test.lua\n    hang_test.lua:2: syntax error at the end of the file: something before is not closed"},
		{name: "a file that raises", test: `error("oh")`, want: "hang_test.lua:1: oh"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"hang_test.lua": test.test}
			for name, text := range scripts {
				files[name] = text
			}
			if _, out := run(t, files, Options{Timeout: test.timeout, limits: test.limits}); !strings.Contains(out, test.want) {
				t.Errorf("want %q in\n%s", test.want, out)
			}
		})
	}
}

// Nothing of one test is left for the next.
func TestTestsAreApart(t *testing.T) {
	t.Parallel()
	r, out := run(t, map[string]string{
		"keep.lua": `call:answer()`,
		"apart_test.lua": `local n = 0
describe("a", function()
  before_each(function() n = n + 1 end)
  it("one", function() expect(n):is(1) string.x = 1 test.time("2030-01-01 00:00") end)
  it("two", function() expect(n):is(1) expect(string.x):is(nil) expect(os.date("!%Y")):is("2026") end)
end)
it("outside", function() expect(n):is(0) end)
`}, Options{Parallel: 1})
	if !r.Passes(3) {
		t.Error(out)
	}
}

// Passes reports whether n tests have run, and passed.
func (r *Report) Passes(n int) bool { return r.Passed == n && r.Failed == 0 }

// The time that scripts see is what the test says.
func TestTime(t *testing.T) {
	t.Parallel()
	r, out := run(t, map[string]string{
		"hours.lua": `call:answer() log.info(os.date("%A %H:%M")) call:sleep("3h") log.info(os.date("%A %H:%M")) log.info(os.time { year = 2026, month = 12, hour = 21, min = 0, day = 24 } - os.time())`,
		"hours_test.lua": `it("is open", function()
  local caller = test.call { script = "hours", time = "2026-12-24 18:00 Europe/Stockholm" }
  test.time("2026-12-24 20:00 Europe/Stockholm")
  expect(caller.log):is { "Thursday 18:00" }
  caller:ends { within = "1h1m" }
  expect(caller.log):is { "Thursday 18:00", "Thursday 21:00", "0" }
end)
it("does not go back", function()
  test.call { script = "hours", time = "2026-12-24 18:00" }
  test.time("2026-12-24 17:00")
end)
it("knows no such zone", function() test.time("2026-12-24 18:00 Europe/Atlantis") end)
it("knows no such time", function() test.time("Christmas") end)
`}, Options{})
	if r.Passed != 1 {
		t.Error(out)
	}
	for _, want := range []string{
		"hours_test.lua:10: it is 2026-12-24 18:00:00 already: during a call time passes, and never goes back",
		`test.time: the time "2026-12-24 18:00 Europe/Atlantis": there is no zone Europe/Atlantis; zones are called like Europe/Stockholm`,
		`test.time: the time "Christmas" is not like 2026-12-24 18:00 Europe/Stockholm`,
	} {
		if !strings.Contains(out, want) {
			t.Errorf("want %q in\n%s", want, out)
		}
	}
}

// Routes choose the script where the test names none.
func TestRoutes(t *testing.T) {
	t.Parallel()
	library, dir := project(t, map[string]string{
		"main.lua": `call:hangup("USER_BUSY")`,
		"args.lua": `log.info(call.args.lang .. " " .. call.args[1]) log.info(call.vars.color) log.info(call.caller.name)`,
		"route_test.lua": `it("takes the default", function()
  local caller = test.call { destination = "1000" }
  caller:ends()
  expect(caller.script):is("main")
end)
it("has arguments", function()
  local caller = test.call { script = "args", name = "Ada", args = { "vip", lang = "sv" }, vars = { color = "red" } }
  caller:ends()
  expect(caller.log):is { "sv vip", "red", "Ada" }
end)
it("has several callers", function()
  local a, b = test.call { number = "1" }, test.call { number = "2" }
  a:ends() b:ends()
  expect(a.uuid):is_not(b.uuid)
end)
`})
	if r, out := runLibrary(t, library, dir, Options{}); !r.Passes(3) {
		t.Error(out)
	}
}

// Only those whose names match run.
func TestMatch(t *testing.T) {
	t.Parallel()
	r, out := run(t, map[string]string{"a_test.lua": `describe("menu", function() it("one", function() end) it("two", function() error("x") end) end)`}, Options{Match: regexp.MustCompile("menu: one")})
	if !r.Passes(1) {
		t.Error(out)
	}
}

// A cancelled run ends at once.
func TestCancelled(t *testing.T) {
	t.Parallel()
	library, _ := project(t, map[string]string{"w.lua": `call:sleep("1h")`, "w_test.lua": `it("x", function() test.call { script = "w" }:ends() end)`})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	r, err := Run(ctx, library, Options{})
	if err != nil || r.Failed != 1 {
		t.Errorf("%+v, %v", r, err)
	}
}

// What web servers answer is the test's to say; what it has not said fails it.
func TestHTTP(t *testing.T) {
	t.Parallel()
	const script = `call:answer()
local r, why = http.get("https://crm.example.com/customers/7", { timeout = "3s", retries = tonumber(call.args.retries or "0"), expect = "json" })
log.info(r and r.status .. " " .. tostring(r.ok and r:json().vip) or why)
log.info(os.clock())
`
	for _, test := range []struct{ name, body, want string }{
		{name: "an answer", body: `test.http("GET", "https://crm.example.com/*", { status = 200, json = { vip = true } })
  caller:ends() expect(caller.log):is { "200 true", "0" } expect(test.requests()[1].url):is("https://crm.example.com/customers/7")`},
		{name: "one after another", body: `test.http("*", "https://crm.example.com/customers/7", { status = 503 }, { body = '{"vip":1}' })
  caller:ends() expect(caller.log[1]):is("503 false") local again = test.call { script = "crm" } again:ends() expect(again.log[1]):is("200 1") expect(#test.requests()):is(2)`},
		{name: "retries", body: `test.http("GET", "https://*", { status = 503 }, { status = 503 }, "gone", { json = { vip = 2 } })
  caller:waits("1s") local again = test.call { script = "crm", args = { retries = "2" } } again:ends() expect(again.log[1]):is("200 2")`},
		{name: "late", body: `test.http("GET", "https://*", { json = { vip = 3 }, after = "2s" }) caller:ends() expect(caller.log):is { "200 3", "2" }`},
		{name: "too late", body: `test.http("GET", "https://*", { json = { vip = 3 }, after = "4s" }) caller:ends() expect(caller.log):is { "timeout", "3" }`},
		{name: "slow", body: `test.http("GET", "https://*", "slow") caller:ends() expect(caller.log):is { "timeout", "3" }`},
		{name: "gone", body: `test.http("GET", "https://*", "gone") caller:ends() expect(caller.log[1]):is("refused")`},
		{name: "nonsense", body: `test.http("GET", "https://*", "nonsense") caller:ends() expect(caller.log[1]):matches("^bad answer: ")`},
		{name: "hangs up meanwhile", body: `test.http("GET", "https://*", "slow") caller:waits("1s") caller:hangs_up() expect(caller.log):is {} expect(caller.seconds):is_below(1.1)`},
		{name: "nothing said", body: `caller:ends()`,
			want: `GET https://crm.example.com/customers/7: the test does not say what it answers: test.http("GET", "https://crm.example.com/customers/7", { status = 200 })`},
		{name: "another address", body: `test.http("GET", "https://crm.example.com/customers/8", {}) caller:ends()`, want: "the test does not say what it answers"},
		{name: "another method", body: `test.http("POST", "https://crm.example.com/customers/7", {}) caller:ends()`, want: "the test does not say what it answers"},
		{name: "no answer", body: `test.http("GET", "https://*", "late")`, want: `test.http: an answer is a table, "gone", "slow" or "nonsense", not "late"`},
		{name: "an answer with a mistake", body: `test.http("GET", "https://*", { code = 200 })`, want: "test.http: an answer has no `code`"},
		{name: "an answer of the wrong type", body: `test.http("GET", "https://*", { status = "OK" })`, want: "test.http: an answer's `status` is a number from 100 to 599, not \"OK\""},
		{name: "from the test itself", body: `http.get("https://crm.example.com/")`, want: "a test file does not reach outside with http: what its scripts find there is said with test.http"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r, out := run(t, map[string]string{"crm.lua": script,
				"crm_test.lua": "it(\"works\", function()\n  local caller = test.call { script = \"crm\" }\n  " + test.body + "\nend)\n"}, Options{})
			if test.want == "" && !r.Passes(1) || !strings.Contains(out, test.want) {
				t.Errorf("want %q in\n%s", test.want, out)
			}
		})
	}
}

// The store is the test's own, with the call's time; the test sees what its scripts see.
func TestStore(t *testing.T) {
	t.Parallel()
	r, out := run(t, map[string]string{
		"count.lua": `call:answer() log.info(kv.incr("calls:" .. call.caller.number, 1, { ttl = "1h" })) log.info(tostring((kv.get("vip") or {}).name))`,
		"count_test.lua": `it("counts", function()
  kv.set("vip", { name = "Ada" })
  for i = 1, 3 do
    local caller = test.call { script = "count", number = "1" }
    caller:ends()
    expect(caller.log):is { tostring(i), "Ada" }
  end
  expect(kv.get("calls:1")):is(3)
  test.wait("1h")
  expect(kv.get("calls:1")):is(nil)
end)
it("begins empty", function() expect(kv.get("vip")):is(nil) end)
it("reaches nothing else", function() expect(http) end)
`}, Options{})
	if r.Passed != 2 || !strings.Contains(out, "a test file does not reach outside with http") {
		t.Error(out)
	}
	_, out = run(t, map[string]string{"a_test.lua": `kv.set("a", 1)`}, Options{})
	if !strings.Contains(out, "kv belongs into a test, or into before_each") {
		t.Error(out)
	}
}

// Mail is collected, and limits are of the test alone.
func TestMailAndLimits(t *testing.T) {
	t.Parallel()
	r, out := run(t, map[string]string{
		"tell.lua": `call:answer() local sent, why = mail.send { to = "ops@example.com", subject = "Call", text = call.caller.number } log.info(sent and "sent" or why)`,
		"tell_test.lua": `it("tells", function()
  local caller = test.call { script = "tell", number = "+46701" }
  caller:ends()
  expect(caller.log):is { "sent" }
  expect(test.mails()):is { { to = { "ops@example.com" }, cc = {}, bcc = {}, subject = "Call", text = "+46701", html = "", attachments = 0 } }
end)
it("goes on without a mail server", function()
  test.mail_server("gone")
  local caller = test.call { script = "tell" }
  caller:ends()
  expect(caller.log[#caller.log]):is("refused")
  test.mail_server("slow")
  caller = test.call { script = "tell" }
  caller:ends()
  expect(caller.log[#caller.log]):is("timeout")
  expect(#test.mails()):is(0)
end)
it("knows no other", function() test.mail_server("lost") end)
`}, Options{})
	if r.Passed != 2 || !strings.Contains(out, "mail_server: argument `how` must be one of gone, slow") {
		t.Error(out)
	}
}
