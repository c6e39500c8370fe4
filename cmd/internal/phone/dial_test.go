package phone

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"callisto/simulator"
)

// A hand is a caller that notes what it is told.
type hand []string

func (h *hand) Press(digits string) { *h = append(*h, digits) }
func (h *hand) Say(text string)     { *h = append(*h, "says "+text) }
func (h *hand) Hangup()             { *h = append(*h, "hangs up") }

func TestKeyboard(t *testing.T) {
	var h hand
	var stderr bytes.Buffer
	keyboard(strings.NewReader("1\n\n 42# \nx\nABCd*\n/ yes, please\n/\nH\n5"), &h, &stderr)
	if want := []string{"1", "42#", "ABCd*", "says yes, please", "hangs up", "5"}; !slices.Equal(h, want) {
		t.Errorf("it does %q, not %q", h, want)
	}
	if got := stderr.String(); got != strings.Repeat("digits press keys, h hangs up, / and a text says it\n", 2) {
		t.Errorf("it says %q", got)
	}
}

func TestParsePresses(t *testing.T) {
	got, err := parseActs("press", []string{"1", "42#@5s", "7", "8@0s"})
	want := []act{{time.Second, "1", ""}, {5 * time.Second, "42#", ""}, {6 * time.Second, "7", ""}, {0, "8", ""}}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", "x", "1@", "1@-1s", "@1s", "1@5"} {
		if _, err := parseActs("press", []string{bad}); err == nil {
			t.Errorf("--press %q is accepted", bad)
		}
	}
}

func TestParseSayAndVars(t *testing.T) {
	got, err := parseActs("say", []string{"yes please", "no@4s", "ada@example.com"})
	if want := []act{{time.Second, "", "yes please"}, {4 * time.Second, "", "no"}, {5 * time.Second, "", "ada@example.com"}}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	for _, bad := range []string{"", " ", "@2s", "x@-2s"} {
		if _, err := parseActs("say", []string{bad}); err == nil {
			t.Errorf("--say %q is accepted", bad)
		}
	}
	vars, err := parseVars([]string{"a=b", "c=d=e f", "e="})
	if want := []simulator.Variable{{Name: "a", Value: "b"}, {Name: "c", Value: "d=e f"}, {Name: "e"}}; err != nil || !slices.Equal(vars, want) {
		t.Errorf("%v, %v", vars, err)
	}
	for _, bad := range []string{"", "a", "=b", "a b=c", "a=b\nc", "${x}=y"} {
		if _, err := parseVars([]string{bad}); err == nil {
			t.Errorf("--var %q is accepted", bad)
		}
	}
}

// A file plays as long as its header says, else as long as its words take.
func TestSounds(t *testing.T) {
	dir := t.TempDir()
	wav := func(rate, size uint32, extra string) string {
		le := binary.LittleEndian
		head := []byte("RIFF\x00\x00\x00\x00WAVE" + extra + "fmt \x10\x00\x00\x00\x01\x00\x01\x00\x40\x1f\x00\x00")
		head = le.AppendUint32(head, rate)
		head = append(head, "\x02\x00\x10\x00data"...)
		return string(le.AppendUint32(head, size))
	}
	for name, text := range map[string]string{
		"a.wav": wav(16000, 40000, ""), "b.wav": wav(16000, 16000*3, "LIST\x03\x00\x00\x00abc\x00"), "zero.wav": wav(0, 1, ""),
		"cut.wav": wav(8000, 1, "")[:30], "none.wav": "hello", "words.txt": strings.Repeat("é", 100), "endless.wav": "RIFF\x00\x00\x00\x00WAVE" + strings.Repeat("LIST\x00\x00\x00\x00", 100),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := &prompts{dirs: []string{dir}}
	for name, want := range map[string]time.Duration{
		"a.wav": 2500 * time.Millisecond, "b.wav": 3 * time.Second, "zero.wav": time.Second, "cut.wav": time.Second, "none.wav": time.Second,
		"words.wav": 6500 * time.Millisecond, "nosuch.wav": time.Second, "endless.wav": time.Second, ".": time.Second,
	} {
		for range 2 { // the second time it is remembered
			if got, ok := p.sound(name); got != want || !ok {
				t.Errorf("%s plays %v, %v, want %v", name, got, ok, want)
			}
		}
	}
	for _, name := range []string{"", "/nosuch/x.wav", "${x}.wav"} {
		if _, ok := p.sound(name); ok {
			t.Errorf("%q is there", name)
		}
	}
}
