package luabind

import (
	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// A channel is what is known of one channel: of the call's own, or of a leg that the script
// made. The verb that runs works on Call.channel.
type channel struct {
	leg *Leg // nil: the call's own

	pending  []assigned // variables set and not yet seen in an event
	sequence int        // of assigned and started, in the order they were sent
	bridging bool       // continue_on_fail and hangup_after_bridge are as bridge wants them
	speech   bool       // fire_asr_events is set
	answered bool       // the script has answered it
	recorded string     // what record_call records to
	room     string     // the conference that the channel was last sent to
}

// target is the channel as a command names it: nothing for the call's own.
func (ch *channel) target() string {
	if ch.leg != nil {
		return ch.leg.uuid
	}
	return ""
}

// channelID is the Unique-ID of the channel that the running verb works on.
func (c *Call) channelID() string {
	if c.channel.leg != nil {
		return c.channel.leg.uuid
	}
	return c.conn.UUID()
}

// newest is the newest event of the channel that the running verb works on.
func (c *Call) newest() *esl.Event {
	if leg := c.channel.leg; leg != nil {
		return leg.newest
	}
	return c.conn.Latest()
}

// syncVariable is never set: to unset it changes nothing, and its end says that all before has ended.
const syncVariable = "callisto_sync"

// assign sets a variable of the channel, and unset unsets one, for a verb's own use.
func (c *Call) assign(L *lua.LState, name string, value argument) {
	c.post(L, execute("set", assignment("set", name, value)))
	text := value.text()
	c.pending = append(c.pending, assigned{name, &text, c.sequence})
}

func (c *Call) unset(L *lua.LState, name string) {
	c.post(L, execute("unset", literal(name).escaped()))
	c.pending = append(c.pending, assigned{name, nil, c.sequence})
}
