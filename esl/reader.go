package esl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Limits of a Reader that does not set its own. The switch's frames are 3 to
// 6 KB; an SDP or a long API answer makes them larger.
const (
	DefaultMaxHeader = 1 << 20
	DefaultMaxBody   = 16 << 20
)

// readBuffer is what a connection reads at once. A few frames with their events mostly
// fit; larger ones pass through it in pieces.
const readBuffer = 8 << 10

// A Kind tells what a Message is.
type Kind uint8

const (
	Unknown          Kind = iota // no Content-Type, or one this package does not know
	AuthRequest                  // auth/request: the switch asks an inbound client to authenticate
	CommandReply                 // command/reply
	APIResponse                  // api/response
	EventPlain                   // text/event-plain
	EventJSON                    // text/event-json
	EventXML                     // text/event-xml
	LogData                      // log/data
	DisconnectNotice             // text/disconnect-notice
	RudeRejection                // text/rude-rejection: the switch's access list refuses us
)

var kinds = map[string]Kind{
	"auth/request":           AuthRequest,
	"command/reply":          CommandReply,
	"api/response":           APIResponse,
	"text/event-plain":       EventPlain,
	"text/event-json":        EventJSON,
	"text/event-xml":         EventXML,
	"log/data":               LogData,
	"text/disconnect-notice": DisconnectNotice,
	"text/rude-rejection":    RudeRejection,
}

func (k Kind) String() string {
	for name, kind := range kinds {
		if kind == k {
			return name
		}
	}
	return "unknown"
}

// A Message is one frame: a header block, and the body its Content-Length
// promised.
type Message struct {
	Kind Kind
	Head []byte // the header lines, without the blank line; not to be changed, and valid until the next call of Next; nil for EventPlain
	Body string
}

// A ProtocolError says what in the stream cannot be the event socket's. The
// stream cannot be read any further.
type ProtocolError struct{ Reason string }

func (e *ProtocolError) Error() string { return "event socket: " + e.Reason }

func protocolError(format string, args ...any) error {
	return &ProtocolError{Reason: fmt.Sprintf(format, args...)}
}

// A Reader takes a byte stream apart into messages. It is not safe for
// concurrent use.
type Reader struct {
	MaxHeader int // bytes of one header block; 0: DefaultMaxHeader
	MaxBody   int // bytes of one body; 0: DefaultMaxBody

	src    io.Reader
	buf    []byte
	r, w   int                    // buf[r:w] is read and not yet used
	frames uint64                 // how many header blocks are whole
	skip   func(body []byte) bool // where set, an event for which it returns true is passed over
	inBody bool
}

// NewReader returns a Reader with the default limits.
func NewReader(src io.Reader) *Reader { return &Reader{src: src} }

// Buffered reports whether Next has bytes of a further message at hand.
func (r *Reader) Buffered() bool { return r.w > r.r }

// begun is the number, from 1, of the frame of which a part has been read, or 0
// between frames.
func (r *Reader) begun() uint64 {
	switch {
	case r.inBody:
		return r.frames
	case r.w > r.r:
		return r.frames + 1
	}
	return 0
}

// Next returns the next message. At the end of the stream it returns io.EOF
// between messages and io.ErrUnexpectedEOF inside one; a *ProtocolError where
// the stream cannot be the event socket's; else the source's error.
func (r *Reader) Next() (Message, error) {
	for {
		if r.r == r.w {
			if err := r.refill(); err != nil {
				return Message{}, err
			}
		}
		m, n, ok := r.common()
		if !ok {
			break
		}
		if r.skip != nil && m.Kind == EventPlain && n <= r.w-r.r && r.skip(r.buf[r.r:r.r+n]) {
			r.r += n
			continue
		}
		return r.withBody(m, n)
	}
	head, err := r.header()
	if err != nil {
		return Message{}, err
	}
	r.frames++
	m := Message{Head: head}
	if v, ok := find(head, "Content-Type"); ok {
		m.Kind = kinds[string(v)]
	}
	length, ok := find(head, "Content-Length")
	if !ok {
		switch m.Kind {
		case EventPlain, EventJSON, EventXML:
			return Message{}, protocolError("an event without Content-Length")
		}
		return m, nil
	}
	n, err := r.bodyLength(string(length))
	if err != nil {
		return Message{}, err
	}
	if m.Kind == EventPlain {
		m.Head = nil // it says nothing further
	}
	return r.withBody(m, n)
}

// withBody completes a message with the n bytes that follow.
func (r *Reader) withBody(m Message, n int) (Message, error) {
	if n == 0 {
		return m, nil
	}
	// What is still to be read of the body overwrites the buffer that head lies in.
	if n > r.w-r.r {
		m.Head = bytes.Clone(m.Head)
	}
	var err error
	if m.Body, err = r.body(n); err != nil {
		return Message{}, err
	}
	return m, nil
}

func (r *Reader) maxBody() int {
	if r.MaxBody > 0 {
		return r.MaxBody
	}
	return DefaultMaxBody
}

// The messages that make up nearly all of a call, as the switch writes them. The second answers API commands such as
// uuid_setvar (recording expansion2).
var (
	acceptedReply = []byte("Content-Type: command/reply\nReply-Text: +OK\n\n")
	acceptedAPI   = []byte("Content-Type: api/response\nContent-Length: 4\n\n+OK\n")
	eventLength   = []byte("Content-Length: ")
	eventType     = []byte("\nContent-Type: text/event-plain\n\n")
)

// common takes the header of one of them, if it is next and whole, without looking for its lines.
// It returns the length of the body that follows; the short bodies of accepted commands are in the message.
func (r *Reader) common() (m Message, length int, ok bool) {
	pending := r.buf[r.r:r.w]
	if bytes.HasPrefix(pending, acceptedReply) {
		r.r += len(acceptedReply)
		r.frames++
		return Message{Kind: CommandReply, Head: acceptedReply[:len(acceptedReply)-2]}, 0, true
	}
	if bytes.HasPrefix(pending, acceptedAPI) {
		r.r += len(acceptedAPI)
		r.frames++
		return Message{Kind: APIResponse, Head: acceptedAPI[:len(acceptedAPI)-len("\n\n+OK\n")], Body: "+OK\n"}, 0, true
	}
	rest, ok := bytes.CutPrefix(pending, eventLength)
	if !ok {
		return m, 0, false
	}
	digits := 0
	for ; digits < len(rest) && digits < 7 && isDigit(rest[digits]); digits++ {
		length = length*10 + int(rest[digits]-'0')
	}
	if digits == 0 || length > r.maxBody() || !bytes.HasPrefix(rest[digits:], eventType) {
		return m, 0, false
	}
	r.r += len(eventLength) + digits + len(eventType)
	r.frames++
	return Message{Kind: EventPlain}, length, true
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func (r *Reader) bodyLength(s string) (int, error) {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, protocolError("Content-Length is %q, not a number of bytes", clip(s))
		}
	}
	limit := r.maxBody()
	n, err := strconv.Atoi(s)
	switch {
	case errors.Is(err, strconv.ErrSyntax):
		return 0, protocolError("Content-Length is empty")
	case err != nil || n > limit:
		return 0, protocolError("Content-Length %s is over the limit of %d bytes", clip(s), limit)
	}
	return n, nil
}

// header returns the next header block, a slice of the buffer.
func (r *Reader) header() ([]byte, error) {
	limit := r.MaxHeader
	if limit <= 0 {
		limit = DefaultMaxHeader
	}
	scanned := 0 // of buf[r.r:], looked through for a line's end
	for {
		for {
			pending := r.buf[r.r:r.w]
			i := bytes.IndexByte(pending[scanned:], '\n')
			if i < 0 {
				scanned = len(pending)
				break
			}
			end := scanned + i
			line := end
			if line > 0 && pending[line-1] == '\r' {
				line--
			}
			if line == 0 { // blank lines before a block carry nothing
				r.r += end + 1
				scanned = 0
				continue
			}
			// Is the line before this one's end the block's last?
			next := pending[end+1:]
			blank := 0 // the blank line's length
			switch {
			case len(next) >= 1 && next[0] == '\n':
				blank = 1
			case len(next) >= 2 && next[0] == '\r' && next[1] == '\n':
				blank = 2
			case len(next) == 0, len(next) == 1 && next[0] == '\r':
				// Cannot tell yet: look at this line end again with more.
			default:
				scanned = end + 1
				continue
			}
			if blank == 0 {
				scanned = end
				break
			}
			if line > limit {
				return nil, tooLong(limit)
			}
			r.r += end + 1 + blank
			return pending[:line], nil
		}
		if r.w-r.r > limit+len("\r\n\r") {
			return nil, tooLong(limit)
		}
		if err := r.fill(limit + 4); err != nil {
			if err == io.EOF && len(bytes.TrimRight(r.buf[r.r:r.w], "\r\n")) > 0 {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
}

func tooLong(limit int) error {
	return protocolError("a header block of more than %d bytes", limit)
}

// fill reads once from the source, moving or growing the buffer, up to limit
// bytes, where it is full. An empty one is given back while there is nothing to read.
func (r *Reader) fill(limit int) error {
	if r.r == r.w {
		return r.refill()
	}
	if r.w == len(r.buf) {
		if r.r > 0 {
			r.w = copy(r.buf, r.buf[r.r:r.w])
			r.r = 0
		} else {
			bigger := make([]byte, min(2*len(r.buf), max(limit, len(r.buf)+1)))
			n := copy(bigger, r.buf)
			r.release()
			r.buf, r.w = bigger, n
		}
	}
	for range emptyReads {
		n, err := r.src.Read(r.buf[r.w:])
		r.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// emptyReads is how often a source may return nothing, and no error either.
const emptyReads = 100

func (r *Reader) refill() error {
	r.release()
	idle, _ := r.src.(idleReader)
	for range emptyReads {
		var buf *[readBuffer]byte
		var n int
		var err error
		if idle != nil {
			buf, n, err = idle.readIdle()
		} else {
			buf, n, err = readIdle(r.src)
		}
		if n > 0 {
			r.buf, r.r, r.w = buf[:], 0, n
			return nil
		}
		if buf != nil {
			buffers.Put(buf)
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// release gives the buffer back; a rare large one is not kept.
func (r *Reader) release() {
	if len(r.buf) == readBuffer {
		buffers.Put((*[readBuffer]byte)(r.buf))
	}
	r.buf, r.r, r.w = nil, 0, 0
}

// body reads n bytes. Memory is taken as the bytes come, not as the header
// promised them.
func (r *Reader) body(n int) (string, error) {
	r.inBody = true
	defer func() { r.inBody = false }()
	var b strings.Builder
	b.Grow(min(n, 64<<10))
	for {
		have := min(n-b.Len(), r.w-r.r)
		b.Write(r.buf[r.r : r.r+have])
		r.r += have
		if b.Len() == n {
			return b.String(), nil
		}
		if err := r.fill(readBuffer); err != nil {
			if err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return "", err
		}
	}
}

// find returns the value of the first header of that name. Names compare as
// they are, as the switch always writes these two alike.
func find(head []byte, name string) ([]byte, bool) {
	for len(head) > 0 {
		line := head
		if i := bytes.IndexByte(head, '\n'); i >= 0 {
			line, head = head[:i], head[i+1:]
		} else {
			head = nil
		}
		if len(line) > len(name) && line[len(name)] == ':' && string(line[:len(name)]) == name {
			return bytes.Trim(line[len(name)+1:], " \r"), true
		}
	}
	return nil, false
}

func clip(s string) string {
	if len(s) > 40 {
		return s[:40] + "…"
	}
	return s
}
