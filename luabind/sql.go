package luabind

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

var sqlModule = &Module{
	Name: "sql",
	Doc: "`sql` asks databases: SQLite, PostgreSQL and MySQL, those that have a `[sql.NAME]` in the configuration.\n\n" +
		"```toml\n[sql.crm]\ndsn = \"postgres://callisto:secret@10.0.0.5/crm\"\n```\n\n" +
		"The script names the database, the statement, and the values that belong in it:\n\n" +
		"```lua\n" +
		`local db = sql.open("crm")
local customer, why = db:row("SELECT name, greeting FROM customers WHERE number = ?", call.caller.number)
if customer then
  call:playback(customer.greeting)
elseif why then
  log.warn("no answer from the CRM", { why = why })
end
db:exec("INSERT INTO calls (number, destination) VALUES (:number, :to)", { number = call.caller.number, to = call.destination })
` + "```\n\n" +
		"**Values are parameters, never text.** A `?` stands for each, or a `:name` for those of a table; what a caller has sent arrives in the database as those bytes and is " +
		"never a part of the statement. A statement that is put together with `..` is the author's own doing; `callisto check` doubts it. In quotes and comments a `?` is itself; " +
		"PostgreSQL's operators with a `?` are written `??`. One statement at a time.\n\n" +
		"| Lua | to the database | from the database |\n|---|---|---|\n" +
		"| nil, `json.null` | NULL | NULL is a field that is not there |\n" +
		"| number | a whole number where it is one | a number; one with more digits than a number of Lua holds, of 64 bits or NUMERIC, is a string of them |\n" +
		"| string | text, or the bytes of a BYTEA | text, bytes, JSON, UUIDs and whatever has no type of Lua |\n" +
		"| `sql.blob(s)` | bytes | |\n" +
		"| boolean | a boolean, 1 or 0 where there is none | a boolean, where the database has them |\n" +
		"| a time of the module `time` | a moment | a string: `2026-11-22` a date, `2026-11-22 14:05:06` without a zone, `2026-11-22T13:05:06Z` a moment |\n\n" +
		"When a database does not answer within the `timeout` of its configuration, the wait for a connection included, or refuses, the result is nil and why: `timeout`, " +
		"`stopped` where a handler of the call has ended the wait, `duplicate: …` where something is there already that may be there only once, or the database's own words. " +
		"The log has a warning then. Mistakes in the use, such as a value too few, raise.",
	Functions: []Verb{
		{
			Name: "open", Params: []Param{{Name: "name", Type: String, Doc: "as in [sql.NAME]"}},
			Options: []Param{{Name: "timeout", Type: Duration, Doc: "for each statement, instead of the configuration's"}},
			Results: []Result{{"database", "Database", "raises where the configuration has none of that name"}},
			Doc:     "Names a database. Nothing is connected before it is asked something.",
			run: func(c *Call, L *lua.LState, a args) int {
				name := a.string(0)
				var all map[string]*Database
				if c.env.Services != nil {
					all = c.env.Services.Databases
				}
				d := a.database(name, all)
				h := &database{Database: d, name: name, timeout: d.Timeout}
				if timeout, ok := a.optDuration("timeout"); ok {
					if timeout < time.Millisecond {
						a.fail("option `timeout` must be 1 ms or more")
					}
					h.timeout = timeout
				}
				L.Push(databaseClass.new(h))
				return 1
			},
		},
		{
			Name: "blob", Params: []Param{{Name: "bytes", Type: String, Doc: "any string"}},
			Results: []Result{{"value", "Blob", "for a parameter"}},
			Doc:     "Marks a value that is bytes rather than text, for a column of BLOB in SQLite.",
			run: func(c *Call, L *lua.LState, a args) int {
				L.Push(blobClass.new(blob(a.string(0))))
				return 1
			},
		},
	},
	Classes: []*Class{databaseClass, transactionClass, blobClass},
	Outside: true,
}

// database is one of the configuration's.
func (a args) database(name string, all map[string]*Database) *Database {
	d := all[name]
	if d == nil {
		a.fail("there is no [sql.%s] in the configuration%s", name, didYouMean(name, slices.Sorted(maps.Keys(all))))
	}
	return d
}

var (
	statementParam = Param{Name: "statement", Type: String, Constant: true, Instead: "write a ? for each value, and give the values after the statement",
		Doc: "one statement, with ? or :name for the values"}
	valuesParam = Param{Name: "values", Type: Any, Optional: true, Rest: true, Doc: "one for each ?, or one table for all the :names"}
)

var databaseClass = &Class{
	Name: "Database", Article: "a database", Var: "db",
	Doc:     "A database that `sql.open` has named. Each of its methods takes a connection for as long as it runs.",
	Methods: append(statements("db"), rowsVerb, transactionVerb),
}

var transactionClass = &Class{
	Name: "Transaction", Article: "a transaction", Var: "tx",
	Doc:     "What the function of `db:transaction` is given: its statements happen together.",
	Methods: statements("tx"),
}

// statements are the methods that databases and transactions have.
func statements(of string) []Verb {
	return []Verb{
		{
			Name: "query", Params: []Param{statementParam, valuesParam},
			Results: []Result{{"rows", "table[]?", "each a table with the columns' names; nil where it failed"}, whyResult},
			Doc:     "Reads all rows of an answer. More than `max_rows` of the configuration, 1,000 if it does not say, are a failure: use LIMIT, or `rows`.",
			run: func(c *Call, L *lua.LState, a args) int {
				of := a.sqlTarget()
				r, err := c.readRows(L, a, of, of.base().MaxRows+1)
				if err == nil && len(r.rows) > of.base().MaxRows {
					err = fmt.Errorf("more than %d rows: use LIMIT, or db:rows", of.base().MaxRows)
					c.warn(L, a, err)
				}
				if err != nil {
					return failure(L, err)
				}
				charge(L, r.bytes)
				t := L.CreateTable(len(r.rows), 0)
				for _, row := range r.rows {
					t.Append(r.table(L, row))
				}
				L.Push(t)
				return 1
			},
		},
		{
			Name: "row", Params: []Param{statementParam, valuesParam},
			Results: []Result{{"row", "table?", "a table with the columns' names; nil where there is no row, or where it failed"}, whyResult},
			Doc:     "Reads the first row of an answer.",
			run: func(c *Call, L *lua.LState, a args) int {
				r, err := c.readRows(L, a, a.sqlTarget(), 1)
				switch {
				case err != nil:
					return failure(L, err)
				case len(r.rows) == 0:
					L.Push(lua.LNil)
					return 1
				}
				charge(L, r.bytes)
				L.Push(r.table(L, r.rows[0]))
				return 1
			},
		},
		{
			Name: "exec", Params: []Param{statementParam, valuesParam},
			Results: []Result{{"affected", "integer?", "how many rows it has changed; nil where it failed"},
				{"id", "integer|string?", "of the row that an INSERT has made, where SQLite or MySQL has counted it; or what went wrong"}},
			Doc: "Runs a statement that changes something.",
			run: runExec,
		},
	}
}

// A database is one that a script has named.
type database struct {
	*Database
	name    string
	timeout time.Duration
}

// A sqlTarget is a database or a transaction.
type sqlTarget interface {
	base() *database
	// do has a statement run, on a goroutine of outside's.
	do(ctx context.Context, work func(context.Context, sqlConn) error) error
}

// A sqlConn is a connection, or a transaction on one.
type sqlConn interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func (d *database) base() *database { return d }

func (d *database) do(ctx context.Context, work func(context.Context, sqlConn) error) error {
	conn, err := d.connection(ctx)
	if err != nil {
		return err
	}
	defer conn.Close()
	return d.watched(ctx, conn, func() error { return work(ctx, asked{conn, d.Database}) })
}

// connection takes one of the pool.
func (d *Database) connection(ctx context.Context) (*sql.Conn, error) {
	if d.Connect != nil {
		return d.Connect(ctx)
	}
	return d.DB.Conn(ctx)
}

// ask tells of a statement that is about to run.
func (d *Database) ask(ctx context.Context, statement string) error {
	if d.Ask == nil {
		return nil
	}
	return d.Ask(ctx, statement)
}

// asked is a connection whose statements are told of.
type asked struct {
	sqlConn
	of *Database
}

func (c asked) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	if err := c.of.ask(ctx, query); err != nil {
		return nil, err
	}
	return c.sqlConn.QueryContext(ctx, query, args...)
}

func (c asked) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	if err := c.of.ask(ctx, query); err != nil {
		return nil, err
	}
	return c.sqlConn.ExecContext(ctx, query, args...)
}

// watched runs work, which uses conn and no other has, and interrupts it when ctx ends.
func (d *Database) watched(ctx context.Context, conn *sql.Conn, work func() error) error {
	if d.Interrupt == nil {
		return work()
	}
	interrupt, err := d.Interrupt(conn)
	if err != nil {
		return err
	}
	over := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(over)
		interrupt()
	})
	defer func() {
		if !stop() {
			<-over // the connection is not given back before
		}
	}()
	return work()
}

// sqlTarget is the database or the transaction whose method runs.
func (a args) sqlTarget() sqlTarget {
	switch x := a.self().(type) {
	case *transaction:
		if x.over {
			a.fail("the transaction is over: use tx inside its function only")
		}
		return x
	case *database:
		if c := callOf(a.L); slices.ContainsFunc(c.transactions, func(t *transaction) bool { return t.Database == x.Database }) {
			a.fail("inside a transaction use what its function was given: tx:%s(…)", a.verb.Name)
		}
		return x
	}
	return nil
}

// bound is the statement of a verb with its values.
func (a args) bound(of sqlTarget) (string, []any) {
	values := make([]lua.LValue, max(0, a.L.GetTop()-a.first))
	for i := range values {
		values[i] = a.value(i + 1)
	}
	text, list, err := of.base().bind(a.L, a.string(0), values)
	if err != nil {
		a.fail("%v", err)
	}
	return text, list
}

// inDatabase has a statement run, and says what went wrong.
func (c *Call) inDatabase(L *lua.LState, a args, of sqlTarget, work func(context.Context, sqlConn) error) error {
	err := c.outside(L, of.base().timeout, func(ctx context.Context) error { return of.do(ctx, work) })
	err = of.base().explained(err)
	c.warn(L, a, err)
	return err
}

// explained is an error as scripts hear of it.
func (d *Database) explained(err error) error {
	var already duplicate
	if err != nil && d.Duplicate != nil && !errors.As(err, &already) && d.Duplicate(err) {
		return duplicate{err}
	}
	return err
}

// A duplicate is an error with the word that scripts look for.
type duplicate struct{ error }

func (d duplicate) Error() string { return "duplicate: " + d.error.Error() }

// readRows reads up to so many rows.
func (c *Call) readRows(L *lua.LState, a args, of sqlTarget, most int) (*sqlRows, error) {
	text, values := a.bound(of)
	r := &sqlRows{}
	memory := c.env.Limits.Memory
	err := c.inDatabase(L, a, of, func(ctx context.Context, conn sqlConn) error {
		rows, err := conn.QueryContext(ctx, text, values...)
		if err != nil {
			return err
		}
		defer rows.Close()
		if err := r.columns(rows); err != nil {
			return err
		}
		for len(r.rows) < most && rows.Next() {
			if err := r.read(rows); err != nil {
				return err
			}
			if memory > 0 && r.bytes > memory {
				return errors.New("the rows take more than limits.memory: use LIMIT, or db:rows")
			}
		}
		if err := rows.Err(); err != nil {
			return err
		}
		return rows.Close()
	})
	return r, err
}

func runExec(c *Call, L *lua.LState, a args) int {
	of := a.sqlTarget()
	text, values := a.bound(of)
	var affected, id int64
	err := c.inDatabase(L, a, of, func(ctx context.Context, conn sqlConn) error {
		r, err := conn.ExecContext(ctx, text, values...)
		if err != nil {
			return err
		}
		if affected, err = r.RowsAffected(); err != nil {
			return err
		}
		if isInsert(text) && affected > 0 {
			id, _ = r.LastInsertId() // PostgreSQL has none
		}
		return nil
	})
	if err != nil {
		return failure(L, err)
	}
	L.Push(lua.LNumber(affected))
	if id == 0 {
		return 1
	}
	L.Push(sqlValue(id, ""))
	return 2
}

func isInsert(text string) bool {
	word, _, _ := strings.Cut(strings.TrimSpace(text), " ")
	return strings.EqualFold(word, "INSERT") || strings.EqualFold(word, "REPLACE")
}

// A transaction is one that is open.
type transaction struct {
	*database
	call   *Call
	conn   *sql.Conn
	tx     *sql.Tx
	cancel context.CancelFunc // ends it, whatever the database does
	limit  context.Context    // ends when it has taken too long
	failed error              // of the first statement that did: then it cannot come to be
	over   bool
}

func (t *transaction) base() *database { return t.database }

func (t *transaction) do(ctx context.Context, work func(context.Context, sqlConn) error) error {
	if t.failed != nil {
		return fmt.Errorf("the transaction has failed: %w", t.failed)
	}
	err := t.watched(ctx, t.conn, func() error { return work(ctx, asked{t.tx, t.Database}) })
	if t.limit.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("the transaction took longer than %v", t.Transaction)
	}
	if err != nil {
		t.failed = t.explained(err)
	}
	return t.failed
}

// begin opens it.
func (t *transaction) begin(ctx context.Context) error {
	conn, err := t.connection(ctx)
	if err != nil {
		return err
	}
	// Its own context: that of the wait for BEGIN ends with the wait.
	limit, cancel := t.call.conn.WithTimeout(context.Background(), t.Transaction)
	stop := context.AfterFunc(ctx, cancel)
	var tx *sql.Tx
	if err = t.ask(ctx, "BEGIN"); err == nil {
		tx, err = conn.BeginTx(limit, nil)
	}
	if err == nil && !stop() {
		tx.Rollback()
		err = ctx.Err()
	}
	if err != nil {
		stop()
		cancel()
		conn.Close()
		return err
	}
	t.conn, t.tx, t.cancel, t.limit = conn, tx, cancel, limit
	return nil
}

// end gives the connection back, after a commit or a rollback.
func (t *transaction) end() {
	t.cancel()
	t.conn.Close()
	t.tx = nil
}

// rollback ends it without its changes, if it is open. A database that does not answer loses the connection.
func (t *transaction) rollback() {
	if t.tx == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), settle)
	defer cancel()
	defer context.AfterFunc(ctx, t.cancel)()
	t.finish(ctx, "ROLLBACK", t.tx.Rollback)
	t.end()
}

// finish ends the transaction with a statement. MySQL's driver has no context for that, and would wait for a server that
// hangs until it gives the connection up by itself: there the statement goes before, as any other.
func (t *transaction) finish(ctx context.Context, statement string, end func() error) error {
	if t.Dialect == MySQL {
		if _, err := t.tx.ExecContext(ctx, statement); err != nil {
			t.tx.Rollback() // at once: the connection is gone, or there is nothing to undo
			return err
		}
		end() // says what the server has done already
		return nil
	}
	return end()
}

func (t *transaction) commit(ctx context.Context) error {
	stop := context.AfterFunc(ctx, t.cancel)
	defer stop()
	err := t.ask(ctx, "COMMIT")
	if err == nil {
		err = t.finish(ctx, "COMMIT", t.tx.Commit)
	}
	if err != nil {
		if t.limit.Err() == context.DeadlineExceeded {
			return fmt.Errorf("the transaction took longer than %v", t.Transaction)
		}
		return err
	}
	t.end()
	return nil
}

var transactionVerb = Verb{
	Name: "transaction", Params: []Param{{Name: "fn", Type: Function, Doc: "is given the transaction, whose statements happen together"}},
	Results: []Result{{"result", "any", "what the function returns, or true where it returns nothing; nil where the transaction failed"}, whyResult},
	Doc: "Has several statements happen together, or not at all. They come to be when the function returns. They do not when it returns false, when it raises, when the call ends meanwhile, " +
		"and when one of them has failed: the others then fail too, so it is enough to look at the result. A transaction keeps a connection, and others waiting; it may take " +
		"`transaction` of the configuration, 30 s if it does not say: ask the caller before or after it.",
	run: func(c *Call, L *lua.LState, a args) int {
		d := a.self().(*database)
		if slices.ContainsFunc(c.transactions, func(t *transaction) bool { return t.Database == d.Database }) {
			a.fail("transactions of one database cannot be nested")
		}
		t := &transaction{database: d, call: c}
		held := c.hold(func(context.Context) { t.rollback() }) // before there is one: the call may end just when it comes
		leave := func() {
			t.over = true
			c.transactions = slices.DeleteFunc(c.transactions, func(x *transaction) bool { return x == t })
			t.rollback()
			c.letGo(held)
		}
		if err := d.explained(c.outside(L, d.timeout, t.begin)); err != nil {
			c.warn(L, a, err)
			leave()
			return failure(L, err)
		}
		c.transactions = append(c.transactions, t)
		defer leave() // also when the script is unwound
		top := L.GetTop()
		L.Push(a.function(0))
		L.Push(transactionClass.new(t))
		L.Call(1, lua.MultRet)
		t.over = true
		if t.failed == nil && L.GetTop() > top && L.Get(top+1) == lua.LFalse {
			return L.GetTop() - top
		}
		err := t.failed
		if err == nil {
			err = d.explained(c.outside(L, d.timeout, t.commit))
			c.warn(L, a, err)
		}
		switch {
		case err != nil:
			return failure(L, d.explained(err))
		case L.GetTop() == top:
			L.Push(lua.LTrue)
		}
		return L.GetTop() - top
	},
}
