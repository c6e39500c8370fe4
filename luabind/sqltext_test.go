package luabind_test

import (
	"strings"
	"testing"

	"callisto/luabind"
)

func TestParseSQL(t *testing.T) {
	const all = "sqlite postgres mysql"
	for _, test := range []struct{ in, named, dialects, want string }{
		{"SELECT ? + ?", "", "sqlite mysql", "SELECT ? + ? 2"},
		{"SELECT ? + ?", "", "postgres", "SELECT $1 + $2 2"},
		{"SELECT :a + :b_1 + :a", "named", "postgres", "SELECT $1 + $2 + $1 a b_1"},
		{"SELECT :a + :b + :a", "named", "sqlite mysql", "SELECT ? + ? + ? a b a"},
		{"SELECT ':a' || :a, x::text, \":a\"", "named", "postgres", "SELECT ':a' || $1, x::text, \":a\" a"},
		{"SELECT a[1:2], a[i:j], ?::int", "", "postgres", "SELECT a[1:2], a[i:j], $1::int 1"},
		{"SELECT '?', 'it''s ?', \"?\", \"a\"\"?\" -- ?\n, ? /* ? */", "", all, "SELECT '?', 'it''s ?', \"?\", \"a\"\"?\" -- ?\n, P /* ? */ 1"},
		{"SELECT `?`", "", "sqlite mysql", "SELECT `?` 0"},
		{"SELECT [?], ?", "", "sqlite", "SELECT [?], ? 1"},
		{"SELECT a[?]", "", "postgres", "SELECT a[$1] 1"},
		{`SELECT 'a\', ?`, "", "sqlite postgres", `SELECT 'a\', P 1`},
		{`SELECT 'a\', ?'`, "", "mysql", `SELECT 'a\', ?' 0`},
		{`SELECT E'a\', ?', e'\\', ?`, "", "postgres", `SELECT E'a\', ?', e'\\', $1 1`},
		{`SELECT case'\', ?`, "", "postgres", `SELECT case'\', $1 1`},
		{"SELECT $$ ? ' $$, $a$ ? $$ $a$, ?", "", "postgres", "SELECT $$ ? ' $$, $a$ ? $$ $a$, $1 1"},
		{"SELECT a$b$, ?, $b$?$b$", "", "postgres", "SELECT a$b$, $1, $b$?$b$ 1"},
		{"SELECT /* a /* ? */ ? */ ?", "", "postgres", "SELECT /* a /* ? */ ? */ $1 1"},
		{"SELECT /* a /* ? */ ?", "", "sqlite mysql", "SELECT /* a /* ? */ ? 1"},
		{"SELECT 1 # ?\n, ?", "", "mysql", "SELECT 1 # ?\n, ? 1"},
		{"SELECT 5--?", "", "mysql", "SELECT 5--? 1"},
		{"SELECT 5--?", "", "sqlite postgres", "SELECT 5--? 0"},
		{"SELECT a ?? 'b', ?", "", "postgres", "SELECT a ? 'b', $1 1"},
		{"SET @a := ?", "", "mysql", "SET @a := ? 1"},
		{"SELECT 1;", "", all, "SELECT 1 0"},
		{" SELECT 1 ; -- ; \n /* ; */ ", "", all, " SELECT 1  -- ; \n /* ; */  0"},
		{"SELECT ';'", "", all, "SELECT ';' 0"},
		{"SELECT 'ü?', ?, \xff", "", all, "SELECT 'ü?', P, \xff 1"},

		{"SELECT 1; SELECT 2", "", all, "!these are several statements; give one at a time"},
		{"SELECT 1;;", "", all, "!these are several statements; give one at a time"},
		{"", "", all, "!the statement is empty"},
		{" ; ", "", all, "!the statement is empty"},
		{"SELECT '?", "", all, "!a ' of the statement is not closed"},
		{"SELECT 'a''", "", all, "!a ' of the statement is not closed"},
		{`SELECT 'a\'`, "", "mysql", "!a ' of the statement is not closed"},
		{"SELECT /* ?", "", all, "!a comment of the statement has no end"},
		{"SELECT /*/", "", all, "!a comment of the statement has no end"},
		{"SELECT $a$ ?", "", "postgres", "!a $a$ of the statement is not closed"},
		{"SELECT $1", "", "postgres", "!parameters are written ?, or :name, not $1"},
		{"SELECT ?1", "", all, "!parameters are written ?, or :name, not ?1"},
		{"SELECT :a", "", "sqlite mysql", "!the statement has :a: give a table with the values, such as { a = … }"},
		{"SELECT ?", "named", all, "!the statement has a ?, but the values have names: write :name"},
		{"SELECT 1\x00", "", all, "!the statement has a zero byte"},
	} {
		for _, d := range strings.Fields(test.dialects) {
			want := strings.ReplaceAll(test.want, "P", map[bool]string{true: "$1", false: "?"}[d == "postgres"])
			if got := luabind.ParseSQL(test.in, luabind.Dialect(d), test.named != ""); got != want {
				t.Errorf("%s: %q\n got %q\nwant %q", d, test.in, got, want)
			}
		}
	}
}

// FuzzSQL: no text panics, and in one without quotes and comments each ? is a parameter.
func FuzzSQL(f *testing.F) {
	for _, s := range hostile {
		f.Add(s, true)
		f.Add("SELECT ? FROM "+s, false)
	}
	f.Fuzz(func(t *testing.T, s string, named bool) {
		for _, d := range []luabind.Dialect{luabind.SQLite, luabind.PostgreSQL, luabind.MySQL} {
			got := luabind.ParseSQL(s, d, named)
			if !named && !strings.ContainsAny(s, "'\"`[$-#/:;\x00") && strings.TrimSpace(s) != "" && !strings.Contains(s, "??") && !strings.HasPrefix(got, "!") {
				if n := strings.Count(s, "?"); d != luabind.PostgreSQL && strings.Count(got, "?") != n {
					t.Errorf("%s: %q has %d parameters: %q", d, s, n, got)
				}
			}
		}
	})
}
