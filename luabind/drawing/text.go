package drawing

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// clean is text without what would not show, or would change how the rest shows: line breaks become spaces, other
// control characters and overrides of the writing direction U+FFFD. Of a pile of combining marks three stay.
func clean(text string) string {
	var b strings.Builder
	marks := 0
	for _, r := range text {
		switch {
		case unicode.In(r, unicode.Mn, unicode.Me):
			if marks++; marks > 3 {
				continue
			}
			b.WriteRune(r)
			continue
		case r == '\n', r == '\r', r == '\t', r == '\u2028', r == '\u2029':
			r = ' '
		case unicode.IsControl(r), r >= '\u202a' && r <= '\u202e', r >= '\u2066' && r <= '\u2069', r == 0xfffe, r == 0xffff:
			r = unicode.ReplacementChar
		}
		marks = 0
		b.WriteRune(r)
	}
	return b.String()
}

// The widths of ASCII from the space on, in thousandths of the font's size. Helvetica, Arial and Liberation Sans share them.
var widths = [...]float64{
	278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278,
	556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556,
	1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778,
	667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556,
	333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556,
	556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584,
}

// font is a size in pixels.
type font struct {
	size float64
	bold bool
}

var (
	headFont  = font{17, true}
	nameFont  = font{13, true}
	textFont  = font{11, false}
	labelFont = font{11, false}
)

func (f font) leading() float64 { return f.size * 1.25 }

func (f font) rune(r rune) float64 {
	w := 620.0 // letters that the table lacks, on the generous side
	switch {
	case r >= ' ' && int(r-' ') < len(widths):
		w = widths[r-' ']
	case unicode.In(r, unicode.Mn, unicode.Me, unicode.Cf):
		return 0
	case r >= 0x1100 && r <= 0x115f, r >= 0x2e80 && r <= 0xd7ff, r >= 0xf900 && r <= 0xfaff,
		r >= 0xfe30 && r <= 0xfe6f, r >= 0xff00 && r <= 0xff60, r >= 0x2190 && r <= 0x2bff, r >= 0x10000:
		w = 1050
	case unicode.IsUpper(r), r > 0x500:
		w = 850
	}
	if f.bold {
		w *= 1.09
	}
	return w * f.size / 1000
}

func (f font) width(text string) (w float64) {
	for _, r := range text {
		w += f.rune(r)
	}
	return w
}

// wrap breaks text into at most lines lines of at most width pixels: at spaces, else after punctuation, else
// anywhere. The last line ends in an ellipsis when more would follow.
func (f font) wrap(text string, width float64, lines int) []string {
	text = strings.Join(strings.Fields(clean(text)), " ")
	var out []string
	for text != "" {
		line := f.head(text, width)
		rest := strings.TrimPrefix(text[len(line):], " ")
		if rest != "" && len(out) == lines-1 {
			line = strings.TrimRight(f.cut(text, width-f.rune('…')), " ") + "…"
			rest = ""
		}
		out = append(out, strings.TrimRight(line, " "))
		text = rest
	}
	return out
}

// cut is the longest beginning of text that is at most width wide, and at least one rune.
func (f font) cut(text string, width float64) string {
	w := 0.0
	for i, r := range text {
		if w += f.rune(r); w > width && i > 0 {
			return text[:i]
		}
	}
	return text
}

// head is the beginning of text that goes on one line.
func (f font) head(text string, width float64) string {
	most := f.cut(text, width)
	if len(most) == len(text) || text[len(most)] == ' ' {
		return most
	}
	if at := strings.LastIndexByte(most, ' '); at > 0 {
		return most[:at+1]
	}
	if at := strings.LastIndexAny(most, "/_-.,:;|@="); at > len(most)/3 {
		_, size := utf8.DecodeRuneInString(most[at:])
		return most[:at+size]
	}
	return most
}

// number is n with its thousands apart.
func number(n int64) string {
	s := strconv.FormatInt(n, 10)
	for at := len(s) - 3; at > 0 && s[at-1] != '-'; at -= 3 {
		s = s[:at] + "," + s[at:]
	}
	return s
}

// percent is n of all, or "".
func percent(n, all int64) string {
	if all <= 0 || n < 0 || n > all {
		return ""
	}
	share := float64(n) / float64(all) * 100
	if n > 0 && share < 1 {
		return "<1 %"
	}
	return fmt.Sprintf("%.0f %%", share)
}

// duration is d as short as a reader needs it.
func duration(d time.Duration) string {
	switch {
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < time.Minute:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// plain is a node's text for the formats that place it themselves.
func (c *chart) plain(n int) []string {
	const width = 220
	node := c.nodes[n]
	lines := nameFont.wrap(node.ID, width, 2)
	lines = append(lines, textFont.wrap(node.Text, width, 3)...)
	for _, text := range c.counted(node) {
		lines = append(lines, textFont.wrap(text, width, 2)...)
	}
	if node.Wrong != "" {
		lines = append(lines, textFont.wrap("✗ "+node.Wrong, width, 4)...)
	}
	return lines
}

// labels are the lines of an arrow's label: the outcomes one after another, or with counts a line each.
func (c *chart) labels(a arrow) []string {
	const width, lines = 96, 3
	if !c.counts(a.from) && !slices.ContainsFunc(a.edges, func(e Edge) bool { return e.Wrong != "" }) {
		return labelFont.wrap(joinLabels(a.edges), width, lines)
	}
	const most = 6
	var list []string
	for i, e := range a.edges {
		if i == most-1 && len(a.edges) > most {
			list = append(list, fmt.Sprintf("… %d more", len(a.edges)-i))
			break
		}
		list = append(list, labelFont.wrap(c.outcome(e, a.from), 1.4*width, 2)...)
	}
	return list
}

// outcome is an edge's label with what the counts say of it.
func (c *chart) outcome(e Edge, from int) string {
	label := e.Label
	if e.Wrong != "" {
		label += " ✗ " + e.Wrong
	}
	switch {
	case !c.counts(from):
	case c.Data == Coverage && e.Count == 0:
		label += " (never)"
	case c.Data == Counts:
		if label != "" {
			label += ": "
		}
		label += number(e.Count)
		if p := percent(e.Count, c.base[from]); p != "" && e.Count > 0 && e.Count < c.base[from] {
			label += " (" + p + ")"
		}
	}
	return strings.TrimSpace(label)
}

func joinLabels(edges []Edge) string {
	var list []string
	for _, e := range edges {
		if e.Label != "" {
			list = append(list, e.Label)
		}
	}
	return strings.Join(list, ", ")
}

// counted are the lines that the counts add to a step.
func (c *chart) counted(n Node) (lines []string) {
	switch {
	case c.Data == NoData || n.Kind == Missing || n.Kind == Event:
		return nil
	case c.Data == Coverage && n.Count == 0:
		return []string{"never reached"}
	case c.Data == Counts:
		text := number(n.Count)
		if n.Count > 0 && n.Spent > 0 {
			text += " · " + duration(n.Spent/time.Duration(n.Count)) + " each"
		}
		lines = append(lines, text)
	}
	if n.Aside != "" {
		lines = append(lines, n.Aside)
	}
	return lines
}
