package phone

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
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

func TestSocketWords(t *testing.T) {
	for _, c := range []struct {
		mode string
		args []string
		want string
	}{
		{"async full", nil, " async full"},
		{"full", []string{"lang=sv", "x"}, " full lang=sv x"},
		{"none", nil, ""},
		{"", []string{"a=b"}, " a=b"},
	} {
		if got, err := socketWords(c.mode, c.args); got != c.want || err != nil {
			t.Errorf("%q %q: %q, %v", c.mode, c.args, got, err)
		}
	}
}

// Nothing that a caller or a script chooses can move the cursor of the terminal.
func TestPlain(t *testing.T) {
	if got := plain("a\x1b[2Jb\nc\td\x7f"); strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		t.Errorf("%q", got)
	}
}
