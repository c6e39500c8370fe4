package luabind

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

// maxJSONDepth is how deep lists and objects may be nested, in both directions.
const maxJSONDepth = 200

// maxExact is the largest whole number that a Lua number holds with all numbers below it.
const maxExact = 1 << 53

var jsonModule = &Module{
	Name: "json",
	Doc: "`json` turns values into JSON and back.\n\n" +
		"```lua\nlocal order, why = json.decode('{\"id\": 17, \"items\": [], \"note\": null}')\n" +
		"if not order then error(why) end\n" +
		"log.info(\"order\", { id = order.id, items = #order.items })\n" +
		"if order.note == json.null then order.note = \"none\" end\n" +
		"log.info(json.encode(order))  -- {\"id\":17,\"items\":[],\"note\":\"none\"}\n```\n\n" +
		"A table with the entries 1 to n is a list, one with names an object, and an empty one is `{}`. `json.array` makes a list of it, " +
		"and every list that json.decode made stays one, empty or not. An object's names are written in order, so the same value always gives the same text.\n\n" +
		"null is `json.null`, a value of its own: nil would take an object's entry, or a list's place, away. It counts as true in an `if`; " +
		"`json.decode(text, { null = false })` has false in its place. " +
		"A whole number beyond 2^53, which a Lua number cannot hold exactly, is decoded as a string of its digits.",
	Functions: []Verb{
		{
			Name:    "encode",
			Params:  []Param{{Name: "value", Type: Any, Doc: "a table, string, number, boolean or json.null"}},
			Options: []Param{{Name: "pretty", Type: Boolean, Doc: "true: a line for each entry, for people to read"}},
			Results: []Result{{"text", "string", "the JSON"}},
			Doc: "Turns a value into JSON. What JSON has not, such as a function, a list with a hole, a table that contains itself or a number that is infinite, raises " +
				"an error that says where in the value it is. Bytes of a string that are no UTF-8 become U+FFFD; crypto.base64_encode keeps them.",
			run: func(c *Call, L *lua.LState, a args) int {
				e := jsonEncoder{m: newMeter(L), pretty: a.optBool("pretty", false)}
				if err := e.value(a.value(0)); err != nil {
					a.fail("%s", err)
				}
				L.Push(lua.LString(e.out))
				return 1
			},
		},
		{
			Name:    "decode",
			Params:  []Param{{Name: "text", Type: String, Doc: "the JSON"}},
			Options: []Param{{Name: "null", Type: Any, Doc: "what null becomes instead of json.null, such as false or \"\""}},
			Results: []Result{{"value", "any", "nil where the text is no JSON"}, {"error", "string?", "what is wrong, with the line and the column"}},
			Doc: "Turns JSON into a value. Of an object that has a name twice the last entry counts. Half a surrogate pair becomes U+FFFD. " +
				"Anything after the value is an error, and so is text that is not UTF-8.",
			run: func(c *Call, L *lua.LState, a args) int {
				d := newJSONDecoder(L, a.string(0))
				if v, ok := a.option("null"); ok {
					d.null = v
				}
				v, err := d.decode()
				if err != nil {
					return pushNone(L, err.Error())
				}
				L.Push(v)
				return 1
			},
		},
		{
			Name:    "array",
			Params:  []Param{{Name: "list", Type: Table, Optional: true, Doc: "the list; a new one where left out"}},
			Results: []Result{{"list", "table", "the same table"}},
			Doc:     "Marks a table as a list, so that it is encoded as `[]` when it is empty. The mark is its metatable.",
			run: func(c *Call, L *lua.LState, a args) int {
				t := a.table(0)
				switch {
				case t == nil:
					t = L.CreateTable(0, 0)
				case isJSONArray(t):
				case t.Metatable != nil && t.Metatable != lua.LNil:
					a.fail("argument `list` has a metatable of its own")
				}
				t.Metatable = shared().arrayMeta
				L.Push(t)
				return 1
			},
		},
	},
	Values: []Value{{"null", "userdata", "what null is decoded as, and encoded from", jsonNull}},
}

// jsonNull is json.null. Its metatable is one of what all VMs share.
var jsonNull = &lua.LUserData{Value: nullValue{}}

type nullValue struct{}

func bindJSON(L *lua.LState, env *environment) {
	env.arrayMeta = protected(L, nil)
	jsonNull.Metatable = protected(L, map[string]lua.LValue{
		"__tostring": L.NewFunction(func(L *lua.LState) int {
			L.Push(lua.LString("null"))
			return 1
		}),
		"__index": L.NewFunction(func(L *lua.LState) int {
			L.RaiseError("json.null has no fields: where `%s` was looked for the JSON has null", L.ToStringMeta(L.Get(2)).String())
			return 0
		}),
	})
}

func isJSONArray(t *lua.LTable) bool { return t.Metatable == lua.LValue(shared().arrayMeta) }

// encodeJSON turns a value of a script into JSON, as json.encode does. The error says where in the value it is wrong;
// what takes too much raises.
func encodeJSON(L *lua.LState, value lua.LValue) ([]byte, error) {
	e := jsonEncoder{m: newMeter(L)}
	if err := e.value(value); err != nil {
		return nil, err
	}
	return e.out, nil
}

// decodeJSON makes a value for a script of JSON, as json.decode does. The error names the line and the column;
// what takes too much raises.
func decodeJSON(L *lua.LState, text string) (lua.LValue, error) {
	return newJSONDecoder(L, text).decode()
}

// A jsonEncoder writes one value.
type jsonEncoder struct {
	m      *meter
	out    []byte
	pretty bool
	path   []jsonStep // the tables around the value
}

// A jsonStep is a table that is being written, and the entry that is.
type jsonStep struct {
	table *lua.LTable
	name  string
	index int // of a list; 0: name
}

// at is the path to the value that is being written, as one would write it in Lua.
func (e *jsonEncoder) at() string {
	var b strings.Builder
	for i, s := range e.path {
		if i == 10 && len(e.path) > 11 { // the rest would not help
			b.WriteString("…")
			break
		}
		switch {
		case s.index > 0:
			fmt.Fprintf(&b, "[%d]", s.index)
		case !isName(s.name):
			fmt.Fprintf(&b, "[%s]", describe(lua.LString(s.name)))
		case i > 0:
			b.WriteString("." + s.name)
		default:
			b.WriteString(s.name)
		}
	}
	if b.Len() == 0 {
		return "the value"
	}
	return b.String()
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; c != '_' && !isAlpha(c) && (i == 0 || !isDigit(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 40
}

func (e *jsonEncoder) value(v lua.LValue) error {
	before := len(e.out)
	switch v := v.(type) {
	case lua.LBool:
		e.out = strconv.AppendBool(e.out, bool(v))
	case lua.LNumber:
		f := float64(v)
		switch {
		case math.IsNaN(f), math.IsInf(f, 0):
			return fmt.Errorf("%s is %v, which JSON has not", e.at(), f)
		case math.Trunc(f) == f && math.Abs(f) <= maxExact, math.Abs(f) >= 1e-6 && math.Abs(f) < maxExact:
			e.out = strconv.AppendFloat(e.out, f, 'f', -1, 64)
		default: // the exponent also tells a decoder that larger ones are not exact
			e.out = strconv.AppendFloat(e.out, f, 'e', -1, 64)
		}
	case lua.LString:
		e.string(string(v))
	case *lua.LTable:
		return e.table(v)
	default:
		if v != lua.LValue(jsonNull) {
			return fmt.Errorf("%s is a %s, which JSON has not", e.at(), v.Type())
		}
		e.out = append(e.out, "null"...)
	}
	e.m.add(len(e.out) - before)
	e.m.fits(len(e.out))
	return nil
}

func (e *jsonEncoder) table(t *lua.LTable) error {
	for _, s := range e.path {
		if s.table == t {
			return fmt.Errorf("%s is a table that contains itself", e.at())
		}
	}
	if len(e.path) == maxJSONDepth {
		return fmt.Errorf("%s is nested more than %d deep", e.at(), maxJSONDepth)
	}
	var names []string
	list, last := 0, 0
	var odd lua.LValue
	t.ForEach(func(k, _ lua.LValue) {
		switch k := k.(type) {
		case lua.LString:
			names = append(names, string(k))
			e.m.add(16)
			return
		case lua.LNumber:
			if i := int(k); k >= 1 && lua.LNumber(i) == k {
				list++
				last = max(last, i)
				e.m.add(1)
				return
			}
		}
		odd = k
	})
	isList := list > 0 || len(names) == 0 && isJSONArray(t)
	switch {
	case odd != nil:
		return fmt.Errorf("%s has an entry whose key is %s: a key is a string, or the place in a list from 1 on", e.at(), describe(odd))
	case len(names) > 0 && (list > 0 || isJSONArray(t)):
		slices.Sort(names)
		return fmt.Errorf("%s is a list that also has the name %s", e.at(), describe(lua.LString(names[0])))
	case last != list:
		for i := 1; ; i++ {
			if t.RawGetInt(i) == lua.LNil {
				return fmt.Errorf("%s is a list with a hole: entry %d of %d is missing; json.null fills a place, and keys that only look like places are written tostring(key)", e.at(), i, last)
			}
		}
	}
	e.path = append(e.path, jsonStep{table: t})
	here := &e.path[len(e.path)-1]
	opening, closing := byte('{'), byte('}')
	if isList {
		opening, closing = '[', ']'
	}
	e.out = append(e.out, opening)
	for i := range list {
		e.separate(i)
		here.index = i + 1
		if err := e.value(t.RawGetInt(i + 1)); err != nil {
			return err
		}
		here = &e.path[len(e.path)-1]
	}
	slices.Sort(names)
	for i, name := range names {
		e.separate(i)
		here.name = name
		e.string(name)
		e.out = append(e.out, ':')
		if e.pretty {
			e.out = append(e.out, ' ')
		}
		e.m.add(len(name))
		if err := e.value(t.RawGetString(name)); err != nil {
			return err
		}
		here = &e.path[len(e.path)-1]
	}
	e.path = e.path[:len(e.path)-1]
	if list+len(names) > 0 {
		e.indent()
	}
	e.out = append(e.out, closing)
	e.m.add(8)
	e.m.fits(len(e.out))
	return nil
}

// separate begins entry i of a table.
func (e *jsonEncoder) separate(i int) {
	if i > 0 {
		e.out = append(e.out, ',')
	}
	e.indent()
}

func (e *jsonEncoder) indent() {
	if e.pretty {
		e.out = append(e.out, '\n')
		for range e.path {
			e.out = append(e.out, "  "...)
		}
		e.m.add(2 * len(e.path))
	}
}

func (e *jsonEncoder) string(s string) {
	e.m.fits(len(e.out) + len(s))
	e.out = append(e.out, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			e.out = utf8.AppendRune(e.out, r)
			i += n
			continue
		}
		i++
		switch c {
		case '"', '\\':
			e.out = append(e.out, '\\', c)
		case '\n':
			e.out = append(e.out, `\n`...)
		case '\r':
			e.out = append(e.out, `\r`...)
		case '\t':
			e.out = append(e.out, `\t`...)
		default:
			if c < ' ' {
				e.out = fmt.Appendf(e.out, `\u%04x`, c)
			} else {
				e.out = append(e.out, c)
			}
		}
	}
	e.out = append(e.out, '"')
}

// A jsonDecoder reads one text.
type jsonDecoder struct {
	L     *lua.LState
	m     *meter
	text  string
	at    int
	depth int
	null  lua.LValue
}

func newJSONDecoder(L *lua.LState, text string) *jsonDecoder {
	return &jsonDecoder{L: L, m: newMeter(L), text: text, null: jsonNull}
}

// fail is an error at a place in the text, counted in lines and characters.
func (d *jsonDecoder) fail(at int, format string, args ...any) error {
	before := d.text[:at]
	line := strings.Count(before, "\n") + 1
	column := utf8.RuneCountInString(before[strings.LastIndexByte(before, '\n')+1:]) + 1
	return fmt.Errorf("line %d, column %d: %s", line, column, fmt.Sprintf(format, args...))
}

// found is what stands at a place, for messages.
func (d *jsonDecoder) found(at int) string {
	if at >= len(d.text) {
		return "the text ends"
	}
	r, _ := utf8.DecodeRuneInString(d.text[at:])
	return fmt.Sprintf("there is %s", strconv.QuoteRune(r))
}

func (d *jsonDecoder) decode() (lua.LValue, error) {
	d.m.add(len(d.text) / 8)
	if !utf8.ValidString(d.text) {
		for i, r := range d.text {
			if _, n := utf8.DecodeRuneInString(d.text[i:]); r == utf8.RuneError && n == 1 {
				return nil, d.fail(i, "the byte 0x%02x is no UTF-8", d.text[i])
			}
		}
	}
	if strings.HasPrefix(d.text, "\ufeff") {
		d.at = len("\ufeff")
	}
	d.space()
	if d.at == len(d.text) {
		return nil, errors.New("there is no JSON: the text is empty")
	}
	v, err := d.value()
	if err != nil {
		return nil, err
	}
	if d.space(); d.at < len(d.text) {
		return nil, d.fail(d.at, "%s after the value's end", d.found(d.at))
	}
	return v, nil
}

func (d *jsonDecoder) space() {
	for d.at < len(d.text) {
		switch d.text[d.at] {
		case ' ', '\t', '\n', '\r':
			d.at++
		default:
			return
		}
	}
}

// take reads c, after spaces.
func (d *jsonDecoder) take(c byte) bool {
	if d.space(); d.at < len(d.text) && d.text[d.at] == c {
		d.at++
		return true
	}
	return false
}

func (d *jsonDecoder) value() (lua.LValue, error) {
	d.m.add(16)
	d.space()
	if d.at == len(d.text) {
		return nil, d.fail(d.at, "the text ends where a value should stand")
	}
	switch c := d.text[d.at]; {
	case c == '{' || c == '[':
		if d.depth == maxJSONDepth {
			return nil, d.fail(d.at, "it is nested more than %d deep", maxJSONDepth)
		}
		d.depth++
		d.at++
		var v lua.LValue
		var err error
		if c == '{' {
			v, err = d.object()
		} else {
			v, err = d.list()
		}
		d.depth--
		return v, err
	case c == '"':
		s, err := d.string()
		return lua.LString(s), err
	case c == '-' || isDigit(c):
		return d.number()
	}
	for word, v := range map[string]lua.LValue{"true": lua.LTrue, "false": lua.LFalse, "null": d.null} {
		if strings.HasPrefix(d.text[d.at:], word) {
			d.at += len(word)
			return v, nil
		}
	}
	return nil, d.fail(d.at, "%s where a value should stand", d.found(d.at))
}

func (d *jsonDecoder) list() (lua.LValue, error) {
	t := d.L.CreateTable(0, 0)
	t.Metatable = shared().arrayMeta
	d.m.add(120)
	for n := 1; !d.take(']'); n++ {
		if n > 1 && !d.take(',') {
			return nil, d.fail(d.at, "%s where a comma or ] should stand", d.found(d.at))
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		t.Append(v)
		d.m.add(40)
	}
	return t, nil
}

func (d *jsonDecoder) object() (lua.LValue, error) {
	t := d.L.CreateTable(0, 1)
	d.m.add(120)
	for n := 1; !d.take('}'); n++ {
		if n > 1 && !d.take(',') {
			return nil, d.fail(d.at, "%s where a comma or } should stand", d.found(d.at))
		}
		if d.space(); d.at == len(d.text) || d.text[d.at] != '"' {
			return nil, d.fail(d.at, "%s where a name in quotes should stand", d.found(d.at))
		}
		name, err := d.string()
		if err != nil {
			return nil, err
		}
		if !d.take(':') {
			return nil, d.fail(d.at, "%s where a colon should stand", d.found(d.at))
		}
		v, err := d.value()
		if err != nil {
			return nil, err
		}
		t.RawSetString(name, v)
		d.m.add(40)
	}
	return t, nil
}

// number reads a number as the grammar has it.
func (d *jsonDecoder) number() (lua.LValue, error) {
	from := d.at
	digits := func() int {
		start := d.at
		for d.at < len(d.text) && isDigit(d.text[d.at]) {
			d.at++
		}
		return d.at - start
	}
	next := func(set string) bool {
		if d.at < len(d.text) && strings.IndexByte(set, d.text[d.at]) >= 0 {
			d.at++
			return true
		}
		return false
	}
	next("-")
	zero := d.at < len(d.text) && d.text[d.at] == '0'
	whole := true
	switch n := digits(); {
	case n == 0:
		return nil, d.fail(d.at, "%s where a digit should stand", d.found(d.at))
	case n > 1 && zero:
		return nil, d.fail(from, "a number begins with 0; a string keeps its zeros")
	}
	if next(".") {
		whole = false
		if digits() == 0 {
			return nil, d.fail(d.at, "%s where a digit should stand", d.found(d.at))
		}
	}
	if next("eE") {
		whole = false
		next("+-")
		if digits() == 0 {
			return nil, d.fail(d.at, "%s where a digit should stand", d.found(d.at))
		}
	}
	text := d.text[from:d.at]
	d.m.add(len(text))
	if whole && len(text) > 20 {
		return lua.LString(text), nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, d.fail(from, "the number is too large")
	}
	if n, err := strconv.ParseInt(text, 10, 64); whole && (err != nil || n > maxExact || n < -maxExact) {
		return lua.LString(text), nil
	}
	return lua.LNumber(f), nil
}

// string reads a string in quotes.
func (d *jsonDecoder) string() (string, error) {
	open := d.at
	d.at++
	start := d.at
	for d.at < len(d.text) && d.text[d.at] != '"' && d.text[d.at] != '\\' && d.text[d.at] >= ' ' {
		d.at++
	}
	if d.at < len(d.text) && d.text[d.at] == '"' { // as most are: nothing to undo
		s := d.text[start:d.at]
		d.at++
		d.m.add(len(s))
		return strings.Clone(s), nil
	}
	b := []byte(d.text[start:d.at])
	for d.at < len(d.text) {
		c := d.text[d.at]
		switch {
		case c == '"':
			d.at++
			d.m.add(len(b))
			return string(b), nil
		case c < ' ':
			return "", d.fail(d.at, "the control character %s in a string is written \\u%04x", strconv.QuoteRune(rune(c)), c)
		case c != '\\':
			b = append(b, c)
			d.at++
			continue
		}
		if d.at++; d.at == len(d.text) {
			break
		}
		switch c := d.text[d.at]; c {
		case '"', '\\', '/':
			b = append(b, c)
		case 'b':
			b = append(b, '\b')
		case 'f':
			b = append(b, '\f')
		case 'n':
			b = append(b, '\n')
		case 'r':
			b = append(b, '\r')
		case 't':
			b = append(b, '\t')
		case 'u':
			r, ok := d.hex(d.at + 1)
			if !ok {
				return "", d.fail(d.at, "\\u is followed by four hexadecimal digits")
			}
			d.at += 4
			if low, ok := d.hex(d.at + 3); ok && utf16.IsSurrogate(r) && d.text[d.at+1] == '\\' && d.text[d.at+2] == 'u' {
				if both := utf16.DecodeRune(r, low); both != utf8.RuneError {
					r = both
					d.at += 6
				}
			}
			b = utf8.AppendRune(b, r) // half a pair becomes U+FFFD
		default:
			return "", d.fail(d.at, "%s after a backslash", d.found(d.at))
		}
		d.at++
	}
	return "", d.fail(open, "the string that begins here has no end")
}

// hex reads four hexadecimal digits.
func (d *jsonDecoder) hex(at int) (rune, bool) {
	if at+4 > len(d.text) {
		return 0, false
	}
	for _, c := range []byte(d.text[at : at+4]) {
		if !inClass(c, 'x') {
			return 0, false
		}
	}
	n, err := strconv.ParseUint(d.text[at:at+4], 16, 16)
	return rune(n), err == nil
}
