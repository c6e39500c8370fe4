package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"callisto/esl"
	"callisto/luabind"
)

// ErrFull is why a call is refused when server.max_calls are running.
var ErrFull = errors.New("server.max_calls calls are running")

// ErrNotAllowed is why a connection is refused that comes from outside server.allow.
var ErrNotAllowed = errors.New("the address is not in server.allow")

// A Server runs calls: each connection of the switch's socket application runs one script of
// the library's current snapshot.
type Server struct {
	// Library holds the scripts and the configuration.
	Library *Library

	// Logger gets a line at the start and the end of every call, and the scripts' own lines; nil:
	// slog.Default.
	Logger *slog.Logger

	// Services are what the scripts' modules reach outside their calls; nil: nothing. They outlive the server.
	Services *luabind.Services

	// Tap, if set, is told of every verb of every call, by the channel's UUID, before it runs. It is
	// called on the call's own goroutine, which waits for it.
	Tap func(uuid string, step luabind.Step)
	// Flow, if set, is told in the same way of every step of a flow that a call enters or leaves.
	Flow func(uuid string, mark luabind.Mark)

	// Force, if set, chooses the outcomes of flows' steps, as luabind.Env's does. It is for tests.
	Force func(uuid, flow, step string, outcomes []string) (outcome string, ok bool)

	// Excerpt, if set, may have a call run an excerpt of its script (luabind.Excerpts) instead of the whole. It is for tests.
	Excerpt func(*luabind.Program) *luabind.Program

	// Clock is the time of calls: of every wait, limit and duration in a call's life, and what scripts
	// are told of the time; only limits.cpu is by the system's clock. Nil: the system's. It is for calls
	// of a simulated switch that has the same.
	Clock esl.Clock

	// Cover, if set, is told of every line of a script that runs, again and again. It makes scripts
	// several times slower, and must not block.
	Cover func(file string, line int)

	connectTimeout time.Duration // for tests; 0: the constant of that name

	once       sync.Once
	esl        esl.Server
	admin      http.Server
	adminConns sync.WaitGroup
	running    atomic.Int64
	serving    atomic.Int64 // listeners
	closed     sync.Once
	stopping   atomic.Bool
	record     record
}

// Calls is how many calls are running.
func (s *Server) Calls() int { return int(s.running.Load()) }

// Refused is how many connections were refused since the start: from outside server.allow, or
// above server.max_calls.
func (s *Server) Refused() uint64 { return s.record.full.Load() + s.record.notAllowed.Load() }

// Counts is how often the steps of flows were entered and left since the start.
func (s *Server) Counts() *Counts { return s.record.flows.Counts() }

// NotReady is why new calls are not taken; nothing while they are.
func (s *Server) NotReady() (reasons []string) {
	switch {
	case s.stopping.Load():
		reasons = append(reasons, "stopping: running calls may finish, new ones are not taken")
	case s.serving.Load() == 0:
		reasons = append(reasons, "nothing listens for calls yet")
	}
	snapshot := s.Library.Snapshot()
	if len(snapshot.Programs)+len(snapshot.kept) == 0 {
		reasons = append(reasons, "no script can be served: callisto check says why")
	}
	if limit := snapshot.Config.Server.MaxCalls; s.Calls() >= limit {
		reasons = append(reasons, fmt.Sprintf("%v (%d)", ErrFull, limit))
	}
	return reasons
}

// Serve takes calls from l until Shutdown or Close is called, and then returns
// esl.ErrServerClosed; or until l fails.
func (s *Server) Serve(l net.Listener) error {
	s.init()
	s.serving.Add(1)
	defer s.serving.Add(-1)
	return s.esl.Serve(l)
}

// ServeConn runs the call of one connection that was accepted elsewhere, in memory for one. It
// returns at once.
func (s *Server) ServeConn(nc net.Conn) error {
	s.init()
	return s.esl.ServeConn(nc)
}

func (s *Server) init() {
	s.once.Do(func() {
		s.esl.Handler = s.call
		s.esl.Admit = s.admit
		s.esl.Clock = s.Clock
		s.esl.MaxQueue = s.Library.Snapshot().Config.Limits.Queue
		s.esl.Logger = s.logger()
		s.record.init(func(what string, limit int) {
			s.logger().Warn("more names than are counted apart: the others count as "+otherName, "of", what, "limit", limit)
		})
		s.initAdmin()
	})
}

// Shutdown takes no new calls, and waits for those that run. When ctx ends first it returns
// its error, and they go on.
func (s *Server) Shutdown(ctx context.Context) error {
	s.stopping.Store(true)
	return s.esl.Shutdown(ctx)
}

// Close takes no new calls and lets go of those that run: their scripts are stopped, and the
// switch goes on with them as the dialplan says. ServeAdmin ends after them.
func (s *Server) Close() error {
	s.stopping.Store(true)
	s.esl.Close()
	s.closed.Do(func() { s.Counts().log(s.logger()) })
	return s.admin.Close()
}

func (s *Server) logger() *slog.Logger {
	if s.Logger != nil {
		return s.Logger
	}
	return slog.Default()
}

// refusing is how many connections above server.max_calls may be open while their calls are given
// back to the dialplan.
const refusing = 1000

// admit decides on a connection before a byte of it is read. One call too many is let in so far:
// in async mode the switch would park for ever a call whose connection is just closed.
func (s *Server) admit(nc net.Conn) error {
	config := s.Library.Snapshot().Config.Server
	err := allowed(nc.RemoteAddr(), config.Allow)
	if err == nil && s.esl.Open() >= config.MaxCalls+refusing {
		err = fmt.Errorf("%w (%d)", ErrFull, config.MaxCalls)
	}
	switch {
	case errors.Is(err, ErrFull):
		s.record.full.Add(1)
	case err != nil:
		s.record.notAllowed.Add(1)
	}
	return err
}

// begin counts a call that has come, until the function it returns is called; nil where it is one too
// many.
func (s *Server) begin(limit int) (end func()) {
	if s.running.Add(1) > int64(limit) {
		s.running.Add(-1)
		s.record.full.Add(1)
		return nil
	}
	return func() { s.running.Add(-1) }
}

func allowed(addr net.Addr, networks []netip.Prefix) error {
	ap, err := netip.ParseAddrPort(addr.String())
	if err != nil {
		return fmt.Errorf("%w: %s", ErrNotAllowed, addr)
	}
	ip := ap.Addr().Unmap().WithZone("")
	for _, n := range networks {
		if n.Contains(ip) {
			return nil
		}
	}
	return ErrNotAllowed
}
