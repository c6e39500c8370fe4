package phone

import (
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"charm.land/lipgloss/v2"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var update = flag.Bool("update", false, "write the golden files")

// golden compares a text with testdata/NAME.golden.
func golden(t *testing.T, name, got string) {
	t.Helper()
	file := "testdata/" + name + ".golden"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs (-want +got); -update writes it:\n%s", file, diff)
	}
}

// A notepad is a keypad that notes what it is told.
type notepad struct {
	told []string
	err  error // of Redial
}

func (n *notepad) note(text string)         { n.told = append(n.told, text) }
func (n *notepad) Press(keys string)        { n.note("press " + keys) }
func (n *notepad) Say(text string)          { n.note("say " + text) }
func (n *notepad) Hangup()                  { n.note("hang up") }
func (n *notepad) Redial() error            { n.note("redial"); return n.err }
func (n *notepad) Answer(leg string)        { n.note("answer " + leg) }
func (n *notepad) Refuse(leg, cause string) { n.note("refuse " + leg + " " + cause) }

// A bench is a model without a terminal.
type bench struct {
	*Model
	pad *notepad
}

func newBench(width, height int) *bench {
	pad := &notepad{}
	m := newModel(pad, Options{Script: "menu", Caller: "+15551230000", Number: "9000"})
	m.style = styles{} // without colours
	b := &bench{m, pad}
	b.send(tea.WindowSizeMsg{Width: width, Height: height})
	return b
}

func (b *bench) send(msgs ...tea.Msg) (cmd tea.Cmd) {
	for _, msg := range msgs {
		_, cmd = b.Update(msg)
	}
	return cmd
}

// type presses keys: "enter" and its like by name, else each character.
func (b *bench) press(keys ...string) (cmd tea.Cmd) {
	named := map[string]tea.Key{
		"enter": {Code: tea.KeyEnter}, "esc": {Code: tea.KeyEscape}, "tab": {Code: tea.KeyTab}, "backspace": {Code: tea.KeyBackspace},
		"up": {Code: tea.KeyUp}, "down": {Code: tea.KeyDown}, "pgup": {Code: tea.KeyPgUp}, "end": {Code: tea.KeyEnd},
		"shift+tab": {Code: tea.KeyTab, Mod: tea.ModShift}, "ctrl+c": {Code: 'c', Mod: tea.ModCtrl}, "ctrl+z": {Code: 'z', Mod: tea.ModCtrl},
		"ctrl+u": {Code: 'u', Mod: tea.ModCtrl}, "ctrl+w": {Code: 'w', Mod: tea.ModCtrl},
	}
	for _, k := range keys {
		if key, ok := named[k]; ok {
			cmd = b.send(tea.KeyPressMsg(key))
			continue
		}
		for _, r := range k {
			cmd = b.send(tea.KeyPressMsg(tea.Key{Code: r, Text: string(r)}))
		}
	}
	return cmd
}

// screen is what is shown, without blanks at the ends of lines.
func (b *bench) shows() string {
	var text strings.Builder
	for line := range strings.SplitSeq(b.View().Content, "\n") {
		text.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	return text.String()
}

const seconds = time.Second

var menuLua = strings.Split(`-- The menu of a small company.
call:answer()
local digits = call:gather { prompt = "ivr/menu.wav", max = 1 }
log.info("chosen", { digits = digits })
call:set("department", "sales")
local leg = call:bridge({ "user/1001", "user/1002" }, { ring = "20s" })
if not leg.answered then
	call:playback("ivr/nobody.wav")
end
`, "\n")

func on(at time.Duration, kind simulator.Kind, name, data string) Event {
	return Event{at, Happened{Occurrence: simulator.Occurrence{Channel: "ada", Kind: kind, Name: name, Data: data}}}
}

func bridged(at time.Duration, with string) Event {
	return Event{at, Happened{Occurrence: simulator.Occurrence{Channel: "ada", Kind: simulator.Bridged, Data: "uuid-" + with}, With: with}}
}

func onLeg(at time.Duration, leg string, kind simulator.Kind, name, data string) Event {
	return Event{at, Happened{Occurrence: simulator.Occurrence{Channel: "uuid-" + leg, Kind: kind, Name: name, Data: data}, Leg: leg}}
}

func step(at time.Duration, line int, verb string) Event {
	return Event{at, Stepped{luabind.Step{Verb: verb, File: "menu.lua", Line: line}, menuLua}}
}

// begins is a call in its first prompt.
var begins = batch{
	{0, Dialling{}},
	{0, Started{"menu", 6, "+15551230000", "9000"}},
	step(0, 2, "answer"),
	on(20*time.Millisecond, simulator.Executed, "answer", ""),
	step(20*time.Millisecond, 3, "gather"),
	{40 * time.Millisecond, Happened{Occurrence: simulator.Occurrence{Channel: "ada", Kind: simulator.Played, Data: "ivr/menu.wav"},
		Text: "Welcome to Example. For sales press one, for a long story press two. Pour le français, tapez trois. 日本語は四を押してください。"}},
}

// bridges is how it goes on until a leg rings.
var bridges = batch{
	on(4*seconds, simulator.Digit, "", "1"),
	step(4*seconds, 4, "log.info"),
	{4 * seconds, Logged{Record: simcall.Record{Level: slog.LevelInfo, Message: "chosen", Fields: []simcall.Field{{Name: "digits", Value: "1"}}, At: "menu.lua:4"}}},
	step(4*seconds, 5, "set"),
	on(4*seconds, simulator.Executed, "set", "department=sales"),
	step(4020*time.Millisecond, 6, "bridge"),
	on(4040*time.Millisecond, simulator.Executed, "set", "call_timeout=20"),
	{4040 * time.Millisecond, Wired{true, "execute bridge user/1001"}},
	on(4060*time.Millisecond, simulator.Executed, "bridge", "user/1001"),
	on(4060*time.Millisecond, simulator.Dialled, "", "user/1001"),
	onLeg(4060*time.Millisecond, "1001", simulator.Rings, "ada", "user/1001"),
}

var reloads = batch{{9 * seconds, Reloaded{Generation: 7, Changed: []string{"menu.lua"}}}}

var breaks = batch{{11 * seconds, Reloaded{Generation: 7, Problems: []engine.Problem{
	{File: "menu.lua", Line: 6, Column: 9, Message: `syntax error near "bridge"`, Serving: "still serving generation 7"}}}}}

func TestViews(t *testing.T) {
	for _, size := range [][2]int{{60, 16}, {80, 24}, {120, 40}, {200, 60}} {
		b := newBench(size[0], size[1])
		var all strings.Builder
		show := func(what string) { fmt.Fprintf(&all, "# %s\n%s", what, b.shows()) }
		b.send(begins, tick{1500 * time.Millisecond, Hearing{"ivr/menu.wav", "", 1460 * time.Millisecond, 4 * seconds}})
		show("the first prompt plays")
		b.send(bridges, tick{7 * seconds, Hearing{}})
		show("a leg rings")
		b.send(reloads, tick{9500 * time.Millisecond, Hearing{}})
		b.press("w", "tab", "tab")
		show("a script was saved; the wire is shown, the variables have the focus")
		b.send(breaks, batch{onLeg(12*seconds, "1001", simulator.Answered, "", ""), bridged(12*seconds, "1001")})
		show("a script was broken, and the leg talks")
		b.send(batch{
			onLeg(15*seconds, "1001", simulator.HungUp, "NORMAL_CLEARING", ""),
			{15 * seconds, Logged{Record: simcall.Record{Level: slog.LevelError, Message: "script error", Fields: []simcall.Field{{Name: "error", Value: "no such thing"}}, At: "menu.lua:8",
				Traceback: "menu.lua:8 in main chunk"}, Source: menuLua}},
			on(15*seconds, simulator.HungUp, "NORMAL_TEMPORARY_FAILURE", ""),
			{15 * seconds, Ended{"the script raised an error (NORMAL_TEMPORARY_FAILURE)", "script error", "NORMAL_TEMPORARY_FAILURE", true}},
		})
		show("the call is over")
		b.press("?")
		show("help")
		golden(t, fmt.Sprintf("screen_%dx%d", size[0], size[1]), all.String())
	}
}

func TestFlowView(t *testing.T) {
	b := newBench(80, 24)
	b.send(begins, batch{
		{2 * seconds, Marked{Mark: luabind.Mark{Flow: "menu", Step: "menu"}, Kind: "menu", File: "menu.lua", Line: 3, Source: menuLua}},
		{5 * seconds, Marked{Mark: luabind.Mark{Flow: "menu", Step: "menu", Outcome: "1", Took: 3 * seconds}}},
		{5 * seconds, Marked{Mark: luabind.Mark{Flow: "menu", Step: "sales"}, Kind: "bridge", File: "menu.lua", Line: 6, Source: menuLua}},
	}, tick{7 * seconds, Hearing{What: "local_stream://moh", Position: 2 * seconds, Length: -1}})
	golden(t, "flow", b.shows())
}

// Whatever the size of the terminal is, nothing is written beyond it, and nothing breaks.
func TestEverySize(t *testing.T) {
	for _, typing := range []bool{false, true} {
		for w := 0; w <= 130; w += 3 {
			for h := 0; h <= 45; h++ {
				b := newBench(w, h)
				b.send(begins, bridges, reloads, breaks, tick{7 * seconds, Hearing{"日本語の音声.wav", "", seconds, 4 * seconds}})
				if typing {
					b.press("w", "tab", "tab", "pgup", "t", "日本語で話す, a long thing to say")
				}
				lines := strings.Split(b.View().Content, "\n")
				if len(lines) > max(h, 1) {
					t.Fatalf("%dx%d: %d lines", w, h, len(lines))
				}
				for _, line := range lines {
					if lipgloss.Width(line) > w {
						t.Fatalf("%dx%d: %d cells: %q", w, h, lipgloss.Width(line), line)
					}
				}
			}
		}
	}
}

// What a caller or a script chooses cannot move the cursor.
func TestNothingEscapes(t *testing.T) {
	evil := "a\x1b[2Jb\x07\u009b31m\r\nc"
	b := newBench(120, 40)
	b.send(batch{{0, Dialling{}}, {0, Started{evil, 1, evil, evil}}}, batch{
		on(0, simulator.Played, "", evil), on(0, simulator.Executed, "set", evil+"="+evil), Event{0, Acted{Says, "", evil}}, Event{0, Asked{Method: evil, URL: evil, Error: evil}}, onLeg(0, evil, simulator.Rings, "", evil),
		{0, Logged{Record: simcall.Record{Message: evil, Fields: []simcall.Field{{Name: evil, Value: evil}}, Traceback: evil}}}, {0, Wired{true, evil}}, {0, Noted{evil}},
		{0, Stepped{luabind.Step{Verb: evil, File: evil, Line: 1}, []string{evil}}},
		{0, Marked{Mark: luabind.Mark{Flow: evil, Step: evil}, Kind: evil}}, {0, Reloaded{2, []string{evil}, []engine.Problem{{File: evil, Message: evil}}}},
	}, tick{0, Hearing{evil, evil, 0, seconds}})
	b.press("w", "t")
	b.send(tea.PasteMsg{Content: evil})
	for _, part := range strings.Split(b.View().Content, "\n") {
		if i := strings.IndexFunc(part, func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 }); i >= 0 {
			t.Errorf("%q", part)
		}
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name string
		keys []string
		want string
	}{
		{"the telephone's keys", []string{"1", "*", "#", "0", "A", "D"}, "press 1; press *; press #; press 0; press A; press D"},
		{"speech", []string{"t", "yes, 1 please", "backspace", "e", "enter", "/", "no", "enter"}, "say yes, 1 please; say no"},
		{"speech taken back", []string{"t", "one", "esc", "1", "t", "enter"}, "press 1"},
		{"speech corrected", []string{"t", "one", "ctrl+u", "two three", "ctrl+w", "four", "enter"}, "say two four"},
		{"hangup and redial", []string{"h", "r"}, "hang up"},
		{"the leg answers", []string{"a"}, "answer uuid-1001"},
		{"it is busy", []string{"b"}, "refuse uuid-1001 USER_BUSY"},
		{"it rejects", []string{"x"}, "refuse uuid-1001 CALL_REJECTED"},
		{"it rings out", []string{"n"}, ""},
		{"the other leg answers", []string{"l", "a"}, "answer uuid-1002"},
		{"in help no key does anything", []string{"?", "h", "1"}, "press 1"},
		{"suspended", []string{"ctrl+z"}, "hang up"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBench(80, 24)
			b.send(begins, bridges, batch{onLeg(5*seconds, "1002", simulator.Rings, "ada", "user/1002")})
			b.press(c.keys...)
			if got := strings.Join(b.pad.told, "; "); got != c.want {
				t.Errorf("it does %q, want %q", got, c.want)
			}
		})
	}
}

// A leg that talks hangs up; one that is gone is nobody's.
func TestLegKeys(t *testing.T) {
	b := newBench(80, 24)
	b.send(begins, bridges, batch{onLeg(6*seconds, "1001", simulator.Answered, "", "")})
	b.press("a", "b", "x")
	b.send(batch{onLeg(7*seconds, "1001", simulator.HungUp, "NORMAL_CLEARING", "")})
	b.press("a", "b", "x", "l", "n")
	if got, want := strings.Join(b.pad.told, "; "), "refuse uuid-1001 NORMAL_CLEARING"; got != want {
		t.Errorf("it does %q, want %q", got, want)
	}
}

func isQuit(cmd tea.Cmd) bool {
	if cmd == nil {
		return false
	}
	_, ok := cmd().(tea.QuitMsg)
	return ok
}

// q hangs up first and leaves when the script has come to its end; a second time leaves at once.
func TestQuit(t *testing.T) {
	for _, key := range []string{"q", "ctrl+c"} {
		b := newBench(80, 24)
		b.send(begins)
		if isQuit(b.press(key)) {
			t.Error(key, "leaves before the caller has hung up")
		}
		if got := strings.Join(b.pad.told, "; "); got != "hang up" {
			t.Errorf("%s does %q", key, got)
		}
		if !strings.Contains(b.shows(), "hanging up") {
			t.Error("it does not show that it waits")
		}
		ended := batch{{5 * seconds, Ended{"the caller hung up", "caller hung up", "ORIGINATOR_CANCEL", false}}}
		if !isQuit(b.send(ended)) {
			t.Error("it does not leave when the call is over")
		}
		b = newBench(80, 24)
		b.send(begins)
		b.press(key)
		if !isQuit(b.press(key)) {
			t.Error("a second", key, "does not leave at once")
		}
		b = newBench(80, 24)
		b.send(begins, ended)
		if !isQuit(b.press(key)) {
			t.Error(key, "does not leave after the call")
		}
	}
}

// A new call begins with an empty screen; what the library says of the scripts stays.
func TestRedial(t *testing.T) {
	b := newBench(120, 40)
	b.send(begins, bridges, reloads, breaks)
	b.press("w")
	made := b.press("r")()
	if made != (redialled{nil}) {
		t.Errorf("redial comes to %v", made)
	}
	if b.press("r") != nil {
		t.Error("a second call is made while one is being made")
	}
	b.send(made)
	b.send(batch{{0, Dialling{}}, {0, Started{"menu", 7, "+15551230000", "9000"}}})
	shown := b.shows()
	for _, gone := range []string{"1001", "department", "presses", "menu.lua changed"} {
		if strings.Contains(shown, gone) {
			t.Errorf("%s is shown still:\n%s", gone, shown)
		}
	}
	for _, stays := range []string{"generation 7", "menu.lua:6:9: syntax error", "wire"} {
		if !strings.Contains(shown, stays) {
			t.Errorf("%s is not shown:\n%s", stays, shown)
		}
	}
	b.pad.err = errors.New("there is no script menu, did you mean many?")
	b.send(b.press("r")())
	if shown := b.shows(); !strings.Contains(shown, "did you mean many?") || !strings.Contains(shown, "○ over") {
		t.Errorf("it does not say why there is no call:\n%s", shown)
	}
}

// Long lists scroll, and rest at their newest line.
func TestScroll(t *testing.T) {
	b := newBench(80, 24)
	b.send(begins)
	var many batch
	for i := range 6000 {
		many = append(many, on(time.Duration(i)*time.Millisecond+seconds, simulator.Played, "", fmt.Sprintf("prompt-%04d.wav", i)))
	}
	b.send(many)
	if len(b.heard) > maxEntries {
		t.Errorf("%d entries are kept", len(b.heard))
	}
	sees := func(name string, want bool) {
		t.Helper()
		if got := strings.Contains(b.shows(), name); got != want {
			t.Errorf("%s is shown: %v\n%s", name, got, b.shows())
		}
	}
	sees("prompt-5999", true)
	b.press("pgup", "pgup")
	sees("prompt-5999", false)
	sees("prompt-5983", true)
	b.press("down")
	sees("prompt-5984", true)
	for range 3000 {
		b.press("pgup")
	}
	sees("prompt-5999", false)
	b.press("end")
	sees("prompt-5999", true)
	b.press("tab", "up") // the script
	if b.scroll[whereP] != 1 {
		t.Error("the pane with the script does not scroll")
	}
}

// Colours only add to what is there: changed variables and errors are marked in words and signs, too.
func TestColoursAddNothing(t *testing.T) {
	b := newBench(80, 24)
	b.send(begins, bridges, breaks)
	bare := b.shows()
	b.style = coloured()
	lines := strings.Split(b.View().Content, "\n")
	var stripped []string
	for _, line := range lines {
		for strings.Contains(line, "\x1b[") {
			before, rest, _ := strings.Cut(line, "\x1b[")
			line = before + rest[strings.IndexByte(rest, 'm')+1:]
		}
		stripped = append(stripped, strings.TrimRight(line, " "))
	}
	if diff := cmp.Diff(bare, strings.Join(stripped, "\n")+"\n"); diff != "" {
		t.Error(diff)
	}
	if !slices.ContainsFunc(lines, func(l string) bool { return strings.Contains(l, "\x1b[") }) {
		t.Error("there are no colours")
	}
}

// The picture in the README is what the screen shows.
func TestPicture(t *testing.T) {
	b := newBench(100, 24)
	prompt := begins[len(begins)-1].What.(Happened)
	prompt.Text = "Welcome to Example. For sales, press one; for our opening hours, press two."
	b.send(begins[:len(begins)-1], batch{{40 * time.Millisecond, prompt}}, bridges, reloads, tick{9500 * time.Millisecond, Hearing{}})
	picture := "```text\n" + b.shows() + "```\n"
	readme, err := os.ReadFile("../../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(readme), picture) {
		t.Errorf("the README does not show this:\n%s", picture)
	}
	for _, k := range Keys {
		manual, err := os.ReadFile("../../../docs/dial.md")
		if err != nil {
			t.Fatal(err)
		}
		for key := range strings.FieldsSeq(strings.NewReplacer(" or ", " ", "0-9", "0", "A-D", "A").Replace(k[0])) {
			if !strings.Contains(string(manual), "`"+key+"`") {
				t.Errorf("docs/dial.md does not explain the key %s", key)
			}
		}
	}
}
