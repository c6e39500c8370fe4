package luabind

import (
	"strings"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// What the modules say can speak, and how (switch_types.h, SAY_TYPE and SAY_METHOD).
var (
	sayTypes = []string{"number", "items", "persons", "messages", "currency", "time_measurement", "current_date", "current_time",
		"current_date_time", "telephone_number", "telephone_extension", "url", "ip_address", "email_address", "postal_address",
		"account_number", "name_spelled", "name_phonetic", "short_date_time"}
	sayMethods = []string{"pronounced", "iterated", "counted"}
	sayGenders = []string{"feminine", "masculine", "neuter"}

	heardResults = []Result{
		{"reason", "string", "said, terminated by a digit, stopped by a handler, or error"},
		{"digit", "string?", "the digit that ended it"},
	}
	terminatorsOption = Param{Name: "terminators", Type: Text, Doc: "the digits that end it, \"any\" or \"none\"; FreeSWITCH's own is *"}
)

var speakVerbs = []Verb{
	{
		Name:   "say",
		Params: []Param{{Name: "text", Type: Text, Doc: "such as 42, \"12.50\" or a time in seconds since 1970"}, {Name: "type", Type: Word, Optional: true, Enum: sayTypes, Doc: "what it is; a number where left out"}},
		Options: []Param{
			{Name: "method", Type: Word, Enum: sayMethods, Doc: "pronounced (twelve) where left out, iterated (one, two), counted (twelfth)"},
			{Name: "gender", Type: Word, Enum: sayGenders, Doc: "of the word, in languages that care"},
			{Name: "module", Type: Word, Doc: "the language's say module, such as sv, or sv:se; the channel's default_language, or en"},
			terminatorsOption,
		},
		Results: heardResults,
		Doc:     "Speaks numbers, dates, times, money and the like from recorded sounds.",
		run:     say,
	},
	{
		Name:   "speak",
		Params: []Param{{Name: "text", Type: Text, Doc: "what to say"}},
		Options: []Param{
			{Name: "engine", Type: Word, Doc: "the speech synthesiser, such as flite; the variable tts_engine where left out"},
			{Name: "voice", Type: Word, Doc: "its voice; the variable tts_voice where left out"},
			terminatorsOption,
		},
		Results: heardResults,
		Doc:     "Speaks text with a synthesiser. call:set{ tts_engine = \"flite\", tts_voice = \"slt\" } chooses it once for the call.",
		run:     speak,
	},
	{
		Name:    "phrase",
		Params:  []Param{{Name: "macro", Type: Word, Doc: "the phrase macro, as the switch's language files name it"}, {Name: "data", Type: Text, Optional: true, Doc: "what the macro is to say"}},
		Options: []Param{{Name: "language", Type: Word, Doc: "whose macros; the channel's own where left out"}, terminatorsOption},
		Results: heardResults,
		Doc:     "Plays a phrase macro. Macros expand their data: it can hold no $ and no backslash.",
		run:     phrase,
	},
	{
		Name:   "display",
		Params: []Param{{Name: "name", Type: Text, Doc: "what the caller's telephone is to show"}, {Name: "number", Type: Text, Optional: true, Doc: "with what number"}},
		Doc:    "Changes what the caller's telephone shows. It does not wait.",
		run: func(c *Call, L *lua.LState, a args) int {
			text := a.text(0)
			if a.given(1) {
				text = text.with(literal("|")).with(a.text(1))
			}
			if a.text(0).holds("|\r\n") || a.text(1).holds("|\r\n") {
				a.fail("a telephone's display holds no | and no line break")
			}
			c.post(L, execute("send_display", text.escaped()))
			return 0
		},
	},
}

// terminated sets the option terminators for one application, and returns what takes it back.
func (c *Call) terminated(L *lua.LState, a args) (after func()) {
	t, ok := a.optText("terminators")
	if !ok {
		return func() {}
	}
	c.assign(L, "playback_terminators", t)
	return func() { c.unset(L, "playback_terminators") }
}

func (c *Call) pushHeard(L *lua.LState, e *esl.Event) int {
	digit, _ := e.Variable("playback_terminator_used")
	switch {
	case c.stopped:
		L.Push(lua.LString("stopped"))
		return 1
	case e.Get("Application-Response") == "UNKNOWN ERROR":
		L.Push(lua.LString("error"))
		return 1
	case digit != "":
		L.Push(lua.LString("terminated"))
		L.Push(lua.LString(digit))
		return 2
	}
	L.Push(lua.LString("said"))
	return 1
}

func say(c *Call, L *lua.LState, a args) int {
	option := func(name, otherwise string) argument {
		if t, ok := a.optText(name); ok {
			return t
		}
		return literal(otherwise)
	}
	kind := "number"
	if a.given(1) {
		kind = a.word(1)
	}
	language := "en"
	if v := lua.LVAsString(c.variable("default_language")); v != "" {
		language = v
	}
	list := []argument{option("module", language), literal(kind), option("method", "pronounced")}
	if gender, ok := a.optText("gender"); ok {
		list = append(list, gender)
	}
	after := c.terminated(L, a)
	e := c.run(L, execute("say", words(append(list, a.text(0))...).escaped()), 0)
	after()
	return c.pushHeard(L, e)
}

func speak(c *Call, L *lua.LState, a args) int {
	var chosen [2]argument
	for i, name := range []string{"engine", "voice"} {
		t, ok := a.optText(name)
		if !ok {
			t = literal(lua.LVAsString(c.variable("tts_" + name)))
		}
		if t.text() == "" {
			// The application would hang up (mod_dptools.c, speak_function).
			a.fail("no %s is chosen: give it as an option, or once with call:set(\"tts_%s\", …)", name, name)
		}
		if t.holds("|'\\ \r\n") {
			a.fail("%s %s holds a space, a quote, a | or a backslash", name, describeText(t))
		}
		chosen[i] = t
	}
	text := a.text(0)
	if text.text() == "" {
		L.Push(lua.LString("said"))
		return 1
	}
	after := c.terminated(L, a)
	// The third part is all the rest, as it stands, except for spaces in front.
	arg := chosen[0].with(literal("|")).with(chosen[1]).with(literal("|")).with(text)
	e := c.run(L, execute("speak", arg.escaped()), 0)
	after()
	return c.pushHeard(L, e)
}

func phrase(c *Call, L *lua.LState, a args) int {
	macro := a.word(0)
	if strings.ContainsAny(macro, ",$\\") {
		a.fail("the name of a macro holds no comma, $ or backslash: %q", macro)
	}
	arg := literal(macro)
	if a.given(1) {
		if a.text(1).holds("$\\") {
			a.fail("the data %s holds a $ or a backslash: macros expand it, and would run what is in it", describeText(a.text(1)))
		}
		arg = arg.with(literal(",")).with(a.text(1))
	}
	language, given := a.optText("language")
	before := c.variable("language")
	if given {
		c.assign(L, "language", language)
	}
	after := c.terminated(L, a)
	e := c.run(L, execute("phrase", arg.escaped()), 0)
	after()
	if given {
		if v, ok := before.(lua.LString); ok {
			c.assign(L, "language", literal(string(v)))
		} else {
			c.unset(L, "language")
		}
	}
	return c.pushHeard(L, e)
}
