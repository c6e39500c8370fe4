package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"callisto/engine"
	"callisto/simulator"
)

type dialOptions struct {
	press  []string
	hangup time.Duration
	number string
	caller string
	name   string
	mode   string
	args   []string
	legs   []string
	fast   bool
}

func newDial() *cobra.Command {
	var o dialOptions
	cmd := &cobra.Command{
		Use:   "dial SCRIPT [NAME=VALUE ...]",
		Short: "Make one simulated call to a script, in the terminal",
		Long: `Dial makes one call to a script, on a simulated FreeSWITCH, and prints what the caller hears and
what the switch is told. Type digits and Enter to press keys, h and Enter to hang up.

NAME=VALUE are arguments as the dialplan would give them.`,
		Example: `  callisto dial main
  callisto dial support/menu lang=sv --press 1 --press 42#
  callisto dial support/menu --press 1@2s --hangup 10s --fast
  callisto dial sales --leg user/1001=busy --leg user/1002=answered`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			o.args = args[1:]
			return dial(cmd.Context(), config, args[0], o, cmd.InOrStdin(), cmd.OutOrStdout())
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.press, "press", nil, "`digits` to press, a second after those before, or at a time of the call: 42#@5s")
	f.DurationVar(&o.hangup, "hangup", 0, "the caller hangs up after this `time`")
	f.StringVar(&o.number, "number", "9000", "the `number` that is dialled")
	f.StringVar(&o.caller, "caller", "+15551230000", "the caller's `number`")
	f.StringVar(&o.name, "name", "Ada Test", "the caller's `name`")
	f.StringVar(&o.mode, "mode", "async full", "the socket action's `words`: async, full, both or none")
	f.StringArrayVar(&o.legs, "leg", nil, "how a bridged leg behaves: `TARGET=answered|busy|no_answer`")
	f.BoolVar(&o.fast, "fast", false, "do not wait: the call's time passes at once")
	return cmd
}

// A phone prints what happens in a call.
type phone struct {
	mu    sync.Mutex
	out   io.Writer
	began time.Time
	err   error // of the script
}

func (p *phone) print(at time.Time, what, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.began.IsZero() {
		p.began = at
	}
	fmt.Fprintf(p.out, "%7.2fs  %-8s %s\n", at.Sub(p.began).Seconds(), what, text)
}

func (p *phone) observe(o simulator.Occurrence) {
	switch o.Kind {
	case simulator.Played:
		p.print(o.Time, "hears", o.Data)
	case simulator.Said:
		p.print(o.Time, "hears", o.Name+": "+o.Data)
	case simulator.Executed:
		if o.Name != "playback" {
			p.print(o.Time, "switch", strings.TrimSpace(o.Name+" "+o.Data))
		}
	case simulator.Ran:
		p.print(o.Time, "switch", "api "+strings.TrimSpace(o.Name+" "+o.Data))
	case simulator.Evaluated:
		p.print(o.Time, "expands", strings.TrimSpace(o.Name+" "+o.Data))
	case simulator.Dialled:
		p.print(o.Time, "dials", o.Data)
	case simulator.Bridged:
		p.print(o.Time, "talks", "with "+o.Data)
	case simulator.Digit:
		p.print(o.Time, "presses", o.Data)
	case simulator.HungUp:
		p.print(o.Time, "ends", o.Name)
	}
}

func dial(ctx context.Context, config *engine.Config, script string, o dialOptions, in io.Reader, out io.Writer) error {
	presses, err := parsePresses(o.press)
	if err != nil {
		return err
	}
	endpoints, err := parseLegs(o.legs)
	if err != nil {
		return err
	}
	p := &phone{out: out}
	log := newLogger(config, &prefixWriter{w: out, mu: &p.mu})
	library, err := engine.NewLibrary(ctx, quiet(config), newLogger(quiet(config), out))
	if err != nil {
		return err
	}
	name, err := engine.ScriptName(script)
	if err != nil {
		return err
	}
	if _, _, err := library.Snapshot().Script(name); err != nil {
		fmt.Fprintln(out, err)
		return errScripts
	}

	var clock *simulator.VirtualClock
	sw := &simulator.Switch{Observer: p.observe, Endpoints: endpoints, Tick: 20 * time.Millisecond}
	if o.fast {
		clock = simulator.NewVirtualClock()
		sw.Clock = clock
	}
	defer sw.Close()
	server := &engine.Server{Library: library, Logger: log}
	defer server.Close()
	ours, theirs := simulator.Pipe()
	if err := server.ServeConn(ours); err != nil {
		return err
	}
	channel, err := sw.Call(ctx, simulator.Invite{
		CallerName: o.name, CallerNumber: o.caller, Destination: o.number,
		Socket: strings.Join(append([]string{"127.0.0.1:8084/" + name, o.mode}, o.args...), " "),
		Conn:   theirs,
	})
	if err != nil {
		return err
	}
	if clock != nil {
		stop := clock.AutoAdvance(2 * time.Millisecond)
		defer stop()
	}
	schedule(sw, channel, presses, o.hangup)
	go keyboard(in, channel)
	outcome, err := channel.Wait(ctx)
	if err != nil {
		return err
	}
	if err := server.Shutdown(ctx); err != nil { // the hangup handlers may still run
		return err
	}
	fmt.Fprintf(out, "the call is over: %s\n", outcome)
	return nil
}

// quiet is the configuration with a log that only has what is wrong.
func quiet(config *engine.Config) *engine.Config {
	c := *config
	c.Log.Level = max(c.Log.Level, 4)
	return &c
}

type press struct {
	digits string
	at     time.Duration
}

func parsePresses(list []string) ([]press, error) {
	var presses []press
	last := time.Duration(0)
	for _, text := range list {
		digits, when, given := strings.Cut(text, "@")
		at := last + time.Second
		if given {
			d, err := time.ParseDuration(when)
			if err != nil || d < 0 {
				return nil, fmt.Errorf("--press %s: write the time as in 42#@5s", text)
			}
			at = d
		}
		if digits == "" || strings.Trim(digits, "0123456789*#ABCDabcd") != "" {
			return nil, fmt.Errorf("--press %s: the keys are 0 to 9, *, # and A to D", text)
		}
		presses = append(presses, press{digits, at})
		last = at
	}
	return presses, nil
}

func parseLegs(list []string) ([]simulator.Endpoint, error) {
	var endpoints []simulator.Endpoint
	for _, text := range list {
		target, how, ok := strings.Cut(text, "=")
		behaviour, known := map[string]simulator.Behaviour{
			"answered":  simulator.Answers(2*time.Second, 5*time.Second),
			"busy":      simulator.Refuses("USER_BUSY", time.Second),
			"no_answer": simulator.NoAnswer(),
		}[how]
		if !ok || !known {
			return nil, fmt.Errorf("--leg %s: write TARGET=answered, TARGET=busy or TARGET=no_answer", text)
		}
		endpoints = append(endpoints, simulator.Endpoint{Pattern: target, Behaviour: behaviour})
	}
	return endpoints, nil
}

// schedule presses keys and hangs up at their times.
func schedule(sw *simulator.Switch, channel *simulator.Channel, presses []press, hangup time.Duration) {
	after := func(d time.Duration, f func()) {
		if sw.Clock != nil {
			sw.Clock.AfterFunc(d, f)
		} else {
			time.AfterFunc(d, f)
		}
	}
	for _, p := range presses {
		after(p.at, func() { channel.Press(p.digits) })
	}
	if hangup > 0 {
		after(hangup, func() { channel.Hangup("ORIGINATOR_CANCEL") })
	}
}

// keyboard reads keys, a line at a time, until its input ends.
func keyboard(in io.Reader, channel *simulator.Channel) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch text := strings.TrimSpace(lines.Text()); {
		case text == "":
		case strings.EqualFold(text, "h"):
			channel.Hangup("ORIGINATOR_CANCEL")
		case strings.Trim(text, "0123456789*#ABCDabcd") == "":
			channel.Press(text)
		default:
			fmt.Fprintln(os.Stderr, "digits press keys, h hangs up")
		}
	}
}

// A prefixWriter puts log lines between those of the phone.
type prefixWriter struct {
	w  io.Writer
	mu *sync.Mutex
}

func (p *prefixWriter) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := io.WriteString(p.w, "          log      "); err != nil {
		return 0, err
	}
	return p.w.Write(b)
}
