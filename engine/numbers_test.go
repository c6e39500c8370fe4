package engine

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"callisto/esl"
	"callisto/simulator"
)

// The numbers of docs/numbers.md: Callisto against a server that parses nothing but the
// boundaries of messages, each in a process of its own, with the same simulated switch in
// front. `make bench` runs it.
var numbers = flag.Bool("numbers", false, "measure Callisto against a bare server")

// numbersServer, in the environment, makes the test binary one of the two servers.
const numbersServer = "CALLISTO_NUMBERS_SERVER"

// The reference conversation: answer, two sets, two playbacks, hangup.
const referenceScript = `
call:answer()
call:set("greeting", "hello")
call:set("language", "en")
call:playback("ivr/welcome.wav")
call:playback("ivr/menu.wav")
call:hangup()
`

// The same verbs in a script and in a flow: an answer, and ten playbacks.
const verbsScript = `
call:answer()
for i = 1, 10 do
  call:playback("ivr/welcome.wav")
end
call:hangup()
`

func stepsFlow() string {
	var b strings.Builder
	b.WriteString("return flow{ start = \"s1\",\n")
	for i := range 10 {
		fmt.Fprintf(&b, "s%d = flow.playback{ \"ivr/welcome.wav\", next = \"s%d\" },\n", i+1, i+2)
	}
	b.WriteString("s11 = flow.hangup{} }")
	return b.String()
}

const heldScript = `
call:answer()
call:set("greeting", "hello")
call:set("language", "en")
call:playback("silence_stream://3600000")
call:hangup()
`

// init makes this process one of the two servers where the environment says so.
func init() {
	kind := os.Getenv(numbersServer)
	if kind == "" {
		return
	}
	if err := serveNumbers(kind); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// serveNumbers serves one of the two on a free port, prints the address, and answers "free" on
// its input by giving memory back to the system. It ends with its input.
func serveNumbers(kind string) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	switch kind {
	case "bare":
		TuneMemory()
		go serveBare(l)
	case "callisto":
		dir, err := os.MkdirTemp("", "callisto-numbers-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		for name, text := range map[string]string{"main.lua": referenceScript, "held.lua": heldScript, "verbs.lua": verbsScript, "steps.lua": stepsFlow()} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
				return err
			}
		}
		if path := os.Getenv("CALLISTO_NUMBERS_PROFILE"); path != "" {
			f, err := os.Create(path)
			if err != nil {
				return err
			}
			defer f.Close()
			pprof.StartCPUProfile(f)
			defer pprof.StopCPUProfile()
		}
		TuneMemory() // as callisto serve does
		config := *DefaultConfig()
		config.Scripts.Root = dir
		config.Server.MaxCalls = 100000
		log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
		library, err := NewLibrary(context.Background(), &config, log)
		if err != nil {
			return err
		}
		server := &Server{Library: library, Logger: log}
		go server.Serve(l)
	default:
		return fmt.Errorf("%s=%s", numbersServer, kind)
	}
	fmt.Println(l.Addr())
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		debug.FreeOSMemory()
		fmt.Println("done")
	}
	return nil
}

// serveBare has the same conversations as the scripts above, and looks for nothing in
// what comes but where each message ends.
func serveBare(l net.Listener) {
	for {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		go bareCall(nc)
	}
}

// The packets of the bare server are those that Callisto sends.
var (
	bareConnect = []byte("connect\n\n")
	bareSetup   = func(uuid, file string) []byte {
		commands := []esl.Command{
			esl.Resume{},
			esl.Linger{Seconds: 12},
			esl.Filter{Header: "Unique-ID", Value: uuid},
			esl.Events{Names: []string{"CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"}},
			esl.Execute{App: "answer", EventLock: true},
			esl.Execute{App: "set", Arg: "greeting=hello", EventLock: true},
			esl.Execute{App: "set", Arg: "language=en", EventLock: true},
			esl.Execute{App: "playback", Arg: file, EventLock: true, UUID: uuid},
		}
		var b []byte
		for _, c := range commands {
			b, _ = esl.AppendCommand(b, c)
		}
		return b
	}
	barePlayback = func(uuid string) []byte {
		b, _ := esl.AppendCommand(nil, esl.Execute{App: "playback", Arg: "ivr/menu.wav", EventLock: true, UUID: uuid})
		return b
	}
	bareHangup = []byte("sendmsg\ncall-command: hangup\nhangup-cause: NORMAL_CLEARING\n\n")
)

func bareCall(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReaderSize(nc, 4<<10)
	next := func(n int) bool {
		for range n {
			if !skipMessage(in) {
				return false
			}
		}
		return true
	}
	nc.Write(bareConnect)
	head, ok := readHead(in)
	if !ok {
		return
	}
	uuid := headValue(head, "Unique-ID: ")
	file := "ivr/welcome.wav"
	if bytes.Contains(head, []byte("variable_socket_path: held")) {
		file = "silence_stream://3600000"
	}
	nc.Write(bareSetup(uuid, file))
	if !next(8 + 4) { // the replies; the completions of answer, set, set, playback
		return
	}
	nc.Write(barePlayback(uuid))
	if !next(2) {
		return
	}
	nc.Write(bareHangup)
	next(1 + 3) // CHANNEL_HANGUP, the completion of socket, CHANNEL_HANGUP_COMPLETE
}

func readHead(in *bufio.Reader) ([]byte, bool) {
	var head []byte
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return nil, false
		}
		if len(line) == 1 {
			return head, true
		}
		head = append(head, line...)
	}
}

func headValue(head []byte, name string) string {
	i := bytes.Index(head, []byte("\n"+name))
	if i < 0 {
		return ""
	}
	v, _, _ := bytes.Cut(head[i+1+len(name):], []byte("\n"))
	return string(v)
}

func skipMessage(in *bufio.Reader) bool {
	length := 0
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return false
		}
		if len(line) == 1 {
			break
		}
		if v, ok := bytes.CutPrefix(line, []byte("Content-Length: ")); ok {
			length, _ = strconv.Atoi(string(bytes.TrimSpace(v)))
		}
	}
	_, err := in.Discard(length)
	return err == nil
}

// A numbersChild is one of the two servers.
type numbersChild struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Scanner
	addr string
}

func startChild(t *testing.T, kind string) *numbersChild {
	t.Helper()
	c := &numbersChild{cmd: exec.Command(os.Args[0], "-test.run=^$")}
	c.cmd.Env = append(os.Environ(), numbersServer+"="+kind)
	c.cmd.Stderr = os.Stderr
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewScanner(out)
	if !c.out.Scan() {
		t.Fatalf("the server %s did not start", kind)
	}
	c.addr = c.out.Text()
	t.Cleanup(func() { c.in.Close(); c.cmd.Wait() })
	return c
}

// free makes the server give back the memory that it does not use.
func (c *numbersChild) free() {
	fmt.Fprintln(c.in)
	c.out.Scan()
}

// cpu is what the server has used of the processors so far.
func (c *numbersChild) cpu(t *testing.T) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[bytes.LastIndexByte(text, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is the server's resident memory in KiB.
func (c *numbersChild) resident(t *testing.T) int {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if v, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			n, _ := strconv.Atoi(strings.Fields(v)[0])
			return n
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func TestNumbers(t *testing.T) {
	if !*numbers {
		t.Skip("measures; make bench runs it")
	}
	t.Run("conversation", numbersConversation)
	t.Run("flow", numbersFlow)
	t.Run("latency", numbersLatency)
	t.Run("held", numbersHeld)
}

// numbersConversation compares what the processors spend on the reference conversation.
func numbersConversation(t *testing.T) {
	const calls, parallel, rounds = 6000, 50, 7
	bare, callisto := startChild(t, "bare"), startChild(t, "callisto")
	sw := &simulator.Switch{Sounds: atOnce}
	defer sw.Close()
	measure := func(c *numbersChild, n int) time.Duration {
		before := c.cpu(t)
		converse(t, sw, c.addr+"/main", n, parallel, nil)
		return c.cpu(t) - before
	}
	measure(bare, 1000)
	measure(callisto, 1000)
	var ratios []float64
	var spentBare, spentCallisto []time.Duration
	for range rounds {
		b, c := measure(bare, calls), measure(callisto, calls)
		ratios = append(ratios, float64(c)/float64(b))
		spentBare, spentCallisto = append(spentBare, b/calls), append(spentCallisto, c/calls)
	}
	slices.Sort(ratios)
	t.Logf("reference conversation: %.2f× the bare server's CPU (median of %d rounds of %d calls, %.2f to %.2f); target 1.5×; %v against %v a call",
		median(ratios), rounds, calls, ratios[0], ratios[len(ratios)-1], median(spentCallisto), median(spentBare))
}

// numbersFlow compares what the processors spend on a flow and on a script with the same verbs, in one server.
func numbersFlow(t *testing.T) {
	const calls, parallel, rounds = 2000, 50, 7
	callisto := startChild(t, "callisto")
	sw := &simulator.Switch{Sounds: atOnce}
	defer sw.Close()
	measure := func(script string, n int) time.Duration {
		before := callisto.cpu(t)
		converse(t, sw, callisto.addr+"/"+script, n, parallel, nil)
		return callisto.cpu(t) - before
	}
	measure("verbs", 500)
	measure("steps", 500)
	var ratios []float64
	var spentScript, spentFlow []time.Duration
	for range rounds {
		s, f := measure("verbs", calls), measure("steps", calls)
		ratios = append(ratios, float64(f)/float64(s))
		spentScript, spentFlow = append(spentScript, s/calls), append(spentFlow, f/calls)
	}
	slices.Sort(ratios)
	t.Logf("a flow of ten steps: %.2f× the CPU of a script with the same verbs (median of %d rounds of %d calls, %.2f to %.2f); target 1.1×; %v against %v a call",
		median(ratios), rounds, calls, ratios[0], ratios[len(ratios)-1], median(spentFlow), median(spentScript))
}

// atOnce makes playbacks end when they start.
func atOnce(string) (time.Duration, bool) { return 0, true }

func median[T cmp.Ordered](list []T) T {
	s := slices.Clone(list)
	slices.Sort(s)
	return s[len(s)/2]
}

// converse has n reference conversations, so many at a time.
func converse(t *testing.T, sw *simulator.Switch, socket string, n, parallel int, wrap func(net.Conn) net.Conn) {
	t.Helper()
	work := make(chan struct{}, n)
	for range n {
		work <- struct{}{}
	}
	close(work)
	var wg sync.WaitGroup
	for range parallel {
		wg.Go(func() {
			for range work {
				invite := simulator.Invite{Socket: socket + " async full"}
				if wrap != nil {
					invite.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
						nc, err := net.Dial("tcp", addr)
						if err != nil {
							return nil, err
						}
						return wrap(nc), nil
					}
				}
				c, err := sw.Call(context.Background(), invite)
				if err != nil {
					t.Error(err)
					return
				}
				if out, _ := c.Wait(context.Background()); out.Kind != simulator.HungUpOutcome {
					t.Errorf("a call to %s ended with %v", socket, out)
				}
			}
		})
	}
	wg.Wait()
}

// numbersLatency compares the time from a completion to the next command with 1,000 calls
// under way.
func numbersLatency(t *testing.T) {
	const calls, parallel, rounds = 4000, 1000, 5
	bare, callisto := startChild(t, "bare"), startChild(t, "callisto")
	// Prompts of 0.5 to 1.5 seconds, so that the calls are not all at the same point.
	sw := &simulator.Switch{Tick: 20 * time.Millisecond, Sounds: func(string) (time.Duration, bool) {
		return 500*time.Millisecond + rand.N(time.Second), true
	}}
	defer sw.Close()
	var p50, p99 []float64
	for round := range rounds + 1 {
		var quantiles [2][2]time.Duration
		for i, c := range []*numbersChild{bare, callisto} {
			w := &stopwatch{}
			converse(t, sw, c.addr+"/main", calls, parallel, w.wrap)
			slices.Sort(w.times)
			quantiles[i] = [2]time.Duration{w.times[len(w.times)/2], w.times[len(w.times)*99/100]}
		}
		if round == 0 {
			continue // warming up
		}
		p50 = append(p50, float64(quantiles[1][0])/float64(quantiles[0][0]))
		p99 = append(p99, float64(quantiles[1][1])/float64(quantiles[0][1]))
		t.Logf("  bare p50 %v p99 %v, callisto p50 %v p99 %v", quantiles[0][0], quantiles[0][1], quantiles[1][0], quantiles[1][1])
	}
	t.Logf("from a completion to the next command, %d calls at once: p50 %.2f×, p99 %.2f× the bare server's (medians of %d rounds); target 1.5×",
		parallel, median(p50), median(p99), rounds)
}

// A stopwatch measures from the moment a playback's completion is written to the moment
// something is read.
type stopwatch struct {
	mu    sync.Mutex
	times []time.Duration
}

func (w *stopwatch) wrap(nc net.Conn) net.Conn { return &timedConn{Conn: nc, w: w} }

type timedConn struct {
	net.Conn
	w    *stopwatch
	mu   sync.Mutex
	sent time.Time
}

func (c *timedConn) Write(b []byte) (int, error) {
	if i := bytes.LastIndex(b, []byte("Event-Name: CHANNEL_EXECUTE_COMPLETE")); i >= 0 && bytes.Contains(b[i:], []byte("\nApplication: playback")) {
		c.mu.Lock()
		c.sent = time.Now()
		c.mu.Unlock()
	}
	return c.Conn.Write(b)
}

func (c *timedConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	sent := c.sent
	c.sent = time.Time{}
	c.mu.Unlock()
	if n > 0 && !sent.IsZero() {
		c.w.mu.Lock()
		c.w.times = append(c.w.times, time.Since(sent))
		c.w.mu.Unlock()
	}
	return n, err
}

// numbersHeld measures the memory of calls that listen to a playback.
func numbersHeld(t *testing.T) {
	const calls = 10000
	for _, kind := range []string{"bare", "callisto"} {
		c := startChild(t, kind)
		var playing atomic.Int64
		sw := &simulator.Switch{Observer: func(o simulator.Occurrence) {
			if o.Kind == simulator.Played {
				playing.Add(1)
			}
		}}
		quick := &simulator.Switch{Sounds: atOnce}
		converse(t, quick, c.addr+"/main", 200, 10, nil) // what the first calls need once
		quick.Close()
		c.free()
		before := c.resident(t)
		began := time.Now()
		for range calls {
			if _, err := sw.Call(context.Background(), simulator.Invite{Socket: c.addr + "/held async full"}); err != nil {
				t.Fatal(err)
			}
		}
		waitFor(t, time.Minute, func() bool { return playing.Load() == calls })
		asTheyAre := c.resident(t)
		c.free()
		after := c.resident(t)
		t.Logf("%s: %.1f KiB per held call as it stands, %.1f after a collection (%d calls, %d MiB in all, set up in %v); targets for Callisto: 36 KiB, 400 MiB",
			kind, float64(asTheyAre-before)/calls, float64(after-before)/calls, calls, asTheyAre>>10, time.Since(began).Round(time.Millisecond))
		sw.Close()
	}
}

func waitFor(t *testing.T, limit time.Duration, done func() bool) {
	t.Helper()
	timeout := time.After(limit)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-timeout:
			t.Fatal(errors.New("it took too long"))
		}
	}
}
