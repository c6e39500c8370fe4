//go:build unix

package esl

import (
	"io"
	"net"
	"syscall"
)

// socket reads a network connection without holding a buffer while it waits.
type socket struct {
	raw syscall.RawConn
	buf *[readBuffer]byte
	n   int
	err error
	try func(fd uintptr) bool // made once: a closure for each read would be garbage
}

// newSocket returns nil where the connection is none of the system's.
func newSocket(nc net.Conn) *socket {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	s := &socket{raw: raw}
	s.try = func(fd uintptr) bool {
		buf := buffers.Get().(*[readBuffer]byte)
		for {
			n, err := syscall.Read(int(fd), buf[:])
			switch err {
			case nil:
				s.buf, s.n, s.err = buf, n, nil
				if n == 0 {
					s.err = io.EOF
				}
				return true
			case syscall.EINTR:
				continue
			case syscall.EAGAIN:
				buffers.Put(buf)
				return false // and be called again when there is something to read
			}
			s.buf, s.n, s.err = buf, 0, err
			return true
		}
	}
	return s
}

func (s *socket) read() (*[readBuffer]byte, int, error) {
	s.buf, s.n, s.err = nil, 0, nil
	if err := s.raw.Read(s.try); err != nil {
		if s.buf != nil {
			buffers.Put(s.buf)
		}
		return nil, 0, err
	}
	return s.buf, s.n, s.err
}
