package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/fsnotify/fsnotify"
)

// startWatch watches until the test ends.
func startWatch(t *testing.T, l *Library) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		l.Watch(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

func serves(want ...string) func(*Snapshot) bool {
	return func(s *Snapshot) bool {
		return !slices.ContainsFunc(want, func(w string) bool {
			name, _, _ := strings.Cut(w, "@")
			got, _ := resolve(s, name)
			return got != w
		})
	}
}

func gone(names ...string) func(*Snapshot) bool {
	return func(s *Snapshot) bool {
		return !slices.ContainsFunc(names, func(n string) bool { _, _, err := s.Script(n); return err == nil })
	}
}

func rename(t testing.TB, from, to string) {
	t.Helper()
	if err := os.Rename(from, to); err != nil {
		t.Fatal(err)
	}
}

// Whatever way files change, the library ends up with what is on disk. Every story goes on
// after its first change, as watches may be lost on the way.
func TestWatchChanges(t *testing.T) {
	type step struct {
		do   func(t *testing.T, dir string)
		want func(*Snapshot) bool
	}
	in := func(name string, version int) func(*testing.T, string) {
		return func(t *testing.T, dir string) { write(t, dir, "scripts/"+name+".lua", source(version)) }
	}
	stories := map[string][]step{
		"saved in place": {{in("main", 2), serves("main@2")}, {in("main", 3), serves("main@3")}},
		"vim: backup, then a new file": {
			{func(t *testing.T, dir string) {
				write(t, dir, "scripts/.main.lua.swp", "swap")
				rename(t, dir+"/scripts/main.lua", dir+"/scripts/main.lua~")
				write(t, dir, "scripts/main.lua", source(2))
				os.Remove(dir + "/scripts/main.lua~")
			}, serves("main@2")},
			{in("main", 3), serves("main@3")},
		},
		"a new file renamed over the old": {
			{func(t *testing.T, dir string) {
				write(t, dir, "scripts/.main.lua.tmp", source(2))
				rename(t, dir+"/scripts/.main.lua.tmp", dir+"/scripts/main.lua")
			}, serves("main@2")},
			{in("main", 3), serves("main@3")},
		},
		"new directories": {
			{in("a/b/c", 1), serves("a/b/c@1")},
			{in("a/b/c", 2), serves("a/b/c@2")},
			{in("a/b/d", 1), serves("a/b/d@1")},
		},
		"a removed directory that comes back": {
			{func(t *testing.T, dir string) { os.RemoveAll(dir + "/scripts/sub") }, gone("sub/x")},
			{in("sub/x", 2), serves("sub/x@2")},
			{in("sub/x", 3), serves("sub/x@3")},
		},
		"a directory replaced by another": {
			{func(t *testing.T, dir string) {
				write(t, dir, "scripts/.new/deep/y.lua", source(2))
				write(t, dir, "scripts/.new/x.lua", source(2))
				rename(t, dir+"/scripts/sub", dir+"/scripts/.old")
				rename(t, dir+"/scripts/.new", dir+"/scripts/sub")
			}, serves("sub/x@2", "sub/deep/y@2")},
			{in("sub/deep/y", 3), serves("sub/deep/y@3")},
			{in("sub/x", 3), serves("sub/x@3")},
		},
		"the root replaced by another": {
			{func(t *testing.T, dir string) {
				write(t, dir, "new/main.lua", source(2))
				write(t, dir, "new/sub/deep/y.lua", source(2))
				rename(t, dir+"/scripts", dir+"/old")
				rename(t, dir+"/new", dir+"/scripts")
			}, serves("main@2", "sub/deep/y@2")},
			{in("sub/deep/y", 3), serves("sub/deep/y@3")},
			{in("main", 3), serves("main@3")},
		},
		"the root vanishes and comes back": {
			{func(t *testing.T, dir string) { os.RemoveAll(dir + "/scripts") }, func(s *Snapshot) bool { return len(s.Problems) > 0 && serves("main@1")(s) }},
			{in("main", 2), serves("main@2")},
			{in("sub/z", 1), serves("sub/z@1")},
		},
		"many files at once": {
			{func(t *testing.T, dir string) {
				for i := range 300 {
					in(fmt.Sprintf("d%d/s%d", i%30, i), 1)(t, dir)
				}
				in("main", 2)(t, dir)
			}, serves("main@2", "d29/s299@1")},
			{func(t *testing.T, dir string) {
				for i := range 300 {
					in(fmt.Sprintf("d%d/s%d", i%30, i), 2)(t, dir)
				}
			}, serves("d0/s0@2", "d29/s299@2")},
		},
		"a ConfigMap": {
			{func(t *testing.T, dir string) {
				swap := configMap(t, dir+"/scripts")
				swap(map[string]string{"cm.lua": source(1)})
				swap(map[string]string{"cm.lua": source(2)})
			}, serves("cm@2")},
			{func(t *testing.T, dir string) {
				data := dir + "/scripts/..other"
				write(t, data, "cm.lua", source(3))
				link(t, "..other", dir+"/scripts/..data_tmp")
				rename(t, dir+"/scripts/..data_tmp", dir+"/scripts/..data")
			}, serves("cm@3")},
			{func(t *testing.T, dir string) { write(t, dir, "scripts/..other/cm.lua", source(4)) }, serves("cm@4")},
		},
		"the configuration": {
			{func(t *testing.T, dir string) { write(t, dir, "config.toml", "[server]\nmax_calls = 5") }, maxCalls(5)},
			{func(t *testing.T, dir string) {
				write(t, dir, "config.toml.new", "[server]\nmax_calls = 6")
				rename(t, dir+"/config.toml.new", dir+"/config.toml")
			}, maxCalls(6)},
			{func(t *testing.T, dir string) {
				write(t, dir, "..1/c.toml", "[server]\nmax_calls = 7")
				link(t, "..1/c.toml", dir+"/link")
				rename(t, dir+"/link", dir+"/config.toml")
			}, maxCalls(7)},
			{func(t *testing.T, dir string) { write(t, dir, "..1/c.toml", "[server]\nmax_calls = 8") }, maxCalls(8)},
		},
	}
	for name, steps := range stories {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l, dir := newLibrary(t, "", map[string]string{"main.lua": source(1), "sub/x.lua": source(1), "sub/deep/y.lua": source(1)}, nil)
			if eventless(dir) != "" {
				t.Skip("no events here")
			}
			change := watchRealFiles(t, l)
			for i, s := range steps {
				change(fmt.Sprintf("step %d", i+1), func() { s.do(t, dir) }, s.want)
			}
		})
	}
}

// watchRealFiles starts to watch. The function that it returns makes a change and waits
// until the library has what is wanted and the watcher has nothing more to look at.
func watchRealFiles(t *testing.T, l *Library) (change func(what string, do func(), want func(*Snapshot) bool)) {
	if eventless(l.start.Scripts.Root) != "" {
		t.Skip("no events here")
	}
	looked := make(chan struct{}, 1)
	l.looked = func() {
		select {
		case looked <- struct{}{}:
		default:
		}
	}
	startWatch(t, l)
	<-looked
	return func(what string, do func(), want func(*Snapshot) bool) {
		t.Helper()
		select {
		case <-looked:
		default:
		}
		do()
		limit := time.After(20 * time.Second)
		for {
			select {
			case <-looked:
				if want(l.Snapshot()) {
					return
				}
			case <-limit:
				s := l.Snapshot()
				t.Fatalf("%s: still generation %d with %v, problems %v", what, s.Number, s.Names(), s.Problems)
			}
		}
	}
}

// The root and the configuration may be far from each other.
func TestWatchRootElsewhere(t *testing.T) {
	dir := t.TempDir()
	write(t, dir, "srv/flows/scripts/main.lua", source(1))
	c, err := LoadConfig(write(t, dir, "etc/config.toml", "scripts.root = \"../srv/flows/scripts\""))
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLibrary(t.Context(), c, discard)
	if err != nil {
		t.Fatal(err)
	}
	change := watchRealFiles(t, l)
	change("another root", func() {
		write(t, dir, "srv/flows/new/main.lua", source(2))
		rename(t, dir+"/srv/flows/scripts", dir+"/srv/flows/old")
		rename(t, dir+"/srv/flows/new", dir+"/srv/flows/scripts")
	}, serves("main@2"))
	change("no root", func() { rename(t, dir+"/srv/flows", dir+"/srv/away") }, func(s *Snapshot) bool { return len(s.Problems) > 0 })
	change("the root is back", func() { write(t, dir, "srv/flows/scripts/main.lua", source(3)) }, func(s *Snapshot) bool {
		return len(s.Problems) == 0 && serves("main@3")(s)
	})
	change("an edit", func() { write(t, dir, "srv/flows/scripts/main.lua", source(4)) }, serves("main@4"))
}

func maxCalls(n int) func(*Snapshot) bool {
	return func(s *Snapshot) bool { return s.Config.Server.MaxCalls == n }
}

// A fakeWatcher sends what the test wants.
type fakeWatcher struct {
	events chan fsnotify.Event
	errors chan error
	addErr error
	onAdd  func(dir string)

	mu   sync.Mutex
	dirs []string
}

func newFakeWatcher() *fakeWatcher {
	return &fakeWatcher{events: make(chan fsnotify.Event), errors: make(chan error)}
}

func (w *fakeWatcher) Add(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.addErr != nil {
		return w.addErr
	}
	if w.onAdd != nil {
		w.onAdd(dir)
	}
	w.dirs = append(w.dirs, dir)
	return nil
}

func (w *fakeWatcher) Remove(dir string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dirs = slices.DeleteFunc(w.dirs, func(d string) bool { return d == dir })
	return nil
}

func (w *fakeWatcher) WatchList() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dirs)
}

func (w *fakeWatcher) Events() <-chan fsnotify.Event { return w.events }
func (w *fakeWatcher) Errors() <-chan error          { return w.errors }
func (w *fakeWatcher) Close() error                  { return nil }

// inBubble runs a test of the watcher on a virtual clock. The directory is made outside.
func inBubble(t *testing.T, config string, test func(t *testing.T, l *Library, w *fakeWatcher, dir string, log *bytes.Buffer)) {
	var log bytes.Buffer
	made, dir := newLibrary(t, config, map[string]string{"main.lua": source(1)}, nil)
	synctest.Test(t, func(t *testing.T) {
		w := newFakeWatcher()
		l, err := NewLibrary(t.Context(), made.start, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		l.newWatcher = func() (watcher, error) { return w, nil }
		test(t, l, w, dir, &log)
	})
}

// One look for a burst of events, when it is over.
func TestWatchDebounce(t *testing.T) {
	inBubble(t, "", func(t *testing.T, l *Library, w *fakeWatcher, dir string, _ *bytes.Buffer) {
		var looks atomic.Int32
		l.looked = func() { looks.Add(1) }
		startWatch(t, l)
		synctest.Wait()
		looks.Store(0)
		event := fsnotify.Event{Name: filepath.Join(dir, "scripts/main.lua"), Op: fsnotify.Write}
		for range 10 {
			w.events <- event
			time.Sleep(20 * time.Millisecond)
		}
		write(t, dir, "scripts/main.lua", source(2))
		w.events <- event
		time.Sleep(quietTime - 1)
		synctest.Wait()
		if looks.Load() != 0 {
			t.Errorf("looked %d times before it was quiet", looks.Load())
		}
		time.Sleep(1 * time.Nanosecond)
		synctest.Wait()
		if looks.Load() != 1 || !serves("main@2")(l.Snapshot()) {
			t.Errorf("looked %d times", looks.Load())
		}

		// Under a stream without end, now and then.
		looks.Store(0)
		for range 100 { // 2 s
			w.events <- event
			time.Sleep(20 * time.Millisecond)
		}
		if n := looks.Load(); n != 4 && n != 3 {
			t.Errorf("looked %d times in 2 s of events", n)
		}
	})
}

// Others write in the directories of the root and the configuration, too.
func TestWatchIgnoresNoise(t *testing.T) {
	inBubble(t, "", func(t *testing.T, l *Library, w *fakeWatcher, dir string, _ *bytes.Buffer) {
		var looks atomic.Int32
		l.looked = func() { looks.Add(1) }
		startWatch(t, l)
		synctest.Wait()
		looks.Store(0)
		for _, name := range []string{"callisto.log", "scripts/.main.lua.swp", "scripts/main.lua~"} {
			w.events <- fsnotify.Event{Name: filepath.Join(dir, name), Op: fsnotify.Write}
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if looks.Load() != 0 {
			t.Errorf("looked %d times", looks.Load())
		}
		for i, name := range []string{"config.toml", "scripts", "scripts/main.lua", "scripts/..data", "", filepath.Dir(dir)} {
			path := filepath.Join(dir, name)
			if filepath.IsAbs(name) {
				path = name
			}
			if name == "" {
				path = dir
			}
			w.events <- fsnotify.Event{Name: path, Op: fsnotify.Write}
			time.Sleep(time.Second)
			synctest.Wait()
			if n := int(looks.Load()); n != i+1 {
				t.Errorf("an event for %q: looked %d times, want %d", name, n, i+1)
			}
		}
	})
}

func TestWatchOverflow(t *testing.T) {
	inBubble(t, "", func(t *testing.T, l *Library, w *fakeWatcher, dir string, log *bytes.Buffer) {
		startWatch(t, l)
		synctest.Wait()
		write(t, dir, "scripts/main.lua", source(2))
		w.errors <- fsnotify.ErrEventOverflow
		time.Sleep(quietTime)
		synctest.Wait()
		if !serves("main@2")(l.Snapshot()) {
			t.Error("events were lost, and nobody looked")
		}
		write(t, dir, "scripts/main.lua", source(3))
		w.errors <- errors.New("something odd")
		time.Sleep(quietTime)
		synctest.Wait()
		if !serves("main@3")(l.Snapshot()) || !strings.Contains(log.String(), "something odd") {
			t.Errorf("after another error: %s", log)
		}
	})
}

// What is written to a new directory before it is watched has no event.
func TestWatchLooksAgainAtNewDirectories(t *testing.T) {
	inBubble(t, "", func(t *testing.T, l *Library, w *fakeWatcher, dir string, _ *bytes.Buffer) {
		startWatch(t, l)
		synctest.Wait()
		if err := os.Mkdir(filepath.Join(dir, "scripts/new"), 0o755); err != nil {
			t.Fatal(err)
		}
		w.mu.Lock()
		w.onAdd = func(string) { write(t, dir, "scripts/new/x.lua", source(1)) }
		w.mu.Unlock()
		w.events <- fsnotify.Event{Name: filepath.Join(dir, "scripts/new"), Op: fsnotify.Create}
		time.Sleep(3 * quietTime)
		synctest.Wait()
		if !serves("new/x@1")(l.Snapshot()) {
			t.Error("nobody looked again")
		}
	})
}

// A watch stays with the directory it was made for, and goes when that goes.
func TestWatchList(t *testing.T) {
	dir := t.TempDir()
	a, b := filepath.Join(dir, "a"), filepath.Join(dir, "b")
	mkdir := func(path string) {
		if err := os.Mkdir(path, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	mkdir(a)
	mkdir(b)
	w := newFakeWatcher()
	var added []string
	w.onAdd = func(dir string) { added = append(added, filepath.Base(dir)) }
	wl := &watchList{w: w, infos: map[string]os.FileInfo{}}
	step := func(what string, want ...string) {
		t.Helper()
		added = nil
		more, err := wl.follow([]string{a, b})
		if err != nil || !slices.Equal(added, want) || more != (len(want) > 0) {
			t.Errorf("%s: added %q, more %v, error %v; want %q", what, added, more, err, want)
		}
	}
	step("at first", "a", "b")
	step("nothing new")
	_ = w.Remove(a) // as the system does when a directory is removed
	step("a watch is lost", "a")
	rename(t, b, filepath.Join(dir, "old"))
	mkdir(b)
	step("another directory has the name", "b")
	if got := w.WatchList(); len(got) != 2 {
		t.Errorf("watched: %q", got)
	}
	os.Remove(b)
	step("a directory is gone")
	mkdir(b)
	step("and back", "b")
}

// A filesystem may take watches and send nothing.
func TestWatchWithoutEvents(t *testing.T) {
	inBubble(t, "", func(t *testing.T, l *Library, w *fakeWatcher, dir string, _ *bytes.Buffer) {
		startWatch(t, l)
		synctest.Wait()
		write(t, dir, "scripts/main.lua", source(2))
		time.Sleep(lookEvery*2*time.Second + quietTime)
		synctest.Wait()
		if !serves("main@2")(l.Snapshot()) {
			t.Error("nobody looked")
		}
	})
}

func TestWatchFallsBackToPolling(t *testing.T) {
	tests := []struct {
		name  string
		fault func(l *Library, w *fakeWatcher)
		want  string
	}{
		{"no watches left", func(_ *Library, w *fakeWatcher) { w.addErr = syscall.ENOSPC }, "fs.inotify.max_user_watches"},
		{"no instances left", func(l *Library, _ *fakeWatcher) {
			l.newWatcher = func() (watcher, error) { return nil, fmt.Errorf("couldn't initialize inotify: %w", syscall.EMFILE) }
		}, "fs.inotify.max_user_instances"},
		{"the watcher ends", func(_ *Library, w *fakeWatcher) { close(w.events) }, "the watcher ended"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, "", func(t *testing.T, l *Library, w *fakeWatcher, dir string, log *bytes.Buffer) {
				tt.fault(l, w)
				startWatch(t, l)
				synctest.Wait()
				if !strings.Contains(log.String(), tt.want) || !strings.Contains(log.String(), "looking for changes every 2s") {
					t.Errorf("the log says %s", log)
				}
				write(t, dir, "scripts/main.lua", source(2))
				time.Sleep(2*time.Second + quietTime)
				synctest.Wait()
				if !serves("main@2")(l.Snapshot()) {
					t.Error("nobody looked")
				}
			})
		})
	}
}

// Watches may run out later, when directories are added.
func TestWatchFallsBackLater(t *testing.T) {
	inBubble(t, "", func(t *testing.T, l *Library, w *fakeWatcher, dir string, log *bytes.Buffer) {
		startWatch(t, l)
		synctest.Wait()
		w.mu.Lock()
		w.addErr = syscall.ENOSPC
		w.mu.Unlock()
		write(t, dir, "scripts/new/x.lua", source(1))
		w.events <- fsnotify.Event{Name: filepath.Join(dir, "scripts/new"), Op: fsnotify.Create}
		time.Sleep(quietTime)
		synctest.Wait()
		if !strings.Contains(log.String(), "max_user_watches") || !serves("new/x@1")(l.Snapshot()) {
			t.Errorf("the log says %s", log)
		}
		write(t, dir, "scripts/new/x.lua", source(2))
		time.Sleep(3 * time.Second)
		synctest.Wait()
		if !serves("new/x@2")(l.Snapshot()) {
			t.Error("nobody looked")
		}
	})
}

// When polling, a file that is still being written is not taken.
func TestPollWaitsForQuiet(t *testing.T) {
	inBubble(t, "[scripts]\nwatch = \"poll\"\npoll_interval = \"5s\"", func(t *testing.T, l *Library, _ *fakeWatcher, dir string, _ *bytes.Buffer) {
		startWatch(t, l)
		synctest.Wait()
		start := time.Now()
		time.Sleep(4990 * time.Millisecond)
		for i := range 10 { // longer and longer
			write(t, dir, "scripts/main.lua", source(2)+strings.Repeat("-- more\n", i))
			time.Sleep(30 * time.Millisecond)
		}
		synctest.Wait()
		if n := l.Snapshot().Number; n != 1 {
			t.Errorf("generation %d of a file that is being written", n)
		}
		time.Sleep(2 * quietTime)
		synctest.Wait()
		if s := l.Snapshot(); s.Number != 2 || !serves("main@2")(s) {
			t.Errorf("generation %d after %s", s.Number, time.Since(start))
		}
	})
}

func TestWatchOff(t *testing.T) {
	inBubble(t, "[scripts]\nwatch = \"off\"", func(t *testing.T, l *Library, _ *fakeWatcher, dir string, _ *bytes.Buffer) {
		startWatch(t, l)
		write(t, dir, "scripts/main.lua", source(2))
		time.Sleep(time.Hour)
		synctest.Wait()
		if l.Snapshot().Number != 1 {
			t.Error("reloaded")
		}
		if l.Reload(t.Context()); !serves("main@2")(l.Snapshot()) {
			t.Error("not even by hand")
		}
	})
}
