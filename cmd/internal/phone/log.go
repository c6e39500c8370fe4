package phone

import (
	"context"
	"log/slog"
	"slices"
	"strconv"

	"callisto/cmd/internal/simcall"
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
	line := Logged{Record: simcall.NewRecord(r, l.attrs)}
	switch {
	case line.Is("call started"):
		generation, _ := strconv.ParseUint(line.Field("generation"), 10, 64)
		c.emit(c.now(), Started{line.Field("script"), generation, line.Field("caller"), line.Field("destination")})
		return nil
	case line.Is("call ended"):
		c.mu.Lock()
		c.ending = line.Field("ending")
		c.mu.Unlock()
		return nil
	case line.Is("step counted"):
		return nil // of one call, whose steps are told
	case r.Message == "script error", line.Traceback != "" && line.Field("error") != "":
		c.mu.Lock()
		c.raised = true
		c.mu.Unlock()
	}
	file, _, _ := cutLast(line.At, ':')
	line.Source = c.files[file]
	c.emit(c.now(), line)
	return nil
}
