package luabind

import (
	"bytes"
	"slices"
	"sync"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
	"github.com/yuin/gopher-lua/parse"
)

// Excerpts are made of a script that returns a flow: the same script with only some of the flow's steps. A call that comes
// to no others does in an excerpt what it does in the script, and a flow of a thousand steps need not be built for each
// of thousands of calls.
type Excerpts struct {
	program *Program
	chunk   []ast.Stmt
	steps   []*lua.LUserData // taken out of chunk
	table   *ast.TableExpr   // in chunk: the flow's

	mu sync.Mutex // compiling writes into what is compiled
}

// Excerpts reads the script's text for them. They are nil where it does not end with return flow{…}, written out.
func (p *Program) Excerpts(text []byte) *Excerpts {
	if p.flow == nil || len(text) > MaxSource {
		return nil
	}
	if _, err := Compile(p.Name, text); err != nil { // which the parser may panic on, too
		return nil
	}
	text = bytes.TrimPrefix(text, []byte("\xef\xbb\xbf"))
	if bytes.HasPrefix(text, []byte("#")) {
		text = append([]byte("--"), text...)
	}
	chunk, err := parse.Parse(bytes.NewReader(text), p.File)
	if err != nil {
		return nil
	}
	r := rewriter{file: p.File}
	if r.chunk(chunk) != nil {
		return nil
	}
	last, ok := chunk[len(chunk)-1].(*ast.ReturnStmt)
	if !ok || len(last.Exprs) != 1 {
		return nil
	}
	call, ok := last.Exprs[0].(*ast.FuncCallExpr)
	if !ok || call.Line() != p.flow.Line || len(call.Args) != 1 || !isGlobalFlow(call.Func) || renames(chunk, FlowModule) {
		return nil
	}
	table, ok := call.Args[0].(*ast.TableExpr)
	if !ok {
		return nil
	}
	return &Excerpts{program: p, chunk: chunk, steps: takeSteps(lint(chunk, new(Program)), p.File), table: table}
}

// Of is the script with the steps that wanted says yes to, and those whose making may do more than make a step. It is the
// whole script where an excerpt cannot be compiled.
func (x *Excerpts) Of(wanted func(step string) bool) *Program {
	x.mu.Lock()
	defer x.mu.Unlock()
	all := x.table.Fields
	defer func() { x.table.Fields = all }()
	x.table.Fields = slices.DeleteFunc(slices.Clone(all), func(f *ast.Field) bool {
		name, ok := f.Key.(*ast.StringExpr)
		return ok && !isFlowWord(name.Value) && !wanted(name.Value) && onlyMakes(f.Value)
	})
	proto, err := compile(x.chunk, x.program.File, x.steps)
	if err != nil {
		return x.program
	}
	excerpt := *x.program
	excerpt.proto = proto
	return &excerpt
}

func isGlobalFlow(e ast.Expr) bool {
	name, ok := e.(*ast.IdentExpr)
	return ok && name.Value == FlowModule
}

// renames reports whether a script gives the name something else at its top.
func renames(chunk []ast.Stmt, name string) bool {
	for _, s := range chunk {
		switch s := s.(type) {
		case *ast.LocalAssignStmt:
			if slices.Contains(s.Names, name) {
				return true
			}
		case *ast.AssignStmt:
			for _, e := range s.Lhs {
				if id, ok := e.(*ast.IdentExpr); ok && id.Value == name {
					return true
				}
			}
		case *ast.FuncDefStmt:
			if isGlobalFlow(s.Name.Func) {
				return true
			}
		}
	}
	return false
}

// onlyMakes reports whether an expression makes a value, and nothing else happens: a step of constants, names and functions.
func onlyMakes(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.StringExpr, *ast.NumberExpr, *ast.TrueExpr, *ast.FalseExpr, *ast.NilExpr, *ast.FunctionExpr:
		return true
	case *ast.IdentExpr:
		return e.Value != "call" // which is another in each call: looking into it may fail
	case *ast.AttrGetExpr:
		return onlyMakes(e.Object) && onlyMakes(e.Key)
	case *ast.TableExpr:
		return !slices.ContainsFunc(e.Fields, func(f *ast.Field) bool {
			return f.Key != nil && !onlyMakes(f.Key) || !onlyMakes(f.Value)
		})
	case *ast.FuncCallExpr:
		maker, ok := e.Func.(*ast.AttrGetExpr)
		if id, concat := e.Func.(*ast.IdentExpr); concat && id.Value == concatName {
			ok = true
		} else if ok {
			ok = isGlobalFlow(maker.Object)
		}
		return ok && e.Method == "" && !slices.ContainsFunc(e.Args, func(a ast.Expr) bool { return !onlyMakes(a) })
	}
	return false
}
