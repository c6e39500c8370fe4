package engine

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"time"

	"github.com/pelletier/go-toml/v2"

	"callisto/luabind"
)

// ownValues is the table of [config] that holds the tables of single scripts.
const ownValues = "script"

// ScriptValues are what the module config has in the calls of a script: [config], with [config.script.NAME] over it. The map
// is not to be changed.
func (c *Config) ScriptValues(script string) map[string]any {
	if own := c.own[script]; own != nil {
		return own
	}
	return c.common
}

// scriptValues reads [config].
func (r *configReader) scriptValues(raw any) {
	if raw == nil {
		return
	}
	table, ok := raw.(map[string]any)
	if !ok {
		r.problem("config", "config is %s: it is a section, write [config] and what scripts are to find below", describe(raw))
		return
	}
	own := table[ownValues]
	delete(table, ownValues)
	r.config.common = r.valuesOf("config", table)
	if own == nil {
		return
	}
	tables, ok := own.(map[string]any)
	if !ok {
		r.problem("config."+ownValues, "config.script is %s: it holds the tables of scripts, write [config.script.\"NAME\"]", describe(own))
		return
	}
	r.config.own, r.config.ownLines = map[string]map[string]any{}, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(tables)) {
		key := "config." + ownValues + "." + name
		script, err := ScriptName(name)
		if err != nil {
			r.problem(key, "config.script: %v", err)
			continue
		}
		values, ok := tables[name].(map[string]any)
		if !ok {
			r.problem(key, "%s is %s: write [config.script.%q] and what the script %s is to find below", key, describe(tables[name]), name, script)
			continue
		}
		r.config.ownLines[script] = r.line(key)
		r.config.own[script] = over(r.config.common, r.valuesOf(key, values))
	}
}

// valuesOf reads a table of values at its top: the names there are fields of the module config.
func (r *configReader) valuesOf(key string, table map[string]any) map[string]any {
	for name := range table {
		if luabind.HasFunction("config", name) {
			r.problem(key+"."+name, "%s.%s is what a function of the module config is called: choose another name", key, name)
			delete(table, name)
		}
	}
	return r.value(key, table).(map[string]any)
}

// fromEnvironment is how a value names a variable of the environment that holds it, a secret for one.
var fromEnvironment = regexp.MustCompile(`^env:([A-Za-z_][A-Za-z0-9_]*)$`)

// value is a TOML value as scripts get it.
func (r *configReader) value(key string, raw any) any {
	switch v := raw.(type) {
	case string:
		m := fromEnvironment.FindStringSubmatch(v)
		if m == nil || !r.env {
			return v
		}
		text, ok := os.LookupEnv(m[1])
		if !ok {
			r.problem(key, "%s is to come from the environment, where there is no %s", key, m[1])
		}
		return text
	case int64:
		if v > 1<<53 || v < -1<<53 {
			r.problem(key, "%s is %d, which is no number in Lua: write it in quotes", key, v)
		}
		return float64(v)
	case float64, bool:
		return v
	case []any:
		list := make([]any, len(v))
		for i := range v {
			list[i] = r.value(fmt.Sprintf("%s[%d]", key, i), v[i])
		}
		return list
	case map[string]any:
		table := make(map[string]any, len(v))
		for _, name := range slices.Sorted(maps.Keys(v)) {
			table[name] = r.value(key+"."+name, v[name])
		}
		return table
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		return fmt.Sprint(v)
	}
	r.problem(key, "%s is %s, which scripts have no value for", key, describe(raw))
	return nil
}

// over is a table of values with those of another over it, in tables too.
func over(under, values map[string]any) map[string]any {
	all := maps.Clone(under)
	if all == nil {
		all = map[string]any{}
	}
	for name, v := range values {
		below, ok := under[name].(map[string]any)
		if table, both := v.(map[string]any); ok && both {
			v = over(below, table)
		}
		all[name] = v
	}
	return all
}

// configFindings are what scripts read of config and the configuration does not have, and tables in it for scripts
// that are not there.
func (b *build) configFindings(c *Config) (list []Problem) {
	required := map[string]bool{}
	for _, f := range b.files {
		if f.program != nil {
			for _, r := range f.program.Requires {
				required[r.Name] = true
			}
		}
	}
	all := slices.Collect(maps.Values(c.own))
	for name, f := range b.files {
		if f.program == nil {
			continue
		}
		tables := []map[string]any{c.ScriptValues(name)}
		if required[name] { // it sees what the script sees that requires it
			tables = append(tables, all...)
		}
		for _, u := range f.program.UnknownConfig(tables...) {
			list = append(list, Problem{File: f.program.File, Line: u.Line, Message: u.Message, Warning: true, Mistake: true})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.own)) {
		if b.files[name] == nil {
			list = append(list, Problem{File: c.File, Line: c.ownLines[name], Warning: true,
				Message: fmt.Sprintf("config.script.%q is for a script that does not exist%s", name, b.nearFile(name))})
		}
	}
	return list
}
