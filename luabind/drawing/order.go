package drawing

import (
	"cmp"
	"slices"
)

// order arranges each layer so that few lines cross: from the order in which a walk from the start meets the items, by
// sweeps that put each item at the average place of its neighbours, and by swapping neighbours where that helps. It
// tries two walks, one that takes the ways on from the first and one from the last, and keeps the best.
func (l *layout) order() {
	patience := 24
	if len(l.items) > 4000 {
		patience = 6
	}
	var best [][]int
	fewest := -1
	for _, last := range []bool{false, true} {
		l.walkOrder(last)
		for round, worse := 0, 0; worse < patience && fewest != 0; round++ {
			if n := l.crossings(); n < fewest || fewest < 0 {
				best, fewest, worse = l.snapshot(), n, 0
			} else {
				worse++
			}
			l.sweep(round%2 == 0, round%4 < 2)
			l.swap()
		}
	}
	for layer, order := range best {
		l.arrange(layer, order)
	}
}

func (l *layout) snapshot() [][]int {
	copied := make([][]int, len(l.layers))
	for i, layer := range l.layers {
		copied[i] = slices.Clone(layer)
	}
	return copied
}

func (l *layout) arrange(layer int, order []int) {
	l.layers[layer] = order
	for pos, i := range order {
		l.items[i].pos = pos
	}
}

// walkOrder arranges the layers in the order in which a walk, depth first, meets the items.
func (l *layout) walkOrder(last bool) {
	met := make([]bool, len(l.items))
	layers := make([][]int, len(l.layers))
	var walk func(i int)
	walk = func(i int) {
		if met[i] {
			return
		}
		met[i] = true
		layers[l.items[i].layer] = append(layers[l.items[i].layer], i)
		down := l.items[i].down
		for k := range down {
			if last {
				walk(down[len(down)-1-k])
			} else {
				walk(down[k])
			}
		}
	}
	for _, n := range l.roots() {
		walk(n)
	}
	for i := range l.items {
		walk(i)
	}
	for layer, order := range layers {
		l.arrange(layer, order)
	}
}

// sweep goes through the layers and sorts each by the average place of its items' neighbours on the layer that was
// sorted before. Items without neighbours there keep their place. Where two are equal, flip swaps them.
func (l *layout) sweep(down, flip bool) {
	for k := 1; k < len(l.layers); k++ {
		layer := k
		if !down {
			layer = len(l.layers) - 1 - k
		}
		order := slices.Clone(l.layers[layer])
		if !flip {
			slices.Reverse(order)
		}
		want := make(map[int]float64, len(order))
		var moving []int
		for _, i := range order {
			near := l.items[i].up
			if !down {
				near = l.items[i].down
			}
			if len(near) == 0 {
				continue
			}
			sum := 0.0
			for _, n := range near {
				sum += float64(l.items[n].pos)
			}
			want[i] = sum / float64(len(near))
			moving = append(moving, i)
		}
		slices.SortStableFunc(moving, func(a, b int) int { return cmp.Compare(want[a], want[b]) })
		sorted := slices.Clone(l.layers[layer])
		for at, i := range sorted {
			if _, moves := want[i]; moves {
				sorted[at], moving = moving[0], moving[1:]
			}
		}
		l.arrange(layer, sorted)
	}
}

// swap exchanges neighbours for as long as that takes crossings away, a few times over.
func (l *layout) swap() {
	for range 4 {
		better := false
		for layer, order := range l.layers {
			for k := 1; k < len(order); k++ {
				a, b := order[k-1], order[k]
				if l.cross(a, b) > l.cross(b, a) {
					order[k-1], order[k] = b, a
					better = true
				}
			}
			l.arrange(layer, order)
		}
		if !better {
			return
		}
	}
}

// cross counts the crossings of a's lines with b's, a standing left of b.
func (l *layout) cross(a, b int) int {
	return l.inversions(l.items[a].up, l.items[b].up) + l.inversions(l.items[a].down, l.items[b].down)
}

func (l *layout) inversions(left, right []int) (n int) {
	for _, i := range left {
		for _, j := range right {
			if l.items[i].pos > l.items[j].pos {
				n++
			}
		}
	}
	return n
}

// crossings counts all there are.
func (l *layout) crossings() (total int) {
	for layer := 1; layer < len(l.layers); layer++ {
		// Read from the left, a line crosses those before it that end right of it: counted in a Fenwick tree.
		tree := make([]int, len(l.layers[layer])+1)
		seen := 0
		for _, i := range l.layers[layer-1] {
			ends := make([]int, 0, len(l.items[i].down))
			for _, d := range l.items[i].down {
				ends = append(ends, l.items[d].pos)
			}
			for _, at := range ends {
				total += seen
				for k := at + 1; k > 0; k -= k & -k {
					total -= tree[k]
				}
			}
			for _, at := range ends {
				seen++
				for k := at + 1; k < len(tree); k += k & -k {
					tree[k]++
				}
			}
		}
	}
	return total
}
