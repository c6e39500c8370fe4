package luabind

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	lua "github.com/yuin/gopher-lua"
)

var csvModule = &Module{
	Name: "csv",
	Doc: "`csv` reads and writes tables as text (RFC 4180).\n\n" +
		"```lua\nfor row in csv.rows(\"number,team\\n1001,support\\n1002,\\\"sales, north\\\"\\n\", { header = true }) do\n" +
		"  log.info(row.number, { team = row.team })\nend\n" +
		"local report = csv.encode({ { number = call.caller.number, digits = \"42\" } }, { header = { \"number\", \"digits\" }, spreadsheet = true })\n" +
		"log.info(report)\n```\n\n" +
		"What is written is exactly what is read again. **A spreadsheet takes a field that begins with `=`, `+`, `-` or `@` for a formula**, and a caller chooses a name: " +
		"`spreadsheet = true` puts an apostrophe before what could be one, and leaves numbers, telephone numbers among them, as they are. It is not the default, since programs that read the file would find the apostrophe.",
	Functions: []Verb{
		{
			Name:    "parse",
			Params:  []Param{csvParam},
			Options: csvReading,
			Results: []Result{{"rows", "table?", "a list of rows; nil where the text is wrong"}, {"error", "string?", "what is wrong, with the line"}},
			Doc:     "Reads all rows. Line breaks are LF or CRLF, a byte order mark is skipped, and so are empty lines.",
			run: func(c *Call, L *lua.LState, a args) int {
				r, err := newCSVReader(L, a)
				if err != nil {
					return pushNone(L, err.Error())
				}
				list := L.CreateTable(0, 0)
				for {
					row, err := r.row()
					switch {
					case err != nil:
						return pushNone(L, err.Error())
					case row == nil:
						L.Push(list)
						return 1
					}
					list.Append(row)
				}
			},
		},
		{
			Name:    "rows",
			Params:  []Param{csvParam},
			Options: csvReading,
			Results: []Result{{"next", "function", "for `for row, error in csv.rows(text) do`: each row in turn. Where the text is wrong the last row is false, and error says why"}},
			Doc:     "Reads one row after the other, for a text whose rows together would take too much memory.",
			run: func(c *Call, L *lua.LState, a args) int {
				r, err := newCSVReader(L, a)
				told := false
				L.Push(L.NewFunction(func(L *lua.LState) int {
					var row *lua.LTable
					if err == nil {
						r.L, r.m = L, newMeter(L) // it may be called from another thread of the script
						row, err = r.row()
					}
					switch {
					case err != nil && !told:
						told = true
						L.Push(lua.LFalse)
						L.Push(lua.LString(err.Error()))
						return 2
					case row == nil:
						L.Push(lua.LNil)
					default:
						L.Push(row)
					}
					return 1
				}))
				return 1
			},
		},
		{
			Name:   "encode",
			Params: []Param{{Name: "rows", Type: Table, Doc: "a list of rows: lists of strings, numbers or booleans, or with header tables of them by name"}},
			Options: []Param{
				{Name: "header", Type: Table, Doc: "the names of the columns, in order: the first line"},
				separatorOption,
				{Name: "spreadsheet", Type: Boolean, Doc: "true: an apostrophe before what a spreadsheet would take for a formula"},
			},
			Results: []Result{{"text", "string", "the rows, with CRLF after each"}},
			Doc:     "Writes rows. Fields that need quotes get them. A value that is missing is an empty field.",
			run:     csvEncode,
		},
	},
}

var (
	csvParam        = Param{Name: "text", Type: String, Doc: "the rows"}
	separatorOption = Param{Name: "separator", Type: String, Doc: `the character between fields, such as ";" or "\t"; a comma where left out`}
	csvReading      = []Param{
		{Name: "header", Type: Boolean, Doc: "true: the first line has the names of the columns, and each row is a table of them; else a list"},
		separatorOption,
	}
)

// separator is the option of that name.
func (a args) separator() byte {
	s, ok := a.optString("separator")
	if !ok {
		return ','
	}
	if len(s) != 1 || strings.Contains("\"\r\n", s) {
		a.fail("option `separator` must be one character, such as \";\", not %s", describe(lua.LString(s)))
	}
	return s[0]
}

// A csvReader reads row by row.
type csvReader struct {
	L         *lua.LState
	m         *meter
	text      string
	at, line  int
	separator byte
	header    []string // nil: rows are lists
}

func newCSVReader(L *lua.LState, a args) (*csvReader, error) {
	r := &csvReader{L: L, m: newMeter(L), text: strings.TrimPrefix(a.string(0), "\ufeff"), line: 1, separator: a.separator()}
	if !a.optBool("header", false) {
		return r, nil
	}
	header, err := r.fields()
	if err != nil {
		return nil, err
	}
	if header == nil {
		return nil, errors.New("there is no header: the text is empty")
	}
	r.header = header
	seen := make(map[string]bool, len(header))
	for _, name := range header {
		if seen[name] {
			return nil, fmt.Errorf("the header has %s twice", describe(lua.LString(name)))
		}
		seen[name] = true
	}
	return r, nil
}

// row reads the next row; nil where there is none.
func (r *csvReader) row() (*lua.LTable, error) {
	line := r.line
	fields, err := r.fields()
	if err != nil || fields == nil {
		return nil, err
	}
	r.m.add(120 + 40*len(fields))
	if r.header == nil {
		t := r.L.CreateTable(len(fields), 0)
		for _, f := range fields {
			t.Append(lua.LString(f))
		}
		return t, nil
	}
	if len(fields) > len(r.header) {
		return nil, fmt.Errorf("line %d: there are %d fields under a header of %d", line, len(fields), len(r.header))
	}
	t := r.L.CreateTable(0, len(r.header))
	for i, name := range r.header {
		value := ""
		if i < len(fields) {
			value = fields[i]
		}
		t.RawSetString(name, lua.LString(value))
	}
	return t, nil
}

// fields reads the next line that is not empty; nil where there is none.
func (r *csvReader) fields() ([]string, error) {
	for r.lineBreak() { // empty lines
		r.m.add(1)
	}
	if r.at == len(r.text) {
		return nil, nil
	}
	var fields []string
	for {
		f, err := r.field()
		if err != nil {
			return nil, err
		}
		fields = append(fields, f)
		r.m.add(len(f) + 32)
		switch {
		case r.at == len(r.text) || r.lineBreak():
			return fields, nil
		case r.text[r.at] != r.separator:
			c, _ := utf8.DecodeRuneInString(r.text[r.at:])
			return nil, fmt.Errorf("line %d: after the quote that ends field %d stands %q; a quote within quotes is written twice", r.line, len(fields), c)
		}
		r.at++
	}
}

// lineBreak reads one, where one is.
func (r *csvReader) lineBreak() bool {
	n := 0
	switch rest := r.text[r.at:]; {
	case strings.HasPrefix(rest, "\n"):
		n = 1
	case strings.HasPrefix(rest, "\r\n"):
		n = 2
	}
	if n > 0 {
		r.at += n
		r.line++
	}
	return n > 0
}

func (r *csvReader) field() (string, error) {
	if r.at == len(r.text) || r.text[r.at] != '"' {
		start := r.at
		for r.at < len(r.text) && r.text[r.at] != r.separator && r.text[r.at] != '\n' {
			r.at++
		}
		if r.at < len(r.text) && r.text[r.at] == '\n' && r.at > start && r.text[r.at-1] == '\r' {
			r.at--
		}
		return strings.Clone(r.text[start:r.at]), nil
	}
	line := r.line
	r.at++
	var b strings.Builder
	for {
		end := strings.IndexByte(r.text[r.at:], '"')
		if end < 0 {
			return "", fmt.Errorf("line %d: the quote that begins a field there has no end", line)
		}
		piece := r.text[r.at : r.at+end]
		r.line += strings.Count(piece, "\n")
		b.WriteString(piece)
		r.m.add(len(piece))
		r.at += end + 1
		if r.at == len(r.text) || r.text[r.at] != '"' {
			return b.String(), nil
		}
		b.WriteByte('"')
		r.at++
	}
}

func csvEncode(c *Call, L *lua.LState, a args) int {
	rows, separator, spreadsheet := a.table(0), a.separator(), a.optBool("spreadsheet", false)
	m := newMeter(L)
	var out []byte
	write := func(where string, values []lua.LValue) {
		before := len(out)
		for i, v := range values {
			if i > 0 {
				out = append(out, separator)
			}
			text, ok := scalar(v)
			if !ok && v != lua.LNil {
				a.fail("%s, field %d is %s; it must be a string, a number or a boolean", where, i+1, describe(v))
			}
			if spreadsheet && isFormula(text) {
				text = "'" + text
			}
			m.fits(len(out) + len(text))
			if needsQuotes(text, separator) || text == "" && len(values) == 1 {
				out = append(out, '"')
				out = append(out, strings.ReplaceAll(text, `"`, `""`)...)
				out = append(out, '"')
			} else {
				out = append(out, text...)
			}
		}
		out = append(out, "\r\n"...)
		m.add(len(out) - before + 16*len(values))
		m.fits(len(out))
	}
	list := func(t *lua.LTable) []lua.LValue {
		values := make([]lua.LValue, t.Len())
		m.add(16 * len(values))
		for i := range values {
			values[i] = t.RawGetInt(i + 1)
		}
		return values
	}
	var header []lua.LValue
	if v, ok := a.option("header"); ok {
		header = list(v.(*lua.LTable))
		for i, name := range header {
			if _, ok := wordOf(name); !ok {
				a.fail("option `header`: name %d must be a string, not %s", i+1, describe(name))
			}
		}
		if len(header) == 0 {
			a.fail("option `header` is empty")
		}
		write("the header", header)
	}
	for i := 1; i <= rows.Len(); i++ {
		where := fmt.Sprintf("row %d", i)
		row, ok := rows.RawGetInt(i).(*lua.LTable)
		if !ok {
			a.fail("%s must be a table, not %s", where, describe(rows.RawGetInt(i)))
		}
		values := list(row)
		named := len(values) == 0 && header != nil
		row.ForEach(func(k, _ lua.LValue) {
			m.add(8)
			switch name, isName := k.(lua.LString); {
			case !isName && named:
				a.fail("%s has the key %s", where, describe(k))
			case isName && header == nil:
				a.fail("%s has the name %s; the option header says in which order names are written", where, describe(k))
			case isName && !named:
				a.fail("%s is a list that also has the name %s", where, describe(k))
			case isName && !slices.ContainsFunc(header, func(h lua.LValue) bool { return h.String() == string(name) }):
				a.fail("%s has %s, which the header has not%s", where, describe(k), didYouMean(string(name), names(header)))
			}
		})
		if named {
			values = make([]lua.LValue, len(header))
			for i, name := range header {
				values[i] = row.RawGetString(name.String())
			}
		}
		if header != nil && len(values) > len(header) {
			a.fail("%s has %d fields under a header of %d", where, len(values), len(header))
		}
		if len(values) == 0 {
			a.fail("%s is empty: an empty line is no row", where)
		}
		write(where, values)
	}
	L.Push(lua.LString(out))
	return 1
}

func needsQuotes(text string, separator byte) bool {
	return strings.IndexByte(text, separator) >= 0 || strings.ContainsAny(text, "\"\r\n") || strings.HasPrefix(text, " ") || strings.HasSuffix(text, " ") || strings.HasPrefix(text, "\ufeff")
}

// isFormula reports whether a spreadsheet may compute a text. Digits and what stands between those of a telephone
// number call nothing.
func isFormula(text string) bool {
	text = strings.TrimLeft(text, " \t\r\n\x00")
	first, n := utf8.DecodeRuneInString(text)
	if n == 0 || !strings.ContainsRune("=+-@＝＋－＠", first) { // the wide ones too: some convert them
		return false
	}
	return first != '+' && first != '-' || strings.Trim(text[1:], "0123456789 .,()") != ""
}

func names(values []lua.LValue) []string {
	list := make([]string, len(values))
	for i, v := range values {
		list[i] = v.String()
	}
	return list
}
