package drawing

import (
	"bytes"
	"encoding/xml"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "write testdata anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// counted is the small flow with what a day of calls made of it.
func counted(data Data) Graph {
	g := small
	g.Data = data
	g.Nodes, g.Edges = slices.Clone(g.Nodes), slices.Clone(g.Edges)
	for i := range small.Nodes {
		g.Nodes[i].Count = []int64{1200, 1310, 0, 402, 390}[i]
		g.Nodes[i].Spent = time.Duration(g.Nodes[i].Count) * 1500 * time.Millisecond
	}
	g.Nodes = append(g.Nodes, Node{ID: "on_error", Kind: Event})
	g.Edges = append(g.Edges, Edge{From: "on_error", To: "operator"})
	g.Nodes[1].Aside = "798 hung up"
	for i := range small.Edges {
		g.Edges[i].Count = []int64{1200, 0, 402, 100, 10, 0, 0, 0, 390, 12}[i]
	}
	return g
}

// mistaken is a flow with one of each mistake.
func mistaken() Graph {
	g := flow("mistaken", `
greet play playback ivr/welcome.wav: > menu
menu ask menu ivr/menu.wav: 1 > sale, 2 > bye
lost connect bridge user/1000: answered > bye
bye end hangup
`)
	g.Nodes[2].Wrong = "nothing leads here"
	g.Edges = append(g.Edges, Edge{From: "menu", To: "bye", Label: "timeout", Wrong: "no way on"})
	g.Nodes = append(g.Nodes, Node{ID: "on hangup", Kind: Event})
	g.Edges = append(g.Edges, Edge{From: "on hangup", To: "bye"})
	return g
}

func TestGolden(t *testing.T) {
	for name, graphs := range map[string][]Graph{
		"small": {small}, "counts": {counted(Counts)}, "coverage": {counted(Coverage)}, "mistaken": {mistaken()},
		"several": {flow("main", "a subflow subflow lib/b: ok > c, again > a\nc end hangup"), flow("subflow lib/b", "x decide hours: open > y, closed > y\ny end return")},
		"empty":   {{Name: "empty"}},
	} {
		for ext, write := range map[string]func(...Graph) []byte{"svg": SVG, "mmd": Mermaid, "dot": DOT} {
			file := "testdata/" + name + "." + ext
			got := write(graphs...)
			if *update {
				if err := os.WriteFile(file, got, 0o644); err != nil {
					t.Fatal(err)
				}
				continue
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("%s (-want +got; -update writes it anew):\n%s", file, diff)
			}
		}
	}
}

// An element of a parsed SVG.
type element struct {
	name     string
	attr     map[string]string
	text     string
	children []*element
}

func parse(data []byte) (*element, error) {
	decoder := xml.NewDecoder(bytes.NewReader(data))
	stack := []*element{{}}
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			if len(stack) != 1 || len(stack[0].children) != 1 {
				return nil, errors.New("not one element")
			}
			return stack[0].children[0], nil
		}
		if err != nil {
			return nil, err
		}
		top := stack[len(stack)-1]
		switch token := token.(type) {
		case xml.StartElement:
			e := &element{name: token.Name.Local, attr: map[string]string{}}
			for _, a := range token.Attr {
				e.attr[a.Name.Local] = a.Value
			}
			top.children = append(top.children, e)
			stack = append(stack, e)
		case xml.EndElement:
			stack = stack[:len(stack)-1]
		case xml.CharData:
			top.text += string(token)
		}
	}
}

// each calls visit with e and all in it, from the outside in.
func (e *element) each(visit func(*element)) {
	visit(e)
	for _, c := range e.children {
		c.each(visit)
	}
}

func (e *element) class(name string) bool {
	return slices.Contains(strings.Fields(e.attr["class"]), name)
}

type rectangle struct{ left, top, right, bottom float64 }

func (r rectangle) overlaps(s rectangle) bool {
	const touch = 0.2 // coordinates are rounded
	return r.left+touch < s.right && s.left+touch < r.right && r.top+touch < s.bottom && s.top+touch < r.bottom
}

func (r rectangle) holds(p [2]float64) bool {
	return r.overlaps(rectangle{p[0], p[1], p[0], p[1]})
}

func float(s string) float64 {
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		panic(err)
	}
	return v
}

var (
	numbers   = regexp.MustCompile(`-?[0-9.]+`)
	pathSteps = regexp.MustCompile(`[A-Za-z][^A-Za-z]*`)
)

// bounds is the rectangle that a rect or a polygon fills.
func (e *element) bounds() rectangle {
	if e.name == "rect" {
		x, y := float(e.attr["x"]), float(e.attr["y"])
		return rectangle{x, y, x + float(e.attr["width"]), y + float(e.attr["height"])}
	}
	r := rectangle{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
	list := numbers.FindAllString(e.attr["points"], -1)
	for i := 0; i < len(list); i += 2 {
		x, y := float(list[i]), float(list[i+1])
		r = rectangle{min(r.left, x), min(r.top, y), max(r.right, x), max(r.bottom, y)}
	}
	return r
}

// points are places along a path of M, V and C.
func (e *element) points() (list [][2]float64) {
	var x, y float64
	for _, step := range pathSteps.FindAllString(e.attr["d"], -1) {
		var v []float64
		for _, n := range numbers.FindAllString(step, -1) {
			v = append(v, float(n))
		}
		x0, y0 := x, y
		at := func(t float64) (float64, float64) { return x, y }
		switch step[0] {
		case 'M':
			x, y = v[0], v[1]
		case 'V':
			y = v[0]
			at = func(t float64) (float64, float64) { return x0, y0 + t*(y-y0) }
		case 'C':
			x, y = v[4], v[5]
			at = func(t float64) (float64, float64) {
				a, b, c, d := (1-t)*(1-t)*(1-t), 3*(1-t)*(1-t)*t, 3*(1-t)*t*t, t*t*t
				return a*x0 + b*v[0] + c*v[2] + d*v[4], a*y0 + b*v[1] + c*v[3] + d*v[5]
			}
		default:
			panic("path step " + step)
		}
		for i := range 25 {
			px, py := at(float64(i) / 24)
			list = append(list, [2]float64{px, py})
		}
	}
	return list
}

// A scene is what a picture of one flow shows, by its geometry.
type scene struct {
	page   rectangle
	boxes  map[string]rectangle
	arrows map[[2]string]*element
	labels map[[2]string]rectangle
	trunks []*element
}

func look(svg []byte) (*scene, error) {
	tree, err := parse(svg)
	if err != nil {
		return nil, err
	}
	s := &scene{
		page:  rectangle{0, 0, float(tree.attr["width"]), float(tree.attr["height"])},
		boxes: map[string]rectangle{}, arrows: map[[2]string]*element{}, labels: map[[2]string]rectangle{},
	}
	tree.each(func(flow *element) {
		if !flow.class("flow") {
			return
		}
		move := numbers.FindAllString(flow.attr["transform"], -1)
		dx, dy := float(move[0]), float(move[1])
		s.page = rectangle{s.page.left - dx, s.page.top - dy, s.page.right - dx, s.page.bottom - dy}
		flow.each(func(e *element) {
			ends := [2]string{e.attr["data-from"], e.attr["data-to"]}
			switch {
			case e.class("step"):
				for _, c := range e.children {
					if c.class("box") {
						s.boxes[e.attr["data-step"]] = c.bounds()
					}
				}
			case e.class("arrow"):
				s.arrows[ends] = e
				for _, c := range e.children {
					if c.class("page") {
						s.labels[ends] = c.bounds()
					}
				}
			case e.class("trunk"):
				s.trunks = append(s.trunks, e)
			}
		})
	})
	return s, nil
}

// problems are what makes a picture of g hard to read.
func problems(g Graph) (list []string) {
	wrong := func(format string, args ...any) { list = append(list, fmt.Sprintf(format, args...)) }
	s, err := look(SVG(g))
	if err != nil {
		return []string{err.Error()}
	}
	for _, n := range g.Nodes {
		if _, ok := s.boxes[n.ID]; !ok {
			wrong("step %s is not drawn", n.ID)
		}
	}
	for _, e := range g.Edges {
		if s.arrows[[2]string{e.From, e.To}] == nil {
			wrong("the arrow from %s to %s is not drawn", e.From, e.To)
		}
	}
	type area struct {
		name string
		rectangle
	}
	var areas []area
	for name, r := range s.boxes {
		areas = append(areas, area{"step " + name, r})
	}
	for ends, r := range s.labels {
		areas = append(areas, area{"label " + ends[0] + ">" + ends[1], r})
	}
	for i, a := range areas {
		if a.left < s.page.left || a.right > s.page.right || a.top < s.page.top || a.bottom > s.page.bottom {
			wrong("%s is not on the page", a.name)
		}
		for _, b := range areas[:i] {
			if a.overlaps(b.rectangle) {
				wrong("%s and %s overlap", a.name, b.name)
			}
		}
	}
	run := func(what string, e *element, own ...string) {
		for _, line := range e.children {
			if !line.class("line") {
				continue
			}
			points := line.points()
			around := rectangle{math.Inf(1), math.Inf(1), math.Inf(-1), math.Inf(-1)}
			for _, p := range points {
				around = rectangle{min(around.left, p[0]), min(around.top, p[1]), max(around.right, p[0]), max(around.bottom, p[1])}
			}
			for _, a := range areas {
				if a.overlaps(around) && !slices.Contains(own, a.name) && slices.ContainsFunc(points, a.holds) {
					wrong("%s runs through %s", what, a.name)
				}
			}
		}
	}
	for ends, e := range s.arrows {
		name := ends[0] + ">" + ends[1]
		run("the arrow "+name, e, "label "+name, "step "+ends[0], "step "+ends[1])
	}
	for _, e := range s.trunks {
		run("the trunk to "+e.attr["data-to"], e, "step "+e.attr["data-to"])
	}
	slices.Sort(list)
	return list
}

func TestSamplesAreReadable(t *testing.T) {
	for _, g := range []Graph{small, counted(Counts), counted(Coverage), mistaken(), callCentre, invented(15, 3), invented(200, 1)} {
		for _, p := range problems(g) {
			t.Errorf("%s: %s", g.Name, p)
		}
	}
}

// TestCallCentre keeps the picture of 69 steps what it was found to be when somebody looked at it.
func TestCallCentre(t *testing.T) {
	l := newLayout(newChart(callCentre))
	if n := l.crossings(); n > 85 {
		t.Errorf("%d lines cross", n)
	}
	if l.w > 2000 || l.h > 3200 {
		t.Errorf("it is %.0f by %.0f", l.w, l.h)
	}
}

var graphs = rapid.Custom(func(t *rapid.T) Graph {
	n := rapid.IntRange(1, 80).Draw(t, "nodes")
	word := rapid.StringMatching(`[a-z_]{1,12}( [a-z/.]{1,30}){0,4}`)
	count := rapid.Int64Range(0, 1_000_000)
	step := rapid.IntRange(0, n) // the last is missing
	g := Graph{Name: "random", Start: "s0", Data: Data(rapid.IntRange(0, 2).Draw(t, "data"))}
	for i := range n {
		g.Nodes = append(g.Nodes, Node{
			ID: fmt.Sprintf("s%d", i), Kind: Kind(rapid.IntRange(0, int(numKinds)-1).Draw(t, "kind")),
			Text: word.Draw(t, "text"), Count: count.Draw(t, "count"), Spent: time.Duration(count.Draw(t, "spent")) * time.Second,
		})
		if rapid.IntRange(0, 9).Draw(t, "is wrong") == 0 {
			g.Nodes[i].Wrong = word.Draw(t, "wrong")
		}
	}
	for range rapid.IntRange(0, 3*n).Draw(t, "edges") {
		g.Edges = append(g.Edges, Edge{
			From: fmt.Sprintf("s%d", step.Draw(t, "from")), To: fmt.Sprintf("s%d", step.Draw(t, "to")),
			Label: rapid.OneOf(rapid.Just(""), word).Draw(t, "label"), Count: count.Draw(t, "taken"),
		})
	}
	return g
})

func TestAnyGraphIsReadable(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := graphs.Draw(t, "graph")
		for _, p := range problems(g) {
			t.Error(p)
		}
	})
}

func TestSameGraphSameBytes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g := graphs.Draw(t, "graph")
		for _, write := range []func(...Graph) []byte{SVG, Mermaid, DOT} {
			if a, b := write(g), write(g); !bytes.Equal(a, b) {
				t.Errorf("two pictures of one graph differ:\n%s\n%s", a, b)
			}
		}
	})
}

// hostile names are what somebody might try, and what an editor leaves behind.
var hostile = []string{
	"", " ", `"`, `\`, `\"`, `"] --> x["`, "a\nb", "a\r\n  click s1 call alert()", "]]>", "<script>alert(1)</script>", "&amp;<b>&#x41;",
	"'; DROP", "%%{init: {}}%%", "end", "1. one", "- two", "`code`", "# head", "*bold*", "{{a}}", "|x|", "style a:b #1;",
	"\x00\x01\x7f", "\xff\xfe", "\u202egnp.exe", "Grüße, 世界 ☎️ 👩‍👩‍👧", "a" + strings.Repeat("\u0301", 500), strings.Repeat("w", 5000),
	strings.Repeat("many words ", 500), `\N\G\l`, "//comment", "/* */", "$&", "${x}", "\u2028",
}

func hostileGraph() Graph {
	g := Graph{Name: strings.Join(hostile, "|"), Start: hostile[2]}
	for i, name := range hostile {
		g.Nodes = append(g.Nodes, Node{ID: name, Kind: Kind(i) % numKinds, Text: name, Note: name, Wrong: name, Opens: name, Aside: name})
		g.Edges = append(g.Edges, Edge{From: name, To: hostile[(i*7+1)%len(hostile)], Label: name, Wrong: name})
	}
	return g
}

func TestHostileNamesInSVG(t *testing.T) {
	tree, err := parse(SVG(hostileGraph(), hostileGraph()))
	if err != nil {
		t.Fatal(err)
	}
	known := strings.Fields("svg title desc style rect g path text a circle polygon")
	steps := 0
	tree.each(func(e *element) {
		if !slices.Contains(known, e.name) {
			t.Errorf("there is a <%s>", e.name)
		}
		if href, ok := e.attr["href"]; ok && !regexp.MustCompile(`^#f[0-9]+$`).MatchString(href) {
			t.Errorf("a link leads to %q", href)
		}
		for name, value := range e.attr {
			if strings.HasPrefix(name, "on") || len(value) > 12000 && name != "d" {
				t.Errorf("attribute %s is %.80q…", name, value)
			}
		}
		if e.class("step") && e.attr["role"] != "" {
			steps++
		}
	})
	if steps != 2*len(hostile) {
		t.Errorf("%d steps are drawn, not %d", steps, 2*len(hostile))
	}
}

func TestHostileNamesInMermaid(t *testing.T) {
	text := `"(?:[^"<>\x00-\x1f&%{}|\x60]|<br/>)+"`
	node := `f\d+s\d+`
	line := regexp.MustCompile(`^ *(` + strings.Join([]string{
		`flowchart TD`, `subgraph f\d+\[` + text + `\]`, `end`, `f\d+start\(\( \)\) --> ` + node,
		node + `[\[({/>\\]+` + text + `[\])}/\\]+:::[a-z]+Step`, node + ` (-->|-\.->)(\|` + text + `\|)? ` + node,
		`linkStyle \d+ stroke:#c81e1e`, `classDef [a-zA-Z]+ [a-z0-9:#,. -]+`, `class (` + node + `,?)+ [a-zA-Z]+`,
	}, "|") + `)$`)
	for l := range strings.Lines(string(Mermaid(hostileGraph(), hostileGraph()))) {
		if !line.MatchString(strings.TrimSuffix(l, "\n")) {
			t.Errorf("what is this line? %q", l)
		}
	}
}

// TestDOTIsRead has Graphviz read what DOT writes.
func TestDOTIsRead(t *testing.T) {
	dot, err := exec.LookPath("dot")
	if err != nil && os.Getenv("CALLISTO_NEED_SERVERS") != "" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip("Graphviz is not installed")
	}
	for _, g := range []Graph{small, counted(Coverage), mistaken(), hostileGraph(), callCentre} {
		cmd := exec.CommandContext(t.Context(), dot, "-Tsvg")
		cmd.Stdin = bytes.NewReader(DOT(g))
		var stderr strings.Builder
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil || strings.Contains(stderr.String(), "syntax") {
			t.Errorf("%.20s: %v: %s", g.Name, err, &stderr)
			continue
		}
		tree, err := parse(out)
		if err != nil {
			t.Fatal(err)
		}
		nodes, edges := 0, 0
		tree.each(func(e *element) {
			switch {
			case e.class("node"):
				nodes++
			case e.class("edge"):
				edges++
			}
		})
		c := newChart(g)
		if nodes != len(c.nodes)+1 || edges != len(c.arrows)+1 { // and the start
			t.Errorf("%.20s: dot reads %d nodes and %d edges, not %d and %d", g.Name, nodes, edges, len(c.nodes)+1, len(c.arrows)+1)
		}
	}
}

func TestWrap(t *testing.T) {
	wide := nameFont.width("operator menu")
	for _, c := range []struct {
		text string
		want []string
	}{
		{"", nil},
		{"menu", []string{"menu"}},
		{"operator menu, evening", []string{"operator menu,", "evening"}},
		{"ivr/welcome/file.wav", []string{"ivr/welcome/", "file.wav"}},
		{"one two three four five six seven eight nine", []string{"one two three", "four five six s…"}},
		{strings.Repeat("w", 100), []string{"wwwwwwwww", "wwwwwwww…"}},
	} {
		got := nameFont.wrap(c.text, wide+5, 2)
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.text, diff)
		}
	}
}

// TestManySteps sees that four times the steps do not take time out of proportion: quadratic work
// would take 16 times as long, cubic work 64 times.
func TestManySteps(t *testing.T) {
	took := func(steps int) time.Duration {
		g := invented(steps, 1)
		best := time.Duration(math.MaxInt64)
		for range 2 {
			start := time.Now()
			SVG(g)
			best = min(best, time.Since(start))
		}
		return best
	}
	few, many := took(125), took(500)
	if many > 32*few {
		t.Errorf("125 steps take %v, 500 steps %v", few, many)
	}
}
