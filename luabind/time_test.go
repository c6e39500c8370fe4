package luabind_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"pgregory.net/rapid"

	"callisto/luabind"
)

func TestTime(t *testing.T) {
	const at = `local t = time.parse("2026-11-22T14:05:06.5+01:00", { zone = "Europe/Stockholm" }) `
	parse := func(text, options, want string) luaCase {
		return luaCase{"parse " + text + options, fmt.Sprintf("local t, e = time.parse(%s, { zone = \"Europe/Stockholm\"%s }) log.info(tostring(t or e))", luaString(text), options), want}
	}
	format := func(layout, want string) luaCase {
		return luaCase{"format " + layout, at + "log.info(t:format(" + luaString(layout) + "))", want}
	}
	shift := func(what, want string) luaCase {
		return luaCase{"shift " + what, `local function at(s) return time.parse(s, { zone = "Europe/Stockholm" }) end log.info(tostring(` + what + `))`, want}
	}
	runLua(t, []luaCase{
		{"now", `log.info(tostring(time.now{ zone = "UTC" }) .. " " .. time.now{ zone = "Asia/Tokyo" }.hour)`, "2000-01-01T00:00:00Z 9"},
		{"now goes on", `local a = time.now() if not pcall(call.sleep, call, "90s") then return log.info("90000") end log.info(time.now() - a)`, "90000"},
		{"fields", at + `log.info(table.concat({ t.year, t.month, t.day, t.hour, t.minute, t.second, t.weekday, t.yday, t.week, t.unix, t.zone }, " "))`,
			"2026 11 22 14 5 6 sun 326 47 1795352706 Europe/Stockholm"},
		{"the zone of an offset", `local t = time.parse("2026-11-22T14:05:06-03:30") log.info(t.zone .. " " .. t.hour)`, "-03:30 14"},
		{"in another zone", at + `log.info(tostring(t:in_zone("America/New_York")) .. tostring(t == t:in_zone("UTC")))`, "2026-11-22T08:05:06-05:00true"},
		{"comparison", at + `local u = t:add("1s") log.info(tostring(t < u) .. tostring(t <= t) .. tostring(u < t) .. tostring(t == u) .. (u - t) .. (t - u))`, "truetruefalsefalse1000-1000"},
		{"date", `log.info(tostring(time.date{ year = 2026, month = 12, day = 32, hour = 9, zone = "Europe/Stockholm" }))`, "2027-01-01T09:00:00+01:00"},
		{"date of today", `log.info(tostring(time.date{ hour = 9, minute = 30, zone = "UTC" }))`, "2000-01-01T09:30:00Z"},
		{"date that summer time leaves out", `log.info(tostring(time.date{ year = 2026, month = 3, day = 29, hour = 2, minute = 30, zone = "Europe/Stockholm" }))`, "2026-03-29T03:00:00+02:00"},
		{"date that comes twice", `log.info(tostring(time.date{ year = 2026, month = 10, day = 25, hour = 2, minute = 30, zone = "Europe/Stockholm" }))`, "2026-10-25T02:30:00+02:00"},
		{"unix", `log.info(tostring(time.unix(86400.5, { zone = "UTC" })) .. time.unix(86400.25).unix)`, "1970-01-02T00:00:00Z86400"},
		{"durations", `log.info(time.duration(5400000) .. " " .. time.milliseconds("1h30m") .. " " .. time.duration("90s") .. " " .. time.milliseconds(time.duration(1234)))`, "1h30m0s 5400000 1m30s 1234"},
		{"a logged time is a time", at + `log.info("x", { at = t })`, "x"},

		parse("2026-11-22", "", "2026-11-22T00:00:00+01:00"), parse("2026-07-01 14:05", "", "2026-07-01T14:05:00+02:00"),
		parse("2026-11-22T14:05:06Z", "", "2026-11-22T15:05:06+01:00"), parse("2026-11-22t14:05:06.123+0100", "", "2026-11-22T14:05:06+01:00"),
		parse("20261122T140506", "", "2026-11-22T14:05:06+01:00"), parse("Sun, 22 Nov 2026 13:05:06 GMT", "", "2026-11-22T14:05:06+01:00"),
		parse("2026-03-29 02:30", "", "2026-03-29T03:00:00+02:00"),
		parse("2026-02-30", "", `"2026-02-30" has a part that is out of range`), parse("2026-11-22 25:00", "", `"2026-11-22 25:00" has a part that is out of range`),
		parse("tomorrow", "", `"tomorrow" is no time such as 2026-11-22 14:05 or 2026-11-22T14:05:06+01:00; the option format reads others`),
		parse("", "", `"" is no time such as 2026-11-22 14:05 or 2026-11-22T14:05:06+01:00; the option format reads others`),
		parse("22.11.2026 14:05", `, format = "%d.%m.%Y %H:%M"`, "2026-11-22T14:05:00+01:00"),
		parse("Nov 22, 26 2:05 pm", `, format = "%b %d, %y %I:%M %p"`, "2026-11-22T14:05:00+01:00"), parse("12:30 AM", `, format = "%I:%M %p"`, "2000-01-01T00:30:00+01:00"),
		parse("sunday 22 november 2026", `, format = "%A %d %B %Y"`, "2026-11-22T00:00:00+01:00"), parse("2026-326", `, format = "%Y-%j"`, "2026-11-22T00:00:00+01:00"),
		parse("2026-11-22T14:05:06+0530", `, format = "%FT%T%z"`, "2026-11-22T09:35:06+01:00"), parse("1795352706", `, format = "%s"`, "2026-11-22T14:05:06+01:00"),
		parse("30.02.2026", `, format = "%d.%m.%Y"`, `"30.02.2026": February 2026 has no day 30`), parse("366 2026", `, format = "%j %Y"`, `"366 2026": the year 2026 has no day 366`),
		parse("22.13.2026", `, format = "%d.%m.%Y"`, `"22.13.2026": at character 4 there is no month`), parse("22.11.2026x", `, format = "%d.%m.%Y"`, `"22.11.2026x": "x" is left over`),
		parse("22.11", `, format = "%d.%m.%Y"`, `"22.11": at character 6 there is no "."`), parse("x", `, format = "%T"`, `"x": at character 1 there is no hour`),
		parse(strings.Repeat("1", 300), "", "a text of 300 bytes is no time"), parse("a\x00b", `, format = "%Y"`, `"a\x00b": at character 1 there is no year of four digits`),

		format("%Y-%m-%d %H:%M:%S %y %j %e %I %p %a %A %b %B %h %u %w %V %G %z %Z %s %%", "2026-11-22 14:05:06 26 326 22 02 PM Sun Sunday Nov November Nov 7 0 47 2026 +0100 CET 1795352706 %"),
		format("%c|%D|%x|%F|%R|%T|%X|%r|%n%t", "Sun Nov 22 14:05:06 2026|11/22/26|11/22/26|2026-11-22|14:05|14:05:06|14:05:06|02:05:06 PM|\n\t"), format("kl. 14 å", "kl. 14 å"),

		shift(`at("2026-03-28 12:00"):add{ days = 1 }`, "2026-03-29T12:00:00+02:00"), shift(`at("2026-03-28 12:00"):add("24h")`, "2026-03-29T13:00:00+02:00"),
		shift(`at("2026-01-31"):add{ months = 1 }`, "2026-02-28T00:00:00+01:00"), shift(`at("2024-02-29"):add{ years = 1 }`, "2025-02-28T00:00:00+01:00"),
		shift(`at("2026-01-31"):subtract("1h", { months = 2, days = 1 })`, "2025-11-28T23:00:00+01:00"), shift(`at("2026-12-31"):add("1s", { days = 1 })`, "2027-01-01T00:00:01+01:00"),

		{"a layout that is none", at + oops(`t:format("%Q")`), `format: the layout "%Q" has "%Q" at character 1, which is no conversion; a percent sign is %%`},
		{"a layout with half a conversion", at + oops(`t:format("100%")`), `format: the layout "100%" ends with %; a percent sign is %%`},
		{"a layout that cannot be read", oops(`time.parse("x", { format = "y%Z" })`), `time.parse: option ` + "`format`" + `: the layout "y%Z" has "%Z" at character 2, which cannot be read back; a percent sign is %%`},
		{"an unknown zone", oops(`time.now{ zone = "Europe/Stokholm" }`), `time.now: there is no zone "Europe/Stokholm"; zones are named as "Europe/Stockholm", "America/New_York" or "UTC"`},
		{"a zone that is a path", oops(`time.now{ zone = "../../etc/passwd" }`), `time.now: there is no zone "../../etc/passwd"; zones are named as "Europe/Stockholm", "America/New_York" or "UTC"`},
		{"a field that is none", at + oops(`t.weekdy`), "a time has no method or field `weekdy`, did you mean `weekday`?"},
		{"a time compared with a number", at + oops(`t < 5`), "attempt to compare userdata with number"},
		{"a time minus a number", at + oops(`t - 5`), `cannot subtract a time and 5: time:add("1h") and time:subtract("1h") shift a time`},
		{"milliseconds for seconds", oops(`time.unix(1795352706000)`), "time.unix: 1.795352706e+12 seconds is not between the years 1 and 9999; milliseconds are divided by 1000"},
		{"a year beyond all", at + oops(`t:add{ years = 9000 }`), "add: the year would be 11026"},
		{"a month beyond all", at + oops(`t:add{ months = 1e15 }`), "add: option `months` is 1000000000000000, which no calendar has"},
	})
}

// What format writes parse reads.
func TestTimeFormatParse(t *testing.T) {
	zones := []string{"Europe/Stockholm", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "UTC"}
	layouts := []string{"%Y-%m-%d %H:%M:%S %z", "%a, %d %b %Y %T %z", "%s", "%e %B %Y %I:%M:%S %p %z", "%Y %j %R:%S %z", "%FT%T%z"}
	gen := rapid.Int64Range(0, 4102444800)
	simulated(t, func(t *testing.T) {
		var script strings.Builder
		for seed := range 400 {
			fmt.Fprintf(&script, `do local t = time.unix(%d, { zone = %q }) local s = t:format(%q) local u, e = time.parse(s, { format = %q })
				if u ~= t then log.info(s .. " became " .. tostring(u or e)) end end
				do local t = time.unix(%[1]d, { zone = %[2]q }) if time.parse(tostring(t)) ~= t then log.info(tostring(t)) end end
				`, gen.Example(seed), zones[seed%len(zones)], layouts[seed%len(layouts)], layouts[seed%len(layouts)])
		}
		b := newBench(t, map[string]string{"main": script.String() + `log.info("done")`}, nil)
		b.run("main")
		if got := b.log.messages(); !slices.Equal(got, []string{"done"}) {
			t.Errorf("logged %q\n%s", got, b.log)
		}
	})
}

// Whether it is open, and when that changes: hours, a moment in Stockholm, and "open until", "closed until".
func TestOpen(t *testing.T) {
	const office = "mon-fri 09:00-12:00, 13:00-17:00; sat 10:00-14:00"
	const list = `{ "01-01", ["Good Friday"] = "easter-2", ["Midsummer Eve"] = "fri from 06-19", ["Christmas"] = "12-24..12-26", ["Works outing"] = "2026-11-25" }`
	tests := []struct{ name, hours, at, holidays, want string }{
		{"on a working day", office, "2026-11-23 10:00", "", "open until Mon 23 Nov 12:00"},
		{"in the lunch break", office, "2026-11-23 12:30", "", "closed until Mon 23 Nov 13:00"},
		{"at the first moment", office, "2026-11-23 09:00", "", "open until Mon 23 Nov 12:00"},
		{"at the last moment", office, "2026-11-23 17:00", "", "closed until Tue 24 Nov 09:00"},
		{"at the weekend", office, "2026-11-22 10:00", "", "closed until Mon 23 Nov 09:00"},
		{"a later rule goes before", "mon-fri 09:00-17:00; wed closed; fri 09:00-15:00", "2026-11-27 15:00", "", "closed until Mon 30 Nov 09:00"},
		{"a later rule that closes", "mon-fri 09:00-17:00; wed closed; fri 09:00-15:00", "2026-11-24 17:00", "", "closed until Thu 26 Nov 09:00"},
		{"a night", "fri-sat 22:00-04:00", "2026-11-29 03:59", "", "open until Sun 29 Nov 04:00"},
		{"after the night", "fri-sat 22:00-04:00", "2026-11-29 04:00", "", "closed until Fri 4 Dec 22:00"},
		{"a night into a day with hours", "fri 22:00-04:00; sat 03:00-10:00", "2026-11-28 01:00", "", "open until Sat 28 Nov 10:00"},
		{"a stretch over the weekend", "fri-mon 10:00-12:00", "2026-11-24 10:30", "", "closed until Fri 27 Nov 10:00"},
		{"spans that touch", "mon 09:00-12:00, 12:00-17:00", "2026-11-23 10:00", "", "open until Mon 23 Nov 17:00"},
		{"spans out of order", "mon 13:00-17:00, 09:00-12:00, 11:00-13:30", "2026-11-23 10:00", "", "open until Mon 23 Nov 17:00"},
		{"hours alone are for every day", "08:00-20:00", "2026-11-22 21:00", "", "closed until Mon 23 Nov 08:00"},
		{"always", "daily 00:00-24:00", "2026-11-22 21:00", "", "open until nil"},
		{"always but for a day", "daily 00:00-24:00; 12-24 closed", "2026-11-22 21:00", "", "open until Thu 24 Dec 00:00"},
		{"never", "closed", "2026-11-22 21:00", "", "closed until nil"},
		{"once, long ago", "2025-01-01 09:00-17:00", "2026-11-22 21:00", "", "closed until nil"},
		{"long names, capitals, line breaks, a dash", "\n Monday–Friday 9:00 – 17:00;\n;SAT,sun 10:00-11:00 ", "2026-11-28 10:30", "", "open until Sat 28 Nov 11:00"},
		{"a day of the calendar", "mon-fri 09:00-17:00; 2026-11-24 11:00-12:00", "2026-11-23 18:00", "", "closed until Tue 24 Nov 11:00"},
		{"a day of the calendar goes before the week, whatever the order", "2026-11-24 closed; mon-fri 09:00-17:00", "2026-11-23 18:00", "", "closed until Wed 25 Nov 09:00"},
		{"a stretch of the calendar", "mon-fri 09:00-17:00; 07-06..07-31 closed", "2026-07-05 12:00", "", "closed until Mon 3 Aug 09:00"},
		{"a stretch over the new year", "mon-fri 09:00-17:00; 12-24..01-06 closed", "2026-12-30 12:00", "", "closed until Thu 7 Jan 09:00"},
		{"a stretch of one year", "mon-fri 09:00-17:00; 2026-12-24..2027-01-06 closed", "2027-01-06 12:00", "", "closed until Thu 7 Jan 09:00"},
		{"the last Monday", "mon 09:00-17:00; last mon of may closed", "2026-05-25 10:00", "", "closed until Mon 1 Jun 09:00"},
		{"the fourth Thursday", "thu 09:00-17:00; 4th thu nov closed", "2026-11-26 10:00", "", "closed until Thu 3 Dec 09:00"},
		{"a leap day", "02-29 09:00-17:00", "2028-02-01 10:00", "", "closed until Tue 29 Feb 09:00"},
		{"a leap day further off than one looks", "02-29 09:00-17:00", "2026-11-22 10:00", "", "closed until nil"},

		{"a holiday", office, "2026-11-25 10:00", list, "closed until Thu 26 Nov 09:00 Works outing"},
		{"a holiday by Easter", office, "2026-04-03 10:00", list, "closed until Sat 4 Apr 10:00 Good Friday"},
		{"a holiday that is a Friday", office, "2026-06-19 10:00", list, "closed until Sat 20 Jun 10:00 Midsummer Eve"},
		{"a holiday that is a Friday, later", office, "2027-06-25 10:00", list, "closed until Sat 26 Jun 10:00 Midsummer Eve"},
		{"a holiday without a name", office, "2027-01-01 10:00", list, "closed until Sat 2 Jan 10:00 01-01"},
		{"the day before holidays", office, "2026-12-23 18:00", list, "closed until Mon 28 Dec 09:00"},
		{"hours of holidays", office + "; holidays 10:00-11:00", "2026-12-25 10:30", list, "open until Fri 25 Dec 11:00 Christmas"},
		{"hours of holidays go before the week", "holidays 10:00-11:00;" + office, "2026-12-25 11:30", list, "closed until Sat 26 Dec 10:00 Christmas"},
		{"a day of the calendar goes before holidays", "12-24 09:00-12:00; holidays closed; " + office, "2026-12-24 09:30", list, "open until Thu 24 Dec 12:00 Christmas"},
		{"the night before a holiday goes on", "daily 22:00-04:00", "2026-12-24 03:00", list, "open until Thu 24 Dec 04:00 Christmas"},

		{"hours that summer time shortens", "daily 01:00-04:00", "2026-03-29 00:00", "", "closed until Sun 29 Mar 01:00"},
		{"opening at a time that is left out", "daily 02:30-10:00", "2026-03-29 01:30", "", "closed until Sun 29 Mar 03:00"},
		{"hours that are left out", "daily 02:15-02:45", "2026-03-29 01:30", "", "closed until Mon 30 Mar 02:15"},
		{"closing at a time that comes twice", "daily 01:00-02:30", "2026-10-25 01:30", "", "open until Sun 25 Oct 02:30"},
		{"closing at the second of the two", "daily 01:00-02:30", "2026-10-25T02:15:00+01:00", "", "open until Sun 25 Oct 02:30"},
		{"opening at the first of the two", "daily 02:30-10:00", "2026-10-25T02:40:00+02:00", "", "open until Sun 25 Oct 10:00"},
	}
	var cases []luaCase
	for _, tt := range tests {
		options := fmt.Sprintf(`zone = "Europe/Stockholm", at = time.parse(%q, { zone = "Europe/Stockholm" })`, tt.at)
		if tt.holidays != "" {
			options += ", holidays = " + tt.holidays
		}
		cases = append(cases, luaCase{tt.name, fmt.Sprintf(`local open, change, holiday = time.open(%s, { %s })
			log.info((open and "open" or "closed") .. " until " .. (change and change:format("%%a %%e %%b %%H:%%M"):gsub("  ", " ") or "nil") .. (holiday and " " .. holiday or ""))`, luaString(tt.hours), options), tt.want})
	}
	wrong := func(hours, want string) {
		cases = append(cases, luaCase{"wrong " + hours, oops(`time.open(` + luaString(hours) + `)`), "time.open: the opening hours, character " + want})
	}
	wrong("mon-fri 09:00-17:00; satt 10:00-14:00", "22: \"satt\" is no day, did you mean `sat`?")
	wrong("mon-fry 09:00-17:00", "5: \"fry\" is no day, did you mean `fri`?")
	wrong("mon-fri", `8: "mon-fri" has no hours: write mon-fri 09:00-17:00, or mon-fri closed`)
	wrong("mon 9-17", `5: "9-17" where a time such as 09:00 should stand`)
	wrong("mon 09:00", `10: the end where the hyphen of 09:00-17:00 should stand`)
	wrong("mon 09:00-", `11: the end where a time such as 09:00 should stand`)
	wrong("mon 09:00-25:00", `11: "25:00" is no time of day`)
	wrong("mon 09:60-10:00", `5: "09:60" is no time of day`)
	wrong("mon 24:00-10:00", `5: hours begin at 00:00, not at 24:00`)
	wrong("mon 09:00-09:00", `5: hours that begin and end at the same time are none; 00:00-24:00 is all day`)
	wrong("mon 09:00-17:00 tue 09:00-17:00", `17: "tue" where a semicolon or the end should stand`)
	wrong("mon 09:00-17:00, tue 09:00-17:00", `18: "tue" where a time such as 09:00 should stand`)
	wrong("å 09:00-17:00", `1: "å" is no day`)
	wrong("ååå mon", `1: "ååå" is no day`)
	wrong("mon 09:00-17:00; ååå,x", `18: "ååå" is no day`)
	wrong("2026-02-30 closed", `1: "2026-02-30" is no day: write 2026-12-24, or 12-24 for each year`)
	wrong("12-24..2026-12-26 closed", `1: "12-24..2026-12-26" names a year for one end only`)
	wrong("2026-12-24..2026-12-20 closed", `1: "2026-12-24..2026-12-20" ends before it begins`)
	wrong("easter~1 closed", `1: "easter~1" is no day: easter, easter+1 and easter-2 are`)
	wrong("last may closed", `6: "may" where a day of the week should stand, as in last mon of may`)
	wrong("last mon of closed", `13: "closed" where a month should stand, as in last mon of may`)
	wrong("mon,, 09:00-17:00", `5: "," where a day should stand`)
	for _, c := range [][2]string{
		{`""`, "the opening hours are empty: write mon-fri 09:00-17:00, or closed"}, {`" ; "`, "the opening hours are empty: write mon-fri 09:00-17:00, or closed"},
		{`("mon 09:00-17:00;"):rep(1000)`, "the opening hours have 16000 bytes; 4096 are enough"},
		{`"closed", { holidays = { "mon" } }`, `the holiday "mon", character 1: "mon" is no day of the calendar; a rule such as sun closed is for days of the week`},
		{`"closed", { holidays = { Christmas = "12-35" } }`, `the holiday "12-35", character 1: "12-35" is no day: write 2026-12-24, or 12-24 for each year`},
		{`"closed", { holidays = { "12-25 closed" } }`, `the holiday "12-25 closed", character 7: "closed" is left over`},
		{`"closed", { holidays = { x = 5 } }`, `the holiday "x" must be a day such as "12-25", not 5`},
		{`"closed", { holidays = { [5] = "12-25" } }`, `the holidays have the key 5: they are a list of days, or names and days`},
		{`"closed", { at = 5 }`, "option `at` must be a Time, such as time.parse returns, not 5"},
	} {
		cases = append(cases, luaCase{"wrong " + c[0], oops(`time.open(` + c[0] + `)`), "time.open: " + c[1]})
	}
	runLua(t, cases)
}

// Easter as the tables have it.
func TestEaster(t *testing.T) {
	for _, day := range []string{"1818-03-22", "1943-04-25", "1954-04-18", "1981-04-19", "2000-04-23", "2008-03-23", "2024-03-31", "2025-04-20", "2026-04-05", "2027-03-28", "2038-04-25", "2049-04-18", "2285-03-22"} {
		want, _ := time.Parse(time.DateOnly, day)
		if got := luabind.EasterSunday(want.Year()); !got.Equal(want) {
			t.Errorf("Easter is on %s, not on %s", day, got.Format(time.DateOnly))
		}
	}
}

// The next change is the first moment at which it is otherwise: found minute by minute.
func TestOpenChanges(t *testing.T) {
	zone, err := time.LoadLocation("Europe/Stockholm")
	if err != nil {
		t.Fatal(err)
	}
	clock := rapid.Custom(func(t *rapid.T) string {
		return fmt.Sprintf("%02d:%02d", rapid.IntRange(0, 23).Draw(t, "hour"), 15*rapid.IntRange(0, 3).Draw(t, "quarter"))
	})
	rapid.Check(t, func(t *rapid.T) {
		var rules []string
		for range rapid.IntRange(1, 4).Draw(t, "rules") {
			from, to := clock.Draw(t, "from"), clock.Draw(t, "to")
			if from == to {
				to = "24:00"
			}
			days := rapid.SampledFrom([]string{"daily", "mon-wed", "sat,sun", "sun", "03-29", "10-25", "10-24", "easter", "last sun of mar", "2026-10-26"}).Draw(t, "days")
			rules = append(rules, days+" "+from+"-"+to)
		}
		text := strings.Join(rules, "; ")
		day := rapid.SampledFrom([]int{86, 87, 88, 296, 297, 298, 299, 100}).Draw(t, "day")
		at := time.Date(2026, 1, day, rapid.IntRange(0, 23).Draw(t, "h"), rapid.IntRange(0, 59).Draw(t, "m"), 0, 0, zone)
		open, change, err := luabind.OpenAt(text, at)
		if err != nil {
			t.Fatal(err)
		}
		for i := 1; i < 3*24*60; i++ {
			next := at.Add(time.Duration(i) * time.Minute)
			now, _, _ := luabind.OpenAt(text, next)
			if changed := !change.IsZero() && !next.Before(change); changed {
				if now, _, _ = luabind.OpenAt(text, change); now == open {
					t.Fatalf("%s at %s: %v does not change at %s", text, at, open, change)
				}
				return
			}
			if now != open {
				t.Fatalf("%s at %s: %v until %s, but otherwise at %s", text, at, open, change, next)
			}
			i += rapid.IntRange(0, 20).Draw(t, "skip")
		}
	})
}

func TestTimeLimits(t *testing.T) {
	runLimits(t, []luaCase{
		{"open in a loop", `while true do pcall(time.open, "2020-01-01 09:00-17:00") end`, "computes for too long"},
		{"times in a table", `local t = {} while true do t[#t + 1] = time.now() end`, "too much memory"},
		{"a layout that grows", `time.now():format(("%c"):rep(500000))`, "would be longer"},
	})
}

// FuzzHours: no text panics, whatever stands in it, and what is understood can be asked.
func FuzzHours(f *testing.F) {
	for _, s := range append([]string{"mon-fri 09:00-12:00, 13:00-17:00; sat 10:00-14:00; 12-24 closed", "easter-2, last mon of may closed", "fri from 06-19 closed", "02-29 00:00-24:00", "2026-12-24..2027-01-06 10:00-09:00"}, hostile...) {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		at := time.Date(2026, 3, 28, 12, 0, 0, 0, time.UTC)
		if _, change, err := luabind.OpenAt(s, at); err == nil && !change.IsZero() && !change.After(at) {
			t.Errorf("%q changes at %s", s, change)
		}
	})
}
