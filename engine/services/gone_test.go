package services

import (
	"context"
	"database/sql"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"

	"callisto/luabind"
)

// A strange server is what the other end of a connection may be.
type strange struct {
	name   string
	answer string // to the first bytes
	stay   bool   // then: silent, rather than gone
}

var strangers = []strange{
	{"silent", "", true},
	{"gone at once", "", false},
	{"half an answer", "$100\r\nabc", true},
	{"half an answer, and gone", "$100\r\nabc", false},
	{"a web server", "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n", true},
	{"binary", "\x00\x01\xff\xfe$-5\r\n*9999999999\r\n", true},
	{"another type", "*2\r\n:1\r\n+OK\r\n", true},
}

// serve runs a stranger until the test ends, and returns its address.
func (s strange) serve(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer c.Close()
				wg.Go(func() { <-stop; c.Close() })
				if _, err := c.Read(make([]byte, 4096)); err != nil {
					return
				}
				c.Write([]byte(s.answer))
				if s.stay {
					for err == nil {
						_, err = c.Read(make([]byte, 4096))
					}
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); close(stop); wg.Wait() })
	return l.Addr().String()
}

// questions are all that is asked of a store.
var questions = map[string]func(context.Context, luabind.Store) error{
	"get": func(ctx context.Context, s luabind.Store) error { _, _, err := s.Get(ctx, "k"); return err },
	"set": func(ctx context.Context, s luabind.Store) error { return s.Set(ctx, "k", "v", 0) },
	"swap": func(ctx context.Context, s luabind.Store) error {
		_, err := s.Swap(ctx, "k", nil, text("v"), 0)
		return err
	},
	"incr":   func(ctx context.Context, s luabind.Store) error { _, err := s.Incr(ctx, "k", 1, 0); return err },
	"delete": func(ctx context.Context, s luabind.Store) error { _, err := s.Delete(ctx, "k"); return err },
	"list":   func(ctx context.Context, s luabind.Store) error { _, err := s.List(ctx, "k", 10); return err },
}

// Whatever is at the other end: an error comes, at the latest when the time is up or the call is over.
func TestStrangeRedis(t *testing.T) {
	for _, stranger := range strangers {
		t.Run(stranger.name, func(t *testing.T) {
			s, err := newRedisStore("redis://" + stranger.serve(t))
			must(t, err)
			defer s.Close()
			for name, use := range questions {
				ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
				began := time.Now()
				if err := use(ctx, s); err == nil && stranger.answer == "" {
					t.Errorf("%s: no error", name)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("%s: an error comes after %v", name, took)
				}
				cancel()

				ctx, cancel = context.WithCancel(within(t))
				time.AfterFunc(10*time.Millisecond, cancel) // the caller hangs up
				began = time.Now()
				use(ctx, s)
				if took := time.Since(began); took > time.Second {
					t.Errorf("%s: it ends %v after the call", name, took)
				}
				cancel()
			}
		})
	}
}

// A Redis that was away is there again for the next who asks.
func TestRedisComesBack(t *testing.T) {
	m := miniredis.RunT(t)
	s, err := newRedisStore("redis://" + m.Addr())
	must(t, err)
	defer s.Close()
	for range 3 {
		must(t, s.Set(within(t), "k", "v", 0))
		m.Close()
		for name, use := range questions {
			if err := use(within(t), s); err == nil || !strings.HasPrefix(err.Error(), "redis: ") {
				t.Errorf("%s: without a Redis: %v", name, err)
			}
		}
		must(t, m.Restart())
		if got := mustGet(t, s, "k"); got != "v" {
			t.Errorf("it is %q", got)
		}
	}
}

// Many who wait for a Redis that does not answer do not keep others from their own end.
func TestRedisPoolIsFull(t *testing.T) {
	s, err := newRedisStore("redis://" + strangers[0].serve(t))
	must(t, err)
	defer s.Close()
	began := time.Now()
	var wg sync.WaitGroup
	for range 5 * redisConns {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
			defer cancel()
			if _, _, err := s.Get(ctx, "k"); !errors.Is(err, context.DeadlineExceeded) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("it took %v", took)
	}
}

func TestSecretsStay(t *testing.T) {
	for _, url := range []string{"redis://user:secret@host:port/x", "redis://user:secret@127.0.0.1:1/0", "redis://:secret@host/notanumber"} {
		s, err := newRedisStore(url)
		if err == nil {
			_, _, err = s.Get(within(t), "k")
			s.Close()
		}
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// A file that cannot be used is said so, and used once it can be.
func TestStoreFile(t *testing.T) {
	dir := t.TempDir()
	for name, make := range map[string]func(path string) error{
		"a directory": func(path string) error { return os.Mkdir(path, 0o755) },
		"no database": func(path string) error {
			return os.WriteFile(path, []byte(strings.Repeat("no database ", 1000)), 0o644)
		},
		"not there to write": func(path string) error { return os.Symlink("/nowhere/kv.db", path) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			must(t, make(path))
			s := newEmbedded(path)
			defer s.Close()
			for use, f := range questions {
				if err := f(within(t), s); err == nil || !strings.Contains(err.Error(), "kv.store") {
					t.Errorf("%s: %v", use, err)
				}
			}
			must(t, os.Remove(path))
			must(t, s.Set(within(t), "k", "v", 0))
			if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
				t.Errorf("others may read it: %v %v", info, err)
			}
		})
	}
}

// Nothing is made on disk before it is used, and a store that is closed says so.
func TestStoreUnused(t *testing.T) {
	dir := t.TempDir()
	s := newEmbedded(filepath.Join(dir, "kv.db"))
	must(t, s.Close())
	if list, err := os.ReadDir(dir); err != nil || len(list) > 0 {
		t.Errorf("%v %v", list, err)
	}
	for name, use := range questions {
		if err := use(within(t), s); err == nil {
			t.Errorf("%s: a closed store answers", name)
		}
	}
}

// A file that another program has locked keeps a call waiting for no longer than its time.
func TestStoreFileIsLocked(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	s := newEmbedded(path)
	defer s.Close()
	must(t, s.Set(within(t), "k", "v", 0))
	other, err := openStore(path, time.Now)
	must(t, err)
	tx, err := other.writer.BeginTx(within(t), nil)
	must(t, err)
	ctx, cancel := context.WithTimeout(within(t), 50*time.Millisecond)
	defer cancel()
	if err := s.Set(ctx, "k", "w", 0); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a write under another's lock: %v", err)
	}
	if got := mustGet(t, s, "k"); got != "v" { // reading goes on
		t.Errorf("it is %q", got)
	}
	must(t, tx.Rollback())
	must(t, other.close())
	must(t, s.Set(within(t), "k", "x", 0))
	if got := mustGet(t, s, "k"); got != "x" {
		t.Errorf("it is %q", got)
	}
}

// Nor does one that cannot even be opened, however many calls wait for it: they are told why, and once it is free it is
// used.
func TestStoreFileIsLockedAtFirst(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kv.db")
	other, err := sql.Open("sqlite", sqliteDSN(path))
	must(t, err)
	defer other.Close()
	other.SetMaxOpenConns(1)
	for _, statement := range []string{"CREATE TABLE t (n)", "BEGIN EXCLUSIVE"} {
		_, err := other.Exec(statement)
		must(t, err)
	}
	s := newEmbedded(path)
	defer s.Close()
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() {
			if _, _, err := s.Get(ctx, "k"); !errors.Is(err, context.Canceled) {
				t.Errorf("a call that has ended: %v", err)
			}
		})
	}
	calls.Wait()
	s.mu.Lock()
	if s.opening == nil {
		t.Error("the calls have waited for the file")
	}
	s.mu.Unlock()
	for range 20 {
		calls.Go(func() {
			if _, _, err := s.Get(within(t), "k"); err == nil || !strings.Contains(err.Error(), "kv.store: "+path+" cannot be used: database is locked") {
				t.Errorf("a call that waits: %v", err)
			}
		})
	}
	calls.Wait()
	_, err = other.Exec("ROLLBACK")
	must(t, err)
	must(t, s.Set(within(t), "k", "v", 0))
}

// What has expired leaves the file by itself.
func TestSweep(t *testing.T) {
	var clock testClock
	s := newEmbedded(filepath.Join(t.TempDir(), "kv.db"))
	s.now = clock.now
	defer s.Close()
	ctx := within(t)
	must(t, s.Set(ctx, "stays", "v", 0))
	for i := range 50 {
		must(t, s.Set(ctx, "k"+string(rune('a'+i)), "v", time.Minute))
	}
	rows := func() (n int) {
		must(t, s.file.reader.QueryRowContext(ctx, "SELECT count(*) FROM entries").Scan(&n))
		return n
	}
	s.file.sweep()
	if n := rows(); n != 51 {
		t.Errorf("%d are left of what is valid", n)
	}
	clock.advance(time.Minute)
	s.file.sweep()
	if n := rows(); n != 1 {
		t.Errorf("%d are left", n)
	}
}
