package drawing

import (
	"fmt"
	"strings"
	"unicode"
)

// Mermaid writes the graphs as one flow chart for Mermaid, as Markdown on many forges shows it. Several become its subgraphs.
func Mermaid(graphs ...Graph) []byte {
	var b strings.Builder
	b.WriteString("flowchart TD\n")
	var never, wrong []string // the names of nodes
	var used [numKinds]bool
	links := 0
	for i, g := range graphs {
		c := newChart(g)
		indent := "  "
		if len(graphs) > 1 {
			fmt.Fprintf(&b, "  subgraph f%d[%s]\n", i, mermaidString(g.Name))
			indent = "    "
		}
		if c.start >= 0 {
			fmt.Fprintf(&b, "%sf%dstart(( )) --> f%ds%d\n", indent, i, i, c.start)
			links++
		}
		for n, node := range c.nodes {
			shape := styles[node.Kind].mermaid
			fmt.Fprintf(&b, "%sf%ds%d%s%s%s:::%s\n", indent, i, n, shape[0], mermaidString(c.plain(n)...), shape[1], styles[node.Kind].name+"Step")
			used[node.Kind] = true
			switch name := fmt.Sprintf("f%ds%d", i, n); {
			case node.Wrong != "":
				wrong = append(wrong, name)
			case c.never(n):
				never = append(never, name)
			}
		}
		for _, a := range c.arrows {
			label := ""
			if lines := c.labels(a); len(lines) > 0 {
				label = "|" + mermaidString(lines...) + "|"
			}
			line := "-->"
			if c.unused(a) {
				line = "-.->"
			}
			fmt.Fprintf(&b, "%sf%ds%d %s%s f%ds%d\n", indent, i, a.from, line, label, i, a.to)
			if a.wrong {
				fmt.Fprintf(&b, "%slinkStyle %d stroke:#c81e1e\n", indent, links)
			}
			links++
		}
		if len(graphs) > 1 {
			b.WriteString("  end\n")
		}
	}
	for k, s := range styles {
		ink := "#1c2128"
		if Kind(k) == End {
			ink = "#ffffff"
		}
		if used[k] {
			fmt.Fprintf(&b, "  classDef %sStep fill:%s,stroke:%s,color:%s\n", s.name, s.light.fill, s.light.line, ink)
		}
	}
	for _, c := range []struct {
		names       []string
		name, looks string
	}{{never, "neverReached", "fill:#ffffff,color:#1c2128,stroke-dasharray:3 3"}, {wrong, "wrongStep", "stroke:#c81e1e,stroke-width:3px"}} {
		if len(c.names) > 0 {
			fmt.Fprintf(&b, "  classDef %s %s\n  class %s %s\n", c.name, c.looks, strings.Join(c.names, ","), c.name)
		}
	}
	return []byte(b.String())
}

// mermaidString is a quoted string of lines. Mermaid reads HTML, Markdown, comments and directives in strings, so
// whatever is not a letter, a digit or known to be harmless is written as its number.
func mermaidString(lines ...string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i, t := range lines {
		if i > 0 {
			b.WriteString("<br/>")
		}
		for k, r := range t {
			next := len(t) == k+1 || t[k+1] == ' ' // as in "1. " and "- ", which begin lists
			switch {
			case r > unicode.MaxASCII, unicode.IsLetter(r), unicode.IsDigit(r), r == ' ',
				strings.ContainsRune(",/()", r), strings.ContainsRune(".-_", r) && !next:
				b.WriteRune(r)
			default:
				fmt.Fprintf(&b, "#%d;", r)
			}
		}
	}
	if b.Len() == 1 {
		b.WriteByte(' ') // an empty string is a syntax error
	}
	b.WriteByte('"')
	return b.String()
}
