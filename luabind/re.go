package luabind

import (
	"fmt"
	"regexp"
	"regexp/syntax"
	"strings"
	"sync"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

const (
	maxExpression     = 4096     // bytes of a regular expression
	maxExpressionSize = 2000     // what it is compiled to, in instructions, about
	maxExpressions    = 200      // that are kept compiled
	maxMatchWork      = 64 << 20 // instructions × bytes of one match: some tenths of a second at the very most
)

var reModule = &Module{
	Name: "re",
	Doc: "`re` has regular expressions, in [RE2's syntax](https://github.com/google/re2/wiki/Syntax): alternatives, classes, counted repetition and named groups, " +
		"but neither look-around nor back references. No expression takes more time than the text is long, as Lua's own patterns may.\n\n" +
		"```lua\nlocal m = re.match(\"+46 8 123 456\", [[^\\+(?P<country>46|47|45)\\s*(\\d+)]])\n" +
		"if m then log.info(\"from\", { country = m.country, area = m[2], all = m[0] }) end\n" +
		"log.info((re.replace(\"+46 (0)8-123 456\", [[\\(0\\)|\\D]], \"\")))\n```\n\n" +
		"Write expressions in `[[…]]`, where a backslash is one. A match is a table: `m[0]` is what matched, `m[1]` and on the groups, `m.name` a group with a name; " +
		"a group that took no part is nil. `(?i)` in front matches capitals and small letters alike, `(?s)` lets a dot match line breaks, " +
		"`(?m)` lets ^ and $ match at lines. Places in a text are counted in bytes from 1, as Lua does.",
	Functions: []Verb{
		{
			Name:    "match",
			Params:  []Param{subjectParam, expressionParam},
			Results: []Result{{"match", "table?", "the first match; nil where there is none"}},
			Doc:     "Finds the first match and its groups.",
			run: func(c *Call, L *lua.LState, a args) int {
				x := a.expression(L)
				m := x.next(0)
				if m == nil {
					L.Push(lua.LNil)
				} else {
					L.Push(x.table(m))
				}
				return 1
			},
		},
		{
			Name:    "find",
			Params:  []Param{subjectParam, expressionParam},
			Options: []Param{{Name: "from", Type: Integer, Doc: "the place to begin at; 1 where left out"}},
			Results: []Result{{"first", "number?", "the place of its first byte; nil where there is no match"}, {"last", "number?", "that of its last"}},
			Doc:     "Finds where the first match is, such that text:sub(first, last) is what matched.",
			run: func(c *Call, L *lua.LState, a args) int {
				x := a.expression(L)
				from := a.optInt("from", 1)
				if from < 1 {
					a.fail("option `from` must be at least 1, not %d", from)
				}
				if from > len(x.text)+1 {
					L.Push(lua.LNil)
					return 1
				}
				m := x.next(from - 1)
				if m == nil {
					L.Push(lua.LNil)
					return 1
				}
				L.Push(lua.LNumber(m[0] + 1))
				L.Push(lua.LNumber(m[1]))
				return 2
			},
		},
		{
			Name:    "all",
			Params:  []Param{subjectParam, expressionParam},
			Options: []Param{{Name: "max", Type: Integer, Doc: "at most so many"}},
			Results: []Result{{"matches", "table", "a list of the matches, each as of re.match"}},
			Doc:     "Finds all matches, from left to right, that do not overlap.",
			run: func(c *Call, L *lua.LState, a args) int {
				x := a.expression(L)
				list := L.CreateTable(0, 0)
				L.Push(list)
				x.each(a.most(), func(m []int) { list.Append(x.table(m)) })
				return 1
			},
		},
		{
			Name: "replace",
			Params: []Param{subjectParam, expressionParam,
				{Name: "with", Type: Any, Doc: "a text, as it is; or a function that is given the match and returns the text, nil for what matched"}},
			Options: []Param{{Name: "max", Type: Integer, Doc: "at most so many"}, {Name: "groups", Type: Boolean, Doc: "true: $1, ${1} and ${name} in with are the groups, $$ is a dollar"}},
			Results: []Result{{"text", "string", "the new text"}, {"count", "number", "how many were replaced"}},
			Doc:     "Replaces all matches.",
			run:     reReplace,
		},
		{
			Name:    "split",
			Params:  []Param{subjectParam, expressionParam},
			Options: []Param{{Name: "max", Type: Integer, Doc: "at most so many pieces: the last one is the rest"}},
			Results: []Result{{"pieces", "table", "a list of what stands between the matches"}},
			Doc:     "Splits a text at the matches.",
			run: func(c *Call, L *lua.LState, a args) int {
				x := a.expression(L)
				list := L.CreateTable(0, 0)
				L.Push(list)
				begin, end, most := 0, 0, a.most()
				x.each(most-1, func(m []int) {
					end = m[0]
					if m[1] != 0 {
						list.Append(x.piece(begin, end))
					}
					begin = m[1]
				})
				if end != len(x.text) || len(x.text) == 0 || most == 1 {
					list.Append(x.piece(begin, len(x.text)))
				}
				return 1
			},
		},
		{
			Name:    "escape",
			Params:  []Param{{Name: "text", Type: String, Doc: "any text"}},
			Results: []Result{{"expression", "string", "an expression that matches the text and nothing else"}},
			Doc:     "Makes an expression of a text, to be part of a larger one.",
			run: func(c *Call, L *lua.LState, a args) int {
				charge(L, 2*len(a.string(0)))
				work(L)(len(a.string(0)) / 8)
				L.Push(lua.LString(regexp.QuoteMeta(a.string(0))))
				return 1
			},
		},
	},
}

var (
	subjectParam    = Param{Name: "text", Type: String, Doc: "where to look"}
	expressionParam = Param{Name: "expression", Type: String, Literal: func(text string) error { _, err := compileExpression(text); return err }, Doc: `what to look for, such as [[^\d{4}$]]`}
)

// most is the option max.
func (a args) most() int {
	n := a.optInt("max", 1<<53)
	if n < 1 {
		a.fail("option `max` must be at least 1, not %d", n)
	}
	return n
}

// An expression is compiled once for the process.
type expression struct {
	size   int            // in instructions, about
	whole  *regexp.Regexp // from the beginning of a text
	source string         // as the parser writes it, which can stand within another

	once sync.Once
	rest *regexp.Regexp
}

// from finds the first match at or after at, which is beyond the beginning.
//
// regexp has no search that begins within a text and knows what is before: ^ and \b depend on it. So a second
// expression begins with the character before, and skips.
func (x *expression) from(text string, at int) []int {
	x.once.Do(func() { x.rest = regexp.MustCompile(`\A(?s:.)(?s:.*?)(` + x.source + `)`) })
	_, n := utf8.DecodeLastRuneInString(text[:at])
	m := x.rest.FindStringSubmatchIndex(text[at-n:])
	if m == nil {
		return nil
	}
	m = m[2:] // the first group is the whole
	for i := range m {
		if m[i] >= 0 {
			m[i] += at - n
		}
	}
	return m
}

var expressions struct {
	sync.Mutex
	known map[string]*expression
}

// compileExpression finds or makes what a pattern is compiled to.
func compileExpression(pattern string) (*expression, error) {
	if len(pattern) > maxExpression {
		return nil, fmt.Errorf("the expression has %d bytes; the limit is %d", len(pattern), maxExpression)
	}
	expressions.Lock()
	x := expressions.known[pattern]
	expressions.Unlock()
	if x != nil {
		return x, nil
	}
	tree, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return nil, badExpression(err)
	}
	size := expressionSize(tree)
	if size > maxExpressionSize {
		return nil, fmt.Errorf("the expression %s is too large: its repetitions come to more than %d steps", describe(lua.LString(pattern)), maxExpressionSize)
	}
	if tree.MaxCap() > maxCaptures {
		return nil, fmt.Errorf("the expression %s has %d groups; the limit is %d. (?:…) groups without being one", describe(lua.LString(pattern)), tree.MaxCap(), maxCaptures)
	}
	source := tree.String()
	whole, err := regexp.Compile(pattern)
	if err != nil {
		return nil, badExpression(err)
	}
	x = &expression{size: size, whole: whole, source: source}
	expressions.Lock()
	defer expressions.Unlock()
	if expressions.known == nil {
		expressions.known = make(map[string]*expression)
	}
	for old := range expressions.known { // any one makes room
		if len(expressions.known) < maxExpressions {
			break
		}
		delete(expressions.known, old)
	}
	expressions.known[strings.Clone(pattern)] = x
	return x, nil
}

func badExpression(err error) error {
	e, ok := err.(*syntax.Error)
	if !ok {
		return err
	}
	hint := ""
	if e.Code == syntax.ErrInvalidPerlOp || e.Code == syntax.ErrInvalidEscape {
		hint = " (there is neither look-around nor a back reference)"
	}
	return fmt.Errorf("the expression is wrong: %s: %s%s", e.Code, describe(lua.LString(e.Expr)), hint)
}

// expressionSize is about how many instructions an expression is compiled to.
func expressionSize(x *syntax.Regexp) int {
	n := 1
	for _, sub := range x.Sub {
		n = min(n+expressionSize(sub), 1<<30)
	}
	switch x.Op {
	case syntax.OpLiteral:
		n += len(x.Rune)
	case syntax.OpRepeat:
		n = min(n*max(x.Min+1, x.Max), 1<<30)
	default:
		n++
	}
	return n
}

// A search looks for an expression in a text, for a script.
type search struct {
	*expression
	L     *lua.LState
	m     *meter
	text  string
	steps int // not accounted for yet; the first match always is
}

const searchSteps = 4096 // each look at the clock charges memory, too

func (a args) expression(L *lua.LState) *search {
	x, err := compileExpression(a.string(1))
	if err != nil {
		a.fail("%s", err)
	}
	text := a.string(0)
	if len(text) > maxMatchWork/x.size {
		a.fail("a text of %d bytes is too long for this expression; the limit is %d", len(text), maxMatchWork/x.size)
	}
	return &search{expression: x, L: L, m: newMeter(L), text: text, steps: searchSteps}
}

// next finds the first match at or after a place.
func (s *search) next(at int) []int {
	if s.steps += (len(s.text)-at)/8 + 8; s.steps >= searchSteps {
		work(s.L)(s.steps)
		s.steps = 0
	}
	if at == 0 {
		return s.whole.FindStringSubmatchIndex(s.text)
	}
	return s.from(s.text, at)
}

// each calls found with at most so many matches, as Go's FindAll finds them: an empty one right after another is none.
func (s *search) each(most int, found func(m []int)) {
	before := -1 // where the last match ended
	for at := 0; at <= len(s.text) && most > 0; {
		m := s.next(at)
		if m == nil {
			return
		}
		empty := m[1] == m[0]
		if m[1] > at {
			at = m[1]
		} else if _, n := utf8.DecodeRuneInString(s.text[at:]); n > 0 {
			at += n
		} else {
			at++
		}
		if !empty || m[0] != before {
			found(m)
			most--
		}
		before = m[1]
	}
}

func (s *search) piece(from, to int) lua.LString {
	s.m.add(to - from + 16)
	return lua.LString(strings.Clone(s.text[from:to]))
}

// table is a match as scripts see it.
func (s *search) table(m []int) *lua.LTable {
	t := s.L.CreateTable(len(m)/2, 0)
	s.m.add(120 + 40*len(m)/2)
	names := s.whole.SubexpNames()
	for i := range len(m) / 2 {
		if m[2*i] < 0 {
			continue
		}
		piece := s.piece(m[2*i], m[2*i+1])
		t.RawSetInt(i, piece)
		if names[i] != "" {
			t.RawSetString(names[i], piece)
		}
	}
	return t
}

func reReplace(c *Call, L *lua.LState, a args) int {
	x := a.expression(L)
	fn, isFunction := a.value(2).(*lua.LFunction)
	with, isText := wordOf(a.value(2))
	groups := a.optBool("groups", false)
	switch {
	case !isFunction && !isText:
		a.fail("argument `with` must be a string or a function, not %s", describe(a.value(2)))
	case isFunction && groups:
		a.fail("option `groups` is for a text; a function is given the match")
	}
	var out []byte
	at, count := 0, 0
	x.each(a.most(), func(m []int) {
		out = append(out, x.text[at:m[0]]...)
		at = m[1]
		count++
		before := len(out)
		switch {
		case isFunction:
			L.Push(fn)
			L.Push(x.table(m))
			L.Call(1, 1)
			v := L.Get(-1)
			L.Pop(1)
			text, ok := wordOf(v)
			if v == lua.LNil {
				text, ok = x.text[m[0]:m[1]], true
			}
			if !ok {
				a.fail("the function returned %s; it returns a string, or nil for what matched", describe(v))
			}
			x.m.fits(len(out) + len(text))
			out = append(out, text...)
		case groups:
			x.m.fits(len(out) + len(with) + strings.Count(with, "$")*(m[1]-m[0])) // no group is longer than the match
			out = x.whole.ExpandString(out, with, x.text, m)
		default:
			x.m.fits(len(out) + len(with))
			out = append(out, with...)
		}
		x.m.add(len(out) - before + 16)
	})
	x.m.fits(len(out) + len(x.text) - at)
	out = append(out, x.text[at:]...)
	x.m.add(len(x.text))
	L.Push(lua.LString(out))
	L.Push(lua.LNumber(count))
	return 2
}
