package luabind

// flow writes what a flow can hold: its words, its defaults, and each kind of step with its options and outcomes.
func (t *typeWriter) flow() {
	t.comment("A step of a flow.")
	t.line("---@class FlowStep")
	t.line("")
	t.comment("What holds for all steps of a flow.")
	t.line("---@class (exact) FlowDefaults")
	t.options(FlowDefaults)
	t.line("")
	t.comment("What flow takes: the words below, and steps by name.")
	t.line("---@class FlowTable")
	for i := range FlowWords {
		p := &FlowWords[i]
		typ := p.luaType()
		if p.Name == wordDefaults {
			typ = "FlowDefaults"
		}
		t.line("---@field " + p.Name + "? " + typ + " " + oneLine(p.Doc))
	}
	t.line("---@field [string] FlowStep")
	t.line("")
	t.comment("Flows: a script may return named steps, and which step each outcome leads to.")
	t.line("---@class flow")
	t.line("---@overload fun(steps: FlowTable): Flow")
	t.line("flow = {}")
	t.line("")
	for _, k := range StepKinds {
		t.stepKind(k)
	}
}

func (t *typeWriter) options(list []Param) {
	for i := range list {
		t.line("---@field " + list[i].Name + "? " + list[i].luaType() + " " + oneLine(list[i].Doc))
	}
}

func (t *typeWriter) stepKind(k *StepKind) {
	table := "flow." + k.Name + ".step"
	if k.Named == "" {
		t.line("---@class (exact) " + table)
	} else {
		t.line("---@class " + table)
	}
	for i := range k.Params {
		p := &k.Params[i]
		at := string('1' + rune(i))
		if i == 0 && k.List || p.Rest {
			at = "integer"
		}
		t.line("---@field [" + at + "]? " + p.luaType() + " " + oneLine(p.Doc))
	}
	t.options(k.Options)
	for _, o := range k.Outcomes {
		t.line("---@field " + o.Name + "? string The step " + oneLine(o.Doc) + ".")
	}
	t.line("")
	t.comment(k.Doc)
	t.line("---@param step " + table)
	t.line("---@return FlowStep")
	t.line("function flow." + k.Name + "(step) end")
	t.line("")
}
