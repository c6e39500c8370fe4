package luabind

import (
	"path"
	"strconv"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var recordVerbs = []Verb{
	{
		Name:   "record",
		Params: []Param{{Name: "path", Type: Text, Doc: "the file on the switch, such as /var/spool/message.wav; its ending chooses the format"}},
		Options: []Param{
			{Name: "max", Type: Duration, Least: time.Second, Doc: "the longest recording, in whole seconds"},
			{Name: "silence", Type: Duration, Least: time.Second, Doc: "so much silence ends it, in whole seconds"},
			{Name: "threshold", Type: Integer, Doc: "what is silence: an energy, 200 where left out"},
			terminatorsOption,
			{Name: "beep", Type: Boolean, Doc: "true: a tone first"},
			{Name: "mkdir", Type: Boolean, Doc: "true: make the directory where it is missing"},
		},
		Results: []Result{{"recording", "Recording", "recording.path, recording.seconds, recording.reason (max, silence, terminated by a digit, stopped by a handler, or ended by something else), recording.digit"}},
		Doc: "Records the caller until something ends it. In a directory that does not exist FreeSWITCH would hang the call up: with the word full " +
			"that is looked at first, and raises.",
		run: record,
	},
	{
		Name:   "record_call",
		Params: []Param{{Name: "path", Type: Text, Doc: "the file on the switch"}},
		Options: []Param{
			{Name: "max", Type: Duration, Least: time.Second, Doc: "the longest recording, in whole seconds"},
			{Name: "stereo", Type: Boolean, Doc: "true: the caller left, the other side right"},
			{Name: "mkdir", Type: Boolean, Doc: "true: make the directory where it is missing"},
		},
		Doc: "Records both sides from now on, beside everything else, until the call ends or call:stop_record_call. It does not wait.",
		run: recordCall,
	},
	{
		Name:   "stop_record_call",
		Params: []Param{{Name: "path", Type: Text, Optional: true, Doc: "which; the last one begun where left out"}},
		Doc:    "Ends a recording of the call. It does not wait.",
		run:    func(c *Call, L *lua.LState, a args) int { return c.recording(L, a, "stop_record_session") },
	},
	{
		Name:   "mask_record_call",
		Params: []Param{{Name: "path", Type: Text, Optional: true, Doc: "which; the last one begun where left out"}},
		Doc:    "Puts silence into the recording of the call instead of what is said, such as a card's number. It does not wait.",
		run:    func(c *Call, L *lua.LState, a args) int { return c.recording(L, a, "record_session_mask") },
	},
	{
		Name:   "unmask_record_call",
		Params: []Param{{Name: "path", Type: Text, Optional: true, Doc: "which; the last one begun where left out"}},
		Doc:    "Goes on recording what is said. It does not wait.",
		run:    func(c *Call, L *lua.LState, a args) int { return c.recording(L, a, "record_session_unmask") },
	},
}

// beepTone is what record's option beep plays.
const beepTone = "tone_stream://%(250,0,1000)"

// seconds is a duration in the whole seconds that the switch counts in.
func (a args) seconds(option string) (int, bool) {
	d, ok := a.optDuration(option)
	if !ok {
		return 0, false
	}
	return int((d + time.Second - 1) / time.Second), true
}

// writable raises where a recording could not be made, as far as that can be known.
func (c *Call) writable(L *lua.LState, a args, file argument) {
	text := file.text()
	if text == "" || strings.HasSuffix(text, "/") {
		a.fail("the path %s names no file", describeText(file))
	}
	if file.holds("\r\n") {
		a.fail("the path %s holds a line break", describeText(file))
	}
	if file.expands() || !strings.HasPrefix(text, "/") || strings.Contains(text, "://") {
		return // where that is, only the switch knows
	}
	dir := path.Dir(text)
	if a.optBool("mkdir", false) {
		c.post(L, execute("mkdir", literal(dir).escaped()))
		return
	}
	if !c.conn.Full() {
		return
	}
	if r, err := c.do(L, esl.API{Command: "file_exists", Args: dir}); err == nil && strings.TrimSpace(r.Text) == "false" {
		a.fail("there is no directory %s on the switch; mkdir = true makes it", dir)
	}
}

func record(c *Call, L *lua.LState, a args) int {
	file := a.text(0)
	c.writable(L, a, file)
	limit, _ := a.seconds("max")
	silence, listens := a.seconds("silence")
	threshold := a.optInt("threshold", 200)
	if threshold < 1 {
		a.fail("option `threshold` must be at least 1")
	}
	if a.optBool("beep", false) {
		c.run(L, execute("playback", literal(beepTone).escaped()), 0)
	}
	list := []argument{file}
	if limit > 0 || listens {
		list = append(list, literal(strconv.Itoa(limit)))
	}
	if listens {
		list = append(list, literal(strconv.Itoa(threshold)), literal(strconv.Itoa(silence)))
	}
	after := c.terminated(L, a)
	c.unset(L, "silence_hits_exhausted")
	e := c.run(L, execute("record", words(list...).escaped()), 0)
	stopped := c.stopped
	after()
	L.Push(recorded(L, e, file.text(), limit, stopped))
	return 1
}

// recorded tells from a completion what was recorded (recording record).
func recorded(L *lua.LState, e *esl.Event, file string, limit int, stopped bool) *lua.LTable {
	get := func(name string) string { v, _ := e.Variable(name); return v }
	ms, _ := strconv.Atoi(get("record_ms"))
	t := L.CreateTable(0, 4)
	t.RawSetString("path", lua.LString(file))
	t.RawSetString("seconds", lua.LNumber(float64(ms)/1000))
	reason, digit := "ended", get("playback_terminator_used")
	switch {
	case stopped:
		reason = "stopped"
	case digit != "":
		reason = "terminated"
		t.RawSetString("digit", lua.LString(digit))
	case get("silence_hits_exhausted") == "true":
		reason = "silence"
	case limit > 0 && ms >= limit*1000-500:
		reason = "max"
	}
	t.RawSetString("reason", lua.LString(reason))
	return t
}

func recordCall(c *Call, L *lua.LState, a args) int {
	file := a.text(0)
	c.writable(L, a, file)
	list := []argument{file}
	if limit, ok := a.seconds("max"); ok {
		list = append(list, literal("+"+strconv.Itoa(limit)))
	}
	if _, ok := a.option("stereo"); ok {
		c.post(L, execute("set", "RECORD_STEREO="+strconv.FormatBool(a.optBool("stereo", false))))
	}
	c.recorded = file.text()
	c.post(L, execute("record_session", words(list...).escaped()))
	return 0
}

// recording runs an application on a recording that record_call has begun.
func (c *Call) recording(L *lua.LState, a args, app string) int {
	file := literal(c.recorded)
	if a.given(0) {
		file = a.text(0)
	}
	if file.text() == "" {
		a.fail("nothing is being recorded: call:record_call(path) begins it")
	}
	c.post(L, execute(app, file.escaped()))
	return 0
}
