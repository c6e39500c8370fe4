package simulator

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"strconv"
	"strings"

	"callisto/esl"
)

// A command is what the other side sent: the first line, headers and body. To
// the switch it is an event: names ignore case, the first of a name counts.
type command struct {
	line    string
	headers []Variable
	body    string
}

func (c *command) header(name string) string {
	for _, h := range c.headers {
		if strings.EqualFold(h.Name, name) {
			return h.Value
		}
	}
	return ""
}

const (
	maxCommand = 10 << 20 // both are mod_event_socket's
	maxBody    = 10 << 20
)

var errTooLong = errors.New("command too long")

// readCommand reads the next command: lines up to an empty one, then as many
// bytes as content-length says. Like the switch it skips line ends in front,
// and takes a carriage return for the end of a line too (read_packet in
// mod_event_socket.c).
func readCommand(r *bufio.Reader) (*command, error) {
	var c *command
	size := 0
	for {
		line, err := r.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			long := append([]byte(nil), line...)
			for err == bufio.ErrBufferFull && len(long) < maxCommand {
				line, err = r.ReadSlice('\n')
				long = append(long, line...)
			}
			line = long
		}
		if err != nil {
			return nil, err
		}
		if size += len(line); size > maxCommand {
			return nil, errTooLong
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			if c == nil {
				continue
			}
			break
		}
		for part := range bytes.SplitSeq(line, []byte{'\r'}) {
			if len(part) == 0 {
				continue
			}
			if c == nil {
				c = &command{line: string(part)}
				continue
			}
			if name, value, ok := bytes.Cut(part, []byte{':'}); ok {
				value = bytes.TrimLeft(value, " ")
				if len(value) > 0 {
					c.headers = append(c.headers, Variable{string(name), string(value)})
				}
			}
		}
	}
	if n := atoi(c.header("content-length")); n < 0 || n > maxBody {
		return nil, errTooLong
	} else if n > 0 {
		body := make([]byte, n)
		if _, err := io.ReadFull(r, body); err != nil {
			return nil, err
		}
		// To the switch a body is a C string.
		body, _, _ = bytes.Cut(body, []byte{0})
		c.body = string(body)
	}
	return c, nil
}

// The switch puts a reply together in a buffer of this size.
const maxReply = 511

// appendReply appends a command/reply frame. Text that starts with "~" brings
// its own headers.
func appendReply(dst []byte, text string) []byte {
	if len(text) > maxReply {
		text = text[:maxReply]
	}
	dst = append(dst, "Content-Type: command/reply\n"...)
	if rest, ok := strings.CutPrefix(text, "~"); ok {
		return append(dst, rest...)
	}
	dst = append(dst, "Reply-Text: "...)
	dst = append(dst, text...)
	return append(dst, "\n\n"...)
}

func appendAPIResponse(dst []byte, text string) []byte {
	if text == "" {
		text = "-ERR no reply\n"
	}
	dst = append(dst, "Content-Type: api/response\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(text)), 10)
	dst = append(dst, "\n\n"...)
	return append(dst, text...)
}

// appendFrame appends a frame with a body and the headers that event frames
// have, in the switch's order: the length first.
func appendFrame(dst []byte, contentType string, body []byte) []byte {
	dst = append(dst, "Content-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(body)), 10)
	dst = append(dst, "\nContent-Type: "...)
	dst = append(dst, contentType...)
	dst = append(dst, "\n\n"...)
	return append(dst, body...)
}

// appendPlain appends an event in plain format without its frame.
func appendPlain(dst []byte, e *event) []byte {
	dst = append(dst, e.headers...)
	if e.body != "" {
		dst = append(dst, "Content-Length: "...)
		dst = strconv.AppendInt(dst, int64(len(e.body)), 10)
		dst = append(dst, '\n')
	}
	dst = append(dst, '\n')
	return append(dst, e.body...)
}

// appendJSON appends an event as an object of strings in the order of the
// headers, one that comes twice included (recording json_events, Hangup-Cause).
func appendJSON(dst []byte, e *event) []byte {
	dst = append(dst, '{')
	separator := ""
	member := func(name, value string) {
		dst = append(dst, separator...)
		dst = appendJSONString(dst, name)
		dst = append(dst, ':')
		dst = appendJSONString(dst, value)
		separator = ","
	}
	e.each(member)
	if e.body != "" {
		member("Content-Length", strconv.Itoa(len(e.body)))
		member("_body", e.body)
	}
	return append(dst, '}')
}

// appendJSONString quotes as cJSON does: bytes above 126 as they are.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			if c < ' ' {
				dst = append(dst, `\u00`...)
				dst = append(dst, "0123456789abcdef"[c>>4], "0123456789abcdef"[c&15])
			} else {
				dst = append(dst, c)
			}
		}
	}
	return append(dst, '"')
}

// appendXML appends an event as XML. Values are URL-encoded there too
// (recording xml_events).
func appendXML(dst []byte, e *event) []byte {
	dst = append(dst, "<event>\n  <headers>\n"...)
	element := func(name, value string) {
		dst = append(dst, "    <"...)
		dst = append(dst, name...)
		dst = append(dst, '>')
		dst = esl.AppendEscaped(dst, value)
		dst = append(dst, "</"...)
		dst = append(dst, name...)
		dst = append(dst, ">\n"...)
	}
	e.each(element)
	dst = append(dst, "  </headers>\n"...)
	if e.body != "" {
		dst = append(dst, "  <Content-Length>"...)
		dst = strconv.AppendInt(dst, int64(len(e.body)), 10)
		dst = append(dst, "</Content-Length>\n  <body>"...)
		dst = append(dst, xmlEscaper.Replace(e.body)...)
		dst = append(dst, "</body>\n"...)
	}
	return append(dst, "</event>\n"...)
}

var xmlEscaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

// each calls f for every header with its decoded value.
func (e *event) each(f func(name, value string)) {
	for line := range bytes.SplitSeq(bytes.TrimSuffix(e.headers, []byte{'\n'}), []byte{'\n'}) {
		if name, value, ok := bytes.Cut(line, []byte(": ")); ok {
			f(string(name), unescape(string(value)))
		}
	}
}

// cutSpace splits a line at its first space.
func cutSpace(s string) (head, rest string) {
	head, rest, _ = strings.Cut(s, " ")
	return head, rest
}
