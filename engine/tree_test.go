package engine

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"callisto/luabind"
)

func link(t testing.TB, target, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(target, path); err != nil {
		t.Fatal(err)
	}
}

func readTestTree(t *testing.T, root string) (names, problems, dirs []string) {
	t.Helper()
	tr, err := readTree(t.Context(), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range slices.Sorted(maps.Keys(tr.files)) {
		if f := tr.files[name]; f.program != nil {
			names = append(names, name)
		} else {
			problems = append(problems, f.fault.String())
		}
	}
	for _, p := range tr.problems {
		problems = append(problems, p.String())
	}
	for _, d := range tr.dirs {
		rel, err := filepath.Rel(root, d)
		if err != nil {
			t.Fatal(err)
		}
		dirs = append(dirs, rel)
	}
	return names, problems, dirs
}

func TestTreeNames(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{
		"main.lua", "support/menu.lua", "a/b/c/d.lua", "UPPER.lua", "smörgås.lua", "with space.lua", "v1.2/x.lua",
		"main_test.lua", "support/menu_test.lua", // tests
		".hidden.lua", ".git/x.lua", "a/.#menu.lua", ".lua", // hidden, editors' locks
		"menu.lua~", "#menu.lua#", "main.lua.swp", "4913", "README.md", "a/main.LUA",
	} {
		write(t, root, name, "return 1")
	}
	names, problems, dirs := readTestTree(t, root)
	if diff := cmp.Diff([]string{"UPPER", "a/b/c/d", "main", "smörgås", "support/menu", "v1.2/x", "with space"}, names); diff != "" {
		t.Error(diff)
	}
	if len(problems) > 0 {
		t.Errorf("problems: %q", problems)
	}
	if diff := cmp.Diff([]string{".", "a", "a/b", "a/b/c", "support", "v1.2"}, dirs); diff != "" {
		t.Error(diff)
	}
}

// What cannot be a script says so, and stops nothing.
func TestTreeOddFiles(t *testing.T) {
	root := t.TempDir()
	write(t, root, "main.lua", "return 1")
	write(t, root, "bad\xffname.lua", "return 1")
	write(t, root, "bad\xffdir/x.lua", "return 1")
	write(t, root, "back\\slash.lua", "return 1")
	write(t, root, "line\nbreak.lua", "return 1")
	write(t, root, "twice.lua.lua", "return 1")
	write(t, root, "directory.lua/x.lua", "return 1")
	write(t, root, "huge.lua", "--"+strings.Repeat("x", luabind.MaxSource))
	write(t, root, "empty.lua", "")
	if err := syscall.Mkfifo(filepath.Join(root, "pipe.lua"), 0o644); err != nil {
		t.Fatal(err)
	}
	link(t, "nowhere.lua", filepath.Join(root, "dangling.lua"))
	names, problems, _ := readTestTree(t, root)
	if diff := cmp.Diff([]string{"directory.lua/x", "main"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"dangling.lua: is a symbolic link that leads nowhere, or out of the script root, or starts with /: no such file or directory",
		"empty.lua: is empty: write a script, or remove the file",
		"huge.lua: cannot be read: it is larger than 1MB, the most a script may have: split it",
		"pipe.lua: cannot be read: it is not a regular file",
		`back\slash.lua: has no name to call it by: it holds a backslash, directories are separated by /`,
		"bad�dir: is not a UTF-8 name, so its scripts have no names: rename the directory",
		"bad�name.lua: has no name to call it by: it is not UTF-8",
		"line�break.lua: has no name to call it by: it holds a control character",
		"twice.lua.lua: has no name to call it by: it ends in .lua twice",
	}, problems); diff != "" {
		t.Error(diff)
	}
}

// Links are followed as long as they stay in the root.
func TestTreeLinks(t *testing.T) {
	top := t.TempDir()
	root := filepath.Join(top, "scripts")
	write(t, root, "shared/lib.lua", "return 1")
	write(t, root, ".store/deep/x.lua", "return 1")
	write(t, top, "outside.lua", "return 1")
	link(t, "../shared/lib.lua", filepath.Join(root, "a/lib.lua"))
	link(t, ".store/deep/x.lua", filepath.Join(root, "x.lua"))
	link(t, "shared", filepath.Join(root, "alias"))
	link(t, "..", filepath.Join(root, "a/loop"))
	link(t, ".", filepath.Join(root, "self"))
	link(t, "../outside.lua", filepath.Join(root, "out.lua"))
	link(t, filepath.Join(root, "shared/lib.lua"), filepath.Join(root, "absolute.lua"))
	link(t, "..", filepath.Join(root, "outdir"))
	names, problems, dirs := readTestTree(t, root)
	if diff := cmp.Diff([]string{"a/lib", "alias/lib", "shared/lib", "x"}, names); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{
		"absolute.lua: is a symbolic link that leads nowhere, or out of the script root, or starts with /: path escapes from parent",
		"out.lua: is a symbolic link that leads nowhere, or out of the script root, or starts with /: path escapes from parent",
	}, problems); diff != "" {
		t.Error(diff)
	}
	// A file's directory matters even where it is hidden.
	if diff := cmp.Diff([]string{".", ".store/deep", "a", "shared"}, dirs); diff != "" {
		t.Error(diff)
	}
}

// configMap lays out scripts as Kubernetes mounts a ConfigMap, and returns how to swap in others.
func configMap(t testing.TB, root string) (swap func(scripts map[string]string)) {
	version := 0
	return func(scripts map[string]string) {
		version++
		data := fmt.Sprintf("..2026_11_22_%d", version)
		for name, text := range scripts {
			write(t, root, data+"/"+name, text)
		}
		link(t, data, filepath.Join(root, "..data_tmp"))
		old, _ := os.Readlink(filepath.Join(root, "..data"))
		if err := os.Rename(filepath.Join(root, "..data_tmp"), filepath.Join(root, "..data")); err != nil {
			t.Fatal(err)
		}
		for name := range scripts {
			if _, err := os.Lstat(filepath.Join(root, name)); err != nil {
				link(t, "..data/"+name, filepath.Join(root, name))
			}
		}
		if old != "" {
			if err := os.RemoveAll(filepath.Join(root, old)); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestTreeConfigMap(t *testing.T) {
	root := t.TempDir()
	swap := configMap(t, root)
	swap(map[string]string{"main.lua": source(1), "menu.lua": source(1, "main")})
	names, problems, dirs := readTestTree(t, root)
	if !slices.Equal(names, []string{"main", "menu"}) || len(problems) > 0 || !slices.Equal(dirs, []string{".", "..2026_11_22_1"}) {
		t.Errorf("%q %q %q", names, problems, dirs)
	}
	swap(map[string]string{"main.lua": source(2), "menu.lua": source(2, "main")})
	if names, problems, dirs = readTestTree(t, root); !slices.Equal(names, []string{"main", "menu"}) || len(problems) > 0 || !slices.Equal(dirs, []string{".", "..2026_11_22_2"}) {
		t.Errorf("%q %q %q", names, problems, dirs)
	}
}

// The root itself may be a link that a deployment turns.
func TestTreeRootIsALink(t *testing.T) {
	top := t.TempDir()
	write(t, top, "releases/1/main.lua", source(1))
	write(t, top, "releases/2/main.lua", source(2))
	root := filepath.Join(top, "current")
	link(t, "releases/1", root)
	c := DefaultConfig()
	c.Scripts.Root = root
	l, err := NewLibrary(t.Context(), c, discard)
	if err != nil {
		t.Fatal(err)
	}
	link(t, "releases/2", root+"_new")
	if err := os.Rename(root+"_new", root); err != nil {
		t.Fatal(err)
	}
	if got, err := resolve(l.Reload(t.Context()), "main"); got != "main@2" {
		t.Errorf("%s %v", got, err)
	}
}

func lines(problems []Problem) (out []string) {
	for _, p := range problems {
		out = append(out, p.String())
	}
	return out
}

// Between the listing of a directory and the reading of its files, anything may happen. An
// edit that moves a script is seen before or after, not half.
func TestTreeChangesWhileItIsRead(t *testing.T) {
	root := t.TempDir()
	write(t, root, "a.lua", "return 1")
	write(t, root, "b/x.lua", "return 1")
	write(t, root, "c/y.lua", "return 1")
	for _, tt := range []struct {
		from, to string
		want     []string
	}{
		{"/a.lua", "/moved.lua", []string{"b/x", "c/y", "moved"}},
		{"/c", "/aa", []string{"aa/y", "b/x", "moved"}},
	} {
		ctx := &contextWithHook{Context: t.Context(), hook: func() { rename(t, root+tt.from, root+tt.to) }}
		tr, err := readTree(ctx, root, nil) // which asks the context before it opens a file
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.Sorted(maps.Keys(tr.files)); !slices.Equal(got, tt.want) {
			t.Errorf("%s became %s: read %q", tt.from, tt.to, got)
		}
	}

	// What vanishes again and again is gone.
	again := &contextWithHook{Context: t.Context()}
	again.hook = func() {
		os.Remove(root + "/moved.lua")
		again.hook = func() { write(t, root, "moved.lua", "return 1"); again.hook = nil }
	}
	if tr, err := readTree(again, root, nil); err != nil || tr.files["b/x"] == nil {
		t.Errorf("%v %v", tr, err)
	}
}

// contextWithHook calls its hook once each time it is set, when someone asks whether the context is done.
type contextWithHook struct {
	context.Context
	hook func()
}

func (c *contextWithHook) Err() error {
	if hook := c.hook; hook != nil {
		c.hook = nil
		hook()
	}
	return c.Context.Err()
}

// A directory that is a link which leads nowhere for a moment takes nothing away.
func TestTreeDanglingDirectory(t *testing.T) {
	l, dir := newLibrary(t, "", map[string]string{"main.lua": source(1), "store/a.lua": source(1)}, nil)
	at := filepath.Join(dir, "scripts/sub")
	link(t, "store", at)
	if s := l.Reload(t.Context()); s.Programs["sub/a"] == nil {
		t.Fatal("the link is not followed")
	}
	os.Remove(at)
	link(t, "nowhere", at)
	s := l.Reload(t.Context())
	if diff := cmp.Diff([]string{
		"sub: is a symbolic link that leads nowhere, or out of the script root, or starts with /: no such file or directory; still serving generation 2",
	}, lines(s.Problems)); diff != "" {
		t.Error(diff)
	}
	if got, err := resolve(s, "sub/a"); got != "sub/a@1" {
		t.Errorf("%s %v", got, err)
	}
	os.Remove(at)
	if s := l.Reload(t.Context()); s.Programs["sub/a"] != nil || len(s.Problems) > 0 {
		t.Errorf("a removed link leaves %v", s.Names())
	}
}

// What did not change is not compiled again, whatever its timestamps; what did is, though
// its size and timestamps are the same.
func TestTreeComparesContent(t *testing.T) {
	root := t.TempDir()
	a, b := write(t, root, "a.lua", "return 1"), write(t, root, "b.lua", "return 1")
	first, err := readTree(t.Context(), root, nil)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(b)
	if err != nil {
		t.Fatal(err)
	}
	write(t, root, "b.lua", "return 2")
	if err := os.Chtimes(b, info.ModTime(), info.ModTime()); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(a, info.ModTime().Add(1e9), info.ModTime().Add(1e9)); err != nil {
		t.Fatal(err)
	}
	second, err := readTree(t.Context(), root, first.files)
	if err != nil {
		t.Fatal(err)
	}
	if second.files["a"] != first.files["a"] || second.files["b"] == first.files["b"] || second.compiled != 1 {
		t.Errorf("compiled %d", second.compiled)
	}
}

// manyScripts is a tree of n scripts of some 3 kB in 20 directories, each with a require.
func manyScripts(n int) map[string]string {
	scripts := map[string]string{"main.lua": source(1), "lib/hours.lua": source(1)}
	for i := range n - 2 {
		var b strings.Builder
		b.WriteString(source(1, "lib/hours"))
		for j := range 40 {
			fmt.Fprintf(&b, "local function step%d(call)\n  call:playback(\"ivr/%d.wav\", { wait = true })\n  if call.caller == \"%d\" then return %d end\nend\n", j, i, j, j)
		}
		scripts[fmt.Sprintf("dir%d/script%d.lua", i%20, i)] = b.String()
	}
	return scripts
}

// A reload of 1,000 scripts after one edit is to take less than 50 ms of CPU.
func BenchmarkReload1000(b *testing.B) {
	l, dir := newLibrary(b, "", manyScripts(1000), nil)
	for _, what := range []string{"edit", "edit of a module that all require", "nothing"} {
		b.Run(what, func(b *testing.B) {
			b.ReportAllocs()
			var before, after syscall.Rusage
			i := 0
			syscall.Getrusage(syscall.RUSAGE_SELF, &before)
			for b.Loop() {
				i++
				switch what {
				case "edit":
					write(b, dir, "scripts/dir1/script1.lua", source(1)+fmt.Sprint("return ", i))
				case "edit of a module that all require":
					write(b, dir, "scripts/lib/hours.lua", source(1)+fmt.Sprint("return ", i))
				}
				l.reload(context.Background())
			}
			syscall.Getrusage(syscall.RUSAGE_SELF, &after)
			cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
			b.ReportMetric(float64(cpu)/1e6/float64(i), "cpu-ms/op")
		})
	}
}
