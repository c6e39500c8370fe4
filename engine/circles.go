package engine

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"callisto/luabind"
)

// circles warns of requires that lead back to where they started. That works if one of them
// runs later, inside a function, and fails if all run while the scripts load; which it is
// cannot be told from outside.
func circles(files map[string]*file) (warnings []Problem) {
	reported := map[string]bool{}
	for _, group := range components(files) {
		for _, name := range group {
			if reported[name] {
				continue
			}
			way, line := circle(files, name, group)
			if way == nil {
				continue
			}
			for _, n := range way {
				reported[n] = true
			}
			warnings = append(warnings, Problem{File: files[name].program.File, Line: line, Warning: true,
				Message: fmt.Sprintf("requires in a circle (%s): this fails unless one of them runs later, inside a function", strings.Join(way, " → "))})
		}
	}
	return warnings
}

// circle is a shortest way from name along requires back to itself, within
// group, and the line of its first require.
func circle(files map[string]*file, name string, group []string) (way []string, line int) {
	from := map[string]string{}
	for queue := []string{name}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		for _, r := range files[at].program.Requires {
			if luabind.IsModule(r.Name) {
				continue
			}
			if r.Name == name {
				way = []string{name}
				for ; at != name; at = from[at] {
					way = append(way, at)
				}
				way = append(way, name)
				slices.Reverse(way)
				for _, first := range files[name].program.Requires {
					if first.Name == way[1] {
						return way, first.Line
					}
				}
			}
			if _, seen := from[r.Name]; !seen && slices.Contains(group, r.Name) {
				from[r.Name] = at
				queue = append(queue, r.Name)
			}
		}
	}
	return nil, 0
}

// components are the strongly connected components of the requires that hold a
// circle, each sorted (Tarjan's algorithm).
func components(files map[string]*file) (groups [][]string) {
	index, low := map[string]int{}, map[string]int{}
	onStack := map[string]bool{}
	var stack []string
	var visit func(string)
	visit = func(name string) {
		index[name] = len(index) + 1
		low[name] = index[name]
		stack = append(stack, name)
		onStack[name] = true
		self := false
		for _, r := range files[name].program.Requires {
			f := files[r.Name]
			if f == nil || f.program == nil || luabind.IsModule(r.Name) {
				continue
			}
			self = self || r.Name == name
			if index[r.Name] == 0 {
				visit(r.Name)
				low[name] = min(low[name], low[r.Name])
			} else if onStack[r.Name] {
				low[name] = min(low[name], index[r.Name])
			}
		}
		if low[name] != index[name] {
			return
		}
		var group []string
		for {
			last := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			onStack[last] = false
			group = append(group, last)
			if last == name {
				break
			}
		}
		if len(group) > 1 || self {
			slices.Sort(group)
			groups = append(groups, group)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if files[name].program != nil && index[name] == 0 {
			visit(name)
		}
	}
	return groups
}
