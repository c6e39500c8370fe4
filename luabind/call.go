package luabind

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// An Env is what a call's script is given besides the connection. Its fields are not
// changed after New.
type Env struct {
	Program *Program                   // the script to run
	Find    func(name string) *Program // the scripts that require finds; nil: none
	Channel Channel
	Args    map[string]string // call.args: name=value words and the route's arguments
	Words   []string          // the words without a name, call.args[1] and on
	Limits  Limits
	Log     *slog.Logger // for the script's own lines and our warnings; nil: slog.Default
	Tap     func(Step)   // told of every verb before it runs; nil: nobody

	// Config is what the module config has: strings, float64s, bools, []any and map[string]any.
	Config map[string]any
	Cover  func(file string, line int) // told of every line that runs, which is slow; nil: nobody

	// Services are what modules reach; nil: nothing.
	Services *Services

	Resumed  *State // what the call carried from an engine that is gone; nil: it begins here
	StateKey []byte // authenticates what the call carries; empty: only against mistakes

	Flow func(Mark) // told of every step of a flow; nil: nobody
	// Force is for tests: it chooses a step's outcome, and the step does nothing, but for a function of the script. Nil: nobody.
	Force func(flow, step string, outcomes []string) (outcome string, ok bool)
}

// A Channel is what the connection's first reply says of the call. It is kept apart so that the
// reply, which is large, need not be.
type Channel struct {
	CallerNumber, CallerName string
	Destination              string
}

// A Step is a verb about to run, for those who watch a call.
type Step struct {
	Verb string
	Line int // of the script
	File string
}

// How a script's part of a call ended.
type Ending int

const (
	Returned     Ending = iota // the script came to its end; the channel is still up
	HungUp                     // the script hung up
	CallerHungUp               // the channel hung up under the script
	Transferred                // the script transferred the channel to the dialplan
	Failed                     // the script raised an error: a *ScriptError tells
	OverLimit                  // it took more than its limits allow: a *ScriptError that wraps ErrCPU or ErrMemory
	TimedOut                   // the whole call took longer than it may
	Stopped                    // the engine is being stopped
	Disconnected               // the connection to the switch broke
)

var endings = [...]string{"returned", "hung up by script", "caller hung up", "transferred", "script error", "over limit", "timed out", "stopped", "disconnected"}

func (e Ending) String() string { return endings[e] }

// An Outcome says how a script's part of a call ended.
type Outcome struct {
	Ending Ending
	Cause  string // the hangup cause, once it is known
	Err    error  // for Failed, OverLimit, Disconnected
	Verbs  int    // how many verbs ran
}

// A Call is one call as its script sees it. It belongs to one goroutine.
type Call struct {
	conn   *esl.Conn
	env    Env
	ctx    context.Context // ends with the whole call's time, or when the engine stops
	timeUp error           // what is raised in a script that computes then
	log    *slog.Logger
	L      *lua.LState
	budget *budget
	began  time.Time
	self   *lua.LUserData // the global call

	*channel         // what the running verb works on: own, or a leg's
	own      channel // the call's own

	ended        *Outcome // once the script is to unwind
	inHooks      bool     // the hangup handlers run
	verbs        int
	loaded       map[string]lua.LValue
	onHangup     []*listener           // the handlers of hangup
	fields       map[string]lua.LValue // args and vars, made when first asked for
	jobs         map[string]*job       // bgapi's that someone may wait for
	legs         map[string]*Leg       // by Unique-ID
	mayLeave     bool                  // what runs may give the channel away
	held         []*held               // what the script holds outside the VM
	transactions []*transaction        // that are open, of databases
	reading      []*cursor             // answers of databases that may be open
	flows        *flows                // nil: it has none, and no checkpoint
	made         map[string]int        // how many flows each script has made
	test         *testRun              // of a test file; nil: it is a call
	listening
}

// assigned is a variable as the script last set it.
type assigned struct {
	name     string
	value    *string // nil: unset
	sequence int
}

// BasicEvents are the events that every call on a full socket subscribes to.
var BasicEvents = []string{"CHANNEL_EXECUTE_COMPLETE", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE"}

// New makes the VM for a call on a connection whose Connect has returned. Close frees it.
func New(conn *esl.Conn, env Env) *Call {
	c := &Call{conn: conn, env: env, log: env.Log, ctx: context.Background()}
	if c.log == nil {
		c.log = slog.Default()
	}
	c.began = c.now()
	c.budget = newBudget(env.Limits, c)
	c.L = newVM(c.budget)
	c.budget.root = c.L
	c.self = &lua.LUserData{Value: c, Metatable: shared().callMeta}
	conn.IgnoreOthers(true)
	c.channel = &c.own
	if env.Resumed != nil {
		c.resume(env.Resumed)
	}
	return c
}

// Close gives back what the script still holds, and frees the VM.
func (c *Call) Close() {
	c.releaseAll()
	c.L.Close()
}

// Run runs the script to its end. ctx bounds the whole call: when its deadline passes the script
// ends with TimedOut, when it is cancelled with Stopped. Run returns within a moment of either,
// of the hangup, or of the connection's end, whatever the script does.
func (c *Call) Run(ctx context.Context) Outcome {
	c.ctx, c.timeUp = ctx, errStop
	v, err := c.load()
	if _, ok := toFlow(v); ok && err == nil {
		err = c.protect(shared().runFlow, v)
	}
	out := c.outcome(err)
	c.endLegs()
	switch out.Ending {
	case Returned, Failed, OverLimit: // the engine decides what becomes of the call
		c.dropPlace()
	}
	if out.Ending == Returned || out.Ending == HungUp {
		if err := c.conn.Flush(); err != nil {
			out = c.outcome(err)
		}
	}
	out.Verbs = c.verbs
	return out
}

var errStop = errors.New("the call is over")

// protect calls a function of the script and returns what it raised.
func (c *Call) protect(fn *lua.LFunction, args ...lua.LValue) error {
	c.budget.resume()
	c.L.Push(fn)
	for _, a := range args {
		c.L.Push(a)
	}
	return c.L.PCall(len(args), 0, nil)
}

// load runs the script and returns its first result.
func (c *Call) load() (lua.LValue, error) {
	c.budget.resume()
	c.L.Push(c.L.NewFunctionFromProto(c.env.Program.proto))
	if err := c.L.PCall(0, 1, nil); err != nil {
		return lua.LNil, err
	}
	v := c.L.Get(-1)
	c.L.Pop(1)
	return v, nil
}

// outcome tells from how the script ended what it means for the call.
func (c *Call) outcome(err error) Outcome {
	switch {
	case c.ended != nil:
		return *c.ended
	case err == nil:
		return Outcome{Ending: Returned}
	case errors.Is(err, esl.ErrDisconnected):
		return c.whyGone(err)
	case c.ctx.Err() != nil && (c.budget.err == nil || c.budget.err == errStop):
		return c.whyGone(c.ctx.Err())
	}
	se := newScriptError(err)
	if se.Traceback == "" && c.flows != nil {
		se.Traceback = c.flows.trace
	}
	out := Outcome{Ending: Failed, Err: se}
	if c.budget.err != nil {
		se.err = c.budget.err
		out.Ending = OverLimit
	}
	return out
}

// whyGone tells from the error of a wait what ended the call.
func (c *Call) whyGone(err error) Outcome {
	var hangup *esl.HangupError
	if c.mayLeave && errors.As(err, &hangup) && hangup.Cause == "" {
		return Outcome{Ending: Transferred}
	}
	switch {
	case errors.As(err, &hangup):
		return Outcome{Ending: CallerHungUp, Cause: hangup.Cause}
	case c.conn.Hangup() != nil:
		return Outcome{Ending: CallerHungUp, Cause: c.conn.Hangup().Cause}
	case errors.Is(err, context.DeadlineExceeded):
		return Outcome{Ending: TimedOut}
	case errors.Is(err, context.Canceled), c.ctx.Err() == context.Canceled: // the engine closes the connection, too
		return Outcome{Ending: Stopped}
	}
	return Outcome{Ending: Disconnected, Err: err}
}

// unwind ends the script: pcall does not stop it, and every verb repeats it.
func (c *Call) unwind(L *lua.LState, out Outcome) {
	if c.ended == nil {
		c.ended = &out
	}
	// L.Error closes the upvalues that hangup handlers may need. It would also have a traceback made
	// that nobody reads.
	L.Panic = func(L *lua.LState) {
		panic(&lua.ApiError{Type: lua.ApiErrorRun, Object: L.Get(-1), StackTrace: "the call is over"})
	}
	L.Error(&lua.LUserData{Value: unwinding{}, Metatable: shared().unwindMeta}, 0)
}

// unwinding is what travels through a script that ends.
type unwinding struct{}

func unwindToString(L *lua.LState) int {
	L.Push(lua.LString("the call is over"))
	return 1
}

// rethrow goes on unwinding a script whose end a pcall has caught.
func (c *Call) rethrow(L *lua.LState) {
	if c.ended != nil && !c.inHooks {
		c.unwind(L, *c.ended)
	}
	if c.budget.err != nil {
		L.RaiseError("%s", c.budget.err.Error())
	}
}

// RunHangupHandlers runs what the script gave to call:on("hangup", fn), with the channel's final
// variables where they came, for at most the limit's time together. It is called after the
// channel has hung up. An error in one is logged and does not keep the others from running.
func (c *Call) RunHangupHandlers(ctx context.Context, out Outcome) {
	hooks := c.onHangup
	if len(hooks) == 0 && !c.hangsUpFlow() || c.inHooks {
		return
	}
	c.inHooks, c.channel = true, &c.own
	if c.env.Limits.Hangup > 0 {
		var cancel context.CancelFunc
		ctx, cancel = c.conn.WithTimeout(ctx, c.env.Limits.Hangup)
		defer cancel()
	}
	c.ctx = ctx
	c.timeUp = errHangupTime
	for _, l := range hooks {
		if l.cancelled {
			continue
		}
		c.budget.err = nil
		if err := c.protect(l.fn, lua.LString(out.Cause)); err != nil {
			se := newScriptError(err)
			c.log.Error("error in a hangup handler", "error", se.Message, "at", se.At(), "traceback", se.Traceback)
		}
		if ctx.Err() != nil {
			c.log.Error("the hangup handlers took too long and were stopped", "limit", c.env.Limits.Hangup)
			return
		}
	}
	for _, err := range c.runHangupSteps() {
		se := newScriptError(err)
		c.log.Error("error in a flow's steps after the hangup", "error", se.Message, "at", se.At(), "traceback", se.Traceback)
	}
}

var errHangupTime = errors.New("the hangup handlers have no time left (limits.hangup)")

// roots are the values a script can reach from outside its stack.
func (c *Call) roots() []lua.LValue {
	list := []lua.LValue{c.L.G.Global}
	for _, v := range c.loaded {
		list = append(list, v)
	}
	list = c.flowRoots(c.listenerRoots(list))
	for _, v := range c.fields {
		list = append(list, v)
	}
	return list
}

// now is the time that the script sees: that of the engine's clock.
func (c *Call) now() time.Time { return c.conn.Now() }

// within bounds what a verb or a function of a module waits for, by that clock; 0: by the call's own time.
func (c *Call) within(d time.Duration) (context.Context, context.CancelFunc) {
	if d <= 0 {
		return c.conn.WithCancel(c.ctx)
	}
	return c.conn.WithTimeout(c.ctx, d)
}

// post sends an application that needs no answer with the next command.
func (c *Call) post(L *lua.LState, x esl.Execute) {
	x.Channel = c.target()
	c.check(L, c.conn.Post(x))
	c.sequence++
}

// run runs an application and waits for its end. A timeout of 0 is none but the call's own. It
// unwinds the script when the call ends first, and returns nil when only the time is up.
func (c *Call) run(L *lua.LState, x esl.Execute, timeout time.Duration) *esl.Event {
	x.Channel = c.target()
	lasts := c.lasts(x.App)
	if lasts {
		c.check(L, LetGoOn(c.conn, false))
	}
	running, err := c.conn.Start(x)
	c.check(L, err)
	c.sequence++
	e := c.await(L, x.App, running, c.sequence, timeout)
	if lasts && e != nil {
		c.check(L, LetGoOn(c.conn, true))
	}
	return e
}

func (c *Call) await(L *lua.LState, app string, x *esl.Execution, sequence int, timeout time.Duration) *esl.Event {
	c.stopped = false
	if c.listens() {
		return c.awaitListening(L, app, x, sequence, timeout)
	}
	ctx := c.ctx
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = c.within(timeout)
		defer cancel()
	}
	e, err := c.conn.Wait(ctx, x, nil)
	c.budget.resume()
	if err != nil {
		c.conn.Forget(x)
		if errors.Is(err, context.DeadlineExceeded) && c.ctx.Err() == nil {
			return nil
		}
		c.check(L, err)
	}
	c.applied(sequence)
	return e
}

// applied forgets the assignments that the newest event includes.
func (c *Call) applied(sequence int) {
	for i, a := range c.pending {
		if a.sequence > sequence {
			c.pending = c.pending[i:]
			return
		}
	}
	c.pending = nil
}

// do sends a command and waits for its reply. An answer of -ERR is returned as an error.
func (c *Call) do(L *lua.LState, cmd esl.Command) (esl.Reply, error) {
	r, err := c.conn.Do(c.ctx, cmd)
	c.budget.resume()
	var refused *esl.ReplyError
	if err != nil && !errors.As(err, &refused) {
		c.check(L, err)
	}
	return r, err
}

// check raises an error of the connection: the end of the call unwinds the script, what
// cannot be sent is the script's mistake.
func (c *Call) check(L *lua.LState, err error) {
	if err == nil {
		return
	}
	var bad *esl.CommandError
	if errors.As(err, &bad) {
		L.RaiseError("%s", bad.Error())
	}
	if c.inHooks {
		L.RaiseError("%s", err.Error())
	}
	c.unwind(L, c.whyGone(err))
}

// A ScriptError is an error that a script raised and did not catch.
type ScriptError struct {
	File      string // as in support/menu.lua; empty where it is not known
	Line      int
	Message   string // without the position
	Traceback string // the script's own functions, innermost first

	err error
}

func (e *ScriptError) Error() string {
	if at := e.At(); at != "" {
		return at + ": " + e.Message
	}
	return e.Message
}

// At is file:line, or "".
func (e *ScriptError) At() string {
	if e.File == "" {
		return ""
	}
	return fmt.Sprintf("%s:%d", e.File, e.Line)
}

func (e *ScriptError) Unwrap() error { return e.err }

func newScriptError(err error) *ScriptError {
	e := &ScriptError{Message: strings.TrimSpace(err.Error()), err: err}
	var ae *lua.ApiError
	if !errors.As(err, &ae) {
		return e
	}
	if ae.Object != nil && ae.Object != lua.LNil {
		e.Message = objectText(ae.Object)
	}
	stack, trace, ok := strings.Cut(ae.StackTrace, "stack traceback:")
	if !ok {
		stack, trace = "", ae.StackTrace
	}
	e.Traceback = cleanTraceback(trace)
	switch {
	case strings.Contains(e.Message, "registry overflow"):
		e.Message = "the stack is full: a function calls itself without end, or too many values are passed at once"
	case strings.Contains(e.Message, "stack overflow"):
		e.Message = "the stack is full: a function calls itself without end (200 calls may be nested)"
	case ae.Type == lua.ApiErrorPanic: // a mistake of ours
		e.Traceback += "\n" + strings.TrimSpace(stack)
	}
	if file, line, rest, ok := position(e.Message); ok {
		e.File, e.Line, e.Message = file, line, rest
	} else if file, line, _, ok := position(firstLine(e.Traceback)); ok {
		e.File, e.Line = file, line
	}
	return e
}

func objectText(v lua.LValue) string {
	switch v := v.(type) {
	case lua.LString:
		return strings.TrimSpace(string(v))
	case *lua.LTable:
		if s, ok := v.RawGetString("message").(lua.LString); ok {
			return string(s)
		}
		return "an error that is a table (its field message would be shown here)"
	}
	return v.String()
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// position takes "file.lua:12: text" or "file.lua:12 in text" apart.
func position(s string) (file string, line int, rest string, ok bool) {
	i := strings.Index(s, ".lua:")
	if i < 0 || strings.ContainsAny(s[:i], " \n") {
		return "", 0, s, false
	}
	file = s[:i+4]
	s = s[i+5:]
	n := 0
	for n < len(s) && isDigit(s[n]) {
		line = line*10 + int(s[n]-'0')
		n++
	}
	if n == 0 || n > 9 {
		return "", 0, s, false
	}
	return file, line, strings.TrimLeft(s[n:], ": "), true
}

// cleanTraceback keeps of gopher-lua's traceback what its author wrote.
func cleanTraceback(s string) string {
	var lines []string
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if line == "" || line == "stack traceback:" || strings.HasPrefix(line, "[G]") {
			continue
		}
		line = strings.Replace(line, ": in ", " in ", 1)
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// where is the line of the script that runs.
func where(L *lua.LState) (file string, line int) {
	for level := 1; ; level++ {
		frame, ok := L.GetStack(level)
		if !ok {
			return "", 0
		}
		fn, err := L.GetInfo("Slf", frame, lua.LNil)
		if err == nil && frame.CurrentLine > 0 {
			return frame.Source, frame.CurrentLine
		}
		if fn == shared().walkSteps { // a verb that a step of a flow uses
			frames := callOf(L).flows.frames
			def := frames[len(frames)-1].run.def
			return def.file, def.line
		}
	}
}
