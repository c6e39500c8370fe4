package luabind

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WriteTypes writes what scripts see as definitions for editors, in the annotations that lua-language-server and
// its like read (LuaCATS).
func WriteTypes(w io.Writer) error {
	shared() // which tells functions whose they are
	t := &typeWriter{}
	t.line("---@meta callisto")
	t.line("-- Written by callisto types. What is here is what `callisto check` knows; change nothing.")
	t.line("")
	t.comment("A text that the switch expands, made by expand.")
	t.line("---@class Expansion")
	t.line("")
	t.comment("A string or a number, delivered as it is, or expand \"…\".")
	t.line("---@alias Text string|number|Expansion")
	t.comment("Milliseconds, or a string with a unit: \"20s\", \"1m30s\".")
	t.line("---@alias Duration number|string")
	t.line("")
	t.comment("Asks for the switch's expansion of ${…} in a text. Never expand what a caller can choose.")
	t.line("---@param text string\n---@return Expansion\nfunction expand(text) end\n")

	t.comment("The call.")
	t.line("---@class Call")
	t.fields(Fields)
	t.line("call = {}")
	t.line("")
	for i := range Verbs {
		t.verb("call:", "call", &Verbs[i])
	}
	for _, s := range Shapes() {
		t.comment(strings.ToUpper(s.Doc[:1]) + s.Doc[1:] + ".")
		t.line("---@class " + s.Name)
		t.fields(s.Fields)
		t.line("")
	}
	for _, k := range Classes() {
		t.class(k)
	}
	for _, m := range Modules {
		t.module(m)
	}
	t.flow()
	for _, m := range TestModules {
		for _, k := range m.Classes {
			t.class(k)
		}
		t.module(m)
	}
	_, err := w.Write(t.Bytes())
	return err
}

type typeWriter struct{ bytes.Buffer }

func (t *typeWriter) line(text string) { fmt.Fprintln(t, text) }

// comment writes Markdown that the editor shows.
func (t *typeWriter) comment(text string) {
	for line := range strings.SplitSeq(text, "\n") {
		t.line(strings.TrimRight("--- "+line, " "))
	}
}

// oneLine is text that goes behind a type.
func oneLine(text string) string { return strings.ReplaceAll(text, "\n", " ") }

func (t *typeWriter) fields(fields []Field) {
	for _, f := range fields {
		t.line("---@field " + f.Name + " " + f.Type + " " + oneLine(f.Doc))
	}
}

func (t *typeWriter) class(k *Class) {
	parent := ""
	if k == legClass {
		parent = " : Call"
	}
	t.comment(k.Doc)
	t.line("---@class " + k.Name + parent)
	t.fields(k.Fields)
	if k.other != nil && k.more == nil {
		t.line("---@field [string] string?")
	}
	for _, line := range k.operators {
		t.line("---@" + line)
	}
	t.line("local " + k.Name + " = {}")
	t.line("")
	for i := range k.Methods {
		t.verb(k.Name+":", k.Name, &k.Methods[i])
	}
}

func (t *typeWriter) module(m *Module) {
	prefix := ""
	if m.Name != "" { // the module without a name has globals
		prefix = m.Name + "."
		t.comment(m.Doc)
		t.line("---@class " + m.Name)
		for _, v := range m.Values {
			t.line("---@field " + v.Name + " " + v.Type + " " + oneLine(v.Doc))
		}
		if m.index != nil {
			t.line("---@field [string] any")
		}
		t.line(m.Name + " = {}")
		t.line("")
	}
	for i := range m.Functions {
		t.verb(prefix, m.Name, &m.Functions[i])
	}
}

func (t *typeWriter) verb(prefix, owner string, v *Verb) {
	options := ""
	if len(v.Options) > 0 {
		options = owner + "." + v.Name + ".options"
		t.line("---@class (exact) " + options)
		for i := range v.Options {
			o := &v.Options[i]
			t.line("---@field " + o.Name + "? " + o.luaType() + " " + oneLine(o.Doc))
		}
		t.line("")
	}
	t.comment(v.Doc)
	if v.Full || v.Async {
		t.comment("")
		t.comment("It needs the words " + map[bool]string{true: "async full", false: "full"}[v.Async] + " in the dialplan's socket action.")
	}
	var names []string
	for i := range v.Params {
		p := &v.Params[i]
		name, mark := p.Name, ""
		if p.Rest {
			name = "..."
		} else if p.Optional {
			mark = "?"
		}
		names = append(names, name)
		t.line("---@param " + name + mark + " " + p.luaType() + " " + oneLine(p.Doc))
	}
	if options != "" {
		names = append(names, "options")
		t.line("---@param options? " + options)
	}
	for _, r := range v.Results {
		t.line("---@return " + r.Type + " " + r.Name + " # " + oneLine(r.Doc))
	}
	// Arguments that may be left out may have the options in their place.
	if options != "" {
		for n := len(v.Params); n > 0 && v.Params[n-1].Optional && !v.Params[n-1].Rest; n-- {
			t.overload(prefix, owner, v, v.Params[:n-1], options)
		}
	}
	t.line("function " + prefix + v.Name + "(" + strings.Join(names, ", ") + ") end")
	t.line("")
}

func (t *typeWriter) overload(prefix, owner string, v *Verb, params []Param, options string) {
	var list []string
	if strings.HasSuffix(prefix, ":") {
		if owner == "call" {
			owner = "Call"
		}
		list = append(list, "self: "+owner)
	}
	for i := range params {
		list = append(list, params[i].Name+": "+params[i].luaType())
	}
	list = append(list, "options: "+options)
	var results []string
	for _, r := range v.Results {
		results = append(results, r.Type)
	}
	text := "---@overload fun(" + strings.Join(list, ", ") + ")"
	if len(results) > 0 {
		text += ": " + strings.Join(results, ", ")
	}
	t.line(text)
}

// luaType is what a parameter takes, as editors write it.
func (p *Param) luaType() string {
	if len(p.Enum) > 0 {
		return literals(p.Enum)
	}
	if len(p.Known) > 0 {
		return literals(p.Known) + "|string"
	}
	switch p.Type {
	case Text:
		return "Text"
	case Word, String:
		return "string|number"
	case Texts:
		return "Text|Text[]"
	case Integer:
		return "integer"
	case Number:
		return "number"
	case Duration:
		return "Duration"
	case Boolean:
		return "boolean"
	case Function:
		return "function"
	case Table:
		return "table"
	}
	return "any"
}

func literals(values []string) string {
	return `"` + strings.Join(values, `"|"`) + `"`
}

// EditorSettings returns a .luarc.json that has editors read the definitions in the directory library, made from
// old, which may be empty: what is set there otherwise stays. The error says why old cannot be understood.
func EditorSettings(old []byte, library string) ([]byte, error) {
	settings := map[string]any{}
	if len(bytes.TrimSpace(old)) > 0 {
		if err := json.Unmarshal(old, &settings); err != nil {
			return nil, err
		}
	}
	set := func(key string, value any) {
		if _, ok := settings[key]; !ok {
			settings[key] = value
		}
	}
	set("$schema", "https://raw.githubusercontent.com/LuaLS/vscode-lua/master/setting/schema.json")
	set("runtime.version", "Lua 5.1")
	set("workspace.checkThirdParty", false)
	set("type.weakUnionCheck", true) // with wait = false a verb returns a handle, else a result
	builtin := map[string]any{}
	for _, name := range []string{"io", "debug", "bit", "bit32", "ffi", "jit", "utf8"} {
		builtin[name] = "disable"
	}
	if given, ok := settings["runtime.builtin"].(map[string]any); ok {
		maps.Copy(builtin, given)
	}
	settings["runtime.builtin"] = builtin
	list, _ := settings["workspace.library"].([]any)
	if !slices.Contains(list, any(library)) {
		list = append(list, library)
	}
	settings["workspace.library"] = list
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	err := e.Encode(settings)
	return b.Bytes(), err
}
