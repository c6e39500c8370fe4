package calltest

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Databases are the test's own, empty at first; scripts find them as the test says.
func TestDatabases(t *testing.T) {
	t.Parallel()
	const note = `local db = sql.open("crm")
local n, why = db:exec("INSERT INTO calls (number) VALUES (?)", call.caller.number)
log.info(n or why)
`
	const transfer = `local db = sql.open("crm")
call:answer()
local kept, why = db:transaction(function(tx)
  tx:exec("INSERT INTO calls (number) VALUES (?)", call.caller.number)
  call:sleep(call.args.takes)
  tx:exec("INSERT INTO calls (number) VALUES (?)", "after")
end)
log.info(tostring(kept or why))
`
	for _, test := range []struct {
		name, body string
		want       []string // of the failures; none: it passes
	}{
		{name: "is there", body: `expect(note()):is("1") expect(numbers()):is("+46701")`},
		{name: "is empty in each test", body: `expect(numbers()):is("")`},
		{name: "is set up", body: `test.sql("crm", "INSERT INTO calls VALUES ('1'); INSERT INTO calls VALUES ('2; 3');\n") expect(numbers()):is("1 2; 3")`},
		{name: "is not one of PostgreSQL", body: `test.sql("crm", "INSERT INTO calls VALUES ('1'); SELECT now()")`, want: []string{"test.sql: SQL logic error: no such function: now (1)"}},
		{name: "another", body: `test.sql("crn", "SELECT 1")`, want: []string{"test.sql: there is no [sql.crn] in the configuration, did you mean `crm`?"}},
		{name: "is gone", body: `test.database("crm", "gone") expect(note()):is("refused") expect(numbers()):is("")`},
		{name: "is slow", body: `test.database("crm", "slow") local caller = test.call { script = "note" } caller:ends() expect(caller.log[#caller.log]):is("timeout")
  expect(caller.seconds):is_above(2.9) expect(caller.seconds):is_below(3.2)`},
		{name: "talks nonsense", body: `test.database("crm", "nonsense") expect(note()):is("bad answer: this is no message of a database")`},
		{name: "is lost", body: `test.database("crm", "lost")`, want: []string{"test.database: argument `how` must be one of gone, slow, nonsense, not \"lost\""}},
		{name: "another is gone", body: `test.database("crn", "gone")`, want: []string{"test.database: there is no [sql.crn] in the configuration, did you mean `crm`?"}},
		{name: "a transaction", body: `local caller = test.call { script = "transfer", args = { takes = "2s" } } caller:ends() expect(caller.log):is { "true" } expect(numbers()):is("+15551230000 after")`},
		{name: "a transaction that others wait for", body: `local a = test.call { script = "transfer", args = { takes = "2s" } }
  caller = test.call { script = "note", number = "+46701" } caller:ends() expect(caller.seconds):is_above(2) expect(caller.log):is { "1" } expect(a.log):is { "true" }
  expect(numbers()):is("+15551230000 after +46701")`},
		{name: "a transaction that others do not wait for so long", body: `local a = test.call { script = "transfer", args = { takes = "4s" } }
  local caller = test.call { script = "note", number = "+46701" } caller:ends() expect(caller.seconds):is_below(3.2) expect(caller.log[2]):is("timeout")
  a:ends() expect(numbers()):is("+15551230000 after")`},
		{name: "a transaction that takes too long", body: `local caller = test.call { script = "transfer", args = { takes = "11s" } } caller:ends()
  expect(caller.log[#caller.log]):is("the transaction took longer than 10s") expect(numbers()):is("")`},
		{name: "a transaction without its caller", body: `local caller = test.call { script = "transfer", args = { takes = "5s" } } caller:waits("2s") caller:hangs_up() expect(numbers()):is("")`},
		{name: "gone in a transaction", body: `local caller = test.call { script = "transfer", args = { takes = "5s" } } caller:waits("2s") test.database("crm", "gone") caller:ends()
  expect(caller.log[#caller.log]):is("refused") expect(numbers()):is("")`},
		{name: "looks into a transaction", body: `test.call { script = "transfer", args = { takes = "5s" } } test.wait("1s") test.sql("crm", "DELETE FROM calls")`,
			want: []string{"test.sql: a call is in a transaction, or in a loop of db:rows: let it come to the end of that first"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			library, dir := project(t, map[string]string{
				"config.toml": "[sql.crm]\ndsn = \"postgres://nobody@localhost/crm\"\ntimeout = \"3s\"\ntransaction = \"10s\"\n",
				"note.lua":    note, "transfer.lua": transfer,
				"note_test.lua": `local function note()
  local caller = test.call { script = "note", number = "+46701" }
  caller:ends()
  return caller.log[#caller.log]
end
local function numbers()
  local list = {}
  for row in sql.open("crm"):rows("SELECT number FROM calls ORDER BY rowid") do list[#list + 1] = row.number end
  return table.concat(list, " ")
end
before_each(function() test.sql("crm", "CREATE TABLE calls (number TEXT); SELECT 1") end)
it("x", function() ` + test.body + ` end)
`})
			r, out := runLibrary(t, library, dir, Options{})
			var got []string
			for _, f := range r.Files[0].Tests[0].Failures {
				got = append(got, f.Message)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s\n%s", diff, out)
			}
		})
	}
}

// What a script asks is in the story of its call.
func TestDatabaseStory(t *testing.T) {
	t.Parallel()
	library, dir := project(t, map[string]string{
		"config.toml": "[sql.crm]\ndsn = \"sqlite:crm.db\"\n",
		"a.lua":       "sql.open('crm'):transaction(function(tx) tx:exec([[INSERT INTO calls\n  VALUES (?)]], 'secret') end)",
		"a_test.lua":  `it("x", function() test.sql("crm", "CREATE TABLE calls (number)") test.call { script = "a" }:ends() error("x") end)`})
	_, out := runLibrary(t, library, dir, Options{})
	want := `        0.00s  call     +15551230000 calls 9000 and runs a
        0.00s  sql      crm: BEGIN
        0.00s  sql      crm: INSERT INTO calls VALUES (?)
        0.00s  sql      crm: COMMIT
`
	if !strings.Contains(out, want) {
		t.Errorf("want\n%sin\n%s", want, out)
	}
}
