package luabind

import (
	"strconv"
	"strings"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var legVerbs = []Verb{
	{
		Name:    "originate",
		Params:  []Param{{Name: "target", Type: Text, Doc: "where to, such as \"user/1001\""}},
		Options: dialOptions,
		Results: []Result{{"leg", "Leg?", "the new leg, once it is answered: it has the same verbs as call, leg.uuid, leg.up, leg.cause and leg.vars"}, {"cause", "string?", "without a leg, why: a hangup cause such as USER_BUSY"}},
		Doc: "Calls somebody and waits for an answer; the caller goes on hearing what plays. call:join(leg) connects the two. Legs that are still up " +
			"when the script ends are hung up.",
		Full:  true,
		Async: true,
		run:   originate,
	},
	{
		Name:    "join",
		Params:  []Param{{Name: "leg", Type: Any, Doc: "what originate returned"}},
		Results: []Result{{"bridge", "Bridge", "as of call:bridge. Where leg.up still holds, the leg is the script's again"}},
		Doc:     "Connects the caller with a leg, and waits until they have parted. It needs mod_loopback in the switch.",
		Full:    true,
		Async:   true,
		run:     join,
	},
}

// legLimit is how many seconds a leg may be parked: the last resort for legs whose script is gone.
const legLimit = 4 * 60 * 60

func originate(c *Call, L *lua.LState, a args) int {
	to := a.address(a.value(0))
	if to.expands() {
		a.fail("expand is of no use here: there is no channel yet whose variables it could name")
	}
	leg := c.newLeg(newUUID())
	var dial strings.Builder
	dial.WriteString("{origination_uuid=" + leg.uuid + ",park_timeout=" + strconv.Itoa(legLimit) + ",park_after_bridge=true,hangup_after_bridge=false")
	ring, ok := a.seconds("ring")
	if !ok {
		ring = 60
	}
	dial.WriteString(",originate_timeout=" + strconv.Itoa(ring))
	for _, v := range a.legVariables() {
		dial.WriteString("," + v.name + "=" + a.dialValue(v))
	}
	dial.WriteString("}" + to.text() + " &park()")

	c.subscribe(L, "CHANNEL_ANSWER") // the first event that shows the leg's variables
	c.check(L, c.conn.Post(esl.Filter{Header: "Unique-ID", Value: leg.uuid}))
	j := c.background(L, "originate", dial.String())

	in := c.enter("")
	defer c.leave(in)
	own := c.channel
	in.stop = func() { c.order(L, own, esl.API{Command: "uuid_kill", Args: leg.uuid + " ORIGINATOR_CANCEL"}) }
	c.pump(L, 0, func() bool { return j.done || own.leg != nil && own.leg.gone })
	delete(c.jobs, j.uuid)
	if !j.done {
		in.stop()
		panic(legGone{own.leg})
	}
	c.stopped = in.stopped
	if !strings.HasPrefix(j.text, "+OK") {
		delete(c.legs, leg.uuid)
		return pushNone(L, apiError(j.text))
	}
	L.Push(leg.self)
	return 1
}

func join(c *Call, L *lua.LState, a args) int {
	leg, ok := toLeg(a.value(0))
	if !ok {
		a.fail("argument `leg` must be what originate returned, not %s", describe(a.value(0)))
	}
	if leg == c.leg {
		a.fail("a leg cannot be joined with itself")
	}
	if leg.gone {
		t := L.CreateTable(0, 3)
		t.RawSetString("answered", lua.LFalse)
		t.RawSetString("cause", lua.LString(leg.cause))
		t.RawSetString("seconds", lua.LNumber(0))
		L.Push(t)
		return 1
	}
	// uuid_bridge would take the call away from the script. A bridge to a leg of loopback that intercepts the
	// other keeps it, and the leg too; without bowout, so that it stays one.
	marked := len(c.listeners)+len(c.timers) > 0
	if marked {
		c.post(L, execute("export", "nolocal:"+bridgeMark+"="+c.channelID()))
	}
	c.keep(L, true, false)
	// The leg stays when the bridge ends. It is not enough that originate has said so.
	c.check(L, c.conn.Post(esl.Execute{App: "set", Arg: "park_after_bridge=true", Channel: leg.uuid, EventLock: true}))
	e := c.run(L, execute("bridge", literal("{loopback_bowout=false}loopback/app=intercept:"+leg.uuid).escaped()), 0)
	stopped := c.stopped
	if marked {
		c.unset(L, "nolocal:"+bridgeMark)
	}
	t := bridgeResult(L, e, stopped)
	t.RawSetString("leg", lua.LString(leg.uuid))
	L.Push(t)
	return 1
}
