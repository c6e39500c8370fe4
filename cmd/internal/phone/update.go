package phone

import (
	"slices"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"callisto/cmd/internal/simcall"
)

// What the model is sent besides what comes from the terminal.
type (
	batch []Event  // what has happened
	tick  struct { // how far the call is
		elapsed time.Duration
		hearing Hearing
	}
	redialled struct{ err error } // a call was made, or not
)

// Init implements tea.Model: it makes the first call.
func (m *Model) Init() tea.Cmd { return m.redial() }

// redial makes another call, unless one is being made.
func (m *Model) redial() tea.Cmd {
	if m.dialling || m.quitting {
		return nil
	}
	m.dialling = true
	keypad := m.keypad
	return func() tea.Msg { return redialled{keypad.Redial()} }
}

// Update implements tea.Model. Nothing in it waits.
func (m *Model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case batch:
		for _, e := range msg {
			m.tell(e)
		}
		if m.quitting && m.state != up && !m.dialling {
			return m, tea.Quit
		}
	case tick:
		m.elapsed, m.hearing = max(m.elapsed, msg.elapsed), msg.hearing
	case redialled:
		m.dialling = false
		if m.quitting { // it was on its way when the caller left
			if msg.err != nil {
				return m, tea.Quit
			}
			m.keypad.Hangup()
		}
		if msg.err != nil {
			m.state, m.why, m.failed = over, simcall.Plain(msg.err.Error()), true
			m.heard.add(entry{what: "error", text: m.why, style: bad})
		}
	case tea.KeyPressMsg:
		return m, m.key(msg)
	case tea.PasteMsg:
		switch {
		case m.typing:
			m.text = append(m.text, []rune(simcall.Plain(msg.Content))...)
		case simcall.IsKeys(strings.TrimSpace(msg.Content)) && m.state == up:
			m.keypad.Press(strings.TrimSpace(msg.Content))
		}
	}
	return m, nil
}

// key does what a key is for.
func (m *Model) key(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "ctrl+c":
		return m.quit()
	case "ctrl+z": // nobody can hear or say anything meanwhile
		m.keypad.Hangup()
		return tea.Suspend
	case "ctrl+l":
		return tea.ClearScreen
	}
	if m.typing {
		m.typeKey(k)
		return nil
	}
	if m.help {
		m.help = false
		if k.String() != "q" {
			return nil
		}
	}
	switch name := k.String(); name {
	case "q":
		return m.quit()
	case "?":
		m.help = true
	case "r":
		return m.redial()
	case "w":
		m.showWire = !m.showWire
	case "/", "t":
		m.typing, m.text = true, nil
	case "h":
		if m.state == up {
			m.keypad.Hangup()
		}
	case "a", "b", "n", "x":
		m.decide(name)
	case "l":
		m.nextLeg()
	case "tab":
		m.focus = m.nextPane(1)
	case "shift+tab":
		m.focus = m.nextPane(-1)
	case "up", "k":
		m.scrollBy(1)
	case "down", "j":
		m.scrollBy(-1)
	case "pgup":
		m.scrollBy(m.page())
	case "pgdown":
		m.scrollBy(-m.page())
	case "end", "G", "esc":
		m.scroll[m.focus] = 0
	default:
		if simcall.IsKeys(k.Text) && !strings.ContainsAny(k.Text, "abcd") && m.state == up {
			m.keypad.Press(k.Text)
		}
	}
	return nil
}

// decide does for a leg what whoever is called there would.
func (m *Model) decide(key string) {
	l := m.chosen()
	if l == nil {
		return
	}
	switch {
	case key == "a" && l.state == rings:
		m.keypad.Answer(l.uuid)
	case key == "b" && l.state == rings:
		m.keypad.Refuse(l.uuid, "USER_BUSY")
	case key == "n" && l.state == rings:
		l.left = true
		m.nextLeg()
	case key == "x" && l.state == rings:
		m.keypad.Refuse(l.uuid, "CALL_REJECTED")
	case key == "x":
		m.keypad.Refuse(l.uuid, "NORMAL_CLEARING")
	}
}

// typeKey edits what the caller is about to say.
func (m *Model) typeKey(k tea.KeyPressMsg) {
	switch k.String() {
	case "enter":
		if text := strings.TrimSpace(string(m.text)); text != "" && m.state == up {
			m.keypad.Say(text)
		}
		m.typing, m.text = false, nil
	case "esc":
		m.typing, m.text = false, nil
	case "backspace":
		if n := len(m.text); n > 0 {
			m.text = m.text[:n-1]
		}
	case "ctrl+u":
		m.text = nil
	case "ctrl+w":
		text := strings.TrimRight(string(m.text), " ")
		m.text = []rune(text[:strings.LastIndexByte(text, ' ')+1])
	default:
		m.text = append(m.text, []rune(simcall.Plain(k.Text))...)
	}
}

// quit hangs up, and leaves when the script has come to its end; at the second time at once.
func (m *Model) quit() tea.Cmd {
	if m.quitting || m.state != up && !m.dialling {
		return tea.Quit
	}
	m.quitting = true
	m.keypad.Hangup()
	return nil
}

// scrollBy moves the pane with the focus, towards what is older.
func (m *Model) scrollBy(n int) {
	s := &m.scroll[m.focus]
	*s += n
	switch m.focus {
	case whereP:
		*s = min(max(*s, -len(m.place.source)), len(m.place.source))
	case varsP: // rests at its beginning: the newest are there
		*s = min(max(*s-2*n, 0), m.rows(varsP))
	default:
		*s = min(max(*s, 0), m.rows(m.focus))
	}
}

// rows is how far a pane may be scrolled: more than its lines are is never shown.
func (m *Model) rows(p paneID) int {
	switch p {
	case hearsP:
		return len(m.heard) * 3
	case logP:
		return len(m.logged) * 3
	case wireP:
		return len(m.wire)
	case varsP:
		return len(m.vars)
	case legsP:
		return len(m.legs)
	}
	return 0
}

func (m *Model) page() int { return max(m.height/3, 1) }

// nextPane is the pane beside the one with the focus.
func (m *Model) nextPane(by int) paneID {
	order := m.shown()
	i := slices.Index(order, m.focus)
	return order[(i+by+len(order))%len(order)]
}
