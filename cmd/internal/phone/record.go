package phone

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/simulator"
)

// A Recorder writes calls down as a test that passes: what the caller did and heard, how the legs behaved and what web
// servers said, in their order. It is told the events of one call after another, on any goroutine.
type Recorder struct {
	options Options

	mu    sync.Mutex
	takes []*take
}

// NewRecorder is a recorder of calls made with these options.
func NewRecorder(o Options) *Recorder { return &Recorder{options: o} }

// A take is one call of a recording.
type take struct {
	began   time.Time
	script  string
	moments []moment
	cut     bool // there were more
	sounds  map[string]time.Duration
	ways    []*way          // how those behaved who were called, in the order of dialling
	legs    map[string]*way // the same by UUID
	web     []*webServer
	dialled []string
	hungUp  bool   // by the caller
	failure string // the error that the script raised first
	ended   *Ended
}

// A moment is something of the test at its time.
type moment struct {
	at   time.Duration
	what momentKind
	text string // heard, the keys, the words, the hangup cause, or a line of Lua
}

type momentKind int

const (
	hears momentKind = iota
	presses
	saysSo
	leaves
	arranges // the test says how somebody behaves from now on
)

// maxMoments is how much of a call is written down. What is heard for the thousandth time is no test any more.
const maxMoments = 1000

// A way is how somebody behaved who was called.
type way struct {
	target                  string
	was                     simulator.Behaviour // as it was told beforehand
	leg                     bool                // there was somebody to ring
	dialled, answered, over time.Duration       // answered, over: 0 when they are not
	cause                   string
	byHand                  bool // somebody let it hang up
}

// A webServer is what the script asked, and the answers it got.
type webServer struct {
	method, url string
	answers     []string // in Lua
}

// Writable says whether a recording can be written to a file: its name must be one of a test, and nothing is
// overwritten unless force is set.
func Writable(file string, force bool) error {
	if !strings.HasSuffix(file, "_test.lua") {
		return fmt.Errorf("--record %s: the name of a test ends in _test.lua", file)
	}
	if info, err := os.Stat(filepath.Dir(file)); err != nil || !info.IsDir() {
		return fmt.Errorf("--record %s: there is no directory %s", file, filepath.Dir(file))
	}
	switch info, err := os.Stat(file); {
	case errors.Is(err, os.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("--record: %w", err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("--record %s: it is no file", file)
	case !force:
		return fmt.Errorf("--record %s: it is there already; --force overwrites it", file)
	}
	return nil
}

// ready says whether the recording, if there is to be one, can be written.
func (r *Recorder) ready() error {
	if r.options.Record == "" {
		return nil
	}
	return Writable(r.options.Record, r.options.Force)
}

// save writes the recording, if there is to be one, and says what to do with it.
func (r *Recorder) save(stderr io.Writer) error {
	file := r.options.Record
	if file == "" {
		return nil
	}
	calls, err := r.Write(file, r.options.Force)
	if err == nil && calls > 0 {
		fmt.Fprintf(stderr, "recorded in %s; callisto test runs it\n", file)
	}
	return err
}

// Write writes the test. It reports how many calls it holds; without any nothing is written.
func (r *Recorder) Write(file string, force bool) (calls int, err error) {
	if err := Writable(file, force); err != nil {
		return 0, err
	}
	text, calls := r.test()
	if calls == 0 {
		return 0, nil
	}
	f, err := os.CreateTemp(filepath.Dir(file), ".recording-*")
	if err != nil {
		return 0, fmt.Errorf("--record: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Chmod(0o644), f.Close())
	if err == nil && force {
		err = os.Rename(f.Name(), file)
	} else if err == nil {
		err = os.Link(f.Name(), file) // fails where somebody else was faster
	}
	if err != nil {
		return 0, fmt.Errorf("--record: %w", err)
	}
	return calls, nil
}

// Tell notes an event.
func (r *Recorder) Tell(e Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if what, ok := e.What.(Dialling); ok {
		r.takes = append(r.takes, &take{began: what.Time, sounds: map[string]time.Duration{}, legs: map[string]*way{}})
		return
	}
	if len(r.takes) == 0 {
		return
	}
	t := r.takes[len(r.takes)-1]
	if t.ended != nil {
		return
	}
	switch what := e.What.(type) {
	case Started:
		t.script = what.Script
	case Happened:
		if what.Leg != "" {
			t.onLeg(e.At, what)
		} else {
			t.onCaller(e.At, what)
		}
	case Acted:
		t.acted(e.At, what)
	case Asked:
		t.asked(what)
	case Logged:
		if what.Traceback != "" && t.failure == "" {
			t.failure = what.Field("error")
		}
	case Ended:
		t.ended = &what
	}
}

func (t *take) add(at time.Duration, what momentKind, text string) {
	if len(t.moments) >= maxMoments {
		t.cut = true
		return
	}
	t.moments = append(t.moments, moment{at, what, text})
}

func (t *take) onCaller(at time.Duration, h Happened) {
	switch h.Kind {
	case simulator.Played:
		text := h.Data
		if said, ok := strings.CutPrefix(text, "say:"); ok {
			text = said
		} else if h.Length > 0 && h.Length != time.Second {
			t.sounds[text] = h.Length
		}
		if text != "" && !strings.HasPrefix(text, "silence_stream://") { // nobody waits to hear silence
			t.add(at, hears, text)
		}
	case simulator.Said:
		if h.Data != "" {
			t.add(at, hears, h.Data)
		}
	case simulator.Dialled:
		t.dialled = append(t.dialled, h.Data)
		w := &way{target: h.Data, dialled: at, over: at}
		if h.Behaves != nil {
			w.was = *h.Behaves
		}
		t.ways = append(t.ways, w)
	}
}

func (t *take) onLeg(at time.Duration, h Happened) {
	w := t.legs[h.Channel]
	switch h.Kind {
	case simulator.Rings:
		for _, dialled := range t.ways { // the caller's channel has told of it
			if dialled.target == h.Data && !dialled.leg && at-dialled.dialled < 100*time.Millisecond {
				w = dialled
			}
		}
		if w == nil {
			w = &way{target: h.Data, dialled: at}
			t.ways = append(t.ways, w)
		}
		if h.Behaves != nil {
			w.was = *h.Behaves
		}
		w.leg, w.over = true, 0
		t.legs[h.Channel] = w
	case simulator.Answered:
		if w != nil {
			w.answered = at
		}
	case simulator.HungUp:
		if w != nil && w.over == 0 {
			w.over, w.cause = at, h.Name
		}
	}
}

func (t *take) acted(at time.Duration, a Acted) {
	switch {
	case a.Leg != "":
		if w := t.legs[a.Leg]; w != nil && a.Act == HangsUp && w.over == 0 {
			w.byHand = true
		}
	case t.hungUp:
	case a.Act == Presses:
		const together = 150 * time.Millisecond
		if n := len(t.moments); n > 0 && t.moments[n-1].what == presses && at-t.moments[n-1].at < together {
			t.moments[n-1].text += a.Text
			return
		}
		t.add(at, presses, a.Text)
	case a.Act == Says:
		t.add(at, saysSo, a.Text)
	case a.Act == HangsUp:
		t.hungUp = true
		t.add(at, leaves, a.Text)
	}
}

// maxBody is how much of an answer of a web server is written down.
const maxBody = 256 << 10

func (t *take) asked(a Asked) {
	answer := ""
	switch {
	case a.Error == "":
		answer = fmt.Sprintf("{ status = %d", a.Status)
		if a.Type != "" {
			answer += fmt.Sprintf(", headers = { [\"Content-Type\"] = %s }", lua(a.Type))
		}
		answer += ", body = " + lua(a.Body[:min(len(a.Body), maxBody)]) + " }"
	case strings.HasPrefix(a.Error, "timeout"):
		answer = lua("slow")
	default:
		answer = lua("gone")
	}
	for _, s := range t.web {
		if s.method == a.Method && s.url == a.URL {
			if s.answers[len(s.answers)-1] != answer {
				s.answers = append(s.answers, answer)
			}
			return
		}
	}
	t.web = append(t.web, &webServer{a.Method, a.URL, []string{answer}})
}

// lua is how the way is told to test.leg, behind the target; "" for what legs do of which a test says nothing.
func (w *way) lua() string {
	const fuzz = 100 * time.Millisecond
	near := func(a, b time.Duration) bool { return (a - b).Abs() < fuzz }
	byItself := w.byHand || w.answered > 0 && w.was.HangupAfter > 0 && near(w.over-w.answered, w.was.HangupAfter) ||
		w.answered == 0 && w.was.Cause != "" && w.cause == w.was.Cause
	if w.was == simcall.Usual && !w.byHand {
		return ""
	}
	switch {
	case !w.leg && w.was.Cause != "": // there was nobody to ring
		return lua(w.was.Cause)
	case !w.leg:
		return ""
	case w.answered > 0:
		talks := "0s"
		if byItself && w.over > 0 {
			talks = tenths(w.over - w.answered)
		}
		text := fmt.Sprintf("\"answers\", { answers_after = %s, talks = %s", lua(tenths(w.answered-w.dialled)), lua(talks))
		if byItself && w.cause != "" && w.cause != "NORMAL_CLEARING" {
			text += ", cause = " + lua(w.cause)
		}
		if w.was.Presses != "" && !w.byHand {
			text += ", presses = " + lua(w.was.Presses)
		}
		return text + " }"
	case byItself:
		how := w.cause
		if how == "USER_BUSY" {
			how = "busy"
		}
		return fmt.Sprintf("%s, { refuses_after = %s }", lua(how), lua(tenths(w.over-w.dialled)))
	}
	return lua("no_answer")
}

// tenths is a duration in tenths of a second, and at least one.
func tenths(d time.Duration) string {
	return max(d.Round(100*time.Millisecond), 100*time.Millisecond).String()
}

// test is the recording as a test, and how many calls it holds.
func (r *Recorder) test() (text string, calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var b strings.Builder
	for _, t := range r.takes {
		if t.script == "" { // nothing came of it
			continue
		}
		if calls++; calls == 1 {
			fmt.Fprintf(&b, "-- Recorded by callisto dial.\ndescribe(%s, function()\n", lua(t.script))
		}
		r.write(&b, t, calls)
	}
	if calls > 0 {
		b.WriteString("end)\n")
	}
	return b.String(), calls
}

// write writes a call as one test.
func (r *Recorder) write(b *strings.Builder, t *take, number int) {
	line := func(format string, args ...any) { fmt.Fprintf(b, "    "+format+"\n", args...) }
	fmt.Fprintf(b, "  it(%s, function()\n", lua(fmt.Sprintf("call %d: %s", number, t.summary())))
	moments := t.arrange(line)
	for _, file := range slices.Sorted(maps.Keys(t.sounds)) {
		if length := t.sounds[file]; length > 0 {
			line("test.sound(%s, %s)", lua(file), lua(length.Round(10*time.Millisecond).String()))
		}
	}
	for _, s := range t.web {
		line("test.http(%s, %s, %s)", lua(s.method), lua(s.url), strings.Join(s.answers, ", "))
	}
	line("local caller = test.call { %s }", strings.Join(r.call(t), ", "))

	now := time.Duration(0) // of the test
	for i, m := range moments {
		if m.what != hears { // that waits by itself
			wait := (m.at - now).Round(100 * time.Millisecond)
			if i+1 < len(moments) && moments[i+1].at-m.at < 200*time.Millisecond { // not behind what comes next
				wait = (m.at - now).Truncate(10 * time.Millisecond)
			}
			if wait >= 20*time.Millisecond {
				line("caller:waits(%s)", lua(wait.String()))
				now += wait
			}
		}
		switch m.what {
		case hears:
			line("caller:hears(%s)", lua(m.text))
			now = m.at
		case presses:
			line("caller:press(%s)", lua(m.text))
		case saysSo:
			line("caller:says(%s)", lua(m.text))
		case leaves:
			line("caller:hangs_up(%s)", lua(m.text))
		case arranges:
			line("%s", m.text)
		}
	}
	t.end(line)
	b.WriteString("  end)\n")
}

// arrange writes how the legs behave, and returns the moments with those at which one changes its ways.
func (t *take) arrange(line func(string, ...any)) []moment {
	moments := slices.Clone(t.moments)
	latest := map[string]*way{}
	told := map[string]string{}
	for _, w := range t.ways {
		how, before := w.lua(), latest[w.target]
		latest[w.target] = w
		switch {
		case before == nil && how == "", before != nil && told[w.target] == how:
			continue
		case how == "":
			how = "\"answers\"" // as if nothing had been said
		}
		told[w.target] = how
		text := fmt.Sprintf("test.leg(%s, %s)", lua(w.target), how)
		if before == nil {
			line("%s", text)
		} else {
			moments = append(moments, moment{min(before.over, w.dialled), arranges, text})
		}
	}
	slices.SortStableFunc(moments, func(a, b moment) int { return int(a.at - b.at) })
	for i, m := range moments {
		if m.what == leaves { // nothing is heard, or done, behind it
			return moments[:i+1]
		}
	}
	return moments
}

// call are the options of test.call.
func (r *Recorder) call(t *take) []string {
	o := r.options
	list := []string{"script = " + lua(t.script), "number = " + lua(o.Caller), "name = " + lua(o.Name)}
	if o.Number != "9000" {
		list = append(list, "destination = "+lua(o.Number))
	}
	if o.Mode != "async full" {
		mode := o.Mode
		if mode == "" {
			mode = "none"
		}
		list = append(list, "mode = "+lua(mode))
	}
	table := func(words []string, list bool) string {
		var entries []string
		for _, word := range words {
			name, value, named := strings.Cut(word, "=")
			switch {
			case named && isIdentifier(name):
				entries = append(entries, name+" = "+lua(value))
			case named:
				entries = append(entries, "["+lua(name)+"] = "+lua(value))
			case list:
				entries = append(entries, lua(word))
			}
		}
		return "{ " + strings.Join(entries, ", ") + " }"
	}
	if len(o.Args) > 0 {
		list = append(list, "args = "+table(o.Args, true))
	}
	if len(o.Vars) > 0 {
		list = append(list, "vars = "+table(o.Vars, false))
	}
	if !o.Fast || o.Time != "" { // else it is the tests' own time
		list = append(list, "time = "+lua(t.began.UTC().Format("2006-01-02 15:04:05")))
	}
	return list
}

// end is how the call ended.
func (t *take) end(line func(string, ...any)) {
	if t.cut {
		line("-- The call went on: the rest is not recorded.")
	}
	if t.cut || t.ended == nil || t.ended.Ending == "stopped" || t.ended.Ending == "disconnected" {
		if !t.hungUp || t.cut {
			line("caller:hangs_up()")
		}
		return
	}
	switch {
	case t.failure != "":
		line("caller:fails(%s)", lua(t.failure))
	case !t.hungUp:
		line("caller:ends()")
	}
	line("expect(caller.ending):is(%s)", lua(t.ended.Ending))
	if t.ended.Cause != "" {
		line("expect(caller.cause):is(%s)", lua(t.ended.Cause))
	}
	if len(t.dialled) > 0 {
		list := make([]string, len(t.dialled))
		for i, target := range t.dialled {
			list[i] = lua(target)
		}
		line("expect(caller.dialled):is({ %s })", strings.Join(list, ", "))
	}
}

// summary is what the caller does, in a few words.
func (t *take) summary() string {
	var list []string
	for _, m := range t.moments {
		switch m.what {
		case presses:
			list = append(list, m.text)
		case saysSo:
			list = append(list, "says "+m.text)
		case leaves:
			list = append(list, "hangs up")
		}
	}
	switch {
	case len(list) == 0:
		return "listens"
	case len(list) > 5:
		list = append(list[:4:4], "…", list[len(list)-1])
	}
	return simcall.Plain(strings.Join(list, ", "))
}

// lua is a string in Lua.
func lua(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		switch c := text[i]; {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case c == '\n':
			b.WriteString("\\n")
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, "\\%03d", c)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// isIdentifier reports whether a name can stand in a Lua table without brackets.
func isIdentifier(name string) bool {
	switch name {
	case "", "and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local", "nil", "not", "or",
		"repeat", "return", "then", "true", "until", "while":
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") == "" && (name[0] < '0' || name[0] > '9')
}
