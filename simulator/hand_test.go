package simulator

import (
	"testing"
	"time"
)

// Whoever watches the switch answers, or refuses, for a leg that rings.
func TestLegByHand(t *testing.T) {
	for _, tc := range []struct {
		name   string
		decide func(leg *Channel)
		want   string // bridge_hangup_cause, or originate_disposition where there was no bridge
	}{
		{"answers, and hangs up", func(leg *Channel) { leg.Answer(); leg.s.Clock.AfterFunc(time.Second, func() { leg.Hangup("") }) }, "SUCCESS"},
		{"is busy", func(leg *Channel) { leg.Hangup("USER_BUSY") }, "USER_BUSY"},
		{"rings out", func(*Channel) {}, "NO_ANSWER"},
		{"answers too late", func(leg *Channel) { leg.Hangup("CALL_REJECTED"); leg.Answer() }, "CALL_REJECTED"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := virtual()
			var rang []string
			s.Observer = func(o Occurrence) {
				if o.Kind == Rings || o.Kind == Answered {
					rang = append(rang, o.String())
				}
				if o.Kind == Rings {
					leg := s.Channel(o.Channel)
					s.Clock.AfterFunc(3*time.Second, func() { tc.decide(leg) })
				}
			}
			s.Endpoints = []Endpoint{{"user/1001", NoAnswer()}}
			_, p := place(t, s, Invite{UUID: "ada", Variables: []Variable{{"continue_on_fail", "true"}, {"call_timeout", "20"}}})
			p.ask("connect", "myevents", "linger 1")
			p.do("answer", "")
			done := p.do("bridge", "user/1001")
			if got := get(done, "variable_originate_disposition"); got != tc.want {
				t.Errorf("originate_disposition is %q, want %q", got, tc.want)
			}
			s.Close() // the observer has been told everything
			want := []string{`rings ada "user/1001"`}
			if tc.want == "SUCCESS" {
				want = append(want, `answered ""`)
			}
			if len(rang) != len(want) || rang[0] != want[0] || rang[len(rang)-1] != want[len(want)-1] {
				t.Errorf("the observer was told %q, want %q", rang, want)
			}
		})
	}
}

// A leg that rings for ever is not left behind by a caller who hangs up, and a caller cannot be
// answered for.
func TestHangupWhileRinging(t *testing.T) {
	s := virtual()
	s.Endpoints = []Endpoint{{"user/1001", NoAnswer()}}
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents", "linger 1")
	call.Answer()
	if call.Answered() {
		t.Error("the caller was answered from outside")
	}
	p.do("answer", "")
	p.send(execute("bridge", "user/1001") + "\n\n")
	p.clock.Advance(5 * time.Second)
	if n := s.Channels(); n != 2 {
		t.Fatalf("%d channels, want the caller's and a leg's", n)
	}
	call.Hangup("ORIGINATOR_CANCEL")
	p.clock.Advance(5 * time.Second)
	if n := s.Channels(); n != 0 {
		t.Errorf("%d channels are left over", n)
	}
}

func TestHearing(t *testing.T) {
	s := virtual()
	s.Sounds = func(string) (time.Duration, bool) { return 4 * time.Second, true }
	call, p := place(t, s, Invite{})
	hears := func(what string, position, length time.Duration) {
		t.Helper()
		if w, p, l := call.Hearing(); w != what || p != position || l != length {
			t.Errorf("it hears %q at %v of %v, want %q at %v of %v", w, p, l, what, position, length)
		}
	}
	p.ask("connect", "myevents")
	p.do("answer", "")
	hears("", 0, 0)
	p.send(execute("playback", "menu.wav") + "\n\n")
	p.event("CHANNEL_EXECUTE")
	_, before, _ := call.Hearing()
	p.clock.Advance(1500 * time.Millisecond)
	hears("menu.wav", before+1500*time.Millisecond, 4*time.Second)
	p.event("CHANNEL_EXECUTE_COMPLETE")
	hears("", 0, 0)
	p.send(execute("speak", "flite|kal|hello") + "\n\n")
	p.clock.Advance(100 * time.Millisecond)
	if what, _, length := call.Hearing(); what != "hello" || length != speechLength("hello") {
		t.Errorf("it hears %q for %v", what, length)
	}
	p.event("CHANNEL_EXECUTE_COMPLETE")
	p.send(execute("playback", "local_stream://moh") + "\n\n")
	p.clock.Advance(time.Hour)
	if what, position, length := call.Hearing(); what != "local_stream://moh" || position < 59*time.Minute || length >= 0 {
		t.Errorf("it hears %q at %v of %v", what, position, length)
	}
}
