package esl

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime/debug"
	"sync"
	"time"
)

// ErrServerClosed is returned by Serve after Shutdown or Close.
var ErrServerClosed = errors.New("esl: the server is closed")

// A Server accepts what the switch's socket application connects, and runs
// Handler for each connection on a goroutine of its own. When Handler returns the connection
// is closed; a panic in it ends that connection only.
type Server struct {
	// Handler serves one connection. Its context ends when Close is called.
	Handler func(context.Context, *Conn)

	// Admit, where set, decides on a connection before anything is read of it; one it
	// refuses is closed at once. It is called on the accepting goroutine.
	Admit func(net.Conn) error

	// MaxQueue bounds the events that wait to be handled; 0: DefaultMaxQueue.
	MaxQueue int

	// Clock is the time of the connections' own waits; nil: the system's. One that is a
	// [Holder] is held while a connection of ServeConn is at work.
	Clock Clock

	// Logger is told of panics, refused connections and trouble in accepting; nil:
	// slog.Default.
	Logger *slog.Logger

	mu        sync.Mutex
	listeners map[net.Listener]bool
	conns     map[*Conn]bool
	closed    bool
	running   sync.WaitGroup
	ctx       context.Context
	cancel    context.CancelFunc
}

// ListenAndServe listens on a TCP address and serves it.
func (s *Server) ListenAndServe(addr string) error {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	return s.Serve(l)
}

// Serve accepts connections until the listener fails for good, or Shutdown or Close is
// called: then it returns ErrServerClosed. It closes l.
func (s *Server) Serve(l net.Listener) error {
	if !s.addListener(l) {
		l.Close()
		return ErrServerClosed
	}
	defer func() {
		l.Close()
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	var pause time.Duration
	for {
		nc, err := l.Accept()
		if err != nil {
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return ErrServerClosed
			}
			var ne net.Error
			if !errors.As(err, &ne) || !isTemporary(err) {
				return err
			}
			// Out of descriptors or the like: calls that end will free some.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.logger().Error("cannot accept a connection, trying again", "error", err, "in", pause)
			select {
			case <-time.After(pause):
			case <-s.ctx.Done():
			}
			continue
		}
		pause = 0
		if s.Admit != nil {
			if err := s.Admit(nc); err != nil {
				s.logger().Warn("connection refused", "remote", nc.RemoteAddr().String(), "reason", err.Error())
				nc.Close()
				continue
			}
		}
		s.start(nc)
	}
}

func isTemporary(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

func (s *Server) addListener(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.init()
	s.listeners[l] = true
	return true
}

func (s *Server) init() {
	if s.ctx == nil {
		s.ctx, s.cancel = context.WithCancel(context.Background())
		s.listeners = make(map[net.Listener]bool)
		s.conns = make(map[*Conn]bool)
	}
}

// ServeConn takes over a connection that was accepted elsewhere, and returns at once.
func (s *Server) ServeConn(nc net.Conn) error {
	if !s.start(nc) {
		return ErrServerClosed
	}
	return nil
}

func (s *Server) start(nc net.Conn) bool {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		nc.Close()
		return false
	}
	s.init()
	limit := s.MaxQueue
	if limit <= 0 {
		limit = DefaultMaxQueue
	}
	c := newConn(nc, limit, s.Clock)
	s.conns[c] = true
	s.running.Add(1)
	s.mu.Unlock()
	go s.serve(c)
	return true
}

func (s *Server) serve(c *Conn) {
	defer s.running.Done()
	defer c.turn.end()
	defer func() {
		s.mu.Lock()
		delete(s.conns, c)
		s.mu.Unlock()
	}()
	defer c.Close()
	defer func() {
		if v := recover(); v != nil {
			s.logger().Error("panic in a call", "uuid", c.UUID(), "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
		}
	}()
	ctx := s.ctx
	if c.turn != nil {
		ours := c.newContext(ctx, c.turn)
		defer ours.cancel(context.Canceled)
		ctx = ours
	}
	s.Handler(ctx, c)
}

// Open is how many connections are open; one that Admit decides on is not yet among them.
func (s *Server) Open() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Shutdown stops accepting and waits for the connections that are open to end. When ctx
// ends first it returns its error, and they stay open.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopAccepting()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// lastWords is how long all peers together may take to read what was posted to them before Close.
const lastWords = time.Second

// Close stops accepting, ends the handlers' context, sends what was posted, closes every connection, and waits
// for the handlers; so a handler must not call it.
func (s *Server) Close() error {
	s.stopAccepting()
	s.mu.Lock()
	s.init()
	s.cancel()
	deadline := time.Now().Add(lastWords)
	for c := range s.conns {
		c.flushBy(deadline)
		c.nc.Close()
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}

func (s *Server) stopAccepting() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for l := range s.listeners {
		l.Close()
	}
}

func (s *Server) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}
