package simulator

import (
	"bytes"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"
)

// An item is one entry of a recorded conversation.
type item struct {
	kind byte // '<' from the switch, '>' to it, '#' a comment
	at   time.Duration
	data string
}

const transcripts = "../esl/testdata/transcripts"

var itemLine = regexp.MustCompile(`^([<>]) (\d+) (\d+)$`)

func readTranscript(t *testing.T, name string) []item {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(transcripts, name+".esl"))
	if err != nil {
		t.Fatal(err)
	}
	var items []item
	for len(data) > 0 {
		line, rest, _ := bytes.Cut(data, []byte{'\n'})
		if line[0] == '#' {
			items = append(items, item{kind: '#', data: string(line)})
			data = rest
			continue
		}
		m := itemLine.FindSubmatch(line)
		if m == nil {
			t.Fatalf("%s: not a line of a recording: %q", name, line)
		}
		ms, _ := strconv.Atoi(string(m[2]))
		n, _ := strconv.Atoi(string(m[3]))
		items = append(items, item{m[1][0], time.Duration(ms) * time.Millisecond, string(rest[:n])})
		data = rest[n+1:]
	}
	return items
}

// A header of a frame, its value decoded if the frame's format encodes it.
type header struct{ name, value string }

// parseFrame turns a frame into one list of headers: those of the frame, then
// those of the event in it, whatever its format, then the body.
func parseFrame(t *testing.T, frame string) []header {
	t.Helper()
	head, body, _ := strings.Cut(frame, "\n\n")
	encoded := strings.HasPrefix(head, "Event-Name: CHANNEL_DATA")
	headers := parseHeaders(head, encoded)
	contentType := get(headers, "Content-Type")
	if encoded {
		contentType = "connect"
	}
	switch contentType {
	case "text/event-plain":
		head, body, _ = strings.Cut(body, "\n\n")
		headers = append(headers, parseHeaders(head, true)...)
	case "text/event-json":
		for _, m := range jsonMember.FindAllStringSubmatch(body, -1) {
			value, err := strconv.Unquote(m[2])
			if err != nil {
				t.Fatalf("json member %s: %v", m[0], err)
			}
			headers = append(headers, header{m[1], value})
		}
		body = ""
	case "text/event-xml":
		for _, m := range xmlElement.FindAllStringSubmatch(body, -1) {
			value, err := url.PathUnescape(m[2])
			if err != nil {
				t.Fatalf("xml element %s: %v", m[0], err)
			}
			headers = append(headers, header{m[1], value})
		}
		body = ""
	}
	if body != "" {
		headers = append(headers, header{"(body)", body})
	}
	return headers
}

var (
	jsonMember = regexp.MustCompile(`"([^"]+)":("(?:[^"\\]|\\.)*")`)
	xmlElement = regexp.MustCompile(`<([A-Za-z][^>]*)>([^<]*)</`)
)

func parseHeaders(block string, encoded bool) []header {
	var headers []header
	for line := range strings.SplitSeq(block, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		if !ok && line == "" {
			continue
		}
		if encoded {
			value = unescape(value)
		}
		headers = append(headers, header{name, value})
	}
	return headers
}

func get(headers []header, name string) string {
	for _, h := range headers {
		if h.name == name {
			return h.value
		}
	}
	return ""
}

// A peer is the server's end of a connection to the simulator, on a virtual clock.
type peer struct {
	t     *testing.T
	clock *VirtualClock
	conn  *pipeEnd
	buf   []byte
}

// fill takes what has arrived; it reports whether anything had.
func (p *peer) fill() bool {
	in := p.conn.in
	in.mu.Lock()
	defer in.mu.Unlock()
	n := len(in.data) - in.start
	p.buf = append(p.buf, in.data[in.start:]...)
	in.data, in.start = in.data[:0], 0
	return n > 0
}

func (p *peer) ended() bool {
	in := p.conn.in
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.closed && in.start == len(in.data) && len(p.buf) == 0
}

var contentLength = regexp.MustCompile(`(?m)^Content-Length: (\d+)$`)

// next returns the next frame that is there already, "" if none is. A reply to
// getvar whose value holds an empty line comes in two, as on the wire.
func (p *peer) next() string {
	p.fill()
	end := bytes.Index(p.buf, []byte("\n\n"))
	if end < 0 {
		return ""
	}
	n := end + 2
	head := string(p.buf[:n])
	if m := contentLength.FindStringSubmatch(head); m != nil && !strings.HasPrefix(head, "Event-Name: CHANNEL_DATA") {
		length, _ := strconv.Atoi(m[1])
		n += length
	}
	if len(p.buf) < n {
		return ""
	}
	frame := string(p.buf[:n])
	p.buf = p.buf[n:]
	return frame
}

// await lets time pass until a frame comes, for at most limit.
func (p *peer) await(limit time.Duration) string {
	end := p.clock.Now().Add(limit)
	for {
		p.clock.Wait()
		if frame := p.next(); frame != "" {
			return frame
		}
		if !p.clock.Step(end.Sub(p.clock.Now())) {
			p.clock.Wait()
			return p.next()
		}
	}
}

func (p *peer) send(data string) {
	p.t.Helper()
	if _, err := p.conn.Write([]byte(data)); err != nil {
		p.t.Logf("writing %q: %v", data, err)
	}
	p.clock.Wait()
}

// volatile are the headers whose values differ from call to call. All others
// must be the recorded ones, in the recorded order.
var volatile = regexp.MustCompile(`^(Core-UUID|Event-Date-.*|Event-Sequence|Content-Length|` +
	`(Channel|Caller|Other-Leg)-.*-Time|(Channel|Caller|Other-Leg)-Transfer-Source|Application-UUID|` +
	`variable_(session_id|.*_(u?epoch|stamp)|.*(duration|sec|msec|usec)|other_loopback_leg_uuid))$`)

var uuidPattern = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// A comparison compares frames, keeping a one-to-one mapping between the
// UUIDs of the recording and those of the simulator.
type comparison struct {
	t        *testing.T
	deviates func(event string, h header) bool // a deliberate deviation: the header is not compared
	theirs   map[string]string
	ours     map[string]string
}

func (c *comparison) uuids(want, got string) string {
	ours := uuidPattern.FindAllString(got, -1)
	i := 0
	return uuidPattern.ReplaceAllStringFunc(want, func(theirs string) string {
		if i >= len(ours) {
			return theirs
		}
		mine := ours[i]
		i++
		if known, ok := c.theirs[theirs]; ok {
			return known
		}
		if c.ours[mine] != "" {
			return theirs // taken by another: a difference
		}
		c.theirs[theirs], c.ours[mine] = mine, theirs
		return mine
	})
}

// diff lists what differs between a recorded and a simulated frame.
func (c *comparison) diff(want, got []header) []string {
	event := get(want, "Event-Name")
	keep := func(headers []header) []header {
		var kept []header
		for _, h := range headers {
			if c.deviates == nil || !c.deviates(event, h) {
				kept = append(kept, h)
			}
		}
		return kept
	}
	want, got = keep(want), keep(got)
	var out []string
	for i := 0; i < max(len(want), len(got)); i++ {
		switch {
		case i >= len(got):
			out = append(out, fmt.Sprintf("missing %s: %q", want[i].name, want[i].value))
			continue
		case i >= len(want):
			out = append(out, fmt.Sprintf("unexpected %s: %q", got[i].name, got[i].value))
			continue
		}
		w, g := want[i], got[i]
		if w.name != g.name {
			out = append(out, fmt.Sprintf("header %d is %s: %q, recorded %s: %q", i, g.name, g.value, w.name, w.value))
			break
		}
		value := c.uuids(w.value, g.value)
		if volatile.MatchString(w.name) {
			continue
		}
		if value != g.value && !near(header{w.name, value}, g, want) {
			out = append(out, fmt.Sprintf("%s is %q, recorded %q", g.name, g.value, w.value))
		}
	}
	return out
}

var epochPrefix = regexp.MustCompile(`^\d{10}:`)

// near reports whether two values differ only in what chance decides: the time
// of a transfer, and the frame in which something was broken off.
func near(want, got header, event []header) bool {
	if epochPrefix.ReplaceAllString(want.value, "") == epochPrefix.ReplaceAllString(got.value, "") {
		return true
	}
	if want.name == "variable_playback_last_offset_pos" && want.value != get(event, "variable_playback_samples") {
		return abs(atoi(want.value)-atoi(got.value)) <= 5*160
	}
	return false
}

func abs(n int) int { return max(n, -n) }

func describe(frame []header) string {
	out := get(frame, "Content-Type")
	for _, name := range []string{"Event-Name", "Reply-Text", "Application", "Content-Disposition", "DTMF-Digit", "Unique-ID"} {
		if v := get(frame, name); v != "" {
			out += " " + v
		}
	}
	return out
}

// A replay is how a recording is played against the simulator.
type replay struct {
	name string
	// prepare adjusts the switch and the call.
	prepare func(s *Switch, in *Invite)
	// skip are recorded frames that the simulator deliberately does not send.
	skip func(frame []header) bool
	// deviates are headers it deliberately does not have, or has otherwise.
	deviates func(event string, h header) bool
}

func TestRecordings(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(transcripts, "*.esl"))
	if err != nil || len(files) == 0 {
		t.Fatal("no recordings", err)
	}
	special := make(map[string]replay)
	for _, r := range replays {
		special[r.name] = r
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".esl")
		r := special[name]
		r.name = name
		delete(special, name)
		t.Run(name, func(t *testing.T) { r.run(t) })
	}
	for name := range special {
		t.Errorf("no recording %s", name)
	}
}

var fsCommand = regexp.MustCompile(`^# (\d+) fs (.*)$`)
var fsReply = regexp.MustCompile(`^# \d+    -> (.*)$`)

func (r replay) run(t *testing.T) {
	items := readTranscript(t, r.name)
	clock := NewVirtualClock()
	s := &Switch{Clock: clock, Tick: 20 * time.Millisecond}
	in := inviteFrom(t, items)
	if r.prepare != nil {
		r.prepare(s, &in)
	}
	ours, theirs := Pipe()
	in.Conn = theirs
	call, err := s.Call(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &peer{t: t, clock: clock, conn: ours.(*pipeEnd)}
	clock.Wait()

	c := &comparison{t: t, deviates: r.deviates, theirs: map[string]string{in.UUID: call.UUID}, ours: map[string]string{call.UUID: in.UUID}}
	recorded, simulated := time.Duration(0), clock.Now() // the last moment known on both sides
	until := func(at time.Duration) {
		if d := simulated.Add(at - recorded).Sub(clock.Now()); d > 0 {
			clock.Advance(d)
		}
	}
	answer := ""
	for i, it := range items {
		if t.Failed() {
			return
		}
		switch it.kind {
		case '>':
			until(it.at)
			p.send(it.data)
		case '<':
			want := parseFrame(t, it.data)
			if r.skip != nil && r.skip(want) {
				continue
			}
			frame := p.await(10 * time.Second)
			if frame == "" {
				t.Fatalf("item %d at %v: nothing came; recorded %s", i, it.at, describe(want))
			}
			until(it.at)
			recorded, simulated = it.at, clock.Now()
			got := parseFrame(t, frame)
			if diff := c.diff(want, got); len(diff) > 0 {
				t.Errorf("item %d at %v: %s\nrecorded %s\n  %s", i, it.at, describe(got), describe(want), strings.Join(diff, "\n  "))
			}
		case '#':
			if m := fsCommand.FindStringSubmatch(it.data); m != nil {
				ms, _ := strconv.Atoi(m[1])
				until(time.Duration(ms) * time.Millisecond)
				answer, err = s.Execute(t.Context(), strings.ReplaceAll(m[2], "{uuid}", call.UUID))
				if err != nil {
					t.Error(err)
				}
				clock.Wait()
			} else if m := fsReply.FindStringSubmatch(it.data); m != nil && strings.TrimSpace(answer) != strings.ReplaceAll(m[1], in.UUID, call.UUID) {
				t.Errorf("the switch answered %q, recorded %q", answer, m[1])
			} else if m := strings.TrimPrefix(it.data, "# end "); m != it.data {
				ms, _ := strconv.Atoi(m)
				until(time.Duration(ms) * time.Millisecond)
				if frame := p.next(); frame != "" {
					t.Errorf("more came than was recorded: %s", describe(parseFrame(t, frame)))
				}
			}
		}
	}
	last := items[len(items)-2]
	for i := len(items) - 1; items[i].kind != '<'; i-- {
		last = items[i-1]
	}
	if strings.Contains(last.data, "Content-Disposition: disconnect") && !p.ended() {
		t.Error("the connection is open behind the disconnect notice")
	}
}

// inviteFrom makes the call of a recording: what the answer to connect says of it.
func inviteFrom(t *testing.T, items []item) Invite {
	t.Helper()
	var data []header
	for _, it := range items {
		if it.kind == '<' {
			data = parseFrame(t, it.data)
			break
		}
	}
	in := Invite{
		UUID:         get(data, "Unique-ID"),
		CallerName:   get(data, "Caller-Caller-ID-Name"),
		CallerNumber: get(data, "Caller-Caller-ID-Number"),
		Destination:  get(data, "Caller-Destination-Number"),
		Context:      get(data, "Caller-Context"),
		ChannelName:  get(data, "Channel-Name"),
		SIP:          get(data, "Caller-Source") == "mod_sofia",
		Socket:       get(data, "variable_current_application_data"),
	}
	// The variables that are neither the simulator's own nor the socket application's.
	own := map[string]bool{"direction": true, "uuid": true, "session_id": true, "channel_name": true, "read_codec": true,
		"read_rate": true, "write_codec": true, "write_rate": true, "origination_caller_id_number": true,
		"origination_caller_id_name": true, "other_loopback_leg_uuid": true, "loopback_leg": true, "call_uuid": true,
		"current_application_data": true, "current_application": true, "socket_host": true, "socket_path": true}
	if in.SIP {
		own["channel_name"] = false
	}
	for _, h := range data {
		if name, ok := strings.CutPrefix(h.name, "variable_"); ok && !own[name] {
			in.Variables = append(in.Variables, Variable{name, h.value})
		}
	}
	if in.SIP {
		in.MediaVariables = mediaVariables(t, items)
	}
	return in
}

// mediaVariables are those that a recorded SIP channel got with its media.
func mediaVariables(t *testing.T, items []item) (list []Variable) {
	for _, it := range items {
		if it.kind != '<' || !strings.Contains(it.data, "CHANNEL_PROGRESS_MEDIA") {
			continue
		}
		behind := false
		for _, h := range parseFrame(t, it.data) {
			name, ok := strings.CutPrefix(h.name, "variable_")
			if behind && ok && name != "endpoint_disposition" {
				list = append(list, Variable{name, h.value})
			}
			behind = behind || name == "current_application"
		}
	}
	return list
}

// replays are the recordings that need to be set up, and what the simulator
// deliberately does otherwise, each with its reason.
var replays = []replay{
	{
		name: "api_and_bgapi",
		// What "status" prints is this switch's.
		deviates: func(_ string, h header) bool { return h.name == "(body)" && strings.HasPrefix(h.value, "UP 0 years") },
	},
	{name: "bridge_answered", prepare: dials("loopback/9112/default", Answers(0, 1530*time.Millisecond))},
	{name: "bridge_aleg_hangs_up", prepare: dials("loopback/9004/default", Answers(0, 0))},
	{name: "bridge_bad_endpoint", prepare: dials("user/9999@nowhere", Refuses("SUBSCRIBER_ABSENT", 0))},
	{name: "bridge_busy", prepare: dials("loopback/9110/default", Refuses("USER_BUSY", 0))},
	{name: "bridge_no_answer", prepare: dials("loopback/9111/default", NoAnswer())},
	{name: "conference", skip: ofCallingLeg},
	{
		name:    "expansion",
		prepare: func(s *Switch, _ *Invite) { s.NoticeFirst = true },
	},
	{name: "expansion2", prepare: noSounds},
	{
		name: "originate_second_leg",
		// The other end of the loopback that was dialled does not exist either:
		// the simulator's legs are answered by nobody in particular.
		skip: func(frame []header) bool {
			return ofCallingLeg(frame) || get(frame, "variable_channel_name") == "loopback/9112-b"
		},
		// The caller ids that the switch turns round on an outgoing leg, and the
		// order of its variables, are not simulated.
		deviates: func(_ string, h header) bool { return !meaning[h.name] },
	},
	{
		name: "sip_basic",
		// What the SIP stack and RTP tell of themselves is not simulated.
		deviates: func(_ string, h header) bool { return sipOnly.MatchString(h.name) },
	},
	{
		name: "transfer_away",
		prepare: func(s *Switch, _ *Invite) {
			s.Dialplan = func(string, string, string) ([]Action, bool) {
				return []Action{{"answer", ""}, {"playback", "silence_stream://1500"}, {"hangup", "NORMAL_CLEARING"}}, true
			}
		},
	},
}

var sipOnly = regexp.MustCompile(`^variable_(rtp_local_sdp_str|sip_(to_tag|from_tag|cseq|call_id|full_.*|hangup_disposition)|rtp_audio_(in|out|rtcp)_.*)$`)

// meaning are the headers that programs decide on.
var meaning = func() map[string]bool {
	set := make(map[string]bool)
	for _, name := range strings.Fields(`Content-Type Content-Disposition Reply-Text Job-UUID Job-Owner-UUID Job-Command
		Job-Command-Arg (body) Event-Name Event-Subclass Unique-ID Other-Leg-Unique-ID Channel-Name Channel-State
		Channel-State-Number Channel-Call-State Answer-State Call-Direction Hangup-Cause Application Application-Data
		Application-Response Application-UUID DTMF-Digit variable_current_application variable_bridge_uuid
		variable_signal_bond variable_uuid_bridge variable_bridge_to variable_last_bridge_to variable_last_bridge_role
		variable_endpoint_disposition variable_current_loop variable_total_loops variable_uuid`) {
		set[name] = true
	}
	return set
}()

func dials(to string, b Behaviour) func(*Switch, *Invite) {
	return func(s *Switch, _ *Invite) { s.Endpoints = []Endpoint{{to, b}} }
}

func noSounds(s *Switch, _ *Invite) {
	s.Sounds = func(string) (time.Duration, bool) { return 0, false }
}

// ofCallingLeg recognises what belongs to the other end of the loopback that
// the recorded calls came from. The simulator's calls come from outside.
func ofCallingLeg(frame []header) bool {
	return get(frame, "variable_channel_name") == "loopback/9000-a" || get(frame, "Event-Calling-Function") == "bgapi_exec"
}

var _ net.Conn = (*pipeEnd)(nil)
