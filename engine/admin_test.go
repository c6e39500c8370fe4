package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"callisto/esl"
	"callisto/luabind"
	"callisto/simulator"
)

// admin serves the admin address of a house on a free port, until the server is closed.
func (h *house) admin() (address string) {
	h.t.Helper()
	l := listen(h.t)
	ended := make(chan error, 1)
	h.server.init()
	go func() { ended <- h.server.ServeAdmin(l) }()
	h.t.Cleanup(func() {
		h.server.Close()
		if err := <-ended; err != esl.ErrServerClosed {
			h.t.Errorf("ServeAdmin returned %v", err)
		}
	})
	return l.Addr().String()
}

// get asks with a connection of its own, which nobody is left to close.
func get(t testing.TB, url string) (status int, body string) {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	r, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}

func decode(t testing.TB, text string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		t.Fatalf("%v in\n%s", err, text)
	}
}

// What each path answers while a call runs.
func TestAdmin(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", map[string]string{"broken.lua": "call:answer(\"<b>\""}, nil)
	url := "http://" + h.admin()
	h.ready()
	unmoved := h.beside()
	uuid := h.log.find("call started")["uuid"]

	if status, body := get(t, url+"/healthz"); status != 200 || body != "ok\n" {
		t.Errorf("/healthz: %d %q", status, body)
	}
	var ready struct {
		Ready      bool
		Reasons    []string
		Generation uint64
	}
	status, body := get(t, url+"/readyz")
	if decode(t, body, &ready); status != 200 || !ready.Ready || ready.Generation != 1 {
		t.Errorf("/readyz: %d %s", status, body)
	}
	var calls struct {
		Running int
		Calls   []shownCall
	}
	status, body = get(t, url+"/calls")
	if decode(t, body, &calls); status != 200 || calls.Running != 1 || len(calls.Calls) != 1 {
		t.Fatalf("/calls: %d %s", status, body)
	}
	if c := calls.Calls[0]; c.UUID != uuid || c.Script != "beside" || c.Generation != 1 || c.Seconds <= 0 || c.Step != "" {
		t.Errorf("/calls: %s", body)
	}
	if caller := h.log.find("call started")["caller"]; caller == "" || strings.Contains(body, caller) {
		t.Errorf("/calls tells who calls: %s", body)
	}
	if status, body := get(t, url+"/metrics"); status != 200 || !strings.Contains(body, "\ncallisto_calls_running 1\n") || !strings.Contains(body, "\ngo_goroutines ") || !strings.Contains(body, "\nprocess_") {
		t.Errorf("/metrics: %d %s", status, body)
	}
	status, body = get(t, url+"/counts")
	if counts, err := ReadCounts(strings.NewReader(body)); status != 200 || err != nil || counts.Since.IsZero() || len(counts.Flows) != 0 {
		t.Errorf("/counts: %d %v %s", status, err, body)
	}
	status, body = get(t, url+"/")
	for _, want := range []string{"Ready for calls", "1 of at most 10000 calls", "generation 1", "broken.lua:1", `href="/metrics"`, `href="/calls"`, `href="/counts"`, `href="/healthz"`, `href="/readyz"`} {
		if status != 200 || !strings.Contains(body, want) {
			t.Errorf("the page: %d, no %q in\n%s", status, want, body)
		}
	}
	if strings.Contains(body, "<b>") {
		t.Errorf("what stands in a script is in the page:\n%s", body)
	}
	unmoved()
}

// While the last calls finish, new ones are not taken and it says so; and the address ends with the server.
func TestReadiness(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "[server]\nmax_calls = 2\n", nil, nil)
	at := h.admin()
	h.ready()
	expect := func(want string) {
		t.Helper()
		status, body := get(t, "http://"+at+"/readyz")
		if want == "" && status != 200 || want != "" && (status != 503 || !strings.Contains(body, want)) {
			t.Errorf("/readyz: %d %s", status, body)
		}
		if status, _ := get(t, "http://"+at+"/healthz"); status != 200 {
			t.Errorf("/healthz: %d", status)
		}
	}
	expect("")
	first, second := h.call("beside", "async full"), h.call("beside", "async full")
	h.log.awaitOf(t, "switch played", first.UUID)
	h.log.awaitOf(t, "switch played", second.UUID)
	expect("server.max_calls calls are running (2)")
	first.Hangup("NORMAL_CLEARING")
	h.log.awaitOf(t, "call ended", first.UUID)

	over, cancel := context.WithCancel(context.Background())
	cancel()
	h.server.Shutdown(over)
	expect("stopping")
	h.letGo(second)
	h.outcome(second)
	h.server.Close()
	if nc, err := net.Dial("tcp", at); err == nil {
		nc.Close()
		t.Error("a closed server listens")
	}
}

func TestNotReadyWithoutScripts(t *testing.T) {
	library, dir := newLibrary(t, "", map[string]string{"main.lua": "call:answer("}, nil)
	s := &Server{Library: library}
	s.serving.Add(1)
	if reasons := s.NotReady(); len(reasons) != 1 || !strings.Contains(reasons[0], "no script") {
		t.Errorf("%q", reasons)
	}
	write(t, dir, "scripts/main.lua", "call:answer()")
	library.Reload(context.Background())
	if reasons := s.NotReady(); reasons != nil {
		t.Errorf("%q", reasons)
	}
	write(t, dir, "scripts/main.lua", "call:answer(") // the last good version is served
	library.Reload(context.Background())
	if reasons := s.NotReady(); reasons != nil {
		t.Errorf("%q", reasons)
	}
	s.serving.Add(-1)
	if reasons := s.NotReady(); len(reasons) != 1 || !strings.Contains(reasons[0], "nothing listens") {
		t.Errorf("%q", reasons)
	}
}

// The list of calls is bounded, and begins with those that have run longest.
func TestManyCallsAreListed(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil, nil)
	url := "http://" + h.admin()
	began := time.Now()
	for i := range adminCalls + 5 {
		h.server.record.started(fmt.Sprint("call", i), "main", 1, began.Add(-time.Duration(i)*time.Second))
	}
	h.server.record.started("in a flow", "menu", 1, began.Add(-time.Hour)).mark(luabind.Mark{Flow: "menu", Step: "greet"})
	var calls struct {
		Running int
		Calls   []shownCall
	}
	_, body := get(t, url+"/calls")
	decode(t, body, &calls)
	if calls.Running != adminCalls+6 || len(calls.Calls) != adminCalls {
		t.Fatalf("%d run, %d are listed", calls.Running, len(calls.Calls))
	}
	if c := calls.Calls[0]; c.UUID != "in a flow" || c.Flow != "menu" || c.Step != "greet" || c.Seconds < 3600 {
		t.Errorf("the first is %v", c)
	}
	if c := calls.Calls[1]; c.UUID != fmt.Sprint("call", adminCalls+4) {
		t.Errorf("the second is %v", c)
	}
}

// Who asks for what is not there, or asks strangely, gets a plain answer, and moves nobody.
func TestAdminTurnsAway(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", nil, nil)
	at := h.admin()
	unmoved := h.beside()
	tests := []struct{ name, request, status string }{
		{"a wrong path", "GET /elsewhere HTTP/1.1\r\nHost: localhost\r\n\r\n", "404"},
		{"below a path", "GET /metrics/../../etc/passwd HTTP/1.1\r\nHost: localhost\r\n\r\n", "307"}, // to /etc/passwd, which is not there
		{"a method that writes", "POST /calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n", "405"},
		{"another", "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n", "405"},
		{"HEAD", "HEAD /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", "200"},
		{"a body", "GET /calls HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000\r\n\r\nx", "413"},
		{"a body without end", "GET /calls HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", "413"},
		{"a large header", "GET / HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("a", 100<<10) + "\r\n\r\n", "431"},
		{"a large path", "GET /" + strings.Repeat("a", 100<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", "431"},
		{"no HTTP", "\x16\x03\x01\x00\xf4\x01\x00\x00\r\n\r\n", "400"},
		{"a switch", "Content-Type: auth/request\n\n", "400"},
		{"a name that is not ours", "GET /calls HTTP/1.1\r\nHost: attacker.example\r\n\r\n", "421"},
		{"with a port", "GET /calls HTTP/1.1\r\nHost: attacker.example:8085\r\n\r\n", "421"},
		{"localhost", "GET /calls HTTP/1.1\r\nHost: localhost:8085\r\n\r\n", "200"},
		{"an address", "GET /calls HTTP/1.1\r\nHost: [::1]:8085\r\n\r\n", "200"},
		{"a bare address", "GET /calls HTTP/1.1\r\nHost: [::1]\r\n\r\n", "200"},
		{"no host", "GET /healthz HTTP/1.0\r\n\r\n", "200"},
	}
	for _, tt := range tests {
		nc, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		nc.SetDeadline(time.Now().Add(time.Minute))
		go io.WriteString(nc, tt.request) // may fail: it is answered before all of it is read
		line, err := bufio.NewReader(nc).ReadString('\n')
		if words := strings.Fields(line); len(words) < 2 || words[1] != tt.status {
			t.Errorf("%s: %q, %v; want %s", tt.name, line, err, tt.status)
		}
		nc.Close()
	}
	unmoved()
}

// awaitHealth asks until there is an answer: it may take a moment until the server has seen that others are gone, and
// with the limits of a test a question may come too slowly.
func awaitHealth(at string) {
	for {
		r, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Get("http://" + at + "/healthz")
		if err == nil {
			r.Body.Close()
			return
		}
	}
}

// Who asks slowly, takes no answer, or holds many connections, is cut off, and the next is answered.
func TestAdminSlowAndMany(t *testing.T) {
	const request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n"
	tests := []struct {
		name string
		do   func(nc net.Conn)
	}{
		{"says nothing", func(nc net.Conn) {}},
		{"half a request", func(nc net.Conn) { io.WriteString(nc, request[:20]) }},
		{"does not take the answers", func(nc net.Conn) {
			nc.(*net.TCPConn).SetReadBuffer(1)
			for range 10000 { // until it is cut off
				if _, err := io.WriteString(nc, request); err != nil {
					return
				}
			}
		}},
		{"waits after an answer", func(nc net.Conn) { io.WriteString(nc, strings.Replace(request, "metrics", "healthz", 1)) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, "", nil, nil)
			h.server.init()
			a := &h.server.admin
			for _, limit := range []*time.Duration{&a.ReadHeaderTimeout, &a.ReadTimeout, &a.WriteTimeout, &a.IdleTimeout} {
				*limit /= 50 // one that is not set stays so, and it is not cut off
			}
			at := h.admin()
			unmoved := h.beside()
			nc, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			nc.SetDeadline(time.Now().Add(time.Minute))
			tt.do(nc)
			if _, err := io.Copy(io.Discard, nc); errors.Is(err, os.ErrDeadlineExceeded) {
				t.Error("it is not cut off")
			}
			awaitHealth(at)
			unmoved()
		})
	}
	t.Run("many", func(t *testing.T) {
		t.Parallel()
		h := newHouse(t, "", nil, nil)
		at := h.admin()
		unmoved := h.beside()
		var held []net.Conn
		for range adminConns {
			nc, err := net.Dial("tcp", at)
			if err != nil {
				t.Fatal(err)
			}
			defer nc.Close()
			// An answer shows that it has been accepted.
			io.WriteString(nc, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
			if _, err := bufio.NewReader(nc).ReadString('\n'); err != nil {
				t.Fatal(err)
			}
			held = append(held, nc)
		}
		nc, err := net.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		nc.SetDeadline(time.Now().Add(time.Minute))
		io.WriteString(nc, request) // may fail: it is closed
		if b, err := io.ReadAll(nc); len(b) > 0 || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("one too many got %q, %v", b, err)
		}
		for _, nc := range held {
			nc.Close()
		}
		awaitHealth(at)
		unmoved()
	})
}

// An address that others can reach is worth a warning, once.
func TestAdminWarnsOfAnOpenAddress(t *testing.T) {
	for _, tt := range []struct {
		address string
		warned  int
	}{{"127.0.0.1:0", 0}, {"0.0.0.0:0", 1}} {
		log := &logbook{}
		library, _ := newLibrary(t, "", map[string]string{"main.lua": "call:answer()"}, nil)
		s := &Server{Library: library, Logger: slog.New(log)}
		l, err := net.Listen("tcp", tt.address)
		if err != nil {
			t.Fatal(err)
		}
		s.Close() // ServeAdmin ends at once
		if err := s.ServeAdmin(l); err != esl.ErrServerClosed {
			t.Error(err)
		}
		if n := len(log.all("admin.listen is open to other machines, and asks for no password: keep it on 127.0.0.1, or behind a firewall")); n != tt.warned {
			t.Errorf("%s: warned %d times", tt.address, n)
		}
	}
}

// Asking, over and over, hurts no call; and what is counted can be read while it moves.
func TestAdminWhileCallsRun(t *testing.T) {
	t.Parallel()
	h := newHouse(t, "", map[string]string{"main.lua": `call:hangup("USER_BUSY")`}, nil)
	url := "http://" + h.admin()
	h.ready()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
		for {
			for _, path := range []string{"/metrics", "/calls", "/counts", "/", "/readyz"} {
				select {
				case <-stop:
					return
				default:
				}
				r, err := client.Get(url + path)
				if err != nil {
					t.Error(err)
					return
				}
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
				if r.StatusCode != 200 {
					t.Errorf("%s: %s", path, r.Status)
				}
			}
		}
	}()
	const n = 100
	for range n {
		if out := h.outcome(h.call("main", "async full")); out.Cause != "USER_BUSY" {
			t.Errorf("the switch saw %v", out)
		}
	}
	h.log.until(t, func() bool { return len(h.log.all("call ended")) == n })
	close(stop)
	<-done
	if got := h.server.samples(t)[`callisto_calls_ended_total{ending="hung up by script",script="main"}`]; got != n {
		t.Errorf("%v calls are counted", got)
	}
}

func TestReadCounts(t *testing.T) {
	docs, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(docs), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	if c, err := ReadCounts(strings.NewReader(example)); err != nil || c.Flows["support/menu"]["greet"].Outcomes[luabind.Abandoned] != 3 {
		t.Errorf("the example in docs/operations.md: %v, %v", c, err)
	}
	for _, tt := range []struct{ text, err string }{
		{`{"version":1,"since":"2026-11-22T12:00:00Z","flows":{"menu":{"greet":{"entered":3,"outcomes":{"next":2,"(hangup)":1},"seconds":4.5}}}}`, ""},
		{`{"version":2,"flows":{}}`, "the counts have version 2, and this callisto reads version 1"},
		{`{}`, "the counts have version 0"},
		{`<html>`, "these are no counts"},
		{``, "these are no counts"},
		{strings.Repeat(" ", maxCounts+1), "larger than 64 MB"},
	} {
		c, err := ReadCounts(strings.NewReader(tt.text))
		if tt.err == "" {
			if err != nil || c.Flows["menu"]["greet"].Outcomes[luabind.Abandoned] != 1 {
				t.Errorf("%v %v", c, err)
			}
		} else if err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%.50q: %v, want %q", tt.text, err, tt.err)
		}
	}
}

// What was counted stands in the log when the server is closed, once.
func TestCountsAreLogged(t *testing.T) {
	log := &logbook{}
	library, _ := newLibrary(t, "", map[string]string{"main.lua": "call:answer()"}, nil)
	s := &Server{Library: library, Logger: slog.New(log)}
	s.init()
	c := s.record.started("uuid", "main", 1, time.Now())
	for range 3 {
		c.mark(luabind.Mark{Flow: "main", Step: "menu"})
	}
	c.mark(luabind.Mark{Flow: "main", Step: "menu", Outcome: "1", Took: time.Second})
	c.mark(luabind.Mark{Flow: "main", Step: "menu", Outcome: "1", Took: time.Second})
	c.mark(luabind.Mark{Flow: "main", Step: "menu", Outcome: luabind.Abandoned, Took: time.Second})
	s.Close()
	s.Close()
	lines := log.all("step counted")
	if len(lines) != 1 || lines[0]["step"] != "menu" || lines[0]["entered"] != "3" || lines[0]["outcomes"] != "(hangup)=1 1=2" || lines[0]["took"] != "3s" {
		t.Errorf("%v", lines)
	}
}

// Two callers go through a flow, one gives up; a reload between them keeps the counts.
func TestFlowIsCounted(t *testing.T) {
	t.Parallel()
	const script = `return flow {
		start = "greet",
		greet = flow.playback { "hello.wav", next = "music" },
		music = flow.playback { "long.wav", next = "bye" },
		bye   = flow.hangup { "USER_BUSY" },
	}`
	h := newHouse(t, "", map[string]string{"main.lua": script}, nil)
	url := "http://" + h.admin()
	inMusic := func() *simulator.Channel {
		c := h.call("main", "async full")
		h.log.until(t, func() bool {
			return slices.ContainsFunc(h.log.entriesOf(c.UUID), func(e entry) bool { return e.message == "switch played" && e.attrs["data"] == "long.wav" })
		})
		return c
	}
	first := inMusic()
	var calls struct{ Calls []shownCall }
	_, body := get(t, url+"/calls")
	if decode(t, body, &calls); len(calls.Calls) != 1 || calls.Calls[0].Flow != "main" || calls.Calls[0].Step != "music" {
		t.Errorf("/calls: %s", body)
	}
	first.Hangup("ORIGINATOR_CANCEL")
	if e := h.log.awaitOf(t, "call ended", first.UUID); e["flow"] != "main" || e["step"] != "music" {
		t.Errorf("%v", e)
	}
	write(t, h.dir, "scripts/main.lua", strings.Replace(script, "hello.wav", "welcome.wav", 1))
	if s := h.library.Reload(context.Background()); s.Number != 2 {
		t.Fatalf("generation %d: %v", s.Number, s.Problems)
	}
	second := inMusic()
	h.letGo(second)
	h.ends(second, "hung up by script", "USER_BUSY")
	_, body = get(t, url+"/counts")
	counts, err := ReadCounts(strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	steps := counts.Flows["main"]
	for name, step := range steps {
		step.Seconds = 0
		steps[name] = step
	}
	want := map[string]StepCounts{
		"greet": {Entered: 2, Outcomes: map[string]uint64{"next": 2}},
		"music": {Entered: 2, Outcomes: map[string]uint64{"next": 1, luabind.Abandoned: 1}},
		"bye":   {Entered: 1, Outcomes: map[string]uint64{luabind.Ended: 1}},
	}
	if diff := cmp.Diff(want, steps); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if v := h.server.samples(t)[`callisto_flow_steps_left_total{flow="main",outcome="(hangup)",step="music"}`]; v != 1 {
		t.Errorf("%v gave up", v)
	}
}
