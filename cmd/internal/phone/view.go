package phone

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"

	"callisto/cmd/internal/simcall"
)

// A paneID is one part of the screen.
type paneID int

const (
	hearsP paneID = iota
	whereP
	varsP
	legsP
	logP
	wireP
	panes
)

var titles = [panes]string{"what the caller hears", "where the call is", "variables", "legs", "log", "wire"}

// styles are the colours, of which nothing depends: without any the screen says the same.
type styles struct {
	bar, title, focus, dim, caller, bad, fresh, mark, live lipgloss.Style
}

func coloured() styles {
	s := lipgloss.NewStyle
	return styles{
		bar:    s().Reverse(true),
		title:  s().Faint(true),
		focus:  s().Bold(true).Foreground(lipgloss.Cyan),
		dim:    s().Faint(true),
		caller: s().Foreground(lipgloss.Green),
		bad:    s().Bold(true).Foreground(lipgloss.Red),
		fresh:  s().Bold(true).Foreground(lipgloss.Yellow),
		mark:   s().Bold(true),
		live:   s().Foreground(lipgloss.Cyan),
	}
}

func (s styles) of(e entryStyle) lipgloss.Style {
	return [...]lipgloss.Style{ordinary: {}, byCaller: s.caller, bad: s.bad, remark: s.dim}[e]
}

// The smallest screen with panes beside each other.
const (
	wideWidth  = 76
	wideHeight = 20
)

// View implements tea.Model.
func (m *Model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	v.WindowTitle = "callisto dial " + simcall.Plain(m.script)
	return v
}

// screen is what is shown: at most height lines, none wider than width.
func (m *Model) screen() []string {
	w, h := m.width, m.height
	if w < 10 || h < 3 {
		return fit([]string{cut("?", w)}, h)
	}
	top := []string{m.style.bar.Render(m.header(w))}
	top = append(top, m.notes(w, max(h/4, 1))...)
	bottom := m.footer(w)
	rows := h - len(top) - 1
	var body []string
	switch {
	case m.help:
		body = m.helpLines(w)
	case m.wide():
		body = m.columns(w, rows)
	default:
		body = m.stack(w, rows)
	}
	body = fit(body, rows)
	return fit(append(append(top, body...), bottom), h)
}

func (m *Model) wide() bool { return m.width >= wideWidth && m.height >= wideHeight }

// shown are the panes that can have the focus, in the order of Tab.
func (m *Model) shown() []paneID {
	list := []paneID{hearsP, whereP, varsP}
	if len(m.legs) > 0 {
		list = append(list, legsP)
	}
	list = append(list, logP)
	if m.showWire || !m.wide() {
		list = append(list, wireP)
	}
	return list
}

// columns has what happens on the left, and how things stand on the right.
func (m *Model) columns(w, h int) []string {
	left := w * 55 / 100
	right := w - left - 1
	logRows := max(h*3/10, 4)
	wireRows := 0
	if m.showWire {
		wireRows = max(h*3/10, 4)
		logRows = max(h*2/10, 4)
	}
	l := m.pane(hearsP, left, h-logRows-wireRows)
	l = append(l, m.pane(logP, left, logRows)...)
	if wireRows > 0 {
		l = append(l, m.pane(wireP, left, wireRows)...)
	}
	legRows := 0
	if n := len(m.legs); n > 0 {
		legRows = min(n+1+boolInt(m.chosen() != nil), h/3)
	}
	varRows := min(max(len(m.vars)+1, 4), h/3)
	r := m.pane(whereP, right, h-legRows-varRows)
	if legRows > 0 {
		r = append(r, m.pane(legsP, right, legRows)...)
	}
	r = append(r, m.pane(varsP, right, varRows)...)
	rows := make([]string, h)
	for i := range rows {
		rows[i] = pad(at(l, i), left) + m.style.title.Render("│") + at(r, i)
	}
	return rows
}

// stack is for small screens: what the caller hears, below it the pane with the focus, and between them a leg that
// somebody has to decide about.
func (m *Model) stack(w, h int) []string {
	other := m.focus
	if other == hearsP {
		other = whereP
	}
	legRows := 0
	if m.chosen() != nil && other != legsP && h >= 8 {
		legRows = 2
	}
	lower := (h - legRows) / 2
	if h < 6 {
		lower = 0
	}
	rows := m.pane(hearsP, w, h-legRows-lower)
	if legRows > 0 {
		rows = append(rows, m.legLine(m.leg, w), m.legKeys(w))
	}
	if lower > 0 {
		rows = append(rows, m.pane(other, w, lower)...)
	}
	return rows
}

// pane is a part of the screen with its title, h lines of it.
func (m *Model) pane(p paneID, w, h int) []string {
	if h <= 0 {
		return nil
	}
	title, style := "── "+titles[p]+" ", m.style.title
	if m.focus == p {
		title, style = "━━ "+titles[p]+" ", m.style.focus
	}
	line := title[:len("─")]
	title = cut(title, w)
	title += strings.Repeat(line, max(w-lipgloss.Width(title), 0))
	rows := []string{style.Render(title)}
	h--
	var body []string
	switch p {
	case hearsP:
		body = fit(m.entries(m.heard, p, w, h-1), h-1)
		if h > 0 {
			body = append(body, m.playing(w))
		}
	case whereP:
		body = m.where(w, h)
	case varsP:
		body = window(m.variables(w), m.scroll[p], h)
	case legsP:
		for i := range m.legs {
			body = append(body, m.legLine(i, w))
		}
		keys := m.chosen() != nil && h > 1
		body = lastRows(body, m.scroll[p], h-boolInt(keys))
		if keys {
			body = append(body, m.legKeys(w))
		}
	case logP:
		body = m.entries(m.logged, p, w, h)
	case wireP:
		body = m.entries(m.wire, p, w, h)
	}
	return append(rows, fit(body, h)...)
}

func (m *Model) header(w int) string {
	state := "no call"
	switch m.state {
	case up:
		state = "● " + short(m.elapsed)
		if m.quitting {
			state = "hanging up " + short(m.elapsed)
		}
	case over:
		state = "○ over"
	}
	if m.generation > 0 {
		state = fmt.Sprintf("generation %d  %s", m.generation, state)
	}
	left := " " + simcall.Plain(m.script) + "   " + simcall.Plain(m.caller) + " → " + simcall.Plain(m.number)
	left = cut(left, max(w-lipgloss.Width(state)-2, 0))
	return cut(pad(left, w-lipgloss.Width(state)-1)+state+" ", w)
}

// notes say what a save has changed, or broken.
func (m *Model) notes(w, limit int) []string {
	var rows []string
	if m.newest > 0 && m.newest != m.generation && len(m.changed) > 0 {
		stays := "; r to redial"
		if m.state == up {
			stays = fmt.Sprintf("; this call stays on generation %d; r to redial", m.generation)
		}
		changed := strings.Join(m.changed[:min(len(m.changed), 3)], ", ")
		if more := len(m.changed) - 3; more > 0 {
			changed += fmt.Sprintf(" and %d more", more)
		}
		for _, row := range fold(fmt.Sprintf("generation %d: %s changed%s", m.newest, simcall.Plain(changed), stays), w-1) {
			rows = append(rows, m.style.fresh.Render(" "+row))
		}
	}
	for i, p := range m.problems {
		if len(rows) >= limit-1 && i < len(m.problems)-1 {
			rows = append(rows, m.style.bad.Render(cut(fmt.Sprintf(" and %d more problems", len(m.problems)-i), w)))
			break
		}
		for _, row := range fold(simcall.Plain(p.String()), w-1) {
			rows = append(rows, m.style.bad.Render(" "+row))
		}
	}
	return rows[:min(len(rows), limit)]
}

func (m *Model) footer(w int) string {
	if m.typing {
		prompt, text := " says: ", string(m.text)
		for room := w - lipgloss.Width(prompt) - 1; lipgloss.Width(text) > room && text != ""; { // its end is what matters
			text = string([]rune(text)[1:])
		}
		return cut(prompt+text+"█", w)
	}
	hints := []string{"0-9 * # press", "t say", "h hang up", "r redial", "? help", "q quit", "Tab pane", "w wire"}
	if m.state != up {
		hints = hints[3:]
	}
	text := ""
	for _, hint := range hints {
		if lipgloss.Width(text)+lipgloss.Width(hint)+2 > w {
			break
		}
		text += "  " + hint
	}
	return m.style.dim.Render(cut(text[min(1, len(text)):], w))
}

// playing is what the caller hears now, and how far it has got.
func (m *Model) playing(w int) string {
	h := m.hearing
	if m.state != up {
		return ""
	}
	if h.What == "" {
		text := "silence"
		for _, l := range m.legs {
			switch {
			case l.state == talks:
				text = "talks with " + l.name
			case l.state == rings && text == "silence":
				text = "ringing"
			}
		}
		return m.style.dim.Render(cut("  "+text, w))
	}
	name := "▶ " + simcall.Plain(h.What)
	if h.Length < 0 {
		return m.style.live.Render(cut(name, max(w-len(short(h.Position))-1, 0)) + " " + short(h.Position))
	}
	numbers := fmt.Sprintf("%.1f/%.1fs", h.Position.Seconds(), h.Length.Seconds())
	bar := min(max(w/5, 4), 20)
	name = cut(name, max(w-bar-len(numbers)-2, 0))
	done := bar
	if h.Length > 0 {
		done = int(int64(bar) * int64(min(h.Position, h.Length)) / int64(h.Length))
	}
	return m.style.live.Render(cut(name+" "+strings.Repeat("█", done)+strings.Repeat("░", bar-done)+" "+numbers, w))
}

// entries are the last h lines of a list, or those as far before them as the pane is scrolled.
func (m *Model) entries(l list, p paneID, w, h int) []string {
	if h <= 0 {
		return nil
	}
	var blocks [][]string
	n, need := 0, h+m.scroll[p]
	for i := len(l) - 1; i >= 0 && n < need; i-- {
		block := m.entry(l[i], w)
		blocks = append(blocks, block)
		n += len(block)
	}
	rows := make([]string, 0, n)
	for i := len(blocks) - 1; i >= 0; i-- {
		rows = append(rows, blocks[i]...)
	}
	return lastRows(rows, m.scroll[p], h)
}

func (m *Model) entry(e entry, w int) []string {
	head := fmt.Sprintf("%7s  ", stamp(e.at))
	if e.what != "" {
		head += fmt.Sprintf("%-8s", e.what)
	}
	if w < 40 {
		head = ""
	}
	style := m.style.of(e.style)
	var rows []string
	for i, text := range fold(e.text, w-lipgloss.Width(head)) {
		if i == 0 {
			rows = append(rows, m.style.dim.Render(head)+style.Render(text))
		} else {
			rows = append(rows, strings.Repeat(" ", lipgloss.Width(head))+style.Render(text))
		}
	}
	if e.quote != "" {
		indent := strings.Repeat(" ", lipgloss.Width(head))
		for _, text := range fold("“"+e.quote+"”", w-len(indent)) {
			rows = append(rows, indent+m.style.mark.Render(text))
		}
	}
	return rows
}

// where is the script around the line that runs, and the flow's step.
func (m *Model) where(w, h int) []string {
	var rows []string
	if m.flow.Step != "" {
		text := m.flow.Flow + ": " + m.flow.Step
		if m.flowKind != "" {
			text += "  (" + m.flowKind + ")"
		}
		if m.state == up {
			text += "  " + short(m.elapsed-m.flowAt)
		}
		rows = append(rows, m.style.mark.Render(cut(simcall.Plain(text), w)))
	}
	if m.place.file == "" {
		return rows
	}
	at := m.place.file + ":" + strconv.Itoa(m.place.line)
	if m.place.verb != "" {
		at += "  " + m.place.verb
	}
	rows = append(rows, cut(simcall.Plain(at), w))
	room := h - len(rows)
	if room <= 0 || len(m.place.source) == 0 {
		return rows
	}
	digits := len(strconv.Itoa(len(m.place.source)))
	first := min(max(m.place.line-1-room/2, 0), max(len(m.place.source)-room, 0))
	first = min(max(first-m.scroll[whereP], 0), max(len(m.place.source)-1, 0))
	for i := first; i < len(m.place.source) && i < first+room; i++ {
		mark, style := " ", m.style.dim
		if i == m.place.line-1 {
			mark, style = "►", m.style.mark
		}
		rows = append(rows, style.Render(cut(fmt.Sprintf("%s %*d  %s", mark, digits, i+1, simcall.Plain(strings.TrimRight(m.place.source[i], "\r"))), w)))
	}
	return rows
}

// freshFor is how long a variable counts as changed.
const freshFor = 3 * time.Second

func (m *Model) variables(w int) []string {
	var rows []string
	for _, v := range m.vars {
		mark, style := "  ", lipgloss.NewStyle()
		if m.elapsed-v.at < freshFor {
			mark, style = "• ", m.style.fresh
		}
		text := v.name + " = " + v.value
		if v.unset {
			text = v.name + " (unset)"
		}
		rows = append(rows, style.Render(cut(mark+text, w)))
	}
	return rows
}

func (m *Model) legLine(i, w int) string {
	l := m.legs[i]
	mark, style := "  ", lipgloss.NewStyle()
	if i == m.leg && l.state != gone {
		mark, style = "▸ ", m.style.mark
	}
	text := ""
	switch l.state {
	case rings:
		text = "rings " + short(m.elapsed-l.at)
		if l.left {
			text = "rings out " + short(m.elapsed-l.at)
		}
	case talks:
		text = "talks " + short(m.elapsed-l.at)
	case gone:
		text, style = "gone", m.style.dim
		if l.cause != "" {
			text = l.cause
		}
	}
	return style.Render(cut(mark+l.dialled+"  "+text, w))
}

func (m *Model) legKeys(w int) string {
	l := m.chosen()
	if l == nil {
		return ""
	}
	keys := "x hangs up"
	if l.state == rings {
		keys = "a answers b busy n rings out x no"
	}
	if others := m.others(); others > 0 {
		keys += "  l next"
	}
	return m.style.live.Render(cut("  "+keys, w))
}

// others is how many further legs there are to decide about.
func (m *Model) others() (n int) {
	for i, l := range m.legs {
		if i != m.leg && l.state != gone {
			n++
		}
	}
	return n
}

func (m *Model) helpLines(w int) []string {
	rows := []string{""}
	for _, k := range Keys {
		rows = append(rows, cut(fmt.Sprintf("  %-14s %s", k[0], k[1]), w))
	}
	return append(rows, "", m.style.dim.Render(cut("  any key closes this", w)))
}

// Keys are the keys of the screen, and what they are for.
var Keys = [][2]string{
	{"0-9 * # A-D", "press that key of the telephone"},
	{"t or /", "say something: type it, and Enter"},
	{"h", "hang up"},
	{"r", "redial: a new call, with the newest scripts"},
	{"a b n x", "a leg that rings: answers, is busy, rings out, rejects; x hangs up one that talks"},
	{"l", "the next leg, for these keys"},
	{"w", "show what is on the wire"},
	{"Tab Shift-Tab", "the next pane; ↑ ↓ PgUp PgDn scroll it, End goes back"},
	{"q Ctrl-C", "hang up and leave; again: at once"},
}

// stamp is a time of the call: 1:02.3.
func stamp(d time.Duration) string {
	d = d.Round(100 * time.Millisecond)
	return fmt.Sprintf("%d:%04.1f", int(d.Minutes()), (d % time.Minute).Seconds())
}

// short is a duration in whole seconds: 1:02.
func short(d time.Duration) string {
	d = max(d, 0).Truncate(time.Second)
	return fmt.Sprintf("%d:%02d", int(d.Minutes()), int(d.Seconds())%60)
}

// cut is a text of at most w cells, with … for what is missing.
func cut(text string, w int) string {
	switch {
	case w <= 0:
		return ""
	case len(text) <= w || lipgloss.Width(text) <= w:
		return text
	case w == 1:
		return "…"
	}
	return lipgloss.NewStyle().MaxWidth(w-1).Render(text) + "…"
}

// pad is a text made w cells wide.
func pad(text string, w int) string {
	return text + strings.Repeat(" ", max(w-lipgloss.Width(text), 0))
}

// fold is a text in lines of at most w cells; ↵ of the text are kept.
func fold(text string, w int) []string {
	if w <= 0 {
		return nil
	}
	var rows []string
	for part := range strings.SplitSeq(text, "\n") {
		if lipgloss.Width(part) <= w {
			rows = append(rows, part)
			continue
		}
		for row := range strings.SplitSeq(lipgloss.Wrap(part, w, " /"), "\n") {
			rows = append(rows, cut(row, w))
		}
	}
	return rows
}

// fit makes a list h lines long.
func fit(rows []string, h int) []string {
	h = max(h, 0)
	if len(rows) > h {
		return rows[:h]
	}
	for len(rows) < h {
		rows = append(rows, "")
	}
	return rows
}

// window is h lines, from the one that the pane is scrolled to.
func window(rows []string, from, h int) []string {
	from = min(from, max(len(rows)-h, 0))
	return rows[from:]
}

// lastRows is the last h lines, or those back lines before.
func lastRows(rows []string, back, h int) []string {
	h = max(h, 0)
	end := max(len(rows)-back, min(h, len(rows)))
	return rows[max(end-h, 0):end]
}

func at(rows []string, i int) string {
	if i < len(rows) {
		return rows[i]
	}
	return ""
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}
