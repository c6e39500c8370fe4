package esl

import (
	"io"
	"sync"
)

// A call spends most of its time waiting. A connection that waits between messages holds no
// buffer: it takes one when there is something to read, or to write.

var buffers = sync.Pool{New: func() any { return new([readBuffer]byte) }}

// An idleReader reads into a buffer that it takes when there is something to read. The Reader
// gives it back to buffers.
type idleReader interface {
	readIdle() (buf *[readBuffer]byte, n int, err error)
}

// readIdle is an idleReader for any source, which holds the buffer while it waits.
func readIdle(src io.Reader) (*[readBuffer]byte, int, error) {
	buf := buffers.Get().(*[readBuffer]byte)
	n, err := src.Read(buf[:])
	return buf, n, err
}
