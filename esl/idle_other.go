//go:build !unix

package esl

import "net"

type socket struct{}

func newSocket(net.Conn) *socket { return nil }

func (s *socket) read() (*[readBuffer]byte, int, error) { panic("never made") }
