package luabind

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// MaxSource is the largest script that is compiled, in bytes.
const MaxSource = 1 << 20

// A Program is a script compiled once. It is immutable, and calls on any
// number of goroutines run it at the same time.
type Program struct {
	Name     string // as scripts and routes know it: "support/menu"
	File     string // as messages name it: "support/menu.lua"
	Requires []Require
	Findings []Finding   // what is wrong with it for all that can be seen
	Sets     []string    // the globals that it sets
	Reads    []GlobalUse // the globals that it reads and does not set, but for those that every script has
	Config   []GlobalUse // what it reads of config

	proto *lua.FunctionProto
	flow  *Flow

	returnsFlow bool
}

// Flow is the flow that the script returns, as it was checked; nil where it returns none.
func (p *Program) Flow() *Flow { return p.flow }

// Lines are the lines of the script that do something, in order.
func (p *Program) Lines() []int {
	found := map[int]bool{}
	var add func(*lua.FunctionProto)
	add = func(f *lua.FunctionProto) {
		for _, line := range f.DbgSourcePositions[:max(len(f.DbgSourcePositions)-1, 0)] { // the last instruction is the end
			if line > 0 {
				found[line] = true
			}
		}
		for _, inner := range f.FunctionPrototypes {
			add(inner)
		}
	}
	add(p.proto)
	return slices.Sorted(maps.Keys(found))
}

// A Require is a require with a literal name, as it stands in the script.
type Require struct {
	Name string // with slashes: require "lib.hours" and "lib/hours" are the same
	Line int
}

// A SyntaxError says why a script does not compile, and where.
type SyntaxError struct {
	File    string
	Line    int // 0: not known
	Column  int // 0: not known
	Message string
}

func (e *SyntaxError) Error() string {
	switch {
	case e.Line == 0:
		return e.File + ": " + e.Message
	case e.Column == 0:
		return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Column, e.Message)
}

// Compile compiles the text of a script. The error is a *SyntaxError.
func Compile(name string, text []byte) (p *Program, err error) {
	p = &Program{Name: name, File: name + ".lua"}
	defer func() { // the parser panics on some malformed input
		if v := recover(); v != nil {
			p, err = nil, &SyntaxError{File: name + ".lua", Message: fmt.Sprintf("cannot be parsed: %v", v)}
		}
	}()
	if len(text) > MaxSource {
		return nil, &SyntaxError{File: p.File, Message: fmt.Sprintf("is larger than %d bytes", MaxSource)}
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(text, []byte("#")) { // mod_lua scripts start with #!
		text = append([]byte("--"), text...)
	}
	chunk, err := parse.Parse(bytes.NewReader(text), p.File)
	if err != nil {
		return nil, parseError(p.File, text, err)
	}
	p.returnsFlow = returnsFlow(chunk)
	r := rewriter{file: p.File}
	if err := r.chunk(chunk); err != nil {
		return nil, err
	}
	p.Requires = r.requires
	steps := takeSteps(lint(chunk, p), p.File)
	p.proto, err = compile(chunk, p.File, steps)
	if err != nil {
		if ce, ok := err.(*lua.CompileError); ok {
			return nil, &SyntaxError{File: p.File, Line: ce.Line, Message: ce.Message}
		}
		return nil, &SyntaxError{File: p.File, Message: err.Error()}
	}
	return p, nil
}

func parseError(file string, text []byte, err error) error {
	pe, ok := err.(*parse.Error)
	if !ok {
		return &SyntaxError{File: file, Message: err.Error()}
	}
	e := &SyntaxError{File: file, Line: pe.Pos.Line, Column: pe.Pos.Column, Message: strings.TrimSpace(pe.Message)}
	if e.Line <= 0 { // gopher-lua's mark for the end of the file
		e.Line, e.Column = bytes.Count(text, []byte("\n"))+1, 0
		e.Message += " at the end of the file: something before is not closed"
	} else if pe.Token != "" {
		e.Message += fmt.Sprintf(" near %q", pe.Token)
	}
	return e
}

// ModuleName is the canonical name of what a require names: dots separate as
// slashes do.
func ModuleName(name string) string { return strings.ReplaceAll(name, ".", "/") }

// concatName is the global that rewritten concatenations call. No script can name
// it by accident.
const concatName = "(concat)"

// maxDepth bounds the nesting of a script, so that walking and compiling it
// cannot exhaust the stack.
const maxDepth = 1000

// A rewriter walks a script once before it is compiled. It turns a..b into a call, since
// the VM's own concatenation cannot be bounded: thirty doublings make a
// gigabyte. And it collects the literal requires.
type rewriter struct {
	file     string
	depth    int
	requires []Require
	err      error
}

func (r *rewriter) chunk(stmts []ast.Stmt) error {
	r.stmts(stmts)
	return r.err
}

// enter is called with each node; false means go no deeper.
func (r *rewriter) enter(line int) bool {
	if r.depth >= maxDepth && r.err == nil {
		r.err = &SyntaxError{File: r.file, Line: line, Message: "is nested too deeply"}
	}
	r.depth++
	return r.err == nil
}

func (r *rewriter) leave() { r.depth-- }

func (r *rewriter) stmts(list []ast.Stmt) {
	for _, s := range list {
		r.stmt(s)
	}
}

func (r *rewriter) stmt(s ast.Stmt) {
	defer r.leave()
	if !r.enter(s.Line()) {
		return
	}
	switch s := s.(type) {
	case *ast.AssignStmt:
		r.exprs(s.Lhs)
		r.exprs(s.Rhs)
	case *ast.LocalAssignStmt:
		r.exprs(s.Exprs)
	case *ast.FuncCallStmt:
		r.expr(&s.Expr)
	case *ast.DoBlockStmt:
		r.stmts(s.Stmts)
	case *ast.WhileStmt:
		r.expr(&s.Condition)
		r.stmts(s.Stmts)
		s.Stmts = padded(s.Stmts)
	case *ast.RepeatStmt:
		r.stmts(s.Stmts)
		s.Stmts = padded(s.Stmts)
		r.expr(&s.Condition)
	case *ast.IfStmt:
		r.expr(&s.Condition)
		r.stmts(s.Then)
		r.stmts(s.Else)
	case *ast.NumberForStmt:
		r.expr(&s.Init)
		r.expr(&s.Limit)
		r.expr(&s.Step)
		r.stmts(s.Stmts)
	case *ast.GenericForStmt:
		r.exprs(s.Exprs)
		r.stmts(s.Stmts)
		s.Stmts = padded(s.Stmts)
	case *ast.FuncDefStmt:
		if s.Name != nil {
			r.expr(&s.Name.Func)
			r.expr(&s.Name.Receiver)
		}
		r.stmts(s.Func.Stmts)
	case *ast.ReturnStmt:
		r.exprs(s.Exprs)
	}
}

// padded is the body of a loop, with something before it that is no jump. gopher-lua 1.1.2 has each jump to a jump
// lead to where that leads (patchCode), but reads a target that it has been over already as something else: the jump
// back to a body that begins with break goes astray.
func padded(body []ast.Stmt) []ast.Stmt {
	if len(body) == 0 {
		return body
	}
	switch first := body[0].(type) {
	case *ast.BreakStmt, *ast.GotoStmt, *ast.LabelStmt, *ast.DoBlockStmt, *ast.WhileStmt, *ast.RepeatStmt:
	case *ast.IfStmt:
		if _, constant := first.Condition.(ast.ConstExpr); !constant {
			return body
		}
	default:
		return body
	}
	pad := &ast.LocalAssignStmt{Names: []string{padName}}
	pad.SetLine(body[0].Line())
	pad.SetLastLine(body[0].Line())
	return append([]ast.Stmt{pad}, body...)
}

// padName is a local that no script can name.
const padName = "(pad)"

func (r *rewriter) exprs(list []ast.Expr) {
	for i := range list {
		r.expr(&list[i])
	}
}

func (r *rewriter) expr(at *ast.Expr) {
	if *at == nil {
		return
	}
	defer r.leave()
	if !r.enter((*at).Line()) {
		return
	}
	switch e := (*at).(type) {
	case *ast.AttrGetExpr:
		r.expr(&e.Object)
		r.expr(&e.Key)
	case *ast.TableExpr:
		for _, f := range e.Fields {
			r.expr(&f.Key)
			r.expr(&f.Value)
		}
	case *ast.FuncCallExpr:
		r.expr(&e.Func)
		r.expr(&e.Receiver)
		r.exprs(e.Args)
		if fn, ok := e.Func.(*ast.IdentExpr); ok && fn.Value == "require" && len(e.Args) == 1 {
			if name, ok := e.Args[0].(*ast.StringExpr); ok {
				r.requires = append(r.requires, Require{ModuleName(name.Value), e.Line()})
			}
		}
	case *ast.LogicalOpExpr:
		r.expr(&e.Lhs)
		r.expr(&e.Rhs)
	case *ast.RelationalOpExpr:
		r.expr(&e.Lhs)
		r.expr(&e.Rhs)
	case *ast.ArithmeticOpExpr:
		r.expr(&e.Lhs)
		r.expr(&e.Rhs)
	case *ast.UnaryMinusOpExpr:
		r.expr(&e.Expr)
	case *ast.UnaryNotOpExpr:
		r.expr(&e.Expr)
	case *ast.UnaryLenOpExpr:
		r.expr(&e.Expr)
	case *ast.FunctionExpr:
		r.stmts(e.Stmts)
	case *ast.StringConcatOpExpr:
		*at = r.concat(e)
	}
}

// concat flattens a chain of concatenations, which associates to the right, into one
// call.
func (r *rewriter) concat(e *ast.StringConcatOpExpr) ast.Expr {
	call := &ast.FuncCallExpr{AdjustRet: true} // one value, and no tail call
	name := &ast.IdentExpr{Value: concatName}
	for _, n := range []interface {
		SetLine(int)
		SetLastLine(int)
	}{call, name} {
		n.SetLine(e.Line())
		n.SetLastLine(e.LastLine())
	}
	call.Func = name
	for {
		call.Args = append(call.Args, e.Lhs)
		rest, ok := e.Rhs.(*ast.StringConcatOpExpr)
		if !ok {
			call.Args = append(call.Args, e.Rhs)
			break
		}
		e = rest
	}
	r.exprs(call.Args)
	// A call or ... at the end would give all its values.
	switch last := call.Args[len(call.Args)-1].(type) {
	case *ast.FuncCallExpr:
		last.AdjustRet = true
	case *ast.Comma3Expr:
		last.AdjustRet = true
	}
	return call
}
