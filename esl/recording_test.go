package esl

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A step is one entry of a recording (testdata/transcripts/README.md).
type step struct {
	from byte // '<' the switch, '>' the server, '#' a comment
	text string
}

// recordings are the names of all there are.
func recordings(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/transcripts/*.esl")
	if err != nil || len(files) == 0 {
		t.Fatalf("no recordings: %v", err)
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(filepath.Base(f), ".esl")
	}
	return files
}

func recording(t testing.TB, name string) (steps []step) {
	t.Helper()
	data, err := os.ReadFile("testdata/transcripts/" + name + ".esl")
	if err != nil {
		t.Fatal(err)
	}
	for rest := string(data); rest != ""; {
		line, after, _ := strings.Cut(rest, "\n")
		rest = after
		switch {
		case line == "":
		case line[0] == '#':
			steps = append(steps, step{'#', line})
		case line[0] == '<' || line[0] == '>':
			n, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
			if err != nil || n > len(rest) {
				t.Fatalf("%s.esl: a bad entry: %q", name, line)
			}
			steps = append(steps, step{line[0], rest[:n]})
			rest = strings.TrimPrefix(rest[n:], "\n")
		default:
			t.Fatalf("%s.esl: a bad line: %q", name, line)
		}
	}
	return steps
}

// frames are what the switch sent, one string for each frame.
func frames(t testing.TB, name string) (all []string) {
	t.Helper()
	for _, s := range recording(t, name) {
		if s.from == '<' {
			all = append(all, s.text)
		}
	}
	return all
}

// events are those of a recording, the reply to connect first.
func events(t testing.TB, name string) (all []*Event) {
	t.Helper()
	for _, f := range frames(t, name) {
		m, err := NewReader(strings.NewReader(f)).Next()
		if err != nil {
			t.Fatalf("%s.esl: %v in %q", name, err, f)
		}
		switch m.Kind {
		case CommandReply:
			if len(all) == 0 {
				all = append(all, &Event{kind: EventPlain, head: string(m.Head)})
			}
		case EventPlain, EventJSON, EventXML:
			e, err := event(m)
			if err != nil {
				t.Fatalf("%s.esl: %v", name, err)
			}
			all = append(all, e)
		}
	}
	return all
}

func headers(e *Event) (all []Header) {
	for name, value := range e.All() {
		all = append(all, Header{name, value})
	}
	return all
}

func names(e *Event) (all []string) {
	for name := range e.All() {
		all = append(all, name)
	}
	return all
}
