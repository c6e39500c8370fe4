package engine

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"callisto/luabind"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// newLibrary writes a configuration and scripts into a directory of their own.
func newLibrary(t testing.TB, config string, scripts map[string]string, log *slog.Logger) (*Library, string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "scripts"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, text := range scripts {
		write(t, dir, "scripts/"+name, text)
	}
	c, err := LoadConfig(write(t, dir, "config.toml", config))
	if err != nil {
		t.Fatal(err)
	}
	if log == nil {
		log = discard
	}
	l, err := NewLibrary(context.Background(), c, log)
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

func snapshotOf(t testing.TB, config string, scripts map[string]string) *Snapshot {
	l, _ := newLibrary(t, config, scripts, nil)
	return l.Snapshot()
}

// source is a script whose version can be read off its program: the line of its first
// require.
func source(version int, requires ...string) string {
	text := strings.Repeat("\n", version-1) + "require \"log\"\n"
	for _, r := range requires {
		text += fmt.Sprintf("require %q\n", r)
	}
	return text
}

func versionOf(p *luabind.Program) int { return p.Requires[0].Line }

// resolve follows the requires of a call to name, as "menu@2 lib@1", or says
// why it cannot.
func resolve(s *Snapshot, name string) (string, error) {
	p, programs, err := s.Script(name)
	if err != nil {
		return "", err
	}
	seen := map[string]int{}
	var visit func(p *luabind.Program) error
	visit = func(p *luabind.Program) error {
		if _, ok := seen[p.Name]; ok {
			return nil
		}
		seen[p.Name] = versionOf(p)
		for _, r := range p.Requires {
			if luabind.IsModule(r.Name) {
				continue
			}
			next := programs[r.Name]
			if next == nil {
				return fmt.Errorf("%s of generation %d: %s requires %s, which is not in its programs", name, s.Number, p.Name, r.Name)
			}
			if err := visit(next); err != nil {
				return err
			}
		}
		return nil
	}
	if err := visit(p); err != nil {
		return "", err
	}
	out := []string{fmt.Sprintf("%s@%d", name, seen[name])}
	delete(seen, name)
	var rest []string
	for n, v := range seen {
		rest = append(rest, fmt.Sprintf("%s@%d", n, v))
	}
	slices.Sort(rest)
	return strings.Join(append(out, rest...), " "), nil
}

// Each case is a story of edits:
//
//	write menu 2 lib     the script menu, version 2, which requires lib
//	break menu           menu does not compile
//	remove menu
//	config TEXT          \n in it are line breaks
//	reload N             the reload gives generation N
//	serves menu@2 lib@1  a call to menu runs that version, with these
//	gone menu            a call to menu finds no script
//	problem TEXT         all problems are listed, in order; none: there are none
func TestLibraryStories(t *testing.T) {
	stories := []struct{ name, story string }{
		{"an edit is a new generation, and only an edit", `
			write main 1
			load
			serves main@1
			reload 1
			write main 1
			reload 1
			write main 2
			reload 2
			serves main@2`},
		{"a broken script keeps its last good version, the others move on", `
			write main 1
			write menu 1
			load
			break menu
			write main 2
			reload 2
			problem menu.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves menu@1
			serves main@2
			write menu 3
			reload 3
			serves menu@3`},
		{"an edit that only breaks something is no new generation", `
			write main 1
			load
			break main
			reload 1
			problem main.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			reload 1
			problem main.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves main@1
			write main 1
			reload 2
			serves main@1`},
		{"whoever requires a broken module stays with it", `
			write main 1 menu
			write menu 1 lib
			write lib 1
			write other 1
			load
			write main 2 menu
			write other 2
			break lib
			reload 2
			problem lib.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1, to main and menu too, which require it
			serves main@1 lib@1 menu@1
			serves menu@1 lib@1
			serves lib@1
			serves other@2
			write lib 2
			reload 3
			serves main@2 lib@2 menu@1`},
		{"a broken script stays with the modules it was last good with", `
			write main 1 lib
			write other 1 lib
			write lib 1
			load
			break main
			write lib 2
			reload 2
			problem main.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves main@1 lib@1
			serves other@1 lib@2
			write lib 3
			reload 3
			problem main.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves main@1 lib@1
			serves other@1 lib@3
			write main 2 lib
			reload 4
			serves main@2 lib@3`},
		{"a broken script with a past of its own is removed", `
			write main 1
			write menu 1 lib
			write lib 1
			load
			break menu
			write lib 2
			reload 2
			problem menu.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves menu@1 lib@1
			remove menu
			reload 3
			gone menu`},
		{"a script that fits brings no old version of one that does not", `
			write main 1
			write lib 1
			write b 1
			write a 1 b
			load
			break a
			write b 2 lib
			reload 2
			problem a.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves a@1 b@1
			serves b@2 lib@1
			break b
			write lib 2
			reload 3
			problem a.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			problem b.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 2
			serves a@1 b@1
			serves b@2 lib@1
			serves lib@2`},
		{"two scripts broken at different times each have their own past", `
			write main 1
			write a 1 lib
			write b 1 lib
			write lib 1
			load
			break a
			write lib 2
			reload 2
			problem a.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			break b
			write lib 3
			reload 3
			problem a.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			problem b.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 2
			serves a@1 lib@1
			serves b@1 lib@2
			serves lib@3`},
		{"one broken and one fixed in the same edit", `
			write main 1
			write a 1
			write b 1
			load
			break a
			reload 1
			problem a.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			write a 2
			break b
			reload 2
			problem b.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves a@2
			serves b@1`},
		{"broken again before it was fixed", `
			write main 1
			load
			break main
			reload 1
			problem main.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1
			break main 5
			reload 1
			problem main.lua:6: syntax error at the end of the file: something before is not closed; still serving generation 1
			serves main@1`},
		{"a removed module stays for those who require it", `
			write main 1 lib
			write other 1
			write lib 1
			load
			remove lib
			write other 2
			reload 2
			problem main.lua:2: requires "lib", which has been removed: bring it back, or take the require out; still serving generation 1
			serves main@1 lib@1
			serves other@2
			write main 2
			reload 3
			serves main@2
			gone lib`},
		{"a removed script is gone", `
			write main 1
			write old 1
			load
			remove old
			reload 2
			gone old`},
		{"a removed script that the configuration names stays", `
			write main 1
			write menu 1 lib
			write lib 1
			config [[route]]\nscript = "menu"
			load
			remove menu
			write lib 2
			reload 2
			problem config.toml:2: route 1 runs the script menu, which has been removed; still serving generation 1
			serves menu@1 lib@1
			serves lib@2
			config #\n
			reload 3
			gone menu`},
		{"the default script is removed", `
			write main 1
			load
			remove main
			reload 1
			problem config.toml: scripts.default runs the script main, which has been removed; still serving generation 1
			serves main@1`},
		{"a script that never was good is not served", `
			write main 1
			break menu
			write user 1 menu
			load
			problem menu.lua:2: syntax error at the end of the file: something before is not closed; not served, and user is not served without it
			gone menu
			gone user
			serves main@1
			write menu 1
			reload 2
			serves menu@1
			serves user@1 menu@1`},
		{"a new script that requires a broken one is not served, the old ones are", `
			write main 1 lib
			write lib 1
			load
			break lib
			write fresh 1 lib
			reload 1
			problem lib.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1, to main too, which requires it, and fresh is not served without it
			serves main@1 lib@1
			gone fresh`},
		{"a require of nothing", `
			write main 1 lib/huors
			write lib/hours 1
			load
			problem main.lua:2: requires "lib/huors", which is neither a script nor a module, did you mean lib/hours?; not served
			gone main
			serves lib/hours@1
			write main 1 lib.hours
			reload 2
			serves main@1 lib/hours@1`},
		{"an empty script is one that is being saved", `
			write main 1
			load
			empty main
			reload 1
			problem main.lua: is empty: write a script, or remove the file; still serving generation 1
			serves main@1`},
		{"requires in a circle are served, with a warning", `
			write main 1 a
			write a 1 b
			write b 1 a
			write self 1 self
			load
			problem a.lua:2: requires in a circle (a → b → a): this fails unless one of them runs later, inside a function
			problem self.lua:2: requires in a circle (self → self): this fails unless one of them runs later, inside a function
			serves main@1 a@1 b@1
			break b
			write a 2 b
			reload 1
			problem b.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1, to a and main too, which require it
			problem self.lua:2: requires in a circle (self → self): this fails unless one of them runs later, inside a function
			serves main@1 a@1 b@1`},
		{"many dependents are not all named", `
			write main 1 lib
			write a 1 lib
			write b 1 lib
			write c 1 lib
			write d 1 lib
			write e 1 lib
			write lib 1
			load
			break lib
			reload 1
			problem lib.lua:2: syntax error at the end of the file: something before is not closed; still serving generation 1, to a, b, c, d and 2 more too, which require it`},
		{"a script named like a module", `
			write main 1
			write log 1
			load
			problem log.lua: has the name of a module: require "log" finds the module, rename the script`},

		{"routes and limits reload", `
			write main 1
			write menu 1
			config [limits]\ncpu = "1s"
			load
			config [[route]]\nscript = "menu"
			reload 2
			routed menu
			config #\n
			reload 3
			routed main`},
		{"a broken configuration keeps the old one, the scripts move on", `
			write main 1
			write menu 1
			config [[route]]\nscript = "menu"
			load
			config [[route]]\nscrip = "main"
			write menu 2
			reload 2
			problem config.toml:1: route 1 names no script: add script = "…"; still serving generation 1
			problem config.toml:2: route 1: scrip is not a field of a route, did you mean script?; still serving generation 1
			routed menu
			serves menu@2`},
		{"a route to nothing keeps the old configuration", `
			write main 1
			write menu 1
			config [[route]]\nscript = "menu"
			load
			config [[route]]\nscript = "mneu"
			reload 1
			problem config.toml:2: route 1 runs the script mneu, which does not exist, did you mean menu?; still serving generation 1
			routed menu
			write mneu 1
			reload 2
			routed mneu`},
		{"a route to a script that never was good keeps the old configuration", `
			write main 1
			load
			break menu
			config [[route]]\nscript = "menu"
			reload 1
			problem config.toml:2: route 1 runs the script menu, which is broken; still serving generation 1
			problem menu.lua:2: syntax error at the end of the file: something before is not closed; not served
			routed main
			write menu 1
			reload 2
			routed menu`},
		{"a route to nothing at the start", `
			write main 1
			config [[route]]\nscript = "mian"
			load
			problem config.toml:2: route 1 runs the script mian, which does not exist, did you mean main?; its calls fail
			serves main@1`},
		{"a removed configuration", `
			write main 1
			config [[route]]\nscript = "main"
			load
			unconfig
			reload 1
			problem config.toml: cannot be read: no such file or directory; still serving generation 1`},
		{"a route that no call reaches", `
			write main 1
			config [[route]]\nnumber = "*"\nscript = "main"\n[[route]]\nnumber = "1"\nscript = "main"
			load
			problem config.toml:4: no call reaches route 2: route 1 before it matches every call`},
		{"what needs a restart waits for it", `
			write main 1
			load
			config [server]\nlisten = ":1"\nmax_calls = 5
			reload 2
			restart server.listen
			config [server]\nmax_calls = 6
			reload 3
			restart`},
		{"the root vanishes and comes back", `
			write main 1
			write menu 1 main
			load
			unroot
			reload 1
			problem scripts: the script root cannot be read: no such file or directory; still serving generation 1
			serves menu@1 main@1
			write main 2
			reload 2
			serves main@2
			gone menu`},
	}
	for _, s := range stories {
		t.Run(s.name, func(t *testing.T) {
			dir := t.TempDir()
			scripts := filepath.Join(dir, "scripts")
			if err := os.Mkdir(scripts, 0o755); err != nil {
				t.Fatal(err)
			}
			configFile := write(t, dir, "config.toml", "")
			var l *Library
			told := false // problems are expected, line by line
			var left []Problem
			settle := func() {
				for _, p := range left {
					t.Errorf("a problem that nobody expects: %s", strings.ReplaceAll(p.String(), dir+"/", ""))
				}
				left, told = nil, false
			}
			for line := range strings.Lines(s.story) {
				line = strings.TrimSpace(line)
				f := strings.Fields(line)
				if len(f) == 0 {
					continue
				}
				if told && f[0] != "problem" {
					settle()
				}
				switch f[0] {
				case "write":
					v, err := strconv.Atoi(f[2])
					if err != nil {
						t.Fatal(err)
					}
					write(t, scripts, f[1]+".lua", source(v, f[3:]...))
				case "break":
					n := 1
					if len(f) > 2 {
						n, _ = strconv.Atoi(f[2])
					}
					write(t, scripts, f[1]+".lua", strings.Repeat("\n", n-1)+"return (\n")
				case "empty":
					write(t, scripts, f[1]+".lua", " \n")
				case "remove":
					if err := os.Remove(filepath.Join(scripts, f[1]+".lua")); err != nil {
						t.Fatal(err)
					}
				case "config":
					write(t, dir, "config.toml", strings.ReplaceAll(strings.TrimPrefix(line, "config "), `\n`, "\n"))
				case "unconfig":
					os.Remove(configFile)
				case "unroot":
					os.RemoveAll(scripts)
				case "load":
					c, err := LoadConfig(configFile)
					if err != nil {
						t.Fatal(err)
					}
					if l, err = NewLibrary(t.Context(), c, discard); err != nil {
						t.Fatal(err)
					}
					left, told = slices.Clone(l.Snapshot().Problems), true
				case "reload":
					s := l.Reload(t.Context())
					if fmt.Sprint(s.Number) != f[1] {
						t.Errorf("%s: got generation %d; problems: %v", line, s.Number, s.Problems)
					}
					left, told = slices.Clone(s.Problems), true
				case "problem":
					want := strings.TrimPrefix(line, "problem ")
					if len(left) == 0 {
						t.Errorf("no problem, want\n     %s", want)
						break
					}
					if got := strings.ReplaceAll(left[0].String(), dir+"/", ""); got != want {
						t.Errorf("got problem\n     %s\nwant %s", got, want)
					}
					left = left[1:]
				case "serves":
					name, _, _ := strings.Cut(f[1], "@")
					if got, err := resolve(l.Snapshot(), name); got != strings.Join(f[1:], " ") {
						t.Errorf("%s: got %s %v", line, got, err)
					}
				case "gone":
					if got, err := resolve(l.Snapshot(), f[1]); err == nil {
						t.Errorf("%s: got %s", line, got)
					}
				case "routed":
					if c, err := l.Snapshot().Pick(CallInfo{Destination: "100"}); c.Script != f[1] || err != nil {
						t.Errorf("%s: got %s %v", line, c.Script, err)
					}
				case "restart":
					if got := l.Snapshot().Restart; !slices.Equal(got, f[1:]) {
						t.Errorf("%s: got %s", line, got)
					}
					if got := l.Snapshot().Config; got.Server.Listen != l.start.Server.Listen || len(got.NeedsRestart(l.start)) > 0 {
						t.Errorf("%s: and yet in effect are %s", line, got.NeedsRestart(l.start))
					}
				default:
					t.Fatalf("what is %q?", line)
				}
			}
			settle()
		})
	}
}

func TestNewLibraryWithoutRoot(t *testing.T) {
	c := DefaultConfig()
	c.Scripts.Root = filepath.Join(t.TempDir(), "none")
	_, err := NewLibrary(t.Context(), c, discard)
	want := "scripts.root: " + c.Scripts.Root + " does not exist: make the directory, or set scripts.root"
	if err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	c.Scripts.Root = write(t, t.TempDir(), "file", "")
	if _, err = NewLibrary(t.Context(), c, discard); err == nil || !strings.Contains(err.Error(), "scripts.root") {
		t.Errorf("got %v", err)
	}
}

// A check says what a reload says.
func TestCheckSaysTheSame(t *testing.T) {
	l, _ := newLibrary(t, "[[route]]\nscript = \"nowhere\"", map[string]string{
		"main.lua": "local x = = 1", "a.lua": "require 'b'", "c.lua": "require 'd'", "d.lua": "require 'c'",
	}, nil)
	problems, err := Check(t.Context(), l.Snapshot().Config)
	if err != nil {
		t.Fatal(err)
	}
	if len(problems) == 0 || len(problems) != len(l.Snapshot().Problems) {
		t.Fatalf("check: %v\nlibrary: %v", problems, l.Snapshot().Problems)
	}
	for i, p := range l.Snapshot().Problems {
		if problems[i].String() != p.cause() || p.Warning != problems[i].Warning {
			t.Errorf("check says   %s\nlibrary says %s", problems[i], p)
		}
	}
}

func TestReloadLogAndStats(t *testing.T) {
	var buf bytes.Buffer
	log := slog.New(slog.NewTextHandler(&buf, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "took" {
			return slog.Attr{}
		}
		return a
	}}))
	l, dir := newLibrary(t, "", map[string]string{"main.lua": source(1), "menu.lua": source(1, "lib"), "lib.lua": source(1)}, log)
	step := func(want string) {
		t.Helper()
		l.Reload(t.Context())
		if got := strings.ReplaceAll(buf.String(), dir+"/", ""); got != want {
			t.Errorf("got\n%swant\n%s", got, want)
		}
		buf.Reset()
	}
	buf.Reset()
	step("level=INFO msg=\"nothing to reload\" generation=1\n")
	write(t, dir, "scripts/main.lua", source(2))
	step("level=INFO msg=reloaded generation=2 changed=1 removed=0 kept=0 config=false problems=0\n")
	write(t, dir, "scripts/lib.lua", "return (")
	write(t, dir, "config.toml", "[server]\nlisten = \":1\"")
	step("level=ERROR msg=\"lib.lua:1: syntax error at the end of the file: something before is not closed; still serving generation 2, to menu too, which requires it\"\n" +
		"level=WARN msg=reloaded generation=3 changed=0 removed=0 kept=2 config=true problems=1\n" +
		"level=WARN msg=\"these settings change at the next start: server.listen\"\n")
	write(t, dir, "scripts/lib.lua", source(2))
	step("level=INFO msg=reloaded generation=4 changed=1 removed=0 kept=0 config=false problems=0\n")
	if got, want := l.Stats(), (LibraryStats{Reloads: 3, Failures: 1}); got != want {
		t.Errorf("stats %+v, want %+v", got, want)
	}
}

// A cancelled reload changes nothing.
func TestReloadCancelled(t *testing.T) {
	l, dir := newLibrary(t, "", map[string]string{"main.lua": source(1)}, nil)
	write(t, dir, "scripts/main.lua", source(2))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if s := l.Reload(ctx); s.Number != 1 {
		t.Errorf("generation %d", s.Number)
	}
	if s := l.Reload(t.Context()); s.Number != 2 {
		t.Errorf("generation %d", s.Number)
	}
}

func TestChanged(t *testing.T) {
	l, dir := newLibrary(t, "", map[string]string{"main.lua": source(1)}, nil)
	changed := l.Changed()
	l.Reload(t.Context())
	select {
	case <-changed:
		t.Error("changed without a change")
	default:
	}
	write(t, dir, "scripts/main.lua", source(2))
	l.Reload(t.Context())
	<-changed
}
