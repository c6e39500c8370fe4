package phone

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// A keypad is what the screen's keys act on: a handset. None of its methods but Redial may wait for anything.
type keypad interface {
	Press(keys string)
	Say(text string)
	Hangup()
	Redial() error
	Answer(leg string)
	Refuse(leg, cause string)
}

// A Model is what the screen shows of a phone: how it is drawn is in view.go, what changes it in update.go. It knows
// no terminal and no time but what it is told.
type Model struct {
	keypad keypad
	style  styles
	script string // as it was asked for
	caller string
	number string

	width, height int

	state      state
	dialling   bool   // a call is being made
	began      bool   // the script runs
	why        string // it is over, or there is no call
	failed     bool
	generation uint64
	elapsed    time.Duration
	hearing    Hearing

	heard, logged, wire list
	place               place
	fault               place // of the first error
	flow                luabind.Mark
	flowKind            string
	flowAt              time.Duration
	vars                []variable
	legs                []leg
	leg                 int // which of legs the keys are for

	newest   uint64   // the library's generation, where it has changed since the call began
	changed  []string // the files of which that is
	problems []engine.Problem

	showWire bool
	help     bool
	focus    paneID
	scroll   [panes]int // lines from where the pane rests
	typing   bool
	text     []rune
	quitting bool
}

type state int

const (
	idle state = iota
	up
	over
)

// A list is what has happened, for a pane that shows its end.
type list []entry

// An entry is one thing that happened.
type entry struct {
	at    time.Duration
	what  string
	text  string
	quote string // the words of a prompt
	style entryStyle
}

type entryStyle int

const (
	ordinary entryStyle = iota
	byCaller            // what the caller does
	bad
	remark
)

// maxEntries is how much of a call can be scrolled back to.
const maxEntries = 5000

func (l *list) add(e entry) {
	if len(*l) >= maxEntries {
		*l = append((*l)[:0], (*l)[maxEntries/10:]...)
	}
	*l = append(*l, e)
}

// A place is where in the scripts the call is.
type place struct {
	file   string
	line   int
	verb   string
	source []string
}

// placeOf is the place of an error: file:line.
func placeOf(at string, source []string) place {
	file, number, _ := cutLast(at, ':')
	line, err := strconv.Atoi(number)
	if err != nil {
		return place{}
	}
	return place{file, line, "error", source}
}

type variable struct {
	name, value string
	unset       bool
	at          time.Duration
}

// A leg is a call that the script makes.
type leg struct {
	uuid, name, dialled string
	state               legState
	at                  time.Duration // since when it is in that state
	cause               string
	left                bool // the keys have let it ring
}

type legState int

const (
	rings legState = iota
	talks
	gone
)

// newModel is a screen before its first call.
func newModel(k keypad, o Options) *Model {
	return &Model{keypad: k, style: coloured(), script: o.Script, caller: o.Caller, number: o.Number, showWire: o.Wire}
}

// tell changes the model by an event.
func (m *Model) tell(e Event) {
	if e.At > m.elapsed {
		m.elapsed = e.At
	}
	switch what := e.What.(type) {
	case Dialling:
		m.reset()
	case Started:
		m.began, m.generation, m.caller, m.number = true, what.Generation, what.Caller, what.Destination
	case Happened:
		m.happened(e.At, what)
	case Acted:
		if what.Act == Says {
			m.heard.add(entry{at: e.At, what: string(Says), text: simcall.Plain(what.Text), style: byCaller})
		}
	case Asked:
		m.logged.add(entry{at: e.At, what: "http", text: simcall.Plain(asked(what))})
	case Logged:
		style := ordinary
		if what.Level >= slog.LevelError {
			style = bad
		}
		text := strings.Join(append([]string{what.Text(true)}, what.Frames()...), "\n")
		if what.Traceback != "" && m.fault.file == "" {
			m.fault = placeOf(what.At, what.Source)
		}
		m.logged.add(entry{at: e.At, what: strings.ToLower(what.Level.String()), text: text, style: style})
	case Stepped:
		m.place.verb = what.Verb
		if what.Line > 0 {
			m.place = place{what.File, what.Line, what.Verb, what.Source}
		}
	case Marked:
		if what.Outcome == luabind.Entered || what.Outcome == luabind.Resumed {
			m.flow, m.flowKind, m.flowAt = what.Mark, what.Kind, e.At
			if what.Line > 0 {
				m.place = place{what.File, what.Line, "", what.Source}
			}
		}
		word, text := simcall.Step(what.Mark)
		m.heard.add(entry{at: e.At, what: word, text: text, style: remark})
	case Wired:
		m.wire.add(entry{at: e.At, text: simcall.Plain(wired(what))})
	case Noted:
		m.heard.add(entry{at: e.At, what: "note", text: simcall.Plain(what.Text), style: remark})
	case Reloaded:
		m.problems = what.Problems
		for _, file := range what.Changed {
			if !slices.Contains(m.changed, file) {
				m.changed = append(m.changed, file)
			}
		}
		m.newest = what.Generation
	case Ended:
		m.state, m.why, m.failed, m.hearing = over, what.Why, what.Failed, Hearing{}
		style := remark
		if what.Failed {
			style = bad
		}
		m.heard.add(entry{at: e.At, what: "over", text: simcall.Plain(what.Why), style: style})
		if m.fault.file != "" { // and not where a hangup handler was
			m.place = m.fault
		}
		for i := range m.legs {
			m.setLeg(i, gone, e.At, m.legs[i].cause)
		}
	}
}

// reset makes the screen ready for another call. What was scrolled and shown stays as it is.
func (m *Model) reset() {
	fresh := Model{
		keypad: m.keypad, style: m.style, script: m.script, caller: m.caller, number: m.number, width: m.width, height: m.height,
		problems: m.problems, showWire: m.showWire, focus: m.focus, quitting: m.quitting, dialling: m.dialling, typing: m.typing, text: m.text, state: up,
	}
	*m = fresh
}

func (m *Model) happened(at time.Duration, h Happened) {
	if h.Leg != "" {
		m.legHappened(at, h)
	}
	e := entry{at: at}
	switch what, text := simcall.Words(h.Occurrence, h.Leg, h.With); {
	case what == "":
		return
	case what == "switch" || what == "expands":
		m.set(at, h)
		e.what, e.text, e.style = what, text, remark
	default:
		e.what, e.text = what, text
		if h.Text != "" {
			e.quote = simcall.Plain(h.Text)
		}
		switch h.Kind {
		case simulator.Digit:
			e.style = byCaller
		case simulator.HungUp:
			e.style = remark
		}
	}
	m.heard.add(e)
}

// set notes what an application does to the variables. It is told before the switch has done it, which cannot
// fail.
func (m *Model) set(at time.Duration, h Happened) {
	switch h.Name {
	case "uuid_setvar":
		if _, rest, ok := strings.Cut(h.Data, " "); ok {
			name, value, _ := strings.Cut(rest, " ")
			m.assign(variable{name: name, value: simcall.Plain(value), unset: value == "", at: at})
		}
	case "set", "export", "bridge_export":
		name, value, _ := strings.Cut(strings.TrimPrefix(h.Data, "nolocal:"), "=")
		m.assign(variable{name: name, value: simcall.Plain(value), at: at})
	case "unset":
		m.assign(variable{name: h.Data, unset: true, at: at})
	case "multiset":
		list, separator := h.Data, " "
		if rest, ok := strings.CutPrefix(list, "^^"); ok && rest != "" {
			separator, list = rest[:1], rest[1:]
		}
		for one := range strings.SplitSeq(list, separator) {
			if name, value, ok := strings.Cut(one, "="); ok {
				m.assign(variable{name: name, value: simcall.Plain(value), at: at})
			}
		}
	case "multiunset":
		for name := range strings.FieldsSeq(strings.ReplaceAll(h.Data, ",", " ")) {
			m.assign(variable{name: name, unset: true, at: at})
		}
	}
}

// assign puts a variable in front of those that were changed before.
func (m *Model) assign(v variable) {
	v.name = simcall.Plain(v.name)
	kept := m.vars[:0:0]
	for _, old := range m.vars {
		if old.name != v.name {
			kept = append(kept, old)
		}
	}
	if v.unset && len(kept) == len(m.vars) {
		return // it was none before
	}
	m.vars = append([]variable{v}, kept...)
}

func (m *Model) legHappened(at time.Duration, h Happened) {
	if h.Kind == simulator.Rings {
		m.legs = append(m.legs, leg{uuid: h.Channel, name: simcall.Plain(h.Leg), dialled: simcall.Plain(h.Data), at: at})
		if h.Name == "" { // else the caller's channel has told that it dials
			m.heard.add(entry{at: at, what: "dials", text: simcall.Plain(h.Data), style: remark})
		}
		if m.leg >= len(m.legs) || m.legs[m.leg].state == gone {
			m.leg = len(m.legs) - 1
		}
		return
	}
	for i := range m.legs {
		if m.legs[i].uuid == h.Channel {
			switch h.Kind {
			case simulator.Answered:
				m.setLeg(i, talks, at, "")
			case simulator.HungUp:
				m.setLeg(i, gone, at, h.Name)
			}
		}
	}
}

func (m *Model) setLeg(i int, s legState, at time.Duration, cause string) {
	l := &m.legs[i]
	if l.state == s {
		return
	}
	l.state, l.at, l.cause = s, at, cause
	if s == gone && i == m.leg {
		m.nextLeg()
	}
}

// nextLeg gives the keys to the next leg that somebody can do something about.
func (m *Model) nextLeg() {
	for n := 1; n <= len(m.legs); n++ {
		i := (m.leg + n) % len(m.legs)
		if m.legs[i].state != gone {
			m.leg = i
			return
		}
	}
}

// chosen is the leg that the keys are for, or nil.
func (m *Model) chosen() *leg {
	if m.leg < len(m.legs) && m.legs[m.leg].state != gone {
		return &m.legs[m.leg]
	}
	return nil
}
