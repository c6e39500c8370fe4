package esl

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

func TestEventKeepsWhatTheSwitchWrote(t *testing.T) {
	e := NewEvent(strings.Join([]string{
		"Event-Name: CHANNEL_EXECUTE_COMPLETE",
		"Unique-ID: 44f8764d-ef70-476e-8d69-26e874f953a5",
		"Caller-Caller-ID-Name: Zo%C3%AB%20%22%25%22%0D%0AX-Injected%3A%201",
		"variable_MixedCase: a",
		"variable_mixedcase2: b",
		"variable_arr: ARRAY%3A%3Aone%7C%3Atwo",
		"variable_arr[0]: one",
		"variable_sip_h_X-Foo: bar",
		"variable_sip_h_X-Odd!*'~`: odd",
		"variable_żółw: slow",
		"variable_with space: c",
		"variable_empty: ",
		"variable_half: 100%",
		"variable_latin1: Zo%EB",
		"no colon here",
		"Content-Length: 6",
	}, "\n") + "\n\nline\n\n")

	want := []Header{
		{"Event-Name", "CHANNEL_EXECUTE_COMPLETE"},
		{"Unique-ID", "44f8764d-ef70-476e-8d69-26e874f953a5"},
		{"Caller-Caller-ID-Name", "Zoë \"%\"\r\nX-Injected: 1"},
		{"variable_MixedCase", "a"},
		{"variable_mixedcase2", "b"},
		{"variable_arr", "ARRAY::one|:two"},
		{"variable_arr[0]", "one"},
		{"variable_sip_h_X-Foo", "bar"},
		{"variable_sip_h_X-Odd!*'~`", "odd"},
		{"variable_żółw", "slow"},
		{"variable_with space", "c"},
		{"variable_empty", ""},
		{"variable_half", "100%"},
		{"variable_latin1", "Zo\xeb"},
		{"Content-Length", "6"},
	}
	if diff := cmp.Diff(want, headers(e)); diff != "" {
		t.Errorf("All (-want +got):\n%s", diff)
	}
	for _, h := range want {
		if v, ok := e.Lookup(h.Name); !ok || v != h.Value {
			t.Errorf("Lookup(%q) is %q, %v; want %q", h.Name, v, ok, h.Value)
		}
		if name, ok := strings.CutPrefix(h.Name, "variable_"); ok {
			if v, ok := e.Variable(name); !ok || v != h.Value {
				t.Errorf("Variable(%q) is %q, %v; want %q", name, v, ok, h.Value)
			}
		}
	}
	var variables []Header
	for name, value := range e.Variables() {
		variables = append(variables, Header{"variable_" + name, value})
	}
	if diff := cmp.Diff(want[3:14], variables); diff != "" {
		t.Errorf("Variables (-want +got):\n%s", diff)
	}
	if e.Name() != "CHANNEL_EXECUTE_COMPLETE" || e.UUID() != want[1].Value || e.Body() != "line\n\n" || e.Kind() != EventPlain {
		t.Errorf("name %q, UUID %q, body %q, kind %s", e.Name(), e.UUID(), e.Body(), e.Kind())
	}

	t.Run("variables in any case, as the switch looks them up", func(t *testing.T) {
		if v, ok := e.VariableFold("SIP_H_X-FOO"); !ok || v != "bar" {
			t.Errorf("VariableFold is %q, %v", v, ok)
		}
		if v, ok := e.Variable("SIP_H_X-FOO"); ok {
			t.Errorf("Variable is %q", v)
		}
	})
	t.Run("several at once", func(t *testing.T) {
		if v := e.Values("Event-Name", "No-Such", "variable_MixedCase", "Unique-ID"); !slices.Equal(v, []string{"CHANNEL_EXECUTE_COMPLETE", "", "a", want[1].Value}) {
			t.Errorf("Values are %q", v)
		}
	})
	t.Run("what is not there", func(t *testing.T) {
		for _, name := range []string{"", "Name", "Event", "Event-Nam", "vent-Name", "X-Injected", "arr", "no colon here",
			"Unique-ID: 44f8764d-ef70-476e-8d69-26e874f953a5", "variable_empty: \nvariable_half", "line", "bar"} {
			if v, ok := e.Lookup(name); ok {
				t.Errorf("Lookup(%q) is %q", name, v)
			}
		}
		if v, ok := e.Variable("Unique-ID"); ok {
			t.Errorf("Variable finds a header: %q", v)
		}
	})
	t.Run("loops over headers end early", func(t *testing.T) {
		for range e.All() {
			break
		}
		for range e.Variables() {
			break
		}
	})
}

func TestEventHeadAndBodyPartAtTheFirstBlankLine(t *testing.T) {
	tests := []struct{ text, head, body string }{
		{"A: 1\nB: 2\n\nbody", "A: 1\nB: 2", "body"},
		{"A: 1\nB: 2\n\n", "A: 1\nB: 2", ""},
		{"A: 1\nB: 2\n", "A: 1\nB: 2", ""},
		{"A: 1\nB: 2", "A: 1\nB: 2", ""},
		{"A: 1\r\nB: 2\r\n\r\nbody", "A: 1\r\nB: 2", "body"},
		{"A: 1\r\n\r\nbody\n\nmore", "A: 1", "body\n\nmore"},
		{"A: 1\n\nbody\r\n\r\nmore", "A: 1", "body\r\n\r\nmore"},
		{"A: 1\n\r\nbody", "A: 1", "body"},
		{"A: 1\r\n\nbody", "A: 1", "body"},
		{"\n\nbody", "", "body"},
		{"", "", ""},
		{"A: 1\n\n\n\n", "A: 1", "\n\n"},
	}
	for _, tt := range tests {
		if e := NewEvent(tt.text); e.head != tt.head || e.body != tt.body {
			t.Errorf("%q is parted into %q and %q", tt.text, e.head, e.body)
		}
	}
}

func TestEventNameIsTheHeader(t *testing.T) {
	for _, tt := range []struct{ text, want string }{
		{"Event-Name: A\nB: 1", "A"},
		{"Event-Name: A\r\nB: 1\r\n", "A"},
		{"Event-Name: A", "A"},
		{"Event-Name:A\n\n", "A"},
		{"B: 1\nEvent-Name: A\n\n", "A"},
		{"Event-Name: A%20B\n\n", "A B"},
		{"Event-Namely: A\n\n", ""},
		{"", ""},
	} {
		if got := NewEvent(tt.text).Name(); got != tt.want {
			t.Errorf("the name in %q is %q, want %q", tt.text, got, tt.want)
		}
	}
}

// What varies between two runs of the same call.
func sameInEveryRun(name string) bool {
	for _, part := range []string{"UUID", "Unique-ID", "uuid", "Date", "-Time", "epoch", "stamp", "Sequence", "session_id", "_usec", "_ms"} {
		if strings.Contains(name, part) {
			return false
		}
	}
	return true
}

// The same call, until it was answered, was recorded in each of the formats: it tells the same
// headers, in the same order.
func TestFormatsTellTheSame(t *testing.T) {
	plain, inJSON, inXML := events(t, "basic_async_full")[1:5], events(t, "json_events")[1:5], events(t, "xml_events")[1:5]

	for _, pair := range []struct {
		name string
		a, b []*Event
	}{{"plain and JSON", plain, inJSON}, {"plain and XML", plain, inXML}, {"JSON and XML", inJSON, inXML}} {
		for i, a := range pair.a {
			b := pair.b[i]
			if diff := cmp.Diff(names(a), names(b)); diff != "" {
				t.Errorf("%s, event %d, %s:\n%s", pair.name, i, a.Name(), diff)
			}
			for header, value := range a.All() {
				if sameInEveryRun(header) && b.Get(header) != value {
					t.Errorf("%s, event %d, %s: %s is %q and %q", pair.name, i, a.Name(), header, value, b.Get(header))
				}
			}
		}
	}
}

func TestBackgroundJobKeepsItsOutput(t *testing.T) {
	var outputs []string
	for _, e := range events(t, "api_and_bgapi") {
		if e.Name() == "BACKGROUND_JOB" {
			if e.Get("Content-Length") != fmt.Sprint(len(e.Body())) {
				t.Errorf("a body of %d bytes, Content-Length %s", len(e.Body()), e.Get("Content-Length"))
			}
			outputs = append(outputs, e.Get("Job-Command")+": "+e.Body())
		}
	}
	if len(outputs) == 0 || outputs[0] != "msleep: +OK" {
		t.Errorf("%q", outputs)
	}
}

// What FreeSWITCH 1.11 writes of a channel with variables "odd(a)!" and "v", an array, a
// one-element array, and of a job whose output has every special character.
func TestStructuredFormats(t *testing.T) {
	const body = "<a>&\"é\x01  b\n"
	want := []Header{
		{"Event-Name", "BACKGROUND_JOB"},
		{"variable_odd(a)!", "~`%é=5"},
		{"variable_arr", "ARRAY::one|:two"},
		{"variable_single", "two"},
		{"variable_v", "ü&<x>\"q\"\r\n 100%"},
		{"Content-Length", "13"},
	}
	tests := []struct {
		name  string
		parse func(string) (*Event, error)
		text  string
	}{
		{"JSON", eventFromJSON, `{"Event-Name":"BACKGROUND_JOB","variable_odd(a)!":"~` + "`" + `%é=5","variable_arr":["one","two"],` +
			`"variable_single":["two"],"variable_v":"ü&<x>\"q\"\r\n 100%","Content-Length":"13","_body":"<a>&\"é\u0001  b\n"}`},
		{"XML", eventFromXML, `<event>
  <headers>
    <Event-Name>BACKGROUND_JOB</Event-Name>
    <variable_odd(a)!>~%60%25%C3%A9%3D5</variable_odd(a)!>
    <variable_arr>one</variable_arr>
    <variable_arr>two</variable_arr>
    <variable_single>two</variable_single>
    <variable_v>%C3%BC%26%3Cx%3E%22q%22%0D%0A%20100%25</variable_v>
  </headers>
  <Content-Length>13</Content-Length>
  <body>&lt;a&gt;&amp;"&#xE9;` + "\x01" + `  b
</body>
</event>
`},
	}
	for _, tt := range tests {
		e, err := tt.parse(tt.text)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if diff := cmp.Diff(want, headers(e)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
		if e.Body() != body {
			t.Errorf("%s: the body is %q, want %q", tt.name, e.Body(), body)
		}
	}
}

// JSON tells values as they are; the ambiguity of the other formats is not in it.
func TestJSONValuesAreExact(t *testing.T) {
	for _, value := range []string{"100%25", "%", "%%41", "a%0Ab", "${x}", "a\nb: c", "", " x "} {
		quoted, _ := json.Marshal(value)
		e, err := eventFromJSON(fmt.Sprintf(`{"Event-Name":"X","variable_v":%s,"z":"1"}`, quoted))
		if err != nil {
			t.Fatal(err)
		}
		if v, ok := e.Variable("v"); !ok || v != value || e.Get("z") != "1" {
			t.Errorf("%q is told as %q, %v; then z is %q", value, v, ok, e.Get("z"))
		}
	}
}

func TestStructuredFormatsCannotAddLines(t *testing.T) {
	e, err := eventFromJSON(`{"Event-Name":"X","a\nUnique-ID: 1\rb":"v\nUnique-ID: 2","n":1e3,"t":true,"z":null}`)
	if err != nil {
		t.Fatal(err)
	}
	want := []Header{{"Event-Name", "X"}, {"a_Unique-ID_ 1_b", "v\nUnique-ID: 2"}, {"n", "1e3"}, {"t", "true"}, {"z", ""}}
	if diff := cmp.Diff(want, headers(e)); diff != "" {
		t.Error(diff)
	}
}

func TestUnreadableEventsAreProtocolErrors(t *testing.T) {
	tests := []struct {
		kind Kind
		body string
	}{
		{EventJSON, ""}, {EventJSON, "[]"}, {EventJSON, "null"}, {EventJSON, `{"a":"b"`}, {EventJSON, `{"a":{"b":1}}`},
		{EventJSON, `{"a":[["b"]]}`}, {EventJSON, `{"a":[1`}, {EventJSON, `{a:1}`}, {EventJSON, strings.Repeat("[", 1<<20)},
		{EventXML, ""}, {EventXML, "<event></event>"}, {EventXML, "<headers>"}, {EventXML, "</headers><headers>"},
		{CommandReply, ""}, {Unknown, ""},
	}
	for _, tt := range tests {
		if e, err := event(Message{Kind: tt.kind, Body: tt.body}); err == nil {
			t.Errorf("%s of %.40q is %v", tt.kind, tt.body, e)
		} else if _, ok := err.(*ProtocolError); !ok {
			t.Errorf("%s of %.40q: a %T", tt.kind, tt.body, err)
		}
	}
}

func TestLogLinesAndNoticesAreNotDecoded(t *testing.T) {
	e, err := event(Message{Kind: LogData, Head: []byte("Content-Type: log/data\r\nUser-Data: 100%25\r\nLog-Level: 7"), Body: "%41\n"})
	if err != nil {
		t.Fatal(err)
	}
	if e.Kind() != LogData || e.Name() != "" || e.Get("User-Data") != "100%25" || e.Get("Log-Level") != "7" || e.Body() != "%41\n" {
		t.Errorf("%q", e)
	}
}

// The switch's own encoding, as the recordings show it.
func TestEscapedAsTheSwitchDoes(t *testing.T) {
	for _, name := range []string{"sip_basic", "expansion2", "path_and_words", "body_arguments"} {
		for _, e := range events(t, name) {
			for line := range strings.SplitSeq(e.head, "\n") {
				header, encoded, ok := strings.Cut(line, ": ")
				if !ok {
					continue
				}
				if strings.Contains(encoded, "%41") { // the value held "%41": the switch's ambiguity
					continue
				}
				if got := string(AppendHeader(nil, header, unescape(encoded))); got != line+"\n" {
					t.Errorf("%s: %q, the switch wrote %q", name, got, line)
				}
			}
		}
	}
	if got := string(AppendEscaped([]byte("x"), "100%25 %2 %zz %2f%")); got != "x100%25%20%252%20%25zz%20%252f%25" {
		t.Errorf("percent signs: %q", got)
	}
}

func TestEscapingLosesOnlyKeptPercentSigns(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := string(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))
		if got := unescape(string(appendEscaped(nil, s, false))); got != s {
			t.Fatalf("%q comes back as %q", s, got)
		}
		escaped := string(AppendEscaped(nil, s))
		if strings.ContainsAny(escaped, "\r\n :") {
			t.Fatalf("%q is not one value", escaped)
		}
		if got := string(AppendEscaped(nil, escaped)); got != escaped {
			t.Fatalf("%q is encoded twice: %q", escaped, got)
		}
	})
}

func FuzzEvent(f *testing.F) {
	for _, name := range []string{"basic_async_full", "api_and_bgapi", "json_events", "xml_events", "path_and_words"} {
		for _, fr := range frames(f, name) {
			if m, err := NewReader(strings.NewReader(fr)).Next(); err == nil && m.Body != "" {
				f.Add(m.Body)
			}
		}
	}
	for _, s := range []string{`{"a":["b",1,null],"_body":"c"}`, "<headers>\n<a></a>\n<a>b</a>\n</></headers><body></body>", "A: 1\r\n\r\n", "variable_: x",
		"<headers></a></headers>", "a: b\na:c: d\n: e\nA: f\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		check := func(e *Event) {
			seen := make(map[string]bool)
			for name, value := range e.All() {
				if name == "" || seen[name] {
					continue
				}
				seen[name] = true
				if v, ok := e.Lookup(name); !ok || v != value {
					t.Fatalf("Lookup(%q) is %q, %v; All says %q\n%q", name, v, ok, value, e.head)
				}
			}
			if e.Name() != e.Get("Event-Name") {
				t.Fatalf("the name is %q, the header %q", e.Name(), e.Get("Event-Name"))
			}
			again := NewEvent(e.String())
			if diff := cmp.Diff(headers(e), headers(again)); diff != "" || again.Body() != e.Body() {
				t.Fatalf("%q as text is another event: body %q, then %q\n%s", e, e.Body(), again.Body(), diff)
			}
		}
		check(NewEvent(text))
		if e, err := eventFromXML(text); err == nil {
			check(e)
		}
		e, err := eventFromJSON(text)
		if err != nil {
			return
		}
		check(e)
		var members map[string]string
		if json.Unmarshal([]byte(text), &members) != nil || len(members) != len(headers(e)) {
			return
		}
		for name, value := range members {
			if strings.ContainsAny(name, ":\r\n") || name == "" {
				continue
			}
			if v, ok := e.Lookup(name); !ok || v != value {
				t.Fatalf("%q is %q, %v; in the JSON %q", name, v, ok, value)
			}
		}
	})
}
