package luabind_test

import (
	"bytes"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"callisto/luabind"
)

var update = flag.Bool("update", false, "write docs/lua.md anew")

// TestReference holds docs/lua.md against the verb table: make docs writes it anew.
func TestReference(t *testing.T) {
	const path = "../docs/lua.md"
	var want bytes.Buffer
	if err := luabind.WriteReference(&want); err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(path, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Error("docs/lua.md is not what the verb table says: run make docs")
	}
}

// Every verb, option, result and field is in the reference, with a sentence of its own.
func TestReferenceIsComplete(t *testing.T) {
	var b bytes.Buffer
	if err := luabind.WriteReference(&b); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	has := func(what, s string) {
		t.Helper()
		if !strings.Contains(text, s) {
			t.Errorf("%s: there is no %q in the reference", what, s)
		}
	}
	for _, v := range luabind.Verbs {
		has(v.Name, "### call:"+v.Name+"\n")
		has(v.Name, "call:"+v.Usage())
		if !strings.HasSuffix(v.Doc, ".") {
			t.Errorf("%s: its doc is no sentence: %q", v.Name, v.Doc)
		}
		for _, p := range append(append([]luabind.Param{}, v.Params...), v.Options...) {
			has(v.Name, "| `"+p.Name+"`")
		}
		for _, r := range v.Results {
			has(v.Name, "| `"+r.Name+"`")
		}
	}
	for _, f := range luabind.Fields {
		has(f.Name, "| `call."+f.Name+"`")
	}
	for _, link := range regexp.MustCompile(`\]\(#([^)]+)\)`).FindAllStringSubmatch(text, -1) {
		if !strings.Contains(headings(text), " "+link[1]+" ") {
			t.Errorf("the link to #%s leads nowhere", link[1])
		}
	}
}

// headings are the anchors of a Markdown text's headings, each between spaces.
func headings(text string) string {
	var b strings.Builder
	odd := regexp.MustCompile(`[^a-z0-9 _-]`)
	for _, h := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		b.WriteString(" " + strings.ReplaceAll(odd.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-") + " ")
	}
	return b.String()
}
