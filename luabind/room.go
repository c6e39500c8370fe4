package luabind

import (
	"strconv"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var roomVerbs = []Verb{
	{
		Name:   "conference",
		Params: []Param{{Name: "name", Type: Word, Doc: "the room; it is made when the first comes"}},
		Options: []Param{
			{Name: "profile", Type: Word, Doc: "the conference profile; default where left out"},
			{Name: "pin", Type: Word, Doc: "the room's PIN, where the caller makes it"},
			{Name: "flags", Type: Texts, Doc: "such as { \"mute\", \"endconf\", \"moderator\" }"},
			{Name: "wait", Type: Boolean, Doc: "false: return once the caller is in, with a handle"},
		},
		Results: []Result{{"visit", "Visit|Room", "visit.name, visit.member (the number in the room), visit.seconds, visit.reason (left, stopped by a handler, or hangup for a leg); with wait = false the handle: room:wait(), room:leave(), room:kick(who), room:mute(who), room:unmute(who), room:deaf(who), room:undeaf(who), room:play(file), where who is a member's number, \"all\", \"last\" or, left out, the caller; room.name and room.member"}},
		Doc: "Takes the caller into a conference, and waits until that is over. What happens there comes to " +
			"call:on(\"conference::maintenance\", fn, { match = { [\"Conference-Name\"] = name } }).",
		run: conference,
	},
}

// A room is a conference that the caller is in while the script goes on.
type room struct {
	name     string
	channel  *channel
	x        *esl.Execution
	sequence int
	joined   *waiter
	began    time.Time
	stopped  bool
}

const maintenance = "conference::maintenance"

func conference(c *Call, L *lua.LState, a args) int {
	name := a.plain(0, "name")
	arg := name
	option := func(option string) string {
		v, _ := a.optText(option)
		return a.plainText("option `"+option+"`", v.text())
	}
	profile := option("profile")
	pin := option("pin")
	if strings.Trim(pin, "0123456789") != "" {
		a.fail("option `pin` is digits")
	}
	if profile == "" {
		profile = "default"
	}
	arg += "@" + profile
	if pin != "" {
		arg += "+" + pin
	}
	if v, ok := a.option("flags"); ok {
		var flags []string
		for _, f := range texts(v) {
			if text := f.text(); f.expands() || text == "" || strings.Trim(text, "abcdefghijklmnopqrstuvwxyz-_") != "" {
				a.fail("option `flags`: %s is no flag, such as mute", describeText(f))
			}
			flags = append(flags, f.text())
		}
		arg += "+flags{" + strings.Join(flags, "|") + "}"
	}
	c.room = name
	x := execute("conference", literal(arg).escaped())
	began := c.now()
	if !a.optBool("wait", true) {
		return c.enterRoom(L, a, name, x)
	}
	e := c.run(L, x, 0)
	L.Push(visit(L, e, name, began, c.stopped))
	return 1
}

// plain is an argument that several parts of the switch take apart: it may hold nothing that any of them does.
func (a args) plain(i int, name string) string {
	return a.plainText("argument `"+name+"`", a.word(i))
}

func (a args) plainText(what, text string) string {
	for _, r := range text {
		if !(r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r > 0x7f || strings.ContainsRune("-_.", r)) {
			a.fail("%s: %q holds a %q; letters, digits, - _ and . are allowed", what, text, string(r))
		}
	}
	return text
}

func visit(L *lua.LState, e *esl.Event, name string, began time.Time, stopped bool) *lua.LTable {
	t := L.CreateTable(0, 4)
	t.RawSetString("name", lua.LString(name))
	if member, ok := e.Variable("conference_member_id"); ok {
		if n, err := strconv.Atoi(member); err == nil {
			t.RawSetString("member", lua.LNumber(n))
		}
	}
	t.RawSetString("seconds", lua.LNumber(callOf(L).now().Sub(began).Seconds()))
	reason := "left"
	if stopped {
		reason = "stopped"
	}
	t.RawSetString("reason", lua.LString(reason))
	return t
}

// enterRoom waits until the caller is in the room, or is known not to get there.
func (c *Call) enterRoom(L *lua.LState, a args, name string, cmd esl.Execute) int {
	a.needs(true, true)
	c.subscribe(L, "CUSTOM "+maintenance)
	r := &room{name: name, channel: c.channel, began: c.now()}
	r.joined = &waiter{event: wanted{name: "CUSTOM", subclass: maintenance, match: []esl.Header{{Name: "Unique-ID", Value: c.channelID()}, {Name: "Action", Value: "add-member"}}}}
	c.waiters = append(c.waiters, r.joined)
	defer c.forgetWaiter(r.joined)
	cmd.Channel = c.target()
	var err error
	r.x, err = c.conn.Start(cmd)
	c.check(L, err)
	c.sequence++
	r.sequence = c.sequence
	leg := c.leg
	in := c.enter("conference")
	defer c.leave(in)
	c.pump(L, 0, func() bool { return r.joined.got != nil || r.x.Done() || leg != nil && leg.gone })
	L.Push(roomClass.new(r))
	return 1
}

// order gives the conference an order about a member, and returns whether it took it.
func (r *room) order(L *lua.LState, c *Call, order string, who lua.LValue) int {
	member := "uuid=" + c.idOf(r.channel)
	switch v := who.(type) {
	case *lua.LNilType:
	case lua.LNumber:
		member = strconv.Itoa(int(v))
	case lua.LString:
		if v != "all" && v != "last" && v != "non_moderator" {
			L.RaiseError("%s: who is a member's number, \"all\", \"last\" or \"non_moderator\", not %s", order, describe(who))
		}
		member = string(v)
	default:
		L.RaiseError("%s: who is a member's number, \"all\", \"last\" or \"non_moderator\", not %s", order, describe(who))
	}
	reply, err := c.do(L, esl.API{Command: "conference", Args: r.name + " " + order + " " + member})
	text := strings.TrimSpace(reply.Text)
	if err != nil || !strings.HasPrefix(text, "+OK") && !strings.HasPrefix(text, "OK") {
		L.Push(lua.LFalse)
		L.Push(lua.LString(text))
		return 2
	}
	L.Push(lua.LTrue)
	return 1
}

var roomClass = &Class{
	Name: "Room", Article: "a room", Var: "room",
	Doc: "A conference that the caller is in while the script goes on.",
	Methods: []Verb{
		{
			Name:    "wait",
			Params:  []Param{{Name: "timeout", Type: Duration, Optional: true, Doc: "give up after this long"}},
			Results: []Result{{"visit", "Visit?", "as of conference"}, {"reason", "string?", "timeout, or hangup for a leg"}},
			Doc:     "Waits until the caller has left.",
			run:     roomWait,
		},
		{
			Name:    "leave",
			Results: taken,
			Doc:     "Takes the caller out.",
			run: func(c *Call, L *lua.LState, a args) int {
				r := a.self().(*room)
				if r.x.Done() {
					L.Push(lua.LTrue)
					return 1
				}
				r.stopped = true
				return r.order(L, c, "kick", lua.LNil)
			},
		},
		{
			Name:    "play",
			Params:  []Param{{Name: "file", Type: String, Doc: "a name without spaces and quotes"}},
			Results: []Result{{"played", "boolean", "whether the conference took it"}},
			Doc:     "Plays a file to all.",
			run:     roomPlay,
		},
		roomOrder("kick", "Takes a member out."),
		roomOrder("mute", "Keeps a member from being heard."),
		roomOrder("unmute", "Ends mute."),
		roomOrder("deaf", "Keeps a member from hearing."),
		roomOrder("undeaf", "Ends deaf."),
	},
	Fields: []Field{{"name", "string", "The conference's."}, {"member", "integer?", "The caller's number in it."}},
	field: func(c *Call, L *lua.LState, value any, name string) lua.LValue {
		r := value.(*room)
		if name == "name" {
			return lua.LString(r.name)
		}
		if e := r.joined.got; e != nil {
			if n, err := strconv.Atoi(e.Get("Member-ID")); err == nil {
				return lua.LNumber(n)
			}
		}
		return lua.LNil
	},
}

var taken = []Result{{"taken", "boolean", "whether the conference took the order"}, {"error", "string?", "why not"}}

func roomOrder(name, doc string) Verb {
	return Verb{
		Name:    name,
		Params:  []Param{{Name: "who", Type: Any, Optional: true, Doc: "a member's number, \"all\", \"last\" or \"non_moderator\"; left out, the caller"}},
		Results: taken,
		Doc:     doc,
		run:     func(c *Call, L *lua.LState, a args) int { return a.self().(*room).order(L, c, name, a.value(0)) },
	}
}

func roomPlay(c *Call, L *lua.LState, a args) int {
	file := a.string(0)
	if file == "" || strings.ContainsAny(file, " $\\'\r\n\x00") || strings.Contains(file, "phrase:") || strings.Contains(file, "shell_stream:") {
		// The conference expands the name (conference_file.c).
		a.fail("wants the name of a file without spaces, quotes, $ and backslash, not %s", describe(a.value(0)))
	}
	reply, err := c.do(L, esl.API{Command: "conference", Args: a.self().(*room).name + " play " + file})
	L.Push(lua.LBool(err == nil && strings.Contains(reply.Text, "OK")))
	return 1
}

func roomWait(c *Call, L *lua.LState, a args) int {
	r := a.self().(*room)
	saved := c.channel
	c.channel = r.channel
	defer func() { c.channel = saved }()
	in := c.enter("conference")
	defer c.leave(in)
	leg := c.leg
	if !c.pump(L, a.duration(0), func() bool { return r.x.Done() || leg != nil && leg.gone }) {
		return pushNone(L, "timeout")
	}
	if !r.x.Done() {
		return pushNone(L, "hangup")
	}
	c.applied(r.sequence)
	c.stopped = in.stopped
	L.Push(visit(L, r.x.Event, r.name, r.began, in.stopped || r.stopped))
	return 1
}
