package drawing

import (
	"encoding/xml"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// SVG draws the graphs one below another. The picture has a title and a description, its colours follow the reader's
// light or dark theme and print on paper, and each kind of step has its own shape, so that nothing rests on colour alone.
func SVG(graphs ...Graph) []byte {
	p := picture{}
	var names []string
	opens := map[string]int{} // the section of each graph that can be opened
	for i, g := range graphs {
		names = append(names, clean(g.Name))
		if _, twice := opens[g.Name]; !twice {
			opens[g.Name] = i
		}
	}
	y := float64(margin)
	var used legend
	for i, g := range graphs {
		l := newLayout(newChart(g))
		used.add(l)
		y = p.section(l, i, y, opens)
	}
	y = p.legend(used, y)

	var b strings.Builder
	w, h := math.Ceil(p.w+margin), math.Ceil(y+margin/2)
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" viewBox="0 0 %.0f %.0f" role="graphics-document document" aria-labelledby="title desc">`+"\n", w, h, w, h)
	title := "Flow " + strings.Join(names, ", ")
	if len(graphs) > 1 {
		title = "Flows " + strings.Join(names, ", ")
	}
	fmt.Fprintf(&b, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n", escape(title), escape(describe(graphs)))
	b.WriteString(styleSheet())
	b.WriteString(`<rect class="page" width="100%" height="100%"/>` + "\n")
	b.WriteString(p.b.String())
	b.WriteString("</svg>\n")
	return []byte(b.String())
}

const (
	margin    = 24
	startWide = 34 // what the disc and the arrow of the start take beside its box
)

// A picture is the body of an SVG while it is drawn.
type picture struct {
	b strings.Builder
	w float64 // how far it reaches
}

func (p *picture) line(format string, args ...any) {
	fmt.Fprintf(&p.b, format+"\n", args...)
}

// section draws a graph below y and returns where it ends.
func (p *picture) section(l *layout, index int, y float64, opens map[string]int) float64 {
	if l.Name != "" {
		head := headFont.wrap(l.Name, max(l.w, 320), 1)[0]
		p.line(`<text class="heading" id="f%d" x="%d" y="%s">%s</text>`, index, margin, num(y+headFont.size), escape(head))
		p.w = max(p.w, margin+headFont.width(head))
		y += headFont.leading() + 18
	}
	p.line(`<g class="flow" transform="translate(%d %s)">`, margin, num(y))
	most := int64(1)
	for _, a := range l.arrows {
		most = max(most, a.count)
	}
	width := func(count int64) float64 {
		if l.Data != Counts {
			return 1.4
		}
		return min(1+4*math.Sqrt(float64(count)/float64(most)), 7) // a trunk may carry more than any arrow
	}
	for _, t := range l.trunks {
		p.trunk(l, t, width)
	}
	for i, a := range l.arrows {
		p.arrow(l, i, width(a.count))
	}
	for n := range l.nodes {
		p.node(l, n, index, opens)
	}
	p.line(`</g>`)
	p.w = max(p.w, margin+l.w)
	return y + l.h + 30
}

// A pen draws lines that go up and down on layers and swing sideways between them.
type pen struct {
	d    strings.Builder
	x, y float64
}

func (p *pen) move(x, y float64) {
	p.x, p.y = x, y
	fmt.Fprintf(&p.d, "M%s %s", num(x), num(y))
}

func (p *pen) to(x, y float64) {
	switch {
	case math.Abs(x-p.x) < 0.05 && math.Abs(y-p.y) < 0.05:
		return
	case math.Abs(x-p.x) < 0.05:
		fmt.Fprintf(&p.d, "V%s", num(y))
	default:
		middle := (p.y + y) / 2
		fmt.Fprintf(&p.d, "C%s %s %s %s %s %s", num(p.x), num(middle), num(x), num(middle), num(x), num(y))
	}
	p.x, p.y = x, y
}

// through draws from where the pen is on the layer of a to the far edge of the layer of b.
func (p *pen) through(l *layout, a, b int) {
	x := l.port(b, a)
	from, to := l.items[a].layer, l.items[b].layer
	enter, leave := l.tops[to], l.ends[to]
	exit := l.ends[from]
	if to < from {
		enter, leave = leave, enter
		exit = l.tops[from]
	}
	p.to(p.x, exit)
	p.to(x, enter)
	switch l.items[b].kind {
	case boxItem:
		half := l.boxes[l.items[b].of].h / 2
		if to < from {
			half = -half
		}
		p.to(x, l.items[b].y-half)
	default:
		p.to(x, leave)
	}
}

// join draws from where the pen is on the layer of a to where the trunk passes b.
func (p *pen) join(l *layout, a, b int) {
	from, to := l.items[a].layer, l.items[b].layer
	if to < from {
		p.to(p.x, l.tops[from])
		p.to(l.items[b].x, l.ends[to])
	} else {
		p.to(p.x, l.ends[from])
		p.to(l.items[b].x, l.tops[to])
	}
}

// path is the way of an arrow from its step to the one it leads to, or to the trunk that it joins.
func (l *layout) path(i int) (d string, tip bool, x, y float64) {
	chain := l.chain[i]
	var p pen
	from := l.items[chain[0]]
	half := l.boxes[l.arrows[i].from].h / 2
	if l.back[i] {
		half = -half
	}
	p.move(l.port(chain[0], chain[1]), from.y+half)
	p.through(l, chain[0], chain[1])
	if len(chain) == 3 {
		p.through(l, chain[1], chain[2])
		return p.d.String(), true, p.x, p.y
	}
	p.join(l, chain[1], chain[2])
	return p.d.String(), false, p.x, p.y
}

func (p *picture) arrow(l *layout, i int, width float64) {
	a := l.arrows[i]
	class := l.lineClass(a.wrong, l.back[i] || a.from == a.to, l.unused(a))
	p.line(`<g class="arrow %s" data-from="%s" data-to="%s">`, class, escape(l.nodes[a.from].ID), escape(l.nodes[a.to].ID))
	p.line(`<title>%s</title>`, escape(l.sentence(a)))
	var x, y float64
	if a.from == a.to {
		box, at := l.boxes[a.from], l.items[a.from]
		right := at.x + box.w/2
		in := l.inset(a.from)
		dy := min(12, box.h/4)
		p.line(`<path class="line"%s d="M%s %sC%s %s %s %s %s %s"/>`, stroke(width), num(right-in), num(at.y-dy),
			num(right+loopWide), num(at.y-dy-8), num(right+loopWide), num(at.y+dy+8), num(right-in+6), num(at.y+dy+1))
		p.line(`<path class="tip" d="M%s %sl10 -3.5l-1 8z"/>`, num(right-in), num(at.y+dy))
		w, _ := l.size(i)
		x, y = right+loopWide-4+w/2, at.y
	} else {
		d, tip, tx, ty := l.path(i)
		p.line(`<path class="line"%s d="%s"/>`, stroke(width), d)
		if tip {
			p.tip(tx, ty, l.back[i], width)
		}
		it := l.items[l.chain[i][1]]
		x, y = it.x, it.y
	}
	if w, h := l.size(i); w > 0 {
		p.line(`<rect class="page" x="%s" y="%s" width="%s" height="%s"/>`, num(x-w/2), num(y-h/2), num(w), num(h))
		for k, t := range l.label[i] {
			p.line(`<text class="label" x="%s" y="%s">%s</text>`, num(x),
				num(y-h/2+labelFont.leading()*(float64(k)+1)-labelFont.size*0.35), escape(t))
		}
	}
	p.line(`</g>`)
}

// inset is how far inside the right edge of a box its outline runs at mid height.
func (l *layout) inset(n int) float64 {
	if l.nodes[n].Kind == Ask {
		return slant / 2
	}
	return 0
}

// tip draws the head of an arrow whose line is width wide.
func (p *picture) tip(x, y float64, up bool, width float64) {
	half, long := num(3+0.7*width), 7.5+width
	if !up {
		long = -long
	}
	p.line(`<path class="tip" d="M%s %sl-%s %sh%sz"/>`, num(x), num(y), half, num(long), num(2*(3+0.7*width)))
}

// trunk draws the end that the long arrows to a step share. With counts it grows where one joins.
func (p *picture) trunk(l *layout, t trunk, width func(int64) float64) {
	joins := map[int]int64{} // how much joins at each bend
	unused := true
	for i, a := range l.arrows {
		if a.to == t.to && l.back[i] == t.back && len(l.chain[i]) > 3 {
			joins[l.chain[i][2]] += a.count
			unused = unused && l.unused(a)
		}
	}
	class := l.lineClass(l.nodes[t.to].Kind == Missing, t.back, unused)
	p.line(`<g class="trunk %s" data-to="%s">`, class, escape(l.nodes[t.to].ID))
	first := l.items[t.bends[0]]
	var n pen
	if t.back {
		n.move(first.x, l.ends[first.layer])
		n.to(first.x, l.tops[first.layer])
	} else {
		n.move(first.x, l.tops[first.layer])
		n.to(first.x, l.ends[first.layer])
	}
	way := append(slices.Clone(t.bends), t.to)
	sum := joins[way[0]]
	for k := 1; k < len(way); k++ {
		if w := width(sum); l.Data == Counts && joins[way[k]] > 0 {
			p.line(`<path class="line"%s d="%s"/>`, stroke(w), n.d.String())
			x, y := n.x, n.y
			n = pen{}
			n.move(x, y)
		}
		n.through(l, way[k-1], way[k])
		sum += joins[way[k]]
	}
	p.line(`<path class="line"%s d="%s"/>`, stroke(width(sum)), n.d.String())
	p.tip(n.x, n.y, t.back, width(sum))
	p.line(`</g>`)
}

func (l *layout) lineClass(wrong, back, unused bool) string {
	switch {
	case wrong:
		return "wrong"
	case unused:
		return "unused"
	case back:
		return "back"
	}
	return "on"
}

func stroke(width float64) string {
	if width == 1.4 {
		return ""
	}
	return ` style="stroke-width:` + num(width) + `"` // an attribute would lose against the style sheet
}

func (p *picture) node(l *layout, n, section int, opens map[string]int) {
	node, box, at := l.nodes[n], l.boxes[n], l.items[n]
	x, y := at.x-box.w/2, at.y-box.h/2
	class := styles[node.Kind].name
	if node.Wrong != "" {
		class += " wrong"
	}
	if l.never(n) {
		class += " never"
	}
	target, linked := opens[node.Opens]
	linked = linked && node.Opens != "" && target != section
	if linked {
		p.line(`<a href="#f%d">`, target)
	}
	p.line(`<g class="step %s" data-step="%s" role="graphics-symbol img" aria-label="%s">`, class, escape(node.ID), escape(l.tell(n)))
	p.line(`<title>%s</title>`, escape(l.tell(n)))
	if n == l.start {
		p.line(`<circle class="start" cx="%s" cy="%s" r="7"/><path class="begin" d="M%s %sH%s"/><path class="start" d="M%s %sl-9 -4v8z"/>`,
			num(x-startWide+8), num(at.y), num(x-startWide+8), num(at.y), num(x+l.inset(n)-6), num(x+l.inset(n)), num(at.y))
	}
	p.shape(node.Kind, x, y, box.w, box.h)
	for _, t := range box.lines {
		class := "text"
		if t.font == nameFont {
			class = "name"
		}
		p.line(`<text class="%s" x="%s" y="%s">%s</text>`, class, num(at.x), num(y+t.y), escape(t.text))
	}
	p.line(`</g>`)
	if linked {
		p.line(`</a>`)
	}
}

// shape draws the outline of a kind.
func (p *picture) shape(k Kind, x, y, w, h float64) {
	s := min(slant, h/2)
	polygon := func(points ...float64) {
		var list []string
		for i := 0; i < len(points); i += 2 {
			list = append(list, num(points[i])+","+num(points[i+1]))
		}
		p.line(`<polygon class="box" points="%s"/>`, strings.Join(list, " "))
	}
	rect := func(radius float64) {
		p.line(`<rect class="box" x="%s" y="%s" width="%s" height="%s" rx="%s"/>`, num(x), num(y), num(w), num(h), num(radius))
	}
	switch k {
	case Play:
		rect(9)
	case Connect:
		rect(min(h/2, maxRadius))
	case Ask:
		polygon(x+s, y, x+w, y, x+w-s, y+h, x, y+h)
	case Decide:
		polygon(x+s, y, x+w-s, y, x+w, y+h/2, x+w-s, y+h, x+s, y+h, x, y+h/2)
	case Event:
		polygon(x, y, x+w-s, y, x+w, y+h/2, x+w-s, y+h, x, y+h)
	case End:
		c := s * 0.7
		polygon(x+c, y, x+w-c, y, x+w, y+c, x+w, y+h-c, x+w-c, y+h, x+c, y+h, x, y+h-c, x, y+c)
	case Subflow:
		rect(0)
		p.line(`<path class="bar" d="M%s %sV%sM%s %sV%s"/>`, num(x+6), num(y), num(y+h), num(x+w-6), num(y), num(y+h))
	default:
		rect(2)
	}
}

// tell is a step in words, for who cannot see the picture, and for the mouse.
func (l *layout) tell(n int) string {
	node := l.nodes[n]
	parts := []string{node.ID}
	for _, t := range append([]string{node.Text, node.Wrong, node.Note}, l.counted(node)...) {
		if t != "" {
			parts = append(parts, t)
		}
	}
	return limit(strings.Join(parts, "\n"))
}

// sentence is an arrow in words.
func (l *layout) sentence(a arrow) string {
	var list []string
	for _, e := range a.edges {
		if text := l.outcome(e, a.from); text != "" {
			list = append(list, text)
		}
	}
	text := l.nodes[a.from].ID + " → " + l.nodes[a.to].ID
	if len(list) > 0 {
		text += ": " + strings.Join(list, ", ")
	}
	return limit(text)
}

// limit keeps the first 2,000 bytes or so of a text that a name may have made endless.
func limit(text string) string {
	const most = 2000
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

func describe(graphs []Graph) string {
	var list []string
	for _, g := range graphs {
		text := fmt.Sprintf("%s has %d steps", g.Name, len(g.Nodes))
		if g.Start != "" {
			text += " and starts at " + g.Start
		}
		list = append(list, limit(text)+".")
	}
	return clean(strings.Join(list, " "))
}

// A legend is what of the notation a picture uses.
type legend struct {
	kinds       [numKinds]bool
	start, back bool
	data        Data
}

func (u *legend) add(l *layout) {
	for _, n := range l.nodes {
		u.kinds[n.Kind] = true
	}
	u.start = u.start || l.start >= 0
	for i := range l.arrows {
		u.back = u.back || l.back[i] || l.arrows[i].from == l.arrows[i].to
	}
	u.data = max(u.data, l.Data)
}

// legend explains below y what the picture uses, and returns where it ends.
func (p *picture) legend(u legend, y float64) float64 {
	const w, h, gap = 26, 16, 18
	wide := max(p.w, 420)
	x := float64(margin)
	p.line(`<g class="legend">`)
	entry := func(text string, draw func(x, y float64)) {
		width := w + 7 + textFont.width(text)
		if x+width > wide && x > margin {
			x, y = margin, y+h+8
		}
		draw(x, y)
		p.line(`<text class="text left" x="%s" y="%s">%s</text>`, num(x+w+7), num(y+h/2+4), escape(text))
		p.w = max(p.w, x+width)
		x += width + gap
	}
	if u.start {
		entry("start", func(x, y float64) {
			p.line(`<circle class="start" cx="%s" cy="%s" r="7"/>`, num(x+w/2), num(y+h/2))
		})
	}
	for k, used := range u.kinds {
		if !used {
			continue
		}
		s := styles[k]
		entry(s.means, func(x, y float64) {
			p.line(`<g class="step %s">`, s.name)
			p.shape(Kind(k), x, y, w, h)
			p.line(`</g>`)
		})
	}
	arrow := func(class string, width float64) func(x, y float64) {
		return func(x, y float64) {
			p.line(`<g class="arrow %s"><path class="line"%s d="M%s %sh%d"/><path class="tip" d="M%s %sl-9 -4v8z"/></g>`,
				class, stroke(width), num(x), num(y+h/2), w-8, num(x+w), num(y+h/2))
		}
	}
	if u.back {
		entry("back to an earlier step", arrow("back", 1.4))
	}
	switch u.data {
	case Coverage:
		entry("never taken", arrow("unused", 1.4))
	case Counts:
		entry("the thicker, the more calls", arrow("on", 4))
	}
	p.line(`</g>`)
	return y + h
}

// styleSheet holds the looks. It is written in plain rules, not in custom properties, which some converters do not know.
func styleSheet() string {
	var b strings.Builder
	b.WriteString("<style>\n")
	b.WriteString(`text{font-family:Helvetica,Arial,"Liberation Sans",sans-serif;font-size:11px;text-anchor:middle}
.name{font-size:13px;font-weight:bold}
.heading{font-size:17px;font-weight:bold;text-anchor:start}
.left{text-anchor:start}
.line,.begin,.bar{fill:none;stroke-width:1.4}
.box{stroke-width:1.4}
.back .line{stroke-dasharray:7 3}
.unused .line{stroke-dasharray:1.5 4}
.never .box{stroke-dasharray:3 3}
.missing .box{stroke-dasharray:5 3}
.step.wrong .box{stroke-width:2.6}
`)
	theme := func(night bool, page, ink, soft, on, back, unused, wrong, dark string) {
		fmt.Fprintf(&b, ".page{fill:%s}\ntext,.start{fill:%s}\n.label{fill:%s}\n.begin{stroke:%s}\n", page, ink, soft, ink)
		for _, c := range [][2]string{{"on", on}, {"back", back}, {"unused", unused}, {"wrong", wrong}} {
			fmt.Fprintf(&b, ".%s .line{stroke:%s}.%s .tip{fill:%s}\n", c[0], c[1], c[0], c[1])
		}
		fmt.Fprintf(&b, ".back .label{fill:%s}.wrong .label{fill:%s}\n", back, wrong)
		for _, s := range styles {
			paint := s.light
			if night {
				paint = s.night
			}
			fmt.Fprintf(&b, ".%s .box{fill:%s;stroke:%s}.%s .bar{stroke:%s}\n", s.name, paint.fill, paint.line, s.name, paint.line)
		}
		fmt.Fprintf(&b, ".end text{fill:%s}\n.step.wrong .box{stroke:%s}\n", dark, wrong)
		fmt.Fprintf(&b, ".never .box{fill:%s}\n.end.never text{fill:%s}\n", page, ink)
	}
	const light = false
	theme(light, "#ffffff", "#1c2128", "#39424e", "#5b6673", "#b4540a", "#8b95a1", "#c81e1e", "#ffffff")
	b.WriteString("@media screen and (prefers-color-scheme:dark){\n")
	theme(!light, "#14171c", "#e8ecf1", "#c3cbd5", "#98a4b3", "#f0a05a", "#7a8594", "#ff8080", "#14171c")
	b.WriteString("}\n</style>\n")
	return b.String()
}

// escape is text as XML can hold it.
func escape(text string) string {
	var b strings.Builder
	for i, line := range strings.Split(text, "\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		_ = xml.EscapeText(&b, []byte(clean(line))) // a Builder never fails
	}
	return b.String()
}

// num is a coordinate, to a tenth of a pixel.
func num(v float64) string {
	return strconv.FormatFloat(math.Round(v*10)/10+0, 'f', -1, 64)
}
