package calltest

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// A Printer writes what comes of tests for people.
type Printer struct {
	Out     io.Writer
	Verbose bool // every test, and its story
}

// File writes what came of a file.
func (p *Printer) File(f *File) {
	if f.Broken != nil {
		fmt.Fprintf(p.Out, "FAIL  %s\n", f.Path)
		p.failure(f.Broken)
		return
	}
	var lasted time.Duration
	failed := 0
	for _, t := range f.Tests {
		lasted += t.Lasted
		if len(t.Failures) > 0 {
			failed++
		}
	}
	switch {
	case len(f.Tests) == 0 && f.Left > 0:
	case len(f.Tests) == 0:
		fmt.Fprintf(p.Out, "none  %s\n", f.Path)
	case failed == 0:
		fmt.Fprintf(p.Out, "ok    %s  %s, %s of calls\n", f.Path, count(len(f.Tests), "test"), call(lasted))
	default:
		fmt.Fprintf(p.Out, "FAIL  %s  %d of %s failed\n", f.Path, failed, count(len(f.Tests), "test"))
	}
	for _, t := range f.Tests {
		switch {
		case len(t.Failures) > 0:
			fmt.Fprintf(p.Out, "\n  FAIL  %s  (%s:%d)\n", t.Name, t.File, t.Line)
			for i := range t.Failures {
				p.failure(&t.Failures[i])
			}
			if len(t.story) > 0 {
				fmt.Fprintln(p.Out, "\n    the call as it went:")
				writeStory(p.Out, t.story, "    ")
			}
		case p.Verbose:
			fmt.Fprintf(p.Out, "  ok    %s  (%s)\n", t.Name, call(t.Lasted))
			writeStory(p.Out, t.story, "    ")
		}
	}
}

func (p *Printer) failure(f *Failure) {
	at := f.File
	if f.Line > 0 {
		at += fmt.Sprintf(":%d", f.Line)
	}
	fmt.Fprintf(p.Out, "    %s: %s\n", at, strings.ReplaceAll(f.Message, "\n", "\n      "))
	if f.Source != "" {
		fmt.Fprintf(p.Out, "      | %s\n", f.Source)
	}
	for frame := range strings.Lines(f.Trace) {
		fmt.Fprintf(p.Out, "      %s\n", strings.TrimRight(frame, "\n"))
	}
}

// Report writes the last line.
func (p *Printer) Report(r *Report) {
	var lasted time.Duration
	for _, f := range r.Files {
		for _, t := range f.Tests {
			lasted += t.Lasted
		}
	}
	switch {
	case r.Passed+r.Failed == 0:
		fmt.Fprintln(p.Out, "no tests: write one into a file whose name ends in "+suffix)
	case r.Failed > 0:
		fmt.Fprintf(p.Out, "\n%d failed, %d passed: %s of calls in %.2fs\n", r.Failed, r.Passed, call(lasted), r.Took.Seconds())
	default:
		fmt.Fprintf(p.Out, "%s passed: %s of calls in %.2fs\n", count(r.Passed, "test"), call(lasted), r.Took.Seconds())
	}
}

func count(n int, of string) string {
	if n == 1 {
		return "1 " + of
	}
	return fmt.Sprintf("%d %ss", n, of)
}

// call is how long calls lasted.
func call(d time.Duration) string { return short(d.Round(10 * time.Millisecond)) }

// What --json prints: an object on each line, one for each test, one for each file that has none to
// run, and one at the end. Times are the calls'.
type (
	testLine struct {
		Type     string        `json:"type"` // test
		File     string        `json:"file"`
		Line     int           `json:"line"`
		Name     string        `json:"name"`
		Result   string        `json:"result"` // passed, failed
		Seconds  float64       `json:"seconds"`
		Failures []failureLine `json:"failures,omitempty"`
		Story    []line        `json:"story,omitempty"` // of a test that failed
	}
	failureLine struct {
		File    string `json:"file"`
		Line    int    `json:"line,omitempty"`
		Message string `json:"message"`
		Source  string `json:"source,omitempty"`
		Trace   string `json:"trace,omitempty"`
	}
	fileLine struct {
		Type    string `json:"type"` // file
		File    string `json:"file"`
		Line    int    `json:"line,omitempty"`
		Message string `json:"message"`
	}
	summaryLine struct {
		Type   string `json:"type"` // summary
		Passed int    `json:"passed"`
		Failed int    `json:"failed"`
	}
)

// A JSONPrinter writes what comes of tests for programs.
type JSONPrinter struct{ Out io.Writer }

func (p *JSONPrinter) print(v any) {
	b, _ := json.Marshal(v)
	fmt.Fprintf(p.Out, "%s\n", b)
}

// File writes what came of a file.
func (p *JSONPrinter) File(f *File) {
	if b := f.Broken; b != nil {
		p.print(fileLine{"file", b.File, b.Line, b.Message})
	}
	for _, t := range f.Tests {
		l := testLine{Type: "test", File: t.File, Line: t.Line, Name: t.Name, Result: "passed", Seconds: t.Lasted.Round(10 * time.Millisecond).Seconds()}
		for _, f := range t.Failures {
			l.Result, l.Story = "failed", t.story
			l.Failures = append(l.Failures, failureLine(f))
		}
		p.print(l)
	}
}

// Report writes the last object.
func (p *JSONPrinter) Report(r *Report) { p.print(summaryLine{"summary", r.Passed, r.Failed}) }

// JUnit's format, as far as those who read it agree.
type (
	junitSuites struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Time     string       `xml:"time,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr,omitempty"`
		Time    string        `xml:"time,attr"`
		Failure *junitFailure `xml:"failure"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
)

// WriteJUnit writes a report in JUnit's XML, for build servers.
func WriteJUnit(w io.Writer, r *Report) error {
	suites := junitSuites{Time: fmt.Sprintf("%.3f", r.Took.Seconds())}
	for _, f := range r.Files {
		suite := junitSuite{Name: f.Path}
		class := strings.TrimSuffix(f.Path, ".lua")
		add := func(c junitCase, failures []Failure, story []line) {
			suite.Tests++
			if len(failures) > 0 {
				suite.Failures++
				var text strings.Builder
				p := Printer{Out: &text}
				for i := range failures {
					p.failure(&failures[i])
				}
				writeStory(&text, story, "    ")
				c.Failure = &junitFailure{Message: failures[0].Message, Text: text.String()}
			}
			suite.Cases = append(suite.Cases, c)
		}
		if f.Broken != nil {
			add(junitCase{Name: f.Path, Class: class, File: f.Path, Line: f.Broken.Line, Time: "0.000"}, []Failure{*f.Broken}, nil)
		}
		for _, t := range f.Tests {
			add(junitCase{Name: t.Name, Class: class, File: t.File, Line: t.Line, Time: fmt.Sprintf("%.3f", t.Took.Seconds())}, t.Failures, t.story)
		}
		suites.Tests += suite.Tests
		suites.Failures += suite.Failures
		suites.Suites = append(suites.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(suites); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
