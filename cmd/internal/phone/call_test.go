package phone

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"callisto/engine"
	"callisto/simulator"
)

// scripts makes a library of scripts, and of other files beside them.
func scripts(t *testing.T, files map[string]string) *engine.Library {
	t.Helper()
	root := t.TempDir()
	for name, text := range files {
		file := filepath.Join(root, filepath.FromSlash(name))
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	config := engine.DefaultConfig()
	config.Scripts.Root = root
	library, err := engine.NewLibrary(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return library
}

// An ear hears the events of calls.
type ear struct {
	mu     sync.Mutex
	cond   sync.Cond
	events []Event
}

func newEar() *ear {
	e := &ear{}
	e.cond.L = &e.mu
	return e
}

func (e *ear) tell(event Event) {
	e.mu.Lock()
	e.events = append(e.events, event)
	e.cond.Broadcast()
	e.mu.Unlock()
}

// await waits for an event and takes it, with those before.
func (e *ear) await(is func(any) bool) any {
	e.mu.Lock()
	defer e.mu.Unlock()
	for {
		for i, event := range e.events {
			if is(event.What) {
				e.events = e.events[i+1:]
				return event.What
			}
		}
		e.cond.Wait()
	}
}

func happens(kind simulator.Kind) func(any) bool {
	return func(what any) bool {
		h, ok := what.(Happened)
		return ok && h.Kind == kind
	}
}

func isEnded(what any) bool { _, ok := what.(Ended); return ok }

const ringing = `
call:answer()
local leg = call:bridge("user/1001", { ring = "60s" })
log.info("came to " .. leg.cause)
`

func TestLegs(t *testing.T) {
	library := scripts(t, map[string]string{"main.lua": ringing})
	for _, c := range []struct {
		name   string
		decide func(c *Call, leg string)
		want   string
	}{
		{"busy", func(c *Call, leg string) { c.HangupLeg(leg, "USER_BUSY") }, "came to USER_BUSY"},
		{"answers and hangs up", func(c *Call, leg string) { c.Answer(leg) }, "came to NORMAL_CLEARING"},
		{"gone", func(c *Call, leg string) {
			c.HangupLeg("nobody", "USER_BUSY")
			c.Answer("nobody")
			c.HangupLeg(leg, "CALL_REJECTED")
		}, "came to CALL_REJECTED"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newEar()
			call, err := Start(t.Context(), library, Options{Script: "main", Mode: "async full", Ask: true}, e.tell)
			if err != nil {
				t.Fatal(err)
			}
			defer call.Close()
			rang := e.await(happens(simulator.Rings)).(Happened)
			if rang.Leg != "1001" {
				t.Errorf("the leg is called %q", rang.Leg)
			}
			c.decide(call, rang.Channel)
			if c.name == "answers and hangs up" {
				if b := e.await(happens(simulator.Bridged)).(Happened); b.With != "1001" && b.Leg != "1001" {
					t.Errorf("the bridge is with %q", b.With)
				}
				call.HangupLeg(rang.Channel, "NORMAL_CLEARING")
			}
			log := e.await(func(what any) bool { l, ok := what.(Logged); return ok && strings.HasPrefix(l.Message, "came") }).(Logged)
			if log.Message != c.want {
				t.Errorf("it %s, want %s", log.Message, c.want)
			}
			if failed, err := call.Wait(); failed || err != nil {
				t.Error(failed, err)
			}
		})
	}
}

// A caller who hangs up while somebody is rung leaves nobody ringing.
func TestHangupWhileRinging(t *testing.T) {
	e := newEar()
	call, err := Start(t.Context(), scripts(t, map[string]string{"main.lua": ringing}), Options{Script: "main", Mode: "async full", Ask: true}, e.tell)
	if err != nil {
		t.Fatal(err)
	}
	defer call.Close()
	leg := e.await(happens(simulator.Rings)).(Happened).Channel
	call.Hangup()
	if end := e.await(isEnded).(Ended); end.Why != "the caller hung up (ORIGINATOR_CANCEL)" {
		t.Error(end.Why)
	}
	call.Close()
	if call.sw.Channel(leg) != nil {
		t.Error("the leg is still there")
	}
}

// Ten calls, each ended somewhere in its middle by the next, leave nothing but the last, and that leaves nothing.
func TestRedialLeavesNothing(t *testing.T) {
	before := runtime.NumGoroutine()
	e := newEar()
	h := &handset{ctx: t.Context(), library: scripts(t, map[string]string{"main.lua": ringing}), tell: e.tell,
		options: Options{Script: "main", Mode: "async full", Ask: true, Wire: true, Press: []string{"1@1h"}, Hangup: time.Hour}}
	var one int
	for i := range 10 {
		if err := h.Redial(); err != nil {
			t.Fatal(err)
		}
		e.await(happens(simulator.Rings))
		if i == 0 {
			one = runtime.NumGoroutine()
		}
	}
	if n := runtime.NumGoroutine(); n > one+2 {
		t.Errorf("%d goroutines after ten calls, %d after one, %d before", n, one, before)
	}
	h.hangup(time.Minute)
	h.Close()
	e.await(isEnded)
	if err := h.Redial(); !errors.Is(err, errHungUp) {
		t.Error("a phone that was put away dials:", err)
	}
	h.Press("1")
	h.Hangup()
}

// A save is told of with the generation, the files and what is wrong; the next call runs it.
func TestReload(t *testing.T) {
	library := scripts(t, map[string]string{"main.lua": `log.info("first") call:answer()`, "other.lua": "call:answer()"})
	root := library.Snapshot().Config.Scripts.Root
	e := newEar()
	ctx, stop := context.WithCancel(t.Context())
	h := &handset{ctx: ctx, library: library, options: Options{Script: "main", Mode: "async full"}, tell: e.tell}
	var wg sync.WaitGroup
	wg.Go(func() { h.watch(ctx) })
	defer func() { stop(); wg.Wait(); h.Close() }()
	save := func(text string) Reloaded {
		t.Helper()
		if err := os.WriteFile(filepath.Join(root, "main.lua"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		library.Reload(ctx)
		return e.await(func(what any) bool { _, ok := what.(Reloaded); return ok }).(Reloaded)
	}
	logs := func(want string) {
		t.Helper()
		if err := h.Redial(); err != nil {
			t.Fatal(err)
		}
		e.await(func(what any) bool { l, ok := what.(Logged); return ok && l.Message == want })
		e.await(isEnded)
	}
	logs("first")
	if r := save(`log.info("second") call:answer()`); r.Generation != 2 || strings.Join(r.Changed, " ") != "main.lua" || len(r.Problems) != 0 {
		t.Errorf("%+v", r)
	}
	logs("second")
	if r := save("call:answer("); r.Generation != 2 || len(r.Changed) != 0 || len(r.Problems) != 1 || r.Problems[0].Line != 1 {
		t.Errorf("%+v", r)
	}
	logs("second")
}

// The texts of scripts and prompts are read beside them, and nothing else is.
func TestPrompts(t *testing.T) {
	root := scripts(t, map[string]string{
		"ivr/menu.txt": "Press one.\n\nOr  two.\x1b[2J\n", "ivr/other.wav.txt": "other", "sounds/hello.txt": "\ufeffhello", "big.txt": strings.Repeat("é", maxPrompt),
		"bad.txt": "a\xffb",
	}).Snapshot().Config.Scripts.Root
	p := &prompts{dirs: []string{root, filepath.Join(root, "sounds")}}
	for name, want := range map[string]string{
		"ivr/menu.wav": "Press one. Or two.\x1b[2J", "ivr/other.wav": "other", "hello.wav": "hello", filepath.Join(root, "hello.wav"): "", "bad.wav": "a\ufffdb",
		"": "", "silence_stream://1000": "", "nosuch.wav": "", "ivr": "", "x\x00y": "", "big.wav": strings.Repeat("é", maxPrompt/2),
	} {
		if got := p.text(name); got != want {
			t.Errorf("%q says %q, want %q", name, got, want)
		}
	}
}

func TestWire(t *testing.T) {
	var f frames
	var got []string
	stream := "connect\n\nlinger 15\n\nsendmsg\ncall-command: execute\nexecute-app-name: playback\ncontent-type: text/plain\ncontent-length: 8\n\nmenu.wav\n\n" +
		"sendmsg 42\ncall-command: execute\nexecute-app-name: answer\n\nsendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY\n\nbgapi originate user/1 &park\nJob-UUID: 1\n\n" +
		"sendmsg\ncall-command: xferext\n\n"
	for _, c := range stream { // however it comes
		f.feed([]byte(string(c)), func(head, body string) { got = append(got, commandText(head, body)) })
	}
	want := "connect; linger 15; execute playback menu.wav; execute answer; hangup USER_BUSY; bgapi originate user/1 &park; sendmsg xferext"
	if text := strings.Join(got, "; "); text != want {
		t.Errorf("commands:\n%s\nwant\n%s", text, want)
	}
	got, f = nil, frames{}
	event := "Event-Name: CHANNEL_EXECUTE_COMPLETE\nApplication: playback\nApplication-Data: menu%20one.wav\nApplication-Response: FILE%20PLAYED\n\n"
	frame := func(kind, body string) string {
		return "Content-Length: " + strconv.Itoa(len(body)) + "\nContent-Type: " + kind + "\n\n" + body
	}
	stream = frame("text/event-plain", event) + "Content-Type: command/reply\nReply-Text: +OK\n\n" + "Content-Type: command/reply\nReply-Text: -ERR no such command\n\n" +
		frame("api/response", "-USAGE: x\n") + frame("api/response", "fine") + frame("text/disconnect-notice", "bye")
	f.feed([]byte(stream), func(head, body string) {
		if text := eventText(head, body); text != "" {
			got = append(got, text)
		}
	})
	if text, want := strings.Join(got, "; "), "CHANNEL_EXECUTE_COMPLETE playback menu one.wav (FILE PLAYED); -ERR no such command; -USAGE: x; disconnect-notice"; text != want {
		t.Errorf("events:\n%s\nwant\n%s", text, want)
	}
	if len(f.buf) != 0 {
		t.Errorf("%q is left", f.buf)
	}
	// What never ends is not kept.
	for range 5 {
		f.feed(bytes.Repeat([]byte("x"), maxFrame), func(string, string) { t.Error("a frame of nothing") })
	}
	f.feed([]byte("\n\n"), func(string, string) {})
	if len(f.buf) > 2*maxFrame {
		t.Errorf("%d bytes are kept", len(f.buf))
	}
}

func TestFeed(t *testing.T) {
	f := newFeed()
	var wg sync.WaitGroup
	const n = 5 * maxWaiting
	wg.Go(func() {
		for i := range n {
			f.put(Event{At: time.Duration(i)})
		}
	})
	next := 0
	for next < n {
		list := f.take()
		if len(list) > maxWaiting {
			t.Errorf("%d events waited", len(list))
		}
		for _, e := range list {
			if e.At != time.Duration(next) {
				t.Fatalf("event %d comes as number %d", e.At, next)
			}
			next++
		}
	}
	for range maxWaiting {
		f.put(Event{})
	}
	wg.Go(func() { f.put(Event{}) }) // waits for room, until there will be none
	f.close()
	wg.Wait()
	f.put(Event{})
	if list := f.take(); list != nil {
		t.Error("a closed feed has", list)
	}
}

// The screen without a terminal: what it writes shows a call, and at the end the terminal is as it was.
func TestScreen(t *testing.T) {
	library := scripts(t, map[string]string{"main.lua": `call:answer() call:playback("silence_stream://600000")`, "slow.lua": `call:on("hangup", function() log.info("bye") end) call:answer() call:park()`})
	for _, c := range []struct{ name, script, keys string }{
		{"q", "main", "q"},
		{"ctrl-c", "slow", "\x03"},
		{"redial and leave", "main", "rrq"},
		{"the input ends and a signal comes", "main", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, out := newKeys(), &screenshot{}
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			go func() {
				_, err := screen(ctx, library, Options{Script: c.script, Mode: "async full"}, Terminal{In: in, Out: out, Environ: []string{"TERM=xterm"}},
					tea.WithWindowSize(80, 24))
				done <- err
			}()
			out.await("answer")
			in.Write([]byte(c.keys))
			if c.keys == "" {
				cancel()
			}
			if err := <-done; err != nil {
				t.Error(err)
			}
			in.Close()
			if !regexp.MustCompile(`\x1b\[\?1049h(?s:.*)\x1b\[\?1049l`).MatchString(out.String()) {
				t.Errorf("the screen is not left: %q", out.String())
			}
		})
	}
}

// A mistake of ours restores the terminal, and ends the call.
func TestPanic(t *testing.T) {
	library := scripts(t, map[string]string{"main.lua": `call:answer() call:playback("silence_stream://600000")`})
	in, out := newKeys(), &screenshot{}
	defer in.Close()
	filter := func(m tea.Model, msg tea.Msg) tea.Msg {
		if _, ok := msg.(tea.KeyPressMsg); ok {
			m.(*Model).keypad = nil
		}
		return msg
	}
	done := make(chan error, 1)
	go func() {
		_, err := screen(t.Context(), library, Options{Script: "main", Mode: "async full"}, Terminal{In: in, Out: out, Environ: []string{"TERM=xterm"}},
			tea.WithWindowSize(80, 24), tea.WithFilter(filter))
		done <- err
	}()
	out.await("answer")
	in.Write([]byte("1"))
	if err := <-done; !errors.Is(err, tea.ErrProgramPanic) {
		t.Errorf("the error is %v", err)
	}
	if !strings.Contains(out.String(), "\x1b[?1049l") {
		t.Error("the terminal is not restored")
	}
}

// newKeys is a keyboard that types what is written to it.
func newKeys() *struct {
	io.Reader
	io.WriteCloser
} {
	r, w := io.Pipe()
	return &struct {
		io.Reader
		io.WriteCloser
	}{r, w}
}

// A screenshot keeps what is written to a terminal.
type screenshot struct {
	mu   sync.Mutex
	text strings.Builder
	wait []waitFor
}

type waitFor struct {
	text string
	seen chan struct{}
}

func (s *screenshot) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	for i := 0; i < len(s.wait); i++ {
		if strings.Contains(s.text.String(), s.wait[i].text) {
			close(s.wait[i].seen)
			s.wait = append(s.wait[:i], s.wait[i+1:]...)
			i--
		}
	}
	return len(b), nil
}

func (s *screenshot) await(text string) {
	s.mu.Lock()
	w := waitFor{text, make(chan struct{})}
	if strings.Contains(s.text.String(), text) {
		close(w.seen)
	} else {
		s.wait = append(s.wait, w)
	}
	s.mu.Unlock()
	<-w.seen
}

func (s *screenshot) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
