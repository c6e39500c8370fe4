package luabind

import (
	"sync"

	lua "github.com/yuin/gopher-lua"
)

// What every VM has in common is made once and shared by all of them: Go
// functions, which hold no state, and tables that no script can reach except through
// a metatable it cannot see. So a VM begins almost empty, and each library
// that a script uses is copied into it when the script first names it: what the script does
// to its copy stays its own.
type environment struct {
	functions map[string]*lua.LFunction // the globals that are functions
	libraries map[string]*lua.LTable    // the libraries, to be copied

	globalsMeta   *lua.LTable // of every VM's table of globals
	stringMeta    *lua.LTable // of every string: ("x"):upper()
	callMeta      *lua.LTable
	varsMeta      *lua.LTable
	expansionMeta *lua.LTable
	unwindMeta    *lua.LTable
	arrayMeta     *lua.LTable // of the lists that json made
	verbs         map[string]*lua.LFunction
	tests         map[string]lua.LValue // what test files have besides

	flow        *lua.LUserData            // the global
	steps       map[string]*lua.LFunction // flow.menu and its like
	stepMeta    *lua.LTable
	dataMeta    *lua.LTable // of a flow's data
	walkSteps   *lua.LFunction
	runFlow     *lua.LFunction
	hangupSteps *lua.LFunction

	coCreate, coWrap, coResume lua.LGFunction
	osDate, osTime             lua.LGFunction
}

func init() {
	// gopher-lua fills a table's array up to the index that is set: t[67000000] = 1 would take a
	// gigabyte in one instruction. Beyond this the hash part takes them.
	lua.MaxArrayIndex = 1 << 20
}

// kept are the functions of the standard libraries that scripts have. There are no files,
// no processes, and nothing that loads code, looks into the VM, or
// works on the whole process.
var kept = map[string][]string{
	"":          {"assert", "error", "getmetatable", "ipairs", "next", "pairs", "rawequal", "rawget", "rawset", "select", "setmetatable", "tonumber", "tostring", "type", "unpack"},
	"string":    {"byte", "char", "len", "lower", "reverse", "sub", "upper"},
	"table":     {"getn", "insert", "maxn", "remove", "sort"},
	"math":      {"abs", "acos", "asin", "atan", "atan2", "ceil", "cos", "cosh", "deg", "exp", "floor", "fmod", "frexp", "ldexp", "log", "log10", "max", "min", "mod", "modf", "pow", "rad", "random", "sin", "sinh", "sqrt", "tan", "tanh"},
	"os":        {"difftime"},
	"coroutine": {"running", "status", "yield"},
}

var (
	sharedOnce sync.Once
	sharedEnv  *environment
)

// shared returns what all VMs have in common.
func shared() *environment {
	sharedOnce.Do(func() { sharedEnv = newEnvironment() })
	return sharedEnv
}

func newEnvironment() *environment {
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	for name, open := range map[string]lua.LGFunction{
		"": lua.OpenBase, "string": lua.OpenString, "table": lua.OpenTable,
		"math": lua.OpenMath, "os": lua.OpenOs, "coroutine": lua.OpenCoroutine,
	} {
		L.Push(L.NewFunction(open))
		L.Push(lua.LString(name))
		L.Call(1, 0)
	}
	env := &environment{
		functions: make(map[string]*lua.LFunction),
		libraries: make(map[string]*lua.LTable),
		verbs:     make(map[string]*lua.LFunction),
	}
	original := func(lib, name string) *lua.LFunction {
		t := L.G.Global
		if lib != "" {
			t = L.G.Global.RawGetString(lib).(*lua.LTable)
		}
		return t.RawGetString(name).(*lua.LFunction)
	}
	env.coCreate = original("coroutine", "create").GFunction
	env.coWrap = original("coroutine", "wrap").GFunction
	env.coResume = original("coroutine", "resume").GFunction
	env.osDate, env.osTime = original("os", "date").GFunction, original("os", "time").GFunction

	ours := map[string]map[string]lua.LGFunction{
		"": {
			concatName: concat, "pcall": luaPcall, "xpcall": luaXpcall, "require": luaRequire, "print": luaPrint,
			"collectgarbage": luaCollectgarbage, "expand": luaExpand,
		},
		"string": {
			"find": stringFind, "format": stringFormat, "gmatch": stringGmatch, "gsub": stringGsub,
			"match": stringMatch, "rep": stringRep,
		},
		"table":     {"concat": tableConcat},
		"coroutine": {"create": luaCoCreate, "wrap": luaCoWrap, "resume": luaCoResume},
		"os":        {"clock": luaOsClock, "date": luaOsDate, "time": luaOsTime},
	}
	for lib, names := range kept {
		for _, name := range names {
			env.define(L, lib, name, original(lib, name))
		}
	}
	for lib, functions := range ours {
		for name, fn := range functions {
			env.define(L, lib, name, L.NewFunction(fn))
		}
	}
	for name, v := range map[string]lua.LValue{"pi": lua.LNumber(3.14159265358979323846), "huge": L.G.Global.RawGetString("math").(*lua.LTable).RawGetString("huge")} {
		env.libraries["math"].RawSetString(name, v)
	}
	for i := range Verbs {
		v := &Verbs[i]
		env.verbs[v.Name] = L.NewFunction(v.call)
	}
	env.globalsMeta = protected(L, map[string]lua.LValue{"__index": L.NewFunction(globalIndex)})
	env.stringMeta = protected(L, map[string]lua.LValue{"__index": env.libraries["string"]})
	env.callMeta = protected(L, map[string]lua.LValue{
		"__index": L.NewFunction(callIndex), "__newindex": L.NewFunction(callNewIndex), "__tostring": L.NewFunction(callToString),
	})
	env.varsMeta = protected(L, map[string]lua.LValue{
		"__index": L.NewFunction(varsIndex), "__newindex": L.NewFunction(varsNewIndex), "__call": L.NewFunction(varsCall),
	})
	env.expansionMeta = protected(L, map[string]lua.LValue{"__tostring": L.NewFunction(expansionToString)})
	env.unwindMeta = protected(L, map[string]lua.LValue{"__tostring": L.NewFunction(unwindToString)})
	bindJSON(L, env)
	for _, k := range callClasses {
		k.bind(L)
	}
	for _, m := range Modules {
		env.libraries[m.Name] = m.bind(L)
	}
	env.bindFlow(L)
	bindTests(L, env)
	return env
}

func (env *environment) define(L *lua.LState, lib, name string, fn *lua.LFunction) {
	if lib == "" {
		env.functions[name] = fn
		return
	}
	t := env.libraries[lib]
	if t == nil {
		t = L.NewTable()
		env.libraries[lib] = t
	}
	t.RawSetString(name, fn)
}

// newVM makes the VM of a call.
func newVM(b *budget) *lua.LState {
	L := lua.NewState(lua.Options{
		IncludeGoStackTrace: true, // of a panic in Go only
		SkipOpenLibs:        true,
		CallStackSize:       200,
		RegistrySize:        128,
		RegistryGrowStep:    256,
		RegistryMaxSize:     64 << 10,
		MinimizeStackMemory: true,
	})
	// The tables it comes with are laid out for all of Lua's libraries.
	L.G.Registry = L.CreateTable(0, 0)
	L.G.Global = L.CreateTable(0, 1)
	L.G.Global.Metatable = shared().globalsMeta
	L.Env = L.G.Global
	L.SetMetatable(lua.LString(""), shared().stringMeta)
	L.SetContext(b)
	return L
}

// callOf is the call that a VM belongs to.
func callOf(L *lua.LState) *Call { return L.Context().(*budget).call }

// globalIndex brings a global into the VM when it is first named.
func globalIndex(L *lua.LState) int {
	name, ok := L.Get(2).(lua.LString)
	if !ok {
		L.Push(lua.LNil)
		return 1
	}
	v := callOf(L).global(L, string(name))
	if v != lua.LNil {
		L.G.Global.RawSetString(string(name), v)
	}
	L.Push(v)
	return 1
}

func (c *Call) global(L *lua.LState, name string) lua.LValue {
	env := shared()
	if c.test != nil {
		if v, ok := c.testGlobal(L, name); ok {
			return v
		}
	}
	if fn := env.functions[name]; fn != nil {
		return fn
	}
	if lib := env.libraries[name]; lib != nil {
		t := L.CreateTable(0, lib.Len())
		lib.ForEach(t.RawSet)
		t.Metatable = lib.Metatable
		return t
	}
	switch name {
	case "call":
		return c.self
	case FlowModule:
		return env.flow
	case "_G":
		return L.G.Global
	case "_VERSION":
		return lua.LString("Lua 5.1")
	}
	return lua.LNil
}

func expansionToString(L *lua.LState) int {
	if u, ok := L.Get(1).(*lua.LUserData); ok {
		if x, ok := u.Value.(*expansion); ok {
			L.Push(lua.LString(x.text))
			return 1
		}
	}
	L.Push(lua.LString("expand"))
	return 1
}

// luaPcall is pcall, except that the end of the call passes through it.
func luaPcall(L *lua.LState) int {
	L.CheckAny(1)
	c := callOf(L)
	if err := L.PCall(L.GetTop()-1, lua.MultRet, nil); err != nil {
		c.rethrow(L)
		L.SetTop(0)
		L.Push(lua.LFalse)
		L.Push(errorObject(err))
		return 2
	}
	L.Insert(lua.LTrue, 1)
	return L.GetTop()
}

// luaXpcall is xpcall, likewise. The handler runs after the stack is unwound: there is no
// debug library that could look at it.
func luaXpcall(L *lua.LState) int {
	L.CheckAny(1)
	handler := L.CheckAny(2)
	args := L.GetTop() - 2
	L.Remove(2)
	c := callOf(L)
	if err := L.PCall(args, lua.MultRet, nil); err != nil {
		c.rethrow(L)
		L.SetTop(0)
		L.Push(handler)
		L.Push(errorObject(err))
		L.Call(1, lua.MultRet)
		L.Insert(lua.LFalse, 1)
		return L.GetTop()
	}
	L.Insert(lua.LTrue, 1)
	return L.GetTop()
}

func errorObject(err error) lua.LValue {
	if ae, ok := err.(*lua.ApiError); ok && ae.Object != nil && ae.Object != lua.LNil {
		return ae.Object
	}
	return lua.LString(err.Error())
}

// luaCoCreate is coroutine.create, for a thread that is counted like the rest of the script.
func luaCoCreate(L *lua.LState) int {
	charge(L, 8<<10)
	n := shared().coCreate(L)
	L.Get(-1).(*lua.LState).SetContext(L.Context())
	return n
}

func luaCoWrap(L *lua.LState) int {
	charge(L, 8<<10)
	n := shared().coWrap(L)
	L.Get(-1).(*lua.LFunction).Upvalues[0].Value().(*lua.LState).SetContext(L.Context())
	return n
}

// luaCoResume is coroutine.resume, except that the end of the call passes through it.
func luaCoResume(L *lua.LState) int {
	n := shared().coResume(L)
	callOf(L).rethrow(L)
	return n
}

func luaCollectgarbage(L *lua.LState) int {
	switch L.OptString(1, "collect") {
	case "count":
		b := callOf(L).budget
		b.measure()
		L.Push(lua.LNumber(float64(b.held) / 1024))
	default: // memory is the process's to collect
		L.Push(lua.LNumber(0))
	}
	return 1
}

// luaRequire is require: it finds modules, and scripts of the snapshot that the call began with.
func luaRequire(L *lua.LState) int {
	c := callOf(L)
	asked := L.CheckString(1)
	name := ModuleName(asked)
	if IsModule(name) {
		L.Push(L.GetField(L.G.Global, name))
		return 1
	}
	if v, ok := c.loaded[name]; ok {
		if v == nil {
			L.RaiseError("require %q: it requires itself, directly or through others", asked)
		}
		L.Push(v)
		return 1
	}
	var p *Program
	if c.env.Find != nil {
		p = c.env.Find(name)
	}
	if p == nil {
		L.RaiseError("require %q: there is no script %s.lua and no module of that name", asked, name)
	}
	if c.loaded == nil {
		c.loaded = make(map[string]lua.LValue)
	}
	c.loaded[name] = nil
	defer func() {
		if c.loaded[name] == nil { // it raised: the next require tries again
			delete(c.loaded, name)
		}
	}()
	L.Push(L.NewFunctionFromProto(p.proto))
	L.Push(lua.LString(asked))
	L.Call(1, 1)
	v := L.Get(-1)
	if v == lua.LNil {
		v = lua.LTrue
	}
	c.loaded[name] = v
	L.Push(v)
	return 1
}
