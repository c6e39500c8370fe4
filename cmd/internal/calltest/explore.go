package calltest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

// To explore a flow is to walk it without a test: a simulated call for each way, in which the outcomes of the steps
// are chosen, not waited for. A flow with a loop has no end of ways, so there is
//
//   - a call for each outcome of each step, by the shortest way to the step, and from there by the shortest to an end;
//     one that lies on another's way needs none of its own, nor one that leads on by the same word as another, such as otherwise,
//   - a call for each step that is done by itself: nobody presses a key, everybody who is called answers,
//   - a call for each step in which time passes, in which the caller hangs up there,
//   - and a call for each way from the start to an end that comes to no step twice, up to a bound.
//
// Functions of the script run in all of them. What scripts reach outside is not there: web servers and databases refuse, the
// store is empty.

// DefaultWays bounds the ways without a loop.
const DefaultWays = 500

// ExploreOptions say what is explored.
type ExploreOptions struct {
	Scripts  []string // whose flows; none: all
	Ways     int      // without a loop, at most, in each flow; 0: DefaultWays
	Parallel int
	Timeout  time.Duration // of real time, for one call
	Cover    *Coverage     // counts what they come to; nil: nobody does
	Tell     func(*Explored)

	whole bool // each call runs the whole script: for tests, since it is slow
}

// Explored is what came of a flow.
type Explored struct {
	Flow     string        `json:"flow"`
	Steps    int           `json:"steps"`
	Outcomes int           `json:"outcomes"` // of all steps
	Hangups  int           `json:"hangups"`  // steps in which the caller hung up
	Ways     int           `json:"ways"`     // without a loop
	More     bool          `json:"more"`     // there are more of these than were walked
	Calls    int           `json:"calls"`
	Failures []ExploreFail `json:"failures"`
	Broken   string        `json:"broken,omitempty"` // why it was not explored
}

// An ExploreFail is a way that ends in an error. Of the ways with the same error it is the shortest.
type ExploreFail struct {
	Way     string `json:"way"`
	Error   string `json:"error"`
	Trace   string `json:"trace,omitempty"`
	Others  int    `json:"others"` // ways that end in the same
	length  int
	ordinal int
}

// Explore walks the flows of a library's current snapshot. The error is about scripts that are not there.
func Explore(ctx context.Context, library *engine.Library, o ExploreOptions) ([]*Explored, error) {
	snapshot := library.Snapshot()
	names := o.Scripts
	if len(names) == 0 {
		for _, name := range slices.Sorted(maps.Keys(snapshot.Programs)) {
			if snapshot.Programs[name].Flow() != nil {
				names = append(names, name)
			}
		}
	}
	if o.Ways == 0 {
		o.Ways = DefaultWays
	}
	if o.Parallel <= 0 {
		o.Parallel = runtime.GOMAXPROCS(0)
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	var list []*Explored
	for _, text := range names {
		name, err := engine.ScriptName(text)
		if err != nil {
			return nil, err
		}
		p, _, err := snapshot.Script(name)
		if err != nil {
			return nil, err
		}
		e := &Explored{Flow: name, Failures: []ExploreFail{}}
		if flow := p.Flow(); flow == nil {
			return nil, fmt.Errorf("the script %s returns no flow", name)
		} else {
			e.walk(ctx, library, flow, o)
		}
		list = append(list, e)
		if o.Tell != nil {
			o.Tell(e)
		}
	}
	return list, nil
}

// OK reports whether no way ends in an error.
func (e *Explored) OK() bool { return len(e.Failures) == 0 && e.Broken == "" }

// A turn is a step, and how it is left.
type turn struct{ step, outcome string }

// A way is a call to be made: the turns that are chosen, and what happens in the step after them.
type trip struct {
	turns  []turn
	itself string // the step that is done by itself
	hangup string // the step in which the caller hangs up
}

func (t *trip) String() string {
	var b strings.Builder
	for _, s := range t.turns {
		fmt.Fprintf(&b, "%s -%s-> ", s.step, s.outcome)
	}
	switch {
	case t.hangup != "":
		b.WriteString(t.hangup + ", where the caller hangs up")
	case t.itself != "":
		b.WriteString(t.itself + ", by itself")
	default:
		return strings.TrimSuffix(b.String(), " ")
	}
	return b.String()
}

// A chart is what is known of the ways through a flow.
type chart struct {
	flow *luabind.Flow
	way  map[string][]turn // the shortest from the start to a step
	out  map[string]turn   // the turn on the shortest way from a step to an end; none where there is no end
	far  map[string]int    // how many turns that is

	excerpts *luabind.Excerpts // of the flow's script; nil: calls run all of it
}

func newChart(flow *luabind.Flow) *chart {
	c := &chart{flow: flow, way: map[string][]turn{flow.Start: nil}, out: map[string]turn{}, far: map[string]int{}}
	for queue := []string{flow.Start}; len(queue) > 0; queue = queue[1:] {
		s := flow.Step(queue[0])
		for _, o := range s.Outcomes {
			if _, known := c.way[o.To]; !known && flow.Step(o.To) != nil {
				c.way[o.To] = append(slices.Clip(c.way[s.Name]), turn{s.Name, o.Name})
				queue = append(queue, o.To)
			}
		}
	}
	into := map[string][]turn{}
	var ends []string
	for i := range flow.Steps {
		s := &flow.Steps[i]
		if len(s.Outcomes) == 0 {
			c.far[s.Name] = 0
			ends = append(ends, s.Name)
		}
		for _, o := range s.Outcomes {
			if flow.Step(o.To) != nil {
				into[o.To] = append(into[o.To], turn{s.Name, o.Name})
			} else if _, known := c.far[s.Name]; !known { // a result of the flow
				c.far[s.Name], c.out[s.Name] = 1, turn{s.Name, o.Name}
				ends = append(ends, s.Name)
			}
		}
	}
	for ; len(ends) > 0; ends = ends[1:] {
		for _, t := range into[ends[0]] {
			if _, known := c.far[t.step]; !known {
				c.far[t.step], c.out[t.step] = c.far[ends[0]]+1, t
				ends = append(ends, t.step)
			}
		}
	}
	return c
}

// onward are the turns on the shortest way from a step to an end.
func (c *chart) onward(step string) (turns []turn) {
	for {
		t, ok := c.out[step]
		if !ok {
			return turns
		}
		turns = append(turns, t)
		step = c.outcome(t).To
	}
}

// outcome is what the flow says of a turn.
func (c *chart) outcome(t turn) luabind.FlowOutcome {
	outcomes := c.flow.Step(t.step).Outcomes
	return outcomes[slices.IndexFunc(outcomes, func(o luabind.FlowOutcome) bool { return o.Name == t.outcome })]
}

// trips are the calls to be made.
func (c *chart) trips(e *Explored, bound int) (list []*trip) {
	// The furthest steps first: what lies on the way to them needs no call of its own.
	var steps []*luabind.FlowStep
	for i := range c.flow.Steps {
		if _, reached := c.way[c.flow.Steps[i].Name]; reached {
			steps = append(steps, &c.flow.Steps[i])
		}
	}
	e.Steps = len(steps)
	far := slices.Clone(steps)
	slices.SortStableFunc(far, func(a, b *luabind.FlowStep) int { return len(c.way[b.Name]) - len(c.way[a.Name]) })
	covered := map[turn]bool{} // by the word that leads on
	known := map[string]bool{}
	for _, s := range far {
		for _, o := range s.Outcomes {
			e.Outcomes++
			if covered[turn{s.Name, wordOf(o)}] {
				continue
			}
			t := &trip{turns: append(append(slices.Clip(c.way[s.Name]), turn{s.Name, o.Name}), c.onward(o.To)...)}
			for _, t := range t.turns {
				covered[turn{t.step, wordOf(c.outcome(t))}] = true
			}
			known[t.String()] = true
			list = append(list, t)
		}
	}
	for _, s := range steps {
		list = append(list, &trip{turns: c.way[s.Name], itself: s.Name})
		if s.Waits && len(s.Outcomes) > 0 {
			e.Hangups++
			list = append(list, &trip{turns: c.way[s.Name], hangup: s.Name})
		}
	}
	ways, more := c.simple(bound)
	e.Ways, e.More = len(ways), more
	for _, t := range ways {
		if !known[t.String()] {
			list = append(list, t)
		}
	}
	return list
}

// maxTurns bounds the length of all ways without a loop together.
const maxTurns = 200_000

// simple are the ways from the start to an end that come to no step twice.
func (c *chart) simple(bound int) (list []*trip, more bool) {
	on := map[string]bool{}
	var turns []turn
	total, looked := 0, 0
	var from func(string)
	from = func(name string) {
		// Where most ways lead into loops, looking for the others takes long.
		if looked++; len(list) >= bound || total >= maxTurns || looked > maxTurns {
			more = true
			return
		}
		s := c.flow.Step(name)
		if s == nil || len(s.Outcomes) == 0 {
			list = append(list, &trip{turns: slices.Clone(turns)})
			total += len(turns)
			return
		}
		on[name] = true
		seen := map[string]bool{} // outcomes that lead to the same step make one way
		for _, o := range s.Outcomes {
			if !on[o.To] && !seen[o.To] {
				seen[o.To] = true
				turns = append(turns, turn{name, o.Name})
				from(o.To)
				turns = turns[:len(turns)-1]
			}
		}
		on[name] = false
	}
	from(c.flow.Start)
	return list, more
}

// walk makes the calls.
func (e *Explored) walk(ctx context.Context, library *engine.Library, flow *luabind.Flow, o ExploreOptions) {
	c := newChart(flow)
	if o.Cover == nil && !o.whole { // who counts lines wants them all to run
		c.readExcerpts(library)
	}
	trips := c.trips(e, o.Ways)
	e.Calls = len(trips)
	var mu sync.Mutex
	fails := map[string]*ExploreFail{}
	var next atomic.Int64
	var workers sync.WaitGroup
	for range min(o.Parallel, len(trips)) {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= len(trips) || ctx.Err() != nil {
					return
				}
				for _, err := range c.walk(ctx, library, trips[i], o) {
					f := ExploreFail{Way: trips[i].String(), Error: err.String(), Trace: err.traceback, length: len(trips[i].turns), ordinal: i}
					mu.Lock()
					if known := fails[f.Error]; known == nil {
						fails[f.Error] = &f
					} else {
						known.Others++
						if f.length < known.length || f.length == known.length && f.ordinal < known.ordinal {
							f.Others = known.Others
							*known = f
						}
					}
					mu.Unlock()
				}
			}
		})
	}
	workers.Wait()
	for _, text := range slices.Sorted(maps.Keys(fails)) {
		e.Failures = append(e.Failures, *fails[text])
	}
	slices.SortStableFunc(e.Failures, func(a, b ExploreFail) int { return a.ordinal - b.ordinal })
	if ctx.Err() != nil {
		e.Broken = "it was stopped before all ways were walked"
	}
}

// hangupAfter is how long the caller stays in the step in which they hang up.
const hangupAfter = 100 * time.Millisecond

// longest is how long a call may last that nothing ends: a conference, a queue.
const longest = time.Hour

// readExcerpts reads the flow's script, for calls that need not have all of it.
func (c *chart) readExcerpts(library *engine.Library) {
	snapshot := library.Snapshot()
	p, _, err := snapshot.Script(c.flow.Name)
	if err != nil {
		return
	}
	if text, err := os.ReadFile(filepath.Join(snapshot.Config.Scripts.Root, filepath.FromSlash(p.File))); err == nil {
		c.excerpts = p.Excerpts(text)
	}
}

// needed are the steps that a call comes to, unless it goes astray.
func (c *chart) needed(t *trip) map[string]bool {
	steps := map[string]bool{}
	onward := func(step string) {
		for c.flow.Step(step) != nil && !steps[step] {
			steps[step] = true
			if t, ok := c.out[step]; ok {
				step = c.outcome(t).To
			}
		}
	}
	around := func(step string) {
		onward(step)
		if s := c.flow.Step(step); s != nil {
			for _, o := range s.Outcomes {
				onward(o.To)
			}
		}
	}
	for _, step := range []string{c.flow.Start, c.flow.OnError, c.flow.OnHangup, c.flow.Resume, t.itself, t.hangup} {
		around(step)
	}
	for _, t := range t.turns {
		onward(t.step)
		onward(c.outcome(t).To)
	}
	return steps
}

// walk makes one call, and returns the errors that it ended in. It is made with the steps that it needs. Where that
// ends in an error, it is the error of the call that is made with all of them which counts: the call may have needed another.
func (c *chart) walk(ctx context.Context, library *engine.Library, t *trip, o ExploreOptions) []fault {
	if c.excerpts != nil {
		steps := c.needed(t)
		if len(c.make(ctx, library, t, o, c.excerpts.Of(func(step string) bool { return steps[step] }))) == 0 {
			return nil
		}
	}
	return c.make(ctx, library, t, o, nil)
}

// make makes one call, with an excerpt of the flow's script if there is one, and returns the errors that it ended in.
func (c *chart) make(ctx context.Context, library *engine.Library, t *trip, o ExploreOptions, excerpt *luabind.Program) []fault {
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	b := newBench(ctx, library, o.Cover)
	defer b.close()
	b.fakes.answer("*", "*", []luabind.HTTPAnswer{{How: "gone"}})
	for name := range b.fakes.databases.scripts {
		b.fakes.databases.are(name, "gone")
	}
	g := &guide{chart: c, trip: t, bench: b}
	b.server.Force = g.choose
	if excerpt != nil {
		b.server.Excerpt = func(*luabind.Program) *luabind.Program { return excerpt }
	}
	made, err := b.Call(luabind.TestCall{Script: c.flow.Name, Mode: "async full"})
	if err != nil {
		return []fault{{what: err.Error()}}
	}
	caller := made.(*caller)
	found, err := b.await(longest, caller.done)
	if err == nil && !found {
		caller.hangup("NORMAL_CLEARING", "")
		err = caller.Ends(longest)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil && ctx.Err() == context.DeadlineExceeded {
		err = fmt.Errorf("the call was stopped: it has taken %v of real time", o.Timeout)
	}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		return append(caller.errors, fault{what: err.Error()})
	}
	return caller.errors
}

// A guide chooses the outcomes of a call's steps. Its methods are called on the call's goroutine.
type guide struct {
	*chart
	*trip
	bench *bench
	at    int  // the turns behind
	met   bool // the step after them
}

func (g *guide) choose(uuid, flow, step string, outcomes []string) (string, bool) {
	switch {
	case flow != g.flow.Name: // a flow that a function runs: its steps are done
		return "", false
	case g.at < len(g.turns) && g.turns[g.at].step == step:
		g.at++
		return g.turns[g.at-1].outcome, g.flow.Step(step).Kind != "set"
	case !g.met && step == g.itself:
		g.met = true
		return "", false
	case !g.met && step == g.hangup:
		g.met = true
		g.bench.clock.AfterFunc(hangupAfter, func() {
			if c := g.bench.callers[0]; c.channel != nil {
				c.channel.Hangup("NORMAL_CLEARING")
			}
		})
		return "", false
	case g.met && g.hangup != "":
		return "", false
	}
	if t, ok := g.out[step]; ok {
		return t.outcome, true
	}
	// There is no end from here: only a hangup is one.
	g.bench.clock.AfterFunc(hangupAfter, func() {
		if c := g.bench.callers[0]; c.channel != nil {
			c.channel.Hangup("NORMAL_CLEARING")
		}
	})
	return "", false
}

// Write writes what came of a flow, for people.
func (e *Explored) Write(w io.Writer) {
	word := "ok  "
	if !e.OK() {
		word = "FAIL"
	}
	ways := fmt.Sprintf("%s without a loop", count(e.Ways, "way"))
	if e.More {
		ways = fmt.Sprintf("the first %s without a loop", count(e.Ways, "way"))
	}
	fmt.Fprintf(w, "%s  %s  %s: %s, %s, %s, in %s\n", word, e.Flow, count(e.Steps, "step"), count(e.Outcomes, "outcome"), count(e.Hangups, "hangup"), ways, count(e.Calls, "call"))
	if e.Broken != "" {
		fmt.Fprintf(w, "    %s\n", e.Broken)
	}
	for _, f := range e.Failures {
		fmt.Fprintf(w, "\n    %s\n      on the way %s\n", f.Error, f.Way)
		if f.Others > 0 {
			fmt.Fprintf(w, "      and on %s more\n", count(f.Others, "way"))
		}
	}
}

// WriteJSON writes it for programs, on a line.
func (e *Explored) WriteJSON(w io.Writer) {
	p := &JSONPrinter{Out: w}
	p.print(struct {
		Type string `json:"type"` // explored
		*Explored
	}{"explored", e})
}
