package luabind

import (
	"regexp"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// The table of step kinds is the one source of what a flow can hold: the binding, the checks, the reference, the
// editor's definitions and the exploration of paths come from it. A kind that is not in it does not exist.

// A StepKind is one kind of step: flow.menu{…}.
type StepKind struct {
	Name    string
	Doc     string
	Verb    string  // the verb of call that it uses, whose arguments and options it takes; "" for none
	Params  []Param // by position
	List    bool    // all that stands by position is the first parameter
	Options []Param // by name

	// Outcomes are how the step can end, in order. A kind with named outcomes has those that the step itself
	// names, too.
	Outcomes []StepOutcome
	Named    string // what names further outcomes: "the keys", "to"; "" for none

	Waits   bool // time passes in it
	Ends    bool // the flow ends with it
	Answers bool // the call is answered before it
	Into    bool // it puts its result into data, under the step's own name where the option into is left out
	OffCall bool // it can be used after the caller's hangup

	// run does the step's work and returns its outcome.
	run func(s *stepRun) string
	// check finds what is wrong with a step beyond the types of its options.
	check func(k *stepCheck)
	// named lists the outcomes that a step names, with their targets.
	named func(t *lua.LTable) []FlowOutcome
	// label says in a few words what a step does; nil: its arguments.
	label func(t *lua.LTable) string
	// results are the channel's variables that tell how the step ended; they are unset before it.
	results []string
	// ended tells from them that the step had ended when the engine before this one was gone.
	ended func(s *stepRun) (outcome string, ok bool)
	// runs: it is a function of the script, which Env.Force lets run: only where it leads is forced.
	runs bool
	// pure: nothing outside the VM is done in it, so its place need not be kept.
	pure bool
}

// A StepOutcome is one way in which a step can end.
type StepOutcome struct {
	Name  string
	Falls string // the outcome whose target it takes where it has none of its own; "": the step must name one
	Only  bool   // it is no outcome, others take its target
	Doc   string
}

// StepKinds is the table. It is not to be changed.
var StepKinds []*StepKind

// kindOf is the kind of that name, or nil.
func kindOf(name string) *StepKind {
	for _, k := range StepKinds {
		if k.Name == name {
			return k
		}
	}
	return nil
}

func kindNames() []string {
	names := make([]string, len(StepKinds))
	for i, k := range StepKinds {
		names[i] = k.Name
	}
	return names
}

// intoOption is of the kinds that have a result.
var intoOption = Param{Name: "into", Type: Word, Doc: "the name in data that gets the result; the step's own where left out"}

const next = "next"

var (
	nextOutcome      = StepOutcome{Name: next, Doc: "when it is done"}
	otherwiseOutcome = StepOutcome{Name: "otherwise", Only: true, Doc: "where the others are not named"}
)

// makeKinds fills the table, once that of the verbs is filled.
func makeKinds() {
	StepKinds = slices.Concat(mediaKinds, askKinds, connectKinds, thinkKinds, outsideKinds)
	for _, k := range StepKinds {
		if k.Verb != "" {
			k.takeVerb()
		}
		if k.Name == "http" {
			k.Options = append(k.Options, requestOptionsOfSteps()...)
		}
		if k.Into {
			k.Options = append(k.Options, intoOption)
		}
	}
}

// notInSteps are options of verbs that steps have other words for.
var notInSteps = map[string]bool{"wait": true, "hangup_after": true, "continue_on_fail": true, "at": true}

// takeVerb gives the kind the arguments and options of its verb, where it has none of its own.
func (k *StepKind) takeVerb() {
	v := verbOf(k.Verb)
	if k.Params == nil {
		k.Params = v.Params
	}
	for _, o := range v.Options {
		own := slices.ContainsFunc(k.Options, func(p Param) bool { return p.Name == o.Name })
		if !own && !notInSteps[o.Name] {
			k.Options = append(k.Options, o)
		}
	}
}

func verbOf(name string) *Verb {
	if strings.Contains(name, ".") {
		return moduleVerb(name)
	}
	for i := range Verbs {
		if Verbs[i].Name == name {
			return &Verbs[i]
		}
	}
	panic("no verb " + name)
}

// option is the option of that name, or nil.
func (k *StepKind) option(name string) *Param {
	for i := range k.Options {
		if k.Options[i].Name == name {
			return &k.Options[i]
		}
	}
	return nil
}

func (k *StepKind) outcome(name string) *StepOutcome {
	for i := range k.Outcomes {
		if k.Outcomes[i].Name == name {
			return &k.Outcomes[i]
		}
	}
	return nil
}

// words are all names that a step of the kind may hold.
func (k *StepKind) words() []string {
	var names []string
	for _, o := range k.Options {
		names = append(names, o.Name)
	}
	for _, o := range k.Outcomes {
		names = append(names, o.Name)
	}
	return names
}

// target is where an outcome of a step leads, and the outcome that says so.
func (k *StepKind) target(t *lua.LTable, outcome string) (to, via string) {
	if k.named != nil {
		for _, o := range k.named(t) {
			if o.Name == outcome {
				return o.To, ""
			}
		}
	}
	for name := outcome; name != ""; {
		if to, ok := t.RawGetString(name).(lua.LString); ok {
			if name == outcome {
				return string(to), ""
			}
			return string(to), name
		}
		o := k.outcome(name)
		if o == nil {
			break
		}
		name = o.Falls
	}
	return "", ""
}

// outcomes are all that a step can have, in order, with their targets where there are any.
func (k *StepKind) outcomes(t *lua.LTable) []FlowOutcome {
	var list []FlowOutcome
	if k.named != nil {
		list = k.named(t)
	}
	for _, o := range k.Outcomes {
		if o.Only {
			continue
		}
		to, via := k.target(t, o.Name)
		list = append(list, FlowOutcome{o.Name, to, via})
	}
	return list
}

var mediaKinds = []*StepKind{
	{
		Name: "playback", Verb: "playback", List: true, Waits: true, Answers: true,
		Doc: "Plays files to the caller, one after the other.",
		Outcomes: []StepOutcome{{Name: next, Doc: "when they have been played, or a digit ended them"},
			{Name: "failed", Falls: next, Doc: "when one cannot be played"}},
		run: func(s *stepRun) string {
			if s.verb(1); !lua.LVAsBool(s.result(0)) {
				return "failed"
			}
			return next
		},
	},
	{
		Name: "say", Verb: "say", Waits: true, Answers: true,
		Doc:      "Speaks numbers, dates, times, money and the like from recorded sounds.",
		Outcomes: []StepOutcome{nextOutcome, {Name: "failed", Falls: next, Doc: "when it cannot be said"}},
		run:      heardOutcome,
	},
	{
		Name: "speak", Verb: "speak", Waits: true, Answers: true,
		Doc:      "Speaks text with a synthesiser.",
		Outcomes: []StepOutcome{nextOutcome, {Name: "failed", Falls: next, Doc: "when it cannot be said"}},
		run:      heardOutcome,
	},
}

func heardOutcome(s *stepRun) string {
	if s.verb(1); s.result(0) == lua.LString("error") {
		return "failed"
	}
	return next
}

var askKinds = []*StepKind{
	{
		Name: "gather", Verb: "gather", Waits: true, Answers: true, Into: true,
		Doc: "Asks the caller for digits, or words, and puts them into data.",
		Outcomes: []StepOutcome{{Name: next, Doc: "when there is an answer"},
			{Name: "nothing", Falls: "otherwise", Doc: "when nothing was entered in the last try"},
			{Name: "wrong", Falls: "otherwise", Doc: "when what was entered in the last try does not fit"},
			otherwiseOutcome},
		label:   labelOf("prompt"),
		results: answerVariables,
		ended: func(s *stepRun) (string, bool) {
			digits, ok := s.entered()
			low, given := s.def.t.RawGetString("min").(lua.LNumber)
			if !given {
				low = 1
			}
			if !ok || len(digits) < int(low) {
				return "", false
			}
			if p, ok := s.def.t.RawGetString("pattern").(lua.LString); ok {
				if re, err := regexp.Compile(`^(?:` + string(p) + `)$`); err != nil || !re.MatchString(digits) {
					return "", false
				}
			}
			s.put(lua.LString(digits))
			return next, true
		},
		run: func(s *stepRun) string {
			s.verb(3)
			switch s.result(1) {
			case lua.LString("digits"), lua.LString("speech"):
				s.put(s.result(0))
				return next
			case lua.LString("invalid"):
				return "wrong"
			}
			return "nothing"
		},
		check: func(k *stepCheck) {
			low, _ := k.t.RawGetString("min").(lua.LNumber)
			high, ok := k.t.RawGetString("max").(lua.LNumber)
			if ok && (high < 1 || high > maxDigits || low < 0) {
				k.wrong("`min` is at least 0, `max` between 1 and %d", maxDigits)
			} else if ok && high < low {
				k.wrong("`max` is less than `min`")
			}
		},
	},
	{
		Name: "menu", Verb: "menu", Waits: true, Answers: true, Named: "the keys and words",
		Doc: "Asks the caller to choose. Each key is an outcome and names its step: `keys = { [\"1\"] = \"sales\" }`. So is each word, where `speech` names a recogniser.",
		Outcomes: []StepOutcome{
			{Name: "nothing", Falls: "otherwise", Doc: "when nothing was entered in the last try"},
			{Name: "wrong", Falls: "otherwise", Doc: "when what was entered in the last try is no choice"},
			otherwiseOutcome},
		label:   labelOf("prompt"),
		named:   func(t *lua.LTable) []FlowOutcome { return slices.Concat(choicesOf(t, "keys"), choicesOf(t, "words")) },
		results: answerVariables,
		ended: func(s *stepRun) (string, bool) {
			digits, ok := s.entered()
			return digits, ok && slices.ContainsFunc(choicesOf(s.def.t, "keys"), func(o FlowOutcome) bool { return o.Name == digits })
		},
		run: func(s *stepRun) string {
			s.verb(2)
			if s.result(0) != lua.LNil {
				return s.result(1).String()
			}
			if s.result(1) == lua.LString("invalid") {
				return "wrong"
			}
			return "nothing"
		},
		check: func(k *stepCheck) {
			keys, ok := k.t.RawGetString("keys").(*lua.LTable)
			if !ok {
				k.wrong("option `keys` is missing: keys = { [\"1\"] = \"…\" }")
				return
			}
			empty := true
			keys.ForEach(func(key, _ lua.LValue) {
				empty = false
				if text, _ := wordOf(key); !isKeys(text) || len(text) > maxDigits {
					k.wrong("option `keys`: %s is no key; write [\"1\"], [\"*\"], [\"12\"]", describe(key))
				}
			})
			if empty {
				k.wrong("option `keys` is empty")
			}
			if k.t.RawGetString("words") != lua.LNil && k.t.RawGetString("speech") == lua.LNil {
				k.wrong("option `words` wants a recogniser: speech = { engine = …, grammar = … }")
			}
		},
	},
	{
		Name: "record", Verb: "record", Waits: true, Answers: true, Into: true,
		Doc:      "Records the caller until something ends it, and puts { path =, seconds =, reason = } into data.",
		Outcomes: []StepOutcome{{Name: next, Doc: "when it is recorded"}},
		results:  []string{"record_ms", "playback_terminator_used", "silence_hits_exhausted"},
		ended: func(s *stepRun) (string, bool) {
			e := s.c.newest()
			if ms, _ := e.Variable("record_ms"); ms == "" {
				return "", false
			}
			limit, _ := toDuration(s.def.t.RawGetString("max"))
			t := recorded(s.L, e, lua.LVAsString(s.fill(s.def.t.RawGetInt(1))), int(limit/time.Second), false)
			s.put(t)
			return next, true
		},
		run: func(s *stepRun) string {
			s.verb(1)
			s.put(s.result(0))
			return next
		},
	},
}

// answerVariables are those of the application read.
var answerVariables = []string{digitsVariable, "read_result"}

// entered is what the caller had entered when the engine before this one was gone.
func (s *stepRun) entered() (string, bool) {
	digits := lua.LVAsString(s.c.variable(digitsVariable))
	return digits, digits != "" && lua.LVAsString(s.c.variable("read_result")) == "success"
}

// choicesOf are the outcomes that a table of choices names, sorted.
func choicesOf(t *lua.LTable, option string) []FlowOutcome {
	var list []FlowOutcome
	choices, ok := t.RawGetString(option).(*lua.LTable)
	if !ok {
		return nil
	}
	choices.ForEach(func(key, to lua.LValue) {
		name, _ := wordOf(key)
		if target, ok := to.(lua.LString); ok {
			list = append(list, FlowOutcome{Name: name, To: string(target)})
		} else {
			list = append(list, FlowOutcome{Name: name})
		}
	})
	slices.SortFunc(list, func(a, b FlowOutcome) int { return strings.Compare(a.Name, b.Name) })
	return list
}

func labelOf(option string) func(t *lua.LTable) string {
	return func(t *lua.LTable) string { return labelText(t.RawGetString(option)) }
}

// labelText is a value in a few words.
func labelText(v lua.LValue) string {
	var text string
	switch v := v.(type) {
	case lua.LString, lua.LNumber:
		text = v.String()
	case *lua.LTable:
		var parts []string
		for i := 1; i <= v.Len(); i++ {
			parts = append(parts, labelText(v.RawGetInt(i)))
		}
		text = strings.Join(parts, ", ")
	case *lua.LUserData:
		if x, ok := v.Value.(*expansion); ok {
			text = x.text
		}
	}
	const most = 60
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return text
}

// labelAll is the label of a step by its arguments.
func labelAll(k *StepKind, t *lua.LTable) string {
	if k.label != nil {
		return k.label(t)
	}
	return labelText(t)
}

var connectKinds = []*StepKind{
	{
		Name: "bridge", Verb: "bridge", List: true, Waits: true,
		Doc:     "Connects the caller with somebody else: the targets are tried in order, or rung together with `all = true`. With `into`, data gets { cause =, seconds =, target = }.",
		Options: []Param{{Name: "into", Type: Word, Doc: "the name in data that gets how it went"}},
		Outcomes: []StepOutcome{{Name: "answered", Doc: "when the two have talked and parted"},
			{Name: "busy", Falls: "otherwise", Doc: "when the last that was tried is busy"},
			{Name: "no_answer", Falls: "otherwise", Doc: "when nobody answers"},
			{Name: "rejected", Falls: "otherwise", Doc: "when the call is refused there"},
			{Name: "failed", Falls: "otherwise", Doc: "when there is no way to anybody"},
			otherwiseOutcome},
		results: []string{"originate_disposition", "originate_failed_cause"},
		run: func(s *stepRun) string {
			s.verb(1)
			t := s.result(0).(*lua.LTable)
			s.putTable(t, "cause", "seconds", "target")
			if t.RawGetString("answered") == lua.LTrue {
				return "answered"
			}
			return causeOutcome(lua.LVAsString(t.RawGetString("cause")))
		},
		ended: func(s *stepRun) (string, bool) {
			disposition := lua.LVAsString(s.c.variable("originate_disposition"))
			switch {
			case disposition == "SUCCESS":
				return "answered", true
			case disposition != "" && s.def.t.Len() == 1:
				if cause := lua.LVAsString(s.c.variable("originate_failed_cause")); cause != "" {
					disposition = cause
				}
				return causeOutcome(disposition), true
			}
			return "", false
		},
	},
	{
		Name: "queue", Verb: "callcenter", Waits: true, Answers: true,
		Doc:     "Puts the caller into a queue of mod_callcenter until an agent has talked to the caller, or the waiting is over. With `into`, data gets { agent =, seconds =, reason = }.",
		Options: []Param{{Name: "into", Type: Word, Doc: "the name in data that gets how it went"}},
		Outcomes: []StepOutcome{{Name: "answered", Doc: "when an agent has talked to the caller"},
			{Name: "left", Falls: "otherwise", Doc: "when the caller has pressed exit_key"},
			{Name: "timeout", Falls: "otherwise", Doc: "when the queue has given up"},
			{Name: "failed", Falls: "otherwise", Doc: "when there is no such queue, or it is closed"},
			otherwiseOutcome},
		results: []string{"cc_cause", "cc_cancel_reason"},
		run: func(s *stepRun) string {
			s.verb(1)
			t := s.result(0).(*lua.LTable)
			s.putTable(t, "agent", "seconds", "reason")
			return queueOutcome(t.RawGetString("answered") == lua.LTrue, lua.LVAsString(t.RawGetString("reason")))
		},
		ended: func(s *stepRun) (string, bool) {
			cause := lua.LVAsString(s.c.variable("cc_cause"))
			reason := lua.LVAsString(s.c.variable("cc_cancel_reason"))
			if cause != "answered" && (reason == "" || reason == "BREAK_OUT" || reason == "NONE") {
				return "", false
			}
			return queueOutcome(cause == "answered", reason), true
		},
	},
	{
		Name: "conference", Verb: "conference", Waits: true, Answers: true,
		Doc:      "Takes the caller into a conference, until that is over.",
		Outcomes: []StepOutcome{{Name: next, Doc: "when the caller has left it"}},
		results:  []string{"conference_member_id"},
		ended: func(s *stepRun) (string, bool) {
			return next, s.c.lasts("conference") && s.c.variable("conference_member_id") != lua.LNil
		},
		run: justRun,
	},
	{
		Name: "voicemail", Verb: "voicemail", Waits: true, Answers: true,
		Doc:      "Lets the caller leave a message, or listen to the messages left.",
		Outcomes: []StepOutcome{nextOutcome},
		run:      justRun,
	},
	{
		Name: "transfer", Verb: "transfer", Ends: true,
		Doc: "Sends the call to another extension of the dialplan. The flow ends with it.",
		run: justRun,
	},
	{
		Name: "hangup", Verb: "hangup", Ends: true,
		Doc: "Hangs up. The flow ends with it.",
		run: justRun,
	},
}

func justRun(s *stepRun) string {
	s.verb(0)
	return next
}

// causeOutcome is what a hangup cause of somebody who was dialled means.
func causeOutcome(cause string) string {
	switch cause {
	case "USER_BUSY":
		return "busy"
	case "NO_ANSWER", "NO_USER_RESPONSE", "ALLOTTED_TIMEOUT", "PROGRESS_TIMEOUT", "RECOVERY_ON_TIMER_EXPIRE", "ORIGINATOR_CANCEL":
		return "no_answer"
	case "CALL_REJECTED":
		return "rejected"
	}
	return "failed"
}

func queueOutcome(answered bool, reason string) string {
	switch {
	case answered:
		return "answered"
	case reason == "left", reason == "EXIT_WITH_KEY":
		return "left"
	case strings.Contains(reason, "TIMEOUT"):
		return "timeout"
	}
	return "failed"
}
