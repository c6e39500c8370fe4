package engine

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"callisto/luabind"
	"callisto/luabind/drawing"
)

var kindNames = map[drawing.Kind]string{
	drawing.Work: "work", drawing.Play: "play", drawing.Ask: "ask", drawing.Decide: "decide", drawing.Connect: "connect",
	drawing.Subflow: "subflow", drawing.End: "end", drawing.Event: "event",
}

// sketch is a graph in lines: steps, and below each the arrows that leave it.
func sketch(g drawing.Graph) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s from %s\n", g.Name, g.Start)
	for _, n := range g.Nodes {
		fmt.Fprintf(&b, "%s (%s: %s)", n.ID, kindNames[n.Kind], n.Text)
		if g.Data != drawing.NoData {
			fmt.Fprintf(&b, " %d, %v", n.Count, n.Spent)
		}
		for _, more := range []string{n.Aside, n.Wrong} {
			if more != "" {
				b.WriteString("; " + more)
			}
		}
		b.WriteString("\n")
		for _, e := range g.Edges {
			if e.From != n.ID {
				continue
			}
			fmt.Fprintf(&b, "  %s > %s", e.Label, e.To)
			if g.Data != drawing.NoData {
				fmt.Fprintf(&b, " %d", e.Count)
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

const supportFlow = `return flow{
  start = "greet", on_error = "sorry", results = { "sold", "left" },
  greet = flow.playback{ "hello.wav", next = "menu" },
  menu = flow.menu{ prompt = "menu.wav", keys = { ["1"] = "pay", ["9"] = "menu" }, otherwise = "desk" },
  pay = flow.subflow{ "lib/pay", paid = "sold", refused = "desk" },
  desk = flow.bridge{ "user/1000", answered = "count", busy = "menu", otherwise = "bye" },
  count = flow.run{ to = { "left" }, function() end },
  sorry = flow.playback{ "sorry.wav", next = "desk", failed = "bye" },
  bye = flow.hangup{},
}`

const payFlow = `return flow{
  start = "card", results = { "paid", "refused" },
  card = flow.gather{ prompt = "card.wav", max = 16, next = "paid", otherwise = "refused" },
}`

var flowScripts = map[string]string{"main.lua": "call:answer()", "support.lua": supportFlow, "lib/pay.lua": payFlow}

func TestDraw(t *testing.T) {
	counts := &Counts{Version: CountsVersion, Flows: map[string]map[string]StepCounts{"support": {
		"greet": {Entered: 10, Outcomes: map[string]uint64{"next": 8, luabind.Abandoned: 2}, Seconds: 20},
		"menu":  {Entered: 9, Resumed: 1, Outcomes: map[string]uint64{"1": 3, "9": 1, "nothing": 4, luabind.Raised: 1, luabind.Broken: 1}},
		"pay":   {Entered: 3, Outcomes: map[string]uint64{"paid": 3}},
		"old":   {Entered: 1},
	}}}
	tests := []struct {
		name     string
		script   string
		text     string // of the script support, where it is not the above
		subflows bool
		over     Overlay
		want     string
		problems []string
	}{
		{name: "a flow", script: "/support.lua", want: `support from greet
greet (play: playback hello.wav)
   > menu
menu (ask: menu menu.wav)
  1 > pay
  9 > menu
  otherwise > desk
pay (subflow: subflow lib/pay)
  paid > sold
  refused > desk
desk (connect: bridge user/1000)
  answered > count
  busy > menu
  otherwise > bye
count (work: run)
   > left
sorry (play: playback sorry.wav)
  next > desk
  failed > bye
bye (end: hangup)
sold (end: result)
left (end: result)
on_error (event: )
   > sorry
`},
		{name: "with its subflows", script: "pay2", text: `return flow{ start = "a", a = flow.subflow{ "lib/pay", paid = "b", refused = "b" }, b = flow.subflow{ "lib/pay", paid = "done", refused = "a" } }`,
			subflows: true, want: `pay2 from a
a (subflow: subflow lib/pay)
  paid > b
  refused > b
b (subflow: subflow lib/pay)
  paid > done
  refused > a
done (end: result)
lib/pay from card
card (ask: gather card.wav)
  next > paid
  otherwise > refused
paid (end: result)
refused (end: result)
`},
		{name: "counts", script: "support", over: Overlay{counts, drawing.Counts}, want: `support from greet
greet (play: playback hello.wav) 10, 20s; 2 hung up
  next > menu 8
  failed > menu 0
menu (ask: menu menu.wav) 10, 0s; 1 failed, 1 cut off, 1 taken over
  1 > pay 3
  9 > menu 1
  nothing > desk 4
  wrong > desk 0
pay (subflow: subflow lib/pay) 3, 0s
  paid > sold 3
  refused > desk 0
desk (connect: bridge user/1000) 0, 0s
  answered > count 0
  busy > menu 0
  no_answer > bye 0
  rejected > bye 0
  failed > bye 0
count (work: run) 0, 0s
  left > left 0
sorry (play: playback sorry.wav) 0, 0s
  next > desk 0
  failed > bye 0
bye (end: hangup) 0, 0s
sold (end: result) 3, 0s
left (end: result) 0, 0s
on_error (event: ) 0, 0s
   > sorry 0
`, problems: []string{"support.lua:1: the counts know a step `old`, which the flow has not: it has changed since"}},
		{name: "counts of others", script: "lib/pay", over: Overlay{counts, drawing.Counts}, want: `lib/pay from card
card (ask: gather card.wav) 0, 0s
  next > paid 0
  nothing > refused 0
  wrong > refused 0
paid (end: result) 0, 0s
refused (end: result) 0, 0s
`, problems: []string{"lib/pay.lua:1: the counts hold nothing of this flow"}},
		{name: "mistakes", script: "wrong", text: `return flow{ start = "a",
a = flow.playback{ "a.wav", next = "b", volum = 3 },
b = flow.menu{ prompt = "b.wav", keys = { ["1"] = "nowhere" }, nothing = "c" },
c = flow.hangup{},
}`, want: "wrong from a\n" +
			"a (play: playback a.wav); flow.playback has no option or outcome `volum`; there are loops, terminators, next, failed\n   > b\n" +
			"b (ask: menu b.wav); no way on for the outcome `wrong`: write otherwise = \"…\"; the outcome `1` leads to the step `nowhere`, which does not exist\n" +
			"  1 > nowhere\n  nothing > c\n" +
			"c (end: hangup)\n",
			problems: []string{
				"wrong.lua:2: step `a`: flow.playback has no option or outcome `volum`; there are loops, terminators, next, failed",
				"wrong.lua:3: step `b`: no way on for the outcome `wrong`: write otherwise = \"…\"",
				"wrong.lua:3: step `b`: the outcome `1` leads to the step `nowhere`, which does not exist",
			}},
		{name: "a step that nothing reaches", script: "lost", text: `return flow{ start = "a",
a = flow.hangup{},
b = flow.hangup{},
}`, want: "lost from a\na (end: hangup)\nb (end: hangup); nothing leads to it\n",
			problems: []string{"lost.lua:3: step `b`: nothing leads to it"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			scripts := map[string]string{}
			for name, text := range flowScripts {
				scripts[name] = text
			}
			if tt.text != "" {
				scripts[tt.script+".lua"] = tt.text
			}
			graphs, problems, err := snapshotOf(t, "", scripts).Draw(tt.script, tt.subflows, tt.over)
			if err != nil {
				t.Fatal(err)
			}
			var got strings.Builder
			for _, g := range graphs {
				got.WriteString(sketch(g))
			}
			if diff := cmp.Diff(tt.want, got.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			var said []string
			for _, p := range problems {
				said = append(said, p.String())
			}
			if diff := cmp.Diff(tt.problems, said); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDrawWhatIsNoFlow(t *testing.T) {
	s := snapshotOf(t, "", map[string]string{"main.lua": "call:answer()", "support.lua": supportFlow, "lib/pay.lua": payFlow,
		"broken.lua": "return flow{", "raises.lua": "error('no')\nreturn flow{}"})
	for script, want := range map[string]string{
		"main":    "the script main is no flow: what can be drawn ends with return flow{ … }",
		"suport":  "there is no script suport, did you mean support?",
		"broken":  "the script broken is broken",
		"raises":  "raises.lua:1",
		"../main": `"../main" is no script name`,
	} {
		if _, _, err := s.Draw(script, false, Overlay{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", script, err, want)
		}
	}
}

// TestStepLooks has each kind of step in the table drawn as what it is for.
func TestStepLooks(t *testing.T) {
	works := map[string]bool{"set": true, "run": true, "http": true, "sql": true}
	for _, k := range luabind.StepKinds {
		if _, ok := stepLooks[k.Name]; ok == (works[k.Name] || k.Ends) {
			t.Errorf("is %s drawn as what it is for? see stepLooks", k.Name)
		}
	}
}

func TestOpenCounts(t *testing.T) {
	var tally Tally
	tally.Mark(luabind.Mark{Flow: "support", Step: "greet"})
	text, err := json.Marshal(tally.Counts())
	if err != nil {
		t.Fatal(err)
	}
	answers := map[string]func(w http.ResponseWriter){
		"/counts": func(w http.ResponseWriter) { w.Write(text) },
		"/text":   func(w http.ResponseWriter) { w.Write([]byte("hello")) },
		"/old":    func(w http.ResponseWriter) { w.Write([]byte(`{"version": 0}`)) },
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answer := answers[r.URL.Path]; answer != nil {
			answer(w)
			return
		}
		http.NotFound(w, r)
	}))
	defer server.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	file := filepath.Join(t.TempDir(), "counts.json")
	if err := os.WriteFile(file, text, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{
		file: "", server.URL: "", server.URL + "/": "", server.URL + "/counts": "",
		server.URL + "/text":                    "these are no counts",
		server.URL + "/old":                     "have version 0",
		server.URL + "/nothing":                 "it answers 404",
		gone.URL:                                "is it the admin.listen of a server that runs?",
		file + "x":                              "no such file",
		strings.TrimPrefix(gone.URL, "http://"): "is written http://127.0.0.1",
		"http://a b":                            "invalid",
	} {
		counts, err := OpenCounts(t.Context(), name)
		switch {
		case want == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case want == "" && counts.Flows["support"]["greet"].Entered != 1:
			t.Errorf("%s: %+v", name, counts)
		case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, not %q", name, err, want)
		}
	}
}

// TestManyStepsAreDrawn draws a flow of 500 steps, which must not take out of proportion to one of 125: 16 times is what
// quadratic work takes.
func TestManyStepsAreDrawn(t *testing.T) {
	took := func(steps int) time.Duration {
		var b strings.Builder
		b.WriteString(`return flow{ start = "s0",`)
		for i := range steps {
			fmt.Fprintf(&b, "s%d = flow.menu{ prompt = \"a.wav\", keys = { [\"1\"] = \"s%d\", [\"2\"] = \"s%d\" }, otherwise = \"bye\" },\n",
				i, min(2*i+1, steps-1), min(2*i+2, steps-1))
		}
		b.WriteString(`bye = flow.hangup{} }`)
		s := snapshotOf(t, "", map[string]string{"main.lua": b.String()})
		best := time.Hour
		for range 2 {
			start := time.Now()
			graphs, _, err := s.Draw("main", true, Overlay{})
			if err != nil {
				t.Fatal(err)
			}
			if n := len(graphs[0].Nodes); n != steps+1 {
				t.Fatalf("%d steps are drawn", n)
			}
			drawing.SVG(graphs...)
			best = min(best, time.Since(start))
		}
		return best
	}
	if few, many := took(125), took(500); many > 32*few {
		t.Errorf("125 steps take %v, 500 steps %v", few, many)
	}
}
