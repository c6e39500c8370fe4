package main

import (
	"bufio"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"callisto/engine"
	"callisto/engine/services"
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
	json   bool
}

// A call in no time has to end by itself, or nobody would notice that it does not.
const fastLimit = 10 * time.Minute

func newDial() *cobra.Command {
	var o dialOptions
	cmd := &cobra.Command{
		Use:   "dial SCRIPT [NAME=VALUE ...]",
		Short: "Make one simulated call to a script, in the terminal",
		Long: `Dial makes one call to a script, on a simulated FreeSWITCH, and prints what the caller
hears, what the switch is told and what the script logs. Type digits and Enter to press keys,
h and Enter to hang up.

NAME=VALUE are arguments as the dialplan would give them: call.args.NAME in the script.

Whoever the script bridges to answers after two seconds and talks for five, unless --leg says
otherwise: TARGET=answered, busy, no_answer, or a hangup cause such as TARGET=CALL_REJECTED. A * at
the end of TARGET stands for any rest.

With --fast the call takes no time: the keyboard is not read, and the caller hangs up after ten
minutes of the call's own time if nothing else has ended it. The script's timeouts, limits.call and
the time it is told are of that time, too.

It exits with 1 when there is no such script, or it raised an error.`,
		Example: `  callisto dial main
  callisto dial support/menu lang=sv --press 1 --press 42#
  callisto dial support/menu --press 1@2s --hangup 10s --fast
  callisto dial sales --leg user/1001=busy --leg user/1002=answered`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("dial what? Name a script, as in: callisto dial main")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			o.args = args[1:]
			return dial(cmd.Context(), config, args[0], o, cmd.InOrStdin(), cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.press, "press", nil, "`digits` to press, a second after those before, or at a time of the call: 42#@5s")
	f.DurationVar(&o.hangup, "hangup", 0, "the caller hangs up after this `time`")
	f.StringVar(&o.number, "number", "9000", "the `number` that is dialled")
	f.StringVar(&o.caller, "caller", "+15551230000", "the caller's `number`")
	f.StringVar(&o.name, "name", "Ada Test", "the caller's `name`")
	f.StringVar(&o.mode, "mode", "async full", "the socket action's `words`: async, full, both, or none")
	f.StringArrayVar(&o.legs, "leg", nil, "how a bridged leg behaves: `TARGET=answered|busy|no_answer|CAUSE`")
	f.BoolVar(&o.fast, "fast", false, "do not wait: the call's time passes at once")
	f.BoolVar(&o.json, "json", false, "print a JSON object for each line")
	return cmd
}

func dial(ctx context.Context, config *engine.Config, script string, o dialOptions, in io.Reader, out, stderr io.Writer) error {
	presses, err := parsePresses(o.press)
	if err != nil {
		return err
	}
	endpoints, err := parseLegs(o.legs)
	if err != nil {
		return err
	}
	socket, err := socketWords(o.mode, o.args)
	if err != nil {
		return err
	}
	name, err := engine.ScriptName(script)
	if err != nil {
		return err
	}
	library, err := engine.NewLibrary(ctx, config, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	snapshot := library.Snapshot()
	if _, _, err := snapshot.Script(name); err != nil {
		if missing := (*engine.NoScriptError)(nil); errors.As(err, &missing) && missing.Problem != nil {
			p := *missing.Problem
			p.Serving = ""
			err = errors.New(p.String())
		}
		fmt.Fprintln(stderr, err)
		return errScripts
	}
	for _, p := range snapshot.Problems { // what is wrong elsewhere may be why this call surprises
		if p.File != config.File {
			fmt.Fprintln(stderr, "note:", p)
		}
	}

	p := &phone{out: out, json: o.json, level: config.Log.Level, caller: newUUID(), names: map[string]string{}, ended: make(chan struct{})}
	sw := &simulator.Switch{Observer: p.observe, Endpoints: endpoints, Tick: 20 * time.Millisecond}
	p.sw, p.now, p.hears.L = sw, time.Now, &p.mu
	outside, err := services.Open(config, slog.New(p))
	if err != nil {
		return err
	}
	defer outside.Close()
	server := &engine.Server{Library: library, Services: &outside.Services, Logger: slog.New(p)}
	var clock *simulator.VirtualClock
	if o.fast {
		clock = simulator.NewVirtualClock()
		sw.Clock, server.Clock, p.now = clock, clock, clock.Now
	}
	p.began = p.now()
	defer sw.Close()
	defer server.Close()
	ours, theirs := simulator.Pipe()
	if err := server.ServeConn(ours); err != nil {
		return err
	}
	channel, err := sw.Call(ctx, simulator.Invite{
		UUID:       p.caller,
		CallerName: o.name, CallerNumber: o.caller, Destination: o.number,
		Socket: "127.0.0.1:8084/" + name + socket,
		Conn:   theirs,
	})
	if err != nil {
		return err
	}
	schedule(sw, channel, presses, o.hangup)
	if clock != nil {
		if o.hangup == 0 {
			clock.AfterFunc(fastLimit, func() {
				select {
				case <-channel.Done():
					return
				default:
				}
				p.print("note", fmt.Sprintf("nothing has ended the call in %v, so the caller hangs up; --hangup sets another time", fastLimit))
				channel.Hangup("ORIGINATOR_CANCEL")
			})
		}
		defer clock.AutoAdvance(0)()
	} else {
		go keyboard(in, channel, stderr)
	}
	outcome, err := channel.Wait(ctx)
	if err != nil {
		return err
	}
	<-p.ended
	if err := server.Shutdown(ctx); err != nil { // the hangup handlers may still run
		return err
	}
	p.over(outcome)
	if p.failed {
		return errScripts
	}
	return nil
}

// socketWords is what follows the address in the data of the dialplan's socket action.
func socketWords(mode string, args []string) (string, error) {
	var words []string
	for word := range strings.FieldsSeq(mode) {
		switch word {
		case "async", "full":
			words = append(words, word)
		case "none":
		default:
			return "", fmt.Errorf("--mode %s: the words are async and full, either, both, or none", mode)
		}
	}
	for _, a := range args {
		if a == "" || len(strings.Fields(a)) != 1 || strings.ContainsAny(a, " \t\r\n") {
			return "", fmt.Errorf("the argument %q is not one word: in the dialplan, spaces separate arguments", a)
		}
		words = append(words, a)
	}
	if len(words) == 0 {
		return "", nil
	}
	return " " + strings.Join(words, " "), nil
}

// keys are the keys of a telephone.
const keys = "0123456789*#ABCDabcd"

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
		if digits == "" || strings.Trim(digits, keys) != "" {
			return nil, fmt.Errorf("--press %s: the keys are 0 to 9, *, # and A to D", text)
		}
		presses = append(presses, press{digits, at})
		last = at
	}
	return presses, nil
}

// parseLegs says how those behave who are called: as the list says, else they answer and talk
// for a while.
func parseLegs(list []string) ([]simulator.Endpoint, error) {
	answers := simulator.Answers(2*time.Second, 5*time.Second)
	var endpoints []simulator.Endpoint
	for _, text := range list {
		at := strings.LastIndexByte(text, '=')
		if at <= 0 {
			return nil, fmt.Errorf("--leg %s: write TARGET=answered, TARGET=busy, TARGET=no_answer or TARGET=CAUSE", text)
		}
		target, how := text[:at], text[at+1:]
		var b simulator.Behaviour
		switch {
		case how == "answered":
			b = answers
		case how == "busy":
			b = simulator.Refuses("USER_BUSY", time.Second)
		case how == "no_answer":
			b = simulator.NoAnswer()
		case how != "" && strings.Trim(how, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "":
			b = simulator.Refuses(how, time.Second)
		default:
			return nil, fmt.Errorf("--leg %s: %q is none of answered, busy, no_answer or a cause such as CALL_REJECTED", text, how)
		}
		endpoints = append(endpoints, simulator.Endpoint{Pattern: target, Behaviour: b})
	}
	for _, e := range simulator.DefaultEndpoints() {
		if e.Behaviour.HangupAfter == 0 {
			e.Behaviour = answers
		}
		endpoints = append(endpoints, e)
	}
	return slices.Clip(endpoints), nil
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

// A caller is who sits at the keyboard: a *simulator.Channel.
type caller interface {
	Press(digits string)
	Hangup(cause string)
}

// keyboard reads keys, a line at a time, until its input ends.
func keyboard(in io.Reader, c caller, stderr io.Writer) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch text := strings.TrimSpace(lines.Text()); {
		case text == "":
		case strings.EqualFold(text, "h"):
			c.Hangup("ORIGINATOR_CANCEL")
		case strings.Trim(text, keys) == "":
			c.Press(text)
		default:
			fmt.Fprintln(stderr, "digits press keys, h hangs up")
		}
	}
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0xf|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
