package calltest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/luabind"
	"callisto/simulator"
)

// An event is a line in the story of a test.
type event struct {
	at      time.Time
	phase   int // of the test: what happens after it has failed comes behind that
	class   class
	channel string
	what    string
	text    string
	more    []string // below the line
}

// A class orders what happens at the same moment, which is on several goroutines: so the story is the same each time.
type class int

const (
	acted    class = iota // a caller
	switched              // the switch
	logged                // the script and the engine
	missed                // the test: it fails here
)

// tell adds to the story. b.mu is held.
func (b *bench) tell(e event) {
	if len(b.story) >= maxStory && e.class != missed {
		b.cut++
		return
	}
	if _, known := b.ordinal[e.channel]; !known {
		b.ordinal[e.channel] = len(b.ordinal)
	}
	e.phase = b.phase
	if e.class == missed {
		b.phase++
	}
	b.story = append(b.story, e)
}

// observe is told what happens on the switch.
func (b *bench) observe(o simulator.Occurrence) {
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.wake()
	c := b.caller(o.Channel)
	leg := ""
	if o.Kind == simulator.Rings {
		b.legName(o)
	}
	if c == nil {
		leg = b.leg(o.Channel)
	}
	if what, text := simcall.Words(o, leg, b.leg(o.Data)); what != "" {
		b.tell(event{at: o.Time, class: switched, channel: o.Channel, what: what, text: text})
	}
	if c == nil {
		return
	}
	f := &c.facts
	switch o.Kind {
	case simulator.Played:
		if text, ok := strings.CutPrefix(o.Data, "say:"); ok {
			c.hear(sound{said: true, text: text})
		} else {
			c.hear(sound{text: o.Data})
		}
	case simulator.Said:
		c.hear(sound{said: true, text: o.Data})
	case simulator.Executed:
		if simcall.OwnDoing(o) {
			return
		}
		f.Executed = append(f.Executed, strings.TrimSpace(o.Name+" "+o.Data))
	case simulator.Dialled:
		f.Dialled = append(f.Dialled, o.Data)
	case simulator.Digit:
		f.Pressed += o.Data
	case simulator.Recorded:
		f.Recorded = append(f.Recorded, o.Data)
	case simulator.HungUp:
		f.Cause = o.Name
	case simulator.Ended:
		c.left = true
		c.over = o.Time.Sub(c.began)
		c.outcome = o.Data
	}
}

// marked is told of the steps of flows.
func (b *bench) marked(uuid string, m luabind.Mark) {
	b.mu.Lock()
	defer b.mu.Unlock()
	what, text := simcall.Step(m)
	b.tell(event{at: b.clock.Now(), class: logged, channel: uuid, what: what, text: text})
}

// maxHeard bounds what is kept of what a caller hears.
const maxHeard = 100000

func (c *caller) hear(s sound) {
	if len(c.heard) < maxHeard {
		c.heard = append(c.heard, s)
	}
}

// legName keeps what a leg was dialled by. b.mu is held.
func (b *bench) legName(o simulator.Occurrence) {
	if b.names == nil {
		b.names = map[string]string{}
	}
	b.names[o.Channel] = o.Data
}

func (b *bench) leg(uuid string) string {
	if name := b.names[uuid]; name != "" {
		return name
	}
	if c := b.caller(uuid); c != nil {
		return "the caller"
	}
	return "another leg"
}

// A scribe is the engine's log: it goes into the story, and tells how calls end.
type scribe struct {
	bench *bench
	attrs []slog.Attr
}

func (s *scribe) Enabled(context.Context, slog.Level) bool { return !s.bench.closing.Load() }

func (s *scribe) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &scribe{s.bench, append(slices.Clip(s.attrs), attrs...)}
}

func (s *scribe) WithGroup(string) slog.Handler { return s }

func (s *scribe) Handle(_ context.Context, r slog.Record) error {
	line := simcall.NewRecord(r, s.attrs)
	b := s.bench
	b.mu.Lock()
	defer b.mu.Unlock()
	defer b.wake()
	c := b.caller(line.UUID)
	e := event{at: b.clock.Now(), class: logged, channel: line.UUID, what: strings.ToLower(r.Level.String()), text: line.Text(true)}
	switch {
	case line.Is("call started"):
		if c != nil {
			c.facts.Script = line.Field("script")
		}
		e.what, e.class = "call", acted
		e.text = fmt.Sprintf("%s calls %s and runs %s", line.Field("caller"), line.Field("destination"), line.Field("script"))
	case r.Message == "a connection brought no call":
		for _, c := range b.callers {
			c.returned = c.returned || c.facts.Script == ""
		}
	case line.Is("call ended"):
		if c == nil {
			return nil
		}
		c.returned = true
		if ending := line.Field("ending"); ending != "transferred" || c.facts.Ending == "" {
			c.facts.Ending = ending
		}
		if c.facts.Cause == "" {
			c.facts.Cause = line.Field("cause")
		}
		return nil
	case line.Traceback != "" || r.Message == "script error" || r.Message == "panic in a call" || r.Message == "the call has no script to run":
		f := fault{what: line.Field("error"), at: line.At, traceback: line.Traceback}
		if r.Message != "script error" {
			f.what = strings.TrimSuffix(r.Message+": "+f.what, ": ")
		}
		if c != nil {
			c.errors = append(c.errors, f)
		}
		e.what, e.text, e.more = "error", simcall.Plain(f.String()), line.Frames()
	case line.At != "" && c != nil:
		c.facts.Log = append(c.facts.Log, r.Message)
	}
	b.tell(e)
	return nil
}

// A line is what is told of an event to those who read a failure.
type line struct {
	Seconds float64  `json:"seconds"`
	What    string   `json:"what"`
	Text    string   `json:"text"`
	More    []string `json:"more,omitempty"`
	Failed  bool     `json:"failed,omitempty"` // the test failed here
}

// maxTold is how many lines of a story are shown: its beginning and its end.
const maxTold = 80

// lines tells the story so far in its order.
func (b *bench) lines() []line {
	b.mu.Lock()
	defer b.mu.Unlock()
	story := slices.Clone(b.story)
	slices.SortStableFunc(story, func(x, y event) int {
		// Of what happens on several channels at once a leg's comes first: the caller's follows from it.
		return cmp.Or(x.at.Compare(y.at), cmp.Compare(x.phase, y.phase), cmp.Compare(x.class, y.class), cmp.Compare(b.ordinal[y.channel], b.ordinal[x.channel]))
	})
	var list []line
	for _, e := range story {
		began := e.at
		if len(b.callers) > 0 {
			began = b.callers[0].began
		}
		list = append(list, line{Seconds: e.at.Sub(began).Round(10 * time.Millisecond).Seconds(), What: e.what, Text: e.text, More: e.more, Failed: e.class == missed})
	}
	if n := len(list) - maxTold + b.cut; n > 0 {
		half := maxTold / 2
		cut := line{Seconds: list[half].Seconds, What: "…", Text: fmt.Sprintf("%d more lines", n)}
		list = append(append(list[:half:half], cut), list[len(list)-half:]...)
	}
	return list
}

func writeStory(w io.Writer, lines []line, indent string) {
	for _, l := range lines {
		if l.Failed {
			fmt.Fprintf(w, "%s> %8.2fs  %-8s %s\n", indent[:max(len(indent)-2, 0)], l.Seconds, l.What, l.Text)
			continue
		}
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("%s%8.2fs  %-8s %s", indent, l.Seconds, l.What, l.Text), " "))
		for _, more := range l.More {
			fmt.Fprintf(w, "%s%20s%s\n", indent, "", more)
		}
	}
}
