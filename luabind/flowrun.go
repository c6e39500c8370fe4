package luabind

import (
	"fmt"
	"slices"
	"time"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxFlows = 16   // flows in one another
	maxIdle  = 1000 // steps in a row in which nothing waits
)

// flows is what a call knows of its flows, once it has one.
type flows struct {
	frames []*frame     // in progress, the outermost first
	saved  []savedFrame // of the engine before this one, not yet taken up

	checkpoint *lua.LTable // of call:checkpoint
	posted     string      // the state that the channel has, or will have with the next packet

	sealer *sealer // of its states

	idle   int    // steps since something waited
	failed bool   // an error has led to on_error, and nothing has waited since
	trace  string // the traceback of the last error
}

// A frame is one flow in progress.
type frame struct {
	flow    *flowObject
	data    *lua.LTable
	step    string
	resumed bool // the step is one that an engine before this one began
	depth   int
	entered time.Time
	run     stepRun
}

// A stepRun is one step being done.
type stepRun struct {
	c    *Call
	L    *lua.LState
	fr   *frame
	def  *stepDef
	name string
	base int // of the verb's results

	inFunction bool // a function of the script runs
}

// walk runs a flow to one of its results.
func (c *Call) walk(L *lua.LState, f *flowObject, data *lua.LTable) (result string, _ *lua.LTable) {
	if c.flows == nil {
		c.flows = &flows{}
	}
	fl := c.flows
	if len(fl.frames) >= maxFlows {
		L.RaiseError("there are %d flows in one another: does a subflow lead back to itself?", maxFlows)
	}
	fr := &frame{flow: f, data: data, step: f.word(wordStart), depth: len(fl.frames)}
	c.takeUp(L, fr)
	fl.frames = append(fl.frames, fr)
	c.useDefaults(L, fr)
	result = c.walkFrom(L, fr)
	fl.frames = fl.frames[:fr.depth]
	if fr.depth > 0 && f.defaults() != nil {
		c.useDefaults(L, fl.frames[fr.depth-1])
	}
	return result, fr.data
}

// walkFrom goes on from the frame's step to one of the flow's results. The steps run in one protected call, until one of
// them raises.
func (c *Call) walkFrom(L *lua.LState, fr *frame) (result string) {
	for {
		L.Push(shared().walkSteps)
		err := L.PCall(0, 0, nil)
		if err == nil {
			return fr.step
		}
		c.leftStep(fr)
		fr.step = c.stepFailed(L, &fr.run, err)
		c.flows.frames = c.flows.frames[:fr.depth+1] // without those that the error ended
	}
}

// walkSteps walks the innermost flow until its frame's step is none: then it is the flow's result. It is called through
// PCall.
func walkSteps(L *lua.LState) int {
	c := callOf(L)
	fr := c.flows.frames[len(c.flows.frames)-1]
	s := &fr.run
	for def := fr.flow.step(fr.step); def != nil; {
		*s = stepRun{c: c, L: L, fr: fr, def: def, name: fr.step}
		if fr.resumed {
			c.mark(fr, Resumed)
		} else {
			c.mark(fr, Entered)
		}
		outcome := s.walk()
		L.SetTop(0)
		to, _ := def.kind.target(def.t, outcome)
		if def = fr.flow.step(to); def == nil && (to == "" || !slices.Contains(fr.flow.results(), to)) {
			s.fail("the outcome `%s` leads to `%s`, which is neither a step nor a result", outcome, to)
		}
		c.mark(fr, outcome)
		c.leftStep(fr)
		fr.step = to
	}
	return 0
}

// leftStep is called when a step is over.
func (c *Call) leftStep(fr *frame) {
	if fr.resumed {
		fr.resumed, c.flows.saved = false, nil // what that step did not take up, none does: it began the flow inside
	}
}

// walk does the work of a step and returns its outcome.
func (s *stepRun) walk() (outcome string) {
	c, fr, k := s.c, s.fr, s.def.kind
	fl := c.flows
	waits := c.budget.waits
	if fl.idle++; fl.idle > maxIdle {
		s.fail("%d steps in a row without waiting for anybody: a loop", maxIdle)
	}
	chosen := false
	if !k.runs {
		if outcome, chosen = c.forced(s); chosen && outcome == next && k.Into {
			s.put(k.sample(s.L))
		}
	}
	if !chosen {
		if k.Answers {
			c.answerFirst(s)
		}
		if !k.pure && !c.inHooks {
			c.keepPlace(s)
		}
		if fr.resumed && k.ended != nil {
			outcome, chosen = k.ended(s)
		}
	}
	if !chosen {
		outcome = k.run(s)
	}
	if k.runs {
		s.checkData()
		if another, chosen := c.forced(s); chosen {
			outcome = another
		}
	}
	if c.budget.waits != waits {
		fl.idle, fl.failed = 0, false
	}
	return outcome
}

// forced is the outcome that Env.Force chooses for a step. Where it chooses one nobody may wait for long, and no loop
// is one of the flow's own.
func (c *Call) forced(s *stepRun) (outcome string, chosen bool) {
	k := s.def.kind
	if c.env.Force == nil || k.Ends {
		return "", false
	}
	all := k.outcomes(s.def.t)
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = o.Name
	}
	if outcome, chosen = c.env.Force(s.fr.flow.name, s.fr.step, names); chosen {
		c.flows.idle = 0
	}
	return outcome, chosen
}

// sample is a result that a step which was not done may have had.
func (k *StepKind) sample(L *lua.LState) lua.LValue {
	switch k.Name {
	case "gather":
		return lua.LString("1")
	case "record":
		t := newData(L)
		t.RawSetString("path", lua.LString("/tmp/recording.wav"))
		t.RawSetString("seconds", lua.LNumber(1))
		t.RawSetString("reason", lua.LString("silence"))
		return t
	}
	return newData(L)
}

// stepFailed does what an error in a step, or the end of the call, calls for.
func (c *Call) stepFailed(L *lua.LState, s *stepRun, err error) (to string) {
	fr := s.fr
	if c.ended != nil && !c.inHooks {
		how := Broken
		switch c.ended.Ending {
		case CallerHungUp:
			how = Abandoned
		case HungUp, Transferred:
			how = Ended
		}
		c.mark(fr, how)
		c.rethrow(L)
	}
	if c.budget.err != nil {
		how := Raised
		if c.ctx.Err() != nil {
			how = Broken
		}
		c.mark(fr, how)
		c.rethrow(L)
	}
	c.mark(fr, Raised)
	se := newScriptError(err)
	file, line, message := s.def.file, s.def.line, se.Message
	if se.File != "" && (s.inFunction || s.def.kind.Name == "subflow") {
		file, line = se.File, se.Line
	}
	if se.Traceback != "" {
		c.flows.trace = se.Traceback
	}
	if to := fr.flow.word(wordOnError); to != "" && !c.flows.failed && !c.inHooks && fr.flow.step(to) != nil {
		c.flows.failed = true
		c.log.Error("error in a flow", "error", message, "step", fr.step, "at", at(file, line), "traceback", se.Traceback)
		e := newData(L)
		e.RawSetString("step", lua.LString(fr.step))
		e.RawSetString("message", lua.LString(cut(message, maxErrorText)))
		c.dropUnkept(L, fr)
		fr.data.RawSetString("error", e)
		return to
	}
	L.Error(lua.LString(fmt.Sprintf("%s: step `%s`: %s", at(file, line), fr.step, message)), 0)
	return ""
}

// maxErrorText is how much of an error goes into data.
const maxErrorText = 200

func cut(text string, most int) string {
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// mark tells who watches the call's way through its flows.
func (c *Call) mark(fr *frame, outcome string) {
	if c.env.Flow == nil {
		return
	}
	m := Mark{Flow: fr.flow.name, Step: fr.step, Outcome: outcome}
	if outcome == Entered || outcome == Resumed {
		fr.entered = c.conn.Now()
	} else {
		m.Took = c.conn.Now().Sub(fr.entered)
	}
	c.env.Flow(m)
}

// useDefaults sets the variables that the flow's defaults name.
func (c *Call) useDefaults(L *lua.LState, fr *frame) {
	t := fr.flow.defaults()
	if t == nil || c.inHooks {
		return
	}
	for _, d := range defaultVariables {
		if v, ok := toArgument(t.RawGetString(d.option)); ok && lua.LVAsString(c.variable(d.variable)) != v.text() {
			c.assign(L, d.variable, v)
		}
	}
}

// answerFirst answers the call before the first step that plays or asks.
func (c *Call) answerFirst(s *stepRun) {
	if c.own.answered || c.inHooks {
		return
	}
	for _, fr := range c.flows.frames {
		if t := fr.flow.defaults(); t != nil && t.RawGetString("answer") == lua.LFalse {
			return
		}
	}
	c.own.answered = true
	if c.newest().Get("Answer-State") != "answered" {
		s.method("answer")
	}
}

// fail raises a mistake in the step.
func (s *stepRun) fail(format string, x ...any) {
	s.L.Error(lua.LString(fmt.Sprintf(format, x...)), 0)
}

// method calls a verb of the call by its name, with arguments as they are.
func (s *stepRun) method(name string, args ...lua.LValue) {
	s.L.Push(shared().verbs[name])
	s.L.Push(s.c.self)
	for _, a := range args {
		s.L.Push(a)
	}
	s.L.Call(len(args)+1, 0)
}

// verb calls the verb of the step's kind with what the step holds, texts filled in, and keeps n results.
func (s *stepRun) verb(n int) {
	L, k, t := s.L, s.def.kind, s.def.t
	s.base = L.GetTop()
	given := 0
	if fn := shared().verbs[k.Verb]; fn != nil {
		L.Push(fn)
		L.Push(s.c.self)
		given++
	} else {
		L.Push(moduleFunction(k.Verb))
	}
	if k.List {
		if t.Len() == 1 {
			L.Push(s.fill(t.RawGetInt(1)))
		} else {
			list := L.CreateTable(t.Len(), 0)
			for i := 1; i <= t.Len(); i++ {
				list.RawSetInt(i, s.fill(t.RawGetInt(i)))
			}
			L.Push(list)
		}
		given++
	} else {
		for i := 1; i <= min(t.Len(), len(k.Params)); i++ {
			L.Push(s.fill(t.RawGetInt(i)))
			given++
		}
	}
	defaults := s.fr.flow.defaults()
	var options *lua.LTable
	for i := range k.Options {
		name := k.Options[i].Name
		if name == "into" {
			continue
		}
		v := t.RawGetString(name)
		if v == lua.LNil && defaults != nil && isDefault(k, name) {
			v = defaults.RawGetString(name)
		}
		if v == lua.LNil {
			continue
		}
		if options == nil {
			options = L.CreateTable(0, 4)
		}
		if asItIs(name) {
			options.RawSetString(name, v)
		} else {
			options.RawSetString(name, s.fill(v))
		}
	}
	if options != nil {
		L.Push(options)
		given++
	}
	L.Call(given, n)
}

// asItIs reports whether nothing of data is put into an option: keys and words name steps, and the braces of a
// pattern are its own: "[0-9]{4}".
func asItIs(option string) bool { return option == "keys" || option == "words" || option == "pattern" }

// isDefault reports whether an option of a kind may stand in the flow's defaults.
func isDefault(k *StepKind, option string) bool {
	switch k.Name {
	case "menu", "gather":
		switch option {
		case "tries", "timeout", "digit_timeout", "barge_in", "invalid", "no_input":
			return true
		}
	case "bridge":
		switch option {
		case "ring", "caller_id_name", "caller_id_number":
			return true
		}
	}
	return false
}

// result is one of what the verb returned, from 0 on.
func (s *stepRun) result(i int) lua.LValue { return s.L.Get(s.base + 1 + i) }

// put puts the step's result into data.
func (s *stepRun) put(v lua.LValue) {
	name := lua.LVAsString(s.def.t.RawGetString("into"))
	if name == "" {
		name = s.name
	}
	s.assign(name, v)
}

// putTable puts fields of a result into data where the step has the option into.
func (s *stepRun) putTable(t *lua.LTable, fields ...string) {
	if s.def.t.RawGetString("into") == lua.LNil {
		return
	}
	result := s.L.CreateTable(0, len(fields))
	for _, name := range fields {
		result.RawSetString(name, t.RawGetString(name))
	}
	s.put(result)
}

// assign puts a value into data under a name with dots.
func (s *stepRun) assign(name string, v lua.LValue) { assignPath(s.L, s.fr.data, name, v) }

// runFlowObject runs the flow that a script has returned.
func runFlowObject(L *lua.LState) int {
	c := callOf(L)
	f, _ := toFlow(L.Get(1))
	c.needChecked(L, f)
	c.walk(L, f, newData(L))
	return 0
}

// flowOf is the flow that a script returns, or nil.
func (c *Call) flowOf(L *lua.LState, name string) *flowObject {
	L.Push(shared().functions["require"])
	L.Push(lua.LString(name))
	L.Call(1, 1)
	f, _ := toFlow(L.Get(-1))
	L.Pop(1)
	if f != nil {
		c.needChecked(L, f)
	}
	return f
}

// needChecked raises what is wrong with a flow that was made while the script ran. That of a script that returns it
// was checked before any call.
func (c *Call) needChecked(L *lua.LState, f *flowObject) {
	if f.checked {
		return
	}
	f.checked = true
	p := c.env.Program
	if p.Name != f.name && c.env.Find != nil {
		p = c.env.Find(f.name)
	}
	if p != nil && p.flow != nil && p.flow.Name == f.name && p.flow.Line == f.line {
		return
	}
	_, problems := describeFlow(f)
	for _, p := range problems {
		if !p.Warning {
			L.Error(lua.LString(at(p.File, p.Line)+": "+p.Message), 0)
		}
	}
}

// flowRoots are the tables of flows that a script can reach.
func (c *Call) flowRoots(list []lua.LValue) []lua.LValue {
	if c.flows == nil {
		return list
	}
	for _, fr := range c.flows.frames {
		list = append(list, fr.data, fr.flow.t)
	}
	if c.flows.checkpoint != nil {
		list = append(list, c.flows.checkpoint)
	}
	return list
}

// runHangupSteps walks the steps that the flows in progress name for the caller's hangup, the innermost flow's first.
func (c *Call) runHangupSteps() (errs []error) {
	if c.flows == nil {
		return nil
	}
	frames := c.flows.frames
	for i := len(frames) - 1; i >= 0; i-- {
		fr := frames[i]
		name := fr.flow.word(wordOnHangup)
		if name == "" || fr.flow.step(name) == nil {
			continue
		}
		fr.step, fr.resumed = name, false
		c.flows.frames = frames[:i+1]
		c.flows.idle = 0
		c.budget.err = nil
		if err := c.protect(shared().hangupSteps); err != nil {
			errs = append(errs, err)
		}
		if c.ctx.Err() != nil {
			break
		}
	}
	return errs
}

func walkHangup(L *lua.LState) int {
	c := callOf(L)
	c.walkFrom(L, c.flows.frames[len(c.flows.frames)-1])
	return 0
}

// hangsUpFlow reports whether a flow in progress has steps for the hangup.
func (c *Call) hangsUpFlow() bool {
	return c.flows != nil && slices.ContainsFunc(c.flows.frames, func(fr *frame) bool { return fr.flow.word(wordOnHangup) != "" })
}
