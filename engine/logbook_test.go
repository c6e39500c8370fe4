package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"
)

// A logbook is a slog.Handler that keeps what is logged, for tests to read.
type logbook struct {
	mu      sync.Mutex
	entries []entry
	news    chan struct{}        // closed at the next entry
	told    func(message string) // where set, called at each entry, by who logs it
}

type entry struct {
	level   slog.Level
	message string
	attrs   map[string]string
}

type logbookWith struct {
	*logbook
	with []slog.Attr
}

func (l *logbook) Enabled(context.Context, slog.Level) bool          { return true }
func (l *logbook) Handle(ctx context.Context, r slog.Record) error   { return l.add(nil, r) }
func (l *logbook) WithAttrs(attrs []slog.Attr) slog.Handler          { return &logbookWith{l, attrs} }
func (l *logbook) WithGroup(string) slog.Handler                     { return l }
func (l *logbookWith) Handle(_ context.Context, r slog.Record) error { return l.add(l.with, r) }
func (l *logbookWith) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logbookWith{l.logbook, append(append([]slog.Attr(nil), l.with...), attrs...)}
}

func (l *logbook) add(with []slog.Attr, r slog.Record) error {
	e := entry{r.Level, r.Message, make(map[string]string)}
	for _, a := range with {
		e.attrs[a.Key] = a.Value.String()
	}
	r.Attrs(func(a slog.Attr) bool {
		e.attrs[a.Key] = a.Value.String()
		return true
	})
	if l.told != nil {
		l.told(e.message)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = append(l.entries, e)
	if l.news != nil {
		close(l.news)
		l.news = nil
	}
	return nil
}

// all returns the entries with a message.
func (l *logbook) all(message string) []map[string]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []map[string]string
	for _, e := range l.entries {
		if e.message == message {
			list = append(list, e.attrs)
		}
	}
	return list
}

// find returns the first entry with a message, nil if there is none.
func (l *logbook) find(message string) map[string]string {
	if list := l.all(message); len(list) > 0 {
		return list[0]
	}
	return nil
}

// await waits for an entry with a message.
func (l *logbook) await(t testing.TB, message string) map[string]string {
	t.Helper()
	l.until(t, func() bool { return l.find(message) != nil })
	return l.find(message)
}

// until waits until the entries are such that done is true.
func (l *logbook) until(t testing.TB, done func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for {
		l.mu.Lock()
		if l.news == nil {
			l.news = make(chan struct{})
		}
		news := l.news
		l.mu.Unlock()
		if done() {
			return
		}
		select {
		case <-news:
		case <-limit:
			t.Fatalf("it does not come; logged:\n%s", l)
		}
	}
}

func (l *logbook) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var b strings.Builder
	for _, e := range l.entries {
		fmt.Fprintln(&b, e.level, e.message, e.attrs)
	}
	return b.String()
}
