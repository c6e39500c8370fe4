package drawing

import (
	"fmt"
	"strings"
)

// DOT writes the graphs for Graphviz. Several become the clusters of one digraph.
func DOT(graphs ...Graph) []byte {
	var b strings.Builder
	b.WriteString("digraph {\n  graph [rankdir=TB, labelloc=t, fontname=\"Helvetica\"]\n" +
		"  node [style=filled, fontname=\"Helvetica\", fontsize=11]\n  edge [fontname=\"Helvetica\", fontsize=10]\n")
	for i, g := range graphs {
		c := newChart(g)
		indent := "  "
		if len(graphs) > 1 {
			fmt.Fprintf(&b, "  subgraph cluster%d {\n", i)
			indent = "    "
		}
		fmt.Fprintf(&b, "%slabel=%s\n", indent, dotString(g.Name))
		if c.start >= 0 {
			fmt.Fprintf(&b, "%sf%d [shape=point, width=0.15, label=\"\"]\n%sf%d -> f%ds%d\n", indent, i, indent, i, i, c.start)
		}
		for n, node := range c.nodes {
			paint := styles[node.Kind].light
			line, more := paint.line, ""
			switch {
			case node.Wrong != "":
				line, more = "#c81e1e", ", penwidth=2"
			case c.never(n):
				more = ", style=\"dashed\""
			}
			if node.Kind == End && !c.never(n) {
				more += ", fontcolor=\"#ffffff\""
			}
			fmt.Fprintf(&b, "%sf%ds%d [label=%s, tooltip=%s, %s, fillcolor=%q, color=%q%s]\n", indent, i, n,
				dotString(c.plain(n)...), dotString(node.Note), styles[node.Kind].dot, paint.fill, line, more)
		}
		for _, a := range c.arrows {
			more := ""
			switch {
			case a.wrong:
				more = ", color=\"#c81e1e\", fontcolor=\"#c81e1e\""
			case c.unused(a):
				more = ", style=dotted"
			}
			fmt.Fprintf(&b, "%sf%ds%d -> f%ds%d [label=%s%s]\n", indent, i, a.from, i, a.to, dotString(c.labels(a)...), more)
		}
		if len(graphs) > 1 {
			b.WriteString("  }\n")
		}
	}
	b.WriteString("}\n")
	return []byte(b.String())
}

// dotString is a quoted string of lines. Graphviz reads backslashes and, there too, the entities of HTML.
func dotString(lines ...string) string {
	escaped := make([]string, len(lines))
	for i, t := range lines {
		escaped[i] = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "&", "&amp;").Replace(clean(t))
	}
	return `"` + strings.Join(escaped, `\n`) + `"`
}
