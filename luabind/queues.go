package luabind

import (
	"strconv"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var queueVerbs = []Verb{
	{
		Name:   "valet_park",
		Params: []Param{{Name: "lot", Type: Word, Doc: "the parking lot"}, {Name: "space", Type: Word, Optional: true, Doc: "the space; where left out, the first free one"}},
		Options: []Param{
			{Name: "min", Type: Integer, Doc: "the first space, where none is given; 1 where left out"},
			{Name: "max", Type: Integer, Doc: "the last; 99 where left out"},
			{Name: "timeout", Type: Duration, Least: time.Second, Doc: "how long to stay, in whole seconds"},
			{Name: "music", Type: Text, Doc: "what the caller hears; the channel's hold music where left out"},
			{Name: "announce", Type: Boolean, Doc: "false: do not tell the caller the space"},
		},
		Results: []Result{{"parked", "Parked", "parked.space, parked.seconds, parked.reason (timeout, stopped by a handler, or ended: the lot was full)"}},
		Doc:     "Parks the caller until somebody picks the call up, with which the script ends, or the time is up. A space where somebody waits connects the two.",
		run:     valetPark,
	},
	{
		Name:   "fifo",
		Params: []Param{{Name: "name", Type: Word, Doc: "the queue"}},
		Options: []Param{
			{Name: "side", Type: Word, Enum: []string{"in", "out"}, Doc: "in: the caller waits to be served; out: the caller serves the first who waits"},
			{Name: "announce", Type: Text, Doc: "what is played to the caller before being connected"},
			{Name: "music", Type: Text, Doc: "what is heard meanwhile"},
			{Name: "exit_key", Type: Word, Doc: "the key with which the caller leaves the queue"},
			{Name: "wait", Type: Boolean, Doc: "for side = \"out\", false: do not wait where nobody does"},
		},
		Results: []Result{{"queued", "Queued", "queued.reason (left by the key, stopped by a handler, served for side = \"out\", or ended), queued.key, queued.seconds, queued.status (as FreeSWITCH's fifo_status)"}},
		Doc:     "Puts the caller into a first-in first-out queue (mod_fifo). When somebody serves the caller the script ends: the call is no longer its own.",
		run:     fifo,
	},
	{
		Name:   "callcenter",
		Params: []Param{{Name: "queue", Type: Text, Doc: "the queue, such as support@default"}},
		Options: []Param{
			{Name: "exit_key", Type: Word, Doc: "the key with which the caller leaves the queue"},
			{Name: "music", Type: Text, Doc: "what the caller hears instead of the queue's own"},
		},
		Results: []Result{{"served", "Served", "served.answered, served.agent, served.reason (answered, left by the key, stopped by a handler, no such queue, or FreeSWITCH's cc_cancel_reason, such as TIMEOUT), served.key, served.seconds"}},
		Doc: "Puts the caller into a queue of mod_callcenter, and waits until an agent has talked to the caller, or the waiting is over. Keys, and a " +
			"handler's \"stop\", are noticed only where the queue plays music.",
		run: callcenter,
	},
	{
		Name:   "voicemail",
		Params: []Param{{Name: "mailbox", Type: Text, Optional: true, Doc: "whose; where left out, with check = true, the caller is asked"}},
		Options: []Param{
			{Name: "domain", Type: Text, Doc: "the mailbox's domain; the channel's domain_name where left out"},
			{Name: "profile", Type: Word, Doc: "the voicemail profile; default where left out"},
			{Name: "check", Type: Boolean, Doc: "true: listen to the messages, instead of leaving one"},
		},
		Doc: "Lets the caller leave a message, or listen to the messages left.",
		run: voicemail,
	},
}

// runAway runs an application that may give the channel to somebody else for good. That is no hangup.
func (c *Call) runAway(L *lua.LState, x esl.Execute) *esl.Event {
	saved := c.mayLeave
	c.mayLeave = c.leg == nil
	defer func() { c.mayLeave = saved }()
	return c.run(L, x, 0)
}

// left ends the script of a call that somebody else has now; a leg is only let go.
func (c *Call) left(L *lua.LState, reason string) int {
	if c.leg == nil {
		c.unwind(L, Outcome{Ending: Transferred})
	}
	c.leg.let = true
	t := L.CreateTable(0, 1)
	t.RawSetString("reason", lua.LString(reason))
	L.Push(t)
	return 1
}

func valetPark(c *Call, L *lua.LState, a args) int {
	lot := a.plain(0, "lot")
	arg := lot
	if a.given(1) {
		space := a.plain(1, "space")
		if strings.EqualFold(space, "auto") || strings.EqualFold(space, "ask") {
			a.fail("a space cannot be called %s; where none is given, the first free one is taken", space)
		}
		arg += " " + space
	} else {
		low, high := a.optInt("min", 1), a.optInt("max", 99)
		if low < 0 || high < low {
			a.fail("`max` is less than `min`")
		}
		arg += " auto in " + strconv.Itoa(low) + " " + strconv.Itoa(high)
	}
	var undo []string
	set := func(name string, value argument) {
		c.assign(L, name, value)
		undo = append(undo, name)
	}
	limit, limited := a.seconds("timeout")
	if limited {
		set("valet_parking_timeout", literal(strconv.Itoa(limit)))
	}
	if music, ok := a.optText("music"); ok {
		// It becomes part of an inline dialplan (mod_valet_parking.c).
		if music.holds("',$\\") {
			a.fail("option `music` holds a comma, a quote, a $ or a backslash")
		}
		a.playable(music)
		set("valet_hold_music", music)
	}
	if !a.optBool("announce", true) {
		set("valet_announce_slot", literal("false"))
	}
	began := c.now()
	c.unset(L, "valet_lot_extension")
	c.unset(L, "uuid_bridge")
	e := c.runAway(L, execute("valet_park", literal(arg).escaped()))
	stopped := c.stopped
	for _, name := range undo {
		c.unset(L, name)
	}
	t := L.CreateTable(0, 3)
	if by, _ := e.Variable("uuid_bridge"); by != "" {
		return c.left(L, "picked up")
	}
	space, parked := e.Variable("valet_lot_extension")
	if parked {
		t.RawSetString("space", lua.LString(space))
	}
	seconds := c.now().Sub(began)
	t.RawSetString("seconds", lua.LNumber(seconds.Seconds()))
	reason := "ended"
	switch {
	case stopped:
		reason = "stopped"
	case limited && parked && seconds >= time.Duration(limit)*time.Second-500*time.Millisecond:
		reason = "timeout"
	}
	t.RawSetString("reason", lua.LString(reason))
	L.Push(t)
	return 1
}

// queueName is a name that a queue's module takes apart no further.
func (a args) queueName(text string) string {
	if text == "" || strings.ContainsAny(text, " \t\r\n\x00'\\$,!{}") {
		a.fail("the name of a queue is one word without quotes, commas, ! and $, not %q", text)
	}
	return text
}

// exitKeys sets the variable that names the keys which end the waiting: the caller's, and the one that stop presses.
func (c *Call) exitKeys(L *lua.LState, a args, variable string) {
	keys := exitKey
	if v, ok := a.optText("exit_key"); ok {
		if !isKeys(v.text()) {
			a.fail("option `exit_key` is a key, not %s", describeText(v))
		}
		keys = v.text() + exitKey
	}
	c.post(L, execute("set", variable+"="+keys))
}

func fifo(c *Call, L *lua.LState, a args) int {
	name := a.queueName(a.word(0))
	side := "in"
	if v, ok := a.optText("side"); ok {
		side = v.text()
	}
	list := []argument{literal(name), literal(side)}
	if side == "out" {
		wait := "wait"
		if !a.optBool("wait", true) {
			wait = "nowait"
		}
		list = append(list, literal(wait))
	}
	for _, o := range []string{"announce", "music"} {
		file, ok := a.optText(o)
		if ok {
			a.playable(file)
		} else {
			file = literal("undef")
		}
		list = append(list, file)
	}
	if side == "in" {
		c.exitKeys(L, a, "fifo_caller_exit_key")
	} else {
		c.post(L, execute("set", "fifo_consumer_exit_key="+exitKey))
	}
	c.unset(L, "fifo_status")
	c.unset(L, "fifo_serviced_uuid")
	began := c.now()
	e := c.runAway(L, execute("fifo", words(list...).escaped()))
	stopped := c.stopped
	get := func(name string) string { v, _ := e.Variable(name); return v }
	t := L.CreateTable(0, 4)
	status := get("fifo_status")
	if side == "in" && status != "ABORTED" && get("fifo_serviced_uuid") != "" {
		return c.left(L, "served")
	}
	t.RawSetString("status", lua.LString(status))
	t.RawSetString("seconds", lua.LNumber(c.now().Sub(began).Seconds()))
	reason := "ended"
	switch key := get("fifo_caller_exit_key"); {
	case stopped:
		reason = "stopped"
	case side == "in" && status == "ABORTED" && len(key) == 1:
		reason = "left"
		t.RawSetString("key", lua.LString(key))
	case side == "out" && status == "DONE":
		reason = "served"
	}
	t.RawSetString("reason", lua.LString(reason))
	c.unset(L, "fifo_caller_exit_key")
	L.Push(t)
	return 1
}

func callcenter(c *Call, L *lua.LState, a args) int {
	queue := a.queueName(a.text(0).text())
	if music, ok := a.optText("music"); ok {
		// The module expands it once more (mod_callcenter.c).
		if music.holds("$\\") {
			a.fail("option `music` holds a $ or a backslash")
		}
		a.playable(music)
		c.assign(L, "cc_moh_override", music)
		defer func() { c.conn.Post(execute("unset", "cc_moh_override")) }()
	}
	c.exitKeys(L, a, "cc_exit_keys")
	for _, name := range []string{"cc_cause", "cc_cancel_reason", "cc_exit_key", "cc_agent"} {
		c.unset(L, name)
	}
	began := c.now()
	e := c.run(L, execute("callcenter", literal(queue).escaped()), 0)
	get := func(name string) string { v, _ := e.Variable(name); return v }
	t := L.CreateTable(0, 5)
	t.RawSetString("seconds", lua.LNumber(c.now().Sub(began).Seconds()))
	answered := get("cc_cause") == "answered"
	t.RawSetString("answered", lua.LBool(answered))
	if agent := get("cc_agent"); answered && agent != "" {
		t.RawSetString("agent", lua.LString(agent))
	}
	reason := get("cc_cancel_reason")
	switch {
	case c.stopped:
		reason = "stopped"
	case answered:
		reason = "answered"
	case reason == "EXIT_WITH_KEY":
		reason = "left"
		t.RawSetString("key", lua.LString(get("cc_exit_key")))
	case get("cc_cause") == "":
		reason = "no such queue"
	}
	t.RawSetString("reason", lua.LString(reason))
	c.unset(L, "cc_exit_keys")
	L.Push(t)
	return 1
}

func voicemail(c *Call, L *lua.LState, a args) int {
	var list []argument
	check := a.optBool("check", false)
	if check {
		list = append(list, literal("check"))
	}
	profile, ok := a.optText("profile")
	if !ok {
		profile = literal("default")
	}
	domain, ok := a.optText("domain")
	if !ok {
		domain = literal(lua.LVAsString(c.variable("domain_name")))
	}
	if domain.text() == "" {
		a.fail("option `domain` is missing, and the channel has no domain_name")
	}
	list = append(list, profile, domain)
	if a.given(0) {
		list = append(list, a.text(0))
	} else if !check {
		a.fail("argument `mailbox` is missing")
	}
	for _, part := range list {
		// The module's phrases are given them, and macros expand.
		if part.holds("$\\'\r\n") {
			a.fail("%s holds a quote, a $ or a backslash", describeText(part))
		}
	}
	c.run(L, execute("voicemail", words(list...).escaped()), 0)
	return 0
}
