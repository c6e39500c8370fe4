package luabind

import (
	"context"

	lua "github.com/yuin/gopher-lua"
)

// Of the databases of a test, which are empty ones of its own. It looks into them with the module sql.

var testSQL = Verb{
	Name: "sql",
	Params: []Param{{Name: "database", Type: String, Doc: "as in [sql.NAME]"},
		{Name: "statements", Type: String, Doc: "one, or several with semicolons between them"}},
	Doc: "Sets a database up. In a test each [sql.NAME] of the configuration is an empty SQLite database in memory, whatever it is elsewhere. What goes wrong raises.",
	run: func(c *Call, L *lua.LState, a args) int {
		d := a.database(a.string(0), c.bench(a).Databases())
		text := a.string(1)
		err := c.outside(L, 0, func(ctx context.Context) error {
			conn, err := d.connection(ctx)
			if err != nil {
				return err
			}
			defer conn.Close()
			return d.watched(ctx, conn, func() error {
				_, err := conn.ExecContext(ctx, text)
				return err
			})
		})
		if err != nil {
			a.fail("%v", err)
		}
		return 0
	},
}

var testDatabase = Verb{
	Name: "database",
	Params: []Param{{Name: "name", Type: String, Doc: "as in [sql.NAME]"},
		{Name: "how", Type: Word, Enum: answerWords, Doc: "gone: nobody is there; slow: no answer, ever; nonsense: an answer that is none"}},
	Doc: "Says how a database is for scripts, from their next statement on. The test itself reaches it all the same.",
	run: func(c *Call, L *lua.LState, a args) int {
		bench := c.bench(a)
		a.database(a.string(0), bench.Databases())
		bench.DatabaseIs(a.string(0), a.string(1))
		return 0
	},
}
