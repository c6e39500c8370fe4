package luabind

import (
	"fmt"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// Where a call is goes into a variable of its channel with the commands of each step. With the word full that is an
// API command: it has a short answer and makes no event. Without, it is the application set.

// keepPlace posts the call's place and data.
func (c *Call) keepPlace(s *stepRun) {
	text, why := c.sealed(s.fr)
	if why != "" {
		s.fail("%s", why)
	}
	results := s.def.kind.results
	if text == c.flows.posted && len(results) == 0 {
		return
	}
	c.check(s.L, c.postVariable(text, results))
	c.flows.posted = text
}

// postVariable sets the variable, and unsets those that tell how a step ended.
func (c *Call) postVariable(text string, unset []string) error {
	if !c.conn.Full() {
		for _, name := range unset {
			if err := c.conn.Post(execute("unset", name)); err != nil {
				return err
			}
		}
		if text == "" {
			return c.conn.Post(execute("unset", StateVariable))
		}
		return c.conn.Post(execute("set", StateVariable+"="+text))
	}
	if len(unset) == 0 {
		args := c.conn.UUID() + " " + StateVariable
		if text != "" {
			args += " " + text
		}
		return c.conn.Post(esl.API{Command: "uuid_setvar", Args: args})
	}
	args := c.conn.UUID() + " " + StateVariable + "=" + text
	for _, name := range unset {
		args += ";" + name + "="
	}
	return c.conn.Post(esl.API{Command: "uuid_setvar_multi", Args: args})
}

// sealed is the text of the call's state; or why it cannot be kept, which is most likely for what fr has.
func (c *Call) sealed(fr *frame) (text, why string) {
	text, ok := c.state()
	switch {
	case ok && len(text) <= maxState:
		return text, ""
	case !ok:
		for _, fr := range c.flows.frames {
			if why := unstorable(fr.data, "data"); why != "" {
				return "", why
			}
		}
	}
	return "", tooLarge(fr.data, len(text))
}

// state is the text of the call's state; not ok where something in it cannot be written.
func (c *Call) state() (text string, ok bool) {
	if c.flows.sealer == nil {
		c.flows.sealer = newSealer(c.conn.UUID(), c.env.StateKey)
	}
	w := &c.flows.sealer.w
	w.buf, w.fault = w.buf[:0], false
	w.text(c.env.Program.Name)
	w.length(len(c.flows.frames))
	for _, fr := range c.flows.frames {
		w.text(fr.flow.name)
		w.text(fr.step)
		w.table(fr.data)
	}
	if c.flows.checkpoint != nil {
		w.table(c.flows.checkpoint)
	}
	text, ok = string(c.flows.sealer.seal()), !w.fault
	if len(text) > maxState {
		c.flows.sealer = nil // with all that it has written
	}
	return text, ok
}

// tooLarge says that data is, and what in it is the most.
func tooLarge(data *lua.LTable, size int) string {
	most, name := 0, ""
	data.ForEach(func(key, v lua.LValue) {
		w := stateWriter{}
		w.value(v)
		if len(w.buf) > most {
			most, name = len(w.buf), keyText(key)
		}
	})
	return fmt.Sprintf("data.%s: data takes %d bytes of the %d that a call can carry, this most of them: keep it outside, under a key that data holds", name, size, maxState)
}

// dropUnkept has data be what it was when it last was kept, where it cannot be kept now: the step of on_error is one that
// the call goes on with.
func (c *Call) dropUnkept(L *lua.LState, fr *frame) {
	if _, why := c.sealed(fr); why == "" {
		return
	}
	fr.data = newData(L)
	was, err := ReadState(c.flows.posted, c.conn.UUID(), c.env.StateKey)
	if err == nil && fr.depth < len(was.frames) && was.frames[fr.depth].flow == fr.flow.name {
		fr.data = was.frames[fr.depth].data.in(L, shared().dataMeta).(*lua.LTable)
	}
}

// checkData raises where a function has put something into data that cannot be kept.
func (s *stepRun) checkData() {
	if why := unstorable(s.fr.data, "data"); why != "" {
		s.inFunction = false
		s.fail("%s", why)
	}
	guardAll(s.fr.data)
	if _, why := s.c.sealed(s.fr); why != "" {
		s.inFunction = false
		s.fail("%s", why)
	}
}

// guardAll gives data's metatable to the tables in it that came there past it, as with table.insert.
func guardAll(t *lua.LTable) {
	t.ForEach(func(_, v lua.LValue) {
		if inner, ok := v.(*lua.LTable); ok {
			inner.Metatable = shared().dataMeta
			guardAll(inner)
		}
	})
}

// leftFlow is called when the outermost flow of a script has ended: from here on the call would begin anew, or at the script's
// own checkpoint.
func (c *Call) leftFlow(L *lua.LState) {
	if len(c.flows.frames) > 0 || c.flows.posted == "" {
		return
	}
	if c.flows.checkpoint == nil {
		c.check(L, c.dropPlace())
		return
	}
	c.flows.posted, _ = c.state()
	c.check(L, c.postVariable(c.flows.posted, nil))
}

// dropPlace unsets the variable where it is set: the call goes on elsewhere, or its script has ended, and a later socket
// action begins anew.
func (c *Call) dropPlace() error {
	if c.flows == nil || c.flows.posted == "" {
		return nil
	}
	c.flows.posted = ""
	return c.postVariable("", nil)
}

// DropState unsets StateVariable: what it holds is of no use. It is sent with the next command.
func DropState(conn *esl.Conn) { conn.Post(execute("unset", StateVariable)) }

// resume takes in what the call carried from an engine that is gone.
func (c *Call) resume(s *State) {
	c.flows = &flows{saved: s.frames, posted: "?"}
	if s.checkpoint != nil {
		c.flows.checkpoint, _ = s.checkpoint.in(c.L, nil).(*lua.LTable)
	}
}

// takeUp has a flow that begins go on where an engine that is gone has left it.
func (c *Call) takeUp(L *lua.LState, fr *frame) {
	fl := c.flows
	if len(fl.saved) == 0 {
		return
	}
	was := fl.saved[0]
	if was.flow != fr.flow.name {
		if fr.depth > 0 {
			fl.saved = nil
		}
		return
	}
	fl.saved = fl.saved[1:]
	data := was.data.in(L, shared().dataMeta).(*lua.LTable)
	if fr.flow.step(was.step) != nil {
		fr.step, fr.data, fr.resumed = was.step, data, true
		return
	}
	fl.saved = nil
	to := fr.flow.word(wordResume)
	if fr.flow.step(to) == nil {
		c.log.Warn("the call's step is gone: its flow begins anew", "flow", fr.flow.name, "step", was.step)
		return
	}
	c.log.Warn("the call's step is gone: it goes on at the flow's step for that", "flow", fr.flow.name, "step", was.step, "resume", to)
	fr.step, fr.data, fr.resumed = to, data, true
}

// resumedField is call.resumed.
func (c *Call) resumedField(L *lua.LState) lua.LValue {
	s := c.env.Resumed
	if s == nil {
		return lua.LNil
	}
	if s.checkpoint != nil {
		return s.checkpoint.in(L, nil)
	}
	t := L.CreateTable(0, 2)
	if n := len(s.frames); n > 0 {
		t.RawSetString("flow", lua.LString(s.frames[n-1].flow))
		t.RawSetString("step", lua.LString(s.frames[n-1].step))
	}
	return t
}

// Flow and Step say where the call was, in its innermost flow; "" where it was in none.
func (s *State) Flow() string {
	if n := len(s.frames); n > 0 {
		return s.frames[n-1].flow
	}
	return ""
}

func (s *State) Step() string {
	if n := len(s.frames); n > 0 {
		return s.frames[n-1].step
	}
	return ""
}

var checkpointVerbs = []Verb{{
	Name:   "checkpoint",
	Params: []Param{{Name: "state", Type: Table, Optional: true, Doc: "plain data: strings, numbers, true, false and tables of them; left out, what was kept is forgotten"}},
	Doc: "Keeps a table with the call, in a variable of its channel. When the engine dies and another takes the call over, the script runs from its " +
		"beginning there, and `call.resumed` is the table. It does not wait. A flow keeps its place and data by itself.",
	run: checkpoint,
}}

func checkpoint(c *Call, L *lua.LState, a args) int {
	if c.leg != nil {
		a.fail("a leg ends with the script that made it: only the call can be taken over")
	}
	if c.flows == nil {
		c.flows = &flows{}
	}
	if len(c.flows.frames) > 0 {
		a.fail("a flow keeps its place by itself: put what is to be kept into data")
	}
	if !a.given(0) {
		c.flows.checkpoint = nil
		c.check(L, c.dropPlace())
		return 0
	}
	t := a.table(0)
	if why := unstorable(t, "state"); why != "" {
		a.fail("%s", why)
	}
	before := c.flows.checkpoint
	c.flows.checkpoint = copyValue(L, t).(*lua.LTable)
	text, _ := c.state()
	if len(text) > maxState {
		c.flows.checkpoint = before
		a.fail("the state takes %d bytes of the %d that a call can carry: keep the most of it outside, under a key", len(text), maxState)
	}
	c.check(L, c.postVariable(text, nil))
	c.flows.posted = text
	return 0
}
