package calltest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/luabind"
	"callisto/simulator"
)

// A caller is somebody who calls in a test: a luabind.Caller.
type caller struct {
	bench *bench
	uuid  string
	began time.Time

	// bench.mu guards the rest.
	channel  *simulator.Channel // nil before the test has waited
	facts    luabind.Facts
	heard    []sound
	listened int           // how many of them hears is done with
	left     bool          // the channel is over
	returned bool          // the engine is done with the call
	over     time.Duration // then, how long it lasted
	outcome  string        // how it left, in words
	expected bool          // the script's error is
	errors   []fault       // that its script raised
}

// A sound is something heard.
type sound struct {
	said bool
	text string
}

// A fault is an error of a script.
type fault struct{ what, at, traceback string }

// is reports whether a sound is what a test waits for.
func (s sound) is(what string) bool {
	if s.said {
		return strings.Contains(strings.ToLower(s.text), strings.ToLower(what))
	}
	parts := []string{s.text}
	if list, ok := strings.CutPrefix(s.text, "file_string://"); ok {
		parts = append(parts, strings.Split(list, "!")...)
	}
	for _, p := range parts {
		if p == what || strings.HasSuffix(p, "/"+what) {
			return true
		}
	}
	return false
}

func (c *caller) done() bool { return c.left && c.returned }

// Hears implements luabind.Caller.
func (c *caller) Hears(what string, within time.Duration) error {
	if what == "" {
		return errors.New("hears what? Name a file, or a text")
	}
	first := -1
	found, err := c.bench.await(within, func() bool {
		if first < 0 {
			first = c.listened
		}
		for c.listened < len(c.heard) {
			c.listened++
			if c.heard[c.listened-1].is(what) {
				return true
			}
		}
		return c.done()
	})
	c.bench.mu.Lock()
	defer c.bench.mu.Unlock()
	if err == nil && found && c.listened > 0 && c.heard[c.listened-1].is(what) && c.listened > first {
		return nil
	}
	instead := "nothing"
	if list := c.heard[first:]; len(list) > 0 {
		texts := make([]string, len(list))
		for i, s := range list {
			texts[i] = s.text
		}
		if len(texts) > 8 {
			texts = append(append(texts[:4:4], fmt.Sprintf("… %d more …", len(texts)-8)), texts[len(texts)-4:]...)
		}
		instead = strings.Join(texts, ", ")
	}
	var text string
	switch {
	case err != nil:
		text = fmt.Sprintf("the caller waits for %s: %v", what, err)
	case c.done():
		text = fmt.Sprintf("the caller does not hear %s, and the call is over (%s): heard instead: %s", what, c.why(), instead)
	default:
		text = fmt.Sprintf("the caller does not hear %s within %s: heard instead: %s", what, short(within), instead)
	}
	return errors.New(text)
}

// gone is the error of something that somebody does whose call is over.
func (c *caller) gone(what string) error {
	c.bench.mu.Lock()
	defer c.bench.mu.Unlock()
	if !c.left {
		return nil
	}
	text := fmt.Sprintf("the caller cannot %s: the call is over (%s)", what, c.why())
	return errors.New(text)
}

// why says how the call ended. bench.mu is held.
func (c *caller) why() string {
	text := c.facts.Ending
	if text == "" {
		text = c.outcome
	}
	if c.facts.Cause != "" {
		text += ", " + c.facts.Cause
	}
	return text
}

// Press implements luabind.Caller.
func (c *caller) Press(digits string) error {
	if !simcall.IsKeys(digits) {
		return fmt.Errorf("press: the keys are 0 to 9, *, # and A to D, not %q", digits)
	}
	if err := c.gone("press " + digits); err != nil {
		return err
	}
	c.bench.act(func() { c.channel.Press(digits) })
	return nil
}

// Says implements luabind.Caller.
func (c *caller) Says(text string) error {
	if err := c.gone(fmt.Sprintf("say %q", text)); err != nil {
		return err
	}
	c.bench.act(func() {
		c.note("says", text)
		c.channel.Say(text)
	})
	return nil
}

// note puts into the story what the caller does, where the switch does not tell it.
func (c *caller) note(what, text string) {
	c.bench.mu.Lock()
	c.bench.tell(event{at: c.bench.clock.Now(), class: acted, channel: c.uuid, what: what, text: text})
	c.bench.mu.Unlock()
}

// HangsUp implements luabind.Caller.
func (c *caller) HangsUp(cause string) error {
	if err := c.gone("hang up"); err != nil {
		return err
	}
	c.hangup(cause, "")
	return c.Ends(time.Hour)
}

func (c *caller) hangup(cause, why string) {
	c.bench.act(func() {
		c.note("hangs up", why)
		c.channel.Hangup(cause)
	})
}

// Ends implements luabind.Caller.
func (c *caller) Ends(within time.Duration) error {
	found, err := c.bench.await(within, c.done)
	if found {
		return nil
	}
	c.bench.mu.Lock()
	defer c.bench.mu.Unlock()
	text := fmt.Sprintf("the call has not ended within %s", short(within))
	if err != nil {
		text = fmt.Sprintf("the caller waits for the end of the call: %v", err)
	} else if c.left {
		text = fmt.Sprintf("the caller is gone (%s), but the script, or a hangup handler, has not come to an end within %s", c.outcome, short(within))
	}
	return errors.New(text)
}

// Fails implements luabind.Caller.
func (c *caller) Fails(text string) error {
	if err := c.Ends(time.Hour); err != nil {
		return err
	}
	c.bench.mu.Lock()
	defer c.bench.mu.Unlock()
	if len(c.errors) == 0 {
		return fmt.Errorf("the script raised no error: %s", c.why())
	}
	for _, e := range c.errors {
		if strings.Contains(e.String(), text) {
			c.expected = true
			return nil
		}
	}
	return fmt.Errorf("the script raised another error than %q: %s", text, c.errors[0])
}

func (f fault) String() string {
	if f.at == "" {
		return f.what
	}
	return f.at + ": " + f.what
}

// Facts implements luabind.Caller.
func (c *caller) Facts() luabind.Facts {
	c.bench.mu.Lock()
	defer c.bench.mu.Unlock()
	f := c.facts
	if c.channel == nil {
		f.Variable = func(string) (string, bool) { return "", false }
		f.UUID, f.Up = c.uuid, true
		return f
	}
	answered := c.channel.Answered()
	if c.left {
		if outcome, err := c.channel.Wait(c.bench.ctx); err == nil && outcome.Kind == simulator.TransferredOutcome {
			f.Transferred = outcome.Destination
		}
	}
	f.UUID, f.Up, f.Answered = c.uuid, !c.left, answered
	for _, s := range c.heard {
		f.Heard = append(f.Heard, s.text)
		if s.said {
			f.Said = append(f.Said, s.text)
		} else {
			f.Played = append(f.Played, s.text)
		}
	}
	f.Dialled, f.Recorded, f.Executed, f.Log = slices.Clone(f.Dialled), slices.Clone(f.Recorded), slices.Clone(f.Executed), slices.Clone(f.Log)
	if len(c.errors) > 0 {
		f.Error = c.errors[0].String()
	}
	lasted := c.over
	if !c.done() {
		lasted = c.bench.clock.Now().Sub(c.began)
	}
	f.Seconds = lasted.Seconds()
	f.Variable = func(name string) (string, bool) {
		v := c.channel.Variable(name)
		return v, v != ""
	}
	return f
}

// short is a duration as a test would write it.
func short(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
