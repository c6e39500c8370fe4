package luabind

import (
	"slices"
	"strings"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// Verbs is the table of everything a script can do with a call. It is not to be changed.
var Verbs []Verb

func init() { // not an initialiser: the verbs' functions look into the table
	Verbs = slices.Concat(controlVerbs, variableVerbs, checkpointVerbs, mediaVerbs, speakVerbs, askVerbs, speechVerbs, recordVerbs, connectVerbs, legVerbs, moveVerbs, roomVerbs, queueVerbs, switchVerbs, eventVerbs)
	makeKinds()
}

var controlVerbs = []Verb{
	{
		Name: "answer",
		Doc:  "Answers the call. It does not wait: it goes out together with the next verb that does.",
		run: func(c *Call, L *lua.LState, a args) int {
			c.answered = true
			c.post(L, execute("answer", ""))
			return 0
		},
	},
	{
		Name: "pre_answer",
		Doc:  "Establishes early media: the caller hears what is played, and is not billed. It does not wait.",
		run:  func(c *Call, L *lua.LState, a args) int { c.post(L, execute("pre_answer", "")); return 0 },
	},
	{
		Name: "ring_ready",
		Doc:  "Tells the caller's side that it rings. It does not wait.",
		run:  func(c *Call, L *lua.LState, a args) int { c.post(L, execute("ring_ready", "")); return 0 },
	},
	{
		Name:   "sleep",
		Params: []Param{{Name: "time", Type: Duration, Doc: "how long"}},
		Doc:    "Waits, while what plays goes on. Without the word async in the dialplan a digit ends it.",
		run: func(c *Call, L *lua.LState, a args) int {
			if d := a.duration(0); d > 0 && c.conn.Async() {
				// Not the application sleep: a digit would end it (measured), and what plays would have to end first.
				c.pause(L, d)
			} else if d > 0 {
				c.run(L, execute("sleep", lua.LNumber(max(d.Milliseconds(), 1)).String()), 0)
			}
			return 0
		},
	},
	{
		Name:   "transfer",
		Params: []Param{{Name: "extension", Type: Word, Doc: "where to, in the dialplan"}, {Name: "dialplan", Type: Word, Optional: true, Doc: "such as XML"}, {Name: "context", Type: Word, Optional: true, Doc: "of the dialplan; the channel's own where left out"}},
		Doc:    "Sends the call to another extension of the dialplan. The script ends with it: the call is no longer its own.",
		Ends:   true,
		run:    transfer,
	},
	{
		Name:   "hangup",
		Params: []Param{{Name: "cause", Type: Word, Optional: true, Doc: "FreeSWITCH's name for it, such as USER_BUSY; NORMAL_CLEARING where left out"}},
		Doc:    "Hangs up. The script ends with it; the handlers of call:on(\"hangup\", fn) run.",
		Ends:   true,
		run:    hangup,
	},
	{
		Name:    "execute",
		Params:  []Param{{Name: "application", Type: Word, Doc: "the dialplan application"}, {Name: "argument", Type: Text, Optional: true, Doc: "its argument, delivered as it is"}},
		Options: []Param{{Name: "timeout", Type: Duration, Doc: "give up waiting after this long; the application may go on"}},
		Results: []Result{{"response", "string?", "what the application answered, such as FILE PLAYED; nil where it answered nothing or the time was up"}},
		Doc:     "Runs any dialplan application and waits for its end. Its results are channel variables: call:get reads them. An application that FreeSWITCH does not have hangs the call up.",
		run: func(c *Call, L *lua.LState, a args) int {
			app := a.word(0)
			if t := a.text(1); t.holds("$") && (strings.EqualFold(app, "phrase") || strings.Contains(strings.ToLower(t.text()), "phrase:")) {
				a.fail("the data of a phrase holds a $: macros expand it, and would run what is in it; if that is meant, say so with expand")
			}
			timeout, _ := a.optDuration("timeout")
			e := c.run(L, execute(app, a.text(1).wire(app)), timeout)
			if e == nil {
				c.log.Warn("an application did not end in time", "application", app, "timeout", timeout)
				L.Push(lua.LNil)
				return 1
			}
			L.Push(response(e))
			return 1
		},
	},
}

func response(e *esl.Event) lua.LValue {
	if r := e.Get("Application-Response"); r != "" && r != "_none_" {
		return lua.LString(r)
	}
	return lua.LNil
}

func transfer(c *Call, L *lua.LState, a args) int {
	words := []string{a.word(0)}
	if a.given(2) && !a.given(1) {
		a.fail("a context needs a dialplan before it, such as \"XML\"")
	}
	for i := 1; i <= 2; i++ {
		if a.given(i) {
			words = append(words, a.word(i))
		}
	}
	for _, w := range words {
		if strings.ContainsAny(w, "$\\'") {
			a.fail("%q holds a $, a quote or a backslash: actions of the dialplan that use the number would expand it", w)
		}
	}
	if c.leg == nil {
		c.check(L, c.dropPlace())
	}
	c.run(L, execute("transfer", literal(strings.Join(words, " ")).escaped()), 0)
	if c.leg != nil {
		c.leg.let = true
		return 0
	}
	c.unwind(L, Outcome{Ending: Transferred})
	return 0
}

func hangup(c *Call, L *lua.LState, a args) int {
	cause := "NORMAL_CLEARING"
	if a.given(0) {
		cause = a.cause(0)
	}
	if c.inHooks && c.leg == nil {
		return 0
	}
	if (len(c.waits) > 0 || c.leg != nil) && c.conn.Full() {
		// In a handler, or on a leg, something may run, and the order to hang up would wait for its end.
		c.check(L, c.conn.Post(esl.API{Command: "uuid_kill", Args: c.channelID() + " " + cause}))
	} else {
		c.check(L, c.conn.Post(esl.Hangup{Channel: c.target(), Cause: cause}))
	}
	if c.leg != nil {
		c.check(L, c.conn.Flush())
		return 0
	}
	c.unwind(L, Outcome{Ending: HungUp, Cause: cause})
	return 0
}

var variableVerbs = []Verb{
	{
		Name:   "set",
		Params: []Param{{Name: "name", Type: Any, Doc: "the variable, or a table of names and values"}, {Name: "value", Type: Any, Optional: true, Doc: "a string, a number, true or false; nil unsets it"}},
		Doc:    "Sets a channel variable, or several: call:set{ a = 1, b = 2 }. It does not wait, and call:get sees the new value at once. FreeSWITCH does not keep empty values: they unset.",
		run: func(c *Call, L *lua.LState, a args) int {
			if t, ok := a.value(0).(*lua.LTable); ok {
				c.setAll(L, a, t)
			} else {
				c.set(L, a, "set", a.value(0), a.value(1))
			}
			return 0
		},
	},
	{
		Name:   "export",
		Params: []Param{{Name: "name", Type: Any, Doc: "the variable"}, {Name: "value", Type: Any, Doc: "a string, a number, true or false"}},
		Doc:    "Sets a channel variable that legs of later bridges get too.",
		run: func(c *Call, L *lua.LState, a args) int {
			c.set(L, a, "export", a.value(0), a.value(1))
			return 0
		},
	},
	{
		Name:   "unset",
		Params: []Param{{Name: "name", Type: Any, Rest: true, Doc: "the variables"}},
		Doc:    "Unsets channel variables.",
		run: func(c *Call, L *lua.LState, a args) int {
			for i := 0; i == 0 || a.given(i); i++ {
				c.set(L, a, "unset", a.value(i), lua.LNil)
			}
			return 0
		},
	},
	{
		Name:    "get",
		Params:  []Param{{Name: "name", Type: Word, Doc: "the variable"}},
		Options: []Param{{Name: "fresh", Type: Boolean, Doc: "ask the switch, where others may have changed it since the last verb that waited"}},
		Results: []Result{{"value", "string?", "nil where it is not set"}},
		Doc:     "Reads a channel variable as it was when the last verb that waited ended, with what the script has set since.",
		run: func(c *Call, L *lua.LState, a args) int {
			name := a.word(0)
			if a.optBool("fresh", false) {
				L.Push(c.fresh(L, a, name))
			} else {
				L.Push(c.variable(name))
			}
			return 1
		},
	},
}

// variableName checks a name for set and its like: FreeSWITCH ends it at the first = and expands
// what it finds in it.
func variableName(a args, v lua.LValue) string {
	name, ok := wordOf(v)
	if !ok {
		a.fail("a variable's name must be a string, not %s", describe(v))
	}
	if name == "" || len(name) > 256 {
		a.fail("a variable's name must have 1 to 256 characters")
	}
	for i := range len(name) {
		c := name[i]
		if !isAlpha(c) && !isDigit(c) && strings.IndexByte("_-.:[]/+~@#", c) < 0 && c < 0x80 {
			a.fail("a variable's name cannot hold %q", string(c))
		}
	}
	return name
}

func (c *Call) setAll(L *lua.LState, a args, t *lua.LTable) {
	if a.given(1) {
		a.fail("with a table of variables there is no second argument")
	}
	var names []string
	t.ForEach(func(k, v lua.LValue) { names = append(names, variableName(a, k)) })
	slices.Sort(names)
	for _, n := range names {
		v := t.RawGetString(n)
		if v == lua.LNil { // its key is a number
			a.fail("a variable's name must be a string, not %s", n)
		}
		c.set(L, a, "set", lua.LString(n), v)
	}
}

func (c *Call) set(L *lua.LState, a args, app string, nameValue, v lua.LValue) {
	name := variableName(a, nameValue)
	if v == lua.LNil {
		c.post(L, execute("unset", literal(name).escaped()))
		c.pending = append(c.pending, assigned{name, nil, c.sequence})
		return
	}
	if b, ok := v.(lua.LBool); ok {
		v = lua.LString(b.String())
	}
	value, ok := toArgument(v)
	if !ok {
		a.fail("the value of `%s` must be a string, a number, true or false, not %s", name, describe(v))
	}
	x := execute(app, assignment(app, name, value))
	if value.expands() { // only the switch knows what it becomes
		c.run(L, x, 0)
		return
	}
	c.post(L, x)
	if text := value.text(); text != "" {
		c.pending = append(c.pending, assigned{name, &text, c.sequence})
	} else {
		c.pending = append(c.pending, assigned{name, nil, c.sequence})
	}
}

// variable is a channel variable as the script may know it: what it set itself, else
// the newest event.
func (c *Call) variable(name string) lua.LValue {
	for _, p := range slices.Backward(c.pending) {
		if strings.EqualFold(p.name, name) {
			if p.value == nil {
				return lua.LNil
			}
			return lua.LString(*p.value)
		}
	}
	if v, ok := c.newest().VariableFold(name); ok {
		return lua.LString(v)
	}
	return lua.LNil
}

// fresh asks the switch for a variable.
func (c *Call) fresh(L *lua.LState, a args, name string) lua.LValue {
	if !c.conn.Full() {
		a.fail("fresh = true needs the word full in the dialplan: <action application=\"socket\" data=\"host:port async full\"/>")
	}
	if len(c.pending) > 0 { // the assignments are queued on the channel; the api is not
		c.run(L, execute("unset", syncVariable), 0)
	}
	r, err := c.do(L, esl.API{Command: "uuid_getvar", Args: c.channelID() + " " + name})
	if err != nil || r.Text == "_undef_" {
		return lua.LNil
	}
	return lua.LString(r.Text)
}

var switchVerbs = []Verb{
	{
		Name:    "api",
		Params:  []Param{{Name: "command", Type: Word, Doc: "such as status or uuid_dump"}, {Name: "arguments", Type: Text, Optional: true, Doc: "its arguments, in one string"}},
		Results: []Result{{"output", "string?", "what the command printed; nil where it printed an error"}, {"error", "string?", "the error, as -ERR … says it"}},
		Doc:     "Runs an API command of the switch and waits for its output. Other commands of this call wait meanwhile: use bgapi for what takes long.",
		Full:    true,
		run: func(c *Call, L *lua.LState, a args) int {
			r, err := c.do(L, esl.API{Command: a.word(0), Args: a.text(1).text()})
			if err != nil {
				L.Push(lua.LNil)
				L.Push(lua.LString(apiError(r.Text)))
				return 2
			}
			L.Push(lua.LString(r.Text))
			return 1
		},
	},
	{
		Name:    "bgapi",
		Params:  []Param{{Name: "command", Type: Word, Doc: "such as originate"}, {Name: "arguments", Type: Text, Optional: true, Doc: "its arguments, in one string"}},
		Results: []Result{{"job", "Job", "job:wait([timeout]) returns what api would, or nil and \"timeout\"; job.uuid is its Job-UUID"}},
		Doc:     "Runs an API command in the background. The call goes on at once.",
		Full:    true,
		run:     bgapi,
	},
}

func apiError(text string) string {
	return strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(text), "-ERR"))
}

// A job is a bgapi that runs, or has ended.
type job struct {
	uuid string
	text string
	done bool
}

func bgapi(c *Call, L *lua.LState, a args) int {
	j := c.background(L, a.word(0), a.text(1).text())
	L.Push(jobClass.new(j))
	return 1
}

// background runs an API command in the background.
func (c *Call) background(L *lua.LState, command, args string) *job {
	if c.jobs == nil {
		c.jobs = make(map[string]*job)
		c.subscribe(L, "BACKGROUND_JOB")
		c.check(L, c.conn.Post(esl.Filter{Header: "Job-Owner-UUID", Value: c.conn.UUID()}))
	}
	j := &job{uuid: newUUID()}
	c.check(L, c.conn.Post(esl.BgAPI{Command: command, Args: args, JobUUID: j.uuid}))
	c.check(L, c.conn.Flush())
	c.jobs[j.uuid] = j
	return j
}

var jobClass = &Class{
	Name: "Job", Article: "a job", Var: "job",
	Doc: "A command of bgapi that runs, or has ended.",
	Methods: []Verb{{
		Name:    "wait",
		Params:  []Param{{Name: "timeout", Type: Duration, Optional: true, Doc: "give up after this long"}},
		Results: []Result{{"output", "string?", "what the command printed; nil where it printed an error, or is not done"}, {"error", "string?", "the error, or timeout"}},
		Doc:     "Waits until the command has ended, and returns what `call:api` would.",
		run:     jobWait,
	}},
	Fields: []Field{{"uuid", "string", "The Job-UUID."}, {"done", "boolean", "Whether it has ended, as far as the script has waited since."}},
	field: func(c *Call, L *lua.LState, value any, name string) lua.LValue {
		if name == "uuid" {
			return lua.LString(value.(*job).uuid)
		}
		return lua.LBool(value.(*job).done)
	},
}

func jobWait(c *Call, L *lua.LState, a args) int {
	j := a.self().(*job)
	if !c.pump(L, a.duration(0), func() bool { return j.done }) {
		return pushNone(L, "timeout")
	}
	if strings.HasPrefix(j.text, "-ERR") {
		return pushNone(L, apiError(j.text))
	}
	L.Push(lua.LString(j.text))
	return 1
}
