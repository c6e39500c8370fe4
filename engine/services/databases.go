package services

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/jackc/pgx/v5/stdlib"
	"modernc.org/libc"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"callisto/engine"
	"callisto/luabind"
)

// openDatabases makes what scripts ask with sql. Nothing is connected before they do.
func (s *Services) openDatabases(config *engine.Config) error {
	for _, c := range config.Databases {
		d, err := openDatabase(config, c)
		if err != nil {
			return fmt.Errorf("sql.%s.dsn %w", c.Name, err)
		}
		if s.Databases == nil {
			s.Databases = make(map[string]*luabind.Database)
		}
		s.Databases[c.Name] = d
		s.onClose(d.DB.Close)
		if d.Dialect == luabind.SQLite {
			s.connectAside(d)
		}
	}
	return nil
}

// NewMemoryDatabase is a database for tests, with the limits of a configured one: SQLite, empty, and nothing of it is
// written anywhere.
func NewMemoryDatabase(c engine.DatabaseConfig) (*luabind.Database, error) {
	c.DSN = "sqlite:" + inMemory
	return openDatabase(&engine.Config{}, c)
}

// connectAside has a wait for a connection end with its context. SQLite's driver does not see that: it opens a file that
// another process has locked for as long as it waits for any lock.
func (s *Services) connectAside(d *luabind.Database) {
	type taken struct {
		conn *sql.Conn
		err  error
	}
	var running sync.WaitGroup
	s.onClose(func() error { running.Wait(); return nil }) // before the database is closed
	d.Connect = func(ctx context.Context) (*sql.Conn, error) {
		done := make(chan taken, 1)
		running.Go(func() {
			conn, err := d.DB.Conn(ctx)
			done <- taken{conn, err}
		})
		select {
		case t := <-done:
			return t.conn, t.err
		case <-ctx.Done():
			running.Go(func() {
				if t := <-done; t.err == nil {
					t.conn.Close()
				}
			})
			return nil, ctx.Err()
		}
	}
}

func openDatabase(config *engine.Config, c engine.DatabaseConfig) (*luabind.Database, error) {
	d := &luabind.Database{Timeout: c.Timeout, Transaction: c.Transaction, MaxRows: c.MaxRows}
	scheme, rest, _ := strings.Cut(c.DSN, ":")
	var err error
	switch scheme {
	case "sqlite":
		err = openSQLite(d, config, rest, &c)
	case "mysql":
		err = openMySQL(d, c)
	default:
		err = openPostgreSQL(d, c)
	}
	if err != nil {
		return nil, err
	}
	d.DB.SetMaxOpenConns(c.MaxOpen)
	d.DB.SetMaxIdleConns(min(c.MaxIdle, c.MaxOpen))
	d.DB.SetConnMaxIdleTime(c.Idle)
	return d, nil
}

// openSQLite opens the file of a path, with the driver's parameters behind a ?.
func openSQLite(d *luabind.Database, config *engine.Config, rest string, c *engine.DatabaseConfig) error {
	path, query, _ := strings.Cut(rest, "?")
	given, err := url.ParseQuery(query)
	if err != nil {
		return fmt.Errorf("has parameters that are none: %w", err)
	}
	var parameters []string
	if query != "" {
		parameters = append(parameters, query)
	}
	pragmas := []string{"busy_timeout(10000)", "foreign_keys(1)"}
	if path == inMemory {
		c.MaxOpen, c.MaxIdle = 1, 1 // each connection would have a database of its own
	} else {
		path = config.Beside(path)
		if given.Get("mode") != "ro" && given.Get("immutable") == "" {
			pragmas = append(pragmas, "journal_mode(WAL)", "synchronous(NORMAL)")
		}
	}
	for _, p := range pragmas {
		name, _, _ := strings.Cut(p, "(")
		if !strings.Contains(query, name) {
			parameters = append(parameters, "_pragma="+p)
		}
	}
	if !given.Has("_txlock") {
		parameters = append(parameters, "_txlock=immediate") // or two that read first could not both write
	}
	if d.DB, err = sql.Open("sqlite", sqliteDSN(path, parameters...)); err != nil {
		return err
	}
	if path == inMemory {
		c.Idle = 0
	}
	d.Dialect = luabind.SQLite
	d.Parameter = func(v any) any {
		if t, ok := v.(time.Time); ok {
			return t.UTC().Format("2006-01-02 15:04:05.999999999") // as its own functions write and compare them
		}
		return v
	}
	d.Duplicate = func(err error) bool {
		var e *sqlite.Error
		return errors.As(err, &e) && (e.Code() == sqlite3.SQLITE_CONSTRAINT_UNIQUE || e.Code() == sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY)
	}
	d.Interrupt = interruptSQLite
	return nil
}

// interruptSQLite returns what ends the statement that a connection runs. The driver does so itself until the first row is
// there, and not after it; what it has for that is not exported.
func interruptSQLite(c *sql.Conn) (func(), error) {
	var db uintptr
	err := c.Raw(func(conn any) error {
		if v := reflect.ValueOf(conn); v.Kind() == reflect.Pointer && v.Elem().Kind() == reflect.Struct {
			if f := v.Elem().FieldByName("db"); f.Kind() == reflect.Uintptr {
				db = uintptr(f.Uint())
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if db == 0 {
		return nil, errors.New("this version of the SQLite driver cannot be interrupted")
	}
	return func() {
		tls := libc.NewTLS()
		defer tls.Close()
		sqlite3.Xsqlite3_interrupt(tls, db) // one atomic store
	}, nil
}

// maxMessage is how large a row may be, in bytes: what is no PostgreSQL may announce any size.
const maxMessage = 64 << 20

func openPostgreSQL(d *luabind.Database, c engine.DatabaseConfig) error {
	config, err := pgx.ParseConfig(c.DSN)
	if err != nil {
		return errors.New(`cannot be read: write "postgres://user:password@host:5432/database?sslmode=require"`) // the error may show a password
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = c.Timeout
	}
	if config.RuntimeParams["application_name"] == "" {
		config.RuntimeParams["application_name"] = "callisto"
	}
	config.BuildFrontend = func(r io.Reader, w io.Writer) *pgproto3.Frontend {
		f := pgproto3.NewFrontend(r, w)
		f.SetMaxBodyLen(maxMessage)
		return f
	}
	config.RuntimeParams["standard_conforming_strings"] = "on" // quotes are where luabind sees them
	d.DB = sql.OpenDB(stdlib.GetConnector(*config))
	d.Dialect = luabind.PostgreSQL
	d.Parameter = func(v any) any {
		switch v := v.(type) {
		case string:
			return pgText(v)
		case bool:
			return pgText(strconv.FormatBool(v))
		case int64:
			return pgText(strconv.FormatInt(v, 10))
		case float64:
			return pgText(strconv.FormatFloat(v, 'g', -1, 64))
		case time.Time:
			return v.UTC() // what has no zone takes the clock's
		}
		return v
	}
	d.Duplicate = func(err error) bool {
		var e *pgconn.PgError
		return errors.As(err, &e) && e.Code == "23505"
	}
	return nil
}

// A pgText is a value that the server reads as what its parameter is, whatever that is: PostgreSQL asks for the type, and a
// script's number may belong into a column of text.
type pgText string

// Value implements driver.Valuer.
func (t pgText) Value() (driver.Value, error) { return string(t), nil }

// BytesValue implements pgtype.BytesValuer: in a column of bytes the text is no notation of them.
func (t pgText) BytesValue() ([]byte, error) { return []byte(t), nil }

func openMySQL(d *luabind.Database, c engine.DatabaseConfig) error {
	wrong := errors.New(`cannot be read: write "mysql://user:password@host:3306/database?tls=true"`) // the error may show a password
	u, err := url.Parse(c.DSN)
	if err != nil || u.Host == "" {
		return wrong
	}
	config, err := mysql.ParseDSN("/" + strings.TrimPrefix(u.EscapedPath(), "/") + "?" + u.RawQuery)
	if err != nil {
		return wrong
	}
	config.User = u.User.Username()
	config.Passwd, _ = u.User.Password()
	config.Net, config.Addr = "tcp", u.Host
	if u.Port() == "" {
		config.Addr = net.JoinHostPort(u.Hostname(), "3306")
	}
	config.MultiStatements, config.InterpolateParams, config.AllowAllFiles = false, false, false
	config.ClientFoundRows = true // rows that match count, as elsewhere
	config.ParseTime = false
	if config.Timeout == 0 {
		config.Timeout = c.Timeout
	}
	if config.ReadTimeout == 0 {
		config.ReadTimeout = max(c.Timeout, c.Transaction) + 5*time.Second // for what the driver waits for without a context
	}
	if config.WriteTimeout == 0 {
		config.WriteTimeout = c.Timeout
	}
	config.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return wrong
	}
	d.DB = sql.OpenDB(connector)
	d.Dialect = luabind.MySQL
	d.Parameter = func(v any) any {
		if t, ok := v.(time.Time); ok {
			return t.UTC()
		}
		return v
	}
	d.Duplicate = func(err error) bool {
		var e *mysql.MySQLError
		return errors.As(err, &e) && e.Number == 1062
	}
	return nil
}
