package luabind

import (
	"time"

	lua "github.com/yuin/gopher-lua"
)

// TestModules are what a test file (menu_test.lua) has besides Lua's libraries and the modules that reach nothing
// outside: rows of the same table as everything else that scripts see. The one without a name has globals.
var TestModules []*Module

// A Bench is what a test works on: a switch, an engine and a clock of its own. Its methods are called on the test's
// goroutine. Their errors are raised at the line of the test that calls.
type Bench interface {
	// Call lets somebody call.
	Call(TestCall) (Caller, error)
	// Leg says how whoever is dialled with target behaves.
	Leg(target string, leg TestLeg) error
	// Sound says how long a file plays; a negative length: it is not there.
	Sound(file string, length time.Duration) error
	// SetTime lets it be that time.
	SetTime(at time.Time) error
	// Wait lets time pass.
	Wait(d time.Duration) error
	// HTTP says what a web server answers, one after another, the last again and again.
	HTTP(method, url string, answers []HTTPAnswer) error
	// Requests are those made so far.
	Requests() []HTTPRequest
	// Mails are those sent so far.
	Mails() []MailMessage
	// MailServer says how the mail server is: gone or slow.
	MailServer(how string) error
	// StoreIs says how the store is for scripts: gone or slow.
	StoreIs(how string) error
	// Store is what the module kv reaches, in the test and in its scripts.
	Store() Store
	// Databases are what the module sql reaches in the test.
	Databases() map[string]*Database
	// DatabaseIs says how one of them is for scripts: gone, slow or nonsense.
	DatabaseIs(name, how string)
	// Failed is told of each failure of the test when it happens.
	Failed(error)
}

// A TestCall is a call that a test makes.
type TestCall struct {
	Script       string // empty: as the routes say
	Number, Name string // of the caller
	Destination  string
	Context      string
	Mode         string // the words async and full
	Args         map[string]string
	Words        []string
	Variables    map[string]string
	SIP          bool
}

// A TestLeg is how somebody behaves who is called.
type TestLeg struct {
	How   string        // answers, busy, no_answer, gone, or a hangup cause
	After time.Duration // until they answer or refuse
	Talks time.Duration // until they hang up
	Cause string        // with which they do
	Keys  string        // that they press once they have answered, one each second
}

// An HTTPAnswer is what a web server does with a request.
type HTTPAnswer struct {
	How     string // "": it answers; gone, slow, nonsense
	Status  int
	Headers map[string]string
	Body    string
	After   time.Duration
}

// A Caller is somebody who calls. Its methods are called on the test's goroutine.
type Caller interface {
	Hears(what string, within time.Duration) error
	Press(keys string) error
	Says(text string) error
	HangsUp(cause string) error
	Ends(within time.Duration) error
	Fails(text string) error
	Facts() Facts
}

// Facts are what is known of a call so far.
type Facts struct {
	UUID                         string
	Up, Answered                 bool
	Heard, Played, Said          []string
	Pressed                      string
	Dialled, Recorded, Executed  []string
	Transferred                  string
	Cause, Ending, Error, Script string
	Seconds                      float64
	Log                          []string
	Variable                     func(name string) (string, bool)
}

var withinOption = Param{Name: "within", Type: Duration, Doc: "for how long to wait, in the call's time; an hour where left out"}

func init() { // not an initialiser: the functions look into what all VMs share
	TestModules = []*Module{testGlobals, testModule}
}

var testGlobals = &Module{
	Doc: "A test file is a script whose name ends in `_test.lua`. It describes what callers should find; `callisto test` runs it.",
	Functions: []Verb{
		{
			Name:   "describe",
			Params: []Param{{Name: "name", Type: String, Doc: "what is tested"}, {Name: "fn", Type: Function, Doc: "holds the tests"}},
			Doc:    "Puts tests together under a name. It may hold further ones.",
			run: func(c *Call, L *lua.LState, a args) int {
				return c.testing(a).describe(L, a, a.string(0), a.function(1))
			},
		},
		{
			Name:   "it",
			Params: []Param{{Name: "name", Type: String, Doc: "what should be so"}, {Name: "fn", Type: Function, Doc: "finds out"}},
			Doc:    "Is one test. Each has a switch, an engine, a clock and a VM of its own: nothing is left of the others.",
			run: func(c *Call, L *lua.LState, a args) int {
				return c.testing(a).it(L, a, a.string(0), a.function(1))
			},
		},
		{
			Name:   "before_each",
			Params: []Param{{Name: "fn", Type: Function, Doc: "what to do"}},
			Doc:    "Has fn called before each test of this `describe`, or of the file.",
			run: func(c *Call, L *lua.LState, a args) int {
				s := c.testing(a).open(a)
				s.before = append(s.before, a.function(0))
				return 0
			},
		},
		{
			Name:   "after_each",
			Params: []Param{{Name: "fn", Type: Function, Doc: "what to do"}},
			Doc:    "Has fn called after each test of this `describe`, or of the file, also when it failed.",
			run: func(c *Call, L *lua.LState, a args) int {
				s := c.testing(a).open(a)
				s.after = append(s.after, a.function(0))
				return 0
			},
		},
		{
			Name:    "expect",
			Params:  []Param{{Name: "value", Type: Any, Optional: true, Doc: "what there is"}},
			Results: []Result{{"expectation", "Expectation", "to hold it against what there should be"}},
			Doc:     "Begins a comparison: `expect(caller.cause):is(\"USER_BUSY\")`.",
			run: func(c *Call, L *lua.LState, a args) int {
				L.Push(expectationClass.new(&expectation{a.value(0)}))
				return 1
			},
		},
	},
	Classes: []*Class{callerClass, expectationClass},
}

var testModule = &Module{
	Name: "test",
	Doc:  "What a test has to do with the world: who calls, who answers, what time it is, what web servers say.",
	Functions: []Verb{
		{
			Name: "call",
			Options: []Param{
				{Name: "script", Type: String, Doc: "the script to call; where left out, the routes and scripts.default choose"},
				{Name: "number", Type: String, Doc: "the caller's number; +15551230000 where left out"},
				{Name: "name", Type: String, Doc: "the caller's name"},
				{Name: "destination", Type: String, Doc: "the number that is dialled; 9000 where left out"},
				{Name: "context", Type: String, Doc: "the dialplan's context; default where left out"},
				{Name: "args", Type: Table, Doc: "call.args: names with values, and words without"},
				{Name: "vars", Type: Table, Doc: "the channel's variables at the beginning"},
				{Name: "mode", Type: String, Doc: "the socket action's words; async full where left out"},
				{Name: "sip", Type: Boolean, Doc: "true: a SIP channel, which has no media before it is answered"},
				{Name: "time", Type: String, Doc: "when it is, as for test.time"},
			},
			Results: []Result{{"caller", "TestCaller", "who calls"}},
			Doc:     "Lets somebody call. The call goes on while the test waits: in `caller:hears`, `caller:waits`, `caller:ends`, `test.wait`.",
			run:     testCall,
		},
		{
			Name: "leg",
			Params: []Param{
				{Name: "target", Type: String, Doc: "the dial string, such as user/1001; a * at its end stands for any rest. A queue's agent is callcenter/NAME"},
				{Name: "how", Type: Word, Optional: true, Doc: "answers, busy, no_answer, or a hangup cause such as CALL_REJECTED; answers where left out"},
			},
			Options: []Param{
				{Name: "answers_after", Type: Duration, Doc: "how long it rings"},
				{Name: "talks", Type: Duration, Doc: "how long after the answer they hang up; 0: never"},
				{Name: "presses", Type: Word, Doc: "the keys that they press once they have answered, one each second"},
				{Name: "cause", Type: Word, Doc: "the hangup cause: with which they refuse, or, where they answer, hang up"},
				{Name: "refuses_after", Type: Duration, Doc: "how long it rings before they refuse"},
			},
			Doc: "Says how those behave who are called. Nobody has to: they answer after two seconds, and hang up after five more.",
			run: testLeg,
		},
		{
			Name:   "sound",
			Params: []Param{{Name: "file", Type: String, Doc: "as the switch is told it"}, {Name: "length", Type: Duration, Optional: true, Doc: "how long it plays; where left out, there is no such file"}},
			Doc:    "Says how long a file plays. All others play for a second.",
			run: func(c *Call, L *lua.LState, a args) int {
				length := time.Duration(-1)
				if a.given(1) {
					length = a.duration(1)
				}
				return a.obeyed(c.bench(a).Sound(a.string(0), length))
			},
		},
		{
			Name:   "time",
			Params: []Param{{Name: "time", Type: String, Doc: "such as \"2026-12-24 18:00 Europe/Stockholm\"; without a zone it is UTC"}},
			Doc:    "Lets it be that time: for `os.time`, opening hours, and the switch. During a call time passes until then.",
			run: func(c *Call, L *lua.LState, a args) int {
				at, err := ParseTime(a.string(0))
				if err != nil {
					a.fail("%v", err)
				}
				return a.obeyed(c.bench(a).SetTime(at))
			},
		},
		{
			Name:   "wait",
			Params: []Param{{Name: "time", Type: Duration, Doc: "for how long"}},
			Doc:    "Lets time pass. It takes none.",
			run: func(c *Call, L *lua.LState, a args) int {
				return a.obeyed(c.bench(a).Wait(a.duration(0)))
			},
		},
		{
			Name: "http",
			Params: []Param{
				{Name: "method", Type: Word, Doc: "GET, POST, …, or * for any"},
				{Name: "url", Type: String, Doc: "the whole address; a * at its end stands for any rest"},
				{Name: "answer", Type: Any, Rest: true, Doc: "{ status = 200, json = {…} }, with body instead of json, headers, after; or \"gone\" (nobody is there), \"slow\" (no answer, ever), \"nonsense\" (an answer that is none). Of several each is given once, the last again and again"},
			},
			Doc: "Says what a web server answers. A request for which nothing was said fails the test.",
			run: testHTTP,
		},
		{
			Name:   "mail_server",
			Params: []Param{{Name: "how", Type: Word, Enum: []string{"gone", "slow"}, Doc: "gone: nobody is there; slow: no answer, ever"}},
			Doc:    "Says how the mail server is. Where nothing is said it takes every message.",
			run:    func(c *Call, L *lua.LState, a args) int { return a.obeyed(c.bench(a).MailServer(a.string(0))) },
		},
		{
			Name:   "store",
			Params: []Param{{Name: "how", Type: Word, Enum: []string{"gone", "slow"}, Doc: "gone: nobody is there; slow: no answer, ever"}},
			Doc:    "Says how the store of `kv` is for scripts. The test itself reaches it all the same.",
			run:    func(c *Call, L *lua.LState, a args) int { return a.obeyed(c.bench(a).StoreIs(a.string(0))) },
		},
		testSQL,
		testDatabase,
		{
			Name:    "mails",
			Results: []Result{{"mails", "table", "a list of { to, cc, bcc, subject, text, html, attachments }; attachments is how many"}},
			Doc:     "The messages that scripts have sent.",
			run: func(c *Call, L *lua.LState, a args) int {
				list := L.NewTable()
				for _, m := range c.bench(a).Mails() {
					t := L.NewTable()
					for name, addresses := range map[string][]string{"to": m.To, "cc": m.Cc, "bcc": m.Bcc} {
						all := L.NewTable()
						for _, address := range addresses {
							all.Append(lua.LString(address))
						}
						t.RawSetString(name, all)
					}
					t.RawSetString("subject", lua.LString(m.Subject))
					t.RawSetString("text", lua.LString(m.Text))
					t.RawSetString("html", lua.LString(m.HTML))
					t.RawSetString("attachments", lua.LNumber(len(m.Attachments)))
					list.Append(t)
				}
				L.Push(list)
				return 1
			},
		},
		{
			Name:    "requests",
			Results: []Result{{"requests", "table", "a list of { method, url, body, headers }"}},
			Doc:     "The requests that scripts have made.",
			run: func(c *Call, L *lua.LState, a args) int {
				list := L.NewTable()
				for _, r := range c.bench(a).Requests() {
					t, headers := L.NewTable(), L.NewTable()
					for name, values := range r.Header {
						headers.RawSetString(name, lua.LString(values[0]))
					}
					t.RawSetString("method", lua.LString(r.Method))
					t.RawSetString("url", lua.LString(r.URL.String()))
					t.RawSetString("body", lua.LString(r.Body))
					t.RawSetString("headers", headers)
					list.Append(t)
				}
				L.Push(list)
				return 1
			},
		},
	},
}

var callerClass = &Class{
	Name: "TestCaller", Article: "a caller", Var: "caller",
	Doc: "Somebody who calls, with a script of their own: what they wait for, press and say.",
	Methods: []Verb{
		{
			Name:    "hears",
			Params:  []Param{{Name: "what", Type: String, Doc: "a file, or its end (menu.wav); a text that is said, or a part of it"}},
			Options: []Param{withinOption},
			Doc:     "Waits until the caller hears it. What is heard before it is passed over; what was waited for once is not found again.",
			run: func(c *Call, L *lua.LState, a args) int {
				return a.obeyed(a.caller().Hears(a.string(0), a.within()))
			},
		},
		{
			Name:   "press",
			Params: []Param{{Name: "keys", Type: String, Doc: "0 to 9, *, #, A to D"}},
			Doc:    "Presses keys, now.",
			run:    func(c *Call, L *lua.LState, a args) int { return a.obeyed(a.caller().Press(a.string(0))) },
		},
		{
			Name:   "says",
			Params: []Param{{Name: "text", Type: String, Doc: "what a recognition of speech makes of it"}},
			Doc:    "Says something: what listens now, or next, hears it.",
			run:    func(c *Call, L *lua.LState, a args) int { return a.obeyed(a.caller().Says(a.string(0))) },
		},
		{
			Name:   "waits",
			Params: []Param{{Name: "time", Type: Duration, Doc: "for how long"}},
			Doc:    "Lets time pass. It takes none.",
			run:    func(c *Call, L *lua.LState, a args) int { return a.obeyed(c.bench(a).Wait(a.duration(0))) },
		},
		{
			Name:   "hangs_up",
			Params: []Param{{Name: "cause", Type: Word, Optional: true, Doc: "NORMAL_CLEARING where left out"}},
			Doc:    "Hangs up, and waits until the call is over, hangup handlers included.",
			run: func(c *Call, L *lua.LState, a args) int {
				cause := "NORMAL_CLEARING"
				if a.given(0) {
					cause = a.string(0)
				}
				return a.obeyed(a.caller().HangsUp(cause))
			},
		},
		{
			Name:    "ends",
			Options: []Param{withinOption},
			Doc:     "Waits until the call is over, hangup handlers included.",
			run:     func(c *Call, L *lua.LState, a args) int { return a.obeyed(a.caller().Ends(a.within())) },
		},
		{
			Name:   "fails",
			Params: []Param{{Name: "text", Type: String, Optional: true, Doc: "what the error says, or a part of it"}},
			Doc:    "Waits until the call is over because its script has raised an error. One that is not waited for fails the test.",
			run: func(c *Call, L *lua.LState, a args) int {
				text := ""
				if a.given(0) {
					text = a.string(0)
				}
				return a.obeyed(a.caller().Fails(text))
			},
		},
	},
	Fields: []Field{
		{"up", "boolean", "Whether the call is not over."},
		{"answered", "boolean", "Whether it was answered."},
		{"heard", "string[]", "What was played and said so far."},
		{"played", "string[]", "The files and streams that were played."},
		{"said", "string[]", "The texts that were said and spoken."},
		{"pressed", "string", "The keys that were taken."},
		{"dialled", "string[]", "The dial strings that were called."},
		{"recorded", "string[]", "The files that were recorded to."},
		{"executed", "string[]", "The applications that ran, with their arguments."},
		{"transferred", "string?", "Where the call was transferred to."},
		{"vars", "table<string, string>", "The channel's variables."},
		{"log", "string[]", "What the script has logged."},
		{"script", "string", "The script that the call ran."},
		{"cause", "string?", "The hangup cause, once it is over."},
		{"ending", "string?", "Why the script came to its end: returned, hung up by script, caller hung up, transferred, script error, over limit or timed out."},
		{"error", "string?", "The error that the script raised."},
		{"seconds", "number", "How long the call has lasted."},
		{"uuid", "string", "The channel's Unique-ID."},
	},
	field: callerField,
}

func callerField(c *Call, L *lua.LState, value any, name string) lua.LValue {
	f := value.(Caller).Facts()
	list := func(texts []string) lua.LValue {
		t := L.NewTable()
		for _, text := range texts {
			t.Append(lua.LString(text))
		}
		return t
	}
	maybe := func(text string) lua.LValue {
		if text == "" {
			return lua.LNil
		}
		return lua.LString(text)
	}
	switch name {
	case "up":
		return lua.LBool(f.Up)
	case "answered":
		return lua.LBool(f.Answered)
	case "heard":
		return list(f.Heard)
	case "played":
		return list(f.Played)
	case "said":
		return list(f.Said)
	case "pressed":
		return lua.LString(f.Pressed)
	case "dialled":
		return list(f.Dialled)
	case "recorded":
		return list(f.Recorded)
	case "executed":
		return list(f.Executed)
	case "log":
		return list(f.Log)
	case "transferred":
		return maybe(f.Transferred)
	case "cause":
		return maybe(f.Cause)
	case "ending":
		return maybe(f.Ending)
	case "error":
		return maybe(f.Error)
	case "script":
		return lua.LString(f.Script)
	case "seconds":
		return lua.LNumber(f.Seconds)
	case "uuid":
		return lua.LString(f.UUID)
	}
	vars, meta := L.NewTable(), L.NewTable()
	meta.RawSetString("__index", L.NewFunction(func(L *lua.LState) int {
		if v, ok := f.Variable(L.CheckString(2)); ok {
			L.Push(lua.LString(v))
		} else {
			L.Push(lua.LNil)
		}
		return 1
	}))
	vars.Metatable = meta
	return vars
}

// within is the option of that name.
func (a args) within() time.Duration {
	d, ok := a.optDuration("within")
	if !ok {
		return time.Hour
	}
	return d
}

func (a args) caller() Caller { return a.self().(Caller) }

// obeyed is the end of a function that has no result but an error.
func (a args) obeyed(err error) int {
	callOf(a.L).budget.resume()
	if err != nil {
		a.L.RaiseError("%s", err.Error())
	}
	return 0
}

func testCall(c *Call, L *lua.LState, a args) int {
	bench := c.bench(a)
	t := TestCall{SIP: a.optBool("sip", false), Mode: "async full"}
	for name, to := range map[string]*string{"script": &t.Script, "number": &t.Number, "name": &t.Name, "destination": &t.Destination, "context": &t.Context, "mode": &t.Mode} {
		if v, ok := a.optString(name); ok {
			*to = v
		}
	}
	t.Args, t.Words = a.named("args", true)
	t.Variables, _ = a.named("vars", false)
	if when, ok := a.optString("time"); ok {
		at, err := ParseTime(when)
		if err != nil {
			a.fail("%v", err)
		}
		a.obeyed(bench.SetTime(at))
	}
	caller, err := bench.Call(t)
	a.obeyed(err)
	L.Push(callerClass.new(caller))
	return 1
}

// named reads an option that is a table of strings.
func (a args) named(option string, words bool) (pairs map[string]string, list []string) {
	v, ok := a.option(option)
	if !ok {
		return nil, nil
	}
	pairs = make(map[string]string)
	table := v.(*lua.LTable)
	for i := 1; words && i <= table.Len(); i++ {
		text, ok := wordOf(table.RawGetInt(i))
		if !ok {
			a.fail("option `%s`: entry %d must be a string, not %s", option, i, describe(table.RawGetInt(i)))
		}
		list = append(list, text)
	}
	table.ForEach(func(key, value lua.LValue) {
		name, named := key.(lua.LString)
		if !named && words {
			return
		}
		text, ok := wordOf(value)
		if !named || !ok {
			a.fail("option `%s` is a table of names with strings, such as { lang = \"sv\" }, not with %s", option, describe(value))
		}
		pairs[string(name)] = text
	})
	return pairs, list
}

func testLeg(c *Call, L *lua.LState, a args) int {
	leg := TestLeg{How: "answers", After: 2 * time.Second, Talks: 5 * time.Second}
	talks, hasTalks := a.optDuration("talks")
	if hasTalks {
		leg.Talks = talks
	}
	if v, ok := a.optString("cause"); ok {
		leg.Cause = v
	}
	leg.Keys, _ = a.optString("presses")
	answers, rings := a.optDuration("answers_after")
	refuses, no := a.optDuration("refuses_after")
	switch {
	case a.given(1):
		leg.How = a.string(1)
	case leg.Cause != "" && !rings && !hasTalks:
		leg.How = leg.Cause
	}
	if rings {
		leg.After = answers
	} else if leg.How != "answers" {
		leg.After = time.Second
	}
	if no {
		if leg.How == "answers" {
			a.fail("`refuses_after` is for who refuses: say how, such as test.leg(%q, \"busy\", { refuses_after = \"3s\" })", a.string(0))
		}
		leg.After = refuses
	}
	if leg.Keys != "" && leg.How != "answers" {
		a.fail("`presses` is for who answers")
	}
	return a.obeyed(c.bench(a).Leg(a.string(0), leg))
}

func testHTTP(c *Call, L *lua.LState, a args) int {
	var answers []HTTPAnswer
	for i := 2; i <= L.GetTop()-a.first; i++ {
		answers = append(answers, a.answer(i))
	}
	return a.obeyed(c.bench(a).HTTP(a.string(0), a.string(1), answers))
}

var (
	answerNames = []string{"status", "json", "body", "headers", "after"}
	answerWords = []string{"gone", "slow", "nonsense"}
)

// answer reads an answer of a web server.
func (a args) answer(i int) HTTPAnswer {
	answer := HTTPAnswer{Status: 200, Headers: map[string]string{}}
	t, ok := a.value(i).(*lua.LTable)
	if !ok {
		answer.How, _ = wordOf(a.value(i))
		if !contains(answerWords, answer.How) {
			a.fail("an answer is a table, \"gone\", \"slow\" or \"nonsense\", not %s", describe(a.value(i)))
		}
		return answer
	}
	t.ForEach(func(key, value lua.LValue) {
		text, isText := wordOf(value)
		number, isNumber := value.(lua.LNumber)
		headers, isTable := value.(*lua.LTable)
		wrong := func(want string) { a.fail("an answer's `%s` is %s, not %s", key.String(), want, describe(value)) }
		switch key.String() {
		case "status":
			if answer.Status = int(number); !isNumber || answer.Status < 100 || answer.Status > 599 {
				wrong("a number from 100 to 599")
			}
		case "body":
			if answer.Body = text; !isText {
				wrong("a string")
			}
		case "json":
			b, err := encodeJSON(a.L, value)
			if err != nil {
				a.fail("an answer's `json`: %v", err)
			}
			answer.Body = string(b)
			if answer.Headers["Content-Type"] == "" {
				answer.Headers["Content-Type"] = "application/json"
			}
		case "headers":
			if !isTable {
				wrong("a table")
			}
			headers.ForEach(func(k, v lua.LValue) { answer.Headers[k.String()] = v.String() })
		case "after":
			d, err := toDuration(value)
			if err != nil {
				wrong("a duration")
			}
			answer.After = d
		default:
			a.fail("an answer has no `%s`%s", key.String(), didYouMean(key.String(), answerNames))
		}
	})
	return answer
}
