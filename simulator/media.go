package simulator

import (
	"strings"
	"time"
)

// An ending is why a wait of a channel is over.
type ending int

const (
	finished    ending = iota // the time was up
	interrupted               // uuid_break
	keyed                     // a digit ended it
	left                      // hung up, transferred or taken away
	poked                     // something about what plays is to be changed
)

const frame = 20 * time.Millisecond

// idle lets the channel do nothing, for d or (negative) for ever, as a media
// application does between two frames: it takes digits if there is onDigit,
// which says whether to go on; without an event-lock it performs, in between,
// what is queued, for which the time stands still. played is how much of d passed.
func (c *Channel) idle(d time.Duration, onDigit func(key byte) (goOn bool)) (end ending, played time.Duration) {
	s := c.s
	began := s.clock.Now()
	for {
		played = s.clock.Now().Sub(began)
		if d >= 0 && played > d {
			played = d
		}
		switch {
		case !c.ready():
			c.toTick()
			return left, played
		case c.broken && !c.deafToBreak:
			c.toTick()
			c.broken = false
			return interrupted, max(played, s.clock.Now().Sub(began))
		case c.loose:
			c.toTick()
			c.loose = false
			return interrupted, played
		case c.playing != nil && len(c.playing.changes) > 0:
			return poked, played
		case len(c.queue) > 0 && c.locks == 0:
			c.toTick()
			since, stops, deaf := s.clock.Now(), c.digitStops, c.deafToBreak
			c.digitStops, c.deafToBreak = false, false
			c.performQueued()
			c.digitStops, c.deafToBreak = stops, deaf
			began = began.Add(s.clock.Now().Sub(since))
			continue
		case c.digitStops && len(c.digits) > 0:
			c.toTick()
			return keyed, played
		case onDigit != nil && len(c.digits) > 0:
			c.toTick()
			if !c.ready() {
				continue
			}
			if key, ok := c.takeDigit(); ok && !onDigit(key) {
				return keyed, s.clock.Now().Sub(began)
			}
			continue
		}
		var until time.Time
		if d >= 0 {
			until = began.Add(d)
		}
		if c.block(until) {
			return finished, d
		}
	}
}

// playing is a file that plays.
type playing struct {
	what     string
	length   time.Duration // negative: without end
	position time.Duration // at the time since
	since    time.Time
	paused   bool
	stop     bool
	changes  []func() // of the position and the rest, to be made when it is known how far it has got
}

// sound finds out how long a file or stream plays; negative is for ever.
func (c *Channel) sound(path string) (length time.Duration, ok bool) {
	scheme, rest, found := strings.Cut(path, "://")
	if found {
		switch strings.ToLower(scheme) {
		case "silence_stream":
			ms, _, _ := strings.Cut(rest, ",")
			if strings.HasPrefix(ms, "-") {
				return -1, true
			}
			return time.Duration(atoi(ms)) * time.Millisecond, true
		case "tone_stream":
			return toneLength(rest), true
		case "local_stream", "vlc", "portaudio_stream":
			return -1, true
		case "file_string":
			total := time.Duration(0)
			any := false
			for part := range strings.SplitSeq(rest, "!") {
				if d, ok := c.sound(part); ok {
					any = true
					if d < 0 {
						return -1, true
					}
					total += d
				}
			}
			return total, any
		}
	}
	for _, prefix := range [...]string{"say:", "phrase:"} {
		if text, ok := strings.CutPrefix(path, prefix); ok {
			return speechLength(text), true
		}
	}
	if sounds := c.s.Sounds; sounds != nil {
		c.s.unlocked(func() { length, ok = sounds(path) })
		return max(length, 0), ok
	}
	if strings.HasPrefix(path, "/nosuch") || path == "" || strings.ContainsAny(path, "${}") {
		return 0, false
	}
	return time.Second, true
}

// toneLength adds up the tones of a teletone script: "%(on,off,freq…);…;loops=n".
func toneLength(script string) time.Duration {
	total, loops := 0, 1
	for part := range strings.SplitSeq(script, ";") {
		if n, ok := strings.CutPrefix(part, "loops="); ok {
			if loops = atoi(n); loops < 0 {
				return -1
			}
			continue
		}
		if _, tones, ok := strings.Cut(part, "%("); ok {
			on, off, _ := strings.Cut(tones, ",")
			total += atoi(on) + atoi(off)
		}
	}
	return time.Duration(total*max(loops, 1)) * time.Millisecond
}

// speechLength is how long a text takes to speak: "hello" took 0.8 s in
// recording speak_and_say.
func speechLength(text string) time.Duration {
	return 500*time.Millisecond + time.Duration(len(text))*60*time.Millisecond
}

// What playing a file came to.
type playResult int

const (
	playedOut playResult = iota // to its end, or broken off
	playedKey                   // ended by a digit
	notFound
	playFailed // the call went away
)

// play plays a file or stream; onDigit as for idle. "file@@8000" starts at that sample.
func (c *Channel) play(path string, onDigit func(byte) bool) playResult {
	if delimiter := c.vars.get("playback_delimiter"); delimiter != "" {
		result := playedOut
		for _, one := range separate(path, delimiter[0], 128) {
			if result = c.playOne(one, onDigit); result != playedOut {
				break
			}
		}
		return result
	}
	return c.playOne(path, onDigit)
}

func (c *Channel) playOne(path string, onDigit func(byte) bool) playResult {
	file, start, _ := strings.Cut(path, "@@")
	_, file, _ = takeBrackets(file, '{', '}', ',') // such as {loops=10}
	length, ok := c.sound(file)
	if !c.ready() {
		return playFailed
	}
	if !ok {
		return notFound
	}
	c.s.note(c, Played, "", path)
	outer := c.playing
	p := &playing{what: path, length: length, position: time.Duration(atoi(start)) * time.Second / 8000}
	c.playing = p
	defer c.hears(p)()
	if e := c.event(evPlaybackStart, fromPlay); e != nil {
		e.add("Playback-File-Path", file)
		e.fire()
	}
	result := playedOut
loop:
	for !p.stop {
		rest := time.Duration(-1)
		if p.length >= 0 && !p.paused {
			rest = max(p.length-p.position, 0)
		}
		p.since = c.s.clock.Now()
		end, played := c.idle(rest, onDigit)
		if !p.paused {
			p.position += played
		}
		for _, change := range p.changes {
			change()
		}
		p.changes = nil
		switch end {
		case finished, interrupted:
			break loop
		case keyed:
			result = playedKey
			break loop
		case left:
			result = playFailed
			break loop
		}
	}
	c.playing = outer
	c.tellPosition(p)
	if e := c.event(evPlaybackStop, fromPlay); e != nil {
		e.add("Playback-File-Path", file)
		status := "done"
		if result != playedOut {
			status = "break"
		}
		e.add("Playback-Status", status)
		e.fire()
	}
	return result
}

// hears notes what the channel hears, until the function it returns is called.
func (c *Channel) hears(p *playing) (no func()) {
	outer := c.hearing
	p.since = c.s.clock.Now()
	c.hearing = p
	return func() { c.hearing = outer }
}

// tellPosition sets the variables that say what was played: the position in
// samples, and of the file what the switch had read, which is ahead of that by
// up to 16384 samples (recordings dtmf_events, hold_and_break_all).
func (c *Channel) tellPosition(p *playing) {
	const rate, chunk = 8, 16384 // samples per millisecond, and per read
	position := p.position
	read := -1
	if p.length >= 0 {
		position = min(position, p.length)
		read = int(p.length.Milliseconds()) * rate
	}
	if p.length < 0 || position < p.length {
		position -= position % frame
		ahead := (int(position.Milliseconds())*rate/chunk + 1) * chunk
		if read < 0 || ahead < read {
			read = ahead
		}
	}
	c.setInt("playback_last_offset_pos", int(position.Milliseconds())*rate)
	c.setInt("playback_seconds", read/rate/1000)
	c.setInt("playback_ms", read/rate)
	c.setInt("playback_samples", read)
}

// control changes what plays, as uuid_fileman says; it reports whether
// anything plays.
func (c *Channel) control(command string) bool {
	p := c.playing
	if p == nil {
		return false
	}
	verb, arg, _ := strings.Cut(command, ":")
	offset := time.Duration(atoi(strings.TrimLeft(arg, "+-"))) * time.Millisecond
	p.changes = append(p.changes, func() {
		switch strings.ToLower(verb) {
		case "pause":
			p.paused = !p.paused
		case "stop":
			p.stop = true
		case "restart":
			p.position = 0
		case "seek":
			switch {
			case strings.HasPrefix(arg, "+"):
				offset = p.position + offset
			case strings.HasPrefix(arg, "-"):
				offset = p.position - offset
			}
			p.position = max(offset, 0)
			if p.length >= 0 {
				p.position = min(p.position, p.length)
			}
		}
	})
	c.wake()
	return true
}

// terminator makes the digit function of playback and record: a digit of
// playback_terminators ("*" if unset, none, any) ends them.
func (c *Channel) terminator() func(byte) bool {
	c.set("playback_terminator_used", "")
	return func(key byte) bool {
		keys := c.vars.get("playback_terminators")
		switch strings.ToLower(keys) {
		case "":
			keys = "*"
		case "any":
			keys = "1234567890*#"
		case "none":
			keys = ""
		}
		if strings.IndexByte(keys, key) < 0 {
			return true
		}
		c.set("playback_terminator_used", string(key))
		return false
	}
}

func (c *Channel) respond(text string) { c.set("current_application_response", text) }

func appPlayback(c *Channel, data string) {
	switch c.play(data, c.terminator()) {
	case playedOut, playedKey:
		c.respond("FILE PLAYED")
	case notFound:
		c.respond("FILE NOT FOUND")
	default:
		c.respond("PLAYBACK ERROR")
	}
}

func appEndlessPlayback(c *Channel, data string) {
	for c.ready() {
		if c.play(data, nil) != playedOut || c.stopped {
			break
		}
		if length, ok := c.sound(data); !ok || length <= 0 {
			break
		}
	}
}

func appLoopPlayback(c *Channel, data string) {
	loops := -1
	if rest, ok := strings.CutPrefix(data, "+"); ok {
		count, file := cutSpace(rest)
		loops, data = atoi(count), strings.TrimLeft(file, " ")
	}
	on := c.terminator()
	for i := 0; loops < 0 || i < loops; i++ {
		result := c.play(data, on)
		switch result {
		case playedOut, playedKey:
			c.respond("FILE PLAYED")
		case notFound:
			c.respond("FILE NOT FOUND")
		default:
			c.respond("PLAYBACK ERROR")
		}
		if result != playedOut || c.stopped || !c.ready() {
			return
		}
	}
}

func appSleep(c *Channel, data string) {
	if isTrue(c.vars.get("sleep_eat_digits")) {
		c.idle(millis(data), c.terminator())
		return
	}
	c.digitStops = true // and the digit goes on waiting
	c.idle(millis(data), nil)
	c.digitStops = false
}

// speak lets the switch say something.
func (c *Channel) speak(app, text string) {
	c.s.note(c, Said, app, text)
	length := speechLength(text)
	defer c.hears(&playing{what: text, length: length})()
	c.idle(length, c.terminator())
}

func appSpeak(c *Channel, data string) {
	// engine|voice|text, or only the text with tts_engine and tts_voice.
	parts := strings.SplitN(data, "|", 3)
	if len(parts) < 3 && c.vars.get("tts_engine") == "" {
		return
	}
	c.speak("speak", parts[len(parts)-1])
}

func appSay(c *Channel, data string) {
	// module type method text
	words := separate(data, ' ', 4)
	if len(words) < 4 {
		return
	}
	language, _, _ := strings.Cut(words[0], ":")
	if c.vars.get("sound_prefix") == "" {
		c.set("sound_prefix", c.s.globals.get("sounds_dir")+"/"+language+"/us/callie")
	}
	c.speak("say", words[3])
}

func appPhrase(c *Channel, data string) {
	_, text, _ := strings.Cut(data, ",")
	c.expand(c.expand(text)) // the input's field, and what a macro's action makes of it (switch_ivr_phrase_macro_event)
	c.speak("phrase", data)
}

func appGentones(c *Channel, data string) {
	script, loops, _ := strings.Cut(data, "|")
	length := toneLength(script)
	if n := atoi(loops); n > 1 {
		length *= time.Duration(n)
	} else if n < 0 {
		length = -1
	}
	c.s.note(c, Played, "", "tone_stream://"+data)
	defer c.hears(&playing{what: "tone_stream://" + data, length: length})()
	c.idle(length, c.terminator())
}

// appWait is every application that keeps the caller until something else
// happens: park, hold music, a parking lot.
func appWait(c *Channel, _ string) { c.idle(-1, func(byte) bool { return true }) }
