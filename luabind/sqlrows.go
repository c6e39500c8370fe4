package luabind

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"slices"
	"sync"

	lua "github.com/yuin/gopher-lua"
)

const (
	rowsAtOnce  = 100       // that are read ahead
	bytesAtOnce = 256 << 10 // likewise, about
	maxReading  = 3         // answers of one database that a call reads at a time: each keeps a connection from the others
)

var rowsVerb = Verb{
	Name: "rows", Params: []Param{statementParam, valuesParam},
	Results: []Result{{"next", "fun(): table?", "for a loop: for row in db:rows(…) do … end"}},
	Doc: "Reads an answer row by row, however many they are, with about 100 of them in memory. What goes wrong raises, as a loop has no place for it. The connection is given back after the " +
		"last row, at the latest when they have been read for as long as a transaction may take; a loop that is left early keeps it until then, or until the call ends. A call reads 3 answers of a database at a time, at most.",
	run: func(c *Call, L *lua.LState, a args) int {
		of := a.sqlTarget().(*database)
		text, values := a.bound(of)
		open := 0
		c.reading = slices.DeleteFunc(c.reading, (*cursor).closed)
		for _, other := range c.reading {
			if other.Database == of.Database {
				open++
			}
		}
		if open >= maxReading {
			a.fail("%d answers of [sql.%s] are still being read: read one to its end first, or use db:query", open, of.name)
		}
		r := &cursor{database: of}
		c.reading = append(c.reading, r)
		r.held = c.hold(func(context.Context) { r.close() })
		r.fetch(c, L, a, func(ctx context.Context) error { return r.open(ctx, c, text, values) })
		L.Push(L.NewFunction(func(L *lua.LState) int { return r.next(c, L, a) }))
		return 1
	},
}

// A cursor is an answer that is read piece by piece.
type cursor struct {
	*database
	held *held

	mu     sync.Mutex // of what follows, as its time may be over at any moment
	conn   *sql.Conn  // nil: it is closed
	rows   *sql.Rows
	limit  context.Context // of the rows
	cancel context.CancelFunc

	ahead *sqlRows
	given int  // how many of them the script has
	end   bool // there are no more
}

// open asks the database. The rows outlive the wait for the first of them.
func (r *cursor) open(ctx context.Context, c *Call, text string, values []any) error {
	conn, err := r.connection(ctx)
	if err != nil {
		return err
	}
	limit, cancel := c.conn.WithTimeout(context.Background(), r.Transaction)
	stop := context.AfterFunc(ctx, cancel)
	var rows *sql.Rows
	err = r.watched(limit, conn, func() error {
		if err = r.ask(ctx, text); err == nil {
			rows, err = conn.QueryContext(limit, text, values...)
		}
		return err
	})
	if err == nil && !stop() {
		rows.Close()
		err = ctx.Err()
	}
	if err != nil {
		stop()
		cancel()
		conn.Close()
		return err
	}
	r.mu.Lock()
	r.conn, r.rows, r.limit, r.cancel, r.ahead = conn, rows, limit, cancel, &sqlRows{}
	r.mu.Unlock()
	context.AfterFunc(limit, r.close)
	if err := r.ahead.columns(rows); err != nil {
		r.close()
		return err
	}
	return r.more(ctx)
}

// more reads on. It is io.EOF where there are no more rows, and nothing is open then.
func (r *cursor) more(ctx context.Context) error {
	r.mu.Lock()
	if r.conn == nil {
		r.mu.Unlock()
		return fmt.Errorf("the rows were read for longer than %v", r.Transaction)
	}
	stop := context.AfterFunc(ctx, r.cancel) // the call ends meanwhile, or the time for a statement
	err := r.watched(r.limit, r.conn, func() error {
		r.ahead.rows, r.ahead.bytes, r.given = nil, 0, 0
		for len(r.ahead.rows) < rowsAtOnce && r.ahead.bytes < bytesAtOnce {
			if !r.rows.Next() {
				if err := r.rows.Err(); err != nil {
					return err
				}
				return io.EOF
			}
			if err := r.ahead.read(r.rows); err != nil {
				return err
			}
		}
		return nil
	})
	if r.limit.Err() == context.DeadlineExceeded && err != nil && err != io.EOF {
		err = fmt.Errorf("the rows were read for longer than %v", r.Transaction)
	}
	r.mu.Unlock()
	stop()
	if err != nil {
		r.close()
	}
	return err
}

// close gives the connection back.
func (r *cursor) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.conn == nil {
		return
	}
	r.cancel()
	r.rows.Close()
	r.conn.Close()
	r.conn = nil
}

func (r *cursor) closed() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.conn == nil
}

// fetch has rows read, and raises what goes wrong.
func (r *cursor) fetch(c *Call, L *lua.LState, a args, read func(context.Context) error) {
	err := c.outside(L, r.timeout, read)
	if err == nil {
		return
	}
	c.letGo(r.held) // it is closed
	if err == io.EOF {
		r.end = true
		return
	}
	failure(L, r.explained(err))
	a.fail("%s", L.Get(-1).String())
}

// next is a step of the loop.
func (r *cursor) next(c *Call, L *lua.LState, a args) int {
	a.L = L // of a coroutine, perhaps
	for r.given == len(r.ahead.rows) && !r.end {
		r.fetch(c, L, a, r.more)
	}
	if r.given == len(r.ahead.rows) {
		L.Push(lua.LNil)
		return 1
	}
	row := r.ahead.rows[r.given]
	r.given++
	charge(L, r.ahead.bytes/len(r.ahead.rows))
	L.Push(r.ahead.table(L, row))
	return 1
}
