package luabind_test

import (
	"encoding/csv"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCSV(t *testing.T) {
	parse := func(name, text, options, want string) luaCase {
		return luaCase{"parse " + name, fmt.Sprintf(`local t, e = csv.parse(%s%s) log.info(t and json.encode(t) or e)`, luaString(text), options), want}
	}
	encode := func(name, arguments, want string) luaCase {
		return luaCase{"encode " + name, `log.info(csv.encode(` + arguments + `))`, want}
	}
	refuse := func(arguments, want string) luaCase {
		return luaCase{"refuse " + arguments, oops(`csv.encode(` + arguments + `)`), "csv.encode: " + want}
	}
	runLua(t, []luaCase{
		parse("rows", "a,b\r\n1,\n", "", `[["a","b"],["1",""]]`), parse("without a line break at the end", "a,b", "", `[["a","b"]]`), parse("nothing", "", "", `{}`),
		parse("quotes", "\"a,b\",\"c\"\"d\",\"e\r\nf\"\n\"\"", "", `[["a,b","c\"d","e\r\nf"],[""]]`), parse("a quote within a field", `a"b,c`, "", `[["a\"b","c"]]`),
		parse("empty lines", "\n\r\na\n\n\nb\n", "", `[["a"],["b"]]`), parse("a byte order mark", "\ufeffa,b", "", `[["a","b"]]`), parse("spaces and NUL", " a , \x00", "", `[[" a "," \u0000"]]`),
		parse("another separator", "a;b,c\n", `, { separator = ";" }`, `[["a","b,c"]]`), parse("tabs", "a\tb", `, { separator = "\t" }`, `[["a","b"]]`),
		parse("a carriage return alone", "a\rb,c\r", "", `[["a\rb","c\r"]]`),
		parse("a header", "name,n\nx,1\ny\n", ", { header = true }", `[{"n":"1","name":"x"},{"n":"","name":"y"}]`), parse("a header alone", "name,n\n", ", { header = true }", `{}`),
		parse("too many fields", "a\n1\n1,2\n", ", { header = true }", "line 3: there are 2 fields under a header of 1"), parse("no header", "", ", { header = true }", "there is no header: the text is empty"),
		parse("a header with a name twice", "a,a\n", ", { header = true }", `the header has "a" twice`),
		parse("a quote without an end", "a\nb,\"c\nd", "", "line 2: the quote that begins a field there has no end"), parse("something after a quote", "a\n\"b\"c,d", "", "line 2: after the quote that ends field 1 stands 'c'; a quote within quotes is written twice"),
		{"rows", `local s = "" for row in csv.rows("a,b\nc,d\n") do s = s .. row[1] .. row[2] end log.info(s)`, "abcd"},
		{"rows by name", `for row in csv.rows("a,b\nc,d\n", { header = true }) do log.info(row.a .. row.b) end`, "cd"},
		{"rows of a wrong text", `for row, e in csv.rows("a,b\n\"c") do log.info(row and row[1] or e) end`, "a | line 2: the quote that begins a field there has no end"},
		{"rows after the end", `local next = csv.rows("a") next() log.info(tostring(next()) .. tostring(next()))`, "nilnil"},
		{"rows of a wrong header", `for row, e in csv.rows("a,a", { header = true }) do log.info(tostring(row) .. e) end`, `falsethe header has "a" twice`},
		{"rows in coroutines", `local next = csv.rows("a\nb\n") coroutine.wrap(function() log.info(next()[1]) end)() log.info(next()[1])`, "a | b"},
		encode("rows", `{ { "a", 1, true }, { "b" } }`, "a,1,true\r\nb\r\n"), encode("nothing", `{}`, ""), encode("an empty field", `{ { "" }, { "", "" } }`, "\"\"\r\n,\r\n"),
		encode("quotes", `{ { "a,b", 'c"d', "e\nf", " g", "h\r" } }`, "\"a,b\",\"c\"\"d\",\"e\nf\",\" g\",\"h\r\"\r\n"), encode("names", `{ { b = 1 }, { a = "x" }, { "l" } }, { header = { "a", "b" } }`, "a,b\r\n,1\r\nx,\r\nl\r\n"),
		encode("another separator", `{ { "a,b", "c;d" } }, { separator = ";" }`, "a,b;\"c;d\"\r\n"),
		encode("formulas as they are", `{ { "=1+1", "+46 8" } }`, "=1+1,+46 8\r\n"),
		encode("for a spreadsheet", `{ { "=1+1", "+46 (0)8 123", "-5.5", "-1+cmd|' /C calc'!A0", "@SUM(A1)", "\t=1", "a=1", "＝1", "+cmd", -5, "" } }, { spreadsheet = true }`,
			"'=1+1,+46 (0)8 123,-5.5,'-1+cmd|' /C calc'!A0,'@SUM(A1),'\t=1,a=1,'＝1,'+cmd,-5,\r\n"),
		refuse(`{ "a" }`, `row 1 must be a table, not "a"`), refuse(`{ { "a", {} } }`, `row 1, field 2 is a table; it must be a string, a number or a boolean`),
		refuse(`{ { name = "x" } }`, `row 1 has the name "name"; the option header says in which order names are written`), refuse(`{ { nmae = "x" } }, { header = { "name" } }`, "row 1 has \"nmae\", which the header has not, did you mean `name`?"),
		refuse(`{ { "x", name = "x" } }, { header = { "name" } }`, `row 1 is a list that also has the name "name"`), refuse(`{ { "x", "y" } }, { header = { "name" } }`, `row 1 has 2 fields under a header of 1`),
		refuse(`{ {} }`, "row 1 is empty: an empty line is no row"), refuse(`{}, { header = {} }`, "option `header` is empty"), refuse(`{}, { header = { {} } }`, "option `header`: name 1 must be a string, not a table"),
		refuse(`{}, { separator = '"' }`, "option `separator` must be one character, such as \";\", not \"\\\"\""), refuse(`{}, { separator = "" }`, "option `separator` must be one character, such as \";\", not \"\""),
	})
}

// What is written is read again, by Callisto and by Go.
func TestCSVRoundTrip(t *testing.T) {
	field := rapid.StringOfN(rapid.SampledFrom([]rune("ab,;\"\n\r =+å\x00'\ufeff")), 0, 8, -1)
	gen := rapid.SliceOfN(rapid.SliceOfN(field, 1, 4), 0, 5)
	simulated(t, func(t *testing.T) {
		var script strings.Builder
		for seed := range 300 {
			script.WriteString("do local rows = {")
			for _, row := range gen.Example(seed) {
				script.WriteString("{")
				for _, f := range row {
					script.WriteString(luaString(f) + ",")
				}
				script.WriteString("},")
			}
			script.WriteString(`} local s = csv.encode(rows) log.info(s) if json.encode(csv.parse(s)) ~= json.encode(rows) then log.info("another") end end` + "\n")
		}
		b := newBench(t, map[string]string{"main": script.String()}, nil)
		b.run("main")
		got := b.log.messages()
		if len(got) != 300 {
			t.Fatalf("%d of 300 texts\n%s", len(got), b.log)
		}
		for seed, text := range got {
			r := csv.NewReader(strings.NewReader(text))
			r.FieldsPerRecord = -1
			rows, err := r.ReadAll()
			want := gen.Example(seed)
			for _, row := range want { // Go's reader takes CRLF within quotes for LF
				for i := range row {
					row[i] = strings.ReplaceAll(row[i], "\r\n", "\n")
				}
			}
			if err != nil || !slices.EqualFunc(rows, want, slices.Equal[[]string]) {
				t.Errorf("%q: Go reads %q, %v, not %q", text, rows, err, want)
			}
		}
	})
}

func TestCSVLimits(t *testing.T) {
	runLimits(t, []luaCase{
		{"rows", `csv.parse(("a\n"):rep(500000))`, "too much memory"},
		{"fields", `csv.parse((","):rep(1000000))`, "too much memory"},
		{"rows one by one", `while true do for row in csv.rows(("a,b\n"):rep(100000)) do end end`, "computes for too long"},
		{"empty lines", `local s = ("\n"):rep(1000000) while true do pcall(csv.parse, s) end`, "computes for too long"},
		{"text that grows", `local t = {} for i = 1, 2000 do t[i] = { ('"'):rep(400) } end csv.encode(t)`, "string of"},
	})
}
