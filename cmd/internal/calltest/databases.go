package calltest

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"sync"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/engine/services"
	"callisto/esl"
	"callisto/luabind"
)

// databases stand for those of the configuration: each is an SQLite of the test's own, in memory and empty at first.
type databases struct {
	bench   *bench
	own     map[string]*luabind.Database // for the test
	scripts map[string]*luabind.Database // the same for scripts

	mu  sync.Mutex
	how map[string]string // a database is: gone, slow or nonsense
}

func newDatabases(b *bench, configured []engine.DatabaseConfig) *databases {
	d := &databases{bench: b, own: map[string]*luabind.Database{}, scripts: map[string]*luabind.Database{}, how: map[string]string{}}
	for _, c := range configured {
		memory, err := services.NewMemoryDatabase(c)
		if err != nil {
			panic(err) // nothing of it is the configuration's
		}
		own, scripts := *memory, *memory
		own.Connect = func(ctx context.Context) (*sql.Conn, error) { return d.taken(ctx, memory.DB) }
		scripts.Connect = func(ctx context.Context) (*sql.Conn, error) { return d.wait(ctx, memory.DB) }
		scripts.Ask = func(ctx context.Context, statement string) error { return d.ask(ctx, c.Name, statement) }
		d.own[c.Name], d.scripts[c.Name] = &own, &scripts
	}
	return d
}

// are says how a database is for scripts from now on.
func (d *databases) are(name, how string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.how[name] = how
}

func (d *databases) close() {
	for _, database := range d.own {
		database.DB.Close()
	}
}

// A database in memory has one connection. Whoever waits for it does so by the test's clock, since what it is
// taken for, such as a transaction that lasts, goes on by that.

// taken is the connection for the test: while that is at work nobody would let go of it.
func (d *databases) taken(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	if db.Stats().InUse > 0 {
		return nil, errors.New("a call is in a transaction, or in a loop of db:rows: let it come to the end of that first")
	}
	return db.Conn(ctx)
}

// wait waits for the connection for a script.
func (d *databases) wait(ctx context.Context, db *sql.DB) (*sql.Conn, error) {
	for {
		d.mu.Lock()
		if db.Stats().InUse == 0 {
			defer d.mu.Unlock()
			return db.Conn(ctx)
		}
		d.mu.Unlock()
		if err := esl.Sleep(ctx, tick); err != nil {
			return nil, err
		}
	}
}

// ask tells of a statement, and lets it happen or not.
func (d *databases) ask(ctx context.Context, name, statement string) error {
	b := d.bench
	b.mu.Lock()
	b.tell(event{at: b.clock.Now(), class: logged, what: "sql", text: simcall.Plain(name + ": " + strings.Join(strings.Fields(statement), " "))})
	b.mu.Unlock()
	d.mu.Lock()
	how := d.how[name]
	d.mu.Unlock()
	switch how {
	case "gone":
		return errRefused
	case "slow":
		return esl.Sleep(ctx, 24*time.Hour) // ctx ends before
	case "nonsense":
		return errors.New("bad answer: this is no message of a database")
	}
	return nil
}
