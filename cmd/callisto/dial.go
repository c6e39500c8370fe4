package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"callisto/cmd/internal/phone"
	"callisto/engine"
)

func newDial() *cobra.Command {
	var o phone.Options
	var plain bool
	cmd := &cobra.Command{
		Use:   "dial SCRIPT [NAME=VALUE ...]",
		Short: "Make simulated calls to a script, in the terminal",
		Long: `Dial makes a call to a script, on a simulated FreeSWITCH.

In a terminal it is a phone: it shows what the caller hears, where in the script or the flow the
call is, the variables that were set, and what the script logs. Digits, * and # press keys, t says
something, h hangs up, r redials with the newest scripts, ? lists the other keys. Whoever the
script calls rings until you say what he does: a answers, b is busy, n lets it ring, x hangs
up. Save a script meanwhile, and it tells which generation the next call will have.

With --plain, --json or --fast, and where the input or the output is no terminal, it makes one
call and prints a line for each thing that happens. Then digits and Enter press keys, / and a text
says it, h and Enter hangs up; and whoever the script calls answers after two seconds and talks for
five.

--leg TARGET=answered, busy, no_answer, or a hangup cause such as TARGET=CALL_REJECTED says
beforehand what somebody does; who has answered presses 1 with TARGET=answered:1. A * at the
end of TARGET stands for any rest.

NAME=VALUE are arguments as the dialplan would give them: call.args.NAME in the script. --var sets
variables of the channel before the script has it.

The words of a prompt are shown where they are known: ivr/menu.txt beside ivr/menu.wav. Prompts are
looked up in the script root, in sounds/ there, and in sounds/ beside it.

With --fast the call takes no time: the keyboard is not read, and the caller hangs up after ten
minutes of the call's own time if nothing else has ended it. The script's timeouts, limits.call and
the time it is told are of that time, too; --time says when it is, for opening hours.

It exits with 1 when there is no such script, or it raised an error.`,
		Example: `  callisto dial main
  callisto dial support/menu lang=sv --press 1 --press 42#
  callisto dial support/menu --press 1@2s --hangup 10s --fast
  callisto dial sales --leg user/1001=busy --leg user/1002=answered
  callisto dial main --var default_language=sv --say "yes please@3s" --plain`,
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
			o.Script, o.Args = args[0], args[1:]
			t := phone.Terminal{In: cmd.InOrStdin(), Out: cmd.OutOrStdout(), Err: cmd.ErrOrStderr(), Environ: os.Environ()}
			library, err := engine.NewLibrary(cmd.Context(), config, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			call := phone.Screen
			if plain || o.JSON || o.Fast || !t.Interactive() {
				call = phone.Print
			}
			failed, err := call(cmd.Context(), library, o, t)
			if bad := (*phone.ScriptError)(nil); errors.As(err, &bad) {
				fmt.Fprintln(t.Err, err)
				failed, err = true, nil
			}
			if err == nil && failed {
				err = errScripts
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringArrayVar(&o.Press, "press", nil, "`digits` to press, a second after those before, or at a time of the call: 42#@5s")
	f.StringArrayVar(&o.Say, "say", nil, "what the caller says, a second after the `text` before, or at a time: \"yes@5s\"")
	f.DurationVar(&o.Hangup, "hangup", 0, "the caller hangs up after this `time`")
	f.StringVar(&o.Number, "number", "9000", "the `number` that is dialled")
	f.StringVar(&o.Caller, "caller", "+15551230000", "the caller's `number`")
	f.StringVar(&o.Name, "name", "Ada Test", "the caller's `name`")
	f.StringArrayVar(&o.Vars, "var", nil, "a variable of the channel: `NAME=VALUE`")
	f.StringVar(&o.Mode, "mode", "async full", "the socket action's `words`: async, full, both, or none")
	f.StringArrayVar(&o.Legs, "leg", nil, "how a leg behaves that the script calls: `TARGET=answered[:KEYS]|busy|no_answer|CAUSE`")
	f.BoolVar(&o.Wire, "wire", false, "show the commands and events on the event socket")
	f.StringVar(&o.Record, "record", "", "write the calls to a `file`, NAME_test.lua, as a test that callisto test runs")
	f.BoolVar(&o.Force, "force", false, "let --record overwrite a file")
	f.BoolVar(&o.Fast, "fast", false, "do not wait: the call's time passes at once")
	f.StringVar(&o.Time, "time", "", "with --fast, when it is: \"2026-12-24 18:00 Europe/Stockholm\"")
	f.BoolVar(&plain, "plain", false, "print lines, in a terminal too")
	f.BoolVar(&o.JSON, "json", false, "print a JSON object for each line")
	return cmd
}
