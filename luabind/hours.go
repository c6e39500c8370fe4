package luabind

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Opening hours, for time.open and for steps of flows. The text has rules, each of some days and their spans; which days are holidays is
// told beside it. What a day's rule is depends on the calendar alone; a zone turns its spans into moments.

const (
	maxHoursText = 4096
	maxHolidays  = 500
	horizon      = 400 // days within which a change is looked for
)

// openingHours is what a text says. It is immutable.
type openingHours struct {
	rules    []hoursRule
	holidays []namedDay
}

type hoursRule struct {
	days  []daySet
	spans []hoursSpan // none: closed
}

// A hoursSpan is open hours of a day, in minutes since its midnight. One over midnight ends beyond 24 hours.
type hoursSpan struct{ from, to int }

type namedDay struct {
	name string
	day  daySet
}

// dateOf is a day of the calendar: midnight in UTC, which no zone shifts.
func dateOf(year int, month time.Month, day int) time.Time {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC)
}

// A daySet says which days a rule is for.
type daySet struct {
	kind     dayKind
	first    time.Weekday // of weekly and nth; the weekday of from
	last     time.Weekday
	from, to yearDay // of dates: to is from where there is one day
	nth      int     // 1 to 5, -1 for the last
	month    time.Month
	offset   int // days after easter
}

type dayKind uint8

const (
	dayWeekly  dayKind = iota // a stretch of the week
	dayHoliday                // those of the option
	dayDates                  // one day, or a stretch, of one year or of each
	dayEaster                 // so many days after Easter Sunday
	dayNth                    // the nth such day of the week in a month
	dayFrom                   // the first such day of the week on or after a date
)

// rank is how specific the days are: a rule for a day of the calendar goes before one for holidays, and that before
// one for days of the week.
func (k dayKind) rank() int { return min(int(k), int(dayDates)) }

// A yearDay is a day of one year, or of each: year 0.
type yearDay struct {
	year  int
	month time.Month
	day   int
}

func (y yearDay) in(year int) time.Time {
	if y.year != 0 {
		year = y.year
	}
	return dateOf(year, y.month, y.day)
}

func (s *daySet) has(d time.Time, isHoliday bool) bool {
	switch s.kind {
	case dayWeekly:
		w := d.Weekday()
		if s.first <= s.last {
			return s.first <= w && w <= s.last
		}
		return w >= s.first || w <= s.last
	case dayHoliday:
		return isHoliday
	case dayEaster:
		for year := d.Year() - 1; year <= d.Year()+1; year++ {
			if easterSunday(year).AddDate(0, 0, s.offset).Equal(d) {
				return true
			}
		}
		return false
	case dayNth:
		if d.Month() != s.month || d.Weekday() != s.first {
			return false
		}
		if s.nth < 0 {
			return d.AddDate(0, 0, 7).Month() != s.month
		}
		return (d.Day()-1)/7+1 == s.nth
	case dayFrom:
		if d.Weekday() != s.first {
			return false
		}
		for _, year := range []int{d.Year(), d.Year() - 1} {
			if from := s.from.in(year); s.from.exists(year) && !d.Before(from) && d.Before(from.AddDate(0, 0, 7)) {
				return true
			}
		}
		return false
	}
	if s.from.year != 0 {
		return !d.Before(s.from.in(0)) && !d.After(s.to.in(0))
	}
	key := func(m time.Month, day int) int { return int(m)*100 + day }
	at, from, to := key(d.Month(), d.Day()), key(s.from.month, s.from.day), key(s.to.month, s.to.day)
	if from <= to {
		return from <= at && at <= to
	}
	return at >= from || at <= to // over the new year
}

// exists reports whether a year has the day: 02-29.
func (y yearDay) exists(year int) bool { return y.in(year).Day() == y.day }

// easterSunday is when the western churches celebrate it.
func easterSunday(year int) time.Time {
	// The Gregorian rule: Easter is the Sunday after the ecclesiastical full moon on or after March 21.
	golden := year % 19
	century := year / 100
	epact := (century - century/4 - (8*century+13)/25 + 19*golden + 15) % 30
	moon := epact - epact/28*(1-(29/(epact+1))*((21-golden)/11)) // days from March 21
	sunday := (year + year/4 + moon + 2 - century + century/4) % 7
	return dateOf(year, time.March, 28+moon-sunday)
}

// holidayOn is the name of the holiday that a day is, or "".
func (h *openingHours) holidayOn(d time.Time) string {
	for i := range h.holidays {
		if h.holidays[i].day.has(d, false) {
			return h.holidays[i].name
		}
	}
	return ""
}

// on is what the rules say for a day.
func (h *openingHours) on(d time.Time) []hoursSpan {
	isHoliday := h.holidayOn(d) != ""
	var spans []hoursSpan
	best := -1
	if isHoliday { // closed, where no rule says otherwise
		best = dayHoliday.rank()
	}
	for i := range h.rules {
		r := &h.rules[i]
		for j := range r.days {
			if rank := r.days[j].kind.rank(); rank >= best && r.days[j].has(d, isHoliday) {
				best, spans = rank, r.spans
			}
		}
	}
	return spans
}

// at tells whether it is open at t, in t's zone, when that changes, and the holiday that the day is. change is the zero time where
// nothing changes within 400 days. step is called once for each day looked at, and may panic.
func (h *openingHours) at(t time.Time, step func()) (open bool, change time.Time, holiday string) {
	zone := t.Location()
	today := dateOf(t.Date())
	holiday = h.holidayOn(today)
	var closes time.Time // once it is open
	for i := -1; i <= horizon; i++ {
		step()
		d := today.AddDate(0, 0, i)
		for _, s := range h.on(d) { // in the order in which they begin, over all days
			from, _ := civil(d.Year(), d.Month(), d.Day(), 0, s.from, 0, 0, zone)
			_, to := civil(d.Year(), d.Month(), d.Day(), 0, s.to, 0, 0, zone)
			switch {
			case !to.After(t) || !to.After(from): // over, or skipped by the clock
			case !open && from.After(t):
				return false, from, holiday
			case !open:
				open, closes = true, to
			case from.After(closes):
				return true, closes, holiday
			case to.After(closes):
				closes = to
			}
		}
	}
	if open && closes.Before(t.AddDate(0, 0, horizon-1)) { // the last day that was looked at has nothing to add
		change = closes
	}
	return open, change, holiday
}

// A hoursParser reads the text of opening hours, or of a day.
type hoursParser struct {
	text string
	at   int
}

// newOpeningHours reads opening hours, and the table of holidays, or nil. The error names the character.
func newOpeningHours(text string, holidays *lua.LTable) (*openingHours, error) {
	if len(text) > maxHoursText {
		return nil, fmt.Errorf("the opening hours have %d bytes; %d are enough", len(text), maxHoursText)
	}
	h := &openingHours{}
	p := hoursParser{text: strings.ReplaceAll(strings.ToLower(text), "–", "-")}
	for {
		p.skip(" \t\r\n;")
		if p.at == len(p.text) {
			break
		}
		r, err := p.rule()
		if err != nil {
			return nil, fmt.Errorf("the opening hours, %w", err)
		}
		h.rules = append(h.rules, r)
	}
	if len(h.rules) == 0 {
		return nil, fmt.Errorf("the opening hours are empty: write mon-fri 09:00-17:00, or closed")
	}
	return h, h.readHolidays(holidays)
}

// readHolidays reads a list of days, names with their day, or both.
func (h *openingHours) readHolidays(t *lua.LTable) error {
	if t == nil {
		return nil
	}
	var named []string
	add := func(name string, v lua.LValue) error {
		text, ok := v.(lua.LString)
		if !ok || len(text) > 100 {
			return fmt.Errorf("the holiday %s must be a day such as \"12-25\", not %s", describe(lua.LString(name)), describe(v))
		}
		p := hoursParser{text: strings.ToLower(string(text))}
		p.skip(" ")
		day, err := p.day()
		if err == nil {
			if p.skip(" "); p.at < len(p.text) {
				err = p.fail(p.at, "%s is left over", p.quote(p.at))
			} else if day.kind < dayDates {
				err = p.fail(0, "%s is no day of the calendar; a rule such as sun closed is for days of the week", p.quote(0))
			}
		}
		if err != nil {
			return fmt.Errorf("the holiday %s, %w", describe(text), err)
		}
		if name == "" {
			name = string(text)
		}
		h.holidays = append(h.holidays, namedDay{name, day})
		return nil
	}
	var bad lua.LValue
	list, last := 0, 0
	t.ForEach(func(k, _ lua.LValue) {
		switch k := k.(type) {
		case lua.LString:
			named = append(named, string(k))
		case lua.LNumber:
			list++
			if last = max(last, int(k)); last != list {
				bad = k
			}
		default:
			bad = k
		}
	})
	switch n := list + len(named); {
	case bad != nil:
		return fmt.Errorf("the holidays have the key %s: they are a list of days, or names and days", describe(bad))
	case n > maxHolidays:
		return fmt.Errorf("there are %d holidays; %d are enough", n, maxHolidays)
	}
	for i := 1; i <= list; i++ {
		if err := add("", t.RawGetInt(i)); err != nil {
			return err
		}
	}
	slices.Sort(named)
	for _, name := range named {
		if err := add(name, t.RawGetString(name)); err != nil {
			return err
		}
	}
	return nil
}

func (p *hoursParser) fail(at int, format string, args ...any) error {
	return fmt.Errorf("character %d: %s", len([]rune(p.text[:at]))+1, fmt.Sprintf(format, args...))
}

func (p *hoursParser) skip(set string) {
	for p.at < len(p.text) && strings.IndexByte(set, p.text[p.at]) >= 0 {
		p.at++
	}
}

// word is what stands at a place, up to a space, a comma or a semicolon.
func (p *hoursParser) word(at int) string {
	if end := strings.IndexAny(p.text[at:], " \t\r\n,;"); end >= 0 {
		return p.text[at : at+end]
	}
	return p.text[at:]
}

// quote is the word there, for messages.
func (p *hoursParser) quote(at int) string {
	if w := p.word(at); w != "" {
		return describe(lua.LString(w))
	}
	if at < len(p.text) {
		return describe(lua.LString(p.text[at : at+1]))
	}
	return "the end"
}

// next reads the word that follows.
func (p *hoursParser) next() (word string, at int) {
	p.skip(" \t\r\n")
	at = p.at
	word = p.word(at)
	p.at += len(word)
	return word, at
}

func (p *hoursParser) rule() (r hoursRule, err error) {
	begin := p.at
	for first := true; ; first = false {
		p.skip(" \t\r\n")
		w := p.word(p.at)
		if first && (w == "closed" || isClock(w)) {
			r.days = []daySet{{kind: dayWeekly, first: time.Sunday, last: time.Saturday}}
			break
		}
		day, err := p.day()
		if err != nil {
			return r, err
		}
		r.days = append(r.days, day)
		if p.skip(" \t\r\n"); p.at == len(p.text) || p.text[p.at] != ',' {
			break
		}
		p.at++
	}
	days := strings.TrimSpace(p.text[begin:p.at])
	if p.at == len(p.text) || p.text[p.at] == ';' {
		return r, p.fail(p.at, "%s has no hours: write %s 09:00-17:00, or %s closed", describe(lua.LString(days)), days, days)
	}
	if p.word(p.at) == "closed" {
		p.at += len("closed")
	} else if r.spans, err = p.spans(); err != nil {
		return r, err
	}
	if p.skip(" \t\r\n"); p.at < len(p.text) && p.text[p.at] != ';' {
		return r, p.fail(p.at, "%s where a semicolon or the end should stand", p.quote(p.at))
	}
	return r, nil
}

// isClock reports whether a word begins as a time of day does.
func isClock(w string) bool {
	i := strings.IndexByte(w, ':')
	return (i == 1 || i == 2) && isDigit(w[0]) && isDigit(w[i-1])
}

func (p *hoursParser) spans() ([]hoursSpan, error) {
	var list []hoursSpan
	for {
		begin := p.at
		from, err := p.clock()
		if err != nil {
			return nil, err
		}
		if p.skip(" "); p.at == len(p.text) || p.text[p.at] != '-' {
			return nil, p.fail(p.at, "%s where the hyphen of 09:00-17:00 should stand", p.quote(p.at))
		}
		p.at++
		p.skip(" ")
		to, err := p.clock()
		switch {
		case err != nil:
			return nil, err
		case from == 24*60:
			return nil, p.fail(begin, "hours begin at 00:00, not at 24:00")
		case from == to:
			return nil, p.fail(begin, "hours that begin and end at the same time are none; 00:00-24:00 is all day")
		case to < from:
			to += 24 * 60
		}
		list = append(list, hoursSpan{from, to})
		if p.skip(" \t\r\n"); p.at == len(p.text) || p.text[p.at] != ',' {
			break
		}
		p.at++
		p.skip(" \t\r\n")
	}
	slices.SortFunc(list, func(a, b hoursSpan) int { return a.from - b.from })
	return list, nil
}

// clock reads a time of day, in minutes.
func (p *hoursParser) clock() (int, error) {
	at := p.at
	var part [2]int
	for i := range part {
		start := p.at
		for p.at < len(p.text) && isDigit(p.text[p.at]) && p.at-start < 2 {
			part[i] = part[i]*10 + int(p.text[p.at]-'0')
			p.at++
		}
		if i == 0 && (p.at == start || p.at == len(p.text) || p.text[p.at] != ':') || i == 1 && p.at-start != 2 {
			return 0, p.fail(at, "%s where a time such as 09:00 should stand", p.quote(at))
		}
		if i == 0 {
			p.at++
		}
	}
	minutes := part[0]*60 + part[1]
	if part[1] > 59 || minutes > 24*60 {
		return 0, p.fail(at, "%s is no time of day", describe(lua.LString(p.text[at:p.at])))
	}
	return minutes, nil
}

var dayWords = []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat", "sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday",
	"daily", "holidays", "easter", "closed", "last", "1st", "2nd", "3rd", "4th", "5th"}

// weekdayOf is the day of the week that a word names.
func weekdayOf(w string) (time.Weekday, bool) {
	i := slices.Index(dayWords[:14], w)
	return time.Weekday(i % 7), i >= 0
}

// day reads one item of a list of days.
func (p *hoursParser) day() (s daySet, err error) {
	w, at := p.next()
	switch {
	case w == "":
		return s, p.fail(at, "%s where a day should stand", p.quote(at))
	case w == "daily":
		return daySet{kind: dayWeekly, first: time.Sunday, last: time.Saturday}, nil
	case w == "holidays":
		return daySet{kind: dayHoliday}, nil
	case isDigit(w[0]) && strings.Contains(w, "-"):
		return p.dates(w, at)
	case strings.HasPrefix(w, "easter"):
		s = daySet{kind: dayEaster}
		if rest := w[len("easter"):]; rest != "" {
			n, err := strconv.Atoi(rest)
			if err != nil || rest[0] != '+' && rest[0] != '-' || n < -200 || n > 200 {
				return s, p.fail(at, "%s is no day: easter, easter+1 and easter-2 are", p.quote(at))
			}
			s.offset = n
		}
		return s, nil
	}
	if n := slices.Index([]string{"last", "1st", "2nd", "3rd", "4th", "5th"}, w); n >= 0 {
		s = daySet{kind: dayNth, nth: n}
		if n == 0 {
			s.nth = -1
		}
		day, at := p.next()
		if s.first, _ = weekdayOf(day); !isWeekday(day) {
			return s, p.fail(at, "%s where a day of the week should stand, as in %s mon of may", p.quote(at), w)
		}
		month, at := p.next()
		if month == "of" {
			month, at = p.next()
		}
		for m := time.January; m <= time.December; m++ {
			if name := strings.ToLower(m.String()); month == name || month == name[:3] {
				s.month = m
			}
		}
		if s.month == 0 {
			return s, p.fail(at, "%s where a month should stand, as in %s %s of may", p.quote(at), w, day)
		}
		return s, nil
	}
	from, to, stretch := strings.Cut(w, "-")
	for i, name := range []string{from, to} {
		if i == 1 && !stretch {
			break
		}
		if !isWeekday(name) {
			return s, p.fail(at+i*(len(from)+1), "%s is no day%s", describe(lua.LString(name)), didYouMean(name, dayWords))
		}
	}
	s = daySet{kind: dayWeekly}
	s.first, _ = weekdayOf(from)
	s.last = s.first
	if stretch {
		s.last, _ = weekdayOf(to)
		return s, nil
	}
	before := p.at
	if w, _ := p.next(); w != "from" {
		p.at = before
		return s, nil
	}
	w, at = p.next()
	s.kind = dayFrom
	s.from, err = p.yearDay(w, at)
	return s, err
}

func isWeekday(w string) bool { _, ok := weekdayOf(w); return ok }

// dates reads a day of the calendar, or a stretch of them.
func (p *hoursParser) dates(w string, at int) (s daySet, err error) {
	from, to, stretch := strings.Cut(w, "..")
	s = daySet{kind: dayDates}
	if s.from, err = p.yearDay(from, at); err != nil {
		return s, err
	}
	s.to = s.from
	if stretch {
		if s.to, err = p.yearDay(to, at+len(from)+2); err != nil {
			return s, err
		}
	}
	switch {
	case (s.from.year == 0) != (s.to.year == 0):
		return s, p.fail(at, "%s names a year for one end only", describe(lua.LString(w)))
	case s.from.year != 0 && s.to.in(0).Before(s.from.in(0)):
		return s, p.fail(at, "%s ends before it begins", describe(lua.LString(w)))
	}
	return s, nil
}

// yearDay reads 2026-12-24 or 12-24.
func (p *hoursParser) yearDay(w string, at int) (y yearDay, err error) {
	layout, text := "2006-01-02", w
	if len(w) == len("12-24") { // of each year, leap years too
		text = "2000-" + w
	}
	t, err := time.Parse(layout, text)
	if err != nil {
		return y, p.fail(at, "%s is no day: write 2026-12-24, or 12-24 for each year", describe(lua.LString(w)))
	}
	y = yearDay{t.Year(), t.Month(), t.Day()}
	if text != w {
		y.year = 0
	}
	return y, nil
}

func timeOpen(c *Call, L *lua.LState, a args) int {
	now := c.now()
	zone := now.Location()
	if v, ok := a.option("at"); ok {
		t, ok := timeClass.of(v)
		if !ok {
			a.fail("option `at` must be a Time, such as time.parse returns, not %s", describe(v))
		}
		now = t.(time.Time)
		zone = now.Location()
	}
	if _, ok := a.option("zone"); ok {
		zone = a.zone("zone")
	}
	v, _ := a.option("holidays")
	holidays, _ := v.(*lua.LTable)
	h, err := newOpeningHours(a.string(0), holidays)
	if err != nil {
		a.fail("%s", err)
	}
	step := work(L)
	open, change, holiday := h.at(now.In(zone), func() { step(1 + len(h.rules) + len(h.holidays)) })
	L.Push(lua.LBool(open))
	if change.IsZero() {
		L.Push(lua.LNil)
	} else {
		pushTime(L, change)
	}
	if holiday == "" {
		return 2
	}
	L.Push(lua.LString(holiday))
	return 3
}
