package luabind

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var (
	promptOptions = []Param{
		{Name: "prompt", Type: Texts, Doc: "what to play first: a file, or a list of them"},
		{Name: "timeout", Type: Duration, Doc: "how long to wait for the first digit, from the end of the prompt; 5 s where left out, at least 1 s"},
		{Name: "tries", Type: Integer, Doc: "how often to ask"},
		{Name: "invalid", Type: Texts, Doc: "what to play when what was entered does not fit"},
		{Name: "no_input", Type: Texts, Doc: "what to play when nothing was entered"},
		{Name: "barge_in", Type: Boolean, Doc: "false: digits do not end the prompt, and those pressed during it do not count"},
	}
	digitTimeoutOption = Param{Name: "digit_timeout", Type: Duration, Doc: "how long to wait for each further digit; 3 s where left out"}
)

var askVerbs = []Verb{
	{
		Name: "gather",
		Options: append([]Param{
			{Name: "min", Type: Integer, Doc: "the fewest digits that will do; 1 where left out, 0 lets a terminator alone be an answer"},
			{Name: "max", Type: Integer, Doc: "the most; it ends the waiting. 32 where left out"},
			{Name: "terminators", Type: Text, Doc: "digits that end the entry and do not belong to it; # where left out, \"none\" for none"},
			{Name: "pattern", Type: Text, Check: checkPattern, Doc: "a regular expression (RE2) that the whole entry must match"},
			{Name: "speech", Type: Table, Doc: "{ engine =, grammar = }: listen to what the caller says meanwhile, too"},
			digitTimeoutOption,
		}, promptOptions...),
		Results: []Result{
			{"digits", "string?", "what was entered, or said; nil when nothing fitting was in the last try"},
			{"reason", "string", "digits or speech; without a result: timeout (nothing was entered), invalid, or stopped by a handler"},
			{"detail", "string?", "the terminator that was used; for speech the recogniser's whole answer; for invalid what was entered"},
		},
		Doc: "Asks the caller for digits, or words. A digit ends the prompt and is the first of the entry.",
		run: gather,
	},
	{
		Name: "menu",
		Options: append([]Param{
			{Name: "keys", Type: Table, Doc: "the choices: { [\"1\"] = \"sales\", [\"2\"] = function(digits) … end }. A function is called when its key is pressed"},
			{Name: "speech", Type: Table, Doc: "{ engine =, grammar = }: listen to what the caller says meanwhile, too"},
			{Name: "words", Type: Table, Doc: "the choices by what is said, in upper or lower case: { sales = \"sales\" }"},
			digitTimeoutOption,
		}, promptOptions...),
		Results: []Result{
			{"choice", "any", "what keys has for the entry; of a function, what it returned; nil where nothing fitting was entered"},
			{"digits", "string", "what was entered, or the word that was said; without a choice why: timeout, invalid or stopped"},
		},
		Doc: "Asks the caller to choose. There are 3 tries where tries is left out.",
		run: menu,
	},
	{
		Name: "confirm",
		Options: append([]Param{
			{Name: "yes", Type: Word, Doc: "the key for yes; 1 where left out"},
			{Name: "no", Type: Word, Doc: "the key for no; 2 where left out"},
		}, promptOptions...),
		Results: []Result{
			{"yes", "boolean?", "true or false; nil where nothing fitting was entered"},
			{"reason", "string", "the key; without an answer why: timeout, invalid or stopped"},
		},
		Doc: "Asks yes or no. There are 3 tries where tries is left out.",
		run: confirm,
	},
	{
		Name: "flush",
		Doc:  "Forgets the digits that were pressed and not yet asked for. It does not wait.",
		run:  func(c *Call, L *lua.LState, a args) int { c.post(L, execute("flush_dtmf", "")); return 0 },
	},
}

// A question is what gather, menu and confirm ask for.
type question struct {
	min, max      int
	terminators   string
	fits          func(digits string) bool
	prompt        []argument
	invalid       []argument
	noInput       []argument
	timeout       time.Duration
	digitTimeout  time.Duration
	tries         int
	bargeIn       bool
	speech        bool
	hears         func(text string) (answer string, ok bool) // what was said, where that is not asked of fits
	engine, words argument                                   // of speech
}

// noTerminators is given where there are none: no telephone sends it, and an empty word would mean #.
const noTerminators = "~"

// maxDigits is what the switch has room for (mod_dptools.c, read_function).
const maxDigits = 127

func (a args) question(tries int) question {
	q := question{min: 1, timeout: 5 * time.Second, digitTimeout: 3 * time.Second, tries: a.optInt("tries", tries), bargeIn: a.optBool("barge_in", true)}
	if q.tries < 1 {
		a.fail("option `tries` must be at least 1")
	}
	for name, to := range map[string]*[]argument{"prompt": &q.prompt, "invalid": &q.invalid, "no_input": &q.noInput} {
		if v, ok := a.option(name); ok {
			*to = texts(v)
			a.playable(*to...)
		}
	}
	if d, ok := a.optDuration("timeout"); ok {
		q.timeout = d
	}
	if d, ok := a.optDuration("digit_timeout"); ok {
		q.digitTimeout = d
	}
	return q
}

func gather(c *Call, L *lua.LState, a args) int {
	q := a.question(1)
	q.min, q.max = a.optInt("min", 1), a.optInt("max", 32)
	if _, ok := a.option("max"); !ok {
		q.max = max(q.max, q.min)
	}
	switch {
	case q.min < 0 || q.max < 1 || q.max > maxDigits:
		a.fail("`min` is at least 0, `max` between 1 and %d", maxDigits)
	case q.max < q.min:
		a.fail("`max` is less than `min`")
	}
	q.terminators = "#"
	if t, ok := a.optText("terminators"); ok {
		q.terminators = a.keys("terminators", t)
	}
	if p, ok := a.optText("pattern"); ok {
		q.fits = regexp.MustCompile(`^(?:` + p.text() + `)$`).MatchString
	}
	if v, ok := a.option("speech"); ok {
		a.speechOption(&q, v.(*lua.LTable))
	}
	digits, reason, detail := c.ask(L, a, q)
	if reason == "digits" || reason == "speech" {
		L.Push(lua.LString(digits))
	} else {
		L.Push(lua.LNil)
	}
	L.Push(lua.LString(reason))
	if detail == "" {
		return 2
	}
	L.Push(lua.LString(detail))
	return 3
}

// keys reads an option that names keys, "none" and "" being none of them.
func (a args) keys(option string, v argument) string {
	keys := v.text()
	if keys == "none" || keys == "" {
		return noTerminators
	}
	if keys == "any" {
		return "0123456789*#ABCD"
	}
	if strings.Trim(keys, "0123456789*#ABCDabcd") != "" {
		a.fail("option `%s` holds keys, such as \"*#\", \"any\" or \"none\", not %q", option, keys)
	}
	return keys
}

func isKeys(s string) bool { return s != "" && strings.Trim(s, "0123456789*#ABCD") == "" }

func menu(c *Call, L *lua.LState, a args) int {
	q := a.question(3)
	v, ok := a.option("keys")
	if !ok {
		a.fail("option `keys` is missing: { [\"1\"] = … }")
	}
	choices := make(map[string]lua.LValue)
	v.(*lua.LTable).ForEach(func(k, choice lua.LValue) {
		key, _ := wordOf(k)
		if !isKeys(key) || len(key) > maxDigits {
			a.fail("option `keys`: %s is no key; write [\"1\"], [\"*\"], [\"12\"]", describe(k))
		}
		choices[key] = choice
	})
	if len(choices) == 0 {
		a.fail("option `keys` is empty")
	}
	q.choose(choices)
	said := a.words(&q)
	digits, reason, _ := c.ask(L, a, q)
	if reason != "digits" && reason != "speech" {
		return pushNone(L, reason)
	}
	choice := choices[digits]
	if reason == "speech" {
		choice = said[digits]
	}
	if fn, ok := choice.(*lua.LFunction); ok {
		L.Push(fn)
		L.Push(lua.LString(digits))
		L.Call(1, 1)
		choice = L.Get(-1)
		L.Pop(1)
	}
	L.Push(choice)
	L.Push(lua.LString(digits))
	return 2
}

// words reads menu's options speech and words: what may be said is an answer too, as it is written there.
func (a args) words(q *question) map[string]lua.LValue {
	speech, listens := a.option("speech")
	v, given := a.option("words")
	if listens != given {
		a.fail("speech names the recogniser and words the choices: the one is of no use without the other")
	}
	if !listens {
		return nil
	}
	a.speechOption(q, speech.(*lua.LTable))
	choices := make(map[string]lua.LValue)
	for _, name := range sortedNames(a, "words", v.(*lua.LTable)) {
		choices[name] = v.(*lua.LTable).RawGetString(name)
	}
	q.hears = func(text string) (string, bool) {
		text = strings.Trim(text, " .,!?")
		for name := range choices {
			if strings.EqualFold(name, text) {
				return name, true
			}
		}
		return "", false
	}
	return choices
}

// choose lets only these keys be an answer.
func (q *question) choose(choices map[string]lua.LValue) {
	q.terminators, q.min, q.max = "#", maxDigits, 0
	for key := range choices {
		q.min, q.max = min(q.min, len(key)), max(q.max, len(key))
		if strings.Contains(key, "#") {
			q.terminators = noTerminators
		}
	}
	if q.max == 1 {
		q.terminators = noTerminators
	}
	q.fits = func(digits string) bool { _, ok := choices[digits]; return ok }
}

func confirm(c *Call, L *lua.LState, a args) int {
	q := a.question(3)
	yes, no := "1", "2"
	for name, to := range map[string]*string{"yes": &yes, "no": &no} {
		if v, ok := a.option(name); ok {
			*to, _ = wordOf(v)
			if !isKeys(*to) || len(*to) > 1 {
				a.fail("option `%s` is one key, not %s", name, describe(v))
			}
		}
	}
	if yes == no {
		a.fail("the keys for yes and no are the same")
	}
	q.choose(map[string]lua.LValue{yes: lua.LTrue, no: lua.LFalse})
	digits, reason, _ := c.ask(L, a, q)
	if reason != "digits" {
		return pushNone(L, reason)
	}
	L.Push(lua.LBool(digits == yes))
	L.Push(lua.LString(digits))
	return 2
}

// ask asks until there is an answer, or the tries are used up.
func (c *Call) ask(L *lua.LState, a args, q question) (digits, reason, detail string) {
	for try := 0; ; try++ {
		digits, reason, detail = c.askOnce(L, a, q)
		if reason == "digits" || reason == "speech" || reason == "stopped" {
			return digits, reason, detail
		}
		again := q.noInput
		if reason == "invalid" {
			again = q.invalid
		}
		for _, f := range again {
			c.run(L, execute("playback", f.escaped()), 0)
			if c.stopped {
				return "", "stopped", ""
			}
		}
		if try+1 >= q.tries {
			return "", reason, detail
		}
	}
}

func (c *Call) askOnce(L *lua.LState, a args, q question) (digits, reason, detail string) {
	prompt := q.prompt
	if !q.bargeIn && len(prompt) > 0 {
		c.post(L, execute("set", "playback_terminators=none"))
		for _, f := range prompt {
			c.run(L, execute("playback", f.escaped()), 0)
			if c.stopped {
				break
			}
		}
		c.unset(L, "playback_terminators")
		if c.stopped {
			return "", "stopped", ""
		}
		c.post(L, execute("flush_dtmf", ""))
		prompt = nil
	}
	var said *waiter
	if q.speech {
		said = c.listenTo(L, a, q)
		defer c.stopListening(L, said)
	}
	e := c.read(L, q, prompt)
	result, _ := e.Variable("read_result")
	if said != nil && said.got != nil {
		text := spoken(said.got.Body())
		fits := text != "" && (q.hears != nil || q.fits == nil || q.fits(text))
		if fits && q.hears != nil {
			text, fits = q.hears(text)
		}
		if !fits {
			return "", "invalid", said.got.Body()
		}
		return text, "speech", said.got.Body()
	}
	if c.stopped {
		return "", "stopped", ""
	}
	if result == "" && len(prompt) > 0 { // it gives up where it cannot play
		file, line := where(L)
		c.log.Warn("a prompt cannot be played", "verb", a.verb.Name, "file", promptNames(prompt), "at", at(file, line))
		e = c.read(L, q, nil)
		if c.stopped {
			return "", "stopped", ""
		}
	}
	digits, _ = e.Variable(digitsVariable)
	terminator, _ := e.Variable("read_terminator_used")
	switch {
	case digits == "" && terminator == "":
		return "", "timeout", ""
	case len(digits) < q.min, digits == "" && q.min > 0, q.fits != nil && !q.fits(digits):
		return "", "invalid", digits
	}
	return digits, "digits", terminator
}

func promptNames(files []argument) string {
	var names []string
	for _, f := range files {
		names = append(names, f.text())
	}
	return strings.Join(names, ", ")
}

// digitsVariable holds what was entered.
const digitsVariable = "callisto_digits"

// read runs the application read once.
func (c *Call) read(L *lua.LState, q question, prompt []argument) *esl.Event {
	file, delimiter := literal("silence"), ""
	if len(prompt) > 0 {
		file, delimiter = prompts(prompt)
	}
	c.unset(L, "read_terminator_used")
	if delimiter != "" {
		c.assign(L, "playback_delimiter", literal(delimiter))
		c.post(L, execute("set", "playback_sleep_val=0"))
	}
	number := func(n int64) argument { return literal(strconv.FormatInt(n, 10)) }
	arg := words(number(int64(max(q.min, 1))), number(int64(q.max)), file, literal(digitsVariable),
		number(q.timeout.Milliseconds()), literal(q.terminators), number(max(q.digitTimeout.Milliseconds(), 1)))
	e := c.run(L, execute("read", arg.escaped()), 0)
	if delimiter != "" {
		c.unset(L, "playback_delimiter")
		c.unset(L, "playback_sleep_val")
	}
	return e
}

// checkPattern says what is wrong with a regular expression, or "".
func checkPattern(text string) string {
	if _, err := regexp.Compile(text); err != nil {
		return fmt.Sprintf("it is no regular expression (RE2): %v", err)
	}
	if _, err := regexp.Compile("^(?:" + text + ")$"); err != nil {
		return fmt.Sprintf("it is no regular expression (RE2): %v", err)
	}
	return ""
}
