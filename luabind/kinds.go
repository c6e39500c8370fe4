package luabind

import (
	"strings"

	"github.com/yuin/gopher-lua/ast"
)

// A kind is what the linter knows of a value: that it is the call, a module, a library of Lua's, or what a verb
// returns. Exactly one field is set.
type kind struct {
	call    bool
	class   *Class
	shape   *Shape
	module  *Module
	library string
}

// A Shape is a table that verbs return, with its fields.
type Shape struct {
	Name   string
	Doc    string
	Fields []Field
}

// has reports whether a value of the kind has a method or field of that name.
func (k kind) has(name string) bool {
	switch {
	case k.call:
		return findVerb(Verbs, name) != nil || hasField(Fields, name)
	case k.class != nil:
		return k.class.other != nil && k.class.more == nil || contains(k.class.names(), name)
	case k.shape != nil:
		return hasField(k.shape.Fields, name)
	case k.module != nil && k.module.index != nil:
		return true
	}
	return contains(tableNames(shared().libraries[k.library]), name)
}

// unknown is what to say of a name that a value of the kind does not have.
func (k kind) unknown(name string, line int) Finding {
	f := Finding{Line: line}
	switch {
	case k.call:
		f.Message = "call has no verb or field `" + name + "`" + didYouMean(name, append(verbNames(), fieldNames(Fields)...))
	case k.class != nil:
		f.Message = k.class.Article + " has no method or field `" + name + "`" + k.class.hint(name)
	case k.shape != nil:
		names := fieldNames(k.shape.Fields)
		hint := didYouMean(name, names)
		if hint == "" {
			hint = "; it has " + listOf(names)
		}
		f.Message = k.shape.Doc + " has no field `" + name + "`" + hint
	default:
		full := k.library + "." + name
		if why := absent[full]; why != "" {
			f.Message = "`" + full + "` is not there: " + why
			break
		}
		f.Message = k.library + " has no `" + name + "`" + didYouMean(name, tableNames(shared().libraries[k.library]))
	}
	return f
}

// method is the row of a method of the kind, or nil.
func (k kind) method(name string) *Verb {
	switch {
	case k.call:
		return findVerb(Verbs, name)
	case k.class == legClass && findVerb(Verbs, name) != nil:
		return findVerb(Verbs, name)
	case k.class != nil:
		return findVerb(k.class.Methods, name)
	}
	return nil
}

// variable is what a value of the kind is called in messages.
func (k kind) variable() string {
	if k.class != nil {
		return k.class.Var
	}
	return "call"
}

func (m *Module) function(name string) *Verb { return findVerb(m.Functions, name) }

// kindOf is what is known of an expression's value; more than one where it may be either.
func (l *linter) kindOf(e ast.Expr) []kind {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if v := l.lookup(e.Value); v != nil {
			return v.kind
		}
		return globalKind(e.Value)
	case *ast.AttrGetExpr:
		key, ok := e.Key.(*ast.StringExpr)
		if kinds := l.kindOf(e.Object); ok && len(kinds) == 1 {
			return kinds[0].field(key.Value)
		}
	case *ast.FuncCallExpr:
		return l.result(e, 0)
	}
	return nil
}

func globalKind(name string) []kind {
	if name == "call" {
		return []kind{{call: true}}
	}
	if m := moduleOf(name); m != nil {
		return []kind{{module: m, library: name}}
	}
	if shared().libraries[name] != nil {
		return []kind{{library: name}}
	}
	return nil
}

// field is what is known of a field of the kind.
func (k kind) field(name string) []kind {
	var fields []Field
	switch {
	case k.call:
		fields = Fields
	case k.class != nil:
		fields = k.class.Fields
	case k.shape != nil:
		fields = k.shape.Fields
	}
	for _, f := range fields {
		if f.Name == name {
			return kindsNamed(f.Type)
		}
	}
	return nil
}

// result is what is known of the result with that number of an expression.
func (l *linter) result(e ast.Expr, i int) []kind {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok || i > 0 && call.AdjustRet {
		return nil
	}
	var v *Verb
	if call.Receiver != nil {
		if kinds := l.kindOf(call.Receiver); len(kinds) == 1 {
			v = kinds[0].method(call.Method)
		}
	} else if at, ok := call.Func.(*ast.AttrGetExpr); ok {
		key, literal := at.Key.(*ast.StringExpr)
		if kinds := l.kindOf(at.Object); literal && len(kinds) == 1 && kinds[0].module != nil {
			v = kinds[0].module.function(key.Value)
		}
	} else if id, ok := call.Func.(*ast.IdentExpr); ok && id.Value == "require" && i == 0 && len(call.Args) == 1 {
		if name, ok := call.Args[0].(*ast.StringExpr); ok && IsModule(ModuleName(name.Value)) {
			return globalKind(ModuleName(name.Value))
		}
	}
	if v == nil || i >= len(v.Results) {
		return nil
	}
	return kindsNamed(v.Results[i].Type)
}

// kindsNamed are the kinds that a type of the table names, such as "Visit|Room"; none where one of them is
// anything else, such as a string.
func kindsNamed(types string) []kind {
	var kinds []kind
	for name := range strings.SplitSeq(strings.TrimSuffix(types, "?"), "|") {
		switch k := kindNamed(name); {
		case k != kind{}:
			kinds = append(kinds, k)
		case name == "boolean" || name == "nil": // has no fields: it was checked before
		default:
			return nil
		}
	}
	return kinds
}

func kindNamed(name string) kind {
	for _, k := range Classes() {
		if k.Name == name {
			return kind{class: k}
		}
	}
	for _, s := range Shapes() {
		if s.Name == name {
			return kind{shape: s}
		}
	}
	return kind{}
}

func hasField(fields []Field, name string) bool { return contains(fieldNames(fields), name) }

func fieldNames(fields []Field) []string {
	names := make([]string, len(fields))
	for i := range fields {
		names[i] = fields[i].Name
	}
	return names
}

func contains(list []string, name string) bool {
	for _, s := range list {
		if s == name {
			return true
		}
	}
	return false
}
