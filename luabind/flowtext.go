package luabind

import (
	"fmt"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// In the texts of a step {name} is what data has under that name: {order.total}, {list.1}. {call.…} is of the call:
// {call.caller.number}, {call.vars.language}; {config.…} is what the module config has. {{ is a brace. What is put in arrives at the switch as it is.

// isPath reports whether text is names with dots between them.
func isPath(text string) bool {
	if len(text) > 200 {
		return false
	}
	for part := range strings.SplitSeq(text, ".") {
		if part == "" {
			return false
		}
		for i := range len(part) {
			if c := part[i]; !isAlpha(c) && !isDigit(c) && c != '_' && c != '-' {
				return false
			}
		}
	}
	return true
}

// callPath reports whether text names something of the call.
func callPath(text string) bool {
	switch text {
	case "call.caller.number", "call.caller.name", "call.destination", "call.uuid":
		return true
	}
	return strings.HasPrefix(text, "call.vars.") || strings.HasPrefix(text, "call.args.")
}

// eachPart takes a text apart: f gets what stands as it is, and the names in braces. The result says what is wrong
// with the text, or is "".
func eachPart(text string, f func(plain, name string)) string {
	for {
		at := strings.IndexByte(text, '{')
		if at < 0 {
			f(text, "")
			return ""
		}
		if strings.HasPrefix(text[at:], "{{") {
			f(text[:at+1], "")
			text = text[at+2:]
			continue
		}
		if at > 0 && text[at-1] == '$' {
			return "${…} is not expanded: write expand \"…\" where the switch is to do that, or ${{ for these characters"
		}
		end := strings.IndexByte(text[at:], '}')
		if end < 0 || !isPath(text[at+1:at+end]) {
			return "after { comes a name in data and }, such as {name} or {call.caller.number}; {{ is a brace"
		}
		name := text[at+1 : at+end]
		if strings.HasPrefix(name, "call.") && !callPath(name) {
			return "there is no {" + name + "}; of the call there are {call.caller.number}, {call.caller.name}, {call.destination}, {call.uuid}, {call.vars.…} and {call.args.…}"
		}
		f(text[:at], name)
		text = text[at+end+1:]
	}
}

// textFault says what is wrong with the braces in a value's texts, or is "".
func textFault(v lua.LValue) string {
	looks := 0
	return textFaultAt(v, 0, &looks)
}

func textFaultAt(v lua.LValue, depth int, looks *int) (why string) {
	if *looks++; depth > maxDataDepth || *looks > maxLooks {
		return tooNested()
	}
	switch v := v.(type) {
	case lua.LString:
		if strings.IndexByte(string(v), '{') < 0 {
			return ""
		}
		if why = eachPart(string(v), func(string, string) {}); why != "" {
			return "the text " + describe(v) + ": " + why
		}
	case *lua.LTable:
		v.ForEach(func(_, value lua.LValue) {
			if why == "" {
				why = textFaultAt(value, depth+1, looks)
			}
		})
	}
	return why
}

func tooNested() string {
	return fmt.Sprintf("there are more than %d tables in one another, a table that holds itself, or more than %d values", maxDataDepth, maxLooks)
}

// isDynamic reports whether a text has names in it.
func isDynamic(text string) bool { return strings.IndexByte(text, '{') >= 0 }

// fill puts what is in data into the texts of a value.
func (s *stepRun) fill(v lua.LValue) lua.LValue {
	looks := 0
	return s.fillAt(v, 0, &looks)
}

func (s *stepRun) fillAt(v lua.LValue, depth int, looks *int) lua.LValue {
	if *looks++; depth > maxDataDepth || *looks > maxLooks { // a function has changed it since it was checked
		s.fail("%s", tooNested())
	}
	switch v := v.(type) {
	case lua.LString:
		if !isDynamic(string(v)) {
			return v
		}
		var b strings.Builder
		why := eachPart(string(v), func(plain, name string) {
			b.WriteString(plain)
			if name == "" {
				return
			}
			switch value := s.lookup(name).(type) {
			case lua.LString, lua.LNumber, lua.LBool:
				b.WriteString(value.String())
			case *lua.LNilType:
				s.c.log.Warn("nothing has the name in a text", "name", name, "step", s.name, "at", at(s.def.file, s.def.line))
			default:
				s.fail("{%s} is a %s, not a text", name, value.Type().String())
			}
		})
		if why != "" {
			s.fail("the text %s: %s", describe(v), why)
		}
		charge(s.L, b.Len())
		return lua.LString(b.String())
	case *lua.LTable:
		var filled *lua.LTable // nil: it is as it stands
		v.ForEach(func(key, value lua.LValue) {
			if text := s.fillAt(value, depth+1, looks); text != value {
				if filled == nil {
					filled = s.L.CreateTable(v.Len(), 0)
					v.ForEach(func(key, value lua.LValue) { filled.RawSet(key, value) })
				}
				filled.RawSet(key, text)
			}
		})
		if filled != nil {
			return filled
		}
	}
	return v
}

// lookup is the value that a name in a text or in a branch means.
func (s *stepRun) lookup(path string) lua.LValue {
	if rest, ok := strings.CutPrefix(path, "config."); ok {
		name, inner, more := strings.Cut(rest, ".")
		v := s.c.configured(s.L, name)
		if v == lua.LNil {
			s.fail("%s", noConfig(name, s.c.env.Config))
		}
		if t, ok := v.(*lua.LTable); ok && more {
			return lookupPath(t, inner)
		} else if more {
			return lua.LNil
		}
		return v
	}
	rest, ofCall := strings.CutPrefix(path, "call.")
	if !ofCall {
		return lookupPath(s.fr.data, path)
	}
	switch rest {
	case "caller.number":
		return lua.LString(s.c.env.Channel.CallerNumber)
	case "caller.name":
		return lua.LString(s.c.env.Channel.CallerName)
	case "destination":
		return lua.LString(s.c.env.Channel.Destination)
	case "uuid":
		return lua.LString(s.c.conn.UUID())
	}
	if name, ok := strings.CutPrefix(rest, "vars."); ok {
		return s.c.variable(name)
	}
	if name, ok := strings.CutPrefix(rest, "args."); ok {
		if v, ok := s.c.env.Args[name]; ok {
			return lua.LString(v)
		}
	}
	return lua.LNil
}
