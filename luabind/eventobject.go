package luabind

import (
	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// eventClass is an event in scripts: event["Some-Header"] is a header, event() a table of them all, and
// the fields are short names for what is asked for most.
var eventClass = &Class{
	Name: "Event", Article: "an event", Var: "event",
	Doc: "What a handler or `wait_for` gets: `event[\"Channel-Name\"]` is a header, `event()` a table of all.",
	Fields: []Field{
		{"name", "string?", "Event-Name."},
		{"subclass", "string?", "Event-Subclass, of CUSTOM."},
		{"uuid", "string?", "The Unique-ID of the channel."},
		{"body", "string?", "The event's body."},
		{"digit", "string?", "DTMF-Digit."},
		{"duration", "string?", "DTMF-Duration, in samples."},
		{"cause", "string?", "Hangup-Cause."},
		{"action", "string?", "Action, of a conference's events."},
		{"text", "string?", "What was understood, of speech."},
	},
	field: func(c *Call, L *lua.LState, value any, name string) lua.LValue {
		if v := eventFields[name](value.(*esl.Event)); v != "" {
			return lua.LString(v)
		}
		return lua.LNil
	},
	other: func(c *Call, L *lua.LState, value any, key lua.LValue) (lua.LValue, bool) {
		name, ok := wordOf(key)
		if !ok {
			return nil, false
		}
		if v, ok := value.(*esl.Event).Lookup(name); ok {
			return lua.LString(v), true
		}
		return lua.LNil, true
	},
	operators: []string{"operator call(): table<string, string>"},
	meta:      map[string]lua.LGFunction{"__call": eventCall, "__tostring": eventToString},
}

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

func newEvent(e *esl.Event) lua.LValue { return eventClass.new(e) }

func eventOf(L *lua.LState) *esl.Event {
	if u, ok := L.Get(1).(*lua.LUserData); ok {
		if e, ok := u.Value.(*esl.Event); ok {
			return e
		}
	}
	L.RaiseError("not an event")
	return nil
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
