package services

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if part := os.Getenv("CALLISTO_TEST_PART"); part != "" {
		parts[part]() // of a test that needs a second process
		return
	}
	goleak.VerifyTestMain(withServers{m})
}

// withServers stops the servers that tests share after the tests, and before it is looked what they have left.
type withServers struct{ *testing.M }

func (m withServers) Run() int {
	defer func() {
		for _, stop := range stopServers {
			stop()
		}
	}()
	return m.M.Run()
}

var stopServers []func()

// parts are what this program does as the second process of a test, by CALLISTO_TEST_PART.
var parts = map[string]func(){}

// need finds the program of a server, or skips the test; with CALLISTO_NEED_SERVERS=1, as CI has it, the test fails
// instead.
func need(t *testing.T, programs ...string) string {
	t.Helper()
	for _, p := range programs {
		if path, err := exec.LookPath(p); err == nil {
			return path
		}
	}
	if os.Getenv("CALLISTO_NEED_SERVERS") != "" {
		t.Fatalf("there is no %s here, and CALLISTO_NEED_SERVERS is set", programs[0])
	}
	t.Skipf("there is no %s here", programs[0])
	return ""
}

// freePort is a port of the loopback that nobody listens on at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

// start runs a server until the test ends, and returns when a line of its output holds ready.
func start(t *testing.T, cmd *exec.Cmd, ready string) {
	t.Helper()
	r, w := io.Pipe()
	cmd.Stdout, cmd.Stderr = w, w
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		cmd.Wait()
		w.Close()
	}()
	var text strings.Builder
	up := make(chan bool)
	read := make(chan struct{})
	go func() {
		defer close(read)
		told := false
		for lines := bufio.NewScanner(r); lines.Scan(); {
			if !told {
				fmt.Fprintln(&text, lines.Text())
			}
			if !told && strings.Contains(lines.Text(), ready) {
				told = true
				up <- true
			}
		}
		io.Copy(io.Discard, r) // a line that is too long
		close(up)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		<-ended
		<-read
	})
	if !<-up {
		t.Fatalf("%s does not start:\n%s", cmd.Path, text.String())
	}
}

// startRedis runs a Redis of the test's own, and returns its URL.
func startRedis(t *testing.T) string {
	t.Helper()
	program := need(t, "redis-server")
	port := freePort(t)
	start(t, exec.Command(program, "--bind", "127.0.0.1", "--port", port, "--save", "", "--appendonly", "no", "--dir", t.TempDir()), "Ready to accept connections")
	return "redis://127.0.0.1:" + port + "/0"
}
