package engine

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
	"github.com/spf13/viper"

	"callisto/luabind"
)

// A Config is everything config.toml says, checked. It is immutable once
// loaded: a reload makes another.
type Config struct {
	// File is the path the configuration was read from; "" when the defaults
	// and the environment are all there is.
	File string

	Server  ServerConfig
	Scripts ScriptsConfig
	Routes  []Route
	Limits  LimitsConfig
	Calls   CallsConfig
	Flows   FlowsConfig
	Log     LogConfig
	HTTP    HTTPConfig
	Mail    MailConfig
	Admin   AdminConfig
	KV      KVConfig
	Limit   LimitConfig

	Databases []DatabaseConfig // by name

	common   map[string]any            // [config]
	own      map[string]map[string]any // [config.script.NAME] by script, with what is in common
	ownLines map[string]int            // where they stand

	values      map[string]any    // what each setting says, by key, as TOML would have it
	hash        [sha256.Size]byte // of the file's text
	defaultLine int               // of scripts.default in the file
}

// ServerConfig is [server]: who may connect, and how many.
type ServerConfig struct {
	Listen   string         // host:port
	Allow    []netip.Prefix // networks that may connect
	MaxCalls int
	Drain    time.Duration // how long running calls may go on after SIGTERM
}

// ScriptsConfig is [scripts]: where the scripts are and how changes are noticed.
type ScriptsConfig struct {
	Root         string // a relative one starts at the configuration file's directory
	Default      string // canonical script name
	Watch        string // WatchAuto, WatchPoll or WatchOff
	PollInterval time.Duration
	Sounds       string // where the switch's sounds are, for checks; "": not known
}

// The values of scripts.watch.
const (
	WatchAuto = "auto"
	WatchPoll = "poll"
	WatchOff  = "off"
)

// LimitsConfig is [limits]: what one call may use.
type LimitsConfig struct {
	CPU    time.Duration // computing without waiting
	Memory int64         // bytes
	Call   time.Duration // the whole call; 0: no limit
	Hangup time.Duration // all hangup handlers together
	Queue  int           // events waiting for the script
}

// FlowsConfig is [flows]: how calls carry their place in a flow.
type FlowsConfig struct {
	Key string // authenticates what a call carries; "": only against mistakes
}

// CallsConfig is [calls]: how calls end.
type CallsConfig struct {
	OnReturn    string // OnEndHangup or OnEndContinue
	OnError     string // OnEndHangup or OnEndContinue
	ErrorPrompt string // played before hanging up after an error; "": nothing
}

// The values of calls.on_return and calls.on_error: hang up, or go on in the dialplan.
const (
	OnEndHangup   = "hangup"
	OnEndContinue = "continue"
)

// LogConfig is [log].
type LogConfig struct {
	Level  slog.Level
	Format string // "text" or "json"
}

// HTTPConfig is [http]: what the module http may do.
type HTTPConfig struct {
	Allow   []HostRule
	Timeout time.Duration // of a request that names none
	MaxBody int64         // bytes of an answer's body, decompressed
	Proxy   string        // the URL of an HTTP proxy; "": none
	CA      string        // a file of certificates that are trusted besides the system's; "": none
}

// MailConfig is [mail]: by way of whom the module mail sends.
type MailConfig struct {
	Server      string // host:port; "": none
	TLS         string // TLSStart, TLSAlways or TLSNone
	Username    string // "": no authentication
	Password    string
	From        *mail.Address // nil: scripts name the sender
	Attachments string        // the directory whose files may be attached; "": none
	MaxSize     int64         // bytes of a message
	Timeout     time.Duration // of a message whose script names none
	CA          string        // a file of certificates that are trusted besides the system's; "": none
}

// The values of mail.tls.
const (
	TLSStart  = "starttls" // the connection begins without, and must go on with it
	TLSAlways = "tls"
	TLSNone   = "none"
)

// AdminConfig is [admin].
type AdminConfig struct {
	Listen string // host:port; "": off
}

// KVConfig is [kv]: where scripts keep values.
type KVConfig struct {
	Store string // the path of a file, the URL of a Redis, or "": nowhere
}

// LimitConfig is [limit]: where the module limit counts.
type LimitConfig struct {
	Store string // the URL of a Redis; "": in the process
}

// Beside is a path as the configuration means it: a relative one starts at its file's directory.
func (c *Config) Beside(path string) string {
	if c.File == "" || filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(c.File), path)
}

// A ConfigError says everything that is wrong with a configuration, in the
// order of its lines.
type ConfigError struct {
	Problems []Problem
}

func (e *ConfigError) Error() string {
	lines := make([]string, len(e.Problems))
	for i, p := range e.Problems {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// EnvPrefix starts the name of each environment variable that overrides a
// setting: CALLISTO_SERVER_LISTEN is server.listen.
const EnvPrefix = "CALLISTO"

// DefaultConfig is the configuration without a file and without environment variables.
func DefaultConfig() *Config {
	c, err := parseConfig("", nil, false)
	if err != nil {
		panic(err) // the tests prove that the defaults are valid
	}
	return c
}

// LoadConfig reads the configuration from a TOML file, with CALLISTO_*
// environment variables overriding it. With path "" there is no file, and the
// defaults apply. What is wrong inside the file is a *ConfigError, which names all
// of it; a file that cannot be read is an error of package os.
func LoadConfig(path string) (*Config, error) {
	var text []byte
	if path != "" {
		var err error
		if text, err = os.ReadFile(path); err != nil {
			return nil, configFileError(err)
		}
	}
	return parseConfig(path, text, true)
}

func configFileError(err error) error {
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("the configuration file does not exist: %w", err)
	}
	return fmt.Errorf("the configuration cannot be read: %w", err)
}

// NeedsRestart lists the settings that differ in new and that a running
// server cannot change, by key.
func (c *Config) NeedsRestart(new *Config) []string {
	var keys []string
	for _, s := range settings {
		if s.restart && !reflect.DeepEqual(c.values[s.key], new.values[s.key]) {
			keys = append(keys, s.key)
		}
	}
	if !slices.Equal(c.Databases, new.Databases) {
		keys = append(keys, "sql")
	}
	return keys
}

// running is new as far as the server that runs with c can follow it: what needs a
// restart stays as it is in c.
func (c *Config) running(new *Config) *Config {
	r := *new
	r.values = maps.Clone(new.values)
	for _, s := range settings {
		if s.restart {
			r.values[s.key] = c.values[s.key]
			if err := s.set(&r, r.values[s.key]); err != nil {
				return c // not to be expected, as c was made from the same value; the calls go on with it
			}
		}
	}
	r.Scripts.Root, r.Databases = c.Scripts.Root, c.Databases
	return &r
}

// parseConfig makes a Config from the text of a file called path and, if env
// is true, the environment.
func parseConfig(path string, text []byte, env bool) (*Config, error) {
	r := configReader{path: path, env: env, config: &Config{File: path, values: map[string]any{}, hash: sha256.Sum256(text)}}
	r.read(text)
	if len(r.problems) > 0 {
		sortProblems(r.problems)
		return nil, &ConfigError{r.problems}
	}
	return r.config, nil
}

type configReader struct {
	path     string
	env      bool
	config   *Config
	lines    map[string]int // of keys, where they could be found
	problems []Problem
}

func (r *configReader) problem(key, format string, args ...any) {
	r.problems = append(r.problems, Problem{File: r.path, Line: r.line(key), Message: fmt.Sprintf(format, args...)})
}

// line is where the key stands, or what it is part of.
func (r *configReader) line(key string) int {
	for {
		if n, ok := r.lines[key]; ok {
			return n
		}
		cut := strings.LastIndexAny(key, ".[")
		if cut < 0 {
			return 0
		}
		key = key[:cut]
	}
}

func (r *configReader) read(text []byte) {
	lines, twice := keyLines(text)
	r.lines = lines
	var file map[string]any
	if err := toml.Unmarshal(text, &file); err != nil {
		p := Problem{File: r.path, Line: twice, Message: "is not valid TOML: " + strings.TrimPrefix(err.Error(), "toml: ")}
		if de := (*toml.DecodeError)(nil); errors.As(err, &de) {
			p.Line, p.Column = de.Position()
		}
		r.problems = append(r.problems, p)
		return
	}
	// viper lowers the case of map keys, those of a route's arguments too: routes and what is meant for
	// scripts are taken out before it sees them.
	routes, values, databases := file["route"], file["config"], file["sql"]
	delete(file, "route")
	delete(file, "sql")
	delete(file, "config")
	r.checkKeys(file)

	v := viper.New()
	if err := v.MergeConfigMap(file); err != nil {
		r.problem("", "%v", err)
		return
	}
	if r.env {
		r.checkEnvironment()
		v.SetEnvPrefix(EnvPrefix)
		v.SetEnvKeyReplacer(strings.NewReplacer(".", "_"))
		v.AllowEmptyEnv(true) // CALLISTO_ADMIN_LISTEN= is off
	}
	for _, s := range settings {
		v.SetDefault(s.key, s.def)
		if r.env {
			_ = v.BindEnv(s.key) // fails only without a key
		}
		r.set(s, v.Get(s.key))
	}
	r.config.Scripts.Root = r.config.Beside(r.config.Scripts.Root)
	if dir := r.config.Scripts.Sounds; dir != "" {
		r.config.Scripts.Sounds = r.config.Beside(dir)
	}
	r.routes(routes)
	r.scriptValues(values)
	r.databases(databases)
	r.config.defaultLine = r.lines["scripts.default"]
}

// envName is the environment variable that overrides a setting.
func envName(key string) string {
	return EnvPrefix + "_" + strings.ToUpper(strings.ReplaceAll(key, ".", "_"))
}

// set gives the configuration what the file or the environment says of a setting.
func (r *configReader) set(s *setting, raw any) {
	name, key, value := s.key, s.key, s.fromTOML(raw)
	if r.env {
		if text, ok := os.LookupEnv(envName(s.key)); ok {
			name, key, value = envName(s.key), "", s.fromText(text)
		}
	}
	if value == nil && s.secret {
		r.problem(key, "%s is not what it should be: write %s", name, s.expected())
		return
	}
	if value == nil {
		r.problem(key, "%s is %s: write %s", name, describe(raw), s.expected())
		return
	}
	err := s.set(r.config, value)
	if err != nil && s.secret {
		err = errors.New("cannot be used: write one line")
	}
	if err != nil {
		r.problem(key, "%s %s", name, err)
		return
	}
	r.config.values[s.key] = value
}

// checkKeys reports the keys that are no setting. They leave the map, so that
// viper does not see them.
func (r *configReader) checkKeys(file map[string]any) {
	for _, section := range slices.Sorted(maps.Keys(file)) {
		if !slices.Contains(sections, section) {
			r.problem(section, "%s is not a setting%s", section, didYouMean(nearSection(section)))
			delete(file, section)
			continue
		}
		table, ok := file[section].(map[string]any)
		if !ok {
			r.problem(section, "%s is %s: it is a section, write [%s] and its settings below", section, describe(file[section]), section)
			delete(file, section)
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(table)) {
			if key := section + "." + name; findSetting(key) == nil {
				r.problem(key, "%s is not a setting%s", key, didYouMean(nearKey(section, name)))
				delete(table, name)
			}
		}
	}
}

func nearSection(name string) string {
	if near := luabind.Nearest(name, append([]string{"route", "config", "sql"}, sections...)); near != "" {
		if near == "route" {
			return "[[route]]"
		}
		return "[" + near + "]"
	}
	return nearKey("", name)
}

// keysOf are the names of a section's settings.
func keysOf(section string) (names []string) {
	for _, s := range settings {
		if sec, name, _ := strings.Cut(s.key, "."); sec == section {
			names = append(names, name)
		}
	}
	return names
}

// nearKey is the setting that was meant by name in section: one of that section if it
// can be.
func nearKey(section, name string) string {
	if near := luabind.Nearest(name, keysOf(section)); near != "" {
		return section + "." + near
	}
	var all []string
	for _, s := range settings {
		if strings.HasSuffix(s.key, "."+name) {
			return s.key
		}
		all = append(all, s.key)
	}
	return luabind.Nearest(section+"."+name, all)
}

// checkEnvironment reports variables that are a slip away from a setting's.
// Others are left alone: Kubernetes makes up names such as CALLISTO_SERVER_PORT for
// a service called callisto-server.
func (r *configReader) checkEnvironment() {
	for _, kv := range os.Environ() {
		variable, _, _ := strings.Cut(kv, "=")
		for _, section := range sections {
			name, ok := strings.CutPrefix(variable, envName(section)+"_")
			name = strings.ToLower(name)
			if !ok || findSetting(section+"."+name) != nil {
				continue
			}
			if near := luabind.Nearest(name, keysOf(section)); near != "" {
				r.problem("", "the environment variable %s is not a setting%s", variable, didYouMean(envName(section+"."+near)))
			}
		}
	}
}

func didYouMean(name string) string {
	if name == "" {
		return ""
	}
	return ", did you mean " + name + "?"
}

// routes reads the [[route]] tables.
func (r *configReader) routes(raw any) {
	if raw == nil {
		return
	}
	list, ok := raw.([]any)
	if !ok {
		r.problem("route", "route is %s: write each route as a [[route]] with its fields below", describe(raw))
		return
	}
	for i, item := range list {
		table, ok := item.(map[string]any)
		if !ok {
			r.problem("route", "route %d is %s: write each route as a [[route]] with its fields below", i+1, describe(item))
			continue
		}
		r.config.Routes = append(r.config.Routes, r.route(i, table))
	}
}

func (r *configReader) route(i int, table map[string]any) Route {
	at := fmt.Sprintf("route[%d]", i)
	route := Route{Line: r.line(at), scriptLine: r.line(at + ".script")}
	fields := []string{"number", "caller", "context", "script", "args"}
	for _, name := range slices.Sorted(maps.Keys(table)) {
		key := at + "." + name
		value := table[name]
		if name == "args" {
			route.Args = r.args(i, key, value)
			continue
		}
		if !slices.Contains(fields, name) {
			r.problem(key, "route %d: %s is not a field of a route%s", i+1, name, didYouMean(luabind.Nearest(name, fields)))
			continue
		}
		text, ok := value.(string)
		if !ok {
			r.problem(key, "route %d: %s is %s: write it in quotes, such as %s = %q", i+1, name, describe(value), name, fmt.Sprint(value))
			continue
		}
		if text == "" {
			r.problem(key, "route %d: %s is empty: leave it out to match any", i+1, name)
			continue
		}
		var err error
		switch name {
		case "number":
			route.Number, err = parsePattern(text)
		case "caller":
			route.Caller, err = parsePattern(text)
		case "context":
			route.Context = text
		case "script":
			route.Script, err = ScriptName(text)
		}
		if err != nil {
			r.problem(key, "route %d: %s: %v", i+1, name, err)
		}
	}
	if _, ok := table["script"]; !ok {
		r.problem(at, "route %d names no script: add script = \"…\"", i+1)
	}
	return route
}

func (r *configReader) args(i int, key string, value any) map[string]string {
	table, ok := value.(map[string]any)
	if !ok {
		r.problem(key, "route %d: args is %s: write a table, such as args = { queue = \"gold\" }", i+1, describe(value))
		return nil
	}
	args := make(map[string]string, len(table))
	for _, name := range slices.Sorted(maps.Keys(table)) {
		switch v := table[name].(type) {
		case string:
			args[name] = v
		case int64, bool:
			args[name] = fmt.Sprint(v)
		case float64:
			args[name] = formatFloat(v)
		default:
			r.problem(key+"."+name, "route %d: args.%s is %s: write a string, a number, true or false", i+1, name, describe(v))
		}
	}
	return args
}

// keyLines finds the line of each key in a TOML file, routes counted from
// 0: "server.listen", "route[1].script". Twice is the line of the first key that was there before,
// or 0. Of a file that is not valid TOML it says what it can.
func keyLines(text []byte) (lines map[string]int, twice int) {
	lines = map[string]int{}
	tables := map[string]int{}
	p := unstable.Parser{}
	p.Reset(text)
	section := ""
	for p.NextExpression() {
		e := p.Expression()
		if e.Kind != unstable.Table && e.Kind != unstable.ArrayTable && e.Kind != unstable.KeyValue {
			continue
		}
		var parts []string
		line := 0
		for it := e.Key(); it.Next(); {
			if n := it.Node(); line == 0 {
				line = p.Shape(n.Raw).Start.Line
			}
			parts = append(parts, string(it.Node().Data))
		}
		name := strings.Join(parts, ".")
		switch e.Kind {
		case unstable.ArrayTable:
			if tables[name] == 0 {
				lines[name] = line
			}
			section = fmt.Sprintf("%s[%d]", name, tables[name])
			tables[name]++
			name = section
		case unstable.Table:
			if first, rest, _ := strings.Cut(name, "."); tables[first] > 0 { // [route.args]
				name = fmt.Sprintf("%s[%d].%s", first, tables[first]-1, rest)
			}
			section = name
		default:
			if section != "" {
				name = section + "." + name
			}
		}
		if _, ok := lines[name]; !ok {
			lines[name] = line
		} else if twice == 0 {
			twice = line
		}
	}
	return lines, twice
}

// describe says what a TOML value is.
func describe(v any) string {
	switch v := v.(type) {
	case string:
		return fmt.Sprintf("the string %q", v)
	case int64:
		return fmt.Sprintf("the integer %d", v)
	case float64:
		return "the number " + formatFloat(v)
	case bool:
		return fmt.Sprint(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	}
	return fmt.Sprintf("a date or time (%v)", v)
}
