package luabind

import (
	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// An event in scripts: event["Some-Header"] is a header, event() a table of them all, and
// these are short names for what is asked for most.
var eventFields = map[string]func(*esl.Event) string{
	"name":     (*esl.Event).Name,
	"subclass": func(e *esl.Event) string { return e.Get("Event-Subclass") },
	"uuid":     (*esl.Event).UUID,
	"body":     (*esl.Event).Body,
	"digit":    func(e *esl.Event) string { return e.Get("DTMF-Digit") },
	"duration": func(e *esl.Event) string { return e.Get("DTMF-Duration") },
	"cause":    func(e *esl.Event) string { return e.Get("Hangup-Cause") },
	"action":   func(e *esl.Event) string { return e.Get("Action") },
	"text":     func(e *esl.Event) string { return spoken(e.Body()) },
}

func newEvent(e *esl.Event) lua.LValue {
	return &lua.LUserData{Value: e, Metatable: shared().eventMeta}
}

func eventOf(L *lua.LState) *esl.Event {
	if u, ok := L.Get(1).(*lua.LUserData); ok {
		if e, ok := u.Value.(*esl.Event); ok {
			return e
		}
	}
	L.RaiseError("not an event")
	return nil
}

func eventIndex(L *lua.LState) int {
	e := eventOf(L)
	name, ok := wordOf(L.Get(2))
	if !ok {
		L.RaiseError("an event has no field %s", describe(L.Get(2)))
	}
	if field := eventFields[name]; field != nil {
		if v := field(e); v != "" {
			L.Push(lua.LString(v))
			return 1
		}
		L.Push(lua.LNil)
		return 1
	}
	if v, ok := e.Lookup(name); ok {
		L.Push(lua.LString(v))
	} else {
		L.Push(lua.LNil)
	}
	return 1
}

func eventCall(L *lua.LState) int {
	e := eventOf(L)
	charge(L, e.Size())
	t := L.NewTable()
	for name, value := range e.All() {
		t.RawSetString(name, lua.LString(value))
	}
	L.Push(t)
	return 1
}

func eventToString(L *lua.LState) int {
	e := eventOf(L)
	name := e.Name()
	if s := e.Get("Event-Subclass"); s != "" {
		name += " " + s
	}
	L.Push(lua.LString("event " + name))
	return 1
}
