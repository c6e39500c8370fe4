package phone

import (
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// An Event is something that happened in a call. What is one of the types below.
type Event struct {
	At   time.Duration // since the call began; never less than that of the event before
	What any
}

type (
	// Dialling is the first event of a call: what was before is another's.
	Dialling struct{ Time time.Time }

	// Started says which script the engine runs for the call.
	Started struct {
		Script      string
		Generation  uint64
		Caller      string
		Destination string
	}

	// Happened is what the switch tells of the caller's channel, or of another leg.
	Happened struct {
		simulator.Occurrence
		Leg     string               // how the other leg is called; "" for the caller
		With    string               // of a bridge: how the other is called
		Text    string               // the words of the prompt that is played, where they are known
		Length  time.Duration        // how long it is
		Behaves *simulator.Behaviour // of what is dialled, or rings: how it was told to behave
	}

	// Acted is what the caller does, or somebody with a leg does, before the switch knows.
	Acted struct {
		Act  Act
		Leg  string // the UUID of the leg; "" for the caller
		Text string // the keys, the words, or the hangup cause
	}

	// Asked is a request to a web server, and what came of it.
	Asked struct {
		Method, URL string
		Status      int // 0: nothing
		Type, Body  string
		Error       string
	}

	// Logged is a line that the call logs.
	Logged struct {
		simcall.Record
		Source []string // the lines of the file in At; nil where they are not known
	}

	// Stepped says that a verb is about to run, and in which text of the script.
	Stepped struct {
		luabind.Step
		Source []string // the lines of Step.File; nil where they are not known
	}

	// Marked says that the call has come to a step of a flow, or has left it.
	Marked struct {
		luabind.Mark
		Kind   string // of the step: "menu"
		File   string
		Line   int
		Source []string
	}

	// Wired is a command or an event on the event socket, in short.
	Wired struct {
		Sent bool // by the script
		Text string
	}

	// Noted is a remark of the phone itself.
	Noted struct{ Text string }

	// Reloaded says that the library has a new generation, or new problems.
	Reloaded struct {
		Generation uint64
		Changed    []string // files
		Problems   []engine.Problem
	}

	// Ended is the last event of a call.
	Ended struct {
		Why    string // in words
		Ending string // as the engine names it
		Cause  string
		Failed bool // the script, or a hangup handler, raised an error
	}
)

// An Act is something that somebody does.
type Act string

const (
	Presses Act = "presses"
	Says    Act = "says"
	HangsUp Act = "hangs up"
	Answers Act = "answers"
)
