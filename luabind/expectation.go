package luabind

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// An expectation is a value that a test holds against what it should be.
type expectation struct{ value lua.LValue }

var expectationClass = &Class{
	Name: "Expectation", Article: "an expectation", Var: "expect(…)",
	Doc: "A value that is held against what it should be. What does not hold fails the test.",
	Methods: []Verb{
		compare("is", "expected", "The value is this one. Tables are when they hold the same.", func(got, want lua.LValue) string {
			if same(got, want, 0) {
				return ""
			}
			return "expected " + show(want) + ", not " + show(got)
		}),
		compare("is_not", "unexpected", "The value is not this one.", func(got, want lua.LValue) string {
			if !same(got, want, 0) {
				return ""
			}
			return "expected something else than " + show(got)
		}),
		compare("contains", "part", "The string holds this one, or the list this entry.", func(got, want lua.LValue) string {
			if holds(got, want) {
				return ""
			}
			return "expected " + show(got) + " to contain " + show(want)
		}),
		compare("lacks", "part", "The string does not hold this one, or the list this entry.", func(got, want lua.LValue) string {
			if !holds(got, want) {
				return ""
			}
			return "expected " + show(got) + " not to contain " + show(want)
		}),
		compare("is_above", "limit", "The number is greater.", func(got, want lua.LValue) string {
			if g, w, ok := numbers(got, want); ok && g > w {
				return ""
			}
			return "expected more than " + show(want) + ", not " + show(got)
		}),
		compare("is_below", "limit", "The number is less.", func(got, want lua.LValue) string {
			if g, w, ok := numbers(got, want); ok && g < w {
				return ""
			}
			return "expected less than " + show(want) + ", not " + show(got)
		}),
		{
			Name:   "matches",
			Params: []Param{{Name: "pattern", Type: String, Doc: "a regular expression (RE2)"}},
			Doc:    "The string matches a regular expression.",
			run: func(c *Call, L *lua.LState, a args) int {
				re, err := regexp.Compile(a.string(0))
				if err != nil {
					a.fail("%v", err)
				}
				value := a.self().(*expectation).value
				if text, ok := wordOf(value); !ok || !re.MatchString(text) {
					L.RaiseError("expected %s to match %s", show(value), a.string(0))
				}
				return 0
			},
		},
	},
}

func compare(name, param, doc string, fault func(got, want lua.LValue) string) Verb {
	return Verb{
		Name: name, Params: []Param{{Name: param, Type: Any, Optional: true, Doc: "what to hold it against"}}, Doc: doc,
		run: func(c *Call, L *lua.LState, a args) int {
			if text := fault(a.self().(*expectation).value, a.value(0)); text != "" {
				L.RaiseError("%s", text)
			}
			return 0
		},
	}
}

func numbers(a, b lua.LValue) (x, y lua.LNumber, ok bool) {
	x, ok1 := a.(lua.LNumber)
	y, ok2 := b.(lua.LNumber)
	return x, y, ok1 && ok2
}

// maxNested is how deep values are compared and shown.
const maxNested = 20

func same(a, b lua.LValue, depth int) bool {
	x, ok1 := a.(*lua.LTable)
	y, ok2 := b.(*lua.LTable)
	if !ok1 || !ok2 || x == y || depth > maxNested {
		return a.Type() == b.Type() && a == b
	}
	equal, n := true, 0
	x.ForEach(func(k, v lua.LValue) {
		n++
		equal = equal && same(v, y.RawGet(k), depth+1)
	})
	y.ForEach(func(lua.LValue, lua.LValue) { n-- })
	return equal && n == 0
}

func holds(whole, part lua.LValue) bool {
	if t, ok := whole.(*lua.LTable); ok {
		found := false
		t.ForEach(func(_, v lua.LValue) { found = found || same(v, part, 0) })
		return found
	}
	text, ok1 := wordOf(whole)
	piece, ok2 := wordOf(part)
	return ok1 && ok2 && strings.Contains(text, piece)
}

// maxShown bounds the text of a value.
const maxShown = 2000

// show is a value as a script would write it.
func show(v lua.LValue) string {
	var b strings.Builder
	showTo(&b, v, 0)
	if b.Len() > maxShown {
		return strings.ToValidUTF8(b.String()[:maxShown], "") + "…"
	}
	return b.String()
}

func showTo(b *strings.Builder, v lua.LValue, depth int) {
	t, ok := v.(*lua.LTable)
	switch {
	case b.Len() > maxShown:
	case !ok && v.Type() == lua.LTString:
		fmt.Fprintf(b, "%q", v.String())
	case !ok:
		b.WriteString(v.String())
	case depth > maxNested:
		b.WriteString("{…}")
	default:
		var entries []string
		n := t.Len()
		for i := 1; i <= n && b.Len() < maxShown && i < maxShown; i++ {
			entries = append(entries, nested(t.RawGetInt(i), depth))
		}
		var named []string
		t.ForEach(func(k, v lua.LValue) {
			if i, ok := k.(lua.LNumber); ok && i >= 1 && int(i) <= n {
				return
			}
			name := "[" + nested(k, depth) + "]"
			if s, ok := k.(lua.LString); ok && identifier.MatchString(string(s)) {
				name = string(s)
			}
			named = append(named, name+" = "+nested(v, depth))
		})
		slices.Sort(named)
		entries = append(entries, named...)
		if len(entries) == 0 {
			b.WriteString("{}")
			return
		}
		b.WriteString("{ " + strings.Join(entries, ", ") + " }")
	}
}

func nested(v lua.LValue, depth int) string {
	var b strings.Builder
	showTo(&b, v, depth+1)
	return b.String()
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
