package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"callisto/luabind"
	"callisto/luabind/drawing"
)

// stepLooks say what kind of box a step is drawn as. The rest works unnoticed.
var stepLooks = map[string]drawing.Kind{
	"playback": drawing.Play, "say": drawing.Play, "speak": drawing.Play,
	"gather": drawing.Ask, "menu": drawing.Ask, "record": drawing.Ask,
	"branch": drawing.Decide, "hours": drawing.Decide,
	"bridge": drawing.Connect, "queue": drawing.Connect, "conference": drawing.Connect, "voicemail": drawing.Connect,
	"subflow": drawing.Subflow,
}

// An Overlay is what is drawn over a flow. The zero value is nothing.
type Overlay struct {
	Counts *Counts
	Data   drawing.Data
}

// Draw makes of the flow that a script returns what can be drawn, and with subflows of those that it runs, too, in the
// order in which they are met. A flow that is wrong is drawn as far as it goes, with the mistakes in their
// places. The problems are those of the scripts drawn, and what does not fit between them and the counts.
func (s *Snapshot) Draw(script string, subflows bool, over Overlay) (graphs []drawing.Graph, problems []Problem, err error) {
	name, err := ScriptName(script)
	if err != nil {
		return nil, nil, err
	}
	flows := []*luabind.Flow{s.Flow(name)}
	if flows[0] == nil {
		if _, _, err := s.Script(name); err != nil {
			return nil, nil, err
		}
		return nil, nil, fmt.Errorf("the script %s is no flow: what can be drawn ends with return flow{ … }", name)
	}
	for i := 0; subflows && i < len(flows); i++ {
		for _, step := range flows[i].Steps {
			if sub := s.Flow(step.Subflow); sub != nil && !slices.Contains(flows, sub) {
				flows = append(flows, sub)
			}
		}
	}
	files := map[string]bool{}
	for _, flow := range flows {
		graphs = append(graphs, chart(flow, s.Problems, over))
		files[flow.File] = true
		for _, step := range flow.Steps {
			files[step.File] = true
		}
	}
	for _, p := range s.Problems {
		if p.Serving = ""; files[p.File] {
			problems = append(problems, p)
		}
	}
	for _, flow := range flows {
		problems = append(problems, over.doubts(flow)...)
	}
	return graphs, problems, nil
}

// Flow is the flow that a script returns as it is on disk, right or wrong; nil if it returns none that can be read.
func (s *Snapshot) Flow(script string) *luabind.Flow {
	if read := s.flows[script]; read != nil {
		return read.flow
	}
	return nil
}

// chart makes of a flow what can be drawn: its steps, its results, what may happen in any step, and what of the
// problems is a step's.
func chart(flow *luabind.Flow, problems []Problem, over Overlay) drawing.Graph {
	g := drawing.Graph{Name: flow.Name, Start: flow.Start, Data: over.Data}
	counts := over.steps(flow.Name)
	results := map[string]int64{} // those that are reached, and how often
	for _, s := range flow.Steps {
		n := counts[s.Name]
		g.Nodes = append(g.Nodes, drawing.Node{
			ID: s.Name, Kind: look(s), Text: strings.TrimSpace(s.Kind + " " + s.Label), Note: fmt.Sprintf("%s:%d", s.File, s.Line),
			Wrong: wrongWith(s, problems), Opens: s.Subflow,
			Count: int64(n.Entered + n.Resumed), Spent: time.Duration(n.Seconds * float64(time.Second)), Aside: aside(n),
		})
		for _, e := range ways(s, n, over.Data) {
			if slices.Contains(flow.Results, e.To) {
				results[e.To] += e.Count
			}
			g.Edges = append(g.Edges, e)
		}
	}
	for _, r := range flow.Results {
		if n, ok := results[r]; ok {
			g.Nodes = append(g.Nodes, drawing.Node{ID: r, Kind: drawing.End, Text: "result", Count: n})
		}
	}
	for _, event := range [][2]string{{"on_error", flow.OnError}, {"on_hangup", flow.OnHangup}, {"resume", flow.Resume}} {
		if event[1] != "" {
			g.Nodes = append(g.Nodes, drawing.Node{ID: event[0], Kind: drawing.Event})
			g.Edges = append(g.Edges, drawing.Edge{From: event[0], To: event[1]})
		}
	}
	return g
}

func look(s luabind.FlowStep) drawing.Kind {
	if s.Ends {
		return drawing.End
	}
	return stepLooks[s.Kind]
}

// ways are the arrows that leave a step. With counts each outcome has its own label; without, those that take
// their way from another outcome stand under that one's name, and what goes without saying is left out.
func ways(s luabind.FlowStep, n StepCounts, data drawing.Data) (list []drawing.Edge) {
	for _, o := range s.Outcomes {
		if o.To == "" {
			continue // said as a mistake of the step
		}
		e := drawing.Edge{From: s.Name, To: o.To, Label: o.Name, Count: int64(n.Outcomes[o.Name])}
		if data == drawing.NoData {
			if o.Via != "" {
				e.Label = o.Via
			}
			if e.Label == e.To {
				e.Label = ""
			}
			if slices.Contains(list, e) {
				continue
			}
		}
		list = append(list, e)
	}
	if len(list) == 1 && list[0].Label == "next" {
		list[0].Label = ""
	}
	return list
}

// wrongWith is what the problems say of a step, or "".
func wrongWith(s luabind.FlowStep, problems []Problem) string {
	var list []string
	for _, p := range problems {
		if text, ok := strings.CutPrefix(p.Message, "step `"+s.Name+"`: "); ok && p.File == s.File && p.Line == s.Line {
			list = append(list, text)
		}
	}
	return strings.Join(list, "; ")
}

// aside is what the counts of a step tell that no arrow does.
func aside(n StepCounts) string {
	var list []string
	for _, w := range []struct {
		times uint64
		what  string
	}{
		{n.Outcomes[luabind.Abandoned], "hung up"}, {n.Outcomes[luabind.Raised], "failed"},
		{n.Outcomes[luabind.Broken], "cut off"}, {n.Resumed, "taken over"},
	} {
		if w.times > 0 {
			list = append(list, fmt.Sprintf("%d %s", w.times, w.what))
		}
	}
	return strings.Join(list, ", ")
}

func (o Overlay) steps(flow string) map[string]StepCounts {
	if o.Counts == nil {
		return nil
	}
	return o.Counts.Flows[flow]
}

// doubts are what the counts do not share with a flow: they were made of an earlier one, or of others.
func (o Overlay) doubts(flow *luabind.Flow) (list []Problem) {
	warn := func(format string, args ...any) {
		list = append(list, Problem{File: flow.File, Line: flow.Line, Warning: true, Message: fmt.Sprintf(format, args...)})
	}
	if o.Counts == nil {
		return nil
	}
	steps, ok := o.Counts.Flows[flow.Name]
	if !ok {
		warn("the counts hold nothing of this flow")
	}
	for _, name := range slices.Sorted(maps.Keys(steps)) {
		if flow.Step(name) == nil {
			warn("the counts know a step `%s`, which the flow has not: it has changed since", name)
		}
	}
	return list
}

// countsTimeout bounds the wait for a server's counts.
const countsTimeout = 10 * time.Second

// OpenCounts reads counts from a file, or from the admin address of a server where the name is a URL: of its
// /counts, if it names nothing else there.
func OpenCounts(ctx context.Context, name string) (*Counts, error) {
	if !strings.HasPrefix(name, "http://") && !strings.HasPrefix(name, "https://") {
		f, err := os.Open(name)
		if _, _, bad := net.SplitHostPort(name); errors.Is(err, fs.ErrNotExist) && bad == nil {
			return nil, fmt.Errorf("%w: the address of a server is written http://%s", err, name)
		}
		if err != nil {
			return nil, err
		}
		defer f.Close()
		counts, err := ReadCounts(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		return counts, nil
	}
	u, err := url.Parse(name)
	if err != nil {
		return nil, err
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/counts"
	}
	ctx, cancel := context.WithTimeout(ctx, countsTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	// No proxy: the address is near, and nobody else's business.
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("no counts from %s: is it the admin.listen of a server that runs? %w", u, err)
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("no counts from %s: it answers %s", u, answer.Status)
	}
	counts, err := ReadCounts(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", u, err)
	}
	return counts, nil
}
