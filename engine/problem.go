package engine

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// A Problem is something that is wrong with the scripts or the
// configuration, in the words that the log and `callisto check` share.
type Problem struct {
	File    string // of a script: from the script root; of the configuration: its path
	Line    int    // 0: not known
	Column  int    // 0: not known
	Message string
	Serving string // what calls get meanwhile: "still serving generation 7"; "" in a check

	// Warning says that nothing is held back because of it.
	Warning bool
	// Mistake says of a warning that the script fails when it gets there: a check fails for it.
	Mistake bool
}

// String is "support/menu.lua:12:5: …; still serving generation 7".
func (p Problem) String() string {
	if p.Serving == "" {
		return p.cause()
	}
	return p.cause() + "; " + p.Serving
}

// cause is the problem without what is served.
func (p Problem) cause() string {
	var b strings.Builder
	b.WriteString(p.File)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d", p.Line)
		if p.Column > 0 {
			fmt.Fprintf(&b, ":%d", p.Column)
		}
	}
	if b.Len() > 0 {
		b.WriteString(": ")
	}
	b.WriteString(p.Message)
	return b.String()
}

func sortProblems(list []Problem) {
	slices.SortStableFunc(list, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Message, b.Message))
	})
}

// Fails reports whether a check fails because of the problem.
func (p Problem) Fails() bool { return !p.Warning || p.Mistake }

// broken reports whether any of the problems holds something back.
func broken(list []Problem) bool {
	return slices.ContainsFunc(list, func(p Problem) bool { return !p.Warning })
}
