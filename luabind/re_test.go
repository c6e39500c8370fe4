package luabind_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"callisto/luabind"
)

func TestRe(t *testing.T) {
	show := `local function show(m) if not m then return "nil" end local s = {} for i = 0, 5 do s[#s + 1] = tostring(m[i]) end return table.concat(s, ",") end `
	runLua(t, []luaCase{
		{"match", show + `log.info(show(re.match("call +46 8 123", [[\+(\d+) (\d+)]])))`, "+46 8,46,8,nil,nil,nil"},
		{"no match", show + `log.info(show(re.match("x", [[\d]])))`, "nil"},
		{"a group that took no part", show + `log.info(show(re.match("b", "(a)|(b)")))`, "b,nil,b,nil,nil,nil"},
		{"names", `local m = re.match("2026-11-22", [[(?P<year>\d+)-(?<month>\d+)]]) log.info(m.year .. m.month .. m[2])`, "20261111"},
		{"flags", `log.info(re.match("HELLO\nworld", "(?is)hello.w")[0])`, "HELLO\nw"},
		{"UTF-8", `log.info(re.match("åäö", [[^\pL{3}$]])[0])`, "åäö"},
		{"bytes that are no UTF-8, and NUL", `log.info(#re.match("a\255\0b", "^a..b$")[0])`, "4"},
		{"find", `log.info(table.concat({ re.find("abcabc", "b.") }, ",") .. ";" .. table.concat({ re.find("abcabc", "b.", { from = 3 }) }, ",") .. ";" .. tostring(re.find("abc", "x")))`, "2,3;5,6;nil"},
		{"find at the end", `log.info(table.concat({ re.find("abc", "$", { from = 4 }) }, ",") .. tostring(re.find("abc", "$", { from = 5 })))`, "4,3nil"},
		{"find knows what is before", `log.info(tostring(re.find("ab ab", [[\bb]], { from = 2 })) .. tostring(re.find("ab", "^b", { from = 2 })) .. re.find("a\nb", "(?m)^b", { from = 3 }))`, "nilnil3"},
		{"all", `local s = "" for _, m in ipairs(re.all("a1b22c333", [[([a-z])(\d+)]])) do s = s .. m[1] .. "=" .. m[2] .. ";" end log.info(s)`, "a=1;b=22;c=333;"},
		{"all, at most", `log.info(#re.all("aaaa", "a", { max = 3 }) .. #re.all("bbb", "a"))`, "30"},
		{"replace is literal", `log.info(table.concat({ re.replace("a.b.c", [[\.]], "$0\\1%1") }, " "))`, `a$0\1%1b$0\1%1c 2`},
		{"replace with groups", `log.info((re.replace("John Smith", [[(?P<first>\w+) (\w+)]], "$2, ${first} $$", { groups = true })))`, "Smith, John $"},
		{"replace with a function", `log.info((re.replace("a1b2c3", [[\d]], function(m) if m[0] ~= "2" then return m[0] * 2 end end)))`, "a2b2c6"},
		{"replace, at most", `log.info(table.concat({ re.replace("aaa", "a", "b", { max = 2 }) }, " "))`, "bba 2"},
		{"replace the empty match", `log.info((re.replace("abc", "", "-")) .. (re.replace("åä", "x*", "-")))`, "-a-b-c--å-ä-"},
		{"split", `log.info(table.concat(re.split("a, b;c", [[[,;]\s*]]), "|") .. " " .. table.concat(re.split("a,b,c", ",", { max = 2 }), "|") .. " " .. #re.split("", ",") .. table.concat(re.split("abc", ""), "|") .. table.concat(re.split("a,b", ",", { max = 1 }), "|"))`, "a|b|c a|b,c 1a|b|ca,b"},
		{"split at the ends", `log.info(#re.split(",a,", ",") .. re.split(",a,", ",")[2])`, "3a"},
		{"escape", `log.info(re.escape("1+1=2?") .. tostring(re.match("1+1=2?", "^" .. re.escape("1+1=2?") .. "$") ~= nil))`, `1\+1=2\?true`},
		{"a quoted expression goes on within another", `log.info(#re.all("a(b a(b", [[\Qa(b]]))`, "2"},
		{"a mistake", oops(`re.match("x", "(a")`), `re.match: the expression is wrong: missing closing ): "(a"`},
		{"look-around", oops(`re.match("x", "(?=a)")`), `re.match: the expression is wrong: invalid or unsupported Perl syntax: "(?=" (there is neither look-around nor a back reference)`},
		{"a back reference", oops(`re.match("x", [[(a)\1]])`), `re.match: the expression is wrong: invalid escape sequence: "\\1" (there is neither look-around nor a back reference)`},
		{"an expression that repeats", oops(`re.match("x", "((a{100}){10}){2}")`), `re.match: the expression is wrong: invalid repeat count: "{2}"`},
		{"an expression that is large", oops(`re.match("x", ("x{900}"):rep(5))`), `re.match: the expression "x{900}x{900}x{900}x{900}x{900}" is too large: its repetitions come to more than 2000 steps`},
		{"an expression that is long", oops(`re.match("x", ("x"):rep(5000))`), `re.match: the expression has 5000 bytes; the limit is 4096`},
		{"an expression of many groups", oops(`re.match("x", ("()"):rep(33))`), `re.match: the expression "()()()()()()()()()()()()()()()()()()()()…" has 33 groups; the limit is 32. (?:…) groups without being one`},
		{"an expression that is deep", oops(`re.match("x", ("("):rep(2000) .. (")"):rep(2000))`), "re.match: the expression is wrong: expression nests too deeply: \"" + strings.Repeat("(", 40) + "…\""},
		{"a text that is too long for it", oops(`re.match(("x"):rep(1000000), "(x?){90}y")`), "re.match: a text of 1000000 bytes is too long for this expression; the limit is 104694"},
		{"with of the wrong type", oops(`re.replace("x", "x", {})`), "re.replace: argument `with` must be a string or a function, not a table"},
		{"a function that returns a table", oops(`re.replace("x", "x", function() return {} end)`), "re.replace: the function returned a table; it returns a string, or nil for what matched"},
		{"groups and a function", oops(`re.replace("x", "x", print, { groups = true })`), "re.replace: option `groups` is for a text; a function is given the match"},
		{"none", oops(`re.all("x", "x", { max = 0 })`), "re.all: option `max` must be at least 1, not 0"},
	})
}

// All matches are those that Go's regexp finds, with what is before each known.
func TestReAgainstGo(t *testing.T) {
	expression := rapid.Custom(func(t *rapid.T) string {
		atoms := []string{"a", "b", "ab", ".", "a*", "b+?", "(a|b)", `\b`, `\B`, "^", "$", "(?m:^)", "(?m:$)", `\s`, "(?i:A)", "(x)?", "", "[^a]", `\A`, `\z`, "å", "(a|ab)(c|bcd)?", "a{2,3}"}
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom(atoms), 1, 4).Draw(t, "atoms"), rapid.SampledFrom([]string{"", "|"}).Draw(t, "join"))
	})
	text := rapid.Custom(func(t *rapid.T) string {
		return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "ab", "c", " ", "\n", "å", "\xff", "x"}), 0, 12).Draw(t, "text"), "")
	})
	rapid.Check(t, func(t *rapid.T) {
		x, s := expression.Draw(t, "expression"), text.Draw(t, "subject")
		want := regexp.MustCompile(x).FindAllStringSubmatchIndex(s, -1)
		got, err := luabind.AllMatches(x, s)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, slices.Equal[[]int]) {
			t.Fatalf("%q in %q: %v, want %v", x, s, got, want)
		}
	})
}

func TestReLimits(t *testing.T) {
	runLimits(t, []luaCase{
		{"a search in a loop", `local s = ("x"):rep(100000) while true do pcall(re.match, s, "(x+x+)+y") end`, "computes for too long"},
		{"all that is quadratic", `re.all(("a"):rep(200000), "a*b|a")`, "computes for too long"},
		{"expressions in a loop", `local i = 0 while true do i = i + 1 pcall(re.match, "x", "x{900}" .. i) end`, "computes for too long"},
		{"replace that grows", `local s = "x" while true do s = re.replace(s, ".", ("x"):rep(300)) end`, "string of"},
		{"replace that grows by groups", `re.replace(("x"):rep(10000), ".*", ("$0"):rep(10000), { groups = true })`, "string of"},
		{"matches", `local t = {} while true do t[#t + 1] = re.all(("x"):rep(1000), "x") end`, "too much memory"},
		{"matches of one text", `re.all(("x"):rep(1000000), "x")`, "too much memory"},
	})
}
