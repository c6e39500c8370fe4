package luabind

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// dialOptions are what bridge and originate have in common.
var dialOptions = []Param{
	{Name: "ring", Type: Duration, Least: time.Second, Doc: "how long each target may ring; 60 s where left out"},
	{Name: "caller_id_name", Type: Text, Doc: "the caller's name as the other side sees it"},
	{Name: "caller_id_number", Type: Text, Doc: "the caller's number as the other side sees it"},
	{Name: "vars", Type: Table, Doc: "variables of the other legs"},
	{Name: "headers", Type: Table, Doc: "SIP headers of the outgoing INVITE, such as { [\"X-Account\"] = \"42\" }"},
}

var connectVerbs = []Verb{
	{
		Name:   "bridge",
		Params: []Param{{Name: "target", Type: Any, Doc: "where to, such as \"user/1001\" or \"sofia/gateway/carrier/+4612345\"; or one with variables of its own, { \"user/1001\", vars = { x = 1 } }; or a list of such, tried in order"}},
		Options: append([]Param{
			{Name: "all", Type: Boolean, Doc: "ring all targets at once; the first to answer gets the call"},
			{Name: "ringback", Type: Text, Doc: "what the caller hears meanwhile, such as \"%(2000,4000,440,480)\" or a file"},
			{Name: "confirm_key", Type: Word, Doc: "the key with which whoever answers takes the call"},
			{Name: "confirm_file", Type: Text, Doc: "what asks for that key"},
			{Name: "hangup_after", Type: Boolean, Doc: "true: hang up when the other side does, instead of going on with the script"},
			{Name: "continue_on_fail", Type: Boolean, Doc: "false: hang up when nobody can be reached, instead of going on with the script"},
		}, dialOptions...),
		Results: []Result{{"leg", "Bridge", "leg.answered, leg.cause (the hangup cause of the other side), leg.disposition (as FreeSWITCH names the outcome of the last attempt), leg.seconds (how long the two talked), leg.leg (the other channel's UUID), leg.target (who was tried last), leg.stopped (true when a handler ended it)"}},
		Doc: "Connects the caller with somebody else, and waits until they have parted, or nobody could be reached. " +
			"While it rings, digits are not noticed; once the two talk, they are.",
		run: bridge,
	},
}

// dialSyntax are the characters with a meaning in a dial string. A target that came from a
// caller must not be able to add legs or variables, some of which run commands.
const dialSyntax = ",|[]{}<>'\"\\^ \t\r\n\x00"

// bridgeMark is a variable of the legs that a bridge makes, by which a handler's stop finds them.
const bridgeMark = "callisto_for"

// A target is one address to dial.
type target struct {
	address argument
	vars    argument // in brackets, or empty
}

func (a args) address(v lua.LValue) argument {
	t, ok := toArgument(v)
	if !ok {
		a.fail("a target must be a string, or { \"user/1001\", vars = … }, not %s", describe(v))
	}
	for _, p := range t.pieces {
		if at := strings.IndexAny(p.text, dialSyntax); at >= 0 && !p.expand || strings.Contains(p.text, ":_:") {
			a.fail("the target %q is no single address: give several in a list, their variables in vars; call:execute(\"bridge\", …) takes a whole dial string", t.text())
		}
	}
	if t.text() == "" {
		a.fail("the target is empty")
	}
	// loopback/app= runs an application of that name.
	if strings.Contains(strings.ToLower(t.text()), "/app=") && !t.expands() {
		a.fail("the target %q runs an application on the switch; if that is meant, say so with expand", t.text())
	}
	return t
}

func (a args) targets(v lua.LValue) []target {
	list, ok := v.(*lua.LTable)
	if !ok {
		return []target{{address: a.address(v)}}
	}
	if list.RawGetString("vars") != lua.LNil {
		return []target{a.withVars(list)}
	}
	var all []target
	for i := 1; i <= list.Len(); i++ {
		if one, ok := list.RawGetInt(i).(*lua.LTable); ok {
			all = append(all, a.withVars(one))
		} else {
			all = append(all, target{address: a.address(list.RawGetInt(i))})
		}
	}
	if len(all) == 0 {
		a.fail("the list of targets is empty")
	}
	return all
}

// withVars reads { "user/1001", vars = { … } }.
func (a args) withVars(t *lua.LTable) target {
	result := target{address: a.address(t.RawGetInt(1))}
	t.ForEach(func(k, v lua.LValue) {
		switch {
		case k == lua.LNumber(1):
		case k == lua.LString("vars") && v.Type() == lua.LTTable:
			vars := a.variables("vars", "", v.(*lua.LTable))
			for i, n := range vars {
				sep := ","
				if i == 0 {
					sep = "["
				}
				result.vars = result.vars.with(literal(sep + n.name + "=" + a.dialValue(n)))
			}
			if len(vars) > 0 {
				result.vars = result.vars.with(literal("]"))
			}
		default:
			a.fail("a target with variables is { \"user/1001\", vars = { name = \"value\" } }; it has no %s", describe(k))
		}
	})
	return result
}

// A named value is a variable for another leg.
type named struct {
	name  string
	value argument
}

// variables reads a table of variables, sorted by name.
func (a args) variables(option, prefix string, t *lua.LTable) []named {
	var list []named
	for _, n := range sortedNames(a, option, t) {
		v := t.RawGetString(n)
		if b, ok := v.(lua.LBool); ok {
			v = lua.LString(b.String())
		}
		value, ok := toArgument(v)
		if !ok {
			a.fail("%s: `%s` must be a string, a number, true or false, not %s", option, n, describe(v))
		}
		list = append(list, named{prefix + variableName(a, lua.LString(n)), value})
	}
	return list
}

// dialValue quotes a value for the brackets of a dial string. What cannot be delivered as it is, is refused
// (each character was tried on FreeSWITCH 1.11).
func (a args) dialValue(n named) string {
	text := n.value.text()
	switch {
	case n.value.expands():
		a.fail("the variable `%s`: expand is of no use here; the value can be read with call:get", n.name)
	case strings.ContainsAny(n.name, "[]=,'\\ {}"):
		a.fail("the variable's name `%s` cannot stand in a dial string", n.name)
	case strings.ContainsAny(text, "[]{}|'\\$\r\n\t\x00") || strings.Contains(text, ":_:") || strings.HasPrefix(text, "^^"):
		a.fail("the value of `%s` cannot stand in a dial string: it holds a bracket, a quote, a $, a | or a backslash. Variables of a whole bridge, { vars = … } behind the targets, can hold anything", n.name)
	}
	return strings.NewReplacer(",", `\,`, " ", `\s`).Replace(text)
}

// legVariables are the options of a verb that become variables of the other legs.
func (a args) legVariables() []named {
	var list []named
	for _, o := range [][2]string{{"caller_id_name", "origination_caller_id_name"}, {"caller_id_number", "origination_caller_id_number"},
		{"confirm_key", "group_confirm_key"}, {"confirm_file", "group_confirm_file"}} {
		if v, ok := a.optText(o[0]); ok {
			list = append(list, named{o[1], v})
		}
	}
	for _, o := range [][2]string{{"vars", ""}, {"headers", "sip_h_"}} {
		if table, ok := a.option(o[0]); ok {
			list = append(list, a.variables(o[0], o[1], table.(*lua.LTable))...)
		}
	}
	return list
}

func bridge(c *Call, L *lua.LState, a args) int {
	targets := a.targets(a.value(0))
	if f, ok := a.optText("confirm_file"); ok {
		a.playable(f)
	}
	vars := a.legVariables()
	ring, rings := a.seconds("ring")

	var undo []string
	if rings {
		c.post(L, execute("set", "call_timeout="+strconv.Itoa(ring)))
		undo = append(undo, "call_timeout")
	}
	if v, ok := a.optText("ringback"); ok {
		a.playable(v)
		c.assign(L, "ringback", v)
		undo = append(undo, "ringback")
	}
	if len(c.listeners)+len(c.timers) > 0 {
		vars = append(vars, named{bridgeMark, literal(c.channelID())})
	}
	// Exported without being set here, a variable reaches the other legs byte for byte; in a
	// dial string it would have to be quoted.
	for _, v := range vars {
		c.post(L, execute("export", assignment("export", "nolocal:"+v.name, v.value)))
		undo = append(undo, "nolocal:"+v.name)
	}

	attempts := targets
	if a.optBool("all", false) {
		attempts = []target{together(targets)}
	}
	hangup := a.optBool("hangup_after", false)
	goOn := a.optBool("continue_on_fail", true)
	var e *esl.Event
	var t target
	for i := range attempts {
		t = attempts[i]
		c.keep(L, goOn || i < len(attempts)-1, hangup)
		e = c.run(L, execute("bridge", t.vars.with(t.address).escaped()), 0)
		if bridged(e) || c.stopped {
			break
		}
	}
	stopped := c.stopped
	for _, name := range undo {
		c.unset(L, name)
	}
	result := bridgeResult(L, e, stopped)
	result.RawSetString("target", lua.LString(t.address.text()))
	L.Push(result)
	return 1
}

// together is one target that rings several at once.
func together(targets []target) target {
	var all argument
	for i, t := range targets {
		if i > 0 {
			all = all.with(literal(","))
		}
		all = all.with(t.vars).with(t.address)
	}
	return target{address: all}
}

// keep says what becomes of the channel when a bridge fails, and when it ends.
func (c *Call) keep(L *lua.LState, goOn, hangup bool) {
	keep := goOn && !hangup
	if c.bridging && keep {
		return
	}
	c.post(L, execute("set", "continue_on_fail="+strconv.FormatBool(goOn)))
	c.post(L, execute("set", "hangup_after_bridge="+strconv.FormatBool(hangup)))
	c.bridging = keep
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

// bridged reports whether the attempt that has ended was answered. Variables of an earlier bridge are still
// there, so the disposition, which every attempt sets, decides (recordings bridge_*).
func bridged(e *esl.Event) bool {
	disposition, _ := e.Variable("originate_disposition")
	return disposition == "SUCCESS"
}

// bridgeResult tells from the completion of a bridge how it went.
func bridgeResult(L *lua.LState, e *esl.Event, stopped bool) *lua.LTable {
	get := func(name string) string { v, _ := e.Variable(name); return v }
	t := L.CreateTable(0, 7)
	disposition := get("originate_disposition")
	answered := bridged(e)
	t.RawSetString("answered", lua.LBool(answered))
	t.RawSetString("disposition", lua.LString(disposition))
	if stopped {
		t.RawSetString("stopped", lua.LTrue)
	}
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
	return (time.Duration(b-a) * time.Microsecond).Seconds()
}

func at(file string, line int) string { return file + ":" + strconv.Itoa(line) }
