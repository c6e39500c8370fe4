package luabind

import (
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// Most steps are made of nothing but literals: flow.playback{ "hello.wav", next = "menu" }. Such a step is the same in
// every call, so it is made once, when its script is compiled, and is a constant of the script like a string. All VMs
// share it: nothing writes to it, and no script can reach its table.

// constantSteps finds the steps among the values of a table that are made of literals.
func (l *linter) constantSteps(e *ast.TableExpr) {
	for _, f := range e.Fields {
		if k, t := l.constantStep(f.Value); k != nil {
			l.steps = append(l.steps, constantStep{f, k, t})
		}
	}
}

// A constantStep is such a step, and the field whose value it is.
type constantStep struct {
	field *ast.Field
	kind  *StepKind
	t     *ast.TableExpr
}

func (l *linter) constantStep(e ast.Expr) (*StepKind, *ast.TableExpr) {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok || call.Receiver != nil || len(call.Args) != 1 {
		return nil, nil
	}
	at, ok := call.Func.(*ast.AttrGetExpr)
	if !ok {
		return nil, nil
	}
	id, ok := at.Object.(*ast.IdentExpr)
	name, isName := at.Key.(*ast.StringExpr)
	t, isTable := call.Args[0].(*ast.TableExpr)
	if !ok || !isName || !isTable || id.Value != FlowModule || l.lookup(FlowModule) != nil || !isConstant(t) {
		return nil, nil
	}
	return kindOf(name.Value), t
}

// isConstant reports whether an expression is a literal, or a table of them.
func isConstant(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.FunctionExpr:
		return false
	case *ast.TableExpr:
		for _, f := range e.Fields {
			if key := literalOf(f.Key); f.Key != nil && (key == nil || key.Type() != lua.LTString && key.Type() != lua.LTNumber) || !isConstant(f.Value) {
				return false
			}
		}
		return true
	}
	return literalOf(e) != nil
}

// stepName begins the string that stands for a constant step while its script is compiled: the compiler knows no other
// constants than numbers and strings. No script can name it by accident.
const stepName = "(step)\x00"

// takeSteps takes the constant steps out of a script's text, for compile to put back.
func takeSteps(found []constantStep, file string) []*lua.LUserData {
	steps := make([]*lua.LUserData, len(found))
	for i, s := range found {
		steps[i] = s.take(file, i)
	}
	return steps
}

// compile compiles a script whose constant steps have been taken out.
func compile(chunk []ast.Stmt, file string, steps []*lua.LUserData) (*lua.FunctionProto, error) {
	proto, err := lua.Compile(chunk, file)
	if err != nil {
		return nil, err
	}
	putSteps(proto, steps)
	proto.IsVarArg &^= lua.VarArgNeedsArg // a script's own ... is not also a table arg, as in Lua 5.0
	return proto, nil
}

func (s constantStep) take(file string, n int) *lua.LUserData {
	line := s.field.Value.Line()
	name := &ast.StringExpr{Value: stepName + strconv.Itoa(n)}
	name.SetLine(line)
	name.SetLastLine(s.field.Value.LastLine())
	s.field.Value = name
	return &lua.LUserData{Value: &stepDef{kind: s.kind, t: literalTable(s.t), file: file, line: line}, Metatable: shared().stepMeta}
}

// putSteps puts the steps where their names stand among the constants.
func putSteps(f *lua.FunctionProto, steps []*lua.LUserData) {
	for i, v := range f.Constants {
		text, _ := v.(lua.LString)
		if n, ok := strings.CutPrefix(string(text), stepName); ok {
			if n, err := strconv.Atoi(n); err == nil && n < len(steps) {
				f.Constants[i] = steps[n]
			}
		}
	}
	for _, inner := range f.FunctionPrototypes {
		putSteps(inner, steps)
	}
}
