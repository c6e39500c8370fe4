package phone

import (
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"

	"callisto/esl"
)

// A tapped connection tells what goes over it: the engine's commands and the switch's events.
type tapped struct {
	net.Conn
	in, out frames
	tell    func(Wired)
}

func (t *tapped) Read(b []byte) (int, error) {
	n, err := t.Conn.Read(b)
	t.in.feed(b[:n], func(head, body string) {
		if text := eventText(head, body); text != "" {
			t.tell(Wired{Text: text})
		}
	})
	return n, err
}

func (t *tapped) Write(b []byte) (int, error) {
	t.out.feed(b, func(head, body string) { t.tell(Wired{Sent: true, Text: commandText(head, body)}) })
	return t.Conn.Write(b)
}

// LetGo passes on that whoever reads holds a clock: see the pipes of the simulator.
func (t *tapped) LetGo(clock esl.Holder) {
	if c, ok := t.Conn.(interface{ LetGo(esl.Holder) }); ok {
		c.LetGo(clock)
	}
}

// frames takes a stream apart: a header block, and the body that its Content-Length promises.
type frames struct{ buf []byte }

// maxFrame bounds what is kept of a stream that is none of ours.
const maxFrame = 1 << 20

func (f *frames) feed(b []byte, each func(head, body string)) {
	f.buf = append(f.buf, b...)
	for {
		f.buf = bytes.TrimLeft(f.buf, "\n")
		end := bytes.Index(f.buf, []byte("\n\n"))
		if end < 0 {
			break
		}
		head := string(f.buf[:end])
		length := 0
		if n, err := strconv.Atoi(header(head, "content-length")); err == nil && n > 0 {
			length = n
		}
		rest := f.buf[end+2:]
		if length > maxFrame {
			length = len(rest)
		}
		if len(rest) < length {
			break
		}
		each(head, string(rest[:length]))
		f.buf = rest[length:]
	}
	if len(f.buf) > 2*maxFrame {
		f.buf = nil
	}
	if len(f.buf) == 0 {
		f.buf = nil
	}
}

// header is a header's value in a block; name is in lower case.
func header(head, name string) string {
	for line := range strings.Lines(head) {
		if n, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(n, name) {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// commandText is a command on one line: "execute playback menu.wav" for the sendmsg that
// does it.
func commandText(head, body string) string {
	first, _, _ := strings.Cut(head, "\n")
	word, _, _ := strings.Cut(first, " ")
	if !strings.EqualFold(word, "sendmsg") {
		return first
	}
	switch command := strings.ToLower(header(head, "call-command")); command {
	case "execute":
		arg := header(head, "execute-app-arg")
		if arg == "" {
			arg = body
		}
		return strings.TrimSpace("execute " + header(head, "execute-app-name") + " " + arg)
	case "hangup":
		return strings.TrimSpace("hangup " + header(head, "hangup-cause"))
	default:
		return first + " " + command
	}
}

// eventText is an event on one line, and of the other frames those that say no. It is "" for the rest.
func eventText(head, body string) string {
	switch header(head, "content-type") {
	case "text/event-plain":
		e := esl.NewEvent(body)
		text := e.Name()
		for _, name := range [...]string{"Event-Subclass", "Application", "Application-Data", "Application-Response", "DTMF-Digit", "Hangup-Cause"} {
			value := e.Get(name)
			switch {
			case value == "" || value == "_none_":
			case name == "Application-Response":
				text += fmt.Sprintf(" (%s)", value)
			default:
				text += " " + value
			}
		}
		return text
	case "command/reply":
		if reply := header(head, "reply-text"); strings.HasPrefix(reply, "-") {
			return reply
		}
	case "api/response":
		if strings.HasPrefix(body, "-") {
			return strings.TrimSpace(body)
		}
	case "text/disconnect-notice":
		return "disconnect-notice"
	case "log/data":
		return "log " + strings.TrimSpace(body)
	}
	return ""
}
