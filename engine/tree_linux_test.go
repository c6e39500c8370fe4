package engine

import (
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Scripts in a directory that cannot be read stay as they were.
func TestTreeUnreadable(t *testing.T) {
	l, dir := newLibrary(t, "", map[string]string{"main.lua": source(1), "sub/a.lua": source(1), "sub/deep/b.lua": source(1), "c.lua": source(1)}, nil)
	sub := filepath.Join(dir, "scripts/sub")
	chmod := func(path string, mode os.FileMode) {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	chmod(sub, 0)
	chmod(filepath.Join(dir, "scripts/c.lua"), 0)
	t.Cleanup(func() { chmod(sub, 0o755) })
	s := reloadAsNobody(t, l)
	if diff := cmp.Diff([]string{
		"c.lua: cannot be read: permission denied; still serving generation 1",
		"sub/: cannot be read: permission denied; still serving generation 1",
	}, lines(s.Problems)); diff != "" {
		t.Error(diff)
	}
	for _, name := range []string{"sub/a", "sub/deep/b", "c"} {
		if got, err := resolve(s, name); got != name+"@1" {
			t.Errorf("%s: %s %v", name, got, err)
		}
	}
	if again := reloadAsNobody(t, l); again != s {
		t.Error("looking again makes another snapshot")
	}
	chmod(sub, 0o755)
	chmod(filepath.Join(dir, "scripts/c.lua"), 0o644)
	if s := l.Reload(t.Context()); len(s.Problems) > 0 || s.Number != 2 {
		t.Errorf("generation %d, problems %v", s.Number, s.Problems)
	}
}

// reloadAsNobody reloads as a user whom file permissions stop, even if root runs the tests.
func reloadAsNobody(t *testing.T, l *Library) *Snapshot {
	if os.Geteuid() == 0 {
		for dir := filepath.Dir(l.start.File); dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		runtime.LockOSThread() // the thread dies with its goroutine if the way back fails
		const nobody = 65534
		syscall.RawSyscall(syscall.SYS_SETFSUID, nobody, 0, 0)
		defer runtime.UnlockOSThread()
		defer syscall.RawSyscall(syscall.SYS_SETFSUID, 0, 0, 0)
	}
	return l.Reload(t.Context())
}
