package luabind

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var connectVerbs = []Verb{
	{
		Name:   "bridge",
		Params: []Param{{Name: "target", Type: Texts, Doc: "where to, such as \"user/1001\" or \"sofia/gateway/carrier/+4612345\"; or a list, tried in order"}},
		Options: []Param{
			{Name: "all", Type: Boolean, Doc: "ring all targets at once; the first to answer gets the call"},
			{Name: "ring", Type: Duration, Doc: "how long each target may ring"},
			{Name: "ringback", Type: Text, Doc: "what the caller hears meanwhile, such as \"%(2000,4000,440,480)\" or a file"},
			{Name: "caller_id_name", Type: Text, Doc: "the caller's name as the other side sees it"},
			{Name: "caller_id_number", Type: Text, Doc: "the caller's number as the other side sees it"},
			{Name: "vars", Type: Table, Doc: "variables of the other legs"},
			{Name: "headers", Type: Table, Doc: "SIP headers of the outgoing INVITE, such as { [\"X-Account\"] = \"42\" }"},
			{Name: "confirm_key", Type: Word, Doc: "the key with which whoever answers takes the call"},
			{Name: "confirm_file", Type: Text, Doc: "what asks for that key"},
			{Name: "hangup_after", Type: Boolean, Doc: "true: hang up when the other side does, instead of going on with the script"},
			{Name: "continue_on_fail", Type: Boolean, Doc: "false: hang up when nobody can be reached, instead of going on with the script"},
		},
		Results: []Result{{"leg", "Bridge", "leg.answered, leg.cause (the hangup cause of the other side), leg.disposition (as FreeSWITCH names the outcome of the attempt), leg.seconds (how long the two talked), leg.leg (the other channel's UUID)"}},
		Doc:     "Connects the caller with somebody else, and waits until they have parted, or nobody could be reached.",
		run:     bridge,
	},
}

// dialSyntax are the characters with a meaning in a dial string. A target that came from a
// caller must not be able to add legs or variables, some of which run commands.
const dialSyntax = ",|[]{}<>'\"\\^ \t\r\n\x00"

func bridge(c *Call, L *lua.LState, a args) int {
	var target argument
	separator := "|"
	if a.optBool("all", false) {
		separator = ","
	}
	for i, t := range texts(a.value(0)) {
		for _, p := range t.pieces {
			if at := strings.IndexAny(p.text, dialSyntax); at >= 0 && !p.expand || strings.Contains(p.text, ":_:") {
				a.fail("the target %q is no single address: give several in a list, their variables in vars; call:execute(\"bridge\", …) takes a whole dial string", t.text())
			}
		}
		if t.text() == "" {
			a.fail("the target is empty")
		}
		if i > 0 {
			target = target.with(literal(separator))
		}
		target = target.with(t)
	}

	keep := true // the channel after a failure, and after the end of the bridge
	if !a.optBool("continue_on_fail", true) || a.optBool("hangup_after", false) {
		keep = false
	}
	var undo []string
	if !c.bridging || !keep {
		c.post(L, execute("set", "continue_on_fail="+strconv.FormatBool(a.optBool("continue_on_fail", true))))
		c.post(L, execute("set", "hangup_after_bridge="+strconv.FormatBool(a.optBool("hangup_after", false))))
		c.bridging = keep
	}
	set := func(name string, value argument) {
		c.post(L, execute("set", assignment("set", name, value)))
		undo = append(undo, name)
	}
	// Exported without being set here, a variable reaches the other legs byte for byte; in a
	// dial string it would have to be quoted.
	export := func(name string, value argument) {
		c.post(L, execute("export", assignment("export", "nolocal:"+name, value)))
		undo = append(undo, "nolocal:"+name)
	}
	if ring, ok := a.optDuration("ring"); ok {
		if ring < time.Second {
			a.fail("option `ring` is %v; write \"20s\" for twenty seconds", ring)
		}
		set("call_timeout", literal(strconv.Itoa(int((ring+time.Second-1)/time.Second))))
	}
	if v, ok := a.optText("ringback"); ok {
		set("ringback", v)
	}
	for _, o := range [][2]string{{"caller_id_name", "origination_caller_id_name"}, {"caller_id_number", "origination_caller_id_number"},
		{"confirm_key", "group_confirm_key"}, {"confirm_file", "group_confirm_file"}} {
		if v, ok := a.optText(o[0]); ok {
			export(o[1], v)
		}
	}
	for _, o := range [][2]string{{"vars", ""}, {"headers", "sip_h_"}} {
		table, ok := a.option(o[0])
		if !ok {
			continue
		}
		for _, n := range sortedNames(a, o[0], table.(*lua.LTable)) {
			v := table.(*lua.LTable).RawGetString(n)
			if b, ok := v.(lua.LBool); ok {
				v = lua.LString(b.String())
			}
			text, ok := toArgument(v)
			if !ok {
				a.fail("%s: `%s` must be a string, a number, true or false, not %s", o[0], n, describe(v))
			}
			export(o[1]+variableName(a, lua.LString(n)), text)
		}
	}

	e := c.run(L, execute("bridge", target.escaped()), 0)
	for _, name := range undo {
		c.post(L, execute("unset", literal(name).escaped()))
	}
	L.Push(bridgeResult(L, e))
	return 1
}

func sortedNames(a args, option string, t *lua.LTable) []string {
	var names []string
	t.ForEach(func(k, _ lua.LValue) {
		name, ok := k.(lua.LString)
		if !ok {
			a.fail("option `%s` is a table with names, such as { name = \"value\" }", option)
		}
		names = append(names, string(name))
	})
	slices.Sort(names)
	return names
}

// bridgeResult tells from the completion of a bridge how it went (recordings bridge_*). Variables of
// an earlier bridge are still there, so the disposition, which every attempt sets, decides.
func bridgeResult(L *lua.LState, e *esl.Event) *lua.LTable {
	get := func(name string) string { v, _ := e.Variable(name); return v }
	t := L.CreateTable(0, 5)
	disposition := get("originate_disposition")
	answered := disposition == "SUCCESS"
	t.RawSetString("answered", lua.LBool(answered))
	t.RawSetString("disposition", lua.LString(disposition))
	cause, seconds := disposition, 0.0
	if answered {
		cause = get("bridge_hangup_cause")
		if cause == "" {
			cause = get("last_bridge_hangup_cause")
		}
		seconds = between(e.Get("Caller-Channel-Bridged-Time"), e.Get("Event-Date-Timestamp"))
		leg := get("bridge_uuid")
		if leg == "" {
			leg = get("last_bridge_to")
		}
		if leg == "" {
			leg = get("signal_bond")
		}
		if leg != "" {
			t.RawSetString("leg", lua.LString(leg))
		}
	} else if failed := get("originate_failed_cause"); failed != "" {
		cause = failed
	}
	t.RawSetString("cause", lua.LString(cause))
	t.RawSetString("seconds", lua.LNumber(seconds))
	return t
}

// between is the time between two of the switch's stamps, which are in microseconds.
func between(from, to string) float64 {
	a, err1 := strconv.ParseInt(from, 10, 64)
	b, err2 := strconv.ParseInt(to, 10, 64)
	if err1 != nil || err2 != nil || a <= 0 || b < a {
		return 0
	}
	return float64(b-a) / 1e6
}

func at(file string, line int) string { return file + ":" + strconv.Itoa(line) }
