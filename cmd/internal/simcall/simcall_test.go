package simcall

import (
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"callisto/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestSocket(t *testing.T) {
	for _, c := range []struct {
		script, mode string
		words        []string
		want         string
	}{
		{"menu", "async full", nil, "127.0.0.1:8084/menu async full"},
		{"support/menu", "full", []string{"lang=sv", "x"}, "127.0.0.1:8084/support/menu full lang=sv x"},
		{"", "none", nil, "127.0.0.1:8084"},
		{"menu", "", []string{"a=b"}, "127.0.0.1:8084/menu a=b"},
	} {
		if got, err := Socket(c.script, c.mode, c.words); got != c.want || err != nil {
			t.Errorf("%q %q %q: %q, %v", c.script, c.mode, c.words, got, err)
		}
	}
	for _, bad := range []string{"", "two words", "a\nb", "a=b c"} {
		if _, err := Socket("menu", "", []string{bad}); err == nil {
			t.Errorf("the word %q is accepted", bad)
		}
	}
	if _, err := Socket("menu", "asink full", nil); err == nil {
		t.Error("a mode that does not exist is accepted")
	}
}

func TestLegs(t *testing.T) {
	list := Endpoints([]simulator.Endpoint{{Pattern: "user/1001", Behaviour: simulator.NoAnswer()}, {Pattern: "user/2*", Behaviour: simulator.Refuses("USER_BUSY", time.Second)}})
	for dialled, want := range map[string]simulator.Behaviour{
		"user/1001": simulator.NoAnswer(), "user/2002": simulator.Refuses("USER_BUSY", time.Second), "user/1002": Usual, "sofia/gateway/x/1": Usual,
		"loopback/app=intercept:1": simulator.Answers(0, 0), "callcenter/sales": simulator.Answers(5*time.Second, time.Minute),
	} {
		if got := Behaviour(list, dialled); got == nil || *got != want {
			t.Errorf("%s behaves like %v, want %v", dialled, got, want)
		}
	}
	if got := Behaviour(list, "nonsense"); got != nil {
		t.Errorf("nonsense behaves like %v", got)
	}
	for how, ok := range map[string]bool{"busy": true, "no_answer": true, "CALL_REJECTED": true, "": false, "bussy": false, "answers": false} {
		if _, got := Refusal(how, 0); got != ok {
			t.Errorf("%q is a refusal: %v", how, got)
		}
	}
}

// Nothing that a caller or a script chooses can move the cursor of a terminal.
func TestPlain(t *testing.T) {
	if got := Plain("a\x1b[2Jb\nc\td\x7f\u009b"); strings.ContainsFunc(got, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }) {
		t.Errorf("%q", got)
	}
}

func TestIsKeys(t *testing.T) {
	if got := slices.DeleteFunc([]string{"1", "*#", "AD", "", "x", "1 2"}, IsKeys); !slices.Equal(got, []string{"", "x", "1 2"}) {
		t.Errorf("these are no keys: %q", got)
	}
}
