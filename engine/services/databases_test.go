package services

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

// A databaseServer is one of the tests' own, which makes a new database for each.
type databaseServer struct {
	once  sync.Once
	err   error
	dsn   string // of a database NAME
	admin *sql.DB
	made  int
}

var postgresServer, mariadbServer databaseServer

// asNobody has a command run as a user without rights, since servers refuse to run as root, and gives that user a directory.
func asNobody(cmd *exec.Cmd, dir string) error {
	cmd.Dir = dir
	if os.Getuid() != 0 {
		return nil
	}
	u, err := user.Lookup("nobody")
	if err != nil {
		return err
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}
	return os.Chown(dir, uid, gid)
}

// run starts a server, and waits until a connection to it works.
func (s *databaseServer) run(t *testing.T, config engine.DatabaseConfig, prepare func(dir string) *exec.Cmd, serve func(dir string) *exec.Cmd) {
	t.Helper()
	s.once.Do(func() {
		s.err = func() error {
			dir, err := os.MkdirTemp("", "callisto-test-")
			if err != nil {
				return err
			}
			stopServers = append(stopServers, func() { os.RemoveAll(dir) })
			cmd := prepare(dir)
			if err := asNobody(cmd, dir); err != nil {
				return err
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				return fmt.Errorf("%v: %w\n%s", cmd.Args, err, out)
			}
			cmd = serve(dir)
			if err := asNobody(cmd, dir); err != nil {
				return err
			}
			log, err := os.Create(filepath.Join(dir, "log"))
			if err != nil {
				return err
			}
			defer log.Close()
			cmd.Stdout, cmd.Stderr = log, log
			if err := cmd.Start(); err != nil {
				return err
			}
			stopServers = slices.Insert(stopServers, 0, func() {
				if s.admin != nil {
					s.admin.Close()
				}
				cmd.Process.Signal(syscall.SIGQUIT) // at once, with all its processes
				timer := time.AfterFunc(5*time.Second, func() { cmd.Process.Kill() })
				cmd.Wait()
				timer.Stop()
			})
			d, err := openDatabase(engine.DefaultConfig(), config)
			if err != nil {
				return err
			}
			s.admin = d.DB
			for until := time.Now().Add(time.Minute); ; {
				ctx, cancel := context.WithTimeout(context.Background(), time.Second)
				err := d.DB.PingContext(ctx)
				cancel()
				if err == nil {
					return nil
				}
				if time.Now().After(until) {
					text, _ := os.ReadFile(log.Name())
					return fmt.Errorf("%v does not come up: %w\n%s", cmd.Args, err, text)
				}
			}
		}()
	})
	if s.err != nil {
		t.Fatal(s.err)
	}
}

// create makes a database.
func (s *databaseServer) create(t *testing.T) string {
	t.Helper()
	s.made++
	name := fmt.Sprintf("t%d", s.made)
	if _, err := s.admin.ExecContext(within(t), "CREATE DATABASE "+name); err != nil {
		t.Fatal(err)
	}
	return strings.ReplaceAll(s.dsn, "NAME", name)
}

// postgresDSN is a new database of a real PostgreSQL.
func postgresDSN(t *testing.T) string {
	t.Helper()
	all, _ := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	program := need(t, append(all, "postgres")...)
	if real, err := filepath.EvalSymlinks(program); err == nil {
		program = real
	}
	port := freePort(t)
	if postgresServer.dsn == "" {
		postgresServer.dsn = "postgres://postgres@127.0.0.1:" + port + "/NAME?sslmode=disable"
	}
	postgresServer.run(t, testDatabase(strings.ReplaceAll(postgresServer.dsn, "NAME", "postgres")), func(dir string) *exec.Cmd {
		return exec.Command(filepath.Join(filepath.Dir(program), "initdb"), "-D", dir+"/data", "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync")
	}, func(dir string) *exec.Cmd {
		return exec.Command(program, "-D", dir+"/data", "-p", port, "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories=", "-c", "fsync=off", "-c", "max_connections=50")
	})
	return postgresServer.create(t)
}

// mysqlDSN is a new database of a real MariaDB.
func mysqlDSN(t *testing.T) string {
	t.Helper()
	program, install := need(t, "mariadbd", "/usr/sbin/mariadbd"), need(t, "mariadb-install-db")
	port := freePort(t)
	if mariadbServer.dsn == "" {
		mariadbServer.dsn = "mysql://root@127.0.0.1:" + port + "/NAME"
	}
	mariadbServer.run(t, testDatabase(strings.ReplaceAll(mariadbServer.dsn, "NAME", "mysql")), func(dir string) *exec.Cmd {
		return exec.Command(install, "--no-defaults", "--datadir="+dir+"/data", "--auth-root-authentication-method=normal", "--skip-test-db")
	}, func(dir string) *exec.Cmd {
		return exec.Command(program, "--no-defaults", "--datadir="+dir+"/data", "--port="+port, "--bind-address=127.0.0.1", "--socket="+dir+"/socket",
			"--character-set-server=utf8mb4", "--innodb-flush-log-at-trx-commit=0", "--pid-file="+dir+"/pid")
	})
	return mariadbServer.create(t)
}

func testDatabase(dsn string) engine.DatabaseConfig {
	return engine.DatabaseConfig{Name: "db", DSN: dsn, MaxOpen: 10, MaxIdle: 2, Idle: time.Minute, Timeout: 10 * time.Second, Transaction: 10 * time.Second, MaxRows: 1000}
}

// eachDatabase runs a test with a new database of each kind.
func eachDatabase(t *testing.T, test func(t *testing.T, c engine.DatabaseConfig)) {
	t.Run("sqlite", func(t *testing.T) { test(t, testDatabase("sqlite:"+filepath.Join(t.TempDir(), "a #%20 test.db"))) })
	t.Run("postgres", func(t *testing.T) { test(t, testDatabase(postgresDSN(t))) })
	t.Run("mysql", func(t *testing.T) { test(t, testDatabase(mysqlDSN(t))) })
}

// A sqlBench has one database.
type sqlBench struct {
	*bench
	d *luabind.Database
}

func newSQL(t *testing.T, c engine.DatabaseConfig, scripts map[string]string) *sqlBench {
	t.Helper()
	config := *engine.DefaultConfig()
	config.KV.Store = ""
	config.Databases = []engine.DatabaseConfig{c}
	s, err := Open(&config, slog.New(slog.DiscardHandler))
	must(t, err)
	return &sqlBench{newBench(t, s, scripts, nil), s.Databases["db"]}
}

// exec runs statements of the test's own, by kind of database where they differ.
func (b *sqlBench) exec(statements ...string) {
	b.t.Helper()
	for _, s := range statements {
		if _, err := b.d.DB.ExecContext(within(b.t), s); err != nil {
			b.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (b *sqlBench) number(query string) int {
	b.t.Helper()
	var n int
	if err := b.d.DB.QueryRowContext(within(b.t), query).Scan(&n); err != nil {
		b.t.Fatal(err)
	}
	return n
}

// idle waits until no connection is in use.
func (b *sqlBench) idle() {
	b.t.Helper()
	ctx := within(b.t)
	for b.d.DB.Stats().InUse > 0 {
		if ctx.Err() != nil {
			b.t.Fatalf("%d connections are still in use\n%s", b.d.DB.Stats().InUse, b.log)
		}
		time.Sleep(time.Millisecond) // a poll: database/sql tells nobody
	}
}

// by chooses by the kind of the database.
func by[T any](c engine.DatabaseConfig, sqlite, postgres, mysql T) T {
	switch {
	case strings.HasPrefix(c.DSN, "sqlite"):
		return sqlite
	case strings.HasPrefix(c.DSN, "postgres"):
		return postgres
	}
	return mysql
}

// anotherDSN is the DSN of another new database of the same kind.
func anotherDSN(t *testing.T, c engine.DatabaseConfig) string {
	t.Helper()
	return by(c, func(t *testing.T) string { return "sqlite:" + filepath.Join(t.TempDir(), "a #%20 test.db") }, postgresDSN, mysqlDSN)(t)
}

// A file that another process has locked keeps a call that needs a connection for no longer than its time.
func TestLockedSQLiteIsLeft(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.db")
	other, err := sql.Open("sqlite", sqliteDSN(path))
	must(t, err)
	defer other.Close()
	other.SetMaxOpenConns(1)
	for _, statement := range []string{"CREATE TABLE t (n)", "BEGIN EXCLUSIVE"} {
		_, err := other.Exec(statement)
		must(t, err)
	}
	config := *engine.DefaultConfig()
	config.KV.Store = ""
	config.Databases = []engine.DatabaseConfig{{Name: "x", DSN: "sqlite:" + path, Timeout: time.Minute, Transaction: time.Minute, MaxRows: 10, MaxOpen: 10, MaxIdle: 2}}
	s, err := Open(&config, slog.New(slog.DiscardHandler))
	must(t, err)
	d := s.Databases["x"]
	ctx, cancel := context.WithCancel(within(t))
	left := make(chan error)
	go func() {
		conn, err := d.Connect(ctx)
		if err == nil {
			conn.Close()
		}
		left <- err
	}()
	for d.DB.Stats().OpenConnections == 0 && within(t).Err() == nil {
		time.Sleep(time.Millisecond) // a poll: it has to be at work
	}
	cancel()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Errorf("the connection: %v", err)
	}
	if d.DB.Stats().InUse == 0 {
		t.Error("the call has waited for the file")
	}
	_, err = other.Exec("ROLLBACK")
	must(t, err)
	conn, err := d.Connect(within(t))
	must(t, err)
	must(t, conn.Close())
	must(t, s.Close())
	if n := d.DB.Stats().OpenConnections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}
