package phone

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"callisto/luabind"
	"callisto/simulator"
)

// Lines prints what happens in a call, a line for each thing: what the caller hears and does, what the
// switch is told, and what the script logs.
type Lines struct {
	Out  io.Writer
	JSON bool // an object for each line
}

// A line is what JSON has for each thing that happens.
type line struct {
	Seconds float64           `json:"seconds"`
	What    string            `json:"what"`
	Text    string            `json:"text"`
	Fields  map[string]string `json:"fields,omitempty"` // of the log
	At      string            `json:"at,omitempty"`     // file:line of the script

	more []string // indented below
}

// Tell prints an event.
func (p *Lines) Tell(e Event) {
	var l line
	switch what := e.What.(type) {
	case Started:
		l = line{What: "call", Text: fmt.Sprintf("%s calls %s and runs %s", what.Caller, what.Destination, what.Script)}
	case Happened:
		l.What, l.Text = happened(what)
		l.Text = plain(l.Text)
	case Acted:
		if what.Act == Says {
			l = line{What: string(Says), Text: plain(what.Text)}
		}
	case Asked:
		l = line{What: "http", Text: plain(asked(what))}
	case Logged:
		l = p.logged(what)
	case Marked:
		l = line{What: "step", Text: plain(marked(what))}
	case Wired:
		l = line{What: "wire", Text: plain(wired(what))}
	case Noted:
		l = line{What: "note", Text: what.Text}
	case Ended:
		if !p.JSON {
			fmt.Fprintf(p.Out, "The call is over after %.2fs: %s.\n", e.At.Seconds(), what.Why)
			return
		}
		l = line{What: "over", Text: what.Why, Fields: map[string]string{"ending": what.Ending, "cause": what.Cause}}
	}
	if l.What == "" {
		return
	}
	l.Seconds = e.At.Round(10 * time.Millisecond).Seconds()
	if p.JSON {
		b, _ := json.Marshal(l)
		fmt.Fprintf(p.Out, "%s\n", b)
		return
	}
	fmt.Fprintf(p.Out, "%8.2fs  %-8s %s\n", l.Seconds, l.What, l.Text)
	for _, text := range l.more {
		fmt.Fprintf(p.Out, "%20s%s\n", "", text)
	}
}

// happened is what the switch tells in words, with "" for what is said elsewhere.
func happened(h Happened) (what, text string) {
	if h.Leg != "" {
		switch h.Kind {
		case simulator.HungUp:
			return "leg", h.Leg + " hangs up: " + h.Name
		case simulator.Played:
			return "leg", h.Leg + " hears " + h.Data
		case simulator.Said:
			return "leg", h.Leg + " hears " + h.Name + ": " + h.Data
		}
		return "", ""
	}
	switch h.Kind {
	case simulator.Played:
		return "hears", strings.TrimSpace(h.Name + " " + h.Data)
	case simulator.Said:
		return "hears", h.Name + ": " + h.Data
	case simulator.Executed:
		switch h.Name {
		case "socket": // that is us
		case "playback", "speak", "say", "phrase": // heard
		default:
			return "switch", strings.TrimSpace(h.Name + " " + h.Data)
		}
	case simulator.Ran:
		if luabind.KeepsPlace(h.Channel, h.Name, h.Data) {
			return "", "" // it is no verb's doing
		}
		return "switch", "api " + strings.TrimSpace(h.Name+" "+h.Data)
	case simulator.Evaluated:
		return "expands", "${" + h.Name + "(" + h.Data + ")}"
	case simulator.System:
		return "expands", "a real switch would have run the shell command: " + h.Data
	case simulator.Dialled:
		return "dials", h.Data
	case simulator.Bridged:
		return "talks", "with " + h.Name
	case simulator.Digit:
		return "presses", h.Data
	case simulator.Sent:
		return "sends", h.Data
	case simulator.Recorded:
		return "records", h.Data
	case simulator.HungUp:
		return "ends", h.Name
	}
	return "", ""
}

// logged is a line of the log in words; --json has the fields apart.
func (p *Lines) logged(e Logged) line {
	l := line{What: strings.ToLower(e.Level.String()), Text: e.Message, Fields: map[string]string{}, At: e.At}
	for _, f := range e.Fields {
		l.Fields[f.Name] = f.Value
	}
	if e.Traceback != "" {
		l.Fields["traceback"] = e.Traceback
	}
	l.Text = logText(e, !p.JSON)
	for frame := range strings.Lines(e.Traceback) {
		l.more = append(l.more, plain(strings.TrimRight(frame, "\n")))
	}
	return l
}

// logText is a line of the log on one line, with its fields and its place where whole is set. That of an
// error is the error.
func logText(e Logged, whole bool) string {
	text := e.Message
	if e.Traceback != "" && e.field("error") != "" {
		text = e.field("error")
		if e.Message != "script error" {
			text = e.Message + ": " + text
		}
		if e.At != "" {
			text = e.At + ": " + text
		}
		return plain(text)
	}
	if whole {
		for _, f := range e.Fields {
			text += " " + f.Name + "=" + quoted(f.Value)
		}
		if e.At != "" {
			text += "  (" + e.At + ")"
		}
	}
	return plain(text)
}

func asked(a Asked) string {
	text := a.Method + " " + a.URL + " → "
	if a.Error != "" {
		return text + a.Error
	}
	return text + strconv.Itoa(a.Status)
}

func marked(m Marked) string {
	text := m.Flow + ": " + m.Step
	switch m.Outcome {
	case luabind.Entered:
	case luabind.Resumed:
		text += " " + m.Outcome
	default:
		text += " → " + m.Outcome
	}
	return text
}

func wired(w Wired) string {
	if w.Sent {
		return "> " + w.Text
	}
	return "< " + w.Text
}

// plain shows control characters, which a terminal would obey, as others.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '⏎'
		case r < ' ' || r >= 0x7f && r < 0xa0:
			return '�'
		}
		return r
	}, strings.ReplaceAll(text, "\t", "  "))
}

// quoted is a field's value, in quotes where its end would not be seen.
func quoted(value string) string {
	if value == "" || strings.ContainsAny(value, " \t\r\n\"=") {
		return strconv.Quote(value)
	}
	return value
}
