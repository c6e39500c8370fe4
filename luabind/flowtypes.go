package luabind

// A Flow is a flow as it was checked: what `callisto check` found, what is drawn, explored and counted. It is
// immutable.
type Flow struct {
	Name string // the script that returns it: "support/menu"
	File string
	Line int // of flow{…}

	Start    string   // the step it begins with
	OnError  string   // the step after an error; "" where none is named
	OnHangup string   // the step after the caller's hangup; ""
	Resume   string   // the step for a call whose step is gone; ""
	Sounds   string   // where it says that its relative files are, on the switch; ""
	Results  []string // how it can end: names that outcomes lead to as if they were steps

	Steps []FlowStep // in the order of their lines

	index map[string]int
}

// Step is the step of that name, or nil.
func (f *Flow) Step(name string) *FlowStep {
	if i, ok := f.index[name]; ok {
		return &f.Steps[i]
	}
	return nil
}

// A FlowStep is one step of a Flow.
type FlowStep struct {
	Name string
	Kind string // as in the table of kinds: "menu"
	File string // where the step was made
	Line int

	Label    string        // in a few words what it does: "ivr/welcome.wav", "user/1001, user/1002"
	Outcomes []FlowOutcome // all it can have, in the order of its kind's table; none where it ends the flow
	Ends     bool          // the flow ends with it: hangup, transfer
	Waits    bool          // time passes in it: it plays, asks, rings, or says so
	Subflow  string        // the script whose flow it runs, or ""
	Files    []string      // what it plays, where that is known beforehand
}

// A FlowOutcome is one way out of a step.
type FlowOutcome struct {
	Name string // "answered", a menu's key, what a run returns
	To   string // a step, or one of the flow's Results
	Via  string // the outcome that it takes its target from, where it names none of its own: "otherwise"
}
