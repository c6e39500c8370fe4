package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"callisto/luabind"
)

// A Library holds the current snapshot and makes new ones from what is on
// disk. All its methods may be called from any goroutine.
type Library struct {
	log     *slog.Logger
	start   *Config // what the process started with
	current atomic.Pointer[Snapshot]

	reloads  atomic.Uint64
	failures atomic.Uint64

	mu      sync.Mutex // one build at a time
	files   map[string]*file
	dirs    []string // to watch
	changed chan struct{}

	newWatcher func() (watcher, error) // tests replace it
	looked     func()                  // for tests: called when the watcher has looked
}

// NewLibrary reads the scripts for the first time. A script that is broken is not
// served, the others are: the snapshot's Problems say which. The error is about a root that
// cannot be read at all.
func NewLibrary(ctx context.Context, config *Config, log *slog.Logger) (*Library, error) {
	t, err := readTree(ctx, config.Scripts.Root, nil)
	if err != nil {
		return nil, rootError(config, err)
	}
	l := &Library{log: log, start: config, files: t.files, dirs: t.dirs, changed: make(chan struct{}), newWatcher: newWatcher, looked: func() {}}
	s := buildSnapshot(nil, config, nil, t, nil)
	l.current.Store(s)
	log.LogAttrs(ctx, levelOf(s), "scripts loaded", slog.Uint64("generation", s.Number), slog.Int("scripts", len(s.Programs)), slog.Int("problems", len(s.Problems)))
	l.logProblems(ctx, nil, s)
	return l, nil
}

// Check reads the scripts of a configuration and says what is wrong, in the words of a
// reload.
func Check(ctx context.Context, config *Config) ([]Problem, error) {
	t, err := readTree(ctx, config.Scripts.Root, nil)
	if err != nil {
		return nil, rootError(config, err)
	}
	problems := buildSnapshot(nil, config, nil, t, nil).Problems
	for i := range problems {
		problems[i].Serving = ""
	}
	return problems, nil
}

func rootError(config *Config, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("scripts.root: %s does not exist: make the directory, or set scripts.root: %w", config.Scripts.Root, err)
	}
	return fmt.Errorf("scripts.root: %s cannot be read: %w", config.Scripts.Root, err)
}

// Snapshot is the current one.
func (l *Library) Snapshot() *Snapshot { return l.current.Load() }

// Changed is closed when the snapshot that is current now is replaced. Take
// it before Snapshot, to miss nothing.
func (l *Library) Changed() <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.changed
}

// LibraryStats counts since the start.
type LibraryStats struct {
	Reloads  uint64 // that made a new generation
	Failures uint64 // that found something new to be wrong, and held something back
}

// Stats returns the counters.
func (l *Library) Stats() LibraryStats {
	return LibraryStats{Reloads: l.reloads.Load(), Failures: l.failures.Load()}
}

// Reload reads the configuration file and the scripts, and swaps the snapshot
// if what is served or what is wrong has changed. It is the same thing whether a
// signal, a watcher or a test asks for it, and says in the log what came of it.
// The snapshot that it returns is the current one; ctx only ends the reading early, and
// then nothing changes.
func (l *Library) Reload(ctx context.Context) *Snapshot {
	s, changed := l.reload(ctx)
	if !changed {
		l.log.LogAttrs(ctx, slog.LevelInfo, "nothing to reload", slog.Uint64("generation", s.Number))
	}
	return s
}

// reload is Reload, silent if nothing changed.
func (l *Library) reload(ctx context.Context) (s *Snapshot, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	began := time.Now()
	prev := l.current.Load()

	config, restart, others := l.readConfig(prev)
	t, err := readTree(ctx, l.start.Scripts.Root, l.files)
	if ctx.Err() != nil {
		return prev, false
	}
	if err != nil { // the root has vanished: everything stays
		t = &tree{files: l.files}
		l.dirs = nil
		others = append(others, Problem{File: l.start.Scripts.Root, Message: "the script root cannot be read: " + reason(err), Serving: stillServing(prev.Number)})
	} else {
		l.dirs = t.dirs
	}
	s = buildSnapshot(prev, config, restart, t, others)
	l.files = t.files
	if s == prev {
		return s, false
	}
	l.current.Store(s)
	close(l.changed)
	l.changed = make(chan struct{})
	l.report(ctx, prev, s, time.Since(began))
	return s, true
}

// readConfig reads the configuration file again. A nil config has the reason in problems.
func (l *Library) readConfig(prev *Snapshot) (config *Config, restart []string, problems []Problem) {
	if l.start.File == "" {
		return l.start, nil, nil
	}
	config, err := LoadConfig(l.start.File)
	if err == nil {
		return l.start.running(config), l.start.NeedsRestart(config), nil
	}
	if ce := (*ConfigError)(nil); errors.As(err, &ce) {
		problems = ce.Problems
	} else {
		problems = []Problem{{File: l.start.File, Message: "cannot be read: " + reason(err)}}
	}
	for i := range problems {
		problems[i].Serving = stillServing(prev.Number)
	}
	return nil, prev.Restart, problems
}

// report counts the reload and logs it: one line for what was swapped, one for each
// problem that is new.
func (l *Library) report(ctx context.Context, prev, s *Snapshot, took time.Duration) {
	if s.Number != prev.Number {
		l.reloads.Add(1)
	}
	news := l.logProblems(ctx, prev, s)
	if broken(news) {
		l.failures.Add(1)
	}
	message := "reloaded"
	if s.Number == prev.Number {
		message = "nothing new is served"
	}
	changed, removed := 0, 0
	for name, p := range s.Programs {
		if prev.Programs[name] != p {
			changed++
		}
	}
	for name := range prev.Programs {
		if s.Programs[name] == nil {
			removed++
		}
	}
	l.log.LogAttrs(ctx, levelOf(s), message,
		slog.Uint64("generation", s.Number),
		slog.Int("changed", changed), slog.Int("removed", removed), slog.Int("kept", len(s.kept)),
		slog.Bool("config", s.Config != prev.Config),
		slog.Int("problems", len(s.Problems)),
		slog.Duration("took", took.Round(time.Microsecond)))
	if len(s.Restart) > 0 && !slices.Equal(s.Restart, prev.Restart) {
		l.log.LogAttrs(ctx, slog.LevelWarn, "these settings change at the next start: "+join(s.Restart))
	}
}

// logProblems logs the problems that prev did not have, and returns them.
func (l *Library) logProblems(ctx context.Context, prev, s *Snapshot) (news []Problem) {
	old := map[Problem]bool{}
	if prev != nil {
		for _, p := range prev.Problems {
			old[p] = true
		}
	}
	for _, p := range s.Problems {
		if old[p] {
			continue
		}
		news = append(news, p)
		level := slog.LevelError
		if p.Warning {
			level = slog.LevelWarn
		}
		l.log.LogAttrs(ctx, level, p.String())
	}
	return news
}

func levelOf(s *Snapshot) slog.Level {
	if broken(s.Problems) {
		return slog.LevelWarn
	}
	return slog.LevelInfo
}

// Names are the scripts that can be called, sorted.
func (s *Snapshot) Names() []string {
	names := map[string]*luabind.Program{}
	maps.Copy(names, s.Programs)
	for name, k := range s.kept {
		names[name] = k.program
	}
	return slices.Sorted(maps.Keys(names))
}
