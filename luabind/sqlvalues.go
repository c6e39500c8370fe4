package luabind

import (
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// bind makes the values of a statement's parameters of what a script gives: one for each ?, or one table with names.
func (d *Database) bind(L *lua.LState, text string, values []lua.LValue) (string, []any, error) {
	var byName *lua.LTable
	if len(values) == 1 {
		byName, _ = values[0].(*lua.LTable)
	}
	s, err := parseSQL(text, d.Dialect, byName != nil)
	if err != nil {
		return "", nil, err
	}
	list := make([]any, len(s.params))
	if byName == nil {
		if len(values) != len(s.params) {
			return "", nil, fmt.Errorf("the statement has %s, and there %s", counted(len(s.params), "parameter", "parameters"),
				map[bool]string{true: "is 1 value", false: "are " + counted(len(values), "value", "values")}[len(values) == 1])
		}
		for i, v := range values {
			if list[i], err = d.parameter(v); err != nil {
				return "", nil, fmt.Errorf("value %d %w", i+1, err)
			}
		}
		return s.text, list, nil
	}
	given := map[string]lua.LValue{}
	byName.ForEach(func(k, v lua.LValue) {
		if name, ok := k.(lua.LString); ok {
			given[string(name)] = v
		} else if err == nil {
			err = fmt.Errorf("the table of values must have names, such as { number = … }; without names, give the values one by one")
		}
	})
	if err != nil {
		return "", nil, err
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(s.params, name) { // what is missing is NULL: a slip on either side is found here
			return "", nil, fmt.Errorf("the statement has no :%s%s", name, didYouMean(name, s.params))
		}
	}
	for i, name := range s.params {
		v := given[name]
		if v == nil {
			v = lua.LNil
		}
		if list[i], err = d.parameter(v); err != nil {
			return "", nil, fmt.Errorf("value `%s` %w", name, err)
		}
	}
	return s.text, list, nil
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.Itoa(n) + " " + many
}

// parameter is a value of a script as the driver wants it.
func (d *Database) parameter(v lua.LValue) (any, error) {
	var value any
	switch v := v.(type) {
	case *lua.LNilType:
		return nil, nil
	case lua.LBool:
		value = bool(v)
	case lua.LString:
		value = string(v)
	case lua.LNumber:
		if n := float64(v); math.Trunc(n) == n && math.Abs(n) <= 1<<53 {
			value = int64(n)
		} else {
			value = n
		}
	case *lua.LUserData:
		switch x := v.Value.(type) {
		case nullValue:
			return nil, nil
		case blob:
			value = []byte(x)
		case time.Time:
			value = x
		}
	}
	if value == nil {
		return nil, fmt.Errorf("must be a string, a number, true, false, nil, a time or sql.blob(…), not %s", describe(v))
	}
	if d.Parameter != nil {
		value = d.Parameter(value)
	}
	return value, nil
}

// A blob is a string that goes to the database as bytes.
type blob string

func (b blob) size() int { return len(b) }

var blobClass = &Class{Name: "Blob", Article: "a blob", Var: "blob", Doc: "Bytes for a column that holds no text."}

// sqlRows are rows read from a database, not yet the script's.
type sqlRows struct {
	names []string
	types []string // as the database calls them, in capitals
	rows  [][]any
	bytes int
}

// columns reads what the rows' columns are.
func (r *sqlRows) columns(rows *sql.Rows) error {
	types, err := rows.ColumnTypes()
	if err != nil {
		return err
	}
	for _, t := range types {
		if slices.Contains(r.names, t.Name()) {
			return fmt.Errorf("two columns are called %s: name one of them with AS", t.Name())
		}
		r.names = append(r.names, t.Name())
		r.types = append(r.types, t.DatabaseTypeName())
	}
	return nil
}

// read reads the row that rows stands at.
func (r *sqlRows) read(rows *sql.Rows) error {
	row, to := make([]any, len(r.names)), make([]any, len(r.names))
	for i := range row {
		to[i] = &row[i]
	}
	if err := rows.Scan(to...); err != nil {
		return err
	}
	r.rows = append(r.rows, row)
	r.bytes += 64
	for i, v := range row {
		r.bytes += 64 + len(r.names[i])
		switch v := v.(type) {
		case []byte:
			r.bytes += len(v)
		case string:
			r.bytes += len(v)
		}
	}
	return nil
}

// table is a row as scripts have it.
func (r *sqlRows) table(L *lua.LState, row []any) *lua.LTable {
	t := L.CreateTable(0, len(row))
	for i, v := range row {
		if value := sqlValue(v, r.types[i]); value != lua.LNil {
			t.RawSetString(r.names[i], value)
		}
	}
	return t
}

// sqlValue is a value of a database as scripts have it. A number that a number of Lua does not hold exactly is a string
// of its digits.
func sqlValue(v any, typ string) lua.LValue {
	switch v := v.(type) {
	case nil:
		return lua.LNil
	case bool:
		return lua.LBool(v)
	case int64:
		if typ == "BOOLEAN" && (v == 0 || v == 1) { // SQLite has no type of its own for them
			return lua.LBool(v == 1)
		}
		if v > 1<<53 || v < -1<<53 {
			return lua.LString(strconv.FormatInt(v, 10))
		}
		return lua.LNumber(v)
	case uint64:
		if v > 1<<53 {
			return lua.LString(strconv.FormatUint(v, 10))
		}
		return lua.LNumber(v)
	case float32:
		return shortFloat(v)
	case float64:
		if typ == "FLOAT4" {
			return shortFloat(float32(v))
		}
		return lua.LNumber(v)
	case time.Time:
		return lua.LString(sqlTime(v, typ))
	case []byte:
		return sqlString(string(v), typ)
	case string:
		return sqlString(v, typ)
	}
	return lua.LString(fmt.Sprint(v))
}

// shortFloat is 0.1 for what is nearest to it among numbers of 32 bits.
func shortFloat(v float32) lua.LValue {
	n, _ := strconv.ParseFloat(strconv.FormatFloat(float64(v), 'g', -1, 32), 64)
	return lua.LNumber(n)
}

func sqlString(s, typ string) lua.LValue {
	if typ == "NUMERIC" || typ == "DECIMAL" {
		digits := strings.TrimLeft(strings.Replace(strings.TrimPrefix(s, "-"), ".", "", 1), "0")
		if n, err := strconv.ParseFloat(s, 64); err == nil && len(digits) <= 15 && strings.Trim(digits, "0123456789") == "" {
			return lua.LNumber(n)
		}
	}
	return lua.LString(s)
}

// sqlTime writes a date, a moment, or a date and time of no zone.
func sqlTime(t time.Time, typ string) string {
	switch typ {
	case "TIMESTAMPTZ":
		return t.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")
	case "DATE":
		if t.Equal(t.Truncate(24 * time.Hour)) {
			return t.Format(time.DateOnly)
		}
	}
	if _, offset := t.Zone(); offset != 0 {
		return t.Format("2006-01-02 15:04:05.999999999-07:00")
	}
	return t.Format("2006-01-02 15:04:05.999999999")
}
