package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"callisto/cmd/internal/calltest"
	"callisto/engine"
)

type testOptions struct {
	run       string
	watch     bool
	json      bool
	verbose   bool
	junit     string
	coverage  string
	threshold float64
	parallel  int
	timeout   time.Duration
	explore   bool
	ways      int
}

func newTest() *cobra.Command {
	var o testOptions
	cmd := &cobra.Command{
		Use:   "test [FILE or DIRECTORY ...]",
		Short: "Run the scripts' tests with simulated callers",
		Long: `Test runs the files whose names end in _test.lua: those below the script root, and in a directory
tests beside it, or those that are named. Such a file is Lua, in the same sandbox as scripts. It lets
somebody call, and says what they should hear:

  describe("main menu", function()
    it("sends 1 to sales", function()
      local caller = test.call { script = "support/menu" }
      caller:hears("ivr/menu.wav")
      caller:press("1")
      caller:ends()
      expect(caller.dialled):is { "user/1001" }
    end)
  end)

Each test has a simulated switch, an engine and a clock of its own. The clock moves by itself: half an
hour in a queue takes milliseconds, and comes out the same each time. docs/testing.md has the rest.

With --explore no test is needed: every outcome of every step of a flow is tried, every step by itself, and a
hangup in each; what ends in an error is reported, with the way to it. Name scripts instead of files.

A failure prints the call as it went, with the line of the test and the moment at which something was
missed. It exits with 0 when all tests passed, 1 when one failed or a script is broken, and 2 when there was
nothing to run or it could not.`,
		Example: `  callisto test
  callisto test scripts/support -v
  callisto test --run 'menu: .*sales' --watch
  callisto test --coverage --threshold 80 --junit report.xml
  callisto test --explore support/menu
  callisto test --coverage=coverage.json && callisto graph support/menu --coverage coverage.json -o menu.svg`,
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(cmd.Context(), os.Interrupt, syscall.SIGTERM)
			defer stop()
			return test(ctx, config, args, o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringVar(&o.run, "run", "", "only the tests whose name, such as \"main menu: sends 1 to sales\", matches the regular `expression`")
	f.BoolVar(&o.watch, "watch", false, "run again whenever a script or a test is saved")
	f.BoolVar(&o.json, "json", false, "print a JSON object for each test, and one at the end")
	f.BoolVarP(&o.verbose, "verbose", "v", false, "print every test, with the call as it went")
	f.StringVar(&o.junit, "junit", "", "write the results to a `file` too, in JUnit's XML")
	f.StringVar(&o.coverage, "coverage", "", "tell which lines ran, and which ways through flows were taken; --coverage=`FILE` keeps these, for graph")
	f.Lookup("coverage").NoOptDefVal = noFile
	f.Float64Var(&o.threshold, "threshold", 0, "fail when less than this `percentage` of the lines ran, or of the ways was taken")
	f.BoolVar(&o.explore, "explore", false, "walk flows by itself, those of the named SCRIPTs or all, and report the ways that end in an error")
	f.IntVar(&o.ways, "ways", calltest.DefaultWays, "with --explore: how many `ways` without a loop are walked in each flow, at most")
	f.IntVar(&o.parallel, "parallel", 0, "how many tests run at a `time` (default: as many as there are processors)")
	f.DurationVar(&o.timeout, "timeout", calltest.DefaultTimeout, "how long one test may take, in real `time`")
	return cmd
}

// noFile is --coverage without a file.
const noFile = "-"

func test(ctx context.Context, config *engine.Config, paths []string, o testOptions, out, stderr io.Writer) error {
	t := calltest.Options{Paths: paths, Parallel: o.parallel, Timeout: o.timeout}
	if o.run != "" {
		var err error
		if t.Match, err = regexp.Compile(o.run); err != nil {
			return fmt.Errorf("--run: %w", err)
		}
	}
	if o.threshold < 0 || o.threshold > 100 {
		return fmt.Errorf("--threshold %g: a percentage is from 0 to 100", o.threshold)
	}
	if o.threshold > 0 && o.coverage == "" {
		o.coverage = noFile
	}
	if o.watch && config.Scripts.Watch == engine.WatchOff {
		changed := *config
		changed.Scripts.Watch = engine.WatchAuto
		config = &changed
	}
	library, err := engine.NewLibrary(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	if !o.watch {
		return testOnce(ctx, library, t, o, out, stderr)
	}
	calltest.Watch(ctx, library, t, func() {
		if err := testOnce(ctx, library, t, o, out, stderr); err != nil && !errors.Is(err, errScripts) {
			fmt.Fprintln(stderr, "callisto:", err)
		}
		if !o.json {
			fmt.Fprintln(out, "waiting for a change; Ctrl-C ends")
		}
	})
	return nil
}

func testOnce(ctx context.Context, library *engine.Library, t calltest.Options, o testOptions, out, stderr io.Writer) error {
	snapshot := library.Snapshot()
	broken := false
	for _, p := range snapshot.Problems {
		if !p.Warning {
			broken = true
		}
		p.Serving = ""
		fmt.Fprintln(stderr, p)
	}
	if o.explore {
		return explore(ctx, library, t, o, broken, out, stderr)
	}
	printer := interface {
		File(*calltest.File)
		Report(*calltest.Report)
	}(&calltest.Printer{Out: out, Verbose: o.verbose})
	if o.json {
		printer = &calltest.JSONPrinter{Out: out}
	}
	t.Tell = printer.File
	if o.coverage != "" {
		t.Cover = calltest.NewCoverage()
	}
	report, err := calltest.Run(ctx, library, t)
	if err != nil {
		return err
	}
	printer.Report(report)
	if o.junit != "" {
		if err := writeFile(o.junit, func(w io.Writer) error { return calltest.WriteJUnit(w, report) }); err != nil {
			return fmt.Errorf("--junit: %w", err)
		}
	}
	low, err := covered(t.Cover, snapshot, o, out, stderr)
	if err != nil {
		return err
	}
	switch {
	case report.Failed > 0 || broken || low:
		return errScripts
	case report.Passed == 0:
		return errors.New("no test ran")
	}
	return nil
}

func explore(ctx context.Context, library *engine.Library, t calltest.Options, o testOptions, broken bool, out, stderr io.Writer) error {
	options := calltest.ExploreOptions{Scripts: t.Paths, Ways: o.ways, Parallel: o.parallel, Timeout: o.timeout}
	options.Tell = func(e *calltest.Explored) {
		if o.json {
			e.WriteJSON(out)
		} else {
			e.Write(out)
		}
	}
	if o.coverage != "" {
		options.Cover = calltest.NewCoverage()
	}
	list, err := calltest.Explore(ctx, library, options)
	if err != nil {
		return err
	}
	low, err := covered(options.Cover, library.Snapshot(), o, out, stderr)
	switch {
	case err != nil:
		return err
	case broken || low || slices.ContainsFunc(list, func(e *calltest.Explored) bool { return !e.OK() }):
		return errScripts
	case len(list) == 0:
		return errors.New("no script returns a flow")
	}
	return nil
}

// covered tells what was come to, and whether it is less than --threshold.
func covered(c *calltest.Coverage, snapshot *engine.Snapshot, o testOptions, out, stderr io.Writer) (low bool, err error) {
	if c == nil {
		return false, nil
	}
	if o.json {
		c.WriteJSON(out, snapshot)
	} else {
		c.Write(out, snapshot)
	}
	if o.coverage != noFile {
		if err := writeFile(o.coverage, c.WriteCounts); err != nil {
			return false, fmt.Errorf("--coverage: %w", err)
		}
	}
	_, total := c.Of(snapshot)
	if low = total.Percent() < o.threshold; low {
		fmt.Fprintf(stderr, "the tests cover %.1f %%; --threshold is %g\n", total.Percent(), o.threshold)
	}
	return low, nil
}

// writeFile writes a file as a whole, or not at all.
func writeFile(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".callisto-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	err = errors.Join(write(f), f.Chmod(0o644), f.Close())
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
