package engine

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"callisto/luabind"
)

// A DatabaseConfig is a [sql.NAME]: a database that scripts may ask.
type DatabaseConfig struct {
	Name        string
	DSN         string // sqlite:PATH, postgres://… or mysql://…
	MaxOpen     int    // connections
	MaxIdle     int    // of them, that are kept
	Idle        time.Duration
	Timeout     time.Duration // of a statement
	Transaction time.Duration
	MaxRows     int
}

// databaseSettings are the keys of a [sql.NAME]. Their values are checked as those of other settings.
func databaseSettings(d *DatabaseConfig) []*setting {
	return []*setting{
		textSetting("dsn", "", func(*Config) *string { return &d.DSN }, databaseDSN),
		numberSetting("max_open", 10, 1, 1000, func(*Config) *int { return &d.MaxOpen }),
		numberSetting("max_idle", 2, 0, 1000, func(*Config) *int { return &d.MaxIdle }),
		durationSetting("idle", "5m", time.Second, 24*time.Hour, func(*Config) *time.Duration { return &d.Idle }),
		durationSetting("timeout", "5s", time.Millisecond, time.Hour, func(*Config) *time.Duration { return &d.Timeout }),
		durationSetting("transaction", "30s", time.Millisecond, time.Hour, func(*Config) *time.Duration { return &d.Transaction }),
		numberSetting("max_rows", 1000, 1, 1_000_000, func(*Config) *int { return &d.MaxRows }),
	}
}

// databaseDSN does not show the value where it is wrong: it may hold a password.
func databaseDSN(v string) (string, error) {
	if path, ok := strings.CutPrefix(v, "sqlite:"); ok && path != "" && !strings.HasPrefix(path, "//") {
		return v, nil
	}
	if strings.HasPrefix(v, "postgres://") || strings.HasPrefix(v, "postgresql://") || strings.HasPrefix(v, "mysql://") {
		return v, nil
	}
	return "", fmt.Errorf(`names no database: write "sqlite:data.db", "postgres://user:password@host/database" or "mysql://user:password@host/database"`)
}

// databases reads the [sql.NAME] tables.
func (r *configReader) databases(raw any) {
	if raw == nil {
		return
	}
	tables, ok := raw.(map[string]any)
	if !ok {
		r.problem("sql", "sql is %s: write a [sql.NAME] for each database", describe(raw))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		key := "sql." + name
		table, ok := tables[name].(map[string]any)
		switch {
		case !ok:
			r.problem(key, "%s is %s: databases have names, write [sql.NAME] and its settings below", key, describe(tables[name]))
		case name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") != "":
			r.problem(key, "sql: the name %q of a database may have small letters, digits, _ and -", name)
		default:
			r.database(name, key, table)
		}
	}
}

func (r *configReader) database(name, at string, table map[string]any) {
	d := &DatabaseConfig{Name: name}
	var names []string
	for _, s := range databaseSettings(d) {
		names = append(names, s.key)
		key, value := at+"."+s.key, any(s.def)
		shown := key
		if given, ok := table[s.key]; ok {
			value = s.fromTOML(given)
			if value == nil {
				r.problem(key, "%s is %s: write %s", key, describe(given), s.expected())
				continue
			}
		}
		if r.env {
			variable := envName(strings.ReplaceAll(key, "-", "_"))
			if text, ok := os.LookupEnv(variable); ok {
				shown, key, value = variable, "", s.fromText(text)
			}
		}
		if value == nil {
			r.problem(key, "%s: write %s", shown, s.expected())
			continue
		}
		if err := s.set(nil, value); err != nil {
			r.problem(key, "%s %s", shown, err)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(table)) {
		if !slices.Contains(names, key) {
			r.problem(at+"."+key, "%s.%s is not a setting%s", at, key, didYouMean(luabind.Nearest(key, names)))
		}
	}
	r.config.Databases = append(r.config.Databases, *d)
}
