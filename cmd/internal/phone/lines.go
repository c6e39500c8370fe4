package phone

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"callisto/cmd/internal/simcall"
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
		l.What, l.Text = simcall.Words(what.Occurrence, what.Leg, what.With)
	case Acted:
		if what.Act == Says {
			l = line{What: string(Says), Text: simcall.Plain(what.Text)}
		}
	case Asked:
		l = line{What: "http", Text: simcall.Plain(asked(what))}
	case Logged:
		l = p.logged(what)
	case Marked:
		l.What, l.Text = simcall.Step(what.Mark)
	case Wired:
		l = line{What: "wire", Text: simcall.Plain(wired(what))}
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

// logged is a line of the log in words; --json has the fields apart.
func (p *Lines) logged(e Logged) line {
	l := line{What: strings.ToLower(e.Level.String()), Text: e.Message, Fields: map[string]string{}, At: e.At}
	for _, f := range e.Fields {
		l.Fields[f.Name] = f.Value
	}
	if e.Traceback != "" {
		l.Fields["traceback"] = e.Traceback
	}
	l.Text, l.more = e.Text(!p.JSON), e.Frames()
	return l
}

func asked(a Asked) string {
	text := a.Method + " " + a.URL + " → "
	if a.Error != "" {
		return text + a.Error
	}
	return text + strconv.Itoa(a.Status)
}

func wired(w Wired) string {
	if w.Sent {
		return "> " + w.Text
	}
	return "< " + w.Text
}
