package services

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"pgregory.net/rapid"

	"callisto/engine"
	"callisto/simulator"
)

// hostileValues are texts that a caller could send, and that would do something if anything on their way were to read them.
var hostileValues = []string{
	"'", "''", "\"", "`", "\\", "\\'", "\\\\'", "';DROP TABLE canary;--", "'; DELETE FROM canary; --", "' OR '1'='1", "\\'; DELETE FROM canary; -- ",
	"$1", "$$", "$a$", "?", "??", ":name", "::text", "@x", "%s", "%", "_", "*", "--", "/*", "*/", "#", ";", "E'\\x27'", "x' || (SELECT 1) || '", "\r\n", "\n;DELETE FROM canary",
	"${system(touch INJECTED)}", "1; DELETE FROM canary", "0x27", "%27", "＇; DELETE FROM canary", "\u02bc", "日本語 ünï 😀", "\u202e", " ", "", "NULL", "true", strings.Repeat("'", 300),
}

// bytes that are no text: for columns of bytes only.
var noTexts = []string{"\x00", "a\x00b'", "\xff\xfe", "\xbf\x27", "\xbf\x5c\x27 OR 1=1", "\x1a"}

// luaString writes s as a Lua string with every byte spelt out.
func luaString(s string) string {
	var b strings.Builder
	for i := range len(s) {
		fmt.Fprintf(&b, "\\%03d", s[i])
	}
	return `"` + b.String() + `"`
}

// Whatever a caller sends arrives as those bytes, in every parameter, and nothing of it is executed.
func TestHostileParameters(t *testing.T) {
	eachDatabase(t, func(t *testing.T, c engine.DatabaseConfig) {
		b := newSQL(t, c, map[string]string{"main": `error("see below")`})
		b.exec(createTable(c), "CREATE TABLE canary (n INTEGER)", "INSERT INTO canary VALUES (1)")
		arrive := func(texts, blobs []string) {
			t.Helper()
			var list strings.Builder
			for _, s := range texts {
				fmt.Fprintf(&list, "text(%s)\n", luaString(s))
			}
			for _, s := range append(texts, blobs...) {
				fmt.Fprintf(&list, "bytes(%s)\n", luaString(s))
			}
			b := newSQL(t, c, map[string]string{"main": `local db = sql.open("db")
local function text(s)
  assert(db:exec("DELETE FROM t"))
  assert(db:exec("INSERT INTO t (name) VALUES (?)", s))
  assert(db:row("SELECT name FROM t WHERE name = ?", s).name == s, s)
  assert(db:row("SELECT name FROM t WHERE name = :s AND :s = name", { s = s }).name == s, s)
  assert(#db:query("SELECT name FROM t WHERE name = ?", s) == 1, s)
  for row in db:rows("SELECT name FROM t WHERE name = ?", s) do assert(row.name == s) end
  assert(db:transaction(function(tx) tx:exec("UPDATE t SET name = :s WHERE name = :s", { s = s }) assert(tx:row("SELECT name FROM t WHERE name = ?", s).name == s) end))
end
local function bytes(s)
  assert(db:exec("DELETE FROM t"))
  assert(db:exec("INSERT INTO t (data) VALUES (?)", s))
  assert(db:row("SELECT data FROM t").data == s, s)
  assert(db:exec("UPDATE t SET data = :s", { s = sql.blob(s) }))
  assert(db:row("SELECT data FROM t WHERE data = ?", sql.blob(s)).data == s, s)
end
` + list.String() + `log.info("arrived")`})
			b.ended(b.start("main"))
			if got := strings.Join(b.log.messages(), "\n"); got != "arrived" {
				t.Fatalf("%s\n%q", got, texts)
			}
		}
		arrive(hostileValues, noTexts)
		part := rapid.SampledFrom([]string{"'", "\"", "\\", ";", "--", "/*", "*/", "$", "?", ":n", " ", "\n", "DELETE FROM canary", "%", "x", "å", "`", "(", ")", "#"})
		texts := rapid.SliceOfN(rapid.Map(rapid.SliceOfN(part, 1, 12), func(parts []string) string { return strings.Join(parts, "") }), 100, 100)
		blobs := rapid.SliceOfN(rapid.Map(rapid.SliceOf(rapid.Byte()), func(b []byte) string { return string(b) }), 20, 20)
		for range 5 {
			seed := rand.Int()
			arrive(texts.Example(seed), blobs.Example(seed))
		}
		if n := b.number("SELECT count(*) FROM canary"); n != 1 {
			t.Errorf("the canary is dead: %d", n)
		}
	})
}

// Text that the database has no encoding for is refused, not changed.
func TestNoText(t *testing.T) {
	c := testDatabase(postgresDSN(t))
	for _, s := range []string{"\x00", "\xff"} {
		b := newSQL(t, c, map[string]string{"main": `local r, why = sql.open("db"):row("SELECT CAST(? AS text) AS v", ` + luaString(s) + `) log.info(tostring(r) .. " " .. tostring(why):sub(1, 6))`})
		b.ended(b.start("main"))
		b.expect("a module's function failed", "nil ERROR:")
	}
}

// endless is a query that has no end, and one that has none after its first row.
func endless(c engine.DatabaseConfig) (atOnce, later string) {
	return by(c, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r", "SELECT pg_sleep(3600)", "SELECT SLEEP(3600)"),
		by(c, "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r WHERE n = 1 OR n < 0",
			"SELECT n FROM generate_series(1, 1000000000000) n WHERE n = 1 OR n < 0", "SELECT 1 AS n UNION ALL SELECT SLEEP(3600)")
}

// However a call ends while a database works for it: the call ends soon, the transaction is rolled back, no connection is
// kept, and others do not notice.
func TestSQLEndings(t *testing.T) {
	eachDatabase(t, func(t *testing.T, c engine.DatabaseConfig) {
		atOnce, later := endless(c)
		for _, use := range []struct{ name, script string }{
			{"query", "db:query([[" + atOnce + "]])"},
			{"after the first row", "db:query([[" + later + "]])"},
			{"exec", by(c, "db:exec([[INSERT INTO t (n) "+atOnce+"]])", "db:exec([["+atOnce+"]])", "db:exec([[DO SLEEP(3600)]])")},
			{"rows", "for row in db:rows([[" + later + "]]) do end"},
			{"rows that are left", "for row in db:rows([[SELECT 1 AS one UNION ALL " + strings.Replace(later, "SELECT n FROM gen", "SELECT n FROM gen", 1) + "]]) do if row then break end end call:sleep('1h')"},
			{"in a transaction", "db:transaction(function(tx) tx:exec([[INSERT INTO t (name) VALUES ('tx')]]) tx:query([[" + atOnce + "]]) end)"},
			{"a transaction that waits", "db:transaction(function(tx) tx:exec([[INSERT INTO t (name) VALUES ('tx')]]) call:sleep('1h') end)"},
			{"a transaction in a coroutine", "local co = coroutine.wrap(function() db:transaction(function(tx) tx:exec([[INSERT INTO t (name) VALUES ('tx')]]) call:sleep('1h') end) end) co()"},
		} {
			if use.name == "rows that are left" && c.DSN[0] != 'p' {
				use.script = "for i = 1, 300 do db:exec([[INSERT INTO t (n) VALUES (1)]]) end for row in db:rows([[SELECT id FROM t]]) do if row then break end end call:sleep('1h')"
			}
			for _, end := range []struct {
				name   string
				end    func(*bench, *simulator.Channel)
				ending string
			}{
				{"hangup", func(b *bench, c *simulator.Channel) { c.Hangup("NORMAL_CLEARING") }, "caller hung up"},
				{"engine stops", func(b *bench, c *simulator.Channel) { b.server.Close() }, "stopped"},
			} {
				t.Run(use.name+"/"+end.name, func(t *testing.T) {
					c := c
					c.DSN = anotherDSN(t, c)
					c.Timeout, c.Transaction = time.Hour, time.Hour
					b := newSQL(t, c, map[string]string{"main": `local db = sql.open("db") log.info("asks") ` + use.script,
						"other": `local db = sql.open("db") log.info("other " .. db:row("SELECT 7 AS n").n)`})
					b.exec(createTable(c))
					call := b.start("main")
					b.said("asks")
					ctx := within(t)
					for b.d.DB.Stats().InUse == 0 && ctx.Err() == nil {
						time.Sleep(time.Millisecond) // a poll: it has to be at work
					}
					time.Sleep(20 * time.Millisecond) // somewhere inside
					if end.name == "hangup" {
						b.ended(b.start("other")) // meanwhile
						b.said("other 7")
					}
					began := time.Now()
					end.end(b.bench, call)
					if ending := b.ended(call); ending != end.ending {
						t.Errorf("it ended %q\n%s", ending, b.log)
					}
					if took := time.Since(began); took > 5*time.Second {
						t.Errorf("it ended after %v", took)
					}
					b.idle()
					if n := b.number("SELECT count(*) FROM t WHERE name = 'tx'"); n != 0 {
						t.Errorf("a transaction that was not finished has left %d rows", n)
					}
					for _, m := range b.log.messages() {
						if m != "asks" && m != "other 7" && m != "a module's function failed" {
							t.Errorf("it says %q", m)
						}
					}
				})
			}
		}
	})
}

// Queries without an end, more than there are processors, stall neither the sql nor the kv of another call; and what a
// hangup handler writes is written.
func TestLongQueriesStallNobody(t *testing.T) {
	c := testDatabase("sqlite:" + filepath.Join(t.TempDir(), "db"))
	c.Timeout = time.Hour
	atOnce, later := endless(c)
	b := newSQL(t, c, map[string]string{
		"long": `log.info("long") sql.open("db"):query([[` + atOnce + `]])`, "later": `log.info("long") sql.open("db"):query([[` + later + `]])`,
		"other": `local db = sql.open("db", { timeout = "5s" })
call:on("hangup", function() assert(db:exec("INSERT INTO t (name) VALUES ('handler')")) end)
for i = 1, 20 do assert(kv.set("k", i)) assert(kv.get("k") == i) assert(kv.incr("n") == i) assert(db:exec("INSERT INTO t (n) VALUES (?)", i)) assert(db:row("SELECT n FROM t WHERE n = ?", i).n == i) end
log.info("done")
call:sleep("1h")`})
	store := newEmbedded(filepath.Join(t.TempDir(), "kv.db"))
	defer store.Close()
	b.server.Services.Store = store
	b.exec(createTable(c))
	var long []*simulator.Channel
	for range runtime.GOMAXPROCS(0) + 1 {
		long = append(long, b.start("long"), b.start("later"))
	}
	ctx := within(t)
	for b.d.DB.Stats().InUse < len(long) && ctx.Err() == nil {
		time.Sleep(time.Millisecond) // a poll
	}
	other := b.start("other")
	if _, ok := b.log.wait(ctx, func(r record) bool { return r.message == "done" }); !ok {
		t.Fatalf("another call is held up\n%s", b.log)
	}
	other.Hangup("NORMAL_CLEARING")
	b.ended(other)
	if n := b.number("SELECT count(*) FROM t WHERE name = 'handler'"); n != 1 {
		t.Errorf("the hangup handler has written %d rows\n%s", n, b.log)
	}
	for _, c := range long {
		c.Hangup("NORMAL_CLEARING")
		b.ended(c)
	}
	b.idle()
}

// A statement has its time, and so has a transaction, and rows that are read.
func TestSQLTimes(t *testing.T) {
	eachDatabase(t, func(t *testing.T, c engine.DatabaseConfig) {
		atOnce, later := endless(c)
		c.Timeout, c.Transaction = 300*time.Millisecond, 600*time.Millisecond
		b := newSQL(t, c, map[string]string{"main": saySQL + `say(db:query([[` + atOnce + `]])) say(db:query([[` + later + `]]))
say((pcall(function() for row in db:rows([[` + later + `]]) do end end)))
local ok, why = db:transaction(function(tx) tx:exec("INSERT INTO t (name) VALUES ('tx')") call:sleep(800) local n, why = tx:exec("INSERT INTO t (name) VALUES ('tx')") say(n, why) end) say(ok, why)
ok, why = db:transaction(function(tx) tx:exec("INSERT INTO t (name) VALUES ('tx')") call:sleep(800) end) say(ok, why)
for i = 1, 300 do db:exec("INSERT INTO t (n) VALUES (1)") end
local n, bad = 0, nil
local ok, why = pcall(function() for row in db:rows("SELECT id FROM t") do n = n + 1 if n == 50 then call:sleep(800) end end end)
say(ok, n < 300, why:gsub("^%S+ ", ""))
say(db:row("SELECT count(*) AS c FROM t WHERE name = 'tx'"))`})
		b.exec(createTable(c))
		b.ended(b.start("main"))
		var got []string
		for _, m := range b.log.messages() {
			if m != "a module's function failed" {
				got = append(got, m)
			}
		}
		want := []string{"nil timeout:s", "nil timeout:s", "false:b", "nil the transaction took longer than 600ms:s", "nil the transaction took longer than 600ms:s", "nil the transaction took longer than 600ms:s",
			"false:b true:b rows: the rows were read for longer than 600ms:s 1:n", "{c=0:n}"}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("it says\n%s\nnot\n%s\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"), b.log)
		}
		b.idle()
	})
}

// When all connections are in use, who waits for one hears so in time, and gets one when there is one again.
func TestSQLPoolIsFull(t *testing.T) {
	eachDatabase(t, func(t *testing.T, c engine.DatabaseConfig) {
		c.MaxOpen, c.Timeout = 2, time.Second
		b := newSQL(t, c, map[string]string{
			"keeps": `local db = sql.open("db") db:transaction(function(tx) log.info("keeps") call:sleep("1h") end)`,
			"reads": `local db = sql.open("db") for row in db:rows([[SELECT a.id FROM t a, t b]]) do log.info("reads") call:sleep("1h") end`,
			"asks":  `local r, why = sql.open("db"):row("SELECT 1 AS one") log.info(r and "one" or why)`,
		})
		b.exec(createTable(c))
		for range 30 {
			b.exec("INSERT INTO t (n) VALUES (1)")
		}
		keeps := b.start("keeps")
		b.said("keeps")
		reads := b.start("reads")
		b.said("reads")
		began := time.Now()
		var wg sync.WaitGroup
		for range 5 {
			call := b.start("asks")
			wg.Go(func() { b.ended(call) })
		}
		wg.Wait()
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("they waited %v", took)
		}
		b.said("timeout")
		keeps.Hangup("NORMAL_CLEARING")
		b.ended(keeps)
		b.ended(b.start("asks"))
		b.said("one")
		reads.Hangup("NORMAL_CLEARING")
		b.ended(reads)
		b.idle()
	})
}

// Whatever answers in the place of a database: scripts hear of it in time, and nothing is left.
func TestStrangeDatabases(t *testing.T) {
	pg := []strange{{"an error", "E\x00\x00\x00\x1aSFATAL\x00C28000\x00Mno\x00\x00", false}, {"ready at once", "R\x00\x00\x00\x08\x00\x00\x00\x00Z\x00\x00\x00\x05I", true},
		{"half", "R\x00\x00\x00\x08\x00", true}, {"huge", "R\x7f\xff\xff\xff", true}}
	my := []strange{{"half of a greeting", "\x4a\x00\x00\x00\x0a5.5", true}, {"an error", "\x17\x00\x00\x00\xff\x10\x04Too many connections", false}, {"huge", "\xff\xff\xff\x00\x0a", true}}
	for kind, strangers := range map[string][]strange{"postgres://u:secret@%s/db?sslmode=disable": append(pg, strangers...), "mysql://u:secret@%s/db": append(my, strangers...)} {
		for _, s := range strangers {
			t.Run(kind[:5]+"/"+s.name, func(t *testing.T) {
				c := testDatabase(fmt.Sprintf(kind, s.serve(t)))
				c.Timeout = 200 * time.Millisecond
				b := newSQL(t, c, map[string]string{"main": `local db = sql.open("db")
local function say(a, why) log.info(tostring(a) .. " " .. tostring(why ~= nil)) if why:find("secret") then log.info("a secret: " .. why) end end
say(db:query("SELECT 1")) say(db:row("SELECT 1")) say(db:exec("SELECT 1")) say(db:transaction(function() log.info("never") end)) say(pcall(function() for row in db:rows("SELECT 1") do end end))`,
					"waits": `log.info("waits") sql.open("db", { timeout = "1h" }):query("SELECT 1")`})
				began := time.Now()
				b.ended(b.start("main"))
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
				var got []string
				for _, m := range b.log.messages() {
					if m != "a module's function failed" {
						got = append(got, m)
					}
				}
				if text := strings.Join(got, ","); text != "nil true,nil true,nil true,nil true,false true" {
					t.Errorf("it says %s\n%s", text, b.log)
				}
				call := b.start("waits")
				b.said("waits")
				began = time.Now()
				call.Hangup("NORMAL_CLEARING")
				b.ended(call)
				if took := time.Since(began); took > 3*time.Second {
					t.Errorf("it ended %v after the hangup", took)
				}
				b.idle()
			})
		}
	}
}

func init() { parts["sql"] = transferForEver }

// transferForEver moves money between two accounts, and tells what has been acknowledged.
func transferForEver() {
	c := testDatabase("sqlite:" + os.Getenv("CALLISTO_TEST_FILE"))
	d, err := openDatabase(engine.DefaultConfig(), c)
	if err != nil {
		fmt.Println("error", err)
		return
	}
	ctx := context.Background()
	for i := 1; ; i++ {
		err := func() error {
			tx, err := d.DB.BeginTx(ctx, nil)
			if err != nil {
				return err
			}
			defer tx.Rollback()
			for _, s := range []string{"UPDATE accounts SET n = n - 1 WHERE name = 'a'", "UPDATE accounts SET n = n + 1 WHERE name = 'b'"} {
				if _, err := tx.ExecContext(ctx, s); err != nil {
					return err
				}
			}
			return tx.Commit()
		}()
		if err != nil {
			fmt.Println("error", err)
			return
		}
		fmt.Println("done", i)
	}
}

// A transaction that was acknowledged is there after a kill, and of none there is a half.
func TestKilledTransactions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "db")
	d, err := openDatabase(engine.DefaultConfig(), testDatabase("sqlite:"+file))
	must(t, err)
	defer d.DB.Close()
	for _, s := range []string{"CREATE TABLE accounts (name TEXT, n INTEGER)", "INSERT INTO accounts VALUES ('a', 0), ('b', 0)"} {
		if _, err := d.DB.ExecContext(within(t), s); err != nil {
			t.Fatal(err)
		}
	}
	acknowledged := 0
	for range 10 {
		lines := part(t, "sql", "CALLISTO_TEST_FILE="+file)
		if last := lines[len(lines)-1]; strings.HasPrefix(last, "error") {
			t.Fatal(last)
		}
		acknowledged += len(lines)
		var a, b int
		must(t, d.DB.QueryRowContext(within(t), "SELECT (SELECT n FROM accounts WHERE name = 'a'), (SELECT n FROM accounts WHERE name = 'b')").Scan(&a, &b))
		if a+b != 0 || b < acknowledged {
			t.Fatalf("%d were acknowledged, and the accounts have %d and %d", acknowledged, a, b)
		}
		acknowledged = b
	}
}

// A database that stands still while a call has a transaction open holds the call's end up for no more than a moment.
func TestFrozenDatabase(t *testing.T) {
	eachDatabase(t, func(t *testing.T, c engine.DatabaseConfig) {
		if by(c, true, false, false) {
			t.Skip("a file does not stand still")
		}
		for what, rest := range map[string]string{
			"rolled back": `call:sleep("1h") end)`,
			"committed":   `end)`,
		} {
			t.Run(what, func(t *testing.T) {
				c := c
				address, err := url.Parse(anotherDSN(t, c))
				must(t, err)
				var freeze, cut func()
				address.Host, freeze, cut = freezer(t, address.Host)
				c.DSN = address.String()
				c.Timeout, c.Transaction = time.Minute, time.Minute
				b := newSQL(t, c, map[string]string{"main": `sql.open("db"):transaction(function(tx) tx:exec([[INSERT INTO t (name) VALUES ('tx')]])
log.info("in") call:gather{ max = 1, timeout = "1h" } log.info("goes on") ` + rest})
				b.exec(createTable(c))
				call := b.start("main")
				b.said("in")
				freeze()
				if what == "committed" {
					for len(b.log.messages()) < 2 && within(t).Err() == nil {
						call.Press("1")
						time.Sleep(time.Millisecond) // a poll: it has to ask for it
					}
				}
				began := time.Now()
				call.Hangup("NORMAL_CLEARING")
				b.ended(call)
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("the call ended after %v", took)
				}
				cut() // or the driver would say goodbye for a while
			})
		}
	})
}

// freezer passes on what goes to an address and comes from there, until it is told to freeze. cut ends all connections.
func freezer(t *testing.T, to string) (address string, freeze, cut func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	var frozen atomic.Bool
	var running sync.WaitGroup
	over, end := context.WithCancel(t.Context())
	pass := func(from, to net.Conn) {
		defer to.Close()
		buf := make([]byte, 4096)
		for {
			n, err := from.Read(buf)
			if err != nil {
				return
			}
			if !frozen.Load() {
				to.Write(buf[:n])
			}
		}
	}
	running.Go(func() {
		for {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", to)
			if err != nil {
				near.Close()
				continue
			}
			context.AfterFunc(over, func() { near.Close() })
			running.Go(func() { pass(near, far) })
			running.Go(func() { pass(far, near) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		end()
		running.Wait()
	})
	return l.Addr().String(), func() { frozen.Store(true) }, end
}
