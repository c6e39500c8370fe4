package simulator

import (
	"io"
	"net"
	"os"
	"sync"
	"time"

	"callisto/esl"
)

// Pipe returns the two ends of a connection in memory. Unlike those of
// [net.Pipe] they buffer without limit, so that writing never blocks, and
// closing an end lets the other read what was written before. Given to
// [Invite].Conn, one end also lets a [VirtualClock] know of bytes on their way.
func Pipe() (net.Conn, net.Conn) {
	a, b := newPipeBuffer(), newPipeBuffer()
	return &pipeEnd{in: a, out: b}, &pipeEnd{in: b, out: a}
}

type pipeEnd struct{ in, out *pipeBuffer }

func (p *pipeEnd) Read(b []byte) (int, error)  { return p.in.read(b) }
func (p *pipeEnd) Write(b []byte) (int, error) { return p.out.write(b) }

func (p *pipeEnd) Close() error {
	p.in.close(true)
	p.out.close(false)
	return nil
}

func (p *pipeEnd) LocalAddr() net.Addr                { return pipeAddr{} }
func (p *pipeEnd) RemoteAddr() net.Addr               { return pipeAddr{} }
func (p *pipeEnd) SetDeadline(t time.Time) error      { return p.SetReadDeadline(t) }
func (p *pipeEnd) SetWriteDeadline(t time.Time) error { return nil } // writing never waits

func (p *pipeEnd) SetReadDeadline(t time.Time) error {
	p.in.setDeadline(t)
	return nil
}

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }

// A pipeBuffer is one direction of a pipe.
type pipeBuffer struct {
	mu       sync.Mutex
	cond     sync.Cond
	data     []byte
	start    int
	closed   bool // nothing more will be written
	dead     bool // nobody reads any more
	deadline time.Time
	timer    *time.Timer

	// clock is held by the reader, except while it waits here: whoever wakes
	// it takes hold of the clock in its name.
	clock   *VirtualClock
	waiting bool
}

// LetGo makes Read let go of the clock that its reader holds, while it waits. Clocks other than a
// [VirtualClock] do not know who works.
func (p *pipeEnd) LetGo(clock esl.Holder) {
	if v, ok := clock.(*VirtualClock); ok {
		p.in.watch(v)
	}
}

func newPipeBuffer() *pipeBuffer {
	b := new(pipeBuffer)
	b.cond.L = &b.mu
	return b
}

// watch tells the buffer that its reader holds clock while it is at work.
func (b *pipeBuffer) watch(clock *VirtualClock) {
	b.mu.Lock()
	b.clock = clock
	b.mu.Unlock()
}

// wait lets the reader wait for wake.
func (b *pipeBuffer) wait() {
	if b.clock != nil {
		b.clock.release()
	}
	for b.waiting = true; b.waiting; {
		b.cond.Wait()
	}
}

func (b *pipeBuffer) wake() {
	if b.waiting {
		b.waiting = false
		if b.clock != nil {
			b.clock.hold()
		}
		b.cond.Signal()
	}
}

func (b *pipeBuffer) read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for {
		switch {
		case b.dead:
			return 0, net.ErrClosed
		case !b.deadline.IsZero() && !time.Now().Before(b.deadline):
			return 0, os.ErrDeadlineExceeded
		case b.start < len(b.data):
			n := copy(p, b.data[b.start:])
			b.start += n
			if b.start == len(b.data) {
				b.data, b.start = b.data[:0], 0
			}
			return n, nil
		case b.closed:
			return 0, io.EOF
		}
		b.wait()
	}
}

func (b *pipeBuffer) write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return 0, net.ErrClosed
	}
	if b.dead {
		return 0, io.ErrClosedPipe
	}
	if b.start > 0 && len(b.data)+len(p) > cap(b.data) {
		b.data = b.data[:copy(b.data, b.data[b.start:])]
		b.start = 0
	}
	b.data = append(b.data, p...)
	b.wake()
	return len(p), nil
}

// close ends the direction: by its reader, who wants no more, or by its writer.
func (b *pipeBuffer) close(byReader bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if byReader {
		b.dead = true
		b.data, b.start = nil, 0
		if b.timer != nil {
			b.timer.Stop()
		}
	} else {
		b.closed = true
	}
	b.wake()
}

func (b *pipeBuffer) setDeadline(t time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.timer != nil {
		b.timer.Stop()
		b.timer = nil
	}
	b.deadline = t
	if !t.IsZero() {
		b.timer = time.AfterFunc(time.Until(t), func() {
			b.mu.Lock()
			b.wake()
			b.mu.Unlock()
		})
	}
	b.wake()
}
