package luabind

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// data is a call's own plain table. It travels with the call, so it holds only what can be written down: strings,
// numbers, true, false, and tables of them. What cannot is refused when it is put there: a metatable sees each new
// key, and every step that may have changed data is looked at when it ends.

const (
	maxDataDepth = 16      // tables in tables
	maxState     = 8 << 10 // bytes of the variable that a call carries
	maxLooks     = 10_000  // values that a check looks at: a table may be in another many times, and in each of those again
)

// newData makes an empty data table.
func newData(L *lua.LState) *lua.LTable {
	t := L.CreateTable(0, 4) // NewTable makes room for 64 values
	t.Metatable = shared().dataMeta
	return t
}

// dataNewIndex is the __newindex of data and of the tables in it.
func dataNewIndex(L *lua.LState) int {
	t, key, v := L.CheckTable(1), L.Get(2), L.Get(3)
	fault := func(name string) string {
		if why := keyFault(key, name); why != "" {
			return why
		}
		return unstorable(v, name)
	}
	if fault("") != "" {
		L.RaiseError("%s", fault(callOf(L).dataName(t, keyText(key))))
	}
	guard(v)
	t.RawSet(key, v)
	return 0
}

// guard gives data's metatable to a table that is put there, and to those in it.
func guard(v lua.LValue) {
	t, ok := v.(*lua.LTable)
	if !ok || t.Metatable == lua.LValue(shared().dataMeta) {
		return
	}
	t.Metatable = shared().dataMeta
	t.ForEach(func(_, v lua.LValue) { guard(v) })
}

func keyText(key lua.LValue) string {
	switch key := key.(type) {
	case lua.LString:
		if len(key) > 40 {
			return string(key[:40]) + "…"
		}
		return string(key)
	case lua.LNumber:
		return key.String()
	}
	return "a " + key.Type().String()
}

// dataName is how messages name a key of a table in data: "data.order.lines.2".
func (c *Call) dataName(t *lua.LTable, key string) string {
	if c.flows != nil {
		looks := 0
		for _, fr := range c.flows.frames {
			if path, ok := findTable(fr.data, t, "data", 0, &looks); ok {
				return path + "." + key
			}
		}
	}
	return "data.…." + key
}

func findTable(in, t *lua.LTable, path string, depth int, looks *int) (found string, ok bool) {
	if in == t {
		return path, true
	}
	if *looks++; depth > maxDataDepth || *looks > maxLooks {
		return "", false
	}
	in.ForEach(func(key, v lua.LValue) {
		if inner, isTable := v.(*lua.LTable); isTable && !ok {
			found, ok = findTable(inner, t, path+"."+keyText(key), depth+1, looks)
		}
	})
	return found, ok
}

// keyFault says why something cannot be a key in data, or is "".
func keyFault(key lua.LValue, name string) string {
	switch key := key.(type) {
	case lua.LString:
		return ""
	case lua.LNumber:
		if n := float64(key); n == math.Trunc(n) && math.Abs(n) <= 1<<53 {
			return ""
		}
	}
	return fmt.Sprintf("%s: a key in data is a string or a whole number, not %s", name, describe(key))
}

// unstorable says why a value cannot be in data, with the path of what is wrong, or is "".
func unstorable(v lua.LValue, name string) string {
	looks := 0
	return unstorableAt(v, name, 0, &looks)
}

func unstorableAt(v lua.LValue, name string, depth int, looks *int) (why string) {
	if *looks++; *looks > maxLooks {
		return fmt.Sprintf("%s: there are more than %d values; what is kept with the call has %d bytes in all", short(name), maxLooks, maxState)
	}
	switch v := v.(type) {
	case *lua.LNilType, lua.LBool:
		return ""
	case lua.LNumber:
		if math.IsNaN(float64(v)) {
			return name + ": the number is NaN, which cannot be kept with the call"
		}
		return ""
	case lua.LString:
		if len(v) > maxState {
			return fmt.Sprintf("%s: the text has %d bytes; what is kept with the call has %d in all", name, len(v), maxState)
		}
		return ""
	case *lua.LTable:
		if depth >= maxDataDepth {
			return fmt.Sprintf("%s: more than %d tables in one another, or a table that holds itself, cannot be kept with the call", short(name), maxDataDepth)
		}
		if v.Metatable != nil && v.Metatable != lua.LNil && v.Metatable != lua.LValue(shared().dataMeta) {
			return name + ": a table with a metatable cannot be kept with the call"
		}
		v.ForEach(func(key, value lua.LValue) {
			if why != "" {
				return
			}
			inner := name + "." + keyText(key)
			if why = keyFault(key, inner); why == "" {
				why = unstorableAt(value, inner, depth+1, looks)
			}
		})
		return why
	case *lua.LUserData:
		if _, ok := v.Value.(*expansion); ok {
			return name + ": what expand returns cannot be kept with the call: use it where the text is used"
		}
	}
	return fmt.Sprintf("%s: a %s cannot be kept with the call; strings, numbers, true, false and tables of them can", name, v.Type().String())
}

// short cuts the path of something deep.
func short(name string) string {
	if len(name) > 80 {
		return name[:80] + "…"
	}
	return name
}

// step is one name of a path: a number is the index of a list where the table has it.
func field(t *lua.LTable, name string) lua.LValue {
	if v := t.RawGetString(name); v != lua.LNil {
		return v
	}
	if n, err := strconv.Atoi(name); err == nil {
		return t.RawGetInt(n)
	}
	return lua.LNil
}

// lookupPath is what a name with dots means in a table.
func lookupPath(t *lua.LTable, path string) lua.LValue {
	for {
		name, rest, more := strings.Cut(path, ".")
		v := field(t, name)
		if !more {
			return v
		}
		inner, ok := v.(*lua.LTable)
		if !ok {
			return lua.LNil
		}
		t, path = inner, rest
	}
}

// assignPath puts a value into data under a name with dots. Tables on the way are made.
func assignPath(L *lua.LState, t *lua.LTable, path string, v lua.LValue) {
	if why := unstorable(v, "data."+path); why != "" {
		L.RaiseError("%s", why)
	}
	v = copyValue(L, v)
	for {
		name, rest, more := strings.Cut(path, ".")
		key := lua.LValue(lua.LString(name))
		if n, err := strconv.Atoi(name); err == nil && t.RawGetString(name) == lua.LNil {
			key = lua.LNumber(n)
		}
		if !more {
			t.RawSet(key, v)
			return
		}
		inner, ok := t.RawGet(key).(*lua.LTable)
		if !ok {
			inner = newData(L)
			t.RawSet(key, inner)
		}
		t, path = inner, rest
	}
}

// copyValue copies the tables of a storable value: what is in data belongs to data.
func copyValue(L *lua.LState, v lua.LValue) lua.LValue {
	t, ok := v.(*lua.LTable)
	if !ok {
		return v
	}
	c := L.CreateTable(t.Len(), 0)
	t.ForEach(func(key, value lua.LValue) { c.RawSet(key, copyValue(L, value)) })
	c.Metatable = shared().dataMeta
	return c
}
