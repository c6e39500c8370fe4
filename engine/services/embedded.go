package services

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	_ "modernc.org/sqlite" // the driver

	"callisto/luabind"
)

// inMemory is the name of a store that is gone with the process.
const inMemory = ":memory:"

const (
	maxBatch     = 256                          // writes in one transaction
	sweepEvery   = time.Minute                  // what has expired is deleted
	sweepAtOnce  = 1000                         // keys in one transaction
	writeTimeout = 10 * time.Second             // for a transaction
	busyTimeout  = "_pragma=busy_timeout(2000)" // when another process keeps the file: less than calls wait, so that they are told
	readers      = 4                            // connections that read
)

// An embedded store is a SQLite file. Many read at once; one goroutine writes, and commits together what has come
// while it wrote: a write is acknowledged after its commit. (docs/decisions/kv.md)
type embedded struct {
	path string
	now  func() time.Time

	mu      sync.Mutex // of what follows; held for a moment only
	file    *storeFile // nil: not yet
	opening *opening   // that goes on; nil: none
	closed  bool
}

// An opening is one attempt to open the file, for all who wait for it.
type opening struct {
	done chan struct{} // closed when it has ended
	file *storeFile
	err  error
}

// newEmbedded is the store in a file, which is opened when it is first used.
func newEmbedded(path string) *embedded { return &embedded{path: path, now: time.Now} }

// NewMemory is a store for tests: nothing of it is written anywhere. now tells the time by which its values expire.
func NewMemory(now func() time.Time) interface {
	luabind.Store
	Close() error
} {
	return &embedded{path: inMemory, now: now}
}

// open opens the file, or waits for who does. A failure is tried again by the next: somebody may have mended what was
// wrong.
func (e *embedded) open(ctx context.Context) (*storeFile, error) {
	e.mu.Lock()
	if e.closed || e.file != nil {
		defer e.mu.Unlock()
		if e.closed {
			return nil, errors.New("the store is closed")
		}
		return e.file, nil
	}
	o := e.opening
	if o == nil {
		o = &opening{done: make(chan struct{})}
		e.opening = o
		go e.attempt(o) // on no call's time: Close waits for it
	}
	e.mu.Unlock()
	select {
	case <-o.done:
		return o.file, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (e *embedded) attempt(o *opening) {
	defer close(o.done)
	f, err := openStore(e.path, e.now)
	if err != nil {
		f, err = nil, fmt.Errorf("kv.store: %s cannot be used: %w", e.path, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	o.file, o.err = f, err
	e.file, e.opening = f, nil
}

// Close waits for what is being written.
func (e *embedded) Close() error {
	e.mu.Lock()
	e.closed = true
	o := e.opening
	e.mu.Unlock()
	if o != nil {
		<-o.done
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.file == nil {
		return nil
	}
	return e.file.close()
}

// A storeFile is an open store.
type storeFile struct {
	now    func() time.Time
	batch  int     // how many writes go into one transaction
	writer *sql.DB // one connection
	reader *sql.DB // the same where the store is in memory

	writes chan *write
	stop   chan struct{}
	done   chan struct{} // closed when the goroutine that writes has ended

	get, list, listAll, lookup, set, remove, expired *sql.Stmt
}

// A write is one change.
type write struct {
	ctx  context.Context
	do   func(context.Context, *writing) error
	err  error
	done chan struct{}
}

const schema = `CREATE TABLE IF NOT EXISTS entries (
	key BLOB PRIMARY KEY, -- any bytes: a text would have an encoding
	value BLOB NOT NULL,
	expires INTEGER -- milliseconds since 1970; NULL: never
) STRICT;
CREATE INDEX IF NOT EXISTS entries_expires ON entries (expires) WHERE expires IS NOT NULL`

func openStore(path string, now func() time.Time) (_ *storeFile, err error) {
	f := &storeFile{now: now, batch: maxBatch, writes: make(chan *write, maxBatch), stop: make(chan struct{}), done: make(chan struct{})}
	if path != inMemory {
		// SQLite's own words do not say what is wrong with the path.
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		file.Close()
	}
	defer func() {
		if err != nil {
			f.closeDatabases()
		}
	}()
	if f.writer, err = sql.Open("sqlite", sqliteDSN(path, "_txlock=immediate", busyTimeout, "_pragma=journal_mode(WAL)", "_pragma=synchronous(NORMAL)")); err != nil {
		return nil, err
	}
	f.writer.SetMaxOpenConns(1)
	f.reader = f.writer
	if path != inMemory {
		if f.reader, err = sql.Open("sqlite", sqliteDSN(path, busyTimeout, "_pragma=query_only(1)")); err != nil {
			return nil, err
		}
		f.reader.SetMaxOpenConns(readers)
		f.reader.SetMaxIdleConns(readers)
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	if _, err = f.writer.ExecContext(ctx, schema); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		stmt **sql.Stmt
		db   *sql.DB
		text string
	}{
		{&f.get, f.reader, `SELECT value FROM entries WHERE key = ? AND (expires IS NULL OR expires > ?)`},
		{&f.list, f.reader, `SELECT key FROM entries WHERE key >= ? AND key < ? AND (expires IS NULL OR expires > ?) ORDER BY key LIMIT ?`},
		{&f.listAll, f.reader, `SELECT key FROM entries WHERE key >= ? AND (expires IS NULL OR expires > ?) ORDER BY key LIMIT ?`},
		{&f.lookup, f.writer, `SELECT value, expires FROM entries WHERE key = ? AND (expires IS NULL OR expires > ?)`},
		{&f.set, f.writer, `INSERT INTO entries (key, value, expires) VALUES (?, ?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires`},
		{&f.remove, f.writer, `DELETE FROM entries WHERE key = ?`},
		{&f.expired, f.writer, `DELETE FROM entries WHERE rowid IN (SELECT rowid FROM entries WHERE expires <= ? LIMIT ?)`},
	} {
		if *s.stmt, err = s.db.PrepareContext(ctx, s.text); err != nil {
			return nil, err
		}
	}
	go f.write()
	return f, nil
}

// sqliteDSN is the driver's name of a file. Whatever the path holds is taken for a part of it.
func sqliteDSN(path string, parameters ...string) string {
	name := path
	if path != inMemory {
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		name = "file://" + (&url.URL{Path: filepath.ToSlash(path)}).EscapedPath()
	}
	for i, p := range parameters {
		sep := "&"
		if i == 0 {
			sep = "?"
		}
		name += sep + p
	}
	return name
}

func (f *storeFile) close() error {
	close(f.stop)
	<-f.done
	return f.closeDatabases()
}

func (f *storeFile) closeDatabases() error {
	var errs []error
	for _, s := range []*sql.Stmt{f.get, f.list, f.listAll, f.lookup, f.set, f.remove, f.expired} {
		if s != nil {
			s.Close()
		}
	}
	if f.reader != nil && f.reader != f.writer {
		errs = append(errs, f.reader.Close())
	}
	if f.writer != nil {
		errs = append(errs, f.writer.Close()) // the last: it cleans up the log
	}
	return errors.Join(errs...)
}

// write is the goroutine that writes.
func (f *storeFile) write() {
	defer close(f.done)
	sweep := time.NewTicker(sweepEvery)
	defer sweep.Stop()
	var batch []*write
	for {
		batch = batch[:0]
		select {
		case w := <-f.writes:
			batch = append(batch, w)
		case <-sweep.C:
			f.sweep()
			continue
		case <-f.stop:
			return
		}
	more:
		for len(batch) < f.batch {
			select {
			case w := <-f.writes:
				batch = append(batch, w)
			default:
				break more
			}
		}
		f.commit(batch)
	}
}

// commit makes changes in one transaction, and tells who waits for them.
func (f *storeFile) commit(batch []*write) {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	err := func() error {
		tx, err := f.writer.BeginTx(ctx, nil)
		if err != nil {
			return err
		}
		defer tx.Rollback()
		in := &writing{f: f, tx: tx, now: f.now()}
		for _, w := range batch {
			if w.err = w.ctx.Err(); w.err != nil {
				continue // nobody waits for it any more
			}
			if w.err = w.do(ctx, in); w.err != nil && !errors.Is(w.err, luabind.ErrNotNumber) {
				return w.err
			}
		}
		return tx.Commit()
	}()
	for _, w := range batch {
		if w.err == nil {
			w.err = err
		}
		close(w.done)
	}
}

func (f *storeFile) sweep() {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	for {
		r, err := f.expired.ExecContext(ctx, f.now().UnixMilli(), sweepAtOnce)
		if err != nil { // the next sweep is soon; who reads does not see what has expired
			return
		}
		if n, _ := r.RowsAffected(); n < sweepAtOnce {
			return
		}
	}
}

// change has do done by the goroutine that writes.
func (e *embedded) change(ctx context.Context, do func(context.Context, *writing) error) error {
	f, err := e.open(ctx)
	if err != nil {
		return err
	}
	w := &write{ctx: ctx, do: do, done: make(chan struct{})}
	select {
	case f.writes <- w:
	case <-ctx.Done():
		return ctx.Err()
	case <-f.done:
		return errors.New("the store is closed")
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	case <-f.done:
		return errors.New("the store is closed")
	}
}

// writing is a transaction that changes are made in.
type writing struct {
	f   *storeFile
	tx  *sql.Tx
	now time.Time
}

func (w *writing) lookup(ctx context.Context, key string) (value []byte, expires sql.NullInt64, found bool, err error) {
	err = w.tx.StmtContext(ctx, w.f.lookup).QueryRowContext(ctx, []byte(key), w.now.UnixMilli()).Scan(&value, &expires)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, expires, false, nil
	}
	return value, expires, err == nil, err
}

func (w *writing) put(ctx context.Context, key, value string, ttl time.Duration) error {
	var expires sql.NullInt64
	if ttl > 0 {
		expires = sql.NullInt64{Int64: w.now.Add(ttl).UnixMilli(), Valid: true}
	}
	return w.store(ctx, key, value, expires)
}

func (w *writing) store(ctx context.Context, key, value string, expires sql.NullInt64) error {
	_, err := w.tx.StmtContext(ctx, w.f.set).ExecContext(ctx, []byte(key), []byte(value), expires)
	return err
}

func (w *writing) remove(ctx context.Context, key string) error {
	_, err := w.tx.StmtContext(ctx, w.f.remove).ExecContext(ctx, []byte(key))
	return err
}

func (e *embedded) Get(ctx context.Context, key string) (string, bool, error) {
	f, err := e.open(ctx)
	if err != nil {
		return "", false, err
	}
	var value []byte
	err = f.get.QueryRowContext(ctx, []byte(key), f.now().UnixMilli()).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", false, nil
	}
	return string(value), err == nil, err
}

func (e *embedded) Set(ctx context.Context, key, value string, ttl time.Duration) error {
	return e.change(ctx, func(ctx context.Context, w *writing) error { return w.put(ctx, key, value, ttl) })
}

func (e *embedded) Swap(ctx context.Context, key string, old, new *string, ttl time.Duration) (bool, error) {
	var swapped bool
	err := e.change(ctx, func(ctx context.Context, w *writing) error {
		value, _, found, err := w.lookup(ctx, key)
		if err != nil || found != (old != nil) || found && string(value) != *old {
			return err
		}
		swapped = true
		if new != nil {
			return w.put(ctx, key, *new, ttl)
		}
		return w.remove(ctx, key)
	})
	if err != nil { // it may still be written to
		return false, err
	}
	return swapped, nil
}

// maxNumber is what a number in Lua counts to.
const maxNumber = 1<<53 - 1

func (e *embedded) Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error) {
	var sum int64
	err := e.change(ctx, func(ctx context.Context, w *writing) error {
		value, expires, found, err := w.lookup(ctx, key)
		if err != nil {
			return err
		}
		n := int64(0)
		if found {
			if n, err = strconv.ParseInt(string(value), 10, 64); err != nil || strconv.FormatInt(n, 10) != string(value) || max(n, -n) > maxNumber {
				return luabind.ErrNotNumber
			}
		}
		if sum = n + by; max(sum, -sum) > maxNumber {
			return luabind.ErrNotNumber
		}
		text := strconv.FormatInt(sum, 10)
		if !found {
			return w.put(ctx, key, text, ttl)
		}
		return w.store(ctx, key, text, expires)
	})
	if err != nil {
		return 0, err
	}
	return sum, nil
}

func (e *embedded) Delete(ctx context.Context, key string) (bool, error) {
	var existed bool
	err := e.change(ctx, func(ctx context.Context, w *writing) error {
		var err error
		if _, _, existed, err = w.lookup(ctx, key); err != nil {
			return err
		}
		return w.remove(ctx, key)
	})
	if err != nil {
		return false, err
	}
	return existed, nil
}

func (e *embedded) List(ctx context.Context, prefix string, limit int) ([]string, error) {
	f, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	now := f.now().UnixMilli()
	var rows *sql.Rows
	if after := keyAfter(prefix); after != nil {
		rows, err = f.list.QueryContext(ctx, []byte(prefix), after, now, limit)
	} else {
		rows, err = f.listAll.QueryContext(ctx, []byte(prefix), now, limit)
	}
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var keys []string
	for rows.Next() {
		var key []byte
		if err := rows.Scan(&key); err != nil {
			return nil, err
		}
		keys = append(keys, string(key))
	}
	return keys, rows.Err()
}

// keyAfter is the first key behind all that begin with prefix; nil where there is none.
func keyAfter(prefix string) []byte {
	key := []byte(prefix)
	for i := len(key) - 1; i >= 0; i-- {
		if key[i] < 0xff {
			key[i]++
			return key[:i+1]
		}
	}
	return nil
}
