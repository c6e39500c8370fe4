package luabind

import (
	"log/slog"
	"maps"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

const levelInfo = slog.LevelInfo

// What of a script's line reaches the log: all calls wait for one another there.
const (
	maxLogLine = 8 << 10 // bytes of the message, and of each field
	maxLogName = 200     // bytes of a field's name
	maxLogAll  = 64 << 10
)

var logModule = &Module{
	Name: "log",
	Doc: "`log` writes to Callisto's log, with the script's line and the call's UUID.\n\n" +
		"```lua\nlog.info(\"chose\", { digit = 2, menu = \"support\" })\nlog.warn(\"nobody answers\")\n```\n\n" +
		"`print` is `log.info` of its arguments. The levels that appear are those of `log.level`; a message or field longer than 8 KB is cut, and fields beyond 64 KB together are left out.",
	Functions: []Verb{
		logAt("debug", slog.LevelDebug), logAt("info", slog.LevelInfo),
		logAt("warn", slog.LevelWarn), logAt("error", slog.LevelError),
	},
}

func logAt(name string, level slog.Level) Verb {
	return Verb{
		Name: name,
		Params: []Param{
			{Name: "message", Type: Any, Optional: true, Doc: "what happened"},
			{Name: "fields", Type: Table, Optional: true, Doc: "what belongs to it, such as { digits = digits }"},
		},
		Doc: "Writes a line at the level " + level.String() + ".",
		run: func(c *Call, L *lua.LState, a args) int {
			c.logLine(L, level, L.ToStringMeta(a.value(0)).String(), a.table(1))
			return 0
		},
	}
}

func (c *Call) logLine(L *lua.LState, level slog.Level, message string, fields *lua.LTable) {
	if !c.log.Enabled(c.ctx, level) {
		return
	}
	message = cut(message, maxLogLine)
	file, line := where(L)
	attrs := []slog.Attr{slog.String("at", at(file, line))}
	if fields != nil {
		values := make(map[string]lua.LValue)
		fields.ForEach(func(k, v lua.LValue) { values[k.String()] = v })
		room := maxLogAll
		for i, n := range slices.Sorted(maps.Keys(values)) {
			name, v := cut(n, maxLogName), cut(L.ToStringMeta(values[n]).String(), maxLogLine)
			if room -= len(name) + len(v); room < 0 {
				attrs = append(attrs, slog.Int("left_out", len(values)-i))
				break
			}
			attrs = append(attrs, slog.String(name, v))
		}
	}
	c.log.LogAttrs(c.ctx, level, message, attrs...)
}
