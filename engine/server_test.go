package engine

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"callisto/esl"
	"callisto/luabind"
	"callisto/simulator"
)

// A house is an engine on a port of its own, and a simulated switch that sends it calls. What
// happens on the switch stands in the logbook, too: as "switch played" and the like.
type house struct {
	t       testing.TB
	dir     string
	addr    string
	log     *logbook
	library *Library
	server  *Server
	sw      *simulator.Switch
	served  chan error
}

// newHouse serves scripts, beside "beside", which stays in a playback until letGo. change may alter
// the server and the switch before the first call.
func newHouse(t testing.TB, config string, scripts map[string]string, change func(*house)) *house {
	t.Helper()
	return newHouseOn(t, listen(t), config, scripts, change)
}

func newHouseOn(t testing.TB, l net.Listener, config string, scripts map[string]string, change func(*house)) *house {
	t.Helper()
	h := &house{t: t, log: &logbook{}, served: make(chan error, 1)}
	if scripts == nil {
		scripts = map[string]string{}
	}
	if scripts["main.lua"] == "" {
		scripts["main.lua"] = "call:answer()"
	}
	scripts["beside.lua"] = `call:answer() call:playback("beside.wav") log.info("beside goes on") call:hangup("ALLOTTED_TIMEOUT")`
	h.library, h.dir = newLibrary(t, config, scripts, slog.New(h.log))
	h.server = &Server{Library: h.library, Logger: slog.New(h.log)}
	h.sw = &simulator.Switch{
		Sounds: func(path string) (time.Duration, bool) {
			if strings.HasPrefix(path, "no such") {
				return 0, false
			}
			return map[string]time.Duration{"beside.wav": time.Hour, "long.wav": time.Hour}[path], true
		},
		Observer: func(o simulator.Occurrence) {
			r := slog.NewRecord(o.Time, slog.LevelDebug, "switch "+string(o.Kind), 0)
			r.AddAttrs(slog.String("uuid", o.Channel), slog.String("name", o.Name), slog.String("data", o.Data))
			h.log.Handle(context.Background(), r)
		},
	}
	if change != nil {
		change(h)
	}
	h.addr = l.Addr().String()
	go func() { h.served <- h.server.Serve(l) }()
	t.Cleanup(func() {
		h.server.Close()
		if err := <-h.served; err != esl.ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
		h.sw.Close()
		if n := h.server.Calls(); n != 0 {
			t.Errorf("%d calls run on a closed server", n)
		}
	})
	return h
}

// call makes a call over TCP: to a script, with the words of a mode.
func (h *house) call(script, mode string) *simulator.Channel {
	h.t.Helper()
	c, err := h.sw.Call(context.Background(), simulator.Invite{Socket: h.addr + "/" + script + " " + mode})
	if err != nil {
		h.t.Fatal(err)
	}
	return c
}

func (h *house) outcome(c *simulator.Channel) simulator.Outcome {
	h.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := c.Wait(ctx)
	if err != nil {
		h.t.Fatalf("the call does not end: %v\n%s", err, h.log)
	}
	return out
}

// of returns the first entry with a message about a channel.
func (l *logbook) of(message, uuid string) map[string]string {
	for _, e := range l.all(message) {
		if e["uuid"] == uuid {
			return e
		}
	}
	return nil
}

func (l *logbook) awaitOf(t testing.TB, message, uuid string) map[string]string {
	t.Helper()
	l.until(t, func() bool { return l.of(message, uuid) != nil })
	return l.of(message, uuid)
}

// beside starts a call that nothing else may move, and returns what shows that nothing has.
func (h *house) beside() (unmoved func()) {
	h.t.Helper()
	c := h.call("beside", "async full")
	h.log.awaitOf(h.t, "switch played", c.UUID)
	return func() {
		h.t.Helper()
		if e := h.log.of("call ended", c.UUID); e != nil {
			h.t.Fatalf("the call beside it ended: %v", e)
		}
		h.letGo(c)
		if out := h.outcome(c); out.Cause != "ALLOTTED_TIMEOUT" {
			h.t.Errorf("the call beside it: the switch saw %v", out)
		}
		h.ends(c, "hung up by script", "ALLOTTED_TIMEOUT")
	}
}

// letGo ends the playback of a call.
func (h *house) letGo(c *simulator.Channel) {
	h.t.Helper()
	if reply, err := h.sw.Execute(context.Background(), "uuid_break "+c.UUID); err != nil || !strings.HasPrefix(reply, "+OK") {
		h.t.Fatalf("uuid_break: %q, %v", reply, err)
	}
}

// ends checks the line at the end of a call.
func (h *house) ends(c *simulator.Channel, ending, cause string) {
	h.t.Helper()
	if e := h.log.awaitOf(h.t, "call ended", c.UUID); e["ending"] != ending || e["cause"] != cause {
		h.t.Errorf("the call ended as %q with %q, want %q with %q\n%s", e["ending"], e["cause"], ending, cause, h.log)
	}
}

// logged checks that a line has been logged that holds the words.
func (h *house) logged(message, words string) {
	h.t.Helper()
	for _, e := range h.log.all(message) {
		if strings.Contains(fmt.Sprint(e), words) {
			return
		}
	}
	h.t.Errorf("no line %q with %q; logged:\n%s", message, words, h.log)
}

// addrOf is an address as a listener may say it.
type addrOf string

func (addrOf) Network() string  { return "tcp" }
func (a addrOf) String() string { return string(a) }

func TestAllowed(t *testing.T) {
	tests := []struct {
		allow, remote string
		ok            bool
	}{
		{"127.0.0.0/8", "127.0.0.1:1", true},
		{"127.0.0.0/8", "127.255.255.255:1", true},
		{"127.0.0.0/8", "128.0.0.1:1", false},
		{"127.0.0.0/8", "[::ffff:127.0.0.1]:1", true}, // as a socket for both families may say it
		{"::ffff:10.0.0.7", "10.0.0.7:1", true},
		{"10.0.0.7", "[::ffff:10.0.0.7]:1", true},
		{"10.0.0.7", "10.0.0.70:1", false},
		{"127.0.0.0/8", "[::1]:1", false},
		{"::1", "[::1]:1", true},
		{"fe80::/10", "[fe80::1%eth0]:1", true}, // the zone is ours, not the peer's
		{"::/0", "10.0.0.7:1", false},           // IPv6 only: an IPv4 peer is not in it
		{"0.0.0.0/0", "[2001:db8::1]:1", false},
		{"0.0.0.0/0", "pipe", false},
		{"0.0.0.0/0", "/run/callisto.sock", false},
	}
	for _, tt := range tests {
		t.Run(tt.remote+" in "+tt.allow, func(t *testing.T) {
			n, err := networks([]string{tt.allow})
			if err != nil {
				t.Fatal(err)
			}
			if err := allowed(addrOf(tt.remote), n); (err == nil) != tt.ok || err != nil && !errors.Is(err, ErrNotAllowed) {
				t.Errorf("%v", err)
			}
		})
	}
}

// closedAtOnce dials, says nothing, and expects to be told nothing.
func (h *house) closedAtOnce() {
	h.t.Helper()
	nc, err := net.Dial("tcp", h.addr)
	if err != nil {
		h.t.Fatal(err)
	}
	defer nc.Close()
	nc.SetReadDeadline(time.Now().Add(time.Minute))
	if b, err := io.ReadAll(nc); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
		h.t.Errorf("the connection got %q, %v", b, err)
	}
}

// Who is not in server.allow is turned away before anything is read; the calls that run stay,
// and an edit of the list counts from the next connection on.
func TestAllowIsAskedFirst(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil, nil)
	unmoved := h.beside()
	write(t, h.dir, "config.toml", "[server]\nallow = [\"192.0.2.0/24\"]\n")
	h.library.Reload(context.Background())
	h.closedAtOnce()
	h.logged("connection refused", ErrNotAllowed.Error())
	if n := h.server.Refused(); n != 1 {
		t.Errorf("%d refused", n)
	}
	unmoved()
}

// One call more than server.max_calls is given back at once, its dialplan goes on, and a call that
// ends makes room.
func TestMaxCalls(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "[server]\nmax_calls = 2\n", nil, nil)
	first := h.call("beside", "async full")
	h.log.awaitOf(t, "switch played", first.UUID)
	unmoved := h.beside()

	third := h.call("beside", "async full")
	if out := h.outcome(third); out.Kind != simulator.ContinuedOutcome {
		t.Errorf("the switch saw %v", out)
	}
	h.logged("connection refused", ErrFull.Error()+" (2)")
	if h.log.of("call started", third.UUID) != nil {
		t.Error("the call above the limit was started")
	}
	if n := h.server.Refused(); n != 1 || h.server.Calls() != 2 {
		t.Errorf("%d refused, %d calls", n, h.server.Calls())
	}

	h.letGo(first)
	h.ends(first, "hung up by script", "ALLOTTED_TIMEOUT")
	// The line comes a moment before the room: what is refused in between goes on at once.
	for {
		c := h.call("beside", "async full")
		h.log.until(t, func() bool {
			return h.log.of("switch played", c.UUID) != nil || h.log.of("switch ended", c.UUID) != nil
		})
		if h.log.of("switch played", c.UUID) != nil {
			h.letGo(c)
			h.ends(c, "hung up by script", "ALLOTTED_TIMEOUT")
			break
		}
	}
	unmoved()
}

// What connects and is no switch gets a clear line in the log, and moves nobody.
func TestStrangers(t *testing.T) {
	const reply = "Content-Type: command/reply\nReply-Text: +OK\n"
	tests := []struct {
		name, says string
		stays      bool // and waits; else it closes
		err        string
	}{
		{"nothing at all", "", true, "no answer to connect within 100ms"},
		{"closes at once", "", false, "the connection to the switch is gone"},
		{"HTTP", "GET / HTTP/1.1\r\nHost: callisto\r\nUser-Agent: scan\r\n\r\n", true, "does not speak the event socket"},
		{"a line break", "\n\n\n\n", true, "no answer to connect within 100ms"},
		{"TLS", "\x16\x03\x01\x00\xf4\x01\x00\x00\xf0\x03\x03" + strings.Repeat("\x00\x17\xfe\x9a", 60), true, "no answer to connect within 100ms"},
		{"SSH", "SSH-2.0-OpenSSH_9.6\r\n", true, "no answer to connect within 100ms"},
		{"half a header", "Content-Type: comm", false, "unexpected EOF"},
		{"half a reply to connect", reply + "Event-Name: CHANNEL_DATA\nUnique-ID: x", false, "unexpected EOF"},
		{"half a header that waits", "Content-Type: comm", true, "no answer to connect within 100ms"},
		{"10 MB of header", "Content-Type: command/reply\nX: " + strings.Repeat("a", 10<<20), true, "a header block of more than 1048576 bytes"},
		{"10 MB of headers", strings.Repeat("X-Header: value\n", 10<<16), true, "a header block of more than 1048576 bytes"},
		{"a negative length", reply + "Content-Length: -1\n\n", true, "Content-Length"},
		{"a huge length", reply + "Content-Length: 99999999999999999999\n\n", true, "Content-Length"},
		{"more than memory", reply + "Content-Length: 1099511627776\n\n", true, "Content-Length"},
		{"a length that is none", reply + "Content-Length: ten\n\n", true, "Content-Length"},
		// It may come before it is asked for.
		{"a reply without a channel", reply + "\n", true, "describes no channel|a reply to no command"},
		{"an error", "Content-Type: command/reply\nReply-Text: -ERR go away\n\n", true, "go away|a reply to no command"},
		{"an inbound socket", "Content-Type: auth/request\n\n", true, "no answer to connect within 100ms"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "", nil, func(h *house) {
				if strings.Contains(tt.err, "within") {
					h.server.connectTimeout = 100 * time.Millisecond
				}
			})
			nc, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(time.Minute))
			io.WriteString(nc, tt.says) // may fail: the engine closes in the middle of it
			if !tt.stays {
				nc.(*net.TCPConn).CloseWrite()
			}
			io.Copy(io.Discard, nc) // until the engine closes
			line := h.log.await(t, "a connection brought no call")
			if !slices.ContainsFunc(strings.Split(tt.err, "|"), func(s string) bool { return strings.Contains(line["error"], s) }) {
				t.Errorf("logged %q, want %q", line["error"], tt.err)
			}
			if len(line["error"]) > 500 {
				t.Errorf("the line has %d characters", len(line["error"]))
			}
		})
	}
	t.Run("all of them, beside a call", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, "", nil, nil)
		unmoved := h.beside()
		for _, tt := range tests {
			nc, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			io.WriteString(nc, tt.says)
			nc.Close()
		}
		h.log.until(t, func() bool { return len(h.log.all("a connection brought no call")) == len(tests) })
		unmoved()
	})
}

// channelReply is a switch's answer to connect, as recorded, and the UUID in it.
func channelReply(t testing.TB) (frame, uuid string) {
	t.Helper()
	for _, s := range readRecording(t.(*testing.T), "basic_async_full") {
		if s.from == '<' && strings.Contains(s.text, "CHANNEL_DATA") {
			return s.text, headerOf(s.text, "Unique-ID")
		}
	}
	t.Fatal("the recording has no reply to connect")
	return "", ""
}

// A switch that goes mad in the middle of a call ends that call only.
func TestBrokenPeers(t *testing.T) {
	tests := []struct {
		name, says string
		stays      bool
		err        string
	}{
		{"half a header", "Content-Type: text/ev", false, "unexpected EOF"},
		{"half a body", "Content-Type: text/event-plain\nContent-Length: 500\n\nEvent-Name: CHAN", false, "unexpected EOF"},
		{"10 MB of header", "Content-Type: text/event-plain\nX: " + strings.Repeat("a", 10<<20), true, "a header block of more than 1048576 bytes"},
		{"a negative length", "Content-Type: text/event-plain\nContent-Length: -5\n\n", true, "Content-Length"},
		{"a huge length", "Content-Type: text/event-plain\nContent-Length: 4294967296\n\n", true, "Content-Length"},
		{"a reply too many", strings.Repeat("Content-Type: command/reply\nReply-Text: +OK\n\n", 50), true, "a reply to no command"},
		{"goes away", "", false, "the connection to the switch is gone"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "", map[string]string{"main.lua": `call:answer() call:playback("x") log.info("never")`}, nil)
			unmoved := h.beside()
			nc, err := net.Dial("tcp", h.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(time.Minute))
			frame, uuid := channelReply(t)
			in := bufio.NewReader(nc)
			in.ReadString('\n') // connect
			io.WriteString(nc, frame)
			for line := ""; line != "execute-app-name: playback\n"; { // now the script waits
				if line, err = in.ReadString('\n'); err != nil {
					t.Fatal(err)
				}
			}
			io.WriteString(nc, tt.says)
			if !tt.stays {
				nc.(*net.TCPConn).CloseWrite()
			}
			io.Copy(io.Discard, in)
			if e := h.log.awaitOf(t, "call ended", uuid); e["ending"] != "disconnected" {
				t.Errorf("ended as %v", e)
			}
			if e := h.log.of("the call was lost", uuid); !strings.Contains(e["error"], tt.err) {
				t.Errorf("logged %v, want %q", e, tt.err)
			}
			if h.log.find("never") != nil {
				t.Error("the script went on")
			}
			unmoved()
		})
	}
}

// A switch that is stuck, or dies, in the middle of a playback.
func TestStuckPeers(t *testing.T) {
	tests := []struct {
		name   string
		do     func(h *house, c *simulator.Channel)
		ending string
		lines  [2]string // a message, and words in it
	}{
		// A switch that takes no commands cannot be told to hang up; the engine still lets go.
		{"stops reading", func(h *house, c *simulator.Channel) { c.StopReading(true) }, "timed out", [2]string{"the channel has not hung up yet", ""}},
		{"stops writing", func(h *house, c *simulator.Channel) { c.StopWriting(true); h.letGo(c) }, "timed out", [2]string{"the channel has not hung up yet", ""}},
		{"closes inside a frame", func(h *house, c *simulator.Channel) { c.CutFrame(); h.letGo(c) }, "disconnected", [2]string{"the call was lost", "unexpected EOF"}},
		{"dies without notice", func(h *house, c *simulator.Channel) { c.Drop() }, "disconnected", [2]string{"the call was lost", "connection reset by peer"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "", map[string]string{"main.lua": `call:answer() call:playback("long.wav") log.info("never")`}, nil)
			unmoved := h.beside()
			write(t, h.dir, "config.toml", "[limits]\ncall = \"1s\"\n") // for the next call only
			h.library.Reload(context.Background())
			c := h.call("main", "async full")
			h.log.awaitOf(t, "switch played", c.UUID)
			tt.do(h, c)
			if e := h.log.awaitOf(t, "call ended", c.UUID); e["ending"] != tt.ending {
				t.Errorf("ended as %v", e)
			}
			found := false
			for _, e := range h.log.entriesOf(c.UUID) {
				found = found || strings.HasPrefix(e.message, tt.lines[0]) && strings.Contains(e.attrs["error"], tt.lines[1])
			}
			if !found {
				t.Errorf("no line %q; logged:\n%s", tt.lines, h.log)
			}
			if h.log.find("never") != nil {
				t.Error("the script went on")
			}
			unmoved()
		})
	}
}

// entriesOf are the entries about a channel, in order.
func (l *logbook) entriesOf(uuid string) (list []entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.entries {
		if e.attrs["uuid"] == uuid {
			list = append(list, e)
		}
	}
	return list
}

// A mine is a slog.Handler that panics at a message about a call that runs the script named in
// the attribute, as anything in the engine might.
type mine struct {
	slog.Handler
	message string
}

func (m mine) WithAttrs(attrs []slog.Attr) slog.Handler {
	return mine{m.Handler.WithAttrs(attrs), m.message}
}

func (m mine) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == m.message {
		r.Attrs(func(a slog.Attr) bool {
			if a.Key == "script" && a.Value.String() != "main" {
				return true
			}
			if a.Key == "script" || a.Key == "reply" || a.Key == "at" {
				panic("the mine goes off")
			}
			return true
		})
	}
	return m.Handler.Handle(ctx, r)
}

// A panic ends its call only, and the caller is not left on a line where nothing happens.
func TestPanics(t *testing.T) {
	const script = `call:answer() log.info("here") call:playback("long.wav")`
	tests := []struct {
		name, config, message string
		kind                  simulator.OutcomeKind
		cause                 string
		line                  string
	}{
		{"at the start", "", "call started", simulator.HungUpOutcome, "NORMAL_TEMPORARY_FAILURE", "panic in a call"},
		{"at the start, and the call goes on", "[calls]\non_error = \"continue\"\n", "call started", simulator.ContinuedOutcome, "", "panic in a call"},
		{"in a verb", "", "here", simulator.HungUpOutcome, "NORMAL_TEMPORARY_FAILURE", "script error"},
		{"in a verb, and the call goes on", "[calls]\non_error = \"continue\"\n", "here", simulator.ContinuedOutcome, "", "script error"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, tt.config, map[string]string{"main.lua": script}, func(h *house) {
				h.server.Logger = slog.New(mine{h.log, tt.message})
			})
			unmoved := h.beside()
			c := h.call("main", "async full")
			if out := h.outcome(c); out.Kind != tt.kind || tt.cause != "" && out.Cause != tt.cause {
				t.Errorf("the switch saw %v", out)
			}
			h.ends(c, "script error", tt.cause)
			if e := h.log.of(tt.line, c.UUID); !strings.Contains(fmt.Sprint(e), "the mine goes off") || !strings.Contains(fmt.Sprint(e), "mine.Handle") {
				t.Errorf("%s does not tell what happened, and where:\n%s", tt.line, h.log)
			}
			unmoved()
		})
	}
	t.Run("in reading", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, "", map[string]string{"main.lua": script}, func(h *house) {
			h.server.Logger = slog.New(mine{h.log, "the switch refused a command"})
		})
		unmoved := h.beside()
		nc, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		frame, uuid := channelReply(t)
		in := bufio.NewReader(nc)
		in.ReadString('\n') // connect
		io.WriteString(nc, frame)
		for line := ""; !strings.HasPrefix(line, "linger"); { // which nobody waits for
			if line, err = in.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		io.WriteString(nc, "Content-Type: command/reply\nReply-Text: -ERR no\n\n")
		if e := h.log.awaitOf(t, "call ended", uuid); e["ending"] != "disconnected" {
			t.Errorf("ended as %v", e)
		}
		if e := h.log.of("the call was lost", uuid); !strings.Contains(e["error"], "the mine goes off") {
			t.Errorf("logged %v", e)
		}
		unmoved()
	})
}

var modes = []string{"async full", "full", "async", ""}

// What the configuration says of the ends of scripts, in all modes of the socket. It runs in a
// bubble of its own time, so that limits.call takes none.
func TestHowCallsEnd(t *testing.T) {
	const sorry = `error_prompt = "sorry.wav"` + "\n"
	tests := []struct {
		name, script  string
		config        string
		ending        string
		kind          simulator.OutcomeKind
		cause         string // the switch's; "": the dialplan's
		played        string
		line          string // logged
		told          string // modes in which the engine's line tells the cause; "": all
		asyncFullOnly bool   // the others hang up only when what runs has ended
	}{
		{name: "returns", script: `call:answer()`, ending: "returned", kind: simulator.HungUpOutcome, cause: "NORMAL_CLEARING"},
		{name: "returns, continue", script: `call:answer() call:set("done", "yes")`, config: `on_return = "continue"`, ending: "returned", kind: simulator.ContinuedOutcome},
		{name: "fails", script: `call:answer() error("oops")`, ending: "script error", kind: simulator.HungUpOutcome, cause: "NORMAL_TEMPORARY_FAILURE", line: "script error"},
		{name: "fails, continue", script: `call:answer() error("oops")`, config: `on_error = "continue"`, ending: "script error", kind: simulator.ContinuedOutcome, line: "script error"},
		{name: "fails, a prompt", script: `call:answer() error("oops")`, config: sorry, ending: "script error", kind: simulator.HungUpOutcome, cause: "NORMAL_TEMPORARY_FAILURE", played: "sorry.wav"},
		{name: "fails before answering, a prompt", script: `error("oops")`, config: sorry, ending: "script error", kind: simulator.HungUpOutcome, cause: "NORMAL_TEMPORARY_FAILURE", played: "sorry.wav"},
		{name: "fails, no such prompt", script: `error("oops")`, config: `error_prompt = "no such.wav"`, ending: "script error", kind: simulator.HungUpOutcome, cause: "NORMAL_TEMPORARY_FAILURE", line: "calls.error_prompt was not played"},
		{name: "fails in the prompt's language only", script: `error("oops")`, config: sorry + `on_error = "continue"`, ending: "script error", kind: simulator.ContinuedOutcome},
		{name: "takes too long", script: `call:answer() while true do call:sleep("400ms") end`, config: "[limits]\ncall = \"90s\"", ending: "timed out", kind: simulator.HungUpOutcome, cause: "ALLOTTED_TIMEOUT"},
		{name: "takes too long in one verb", script: `call:answer() call:playback("long.wav")`, config: "[limits]\ncall = \"90s\"", ending: "timed out", kind: simulator.HungUpOutcome, cause: "ALLOTTED_TIMEOUT", asyncFullOnly: true},
		{name: "takes too long, continue is for others", script: `while true do call:sleep(400) end`, config: "on_error = \"continue\"\non_return = \"continue\"\n[limits]\ncall = \"90s\"", ending: "timed out", kind: simulator.HungUpOutcome, cause: "ALLOTTED_TIMEOUT"},
		{name: "hangs up behind its music", script: `call:answer() call:playback("long.wav", { wait = false }) call:hangup("USER_BUSY")`, ending: "hung up by script", kind: simulator.HungUpOutcome, cause: "USER_BUSY", asyncFullOnly: true},
		{name: "fails behind its music", script: `call:answer() call:playback("long.wav", { loops = 0, wait = false }) error("oops")`, ending: "script error", kind: simulator.HungUpOutcome, cause: "NORMAL_TEMPORARY_FAILURE", asyncFullOnly: true},
		{name: "transfers", script: `call:answer() call:transfer("2000", "XML", "default") log.info("never")`, ending: "transferred", kind: simulator.TransferredOutcome},
		{name: "no such script", script: ``, ending: "script error", kind: simulator.HungUpOutcome, cause: "NORMAL_TEMPORARY_FAILURE", line: "the call has no script to run"},
	}
	for _, tt := range tests {
		for _, mode := range modes {
			if tt.asyncFullOnly && mode != "async full" {
				continue
			}
			t.Run(tt.name+"/"+mode, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					log := &logbook{}
					library, _ := newLibrary(t, "[calls]\n"+tt.config+"\n", map[string]string{"main.lua": tt.script}, slog.New(log))
					server := &Server{Library: library, Logger: slog.New(log)}
					sw := &simulator.Switch{Sounds: func(path string) (time.Duration, bool) {
						return map[string]time.Duration{"long.wav": time.Hour, "sorry.wav": 3 * time.Second}[path], !strings.HasPrefix(path, "no such")
					}}
					defer sw.Close()
					defer server.Close()
					script := "main"
					if tt.script == "" {
						script = "mian"
					}
					ours, theirs := simulator.Pipe()
					c, err := sw.Call(context.Background(), simulator.Invite{Socket: "127.0.0.1:8084/" + script + " " + mode, Conn: theirs})
					if err != nil {
						t.Fatal(err)
					}
					began := time.Now()
					if err := server.ServeConn(ours); err != nil {
						t.Fatal(err)
					}
					out, err := c.Wait(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					if out.Kind != tt.kind || tt.cause != "" && out.Cause != tt.cause {
						t.Errorf("the switch saw %v", out)
					}
					if took := time.Since(began); took > 100*time.Second {
						t.Errorf("it took %v", took)
					}
					e := log.awaitOf(t, "call ended", c.UUID)
					if e["ending"] != tt.ending || e["cause"] != tt.cause {
						t.Errorf("ended as %v", e)
					}
					played := ""
					for _, o := range c.Log() {
						if o.Kind == simulator.Played && o.Data != "long.wav" {
							played += o.Data
							if !c.Answered() {
								t.Error("a prompt was played to a channel that was not answered")
							}
						}
					}
					if played != tt.played {
						t.Errorf("played %q, want %q", played, tt.played)
					}
					if tt.line != "" && log.of(tt.line, c.UUID) == nil || log.find("never") != nil {
						t.Errorf("want %q; logged:\n%s", tt.line, log)
					}
				})
			})
		}
	}
}

// Shutdown takes no new calls and lets those that run come to their end.
func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil, nil)
	c := h.call("beside", "async full")
	h.log.awaitOf(t, "switch played", c.UUID)

	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.server.Shutdown(ctx) }()
	h.served <- <-h.served // Serve has returned: nobody accepts any more
	late := h.call("beside", "async full")
	if out := h.outcome(late); out.Kind != simulator.ContinuedOutcome {
		t.Errorf("a call after Shutdown: the switch saw %v", out)
	}
	if h.log.of("call started", late.UUID) != nil {
		t.Error("a call was taken after Shutdown")
	}
	select {
	case err := <-done:
		t.Fatalf("Shutdown returned %v while a call runs", err)
	default:
	}
	h.letGo(c)
	if out := h.outcome(c); out.Kind != simulator.HungUpOutcome || out.Cause != "ALLOTTED_TIMEOUT" {
		t.Errorf("the call that ran: the switch saw %v", out)
	}
	if err := <-done; err != nil {
		t.Errorf("Shutdown returned %v", err)
	}
	h.ends(c, "hung up by script", "ALLOTTED_TIMEOUT")
	cancel()
}

// Close, when the time is up, stops the scripts; the switch goes on with the calls as the
// dialplan says, at once: the engine has said resume, whether socket_resume is set or not.
func TestCloseLetsGoOfCalls(t *testing.T) {
	scripts := map[string]string{
		"waits":    `call:on("hangup", function() log.info("never") end) call:answer() call:playback("long.wav") log.info("never")`,
		"catches":  `call:answer() while true do pcall(function() call:playback("long.wav") end) end`,
		"computes": `call:answer() call:playback("short.wav") log.info("computing") while true do pcall(function() while true do end end) end`,
	}
	for name, script := range scripts {
		for _, resume := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, socket_resume %v", name, resume), func(t *testing.T) {
				t.Parallel()
				h := newHouse(t, "[limits]\ncpu = \"1m\"\n", map[string]string{"main.lua": script}, nil)
				// The next action of the dialplan reaches another engine.
				next := newHouse(t, "", map[string]string{"main.lua": `log.info("next", { answered = call:get("mark") }) call:hangup("USER_BUSY")`}, nil)
				invite := simulator.Invite{Socket: h.addr + "/main async full", Actions: []string{next.addr + "/main async full"}}
				invite.Variables = append(invite.Variables, simulator.Variable{Name: "mark", Value: "kept"})
				if resume {
					invite.Variables = append(invite.Variables, simulator.Variable{Name: "socket_resume", Value: "true"})
				}
				c, err := h.sw.Call(context.Background(), invite)
				if err != nil {
					t.Fatal(err)
				}
				if name == "computes" {
					h.log.await(t, "computing")
				} else {
					h.log.awaitOf(t, "switch played", c.UUID)
				}

				over, cancel := context.WithCancel(context.Background())
				cancel()
				if err := h.server.Shutdown(over); err != context.Canceled {
					t.Errorf("Shutdown returned %v", err)
				}
				h.server.Close()
				if e := h.log.of("call ended", c.UUID); e["ending"] != "stopped" { // Close has waited for it
					t.Errorf("ended as %v\n%s", e, h.log)
				}
				if e := next.log.awaitOf(t, "next", c.UUID); e["answered"] != "kept" {
					t.Errorf("the second engine found %v", e)
				}
				if out := h.outcome(c); out.Kind != simulator.HungUpOutcome || out.Cause != "USER_BUSY" {
					t.Errorf("the switch saw %v", out)
				}
				if h.log.find("never") != nil {
					t.Error("the script went on")
				}
			})
		}
	}
}

// A program is callisto itself in a process of its own.
type program struct {
	*exec.Cmd
	lines *bufio.Scanner // of what it says, on either stream
	text  strings.Builder
}

// buildCallisto builds the program.
func buildCallisto(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "callisto")
	if out, err := exec.Command("go", "build", "-o", path, "../cmd/callisto").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return path
}

// start runs callisto serve with a configuration, beside its scripts.
func startProgram(t *testing.T, path, config string, scripts map[string]string) *program {
	t.Helper()
	dir := t.TempDir()
	for name, text := range scripts {
		if err := os.MkdirAll(filepath.Join(dir, "scripts"), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, dir, "scripts/"+name, text)
	}
	p := &program{Cmd: exec.Command(path, "serve", "--config", write(t, dir, "config.toml", config))}
	p.Dir = dir
	says, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p.Stdout, p.Stderr = out, out
	err = p.Start()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		p.Process.Kill()
		p.Wait()
		says.Close()
	})
	p.lines = bufio.NewScanner(says)
	return p
}

// until reads what the program says up to a line with words in it.
func (p *program) until(t *testing.T, words string) string {
	t.Helper()
	for p.lines.Scan() {
		p.text.WriteString(p.lines.Text() + "\n")
		if strings.Contains(p.lines.Text(), words) {
			return p.lines.Text()
		}
	}
	t.Fatalf("it never said %q, but\n%s", words, &p.text)
	return ""
}

// end reads the rest and returns the exit code.
func (p *program) end() int {
	for p.lines.Scan() {
		p.text.WriteString(p.lines.Text() + "\n")
	}
	p.Wait()
	return p.ProcessState.ExitCode()
}

const anyPort = "[server]\nlisten = \"127.0.0.1:0\"\n"
const noAdmin = "[admin]\nlisten = \"\"\n"

// SIGTERM lets the calls that run finish; a second signal, or server.drain, ends them.
func TestSignals(t *testing.T) {
	t.Parallel()
	path := buildCallisto(t)
	tests := []struct {
		name, drain string
		first       syscall.Signal
		second      syscall.Signal // 0: none
		letGo       bool           // the call comes to its end after the first
		ending      string
		kind        simulator.OutcomeKind
	}{
		{"the call finishes", "1h", syscall.SIGTERM, 0, true, "hung up by script", simulator.HungUpOutcome},
		{"the call finishes, SIGINT", "1h", syscall.SIGINT, 0, true, "hung up by script", simulator.HungUpOutcome},
		{"a second signal", "1h", syscall.SIGTERM, syscall.SIGTERM, false, "stopped", simulator.ContinuedOutcome},
		{"a second signal of the other kind", "1h", syscall.SIGTERM, syscall.SIGINT, false, "stopped", simulator.ContinuedOutcome},
		{"the time is up", "10ms", syscall.SIGTERM, 0, false, "stopped", simulator.ContinuedOutcome},
		{"SIGHUP is no second signal", "1h", syscall.SIGTERM, syscall.SIGHUP, true, "hung up by script", simulator.HungUpOutcome},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "", nil, nil) // for its switch
			p := startProgram(t, path, anyPort+"drain = \""+tt.drain+"\"\n"+noAdmin, map[string]string{
				"main.lua": `call:answer() call:playback("long.wav") call:hangup("USER_BUSY")`})
			line := p.until(t, "takes calls on ")
			h.addr, _, _ = strings.Cut(line[strings.Index(line, "takes calls on ")+len("takes calls on "):], " ")
			c := h.call("main", "async full")
			h.log.awaitOf(t, "switch played", c.UUID)
			p.Process.Signal(tt.first)
			p.until(t, "stopping: no new calls")
			if tt.second != 0 {
				p.Process.Signal(tt.second)
			}
			if tt.letGo {
				h.letGo(c)
			}
			if code := p.end(); code != 0 {
				t.Errorf("it ended with %d", code)
			}
			if out := h.outcome(c); out.Kind != tt.kind { // the dialplan goes on though the playback had not ended

				t.Errorf("the switch saw %v", out)
			}
			if text := p.text.String(); !strings.Contains(text, `ending="`+tt.ending) && !strings.Contains(text, "ending="+tt.ending+" ") || !strings.Contains(text, "msg=stopped") {
				t.Errorf("it said\n%s", text)
			}
		})
	}
}

// What keeps callisto serve from serving: the text says what is meant and what to do.
func TestServeSaysWhyItCannot(t *testing.T) {
	t.Parallel()
	path := buildCallisto(t)
	taken := listen(t)
	t.Cleanup(func() { taken.Close() })
	scripts := map[string]string{"main.lua": "call:answer()"}
	tests := []struct {
		name, config string
		scripts      map[string]string
		says         string
	}{
		{"two on one port", "[server]\nlisten = \"" + taken.Addr().String() + "\"\n", scripts, "server.listen: another program uses " + taken.Addr().String() + " already; stop it, or set another port"},
		{"not an address of ours", "[server]\nlisten = \"192.0.2.1:8084\"\n", scripts, "server.listen: "},
		{"no root", anyPort, nil, "scripts does not exist: make the directory, or set scripts.root"},
		{"a typo", "[server]\nlisen = \"127.0.0.1:0\"\n", scripts, "server.listen"},
		{"a typo in a section", "[sever]\nlisten = \"127.0.0.1:0\"\n", scripts, "server"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			p := startProgram(t, path, tt.config, tt.scripts)
			if code := p.end(); code != 2 || !strings.Contains(p.text.String(), tt.says) {
				t.Errorf("it ended with %d and said\n%s", code, &p.text)
			}
		})
	}
}

// Who watches the server is told of every verb and step, of which call and where, before it runs.
func TestTap(t *testing.T) {
	var mu sync.Mutex
	steps := map[string][]string{}
	h := newHouse(t, "", map[string]string{
		"main.lua":  "call:answer()\nrequire('greet').greet(call)",
		"greet.lua": "return { greet = function(call)\n\n  call:playback('x.wav')\nend }",
		"flow.lua":  "return flow { start = 'hello',\n hello = flow.playback { 'x.wav', next = 'bye' },\n bye = flow.hangup {} }",
	}, func(h *house) {
		h.server.Tap = func(uuid string, step luabind.Step) {
			mu.Lock()
			defer mu.Unlock()
			steps[uuid] = append(steps[uuid], fmt.Sprintf("%s:%d %s", step.File, step.Line, step.Verb))
		}
		h.server.Flow = func(uuid string, mark luabind.Mark) {
			mu.Lock()
			defer mu.Unlock()
			steps[uuid] = append(steps[uuid], strings.TrimSpace(mark.Flow+"/"+mark.Step+" "+mark.Outcome))
		}
	})
	one, two := h.call("main", "async full"), h.call("main", "async full")
	three := h.call("flow", "async full")
	h.outcome(three)
	h.outcome(one)
	h.outcome(two)
	mu.Lock()
	defer mu.Unlock()
	var marks []string
	for _, step := range steps[three.UUID] {
		if strings.HasPrefix(step, "flow/") {
			marks = append(marks, step)
		}
	}
	if got, want := strings.Join(marks, ", "), "flow/hello, flow/hello next, flow/bye, flow/bye (ended)"; got != want {
		t.Errorf("it was told of %s, want %s", got, want)
	}
	for _, c := range []*simulator.Channel{one, two} {
		if got, want := strings.Join(steps[c.UUID], ", "), "main.lua:1 answer, greet.lua:3 playback"; got != want {
			t.Errorf("it was told of %s, want %s", got, want)
		}
	}
}
