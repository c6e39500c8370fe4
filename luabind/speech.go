package luabind

import (
	"encoding/json"
	"encoding/xml"
	"strings"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var speechVerbs = []Verb{
	{
		Name: "detect_speech",
		Params: []Param{
			{Name: "command", Type: Word, Doc: "a recogniser such as unimrcp, to start it; or pause, resume, stop, grammar, nogrammar, grammaron, grammaroff, grammarsalloff, param or start_input_timers, for the one that runs"},
			{Name: "argument", Type: Text, Optional: true, Rest: true, Doc: "to start one, the grammar and where it is; else what the command takes"},
		},
		Doc: "Starts to listen beside everything else, or tells the recogniser that runs something. What is heard comes to call:on(\"speech\", fn). It does not wait.",
		run: detectSpeech,
	},
	{
		Name: "play_and_detect_speech",
		Params: []Param{
			{Name: "file", Type: Text, Doc: "what to play; speech ends it"},
			{Name: "engine", Type: Word, Doc: "the recogniser, such as unimrcp"},
			{Name: "grammar", Type: Text, Doc: "its grammar, with parameters in front in {…} where it takes some"},
		},
		Results: []Result{
			{"text", "string?", "what was said; nil where nothing was understood"},
			{"reason", "string", "speech; without a result: timeout, stopped, or error, which the switch's log explains"},
			{"detail", "string?", "the recogniser's whole answer"},
		},
		Doc: "Plays a file and waits for what the caller says.",
		run: playAndDetectSpeech,
	},
}

func detectSpeech(c *Call, L *lua.LState, a args) int {
	list := []argument{literal(a.word(0))}
	for i := 1; a.given(i); i++ {
		list = append(list, a.text(i))
	}
	switch a.word(0) {
	case "pause", "resume", "stop", "grammar", "nogrammar", "grammaron", "grammaroff", "grammarsalloff", "param", "start_input_timers", "start-input-timers", "init":
	default:
		if len(list) < 2 {
			a.fail("to start a recogniser it takes a grammar too, and where that is")
		}
		if len(list) == 2 { // the application wants three
			list = append(list, list[1])
		}
	}
	c.post(L, execute("detect_speech", words(list...).escaped()))
	return 0
}

func playAndDetectSpeech(c *Call, L *lua.LState, a args) int {
	file := a.text(0)
	a.playable(file)
	if strings.Contains(file.text(), "detect:") {
		a.fail("the name of the file holds detect:, which ends it")
	}
	arg := file.with(literal(" detect:")).with(words(literal(a.word(1)), a.text(2)))
	e := c.run(L, execute("play_and_detect_speech", arg.escaped()), 0)
	result, _ := e.Variable("detect_speech_result")
	text := spoken(result)
	switch {
	case c.stopped:
		return pushNone(L, "stopped")
	case text != "":
		L.Push(lua.LString(text))
		L.Push(lua.LString("speech"))
		L.Push(lua.LString(result))
		return 3
	}
	switch e.Get("Application-Response") {
	case "SUCCESS", "DONE": // nothing, or silence
		return pushNone(L, "timeout")
	}
	return pushNone(L, "error")
}

// speechOption reads gather's option speech.
func (a args) speechOption(q *question, t *lua.LTable) {
	a.needs(true, true)
	q.speech = true
	for _, name := range sortedNames(a, "speech", t) {
		v, ok := toArgument(t.RawGetString(name))
		if !ok {
			a.fail("speech: `%s` must be a string", name)
		}
		switch name {
		case "engine":
			q.engine = v
		case "grammar":
			q.words = v
		default:
			a.fail("speech: unknown field `%s`%s", name, didYouMean(name, []string{"engine", "grammar"}))
		}
	}
	if q.engine.text() == "" || q.words.text() == "" {
		a.fail("speech wants an engine and a grammar: { engine = \"unimrcp\", grammar = \"…\" }")
	}
}

// listenTo starts a recogniser whose result ends the application read.
func (c *Call) listenTo(L *lua.LState, a args, q question) *waiter {
	event := wanted{kind: "speech", name: "DETECTED_SPEECH", channel: c.channelID()}
	c.listen(L, a, event)
	ch := c.channel
	w := &waiter{event: event, then: func() { c.control(L, ch, "uuid_break", "all") }}
	c.waiters = append(c.waiters, w)
	c.post(L, execute("detect_speech", words(q.engine, q.words, q.words).escaped()))
	return w
}

func (c *Call) stopListening(L *lua.LState, w *waiter) {
	c.forgetWaiter(w)
	if c.ended == nil {
		c.conn.Post(esl.Execute{App: "detect_speech", Arg: "stop", Channel: c.target(), EventLock: true})
	}
}

// spoken is the text in a recogniser's answer: NLSML (RFC 6787), the JSON of newer ones, or plain text.
func spoken(result string) string {
	text := strings.TrimSpace(result)
	switch {
	case strings.HasPrefix(text, "<"):
		return nlsmlText(text)
	case strings.HasPrefix(text, "{"):
		var answer struct{ Text, Transcript string }
		if json.Unmarshal([]byte(text), &answer) == nil {
			if answer.Text != "" {
				return answer.Text
			}
			return answer.Transcript
		}
	}
	return text
}

// nlsmlText is what was said, the first interpretation's input, or its instance where there is none.
func nlsmlText(text string) string {
	d := xml.NewDecoder(strings.NewReader(text))
	d.Strict = false
	var input, instance strings.Builder
	var into *strings.Builder
	for {
		t, err := d.Token()
		if err != nil {
			break
		}
		switch t := t.(type) {
		case xml.StartElement:
			switch {
			case t.Name.Local == "input" && input.Len() == 0:
				into = &input
			case t.Name.Local == "instance" && instance.Len() == 0:
				into = &instance
			case t.Name.Local == "nomatch" || t.Name.Local == "noinput":
				return ""
			}
		case xml.EndElement:
			if t.Name.Local == "input" || t.Name.Local == "instance" {
				into = nil
			}
		case xml.CharData:
			if into != nil {
				into.Write(t)
			}
		}
	}
	if s := strings.TrimSpace(input.String()); s != "" {
		return s
	}
	return strings.TrimSpace(instance.String())
}
