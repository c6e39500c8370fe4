package simulator

import (
	"bufio"
	"errors"
	"net"
)

// ServeInbound accepts inbound event socket connections on ln, as FreeSWITCH
// does on port 8021, until ln is closed, and returns why. With a closed
// listener that is an error wrapping [net.ErrClosed].
func (s *Switch) ServeInbound(ln net.Listener) error {
	for {
		conn, err := ln.Accept()
		if err != nil {
			return err
		}
		if err := s.ServeConn(conn); err != nil {
			return err
		}
	}
}

// ServeConn serves one inbound connection, such as an end of a [Pipe]. It
// returns at once; the connection is the switch's to close.
func (s *Switch) ServeConn(conn net.Conn) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return errors.Join(err, conn.Close())
	}
	l := s.newListener(conn, nil)
	if reject := s.Reject; reject != nil {
		var no bool
		s.unlocked(func() { no = reject(conn.RemoteAddr()) })
		if no {
			// Recorded nowhere; mod_event_socket.c, listener_run.
			l.stop()
			l.out = append(l.out, "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n"...)
			l.goodbye()
			return nil
		}
	}
	l.out = append(l.out, "Content-Type: auth/request\n\n"...)
	l.flush()
	l.expire(connectTimeout, func() bool { return !l.authed })
	s.spawn(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		l.serve(bufio.NewReaderSize(conn, 4096))
	})
	return nil
}
