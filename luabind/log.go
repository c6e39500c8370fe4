package luabind

import (
	"log/slog"
	"maps"
	"slices"

	lua "github.com/yuin/gopher-lua"
)

const levelInfo = slog.LevelInfo

// maxLogLine is how much of a script's line reaches the log.
const maxLogLine = 8 << 10

var logModule = &Module{
	Name: "log",
	Doc: "`log` writes to Callisto's log, with the script's line and the call's UUID.\n\n" +
		"```lua\nlog.info(\"chose\", { digit = 2, menu = \"support\" })\nlog.warn(\"nobody answers\")\n```\n\n" +
		"`print` is `log.info` of its arguments. The levels that appear are those of `log.level`; a message or field longer than 8 KB is cut.",
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
	if len(message) > maxLogLine {
		message = message[:maxLogLine] + "…"
	}
	file, line := where(L)
	attrs := []slog.Attr{slog.String("at", at(file, line))}
	if fields != nil {
		values := make(map[string]lua.LValue)
		fields.ForEach(func(k, v lua.LValue) { values[k.String()] = v })
		for _, n := range slices.Sorted(maps.Keys(values)) {
			v := L.ToStringMeta(values[n]).String()
			if len(v) > maxLogLine {
				v = v[:maxLogLine] + "…"
			}
			attrs = append(attrs, slog.String(n, v))
		}
	}
	c.log.LogAttrs(c.ctx, level, message, attrs...)
}
