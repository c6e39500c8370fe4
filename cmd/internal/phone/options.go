package phone

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"callisto/engine"
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

	Fast bool // the call takes no time
	Wire bool // tell what is on the event socket
	JSON bool // print objects

	Record string // the file to write the calls to, as a test
	Force  bool   // even if it is there already
}

// A plan is what Options come to.
type plan struct {
	Options
	script    string // its canonical name
	socket    string // the words behind its name
	vars      []simulator.Variable
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
	if p.socket, err = socketWords(o.Mode, o.Args); err != nil {
		return nil, err
	}
	if p.script, err = engine.ScriptName(o.Script); err != nil {
		return nil, err
	}
	return p, nil
}

// behaviour is how a leg was told to behave; nil where nothing was said and the switch has its own ways.
func (p *plan) behaviour(dialled string) *simulator.Behaviour {
	for i, e := range p.endpoints {
		prefix, open := strings.CutSuffix(e.Pattern, "*")
		if dialled == e.Pattern || open && strings.HasPrefix(dialled, prefix) {
			return &p.endpoints[i].Behaviour
		}
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

func isKeys(text string) bool { return text != "" && strings.Trim(text, keys) == "" }

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
		case !isKeys(what):
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
	answers := simulator.Answers(2*time.Second, 5*time.Second)
	var endpoints []simulator.Endpoint
	for _, text := range list {
		target, how, _ := cutLast(text, '=')
		if target == "" || !strings.Contains(text, "=") {
			return nil, fmt.Errorf("--leg %s: write TARGET=answered, TARGET=busy, TARGET=no_answer or TARGET=CAUSE", text)
		}
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
		switch {
		case ask:
			e.Behaviour = simulator.NoAnswer()
		case e.Behaviour.HangupAfter == 0:
			e.Behaviour = answers
		}
		endpoints = append(endpoints, e)
	}
	return slices.Clip(endpoints), nil
}
