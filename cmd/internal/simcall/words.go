package simcall

import (
	"log/slog"
	"slices"
	"strconv"
	"strings"

	"callisto/luabind"
	"callisto/simulator"
)

// Words are what happened in words: what is one word of at most eight letters. leg is how another channel is called, "" for
// the caller; with what a bridge is with is called. what is "" where nothing is to be said.
func Words(o simulator.Occurrence, leg, with string) (what, text string) {
	if leg != "" {
		switch o.Kind {
		case simulator.Answered:
			text = leg + " answers"
		case simulator.HungUp:
			text = leg + " hangs up: " + o.Name
		case simulator.Digit:
			text = leg + " presses " + o.Data
		case simulator.Played:
			text = leg + " hears " + o.Data
		case simulator.Said:
			text = leg + " hears " + o.Name + ": " + o.Data
		default:
			return "", ""
		}
		return "leg", Plain(text)
	}
	switch o.Kind {
	case simulator.Played:
		what, text = "hears", o.Name+" "+o.Data
	case simulator.Said:
		what, text = "hears", o.Name+": "+o.Data
	case simulator.Executed:
		switch o.Name {
		case "socket": // that is us
		case "playback", "speak", "say", "phrase": // heard
		default:
			if !OwnDoing(o) {
				what, text = "switch", o.Name+" "+o.Data
			}
		}
	case simulator.Ran:
		if !OwnDoing(o) {
			what, text = "switch", "api "+o.Name+" "+o.Data
		}
	case simulator.Evaluated:
		what, text = "expands", "${"+o.Name+"("+o.Data+")}"
	case simulator.System:
		what, text = "expands", "a real switch would have run the shell command: "+o.Data
	case simulator.Dialled:
		what, text = "dials", o.Data
	case simulator.Bridged:
		what, text = "talks", "with "+with
	case simulator.Digit:
		what, text = "presses", o.Data
	case simulator.Sent:
		what, text = "sends", o.Data
	case simulator.Recorded:
		what, text = "records", o.Data
	case simulator.HungUp:
		what, text = "ends", o.Name
	}
	return what, Plain(strings.TrimSpace(text))
}

// OwnDoing reports whether an application or an API command is one with which Callisto keeps a call's place: no verb's doing.
func OwnDoing(o simulator.Occurrence) bool {
	return (o.Kind == simulator.Executed || o.Kind == simulator.Ran) && luabind.KeepsPlace(o.Channel, o.Name, o.Data)
}

// Step is a step of a flow in words, that a call has come to or has left.
func Step(m luabind.Mark) (what, text string) {
	text = m.Flow + ": " + m.Step
	switch m.Outcome {
	case luabind.Entered:
	case luabind.Resumed:
		text += " " + m.Outcome
	default:
		text += " → " + m.Outcome
	}
	return "step", Plain(text)
}

// A Record is a line of the engine's log, taken apart.
type Record struct {
	Level     slog.Level
	Message   string
	UUID      string  // of the call
	At        string  // file:line of the script; "" for the engine's own lines
	Traceback string  // of an error
	Fields    []Field // the others, in their order
}

// A Field is a field of a line of the log.
type Field struct{ Name, Value string }

// NewRecord takes a record apart. attrs are those of the handler.
func NewRecord(r slog.Record, attrs []slog.Attr) Record {
	line := Record{Level: r.Level, Message: r.Message}
	each := func(a slog.Attr) bool {
		switch value := a.Value.String(); a.Key {
		case "uuid":
			line.UUID = value
		case "at":
			line.At = value
		case "traceback":
			line.Traceback = value
		default:
			if i := slices.IndexFunc(line.Fields, func(f Field) bool { return f.Name == a.Key }); i >= 0 {
				line.Fields[i].Value = value
			} else {
				line.Fields = append(line.Fields, Field{a.Key, value})
			}
		}
		return true
	}
	r.Attrs(each)
	for _, a := range attrs {
		each(a)
	}
	return line
}

// Field is the value of a field, or "".
func (r Record) Field(name string) string {
	for _, f := range r.Fields {
		if f.Name == name {
			return f.Value
		}
	}
	return ""
}

// Is reports whether it is a line of the engine itself with that message.
func (r Record) Is(message string) bool { return r.Message == message && r.At == "" }

// Text is the record on one line. That of an error is the error; else whole adds the fields and the place.
func (r Record) Text(whole bool) string {
	text := r.Message
	if r.Traceback != "" && r.Field("error") != "" {
		text = r.Field("error")
		if r.Message != "script error" {
			text = r.Message + ": " + text
		}
		if r.At != "" {
			text = r.At + ": " + text
		}
		return Plain(text)
	}
	if whole {
		for _, f := range r.Fields {
			text += " " + f.Name + "=" + quoted(f.Value)
		}
		if r.At != "" {
			text += "  (" + r.At + ")"
		}
	}
	return Plain(text)
}

// Frames are the lines of the traceback.
func (r Record) Frames() (list []string) {
	for frame := range strings.Lines(r.Traceback) {
		list = append(list, Plain(strings.TrimRight(frame, "\n")))
	}
	return list
}

// Plain shows control characters, which a terminal would obey, as others.
func Plain(text string) string {
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
