package phone

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
)

// A logger is the slog.Handler of a call's engine: it tells what is logged.
type logger struct {
	call  *Call
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (l *logger) Enabled(_ context.Context, level slog.Level) bool { return level >= l.call.level }

// WithAttrs implements slog.Handler.
func (l *logger) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logger{l.call, append(slices.Clip(l.attrs), attrs...)}
}

// WithGroup implements slog.Handler. There are no groups in what calls log.
func (l *logger) WithGroup(string) slog.Handler { return l }

// Handle implements slog.Handler.
func (l *logger) Handle(_ context.Context, r slog.Record) error {
	c := l.call
	c.catchUp()
	line := Logged{Level: r.Level, Message: r.Message}
	each := func(a slog.Attr) bool {
		switch value := a.Value.String(); a.Key {
		case "uuid": // there is only one call
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
	for _, a := range l.attrs {
		each(a)
	}
	switch {
	case r.Message == "call started" && line.At == "":
		generation, _ := strconv.ParseUint(line.field("generation"), 10, 64)
		c.emit(c.now(), Started{line.field("script"), generation, line.field("caller"), line.field("destination")})
		return nil
	case r.Message == "call ended" && line.At == "":
		c.mu.Lock()
		c.ending = line.field("ending")
		c.mu.Unlock()
		return nil
	case r.Message == "step counted" && line.At == "":
		return nil // of one call, whose steps are told
	case r.Message == "script error", line.Traceback != "" && line.field("error") != "":
		c.mu.Lock()
		c.raised = true
		c.mu.Unlock()
	}
	file, _, _ := cutLast(line.At, ':')
	line.Source = c.files[file]
	c.emit(c.now(), line)
	return nil
}
