package calltest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

// Options say which tests run, and how.
type Options struct {
	Paths    []string       // files and directories; none: the script root, and the directory tests beside it
	Match    *regexp.Regexp // of the tests' names; nil: all
	Parallel int            // how many tests at a time; 0: as many as the machine has processors
	Timeout  time.Duration  // of real time, for one test; 0: DefaultTimeout
	Tell     func(*File)    // told of each file when its tests have run, in their order; nil: nobody
	Cover    *Coverage      // counts the lines that run; nil: nobody does

	limits luabind.Limits // of a test file; none: limits
}

// DefaultTimeout is how long one test may take, in real time.
const DefaultTimeout = 30 * time.Second

// A Report is what came of a run.
type Report struct {
	Files  []*File
	Passed int
	Failed int // tests, and files that are broken
	Took   time.Duration
}

// A File is a test file with its tests.
type File struct {
	Path   string
	Broken *Failure // why it has no tests: it does not compile, or raised an error
	Tests  []*Test
	Left   int // tests that Match left out
}

// A Test is one test that ran.
type Test struct {
	Name     string // of its describes and its own: "main menu: sends 1 to sales"
	File     string
	Line     int
	Failures []Failure
	Lasted   time.Duration // by the test's clock
	Took     time.Duration // by the system's

	story []line
	index int
}

// A Failure is one thing that was not as it should be.
type Failure struct {
	File    string
	Line    int
	Message string
	Source  string // the line of the file
	Trace   string // of a script's error
}

// limits bound a test file itself. The scripts under test have those of the configuration.
var limits = luabind.Limits{CPU: 5 * time.Second, Memory: 64 << 20}

// Run runs tests with the scripts of a library's current snapshot. The error is about tests that cannot be found;
// what fails is in the report. When ctx ends, the tests that have not run fail.
func Run(ctx context.Context, library *engine.Library, o Options) (*Report, error) {
	began := time.Now()
	paths, err := find(library.Snapshot().Config, o.Paths)
	if err != nil {
		return nil, err
	}
	if o.Parallel <= 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	if o.limits == (luabind.Limits{}) {
		o.limits = limits
	}
	report := &Report{}
	places := make(chan struct{}, o.Parallel)
	var running sync.WaitGroup
	ended := make([]chan struct{}, len(paths))
	for i, path := range paths {
		f := &File{Path: path}
		report.Files = append(report.Files, f)
		ended[i] = make(chan struct{})
		running.Go(func() {
			defer close(ended[i])
			runFile(ctx, library, f, o, places)
		})
	}
	for i, f := range report.Files {
		<-ended[i]
		if f.Broken != nil {
			report.Failed++
		}
		for _, t := range f.Tests {
			if len(t.Failures) > 0 {
				report.Failed++
			} else {
				report.Passed++
			}
		}
		if o.Tell != nil {
			o.Tell(f)
		}
	}
	running.Wait()
	report.Took = time.Since(began)
	return report, nil
}

// runFile runs the tests of a file, each when it has a place.
func runFile(ctx context.Context, library *engine.Library, f *File, o Options, places chan struct{}) {
	places <- struct{}{}
	free := sync.OnceFunc(func() { <-places })
	defer free()
	broken := func(err error, source []string) {
		failure := failureOf(err, map[string][]string{f.Path: source})
		if failure.File == "" {
			failure.File = f.Path
		}
		f.Broken = &failure
	}
	text, err := os.ReadFile(f.Path)
	if err != nil {
		broken(fmt.Errorf("cannot be read: %w", errors.Unwrap(err)), nil)
		return
	}
	source := strings.Split(string(text), "\n")
	program, err := luabind.Compile(strings.TrimSuffix(filepath.ToSlash(f.Path), ".lua"), text)
	if err != nil {
		broken(err, source)
		return
	}
	env := luabind.TestEnv{Find: finder(library), Log: slog.New(slog.DiscardHandler), Limits: o.limits}
	reading, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	cases, err := luabind.Tests(reading, program, env)
	if err != nil {
		broken(err, source)
		return
	}
	for i, c := range cases {
		name := strings.Join(c.Names, ": ")
		if o.Match == nil || o.Match.MatchString(name) {
			f.Tests = append(f.Tests, &Test{Name: name, File: f.Path, Line: c.Line, index: i})
		} else {
			f.Left++
		}
	}
	free()
	var running sync.WaitGroup
	for _, t := range f.Tests {
		places <- struct{}{}
		running.Go(func() {
			defer func() { <-places }()
			t.run(ctx, library, program, source, o)
		})
	}
	running.Wait()
}

// finder finds what a test file requires: scripts of the snapshot.
func finder(library *engine.Library) func(string) *luabind.Program {
	programs := library.Snapshot().Programs
	return func(name string) *luabind.Program { return programs[name] }
}

func (t *Test) run(ctx context.Context, library *engine.Library, program *luabind.Program, source []string, o Options) {
	began := time.Now()
	defer func() { t.Took = time.Since(began) }()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	b := newBench(ctx, library, o.Cover)
	defer b.close()
	errs := luabind.RunTest(ctx, program, luabind.TestEnv{
		Find: finder(library), Clock: b.clock, Log: slog.New(&scribe{bench: b}), Limits: o.limits, Bench: b,
	}, t.index)
	if ctx.Err() != nil {
		errs = append(errs, fmt.Errorf("the test was stopped: it has taken %v of real time (--timeout)", o.Timeout))
	}
	errs = append(b.finish(), errs...) // what a script raised first: the rest may follow from it
	if len(b.callers) > 0 {
		t.Lasted = b.clock.Now().Sub(b.callers[0].began)
	}
	for _, err := range errs {
		failure := failureOf(err, map[string][]string{program.File: source})
		if failure.File == "" {
			failure.File, failure.Line = t.File, t.Line
		}
		t.Failures = append(t.Failures, failure)
	}
	t.story = b.lines()
}

// finish ends the calls that are left, and says what went wrong in them that the test did not ask about.
func (b *bench) finish() (errs []error) {
	for _, c := range b.callers {
		b.mu.Lock()
		left := c.left
		b.mu.Unlock()
		if !left {
			c.hangup("NORMAL_CLEARING", "the test is over")
		}
	}
	for _, c := range b.callers {
		if err := c.Ends(time.Hour); err != nil && b.ctx.Err() == nil {
			errs = append(errs, err)
		}
		b.mu.Lock()
		for _, f := range c.errors {
			if !c.expected {
				errs = append(errs, &scriptFault{f})
			}
		}
		b.mu.Unlock()
	}
	for _, text := range b.fakes.unasked() {
		errs = append(errs, errors.New(text))
	}
	return errs
}

// A scriptFault is an error of the script under test.
type scriptFault struct{ fault }

func (f *scriptFault) Error() string { return "the script raised an error: " + f.String() }

// failureOf is an error as it is told, with the line of the test it is about.
func failureOf(err error, sources map[string][]string) Failure {
	f := Failure{Message: err.Error()}
	var script *luabind.ScriptError
	var syntax *luabind.SyntaxError
	var fault *scriptFault
	switch {
	case errors.As(err, &script):
		f.File, f.Line, f.Message = script.File, script.Line, script.Message
	case errors.As(err, &syntax):
		f.File, f.Line, f.Message = syntax.File, syntax.Line, syntax.Message
	case errors.As(err, &fault):
		f.Trace = fault.traceback
	}
	if lines := sources[f.File]; f.Line > 0 && f.Line <= len(lines) {
		f.Source = strings.TrimSpace(lines[f.Line-1])
	}
	return f
}
