package services

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"callisto/engine"
)

const saySQL = `local db = sql.open("db")
local function show(v)
  if type(v) ~= "table" then return type(v) == "nil" and "nil" or tostring(v) .. ":" .. type(v):sub(1, 1) end
  local list = {}
  for k, x in pairs(v) do list[#list + 1] = tostring(k) .. "=" .. show(x) end
  table.sort(list)
  return "{" .. table.concat(list, " ") .. "}"
end
local function say(...)
  local list = {}
  for i = 1, select("#", ...) do list[i] = show((select(i, ...))) end
  log.info(table.concat(list, " "))
end
`

func createTable(c engine.DatabaseConfig) string {
	return by(c,
		`CREATE TABLE t (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT UNIQUE, n BIGINT, x DOUBLE, ok BOOLEAN, data BLOB, price DECIMAL(30,10), day DATE, at TIMESTAMP)`,
		`CREATE TABLE t (id SERIAL PRIMARY KEY, name TEXT UNIQUE, n BIGINT, x DOUBLE PRECISION, ok BOOLEAN, data BYTEA, price NUMERIC(30,10), day DATE, at TIMESTAMP)`,
		`CREATE TABLE t (id INTEGER PRIMARY KEY AUTO_INCREMENT, name VARCHAR(600) COLLATE utf8mb4_bin UNIQUE, n BIGINT, x DOUBLE, ok BOOLEAN, data LONGBLOB, price DECIMAL(30,10), day DATE, at DATETIME)`)
}

func TestSQL(t *testing.T) {
	tests := []struct {
		name, script string
		want         []string // the same for all; or by kind of database
		postgres     []string
		mysql        []string
	}{
		{name: "exec", script: `say(db:exec("INSERT INTO t (name) VALUES (?)", "a")) say(db:exec("INSERT INTO t (name) VALUES (?), (?)", "b", "c"))
say(db:exec("UPDATE t SET n = 1")) say(db:exec("UPDATE t SET n = 1 WHERE name = ?", "a")) say(db:exec("DELETE FROM t WHERE name = ?", "nobody"))`,
			want: []string{"1:n 1:n", "2:n 3:n", "3:n", "1:n", "0:n"}, postgres: []string{"1:n", "2:n", "3:n", "1:n", "0:n"}, mysql: []string{"1:n 1:n", "2:n 2:n", "3:n", "1:n", "0:n"}},
		{name: "query", script: `for i = 1, 3 do db:exec("INSERT INTO t (name, n) VALUES (?, ?)", "r" .. i, i) end
say(db:query("SELECT name, n FROM t WHERE n > ? ORDER BY n", 1)) say(db:query("SELECT name FROM t WHERE n > 9")) say(db:query("SELECT count(*) AS c FROM t"))`,
			want: []string{"{1={n=2:n name=r2:s} 2={n=3:n name=r3:s}}", "{}", "{1={c=3:n}}"}},
		{name: "row", script: `db:exec("INSERT INTO t (name) VALUES (?), (?)", "a", "b") say(db:row("SELECT name FROM t ORDER BY id")) say(db:row("SELECT name FROM t WHERE name = ?", "x"))`,
			want: []string{"{name=a:s}", "nil"}},
		{name: "names", script: `db:exec("INSERT INTO t (name, n, x) VALUES (:name, :n, :x)", { name = "a", n = 2, x = 2 }) say(db:row("SELECT name, n, x, ok FROM t WHERE name = :name AND (n = :n OR :n = 7)", { n = 2, name = "a" }))
db:exec("INSERT INTO t (name, n) VALUES (:name, :n)", { name = "b" }) say(db:row("SELECT n, name FROM t WHERE name = 'b'"))
say(db:row("SELECT ':name' AS q, 'it''s ?' AS r, name /* :x ? */ FROM t -- :y ?\n WHERE name = :name", { name = "b" }))`,
			want: []string{"{n=2:n name=a:s x=2:n}", "{name=b:s}", "{name=b:s q=:name:s r=it's ?:s}"}},
		{name: "null", script: `db:exec("INSERT INTO t (name, n, ok) VALUES (?, ?, ?)", "a", nil, json.null) say(db:row("SELECT * FROM t"))
say(db:row("SELECT name FROM t WHERE n IS NULL AND name = ?", "a"))`,
			want: []string{"{id=1:n name=a:s}", "{name=a:s}"}},
		{name: "numbers", script: `db:exec("INSERT INTO t (n, x, price) VALUES (?, ?, ?)", 2^53, 0.1, 12.5) say(db:row("SELECT n, x, price FROM t"))
db:exec("DELETE FROM t") db:exec("INSERT INTO t (n, price) VALUES (?, ?)", "9223372036854775807", "12345678901234567890.0123456789") say(db:row("SELECT n FROM t")) say(db:row("SELECT n FROM t WHERE n = ?", "9223372036854775807"))
db:exec("INSERT INTO t (n) VALUES (?)", -5) say(db:row("SELECT n, n * ? AS m FROM t WHERE n < ?", 2, 0)) say(db:row("SELECT 1.5e0 AS f"))`,
			want: []string{"{n=9007199254740992:n price=12.5:n x=0.1:n}", "{n=9223372036854775807:s}", "{n=9223372036854775807:s}", "{m=-10:n n=-5:n}", "{f=1.5:n}"}},
		{name: "precision", script: `db:exec("INSERT INTO t (price) VALUES (?)", "12345678901234567890.0123456789") say(db:row("SELECT price FROM t").price)`,
			want: []string{"1.2345678901234567e+19:n"}, postgres: []string{"12345678901234567890.0123456789:s"}, mysql: []string{"12345678901234567890.0123456789:s"}},
		{name: "booleans", script: `db:exec("INSERT INTO t (ok) VALUES (?)", true) say(db:row("SELECT ok FROM t")) say(db:row("SELECT id FROM t WHERE ok = ?", true)) say(db:row("SELECT id FROM t WHERE ok = ?", false))`,
			want: []string{"{ok=true:b}", "{id=1:n}", "nil"}, mysql: []string{"{ok=1:n}", "{id=1:n}", "nil"}},
		{name: "times", script: `db:exec("INSERT INTO t (day, at) VALUES (?, ?)", "2026-11-22", "2026-11-22 14:05:06") say(db:row("SELECT day, at FROM t")) say(db:row("SELECT id FROM t WHERE at > ?", "2026-11-22 14:05:05"))
db:exec("UPDATE t SET at = ?", time.parse("2026-11-22T14:05:06+01:00")) say(db:row("SELECT at FROM t"))`,
			want: []string{"{at=2026-11-22 14:05:06:s day=2026-11-22:s}", "{id=1:n}", "{at=2026-11-22 13:05:06:s}"}},
		{name: "number as text", script: `db:exec("INSERT INTO t (name) VALUES (?)", 46701234567) say(db:row("SELECT name FROM t WHERE name = ?", 46701234567)) say(db:row("SELECT id FROM t WHERE id = ?", "1"))`,
			want: []string{"{name=46701234567:s}", "{id=1:n}"}},
		{name: "blob", script: `local all = "" for i = 0, 255 do all = all .. string.char(i) end
db:exec("INSERT INTO t (data) VALUES (?)", sql.blob(all)) say(db:row("SELECT data FROM t").data == all) say(db:row("SELECT id FROM t WHERE data = ?", sql.blob(all)))
db:exec("UPDATE t SET data = ?", all) say(db:row("SELECT data FROM t").data == all)`,
			want: []string{"true:b", "{id=1:n}", "true:b"}},
		{name: "duplicate", script: `db:exec("INSERT INTO t (name) VALUES (?)", "a") local n, why = db:exec("INSERT INTO t (name) VALUES (?)", "a") say(n, why:sub(1, 11)) say(db:row("SELECT count(*) AS c FROM t").c)`,
			want: []string{"nil duplicate: :s", "1:n"}},
		{name: "the database's words", script: `local n, why = db:exec("INSERT INTO nowhere VALUES (1)") say(n, why:find("nowhere") ~= nil) n, why = db:query("SELEKT") say(n, why:find("SELEKT") ~= nil)`,
			want: []string{"nil true:b", "nil true:b"}},
		{name: "too many rows", script: `for i = 1, 21 do db:exec("INSERT INTO t (n) VALUES (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1), (1)") end
say(db:query("SELECT id FROM t")) say(#db:query("SELECT id FROM t LIMIT 1000"))
local n = 0 for row in db:rows("SELECT id FROM t ORDER BY id") do n = n + 1 assert(row.id == n) end say(n)
say(db:row("SELECT id FROM t ORDER BY id"))`,
			want: []string{"nil more than 1000 rows: use LIMIT, or db:rows:s", "1000:n", "1008:n", "{id=1:n}"}},
		{name: "rows", script: `for i = 1, 3 do db:exec("INSERT INTO t (n) VALUES (?)", i) end
for row in db:rows("SELECT n FROM t WHERE n > ? ORDER BY n", 1) do db:exec("UPDATE t SET x = ? WHERE n = ?", row.n * 2, row.n) end say(db:query("SELECT x FROM t ORDER BY n"))
for row in db:rows("SELECT n FROM t WHERE n > 9") do say("never") end
local next = db:rows("SELECT n FROM t WHERE n = 1") say(next()) say(next()) say(next())
local _, why = pcall(function() for row in db:rows("SELEKT") do end end) say(why:find("^%S+ rows: ") ~= nil and why:find("SELEKT") ~= nil)`,
			want: []string{"{1={} 2={x=4:n} 3={x=6:n}}", "{n=1:n}", "nil", "nil", "true:b"}},
		{name: "rows that are left early", script: `local many = "WITH RECURSIVE gen(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM gen WHERE n < 1000) SELECT n FROM gen"
local first = db:rows(many) for i = 1, 2 do for row in db:rows(many) do if row then break end end end
local _, why = pcall(function() db:rows(many) end) say(why:match("rows: .*"))
for row in first do end for row in db:rows("SELECT 1 AS one") do say(row) end`,
			want: []string{"rows: 3 answers of [sql.db] are still being read: read one to its end first, or use db:query:s", "{one=1:n}"}},
		{name: "transaction", script: `say(db:transaction(function(tx) tx:exec("INSERT INTO t (name) VALUES (?)", "a") say(tx:row("SELECT name FROM t")) say(#tx:query("SELECT * FROM t")) end))
say(db:transaction(function(tx) tx:exec("INSERT INTO t (name) VALUES (?)", "b") return 5, "x" end)) say(db:row("SELECT count(*) AS c FROM t").c)`,
			want: []string{"{name=a:s}", "1:n", "true:b", "5:n x:s", "2:n"}},
		{name: "rolled back", script: `say(db:transaction(function(tx) tx:exec("INSERT INTO t (name) VALUES ('a')") return false end))
say(pcall(db.transaction, db, function(tx) tx:exec("INSERT INTO t (name) VALUES ('a')") error("no", 0) end))
local ok, why = db:transaction(function(tx) tx:exec("INSERT INTO t (name) VALUES ('a')") local n, why = tx:exec("INSERT INTO t (name) VALUES ('a')") say(n, why:sub(1, 10))
  n, why = tx:exec("INSERT INTO t (name) VALUES ('b')") say(n, why:sub(1, 26)) say(why:find("duplicate: ") ~= nil) end) say(ok, why:sub(1, 10))
say(db:row("SELECT count(*) AS c FROM t").c)`,
			want: []string{"false:b", "false:b no:s", "nil duplicate::s", "nil the transaction has failed:s", "true:b", "nil duplicate::s", "0:n"}},
		{name: "mistakes", script: `local kept
db:transaction(function(tx) kept = tx end)
for _, f in ipairs {
  function() db:query("SELECT ?") end, function() db:query("SELECT 1", 1) end, function() db:query("SELECT ?, ?", 1) end, function() db:query("") end,
  function() db:query("SELECT 1; DROP TABLE t") end, function() db:query("SELECT :a", { b = 1 }) end, function() db:query("SELECT :name", { nmae = 1 }) end,
  function() db:query("SELECT ?", { a = 1 }) end, function() db:query("SELECT :a", { 1 }) end, function() db:query("SELECT ?", print) end, function() db:query("SELECT 'x") end,
  function() db:query("SELECT ?1", 1) end, function() kept:exec("SELECT 1") end, function() sql.open("bd") end, function() db.query("SELECT 1") end, function() db:query("SELECT ?", expand "x") end,
  function() db:transaction(function(tx) db:exec("SELECT 1") end) end, function() db:transaction(function() db:transaction(function() end) end) end, function() db:query("SELECT 1 AS a, 2 AS a") error("two columns") end,
  function() db:query("SELECT \0") end, function() kept:rows("SELECT 1") end,
} do local _, why = pcall(f) log.info((tostring(why):gsub("^%S+:%d+: ", ""))) end
say(db:query("SELECT 1 AS one;")) say(db:query("SELECT 1 AS one; -- done"))`,
			want: []string{
				"query: the statement has 1 parameter, and there are 0 values", "query: the statement has 0 parameters, and there is 1 value", "query: the statement has 2 parameters, and there is 1 value",
				"query: the statement is empty", "query: these are several statements; give one at a time", "query: the statement has no :b, did you mean `a`?", "query: the statement has no :nmae, did you mean `name`?",
				"query: the statement has a ?, but the values have names: write :name", "query: the table of values must have names, such as { number = … }; without names, give the values one by one",
				"query: value 1 must be a string, a number, true, false, nil, a time or sql.blob(…), not a function", "query: a ' of the statement is not closed",
				"query: parameters are written ?, or :name, not ?1", "exec: the transaction is over: use tx inside its function only", "sql.open: there is no [sql.bd] in the configuration, did you mean `db`?",
				"use a colon: db:query(…), not db.query(…)", "query: value 1 must be a string, a number, true, false, nil, a time or sql.blob(…), not a userdata",
				"exec: inside a transaction use what its function was given: tx:exec(…)", "transaction: transactions of one database cannot be nested", "two columns", "query: the statement has a zero byte",
				"a transaction has no method or field `rows`, did you mean `row`?", "{1={one=1:n}}", "{1={one=1:n}}"}},
	}
	eachDatabase(t, func(t *testing.T, c engine.DatabaseConfig) {
		for _, test := range tests {
			t.Run(test.name, func(t *testing.T) {
				c.DSN = anotherDSN(t, c)
				b := newSQL(t, c, map[string]string{"main": saySQL + test.script})
				b.exec(createTable(c))
				b.ended(b.start("main"))
				var got []string
				for _, m := range b.log.messages() {
					if m != "a module's function failed" {
						got = append(got, m)
					}
				}
				want := test.want
				if w := by(c, nil, test.postgres, test.mysql); w != nil {
					want = w
				}
				if !slices.Equal(got, want) {
					t.Errorf("it says\n%s\nnot\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), b.log)
				}
				b.idle()
			})
		}
	})
}

// What PostgreSQL has types for and Lua has not, and a value for a parameter of each.
func TestPostgresTypes(t *testing.T) {
	c := testDatabase(postgresDSN(t))
	for _, test := range []struct{ typ, value, want string }{
		{"int2", `7`, "7:n"}, {"int4", `"7"`, "7:n"}, {"float4", `0.1`, "0.1:n"}, {"float8", `0.1`, "0.1:n"}, {"numeric", `0.1`, "0.1:n"}, {"numeric", `"NaN"`, "NaN:s"},
		{"numeric", `"0.123456789012345"`, "0.123456789012345:n"}, {"numeric", `"-0.1234567890123456"`, "-0.1234567890123456:s"},
		{"text", `7`, "7:s"}, {"varchar(9)", `true`, "true:s"}, {"bool", `true`, "true:b"}, {"bytea", `"\\000\255\0'"`, "\\000\xff\x00':s"},
		{"json", `json.encode({ a = 1 })`, `{"a":1}:s`}, {"jsonb", `'{"a": 1}'`, `{"a": 1}:s`}, {"uuid", `"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"`, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11:s"},
		{"timestamptz", `"2026-11-22T14:05:06+01:00"`, "2026-11-22T13:05:06Z:s"}, {"timestamptz", `time.parse("2026-11-22T14:05:06+01:00")`, "2026-11-22T13:05:06Z:s"},
		{"time", `"14:05:06"`, "14:05:06:s"}, {"inet", `"10.0.0.7"`, "10.0.0.7:s"}, {"int4[]", `"{1,2}"`, "{1,2}:s"},
	} {
		t.Run(test.typ+" "+test.value, func(t *testing.T) {
			b := newSQL(t, c, map[string]string{"main": saySQL + fmt.Sprintf("local r, why = db:row([[SELECT CAST(? AS %s) AS v]], %s) log.info(r and show(r.v) or why)", test.typ, test.value)})
			b.ended(b.start("main"))
			b.expect(test.want)
		})
	}
}
