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

// logFunctions is the module log.
var logFunctions = map[string]lua.LGFunction{
	"debug": logAt(slog.LevelDebug),
	"info":  logAt(slog.LevelInfo),
	"warn":  logAt(slog.LevelWarn),
	"error": logAt(slog.LevelError),
}

func logAt(level slog.Level) lua.LGFunction {
	return func(L *lua.LState) int {
		message := L.ToStringMeta(L.CheckAny(1)).String()
		fields, ok := L.Get(2).(*lua.LTable)
		if L.Get(2) != lua.LNil && !ok {
			L.RaiseError("log: the second argument is a table of fields, such as { digits = digits }, not %s", describe(L.Get(2)))
		}
		callOf(L).logLine(L, level, message, fields)
		return 0
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
			v := values[n].String()
			if len(v) > maxLogLine {
				v = v[:maxLogLine] + "…"
			}
			attrs = append(attrs, slog.String(n, v))
		}
	}
	c.log.LogAttrs(c.ctx, level, message, attrs...)
}
