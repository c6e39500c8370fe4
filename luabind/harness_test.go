package luabind_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"callisto/engine"
	"callisto/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A bench is a simulated switch in front of an engine, for scripts under test.
type bench struct {
	t      *testing.T
	sw     *simulator.Switch
	server *engine.Server
	log    *records
	mode   string
}

// simulated runs a test in a bubble of its own time, which passes when all that runs in it
// waits: an hour on the line takes no time, and nothing depends on how fast the machine is.
func simulated(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// simulatedHere is simulated for a test whose results others need.
func simulatedHere(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// newBench serves scripts, by name, with a configuration that change may alter.
func newBench(t *testing.T, scripts map[string]string, change func(*engine.Config)) *bench {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		path := filepath.Join(dir, name+".lua")
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	config := *engine.DefaultConfig()
	config.Scripts.Root = dir
	if change != nil {
		change(&config)
	}
	log := &records{}
	library, err := engine.NewLibrary(context.Background(), &config, slog.New(log))
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{t: t, sw: &simulator.Switch{}, log: log, mode: "async full",
		server: &engine.Server{Library: library, Logger: slog.New(log)}}
	t.Cleanup(func() {
		b.server.Close()
		b.sw.Close()
	})
	return b
}

// start makes a call to a script.
func (b *bench) start(script string, words ...string) *simulator.Channel {
	b.t.Helper()
	ours, theirs := simulator.Pipe()
	c, err := b.sw.Call(context.Background(), simulator.Invite{
		Socket: strings.Join(append([]string{"127.0.0.1:8084/" + script, b.mode}, words...), " "),
		Conn:   theirs,
	})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.server.ServeConn(ours); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// finish waits until the call is over for the switch and for the engine.
func (b *bench) finish(c *simulator.Channel) simulator.Outcome {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Hour)
	defer cancel()
	out, err := c.Wait(ctx)
	if err != nil {
		b.t.Fatalf("the call does not end: %v\n%s", err, b.log)
	}
	if !b.log.wait(ctx, "call ended", c.UUID) {
		b.t.Fatalf("the engine does not end the call\n%s", b.log)
	}
	return out
}

// run makes a call to a script to its end.
func (b *bench) run(script string, words ...string) *simulator.Channel {
	c := b.start(script, words...)
	b.finish(c)
	return c
}

// did lists what happened to a channel, but for the kinds left out.
func did(c *simulator.Channel, kinds ...simulator.Kind) []string {
	var list []string
	for _, o := range c.Log() {
		for _, k := range kinds {
			if o.Kind == k {
				list = append(list, strings.TrimSpace(o.Name+" "+o.Data))
			}
		}
	}
	return list
}

// records is a slog.Handler that keeps what is logged.
type records struct {
	mu   sync.Mutex
	list []record
	news chan struct{}
	with []slog.Attr
	root *records
}

type record struct {
	level   slog.Level
	message string
	attrs   map[string]string
}

func (r *records) top() *records {
	if r.root != nil {
		return r.root
	}
	return r
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	e := record{rec.Level, rec.Message, make(map[string]string)}
	for _, a := range r.with {
		e.attrs[a.Key] = a.Value.String()
	}
	rec.Attrs(func(a slog.Attr) bool {
		e.attrs[a.Key] = a.Value.String()
		return true
	})
	top := r.top()
	top.mu.Lock()
	defer top.mu.Unlock()
	top.list = append(top.list, e)
	if top.news != nil {
		close(top.news)
		top.news = nil
	}
	return nil
}

func (r *records) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &records{root: r.top(), with: append(append([]slog.Attr(nil), r.with...), attrs...)}
}

func (r *records) WithGroup(string) slog.Handler { return r }

// find returns the first record with that message, of that channel where uuid is not empty.
func (r *records) find(message, uuid string) (record, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range r.list {
		if e.message == message && (uuid == "" || e.attrs["uuid"] == uuid) {
			return e, true
		}
	}
	return record{}, false
}

func (r *records) wait(ctx context.Context, message, uuid string) bool {
	for {
		r.mu.Lock()
		if r.news == nil {
			r.news = make(chan struct{})
		}
		news := r.news
		r.mu.Unlock()
		if _, ok := r.find(message, uuid); ok {
			return true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false
		}
	}
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.list {
		fmt.Fprintln(&b, e.level, e.message, e.attrs)
	}
	return b.String()
}

// messages are the script's own lines, in order.
func (r *records) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.list {
		if e.attrs["at"] != "" && e.message != "script error" {
			list = append(list, e.message)
		}
	}
	return list
}
