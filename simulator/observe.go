package simulator

import (
	"fmt"
	"time"
)

// Kind says what an [Occurrence] is about.
type Kind string

// The kinds of occurrences.
const (
	Executed  Kind = "executed"  // an application began: Name, and Data as it saw it, after expansion
	Played    Kind = "played"    // a file or stream began to play: Data
	Said      Kind = "said"      // speech, by Name (speak, say, phrase): Data
	Set       Kind = "set"       // an application set variable Name to Data
	Evaluated Kind = "evaluated" // an expansion ran API function Name with Data
	Ran       Kind = "ran"       // a command ran API function Name with Data
	System    Kind = "system"    // a shell command, Data, that a real switch would have run
	Dialled   Kind = "dialled"   // a leg was dialled: Data
	Rings     Kind = "rings"     // the channel is a leg that was dialled: with Data, by the channel Name, if by one
	Answered  Kind = "answered"  // the channel is a leg, and it answers
	Bridged   Kind = "bridged"   // two channels were bridged: Data is the other's UUID
	Digit     Kind = "digit"     // a digit was taken from the caller: Data
	Sent      Kind = "sent"      // digits were sent to the far end: Data
	Recorded  Kind = "recorded"  // a recording began: Data is the file
	Logged    Kind = "logged"    // the log application: level Name, text Data
	HungUp    Kind = "hung up"   // with cause Name
	Ended     Kind = "ended"     // the simulated channel is over: Outcome as text in Data
)

// An Occurrence is something that happened on a simulated switch, told to
// [Switch].Observer and kept in [Channel.Log].
type Occurrence struct {
	Time    time.Time
	Channel string // UUID, empty if it concerns none
	Kind    Kind
	Name    string
	Data    string
}

// String returns the occurrence without time and channel: `executed playback "ivr/welcome.wav"`.
func (o Occurrence) String() string {
	if o.Name == "" {
		return fmt.Sprintf("%s %q", o.Kind, o.Data)
	}
	return fmt.Sprintf("%s %s %q", o.Kind, o.Name, o.Data)
}

// note remembers an occurrence; c may be nil. s.mu is held.
func (s *Switch) note(c *Channel, kind Kind, name, data string) {
	o := Occurrence{Time: s.clock.Now(), Kind: kind, Name: name, Data: data}
	if c != nil {
		o.Channel = c.UUID
		c.log = append(c.log, o)
	} else {
		s.history = append(s.history, o)
	}
	if s.noticed != nil {
		s.hold()
		s.notices = append(s.notices, o)
		s.noticed.Signal()
	}
}

// Log returns what happened that concerned no channel, such as API functions
// run by an expansion in the argument of "api expand".
func (s *Switch) Log() []Occurrence {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Occurrence(nil), s.history...)
}

// observe tells the observer, holding a virtual clock until it knows.
func (s *Switch) observe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.notices) == 0 {
			if s.closed && len(s.channels) == 0 {
				return
			}
			s.noticed.Wait()
		}
		batch := s.notices
		s.notices = nil
		for _, o := range batch {
			s.unlocked(func() { s.Observer(o) })
			s.release()
		}
	}
}
