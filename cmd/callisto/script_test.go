package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/testscript"

	"callisto/simulator"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"callisto": main})
}

// TestScripts runs testdata/script. Besides testscript's own commands there are
//
//	fails CODE [args]     runs callisto, which must exit with that code
//	cmpcall FILE FILE     is cmp for what dial prints, whose times vary with the machine's load
//	serve [args]          starts callisto serve on a free port, and waits until it takes calls
//	place SCRIPT [words]  makes a call to it over TCP; its outcome is stdout
//	get PATH              asks it over HTTP, on the admin address; the status and the body are stdout
//	log TEXT              waits for a line of its log that holds the text
//	signal NAME           sends it HUP or TERM
//	served                waits for its end, which must be a good one; stdout and stderr are its own
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:   "testdata/script",
		Setup: setup,
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"fails":   fails,
			"cmpcall": compareCalls,
			"serve":   onServer((*server).start),
			"place":   onServer((*server).place),
			"get":     onServer((*server).get),
			"log":     onServer((*server).await),
			"signal":  onServer((*server).signal),
			"served":  onServer((*server).wait),
		},
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
	})
}

func fails(ts *testscript.TestScript, neg bool, args []string) {
	path, err := lookPath(ts, "callisto")
	ts.Check(err)
	cmd := exec.Command(path, args[1:]...)
	cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	if err := cmd.Run(); cmd.ProcessState == nil {
		ts.Fatalf("%v", err)
	}
	if code := strconv.Itoa(cmd.ProcessState.ExitCode()); code != args[0] {
		ts.Fatalf("it exits with %s, not %s", code, args[0])
	}
}

func compareCalls(ts *testscript.TestScript, neg bool, args []string) {
	got, want := timeless(ts.ReadFile(args[0])), timeless(ts.ReadFile(args[1]))
	if diff := cmp.Diff(want, got); diff != "" {
		ts.Fatalf("%s and %s differ (-want +got):\n%s", args[1], args[0], diff)
	}
}

var times = regexp.MustCompile(`\d+\.\d\ds`)

// timeless is what dial printed, without the times.
func timeless(text string) string { return times.ReplaceAllString(text, "#.##s") }

func setup(env *testscript.Env) error {
	env.Values[serverKey{}] = &server{}
	env.Setenv("GORACE", "atexit_sleep_ms=0") // else each program sleeps for a second at its end
	return nil
}

type serverKey struct{}

// A server is a callisto serve that a script started.
type server struct {
	cmd    *exec.Cmd
	addr   string
	admin  string // http://host:port
	stdout strings.Builder
	stderr strings.Builder
	lines  chan string // of its log, closed when it has ended
}

func onServer(do func(*server, *testscript.TestScript, []string)) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if neg {
			ts.Fatalf("unsupported: !")
		}
		do(ts.Value(serverKey{}).(*server), ts, args)
	}
}

func (s *server) start(ts *testscript.TestScript, args []string) {
	path, err := lookPath(ts, "callisto")
	ts.Check(err)
	s.cmd = exec.Command(path, append([]string{"serve"}, args...)...)
	s.cmd.Dir = ts.MkAbs(".")
	s.cmd.Env = append(environ(ts), "CALLISTO_SERVER_LISTEN=127.0.0.1:0", "CALLISTO_ADMIN_LISTEN=127.0.0.1:0")
	out, err := s.cmd.StdoutPipe()
	ts.Check(err)
	errs, err := s.cmd.StderrPipe()
	ts.Check(err)
	ts.Check(s.cmd.Start())
	ts.Defer(func() { s.cmd.Process.Kill() })
	s.lines = make(chan string, 10000)
	go func() {
		defer close(s.lines)
		for lines := bufio.NewScanner(errs); lines.Scan(); {
			s.lines <- lines.Text()
		}
	}()
	first := bufio.NewReader(out)
	line, err := first.ReadString('\n')
	if err != nil {
		s.drain()
		ts.Fatalf("serve did not start: %s", s.stderr.String())
	}
	s.stdout.WriteString(line)
	if _, err := fmt.Sscanf(line, "Callisto takes calls on %s and", &s.addr); err != nil {
		ts.Fatalf("serve begins with %q", line)
	}
	for s.admin == "" { // which it says last
		line, err := first.ReadString('\n')
		ts.Check(err)
		s.stdout.WriteString(line)
		if _, url, ok := strings.Cut(line, "Health, metrics and counts: "); ok {
			s.admin = strings.TrimSuffix(url, "/\n")
		}
	}
	go io.Copy(io.Discard, first)
	ts.Setenv("ADDR", s.addr)
	ts.Setenv("ADMIN", strings.TrimPrefix(s.admin, "http://"))
}

func (s *server) get(ts *testscript.TestScript, args []string) {
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: time.Minute}
	r, err := client.Get(s.admin + args[0])
	ts.Check(err)
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	ts.Check(err)
	fmt.Fprintf(ts.Stdout(), "%s\n%s", r.Status, body)
}

func (s *server) place(ts *testscript.TestScript, args []string) {
	sw := &simulator.Switch{Sounds: func(string) (time.Duration, bool) { return time.Millisecond, true }}
	defer sw.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	call, err := sw.Call(ctx, simulator.Invite{Socket: s.addr + "/" + args[0] + " async full " + strings.Join(args[1:], " ")})
	ts.Check(err)
	outcome, err := call.Wait(ctx)
	ts.Check(err)
	for _, o := range call.Log() {
		fmt.Fprintln(ts.Stdout(), o)
	}
	fmt.Fprintln(ts.Stdout(), outcome)
}

func (s *server) await(ts *testscript.TestScript, args []string) {
	late := time.After(time.Minute)
	for {
		select {
		case line, ok := <-s.lines:
			s.stderr.WriteString(line + "\n")
			if !ok {
				ts.Fatalf("serve has ended without saying %q:\n%s", args[0], s.stderr.String())
			}
			if strings.Contains(line, args[0]) {
				return
			}
		case <-late:
			ts.Fatalf("serve does not say %q:\n%s", args[0], s.stderr.String())
		}
	}
}

func (s *server) signal(ts *testscript.TestScript, args []string) {
	ts.Check(s.cmd.Process.Signal(map[string]syscall.Signal{"HUP": syscall.SIGHUP, "TERM": syscall.SIGTERM}[args[0]]))
}

func (s *server) wait(ts *testscript.TestScript, args []string) {
	s.drain()
	err := s.cmd.Wait()
	io.WriteString(ts.Stdout(), s.stdout.String())
	io.WriteString(ts.Stderr(), s.stderr.String())
	if err != nil {
		ts.Fatalf("serve: %v\n%s", err, s.stderr.String())
	}
}

func (s *server) drain() {
	for line := range s.lines {
		s.stderr.WriteString(line + "\n")
	}
}

// lookPath finds a program as the script would.
func lookPath(ts *testscript.TestScript, name string) (string, error) {
	for dir := range strings.SplitSeq(ts.Getenv("PATH"), ":") {
		if path, err := exec.LookPath(dir + "/" + name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("no %s in $PATH", name)
}

func environ(ts *testscript.TestScript) []string {
	var env []string
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "GORACE", "GOCOVERDIR", "CALLISTO_SERVER_LISTEN", "CALLISTO_SERVER_LISTN", "CALLISTO_ADMIN_LISTEN", "CALLISTO_SCRIPTS_DEFAULT"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
