package luabind

import (
	"context"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// A Leg is a channel that a script has made with originate. It has the verbs of call. Its hangup does not end
// the script: a verb that it ends, or that is used after it, returns nil and "hangup".
type Leg struct {
	channel
	call   *Call
	uuid   string
	newest *esl.Event // of the channel
	gone   bool       // it has hung up
	cause  string     // then, why
	let    bool       // it was transferred away: it is not ours to hang up
	self   *lua.LUserData
	vars   *lua.LUserData
}

// legGone is what ends a verb on a leg that has hung up.
type legGone struct{ leg *Leg }

func (c *Call) newLeg(uuid string) *Leg {
	leg := &Leg{call: c, uuid: uuid, newest: esl.NewEvent("")}
	leg.channel.leg = leg
	leg.self = legClass.new(leg)
	leg.vars = &lua.LUserData{Value: leg, Metatable: shared().varsMeta}
	if c.legs == nil {
		c.legs = make(map[string]*Leg)
	}
	c.legs[uuid] = leg
	return leg
}

// note keeps what an event says of the leg.
func (leg *Leg) note(e *esl.Event) {
	if e.HasVariables() {
		leg.newest = e
	}
	switch e.Name() {
	case "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE":
		leg.gone = true
		if cause := e.Get("Hangup-Cause"); cause != "" {
			leg.cause = cause
		}
	}
}

// endLegs hangs up the legs that the script leaves behind: nobody else knows of them. It waits for the answers, as
// the connection may be closed next, with what the switch has not read.
func (c *Call) endLegs() {
	if len(c.legs) == 0 {
		return
	}
	ctx, cancel := c.conn.WithTimeout(context.Background(), settle)
	defer cancel()
	for _, leg := range c.legs {
		if !leg.gone && !leg.let {
			c.conn.Do(ctx, esl.API{Command: "uuid_kill", Args: leg.uuid}) // esl.Hangup would wait for what runs
		}
	}
}

func toLeg(v lua.LValue) (*Leg, bool) {
	if u, ok := v.(*lua.LUserData); ok {
		leg, ok := u.Value.(*Leg)
		return leg, ok
	}
	return nil, false
}

// on makes v, the call or a leg, what verbs work on, until the function it returns is called.
func (c *Call) on(v lua.LValue) (back func()) {
	saved := c.channel
	c.channel = &c.own
	if leg, ok := toLeg(v); ok {
		c.channel = &leg.channel
	}
	return func() { c.channel = saved }
}

// afterHangup are the verbs that are of use on a leg that has hung up.
var afterHangup = map[string]bool{"get": true, "wait_for": true, "hangup": true, "on": true}

// runOn runs a verb on a leg, or, with nil, on the call while a verb of a leg waits.
func (c *Call) runOn(L *lua.LState, leg *Leg, v *Verb, a args) (n int) {
	var on lua.LValue = c.self
	if leg != nil {
		on = leg.self
	}
	back := c.on(on)
	defer back()
	if leg == nil {
		return v.run(c, L, a)
	}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case legGone:
			if r.leg != leg {
				panic(r)
			}
			L.SetTop(0)
			n = pushNone(L, "hangup")
		default:
			panic(r)
		}
	}()
	if leg.gone && !afterHangup[v.Name] {
		panic(legGone{leg})
	}
	return v.run(c, L, a)
}

// legClass is a leg in scripts. Its methods are call's verbs.
var legClass = &Class{
	Name: "Leg", Article: "a leg", Var: "leg",
	Doc: "A channel that `originate` has made. It has the verbs of `call`. Its hangup does not end the script: a verb that the hangup " +
		"ends, or that is used after it, returns nil and \"hangup\". Legs that the script leaves behind are hung up with it.",
	Fields: []Field{
		{"uuid", "string", "The leg's Unique-ID."},
		{"up", "boolean", "Whether it has not hung up."},
		{"cause", "string?", "Why it has hung up, once it has."},
		{"vars", "table<string, string>", "Its variables, as call.vars."},
	},
	field: func(c *Call, L *lua.LState, value any, name string) lua.LValue {
		leg := value.(*Leg)
		switch name {
		case "uuid":
			return lua.LString(leg.uuid)
		case "up":
			return lua.LBool(!leg.gone)
		case "cause":
			if leg.gone {
				return lua.LString(leg.cause)
			}
			return lua.LNil
		}
		return leg.vars
	},
	other: func(c *Call, L *lua.LState, value any, key lua.LValue) (lua.LValue, bool) {
		name, _ := key.(lua.LString)
		if fn := shared().verbs[string(name)]; fn != nil {
			return fn, true
		}
		return nil, false
	},
	more: verbNames,
	meta: map[string]lua.LGFunction{"__newindex": legNewIndex, "__tostring": legToString},
}

func legNewIndex(L *lua.LState) int {
	L.RaiseError("leg.%s cannot be assigned; channel variables are set with leg:set(name, value)", L.Get(2).String())
	return 0
}

func legToString(L *lua.LState) int {
	if leg, ok := toLeg(L.Get(1)); ok {
		L.Push(lua.LString("leg " + leg.uuid))
		return 1
	}
	L.Push(lua.LString("leg"))
	return 1
}

// settle is how long the switch may take to hang up what a script leaves behind.
const settle = 2 * time.Second
