package calltest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"time"

	"callisto/engine"
	"callisto/engine/services"
	"callisto/esl"
	"callisto/luabind"
)

// databases stand for those of the configuration: each is an SQLite of the test's own, in memory and empty at first.
type databases struct {
	own     map[string]*luabind.Database // for the test
	scripts map[string]*luabind.Database // the same for scripts: they may be gone or slow
	closers []func() error
}

func newDatabases(configured []engine.DatabaseConfig) *databases {
	d := &databases{own: map[string]*luabind.Database{}, scripts: map[string]*luabind.Database{}}
	for _, c := range configured {
		memory, err := services.NewMemoryDatabase(c)
		if err != nil {
			panic(err) // nothing of it is the configuration's
		}
		d.closers = append(d.closers, memory.DB.Close)
		forScripts := *memory
		d.own[c.Name], d.scripts[c.Name] = memory, &forScripts
	}
	return d
}

// are says how a database is for scripts from now on. The test and its scripts are never at work at the same time.
func (d *databases) are(name, how string) error {
	database := d.scripts[name]
	if database == nil {
		hint := luabind.Nearest(name, slices.Sorted(maps.Keys(d.scripts)))
		if hint != "" {
			hint = ", did you mean " + hint + "?"
		}
		return fmt.Errorf("test.database: there is no [sql.%s] in the configuration%s", name, hint)
	}
	database.DB = sql.OpenDB(absent(how))
	d.closers = append(d.closers, database.DB.Close)
	return nil
}

func (d *databases) close() {
	for _, f := range d.closers {
		f()
	}
}

// absent is a server that is gone, or slow: a driver.Connector.
type absent string

func (a absent) Connect(ctx context.Context) (driver.Conn, error) {
	if a == "slow" {
		return nil, esl.Sleep(ctx, 24*time.Hour) // ctx ends before
	}
	return nil, refused
}

func (a absent) Driver() driver.Driver { return nil }
