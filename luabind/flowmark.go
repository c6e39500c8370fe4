package luabind

import "time"

// A Mark says that a call has come to a step of a flow, or has left it. Env.Flow is told of each, on the call's own
// goroutine and in order, and must not block.
type Mark struct {
	Flow    string        // the script whose flow it is: "support/menu"
	Step    string        // its name in the flow
	Outcome string        // how the step was left, or one of the words below
	Took    time.Duration // since the step was entered; 0 when it is entered
}

// The outcomes of a Mark that are no outcome of the step's kind. A step's own outcomes never have brackets.
// Every step that is entered or resumed is left exactly once, unless the process dies.
const (
	Entered   = ""          // the call has come to the step
	Resumed   = "(resumed)" // the call has come to the step from an engine that is gone
	Abandoned = "(hangup)"  // left: the caller hung up
	Raised    = "(error)"   // left: the step raised an error
	Ended     = "(ended)"   // left: the step ended the call's flow by itself: hangup, transfer, or a run that did that
	Broken    = "(stopped)" // left: the engine was stopped, the connection broke, or the call's time was up
)
