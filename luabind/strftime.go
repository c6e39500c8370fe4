package luabind

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// Layouts of times as C's strftime and Lua's os.date have them, in the C locale.

// composed are the conversions that stand for others.
var composed = map[byte]string{'c': "%a %b %e %H:%M:%S %Y", 'D': "%m/%d/%y", 'x': "%m/%d/%y", 'F': "%Y-%m-%d", 'R': "%H:%M", 'T': "%H:%M:%S", 'X': "%H:%M:%S", 'r': "%I:%M:%S %p"}

// readable are the conversions that strptime knows.
const readable = "aAbBdDeFhHIjmMnpRsStTyYz%"

func badConversion(layout string, i int, what string) error {
	if i >= len(layout) {
		return fmt.Errorf("the layout %s ends with %%; a percent sign is %%%%", describe(lua.LString(layout)))
	}
	return fmt.Errorf("the layout %s has %s at character %d, which %s; a percent sign is %%%%", describe(lua.LString(layout)), describe(lua.LString(layout[i-1:i+1])), i, what)
}

// strftime writes t. The error is a mistake in the layout.
func strftime(t time.Time, layout string) (string, error) {
	var b strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			b.WriteByte(layout[i])
			continue
		}
		if i++; i == len(layout) {
			return "", badConversion(layout, i, "is no conversion")
		}
		c := layout[i]
		hour12 := (t.Hour()+11)%12 + 1
		year, week := t.ISOWeek()
		switch c {
		case 'a':
			b.WriteString(t.Weekday().String()[:3])
		case 'A':
			b.WriteString(t.Weekday().String())
		case 'b', 'h':
			b.WriteString(t.Month().String()[:3])
		case 'B':
			b.WriteString(t.Month().String())
		case 'd':
			fmt.Fprintf(&b, "%02d", t.Day())
		case 'e':
			fmt.Fprintf(&b, "%2d", t.Day())
		case 'G':
			fmt.Fprintf(&b, "%04d", year)
		case 'H':
			fmt.Fprintf(&b, "%02d", t.Hour())
		case 'I':
			fmt.Fprintf(&b, "%02d", hour12)
		case 'j':
			fmt.Fprintf(&b, "%03d", t.YearDay())
		case 'm':
			fmt.Fprintf(&b, "%02d", t.Month())
		case 'M':
			fmt.Fprintf(&b, "%02d", t.Minute())
		case 'n':
			b.WriteByte('\n')
		case 'p':
			b.WriteString(t.Format("PM"))
		case 's':
			b.WriteString(strconv.FormatInt(t.Unix(), 10))
		case 'S':
			fmt.Fprintf(&b, "%02d", t.Second())
		case 't':
			b.WriteByte('\t')
		case 'u':
			b.WriteString(strconv.Itoa((int(t.Weekday())+6)%7 + 1))
		case 'V':
			fmt.Fprintf(&b, "%02d", week)
		case 'w':
			b.WriteString(strconv.Itoa(int(t.Weekday())))
		case 'y':
			fmt.Fprintf(&b, "%02d", t.Year()%100)
		case 'Y':
			fmt.Fprintf(&b, "%04d", t.Year())
		case 'z':
			b.WriteString(t.Format("-0700"))
		case 'Z':
			b.WriteString(t.Format("MST"))
		case '%':
			b.WriteByte('%')
		default:
			if composed[c] == "" {
				return "", badConversion(layout, i, "is no conversion")
			}
			s, _ := strftime(t, composed[c])
			b.WriteString(s)
		}
		if b.Len() > maxString {
			return "", fmt.Errorf("the text would be longer than %d bytes", maxString)
		}
	}
	return b.String(), nil
}

// A timeReader reads a text by a layout.
type timeReader struct {
	text    string
	at      int
	parts   map[byte]int // by the conversion that reads the part
	offset  *int
	unix    *int64
	failing string // what was looked for and is not there
}

// strptime reads a time. What the layout leaves out comes from now, whose zone counts where the text has none. err is what is
// wrong with the text, bad with the layout.
func strptime(text, layout string, now time.Time) (t time.Time, err, bad error) {
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' {
			continue
		}
		if i++; i == len(layout) || strings.IndexByte(readable, layout[i]) < 0 {
			return t, nil, badConversion(layout, i, "cannot be read back")
		}
	}
	r := timeReader{text: text, parts: map[byte]int{}}
	ok := r.read(layout)
	fail := func(format string, args ...any) (time.Time, error, error) {
		return t, fmt.Errorf("%s: %s", describe(lua.LString(text)), fmt.Sprintf(format, args...)), nil
	}
	switch {
	case !ok:
		return fail("at character %d there is no %s", r.at+1, r.failing)
	case r.at < len(text):
		return fail("%s is left over", describe(lua.LString(text[r.at:])))
	case r.unix != nil:
		return time.Unix(*r.unix, 0).In(now.Location()), nil, nil
	}
	get := func(c byte, otherwise int) int {
		if n, ok := r.parts[c]; ok {
			return n
		}
		return otherwise
	}
	year, month, day := now.Date()
	if r.has('Y') || r.has('m') || r.has('d') || r.has('j') {
		month, day = 1, 1
	}
	year, month, day = get('Y', year), time.Month(get('m', int(month))), get('d', day)
	hour := get('H', 0)
	if h, ok := r.parts['I']; ok {
		hour = h%12 + 12*get('p', 0)
	}
	if yday, ok := r.parts['j']; ok && !r.has('m') && !r.has('d') {
		month, day = 1, yday
		if time.Date(year, 1, yday, 0, 0, 0, 0, time.UTC).Year() != year {
			return fail("the year %d has no day %d", year, yday)
		}
	} else if got := time.Date(year, month, day, 0, 0, 0, 0, time.UTC); got.Day() != day {
		return fail("%s %d has no day %d", month, year, day)
	}
	if r.offset != nil {
		return time.Date(year, month, day, hour, get('M', 0), get('S', 0), 0, time.FixedZone("", *r.offset)), nil, nil
	}
	t, _ = civil(year, month, day, hour, get('M', 0), get('S', 0), 0, now.Location())
	return t, nil, nil
}

func (r *timeReader) has(c byte) bool { _, ok := r.parts[c]; return ok }

// read reads by the layout, which has been checked, from where it is, and reports whether the text follows it.
func (r *timeReader) read(layout string) bool {
	for i := 0; i < len(layout); i++ {
		c := layout[i]
		if c == ' ' || '\t' <= c && c <= '\r' {
			r.spaces()
			continue
		}
		if c != '%' {
			if r.at == len(r.text) || r.text[r.at] != c {
				return r.miss(fmt.Sprintf("%q", string(c)))
			}
			r.at++
			continue
		}
		i++
		c = layout[i]
		name, good := "", false
		switch c {
		case 'Y':
			name, good = "year of four digits", r.number('Y', 4, 4, 1, 9999)
		case 'y':
			name, good = "year of two digits", r.number('Y', 2, 2, 0, 99)
			if good && r.parts['Y'] < 69 {
				r.parts['Y'] += 100
			}
			if good {
				r.parts['Y'] += 1900
			}
		case 'm':
			name, good = "month", r.number('m', 1, 2, 1, 12)
		case 'd', 'e':
			r.spaces()
			name, good = "day", r.number('d', 1, 2, 1, 31)
		case 'j':
			name, good = "day of the year", r.number('j', 1, 3, 1, 366)
		case 'H':
			name, good = "hour", r.number('H', 1, 2, 0, 23)
		case 'I':
			name, good = "hour up to 12", r.number('I', 1, 2, 1, 12)
		case 'M':
			name, good = "minute", r.number('M', 1, 2, 0, 59)
		case 'S':
			name, good = "second", r.number('S', 1, 2, 0, 59)
		case 'p':
			name = "AM or PM"
			if r.at+2 <= len(r.text) {
				if s := strings.ToUpper(r.text[r.at : r.at+2]); s == "AM" || s == "PM" {
					r.at, good = r.at+2, true
					r.parts['p'] = strings.Index("AP", s[:1])
				}
			}
		case 'a', 'A':
			name, good = "day of the week", r.name('a', func(i int) string { return time.Weekday(i - 1).String() }, 7)
		case 'b', 'B', 'h':
			name, good = "month's name", r.name('m', func(i int) string { return time.Month(i).String() }, 12)
		case 'z':
			name, good = "offset such as +0100", r.readOffset()
		case 's':
			name, good = "seconds", r.seconds()
		case 'n', 't':
			r.spaces()
			continue
		case '%':
			name, good = `"%"`, r.at < len(r.text) && r.text[r.at] == '%'
			if good {
				r.at++
			}
		case 'F', 'T', 'R', 'D':
			if !r.read(composed[c]) {
				return false
			}
			continue
		}
		if !good {
			return r.miss(name)
		}
	}
	return true
}

// miss notes what was looked for and not found.
func (r *timeReader) miss(name string) bool {
	r.failing = name
	return false
}

func (r *timeReader) spaces() {
	for r.at < len(r.text) && (r.text[r.at] == ' ' || '\t' <= r.text[r.at] && r.text[r.at] <= '\r') {
		r.at++
	}
}

func (r *timeReader) number(part byte, least, most, low, high int) bool {
	n, end := 0, r.at
	for end < len(r.text) && end-r.at < most && isDigit(r.text[end]) {
		n = n*10 + int(r.text[end]-'0')
		end++
	}
	if end-r.at < least || n < low || n > high {
		return false
	}
	r.parts[part], r.at = n, end
	return true
}

// name reads one of n names, counted from 1, whole or by its first three letters.
func (r *timeReader) name(part byte, names func(int) string, n int) bool {
	for i := 1; i <= n; i++ {
		for _, name := range []string{names(i), names(i)[:3]} {
			if end := r.at + len(name); end <= len(r.text) && strings.EqualFold(r.text[r.at:end], name) {
				r.parts[part], r.at = i, end
				return true
			}
		}
	}
	return false
}

func (r *timeReader) readOffset() bool {
	s := r.text[r.at:]
	n := 0
	switch {
	case strings.HasPrefix(s, "Z") || strings.HasPrefix(s, "z"):
		r.at++
	default:
		for _, layout := range []string{"-07:00", "-0700", "-07"} {
			if len(s) < len(layout) {
				continue
			}
			if t, err := time.Parse(layout, s[:len(layout)]); err == nil {
				_, n = t.Zone()
				r.at += len(layout)
				r.offset = &n
				return true
			}
		}
		return false
	}
	r.offset = &n
	return true
}

func (r *timeReader) seconds() bool {
	end := r.at
	for end < len(r.text) && end-r.at < 12 && (isDigit(r.text[end]) || end == r.at && r.text[end] == '-') {
		end++
	}
	n, err := strconv.ParseInt(r.text[r.at:end], 10, 64)
	if err != nil || n < -62135596800 || n >= 253402300800 {
		return false
	}
	r.at, r.unix = end, &n
	return true
}
