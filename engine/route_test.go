package engine

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestPattern(t *testing.T) {
	tests := []struct {
		pattern string
		yes     []string
		no      []string
	}{
		{"", []string{"", "100", "+1"}, nil},
		{"*", []string{"", "100", "+1"}, nil},
		{"100", []string{"100"}, []string{"", "1000", "0100", "10"}},
		{"+1800555*", []string{"+1800555", "+18005551234"}, []string{"1800555", "+180055", "x+1800555"}},
		{"*98", []string{"*98"}, []string{"98", "*981", "1*98"}}, // a feature code is exact
		{"*98*", []string{"*98", "*98123"}, []string{"98"}},
		{"/^1[0-9]{3}$/", []string{"1000"}, []string{"10000", "100", "x1000"}},
		{"/55/", []string{"55", "1551"}, []string{"5"}},
		{"/^\\*72/", []string{"*72", "*7212"}, []string{"72"}},
		{"/(?i)anonymous|^$/", []string{"Anonymous", ""}, []string{"100"}},
		{"1.3", []string{"1.3"}, []string{"123"}},
	}
	for _, tt := range tests {
		p := Pattern{}
		if tt.pattern != "" {
			var err error
			if p, err = parsePattern(tt.pattern); err != nil {
				t.Errorf("%s: %v", tt.pattern, err)
				continue
			}
		}
		for _, n := range tt.yes {
			if !p.Match(n) {
				t.Errorf("%s does not match %q", p, n)
			}
		}
		for _, n := range tt.no {
			if p.Match(n) {
				t.Errorf("%s matches %q", p, n)
			}
		}
	}
}

func TestPick(t *testing.T) {
	config := `
[[route]]
number = "+1800555*"
context = "public"
script = "support/menu"
args = { queue = "gold" }
[[route]]
number = "+1800555*"
caller = "/^\\+46/"
script = "sweden"
[[route]]
number = "+1800*"
script = "missing"
[[route]]
caller = "anonymous"
script = "/broken.lua"
`
	s := snapshotOf(t, config, map[string]string{
		"main.lua": "return 1", "support/menu.lua": "return 1", "sweden.lua": "return 1", "hello.lua": "return 1", "broken.lua": "return (",
	})
	tests := []struct {
		name   string
		call   CallInfo
		script string
		why    string
		args   map[string]string
		err    string
	}{
		{"path", CallInfo{Path: "hello", ScriptWord: "sweden", Destination: "+1800555"}, "hello", "the path in the dialplan's socket action names it", nil, ""},
		{"path with slash and suffix", CallInfo{Path: "/support/menu.lua"}, "support/menu", "the path in the dialplan's socket action names it", nil, ""},
		{"word", CallInfo{ScriptWord: "sweden", Destination: "+1800555"}, "sweden", "script= in the dialplan's socket action names it", nil, ""},
		{"route", CallInfo{Destination: "+18005551", Context: "public"}, "support/menu", "route 1: number +1800555* and context public match", map[string]string{"queue": "gold"}, ""},
		{"the first route wins", CallInfo{Destination: "+18005551", Context: "public", Caller: "+4670"}, "support/menu", "route 1: number +1800555* and context public match", map[string]string{"queue": "gold"}, ""},
		{"all fields must match", CallInfo{Destination: "+18005551", Context: "default", Caller: "+4670"}, "sweden", `route 2: number +1800555* and caller /^\+46/ match`, nil, ""},
		{"default", CallInfo{Destination: "100"}, "main", "no route matches, so the default runs", nil, ""},
		{"path to nothing", CallInfo{Path: "helo", Destination: "100"}, "helo", "the path in the dialplan's socket action names it", nil, "there is no script helo, did you mean hello?"},
		{"path without directory", CallInfo{Path: "menu"}, "menu", "the path in the dialplan's socket action names it", nil, "there is no script menu, did you mean support/menu?"},
		{"word to nothing", CallInfo{ScriptWord: "xyzzy"}, "xyzzy", "script= in the dialplan's socket action names it", nil, "there is no script xyzzy"},
		{"route to nothing", CallInfo{Destination: "+18001"}, "missing", "route 3: number +1800* matches", nil, "there is no script missing"},
		{"broken", CallInfo{Caller: "anonymous"}, "broken", "route 4: caller anonymous matches", nil, "the script broken is broken and has no earlier version to serve: broken.lua:1: syntax error at the end of the file: something before is not closed"},
		{"out of the root", CallInfo{Path: "../etc/passwd"}, "../etc/passwd", "the path in the dialplan's socket action names it", nil, `"../etc/passwd" is no script name: it holds .., names start at the script root and stay in it`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, err := s.Pick(tt.call)
			if c.Script != tt.script || c.Why != tt.why || !cmp.Equal(c.Args, tt.args) {
				t.Errorf("got %s %v because %s", c.Script, c.Args, c.Why)
			}
			if tt.err != "" {
				if err == nil || err.Error() != tt.err {
					t.Errorf("got error %v\n     want %s", err, tt.err)
				}
				var ne *NameError
				if !errors.Is(err, ErrNoScript) && !errors.As(err, &ne) {
					t.Errorf("the error is a %T", err)
				}
				if c.Program != nil {
					t.Error("a program despite the error")
				}
				return
			}
			if err != nil || c.Program == nil || c.Program.Name != tt.script || c.Programs[tt.script] != c.Program {
				t.Errorf("program %v, error %v", c.Program, err)
			}
		})
	}
	c, _ := s.Pick(CallInfo{Destination: "+18005551", Context: "public"})
	c.Args["queue"] = "changed"
	if c, _ = s.Pick(CallInfo{Destination: "+18005551", Context: "public"}); c.Args["queue"] != "gold" {
		t.Error("a call changes the arguments of the next")
	}
}

func TestScriptName(t *testing.T) {
	long := strings.Repeat("a", 255)
	for text, want := range map[string]string{
		"main": "main", "main.lua": "main", "/main": "main", "a/b/c.lua": "a/b/c", "smörgås": "smörgås", "a b": "a b",
		"v1.2/menu": "v1.2/menu", "..a/b..": "..a/b..", "etc/passwd": "etc/passwd", "/" + long + ".lua": long, "C:/x": "C:/x", "%2e%2e/x": "%2e%2e/x", "${uuid}": "${uuid}",
	} {
		if got, err := ScriptName(text); got != want || err != nil {
			t.Errorf("ScriptName(%q) = %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "/", ".lua", "/.lua", "//main", "a//b", "a/", "..", "../a", "a/../b", "a/..", "./a", "a/.", "a\\b", "..\\a", "a\x00", "a\nb", "a\x7f", "a\u0085", "\xff", long + "a", "..lua/..", "/..",
	} {
		got, err := ScriptName(text)
		var ne *NameError
		if !errors.As(err, &ne) || got != "" {
			t.Errorf("ScriptName(%q) = %q, %v; want a *NameError", text, got, err)
		}
	}
}

func FuzzScriptName(f *testing.F) {
	for _, s := range []string{"main", "/a/b.lua", "../x", "a\\b", "a\x00b", "//", "..", "a/./b", ".lua.lua", "\xff", "C:/x", "a/..lua"} {
		f.Add(s)
	}
	root := filepath.Join(string(filepath.Separator), "srv", "scripts")
	f.Fuzz(func(t *testing.T, text string) {
		name, err := ScriptName(text)
		if err != nil {
			if name != "" {
				t.Fatalf("a name despite %v", err)
			}
			if !utf8.ValidString(err.Error()) || strings.ContainsAny(err.Error(), "\n\r\x00") {
				t.Fatalf("the error is not one line: %q", err)
			}
			return
		}
		path := filepath.Join(root, filepath.FromSlash(name)+".lua")
		if !fs.ValidPath(name) || !strings.HasPrefix(path, root+string(filepath.Separator)) || len(name) > maxScriptName {
			t.Fatalf("%q became %q, which is %s", text, name, path)
		}
		if again, err := ScriptName("/" + name + ".lua"); again != name || err != nil {
			t.Fatalf("%q is not canonical: it becomes %q, %v", name, again, err)
		}
	})
}
