package luabind

import (
	_ "embed"
	"io"
	"maps"
	"slices"
	"strings"
	"text/template"
	"time"

	lua "github.com/yuin/gopher-lua"
)

//go:embed reference.md
var referenceText string

// WriteReference writes the reference of what scripts see, in Markdown: docs/lua.md. What it lists
// comes from the verb table and from what the sandbox holds; the prose around it is reference.md.
func WriteReference(w io.Writer) error {
	t, err := template.New("reference").Funcs(template.FuncMap{
		"cell": cell, "anchor": anchor, "type": typeName, "first": firstSentence, "code": code, "label": func(v Verb) string { return v.Label() },
	}).Parse(referenceText)
	if err != nil {
		return err
	}
	env := shared() // which tells functions whose they are
	libraries := map[string][]string{}
	for name, t := range env.libraries {
		if IsModule(name) {
			continue
		}
		for _, fn := range tableNames(t) {
			libraries[name] = append(libraries[name], name+"."+fn)
		}
	}
	var functions []string
	for _, name := range slices.Sorted(maps.Keys(env.functions)) {
		if isAlpha(name[0]) {
			functions = append(functions, name)
		}
	}
	return t.Execute(w, map[string]any{
		"Verbs": Verbs, "Fields": Fields, "Functions": functions, "Libraries": libraries, "Modules": Modules, "CallClasses": callClasses, "StepKinds": StepKinds, "FlowWords": FlowWords, "FlowDefaults": FlowDefaults, "MaxState": maxState, "MaxDataDepth": maxDataDepth, "MaxFlows": maxFlows, "MaxIdle": maxIdle,
		"Depth": 200, "MaxDuration": maxDuration / time.Hour, "MaxQueued": maxQueued,
	})
}

// cell is text for a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "\n", " ").Replace(text)
}

// code is text in a cell, as code.
func code(text string) string { return "`" + cell(text) + "`" }

func firstSentence(text string) string {
	if at := strings.Index(text, ". "); at >= 0 {
		return text[:at+1]
	}
	return text
}

// anchor is how Markdown's links name a heading such as "call:on".
func anchor(name string) string { return "call" + strings.ToLower(name) }

// typeName is what a parameter takes, with the values it may have.
func typeName(p Param) string {
	if len(p.Enum) > 0 {
		return "`\"" + strings.Join(p.Enum, "\"`, `\"") + "\"`"
	}
	return p.Type.String()
}

func tableNames(t *lua.LTable) []string {
	var names []string
	t.ForEach(func(k, _ lua.LValue) { names = append(names, k.String()) })
	slices.Sort(names)
	return names
}
