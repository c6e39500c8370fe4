package phone

import (
	"fmt"
	"strings"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// Options say who calls whom, and what everybody does, in the words of the command line.
type Options struct {
	Script string
	Args   []string // words of the socket action
	Mode   string   // "async full"

	Number string // that is dialled
	Caller string
	Name   string   // of the caller
	Vars   []string // NAME=VALUE, set on the channel before the script has it

	Press  []string      // DIGITS or DIGITS@TIME
	Say    []string      // TEXT or TEXT@TIME
	Hangup time.Duration // when the caller hangs up; 0: not by itself
	Legs   []string      // TARGET=answered|busy|no_answer|CAUSE
	Ask    bool          // legs without an entry in Legs ring until Answer or Refuse

	Fast bool   // the call takes no time
	Time string // then, when it is, as luabind.ParseTime reads it; "" for a fixed time
	Wire bool   // tell what is on the event socket
	JSON bool   // print objects

	Record string // the file to write the calls to, as a test
	Force  bool   // even if it is there already
}

// A plan is what Options come to.
type plan struct {
	Options
	script    string // its canonical name
	socket    string // the data of the socket action
	vars      []simulator.Variable
	time      time.Time // zero: as the clock has it
	acts      []act
	endpoints []simulator.Endpoint
}

// An act is what the caller does at a time of the call.
type act struct {
	at   time.Duration
	keys string
	say  string
}

func (o Options) plan() (*plan, error) {
	p := &plan{Options: o}
	presses, err := parseActs("press", o.Press)
	if err != nil {
		return nil, err
	}
	says, err := parseActs("say", o.Say)
	if err != nil {
		return nil, err
	}
	p.acts = append(presses, says...)
	if p.endpoints, err = parseLegs(o.Legs, o.Ask); err != nil {
		return nil, err
	}
	if p.vars, err = parseVars(o.Vars); err != nil {
		return nil, err
	}
	switch {
	case o.Time == "":
	case !o.Fast:
		return nil, fmt.Errorf("--time goes with --fast: otherwise it is now")
	default:
		if p.time, err = luabind.ParseTime(o.Time); err != nil {
			return nil, fmt.Errorf("--time: %w", err)
		}
	}
	if p.script, err = engine.ScriptName(o.Script); err != nil {
		return nil, err
	}
	if p.socket, err = simcall.Socket(p.script, o.Mode, o.Args); err != nil {
		return nil, err
	}
	return p, nil
}

// parseActs reads what the caller presses or says, each a second after the one before or at its own time.
func parseActs(flag string, list []string) ([]act, error) {
	var acts []act
	last := time.Duration(0)
	for _, text := range list {
		what, when, given := cutLast(text, '@')
		at := last + time.Second
		if given {
			d, err := time.ParseDuration(when)
			switch {
			case err == nil && d >= 0:
				at = d
			case flag == "say" && err != nil: // an address, for one
				what = text
			default:
				return nil, fmt.Errorf("--%s %s: write the time as in %s@5s", flag, text, map[string]string{"press": "42#", "say": "yes"}[flag])
			}
		}
		a := act{at: at}
		switch {
		case flag == "say" && strings.TrimSpace(what) == "":
			return nil, fmt.Errorf("--say %s: there is nothing to say", text)
		case flag == "say":
			a.say = what
		case !simcall.IsKeys(what):
			return nil, fmt.Errorf("--press %s: the keys are 0 to 9, *, # and A to D", text)
		default:
			a.keys = what
		}
		acts = append(acts, a)
		last = at
	}
	return acts, nil
}

// cutLast is strings.Cut around the last separator.
func cutLast(s string, separator byte) (before, after string, found bool) {
	if i := strings.LastIndexByte(s, separator); i >= 0 {
		return s[:i], s[i+1:], true
	}
	return s, "", false
}

func parseVars(list []string) ([]simulator.Variable, error) {
	var vars []simulator.Variable
	for _, text := range list {
		name, value, ok := strings.Cut(text, "=")
		if !ok || name == "" || strings.ContainsAny(name, " \t\r\n${}[],;:|'\"") || strings.ContainsAny(value, "\r\n") {
			return nil, fmt.Errorf("--var %s: write NAME=VALUE, as in default_language=sv", text)
		}
		vars = append(vars, simulator.Variable{Name: name, Value: value})
	}
	return vars, nil
}

// parseLegs says how those behave who are called: as the list says, else they answer and talk
// for a while, or wait for somebody to decide.
func parseLegs(list []string, ask bool) ([]simulator.Endpoint, error) {
	var endpoints []simulator.Endpoint
	for _, text := range list {
		target, how, _ := cutLast(text, '=')
		how, keys, presses := strings.Cut(how, ":")
		if target == "" || !strings.Contains(text, "=") {
			return nil, fmt.Errorf("--leg %s: write TARGET=answered, TARGET=busy, TARGET=no_answer or TARGET=CAUSE", text)
		}
		var b simulator.Behaviour
		ok := true
		if presses && (how != "answered" || !simcall.IsKeys(keys)) {
			return nil, fmt.Errorf("--leg %s: who answers may press keys, as in TARGET=answered:1", text)
		}
		if how == "answered" {
			b = simcall.Usual
			b.Presses = keys
		} else if b, ok = simcall.Refusal(how, time.Second); !ok {
			return nil, fmt.Errorf("--leg %s: %q is none of answered, busy, no_answer or a cause such as CALL_REJECTED", text, how)
		}
		endpoints = append(endpoints, simulator.Endpoint{Pattern: target, Behaviour: b})
	}
	said := len(endpoints)
	endpoints = simcall.Endpoints(endpoints)
	for i := said; ask && i < len(endpoints); i++ {
		endpoints[i].Behaviour = simulator.NoAnswer()
	}
	return endpoints, nil
}
