package simulator

import (
	"strings"
	"time"
)

// speech is a recognition under way.
type speech struct {
	engine, grammar string
	paused          bool
	result          string // of play_and_detect_speech
	heard           bool
	blocking        bool
}

// appDetectSpeech starts, feeds and ends a recognition that runs beside the
// other applications; what the caller says (Channel.Say) comes as DETECTED_SPEECH.
func appDetectSpeech(c *Channel, data string) {
	a := arguments(data, 5)
	switch strings.ToLower(a[0]) {
	case "":
	case "stop":
		c.speech = nil
		if e := c.event(evSpeech, fromSpeech); e != nil {
			e.add("Speech-Type", "closed")
			e.fire()
		}
	case "pause":
		if c.speech != nil {
			c.speech.paused = true
		}
	case "resume", "start_input_timers":
		if c.speech != nil {
			c.speech.paused = false
			c.listen()
		}
	case "grammar":
		if c.speech != nil {
			c.speech.grammar, c.speech.paused = a[1], false
			c.listen()
		}
	case "init", "grammaron", "grammaroff", "grammarsalloff", "nogrammar", "param":
	default:
		c.speech = &speech{engine: a[0], grammar: a[1]}
		c.listen()
	}
}

// hear takes in what the caller says.
func (c *Channel) hear(text string) {
	if !c.gone {
		c.say = append(c.say, text)
		c.listen()
	}
}

// listen gives the recognition what the caller said, if both are there. The
// result ends the utterance: the next needs a resume, as with real recognisers.
func (c *Channel) listen() {
	sp := c.speech
	if sp == nil || sp.paused || len(c.say) == 0 {
		return
	}
	text := c.say[0]
	c.say = c.say[1:]
	c.tellSpeech("begin-speaking", "")
	sp.paused = true
	result := speechResult(sp.grammar, text)
	if sp.blocking {
		sp.heard, sp.result = true, result
		c.interruptSpeech()
		return
	}
	c.set("detect_speech_result", result)
	c.tellSpeech("detected-speech", result)
}

func (c *Channel) tellSpeech(kind, body string) {
	if e := c.event(evSpeech, fromSpeech); e != nil {
		e.add("Speech-Type", kind)
		e.body = body
		e.fire()
	}
}

// speechResult is the NLSML that recognisers answer with.
func speechResult(grammar, text string) string {
	text = xmlEscaper.Replace(text)
	return `<?xml version="1.0"?><result grammar="` + xmlEscaper.Replace(grammar) +
		`"><interpretation grammar="` + xmlEscaper.Replace(grammar) + `" confidence="0.9"><instance>` + text +
		`</instance><input mode="speech">` + text + `</input></interpretation></result>`
}

// interruptSpeech ends the prompt or the waiting of play_and_detect_speech.
func (c *Channel) interruptSpeech() {
	c.broken = true
	c.wake()
}

// appPlayAndDetectSpeech plays a prompt and waits for what the caller says
// over it or after it: "file detect:engine {params}grammar". The result is in
// detect_speech_result.
func appPlayAndDetectSpeech(c *Channel, data string) {
	file, rest, ok := strings.Cut(data, "detect:")
	if !ok {
		c.respond("USAGE ERROR")
		return
	}
	engine, grammar := cutSpace(strings.TrimSpace(rest))
	_, grammar, _ = takeBrackets(grammar, '{', '}', ',')
	c.set("detect_speech_result", "")
	sp := &speech{engine: engine, grammar: grammar, blocking: true}
	c.speech = sp
	c.listen()
	if !sp.heard {
		if c.play(strings.TrimSpace(file), nil) == notFound {
			c.respond("ERROR")
		}
	}
	if !sp.heard && c.ready() {
		c.idle(5*time.Second, nil) // the recogniser's no-input timeout
	}
	c.speech = nil
	c.broken = false
	switch {
	case !c.up():
		c.respond("ERROR")
	case sp.heard:
		c.set("detect_speech_result", sp.result)
		c.respond("SUCCESS")
	default:
		c.respond("ERROR")
	}
}
