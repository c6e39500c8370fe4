package luabind

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// A Finding is a mistake in a script that can be seen without running it, in the words that the script would
// fail with.
type Finding struct {
	Line    int
	Message string

	// Doubt says that it may be meant: the script does not fail for certain when it gets there.
	Doubt bool
}

// A GlobalUse is the first place where a script reads a global that it does not set itself, and that no script
// has from Callisto.
type GlobalUse struct {
	Name string
	Line int
}

// Undefined is what to say of a global that nothing sets. known are those that scripts of the same tree set.
func (u GlobalUse) Undefined(known []string) Finding {
	message := "`" + u.Name + "` is not defined"
	if why := absent[u.Name]; why != "" {
		message = "`" + u.Name + "` is not there: " + why
	} else if near := Nearest(u.Name, append(predefined(), known...)); near != "" {
		message += ", did you mean `" + near + "`?"
	} else {
		message += ": it is nil here"
	}
	return Finding{Line: u.Line, Message: message}
}

// absent are names that Lua has elsewhere, and what to use instead.
var absent = map[string]string{
	"io": "scripts have no files; kv and sql keep things, config has settings", "debug": "scripts cannot look into the VM",
	"package": "require finds scripts below the root and modules", "module": "return a table from the script that is required",
	"dofile": "use require", "loadfile": "use require", "load": "nothing loads code from strings", "loadstring": "nothing loads code from strings",
	"getfenv": "it is not safe to share", "setfenv": "it is not safe to share", "newproxy": "use a table", "channel": "one script is one call",
	"os.execute": "scripts start no processes", "os.exit": "return from the script, or call:hangup()", "os.getenv": "use the module config",
	"os.remove": "scripts have no files", "os.rename": "scripts have no files", "os.tmpname": "scripts have no files", "os.setlocale": "there is one locale",
	"string.dump": "nothing loads compiled code", "string.gfind": "use string.gmatch", "table.foreach": "use pairs", "table.foreachi": "use ipairs",
	"table.setn": "it does nothing in Lua 5.1", "table.unpack": "in Lua 5.1 it is unpack", "table.pack": "Lua 5.1 has { ... } and select(\"#\", ...)",
	"math.randomseed": "the numbers are random without it",
}

// predefined are the globals that every script has.
func predefined() []string {
	env := shared()
	names := []string{"call", FlowModule, "_G", "_VERSION"}
	for name := range env.functions {
		if isAlpha(name[0]) {
			names = append(names, name)
		}
	}
	return append(names, slices.Sorted(maps.Keys(env.libraries))...)
}

// A linter walks a script that has been rewritten, before it is compiled.
type linter struct {
	scope    *scope
	findings []Finding
	sets     map[string]bool // globals that the script sets
	reads    []GlobalUse
	config   []GlobalUse     // what it reads of config
	flow     bool            // it returns a flow, whose texts have names in them
	extended map[string]bool // libraries and modules that the script adds to
	dynamic  bool            // it uses _G in a way that hides what it sets
	later    []func()        // checks that have to know what is set anywhere
	steps    []constantStep
}

// lint looks a script through, and finds its constant steps. It is called with a syntax tree whose depth has been bounded.
func lint(chunk []ast.Stmt, p *Program) (steps []constantStep) {
	l := &linter{sets: map[string]bool{}, extended: map[string]bool{}, flow: p.returnsFlow}
	l.block(chunk, nil)
	for _, check := range l.later {
		check()
	}
	slices.SortStableFunc(l.findings, func(a, b Finding) int { return cmp.Compare(a.Line, b.Line) })
	p.Findings = slices.Compact(l.findings)
	p.Config = l.config
	p.Sets = slices.Sorted(maps.Keys(l.sets))
	if l.dynamic {
		return nil
	}
	if !l.sets[FlowModule] {
		steps = l.steps
	}
	seen := map[string]bool{}
	for _, u := range l.reads {
		if !l.sets[u.Name] && !seen[u.Name] {
			seen[u.Name] = true
			p.Reads = append(p.Reads, u)
		}
	}
	return steps
}

func (l *linter) find(line int, format string, x ...any) {
	l.findings = append(l.findings, Finding{Line: line, Message: fmt.Sprintf(format, x...)})
}

func (l *linter) doubt(line int, format string, x ...any) {
	l.findings = append(l.findings, Finding{Line: line, Message: fmt.Sprintf(format, x...), Doubt: true})
}

// A scope is a block with its locals.
type scope struct {
	outer  *scope
	locals map[string]*local
}

// A local is a variable of a block. What it holds is known where it is given a value once.
type local struct {
	kind    []kind
	changed bool
}

func (l *linter) declare(name string, k []kind) {
	if l.scope.locals == nil {
		l.scope.locals = map[string]*local{}
	}
	l.scope.locals[name] = &local{kind: k}
}

func (l *linter) lookup(name string) *local {
	for s := l.scope; s != nil; s = s.outer {
		if v := s.locals[name]; v != nil {
			return v
		}
	}
	return nil
}

// block walks statements in a scope of their own. before declares what the scope begins with, after may look at
// its locals.
func (l *linter) block(stmts []ast.Stmt, before func(), after ...func()) {
	l.scope = &scope{outer: l.scope}
	if before != nil {
		before()
	}
	ends := ""
	for _, s := range stmts {
		if ends != "" {
			l.doubt(s.Line(), "this is never reached: %s", ends)
			ends = ""
		}
		l.stmt(s)
		ends = l.ends(s)
	}
	for _, f := range after {
		f()
	}
	l.scope = l.scope.outer
}

// ends says why nothing after a statement runs, or "".
func (l *linter) ends(s ast.Stmt) string {
	switch s := s.(type) {
	case *ast.FuncCallStmt:
		e, ok := s.Expr.(*ast.FuncCallExpr)
		if !ok || e.Receiver == nil || !l.isCall(e.Receiver) {
			return ""
		}
		if v := findVerb(Verbs, e.Method); v != nil && v.Ends {
			return fmt.Sprintf("the script ends with call:%s on line %d", v.Name, s.Line())
		}
	case *ast.DoBlockStmt:
		if n := len(s.Stmts); n > 0 {
			if r, ok := s.Stmts[n-1].(*ast.ReturnStmt); ok {
				return fmt.Sprintf("line %d returns", r.Line())
			}
		}
	}
	return ""
}

// isCall reports whether an expression is the global call.
func (l *linter) isCall(e ast.Expr) bool {
	id, ok := e.(*ast.IdentExpr)
	return ok && id.Value == "call" && l.lookup("call") == nil
}

func findVerb(list []Verb, name string) *Verb {
	for i := range list {
		if list[i].Name == name {
			return &list[i]
		}
	}
	return nil
}

func (l *linter) stmt(s ast.Stmt) {
	switch s := s.(type) {
	case *ast.AssignStmt:
		l.exprs(s.Rhs)
		for _, e := range s.Lhs {
			l.assign(e)
		}
	case *ast.LocalAssignStmt:
		l.local(s)
	case *ast.FuncCallStmt:
		l.expr(s.Expr)
	case *ast.DoBlockStmt:
		l.block(s.Stmts, nil)
	case *ast.WhileStmt:
		l.expr(s.Condition)
		l.block(s.Stmts, nil)
	case *ast.RepeatStmt: // its condition sees its locals
		l.block(s.Stmts, nil, func() { l.expr(s.Condition) })
	case *ast.IfStmt:
		l.expr(s.Condition)
		l.block(s.Then, nil)
		l.block(s.Else, nil)
	case *ast.NumberForStmt:
		l.exprs([]ast.Expr{s.Init, s.Limit, s.Step})
		l.block(s.Stmts, func() { l.declare(s.Name, nil) })
	case *ast.GenericForStmt:
		l.exprs(s.Exprs)
		l.block(s.Stmts, func() {
			for _, name := range s.Names {
				l.declare(name, nil)
			}
		})
	case *ast.FuncDefStmt:
		switch {
		case s.Name.Func != nil:
			l.assign(s.Name.Func)
			l.function(s.Func, false)
		default:
			l.expr(s.Name.Receiver)
			l.extend(s.Name.Receiver)
			l.function(s.Func, true)
		}
	case *ast.ReturnStmt:
		l.exprs(s.Exprs)
	}
}

func (l *linter) local(s *ast.LocalAssignStmt) {
	if len(s.Names) == 1 && len(s.Exprs) == 1 {
		if fn, ok := s.Exprs[0].(*ast.FunctionExpr); ok { // which may call itself
			l.declare(s.Names[0], nil)
			l.function(fn, false)
			return
		}
	}
	l.exprs(s.Exprs)
	kinds := make([][]kind, len(s.Names))
	for i := range s.Names {
		switch {
		case i < len(s.Exprs)-1 || i == 0 && len(s.Exprs) > 0:
			kinds[i] = l.kindOf(s.Exprs[i])
		case len(s.Exprs) > 0: // a further result of the last
			kinds[i] = l.result(s.Exprs[len(s.Exprs)-1], i-len(s.Exprs)+1)
		}
	}
	for i, name := range s.Names {
		l.declare(name, kinds[i])
	}
}

// assign notes what an assignment sets.
func (l *linter) assign(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		if v := l.lookup(e.Value); v != nil {
			v.changed = true
		} else {
			l.sets[e.Value] = true
		}
	case *ast.AttrGetExpr:
		name, literal := e.Key.(*ast.StringExpr)
		if id, ok := e.Object.(*ast.IdentExpr); ok && id.Value == "_G" && l.lookup("_G") == nil && literal {
			l.sets[name.Value] = true
			return
		}
		if l.isCall(e.Object) && literal {
			l.find(e.Line(), "call.%s cannot be assigned; channel variables are set with call:set(name, value)", name.Value)
		}
		l.expr(e.Object)
		l.expr(e.Key)
		l.extend(e.Object)
	}
}

// extend notes that a script adds to a library, or to what a variable holds.
func (l *linter) extend(e ast.Expr) {
	id, ok := e.(*ast.IdentExpr)
	if !ok {
		return
	}
	if v := l.lookup(id.Value); v != nil {
		v.changed = true // what it has is the script's own now
	} else {
		l.extended[id.Value] = true
	}
}

func (l *linter) function(f *ast.FunctionExpr, self bool) {
	l.block(f.Stmts, func() {
		if self {
			l.declare("self", nil)
		}
		for _, name := range f.ParList.Names {
			l.declare(name, nil)
		}
	})
}

func (l *linter) exprs(list []ast.Expr) {
	for _, e := range list {
		l.expr(e)
	}
}

func (l *linter) expr(e ast.Expr) {
	switch e := e.(type) {
	case *ast.IdentExpr:
		l.ident(e)
	case *ast.StringExpr:
		l.text(e)
	case *ast.AttrGetExpr:
		l.index(e)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			l.expr(f.Key)
			l.expr(f.Value)
		}
		l.constantSteps(e)
	case *ast.FuncCallExpr:
		l.callExpr(e)
	case *ast.LogicalOpExpr:
		l.expr(e.Lhs)
		l.expr(e.Rhs)
	case *ast.RelationalOpExpr:
		l.expr(e.Lhs)
		l.expr(e.Rhs)
	case *ast.ArithmeticOpExpr:
		l.expr(e.Lhs)
		l.expr(e.Rhs)
	case *ast.UnaryMinusOpExpr:
		l.expr(e.Expr)
	case *ast.UnaryNotOpExpr:
		l.expr(e.Expr)
	case *ast.UnaryLenOpExpr:
		l.expr(e.Expr)
	case *ast.FunctionExpr:
		l.function(e, false)
	}
}

// text notes what a text of a flow has of the configuration: {config.token}.
func (l *linter) text(e *ast.StringExpr) {
	if !l.flow || !strings.Contains(e.Value, "{config.") {
		return
	}
	eachPart(e.Value, func(_, name string) {
		if rest, ok := strings.CutPrefix(name, "config."); ok {
			name, _, _ = strings.Cut(rest, ".")
			l.config = append(l.config, GlobalUse{name, e.Line()})
		}
	})
}

func (l *linter) ident(e *ast.IdentExpr) {
	if l.lookup(e.Value) != nil || e.Value == concatName {
		return
	}
	if e.Value == "_G" {
		l.dynamic = true
		return
	}
	env := shared()
	if e.Value != "call" && e.Value != FlowModule && e.Value != "_VERSION" && env.functions[e.Value] == nil && env.libraries[e.Value] == nil {
		l.reads = append(l.reads, GlobalUse{e.Value, e.Line()})
	}
}

// index looks at object.name.
func (l *linter) index(e *ast.AttrGetExpr) {
	key, literal := e.Key.(*ast.StringExpr)
	if id, ok := e.Object.(*ast.IdentExpr); ok && id.Value == "_G" && l.lookup("_G") == nil && literal {
		l.ident(&ast.IdentExpr{ExprBase: e.ExprBase, Value: key.Value})
		return
	}
	l.expr(e.Object)
	if !literal {
		l.expr(e.Key)
		return
	}
	l.member(e.Object, key.Value, e.Line())
}

// member checks that what an expression holds has a method or field of that name.
func (l *linter) member(object ast.Expr, name string, line int) {
	kinds := l.kindOf(object)
	l.unlessSet(object, func() {
		for _, k := range kinds {
			if k.module == configModule && configModule.function(name) == nil {
				l.config = append(l.config, GlobalUse{name, line})
			}
			if k.has(name) || k.library != "" && l.extended[k.library] {
				return
			}
		}
		if len(kinds) > 0 {
			l.findings = append(l.findings, kinds[0].unknown(name, line))
		}
	})
}

// unlessSet has a check done at the end, unless what the expression names turns out to have been given another value.
func (l *linter) unlessSet(object ast.Expr, check func()) {
	var v *local
	if id, ok := object.(*ast.IdentExpr); ok {
		if v = l.lookup(id.Value); v == nil {
			name := id.Value
			l.later = append(l.later, func() {
				if !l.sets[name] {
					check()
				}
			})
			return
		}
	}
	l.later = append(l.later, func() {
		if v == nil || !v.changed {
			check()
		}
	})
}

func (l *linter) callExpr(e *ast.FuncCallExpr) {
	if e.Receiver != nil {
		l.expr(e.Receiver)
		l.method(e)
	} else if at, ok := e.Func.(*ast.AttrGetExpr); ok {
		l.index(at)
		if key, ok := at.Key.(*ast.StringExpr); ok {
			l.dotted(e, at.Object, key.Value)
		}
	} else {
		l.expr(e.Func)
		if id, ok := e.Func.(*ast.IdentExpr); ok && id.Value == "require" && l.lookup("require") == nil && len(e.Args) == 1 {
			if _, literal := e.Args[0].(*ast.StringExpr); !literal {
				l.doubt(e.Line(), "require of a name that is put together: whether there is such a script shows only when it runs; write the name out")
			}
		}
	}
	l.exprs(e.Args)
}

// method checks object:name(…).
func (l *linter) method(e *ast.FuncCallExpr) {
	kinds := l.kindOf(e.Receiver)
	if len(kinds) == 0 {
		return
	}
	if m := kinds[0].module; m != nil && m.function(e.Method) != nil {
		l.unlessSet(e.Receiver, func() {
			l.find(e.Line(), "use a dot: %s.%s(…), not %s:%s(…)", m.Name, e.Method, m.Name, e.Method)
		})
		return
	}
	l.member(e.Receiver, e.Method, e.Line())
	if len(kinds) > 1 {
		return
	}
	if v := kinds[0].method(e.Method); v != nil {
		l.unlessSet(e.Receiver, func() { l.args(v, e.Args, e.Line()) })
	}
}

// dotted checks object.name(…).
func (l *linter) dotted(e *ast.FuncCallExpr, object ast.Expr, name string) {
	kinds := l.kindOf(object)
	if len(kinds) != 1 {
		return
	}
	if m := kinds[0].module; m != nil {
		if v := m.function(name); v != nil {
			l.unlessSet(object, func() {
				if !l.extended[m.Name] {
					l.args(v, e.Args, e.Line())
				}
			})
		}
		return
	}
	v := kinds[0].method(name)
	if v == nil {
		return
	}
	if len(e.Args) > 0 { // call.playback(call, …) is as good, and so may be any other variable
		if _, ok := e.Args[0].(*ast.IdentExpr); ok {
			return
		}
	}
	who := kinds[0].variable()
	l.unlessSet(object, func() { l.find(e.Line(), "use a colon: %s:%s(…), not %s.%s(…)", who, name, who, name) })
}

// args holds arguments against the table, as far as they are literal.
func (l *linter) args(v *Verb, list []ast.Expr, line int) {
	open := false // the last may bring any number of values
	if n := len(list); n > 0 {
		switch last := list[n-1].(type) {
		case *ast.FuncCallExpr:
			open = !last.AdjustRet
		case *ast.Comma3Expr:
			open = !last.AdjustRet
		}
	}
	values := make([]lua.LValue, len(list)) // nil: not known
	for i, e := range list {
		values[i] = literalOf(e)
		if v.takes(i).Constant {
			l.constant(v, i, e)
		}
	}
	if message := v.fits(values, open); message != "" {
		l.find(line, "%s", message)
		return
	}
	for i, value := range values {
		switch value := value.(type) {
		case lua.LString:
			l.literal(v, v.takes(i), string(value), line)
		case *lua.LTable: // options, where it is not an argument's
			for j := range v.Options {
				if text, ok := value.RawGetString(v.Options[j].Name).(lua.LString); ok {
					l.literal(v, &v.Options[j], string(text), line)
				}
			}
		}
	}
}

// literal finds what is wrong with a text that the verb would read.
func (l *linter) literal(v *Verb, p *Param, text string, line int) {
	if p.Literal == nil {
		return
	}
	if err := p.Literal(text); err != nil {
		l.find(line, "%s: %s", v.Label(), err)
	}
}

// constant doubts a text that is put together where it should be the author's own.
func (l *linter) constant(v *Verb, i int, e ast.Expr) {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok {
		return
	}
	joined := false
	switch fn := call.Func.(type) {
	case *ast.IdentExpr:
		if fn.Value == concatName {
			for _, part := range call.Args {
				if _, literal := part.(*ast.StringExpr); !literal {
					joined = true
				}
			}
		}
	case *ast.AttrGetExpr:
		key, _ := fn.Key.(*ast.StringExpr)
		joined = key != nil && key.Value == "format"
	}
	if joined {
		l.doubt(e.Line(), "%s: argument `%s` is put together from parts: what a caller sends could become part of it; %s", v.Label(), v.takes(i).Name, v.takes(i).Instead)
	}
}

// literalOf is the value of an expression that is literal; nil where it is not, or not altogether.
func literalOf(e ast.Expr) lua.LValue {
	switch e := e.(type) {
	case *ast.TrueExpr:
		return lua.LTrue
	case *ast.FalseExpr:
		return lua.LFalse
	case *ast.NilExpr:
		return lua.LNil
	case *ast.StringExpr:
		return lua.LString(e.Value)
	case *ast.NumberExpr:
		if n := lua.LVAsNumber(lua.LString(e.Value)); n != 0 || e.Value == "0" {
			return n
		}
	case *ast.UnaryMinusOpExpr:
		if n, ok := literalOf(e.Expr).(lua.LNumber); ok {
			return -n
		}
	case *ast.FunctionExpr:
		return &lua.LFunction{}
	case *ast.TableExpr:
		return literalTable(e)
	}
	return nil
}

// unknownPart stands in a literal table for what is not literal.
var unknownPart = &lua.LUserData{}

func literalTable(e *ast.TableExpr) *lua.LTable {
	t := &lua.LTable{Metatable: lua.LNil}
	n := 0
	for _, f := range e.Fields {
		value := literalOf(f.Value)
		if value == nil {
			value = unknownPart
		}
		switch key := literalOf(f.Key).(type) {
		case nil:
			if f.Key == nil {
				n++
				t.RawSetInt(n, value)
			}
		case lua.LString:
			t.RawSetString(string(key), value)
		case lua.LNumber:
			t.RawSet(key, value)
		}
	}
	return t
}
