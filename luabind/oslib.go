package luabind

import (
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Of Lua's os library scripts have what tells the time: the call's, in the zone that its clock is in.

func luaOsTime(L *lua.LState) int {
	now := callOf(L).now()
	if L.Get(1) == lua.LNil {
		L.Push(lua.LNumber(now.Unix()))
		return 1
	}
	n := shared().osTime(L)
	if zone := now.Location(); zone != time.Local {
		t := time.Unix(int64(L.CheckNumber(-1)), 0) // what the table says, taken for our zone's
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, zone)
		L.Push(lua.LNumber(t.Unix()))
	}
	return n
}

func luaOsDate(L *lua.LState) int {
	format, t := L.OptString(1, "%c"), callOf(L).now()
	zone := t.Location()
	if L.Get(2) != lua.LNil {
		t = time.Unix(int64(L.CheckNumber(2)), 0).In(zone)
	}
	if zone != time.Local && (format == "" || format[0] != '!') {
		t = time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.Local) // which shows the same
	}
	L.SetTop(0)
	L.Push(lua.LString(format))
	L.Push(lua.LNumber(t.Unix()))
	return shared().osDate(L)
}

// luaOsClock is the time since the call came: what the process has computed is no script's business.
func luaOsClock(L *lua.LState) int {
	c := callOf(L)
	L.Push(lua.LNumber(c.now().Sub(c.began).Seconds()))
	return 1
}
