package luabind

import (
	"strings"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

// The switch expands ${name}, and runs ${api(…)}, in every argument of every
// application (recordings expansion and expansion2). What a script hands over is
// meant as it is, so each argument is escaped such that the switch's expansion gives
// back the same bytes. The rules below are those of switch_channel.c,
// switch_channel_expand_variables_check.

// An argument is what an application is given, put together from pieces that arrive
// as they are and pieces that the switch expands.
type argument struct {
	pieces []piece
}

type piece struct {
	text   string
	expand bool
}

func literal(text string) argument { return argument{[]piece{{text: text}}} }

func (a argument) with(b argument) argument {
	return argument{append(append(make([]piece, 0, len(a.pieces)+len(b.pieces)), a.pieces...), b.pieces...)}
}

// prefix puts literal text in front.
func (a argument) prefix(text string) argument { return literal(text).with(a) }

// expands reports whether a piece of it is to be expanded.
func (a argument) expands() bool {
	for _, p := range a.pieces {
		if p.expand {
			return true
		}
	}
	return false
}

// text is the argument as the script gave it.
func (a argument) text() string {
	if len(a.pieces) == 1 {
		return a.pieces[0].text
	}
	var b strings.Builder
	for _, p := range a.pieces {
		b.WriteString(p.text)
	}
	return b.String()
}

// escaped is the argument as it is sent: the switch's one expansion undoes the
// escapes.
func (a argument) escaped() string {
	text := a.text()
	if touched(text) {
		var b strings.Builder
		b.Grow(len(text) + 16)
		for _, p := range a.pieces {
			if p.expand {
				b.WriteString(p.text)
				continue
			}
			for i := range len(p.text) {
				if c := p.text[i]; c == '\\' || c == '$' {
					b.WriteByte('\\')
				}
				b.WriteByte(p.text[i])
			}
		}
		text = b.String()
	}
	// After expanding, the switch takes %[name=value] or %,[…] in front for variables that
	// live as long as the application (switch_core_session_exec). An empty list of them
	// in front makes it leave the rest alone.
	if len(a.pieces) > 0 && !a.pieces[0].expand && scoped(text) {
		text = "%[]" + text
	}
	return text
}

// touched reports whether the switch would process s at all; what it does not, it hands on
// with every backslash and dollar in place (switch_string_var_check_const,
// switch_string_has_escaped_data).
func touched(s string) bool {
	dollar := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == '$':
			dollar = true
		case c == '{' && dollar:
			return true
		case c != '\\':
			dollar = false
		}
		if s[i] == '\\' && i+1 < len(s) && strings.IndexByte(`\nst'`, s[i+1]) >= 0 {
			return true
		}
	}
	return false
}

func scoped(s string) bool {
	return len(s) > 1 && s[0] == '%' && (s[1] == '[' || len(s) > 2 && s[2] == '[')
}

// assignment is the argument of set and its like: name=value. Those of twice expand
// the value a second time by themselves.
func assignment(app, name string, value argument) string {
	if twice[app] && !value.expands() {
		value = literal(value.escapedPieces())
	}
	return value.prefix(name + "=").escaped()
}

// escapedPieces is escaped without the care for scoped variables, for a text that does not stand
// in front.
func (a argument) escapedPieces() string {
	s := a.escaped()
	if scoped(a.text()) {
		s = strings.TrimPrefix(s, "%[]")
	}
	return s
}

// twice are the applications that expand what comes after the first = or , in their
// argument, or all of it, once more (mod_dptools.c, base_set; mod_lcr.c).
var twice = map[string]bool{"set": true, "push": true, "unshift": true, "multiset": true}

// wire is the argument for an application of any name.
func (a argument) wire(app string) string {
	if !twice[app] || a.expands() {
		return a.escaped()
	}
	text := a.text()
	if app != "multiset" {
		return literal(twiceEscaped(text)).escaped()
	}
	// Each of its assignments is expanded by itself. ^^ in front names what is between them.
	lead, delimiter := "", " "
	if strings.HasPrefix(text, "^^") && len(text) > 2 {
		lead, delimiter, text = text[:3], text[2:3], text[3:]
	}
	parts := strings.Split(text, delimiter)
	for i := range parts {
		parts[i] = twiceEscaped(parts[i])
	}
	return literal(lead + strings.Join(parts, delimiter)).escaped()
}

// twiceEscaped escapes what base_set expands of name=value or name,value.
func twiceEscaped(text string) string {
	at := strings.IndexByte(text, '=')
	if at < 0 {
		at = strings.IndexByte(text, ',')
	}
	if at < 0 {
		return text
	}
	return text[:at+1] + literal(text[at+1:]).escapedPieces()
}

func execute(app string, arg string) esl.Execute {
	return esl.Execute{App: app, Arg: arg, EventLock: true}
}

// An expansion is what expand "…" returns: text that the switch is asked to expand.
type expansion struct{ text string }

// luaExpand is expand in scripts.
func luaExpand(L *lua.LState) int {
	L.Push(&lua.LUserData{Value: &expansion{L.CheckString(1)}, Metatable: shared().expansionMeta})
	return 1
}

// toArgument makes an argument of a Lua value: text, a number, or expand "…".
func toArgument(v lua.LValue) (argument, bool) {
	switch v := v.(type) {
	case lua.LString:
		return literal(string(v)), true
	case lua.LNumber:
		return literal(v.String()), true
	case *lua.LUserData:
		if x, ok := v.Value.(*expansion); ok {
			return argument{[]piece{{x.text, true}}}, true
		}
	}
	return argument{}, false
}

// Application is the command that runs an application with an argument that arrives as it is.
func Application(name, arg string) esl.Execute { return execute(name, literal(arg).wire(name)) }
