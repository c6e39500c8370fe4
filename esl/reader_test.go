package esl

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// A frame as a test compares it: Message with its bytes its own.
type frame struct {
	Kind       Kind
	Head, Body string
}

// readAll reads a stream to its end, and says how that end was.
func readAll(r *Reader) (all []frame, err error) {
	for {
		m, err := r.Next()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return all, err
		}
		all = append(all, frame{m.Kind, string(m.Head), m.Body})
	}
}

func TestReaderReadsEveryRecording(t *testing.T) {
	for _, name := range recordings(t) {
		t.Run(name, func(t *testing.T) {
			var want []frame
			for _, f := range frames(t, name) {
				head, body, _ := strings.Cut(f, "\n\n")
				w := frame{Head: head, Body: body}
				for line := range strings.SplitSeq(head, "\n") {
					if value, ok := strings.CutPrefix(line, "Content-Type: "); ok {
						w.Kind = kinds[value]
					}
				}
				if w.Kind == Unknown && f != "after blank\n\n" { // a piece of a getvar's answer, see docs/freeswitch.md
					t.Fatalf("a frame of no known kind: %q", f)
				}
				if w.Kind == EventPlain {
					w.Head = ""
				}
				want = append(want, w)
			}
			stream := strings.Join(frames(t, name), "")

			sources := map[string]io.Reader{
				"at once":      strings.NewReader(stream),
				"byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
				"in halves":    iotest.HalfReader(strings.NewReader(stream)),
				"end with data": iotest.DataErrReader(
					strings.NewReader(stream)),
			}
			for how, src := range sources {
				got, err := readAll(NewReader(src))
				if err != nil {
					t.Errorf("%s: %v", how, err)
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%s (-recorded +read):\n%s", how, diff)
				}
			}
		})
	}
}

// crlf gives a frame's lines CRLF ends, an event's own header lines too.
func crlf(f string) string {
	head, body, _ := strings.Cut(f, "\n\n")
	if strings.Contains(head, "text/event-plain") {
		inner, own, _ := strings.Cut(body, "\n\n")
		body = strings.ReplaceAll(inner, "\n", "\r\n") + "\r\n\r\n" + own
		var lines []string
		for line := range strings.SplitSeq(head, "\n") {
			if strings.HasPrefix(line, "Content-Length: ") {
				line = fmt.Sprint("Content-Length: ", len(body))
			}
			lines = append(lines, line)
		}
		head = strings.Join(lines, "\n")
	}
	return strings.ReplaceAll(head, "\n", "\r\n") + "\r\n\r\n" + body
}

func TestReaderToleratesCRLF(t *testing.T) {
	for _, name := range []string{"basic_async_full", "api_and_bgapi", "log_data", "errors_and_replies", "json_events"} {
		var stream strings.Builder
		for _, f := range frames(t, name) {
			stream.WriteString(crlf(f))
		}
		want := frames(t, name)
		for how, src := range map[string]io.Reader{
			"at once":      strings.NewReader(stream.String()),
			"byte by byte": iotest.OneByteReader(strings.NewReader(stream.String())),
		} {
			r := NewReader(src)
			for i, f := range want {
				lf, err := NewReader(strings.NewReader(f)).Next()
				if err != nil {
					t.Fatal(err)
				}
				m, err := r.Next()
				if err != nil {
					t.Fatalf("%s, %s: frame %d: %v", name, how, i, err)
				}
				if m.Kind != lf.Kind {
					t.Fatalf("%s, %s: frame %d is %s, want %s", name, how, i, m.Kind, lf.Kind)
				}
				switch m.Kind {
				case CommandReply, APIResponse:
					if a, b := reply(m), reply(lf); a.Text != b.Text {
						t.Errorf("%s, %s: frame %d: reply %q, want %q", name, how, i, a.Text, b.Text)
					}
				default:
					a, _ := event(m)
					b, _ := event(lf)
					if diff := cmp.Diff(headers(b), headers(a)); diff != "" || a.Name() != b.Name() || a.Body() != b.Body() {
						t.Errorf("%s, %s: frame %d (-LF +CRLF):\n%s", name, how, i, diff)
					}
				}
			}
			if _, err := r.Next(); err != io.EOF {
				t.Errorf("%s, %s: %v at the end, want EOF", name, how, err)
			}
		}
	}
}

func TestReaderRefusesWhatIsNoEventSocket(t *testing.T) {
	const reply = "Content-Type: command/reply\nReply-Text: +OK\n"
	random := make([]byte, 64<<10)
	for i, r := 0, rand.New(rand.NewPCG(1, 2)); i < len(random); i++ {
		random[i] = byte(r.IntN(255)) + 1
		if random[i] == '\n' {
			random[i] = '.'
		}
	}
	tests := []struct {
		name, stream string
		want         string // in the error's text; "unexpected EOF" for a stream that stops half-way
	}{
		{"a header that stops", "Content-Type: comm", "unexpected EOF"},
		{"a header without its blank line", reply, "unexpected EOF"},
		{"a header without its blank line, CRLF", strings.ReplaceAll(reply, "\n", "\r\n") + "\r", "unexpected EOF"},
		{"a body that stops", "Content-Type: api/response\nContent-Length: 10\n\nabc", "unexpected EOF"},
		{"a body that never comes", "Content-Type: api/response\nContent-Length: 16000000\n\n", "unexpected EOF"},
		{"a negative length", reply + "Content-Length: -1\n\n", `"-1", not a number`},
		{"a signed length", reply + "Content-Length: +5\n\nhello", `"+5", not a number`},
		{"an empty length", reply + "Content-Length: \n\n", "Content-Length is empty"},
		{"a length of spaces", reply + "Content-Length:    \n\n", "Content-Length is empty"},
		{"a length with a unit", reply + "Content-Length: 5 bytes\n\nhello", "not a number"},
		{"a hexadecimal length", reply + "Content-Length: 0x5\n\nhello", "not a number"},
		{"a length with a NUL", reply + "Content-Length: 5\x00\n\nhello", "not a number"},
		{"a length over the limit", reply + "Content-Length: 16777217\n\n", "over the limit of 16777216"},
		{"a length over an int", reply + "Content-Length: 99999999999999999999\n\n", "over the limit"},
		{"a length of a megabyte of digits", reply + "Content-Length: " + strings.Repeat("9", 1<<19) + "\n\n", "over the limit"},
		{"an event of no length", "Content-Type: text/event-plain\n\nEvent-Name: HEARTBEAT\n\n", "an event without Content-Length"},
		{"one line for ever", strings.Repeat("a", 10<<20), "a header block of more than 1048576 bytes"},
		{"lines for ever", strings.Repeat("Name: value\n", 1<<20), "a header block of more than 1048576 bytes"},
		{"NULs for ever", strings.Repeat("\x00", 2<<20), "a header block of more than 1048576 bytes"},
		{"carriage returns for ever", strings.Repeat("\r", 2<<20), "a header block of more than 1048576 bytes"},
		{"a TLS client", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + string(random[:500]), "unexpected EOF"},
		{"noise", string(random), "unexpected EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := readAll(NewReader(strings.NewReader(tt.stream)))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %q", err, tt.want)
			}
			var pe *ProtocolError
			if wantEOF := tt.want == "unexpected EOF"; wantEOF != errors.Is(err, io.ErrUnexpectedEOF) || wantEOF == errors.As(err, &pe) {
				t.Errorf("%v is a %T", err, err)
			}
			if len(err.Error()) > 200 {
				t.Errorf("the error repeats what came: %d bytes", len(err.Error()))
			}
		})
	}
}

func TestReaderTakesWhatIsOdd(t *testing.T) {
	tests := []struct {
		name, stream string
		want         []frame
	}{
		{"nothing", "", nil},
		{"blank lines", "\n\r\n\n\r\n", nil},
		{"blank lines between frames", "\n\nA: 1\n\n\r\n\nB: 2\n\n\n", []frame{{Head: "A: 1"}, {Head: "B: 2"}}},
		{"mixed line ends", "A: 1\r\nB: 2\n\r\nC: 3\r\n\n", []frame{{Head: "A: 1\r\nB: 2"}, {Head: "C: 3"}}},
		{"an HTTP client", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", []frame{{Head: "GET / HTTP/1.1\r\nHost: x"}}},
		{"the first length counts", "Content-Type: api/response\nContent-Length: 2\nContent-Length: 5\n\nhiA: 1\n\n",
			[]frame{{APIResponse, "Content-Type: api/response\nContent-Length: 2\nContent-Length: 5", "hi"}, {Head: "A: 1"}}},
		{"leading zeros", "Content-Type: api/response\nContent-Length: 0002\n\nhi",
			[]frame{{APIResponse, "Content-Type: api/response\nContent-Length: 0002", "hi"}}},
		{"an empty body", "Content-Type: api/response\nContent-Length: 0\n\nA: 1\n\n",
			[]frame{{APIResponse, "Content-Type: api/response\nContent-Length: 0", ""}, {Head: "A: 1"}}},
		{"a name that only ends so", "X-Content-Length: 5\nContent-LengthX: 5\n\nA: 1\n\n",
			[]frame{{Head: "X-Content-Length: 5\nContent-LengthX: 5"}, {Head: "A: 1"}}},
		{"a body of blank lines and NULs", "Content-Type: api/response\nContent-Length: 5\n\n\n\n\x00\r\n",
			[]frame{{APIResponse, "Content-Type: api/response\nContent-Length: 5", "\n\n\x00\r\n"}}},
		{"an unknown type", "Content-Type: text/new\nContent-Length: 2\n\nhi",
			[]frame{{Unknown, "Content-Type: text/new\nContent-Length: 2", "hi"}}},
	}
	for _, tt := range tests {
		for how, src := range map[string]io.Reader{
			"at once":      strings.NewReader(tt.stream),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tt.stream)),
		} {
			got, err := readAll(NewReader(src))
			if err != nil {
				t.Errorf("%s, %s: %v", tt.name, how, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tt.name, how, diff)
			}
		}
	}
}

// The head of a message whose body did not fit into the buffer any more must not be
// overwritten by it.
func TestReaderKeepsTheHeadOfALongBody(t *testing.T) {
	body := strings.Repeat("x", 300<<10)
	stream := fmt.Sprintf("Content-Type: log/data\nContent-Length: %d\nLog-Level: 7\n\n%sA: 1\n\n", len(body), body)
	got, err := readAll(NewReader(strings.NewReader(stream)))
	if err != nil {
		t.Fatal(err)
	}
	want := []frame{{LogData, fmt.Sprintf("Content-Type: log/data\nContent-Length: %d\nLog-Level: 7", len(body)), body}, {Head: "A: 1"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestReaderHoldsItsLimits(t *testing.T) {
	head := func(n int) string { return strings.Repeat("a", n) + "\n\n" }
	body := func(n int) string {
		return fmt.Sprintf("Content-Type: log/data\nContent-Length: %d\n\n%s", n, strings.Repeat("b", n))
	}
	tests := []struct {
		stream string
		ok     bool
	}{
		{head(100), true}, {head(101), false}, {strings.Replace(head(100), "\n\n", "\r\n\r\n", 1), true},
		{body(50), true}, {body(51), false},
		{head(5000), false},
	}
	for _, tt := range tests {
		for how, src := range map[string]io.Reader{
			"at once":      strings.NewReader(tt.stream),
			"byte by byte": iotest.OneByteReader(strings.NewReader(tt.stream)),
		} {
			r := &Reader{MaxHeader: 100, MaxBody: 50, src: src}
			_, err := readAll(r)
			var pe *ProtocolError
			if tt.ok && err != nil || !tt.ok && !errors.As(err, &pe) {
				t.Errorf("%.30q… of %d bytes, %s: %v", tt.stream, len(tt.stream), how, err)
			}
		}
	}
}

// A promise of bytes is not memory: only what comes is.
func TestReaderAllocatesWhatComesNotWhatIsPromised(t *testing.T) {
	const promise = "Content-Type: text/event-plain\nContent-Length: 16777216\n\nEvent-Name: "
	allocated := func(stream string) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		NewReader(strings.NewReader(stream)).Next()
		runtime.ReadMemStats(&after)
		return after.TotalAlloc - before.TotalAlloc
	}
	if n := allocated(promise); n > 128<<10 {
		t.Errorf("%d bytes allocated for %d that came", n, len(promise))
	}
	if n := allocated(strings.Repeat("a", 64<<10)); n > 512<<10 {
		t.Errorf("%d bytes allocated for a line of 64 KB", n)
	}
}

// A line that trickles in is looked through once, not again for every byte.
func TestReaderTakesLinearTime(t *testing.T) {
	line := strings.Repeat("a", 2<<20)
	r := &Reader{MaxHeader: len(line), src: iotest.OneByteReader(strings.NewReader(line + "\n\n"))}
	start := time.Now()
	m, err := r.Next()
	if err != nil || string(m.Head) != line {
		t.Errorf("%d bytes, %v", len(m.Head), err)
	}
	if took := time.Since(start); took > 10*time.Second { // 0.1 s; where it is quadratic, minutes
		t.Errorf("%d single bytes took %v", len(line), took)
	}
}

func TestReaderGivesUpOnASourceThatGivesNothing(t *testing.T) {
	if _, err := NewReader(idle{}).Next(); err != io.ErrNoProgress {
		t.Errorf("%v, want io.ErrNoProgress", err)
	}
	broken := errors.New("broken")
	if _, err := NewReader(iotest.ErrReader(broken)).Next(); err != broken {
		t.Errorf("%v, want the source's error", err)
	}
}

type idle struct{}

func (idle) Read([]byte) (int, error) { return 0, nil }

// chunks hands out its bytes in pieces whose lengths follow from seed.
type chunks struct {
	data string
	rand *rand.Rand
}

func (c *chunks) Read(p []byte) (int, error) {
	if c.data == "" {
		return 0, io.EOF
	}
	n := min(len(p), len(c.data), 1+c.rand.IntN(40))
	copy(p, c.data[:n])
	c.data = c.data[n:]
	return n, nil
}

func FuzzReader(f *testing.F) {
	for _, name := range recordings(f) {
		all := frames(f, name)
		f.Add([]byte(strings.Join(all[:min(len(all), 8)], "")), uint64(len(name)), 4000, 8000)
		f.Add([]byte(crlf(all[len(all)-1])), uint64(len(name)), 100, 100)
	}
	for _, s := range []string{"\n\r\n\r\r\n", "A\n\r", "Content-Length: 3\r\n\r\nab", "Content-Length: 1\n\nxContent-Length: 1\n\ny"} {
		f.Add([]byte(s), uint64(7), 0, 0)
	}
	f.Fuzz(func(t *testing.T, data []byte, seed uint64, maxHeader, maxBody int) {
		maxHeader, maxBody = maxHeader%10_000, maxBody%10_000
		read := func(src io.Reader) ([]frame, string) {
			r := &Reader{MaxHeader: maxHeader, MaxBody: maxBody, src: src}
			all, err := readAll(r)
			if err == nil {
				return all, "EOF"
			}
			if pe, ok := errors.AsType[*ProtocolError](err); !ok && err != io.ErrUnexpectedEOF {
				t.Fatalf("%T %v", err, err)
			} else if ok && pe.Reason == "" {
				t.Fatal("a ProtocolError without a reason")
			}
			return all, err.Error()
		}
		all, end := read(bytes.NewReader(data))
		total := 0
		for _, m := range all {
			total += len(m.Head) + len(m.Body)
			if maxHeader > 0 && len(m.Head) > maxHeader || maxBody > 0 && len(m.Body) > maxBody {
				t.Fatalf("a message over the limits %d, %d: %q", maxHeader, maxBody, m)
			}
			if strings.Contains(m.Head, "\n\n") || strings.Contains(m.Head, "\n\r\n") {
				t.Fatalf("a blank line in a header block: %q", m.Head)
			}
		}
		if total > len(data) {
			t.Fatalf("%d bytes out of %d", total, len(data))
		}
		// However the bytes are cut, they mean the same.
		for _, src := range []io.Reader{
			iotest.OneByteReader(bytes.NewReader(data)),
			iotest.DataErrReader(bytes.NewReader(data)),
			&chunks{string(data), rand.New(rand.NewPCG(seed, 1))},
		} {
			again, endAgain := read(src)
			if diff := cmp.Diff(all, again); diff != "" || end != endAgain {
				t.Fatalf("%s, then %s:\n%s", end, endAgain, diff)
			}
		}
	})
}
