package luabind

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	lua "github.com/yuin/gopher-lua"
)

var timeModule = &Module{
	Name: "time",
	Doc: "`time` knows zones, opening hours and holidays.\n\n" +
		"```lua\nlocal open, change, holiday = time.open(\"mon-fri 09:00-17:00; sat 10:00-14:00\", {\n" +
		"  zone = \"Europe/Stockholm\",\n" +
		"  holidays = { [\"New Year\"] = \"01-01\", [\"Good Friday\"] = \"easter-2\", [\"Midsummer\"] = \"fri from 06-19\" },\n})\n" +
		"if not open then\n  log.info(\"closed\", { holiday = holiday, opens = change:format(\"%A at %H:%M\") })\nend\n" +
		"local due = time.parse(\"2026-12-01 08:30\", { zone = \"Europe/Stockholm\" })\n" +
		"log.info(\"time left\", { left = time.duration(math.max(0, due - time.now())) })\n```\n\n" +
		"A zone is one of the IANA database, such as `\"Europe/Stockholm\"` or `\"UTC\"`, which Callisto brings along; where none is named it is that of the machine. " +
		"The layouts of `format` and `parse` are those of `os.date`: `%Y-%m-%d %H:%M:%S`, the names of days and months in English. There are " +
		"%a %A %b %B %c %d %D %e %F %h %H %I %j %m %M %n %p %r %R %s %S %t %T %u %V %G %w %x %X %y %Y %z %Z %%; `parse` knows those that can be read back " +
		"(not %c %G %r %u %V %w %x %X %Z).",
	Functions: []Verb{
		{
			Name:    "now",
			Options: []Param{zoneOption},
			Results: []Result{{"now", "Time", "the time of day, in the zone"}},
			Doc:     "Tells the time.",
			run: func(c *Call, L *lua.LState, a args) int {
				return pushTime(L, c.now().In(a.zone("zone")))
			},
		},
		{
			Name: "date",
			Options: []Param{
				{Name: "year", Type: Integer, Doc: "the year; this one where left out"},
				{Name: "month", Type: Integer, Doc: "1 to 12; this one where left out"},
				{Name: "day", Type: Integer, Doc: "1 to 31; today's where left out"},
				{Name: "hour", Type: Integer, Doc: "0 where left out"},
				{Name: "minute", Type: Integer, Doc: "0 where left out"},
				{Name: "second", Type: Integer, Doc: "0 where left out"},
				zoneOption,
			},
			Results: []Result{{"time", "Time", "the time"}},
			Doc: "Makes a time of its parts. A part that is too large or too small moves on to the next, as in os.time: day = 32 is in the next month. " +
				"A time that the change to summer time leaves out is the moment of the change; one that comes twice is the first.",
			run: timeDate,
		},
		{
			Name:    "unix",
			Params:  []Param{{Name: "seconds", Type: Number, Doc: "since 1970-01-01 UTC, as of os.time or in a CDR"}},
			Options: []Param{zoneOption},
			Results: []Result{{"time", "Time", "the time, to the millisecond"}},
			Doc:     "Makes a time of the seconds since 1970.",
			run: func(c *Call, L *lua.LState, a args) int {
				s := a.number(0)
				if s < -62135596800 || s >= 253402300800 {
					a.fail("%v seconds is not between the years 1 and 9999; milliseconds are divided by 1000", s)
				}
				return pushTime(L, time.UnixMilli(int64(s*1000)).In(a.zone("zone")))
			},
		},
		{
			Name:   "parse",
			Params: []Param{{Name: "text", Type: String, Doc: "the time as it is written"}},
			Options: []Param{
				{Name: "format", Type: String, Doc: `its layout, such as "%d.%m.%Y %H:%M"; ISO 8601 ("2026-11-22", "2026-11-22 14:05", "2026-11-22T14:05:06.5+01:00") and the dates of HTTP where left out`},
				{Name: "zone", Type: String, Doc: "the zone of a text that names no offset, and of the result"},
			},
			Results: []Result{{"time", "Time?", "nil where the text is no such time"}, {"error", "string?", "what is wrong"}},
			Doc:     "Reads a time. Without a date in the layout it is today; a month or day that is left out is the first, a year this one.",
			run:     timeParse,
		},
		{
			Name:   "open",
			Params: []Param{{Name: "hours", Type: String, Literal: func(text string) error { _, err := newOpeningHours(text, nil); return err }, Doc: `the opening hours: "mon-fri 09:00-12:00, 13:00-17:00; sat 10:00-14:00; fri 22:00-04:00; 12-24 closed"`}},
			Options: []Param{
				zoneOption,
				{Name: "holidays", Type: Table, Doc: `days that are closed: a list of days, or names and days: { "12-25", ["Easter Monday"] = "easter+1" }`},
				{Name: "at", Type: Any, Doc: "a Time to look at instead of now; its zone counts where none is named"},
			},
			Results: []Result{
				{"open", "boolean", "whether it is open"},
				{"change", "Time?", "when it closes, or opens, next; nil where that is not within 400 days"},
				{"holiday", "string?", "the name of the holiday that the day is, or the day as it is written where it has no name"},
			},
			Doc: "Tells whether it is open. The text has parts with semicolons between them, each some days and their hours, or `closed`. Days are `mon` to `sun`, `mon-fri`, `daily`, `holidays`, or a day of the calendar: " +
				"`2026-12-24`, `12-24` each year, `easter`, `easter-2`, `last mon of may`, `4th thu of nov`, `fri from 06-19` (the first such day on or after it), " +
				"or a stretch `07-01..07-31`; several have commas between them. " +
				"Of parts for the same day the last one counts; a day of the calendar goes before `holidays` and those before the days of the week. " +
				"Hours that end before they begin, `22:00-04:00`, end the next day, whatever day that is; `00:00-24:00` is all day. " +
				"A mistake in the text raises an error that points at its place.",
			run: timeOpen,
		},
		{
			Name:    "duration",
			Params:  []Param{{Name: "time", Type: Duration, Doc: "the duration"}},
			Results: []Result{{"text", "string", `such as "1h30m0s" or "200ms", which every verb that takes a duration understands`}},
			Doc:     "Writes milliseconds as a duration with units.",
			run: func(c *Call, L *lua.LState, a args) int {
				L.Push(lua.LString(a.duration(0).String()))
				return 1
			},
		},
		{
			Name:    "milliseconds",
			Params:  []Param{{Name: "time", Type: Duration, Doc: `the duration, such as "1h30m"`}},
			Results: []Result{{"milliseconds", "number", "how many milliseconds it is"}},
			Doc:     "Reads a duration with units.",
			run: func(c *Call, L *lua.LState, a args) int {
				L.Push(lua.LNumber(float64(a.duration(0)) / float64(time.Millisecond)))
				return 1
			},
		},
	},
	Classes: []*Class{timeClass},
}

var zoneOption = Param{Name: "zone", Type: String, Literal: func(name string) error { _, err := zoneOf(name); return err }, Doc: `the zone, such as "Europe/Stockholm"; that of the machine where left out`}

var timeClass = &Class{
	Name:    "Time",
	Article: "a time",
	Var:     "time",
	Doc: "A moment, in a zone. Times compare with `<`, `<=` and `==`, whatever their zones; `a - b` is the milliseconds between them; " +
		"`tostring` writes them as `2026-11-22T14:05:06+01:00`.",
	Fields: []Field{
		{Name: "year", Type: "number", Doc: "the year"},
		{Name: "month", Type: "number", Doc: "1 to 12"},
		{Name: "day", Type: "number", Doc: "of the month, 1 to 31"},
		{Name: "hour", Type: "number", Doc: "0 to 23"},
		{Name: "minute", Type: "number", Doc: "0 to 59"},
		{Name: "second", Type: "number", Doc: "0 to 59"},
		{Name: "weekday", Type: "string", Doc: "mon, tue, wed, thu, fri, sat or sun"},
		{Name: "yday", Type: "number", Doc: "of the year, 1 to 366"},
		{Name: "week", Type: "number", Doc: "of the year, as ISO 8601 counts: 1 to 53"},
		{Name: "unix", Type: "number", Doc: "whole seconds since 1970-01-01 UTC, as os.time has them"},
		{Name: "zone", Type: "string", Doc: "the zone, or the offset where only that is known"},
	},
	field: timeField,
}

func init() { // not in the initialiser: they look into the class
	timeClass.Methods = []Verb{
		{
			Name:    "format",
			Params:  []Param{{Name: "layout", Type: String, Doc: `the layout, such as "%Y-%m-%d %H:%M"`}},
			Results: []Result{{"text", "string", "the time"}},
			Doc:     "Writes the time.",
			run: func(c *Call, L *lua.LState, a args) int {
				layout := a.string(0)
				charge(L, len(layout))
				text, err := strftime(a.self().(time.Time), layout)
				if err != nil {
					a.fail("%s", err)
				}
				charge(L, len(text))
				L.Push(lua.LString(text))
				return 1
			},
		},
		{
			Name:    "in_zone",
			Params:  []Param{{Name: "zone", Type: String, Doc: `such as "America/New_York"`}},
			Results: []Result{{"time", "Time", "the same moment"}},
			Doc:     "Tells what time that is elsewhere.",
			run: func(c *Call, L *lua.LState, a args) int {
				return pushTime(L, a.self().(time.Time).In(a.location(a.string(0))))
			},
		},
		shift("add", 1, "Tells the time after so long", "later"),
		shift("subtract", -1, "Tells the time before", "earlier"),
	}
	timeClass.meta = map[string]lua.LGFunction{
		"__tostring": func(L *lua.LState) int {
			t, _ := timeClass.of(L.Get(1))
			at, _ := t.(time.Time)
			L.Push(lua.LString(at.Format(time.RFC3339)))
			return 1
		},
		"__eq": func(L *lua.LState) int { return compareTimes(L, "compare", time.Time.Equal) },
		"__lt": func(L *lua.LState) int { return compareTimes(L, "compare", time.Time.Before) },
		"__le": func(L *lua.LState) int {
			return compareTimes(L, "compare", func(a, b time.Time) bool { return !a.After(b) })
		},
		"__sub": func(L *lua.LState) int {
			a, b := twoTimes(L, "subtract")
			L.Push(lua.LNumber(float64(a.UnixMicro()-b.UnixMicro()) / 1000))
			return 1
		},
	}
}

// shift is add or subtract.
func shift(name string, sign int, doc, word string) Verb {
	return Verb{
		Name:   name,
		Params: []Param{{Name: "time", Type: Duration, Optional: true, Doc: `how long, such as "1h30m"`}},
		Options: []Param{
			{Name: "years", Type: Integer, Doc: "so many years " + word},
			{Name: "months", Type: Integer, Doc: "so many months " + word},
			{Name: "days", Type: Integer, Doc: "so many days " + word},
		},
		Results: []Result{{"time", "Time", "the other time"}},
		Doc: doc + ". Years, months and days keep the time of day, also when summer time begins or ends between them; " +
			"a month without that day gives its last.",
		run: func(c *Call, L *lua.LState, a args) int {
			t := a.self().(time.Time)
			for _, o := range []string{"years", "months", "days"} {
				if n := a.optInt(o, 0); n > 4_000_000 || n < -4_000_000 {
					a.fail("option `%s` is %d, which no calendar has", o, n)
				}
			}
			years, months, days := sign*a.optInt("years", 0), sign*a.optInt("months", 0), sign*a.optInt("days", 0)
			if years != 0 || months != 0 || days != 0 {
				y, m, d := t.Date()
				first := time.Date(y+years, m+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
				d = min(d, first.AddDate(0, 1, -1).Day()) + days
				t, _ = civil(first.Year(), first.Month(), d, t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
			}
			if a.given(0) {
				t = t.Add(time.Duration(sign) * a.duration(0))
			}
			if t.Year() < 1 || t.Year() > 9999 {
				a.fail("the year would be %d", t.Year())
			}
			return pushTime(L, t)
		},
	}
}

func pushTime(L *lua.LState, t time.Time) int {
	charge(L, 64)
	L.Push(timeClass.new(t.Round(0))) // of the wall clock alone
	return 1
}

func twoTimes(L *lua.LState, what string) (a, b time.Time) {
	for i, t := range []*time.Time{&a, &b} {
		v, ok := timeClass.of(L.Get(i + 1))
		if !ok {
			L.RaiseError("cannot %s a time and %s: time:add(\"1h\") and time:subtract(\"1h\") shift a time", what, describe(L.Get(i+1)))
		}
		*t = v.(time.Time)
	}
	return a, b
}

func compareTimes(L *lua.LState, what string, test func(a, b time.Time) bool) int {
	a, b := twoTimes(L, what)
	L.Push(lua.LBool(test(a, b)))
	return 1
}

var weekdays = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func timeField(_ *Call, _ *lua.LState, value any, name string) lua.LValue {
	t := value.(time.Time)
	n := func(i int) lua.LValue { return lua.LNumber(i) }
	switch name {
	case "year":
		return n(t.Year())
	case "month":
		return n(int(t.Month()))
	case "day":
		return n(t.Day())
	case "hour":
		return n(t.Hour())
	case "minute":
		return n(t.Minute())
	case "second":
		return n(t.Second())
	case "weekday":
		return lua.LString(weekdays[t.Weekday()])
	case "yday":
		return n(t.YearDay())
	case "week":
		_, week := t.ISOWeek()
		return n(week)
	case "unix":
		return lua.LNumber(t.Unix())
	}
	if z := t.Location().String(); z != "" {
		return lua.LString(z)
	}
	return lua.LString(t.Format("-07:00"))
}

// Zones are kept for the process: each is read from the database once.
var zones struct {
	sync.Mutex
	known map[string]*time.Location
}

const maxZones = 2000 // more than the database has

// zoneOf finds a zone by its name.
func zoneOf(name string) (*time.Location, error) {
	zones.Lock()
	defer zones.Unlock()
	if z := zones.known[name]; z != nil {
		return z, nil
	}
	z, err := time.LoadLocation(name)
	if err != nil || name == "" || len(name) > 64 {
		return nil, fmt.Errorf("there is no zone %s; zones are named as \"Europe/Stockholm\", \"America/New_York\" or \"UTC\"", describe(lua.LString(name)))
	}
	if zones.known == nil || len(zones.known) >= maxZones {
		zones.known = make(map[string]*time.Location)
	}
	zones.known[name] = z
	return z, nil
}

func (a args) location(name string) *time.Location {
	z, err := zoneOf(name)
	if err != nil {
		a.fail("%s", err)
	}
	return z
}

// zone is the zone that an option names, or that of the call's clock: the machine's.
func (a args) zone(option string) *time.Location {
	if name, ok := a.optString(option); ok {
		return a.location(name)
	}
	return callOf(a.L).now().Location()
}

// civil is when a clock in a zone shows that time: the first moment and the last, which differ where the clock is put back. Where it is
// put forward over the time, both are the moment when it is. Parts may overflow into the next larger ones.
func civil(year int, month time.Month, day, hour, minute, second, nano int, zone *time.Location) (first, last time.Time) {
	wall := time.Date(year, month, day, hour, minute, second, nano, time.UTC)
	_, before := wall.Add(-24 * time.Hour).In(zone).Zone()
	_, after := wall.Add(24 * time.Hour).In(zone).Zone()
	at := func(offset int) (time.Time, bool) {
		t := wall.Add(-time.Duration(offset) * time.Second).In(zone)
		_, actual := t.Zone()
		return t, actual == offset
	}
	first, okFirst := at(before)
	last, okLast := at(after)
	switch {
	case okFirst && okLast:
	case okFirst:
		last = first
	case okLast:
		first = last
	default:
		change, _ := first.ZoneBounds() // first is past it, by the old clock
		return change, change
	}
	return first, last
}

func timeDate(c *Call, L *lua.LState, a args) int {
	now := c.now().In(a.zone("zone"))
	parts := [...]struct {
		name      string
		otherwise int
	}{{"year", now.Year()}, {"month", int(now.Month())}, {"day", now.Day()}, {"hour", 0}, {"minute", 0}, {"second", 0}}
	var n [len(parts)]int
	for i, p := range parts {
		n[i] = a.optInt(p.name, p.otherwise)
		if n[i] > 4_000_000 || n[i] < -4_000_000 {
			a.fail("option `%s` is %d, which no calendar has", p.name, n[i])
		}
	}
	t, _ := civil(n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], 0, now.Location())
	if t.Year() < 1 || t.Year() > 9999 {
		a.fail("the year would be %d", t.Year())
	}
	return pushTime(L, t)
}

// isoLayouts are what parse reads without a layout. Go's own parser reads a fraction after the seconds.
var isoLayouts = []string{
	"2006-01-02", "2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02T15:04Z07:00", "2006-01-02T15:04:05Z07:00", "2006-01-02T15:04:05Z0700",
	"20060102T150405", "20060102T150405Z0700", "20060102", time.RFC1123, time.RFC1123Z,
}

func timeParse(c *Call, L *lua.LState, a args) int {
	text, zone := a.string(0), a.zone("zone")
	_, named := a.option("zone")
	var t time.Time
	var err error
	if len(text) > 200 {
		err = fmt.Errorf("a text of %d bytes is no time", len(text))
	} else if layout, ok := a.optString("format"); ok {
		if len(layout) > 200 {
			a.fail("option `format` has %d bytes", len(layout))
		}
		var bad error
		if t, err, bad = strptime(text, layout, c.now().In(zone)); bad != nil {
			a.fail("option `format`: %s", bad)
		}
	} else {
		t, err = parseISO(text, zone)
	}
	if err != nil {
		return pushNone(L, err.Error())
	}
	if named {
		t = t.In(zone)
	}
	return pushTime(L, t)
}

func parseISO(text string, zone *time.Location) (time.Time, error) {
	s := strings.TrimSpace(text)
	if len(s) > 10 && s[4] == '-' && (s[10] == ' ' || s[10] == 't') {
		s = s[:10] + "T" + s[11:]
	}
	for _, layout := range isoLayouts {
		t, err := time.Parse(layout, s)
		var bad *time.ParseError
		if errors.As(err, &bad) && strings.Contains(bad.Message, "out of range") {
			return t, fmt.Errorf("%s has a part that is out of range", describe(lua.LString(text)))
		}
		if err != nil {
			continue
		}
		if !strings.Contains(layout, "Z07") && layout != time.RFC1123 && layout != time.RFC1123Z {
			t, _ = civil(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), zone)
		}
		if t.Year() < 1 {
			break
		}
		return t, nil
	}
	return time.Time{}, fmt.Errorf("%s is no time such as 2026-11-22 14:05 or 2026-11-22T14:05:06+01:00; the option format reads others", describe(lua.LString(text)))
}
