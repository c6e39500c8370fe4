package esl

import (
	"encoding/json"
	"fmt"
	"html"
	"iter"
	"slices"
	"strings"
)

// An Event is what came from the switch unasked: an event of a channel or of
// the switch, a line of its log, or a notice that the connection ends. The reply to
// connect is one too. It is immutable and may be kept and shared.
//
// Headers keep their names and order; values are decoded when asked for.
type Event struct {
	kind Kind
	name string
	raw  bool   // values are not encoded (log lines and notices)
	head string // the header lines
	body string
}

// Kind is EventPlain for every event of whatever format, LogData for a line of
// the log, DisconnectNotice for a notice.
func (e *Event) Kind() Kind { return e.kind }

// Name is the event's name, such as CHANNEL_ANSWER, or "" for a log line or a notice.
func (e *Event) Name() string { return e.name }

// setName finds the name once: everybody asks for it. The switch writes it first.
func (e *Event) setName() {
	if strings.HasPrefix(e.head, "Event-Name:") {
		e.name = e.value(len("Event-Name:"))
	} else {
		e.name = e.Get("Event-Name")
	}
}

// UUID is the channel's Unique-ID, or "".
func (e *Event) UUID() string { return e.Get("Unique-ID") }

// Body is the event's own body: a background job's output, a log line.
func (e *Event) Body() string { return e.body }

// Get is the decoded value of a header, or "" where there is none.
func (e *Event) Get(name string) string {
	v, _ := e.Lookup(name)
	return v
}

// Lookup is the decoded value of a header, and whether there is one. The switch always
// writes a name alike, so case counts.
func (e *Event) Lookup(name string) (string, bool) { return e.lookup("", name) }

// Values are the decoded values of several headers, found in one pass; "" where there is none.
func (e *Event) Values(names ...string) []string {
	values := make([]string, len(names))
	missing := len(names)
	for at := 0; at < len(e.head) && missing > 0; {
		line := e.head[at:]
		for i, n := range names {
			if len(line) > len(n) && line[len(n)] == ':' && values[i] == "" && line[:len(n)] == n {
				values[i] = e.value(at + len(n) + 1)
				missing--
			}
		}
		end := strings.IndexByte(line, '\n')
		if end < 0 {
			break
		}
		at += end + 1
	}
	return values
}

// Variable is the value of a channel variable as the event shows it, and
// whether it is set. The switch does not encode a percent sign that two
// upper-case hexadecimal digits follow (recording body_arguments), so such a
// value comes out decoded once too often; "api uuid_getvar" answers it exactly.
func (e *Event) Variable(name string) (string, bool) { return e.lookup("variable_", name) }

// VariableFold is Variable for a name in whatever case, as the switch itself looks them up.
func (e *Event) VariableFold(name string) (string, bool) {
	if v, ok := e.Variable(name); ok || name == "" {
		return v, ok
	}
	const prefix = "variable_"
	n := len(prefix) + len(name)
	for at := 0; at+n < len(e.head); {
		line := e.head[at:]
		if line[n] == ':' && line[:len(prefix)] == prefix && strings.EqualFold(line[len(prefix):n], name) {
			return e.value(at + n + 1), true
		}
		end := strings.IndexByte(line, '\n')
		if end < 0 {
			break
		}
		at += end + 1
	}
	return "", false
}

func (e *Event) lookup(prefix, name string) (string, bool) {
	if name == "" || strings.IndexByte(name, ':') >= 0 || strings.IndexByte(name, '\n') >= 0 {
		return "", false
	}
	// What an event tells of an application stands at its end, behind some hundred others.
	if i := len(e.head) - 600; i > 0 && strings.HasPrefix(name, "Application") && prefix == "" {
		if at := e.find(i, prefix, name); at >= 0 {
			return e.value(at), true
		}
	}
	if at := e.find(0, prefix, name); at >= 0 {
		return e.value(at), true
	}
	return "", false
}

// find is where the value of a header starts, looking from an offset on, or -1.
func (e *Event) find(from int, prefix, name string) int {
	for at := from; ; {
		i := strings.Index(e.head[at:], name)
		if i < 0 {
			return -1
		}
		i += at
		at = i + 1
		start, end := i-len(prefix), i+len(name)
		if start >= 0 && e.head[start:i] == prefix && (start == 0 || e.head[start-1] == '\n') && end < len(e.head) && e.head[end] == ':' {
			return end + 1
		}
	}
}

// All are the headers in their order, values decoded.
func (e *Event) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, value := range e.lines() {
			if !yield(name, e.value(value)) {
				return
			}
		}
	}
}

// HasVariables reports whether the event shows the channel's variables: those such as DTMF and
// CHANNEL_STATE do not (recording dtmf_events).
func (e *Event) HasVariables() bool { return strings.Contains(e.head, "\nvariable_") }

// Variables are the channel's variables in their order, without the prefix
// "variable_".
func (e *Event) Variables() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, value := range e.lines() {
			if name, ok := strings.CutPrefix(name, "variable_"); ok && !yield(name, e.value(value)) {
				return
			}
		}
	}
}

// lines are the headers' names, and where in head their values start.
func (e *Event) lines() iter.Seq2[string, int] {
	return func(yield func(string, int) bool) {
		for at := 0; at < len(e.head); {
			end := strings.IndexByte(e.head[at:], '\n')
			if end < 0 {
				end = len(e.head) - at
			}
			if i := strings.IndexByte(e.head[at:at+end], ':'); i >= 0 && !yield(e.head[at:at+i], at+i+1) {
				return
			}
			at += end + 1
		}
	}
}

func (e *Event) value(at int) string {
	v := e.head[at:]
	if i := strings.IndexByte(v, '\n'); i >= 0 {
		v = v[:i]
	}
	v = strings.TrimSuffix(strings.TrimPrefix(v, " "), "\r")
	if e.raw {
		return v
	}
	return unescape(v)
}

// Size is how many bytes the event holds.
func (e *Event) Size() int { return len(e.head) + len(e.body) }

// String is the event as it would be in the plain format.
func (e *Event) String() string { return e.head + "\n\n" + e.body }

// NewEvent makes an event from the text of a plain one: header lines with
// encoded values, then, after a blank line, a body.
func NewEvent(text string) *Event {
	if head, ok := completionHead(text); ok {
		return newEvent(head, "")
	}
	// The inner Content-Length says how long the body is; the frame around it
	// says so already, so the blank line is enough.
	head, body := text, ""
	if i := strings.Index(text, "\n\n"); i >= 0 {
		head, body = text[:i+1], text[i+2:]
	}
	if strings.IndexByte(head, '\r') >= 0 {
		if i := strings.Index(head, "\n\r\n"); i >= 0 {
			head, body = text[:i], text[i+3:]
		}
	}
	return newEvent(strings.TrimRight(head, "\r\n"), body)
}

func newEvent(head, body string) *Event {
	e := &Event{kind: EventPlain, head: head, body: body}
	e.setName()
	return e
}

// completionHead knows the event that calls mostly get by its beginning and its end, and spares it
// the search for a body, which it never has.
func completionHead(text string) (head string, ok bool) {
	head, ok = strings.CutSuffix(text, "\n\n")
	if !ok || !strings.HasPrefix(head, "Event-Name: CHANNEL_EXECUTE_COMPLETE\n") {
		return "", false
	}
	last := head[strings.LastIndexByte(head, '\n')+1:]
	return head, strings.HasPrefix(last, "Application-UUID: ") && last[len(last)-1] != '\r'
}

// event makes the Event of a message that is one.
func event(m Message) (*Event, error) {
	switch m.Kind {
	case EventPlain:
		return NewEvent(m.Body), nil
	case EventJSON:
		return eventFromJSON(m.Body)
	case EventXML:
		return eventFromXML(m.Body)
	case LogData, DisconnectNotice, RudeRejection, AuthRequest:
		return &Event{kind: m.Kind, raw: true, head: string(m.Head), body: m.Body}, nil
	}
	return nil, protocolError("a message of type %s is no event", m.Kind)
}

// eventFromJSON reads the JSON format: one object, its members in the order of the
// headers, arrays for variables of several values, "_body" for the body
// (recording json_events). What is not UTF-8 in it cannot be told any more.
func eventFromJSON(text string) (*Event, error) {
	bad := func(err error) (*Event, error) {
		return nil, protocolError("an event in JSON cannot be read: %v", err)
	}
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return bad(orElse(err, "it is no object"))
	}
	var head []byte
	var body string
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return bad(err)
		}
		name, _ := t.(string)
		value, err := jsonValue(d)
		if err != nil {
			return bad(err)
		}
		if name == "_body" {
			body = value
			continue
		}
		// The values are as they are here, without the ambiguity of AppendEscaped.
		head = append(append(head, cleanName(name)...), ": "...)
		head = append(appendEscaped(head, value, false), '\n')
	}
	if _, err := d.Token(); err != nil {
		return bad(err)
	}
	return newEvent(strings.TrimSuffix(string(head), "\n"), body), nil
}

// jsonValue reads a header's value: an array becomes what the plain format writes
// for it.
func jsonValue(d *json.Decoder) (string, error) {
	t, err := d.Token()
	if err != nil {
		return "", err
	}
	if t != json.Delim('[') {
		return jsonScalar(t)
	}
	var array []byte
	n := 0
	for ; d.More(); n++ {
		if t, err = d.Token(); err != nil {
			return "", err
		}
		v, err := jsonScalar(t)
		if err != nil {
			return "", err
		}
		if n > 0 {
			array = append(array, "|:"...)
		}
		array = append(array, v...)
	}
	if _, err := d.Token(); err != nil {
		return "", err
	}
	if n > 1 {
		return "ARRAY::" + string(array), nil
	}
	return string(array), nil
}

func jsonScalar(t json.Token) (string, error) {
	switch t := t.(type) {
	case nil:
		return "", nil
	case json.Delim:
		return "", fmt.Errorf("a value is %s", t)
	default:
		return fmt.Sprint(t), nil
	}
}

// eventFromXML reads the XML format: <event><headers><Name>value</Name>…
// </headers><Content-Length>…<body>…</body></event>, a header on each line, with the
// values encoded as in the plain format (recording xml_events). It is not always XML:
// the switch writes names as they are, and a caller's SIP header may be called X-A!.
func eventFromXML(text string) (*Event, error) {
	_, text, begins := strings.Cut(text, "<headers>")
	headers, text, ends := strings.Cut(text, "</headers>")
	if !begins || !ends {
		return nil, protocolError("an event in XML has no headers")
	}
	rest, body, _ := strings.Cut(text, "<body>")
	if i := strings.LastIndex(body, "</body>"); i >= 0 {
		body = body[:i]
	}
	var head []byte
	last, values := "", 0 // the newest header's name, and how many values it has
	var value int         // where in head its value starts
	for line := range strings.SplitSeq(headers+"\n"+rest, "\n") {
		name, v, ok := xmlHeader(strings.TrimSpace(line))
		if !ok {
			continue
		}
		if values > 0 && name == last { // an array
			if values == 1 {
				head = slices.Insert(head, value, []byte("ARRAY%3A%3A")...)
			}
			head = append(append(head, "%7C%3A"...), v...)
			values++
			continue
		}
		if values > 0 {
			head = append(head, '\n')
		}
		head = append(append(head, cleanName(name)...), ": "...)
		last, values, value = name, 1, len(head)
		head = append(head, v...)
	}
	return newEvent(string(head), html.UnescapeString(body)), nil
}

// xmlHeader takes "<name>value</name>" apart. The name may hold anything; the value
// has no < and no >, which are encoded in it.
func xmlHeader(line string) (name, value string, ok bool) {
	i := strings.LastIndex(line, "</")
	if i < 1 || line[0] != '<' || line[len(line)-1] != '>' {
		return "", "", false
	}
	name = line[i+2 : len(line)-1]
	value, ok = strings.CutPrefix(line[1:i], name+">")
	return name, value, ok
}

// cleanName keeps a name from a structured format from breaking the lines.
func cleanName(name string) string { return lineBreakers.Replace(name) }

var lineBreakers = strings.NewReplacer("\n", "_", "\r", "_", ":", "_")

func orElse(err error, text string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%s", text)
}
