package luabind

import (
	"context"
	"log/slog"
	"slices"

	lua "github.com/yuin/gopher-lua"
	"github.com/yuin/gopher-lua/ast"
)

// returnsFlow reports whether a script's last statement returns flow{…}, by itself or under the name of a local variable.
// Only such scripts are run before there is a call.
func returnsFlow(chunk []ast.Stmt) bool {
	if len(chunk) == 0 {
		return false
	}
	last, ok := chunk[len(chunk)-1].(*ast.ReturnStmt)
	if !ok || len(last.Exprs) != 1 {
		return false
	}
	makers := map[string]bool{FlowModule: true} // local f = require "flow"
	flows := map[string]bool{}                  // local menu = flow{…}
	makes := func(e ast.Expr) bool {
		call, ok := e.(*ast.FuncCallExpr)
		if !ok {
			return false
		}
		name, ok := call.Func.(*ast.IdentExpr)
		return ok && makers[name.Value]
	}
	assign := func(name string, e ast.Expr) {
		makers[name] = makers[name] && name == FlowModule && isRequireOf(e, FlowModule) || isRequireOf(e, FlowModule)
		flows[name] = makes(e)
	}
	for _, s := range chunk {
		switch s := s.(type) {
		case *ast.LocalAssignStmt:
			for i, name := range s.Names {
				if i < len(s.Exprs) {
					assign(name, s.Exprs[i])
				}
			}
		case *ast.AssignStmt:
			for i, left := range s.Lhs {
				if name, ok := left.(*ast.IdentExpr); ok && i < len(s.Rhs) {
					assign(name.Value, s.Rhs[i])
				}
			}
		}
	}
	if name, ok := last.Exprs[0].(*ast.IdentExpr); ok {
		return flows[name.Value]
	}
	return makes(last.Exprs[0])
}

func isRequireOf(e ast.Expr, module string) bool {
	call, ok := e.(*ast.FuncCallExpr)
	if !ok || len(call.Args) != 1 {
		return false
	}
	fn, ok := call.Func.(*ast.IdentExpr)
	name, isText := call.Args[0].(*ast.StringExpr)
	return ok && isText && fn.Value == "require" && name.Value == module
}

// ReturnsFlow reports whether the script returns a flow, as far as its text tells.
func (p *Program) ReturnsFlow() bool { return p.returnsFlow }

// ReadFlow runs a script that returns a flow once, without a call, in a VM of its own, and checks the flow. It
// returns a program that knows its flow, and requires the scripts of its subflows too; with problems other than warnings
// the program is nil. The flow is what could be read of it, right or wrong; nil if there is none. find is what require finds; limits bound the reading.
func (p *Program) ReadFlow(find func(name string) *Program, limits Limits) (*Program, *Flow, []FlowProblem) {
	c := &Call{env: Env{Program: p, Find: find, Limits: limits}, log: slog.New(slog.DiscardHandler), ctx: context.Background(), timeUp: errStop}
	c.budget = newBudget(limits, c)
	c.L = newVM(c.budget)
	c.budget.root = c.L
	c.self = &lua.LUserData{Value: c, Metatable: shared().callMeta}
	c.channel = &c.own
	defer c.Close()

	v, err := c.load()
	if err != nil {
		se := newScriptError(err)
		file := se.File
		if file == "" {
			file = p.File
		}
		return nil, nil, []FlowProblem{{File: file, Line: se.Line, Message: se.Message}}
	}
	f, ok := toFlow(v)
	if !ok {
		return p, nil, nil // its text deceived: it is as good as any other script
	}
	c.budget.resume()
	flow, problems := describeFlow(f)
	flow.Name = p.Name
	if slices.ContainsFunc(problems, func(p FlowProblem) bool { return !p.Warning }) {
		return nil, flow, problems
	}
	read := *p
	read.flow = flow
	read.Requires = slices.Clone(p.Requires)
	for i := range flow.Steps {
		if s := &flow.Steps[i]; s.Subflow != "" {
			read.Requires = append(read.Requires, Require{s.Subflow, s.Line})
		}
	}
	return &read, flow, problems
}

// CheckSubflows finds what is wrong between a flow and those it runs. find returns the program of a script as it
// is served, or nil.
func (f *Flow) CheckSubflows(find func(name string) *Program) (problems []FlowProblem) {
	for i := range f.Steps {
		s := &f.Steps[i]
		if s.Subflow == "" {
			continue
		}
		wrong := func(message string) {
			problems = append(problems, FlowProblem{File: s.File, Line: s.Line, Message: "step `" + s.Name + "`: " + message})
		}
		p := find(s.Subflow)
		switch {
		case p == nil: // it is missing or broken, and that is said elsewhere
		case p.flow == nil:
			wrong("the script " + s.Subflow + " returns no flow")
		default:
			for _, o := range s.Outcomes {
				if !slices.Contains(p.flow.Results, o.Name) {
					wrong("the flow " + s.Subflow + " has no result `" + o.Name + "`" + orList(o.Name, p.flow.Results))
				}
			}
			for _, r := range p.flow.Results {
				if !slices.ContainsFunc(s.Outcomes, func(o FlowOutcome) bool { return o.Name == r }) {
					wrong("no way on for the result `" + r + "` of " + s.Subflow + ": write " + r + " = \"…\"")
				}
			}
		}
	}
	return problems
}

// orList is the name that was likely meant, or all there are.
func orList(name string, names []string) string {
	if hint := didYouMean(name, names); hint != "" {
		return hint
	}
	if len(names) == 0 {
		return "; it never ends by a result"
	}
	return "; there is " + listOf(names)
}
