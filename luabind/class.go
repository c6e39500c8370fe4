package luabind

import (
	"slices"

	lua "github.com/yuin/gopher-lua"
)

// A Class is a kind of value that verbs and modules hand to scripts: a handle of what plays, a leg, a compiled
// expression. It is a userdata that only its methods look into.
type Class struct {
	Name    string // as the reference and the editor's definitions name it
	Article string // as messages name it: "a handle of playback"
	Var     string // what its values are called in examples: "handle" in handle:wait()
	Doc     string
	Methods []Verb
	Fields  []Field

	// field returns the value of one of Fields.
	field func(c *Call, L *lua.LState, value any, name string) lua.LValue
	// other returns what else an index may find, such as an event's headers; nil: nothing.
	other func(c *Call, L *lua.LState, value any, key lua.LValue) (lua.LValue, bool)

	operators []string // further annotations for editors

	more  func() []string           // the names that other finds, for messages
	meta  map[string]lua.LGFunction // further entries of the metatable
	table *lua.LTable               // the metatable, once the shared environment is there
	bound map[string]*lua.LFunction // the methods
}

// sized is what a userdata's value may implement: how many bytes it holds for the script.
type sized interface{ size() int }

// new makes a value of the class.
func (k *Class) new(value any) *lua.LUserData {
	shared()
	return &lua.LUserData{Value: value, Metatable: k.table}
}

// of is what v holds if v is a value of the class.
func (k *Class) of(v lua.LValue) (any, bool) {
	if u, ok := v.(*lua.LUserData); ok && u.Metatable == lua.LValue(k.table) && k.table != nil {
		return u.Value, true
	}
	return nil, false
}

// bind makes the class's metatable and functions, for all VMs.
func (k *Class) bind(L *lua.LState) {
	k.bound = make(map[string]*lua.LFunction, len(k.Methods))
	for i := range k.Methods {
		v := &k.Methods[i]
		v.class = k
		k.bound[v.Name] = L.NewFunction(v.callMethod)
	}
	fields := map[string]lua.LValue{"__index": L.NewFunction(k.index)}
	for name, fn := range k.meta {
		fields[name] = L.NewFunction(fn)
	}
	k.table = protected(L, fields)
}

// protected is a metatable that scripts can neither see nor change.
func protected(L *lua.LState, fields map[string]lua.LValue) *lua.LTable {
	t := L.CreateTable(0, len(fields)+1)
	for k, v := range fields {
		t.RawSetString(k, v)
	}
	t.RawSetString("__metatable", lua.LString("protected"))
	return t
}

func (k *Class) index(L *lua.LState) int {
	value, ok := k.of(L.Get(1))
	if !ok {
		L.RaiseError("not %s", k.Article)
	}
	c := callOf(L)
	name, isName := L.Get(2).(lua.LString)
	if isName {
		if fn := k.bound[string(name)]; fn != nil {
			L.Push(fn)
			return 1
		}
		for i := range k.Fields {
			if k.Fields[i].Name == string(name) {
				L.Push(k.field(c, L, value, string(name)))
				return 1
			}
		}
	}
	if k.other != nil {
		if v, ok := k.other(c, L, value, L.Get(2)); ok {
			L.Push(v)
			return 1
		}
	}
	if !isName {
		L.RaiseError("%s has no field %s", k.Article, describe(L.Get(2)))
	}
	L.RaiseError("%s has no method or field `%s`%s", k.Article, string(name), k.hint(string(name)))
	return 0
}

// hint says which name was likely meant, or which there are.
func (k *Class) hint(name string) string {
	names := k.names()
	if near := didYouMean(name, names); near != "" || k.more != nil {
		return near
	}
	return "; it has " + listOf(names)
}

func (k *Class) names() []string {
	var names []string
	for i := range k.Fields {
		names = append(names, k.Fields[i].Name)
	}
	for i := range k.Methods {
		names = append(names, k.Methods[i].Name)
	}
	if k.more != nil {
		names = append(names, k.more()...)
	}
	return names
}

// listOf is "a, b and c".
func listOf(names []string) string {
	switch n := len(names); n {
	case 0:
		return "nothing"
	case 1:
		return names[0]
	default:
		var text string
		for _, name := range names[:n-2] {
			text += name + ", "
		}
		return text + names[n-2] + " and " + names[n-1]
	}
}

// callMethod is the Go function behind a method of a class.
func (v *Verb) callMethod(L *lua.LState) int {
	if _, ok := v.class.of(L.Get(1)); !ok {
		L.RaiseError("use a colon: %s:%s(…), not %s.%s(…)", v.class.Var, v.Name, v.class.Var, v.Name)
	}
	return v.callPlain(L)
}

// callPlain checks the arguments of a verb that is about no channel, and runs it.
func (v *Verb) callPlain(L *lua.LState) int {
	c := callOf(L)
	a := v.check(L)
	if c.ended != nil && !c.inHooks {
		c.unwind(L, *c.ended)
	}
	if c.conn == nil && v.module != nil && v.module.Outside {
		a.fail("a flow is read without reaching anything outside: use it inside the function of a run step")
	}
	if v.Full || v.Async {
		a.needs(v.Full, v.Async)
	}
	c.tell(L, v)
	return v.run(c, L, a)
}

// self is the Go value of the object whose method runs.
func (a args) self() any { return a.L.Get(1).(*lua.LUserData).Value }

// Classes are all classes of the call and of the modules, by name.
func Classes() []*Class {
	list := slices.Clone(callClasses)
	for _, m := range Modules {
		list = append(list, m.Classes...)
	}
	slices.SortFunc(list, func(a, b *Class) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return list
}

// callClasses are the classes of what call's verbs hand out.
var callClasses []*Class

func init() { // not an initialiser: the methods look into what all VMs share
	callClasses = []*Class{eventClass, flowClass, handlerClass, jobClass, legClass, playingClass, roomClass}
}
