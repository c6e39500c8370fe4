package engine

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"callisto/simulator"
)

// The modules of the tree under edit. All that a call requires, at its start, in between and
// after its last playback, has to come from one snapshot: each module returns a version of its
// own, and the test finds the same in the snapshot that the call's start line names.
var reloadModules = []string{"early", "middle", "late", "deep/one", "deep/two"}

// Each text is of the version that it returns, and has its first require in that line: from there
// versionOf has it.
func reloadMain(version int) string {
	return strings.Repeat("\n", version-1) + fmt.Sprintf(`require "log" local early = require "early"
call:answer()
call:playback("a.wav")
local middle = require "middle"
call:set("seen", middle)
call:playback("b.wav")
local function last() return require "late" end
call:sleep(1)
log.info("versions", { main = %d, early = early, middle = middle, late = last(), ["deep/one"] = require "deep/one".one, ["deep/two"] = require "deep/one".two })
call:hangup()
`, version)
}

func reloadModule(name string, version int) string {
	text := strings.Repeat("\n", version-1) + "require \"log\"\n"
	if name == "deep/one" {
		return text + fmt.Sprintf("return { one = %d, two = require \"deep/two\" }\n", version)
	}
	return text + fmt.Sprintf("return %d\n", version)
}

// An editor makes edits, so that every generation is different from the others.
type editor struct {
	t    *testing.T
	dir  string
	rand *rand.Rand
	next int // version
}

func (e *editor) path(name string) string { return filepath.Join(e.dir, "scripts", name) }

func (e *editor) write(name, text string) {
	path := e.path(name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		e.t.Error(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		e.t.Error(err)
	}
}

// edit makes one: mostly good ones, some broken, some undone by the next.
func (e *editor) edit() {
	e.next++
	name := reloadModules[e.rand.IntN(len(reloadModules))]
	switch n := e.rand.IntN(20); {
	case n < 8:
		e.write(name+".lua", reloadModule(name, e.next))
	case n < 10:
		e.write("main.lua", reloadMain(e.next))
	case n < 12: // it does not compile; calls get the last good version, and all that goes with it
		e.write(name+".lua", "return = "+fmt.Sprint(e.next))
	case n == 12:
		e.write("main.lua", "local x = (\n")
	case n == 13: // requires what is not there
		e.write(name+".lua", fmt.Sprintf("require \"nowhere%d\"\nreturn 0\n", e.next))
	case n == 14:
		os.Remove(e.path(name + ".lua"))
	case n == 15: // as editors save
		e.write(name+".lua~", reloadModule(name, e.next))
		if err := os.Rename(e.path(name+".lua~"), e.path(name+".lua")); err != nil {
			e.t.Error(err)
		}
	case n == 16: // two files that belong together
		e.write("early.lua", reloadModule("early", e.next))
		e.write("late.lua", reloadModule("late", e.next))
	case n == 17:
		os.Rename(e.path("deep"), e.path("elsewhere"))
		os.RemoveAll(e.path("elsewhere"))
	case n == 18:
		e.config(fmt.Sprintf("[[route]]\nnumber = \"9%d*\"\nscript = \"main\"\n[[route]]\nnumber = \"90*\"\nscript = \"main\"\nargs = { edit = %d }\n", e.next, e.next))
	default:
		e.config(fmt.Sprintf("[[route]]\nnumbr = \"9%d\"\nscript = \"main\"\n", e.next))
	}
}

func (e *editor) config(text string) {
	if err := os.WriteFile(filepath.Join(e.dir, "config.toml"), []byte(text), 0o644); err != nil {
		e.t.Error(err)
	}
}

// heal puts everything in order, as a last edit.
func (e *editor) heal() {
	e.next++
	for _, name := range reloadModules {
		e.write(name+".lua", reloadModule(name, e.next))
	}
	e.write("main.lua", reloadMain(e.next))
	e.config("")
}

// snapshots keeps those that calls may be pinned to, by generation.
type snapshots struct {
	mu   sync.Mutex
	list map[string]*Snapshot
}

func (s *snapshots) add(snapshot *Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.list == nil {
		s.list = make(map[string]*Snapshot)
	}
	s.list[fmt.Sprint(snapshot.Number)] = snapshot
}

// A thousand edits while calls run: every call ends well, and all that it required, whenever that
// was, is of the one snapshot that its first line in the log names.
func TestReloadUnderLoad(t *testing.T) {
	tests := []struct {
		name  string
		edits int
		watch bool
	}{
		{"reload", 1000, false},
		{"watch", 300, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			var pinned snapshots
			scripts := map[string]string{"main.lua": reloadMain(1)}
			for _, name := range reloadModules {
				scripts[name+".lua"] = reloadModule(name, 1)
			}
			deep := map[string]string{}
			for name, text := range scripts {
				if strings.HasPrefix(name, "deep/") {
					deep[name] = text
					delete(scripts, name)
				}
			}
			h := newHouse(t, "", scripts, func(h *house) {
				h.sw.Observer = nil
				// The line comes before the next swap can.
				h.log.told = func(message string) {
					if message == "reloaded" {
						pinned.add(h.library.Snapshot())
					}
				}
			})
			e := &editor{t: t, dir: h.dir, rand: rand.New(rand.NewPCG(1, 2)), next: 1}
			for name, text := range deep {
				e.write(name, text)
			}
			h.library.Reload(context.Background())

			ctx, stop := context.WithCancel(context.Background())
			var work sync.WaitGroup
			if tt.watch {
				work.Go(func() { h.library.Watch(ctx) })
			}
			outcomes := make(chan string, 100)
			for range 8 {
				work.Go(func() {
					for ctx.Err() == nil {
						c, err := h.sw.Call(context.Background(), simulator.Invite{Socket: h.addr + " async full"})
						if err != nil {
							outcomes <- err.Error()
							return
						}
						out, _ := c.Wait(context.Background())
						outcomes <- out.String()
					}
				})
			}
			calls := 0
			took := func(outcome string) {
				calls++
				if outcome != "hung up, NORMAL_CLEARING" {
					t.Errorf("the switch saw %s", outcome)
				}
			}
			for i := range tt.edits {
				e.edit()
				if i%50 == 49 {
					e.heal() // else it would end with everything broken, and nothing ever changed
				}
				if !tt.watch {
					h.library.Reload(context.Background())
				}
				if i%2 == 0 {
					took(<-outcomes) // calls happen all the time
				}
			}
			stop()
			go func() { work.Wait(); close(outcomes) }()
			for outcome := range outcomes {
				took(outcome)
			}
			if err := h.server.Shutdown(context.Background()); err != nil {
				t.Fatal(err)
			}

			generations := checkPinned(t, h.log, &pinned)
			stats := h.library.Stats()
			t.Logf("%d edits, %d calls on %d generations; %d reloads, %d found something broken", tt.edits, calls, generations, stats.Reloads, stats.Failures)
			if !tt.watch && (generations < tt.edits/10 || stats.Failures < 50 || calls < tt.edits/2) {
				t.Error("that shows nothing")
			}
		})
	}
}

// checkPinned holds the log of every call against the snapshot that its first line names. It returns
// how many generations the calls ran on.
func checkPinned(t *testing.T, log *logbook, pinned *snapshots) int {
	t.Helper()
	started := map[string]map[string]string{}
	ended := 0
	generations := map[string]bool{}
	log.mu.Lock()
	defer log.mu.Unlock()
	for _, e := range log.entries {
		switch uuid := e.attrs["uuid"]; e.message {
		case "call started":
			started[uuid] = e.attrs
		case "call ended":
			ended++
			if e.attrs["ending"] != "hung up by script" || e.attrs["generation"] != started[uuid]["generation"] {
				t.Errorf("a call ended as %v", e.attrs)
			}
		case "versions":
			number := started[uuid]["generation"]
			generations[number] = true
			s := pinned.list[number]
			if s == nil {
				t.Errorf("there was no generation %q", number)
				continue
			}
			p, programs, err := s.Script("main")
			if err != nil {
				t.Error(err)
				continue
			}
			if got, want := e.attrs["main"], fmt.Sprint(versionOf(p)); got != want {
				t.Errorf("a call on generation %s ran version %s, not %s", number, got, want)
			}
			for _, name := range reloadModules {
				if got, want := e.attrs[name], fmt.Sprint(versionOf(programs[name])); got != want {
					t.Errorf("a call on generation %s got version %s of %s, not %s", number, got, name, want)
				}
			}
			started[uuid]["done"] = "yes"
		case "script error", "the call was lost", "the call has no script to run", "panic in a call":
			t.Errorf("%s: %v", e.message, e.attrs)
		}
	}
	for uuid, s := range started {
		if s["done"] == "" {
			t.Errorf("call %s did not come to its last line", uuid)
		}
	}
	if ended != len(started) {
		t.Errorf("%d calls were started, %d ended", len(started), ended)
	}
	return len(generations)
}
