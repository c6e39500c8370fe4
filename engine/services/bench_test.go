package services

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"callisto/engine"
	"callisto/simulator"
)

// simulated runs a test in a bubble of its own time, which passes when all that runs in it waits. Nothing may be
// left running at its end.
func simulated(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// A network is one in memory: servers by host and port, with the addresses that the hosts' names stand for.
type network struct {
	mu      sync.Mutex
	names   map[string]string // addresses by host; 192.0.2.1 where there is none
	servers map[string]func(net.Conn)
	open    int      // connections that servers have
	dialled []string // host:port
	serving sync.WaitGroup
}

func newNetwork() *network {
	return &network{names: map[string]string{}, servers: map[string]func(net.Conn){}}
}

// serve has f serve the connections to host:port. Each is closed when f returns.
func (n *network) serve(addr string, f func(net.Conn)) { n.servers[addr] = f }

func (n *network) dial(ctx context.Context, addr string, check func(netip.AddrPort) error) (net.Conn, error) {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	ip := host
	if _, err := netip.ParseAddr(host); err != nil {
		if ip = n.names[host]; ip == "" {
			ip = "192.0.2.1"
		}
	}
	failed := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Net: "tcp", Err: err} }
	if err := check(netip.MustParseAddrPort(net.JoinHostPort(ip, port))); err != nil {
		return failed(err)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.dialled = append(n.dialled, addr)
	serve := n.servers[addr]
	if serve == nil {
		return failed(os.NewSyscallError("connect", syscall.ECONNREFUSED))
	}
	ours, theirs := net.Pipe()
	n.open++
	n.serving.Go(func() {
		defer func() {
			theirs.Close()
			n.mu.Lock()
			n.open--
			n.mu.Unlock()
		}()
		serve(theirs)
	})
	return ours, nil
}

// connections is how many connections the servers have.
func (n *network) connections() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.open
}

// silent never says anything, and leaves when its peer does.
func silent(c net.Conn) { io.Copy(io.Discard, c) }

// A bench is a simulated switch in front of an engine with services, for scripts that use them.
type bench struct {
	t      *testing.T
	sw     *simulator.Switch
	server *engine.Server
	log    *records
}

func newBench(t *testing.T, s *Services, scripts map[string]string, change func(*engine.Config)) *bench {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.WriteFile(filepath.Join(dir, name+".lua"), []byte(text), 0o644); err != nil {
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
	b := &bench{t: t, sw: &simulator.Switch{}, log: log,
		server: &engine.Server{Library: library, Services: &s.Services, Logger: slog.New(log)}}
	t.Cleanup(func() {
		b.server.Close()
		b.sw.Close()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

// start makes a call to a script.
func (b *bench) start(script string) *simulator.Channel {
	b.t.Helper()
	ours, theirs := simulator.Pipe()
	c, err := b.sw.Call(context.Background(), simulator.Invite{Socket: "127.0.0.1:8084/" + script + " async full", Conn: theirs})
	if err != nil {
		b.t.Fatal(err)
	}
	if err := b.server.ServeConn(ours); err != nil {
		b.t.Fatal(err)
	}
	return c
}

// ended waits until the engine is done with a call, and returns how it ended.
func (b *bench) ended(c *simulator.Channel) string {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Hour)
	defer cancel()
	r, ok := b.log.wait(ctx, func(r record) bool { return r.message == "call ended" && r.attrs["uuid"] == c.UUID })
	if !ok {
		b.t.Fatalf("the call does not end\n%s", b.log)
	}
	return r.attrs["ending"]
}

// said waits until a script has logged a message.
func (b *bench) said(message string) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Hour)
	defer cancel()
	if _, ok := b.log.wait(ctx, func(r record) bool { return r.message == message }); !ok {
		b.t.Fatalf("nothing says %q\n%s", message, b.log)
	}
}

// expect checks what the scripts have logged.
func (b *bench) expect(want ...string) {
	b.t.Helper()
	if got := b.log.messages(); !slices.Equal(got, want) {
		b.t.Errorf("logged %q, want %q\n%s", got, want, b.log)
	}
}

// records is a slog.Handler that keeps what is logged.
type records struct {
	mu   sync.Mutex
	list []record
	news chan struct{}
}

type record struct {
	message string
	attrs   map[string]string
}

func (r *records) Enabled(context.Context, slog.Level) bool { return true }
func (r *records) WithAttrs([]slog.Attr) slog.Handler       { return r }
func (r *records) WithGroup(string) slog.Handler            { return r }

func (r *records) Handle(_ context.Context, rec slog.Record) error {
	e := record{rec.Message, map[string]string{}}
	rec.Attrs(func(a slog.Attr) bool {
		e.attrs[a.Key] = a.Value.String()
		return true
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, e)
	if r.news != nil {
		close(r.news)
		r.news = nil
	}
	return nil
}

func (r *records) wait(ctx context.Context, is func(record) bool) (record, bool) {
	for {
		r.mu.Lock()
		at := slices.IndexFunc(r.list, is)
		var found record
		if at >= 0 {
			found = r.list[at]
		}
		if r.news == nil {
			r.news = make(chan struct{})
		}
		news := r.news
		r.mu.Unlock()
		if at >= 0 {
			return found, true
		}
		select {
		case <-news:
		case <-ctx.Done():
			return record{}, false
		}
	}
}

// messages are the scripts' own lines, and their errors.
func (r *records) messages() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var list []string
	for _, e := range r.list {
		switch {
		case e.message == "script error":
			list = append(list, e.attrs["error"])
		case e.attrs["at"] != "":
			list = append(list, e.message)
		}
	}
	return list
}

func (r *records) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, e := range r.list {
		fmt.Fprintln(&b, e.message, e.attrs)
	}
	return b.String()
}
