// Package drawing draws flow charts: steps, and what leads from one to the next. It writes them as SVG with a
// layout of its own, as Mermaid, and as DOT. It knows no Lua and no calls.
//
// The same graphs give the same bytes. Names and texts may hold anything; what a format cannot
// hold is replaced, and what a reader cannot use (a text of a thousand words) is cut.
package drawing

import (
	"time"
)

// A Graph is one flow chart.
type Graph struct {
	Name  string // what a Node's Opens refers to, and the heading
	Start string // the ID of the node where it begins, or ""
	Nodes []Node // of several with one ID the first counts
	Edges []Edge // in the order in which they are meant to be read; an end that is no node is drawn as a missing step
	Data  Data   // what the counts say
}

// A Node is one step.
type Node struct {
	ID    string
	Kind  Kind
	Text  string // what it does: bridge user/1001
	Note  string // where it stands: support.lua:12
	Wrong string // the mistake in it, or ""
	Opens string // the Name of the graph that it runs, or ""

	Count int64         // how often it was entered
	Spent time.Duration // the time spent in it, all entries together
	Aside string        // what else there is to say of the counts: 12 hung up
}

// An Edge is one outcome of a step. Several between the same two steps share an arrow.
type Edge struct {
	From, To string
	Label    string
	Wrong    string // the mistake in it, or ""
	Count    int64  // how often it was taken
}

// Data says what the counts of nodes and edges are.
type Data int

const (
	NoData   Data = iota // the counts are not drawn
	Counts               // how often, and how long
	Coverage             // what was never reached stands out
)

// Kind says what a step is for. Each has its own shape and colour.
type Kind int

const (
	Work    Kind = iota // done without the caller noticing
	Play                // the caller listens
	Ask                 // the caller presses, speaks, records
	Decide              // the way on depends on a condition
	Connect             // the caller talks or waits for somebody
	Subflow             // another graph
	End                 // the call or the flow is over
	Event               // no step: what may happen in any of them, and leads to one
	Missing             // a name that is no step
	numKinds
)

// style is how a kind looks in each of the formats.
type style struct {
	name, means  string // of the class, and in the legend
	mermaid      [2]string
	dot          string
	light, night paint
}

type paint struct{ fill, line string }

var styles = [numKinds]style{
	Work:    {"work", "works", [2]string{"[", "]"}, `shape=box`, paint{"#eef0f3", "#66707d"}, paint{"#2b3038", "#99a3b0"}},
	Play:    {"play", "plays", [2]string{"(", ")"}, `shape=box, style="rounded,filled"`, paint{"#e3effc", "#2b6cb0"}, paint{"#14304d", "#6aaeeb"}},
	Ask:     {"ask", "asks", [2]string{"[/", "/]"}, `shape=parallelogram`, paint{"#fdf3d0", "#9a6b00"}, paint{"#42350f", "#e0b34a"}},
	Decide:  {"decide", "decides", [2]string{"{{", "}}"}, `shape=hexagon`, paint{"#efe6fb", "#6b46c1"}, paint{"#32244f", "#b094ee"}},
	Connect: {"connect", "connects", [2]string{"([", "])"}, `shape=box, style="rounded,filled", peripheries=2`, paint{"#dff5e5", "#1f7a44"}, paint{"#143b24", "#63c98b"}},
	Subflow: {"subflow", "another flow", [2]string{"[[", "]]"}, `shape=component`, paint{"#dcf3f5", "#0c737d"}, paint{"#0d3a40", "#58c2cc"}},
	End:     {"end", "ends", [2]string{`[\`, "/]"}, `shape=octagon`, paint{"#4a5361", "#2d343e"}, paint{"#c4ccd6", "#eef1f5"}},
	Event:   {"event", "whenever it happens", [2]string{">", "]"}, `shape=cds`, paint{"#ffffff", "#1c2128"}, paint{"#14171c", "#e8ecf1"}},
	Missing: {"missing", "no such step", [2]string{"[/", `\]`}, `shape=note`, paint{"#fff0f0", "#c81e1e"}, paint{"#3d1515", "#ff8080"}},
}

// chart is a Graph made ready to draw: its ends resolved, its edges joined.
type chart struct {
	Graph
	start  int // -1: none
	nodes  []Node
	arrows []arrow
	base   []int64 // of which the outcomes of each node are a share
}

// arrow is all the edges between two nodes.
type arrow struct {
	from, to int
	edges    []Edge
	wrong    bool
	count    int64
}

func newChart(g Graph) *chart {
	c := &chart{Graph: g, start: -1}
	at := map[string]int{}
	add := func(n Node) {
		if _, twice := at[n.ID]; !twice {
			at[n.ID] = len(c.nodes)
			c.nodes = append(c.nodes, n)
		}
	}
	for _, n := range g.Nodes {
		if n.Kind < 0 || n.Kind >= numKinds {
			n.Kind = Work
		}
		add(n)
	}
	missing := func(id string) { add(Node{ID: id, Kind: Missing, Wrong: "no such step"}) }
	if g.Start != "" {
		missing(g.Start)
		c.start = at[g.Start]
	}
	joined := map[[2]int]int{}
	for _, e := range g.Edges {
		missing(e.From)
		missing(e.To)
		ends := [2]int{at[e.From], at[e.To]}
		i, ok := joined[ends]
		if !ok {
			i = len(c.arrows)
			joined[ends] = i
			c.arrows = append(c.arrows, arrow{from: ends[0], to: ends[1]})
		}
		a := &c.arrows[i]
		a.edges = append(a.edges, e)
		a.wrong = a.wrong || e.Wrong != "" || c.nodes[a.to].Kind == Missing
		a.count += e.Count
	}
	out := make([]int64, len(c.nodes))
	for _, a := range c.arrows {
		out[a.from] += a.count
	}
	for i, n := range c.nodes {
		c.base = append(c.base, max(n.Count, out[i]))
	}
	return c
}

// never says whether the coverage shows that n was not reached.
func (c *chart) never(n int) bool {
	return c.Data == Coverage && c.nodes[n].Count == 0 && c.nodes[n].Kind != Event
}

// unused says whether the coverage shows that no edge of a was taken.
func (c *chart) unused(a arrow) bool { return c.counts(a.from) && c.Data == Coverage && a.count == 0 }

// counts says whether there are counts of what leaves n: an event is no step, and nobody counts it.
func (c *chart) counts(n int) bool { return c.Data != NoData && c.nodes[n].Kind != Event }
