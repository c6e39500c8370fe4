package esl

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A logBuffer is a log that several goroutines write.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) logger() *slog.Logger { return slog.New(slog.NewTextHandler(b, nil)) }

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs s on a listener of its own until the test ends, and returns its address.
func serve(t *testing.T, s *Server) string {
	t.Helper()
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() {
		s.Close()
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve: %v, want ErrServerClosed", err)
		}
	})
	return l.Addr().String()
}

// call is a switch that connects.
func call(t *testing.T, addr string) *peer {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &peer{t: t, nc: nc}
}

// closed waits for the server to close the connection.
func (p *peer) closed() {
	p.t.Helper()
	if rest, err := io.ReadAll(p.nc); len(rest) > 0 {
		p.t.Errorf("%q before the end, %v", rest, err)
	}
}

func TestServerServesACall(t *testing.T) {
	addr := serve(t, &Server{Handler: func(ctx context.Context, c *Conn) {
		if _, err := c.Connect(ctx); err != nil {
			t.Error(err)
			return
		}
		c.Post(Execute{App: "answer"})
		if e, err := c.Execute(ctx, Execute{App: "playback", Arg: "a.wav"}); err != nil || e.Get("Application-Response") != "FILE PLAYED" {
			t.Errorf("%v, %v", e, err)
		}
	}})
	p := call(t, addr)
	p.expect("connect\n\n")
	p.send(channelData)
	p.executed("answer")
	p.send(accepted, completion(p.executed("playback"), "Application-Response: FILE PLAYED"), accepted)
	p.closed()
}

func TestAdmitRefusesBeforeAnythingIsRead(t *testing.T) {
	var log logBuffer
	handled := make(chan bool, 10)
	refuse := true
	addr := serve(t, &Server{
		Logger:  log.logger(),
		Handler: func(context.Context, *Conn) { handled <- true },
		Admit: func(net.Conn) error {
			if refuse {
				refuse = false
				return errors.New("not from there")
			}
			return nil
		},
	})
	call(t, addr).closed()
	call(t, addr).closed()
	<-handled
	if len(handled) > 0 || !strings.Contains(log.String(), "not from there") {
		t.Errorf("handled; the log is %q", log.String())
	}
}

func TestAPanicEndsOneCallOnly(t *testing.T) {
	var log logBuffer
	addr := serve(t, &Server{Logger: log.logger(), Handler: func(ctx context.Context, c *Conn) {
		channel, err := c.Connect(ctx)
		if err != nil {
			t.Error(err)
		} else if v, _ := channel.Variable("a"); v == "1" {
			panic("a is 1")
		}
		c.Do(ctx, Resume{})
	}})
	other := call(t, addr)
	other.expect("connect\n\n")
	other.send(strings.Replace(channelData, "variable_a: 1", "variable_a: 2", 1))
	other.expect("resume\n\n")

	p := call(t, addr)
	p.expect("connect\n\n")
	p.send(channelData)
	p.closed()
	for _, want := range []string{"a is 1", callUUID, "server_test.go"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %q: %s", want, log.String())
		}
	}
	other.send(accepted)
	other.closed()
	third := call(t, addr)
	third.expect("connect\n\n")
	third.send(strings.Replace(channelData, "variable_a: 1", "variable_a: 3", 1))
	third.expect("resume\n\n")
	third.send(accepted)
	third.closed()
}

func TestShutdownWaitsForTheCalls(t *testing.T) {
	began, end := make(chan bool), make(chan bool)
	var ended atomic.Bool
	s := &Server{Handler: func(ctx context.Context, c *Conn) {
		began <- true
		<-end
		if ctx.Err() != nil {
			t.Error("Shutdown ends the handlers' context")
		}
		ended.Store(true)
	}}
	l := listen(t)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	p := call(t, l.Addr().String())
	<-began

	expired, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Shutdown(expired); err != context.Canceled {
		t.Errorf("Shutdown: %v, want context.Canceled", err)
	}
	if err := <-served; err != ErrServerClosed {
		t.Errorf("Serve: %v, want ErrServerClosed", err)
	}
	if nc, err := net.Dial("tcp", l.Addr().String()); err == nil {
		nc.Close()
		t.Error("it still listens")
	}
	done := aside(func() {
		if err := s.Shutdown(t.Context()); err != nil || !ended.Load() {
			t.Errorf("Shutdown: %v, the call has ended: %v", err, ended.Load())
		}
	})
	end <- true
	<-done
	p.closed()
	if err := s.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

func TestCloseEndsTheCalls(t *testing.T) {
	began := make(chan bool)
	var ended atomic.Int32
	s := &Server{Handler: func(ctx context.Context, c *Conn) {
		began <- true
		_, err := c.Connect(context.WithoutCancel(ctx))
		disconnected(t, err, "")
		<-ctx.Done()
		ended.Add(1)
	}}
	addr := serve(t, s)
	a, b := call(t, addr), call(t, addr)
	<-began
	<-began
	a.expect("connect\n\n")
	b.expect("connect\n\n")
	s.Close()
	if ended.Load() != 2 {
		t.Errorf("Close returned with %d of 2 handlers at their end", ended.Load())
	}
	a.closed()
	b.closed()
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// What was posted when the server is closed is sent, such as the word that has the call go on; a peer that does not
// read holds nobody up for long.
func TestCloseSendsWhatWasPosted(t *testing.T) {
	posted := make(chan bool)
	s := &Server{Handler: func(ctx context.Context, c *Conn) {
		c.Connect(ctx)
		c.Post(Resume{})
		posted <- true
		<-ctx.Done()
	}}
	addr := serve(t, s)
	p := call(t, addr)
	p.expect("connect\n\n")
	p.send(channelData)
	<-posted
	s.Close()
	p.expect("resume\n\n")
	p.closed()
}

func TestCloseWaitsForNoPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Server{Handler: func(ctx context.Context, c *Conn) {
			c.Post(Resume{})
			<-ctx.Done()
		}}
		for range 3 {
			near, far := net.Pipe() // whose other end never reads
			defer far.Close()
			if err := s.ServeConn(near); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		start := time.Now()
		s.Close()
		if took := time.Since(start); took > lastWords {
			t.Errorf("Close took %v", took)
		}
	})
}

func TestAClosedServerServesNothing(t *testing.T) {
	s := &Server{Handler: func(context.Context, *Conn) { t.Error("handled") }}
	s.Close()
	l := listen(t)
	if err := s.Serve(l); err != ErrServerClosed {
		t.Errorf("Serve: %v", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is open: %v", err)
	}
	if err := s.ListenAndServe("127.0.0.1:0"); err != ErrServerClosed {
		t.Errorf("ListenAndServe: %v", err)
	}
	near, far := net.Pipe()
	if err := s.ServeConn(near); err != ErrServerClosed {
		t.Errorf("ServeConn: %v", err)
	}
	if _, err := far.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the connection is open: %v", err)
	}
}

func TestListenAndServeSaysWhyItCannot(t *testing.T) {
	var oe *net.OpError
	if err := (&Server{}).ListenAndServe("127.0.0.1:99999"); !errors.As(err, &oe) {
		t.Errorf("%v", err)
	}
}

func TestTwoListenersAndAConnectionFromElsewhere(t *testing.T) {
	handled := make(chan bool, 3)
	s := &Server{Handler: func(context.Context, *Conn) { handled <- true }}
	first, second := serve(t, s), serve(t, s)
	call(t, first).closed()
	call(t, second).closed()
	near, far := net.Pipe()
	if err := s.ServeConn(near); err != nil {
		t.Error(err)
	}
	(&peer{t: t, nc: far}).closed()
	for range 3 {
		<-handled
	}
}

// A listener whose Accept does what it is told.
type scripted struct {
	net.Listener
	accept chan func() (net.Conn, error)
	closed chan struct{}
	once   sync.Once
}

func (l *scripted) Accept() (net.Conn, error) {
	select {
	case f := <-l.accept:
		return f()
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *scripted) Close() error { l.once.Do(func() { close(l.closed) }); return nil }

type outOfFiles struct{}

func (outOfFiles) Error() string   { return "too many open files" }
func (outOfFiles) Timeout() bool   { return false }
func (outOfFiles) Temporary() bool { return true }

func TestServeOutlivesTroubleInAccepting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		handled := 0
		s := &Server{Logger: log.logger(), Handler: func(context.Context, *Conn) { handled++ }}
		l := &scripted{accept: make(chan func() (net.Conn, error)), closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()

		start := time.Now()
		for range 10 {
			l.accept <- func() (net.Conn, error) { return nil, &net.OpError{Op: "accept", Err: outOfFiles{}} }
		}
		near, far := net.Pipe()
		l.accept <- func() (net.Conn, error) { return near, nil }
		(&peer{t: t, nc: far}).closed()
		// 5, 10, 20 … 640 ms, then twice a second.
		if took := time.Since(start); took != 1275*time.Millisecond+2*time.Second {
			t.Errorf("ten failures took %v", took)
		}
		if n := strings.Count(log.String(), "too many open files"); n != 10 {
			t.Errorf("%d of 10 were logged", n)
		}

		gone := errors.New("gone for good")
		l.accept <- func() (net.Conn, error) { return nil, gone }
		if err := <-served; err != gone {
			t.Errorf("Serve: %v, want %v", err, gone)
		}
		select {
		case <-l.closed:
		default:
			t.Error("the listener is open")
		}
		if len(s.listeners) > 0 {
			t.Error("the listener is still kept")
		}
		s.Close()
		if handled != 1 {
			t.Errorf("%d calls", handled)
		}
	})
}

func TestCloseEndsAPauseInAccepting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log logBuffer
		s := &Server{Logger: log.logger(), Handler: func(context.Context, *Conn) {}}
		l := &scripted{accept: make(chan func() (net.Conn, error)), closed: make(chan struct{})}
		served := make(chan error, 1)
		go func() { served <- s.Serve(l) }()
		for range 9 {
			l.accept <- func() (net.Conn, error) { return nil, &net.OpError{Op: "accept", Err: outOfFiles{}} }
		}
		start := time.Now()
		s.Close()
		if err := <-served; err != ErrServerClosed || time.Since(start) != 0 {
			t.Errorf("Serve: %v after %v", err, time.Since(start))
		}
	})
}

func TestMaxQueueBoundsEachCall(t *testing.T) {
	dropped := make(chan uint64)
	addr := serve(t, &Server{MaxQueue: 3, Handler: func(ctx context.Context, c *Conn) {
		c.Connect(ctx)
		<-c.Hungup()
		dropped <- c.Dropped()
	}})
	p := call(t, addr)
	p.expect("connect\n\n")
	p.send(channelData, strings.Repeat(eventFrame("DTMF"), 10), hangupFrame)
	if n := <-dropped; n != 7 {
		t.Errorf("%d of 10 were dropped, with room for 3", n)
	}
	p.closed()
}
