package esl

import (
	"bytes"
	"fmt"
	"math"
	"strconv"
	"strings"
)

// A Command is one command of the event socket. Its wire form cannot be
// escaped from: a field that would end its line early, or that the switch
// would cut short, is refused with a *CommandError before anything is sent.
type Command interface {
	// appendTo appends the wire form, blank line and body included.
	appendTo(w *writer)
}

// A CommandError says which field of a command cannot be sent, and why.
type CommandError struct{ Field, Reason string }

func (e *CommandError) Error() string { return e.Field + " " + e.Reason }

// maxCommand is what the switch accepts of one command's lines (mod_event_socket.c,
// read_packet: it stops at 10 MiB); bodies may be 16 MiB, and are held to the same.
const maxCommand = 10 << 20

// AppendCommand appends a command's wire form to dst.
func AppendCommand(dst []byte, c Command) ([]byte, error) {
	w := writer{buf: dst}
	c.appendTo(&w)
	if w.err == nil {
		lines := w.buf[len(dst):]
		if w.body > 0 {
			lines = w.buf[len(dst):w.body]
		}
		switch {
		case len(w.buf)-len(dst) > maxCommand:
			w.fail(fmt.Sprintf("%T", c), fmt.Sprintf("is larger than %d bytes, which the switch does not read", maxCommand))
		case hijacked(lines):
			w.fail(fmt.Sprintf("%T", c), "holds the words unload or reload, and mod_event_socket: the switch would unload its event socket instead")
		}
	}
	if w.err != nil {
		return dst, w.err
	}
	return w.buf, nil
}

// A writer appends the parts of one command and keeps the first error.
type writer struct {
	buf  []byte
	body int // where in buf the body starts, if there is one
	err  error
}

func (w *writer) fail(field, reason string) {
	if w.err == nil {
		w.err = &CommandError{field, reason}
	}
}

// hijacked reports whether the switch would run "api bgapi unload mod_event_socket" (or
// reload) instead of these lines: it does where both words are anywhere in them, in an argument
// too, whatever the command (mod_event_socket.c, parse_command). Bodies are not looked at.
func hijacked(lines []byte) bool {
	if !namesEventSocket(lines, bytes.IndexByte) {
		return false
	}
	lower := bytes.ToLower(lines)
	return bytes.Contains(lower, []byte("unload")) || bytes.Contains(lower, []byte("reload"))
}

func namesEventSocket[T string | []byte](s T, index func(T, byte) int) bool {
	const before, after = "mod", "_event_socket"
	for {
		i := index(s, '_')
		if i < 0 || len(s)-i < len(after) {
			return false
		}
		if i >= len(before) && strings.EqualFold(string(s[i-len(before):i+len(after)]), before+after) {
			return true
		}
		s = s[i+1:]
	}
}

// breaksLine reports whether the switch would not read s to its end as one
// line. It reads C strings, so a NUL ends one too.
func breaksLine(s string) bool {
	return strings.IndexByte(s, '\n') >= 0 || strings.IndexByte(s, '\r') >= 0 || strings.IndexByte(s, 0) >= 0
}

func (w *writer) text(field, s string) {
	if breaksLine(s) {
		w.fail(field, "holds a line break or a NUL byte, which would end the command early")
	}
	w.buf = append(w.buf, s...)
}

// word appends s, which must be one non-empty word.
func (w *writer) word(field, s string) {
	if s == "" {
		w.fail(field, "is empty")
	} else if strings.IndexByte(s, ' ') >= 0 || strings.IndexByte(s, '\t') >= 0 {
		w.fail(field, "holds a space")
	}
	w.text(field, s)
}

// optional appends a space and the word, if there is one.
func (w *writer) optional(field, s string) {
	if s != "" {
		w.buf = append(w.buf, ' ')
		w.word(field, s)
	}
}

// field appends a header line whose value is one word.
func (w *writer) field(name, value string) {
	w.raw(name)
	w.raw(": ")
	w.word(name, value)
	if strings.HasPrefix(value, "ARRAY::") {
		w.fail(name, "begins with ARRAY::, which the switch takes apart")
	}
	w.raw("\n")
}

// header appends a header line. The switch drops spaces before a value.
func (w *writer) header(name, value string) {
	w.raw(name)
	w.raw(": ")
	w.text(name, value)
	w.raw("\n")
}

func (w *writer) raw(s string) { w.buf = append(w.buf, s...) }

// number appends n, which the switch reads into a C int.
func (w *writer) number(field string, n int) {
	switch {
	case n < 0:
		w.fail(field, "is negative")
	case n > math.MaxInt32:
		w.fail(field, "is too large a number")
	}
	w.buf = strconv.AppendInt(w.buf, int64(n), 10)
}

// A Format is one of the formats events come in.
type Format string

const (
	Plain Format = "plain"
	JSON  Format = "json"
	XML   Format = "xml"
)

func (w *writer) format(f Format) {
	switch f {
	case "":
		f = Plain
	case Plain, JSON, XML:
	default:
		w.fail("format", fmt.Sprintf("is %q, not plain, json or xml", string(f)))
	}
	w.raw(string(f))
}

type (
	// Connect is the first command on an outbound socket: the switch answers with
	// the channel's data. Conn.Connect sends it.
	Connect struct{}

	// Exit ends the connection; the switch answers "+OK bye" and a notice.
	Exit struct{}

	// Auth answers an auth/request with the event socket's password.
	Auth struct{ Password string }

	// UserAuth answers an auth/request as a user of the directory, "user@domain".
	UserAuth struct{ User, Password string }

	// Events asks for events by name, in one format for the whole connection. The name
	// CUSTOM is followed by subclasses.
	Events struct {
		Format Format
		Names  []string
	}

	// NixEvents takes events back from what Events asked for.
	NixEvents struct{ Names []string }

	// NoEvents takes all events back.
	NoEvents struct{}

	// MyEvents asks for the events of one channel: on an outbound socket that
	// channel, else the one of UUID. On an inbound socket the switch takes no notice of the
	// Format; there Events can set it before.
	MyEvents struct {
		UUID   string
		Format Format
	}

	// DivertEvents turns on or off that events for an embedded script's input callback
	// come here.
	DivertEvents struct{ On bool }

	// Filter lets through the events whose header has that value. Several filters are
	// or-ed (docs/freeswitch.md).
	Filter struct{ Header, Value string }

	// FilterDelete takes a filter back, or with an empty Value all of that header, or
	// with the Header "all" all there are.
	FilterDelete struct{ Header, Value string }

	// Linger keeps the socket open after the channel has hung up, for so many
	// seconds. 0 is without end: then it is ours to close.
	Linger struct{ Seconds int }

	// NoLinger takes Linger back.
	NoLinger struct{}

	// Resume makes the channel go on in the dialplan when the connection ends.
	Resume struct{}

	// GetVar asks for a channel variable. Its answer is not encoded: a value with
	// a blank line in it breaks the stream (recording body_arguments). Prefer
	// API{"uuid_getvar", …}.
	GetVar struct{ Name string }

	// Log asks for the switch's log, up to a level from 0 (console) to 7 (debug).
	Log struct{ Level int }

	// NoLog ends it.
	NoLog struct{}

	// API runs an API command and waits for its output, which comes as an api/response.
	// While it runs, the connection's other commands wait.
	API struct{ Command, Args string }

	// BgAPI runs an API command in the background; the output comes in an event
	// BACKGROUND_JOB with the same Job-UUID.
	BgAPI struct{ Command, Args, JobUUID string }

	// SendEvent puts an event into the switch, which drops spaces in front of a header's
	// value, leaves a header without value out, and takes "ARRAY::a|:b" and a name with an
	// index, "a[1]", for an array.
	SendEvent struct {
		Name    string
		Headers []Header
		Body    string
	}

	// Execute runs an application on a channel. The reply "+OK" means queued; the end is an
	// event CHANNEL_EXECUTE_COMPLETE whose Application-UUID is UUID.
	Execute struct {
		App       string
		Arg       string // any bytes but NUL; see appendTo for where it travels
		Channel   string // the channel's UUID; empty: the outbound socket's own
		UUID      string // Event-UUID; Conn.Start fills it in where empty
		Loops     int    // run it so many times; 0: once
		EventLock bool   // keep the order with what is already queued
	}

	// Hangup ends a channel; an empty Cause is NORMAL_CLEARING.
	Hangup struct{ Channel, Cause string }

	// Unicast sends a channel's media to a socket and back; empty fields take the
	// switch's defaults.
	Unicast struct{ Channel, LocalIP, LocalPort, RemoteIP, RemotePort, Transport, Flags string }

	// NoMedia takes the switch out of the media path of a channel's call.
	NoMedia struct{ Channel, UUID string }

	// XferExt gives the channel a new extension made of these applications.
	XferExt struct {
		Channel      string
		Applications []Application
	}
)

// A Header is one header of an event to be sent.
type Header struct{ Name, Value string }

// An Application is a dialplan application with its argument.
type Application struct{ Name, Arg string }

func (Connect) appendTo(w *writer)  { w.raw("connect\n\n") }
func (Exit) appendTo(w *writer)     { w.raw("exit\n\n") }
func (NoEvents) appendTo(w *writer) { w.raw("noevents\n\n") }
func (NoLinger) appendTo(w *writer) { w.raw("nolinger\n\n") }
func (Resume) appendTo(w *writer)   { w.raw("resume\n\n") }
func (NoLog) appendTo(w *writer)    { w.raw("nolog\n\n") }

func (c Auth) appendTo(w *writer) {
	w.raw("auth ")
	w.text("password", c.Password)
	w.raw("\n\n")
}

func (c UserAuth) appendTo(w *writer) {
	w.raw("userauth ")
	w.word("user", c.User)
	switch {
	case strings.Contains(c.User, ":"):
		w.fail("user", "holds a colon, which ends the user's name")
	case !strings.Contains(c.User, "@"):
		w.fail("user", "is not of the form user@domain")
	}
	w.raw(":")
	w.text("password", c.Password)
	w.raw("\n\n")
}

func (w *writer) names(names []string) {
	if len(names) == 0 {
		w.fail("event names", "are missing")
	}
	for _, n := range names {
		w.raw(" ")
		w.word("event name", n)
	}
	w.raw("\n\n")
}

func (c Events) appendTo(w *writer) {
	w.raw("event ")
	w.format(c.Format)
	w.names(c.Names)
}

func (c NixEvents) appendTo(w *writer) {
	w.raw("nixevent")
	w.names(c.Names)
}

func (c MyEvents) appendTo(w *writer) {
	w.raw("myevents")
	w.optional("uuid", c.UUID)
	if c.Format != "" {
		w.raw(" ")
		w.format(c.Format)
	}
	w.raw("\n\n")
}

func (c DivertEvents) appendTo(w *writer) {
	if c.On {
		w.raw("divert_events on\n\n")
	} else {
		w.raw("divert_events off\n\n")
	}
}

func (c Filter) appendTo(w *writer) {
	w.raw("filter ")
	if strings.EqualFold(c.Header, "delete") || strings.EqualFold(c.Header, "add") {
		w.fail("header", "is a word of the command filter")
	}
	w.word("header", c.Header)
	w.raw(" ")
	if c.Value == "" {
		w.fail("value", "is empty")
	}
	w.text("value", c.Value)
	w.raw("\n\n")
}

func (c FilterDelete) appendTo(w *writer) {
	w.raw("filter delete ")
	w.word("header", c.Header)
	if c.Value != "" {
		w.raw(" ")
		w.text("value", c.Value)
	}
	w.raw("\n\n")
}

func (c Linger) appendTo(w *writer) {
	w.raw("linger")
	if c.Seconds != 0 {
		w.raw(" ")
		w.number("linger time", c.Seconds)
	}
	w.raw("\n\n")
}

func (c GetVar) appendTo(w *writer) {
	w.raw("getvar ")
	w.word("variable name", c.Name)
	w.raw("\n\n")
}

func (c Log) appendTo(w *writer) {
	w.raw("log ")
	if c.Level > 7 {
		w.fail("log level", "is not between 0 and 7")
	}
	w.number("log level", c.Level)
	w.raw("\n\n")
}

func (c API) appendTo(w *writer) {
	w.raw("api ")
	w.word("api command", c.Command)
	if c.Args != "" {
		w.raw(" ")
		w.text("api arguments", c.Args)
	}
	w.raw("\n\n")
}

func (c BgAPI) appendTo(w *writer) {
	w.raw("bgapi ")
	w.word("api command", c.Command)
	if c.Args != "" {
		w.raw(" ")
		w.text("api arguments", c.Args)
	}
	w.raw("\n")
	if c.JobUUID != "" {
		if len(c.JobUUID) > 36 {
			w.fail("Job-UUID", "is longer than a UUID, and the switch would cut it short")
		}
		w.field("Job-UUID", c.JobUUID)
	}
	w.raw("\n")
}

func (c SendEvent) appendTo(w *writer) {
	w.raw("sendevent ")
	w.word("event name", c.Name)
	w.raw("\n")
	for _, h := range c.Headers {
		switch {
		case h.Name == "":
			w.fail("header name", "is empty")
		case breaksLine(h.Name) || strings.Contains(h.Name, ":"):
			w.fail("header name", "holds a line break, a NUL byte or a colon")
		case strings.EqualFold(strings.TrimSpace(h.Name), "content-length"):
			w.fail("header name", "is Content-Length, which the body decides")
		case isHeader(h.Name, "command"):
			w.fail("header name", "is Command, which would take this command's place in the switch")
		case isHeader(h.Name, "_body"):
			w.fail("header name", "is _body, which is no header")
		}
		w.header(h.Name, h.Value)
	}
	w.end(c.Body)
}

// isHeader reports whether the switch takes name for that header, or for an element
// of it, such as name[0].
func isHeader(name, header string) bool {
	name, _, _ = strings.Cut(name, "[")
	return strings.EqualFold(name, header)
}

// end ends the command, with a Content-Length where there is a body. The
// switch keeps bodies as C strings.
func (w *writer) end(s string) {
	if s != "" {
		if strings.IndexByte(s, 0) >= 0 {
			w.fail("body", "holds a NUL byte, where the switch would end it")
		}
		w.raw("content-length: ")
		w.number("body", len(s))
		w.raw("\n\n")
		w.body = len(w.buf)
		w.raw(s)
		return
	}
	w.raw("\n")
}

func (w *writer) sendmsg(channel, command string) {
	w.raw("sendmsg")
	w.optional("channel", channel)
	w.raw("\ncall-command: ")
	w.raw(command)
	w.raw("\n")
}

// appendTo puts the argument into a header where that delivers it unchanged,
// else into the body (recording body_arguments): a line break would start a header,
// spaces in front would be dropped, an "ARRAY::" in front would be taken apart, and the
// name of the switch's event socket module may be read as an order to unload it
// (mod_event_socket.c, read_packet and parse_command; switch_event.c).
func (c Execute) appendTo(w *writer) {
	w.sendmsg(c.Channel, "execute")
	w.field("execute-app-name", c.App)
	if c.Loops != 0 {
		w.raw("loops: ")
		w.number("loops", c.Loops)
		w.raw("\n")
	}
	if c.EventLock {
		w.raw("event-lock: true\n")
	}
	if c.UUID != "" {
		w.field("Event-UUID", c.UUID)
	}
	switch {
	case strings.IndexByte(c.Arg, 0) >= 0:
		w.fail("argument of "+c.App, "holds a NUL byte, where the switch would end it")
	case breaksLine(c.Arg) || strings.HasPrefix(c.Arg, " ") || strings.HasPrefix(c.Arg, "ARRAY::") || namesEventSocket(c.Arg, strings.IndexByte):
		w.raw("content-type: text/plain\n")
		w.end(c.Arg)
		return
	case c.Arg != "":
		w.header("execute-app-arg", c.Arg)
	}
	w.raw("\n")
}

func (c Hangup) appendTo(w *writer) {
	w.sendmsg(c.Channel, "hangup")
	if c.Cause != "" {
		w.field("hangup-cause", c.Cause)
	}
	w.raw("\n")
}

func (c Unicast) appendTo(w *writer) {
	w.sendmsg(c.Channel, "unicast")
	for _, h := range []Header{{"local-ip", c.LocalIP}, {"local-port", c.LocalPort}, {"remote-ip", c.RemoteIP},
		{"remote-port", c.RemotePort}, {"transport", c.Transport}, {"flags", c.Flags}} {
		if h.Value != "" {
			w.field(h.Name, h.Value)
		}
	}
	w.raw("\n")
}

func (c NoMedia) appendTo(w *writer) {
	w.sendmsg(c.Channel, "nomedia")
	w.field("nomedia-uuid", c.UUID)
	w.raw("\n")
}

func (c XferExt) appendTo(w *writer) {
	w.sendmsg(c.Channel, "xferext")
	if len(c.Applications) == 0 {
		w.fail("applications", "are missing")
	}
	for _, a := range c.Applications {
		w.raw("application: ")
		w.word("application", a.Name)
		if a.Arg != "" {
			w.raw(" ")
			w.text("argument of "+a.Name, a.Arg)
		}
		w.raw("\n")
	}
	w.raw("\n")
}
