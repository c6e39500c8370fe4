package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"callisto/simulator"
)

// A phone prints what happens in one simulated call, a line for each thing: what the
// caller hears and does, what the switch is told, and, as it is a slog.Handler, what the
// script logs.
type phone struct {
	out    io.Writer
	json   bool
	level  slog.Level
	caller string // the UUID of the caller's channel
	sw     *simulator.Switch
	now    func() time.Time
	began  time.Time
	ended  chan struct{} // closed when the observer has been told everything of the caller

	mu      sync.Mutex
	channel *simulator.Channel // the caller's
	told    int                // how much of the channel's log the observer has been told
	hears   sync.Cond          // of told
	names   map[string]string  // of legs, by UUID
	failed  bool               // the script, or a hangup handler, raised an error
	ending  string             // as the engine names it
	cause   string
	last    time.Duration // the time of the line before
}

// A line is what --json prints for each thing that happens.
type line struct {
	Seconds float64           `json:"seconds"`
	What    string            `json:"what"`
	Text    string            `json:"text"`
	Fields  map[string]string `json:"fields,omitempty"` // of the log
	At      string            `json:"at,omitempty"`     // file:line of the script
}

func (p *phone) print(what, text string) { p.show(p.now(), line{What: what, Text: text}, nil) }

// show prints a line, with more of it indented below.
func (p *phone) show(at time.Time, l line, more []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	// What the observer tells late is not shown earlier than what came after it.
	p.last = max(p.last, at.Sub(p.began))
	l.Seconds = p.last.Round(10 * time.Millisecond).Seconds()
	if p.json {
		b, _ := json.Marshal(l)
		fmt.Fprintf(p.out, "%s\n", b)
		return
	}
	fmt.Fprintf(p.out, "%8.2fs  %-8s %s\n", l.Seconds, l.What, l.Text)
	for _, text := range more {
		fmt.Fprintf(p.out, "%20s%s\n", "", text)
	}
}

// observe is told what happens on the switch.
func (p *phone) observe(o simulator.Occurrence) {
	if o.Channel == p.caller {
		defer func() {
			p.mu.Lock()
			p.told++
			p.hears.Broadcast()
			p.mu.Unlock()
		}()
	}
	say := func(what, text string) { p.show(o.Time, line{What: what, Text: plain(text)}, nil) }
	if o.Channel != "" && o.Channel != p.caller {
		switch o.Kind {
		case simulator.HungUp:
			say("leg", p.leg(o.Channel)+" hangs up: "+o.Name)
		case simulator.Played:
			say("leg", p.leg(o.Channel)+" hears "+o.Data)
		case simulator.Said:
			say("leg", p.leg(o.Channel)+" hears "+o.Name+": "+o.Data)
		}
		return
	}
	switch o.Kind {
	case simulator.Played:
		say("hears", strings.TrimSpace(o.Name+" "+o.Data))
	case simulator.Said:
		say("hears", o.Name+": "+o.Data)
	case simulator.Executed:
		switch o.Name {
		case "socket": // that is us
		case "playback", "speak", "say", "phrase": // heard
		default:
			say("switch", strings.TrimSpace(o.Name+" "+o.Data))
		}
	case simulator.Ran:
		say("switch", "api "+strings.TrimSpace(o.Name+" "+o.Data))
	case simulator.Evaluated:
		say("expands", "${"+o.Name+"("+o.Data+")}")
	case simulator.System:
		say("expands", "a real switch would have run the shell command: "+o.Data)
	case simulator.Dialled:
		say("dials", o.Data)
	case simulator.Bridged:
		say("talks", "with "+p.leg(o.Data))
	case simulator.Digit:
		say("presses", o.Data)
	case simulator.Sent:
		say("sends", o.Data)
	case simulator.Recorded:
		say("records", o.Data)
	case simulator.HungUp:
		say("ends", o.Name)
	case simulator.Ended:
		defer close(p.ended)
	}
}

// catchUp waits until the observer has been told what has happened so far: what the script logs
// in answer to it is shown after it.
func (p *phone) catchUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.channel == nil {
		p.channel = p.sw.Channel(p.caller)
	}
	if p.channel == nil {
		return
	}
	for happened := len(p.channel.Log()); p.told < happened; {
		p.hears.Wait()
	}
}

// leg is the number of another channel.
func (p *phone) leg(uuid string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	if name := p.names[uuid]; name != "" {
		return name
	}
	if c := p.sw.Channel(p.caller); c != nil {
		legs := strings.TrimPrefix(c.Variable("originated_legs"), "ARRAY::")
		for entry := range strings.SplitSeq(legs, "|:") {
			if f := strings.Split(entry, ";"); len(f) == 3 && f[2] != "" {
				p.names[f[0]] = f[2]
			}
		}
	}
	if name := p.names[uuid]; name != "" {
		return name
	}
	return "another leg"
}

// Enabled implements slog.Handler.
func (p *phone) Enabled(_ context.Context, level slog.Level) bool { return level >= p.level }

// WithAttrs implements slog.Handler.
func (p *phone) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &attrsHandler{p, attrs}
}

// WithGroup implements slog.Handler. There are no groups in what calls log.
func (p *phone) WithGroup(string) slog.Handler { return p }

// An attrsHandler adds attributes to what a phone prints.
type attrsHandler struct {
	slog.Handler
	attrs []slog.Attr
}

func (h *attrsHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(h.attrs...)
	return h.Handler.Handle(ctx, r)
}

func (h *attrsHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &attrsHandler{h.Handler, append(slices.Clip(h.attrs), attrs...)}
}

// Handle implements slog.Handler: it prints what a call logs.
func (p *phone) Handle(_ context.Context, r slog.Record) error {
	p.catchUp()
	l := line{What: strings.ToLower(r.Level.String()), Text: r.Message, Fields: map[string]string{}}
	var order []string
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "uuid": // there is only one call
		case "at":
			l.At = a.Value.String()
		default:
			if _, ok := l.Fields[a.Key]; !ok {
				order = append(order, a.Key)
			}
			l.Fields[a.Key] = a.Value.String()
		}
		return true
	})
	var more []string
	switch {
	case r.Message == "call started" && l.At == "":
		p.show(p.now(), line{What: "call", Text: fmt.Sprintf("%s calls %s and runs %s", l.Fields["caller"], l.Fields["destination"], l.Fields["script"])}, nil)
		return nil
	case r.Message == "call ended" && l.At == "":
		p.mu.Lock()
		p.ending, p.cause = l.Fields["ending"], l.Fields["cause"]
		p.mu.Unlock()
		return nil
	case l.Fields["traceback"] != "" && l.Fields["error"] != "":
		p.mu.Lock()
		p.failed = true
		p.mu.Unlock()
		l.Text = l.Fields["error"]
		if r.Message != "script error" {
			l.Text = r.Message + ": " + l.Text
		}
		if l.At != "" {
			l.Text = l.At + ": " + l.Text
		}
		for frame := range strings.Lines(l.Fields["traceback"]) {
			more = append(more, plain(strings.TrimRight(frame, "\n")))
		}
	case r.Message == "script error":
		p.mu.Lock()
		p.failed = true
		p.mu.Unlock()
		fallthrough
	default:
		for _, name := range order {
			if p.json {
				break
			}
			l.Text += " " + name + "=" + quoted(l.Fields[name])
		}
		if l.At != "" && !p.json {
			l.Text += "  (" + l.At + ")"
		}
	}
	l.Text = plain(l.Text)
	p.show(p.now(), l, more)
	return nil
}

// over says how the call ended, and why.
func (p *phone) over(outcome simulator.Outcome) {
	var why string
	switch p.ending {
	case "returned":
		why = "the script returned"
	case "hung up by script":
		why = "the script hung up"
	case "caller hung up":
		why = "the caller hung up"
	case "transferred":
		why = "the script transferred it"
		if outcome.Destination != "" {
			why += " to " + outcome.Destination
		}
	case "script error":
		why = "the script raised an error"
	case "over limit":
		why = "the script went over its limits"
	case "timed out":
		why = "it took longer than limits.call"
	default:
		why = p.ending
	}
	switch outcome.Kind {
	case simulator.ContinuedOutcome:
		why += ", and the dialplan goes on"
	case simulator.HungUpOutcome:
		if outcome.Cause != "" {
			why += " (" + outcome.Cause + ")"
		}
	}
	if p.json {
		p.show(p.now(), line{What: "over", Text: why, Fields: map[string]string{"ending": p.ending, "cause": outcome.Cause}}, nil)
		return
	}
	fmt.Fprintf(p.out, "The call is over after %.2fs: %s.\n", p.last.Seconds(), why)
}

// plain shows control characters, which a terminal would obey, as escapes.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return '⏎'
		case r < ' ' || r == 0x7f:
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
