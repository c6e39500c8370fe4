package engine

import (
	"errors"
	"fmt"
	"net"
	"net/mail"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A setting is one key of the configuration outside [[route]].
type setting struct {
	key     string
	def     any                          // string, int or []string: that is its type
	restart bool                         // a running server cannot follow a change
	secret  bool                         // messages do not show it
	set     func(c *Config, v any) error // v has the type of def; the error continues "server.listen …"
}

// settings are all keys outside [[route]], in the order of config.toml.
var settings = []*setting{
	textSetting("server.listen", "127.0.0.1:8084", func(c *Config) *string { return &c.Server.Listen }, address).needsRestart(),
	listSetting("server.allow", []string{"127.0.0.0/8", "::1/128"}, func(c *Config, v []string) (err error) {
		c.Server.Allow, err = networks(v)
		return err
	}),
	numberSetting("server.max_calls", 10000, 1, 1_000_000, func(c *Config) *int { return &c.Server.MaxCalls }),
	durationSetting("server.drain", "30s", 0, 24*time.Hour, func(c *Config) *time.Duration { return &c.Server.Drain }),

	textSetting("scripts.root", "scripts", func(c *Config) *string { return &c.Scripts.Root }, notEmpty).needsRestart(),
	textSetting("scripts.default", "main", func(c *Config) *string { return &c.Scripts.Default }, func(v string) (string, error) {
		name, err := ScriptName(v)
		if err != nil {
			return "", fmt.Errorf("names no script: %w", err)
		}
		return name, nil
	}),
	choiceSetting("scripts.watch", func(c *Config) *string { return &c.Scripts.Watch }, WatchAuto, WatchPoll, WatchOff).needsRestart(),
	durationSetting("scripts.poll_interval", "2s", 100*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.Scripts.PollInterval }).needsRestart(),
	textSetting("scripts.sounds", "", func(c *Config) *string { return &c.Scripts.Sounds }, oneLine),

	durationSetting("limits.cpu", "200ms", time.Millisecond, time.Minute, func(c *Config) *time.Duration { return &c.Limits.CPU }),
	sizeSetting("limits.memory", "32MB", 1<<20, 4<<30, func(c *Config) *int64 { return &c.Limits.Memory }),
	limitSetting("limits.call", "4h", time.Second, 30*24*time.Hour, func(c *Config) *time.Duration { return &c.Limits.Call }),
	durationSetting("limits.hangup", "5s", 0, 5*time.Minute, func(c *Config) *time.Duration { return &c.Limits.Hangup }),
	numberSetting("limits.queue", 500, 16, 100_000, func(c *Config) *int { return &c.Limits.Queue }).needsRestart(),

	choiceSetting("calls.on_return", func(c *Config) *string { return &c.Calls.OnReturn }, OnEndHangup, OnEndContinue),
	choiceSetting("calls.on_error", func(c *Config) *string { return &c.Calls.OnError }, OnEndHangup, OnEndContinue),
	textSetting("calls.error_prompt", "", func(c *Config) *string { return &c.Calls.ErrorPrompt }, oneLine),

	textSetting("flows.key", "", func(c *Config) *string { return &c.Flows.Key }, oneLine).isSecret(),

	storeSetting("kv.store", "callisto.db", func(c *Config) *string { return &c.KV.Store }).needsRestart(),

	textSetting("limit.store", "", func(c *Config) *string { return &c.Limit.Store }, func(v string) (string, error) {
		if v == "" {
			return "", nil
		}
		return redisURL(v)
	}).needsRestart(),

	logLevel(),
	choiceSetting("log.format", func(c *Config) *string { return &c.Log.Format }, "text", "json").needsRestart(),

	listSetting("http.allow", []string{"*"}, func(c *Config, v []string) (err error) {
		c.HTTP.Allow, err = hostRules(v)
		return err
	}).needsRestart(),
	durationSetting("http.timeout", "10s", 10*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.HTTP.Timeout }).needsRestart(),
	sizeSetting("http.max_body", "1MB", 1<<10, 1<<30, func(c *Config) *int64 { return &c.HTTP.MaxBody }).needsRestart(),
	textSetting("http.proxy", "", func(c *Config) *string { return &c.HTTP.Proxy }, proxyURL).needsRestart(),
	textSetting("http.ca", "", func(c *Config) *string { return &c.HTTP.CA }, oneLine).needsRestart(),

	textSetting("mail.server", "", func(c *Config) *string { return &c.Mail.Server }, func(v string) (string, error) {
		if host, _, err := net.SplitHostPort(v); v != "" && (err != nil || host == "") {
			return "", fmt.Errorf("is %q: write host:port, such as \"smtp.example.com:587\"", v)
		}
		return v, nil
	}).needsRestart(),
	choiceSetting("mail.tls", func(c *Config) *string { return &c.Mail.TLS }, TLSStart, TLSAlways, TLSNone).needsRestart(),
	textSetting("mail.username", "", func(c *Config) *string { return &c.Mail.Username }, oneLine).needsRestart(),
	textSetting("mail.password", "", func(c *Config) *string { return &c.Mail.Password }, oneLine).needsRestart().isSecret(),
	textSetting("mail.from", "", nil, nil).with(func(c *Config, v string) (err error) {
		if c.Mail.From = nil; v == "" {
			return nil
		}
		if c.Mail.From, err = mail.ParseAddress(v); err != nil {
			return fmt.Errorf("is %q: write an address, such as \"Switchboard <switchboard@example.com>\"", v)
		}
		return nil
	}).needsRestart(),
	textSetting("mail.attachments", "", func(c *Config) *string { return &c.Mail.Attachments }, oneLine).needsRestart(),
	sizeSetting("mail.max_size", "25MB", 1<<10, 1<<30, func(c *Config) *int64 { return &c.Mail.MaxSize }).needsRestart(),
	durationSetting("mail.timeout", "30s", 10*time.Millisecond, time.Hour, func(c *Config) *time.Duration { return &c.Mail.Timeout }).needsRestart(),
	textSetting("mail.ca", "", func(c *Config) *string { return &c.Mail.CA }, oneLine).needsRestart(),

	textSetting("admin.listen", "127.0.0.1:8085", func(c *Config) *string { return &c.Admin.Listen }, func(v string) (string, error) {
		if v == "" {
			return "", nil
		}
		return address(v)
	}).needsRestart(),
}

// sections are the tables that hold the settings.
var sections = func() (names []string) {
	for _, s := range settings {
		if name, _, _ := strings.Cut(s.key, "."); !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}()

func findSetting(key string) *setting {
	for _, s := range settings {
		if s.key == key {
			return s
		}
	}
	return nil
}

func (s *setting) needsRestart() *setting {
	s.restart = true
	return s
}

func (s *setting) isSecret() *setting {
	s.secret = true
	return s
}

// expected says what to write, with the default for an example.
func (s *setting) expected() string {
	switch def := s.def.(type) {
	case int:
		return fmt.Sprintf("a whole number, such as %d", def)
	case []string:
		return fmt.Sprintf("a list of strings, such as [%q]", def[0])
	case string:
		if def != "" {
			return fmt.Sprintf("a string in quotes, such as %q", def)
		}
	}
	return "a string in quotes"
}

// fromTOML gives v the type of the default, or is nil when it has another.
func (s *setting) fromTOML(v any) any {
	switch s.def.(type) {
	case string:
		if v, ok := v.(string); ok {
			return v
		}
	case int:
		switch v := v.(type) {
		case int:
			return v
		case int64:
			if int64(int(v)) == v {
				return int(v)
			}
		}
	case []string:
		switch v := v.(type) {
		case []string:
			return slices.Clone(v)
		case []any:
			list := make([]string, len(v))
			for i, item := range v {
				text, ok := item.(string)
				if !ok {
					return nil
				}
				list[i] = text
			}
			return list
		}
	}
	return nil
}

// fromText reads the value of an environment variable: a list has commas.
func (s *setting) fromText(text string) any {
	switch s.def.(type) {
	case int:
		n, err := strconv.Atoi(strings.TrimSpace(text))
		if err != nil {
			return nil
		}
		return n
	case []string:
		list := []string{}
		for item := range strings.SplitSeq(text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				list = append(list, item)
			}
		}
		return list
	}
	return text
}

func textSetting(key, def string, field func(*Config) *string, check func(string) (string, error)) *setting {
	return &setting{key: key, def: def, set: func(c *Config, v any) error {
		text, err := check(v.(string))
		if err != nil {
			return err
		}
		*field(c) = text
		return nil
	}}
}

// storeSetting says where a module keeps things: in a file, or the Redis that a URL names.
func storeSetting(key, def string, field func(*Config) *string) *setting {
	return textSetting(key, def, field, func(v string) (string, error) {
		if strings.ContainsAny(v, "\r\n\x00") {
			return "", errors.New("has a line break: write the path of a file, the URL of a Redis, or \"\" for none")
		}
		if strings.Contains(v, "://") {
			return redisURL(v)
		}
		return v, nil
	})
}

func redisURL(v string) (string, error) {
	if u, err := url.Parse(v); err != nil || !slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme) {
		return "", errors.New("is no URL of a Redis: write such as \"redis://user:password@host:6379/0\"") // the value may hold a password
	}
	return v, nil
}

func choiceSetting(key string, field func(*Config) *string, values ...string) *setting {
	return textSetting(key, values[0], field, func(v string) (string, error) {
		return v, among(v, values)
	})
}

func listSetting(key string, def []string, set func(*Config, []string) error) *setting {
	return &setting{key: key, def: def, set: func(c *Config, v any) error { return set(c, v.([]string)) }}
}

func numberSetting(key string, def, low, high int, field func(*Config) *int) *setting {
	return &setting{key: key, def: def, set: func(c *Config, v any) error {
		n := v.(int)
		if n < low || n > high {
			return fmt.Errorf("is %d: write a number from %d to %d", n, low, high)
		}
		*field(c) = n
		return nil
	}}
}

func durationSetting(key, def string, low, high time.Duration, field func(*Config) *time.Duration) *setting {
	return textSetting(key, def, nil, nil).with(func(c *Config, v string) error {
		d, err := parseDuration(v)
		if err != nil {
			return err
		}
		if d < low || d > high {
			return fmt.Errorf("is %q: write a duration from %s to %s", v, shortDuration(low), shortDuration(high))
		}
		*field(c) = d
		return nil
	})
}

// limit is a duration that may also be 0, for none.
func limitSetting(key, def string, low, high time.Duration, field func(*Config) *time.Duration) *setting {
	return textSetting(key, def, nil, nil).with(func(c *Config, v string) error {
		d, err := parseDuration(v)
		if err != nil {
			return err
		}
		if d != 0 && (d < low || d > high) {
			return fmt.Errorf("is %q: write a duration from %s to %s, or \"0\" for no limit", v, shortDuration(low), shortDuration(high))
		}
		*field(c) = d
		return nil
	})
}

func sizeSetting(key, def string, low, high int64, field func(*Config) *int64) *setting {
	return textSetting(key, def, nil, nil).with(func(c *Config, v string) error {
		n, err := parseSize(v)
		if err != nil {
			return err
		}
		if n < low || n > high {
			return fmt.Errorf("is %q: write a size from %s to %s", v, shortSize(low), shortSize(high))
		}
		*field(c) = n
		return nil
	})
}

func logLevel() *setting {
	return textSetting("log.level", "info", nil, nil).with(func(c *Config, v string) error {
		if err := among(v, []string{"debug", "info", "warn", "error"}); err != nil {
			return err
		}
		return c.Log.Level.UnmarshalText([]byte(v))
	})
}

func (s *setting) with(set func(*Config, string) error) *setting {
	s.set = func(c *Config, v any) error { return set(c, v.(string)) }
	return s
}

func among(v string, values []string) error {
	if slices.Contains(values, v) {
		return nil
	}
	quoted := make([]string, len(values))
	for i, value := range values {
		quoted[i] = strconv.Quote(value)
	}
	last := len(quoted) - 1
	return fmt.Errorf("is %q: write %s or %s", v, strings.Join(quoted[:last], ", "), quoted[last])
}

func notEmpty(v string) (string, error) {
	if v == "" || strings.ContainsRune(v, 0) {
		return "", fmt.Errorf("is %q: write the path of a directory", v)
	}
	return v, nil
}

func oneLine(v string) (string, error) {
	if strings.ContainsAny(v, "\r\n\x00") {
		return "", fmt.Errorf("is %q: write one line", v)
	}
	return v, nil
}

func address(v string) (string, error) {
	_, port, err := net.SplitHostPort(v)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return "", fmt.Errorf("is %q: write host:port, such as \"127.0.0.1:8084\", or \":8084\" for every interface", v)
	}
	return v, nil
}

// networks reads CIDRs and plain addresses, each a network of its own.
func networks(list []string) ([]netip.Prefix, error) {
	if len(list) == 0 {
		return nil, fmt.Errorf("is empty, so nobody could connect: write the networks of your FreeSWITCH hosts, such as [\"10.0.0.0/8\"]")
	}
	out := make([]netip.Prefix, len(list))
	for i, v := range list {
		if a, err := netip.ParseAddr(v); err == nil && a.Zone() == "" {
			a = a.Unmap()
			out[i] = netip.PrefixFrom(a, a.BitLen())
			continue
		}
		p, err := netip.ParsePrefix(v)
		if err != nil {
			return nil, fmt.Errorf("holds %q: write an address or a network, such as \"10.0.0.7\" or \"10.0.0.0/8\"", v)
		}
		if m := p.Masked(); m != p {
			return nil, fmt.Errorf("holds %q, which is an address inside a network: write %q for the network or %q for the address", v, m, p.Addr())
		}
		out[i] = p
	}
	return out, nil
}

func parseDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		return 0, fmt.Errorf("is %q: write a duration with its unit, such as \"200ms\", \"30s\" or \"4h\"", v)
	}
	return d, nil
}

// shortDuration leaves out the zero units: "24h", not "24h0m0s".
func shortDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// units are powers of 1024, whether written MB or MiB.
var units = []struct {
	suffix string
	bytes  int64
}{
	{"KIB", 1 << 10}, {"MIB", 1 << 20}, {"GIB", 1 << 30},
	{"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30},
	{"B", 1},
}

func parseSize(v string) (int64, error) {
	digits, unit := strings.ToUpper(strings.TrimSpace(v)), int64(0)
	for _, u := range units {
		if rest, ok := strings.CutSuffix(digits, u.suffix); ok {
			digits, unit = strings.TrimSpace(rest), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || unit == 0 || n < 0 || n > (1<<62)/unit {
		return 0, fmt.Errorf("is %q: write a size with its unit, such as \"512KB\", \"32MB\" or \"1GB\"", v)
	}
	return n * unit, nil
}

func shortSize(n int64) string {
	switch {
	case n >= 1<<30 && n%(1<<30) == 0:
		return fmt.Sprintf("%dGB", n>>30)
	case n >= 1<<20 && n%(1<<20) == 0:
		return fmt.Sprintf("%dMB", n>>20)
	}
	return fmt.Sprintf("%dB", n)
}

func formatFloat(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
