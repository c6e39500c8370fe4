package engine

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"
)

const (
	// A change is looked at when it has been quiet for quietTime, so that an editor's rename or
	// a git pull is one generation; but never later than patience after its
	// first event, however busy the disk is.
	quietTime = 50 * time.Millisecond
	patience  = 500 * time.Millisecond

	// Network and container filesystems may take a watch and never send an event: every now and
	// then the watcher looks without one, lookEvery times the poll interval apart.
	lookEvery = 15
)

// A watcher is what is used of *fsnotify.Watcher.
type watcher interface {
	Add(dir string) error
	Remove(dir string) error
	WatchList() []string
	Events() <-chan fsnotify.Event
	Errors() <-chan error
	Close() error
}

type fsWatcher struct{ *fsnotify.Watcher }

func (w fsWatcher) Events() <-chan fsnotify.Event { return w.Watcher.Events }
func (w fsWatcher) Errors() <-chan error          { return w.Watcher.Errors }

func newWatcher() (watcher, error) {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return nil, err
	}
	return fsWatcher{w}, nil
}

// Watch reloads when something changes on disk, until ctx ends. Events only
// mean "look again": what counts is the content. Where the system has no events
// to give, it polls. With scripts.watch off it only waits.
func (l *Library) Watch(ctx context.Context) {
	switch l.start.Scripts.Watch {
	case WatchOff:
		<-ctx.Done()
	case WatchPoll:
		l.poll(ctx)
	default:
		if err := l.watchEvents(ctx); err != nil {
			l.log.LogAttrs(ctx, slog.LevelWarn, "no events from the filesystem: "+explainWatch(err)+"; looking for changes every "+shortDuration(l.start.Scripts.PollInterval))
			l.poll(ctx)
		}
	}
}

// explainWatch adds the remedy to the errors that have one.
func explainWatch(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return "the user's inotify watches are used up (raise the sysctl fs.inotify.max_user_watches)"
	case errors.Is(err, syscall.EMFILE):
		return "the user's inotify instances or the process's open files are used up (raise the sysctl fs.inotify.max_user_instances, or ulimit -n)"
	}
	return err.Error()
}

// poll looks every poll interval.
func (l *Library) poll(ctx context.Context) {
	tick := time.NewTicker(l.start.Scripts.PollInterval)
	defer tick.Stop()
	seen := l.look(ctx)
	l.reload(ctx) // something may have changed since the library was made
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			seen = l.lookAgain(ctx, seen)
			l.looked()
		}
	}
}

// lookAgain reloads if what it sees is not what was seen. A change is taken
// when two looks see the same, as there is no event to say that a file is still
// being written.
func (l *Library) lookAgain(ctx context.Context, seen fingerprint) fingerprint {
	now := l.look(ctx)
	if now == seen {
		return seen
	}
	for until := time.Now().Add(patience); time.Now().Before(until); {
		select {
		case <-ctx.Done():
			return seen
		case <-time.After(quietTime):
		}
		again := l.look(ctx)
		if again == now {
			break
		}
		now = again
	}
	l.reload(ctx)
	return now
}

// A fingerprint stands for the content of the scripts and the configuration file.
type fingerprint [sha256.Size]byte

func (l *Library) look(ctx context.Context) (f fingerprint) {
	h := sha256.New()
	if l.start.File != "" {
		text, err := os.ReadFile(l.start.File)
		fmt.Fprintf(h, "%d %v\n%s\n", len(text), err, text)
	}
	l.mu.Lock()
	files := l.files
	l.mu.Unlock()
	t, err := readTree(ctx, l.start.Scripts.Root, files)
	if err != nil {
		fmt.Fprint(h, err)
	} else {
		for _, name := range slices.Sorted(maps.Keys(t.files)) {
			fmt.Fprintf(h, "%s\n%s", name, t.files[name].hash)
		}
		fmt.Fprint(h, t.problems)
	}
	return fingerprint(h.Sum(nil))
}

// watchEvents reloads on events. The error, unless ctx ended, is why there
// are none.
func (l *Library) watchEvents(ctx context.Context) error {
	if fs := eventless(l.start.Scripts.Root); fs != "" {
		return fmt.Errorf("%s is on %s, which tells nobody of changes made elsewhere", l.start.Scripts.Root, fs)
	}
	w, err := l.newWatcher()
	if err != nil {
		return err
	}
	defer w.Close()
	dirs := &watchList{w: w, infos: map[string]os.FileInfo{}}
	if _, err := dirs.follow(l.watchDirs()); err != nil {
		return err
	}
	tick := time.NewTicker(lookEvery * l.start.Scripts.PollInterval)
	defer tick.Stop()
	seen := l.look(ctx)
	quiet := time.NewTimer(0) // something may have changed before there were watches
	defer quiet.Stop()
	var first time.Time // of the events that wait to be looked at; zero: none wait
	touch := func() {
		now := time.Now()
		if first.IsZero() {
			first = now
		}
		quiet.Reset(max(0, min(quietTime, first.Add(patience).Sub(now))))
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.Events():
			if !ok {
				return errors.New("the watcher ended")
			}
			if l.concerns(e.Name) {
				touch()
			}
		case err, ok := <-w.Errors():
			if !ok {
				return errors.New("the watcher ended")
			}
			if !errors.Is(err, fsnotify.ErrEventOverflow) {
				l.log.LogAttrs(ctx, slog.LevelWarn, "watching the scripts: "+err.Error())
			}
			touch() // events were lost
		case <-tick.C:
			seen = l.lookAgain(ctx, seen)
		case <-quiet.C:
			first = time.Time{}
			l.reload(ctx)
			more, err := dirs.follow(l.watchDirs())
			if err != nil {
				return err
			}
			if more { // things may have happened in a new directory before it was watched
				touch()
			} else {
				l.looked()
			}
		}
	}
}

// A watchList keeps a watcher at the directories that matter.
type watchList struct {
	w     watcher
	infos map[string]os.FileInfo // what was watched under each path
	alias []string               // paths of a directory that is watched under another path
}

// follow makes the watcher watch these directories and no others. A path whose directory was
// replaced by another is watched anew: a watch follows the directory it was
// made for, wherever that is moved. More says that something is watched that was not.
func (wl *watchList) follow(want []string) (more bool, err error) {
	have := wl.w.WatchList()
	infos := make(map[string]os.FileInfo, len(want))
	for _, dir := range want {
		if info, err := os.Stat(dir); err == nil {
			infos[dir] = info
		}
	}
	removed := false
	for dir, old := range wl.infos {
		alias := slices.Contains(wl.alias, dir)
		if now := infos[dir]; now != nil && os.SameFile(old, now) && (alias || slices.Contains(have, dir)) {
			continue
		}
		if !alias {
			_ = wl.w.Remove(dir) // it may be gone already
			removed = true
		}
		delete(wl.infos, dir)
	}
	if removed { // an alias may have lost its watch
		for _, dir := range wl.alias {
			delete(wl.infos, dir)
		}
		wl.alias = nil
	}
	for _, dir := range want {
		info := infos[dir]
		if info == nil || wl.infos[dir] != nil {
			continue
		}
		if err := wl.w.Add(dir); err != nil {
			if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EMFILE) {
				return false, err
			}
			continue // gone or unreadable: the next look says so
		}
		wl.infos[dir] = info
		if slices.Contains(wl.w.WatchList(), dir) {
			more = true
		} else {
			wl.alias = append(wl.alias, dir)
		}
	}
	return more, nil
}

// watchDirs are the directories in which a change may concern the library:
// those of the scripts, the one the root is in, to see it come back or be
// replaced, and the one of the configuration file.
func (l *Library) watchDirs() []string {
	l.mu.Lock()
	dirs := slices.Clone(l.dirs)
	l.mu.Unlock()
	dirs = append(dirs, existing(filepath.Dir(absolute(l.start.Scripts.Root))))
	if l.start.File != "" {
		file := absolute(l.start.File)
		dirs = append(dirs, filepath.Dir(file))
		if target, err := filepath.EvalSymlinks(file); err == nil {
			dirs = append(dirs, filepath.Dir(target))
		}
	}
	slices.Sort(dirs)
	return slices.Compact(dirs)
}

// existing is dir, or the nearest directory above it that exists.
func existing(dir string) string {
	for {
		if _, err := os.Stat(dir); err == nil || dir == filepath.Dir(dir) {
			return dir
		}
		dir = filepath.Dir(dir)
	}
}

func absolute(path string) string {
	if abs, err := filepath.Abs(path); err == nil {
		return abs
	}
	return path
}

// concerns reports whether an event of that name can matter. The directories above the
// root and of the configuration file are watched for these alone, and others may
// write there all the time.
func (l *Library) concerns(name string) bool {
	if name == "" {
		return false
	}
	base := filepath.Base(name)
	l.mu.Lock()
	inside := slices.ContainsFunc(l.dirs, func(dir string) bool { return name == dir || filepath.Dir(name) == dir })
	l.mu.Unlock()
	if inside {
		hidden := strings.HasPrefix(base, ".") && !strings.HasPrefix(base, "..") // ..data is Kubernetes'
		return !hidden && !strings.HasSuffix(base, "~")
	}
	root := absolute(l.start.Scripts.Root)
	if base == filepath.Base(root) || strings.HasPrefix(root, name+string(filepath.Separator)) {
		return true
	}
	if l.start.File == "" {
		return false
	}
	if base == filepath.Base(l.start.File) {
		return true
	}
	info, err := os.Lstat(l.start.File)
	return err == nil && info.Mode()&os.ModeSymlink != 0 // what it leads to may have another name
}
