package esl

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A packet is what the switch makes of one command.
type packet struct {
	Command string
	Headers []Header
	Body    string
}

// readPacket reads one command the way mod_event_socket.c does (read_packet, and the
// start of parse_command), and returns what it leaves unread:
//
//   - line ends before a command are skipped;
//   - its lines end with two LF that have only CR between them, or at 10 MiB;
//   - a CR anywhere ahead ends the current line, before any LF does; but of what it then holds,
//     only the part before the first CR or LF counts;
//   - spaces before a value are dropped, a header without colon or value is too;
//   - a body is read from the socket when its Content-Length is met, each one anew;
//   - everything is a C string, which ends at a NUL;
//   - the text of all lines is itself the header Command, which later headers can change, and in
//     which two words anywhere make it another command.
func readPacket(in string) (p packet, rest string, ok bool) {
	in = strings.TrimLeft(in, "\r\n")
	end, feeds := 0, 0
	for ; feeds < 2; end++ {
		if end == len(in) {
			return packet{}, in, false
		}
		switch in[end] {
		case '\n':
			feeds++
		case '\r':
		default:
			feeds = 0
		}
		if end+1 >= 10485760 {
			feeds = 2
		}
	}
	text, rest := cString(in[:end]), in[end:]

	p.Command = text
	commandGone := false
	for cur, first, more := text, true, true; more; first = false {
		line := cur
		next := strings.IndexByte(cur, '\r')
		if next < 0 {
			next = strings.IndexByte(cur, '\n')
		}
		if more = next >= 0; more {
			cur = strings.TrimLeft(cur[next:], "\r\n")
		}
		if first {
			continue
		}
		if i := strings.IndexAny(line, "\r\n"); i >= 0 {
			line = line[:i]
		}
		name, value, colon := strings.Cut(line, ":")
		if !colon {
			continue
		}
		value = strings.TrimLeft(value, " ")
		base, _, indexed := strings.Cut(name, "[")
		switch {
		case strings.EqualFold(base, "command") && indexed:
			p.Command = value
		case strings.EqualFold(base, "command") && value == "":
			commandGone = true
		}
		if base == "_body" {
			p.Body = value
		}
		p.Headers = append(p.Headers, Header{name, value})
		if strings.EqualFold(name, "content-length") {
			n := atoi(value)
			if n < 0 || n > 16<<20 || n > len(rest) {
				return packet{}, rest, false
			}
			if n > 0 {
				p.Body, rest = cString(rest[:n]), rest[n:]
			}
		}
	}
	for _, word := range []string{"unload", "reload"} {
		if lower := strings.ToLower(p.Command); strings.Contains(lower, word) && strings.Contains(lower, "mod_event_socket") {
			p.Command = "api bgapi " + word + " mod_event_socket"
			return p, rest, true
		}
	}
	if commandGone {
		p.Command = ""
	}
	if i := strings.IndexAny(p.Command, "\r\n"); i >= 0 {
		p.Command = p.Command[:i]
	}
	return p, rest, true
}

func cString(s string) string {
	s, _, _ = strings.Cut(s, "\x00")
	return s
}

// atoi is C's, as far as this package's numbers go.
func atoi(s string) (n int) {
	_, _ = fmt.Sscanf(s, "%d", &n)
	return n
}

// The model must read what really went over the wire as what the switch made of it.
func TestReadPacketModel(t *testing.T) {
	tests := []struct {
		in   string
		want packet
		rest string
	}{
		{"connect\n\n", packet{Command: "connect"}, ""},
		{"\r\n\nexit\r\n\r\nmore", packet{Command: "exit"}, "more"},
		{"sendmsg\na:   b  \nc\nd:\n\n", packet{"sendmsg", []Header{{"a", "b  "}, {"d", ""}}, ""}, ""},
		{"a\ncontent-length: 3\nx: y\n\nabcdef", packet{"a", []Header{{"content-length", "3"}, {"x", "y"}}, "abc"}, "def"},
		{"a\nb: 1\nc: 2\rd: 3\n\n", packet{"a", []Header{{"d", "3"}}, ""}, ""}, // the CR swallowed b and c
		{"a\nb: c\x00\nd: e\n\n", packet{"a", []Header{{"b", "c"}}, ""}, ""},
		{"sendevent X\nCommand[0]: api status\n\n", packet{"api status", []Header{{"Command[0]", "api status"}}, ""}, ""},
		{"sendevent X\ncommand: \n\n", packet{"", []Header{{"command", ""}}, ""}, ""},
		{"sendmsg\nx: please ReLoad MOD_event_socket\n\n",
			packet{"api bgapi reload mod_event_socket", []Header{{"x", "please ReLoad MOD_event_socket"}}, ""}, ""},
	}
	for _, tt := range tests {
		got, rest, ok := readPacket(tt.in)
		if diff := cmp.Diff(tt.want, got); diff != "" || rest != tt.rest || !ok {
			t.Errorf("%q: %v, rest %q\n%s", tt.in, ok, rest, diff)
		}
	}
	for _, in := range []string{"", "connect\n", "a\ncontent-length: 5\n\nabc", "a\ncontent-length: -1\n\n"} {
		if p, _, ok := readPacket(in); ok {
			t.Errorf("%q is read as %v", in, p)
		}
	}
}

func TestCommands(t *testing.T) {
	tests := []struct {
		command Command
		want    string
	}{
		{Connect{}, "connect\n\n"},
		{Exit{}, "exit\n\n"},
		{Auth{Password: "Clue Con:%"}, "auth Clue Con:%\n\n"},
		{UserAuth{"1000@example.com", "a:b"}, "userauth 1000@example.com:a:b\n\n"},
		{Events{Names: []string{"ALL"}}, "event plain ALL\n\n"},
		{Events{JSON, []string{"DTMF", "CUSTOM", "sofia::register"}}, "event json DTMF CUSTOM sofia::register\n\n"},
		{NixEvents{[]string{"DTMF"}}, "nixevent DTMF\n\n"},
		{NoEvents{}, "noevents\n\n"},
		{MyEvents{}, "myevents\n\n"},
		{MyEvents{Format: XML}, "myevents xml\n\n"},
		{MyEvents{UUID: "u-1"}, "myevents u-1\n\n"},
		{DivertEvents{On: true}, "divert_events on\n\n"},
		{DivertEvents{}, "divert_events off\n\n"},
		{Filter{"Caller-Caller-ID-Name", "Ada Test"}, "filter Caller-Caller-ID-Name Ada Test\n\n"},
		{FilterDelete{Header: "Unique-ID"}, "filter delete Unique-ID\n\n"},
		{FilterDelete{"Unique-ID", "u-1"}, "filter delete Unique-ID u-1\n\n"},
		{Linger{}, "linger\n\n"},
		{Linger{5}, "linger 5\n\n"},
		{NoLinger{}, "nolinger\n\n"},
		{Resume{}, "resume\n\n"},
		{GetVar{"sip_h_X-Foo"}, "getvar sip_h_X-Foo\n\n"},
		{Log{7}, "log 7\n\n"},
		{NoLog{}, "nolog\n\n"},
		{API{Command: "status"}, "api status\n\n"},
		{API{"uuid_getvar", "u-1 x"}, "api uuid_getvar u-1 x\n\n"},
		{BgAPI{Command: "status"}, "bgapi status\n\n"},
		{BgAPI{"originate", "null/1 &park()", "j-1"}, "bgapi originate null/1 &park()\nJob-UUID: j-1\n\n"},
		{SendEvent{Name: "CUSTOM", Headers: []Header{{"Event-Subclass", "a::b"}, {"x[1]", " y"}}}, "sendevent CUSTOM\nEvent-Subclass: a::b\nx[1]:  y\n\n"},
		{SendEvent{Name: "NOTIFY", Body: "a\n\nb\r\n"}, "sendevent NOTIFY\ncontent-length: 6\n\na\n\nb\r\n"},
		{Execute{App: "answer"}, "sendmsg\ncall-command: execute\nexecute-app-name: answer\n\n"},
		{Execute{"playback", "a.wav", "u-1", "e-1", 3, true},
			"sendmsg u-1\ncall-command: execute\nexecute-app-name: playback\nloops: 3\nevent-lock: true\nEvent-UUID: e-1\nexecute-app-arg: a.wav\n\n"},
		{Hangup{}, "sendmsg\ncall-command: hangup\n\n"},
		{Hangup{"u-1", "USER_BUSY"}, "sendmsg u-1\ncall-command: hangup\nhangup-cause: USER_BUSY\n\n"},
		{Unicast{LocalIP: "127.0.0.1", Transport: "tcp", Flags: "native"}, "sendmsg\ncall-command: unicast\nlocal-ip: 127.0.0.1\ntransport: tcp\nflags: native\n\n"},
		{NoMedia{UUID: "u-1"}, "sendmsg\ncall-command: nomedia\nnomedia-uuid: u-1\n\n"},
		{XferExt{Applications: []Application{{"playback", "a.wav"}, {"hangup", ""}}},
			"sendmsg\ncall-command: xferext\napplication: playback a.wav\napplication: hangup\n\n"},
		// Alone, either word is only a word.
		{Execute{App: "set", Arg: "x=unload"}, "sendmsg\ncall-command: execute\nexecute-app-name: set\nexecute-app-arg: x=unload\n\n"},
		{API{"module_exists", "mod_event_socket"}, "api module_exists mod_event_socket\n\n"},
	}
	for _, tt := range tests {
		got, err := AppendCommand([]byte("before\n\n"), tt.command)
		if err != nil {
			t.Errorf("%#v: %v", tt.command, err)
		} else if want := "before\n\n" + tt.want; string(got) != want {
			t.Errorf("%#v\n got %q\nwant %q", tt.command, got, want)
		}
	}
}

// What a header would not deliver as it is travels in the body: checked with FreeSWITCH 1.11, where
// set and log saw these arguments unchanged.
func TestExecuteSendsItsArgumentUnchanged(t *testing.T) {
	tests := []struct {
		arg  string
		body bool
	}{
		{"a", false}, {"a  ", false}, {"\ta", false}, {":a: b", false}, {"a ARRAY::b", false}, {"é\xff\x01", false}, {"content-length: 5", false},
		{" a", true}, {" ", true}, {"a\nb", true}, {"a\rb", true}, {"\n\n", true}, {"x=1\n\nsendmsg\ncall-command: hangup\n\n", true},
		{"ARRAY::a|:b", true}, {"x=reload mod_event_socket", true}, {"mod_mod_event_socket", true}, {"a_b__mod_event_socket_", true}, {"mod_event_socke", false}, {"Mod_Event_Socket", true}, {"ｕnload mod_event_socket", true},
	}
	for _, tt := range tests {
		wire, err := AppendCommand(nil, Execute{App: "set", Arg: tt.arg, UUID: "e-1"})
		if err != nil {
			t.Errorf("%q: %v", tt.arg, err)
			continue
		}
		p, rest, ok := readPacket(string(wire))
		if !ok || rest != "" || p.Command != "sendmsg" {
			t.Errorf("%q: read as %v, rest %q", tt.arg, p, rest)
		}
		arg, inBody := p.Body, true
		for _, h := range p.Headers {
			if h.Name == "execute-app-arg" {
				arg, inBody = h.Value, false
			}
		}
		if arg != tt.arg || inBody != tt.body {
			t.Errorf("%q arrives as %q, in the body: %v", tt.arg, arg, inBody)
		}
	}
}

func TestCommandsRefuseWhatWouldBreakThem(t *testing.T) {
	tests := []struct {
		command Command
		field   string
	}{
		{Auth{"a\nb"}, "password"},
		{Auth{"a\x00b"}, "password"},
		{UserAuth{"", "x"}, "user"}, {UserAuth{"a:b@c", "x"}, "user"}, {UserAuth{"a", "x@y:z"}, "user"}, {UserAuth{"a@b", "x\r"}, "password"},
		{Events{}, "event names"}, {Events{Names: []string{""}}, "event name"}, {Events{Names: []string{"A B"}}, "event name"},
		{Events{Names: []string{"A\n\nexit"}}, "event name"}, {Events{Format: "yaml", Names: []string{"ALL"}}, "format"},
		{NixEvents{}, "event names"},
		{MyEvents{UUID: "a b"}, "uuid"}, {MyEvents{Format: "x\n"}, "format"},
		{Filter{"", "x"}, "header"}, {Filter{"A B", "x"}, "header"}, {Filter{"A", ""}, "value"}, {Filter{"A", "b\nc"}, "value"},
		{Filter{"delete", "x"}, "header"}, {Filter{"ADD", "x y"}, "header"},
		{FilterDelete{}, "header"}, {FilterDelete{"A", "b\rc"}, "value"},
		{Linger{-1}, "linger time"}, {Linger{1 << 31}, "linger time"},
		{GetVar{""}, "variable name"}, {GetVar{"a b"}, "variable name"},
		{Log{8}, "log level"}, {Log{-1}, "log level"},
		{API{}, "api command"}, {API{Command: "a b"}, "api command"}, {API{"status", "\n"}, "api arguments"},
		{API{"reload", "mod_event_socket"}, "esl.API"}, {API{"uuid_setvar", "u x UNLOAD Mod_Event_Socket"}, "esl.API"},
		{BgAPI{}, "api command"}, {BgAPI{"status", "x\x00", ""}, "api arguments"}, {BgAPI{"status", "", "a b"}, "Job-UUID"},
		{BgAPI{"status", "", strings.Repeat("a", 37)}, "Job-UUID"}, {BgAPI{"status", "", "a\nb"}, "Job-UUID"},
		{SendEvent{}, "event name"}, {SendEvent{Name: "A B"}, "event name"}, {SendEvent{Name: "A", Body: "a\x00"}, "body"},
		{SendEvent{Name: "A", Headers: []Header{{"", "x"}}}, "header name"},
		{SendEvent{Name: "A", Headers: []Header{{"a:b", "x"}}}, "header name"},
		{SendEvent{Name: "A", Headers: []Header{{"a\n", "x"}}}, "header name"},
		{SendEvent{Name: "A", Headers: []Header{{"Content-Length", "1"}}}, "header name"},
		{SendEvent{Name: "A", Headers: []Header{{"Command[0]", "api shutdown"}}}, "header name"}, // would run it
		{SendEvent{Name: "A", Headers: []Header{{"COMMAND", ""}}}, "header name"},                // would end the connection
		{SendEvent{Name: "A", Headers: []Header{{"_body", "x"}}}, "header name"},
		{SendEvent{Name: "A", Headers: []Header{{"x", "a\r\nb: c"}}}, "x"},
		{SendEvent{Name: "A", Headers: []Header{{"x", "unload"}, {"y", "mod_event_socket"}}}, "esl.SendEvent"},
		{Execute{}, "execute-app-name"}, {Execute{App: "  "}, "execute-app-name"}, {Execute{App: "a\nb"}, "execute-app-name"},
		{Execute{App: "ARRAY::system"}, "execute-app-name"},
		{Execute{App: "set", Arg: "a\x00b"}, "argument of set"}, {Execute{App: "set", Arg: "a\n\x00b"}, "argument of set"},
		{Execute{App: "set", Channel: "a b"}, "channel"}, {Execute{App: "set", UUID: "a\nb"}, "Event-UUID"},
		{Execute{App: "set", UUID: "a b"}, "Event-UUID"}, {Execute{App: "set", UUID: "ARRAY::a"}, "Event-UUID"},
		{Execute{App: "set", Loops: -1}, "loops"}, {Execute{App: "set", Loops: 1 << 31}, "loops"},
		{Execute{App: "set", Arg: strings.Repeat("x", 10<<20)}, "esl.Execute"},
		{Hangup{Cause: "a\nb"}, "hangup-cause"}, {Hangup{Channel: "\n"}, "channel"},
		{Unicast{LocalPort: "1\n"}, "local-port"},
		{NoMedia{}, "nomedia-uuid"},
		{XferExt{}, "applications"}, {XferExt{Applications: []Application{{"a b", ""}}}, "application"},
		{XferExt{Applications: []Application{{"a", "b\nc"}}}, "argument of a"},
		{XferExt{Applications: []Application{{"set", "x=unload mod_event_socket"}}}, "esl.XferExt"},
	}
	for _, tt := range tests {
		got, err := AppendCommand([]byte("before"), tt.command)
		var ce *CommandError
		if !errors.As(err, &ce) {
			t.Errorf("%#.200v is sent: %.200q, %v", tt.command, got, err)
		} else if ce.Field != tt.field || ce.Reason == "" {
			t.Errorf("%#.200v: %v, want it to name %q", tt.command, err, tt.field)
		}
		if string(got) != "before" {
			t.Errorf("%#.200v: something was appended", tt.command)
		}
	}
}

func TestCommandErrorKeepsThePassword(t *testing.T) {
	if _, err := AppendCommand(nil, Auth{"secret\n"}); strings.Contains(err.Error(), "secret") {
		t.Error(err)
	}
}

// command makes one of every kind out of arbitrary parts, and what the switch should make of it.
func command(kind uint8, a, b, c, d string, n int, flag bool) (Command, packet) {
	spaced := func(parts ...string) string { return strings.Join(parts, " ") }
	onOff := map[bool]string{true: "on", false: "off"}
	message := func(channel string, headers ...Header) packet {
		p := packet{Command: "sendmsg", Headers: headers}
		if channel != "" {
			p.Command += " " + channel
		}
		return p
	}
	optional := func(headers []Header, name, value string) []Header {
		if value != "" {
			headers = append(headers, Header{name, value})
		}
		return headers
	}
	switch kind % 22 {
	case 0:
		return Auth{a}, packet{Command: "auth " + a}
	case 1:
		return UserAuth{a, b}, packet{Command: "userauth " + a + ":" + b}
	case 2:
		return Events{Format(a), []string{b, c}}, packet{Command: spaced("event", orPlain(a), b, c)}
	case 3:
		return NixEvents{[]string{a, b}}, packet{Command: spaced("nixevent", a, b)}
	case 4:
		want := "myevents"
		if a != "" {
			want += " " + a
		}
		if b != "" {
			want += " " + b
		}
		return MyEvents{a, Format(b)}, packet{Command: want}
	case 5:
		return DivertEvents{flag}, packet{Command: "divert_events " + onOff[flag]}
	case 6:
		return Filter{a, b}, packet{Command: spaced("filter", a, b)}
	case 7:
		want := spaced("filter delete", a)
		if b != "" {
			want += " " + b
		}
		return FilterDelete{a, b}, packet{Command: want}
	case 8:
		want := "linger"
		if n != 0 {
			want = fmt.Sprint("linger ", n)
		}
		return Linger{n}, packet{Command: want}
	case 9:
		return GetVar{a}, packet{Command: spaced("getvar", a)}
	case 10:
		return Log{n}, packet{Command: fmt.Sprint("log ", n)}
	case 11:
		want := spaced("api", a)
		if b != "" {
			want += " " + b
		}
		return API{a, b}, packet{Command: want}
	case 12:
		want := spaced("bgapi", a)
		if b != "" {
			want += " " + b
		}
		return BgAPI{a, b, c}, packet{Command: want, Headers: optional(nil, "Job-UUID", c)}
	case 13:
		p := packet{Command: spaced("sendevent", a), Headers: []Header{{b, strings.TrimLeft(c, " ")}}, Body: d}
		if d != "" {
			p.Headers = append(p.Headers, Header{"content-length", fmt.Sprint(len(d))})
		}
		return SendEvent{a, []Header{{b, c}}, d}, p
	case 14, 15, 16:
		p := message(c, Header{"call-command", "execute"}, Header{"execute-app-name", a})
		if n != 0 {
			p.Headers = append(p.Headers, Header{"loops", fmt.Sprint(n)})
		}
		if flag {
			p.Headers = append(p.Headers, Header{"event-lock", "true"})
		}
		p.Headers = optional(p.Headers, "Event-UUID", d)
		// Wherever it travels: TestExecuteSendsItsArgumentUnchanged says where.
		p.Body = b
		return Execute{a, b, c, d, n, flag}, p
	case 17:
		return Hangup{a, b}, message(a, optional([]Header{{"call-command", "hangup"}}, "hangup-cause", b)...)
	case 18:
		h := []Header{{"call-command", "unicast"}}
		for _, f := range []Header{{"local-ip", b}, {"local-port", c}, {"remote-ip", d}, {"remote-port", b}, {"transport", c}, {"flags", d}} {
			h = optional(h, f.Name, f.Value)
		}
		return Unicast{a, b, c, d, b, c, d}, message(a, h...)
	case 19:
		return NoMedia{a, b}, message(a, Header{"call-command", "nomedia"}, Header{"nomedia-uuid", b})
	case 20:
		first := b
		if c != "" {
			first += " " + c
		}
		return XferExt{a, []Application{{b, c}, {d, ""}}},
			message(a, Header{"call-command", "xferext"}, Header{"application", first}, Header{"application", d})
	default:
		all := []Command{Connect{}, Exit{}, NoEvents{}, NoLinger{}, Resume{}, NoLog{}}
		words := []string{"connect", "exit", "noevents", "nolinger", "resume", "nolog"}
		i := uint(n) % uint(len(all))
		return all[i], packet{Command: words[i]}
	}
}

func orPlain(format string) string {
	if format == "" {
		return "plain"
	}
	return format
}

// Whatever its parts hold, a command is refused or the switch reads exactly it, and no other
// after it.
func FuzzCommand(f *testing.F) {
	for kind := range uint8(22) {
		f.Add(kind, "u@b", "b", "c", "d", 1, true)
		f.Add(kind, "json", "a\n\nexit\n\n", "c\rd", "d\x00e", -1, false)
		f.Add(kind, "ARRAY::x", " lead", "Command[0]", "", 0, true)
		f.Add(kind, "unload", "mod_event_socket", "Content-Length ", "reload", 1<<40, false)
	}
	for _, name := range recordings(f) {
		for _, s := range recording(f, name) {
			if p, _, ok := readPacket(s.text); s.from == '>' && ok && strings.HasPrefix(p.Command, "sendmsg") {
				var app, arg, uuid string
				for _, h := range p.Headers {
					switch h.Name {
					case "execute-app-name":
						app = h.Value
					case "execute-app-arg":
						arg = h.Value
					case "Event-UUID":
						uuid = h.Value
					}
				}
				f.Add(uint8(14), app, arg+p.Body, "", uuid, 0, true)
			}
		}
	}
	f.Fuzz(func(t *testing.T, kind uint8, a, b, c, d string, n int, flag bool) {
		cmd, want := command(kind, a, b, c, d, n, flag)
		const before = "exit\n\n"
		wire, err := AppendCommand([]byte(before), cmd)
		if err != nil {
			if _, ok := err.(*CommandError); !ok || string(wire) != before {
				t.Fatalf("%#v: %T %v, and %q", cmd, err, err, wire)
			}
			return
		}
		got, rest, ok := readPacket(string(wire[len(before):]))
		if !ok || rest != "" {
			t.Fatalf("%#v is not one command: %q", cmd, wire)
		}
		if x, ok := cmd.(Execute); ok {
			var others []Header
			for _, h := range got.Headers {
				switch h {
				case Header{"content-type", "text/plain"}, Header{"content-length", fmt.Sprint(len(x.Arg))}:
					if got.Body == "" {
						t.Fatalf("%#v: %s without a body: %q", cmd, h.Name, wire)
					}
				default:
					if h.Name == "execute-app-arg" && got.Body == "" {
						got.Body = h.Value
						continue
					}
					others = append(others, h)
				}
			}
			got.Headers = others
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%#v is sent as %q (-want +got):\n%s", cmd, wire, diff)
		}
	})
}
