package luabind

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxString is the longest string that a script can build, in bytes.
const maxString = 1 << 20

// charge accounts for n bytes the calling script is about to have, and raises when that is too
// much.
func charge(L *lua.LState, n int) {
	if n > maxString {
		L.RaiseError("the result would be a string of %d bytes; the limit is %d", n, maxString)
	}
	if b, ok := L.Context().(*budget); ok {
		b.charge(L, n)
	}
}

func work(L *lua.LState) func(int) {
	b, ok := L.Context().(*budget)
	if !ok {
		return func(int) {}
	}
	return func(n int) { b.work(L, n) }
}

// concat is what a..b..c is compiled to.
func concat(L *lua.LState) int {
	n := L.GetTop()
	size := 0
	for i := 1; i <= n; i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			size += len(v)
		case lua.LNumber:
			size += 8
		default:
			return concatMeta(L)
		}
	}
	charge(L, size)
	var b strings.Builder
	b.Grow(size)
	for i := 1; i <= n; i++ {
		switch v := L.Get(i).(type) {
		case lua.LString:
			b.WriteString(string(v))
		case lua.LNumber:
			b.WriteString(v.String())
		}
	}
	L.Push(lua.LString(b.String()))
	return 1
}

// concatMeta concatenates from the right, two at a time, where something is neither string nor
// number.
func concatMeta(L *lua.LState) int {
	acc := L.Get(L.GetTop())
	for i := L.GetTop() - 1; i >= 1; i-- {
		left := L.Get(i)
		if lua.LVCanConvToString(left) && lua.LVCanConvToString(acc) {
			l, r := lua.LVAsString(left), lua.LVAsString(acc)
			charge(L, len(l)+len(r))
			acc = lua.LString(l + r)
			continue
		}
		op := L.GetMetaField(left, "__concat")
		if op == lua.LNil {
			op = L.GetMetaField(acc, "__concat")
		}
		if op == lua.LNil {
			bad := left
			if lua.LVCanConvToString(left) {
				bad = acc
			}
			L.RaiseError("attempt to concatenate a %s value", bad.Type().String())
		}
		L.Push(op)
		L.Push(left)
		L.Push(acc)
		L.Call(2, 1)
		acc = L.Get(-1)
		L.Pop(1)
	}
	L.Push(acc)
	return 1
}

func stringRep(L *lua.LState) int {
	s, n := L.CheckString(1), L.CheckInt(2)
	if n <= 0 || s == "" {
		L.Push(lua.LString(""))
		return 1
	}
	if n > maxString {
		n = maxString + 1
	}
	charge(L, len(s)*n)
	L.Push(lua.LString(strings.Repeat(s, n)))
	return 1
}

// offset turns a Lua index, counted from the end where negative, into an offset.
func offset(i, length int) int {
	switch {
	case i > 0:
		return i - 1
	case i < 0:
		return max(length+i, 0)
	}
	return 0
}

func newMatcher(L *lua.LState) *matcher {
	return &matcher{src: L.CheckString(1), pat: L.CheckString(2), step: work(L)}
}

func (m *matcher) run(L *lua.LState, at int) (start, end int) {
	start, end, err := m.find(at)
	if err != nil {
		L.RaiseError("%s", err.Error())
	}
	return start, end
}

// capture is the value of capture i, or of the whole match where the pattern has none.
func (m *matcher) capture(L *lua.LState, i, start, end int) lua.LValue {
	if i >= m.level {
		if i != 0 {
			L.RaiseError("%s", errCaptureIndex.Error())
		}
		return lua.LString(m.src[start:end])
	}
	c := m.captures[i]
	switch c.len {
	case capOpen:
		L.RaiseError("unfinished capture")
	case capPosition:
		return lua.LNumber(c.at + 1)
	}
	return lua.LString(m.src[c.at : c.at+c.len])
}

func (m *matcher) push(L *lua.LState, start, end int, whole bool) int {
	n := m.level
	if n == 0 && whole {
		n = 1
	}
	for i := range n {
		L.Push(m.capture(L, i, start, end))
	}
	return n
}

func stringFind(L *lua.LState) int {
	m := newMatcher(L)
	at := offset(L.OptInt(3, 1), len(m.src))
	if at > len(m.src) {
		L.Push(lua.LNil)
		return 1
	}
	if L.OptBool(4, false) || !strings.ContainsAny(m.pat, "^$*+?.([%-") {
		i := strings.Index(m.src[at:], m.pat)
		if i < 0 {
			L.Push(lua.LNil)
			return 1
		}
		L.Push(lua.LNumber(at + i + 1))
		L.Push(lua.LNumber(at + i + len(m.pat)))
		return 2
	}
	start, end := m.run(L, at)
	if start < 0 {
		L.Push(lua.LNil)
		return 1
	}
	L.Push(lua.LNumber(start + 1))
	L.Push(lua.LNumber(end))
	return 2 + m.push(L, start, end, false)
}

func stringMatch(L *lua.LState) int {
	m := newMatcher(L)
	at := offset(L.OptInt(3, 1), len(m.src))
	if at <= len(m.src) {
		if start, end := m.run(L, at); start >= 0 {
			return m.push(L, start, end, true)
		}
	}
	L.Push(lua.LNil)
	return 1
}

func stringGmatch(L *lua.LState) int {
	m := newMatcher(L)
	if strings.HasPrefix(m.pat, "^") { // in gmatch it is no anchor, but matches itself
		m.pat = "%" + m.pat
	}
	at := 0
	L.Push(L.NewFunction(func(L *lua.LState) int {
		m.step = work(L) // the iterator may be called from another thread of the script
		if at <= len(m.src) {
			if start, end := m.run(L, at); start >= 0 {
				at = end
				if start == end {
					at++
				}
				return m.push(L, start, end, true)
			}
			at = len(m.src) + 1
		}
		L.Push(lua.LNil)
		return 1
	}))
	return 1
}

func stringGsub(L *lua.LState) int {
	m := newMatcher(L)
	repl := L.CheckAny(3)
	limit := L.OptInt(4, math.MaxInt)
	anchored := strings.HasPrefix(m.pat, "^")
	var out strings.Builder
	count, at := 0, 0
	for count < limit && at <= len(m.src) {
		start, end := m.run(L, at)
		if start < 0 {
			break
		}
		count++
		before := out.Len()
		out.WriteString(m.src[at:start])
		m.replace(L, &out, repl, start, end)
		if start == end && end < len(m.src) {
			out.WriteByte(m.src[end])
		}
		at = end
		if start == end {
			at++
		}
		charge(L, out.Len()-before)
		if out.Len() > maxString {
			charge(L, out.Len())
		}
		if anchored {
			break
		}
	}
	if at < len(m.src) {
		out.WriteString(m.src[at:])
	}
	L.Push(lua.LString(out.String()))
	L.Push(lua.LNumber(count))
	return 2
}

func (m *matcher) replace(L *lua.LState, out *strings.Builder, repl lua.LValue, start, end int) {
	var v lua.LValue
	switch repl := repl.(type) {
	case *lua.LTable:
		v = L.GetTable(repl, m.capture(L, 0, start, end))
	case *lua.LFunction:
		saved := *m
		L.Push(repl)
		n := m.push(L, start, end, true)
		L.Call(n, 1)
		v = L.Get(-1)
		L.Pop(1)
		*m = saved
	default:
		s := lua.LVAsString(repl)
		for i := 0; i < len(s); i++ {
			switch {
			case s[i] != '%':
				out.WriteByte(s[i])
			case i+1 == len(s):
				L.RaiseError("invalid use of '%%' in replacement string")
			case s[i+1] == '0':
				i++
				out.WriteString(m.src[start:end])
			case isDigit(s[i+1]):
				i++
				out.WriteString(lua.LVAsString(m.capture(L, int(s[i]-'1'), start, end)))
			default:
				i++
				out.WriteByte(s[i])
			}
			if out.Len() > maxString {
				charge(L, out.Len())
			}
		}
		return
	}
	switch {
	case lua.LVIsFalse(v):
		out.WriteString(m.src[start:end])
	case lua.LVCanConvToString(v):
		out.WriteString(lua.LVAsString(v))
	default:
		L.RaiseError("invalid replacement value (a %s)", v.Type().String())
	}
}

// stringFormat is string.format with C's conversions only, and widths of two digits, as
// Lua has it.
func stringFormat(L *lua.LState) int {
	format := L.CheckString(1)
	var out strings.Builder
	arg := 1
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			out.WriteByte(format[i])
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			out.WriteByte('%')
			continue
		}
		spec := i
		for i < len(format) && strings.IndexByte("-+ #0", format[i]) >= 0 {
			i++
		}
		flags := i
		for i < len(format) && isDigit(format[i]) {
			i++
		}
		width := i
		if i < len(format) && format[i] == '.' {
			for i++; i < len(format) && isDigit(format[i]); {
				i++
			}
		}
		if i >= len(format) {
			L.RaiseError("invalid conversion '%%%s' to 'format'", format[spec:])
		}
		if flags-spec > 5 || width-flags > 2 || i-width > 3 {
			L.RaiseError("invalid format (width or precision too long)")
		}
		arg++
		out.WriteString(formatOne(L, "%"+format[spec:i], format[i], arg))
		if out.Len() > maxString {
			charge(L, out.Len())
		}
	}
	charge(L, out.Len())
	L.Push(lua.LString(out.String()))
	return 1
}

func formatOne(L *lua.LState, spec string, conversion byte, arg int) string {
	switch conversion {
	case 'd', 'i':
		return fmt.Sprintf(spec+"d", int64(L.CheckNumber(arg)))
	case 'u':
		return fmt.Sprintf(spec+"d", uint64(int64(L.CheckNumber(arg))))
	case 'o', 'x', 'X':
		return fmt.Sprintf(spec+string(conversion), uint64(int64(L.CheckNumber(arg))))
	case 'c':
		return fmt.Sprintf(strings.ReplaceAll(spec, "0", "")+"s", string([]byte{byte(int(L.CheckNumber(arg)))}))
	case 'e', 'E', 'f', 'F', 'g', 'G':
		f := float64(L.CheckNumber(arg))
		if math.IsInf(f, 0) || math.IsNaN(f) {
			return fmt.Sprintf(strings.ReplaceAll(spec, "0", "")+"s", strconv.FormatFloat(f, 'g', -1, 64))
		}
		return fmt.Sprintf(spec+string(conversion), f)
	case 's':
		return fmt.Sprintf(spec+"s", L.ToStringMeta(L.CheckAny(arg)).String())
	case 'q':
		return quote(L.CheckString(arg))
	}
	L.RaiseError("invalid conversion '%s%c' to 'format'", spec, conversion)
	return ""
}

// quote writes s so that a Lua interpreter reads it back.
func quote(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\', '\n':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\r':
			b.WriteString(`\r`)
		case 0:
			b.WriteString(`\000`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

func tableConcat(L *lua.LState) int {
	t := L.CheckTable(1)
	sep := L.OptString(2, "")
	from := L.OptInt(3, 1)
	to := t.Len()
	if L.GetTop() >= 4 && L.Get(4) != lua.LNil {
		to = L.CheckInt(4)
	}
	var b strings.Builder
	step := work(L)
	for i := from; i <= to; i++ {
		v := t.RawGetInt(i)
		if !lua.LVCanConvToString(v) {
			L.RaiseError("invalid value (%s) at index %d in table for 'concat'", v.Type().String(), i)
		}
		b.WriteString(lua.LVAsString(v))
		if i < to {
			b.WriteString(sep)
		}
		if b.Len() > maxString {
			charge(L, b.Len())
		}
		step(1)
	}
	charge(L, b.Len())
	L.Push(lua.LString(b.String()))
	return 1
}
