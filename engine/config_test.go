package engine

import (
	"fmt"
	"log/slog"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
)

// config.toml in the repository says every setting with its default, and marks
// those that need a restart.
func TestConfigFileEqualsDefaults(t *testing.T) {
	text, err := os.ReadFile("../config.toml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseConfig("", text, false)
	if err != nil {
		t.Fatal(err)
	}
	def := DefaultConfig()
	if diff := cmp.Diff(def.values, c.values); diff != "" {
		t.Errorf("config.toml is not the defaults (-default +file):\n%s", diff)
	}
	if len(c.Routes) != 0 {
		t.Errorf("config.toml has routes; the default has none")
	}
	var file map[string]map[string]any
	if err := toml.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		section, name, _ := strings.Cut(s.key, ".")
		if _, ok := file[section][name]; !ok {
			t.Errorf("config.toml does not mention %s", s.key)
		}
		comment := commentOf(string(text), section, name)
		if comment == "" {
			t.Errorf("config.toml says nothing about %s", s.key)
		}
		if got := strings.Contains(comment, "(restart)"); got != s.restart {
			t.Errorf("config.toml: %s is marked (restart): %v; it needs one: %v", s.key, got, s.restart)
		}
	}
	for _, field := range []string{"number", "caller", "context", "script", "args"} {
		if !regexp.MustCompile(`(?m)^# ` + field + ` = `).Match(text) {
			t.Errorf("config.toml shows no route with %s", field)
		}
	}
}

// The example of a route in config.toml is one.
func TestConfigFileRouteExample(t *testing.T) {
	text, err := os.ReadFile("../config.toml")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "# [[route]]\n")
	if !ok {
		t.Fatal("no example")
	}
	example, _, _ = strings.Cut(example, "\n\n")
	c, err := parseConfig("", []byte("[[route]]\n"+regexp.MustCompile(`(?m)^# ?`).ReplaceAllString(example, "")), false)
	if err != nil {
		t.Fatal(err)
	}
	if r := c.Routes[0]; r.Args["queue"] != "gold" || !r.match(CallInfo{Destination: "+18005551", Caller: "+4670", Context: "public"}) {
		t.Errorf("the example reads as %+v", r)
	}
}

// commentOf is the comment above a setting, as far as it is its own.
func commentOf(text, section, name string) string {
	in, comment := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "["):
			in, comment = strings.Trim(line, "[]"), ""
		case strings.HasPrefix(line, "#"):
			comment += line
		case in == section && strings.HasPrefix(line, name+" ="):
			return comment
		default:
			comment = ""
		}
	}
	return ""
}

func TestConfigDefaults(t *testing.T) {
	c, err := LoadConfig("")
	if err != nil {
		t.Fatal(err)
	}
	if c.Server.Listen != "127.0.0.1:8084" || c.Scripts.Root != "scripts" || c.Limits.Memory != 32<<20 ||
		c.Limits.Call != 4*time.Hour || c.Calls.OnReturn != OnEndHangup || c.Log.Level != slog.LevelInfo {
		t.Errorf("defaults: %+v", c)
	}
}

func TestConfigValues(t *testing.T) {
	tests := []struct {
		toml string
		get  func(*Config) any
		want any
	}{
		{`server.listen = ":9000"`, func(c *Config) any { return c.Server.Listen }, ":9000"},
		{`server.allow = ["10.0.0.7", "10.1.0.0/16", "::1", "::ffff:10.0.0.8"]`, func(c *Config) any { return c.Server.Allow },
			[]netip.Prefix{netip.MustParsePrefix("10.0.0.7/32"), netip.MustParsePrefix("10.1.0.0/16"), netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("10.0.0.8/32")}},
		{`server.max_calls = 1`, func(c *Config) any { return c.Server.MaxCalls }, 1},
		{`server.drain = "0"`, func(c *Config) any { return c.Server.Drain }, time.Duration(0)},
		{`scripts.root = "/srv/flows"`, func(c *Config) any { return c.Scripts.Root }, "/srv/flows"},
		{`scripts.default = "/support/menu.lua"`, func(c *Config) any { return c.Scripts.Default }, "support/menu"},
		{`scripts.watch = "poll"`, func(c *Config) any { return c.Scripts.Watch }, WatchPoll},
		{`scripts.poll_interval = "1m"`, func(c *Config) any { return c.Scripts.PollInterval }, time.Minute},
		{`scripts.sounds = "/usr/share/freeswitch/sounds"`, func(c *Config) any { return c.Scripts.Sounds }, "/usr/share/freeswitch/sounds"},
		{`flows.key = "a long secret"`, func(c *Config) any { return c.Flows.Key }, "a long secret"},
		{`limits.cpu = "1s"`, func(c *Config) any { return c.Limits.CPU }, time.Second},
		{`limits.memory = "2MiB"`, func(c *Config) any { return c.Limits.Memory }, int64(2 << 20)},
		{`limits.memory = "1 gb"`, func(c *Config) any { return c.Limits.Memory }, int64(1 << 30)},
		{`limits.call = "0"`, func(c *Config) any { return c.Limits.Call }, time.Duration(0)},
		{`limits.hangup = "1m"`, func(c *Config) any { return c.Limits.Hangup }, time.Minute},
		{`limits.queue = 1000`, func(c *Config) any { return c.Limits.Queue }, 1000},
		{`calls.on_return = "continue"`, func(c *Config) any { return c.Calls.OnReturn }, OnEndContinue},
		{`calls.on_error = "continue"`, func(c *Config) any { return c.Calls.OnError }, OnEndContinue},
		{`calls.error_prompt = "ivr/sorry.wav"`, func(c *Config) any { return c.Calls.ErrorPrompt }, "ivr/sorry.wav"},
		{`kv.store = "redis://u:p@10.0.0.9:6379/1"`, func(c *Config) any { return c.KV.Store }, "redis://u:p@10.0.0.9:6379/1"},
		{`limit.store = "rediss://10.0.0.9:6379/1"`, func(c *Config) any { return c.Limit.Store }, "rediss://10.0.0.9:6379/1"},
		{`log.level = "debug"`, func(c *Config) any { return c.Log.Level }, slog.LevelDebug},
		{`log.format = "json"`, func(c *Config) any { return c.Log.Format }, "json"},
		{`http.allow = ["*.example.com:443", "10.0.0.0/8"]`, func(c *Config) any { return c.HTTP.Allow },
			[]HostRule{{Name: "*.example.com", Port: 443}, {Network: netip.MustParsePrefix("10.0.0.0/8")}}},
		{`http.timeout = "3s"`, func(c *Config) any { return c.HTTP.Timeout }, 3 * time.Second},
		{`http.max_body = "64KB"`, func(c *Config) any { return c.HTTP.MaxBody }, int64(64 << 10)},
		{`http.proxy = "http://proxy:3128"`, func(c *Config) any { return c.HTTP.Proxy }, "http://proxy:3128"},
		{`http.ca = "/etc/ca.pem"`, func(c *Config) any { return c.HTTP.CA }, "/etc/ca.pem"},
		{`mail.server = "smtp.example.com:587"`, func(c *Config) any { return c.Mail.Server }, "smtp.example.com:587"},
		{`mail.tls = "tls"`, func(c *Config) any { return c.Mail.TLS }, TLSAlways},
		{`mail.username = "ada"`, func(c *Config) any { return c.Mail.Username }, "ada"},
		{`mail.password = "secret"`, func(c *Config) any { return c.Mail.Password }, "secret"},
		{`mail.from = "Ada <ada@example.com>"`, func(c *Config) any { return *c.Mail.From }, mail.Address{Name: "Ada", Address: "ada@example.com"}},
		{`mail.attachments = "/var/lib/freeswitch/recordings"`, func(c *Config) any { return c.Mail.Attachments }, "/var/lib/freeswitch/recordings"},
		{`mail.max_size = "1MB"`, func(c *Config) any { return c.Mail.MaxSize }, int64(1 << 20)},
		{`mail.timeout = "3s"`, func(c *Config) any { return c.Mail.Timeout }, 3 * time.Second},
		{`mail.ca = "/etc/ca.pem"`, func(c *Config) any { return c.Mail.CA }, "/etc/ca.pem"},
		{`admin.listen = ""`, func(c *Config) any { return c.Admin.Listen }, ""},
	}
	covered := map[string]bool{}
	for _, tt := range tests {
		key, _, _ := strings.Cut(tt.toml, " ")
		covered[key] = true
		c, err := parseConfig("", []byte(tt.toml), false)
		if err != nil {
			t.Errorf("%s: %v", tt.toml, err)
			continue
		}
		if got := tt.get(c); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.toml, got, tt.want)
		}
	}
	for _, s := range settings {
		if !covered[s.key] {
			t.Errorf("no case for %s", s.key)
		}
	}
}

func TestConfigMistakes(t *testing.T) {
	tests := []struct {
		toml string
		want string // all of the error
	}{
		{"[sql.crm]\ndsn = \"redis://u:secret@h/\"\ntimeuot = \"1s\"", `c.toml:2: sql.crm.dsn names no database: write "sqlite:data.db", "postgres://user:password@host/database" or "mysql://user:password@host/database"
c.toml:3: sql.crm.timeuot is not a setting, did you mean timeout?`},
		{"[sql.crm]\ntimeout = \"1s\"", `c.toml:1: sql.crm.dsn names no database: write "sqlite:data.db", "postgres://user:password@host/database" or "mysql://user:password@host/database"`},
		{"[sql]\ncrm = \"sqlite:x\"", `c.toml:2: sql.crm is the string "sqlite:x": databases have names, write [sql.NAME] and its settings below`},
		{"[sql.CRM]\ndsn = \"sqlite:x\"", `c.toml:1: sql: the name "CRM" of a database may have small letters, digits, _ and -`},
		{"[sql.crm]\ndsn = \"sqlite:x\"\nmax_open = 0", `c.toml:3: sql.crm.max_open is 0: write a number from 1 to 1000`},
		{"[sql.crm]\ndsn = 5", `c.toml:2: sql.crm.dsn is the integer 5: write a string in quotes`},
		{"[limit]\nstore = \"limits.db\"", `c.toml:2: limit.store is no URL of a Redis: write such as "redis://user:password@host:6379/0"`},
		{"[kv]\nstore = \"postgres://u:secret@h/d\"", `c.toml:2: kv.store is no URL of a Redis: write such as "redis://user:password@host:6379/0"`},
		{"[server]\nlisten = \":1\"\nlisen = \":2\"", `c.toml:3: server.lisen is not a setting, did you mean server.listen?`},
		{"[server]\ncpu = \"1s\"", `c.toml:2: server.cpu is not a setting, did you mean limits.cpu?`},
		{"[sever]\nlisten = \":1\"", `c.toml:1: sever is not a setting, did you mean [server]?`},
		{"[route]\nnumber = \"1\"", `c.toml:1: route is a table: write each route as a [[route]] with its fields below`},
		{"[[routes]]\nnumber = \"1\"", `c.toml:1: routes is not a setting, did you mean [[route]]?`},
		{"listen = \":1\"", `c.toml:1: listen is not a setting, did you mean server.listen?`},
		{"[server]\nListen = \":1\"", `c.toml:2: server.Listen is not a setting, did you mean server.listen?`},
		{"server = 5", `c.toml:1: server is the integer 5: it is a section, write [server] and its settings below`},
		{"[limits]\nxyzzy = 5", `c.toml:2: limits.xyzzy is not a setting`},
		{"[server]\nmax_calls = \"many\"", `c.toml:2: server.max_calls is the string "many": write a whole number, such as 10000`},
		{"[server]\nmax_calls = 1.5", `c.toml:2: server.max_calls is the number 1.5: write a whole number, such as 10000`},
		{"[server]\nmax_calls = 0", `c.toml:2: server.max_calls is 0: write a number from 1 to 1000000`},
		{"[server]\ndrain = 30", `c.toml:2: server.drain is the integer 30: write a string in quotes, such as "30s"`},
		{"[server]\ndrain = \"30\"", `c.toml:2: server.drain is "30": write a duration with its unit, such as "200ms", "30s" or "4h"`},
		{"[server]\ndrain = \"-1s\"", `c.toml:2: server.drain is "-1s": write a duration from 0s to 24h`},
		{"[server]\nallow = \"10.0.0.1\"", `c.toml:2: server.allow is the string "10.0.0.1": write a list of strings, such as ["127.0.0.0/8"]`},
		{"[server]\nallow = [1]", `c.toml:2: server.allow is a list: write a list of strings, such as ["127.0.0.0/8"]`},
		{"[server]\nallow = []", `c.toml:2: server.allow is empty, so nobody could connect: write the networks of your FreeSWITCH hosts, such as ["10.0.0.0/8"]`},
		{"[server]\nallow = [\"host\"]", `c.toml:2: server.allow holds "host": write an address or a network, such as "10.0.0.7" or "10.0.0.0/8"`},
		{"[server]\nallow = [\"10.0.0.7/8\"]", `c.toml:2: server.allow holds "10.0.0.7/8", which is an address inside a network: write "10.0.0.0/8" for the network or "10.0.0.7" for the address`},
		{"[server]\nlisten = \"8084\"", `c.toml:2: server.listen is "8084": write host:port, such as "127.0.0.1:8084", or ":8084" for every interface`},
		{"[server]\nlisten = \":99999\"", `c.toml:2: server.listen is ":99999": write host:port, such as "127.0.0.1:8084", or ":8084" for every interface`},
		{"[scripts]\nroot = \"\"", `c.toml:2: scripts.root is "": write the path of a directory`},
		{"[scripts]\ndefault = \"../main\"", `c.toml:2: scripts.default names no script: "../main" is no script name: it holds .., names start at the script root and stay in it`},
		{"[scripts]\nwatch = \"on\"", `c.toml:2: scripts.watch is "on": write "auto", "poll" or "off"`},
		{"[scripts]\nwatch = false", `c.toml:2: scripts.watch is false: write a string in quotes, such as "auto"`},
		{"[scripts]\npoll_interval = \"1ms\"", `c.toml:2: scripts.poll_interval is "1ms": write a duration from 100ms to 1h`},
		{"[limits]\nmemory = 32", `c.toml:2: limits.memory is the integer 32: write a string in quotes, such as "32MB"`},
		{"[limits]\nmemory = \"32\"", `c.toml:2: limits.memory is "32": write a size with its unit, such as "512KB", "32MB" or "1GB"`},
		{"[limits]\nmemory = \"1KB\"", `c.toml:2: limits.memory is "1KB": write a size from 1MB to 4GB`},
		{"[limits]\nmemory = \"99999999999GB\"", `c.toml:2: limits.memory is "99999999999GB": write a size with its unit, such as "512KB", "32MB" or "1GB"`},
		{"[limits]\ncall = \"1ms\"", `c.toml:2: limits.call is "1ms": write a duration from 1s to 720h, or "0" for no limit`},
		{"[limits]\nqueue = 1", `c.toml:2: limits.queue is 1: write a number from 16 to 100000`},
		{"[calls]\non_error = \"hang up\"", `c.toml:2: calls.on_error is "hang up": write "hangup" or "continue"`},
		{"[calls]\nerror_prompt = \"a\\nb\"", `c.toml:2: calls.error_prompt is "a\nb": write one line`},
		{"[log]\nlevel = \"INFO\"", `c.toml:2: log.level is "INFO": write "debug", "info", "warn" or "error"`},
		{"[http]\nallow = [\"https://api.example.com\"]", `c.toml:2: http.allow holds "https://api.example.com": write a host, an address or a network, such as "api.example.com", "*.example.com:443", "10.0.0.7:8080" or "10.0.0.0/8"`},
		{"[http]\nallow = [\"*.*.example.com\"]", `c.toml:2: http.allow holds "*.*.example.com": write a host, an address or a network, such as "api.example.com", "*.example.com:443", "10.0.0.7:8080" or "10.0.0.0/8"`},
		{"[http]\nallow = [\"10.0.0.300\"]", `c.toml:2: http.allow holds "10.0.0.300": write a host, an address or a network, such as "api.example.com", "*.example.com:443", "10.0.0.7:8080" or "10.0.0.0/8"`},
		{"[http]\nallow = [\"api.example.com:0\"]", `c.toml:2: http.allow holds "api.example.com:0": write a host, an address or a network, such as "api.example.com", "*.example.com:443", "10.0.0.7:8080" or "10.0.0.0/8"`},
		{"[http]\nallow = [\"10.0.0.7/8\"]", `c.toml:2: http.allow holds "10.0.0.7/8", which is an address inside a network: write "10.0.0.0/8" for the network or "10.0.0.7" for the address`},
		{"[http]\nproxy = \"proxy:3128\"", `c.toml:2: http.proxy is no URL of a proxy: write one such as "http://proxy.example.com:3128"`},
		{"[http]\ntimeout = \"0\"", `c.toml:2: http.timeout is "0": write a duration from 10ms to 1h`},
		{"[mail]\nserver = \"smtp.example.com\"", `c.toml:2: mail.server is "smtp.example.com": write host:port, such as "smtp.example.com:587"`},
		{"[mail]\nfrom = \"Ada\"", `c.toml:2: mail.from is "Ada": write an address, such as "Switchboard <switchboard@example.com>"`},
		{"[mail]\npassword = 1234", `c.toml:2: mail.password is not what it should be: write a string in quotes`}, // and does not show it
		{"[mail]\npassword = \"12\\n34\"", `c.toml:2: mail.password cannot be used: write one line`},
		{"[admin]\nlisten = 2024-01-01", `c.toml:2: admin.listen is a date or time (2024-01-01): write a string in quotes, such as "127.0.0.1:8085"`},
		{"[server\nlisten = 1", `c.toml:1:8: is not valid TOML: `},
		{"[server]\nlisten = \":1\"\nlisten = \":2\"", `c.toml:3: is not valid TOML: key listen is already defined`},

		{"[[route]]\nnumber = \"1\"", `c.toml:1: route 1 names no script: add script = "…"`},
		{"[[route]]\nscript = \"a\"\n[[route]]\nscript = \"b\"\nnumbr = \"1\"", `c.toml:5: route 2: numbr is not a field of a route, did you mean number?`},
		{"[[route]]\nscript = \"a\"\nnumber = 1800", `c.toml:3: route 1: number is the integer 1800: write it in quotes, such as number = "1800"`},
		{"[[route]]\nscript = \"a\"\nnumber = \"\"", `c.toml:3: route 1: number is empty: leave it out to match any`},
		{"[[route]]\nscript = \"a\"\nnumber = \"/^1[/\"", `c.toml:3: route 1: number: /^1[/ is not a regular expression: missing closing ]: ` + "`[`" + ` (RE2: no look-around, no back-references)`},
		{"[[route]]\nscript = \"a\"\ncaller = \"/1\"", `c.toml:3: route 1: caller: "/1" is not a pattern: a regular expression stands between two slashes, such as /^1[0-9]{3}$/`},
		{"[[route]]\nscript = \"a\\\\b\"", `c.toml:2: route 1: script: "a\\b" is no script name: it holds a backslash, directories are separated by /`},
		{"[[route]]\nscript = \"a\"\nargs = 5", `c.toml:3: route 1: args is the integer 5: write a table, such as args = { queue = "gold" }`},
		{"[[route]]\nscript = \"a\"\n[route.args]\nlist = [1]", `c.toml:4: route 1: args.list is a list: write a string, a number, true or false`},
		{"route = [5]", `c.toml:1: route 1 is the integer 5: write each route as a [[route]] with its fields below`},

		// All mistakes at once.
		{"[server]\nlisen = 1\n[log]\nlevel = 5", "c.toml:2: server.lisen is not a setting, did you mean server.listen?\nc.toml:4: log.level is the integer 5: write a string in quotes, such as \"info\""},
	}
	for _, tt := range tests {
		_, err := parseConfig("c.toml", []byte(tt.toml), false)
		switch {
		case err == nil:
			t.Errorf("%q: no error, want %s", tt.toml, tt.want)
		case strings.HasSuffix(tt.want, ": "):
			if !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("%q:\n got %s\nwant %s…", tt.toml, err, tt.want)
			}
		case err.Error() != tt.want:
			t.Errorf("%q:\n got %s\nwant %s", tt.toml, err, tt.want)
		}
	}
}

func TestConfigEnvironment(t *testing.T) {
	path := write(t, t.TempDir(), "config.toml", "[server]\nlisten = \":1\"\nmax_calls = 7\n[admin]\nlisten = \":2\"\n")
	t.Setenv("CALLISTO_SERVER_LISTEN", ":9")
	t.Setenv("CALLISTO_SERVER_ALLOW", "10.0.0.1, 10.1.0.0/16")
	t.Setenv("CALLISTO_LIMITS_QUEUE", "77")
	t.Setenv("CALLISTO_ADMIN_LISTEN", "")
	t.Setenv("CALLISTO_SERVER_PORT", "tcp://10.0.0.1:8084") // Kubernetes
	c, err := LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(c.Server.Listen, c.Server.Allow, c.Server.MaxCalls, c.Limits.Queue, c.Admin.Listen == "")
	if want := ":9[10.0.0.1/32 10.1.0.0/16]7 77 true"; strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
		t.Errorf("got %s, want %s", got, want)
	}
	if c.Scripts.Root != filepath.Join(filepath.Dir(path), "scripts") {
		t.Errorf("root is %s", c.Scripts.Root)
	}
	if d := DefaultConfig(); d.Server.Listen != "127.0.0.1:8084" {
		t.Errorf("the defaults follow the environment: %s", d.Server.Listen)
	}
}

// Every setting has its variable.
func TestConfigEnvironmentNames(t *testing.T) {
	for _, s := range settings {
		t.Run(s.key, func(t *testing.T) {
			value, name := "1", "CALLISTO_"+strings.ToUpper(strings.ReplaceAll(s.key, ".", "_"))
			switch s.key {
			case "server.allow":
				value = "not a network"
			case "scripts.root":
				value = "\n"
			case "server.max_calls":
				value = "0"
			}
			t.Setenv(name, value)
			c, err := LoadConfig("")
			if err != nil {
				if !strings.Contains(err.Error(), name+" ") {
					t.Errorf("%s=%s: the error does not name the variable: %v", name, value, err)
				}
				return
			}
			if fmt.Sprint(c.values[s.key]) != value {
				t.Errorf("%s=%s gives %v", name, value, c.values[s.key])
			}
		})
	}
}

func TestConfigEnvironmentMistakes(t *testing.T) {
	t.Setenv("CALLISTO_SERVER_MAX_CALLS", "many")
	t.Setenv("CALLISTO_LOG_LEVLE", "debug")
	_, err := LoadConfig("")
	want := "CALLISTO_SERVER_MAX_CALLS is the string \"many\": write a whole number, such as 10000\n" +
		"the environment variable CALLISTO_LOG_LEVLE is not a setting, did you mean CALLISTO_LOG_LEVEL?"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// viper lowers the case of keys and splits them at dots; a script's arguments are its own.
func TestConfigRouteArgs(t *testing.T) {
	c, err := parseConfig("c.toml", []byte(`
[[route]]
script = "a"
args = { Queue = "Gold", "with.dot" = 1, ratio = 0.5, big = 10_000_000_000, on = true }
[[route]]
script = "b"
[route.args]
CamelCase = "x"
`), false)
	if err != nil {
		t.Fatal(err)
	}
	want := []map[string]string{
		{"Queue": "Gold", "with.dot": "1", "ratio": "0.5", "big": "10000000000", "on": "true"},
		{"CamelCase": "x"},
	}
	if diff := cmp.Diff(want, []map[string]string{c.Routes[0].Args, c.Routes[1].Args}); diff != "" {
		t.Error(diff)
	}
	if c.Routes[1].Line != 5 {
		t.Errorf("route 2 is said to be on line %d", c.Routes[1].Line)
	}
}

func TestLoadConfigFileErrors(t *testing.T) {
	_, err := LoadConfig(filepath.Join(t.TempDir(), "none.toml"))
	if err == nil || !strings.Contains(err.Error(), "does not exist") || !os.IsNotExist(unwrapAll(err)) {
		t.Errorf("got %v", err)
	}
	if _, err = LoadConfig(t.TempDir()); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("got %v", err)
	}
}

func unwrapAll(err error) error {
	for {
		u, ok := err.(interface{ Unwrap() error })
		if !ok {
			return err
		}
		err = u.Unwrap()
	}
}

func TestNeedsRestart(t *testing.T) {
	a := DefaultConfig()
	b, err := parseConfig("", []byte("[server]\nlisten = \":1\"\nmax_calls = 5\n[log]\nformat = \"json\"\nlevel = \"debug\""), false)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"server.listen", "log.format"}, a.NeedsRestart(b)); diff != "" {
		t.Error(diff)
	}
	r := a.running(b)
	if r.Server.Listen != a.Server.Listen || r.Log.Format != "text" || r.Server.MaxCalls != 5 || r.Log.Level != slog.LevelDebug {
		t.Errorf("in effect: %+v", r)
	}
}

// write puts a file below dir and returns its path.
func write(t testing.TB, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestDatabases(t *testing.T) {
	t.Setenv("CALLISTO_SQL_CRM_TWO_DSN", "postgres://u:p@h/crm")
	t.Setenv("CALLISTO_SQL_CRM_TWO_MAX_OPEN", "3")
	text := "[sql.crm-two]\ndsn = \"sqlite:x\"\ntimeout = \"1s\"\n[sql.a]\ndsn = \"sqlite:x\""
	c, err := parseConfig("", []byte(text), true)
	if err != nil {
		t.Fatal(err)
	}
	want := []DatabaseConfig{
		{Name: "a", DSN: "sqlite:x", MaxOpen: 10, MaxIdle: 2, Idle: 5 * time.Minute, Timeout: 5 * time.Second, Transaction: 30 * time.Second, MaxRows: 1000},
		{Name: "crm-two", DSN: "postgres://u:p@h/crm", MaxOpen: 3, MaxIdle: 2, Idle: 5 * time.Minute, Timeout: time.Second, Transaction: 30 * time.Second, MaxRows: 1000},
	}
	if !reflect.DeepEqual(c.Databases, want) {
		t.Errorf("got %+v, want %+v", c.Databases, want)
	}
	other, err := parseConfig("", []byte("[sql.a]\ndsn = \"sqlite:y\""), true)
	if err != nil {
		t.Fatal(err)
	}
	if keys := c.NeedsRestart(other); len(keys) != 1 || keys[0] != "sql" {
		t.Errorf("needs a restart: %v", keys)
	}
	if running := c.running(other); !reflect.DeepEqual(running.Databases, want) {
		t.Errorf("a running server has %v", running.Databases)
	}
}
