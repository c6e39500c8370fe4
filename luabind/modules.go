package luabind

import (
	lua "github.com/yuin/gopher-lua"
)

// A Module is a library that scripts have besides Lua's own: a global, which require finds too. Its
// functions are rows of the verb table; they may be used in hangup handlers.
type Module struct {
	Name      string
	Doc       string // Markdown: what it is for, with an example
	Functions []Verb
	Values    []Value
	Classes   []*Class // of what its functions hand out
	Shapes    []*Shape // of the tables they return

	// Outside says that it reaches outside the process: the flow of a script is read without it.
	Outside bool

	// index returns what it has besides, of a call, or raises; nil: nothing.
	index func(c *Call, L *lua.LState, name string) lua.LValue
}

// A Value is a constant of a module.
type Value struct {
	Name, Type, Doc string

	value lua.LValue // the same for all VMs: nothing that a script could change
}

// Modules are all modules, by name. It is not to be changed.
var Modules []*Module

func init() { // not an initialiser: the functions look into the table
	Modules = []*Module{
		configModule,
		cryptoModule,
		csvModule,
		httpModule,
		jsonModule,
		kvModule,
		limitModule,
		logModule,
		mailModule,
		reModule,
		sqlModule,
		timeModule,
		urlModule,
	}
}

// IsModule reports whether require finds a module of that name without a script.
func IsModule(name string) bool { return name == FlowModule || moduleOf(name) != nil }

// HasFunction reports whether there is a module with a function of that name.
func HasFunction(module, name string) bool {
	m := moduleOf(module)
	return m != nil && m.function(name) != nil
}

func moduleOf(name string) *Module {
	for _, m := range Modules {
		if m.Name == name {
			return m
		}
	}
	return nil
}

// bind makes the module's table, which each VM copies, and its classes.
func (m *Module) bind(L *lua.LState) *lua.LTable {
	t := L.NewTable()
	for i := range m.Functions {
		v := &m.Functions[i]
		v.module = m
		t.RawSetString(v.Name, L.NewFunction(v.callFunction))
	}
	for _, v := range m.Values {
		t.RawSetString(v.Name, v.value)
	}
	for _, k := range m.Classes {
		k.bind(L)
	}
	if m.index != nil {
		t.Metatable = protected(L, map[string]lua.LValue{"__index": L.NewFunction(m.at), "__newindex": L.NewFunction(m.assign)})
	}
	return t
}

func (m *Module) at(L *lua.LState) int {
	L.Push(m.index(callOf(L), L, L.ToStringMeta(L.Get(2)).String()))
	return 1
}

func (m *Module) assign(L *lua.LState) int {
	L.RaiseError("%s.%s cannot be assigned", m.Name, L.ToStringMeta(L.Get(2)).String())
	return 0
}

// callFunction is the Go function behind a function of a module.
func (v *Verb) callFunction(L *lua.LState) int {
	if t, ok := L.Get(1).(*lua.LTable); ok && t == L.G.Global.RawGetString(v.module.Name) {
		L.RaiseError("use a dot: %s(…), not %s:%s(…)", v.Label(), v.module.Name, v.Name)
	}
	return v.callPlain(L)
}
