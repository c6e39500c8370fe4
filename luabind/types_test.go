package luabind_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"callisto/luabind"
)

// definitions is what the annotations of a definition file say, as a language server takes them.
type definitions struct {
	classes   map[string]map[string]string // fields and their types, by class
	parents   map[string]string
	aliases   map[string]string
	functions map[string]function
	types     []string // every type expression, to be understood
}

type function struct {
	params, options []string
	returns         int
	doc             bool
}

var (
	identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	declared   = regexp.MustCompile(`^function ([A-Za-z0-9_.:]+)\(([^)]*)\) end$`)
)

// readDefinitions understands a LuaCATS file, or says at which line it does not.
func readDefinitions(text string) (*definitions, error) {
	d := &definitions{classes: map[string]map[string]string{}, parents: map[string]string{}, aliases: map[string]string{}, functions: map[string]function{}}
	var params []string
	var f function
	class := ""
	for i, line := range strings.Split(text, "\n") {
		wrong := func(format string, x ...any) error {
			return fmt.Errorf("line %d: %s\n%s", i+1, fmt.Sprintf(format, x...), line)
		}
		tag, ok := strings.CutPrefix(line, "---@")
		if !ok {
			switch m := declared.FindStringSubmatch(line); {
			case m != nil:
				var names []string
				for name := range strings.SplitSeq(m[2], ", ") {
					if name != "" {
						names = append(names, name)
					}
				}
				if !slices.Equal(names, params) {
					return nil, wrong("documented are %q", params)
				}
				f.params = names
				d.functions[m[1]] = f
				params, f = nil, function{}
			case strings.HasPrefix(line, "--- "):
				f.doc = true
			case line == "":
				class = ""
			}
			continue
		}
		word, rest, _ := strings.Cut(tag, " ")
		switch word {
		case "meta":
		case "class":
			name, parent, _ := strings.Cut(strings.TrimPrefix(rest, "(exact) "), " : ")
			if d.classes[name] != nil {
				return nil, wrong("a second class of that name")
			}
			class, d.classes[name], d.parents[name] = name, map[string]string{}, parent
		case "field":
			name, rest, _ := strings.Cut(rest, " ")
			if class == "" {
				return nil, wrong("a field of no class")
			}
			typ, _ := splitType(rest)
			if strings.HasPrefix(name, "[") {
				d.types = append(d.types, typ)
				continue
			}
			if !identifier.MatchString(strings.TrimSuffix(name, "?")) {
				return nil, wrong("no name")
			}
			d.classes[class][strings.TrimSuffix(name, "?")] = typ
			d.types = append(d.types, typ)
		case "alias":
			name, typ, _ := strings.Cut(rest, " ")
			d.aliases[name] = typ
			d.types = append(d.types, typ)
		case "param":
			name, rest, _ := strings.Cut(rest, " ")
			name = strings.TrimSuffix(name, "?")
			if name != "..." && !identifier.MatchString(name) {
				return nil, wrong("no name")
			}
			params = append(params, name)
			typ, _ := splitType(rest)
			if name == "options" {
				f.options = append(f.options, typ)
			}
			d.types = append(d.types, typ)
		case "return":
			typ, _ := splitType(rest)
			f.returns++
			d.types = append(d.types, typ)
		case "overload":
			d.types = append(d.types, rest)
		case "operator":
			_, typ, ok := strings.Cut(rest, "(): ")
			if !ok {
				return nil, wrong("no operator")
			}
			d.types = append(d.types, typ)
		default:
			return nil, wrong("no annotation")
		}
	}
	for _, t := range d.types {
		p := typeParser{d: d, rest: t}
		if err := p.union(); err != nil || p.rest != "" {
			return nil, fmt.Errorf("type %q: %v, left %q", t, err, p.rest)
		}
	}
	return d, nil
}

// splitType takes a type off what follows it: it ends at the first space outside of brackets and quotes.
func splitType(text string) (typ, rest string) {
	depth, quoted := 0, false
	for i, r := range text {
		switch {
		case r == '"':
			quoted = !quoted
		case quoted:
		case strings.ContainsRune("<({", r):
			depth++
		case strings.ContainsRune(">)}", r):
			depth--
		case r == ' ' && depth == 0 && !strings.HasSuffix(text[:i], ":"):
			return text[:i], text[i+1:]
		}
	}
	return text, ""
}

// A typeParser understands type expressions: names, literals, unions, lists, functions, tables.
type typeParser struct {
	d    *definitions
	rest string
}

func (p *typeParser) eat(s string) bool {
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *typeParser) union() error {
	for {
		if err := p.one(); err != nil {
			return err
		}
		for p.eat("[]") {
		}
		p.eat("?")
		if !p.eat("|") {
			return nil
		}
	}
}

var (
	typeName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_.]*`)
	plainTypes = []string{"string", "number", "integer", "boolean", "table", "function", "any", "nil", "userdata", "self", "fun"}
)

func (p *typeParser) one() error {
	if p.eat("(") {
		if err := p.union(); err != nil {
			return err
		}
		if !p.eat(")") {
			return fmt.Errorf("a bracket is not closed")
		}
		return nil
	}
	if p.eat(`"`) {
		_, rest, ok := strings.Cut(p.rest, `"`)
		if !ok {
			return fmt.Errorf("a quote is not closed")
		}
		p.rest = rest
		return nil
	}
	name := typeName.FindString(p.rest)
	if name == "" {
		return fmt.Errorf("no type")
	}
	p.rest = p.rest[len(name):]
	switch {
	case name == "fun":
		return p.function()
	case slices.Contains(plainTypes, name):
	case p.d.classes[name] != nil, p.d.aliases[name] != "":
	default:
		return fmt.Errorf("there is no type %s", name)
	}
	if p.eat("<") {
		for {
			if err := p.union(); err != nil {
				return err
			}
			if !p.eat(", ") {
				break
			}
		}
		if !p.eat(">") {
			return fmt.Errorf("a bracket is not closed")
		}
	}
	return nil
}

func (p *typeParser) function() error {
	if !p.eat("(") {
		return fmt.Errorf("no function")
	}
	for !p.eat(")") {
		name := typeName.FindString(p.rest)
		if name == "" && !strings.HasPrefix(p.rest, "...") {
			return fmt.Errorf("no parameter")
		}
		if name == "" {
			name = "..."
		}
		p.rest = p.rest[len(name):]
		p.eat("?")
		if p.eat(": ") {
			if err := p.union(); err != nil {
				return err
			}
		}
		p.eat(", ")
	}
	for first := true; p.eat(": ") || !first && p.eat(", "); first = false {
		if err := p.union(); err != nil {
			return err
		}
	}
	return nil
}

// The definitions for editors are valid Lua, a language server understands every line, and they have
// exactly what the tables have.
func TestTypes(t *testing.T) {
	var b bytes.Buffer
	if err := luabind.WriteTypes(&b); err != nil {
		t.Fatal(err)
	}
	if _, err := luabind.Compile("types", b.Bytes()); err != nil {
		t.Fatal(err)
	}
	d, err := readDefinitions(b.String())
	if err != nil {
		t.Fatal(err)
	}
	var functions []string
	verbs := func(prefix, owner string, list []luabind.Verb) {
		for _, v := range list {
			functions = append(functions, prefix+v.Name)
			f, ok := d.functions[prefix+v.Name]
			if !ok {
				t.Errorf("%s%s is not defined", prefix, v.Name)
				continue
			}
			want := len(v.Params)
			if len(v.Options) > 0 {
				want++
			}
			if len(f.params) != want || !f.doc || f.returns < len(v.Results) {
				t.Errorf("%s%s is %+v", prefix, v.Name, f)
			}
			for _, o := range v.Options {
				if d.classes[owner+"."+v.Name+".options"][o.Name] == "" {
					t.Errorf("%s%s: the option %s is not defined", prefix, v.Name, o.Name)
				}
			}
		}
	}
	fields := func(class string, list []luabind.Field) {
		for _, f := range list {
			if d.classes[class][f.Name] != f.Type {
				t.Errorf("%s.%s is a %q, want %q", class, f.Name, d.classes[class][f.Name], f.Type)
			}
		}
		if len(d.classes[class]) != len(list) {
			t.Errorf("%s has %d fields, want %d", class, len(d.classes[class]), len(list))
		}
	}
	verbs("call:", "call", luabind.Verbs)
	fields("Call", luabind.Fields)
	for _, k := range luabind.Classes() {
		verbs(k.Name+":", k.Name, k.Methods)
		fields(k.Name, k.Fields)
	}
	for _, s := range luabind.Shapes() {
		fields(s.Name, s.Fields)
	}
	for _, m := range luabind.Modules {
		verbs(m.Name+".", m.Name, m.Functions)
		for _, v := range m.Values {
			if d.classes[m.Name][v.Name] != v.Type {
				t.Errorf("%s.%s is not defined", m.Name, v.Name)
			}
		}
	}
	for _, m := range luabind.TestModules {
		prefix := ""
		if m.Name != "" {
			prefix = m.Name + "."
		}
		verbs(prefix, m.Name, m.Functions)
		for _, k := range m.Classes {
			verbs(k.Name+":", k.Name, k.Methods)
			fields(k.Name, k.Fields)
		}
	}
	for _, k := range luabind.StepKinds {
		functions = append(functions, "flow."+k.Name)
		if f, ok := d.functions["flow."+k.Name]; !ok || !f.doc {
			t.Errorf("flow.%s is not defined", k.Name)
		}
		fields := d.classes["flow."+k.Name+".step"]
		for _, o := range k.Options {
			if fields[o.Name] == "" {
				t.Errorf("flow.%s: the option %s is not defined", k.Name, o.Name)
			}
		}
		for _, o := range k.Outcomes {
			if fields[o.Name] != "string" {
				t.Errorf("flow.%s: the outcome %s is not defined", k.Name, o.Name)
			}
		}
	}
	for _, p := range luabind.FlowWords {
		if d.classes["FlowTable"][p.Name] == "" {
			t.Errorf("the flow's word %s is not defined", p.Name)
		}
	}
	for _, p := range luabind.FlowDefaults {
		if d.classes["FlowDefaults"][p.Name] == "" {
			t.Errorf("the flow's default %s is not defined", p.Name)
		}
	}
	for name := range d.functions {
		if !slices.Contains(functions, name) && name != "expand" {
			t.Errorf("%s is defined, and in no table", name)
		}
	}
	if d.parents["Leg"] != "Call" {
		t.Error("a leg does not have the verbs of call")
	}
}

// What a .luarc.json said before stays, and to write it again changes nothing.
func TestEditorSettings(t *testing.T) {
	old := `{"diagnostics.disable": ["lowercase-global"], "workspace.library": ["lib"], "runtime.builtin": {"io": "default"}}`
	first, err := luabind.EditorSettings([]byte(old), ".callisto")
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Disable []string          `json:"diagnostics.disable"`
		Library []string          `json:"workspace.library"`
		Builtin map[string]string `json:"runtime.builtin"`
		Version string            `json:"runtime.version"`
	}
	if err := json.Unmarshal(first, &got); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got.Disable, []string{"lowercase-global"}) || !slices.Equal(got.Library, []string{"lib", ".callisto"}) ||
		got.Builtin["io"] != "default" || got.Builtin["debug"] != "disable" || got.Version != "Lua 5.1" {
		t.Errorf("%s", first)
	}
	again, err := luabind.EditorSettings(first, ".callisto")
	if err != nil || !bytes.Equal(first, again) {
		t.Errorf("written again: %v\n%s", err, again)
	}
	if _, err := luabind.EditorSettings([]byte("// a comment\n{}"), ".callisto"); err == nil {
		t.Error("a file with comments was taken")
	}
}
