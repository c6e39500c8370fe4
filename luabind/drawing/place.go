package drawing

import (
	"cmp"
	"math"
	"slices"
)

// place gives every item its coordinates.
func (l *layout) place() {
	for _, layer := range l.layers {
		x := 0.0
		for k, i := range layer {
			if k > 0 {
				x += l.apart(layer[k-1], i)
			}
			l.items[i].x = x
		}
	}
	for round := range 48 {
		for k := range l.layers {
			layer := k
			if round%2 == 1 {
				layer = len(l.layers) - 1 - k
			}
			// At first only towards the layer that was placed before; then towards both.
			l.pull(layer, round%2 == 0 || round >= 8, round%2 == 1 || round >= 8, false)
		}
	}
	// Straighten, and let the rest make room: a few times, for each makes way for the other.
	for range 6 {
		l.straighten()
		for layer := range l.layers {
			l.pull(layer, true, true, true)
		}
	}
	l.straighten()
	l.moveToOrigin()
	l.findPorts()
	l.placeLayers()
}

// apart is how far the middles of two neighbours on a layer must be from each other.
func (l *layout) apart(a, b int) float64 {
	gap := 14.0
	switch ka, kb := l.items[a].kind, l.items[b].kind; {
	case ka == boxItem && kb == boxItem:
		gap = 26
	case ka == boxItem || kb == boxItem:
		gap = 18
	}
	return l.items[a].right + gap + l.items[b].left
}

// weight is how much a line wants to be straight: a trunk most.
func (l *layout) weight(a, b int) float64 {
	switch ka, kb := l.items[a].kind, l.items[b].kind; {
	case ka == bendItem && kb == bendItem:
		return 8
	case ka == bendItem || kb == bendItem:
		return 1
	}
	return 2
}

// pull moves the items of a layer as near as they can come to the average place of their neighbours above
// or below, in their order and not touching. With held, bends rather stay where they are.
func (l *layout) pull(layer int, up, down, held bool) {
	items := l.layers[layer]
	n := len(items)
	want, weight, apart := make([]float64, n), make([]float64, n), make([]float64, n)
	for k, i := range items {
		if k > 0 {
			apart[k] = l.apart(items[k-1], i)
		}
		it := &l.items[i]
		hold := 0.01
		if held && it.kind == bendItem {
			hold = 20
		}
		sum, all := hold*it.x, hold
		add := func(near []int) {
			for _, n := range near {
				w := l.weight(i, n)
				sum += w * l.items[n].x
				all += w
			}
		}
		if up {
			add(it.up)
		}
		if down {
			add(it.down)
		}
		want[k], weight[k] = sum/all, all
	}
	for k, x := range spread(want, weight, apart) {
		l.items[items[k]].x = x
	}
}

// spread puts things side by side, each as near to the place that it wants as its weight earns it, and at least apart
// from the one before it. It is the exact least-squares answer: with the distances taken off it is an isotonic
// regression, which pooling those that are in each other's way solves.
func spread(want, weight, apart []float64) []float64 {
	type pool struct {
		want, weight float64
		things       int
	}
	var pools []pool
	offset := 0.0 // from the first, if all stood as close as they may
	for k := range want {
		offset += apart[k]
		pools = append(pools, pool{want[k] - offset, weight[k], 1})
		for len(pools) > 1 && pools[len(pools)-2].want > pools[len(pools)-1].want {
			a, b := pools[len(pools)-2], pools[len(pools)-1]
			w := a.weight + b.weight
			pools = append(pools[:len(pools)-2], pool{(a.want*a.weight + b.want*b.weight) / w, w, a.things + b.things})
		}
	}
	places := make([]float64, 0, len(want))
	offset = 0
	for _, p := range pools {
		for range p.things {
			offset += apart[len(places)]
			places = append(places, p.want+offset)
		}
	}
	return places
}

// free is how far an item can move without its neighbours moving.
func (l *layout) free(i int) (low, high float64) {
	low, high = math.Inf(-1), math.Inf(1)
	it := l.items[i]
	layer := l.layers[it.layer]
	if it.pos > 0 {
		low = l.items[layer[it.pos-1]].x + l.apart(layer[it.pos-1], i)
	}
	if it.pos+1 < len(layer) {
		high = l.items[layer[it.pos+1]].x - l.apart(i, layer[it.pos+1])
	}
	return low, high
}

// straighten makes the trunks upright as far as there is room, the longest first, and then what leads from one
// step to its only next one.
func (l *layout) straighten() {
	var runs [][]int
	for _, t := range l.trunks {
		runs = append(runs, t.bends)
	}
	slices.SortStableFunc(runs, func(a, b []int) int { return cmp.Compare(len(b), len(a)) })
	for _, run := range slices.Concat(runs, l.singles()) {
		for len(run) > 0 {
			low, high := l.free(run[0])
			sum, n := l.items[run[0]].x, 1
			for n < len(run) {
				lo, hi := l.free(run[n])
				if max(low, lo) > min(high, hi) {
					break
				}
				low, high = max(low, lo), min(high, hi)
				sum += l.items[run[n]].x
				n++
			}
			x := min(max(sum/float64(n), low), high)
			for _, i := range run[:n] {
				l.items[i].x = x
			}
			run = run[n:]
		}
	}
	// A label stands right above what it leads to, or else right below its step, where that is near.
	for i := range l.items {
		it := &l.items[i]
		if it.kind != labelItem {
			continue
		}
		low, high := l.free(i)
		for _, n := range slices.Concat(it.down, it.up) {
			if x := l.items[n].x; math.Abs(x-it.x) < 30 && x >= low && x <= high {
				it.x = x
				break
			}
		}
	}
}

// singles are the chains of steps of which each leads to the next alone.
func (l *layout) singles() (runs [][]int) {
	leads, led := make([]int, len(l.nodes)), make([]int, len(l.nodes))
	next := make([]int, len(l.nodes)) // the arrow
	for i, a := range l.arrows {
		if a.from != a.to && !l.back[i] {
			leads[a.from]++
			led[a.to]++
			next[a.from] = i
		}
	}
	single := func(n int) bool { // the one arrow that leaves n is the one arrow that reaches its end, a rank below
		return leads[n] == 1 && led[l.arrows[next[n]].to] == 1 && len(l.chain[next[n]]) == 3
	}
	inside := make([]bool, len(l.nodes))
	for n := range l.nodes {
		if single(n) {
			inside[l.arrows[next[n]].to] = true
		}
	}
	for n := range l.nodes {
		if inside[n] || !single(n) {
			continue
		}
		run := []int{n}
		for at := n; single(at); at = l.arrows[next[at]].to {
			run = append(run, l.chain[next[at]][1:]...)
		}
		runs = append(runs, run)
	}
	return runs
}

// moveToOrigin moves the picture's left edge to 0 and finds its width.
func (l *layout) moveToOrigin() {
	low, high := math.Inf(1), math.Inf(-1)
	for _, it := range l.items {
		low, high = min(low, it.x-it.left), max(high, it.x+it.right)
	}
	if len(l.items) == 0 {
		low, high = 0, 0
	}
	for i := range l.items {
		l.items[i].x -= low
	}
	l.w = high - low
}

// findPorts spreads the lines that meet a box along its edges, in the order of their other ends and right below or
// above these where that is possible. All that arrive on one side share a port.
func (l *layout) findPorts() {
	l.ports = map[[2]int]float64{}
	leaves := map[[2]int]bool{}
	for _, chain := range l.chain {
		if len(chain) > 0 {
			leaves[[2]int{chain[0], chain[1]}] = true
		}
	}
	for n := range l.nodes {
		it, flat := l.items[n], l.flat(n)
		for _, side := range [][]int{it.up, it.down} {
			near := slices.Clone(side)
			slices.SortFunc(near, func(a, b int) int { return cmp.Compare(l.items[a].pos, l.items[b].pos) })
			var arrivals []int
			for _, i := range near {
				if !leaves[[2]int{n, i}] {
					arrivals = append(arrivals, i)
				}
			}
			// The arrivals' port stands where the middle one of them would.
			var ports []int
			var want []float64
			for _, i := range near {
				switch {
				case leaves[[2]int{n, i}], len(arrivals) == 1 && math.Abs(l.items[i].x-it.x) <= flat/2:
					want = append(want, l.items[i].x)
				case i == arrivals[len(arrivals)/2]:
					want = append(want, it.x)
				default:
					continue
				}
				ports = append(ports, i)
			}
			last := len(ports) - 1
			step := min(18, flat/float64(max(last, 1)))
			weight, apart := make([]float64, len(ports)), make([]float64, len(ports))
			for k := range ports {
				low, high := it.x-flat/2+float64(k)*step, it.x+flat/2-float64(last-k)*step
				want[k] = min(max(want[k], low), high)
				weight[k] = 1
				if k > 0 {
					apart[k] = step
				}
			}
			for k, x := range spread(want, weight, apart) {
				if leaves[[2]int{n, ports[k]}] {
					l.ports[[2]int{n, ports[k]}] = x
					continue
				}
				for _, i := range arrivals {
					l.ports[[2]int{n, i}] = x
				}
			}
		}
	}
}

// flat is how much of a box's upper and lower edge lines can meet.
func (l *layout) flat(n int) float64 {
	b := l.boxes[n]
	switch l.nodes[n].Kind {
	case Ask, Decide:
		return b.w - 2*slant - 8
	case Connect:
		return b.w - 2*min(b.h/2, maxRadius)
	}
	return b.w - 2*padX
}

// port is where the line between two items meets the first.
func (l *layout) port(i, other int) float64 {
	if x, ok := l.ports[[2]int{i, other}]; ok {
		return x
	}
	return l.items[i].x
}

// placeLayers gives the layers their heights: between two there is the more room the farther the lines go sideways.
func (l *layout) placeLayers() {
	l.tops, l.ends = make([]float64, len(l.layers)), make([]float64, len(l.layers))
	y := 0.0
	for k, layer := range l.layers {
		height, far := 0.0, 0.0
		for _, i := range layer {
			height = max(height, l.items[i].height)
			for _, d := range l.items[i].down {
				far = max(far, math.Abs(l.port(i, d)-l.port(d, i)))
			}
		}
		l.tops[k], l.ends[k] = y, y+height
		for _, i := range layer {
			l.items[i].y = y + height/2
		}
		y += height
		if k < len(l.layers)-1 {
			y += 14 + min(56, far*0.12)
			if k%2 == 1 {
				y += 8 // for the tips of the arrows
			}
		}
	}
	l.h = y
}
