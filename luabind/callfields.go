package luabind

import (
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// A Field is a value of call that is no verb.
type Field struct{ Name, Type, Doc string }

// Fields are what call has besides its verbs.
var Fields = []Field{
	{"uuid", "string", "The channel's Unique-ID."},
	{"caller", "Caller", "call.caller.number and call.caller.name, as the caller's side sent them."},
	{"destination", "string", "The number that was dialled."},
	{"args", "table<string, string>", "The words after the socket application's address that have a name (lang=sv), with the route's own arguments; words without a name are args[1], args[2], …"},
	{"vars", "table<string, string>", "The channel's variables: call.vars.x reads like call:get(\"x\"), an assignment sets, call.vars() is a table of them all."},
	{"resumed", "table?", "What the call carried from an engine that is gone: the table given to `call:checkpoint`, or for a flow { flow =, step = }, where it was. nil for a call that begins here."},
}

// callIndex is call.name in scripts.
func callIndex(L *lua.LState) int {
	c, ok := toCall(L.Get(1))
	if !ok {
		L.RaiseError("not a call")
	}
	if c.conn == nil {
		L.RaiseError("there is no call while a flow is read: use call inside the function of a run step")
	}
	name, ok := L.Get(2).(lua.LString)
	if !ok {
		L.RaiseError("call has no field %s", describe(L.Get(2)))
	}
	if fn := shared().verbs[string(name)]; fn != nil {
		L.Push(fn)
		return 1
	}
	if v, ok := c.field(L, string(name)); ok {
		L.Push(v)
		return 1
	}
	names := verbNames()
	for _, f := range Fields {
		names = append(names, f.Name)
	}
	L.RaiseError("call has no verb or field `%s`%s", string(name), didYouMean(string(name), names))
	return 0
}

func verbNames() []string {
	names := make([]string, len(Verbs))
	for i := range Verbs {
		names[i] = Verbs[i].Name
	}
	return names
}

func (c *Call) field(L *lua.LState, name string) (lua.LValue, bool) {
	if v, ok := c.fields[name]; ok {
		return v, true
	}
	channel := &c.env.Channel
	var v lua.LValue
	switch name {
	case "uuid":
		return lua.LString(c.conn.UUID()), true
	case "resumed":
		v = c.resumedField(L)
	case "destination":
		return lua.LString(channel.Destination), true
	case "caller":
		t := L.CreateTable(0, 2)
		t.RawSetString("number", lua.LString(channel.CallerNumber))
		t.RawSetString("name", lua.LString(channel.CallerName))
		v = t
	case "args":
		t := L.CreateTable(len(c.env.Words), len(c.env.Args))
		for _, w := range c.env.Words {
			t.Append(lua.LString(w))
		}
		for name, value := range c.env.Args {
			t.RawSetString(name, lua.LString(value))
		}
		v = t
	case "vars":
		v = &lua.LUserData{Value: c, Metatable: shared().varsMeta}
	default:
		return nil, false
	}
	if c.fields == nil {
		c.fields = make(map[string]lua.LValue)
	}
	c.fields[name] = v
	return v, true
}

func callNewIndex(L *lua.LState) int {
	L.RaiseError("call.%s cannot be assigned; channel variables are set with call:set(name, value)", L.Get(2).String())
	return 0
}

func callToString(L *lua.LState) int {
	if c, ok := toCall(L.Get(1)); ok {
		L.Push(lua.LString("call " + c.conn.UUID()))
		return 1
	}
	L.Push(lua.LString("call"))
	return 1
}

// varsIndex, varsNewIndex and varsCall are call.vars.
func varsIndex(L *lua.LState) int {
	c := callOf(L)
	name, ok := wordOf(L.Get(2))
	if !ok {
		L.Push(lua.LNil)
		return 1
	}
	defer c.on(L.Get(1))()
	L.Push(c.variable(name))
	return 1
}

func varsNewIndex(L *lua.LState) int {
	set := shared().verbs["set"]
	value := L.Get(3)
	L.Push(set)
	if leg, ok := toLeg(L.Get(1)); ok {
		L.Push(leg.self)
	} else {
		L.Push(callOf(L).self)
	}
	L.Push(L.Get(2))
	L.Push(value)
	L.Call(3, 0)
	return 0
}

func varsCall(L *lua.LState) int {
	c := callOf(L)
	t := L.NewTable()
	defer c.on(L.Get(1))()
	for name, value := range c.newest().Variables() {
		t.RawSetString(name, lua.LString(value))
	}
	for _, p := range c.pending {
		if p.value == nil {
			t.RawSetString(p.name, lua.LNil)
		} else {
			t.RawSetString(p.name, lua.LString(*p.value))
		}
	}
	L.Push(t)
	return 1
}

func luaPrint(L *lua.LState) int {
	var parts []string
	for i := 1; i <= L.GetTop(); i++ {
		parts = append(parts, L.ToStringMeta(L.Get(i)).String())
	}
	callOf(L).logLine(L, levelInfo, strings.Join(parts, "\t"), nil)
	return 0
}
