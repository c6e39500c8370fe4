package luabind

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// A FlowProblem is something that is wrong with a flow, found before a call runs it.
type FlowProblem struct {
	File    string
	Line    int
	Message string // "step `menu`: unknown option `timout`, did you mean `timeout`?"
	Warning bool   // the flow can be run all the same
}

// A flowCheck collects what is wrong with a flow.
type flowCheck struct {
	f        *flowObject
	steps    []string // the names
	targets  []string // and the results: what an outcome can lead to
	problems []FlowProblem
}

// A stepCheck looks at one step.
type stepCheck struct {
	*flowCheck
	name string
	def  *stepDef
	t    *lua.LTable
}

func (c *flowCheck) problem(file string, line int, warning bool, message string) {
	c.problems = append(c.problems, FlowProblem{file, line, message, warning})
}

// wrong says what is wrong with the flow as a whole.
func (c *flowCheck) wrong(format string, x ...any) {
	c.problem(c.f.file, c.f.line, false, fmt.Sprintf(format, x...))
}

func (k *stepCheck) wrong(format string, x ...any) {
	k.problem(k.def.file, k.def.line, false, fmt.Sprintf("step `%s`: ", k.name)+fmt.Sprintf(format, x...))
}

// describeFlow checks a flow and describes it.
func describeFlow(f *flowObject) (*Flow, []FlowProblem) {
	c := &flowCheck{f: f}
	c.words()
	flow := &Flow{Name: f.name, File: f.file, Line: f.line, Start: f.word(wordStart), OnError: f.word(wordOnError),
		OnHangup: f.word(wordOnHangup), Resume: f.word(wordResume), Results: f.results(), index: make(map[string]int, len(c.steps))}
	if t := f.defaults(); t != nil {
		flow.Sounds = lua.LVAsString(t.RawGetString("sounds"))
	}
	for _, name := range c.steps {
		flow.Steps = append(flow.Steps, c.step(name))
	}
	slices.SortStableFunc(flow.Steps, func(a, b FlowStep) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	for i := range flow.Steps {
		flow.index[flow.Steps[i].Name] = i
	}
	c.ways(flow)
	slices.SortStableFunc(c.problems, func(a, b FlowProblem) int {
		return cmp.Or(strings.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line))
	})
	return flow, c.problems
}

// words checks what the flow's table holds, and collects the steps' names.
func (c *flowCheck) words() {
	var own []string
	for _, w := range FlowWords {
		own = append(own, w.Name)
	}
	c.f.t.ForEach(func(key, v lua.LValue) {
		name, ok := key.(lua.LString)
		_, isStep := toStep(v)
		switch {
		case !ok:
			c.wrong("the flow holds %s under %s: each step has a name, welcome = flow.playback{ … }", kindOfValue(v), describe(key))
		case isFlowWord(string(name)):
			if isStep {
				c.wrong("`%s` is a word of the flow's own and cannot be a step's name", string(name))
			}
		case isStep:
			if !isPath(string(name)) || strings.Contains(string(name), ".") {
				c.wrong("step `%s`: a step's name is letters, digits, _ and -", string(name))
			}
			c.steps = append(c.steps, string(name))
		default:
			if hint := didYouMean(string(name), own); hint != "" {
				c.wrong("the flow has no word `%s`%s", string(name), hint)
			} else {
				c.wrong("`%s` is %s, not a step: write %s = flow.playback{ … }", string(name), kindOfValue(v), string(name))
			}
		}
	})
	slices.Sort(c.steps)
	for i := range FlowWords {
		w := &FlowWords[i]
		v := c.f.t.RawGetString(w.Name)
		if _, isStep := toStep(v); v == lua.LNil || isStep {
			continue
		}
		if why := w.fault("", v); why != "" {
			c.wrong("%s", strings.TrimSpace(why))
			c.f.t.RawSetString(w.Name, lua.LNil)
		}
	}
	if t := c.f.defaults(); t != nil {
		c.defaults(t)
	}
	results := c.f.results()
	for _, r := range results {
		if c.f.step(r) != nil {
			c.wrong("`%s` is both a step and a result", r)
		}
	}
	c.targets = append(slices.Clone(c.steps), results...)
	if len(c.steps) == 0 {
		c.wrong("the flow has no steps: write welcome = flow.playback{ … }")
	}
	for _, word := range []string{wordStart, wordOnError, wordOnHangup, wordResume} {
		name := c.f.word(word)
		switch {
		case name == "" && word == wordStart:
			c.wrong("the flow names no first step: start = \"…\"")
		case name != "" && c.f.step(name) == nil:
			c.wrong("`%s` names the step `%s`, which does not exist%s", word, name, didYouMean(name, c.steps))
		}
	}
}

func (c *flowCheck) defaults(t *lua.LTable) {
	var names []string
	for _, p := range FlowDefaults {
		names = append(names, p.Name)
	}
	t.ForEach(func(key, v lua.LValue) {
		i := slices.Index(names, key.String())
		if i < 0 {
			if hint := didYouMean(key.String(), names); hint != "" {
				c.wrong("defaults: unknown option `%s`%s", key.String(), hint)
			} else {
				c.wrong("defaults: unknown option `%s`; there are %s", key.String(), strings.Join(names, ", "))
			}
			return
		}
		if why := FlowDefaults[i].fault("option", v); why != "" {
			c.wrong("defaults: %s", why)
		}
		if why := textFault(v); why != "" {
			c.wrong("defaults: option `%s`: %s", key.String(), why)
		}
	})
}

func kindOfValue(v lua.LValue) string {
	if def, ok := toStep(v); ok {
		return "a step flow." + def.kind.Name
	}
	return describe(v)
}

// step checks one step and describes it.
func (c *flowCheck) step(name string) FlowStep {
	def, _ := toStep(c.f.t.RawGetString(name))
	k := &stepCheck{flowCheck: c, name: name, def: def, t: def.t}
	kind := def.kind
	sound := k.arguments()
	k.options(&sound)
	if sound && kind.check != nil {
		before := len(c.problems)
		kind.check(k)
		sound = len(c.problems) == before
	}
	s := FlowStep{Name: name, Kind: kind.Name, File: def.file, Line: def.line, Label: labelAll(kind, def.t), Ends: kind.Ends, Waits: kind.Waits}
	if kind.Name == "run" && def.t.RawGetString("waits") == lua.LTrue {
		s.Waits = true
	}
	if kind.Name == "subflow" {
		s.Subflow = ModuleName(lua.LVAsString(def.t.RawGetInt(1)))
	}
	s.Files = stepFiles(kind, def.t)
	if sound {
		s.Outcomes = k.outcomes()
	} else {
		s.Outcomes = kind.outcomes(def.t) // so that what follows is not taken for unreached
	}
	return s
}

// arguments checks what the step holds by position.
func (k *stepCheck) arguments() (sound bool) {
	kind, sound := k.def.kind, true
	bad := func(format string, x ...any) {
		sound = false
		k.wrong(format, x...)
	}
	n := k.t.Len()
	if kind.List {
		p := kind.Params[0]
		if n == 0 {
			bad("argument `%s` is missing: flow.%s{ %s }", p.Name, kind.Name, "…")
		}
		for i := 1; i <= n; i++ {
			if why := p.fault("argument", k.t.RawGetInt(i)); why != "" {
				bad("%s", why)
			}
		}
	} else {
		if n > len(kind.Params) {
			if len(kind.Params) == 0 {
				bad("it takes no %s without a name", describe(k.t.RawGetInt(1)))
			} else {
				bad("too many arguments; it takes %s", paramNames(kind.Params))
			}
		}
		for i := range kind.Params {
			p := &kind.Params[i]
			v := k.t.RawGetInt(i + 1)
			switch {
			case v == lua.LNil && !p.Optional:
				bad("argument `%s` is missing: %s", p.Name, p.Doc)
			case v != lua.LNil:
				if why := p.fault("argument", v); why != "" {
					bad("%s", why)
				}
			}
		}
	}
	for i := 1; i <= n && kind.Name != "sql"; i++ { // a statement is as it is
		if why := textFault(k.t.RawGetInt(i)); why != "" {
			bad("%s", why)
		}
	}
	return sound
}

func paramNames(list []Param) string {
	names := make([]string, len(list))
	for i := range list {
		names[i] = list[i].Name
	}
	return strings.Join(names, ", ")
}

// options checks what the step holds by name.
func (k *stepCheck) options(sound *bool) {
	kind := k.def.kind
	bad := func(format string, x ...any) {
		*sound = false
		k.wrong(format, x...)
	}
	var names []lua.LString
	k.t.ForEach(func(key, _ lua.LValue) {
		if name, ok := key.(lua.LString); ok {
			names = append(names, name)
		} else if n, ok := key.(lua.LNumber); !ok || n < 1 || int(n) > k.t.Len() {
			bad("it holds something under %s", describe(key))
		}
	})
	slices.Sort(names)
	for _, name := range names {
		v := k.t.RawGetString(string(name))
		if p := kind.option(string(name)); p != nil {
			if why := p.fault("option", v); why != "" {
				bad("%s", why)
			} else if why := textFault(v); why != "" && !asItIs(string(name)) && name != "to" {
				bad("option `%s`: %s", string(name), why)
			}
			if (name == "into" && p.Type == Word) && !isPath(lua.LVAsString(v)) {
				bad("option `into`: %s is no name, such as account or order.number", describe(v))
			}
			continue
		}
		if kind.outcome(string(name)) != nil || kind.Name == "subflow" {
			if _, ok := v.(lua.LString); !ok {
				bad("the outcome `%s` must name a step, not be %s", string(name), kindOfValue(v))
			}
			continue
		}
		words := kind.words()
		if hint := didYouMean(string(name), words); hint != "" {
			bad("flow.%s has no option or outcome `%s`%s", kind.Name, string(name), hint)
		} else if notInSteps[string(name)] && shared().verbs[kind.Verb] != nil {
			bad("flow.%s has no option `%s`: a step always waits, and its outcomes say how the flow goes on", kind.Name, string(name))
		} else if len(words) == 0 {
			bad("flow.%s has no option or outcome `%s`; the flow ends with it", kind.Name, string(name))
		} else {
			bad("flow.%s has no option or outcome `%s`; there are %s", kind.Name, string(name), strings.Join(words, ", "))
		}
	}
}

// outcomes checks that every outcome leads somewhere.
func (k *stepCheck) outcomes() []FlowOutcome {
	kind := k.def.kind
	list := kind.outcomes(k.t)
	seen := map[string]bool{}
	var lost []string
	for _, o := range list {
		if o.To == "" {
			if kind.outcome(o.Name) == nil {
				k.wrong("the outcome `%s` must name a step", o.Name)
			} else {
				lost = append(lost, o.Name)
			}
			continue
		}
		if !slices.Contains(k.targets, o.To) && !seen[o.To] {
			seen[o.To] = true
			by := o.Name
			if o.Via != "" {
				by = o.Via
			}
			k.wrong("the outcome `%s` leads to the step `%s`, which does not exist%s", by, o.To, didYouMean(o.To, k.targets))
		}
	}
	if len(lost) > 0 {
		remedy := lost[0]
		for _, name := range lost {
			if o := kind.outcome(name); o != nil && o.Falls != "" {
				remedy = o.Falls
			} else {
				remedy = name
				break
			}
		}
		noun := "outcome"
		if len(lost) > 1 {
			noun = "outcomes"
		}
		k.wrong("no way on for the %s %s: write %s = \"…\"", noun, quoted(lost), remedy)
	}
	return list
}

func quoted(names []string) string {
	list := make([]string, len(names))
	for i, n := range names {
		list[i] = "`" + n + "`"
	}
	return listOf(list)
}

// stepFiles are the files that a step plays, as far as they are written down.
func stepFiles(kind *StepKind, t *lua.LTable) (files []string) {
	add := func(v lua.LValue) {
		for _, f := range texts(v) {
			if text := f.text(); text != "" && !f.expands() && !isDynamic(text) && !strings.Contains(text, "://") && !strings.Contains(text, ":") {
				files = append(files, text)
			}
		}
	}
	if kind.Name == "playback" {
		for i := 1; i <= t.Len(); i++ {
			add(t.RawGetInt(i))
		}
	}
	for _, o := range []string{"prompt", "invalid", "no_input", "confirm_file", "announce"} {
		if kind.option(o) != nil && t.RawGetString(o) != lua.LNil {
			add(t.RawGetString(o))
		}
	}
	return files
}

// ways checks what can only be seen of the whole: steps that nothing reaches, loops that wait for nobody, and what
// comes after the hangup.
func (c *flowCheck) ways(flow *Flow) {
	reached := map[string]bool{}
	reach := func(from string) map[string]bool {
		seen := map[string]bool{}
		for queue := []string{from}; len(queue) > 0; queue = queue[1:] {
			s := flow.Step(queue[0])
			if s == nil || seen[queue[0]] {
				continue
			}
			seen[queue[0]], reached[queue[0]] = true, true
			for _, o := range s.Outcomes {
				queue = append(queue, o.To)
			}
		}
		return seen
	}
	for _, from := range []string{flow.Start, flow.OnError, flow.Resume} {
		reach(from)
	}
	after := reach(flow.OnHangup)
	sound := len(c.problems) == 0 // else what is not reached may be so for another mistake
	for i := range flow.Steps {
		s := &flow.Steps[i]
		if after[s.Name] && !kindOf(s.Kind).OffCall {
			c.problem(s.File, s.Line, false, fmt.Sprintf("step `%s`: it comes after on_hangup, and then nobody is on the line: use %s there", s.Name, listOf(offCallKinds())))
		}
		if sound && !reached[s.Name] {
			c.problem(s.File, s.Line, true, fmt.Sprintf("step `%s`: nothing leads to it", s.Name))
		}
	}
	c.loops(flow)
}

func offCallKinds() []string {
	var names []string
	for _, k := range StepKinds {
		if k.OffCall {
			names = append(names, k.Name)
		}
	}
	return names
}

// loops finds circles of steps in which time does not pass. Each step is looked at once.
func (c *flowCheck) loops(flow *Flow) {
	const (
		unseen = iota
		open
		closed
	)
	state := make([]int, len(flow.Steps))
	type visit struct{ step, outcome int }
	for i := range flow.Steps {
		if state[i] != unseen || flow.Steps[i].Waits {
			continue
		}
		state[i] = open
		path := []visit{{i, 0}}
		for len(path) > 0 {
			at := &path[len(path)-1]
			s := &flow.Steps[at.step]
			if at.outcome == len(s.Outcomes) {
				state[at.step] = closed
				path = path[:len(path)-1]
				continue
			}
			to, ok := flow.index[s.Outcomes[at.outcome].To]
			at.outcome++
			if !ok || flow.Steps[to].Waits || flow.Steps[to].Subflow != "" {
				continue
			}
			switch state[to] {
			case unseen:
				state[to] = open
				path = append(path, visit{to, 0})
			case open:
				var names []string
				for j := len(path) - 1; ; j-- {
					names = append(names, flow.Steps[path[j].step].Name)
					if path[j].step == to {
						break
					}
				}
				slices.Reverse(names)
				first := &flow.Steps[to]
				hint := ""
				for _, n := range names {
					if flow.Step(n).Kind == "run" {
						hint = fmt.Sprintf("; if the function of `%s` waits, say waits = true", n)
						break
					}
				}
				c.problem(first.File, first.Line, false, fmt.Sprintf("step `%s`: the loop %s waits for nobody%s",
					first.Name, strings.Join(append(names, first.Name), " → "), hint))
			}
		}
	}
}

// fault says why a value does not fit, or is "". what is the word for the parameter.
func (p *Param) fault(what string, value lua.LValue) string {
	if why := p.problem(value); why != "" {
		return what + " `" + p.Name + "`" + why
	}
	return ""
}
