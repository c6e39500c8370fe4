package simulator

import (
	"strings"
	"time"
)

// A Behaviour is what a dialled leg does.
type Behaviour struct {
	// After is the time until the leg answers or refuses.
	After time.Duration
	// Cause, if set, refuses the call with it. SUBSCRIBER_ABSENT,
	// CHAN_NOT_IMPLEMENTED and others that mean that there is nobody to ring
	// refuse before there is a leg (recording bridge_bad_endpoint).
	Cause string
	// Never keeps the leg ringing until the caller gives up.
	Never bool
	// Presses are the keys that the leg presses once it has answered, one each second.
	Presses string
	// HangupAfter is the time from the answer to the leg's hanging up; 0 is never.
	HangupAfter time.Duration
	// HangupCause is the cause then; empty is NORMAL_CLEARING.
	HangupCause string
}

// Answers is a leg that answers after ring and hangs up after talk (0: never).
func Answers(ring, talk time.Duration) Behaviour { return Behaviour{After: ring, HangupAfter: talk} }

// Refuses is a leg that refuses with a cause, such as USER_BUSY, after ring.
func Refuses(cause string, ring time.Duration) Behaviour {
	return Behaviour{After: ring, Cause: cause}
}

// NoAnswer is a leg that rings and rings.
func NoAnswer() Behaviour { return Behaviour{Never: true} }

// An Endpoint gives the legs dialled with matching strings their behaviour.
type Endpoint struct {
	Pattern   string // the dial string without variables, or its beginning with * behind
	Behaviour Behaviour
}

// A DialedLeg is a leg about to be dialled.
type DialedLeg struct {
	DialString string // without variables: "user/1001@example.com"
	Variables  []Variable
	Caller     string // UUID of the channel that dials, empty for the API
}

// DefaultEndpoints are asked after [Switch].Endpoints. What matches none of
// them is CHAN_NOT_IMPLEMENTED; error/CAUSE refuses with that cause. Queues
// (callcenter, fifo) are looked up here, too: the behaviour is their agents'.
func DefaultEndpoints() []Endpoint {
	var list []Endpoint
	for _, kind := range strings.Fields("user sofia loopback null group verto.rtc verto rtc skinny pickup freetdm openzap") {
		list = append(list, Endpoint{kind + "/*", Answers(0, 0)})
	}
	return append(list, Endpoint{"callcenter/*", Answers(5*time.Second, time.Minute)}, Endpoint{"fifo/*", Answers(5*time.Second, time.Minute)})
}

var defaultEndpoints = DefaultEndpoints()

// noLeg are the causes with which an endpoint says that there is nobody to
// ring: no channel comes to be.
func noLeg(cause string) bool {
	switch cause {
	case "SUBSCRIBER_ABSENT", "CHAN_NOT_IMPLEMENTED", "USER_NOT_REGISTERED", "INVALID_GATEWAY", "GATEWAY_DOWN",
		"INVALID_URL", "INVALID_PROFILE", "UNALLOCATED_NUMBER", "NO_ROUTE_DESTINATION":
		return true
	}
	return false
}

// behaviour looks up how a leg behaves.
func (s *Switch) behaviour(leg DialedLeg) Behaviour {
	if dial := s.Dial; dial != nil {
		var b Behaviour
		var ok bool
		s.unlocked(func() { b, ok = dial(leg) })
		if ok {
			return b
		}
	}
	for _, list := range [...][]Endpoint{s.Endpoints, defaultEndpoints} {
		for _, e := range list {
			prefix, open := strings.CutSuffix(e.Pattern, "*")
			if leg.DialString == e.Pattern || open && strings.HasPrefix(leg.DialString, prefix) {
				return e.Behaviour
			}
		}
	}
	if cause, ok := strings.CutPrefix(leg.DialString, "error/"); ok {
		return Behaviour{Cause: causeNamed(cause)}
	}
	return Behaviour{Cause: "CHAN_NOT_IMPLEMENTED"}
}
