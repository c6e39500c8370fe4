package luabind

import (
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// The steps in which nobody is heard: they decide, remember, and run other code.
var thinkKinds = []*StepKind{
	{
		Name: "set", OffCall: true, pure: true,
		Doc: "Sets variables of the channel, and what is in data. It does not wait.",
		Options: []Param{
			{Name: "vars", Type: Table, Doc: "the channel's variables: { language = \"sv\" }; false unsets one"},
			{Name: "data", Type: Table, Doc: "what to put into data: { tries = 0 }; its names may have dots"},
		},
		Outcomes: []StepOutcome{nextOutcome},
		label:    labelSet,
		check: func(k *stepCheck) {
			if k.t.RawGetString("vars") == lua.LNil && k.t.RawGetString("data") == lua.LNil {
				k.wrong("sets nothing: write vars = { … } or data = { … }")
			}
			if t, ok := k.t.RawGetString("data").(*lua.LTable); ok {
				t.ForEach(func(key, v lua.LValue) {
					name, ok := key.(lua.LString)
					if !ok || !isPath(string(name)) {
						k.wrong("data: %s is no name, such as tries or order.total", describe(key))
					} else if why := unstorable(v, string(name)); why != "" {
						k.wrong("%s", why)
					}
				})
			}
		},
		run: func(s *stepRun) string {
			if t, ok := s.def.t.RawGetString("vars").(*lua.LTable); ok {
				vars := s.L.CreateTable(0, 4)
				var unset []lua.LValue
				t.ForEach(func(name, v lua.LValue) {
					if v == lua.LFalse {
						unset = append(unset, name)
					} else {
						vars.RawSet(name, s.fill(v))
					}
				})
				s.method("set", vars)
				for _, name := range unset {
					s.method("unset", name)
				}
			}
			if t, ok := s.def.t.RawGetString("data").(*lua.LTable); ok {
				t.ForEach(func(name, v lua.LValue) { s.assign(name.String(), s.fill(v)) })
			}
			return next
		},
	},
	{
		Name: "branch", OffCall: true, pure: true,
		Doc: "Decides on a value without code: on something in data, such as `amount`, or on the call, such as `call.caller.number`, `call.destination`, `call.vars.language` or `call.args.queue`. " +
			"`cases` names the step for each value, exact or a beginning with `*`, of which the longest wins; `at_least` the step for the largest number that is not above the value.",
		Named: "the cases",
		Options: []Param{
			{Name: "on", Type: Word, Doc: "the value"},
			{Name: "cases", Type: Table, Doc: "{ sv = \"swedish\", [\"+46*\"] = \"sweden\" }"},
			{Name: "at_least", Type: Table, Doc: "{ [0] = \"small\", [1000] = \"large\" }"},
		},
		Outcomes: []StepOutcome{{Name: "missing", Falls: "otherwise", Doc: "when there is no such value"},
			{Name: "otherwise", Doc: "when no case fits"}},
		label: labelOf("on"),
		named: func(t *lua.LTable) []FlowOutcome {
			list := choicesOf(t, "cases")
			numbers := choicesOf(t, "at_least")
			slices.SortFunc(numbers, func(a, b FlowOutcome) int {
				x, _ := strconv.ParseFloat(a.Name, 64)
				y, _ := strconv.ParseFloat(b.Name, 64)
				switch {
				case x < y:
					return -1
				case x > y:
					return 1
				}
				return 0
			})
			for _, o := range numbers {
				o.Name = atLeast + o.Name
				list = append(list, o)
			}
			return list
		},
		check: func(k *stepCheck) {
			on, _ := k.t.RawGetString("on").(lua.LString)
			switch {
			case on == "":
				k.wrong("option `on` is missing: what to decide on, such as \"language\" or \"call.caller.number\"")
			case !isPath(string(on)):
				k.wrong("option `on`: %q is no name in data or of the call, such as \"order.total\" or \"call.caller.number\"", string(on))
			case strings.HasPrefix(string(on), "call.") && !callPath(string(on)):
				k.wrong("option `on`: there is no `%s`; there are call.caller.number, call.caller.name, call.destination, call.uuid, call.vars.… and call.args.…", string(on))
			}
			if k.t.RawGetString("cases") == lua.LNil && k.t.RawGetString("at_least") == lua.LNil {
				k.wrong("decides nothing: write cases = { … } or at_least = { … }")
			}
			if t, ok := k.t.RawGetString("at_least").(*lua.LTable); ok {
				t.ForEach(func(key, _ lua.LValue) {
					if key.Type() != lua.LTNumber {
						k.wrong("option `at_least`: %s is no number", describe(key))
					}
				})
			}
		},
		run: func(s *stepRun) string {
			return branch(s.def.t, s.lookup(lua.LVAsString(s.def.t.RawGetString("on"))))
		},
	},
	{
		Name: "run", runs: true, OffCall: true, Named: "to",
		Doc:    "Calls a function of yours with the call and data. It returns the name of one of the steps in `to`; where there is only one, it need not.",
		Params: []Param{{Name: "fn", Type: Function, Doc: "what to call: function(call, data) … return \"menu\" end"}},
		Options: []Param{
			{Name: "to", Type: Texts, Doc: "the steps that it may go to"},
			{Name: "waits", Type: Boolean, Doc: "true: it takes its time, with a verb that waits, so that a loop through it is no mistake"},
		},
		label: func(*lua.LTable) string { return "" },
		named: func(t *lua.LTable) []FlowOutcome {
			var list []FlowOutcome
			for _, to := range texts(t.RawGetString("to")) {
				if name := to.text(); name != "" {
					list = append(list, FlowOutcome{Name: name, To: name})
				}
			}
			return list
		},
		check: func(k *stepCheck) {
			if k.t.RawGetString("to") == lua.LNil {
				k.wrong("option `to` is missing: the steps that the function may return, to = { \"…\" }")
			}
		},
		run: runFunction,
	},
	{
		Name: "subflow", OffCall: false, Named: "the results of the other flow",
		Doc:    "Runs the flow of another script. Each of that flow's `results` is an outcome here. It has data of its own, which begins as `with`; `into` takes over what it leaves there: `into = { receipt = \"number\" }` is data.receipt from its data.number.",
		Params: []Param{{Name: "script", Type: Word, Doc: "the script that returns the flow, as require names it"}},
		Options: []Param{
			{Name: "with", Type: Table, Doc: "the other flow's data at its start"},
			{Name: "into", Type: Table, Doc: "what to take from its data at its end"},
		},
		named: func(t *lua.LTable) []FlowOutcome {
			var list []FlowOutcome
			t.ForEach(func(key, to lua.LValue) {
				name, ok := key.(lua.LString)
				if ok && name != "with" && name != "into" {
					target, _ := to.(lua.LString)
					list = append(list, FlowOutcome{Name: string(name), To: string(target)})
				}
			})
			slices.SortFunc(list, func(a, b FlowOutcome) int { return strings.Compare(a.Name, b.Name) })
			return list
		},
		check: func(k *stepCheck) {
			for _, option := range []string{"with", "into"} {
				t, ok := k.t.RawGetString(option).(*lua.LTable)
				if !ok {
					continue
				}
				t.ForEach(func(key, v lua.LValue) {
					name, ok := key.(lua.LString)
					from, isName := v.(lua.LString)
					if !ok || !isPath(string(name)) || option == "into" && (!isName || !isPath(string(from))) {
						k.wrong("option `%s` is a table with names: { name = … }", option)
					} else if why := unstorable(v, string(name)); option == "with" && why != "" {
						k.wrong("%s", why)
					}
				})
			}
		},
		run: runSubflow,
	},
}

// atLeast stands before a number of at_least where it is an outcome.
const atLeast = ">="

func labelSet(t *lua.LTable) string {
	var names []string
	for _, option := range []string{"vars", "data"} {
		if table, ok := t.RawGetString(option).(*lua.LTable); ok {
			table.ForEach(func(k, _ lua.LValue) { names = append(names, k.String()) })
		}
	}
	slices.Sort(names)
	return labelText(lua.LString(strings.Join(names, ", ")))
}

// branch is the outcome for a value.
func branch(t *lua.LTable, value lua.LValue) string {
	text, ok := wordOf(value)
	if b, isBool := value.(lua.LBool); isBool {
		text, ok = b.String(), true
	}
	if !ok || text == "" {
		return "missing"
	}
	best := ""
	if cases, ok := t.RawGetString("cases").(*lua.LTable); ok {
		cases.ForEach(func(key, _ lua.LValue) {
			name := key.String()
			prefix, open := strings.CutSuffix(name, "*")
			if name == text {
				best = name
			} else if best != text && open && strings.HasPrefix(text, prefix) && len(name) > len(best) {
				best = name
			}
		})
	}
	if best != "" {
		return best
	}
	if numbers, ok := t.RawGetString("at_least").(*lua.LTable); ok {
		if n, err := strconv.ParseFloat(text, 64); err == nil {
			var found lua.LValue
			numbers.ForEach(func(key, _ lua.LValue) {
				k, ok := key.(lua.LNumber)
				if ok && float64(k) <= n && (found == nil || k > found.(lua.LNumber)) {
					found = k
				}
			})
			if found != nil {
				return atLeast + found.String()
			}
		}
	}
	return "otherwise"
}

func runFunction(s *stepRun) string {
	fn, _ := s.def.t.RawGetInt(1).(*lua.LFunction)
	s.L.Push(fn)
	s.L.Push(s.c.self)
	s.L.Push(s.fr.data)
	s.inFunction = true
	s.L.Call(2, 1)
	s.inFunction = false
	to := texts(s.def.t.RawGetString("to"))
	said := s.L.Get(-1)
	if said == lua.LNil && len(to) == 1 {
		return to[0].text()
	}
	for _, name := range to {
		if said == lua.LString(name.text()) {
			return name.text()
		}
	}
	var names []string
	for _, name := range to {
		names = append(names, "\""+name.text()+"\"")
	}
	s.fail("its function returned %s; in `to` there is %s%s", describe(said), listOf(names), didYouMean(said.String(), textsOf(to)))
	return ""
}

func textsOf(list []argument) []string {
	out := make([]string, len(list))
	for i, a := range list {
		out[i] = a.text()
	}
	return out
}

func runSubflow(s *stepRun) string {
	name := ModuleName(lua.LVAsString(s.fill(s.def.t.RawGetInt(1))))
	f := s.c.flowOf(s.L, name)
	if f == nil {
		s.fail("the script %s returns no flow", name)
	}
	data := newData(s.L)
	if with, ok := s.def.t.RawGetString("with").(*lua.LTable); ok {
		with.ForEach(func(key, v lua.LValue) { assignPath(s.L, data, key.String(), s.fill(v)) })
	}
	result, data := s.c.walk(s.L, f, data)
	if into, ok := s.def.t.RawGetString("into").(*lua.LTable); ok {
		into.ForEach(func(key, from lua.LValue) { s.assign(key.String(), lookupPath(data, from.String())) })
	}
	return result
}
