package drawing

import (
	"cmp"
	"math"
	"slices"
)

// The layout is the layered one of Sugiyama, Tagawa and Toda. Steps stand on the even layers, the labels of their
// arrows on the odd ones between, so that neither ever covers the other. An arrow that is longer than a layer goes
// through bends, one on each layer. All the long arrows to one step share its bends: they join a trunk that leads
// there, which is what keeps a flow readable in which every other step leads to the operator.
//
// An arrow that goes back stands on the layers in the other direction: it leaves its step at the top, has its label above, and
// arrives from below.

// An item is a box, a label or a bend on one layer.
type item struct {
	kind  itemKind
	of    int // the node, the arrow, or the node that the trunk leads to
	layer int
	pos   int // in its layer, from the left

	x, y        float64 // of its middle
	left, right float64 // how far it reaches from x
	height      float64
	up, down    []int // its neighbours on the layers above and below
}

type itemKind int8

const (
	boxItem itemKind = iota
	labelItem
	bendItem
)

// A box is what is drawn for a node.
type box struct {
	w, h  float64
	lines []line
	loop  int // the arrow that leads back to the step itself, or -1
}

type line struct {
	text string
	font font
	y    float64 // of its baseline, from the top of the box
}

type layout struct {
	*chart
	boxes  []box
	rank   []int  // of each node
	back   []bool // of each arrow
	label  [][]string
	items  []item
	layers [][]int
	chain  [][]int            // of each arrow: the items from its step to the one it leads to
	trunks []trunk            // in the order in which they are drawn
	ports  map[[2]int]float64 // where a line from an item to another leaves or meets it: x
	tops   []float64          // of each layer
	ends   []float64
	w, h   float64
}

// A trunk is the shared end of the long arrows to a node.
type trunk struct {
	to    int
	back  bool
	bends []int // from the farthest
}

const (
	maxText   = 150 // pixels of text in a box
	padX      = 13
	padY      = 8
	maxRadius = 20
	slant     = 12 // of the sides of a hexagon and a parallelogram
	loopWide  = 26
	rankPitch = 120 // roughly, from rank to rank, before anything is placed
)

func newLayout(c *chart) *layout {
	l := &layout{chart: c}
	l.measure()
	l.turnBack()
	l.assignRanks()
	l.build()
	l.order()
	l.place()
	return l
}

// measure makes the boxes and the labels.
func (l *layout) measure() {
	l.boxes = make([]box, len(l.nodes))
	for i, n := range l.nodes {
		b := box{loop: -1}
		y := float64(padY)
		add := func(f font, text string, lines int) {
			for _, t := range f.wrap(text, maxText, lines) {
				y += f.leading()
				b.lines = append(b.lines, line{t, f, y - f.size*0.3})
				b.w = max(b.w, f.width(t))
			}
		}
		add(nameFont, n.ID, 2)
		add(textFont, n.Text, 3)
		for _, text := range l.counted(n) {
			add(textFont, text, 2)
		}
		if n.Wrong != "" {
			add(textFont, "✗ "+n.Wrong, 4)
		}
		b.w = math.Ceil(max(b.w, 40) + 2*padX)
		switch n.Kind {
		case Ask, Decide, Subflow, Connect, Event:
			b.w += slant
		}
		b.h = math.Ceil(y + padY)
		l.boxes[i] = b
	}
	l.label = make([][]string, len(l.arrows))
	for i, a := range l.arrows {
		l.label[i] = l.labels(a)
		if a.from == a.to {
			l.boxes[a.from].loop = i
		}
	}
}

// size is the width and the height of an arrow's label.
func (l *layout) size(arrow int) (w, h float64) {
	for _, t := range l.label[arrow] {
		w = max(w, labelFont.width(t))
	}
	if w > 0 {
		w += 6
	}
	return math.Ceil(w), math.Ceil(float64(len(l.label[arrow])) * labelFont.leading())
}

// extent is how far a node's box, with the loop at its side, reaches from its middle.
func (l *layout) extent(node int) (left, right float64) {
	b := l.boxes[node]
	left, right = b.w/2, b.w/2
	if node == l.start {
		left += startWide
	}
	if b.loop >= 0 {
		w, _ := l.size(b.loop)
		right += loopWide + w
	}
	return left, right
}

// roots are the nodes to start walking from: the start, then the steps that nothing leads to, then the rest.
func (l *layout) roots() []int {
	led := make([]bool, len(l.nodes))
	for _, a := range l.arrows {
		led[a.to] = led[a.to] || a.from != a.to
	}
	var first, then, rest []int
	for n := range l.nodes {
		switch {
		case n == l.start:
			first = append(first, n)
		case !led[n]:
			then = append(then, n)
		default:
			rest = append(rest, n)
		}
	}
	return slices.Concat(first, then, rest)
}

// leaving lists the arrows that leave each node, loops aside.
func (l *layout) leaving() [][]int {
	out := make([][]int, len(l.nodes))
	for i, a := range l.arrows {
		if a.from != a.to {
			out[a.from] = append(out[a.from], i)
		}
	}
	return out
}

// turnBack finds the arrows that go back: those that lead to a step through which the walk from the start came.
func (l *layout) turnBack() {
	l.back = make([]bool, len(l.arrows))
	out := l.leaving()
	const (
		fresh = iota
		open
		done
	)
	state := make([]int8, len(l.nodes))
	next := make([]int, len(l.nodes))
	for _, root := range l.roots() {
		if state[root] != fresh {
			continue
		}
		state[root] = open
		for path := []int{root}; len(path) > 0; {
			n := path[len(path)-1]
			if next[n] == len(out[n]) {
				state[n] = done
				path = path[:len(path)-1]
				continue
			}
			a := out[n][next[n]]
			next[n]++
			switch to := l.arrows[a].to; state[to] {
			case open:
				l.back[a] = true
			case fresh:
				state[to] = open
				path = append(path, to)
			}
		}
	}
}

// assignRanks puts each step below all that lead to it. A rank takes only what keeps the picture's width in
// proportion. Of more, those stay that were led to last, so that few arrows wait for their step at a time, and of
// these those with the longest way to the end.
func (l *layout) assignRanks() {
	n := len(l.nodes)
	var succ, pred = make([][]int, n), make([][]int, n)
	for i, a := range l.arrows {
		if a.from != a.to && !l.back[i] {
			succ[a.from] = append(succ[a.from], a.to)
			pred[a.to] = append(pred[a.to], a.from)
		}
	}
	order := topological(succ, pred)
	height := make([]int, n) // the longest way to an end
	for _, v := range slices.Backward(order) {
		for _, s := range succ[v] {
			height[v] = max(height[v], height[s]+1)
		}
	}
	area := 0.0
	for v := range n {
		left, right := l.extent(v)
		area += (left + right + 30) * rankPitch
	}
	room := max(700, math.Sqrt(1.3*area))

	l.rank = make([]int, n)
	waits := make([]int, n)
	freed := make([]int, n) // the rank below which it can stand
	var ready []int
	for _, v := range order {
		if waits[v] = len(pred[v]); waits[v] == 0 {
			ready = append(ready, v)
		}
	}
	for rank := 0; len(ready) > 0; rank++ {
		slices.SortStableFunc(ready, func(a, b int) int { return cmp.Or(cmp.Compare(freed[b], freed[a]), cmp.Compare(height[b], height[a])) })
		wide, take := 0.0, 0
		for take < len(ready) {
			left, right := l.extent(ready[take])
			if wide += left + right + 30; wide > room && take > 0 {
				break
			}
			take++
		}
		taken := ready[:take:take]
		ready = slices.Clone(ready[take:])
		for _, v := range taken {
			l.rank[v] = rank
			for _, s := range succ[v] {
				if waits[s]--; waits[s] == 0 {
					freed[s] = rank
					ready = append(ready, s)
				}
			}
		}
	}
	// What nothing leads to stands just above what it leads to.
	for _, v := range order {
		if len(pred[v]) == 0 && v != l.start && len(succ[v]) > 0 {
			lowest := math.MaxInt
			for _, s := range succ[v] {
				lowest = min(lowest, l.rank[s]-1)
			}
			l.rank[v] = lowest
		}
	}
}

// topological sorts the nodes so that each comes after all that lead to it.
func topological(succ, pred [][]int) []int {
	waits := make([]int, len(succ))
	var order []int
	for v := range succ {
		if waits[v] = len(pred[v]); waits[v] == 0 {
			order = append(order, v)
		}
	}
	for i := 0; i < len(order); i++ {
		for _, s := range succ[order[i]] {
			if waits[s]--; waits[s] == 0 {
				order = append(order, s)
			}
		}
	}
	return order
}

// build makes the items of every layer and joins them.
func (l *layout) build() {
	for n := range l.nodes {
		left, right := l.extent(n)
		height := l.boxes[n].h
		if loop := l.boxes[n].loop; loop >= 0 {
			_, h := l.size(loop)
			height = max(height, h)
		}
		l.add(item{kind: boxItem, of: n, layer: 2 * l.rank[n], left: left, right: right, height: height})
	}
	type place struct {
		to, layer int
		back      bool
	}
	bends := map[place]int{}
	linked := map[[2]int]bool{}
	l.chain = make([][]int, len(l.arrows))
	for i, a := range l.arrows {
		if a.from == a.to {
			continue
		}
		w, h := l.size(i)
		down := 1
		if l.back[i] {
			down = -1
		}
		layer := 2*l.rank[a.from] + down
		chain := []int{a.from, l.add(item{kind: labelItem, of: i, layer: layer, left: w / 2, right: w / 2, height: h})}
		for layer += down; layer != 2*l.rank[a.to]; layer += down {
			at := place{a.to, layer, l.back[i]}
			if _, ok := bends[at]; !ok {
				bends[at] = l.add(item{kind: bendItem, of: a.to, layer: layer, left: 2, right: 2})
			}
			chain = append(chain, bends[at])
		}
		chain = append(chain, a.to)
		for k := 1; k < len(chain); k++ {
			upper, lower := chain[k-1], chain[k]
			if down < 0 {
				upper, lower = lower, upper
			}
			if pair := [2]int{upper, lower}; !linked[pair] {
				linked[pair] = true
				l.items[upper].down = append(l.items[upper].down, lower)
				l.items[lower].up = append(l.items[lower].up, upper)
			}
		}
		l.chain[i] = chain
	}
	// The longest chain to a step holds all the bends of its trunk.
	for to := range l.nodes {
		for _, back := range []bool{false, true} {
			var longest []int
			for i, a := range l.arrows {
				if a.to == to && l.back[i] == back && len(l.chain[i]) > len(longest) {
					longest = l.chain[i]
				}
			}
			if len(longest) > 3 {
				l.trunks = append(l.trunks, trunk{to, back, longest[2 : len(longest)-1]})
			}
		}
	}
}

func (l *layout) add(it item) int {
	for len(l.layers) <= it.layer {
		l.layers = append(l.layers, nil)
	}
	it.pos = len(l.layers[it.layer])
	l.layers[it.layer] = append(l.layers[it.layer], len(l.items))
	l.items = append(l.items, it)
	return len(l.items) - 1
}
