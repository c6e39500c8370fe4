package luabind

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// The verb table is the one source of what scripts can do with a call, with the functions of
// modules and with the values that both hand out: the binding, the checks of arguments, the reference and the
// editor's definitions come from it. A verb that is not in it does not exist.

// A Type is what a parameter takes.
type Type uint8

const (
	Text     Type = iota // a string or a number, delivered as it is, or expand "…"
	Word                 // a string without spaces or line breaks: a name, a UUID
	Texts                // a Text, or a list of them
	String               // a string or a number: for modules, which know no expand
	Integer              // a whole number
	Number               // any number but NaN
	Duration             // milliseconds as a number, or a string with a unit: "20s", "1m30s"
	Boolean              //
	Function             //
	Table                // a table with names
	Any                  // anything
)

func (t Type) String() string {
	return [...]string{"string", "word", "string or list of strings", "string", "whole number", "number", "duration", "boolean", "function", "table", "any value"}[t]
}

// A Param is an argument, or an option in the trailing table.
type Param struct {
	Name     string
	Type     Type
	Optional bool // of an argument; options always are
	Rest     bool // takes all further arguments
	Enum     []string
	Doc      string

	// Known are the texts that it mostly has, for the editor to offer.
	Known []string

	// Least is the shortest that a Duration may be.
	Least time.Duration

	// Check says what is wrong with a text, or "".
	Check func(text string) string

	// Literal says, for check alone, why the verb fails with a text that stands in a script; nil: it cannot be known.
	Literal func(text string) error

	// Constant says that the text is to be the author's own, such as a statement of SQL: `callisto check` doubts
	// one that is put together, and says Instead what to do.
	Constant bool
	Instead  string
}

// A Result is a value that a verb returns.
type Result struct{ Name, Type, Doc string }

// A Verb is one method of call, one function of a module, or one method of a Class.
type Verb struct {
	Name    string
	Params  []Param
	Options []Param
	Results []Result
	Doc     string
	Full    bool // needs the word full in the socket application's data
	Async   bool // needs the word async there: events have to come while something runs
	Ends    bool // never returns: the script ends with it

	run func(c *Call, L *lua.LState, a args) int

	module *Module // of a function
	class  *Class  // of a method that is not one of call's
}

// Label is how messages name the verb: "playback", "http.get".
func (v *Verb) Label() string {
	if v.module != nil && v.module.Name != "" {
		return v.module.Name + "." + v.Name
	}
	return v.Name
}

// first is where the arguments begin on the stack: a method has its object before them.
func (v *Verb) first() int {
	if v.module != nil {
		return 1
	}
	return 2
}

// args are the checked arguments of one use of a verb.
type args struct {
	verb    *Verb
	L       *lua.LState
	first   int // where they begin on the stack
	options *lua.LTable
}

// call is the Go function behind a verb.
func (v *Verb) call(L *lua.LState) int {
	c, ok := toCall(L.Get(1))
	leg, isLeg := toLeg(L.Get(1))
	if !ok && !isLeg {
		L.RaiseError("use a colon: call:%s(…), not call.%s(…)", v.Name, v.Name)
	}
	a := v.check(L)
	if isLeg {
		c = leg.call
	}
	if c.ended != nil && !c.inHooks {
		c.unwind(L, *c.ended)
	}
	if v.Full || v.Async {
		a.needs(v.Full, v.Async)
	}
	c.verbs++
	c.tell(L, v)
	if isLeg || c.leg != nil {
		return c.runOn(L, leg, v, a)
	}
	return v.run(c, L, a)
}

// tell tells who watches the call of a verb that is about to run.
func (c *Call) tell(L *lua.LState, v *Verb) {
	if c.env.Tap != nil {
		file, line := where(L)
		c.env.Tap(Step{Verb: v.Label(), File: file, Line: line})
	}
}

// needs raises where the dialplan's socket action lacks a word.
func (a args) needs(full, async bool) {
	conn := callOf(a.L).conn
	missing := ""
	switch {
	case full && !conn.Full():
		missing = "full"
	case async && !conn.Async():
		missing = "async"
	default:
		return
	}
	a.fail("needs the word %s in the dialplan: <action application=\"socket\" data=\"host:port async full\"/>", missing)
}

func toCall(v lua.LValue) (*Call, bool) {
	if u, ok := v.(*lua.LUserData); ok {
		c, ok := u.Value.(*Call)
		return c, ok
	}
	return nil, false
}

// check holds the arguments against the table and raises at the first that does not fit.
func (v *Verb) check(L *lua.LState) args {
	first := v.first()
	top, options, message := v.inspect(L.GetTop()-first+1, func(i int) lua.LValue { return L.Get(i + first) }, false)
	if message != "" {
		L.RaiseError("%s", message)
	}
	if options != nil {
		// What is left out must not be taken for the table of options.
		L.Remove(top + first)
	}
	return args{verb: v, L: L, first: first, options: options}
}

// fits says what is wrong with arguments, or "". A value that is not known is nil; open says that there may be
// more of them.
func (v *Verb) fits(values []lua.LValue, open bool) string {
	_, _, message := v.inspect(len(values), func(i int) lua.LValue {
		if i >= len(values) {
			return lua.LNil
		}
		return values[i]
	}, open)
	return message
}

// inspect holds arguments against the table. It returns how many there are without the table of options, and that
// table.
func (v *Verb) inspect(top int, at func(i int) lua.LValue, open bool) (n int, options *lua.LTable, message string) {
	most := len(v.Params)
	rest := most > 0 && v.Params[most-1].Rest
	if len(v.Options) > 0 && top > 0 {
		// The options are a table after the last argument, or after those given where the others may
		// be left out.
		last := at(top - 1)
		if t, ok := last.(*lua.LTable); ok && (top > most || !v.Params[top-1].takesTable()) {
			options = t
			top--
		} else if isUnknown(last) && top == most+1 {
			top--
		}
	}
	if top > most && !rest {
		for i := most; i < top; i++ {
			if at(i) != lua.LNil && !(open && i == top-1) {
				return top, options, fmt.Sprintf("%s: too many arguments; it takes %s", v.Label(), v.Usage())
			}
		}
	}
	for i := range v.Params {
		p := &v.Params[i]
		value := lua.LValue(lua.LNil)
		if i < top {
			value = at(i)
		}
		if open && i >= top-1 {
			break
		}
		if value == lua.LNil {
			if !p.Optional {
				return top, options, fmt.Sprintf("%s: argument `%s` is missing; it takes %s", v.Label(), p.Name, v.Usage())
			}
			if options != nil && i == top {
				break
			}
			continue
		}
		if message := p.problem(value); message != "" {
			return top, options, fmt.Sprintf("%s: argument `%s`%s", v.Label(), p.Name, message)
		}
		if p.Rest {
			for j := i + 1; j < top; j++ {
				if message := p.problem(at(j)); message != "" {
					return top, options, fmt.Sprintf("%s: argument `%s`%s", v.Label(), p.Name, message)
				}
			}
		}
	}
	if options != nil {
		message = v.optionProblem(options)
	}
	return top, options, message
}

// takes is the parameter that the argument with that number is for.
func (v *Verb) takes(i int) *Param {
	if n := len(v.Params); i < n {
		return &v.Params[i]
	} else if n > 0 && v.Params[n-1].Rest {
		return &v.Params[n-1]
	}
	return &Param{}
}

func (p *Param) takesTable() bool { return p.Type == Texts || p.Type == Table || p.Type == Any }

// optionProblem says what is wrong with a table of options, or "".
func (v *Verb) optionProblem(options *lua.LTable) (message string) {
	// Next, not ForEach: the first in the table's own order is told.
	for key, value := options.Next(lua.LNil); key != lua.LNil; key, value = options.Next(key) {
		name, ok := key.(lua.LString)
		if !ok {
			return fmt.Sprintf("%s: the options are a table with names, such as { %s = … }", v.Label(), v.Options[0].Name)
		}
		p := v.option(string(name))
		if p == nil {
			names := make([]string, len(v.Options))
			for i := range v.Options {
				names[i] = v.Options[i].Name
			}
			if hint := didYouMean(string(name), names); hint != "" {
				return fmt.Sprintf("%s: unknown option `%s`%s", v.Label(), string(name), hint)
			}
			return fmt.Sprintf("%s: unknown option `%s`; there are %s", v.Label(), string(name), strings.Join(names, ", "))
		}
		if message := p.problem(value); message != "" {
			return fmt.Sprintf("%s: option `%s`%s", v.Label(), p.Name, message)
		}
	}
	return ""
}

func (v *Verb) option(name string) *Param {
	for i := range v.Options {
		if v.Options[i].Name == name {
			return &v.Options[i]
		}
	}
	return nil
}

// isUnknown reports whether a value is one that only the running script knows.
func isUnknown(v lua.LValue) bool { return v == nil || v == lua.LValue(unknownPart) }

// problem says why a value does not fit, to go after the parameter's name, or "".
func (p *Param) problem(value lua.LValue) string {
	if isUnknown(value) {
		return ""
	}
	want := ""
	switch p.Type {
	case Text:
		if _, ok := toArgument(value); !ok {
			want = "a string"
		}
	case Word:
		s, ok := wordOf(value)
		switch {
		case !ok:
			want = "a string"
		case s == "" || strings.ContainsAny(s, " \t\r\n\x00"):
			want = "one word, without spaces or line breaks"
		}
	case Texts:
		if t, ok := value.(*lua.LTable); ok {
			if t.Len() == 0 {
				want = "a string or a list of strings"
			}
			for i := 1; i <= t.Len(); i++ {
				entry := t.RawGetInt(i)
				if _, ok := toArgument(entry); !ok && !isUnknown(entry) {
					return fmt.Sprintf(": entry %d must be a string, not %s", i, describe(entry))
				}
			}
		} else if _, ok := toArgument(value); !ok {
			want = "a string or a list of strings"
		}
	case String:
		if _, ok := wordOf(value); !ok {
			want = "a string"
		}
	case Number:
		if n, ok := value.(lua.LNumber); !ok || math.IsNaN(float64(n)) {
			want = "a number"
		}
	case Integer:
		n, ok := value.(lua.LNumber)
		if !ok || math.Trunc(float64(n)) != float64(n) || math.Abs(float64(n)) > 1<<53 {
			want = "a whole number"
		}
	case Duration:
		switch d, err := toDuration(value); {
		case err != nil:
			want = `milliseconds or a string such as "20s"`
		case d < p.Least:
			return fmt.Sprintf(" is %v; write \"20s\" for twenty seconds", d)
		}
	case Boolean:
		if value.Type() != lua.LTBool {
			want = "true or false"
		}
	case Function:
		if value.Type() != lua.LTFunction {
			want = "a function"
		}
	case Table:
		if value.Type() != lua.LTTable {
			want = "a table"
		}
	}
	if want == "" && len(p.Enum) > 0 && !contains(p.Enum, value.String()) {
		want = "one of " + strings.Join(p.Enum, ", ") + didYouMean(value.String(), p.Enum)
	}
	if want != "" {
		return fmt.Sprintf(" must be %s, not %s", want, describe(value))
	}
	if text, ok := wordOf(value); ok && p.Check != nil {
		if message := p.Check(text); message != "" {
			return ": " + message
		}
	}
	return ""
}

func wordOf(v lua.LValue) (string, bool) {
	switch v := v.(type) {
	case lua.LString:
		return string(v), true
	case lua.LNumber:
		return v.String(), true
	}
	return "", false
}

func describe(v lua.LValue) string {
	switch v := v.(type) {
	case *lua.LNilType:
		return "nil"
	case lua.LString:
		if len(v) > 40 {
			v = v[:40] + "…"
		}
		return strconv.Quote(string(v))
	case lua.LNumber, lua.LBool:
		return v.String()
	}
	return "a " + v.Type().String()
}

// maxDuration is more than any call lasts.
const maxDuration = 1000 * time.Hour

func toDuration(v lua.LValue) (time.Duration, error) {
	switch v := v.(type) {
	case lua.LNumber:
		if v >= 0 && float64(v) <= float64(maxDuration/time.Millisecond) {
			return time.Duration(float64(v) * float64(time.Millisecond)), nil
		}
	case lua.LString:
		d, err := time.ParseDuration(string(v))
		if err != nil {
			return 0, err
		}
		if d >= 0 && d <= maxDuration {
			return d, nil
		}
	}
	return 0, fmt.Errorf("%s is no duration", v.String())
}

// Usage is how the verb is called: "playback(file, { loops =, terminators = })".
func (v *Verb) Usage() string {
	var parts []string
	for _, p := range v.Params {
		name := p.Name
		if p.Rest {
			name += ", …"
		}
		if p.Optional {
			name = "[" + name + "]"
		}
		parts = append(parts, name)
	}
	if len(v.Options) > 0 {
		var names []string
		for _, o := range v.Options {
			names = append(names, o.Name+" =")
		}
		parts = append(parts, "{ "+strings.Join(names, ", ")+" }")
	}
	return v.Label() + "(" + strings.Join(parts, ", ") + ")"
}

// The accessors below take the number of an argument, from 0 on, and are used after check.

func (a args) given(i int) bool { return a.L.Get(i+a.first) != lua.LNil }

func (a args) value(i int) lua.LValue { return a.L.Get(i + a.first) }

func (a args) text(i int) argument {
	t, _ := toArgument(a.L.Get(i + a.first))
	return t
}

func (a args) word(i int) string {
	s, _ := wordOf(a.L.Get(i + a.first))
	return s
}

func (a args) duration(i int) time.Duration {
	d, _ := toDuration(a.L.Get(i + a.first))
	return d
}

func (a args) string(i int) string { return a.word(i) }

func (a args) int(i int) int { n, _ := a.value(i).(lua.LNumber); return int(n) }

func (a args) number(i int) float64 { n, _ := a.value(i).(lua.LNumber); return float64(n) }

func (a args) table(i int) *lua.LTable { t, _ := a.value(i).(*lua.LTable); return t }

func (a args) function(i int) *lua.LFunction { return a.L.Get(i + a.first).(*lua.LFunction) }

func texts(v lua.LValue) []argument {
	t, ok := v.(*lua.LTable)
	if !ok {
		one, _ := toArgument(v)
		return []argument{one}
	}
	list := make([]argument, t.Len())
	for i := range list {
		list[i], _ = toArgument(t.RawGetInt(i + 1))
	}
	return list
}

func (a args) option(name string) (lua.LValue, bool) {
	if a.options == nil {
		return lua.LNil, false
	}
	v := a.options.RawGetString(name)
	return v, v != lua.LNil
}

func (a args) optText(name string) (argument, bool) {
	v, ok := a.option(name)
	if !ok {
		return argument{}, false
	}
	return toArgument(v)
}

func (a args) optString(name string) (string, bool) {
	v, ok := a.option(name)
	if !ok {
		return "", false
	}
	return wordOf(v)
}

func (a args) optDuration(name string) (time.Duration, bool) {
	v, ok := a.option(name)
	if !ok {
		return 0, false
	}
	d, _ := toDuration(v)
	return d, true
}

func (a args) optBool(name string, otherwise bool) bool {
	v, ok := a.option(name)
	if !ok {
		return otherwise
	}
	return lua.LVAsBool(v)
}

func (a args) optInt(name string, otherwise int) int {
	v, ok := a.option(name)
	if !ok {
		return otherwise
	}
	return int(v.(lua.LNumber))
}

// fail raises a mistake in the use of the verb.
func (a args) fail(format string, x ...any) {
	a.L.RaiseError("%s: %s", a.verb.Label(), fmt.Sprintf(format, x...))
}
