package luabind

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// FlowModule is the name under which scripts have flows: a global, which require finds too.
const FlowModule = "flow"

// A flowObject is what flow{…} returns in a VM: the table as the script wrote it.
type flowObject struct {
	name string // the script, with #2 and so on behind it where that makes several
	file string
	line int
	t    *lua.LTable

	checked bool
}

// A stepDef is what flow.menu{…} and its like return in a VM.
type stepDef struct {
	kind *StepKind
	t    *lua.LTable
	file string
	line int
}

// words of a flow's own, beside its steps.
const (
	wordStart    = "start"
	wordResults  = "results"
	wordOnError  = "on_error"
	wordOnHangup = "on_hangup"
	wordResume   = "resume"
	wordDefaults = "defaults"
)

// FlowWords are what a flow's table holds beside its steps.
var FlowWords = []Param{
	{Name: wordStart, Type: Word, Doc: "the first step"},
	{Name: wordResults, Type: Texts, Doc: "how the flow can end: an outcome that leads to one of these names ends it. Where they are left out there is one, done"},
	{Name: wordOnError, Type: Word, Doc: "the step after an error in another; data.error is then { step =, message = }. Without it the error ends the call, as calls.on_error says"},
	{Name: wordOnHangup, Type: Word, Doc: "the step after the caller's hangup. It and what follows can be run, set and branch, http and sql: nobody is on the line"},
	{Name: wordResume, Type: Word, Doc: "the step for a call that comes from an engine that is gone, at a step that is gone too; start where left out"},
	{Name: wordDefaults, Type: Table, Doc: "what holds for all its steps"},
}

// FlowDefaults are what the table defaults of a flow holds.
var FlowDefaults = []Param{
	{Name: "answer", Type: Boolean, Doc: "false: do not answer the call before the first step that plays or asks; it is early media then"},
	{Name: "language", Type: Word, Doc: "of say, as the switch names it: the variable default_language"},
	{Name: "engine", Type: Word, Doc: "the speech synthesiser of speak: the variable tts_engine"},
	{Name: "voice", Type: Word, Doc: "its voice: the variable tts_voice"},
	{Name: "sounds", Type: Text, Doc: "the directory on the switch where relative files are: the variable sound_prefix"},
	{Name: "tries", Type: Integer, Doc: "of menu and gather"},
	{Name: "timeout", Type: Duration, Doc: "of menu and gather"},
	{Name: "digit_timeout", Type: Duration, Doc: "of menu and gather"},
	{Name: "barge_in", Type: Boolean, Doc: "of menu and gather"},
	{Name: "invalid", Type: Texts, Doc: "of menu and gather"},
	{Name: "no_input", Type: Texts, Doc: "of menu and gather"},
	{Name: "ring", Type: Duration, Doc: "of bridge"},
	{Name: "caller_id_name", Type: Text, Doc: "of bridge"},
	{Name: "caller_id_number", Type: Text, Doc: "of bridge"},
}

// doneResult is how a flow ends that names no results.
const doneResult = "done"

// defaultVariables are the channel's variables behind some of the defaults.
var defaultVariables = []struct{ option, variable string }{
	{"language", "default_language"}, {"engine", "tts_engine"}, {"voice", "tts_voice"}, {"sounds", "sound_prefix"},
}

// bindFlow makes what all VMs share of flows.
func (env *environment) bindFlow(L *lua.LState) {
	env.steps = make(map[string]*lua.LFunction, len(StepKinds))
	for _, k := range StepKinds {
		env.steps[k.Name] = L.NewFunction(k.make)
	}
	env.flow = &lua.LUserData{Metatable: protected(L, map[string]lua.LValue{
		"__call": L.NewFunction(makeFlow), "__index": L.NewFunction(flowIndex),
	})}
	env.stepMeta = protected(L, map[string]lua.LValue{"__tostring": L.NewFunction(stepToString)})
	env.dataMeta = protected(L, map[string]lua.LValue{"__newindex": L.NewFunction(dataNewIndex)})
	env.walkSteps = L.NewFunction(walkSteps)
	env.runFlow = L.NewFunction(runFlowObject)
	env.hangupSteps = L.NewFunction(walkHangup)
}

func flowIndex(L *lua.LState) int {
	name := L.Get(2).String()
	fn := shared().steps[name]
	if fn == nil {
		if hint := didYouMean(name, kindNames()); hint != "" {
			L.RaiseError("there is no step flow.%s%s", name, hint)
		}
		L.RaiseError("there is no step flow.%s; there are %s", name, listOf(kindNames()))
	}
	L.Push(fn)
	return 1
}

// make is flow.menu{…} and its like.
func (k *StepKind) make(L *lua.LState) int {
	t, ok := L.Get(1).(*lua.LTable)
	if !ok || L.GetTop() > 1 {
		L.RaiseError("flow.%s takes one table: flow.%s{ … }", k.Name, k.Name)
	}
	def := &stepDef{kind: k, t: t}
	def.file, def.line = where(L)
	L.Push(&lua.LUserData{Value: def, Metatable: shared().stepMeta})
	return 1
}

func toStep(v lua.LValue) (*stepDef, bool) {
	if u, ok := v.(*lua.LUserData); ok {
		def, ok := u.Value.(*stepDef)
		return def, ok
	}
	return nil, false
}

func stepToString(L *lua.LState) int {
	if def, ok := toStep(L.Get(1)); ok {
		L.Push(lua.LString("flow." + def.kind.Name + " of " + at(def.file, def.line)))
		return 1
	}
	L.Push(lua.LString("a step"))
	return 1
}

// makeFlow is flow{…}.
func makeFlow(L *lua.LState) int {
	t, ok := L.Get(2).(*lua.LTable)
	if !ok || L.GetTop() > 2 {
		L.RaiseError("flow takes one table: flow{ start = …, … }")
	}
	f := &flowObject{t: t}
	f.file, f.line = where(L)
	f.name = strings.TrimSuffix(f.file, ".lua")
	c := callOf(L)
	if c.made == nil {
		c.made = make(map[string]int)
	}
	if c.made[f.name]++; c.made[f.name] > 1 {
		f.name += "#" + strconv.Itoa(c.made[f.name])
	}
	L.Push(flowClass.new(f))
	return 1
}

func toFlow(v lua.LValue) (*flowObject, bool) {
	if x, ok := flowClass.of(v); ok {
		return x.(*flowObject), true
	}
	return nil, false
}

// flowClass is what flow{…} returns.
var flowClass = &Class{
	Name: "Flow", Article: "a flow", Var: "menu",
	Doc:    "A flow: named steps. A script that returns one is run by the engine; any other script may run it with `run`.",
	Fields: []Field{{"name", "string", "The script that made it."}},
	field: func(c *Call, L *lua.LState, value any, name string) lua.LValue {
		return lua.LString(value.(*flowObject).name)
	},
}

func init() { // not an initialiser: the method looks into what all VMs share
	flowClass.Methods = []Verb{{
		Name:    "run",
		Params:  []Param{{Name: "call", Type: Any, Doc: "the call"}, {Name: "data", Type: Table, Optional: true, Doc: "what the flow's data begins with"}},
		Results: []Result{{"result", "string", "which of the flow's results it came to"}, {"data", "table", "the flow's data as it is then"}},
		Doc:     "Runs the flow from its start, or from the step where an engine that is gone has left it.",
		run:     flowRun,
	}}
}

func flowRun(c *Call, L *lua.LState, a args) int {
	f := a.self().(*flowObject)
	if on, ok := toCall(a.value(0)); !ok || on != c || c.leg != nil {
		a.fail("argument `call` must be the call, not %s", describe(a.value(0)))
	}
	if c.inHooks {
		a.fail("a flow cannot run after the hangup: name its step in on_hangup")
	}
	data := newData(L)
	if a.given(1) {
		if why := unstorable(a.value(1), "data"); why != "" {
			a.fail("%s", why)
		}
		data = copyValue(L, a.value(1)).(*lua.LTable)
	}
	c.needChecked(L, f)
	result, data := c.walk(L, f, data)
	c.leftFlow(L)
	L.Push(lua.LString(result))
	L.Push(data)
	return 2
}

// step is the flow's step of that name, or nil.
func (f *flowObject) step(name string) *stepDef {
	if isFlowWord(name) {
		return nil
	}
	def, _ := toStep(f.t.RawGetString(name))
	return def
}

func isFlowWord(name string) bool {
	switch name {
	case wordStart, wordResults, wordOnError, wordOnHangup, wordResume, wordDefaults:
		return true
	}
	return false
}

func (f *flowObject) word(name string) string { return lua.LVAsString(f.t.RawGetString(name)) }

// results are how the flow can end.
func (f *flowObject) results() []string {
	v := f.t.RawGetString(wordResults)
	if v == lua.LNil {
		if f.step(doneResult) != nil {
			return nil
		}
		return []string{doneResult}
	}
	return textsOf(texts(v))
}

func (f *flowObject) defaults() *lua.LTable {
	t, _ := f.t.RawGetString(wordDefaults).(*lua.LTable)
	return t
}
