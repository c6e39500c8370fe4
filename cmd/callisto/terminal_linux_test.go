package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
	"unsafe"
)

// A terminal is a pseudoterminal in which a program runs.
type terminal struct {
	t      *testing.T
	master *os.File
	cmd    *exec.Cmd
	exited chan error

	mu    sync.Mutex
	news  sync.Cond
	text  string
	ended bool // nothing more will be written
}

func ioctl(t *testing.T, f *os.File, request uintptr, arg unsafe.Pointer) {
	t.Helper()
	// SyscallConn, and not Fd, which would make reads block beyond Close.
	conn, err := f.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Control(func(fd uintptr) {
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg)); errno != 0 {
			t.Errorf("ioctl %#x: %v", request, errno)
		}
	}); err != nil {
		t.Fatal(err)
	}
}

// inTerminal runs callisto in a terminal of a size.
func inTerminal(t *testing.T, width, height int, env []string, args ...string) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("there are no pseudoterminals here: %v", err)
	}
	term := &terminal{t: t, master: master, exited: make(chan error, 1)}
	term.news.L = &term.mu
	var locked, number int32
	ioctl(t, master, syscall.TIOCSPTLCK, unsafe.Pointer(&locked))
	ioctl(t, master, syscall.TIOCGPTN, unsafe.Pointer(&number))
	term.resize(width, height)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	path, err := exec.LookPath("callisto")
	if err != nil {
		t.Fatal(err)
	}
	term.cmd = exec.Command(path, args...)
	term.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "TERM=xterm-256color", "GORACE=atexit_sleep_ms=0"}, env...)
	term.cmd.Stdin, term.cmd.Stdout, term.cmd.Stderr = slave, slave, slave
	term.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := term.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		buf := make([]byte, 4096)
		for {
			n, err := master.Read(buf)
			term.mu.Lock()
			term.text += string(buf[:n])
			term.ended = err != nil
			term.news.Broadcast()
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() { term.exited <- term.cmd.Wait() }()
	t.Cleanup(func() {
		term.cmd.Process.Kill()
		master.Close()
		<-read
	})
	return term
}

func (term *terminal) resize(width, height int) {
	size := [4]uint16{uint16(height), uint16(width)}
	ioctl(term.t, term.master, syscall.TIOCSWINSZ, unsafe.Pointer(&size))
}

func (term *terminal) press(keys string) {
	term.t.Helper()
	if _, err := term.master.WriteString(keys); err != nil {
		term.t.Error(err)
	}
}

// await waits until something is written that was not written before the last await.
func (term *terminal) await(want string) (before string) {
	term.t.Helper()
	term.mu.Lock()
	defer term.mu.Unlock()
	for {
		if before, after, ok := strings.Cut(term.text, want); ok {
			term.text = after
			return before
		}
		if term.ended {
			term.t.Fatalf("%q is not written, but %q", want, term.text)
		}
		term.news.Wait()
	}
}

// wait waits for the program's end.
func (term *terminal) wait() {
	term.t.Helper()
	select {
	case err := <-term.exited:
		if err != nil {
			term.mu.Lock()
			defer term.mu.Unlock()
			term.t.Errorf("%v: %s", err, term.text)
		}
	case <-time.After(time.Minute):
		term.t.Fatal("it does not end")
	}
}

const phoneScript = `call:on("hangup", function(cause) log.info("bye") end)
call:answer()
local _, _, key = call:playback("silence_stream://600000", { terminators = "any" })
log.info("key " .. key)
call:playback("silence_stream://600000")
`

func TestPhoneInTerminal(t *testing.T) {
	root := t.TempDir()
	write(t, root+"/main.lua", phoneScript)
	colour := regexp.MustCompile(`\x1b\[[0-9;]*3[0-9][0-9;]*m`)

	t.Run("a call", func(t *testing.T) {
		term := inTerminal(t, 100, 30, nil, "dial", "main", "--root", root)
		term.await("\x1b[?1049h") // the screen of its own
		if before := term.await("silence_stream"); !colour.MatchString(before) {
			t.Error("there are no colours")
		}
		term.press("7")
		term.await("key 7")
		term.resize(60, 16)
		term.await("generation 1")
		write(t, root+"/main.lua", phoneScript+"-- changed\n")
		term.await("generation 2")
		term.press("q")
		term.await("\x1b[?1049l")
		term.wait()
	})
	t.Run("Ctrl-C", func(t *testing.T) {
		term := inTerminal(t, 80, 24, []string{"NO_COLOR=1"}, "dial", "main", "--root", root)
		term.await("\x1b[?1049h")
		if before := term.await("silence_stream"); colour.MatchString(before) {
			t.Errorf("there are colours: %q", before)
		}
		term.press("\x03")
		term.await("\x1b[?1049l")
		term.wait()
	})
	t.Run("SIGTERM", func(t *testing.T) {
		term := inTerminal(t, 80, 24, nil, "dial", "main", "--root", root)
		term.await("silence_stream")
		term.cmd.Process.Signal(syscall.SIGTERM)
		term.await("\x1b[?1049l")
		term.wait()
	})
	t.Run("the terminal goes away", func(t *testing.T) {
		record := t.TempDir() + "/gone_test.lua"
		term := inTerminal(t, 80, 24, nil, "dial", "main", "--root", root, "--record", record)
		term.await("silence_stream")
		term.master.Close()
		select {
		case <-term.exited: // with whatever code: it could not restore the terminal
		case <-time.After(time.Minute):
			t.Fatal("it goes on without a terminal")
		}
		text, err := os.ReadFile(record)
		if err != nil || !strings.Contains(string(text), `caller:hangs_up("ORIGINATOR_CANCEL")`) {
			t.Errorf("the caller has not hung up: %v\n%s", err, text)
		}
	})
	t.Run("no cursor to move", func(t *testing.T) {
		term := inTerminal(t, 80, 24, []string{"TERM=dumb"}, "dial", "main", "--root", root, "--press", "5@100ms")
		if before := term.await("key 5"); strings.Contains(before, "\x1b") {
			t.Errorf("it moves the cursor: %q", before)
		}
		term.press("\x03") // which the terminal makes a signal
		term.await("The call is over")
		term.wait()
	})
	t.Run("no such script", func(t *testing.T) {
		term := inTerminal(t, 80, 24, nil, "dial", "mian", "--root", root)
		if before := term.await("did you mean main?"); strings.Contains(before, "\x1b") {
			t.Errorf("it moves the cursor: %q", before)
		}
		if err := <-term.exited; err == nil {
			t.Error("it exits with 0")
		}
	})
	if left, _ := filepath.Glob(root + "/.*"); len(left) > 0 {
		t.Error("left behind:", left)
	}
}
