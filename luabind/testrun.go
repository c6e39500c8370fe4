package luabind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// A TestEnv is what a test file is given.
type TestEnv struct {
	Find   func(name string) *Program // the scripts that require finds; nil: none
	Clock  esl.Clock                  // nil: the system's
	Log    *slog.Logger               // for what the test prints; nil: slog.Default
	Limits Limits
	Bench  Bench // what RunTest's test works on
}

// A TestCase is one `it` of a test file.
type TestCase struct {
	Names []string // of each describe around it, and its own
	Line  int
}

// Tests lists the tests of a test file, in the order they stand there. The file is run for it, without the tests.
// The error is a *ScriptError.
func Tests(ctx context.Context, p *Program, env TestEnv) ([]TestCase, error) {
	t := newTestRun(ctx, env)
	defer t.call.L.Close()
	if err := t.read(p); err != nil {
		return nil, err
	}
	var list []TestCase
	for _, c := range t.cases {
		list = append(list, c.TestCase)
	}
	return list, nil
}

// RunTest runs the test of a file that has the given place in Tests: the file in a VM of its own, what it gave to
// before_each, the test, what it gave to after_each. It returns what went wrong, in the order it did: each is a
// *ScriptError. When ctx ends it returns within a moment, whatever the test computes; the Bench's methods have to
// see to it while it waits in them.
func RunTest(ctx context.Context, p *Program, env TestEnv, index int) []error {
	t := newTestRun(ctx, env)
	defer t.call.L.Close()
	if err := t.read(p); err != nil {
		return []error{err}
	}
	if index >= len(t.cases) {
		return []error{&ScriptError{File: p.File, Message: "this time the file has fewer tests: which it has must not depend on chance"}}
	}
	t.stage = running
	it := t.cases[index]
	var failures []error
	call := func(fn *lua.LFunction) bool {
		if err := t.call.protect(fn); err != nil {
			err = t.call.testError(err)
			failures = append(failures, err)
			env.Bench.Failed(err)
			return false
		}
		return true
	}
	ok := true
	for _, s := range it.within {
		for _, fn := range s.before {
			ok = ok && call(fn)
		}
	}
	if ok {
		call(it.fn)
	}
	for i := len(it.within) - 1; i >= 0; i-- {
		for _, fn := range it.within[i].after {
			call(fn)
		}
	}
	return failures
}

func (c *Call) testError(err error) error {
	e := newScriptError(err)
	if c.budget.err != nil {
		e.err = c.budget.err
		c.budget.err = nil
	}
	return e
}

// A testRun is one VM that runs a test file.
type testRun struct {
	call   *Call
	bench  Bench
	stage  testStage
	suites []*suite // that the file is in
	cases  []testCase
}

type testStage int

const (
	reading testStage = iota // the file tells its tests
	running                  // one of them runs
)

// A suite is a describe, or the file.
type suite struct {
	name          string
	before, after []*lua.LFunction
}

type testCase struct {
	TestCase
	within []*suite
	fn     *lua.LFunction
}

func newTestRun(ctx context.Context, env TestEnv) *testRun {
	c := &Call{
		conn: esl.Detached(env.Clock), ctx: ctx, timeUp: errTestTime,
		env: Env{Find: env.Find, Limits: env.Limits}, log: env.Log,
	}
	if env.Bench != nil {
		c.env.Services = &Services{Store: env.Bench.Store(), Databases: env.Bench.Databases()}
	}
	if c.log == nil {
		c.log = slog.Default()
	}
	c.began = c.now()
	c.budget = newBudget(env.Limits, c)
	c.L = newVM(c.budget)
	c.budget.root = c.L
	c.channel = &c.own
	c.test = &testRun{call: c, bench: env.Bench}
	return c.test
}

var errTestTime = errors.New("the test has no time left")

// read runs the file itself.
func (t *testRun) read(p *Program) error {
	t.suites = []*suite{{}}
	if err := t.call.protect(t.call.L.NewFunctionFromProto(p.proto)); err != nil {
		return t.call.testError(err)
	}
	return nil
}

func (t *testRun) describe(L *lua.LState, a args, name string, fn *lua.LFunction) int {
	t.open(a)
	t.suites = append(t.suites, &suite{name: name})
	L.Push(fn)
	L.Call(0, 0)
	t.suites = t.suites[:len(t.suites)-1]
	return 0
}

func (t *testRun) it(L *lua.LState, a args, name string, fn *lua.LFunction) int {
	t.open(a)
	_, line := where(L)
	c := testCase{TestCase: TestCase{Line: line}, within: append([]*suite(nil), t.suites...), fn: fn}
	for _, s := range t.suites[1:] {
		c.Names = append(c.Names, s.name)
	}
	c.Names = append(c.Names, name)
	t.cases = append(t.cases, c)
	return 0
}

// open is the suite that the file is in, where it may say something of it.
func (t *testRun) open(a args) *suite {
	if t.stage == running {
		a.fail("belongs into a file or a describe, not into a test")
	}
	return t.suites[len(t.suites)-1]
}

// testing is the run of the test file that the function belongs to.
func (c *Call) testing(a args) *testRun {
	if c.test == nil {
		a.fail("is for test files, whose names end in _test.lua")
	}
	return c.test
}

// bench is what the test works on.
func (c *Call) bench(a args) Bench {
	t := c.testing(a)
	if t.stage != running {
		a.fail("belongs into a test: it(\"…\", function() … end), or into before_each")
	}
	return t.bench
}

// testGlobal is a global of test files.
func (c *Call) testGlobal(L *lua.LState, name string) (lua.LValue, bool) {
	switch v := shared().tests[name].(type) {
	case nil:
	case *lua.LTable: // a copy, as of all libraries
		t := L.CreateTable(0, v.Len())
		v.ForEach(t.RawSet)
		return t, true
	default:
		return v, true
	}
	switch name {
	case "call":
		L.RaiseError("a test file has no call: caller = test.call{ script = \"menu\" } makes one")
	case "flow":
		L.RaiseError("a test file has no flow: caller = test.call{ script = \"menu\" } calls the script that returns it")
	}
	switch m := moduleOf(name); {
	case m == nil || !m.Outside:
	case name != "kv" && name != "sql":
		hint := ""
		if t, ok := shared().tests["test"].(*lua.LTable); ok && t.RawGetString(name) != lua.LNil {
			hint = ": what its scripts find there is said with test." + name
		}
		L.RaiseError("a test file does not reach outside with %s%s", name, hint)
	case c.test.stage == reading:
		L.RaiseError("%s belongs into a test, or into before_each: it is what the test's scripts have", name)
	}
	return nil, false
}

func bindTests(L *lua.LState, env *environment) {
	env.tests = make(map[string]lua.LValue)
	for _, m := range TestModules {
		t := m.bind(L)
		if m.Name == "" {
			t.ForEach(func(name, fn lua.LValue) { env.tests[name.String()] = fn })
		} else {
			env.tests[m.Name] = t
		}
	}
}

// ParseTime reads a time as tests write it, "2026-12-24 18:00 Europe/Stockholm"; without a zone it is UTC.
func ParseTime(text string) (time.Time, error) {
	zone := time.UTC
	parts := strings.Fields(text)
	if len(parts) == 3 {
		var err error
		if zone, err = time.LoadLocation(parts[2]); err != nil || parts[2] == "Local" {
			return time.Time{}, fmt.Errorf("the time %q: there is no zone %s; zones are called like Europe/Stockholm", text, parts[2])
		}
		text = parts[0] + " " + parts[1]
	}
	for _, layout := range []string{"2006-01-02 15:04", "2006-01-02 15:04:05", time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, zone); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("the time %q is not like 2026-12-24 18:00 Europe/Stockholm", text)
}
