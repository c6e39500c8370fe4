package luabind

import (
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// What tests from outside the package see of its inside.

// RecodeJSON decodes and encodes, in a VM of its own.
func RecodeJSON(text string) ([]byte, error) {
	shared()
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer L.Close()
	v, err := decodeJSON(L, text)
	if err != nil {
		return nil, err
	}
	return encodeJSON(L, v)
}

// OpenAt is time.open.
func OpenAt(hours string, t time.Time) (open bool, change time.Time, err error) {
	h, err := newOpeningHours(hours, nil)
	if err != nil {
		return false, t, err
	}
	open, change, _ = h.at(t, func() {})
	return open, change, nil
}

// EasterSunday is when Easter is.
func EasterSunday(year int) time.Time { return easterSunday(year) }

// KeptText is a string after it was kept by the module kv.
func KeptText(s string) string {
	shared()
	text, _ := keep(nil, lua.LString(s))
	return string(keptValue(nil, text).(lua.LString))
}

// KeptNumber likewise.
func KeptNumber(n float64) float64 {
	text, err := keep(nil, lua.LNumber(n))
	if err != nil {
		return n
	}
	return float64(keptValue(nil, text).(lua.LNumber))
}

// AllMatches are the places that re.all finds.
func AllMatches(expression, text string) (list [][]int, err error) {
	shared()
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer L.Close()
	x, err := compileExpression(expression)
	if err != nil {
		return nil, err
	}
	s := &search{expression: x, L: L, m: newMeter(L), text: text}
	s.each(1<<30, func(m []int) { list = append(list, m) })
	return list, nil
}

// ParseSQL is a statement as its database gets it, and how many parameters it has or what they are called; with a !, what is
// wrong with it.
func ParseSQL(text string, d Dialect, named bool) string {
	s, err := parseSQL(text, d, named)
	switch {
	case err != nil:
		return "!" + err.Error()
	case named:
		return s.text + " " + strings.Join(s.params, " ")
	}
	return s.text + " " + strconv.Itoa(len(s.params))
}
