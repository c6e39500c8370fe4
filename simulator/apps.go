package simulator

import (
	"strings"
	"time"
)

// An application is one that the dialplan and sendmsg may name.
type application struct {
	name   string
	run    func(c *Channel, data string)
	media  bool // a channel without media is pre-answered first
	zombie bool // runs on a channel that is hung up, too
}

// applications are all that the simulator knows, by name in lower case.
var applications = map[string]*application{}

func init() {
	define := func(media, zombie bool, run func(*Channel, string), names string) {
		for name := range strings.FieldsSeq(names) {
			applications[strings.ToLower(name)] = &application{name, run, media, zombie}
		}
	}
	const media, zombie = true, true

	// Variables and what needs no media.
	define(!media, zombie, appSet, "set")
	define(!media, zombie, appMultiset, "multiset")
	define(!media, zombie, func(c *Channel, data string) { c.appAdd(data, false) }, "push")
	define(!media, zombie, func(c *Channel, data string) { c.appAdd(data, true) }, "unshift")
	define(!media, zombie, func(c *Channel, data string) { c.set(data, "") }, "unset")
	define(!media, zombie, appMultiunset, "multiunset")
	define(!media, zombie, func(c *Channel, data string) { c.appExport(data, "export_vars") }, "export")
	define(!media, zombie, func(c *Channel, data string) { c.appExport(data, "bridge_export_vars") }, "bridge_export")
	define(!media, zombie, appSetGlobal, "set_global")
	define(!media, zombie, appSetProfile, "set_profile_var set_name")
	define(!media, zombie, appLog, "log")
	define(!media, zombie, appNothing, `info eval verbose_events session_loglevel presence privacy set_audio_level
		set_mute novideo early_hangup set_zombie_exec set_media_stats jitterbuffer send_display send_info respond
		recovery_refresh reuse_caller_profile filter_codecs enable_keepalive media_reset deduplicate_dtmf cng_plc
		bind_meta_app unbind_meta_app bind_digit_action clear_digit_action digit_action_set_realm check_acl
		remove_bugs block_dtmf unblock_dtmf enable_heartbeat sched_heartbeat acknowledge_call blind_transfer_ack
		capture_text limit limit_hash hash db mkdir rename set_user transfer_vars video_refresh fire curl
		start_dtmf stop_dtmf start_dtmf_generate stop_dtmf_generate tone_detect stop_tone_detect fax_detect
		stop_fax_detect spandsp_start_dtmf spandsp_stop_dtmf spandsp_start_tone_detect spandsp_stop_tone_detect
		avmd_start avmd_stop vad_test debug_media mutex clear_speech_cache`)
	define(!media, zombie, appEvent, "event")
	define(!media, zombie, appCapture, "capture")
	define(!media, zombie, appStrftime, "strftime")
	define(!media, zombie, appSystem, "system bgsystem")

	// The call.
	define(!media, !zombie, func(c *Channel, _ string) { c.answer() }, "answer")
	define(!media, !zombie, func(c *Channel, _ string) { c.preAnswer() }, "pre_answer")
	define(!media, !zombie, appRingReady, "ring_ready")
	define(!media, !zombie, func(c *Channel, data string) { c.hangup(causeNamed(or(data, "NORMAL_CLEARING")), true) }, "hangup")
	define(!media, !zombie, appTransfer, "transfer")
	define(!media, !zombie, appDeflect, "deflect redirect")
	define(!media, !zombie, appExecuteExtension, "execute_extension")
	define(!media, !zombie, appPark, "park")
	define(!media, !zombie, appSleep, "sleep")
	define(!media, zombie, appSchedHangup, "sched_hangup")
	define(!media, zombie, appSchedTransfer, "sched_transfer")
	define(!media, zombie, appSchedBroadcast, "sched_broadcast")
	define(!media, zombie, appNothing, "sched_cancel")
	define(!media, !zombie, func(c *Channel, _ string) { c.hold(true) }, "hold")
	define(!media, !zombie, func(c *Channel, _ string) { c.hold(false) }, "unhold")
	define(!media, !zombie, appBreak, "break stop")
	define(!media, !zombie, appWaitForAnswer, "wait_for_answer wait_for_video_ready")

	// Sounds.
	define(media, !zombie, appPlayback, "playback play_file")
	define(media, !zombie, appEndlessPlayback, "endless_playback")
	define(media, !zombie, appLoopPlayback, "loop_playback")
	define(media, !zombie, appSpeak, "speak")
	define(media, !zombie, appSay, "say")
	define(media, !zombie, appPhrase, "phrase")
	define(media, !zombie, appGentones, "gentones")
	define(media, !zombie, appWait, "echo delay_echo soft_hold park_state sound_test")
	define(media, !zombie, appSilence, "wait_for_silence detect_silence detect_audio")
	define(media, !zombie, appDisplace, "displace_session")
	define(media, !zombie, appNothing, "stop_displace_session broadcast")
	define(media, !zombie, appEavesdrop, "eavesdrop native_eavesdrop three_way")

	// Digits and speech.
	define(media, !zombie, appRead, "read")
	define(media, !zombie, appPlayAndGetDigits, "play_and_get_digits")
	define(!media, !zombie, appSendDTMF, "send_dtmf queue_dtmf")
	define(!media, !zombie, func(c *Channel, _ string) { c.digits = nil }, "flush_dtmf")
	define(media, !zombie, appDetectSpeech, "detect_speech")
	define(media, !zombie, appPlayAndDetectSpeech, "play_and_detect_speech")

	// Recording.
	define(media, !zombie, appRecord, "record")
	define(media, !zombie, appRecordSession, "record_session")
	define(!media, zombie, appStopRecordSession, "stop_record_session")
	define(!media, !zombie, func(c *Channel, data string) { c.maskRecording(data, true) }, "record_session_mask record_session_pause")
	define(!media, !zombie, func(c *Channel, data string) { c.maskRecording(data, false) }, "record_session_unmask record_session_resume")

	// Other legs.
	define(!media, !zombie, appBridge, "bridge")
	define(media, !zombie, appCallcenter, "callcenter")
	define(media, !zombie, appFifo, "fifo")
	define(media, !zombie, appValetPark, "valet_park")
	define(media, !zombie, appConference, "conference")
	define(media, !zombie, appVoicemail, "voicemail")
	define(media, !zombie, appNothing, "att_xfer intercept pickup page ivr")
}

// appNothing completes at once.
func appNothing(*Channel, string) {}

// assign is set and its like: the value is expanded a second time (base_set in
// mod_dptools.c).
func (c *Channel) assign(data string) (name, value string, ok bool) {
	if data == "" {
		return "", "", false
	}
	name, value, found := strings.Cut(data, "=")
	if !found {
		name, value, _ = strings.Cut(data, ",")
	}
	value = c.expand(value)
	c.s.note(c, Set, name, value)
	return name, value, true
}

func appSet(c *Channel, data string) {
	if name, value, ok := c.assign(data); ok {
		c.set(name, value)
	}
}

// list splits the argument of multiset: at spaces, or at the character behind "^^".
func list(data string) []string {
	delim := " "
	if strings.HasPrefix(data, "^^") && len(data) > 2 {
		delim, data = data[2:3], data[3:]
	}
	return strings.Split(data, delim)
}

func appMultiset(c *Channel, data string) {
	for _, pair := range list(data) {
		appSet(c, pair)
	}
}

func appMultiunset(c *Channel, data string) {
	for _, name := range list(data) {
		c.set(name, "")
	}
}

func (c *Channel) appAdd(data string, front bool) {
	if name, value, ok := c.assign(data); ok {
		c.vars.add(name, value, front)
	}
}

// appExport sets a variable here and notes it for the legs to come; "nolocal:"
// sets it only there.
func (c *Channel) appExport(data, listed string) {
	if data == "" {
		return
	}
	name, value, _ := strings.Cut(data, "=")
	bare, nolocal := strings.CutPrefix(name, "nolocal:")
	if nolocal {
		c.set(name, value)
	} else {
		c.set(bare, value)
	}
	c.s.note(c, Set, bare, value)
	exports := c.vars.get(listed)
	if exports != "" {
		exports += ","
	}
	c.set(listed, exports+name)
}

func appSetGlobal(c *Channel, data string) {
	name, value, _ := strings.Cut(data, "=")
	c.s.globals.set(name, value)
	c.s.note(c, Set, name, value)
}

func appSetProfile(c *Channel, data string) {
	name, value, _ := strings.Cut(data, "=")
	c.setProfile(name, value)
}

// setProfile sets a field of the caller profile.
func (c *Channel) setProfile(name, value string) {
	p := &c.profile
	switch strings.ToLower(name) {
	case "caller_id_name":
		p.callerName = value
	case "caller_id_number":
		p.callerNumber = value
	case "callee_id_name":
		p.calleeName = value
	case "callee_id_number":
		p.calleeNumber = value
	case "ani":
		p.ani = value
	case "rdnis":
		p.rdnis = value
	case "destination_number":
		p.destination = value
	case "context":
		p.context = value
	case "dialplan":
		p.dialplan = value
	case "username":
		p.username = value
	case "network_addr":
		p.networkAddr = value
	}
	c.changed()
}

// appLog writes a line of the switch's log, which a socket that asked for the
// log gets.
func appLog(c *Channel, data string) {
	level, text, ok := strings.Cut(data, " ")
	if !ok {
		level, text = "DEBUG", data
	}
	c.s.note(c, Logged, level, text)
	n := 7
	for i, name := range logLevels {
		if strings.EqualFold(name, level) {
			n = i
		}
	}
	for l := range c.s.all {
		if l.logging && n <= l.logLevel {
			l.logLine(n, "mod_dptools.c", "log_function", 1907, c.UUID, text+"\n")
		}
	}
}

func appEvent(c *Channel, data string) {
	id, subclass := evApplication, ""
	var headers []Variable
	for _, part := range separate(data, ',', 25) {
		name, value, ok := strings.Cut(strings.TrimLeft(part, " "), "=")
		if !ok {
			continue
		}
		name, value = strings.TrimRight(name, " "), strings.TrimLeft(value, " ")
		switch strings.ToLower(name) {
		case "event-name":
			if named, ok := eventNamed(value); ok {
				id = named
			}
		case "event-subclass":
			subclass = value
		default:
			headers = append(headers, Variable{name, value})
		}
	}
	if e := c.s.newEvent(id, subclass, c, nil, fromApp); e != nil {
		for _, h := range headers {
			e.add(h.Name, h.Value)
		}
		c.describe(e)
		e.fire()
	}
}

// appCapture sets a variable array to what a regular expression caught: name|text|pattern.
func appCapture(c *Channel, data string) {
	parts := strings.SplitN(data, "|", 3)
	if len(parts) < 3 {
		return
	}
	for i, match := range submatches(parts[2], parts[1]) {
		c.set(parts[0]+"["+itoa(i)+"]", match)
	}
}

func appStrftime(c *Channel, data string) {
	if name, _, ok := strings.Cut(data, "="); ok {
		c.set(name, c.s.clock.Now().UTC().Format(time.DateTime))
	}
}

// appSystem runs nothing: it notes what a real switch would have run.
func appSystem(c *Channel, data string) { c.s.note(c, System, "", data) }

// answer answers the call. The media path of the recordings' channels costs a
// tick (basic_async_full); a SIP channel's media comes first (sip_basic).
func (c *Channel) answer() {
	if c.answered || !c.up() {
		return
	}
	now := c.s.clock.Now()
	if c.sip {
		c.mediaUp()
		c.times.media = now
		c.early = true
		c.set("endpoint_disposition", "EARLY MEDIA")
		c.changed()
		c.event(evProgressMedia, fromMedia).fire()
		c.callState = "EARLY"
	} else if !c.outbound {
		c.toTick()
		if !c.up() {
			return
		}
	}
	c.answered = true
	c.times.answered = c.s.clock.Now()
	c.changed()
	c.event(evAnswer, fromAnswer).fire()
	c.callState = "ACTIVE"
	c.set("endpoint_disposition", "ANSWER")
}

func (c *Channel) preAnswer() {
	if c.answered || c.early || !c.up() {
		return
	}
	c.mediaUp()
	c.early = true
	c.times.media = c.s.clock.Now()
	c.set("endpoint_disposition", "EARLY MEDIA")
	c.changed()
	c.event(evProgressMedia, fromMedia).fire()
	c.callState = "EARLY"
}

func appRingReady(c *Channel, _ string) {
	if c.answered || c.early || !c.times.progress.IsZero() {
		return
	}
	c.times.progress = c.s.clock.Now()
	c.set("endpoint_disposition", "RING READY")
	c.changed()
	c.event(evProgress, fromRing).fire()
}

func appWaitForAnswer(c *Channel, _ string) {
	for !c.answered && c.ready() {
		c.block(time.Time{})
	}
}

func appTransfer(c *Channel, data string) {
	a := arguments(data, 4)
	switch strings.ToLower(a[0]) {
	case "":
		return
	case "-bleg", "-both":
		if b := c.partner; b != nil {
			b.leaveTo(&transfer{destination: a[1], dialplan: a[2], context: a[3]})
		}
		if strings.EqualFold(a[0], "-bleg") {
			return
		}
		a = a[1:]
	}
	c.leaveTo(&transfer{destination: a[0], dialplan: a[1], context: a[2]})
}

// appDeflect sends the caller elsewhere with a SIP REFER or a 302: to the
// switch, the caller then hangs up.
func appDeflect(c *Channel, data string) {
	c.set("sip_refer_to", data)
	c.transfers = data
	if c.answered {
		c.hangup("BLIND_TRANSFER", true)
	} else {
		c.hangup("REDIRECTION_TO_NEW_DESTINATION", true)
	}
}

// appExecuteExtension runs another extension's actions and comes back.
func appExecuteExtension(c *Channel, data string) {
	a := arguments(data, 3)
	var actions []Action
	if plan := c.s.Dialplan; plan != nil {
		c.s.unlocked(func() { actions, _ = plan(a[0], or(a[1], c.profile.dialplan), or(a[2], c.profile.context)) })
	}
	for _, action := range actions {
		if !c.ready() {
			return
		}
		c.perform(action.Application, action.Data)
	}
}

func appPark(c *Channel, _ string) {
	c.event(evPark, fromPark).fire()
	appWait(c, "")
	c.event(evUnpark, fromUnpark).fire()
}

func appBreak(c *Channel, _ string) { c.queue = nil }

func (c *Channel) hold(on bool) {
	if c.held == on {
		return
	}
	c.held = on
	now := c.s.clock.Now()
	if on {
		c.times.lastHold = now
		c.callState = "HELD"
		c.changed()
		c.event(evHold, fromHold).fire()
		return
	}
	c.times.holdAccum += now.Sub(c.times.lastHold)
	c.callState = "ACTIVE"
	c.changed()
	c.event(evUnhold, fromHold).fire()
}

// after does something to the channel later, if there still is one.
func (s *Switch) after(d time.Duration, uuid string, do func(c *Channel)) {
	s.clock.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if c := s.channels[uuid]; c != nil && !s.closed {
			do(c)
		}
	})
}

// scheduled reads "+seconds", or a time in seconds since 1970.
func (s *Switch) scheduled(when string) time.Duration {
	if rest, ok := strings.CutPrefix(when, "+"); ok {
		return time.Duration(atoi(rest)) * time.Second
	}
	return max(time.Unix(int64(atoi(when)), 0).Sub(s.clock.Now()), 0)
}

func appSchedHangup(c *Channel, data string) {
	a := arguments(data, 3)
	if a[0] == "" {
		return
	}
	cause := causeNamed(or(a[1], "ALLOTTED_TIMEOUT"))
	d := c.s.scheduled(a[0])
	if d == 0 {
		c.hangup(cause, true)
		return
	}
	c.s.after(d, c.UUID, func(c *Channel) { c.hangup(cause, false) })
}

func appSchedTransfer(c *Channel, data string) {
	a := arguments(data, 4)
	t := &transfer{destination: a[1], dialplan: a[2], context: a[3]}
	c.s.after(c.s.scheduled(a[0]), c.UUID, func(c *Channel) { c.leaveTo(t) })
}

func appSchedBroadcast(c *Channel, data string) {
	a := arguments(data, 3)
	c.s.after(c.s.scheduled(a[0]), c.UUID, func(c *Channel) { c.cast(a[1]) })
}

// cast makes the channel play a file, or run "app::argument", when it next looks at its queue.
func (c *Channel) cast(what string) {
	app, arg, ok := strings.Cut(what, "::")
	if !ok {
		app, arg = "playback", what
	}
	c.enqueue(&message{cmd: &command{line: "sendmsg", headers: []Variable{
		{"call-command", "execute"}, {"execute-app-name", app}, {"execute-app-arg", arg},
	}}})
}

func appSilence(c *Channel, data string) {
	// threshold hits listen_hits timeout_ms: the simulated caller is quiet.
	a := arguments(data, 4)
	c.idle(time.Duration(max(atoi(a[1]), 1))*frame, nil)
}

func appDisplace(c *Channel, data string) {
	file, _ := cutSpace(data)
	c.s.note(c, Played, "displace", file)
}

// appEavesdrop listens to another channel until that one, or this, hangs up.
func appEavesdrop(c *Channel, data string) {
	uuid, _ := cutSpace(data)
	for {
		if other := c.s.channels[uuid]; other == nil || other.gone {
			return
		}
		end, _ := c.idle(time.Second, func(byte) bool { return true })
		if end != finished {
			return
		}
	}
}

func appSendDTMF(c *Channel, data string) {
	c.s.note(c, Sent, "", data)
	if b := c.partner; b != nil {
		b.press(data, "APP")
	}
}

// appVoicemail stands for the voicemail system: a greeting, a message of some
// seconds, and on.
func appVoicemail(c *Channel, data string) {
	c.speak("voicemail", data)
}
