package luabind

import (
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var configModule = &Module{
	Name: "config",
	Doc: "`config` has what the operator has written for scripts in `config.toml`: names and values under `[config]` for all, and " +
		"under `[config.script.\"NAME\"]` for the calls of one script, which come first.\n\n" +
		"```toml\n" +
		`[config]
greeting = "ivr/welcome.wav"
holidays = ["12-24", "12-25"]

[config.script."support/menu"]
greeting = "ivr/support.wav"
queues = { gold = "1001", others = "1002" }
` + "```\n\n" +
		"In the calls of `support/menu`, `config.greeting` is `ivr/support.wav`, in those of other scripts `ivr/welcome.wav`. What " +
		"a script requires sees the same as the script. A name that is not there raises an error, so that a typo does not go " +
		"unnoticed, and `callisto check` finds it; `config.get` is for what may be missing:\n\n" +
		"```lua\n" +
		`call:answer()
call:playback(config.get("greeting", "ivr/ivr-welcome_to_freeswitch.wav"))
local queue = config.get("queues.gold")
` + "```\n\n" +
		"Names keep their upper and lower case. Lists and tables are tables, dates and times are strings such as " +
		"`2026-12-24`. `config` cannot be assigned to; what a script changes in a table of it, no other call sees. A call keeps the values " +
		"that it began with; a change of the file is for the next call.",
	Functions: []Verb{{
		Name: "get",
		Params: []Param{
			{Name: "name", Type: String, Doc: "a name; with dots, one in a table: \"queues.gold\""},
			{Name: "default", Type: Any, Optional: true, Doc: "what is returned where there is no such name"},
		},
		Results: []Result{{"value", "any", "the value, or the default"}},
		Doc:     "Returns a value that may be missing.",
		run: func(c *Call, L *lua.LState, a args) int {
			first, rest, more := strings.Cut(a.string(0), ".")
			v := c.configured(L, first)
			for more && v != lua.LNil {
				t, ok := v.(*lua.LTable)
				if !ok {
					v = lua.LNil
					break
				}
				first, rest, more = strings.Cut(rest, ".")
				v = t.RawGetString(first)
			}
			if v == lua.LNil {
				v = a.value(1)
			}
			L.Push(v)
			return 1
		},
	}},
	index: func(c *Call, L *lua.LState, name string) lua.LValue {
		if c.conn == nil {
			L.RaiseError("config.%s is not known while a flow is read: use it inside the function of a run step", name)
		}
		v := c.configured(L, name)
		if v == lua.LNil {
			L.RaiseError("%s", noConfig(name, c.env.Config))
		}
		return v
	},
	Outside: true,
}

// noConfig says that a name is not in a configuration.
func noConfig(name string, values map[string]any) string {
	var names []string
	for n := range values {
		names = append(names, n)
	}
	slices.Sort(names)
	text := "config has no `" + name + "`"
	if near := didYouMean(name, names); near != "" {
		return text + near
	}
	return text + ": write it under [config] in config.toml, or ask with config.get, which takes a default"
}

// configured is a value of the configuration, nil where there is none. A table is the same each time.
func (c *Call) configured(L *lua.LState, name string) lua.LValue {
	key := "config." + name
	if v, ok := c.fields[key]; ok {
		return v
	}
	raw, ok := c.env.Config[name]
	if !ok {
		return lua.LNil
	}
	v := configValue(L, raw)
	if c.fields == nil {
		c.fields = make(map[string]lua.LValue)
	}
	c.fields[key] = v
	return v
}

// configValue makes a value of a script of one of Env.Config.
func configValue(L *lua.LState, raw any) lua.LValue {
	switch v := raw.(type) {
	case string:
		return lua.LString(v)
	case float64:
		return lua.LNumber(v)
	case bool:
		return lua.LBool(v)
	case []any:
		charge(L, 120+16*len(v))
		t := L.CreateTable(len(v), 0)
		for _, item := range v {
			t.Append(configValue(L, item))
		}
		return t
	case map[string]any:
		charge(L, 120+64*len(v))
		t := L.CreateTable(0, len(v))
		for name, item := range v {
			t.RawSetString(name, configValue(L, item))
		}
		return t
	}
	return lua.LNil
}

// UnknownConfig says which of the names that a program reads of config are in none of the tables of values that its
// calls may get.
func (p *Program) UnknownConfig(tables ...map[string]any) (list []Finding) {
	all := map[string]any{}
	for _, t := range tables {
		for name, v := range t {
			all[name] = v
		}
	}
	for _, u := range p.Config {
		if _, ok := all[u.Name]; !ok {
			list = append(list, Finding{Line: u.Line, Message: noConfig(u.Name, all)})
		}
	}
	return list
}
