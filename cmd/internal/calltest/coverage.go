package calltest

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

// A Coverage counts which lines of the scripts have run, and which ways calls took through flows. Its methods may be
// called from any goroutine.
type Coverage struct {
	mu    sync.Mutex
	began time.Time
	lines map[string]map[int]bool // by file
	flows map[string]map[string]engine.StepCounts
}

// NewCoverage returns one that has seen nothing.
func NewCoverage() *Coverage {
	return &Coverage{began: time.Now(), lines: map[string]map[int]bool{}, flows: map[string]map[string]engine.StepCounts{}}
}

func (c *Coverage) line(file string, line int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.lines[file]
	if lines == nil {
		lines = map[int]bool{}
		c.lines[file] = lines
	}
	lines[line] = true
}

func (c *Coverage) mark(_ string, m luabind.Mark) {
	c.mu.Lock()
	defer c.mu.Unlock()
	steps := c.flows[m.Flow]
	if steps == nil {
		steps = map[string]engine.StepCounts{}
		c.flows[m.Flow] = steps
	}
	n := steps[m.Step]
	switch m.Outcome {
	case luabind.Entered:
		n.Entered++
	case luabind.Resumed:
		n.Resumed++
	default:
		if n.Outcomes == nil {
			n.Outcomes = map[string]uint64{}
		}
		n.Outcomes[m.Outcome]++
		n.Seconds += m.Took.Seconds()
	}
	steps[m.Step] = n
}

// WriteCounts writes what calls did in flows, as a server's counters give it: callisto graph --coverage reads it.
func (c *Coverage) WriteCounts(w io.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(engine.Counts{Version: engine.CountsVersion, Since: c.began, Flows: c.flows})
}

// Covered is how much of a script, or of all, the tests have come to.
type Covered struct {
	File   string `json:"file,omitempty"` // none: all of them together
	Lines  int    `json:"lines"`          // that do something
	Ran    int    `json:"ran"`
	Missed []int  `json:"missed"` // the lines that did not run

	Ways     int      `json:"ways"`  // out of the steps of its flow
	Taken    int      `json:"taken"` // those that were
	NotTaken []string `json:"not_taken"`
}

func percent(n, of int) float64 {
	if of == 0 {
		return 100
	}
	return 100 * float64(n) / float64(of)
}

// Percent is how much of the lines ran, or of the ways was taken where that is less.
func (c *Covered) Percent() float64 { return min(percent(c.Ran, c.Lines), percent(c.Taken, c.Ways)) }

// Of tells what ran of each script of a snapshot, by name, and of all of them.
func (c *Coverage) Of(snapshot *engine.Snapshot) (files []Covered, total Covered) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total = Covered{Missed: []int{}, NotTaken: []string{}}
	for _, name := range slices.Sorted(maps.Keys(snapshot.Programs)) {
		p := snapshot.Programs[name]
		f := Covered{File: p.File, Missed: []int{}, NotTaken: []string{}}
		for _, line := range p.Lines() {
			f.Lines++
			if c.lines[p.File][line] {
				f.Ran++
			} else {
				f.Missed = append(f.Missed, line)
			}
		}
		if flow := p.Flow(); flow != nil {
			for i := range flow.Steps {
				s := &flow.Steps[i]
				for _, w := range waysOf(s) {
					f.Ways++
					if w.taken(c.flows[flow.Name][s.Name]) {
						f.Taken++
					} else {
						f.NotTaken = append(f.NotTaken, s.Name+": "+w.name)
					}
				}
			}
		}
		total.Lines += f.Lines
		total.Ran += f.Ran
		total.Ways += f.Ways
		total.Taken += f.Taken
		files = append(files, f)
	}
	return files, total
}

// A way is one way out of a step: an outcome, or several that lead on by the same word, such as otherwise.
type way struct {
	name     string
	outcomes []string
}

// waysOf are the ways out of a step; one that ends the flow has the way of being reached.
func waysOf(s *luabind.FlowStep) (list []way) {
	if len(s.Outcomes) == 0 {
		return []way{{name: "reached"}}
	}
	for _, o := range s.Outcomes {
		name := wordOf(o)
		i := slices.IndexFunc(list, func(w way) bool { return w.name == name })
		if i < 0 {
			i = len(list)
			list = append(list, way{name: name})
		}
		list[i].outcomes = append(list[i].outcomes, o.Name)
	}
	return list
}

// wordOf is the word in the step by which an outcome leads on.
func wordOf(o luabind.FlowOutcome) string {
	if o.Via != "" {
		return o.Via
	}
	return o.Name
}

func (w way) taken(n engine.StepCounts) bool {
	return len(w.outcomes) == 0 && n.Entered > 0 || slices.ContainsFunc(w.outcomes, func(o string) bool { return n.Outcomes[o] > 0 })
}

// Write writes what ran of each script, for people.
func (c *Coverage) Write(w io.Writer, snapshot *engine.Snapshot) {
	files, total := c.Of(snapshot)
	total.File = "all scripts"
	width := len(total.File)
	for _, f := range files {
		width = max(width, len(f.File))
	}
	fmt.Fprintln(w, "\ncoverage: the lines that ran, and the ways out of flows' steps that were taken")
	for _, f := range append(files, total) {
		text := fmt.Sprintf("  %-*s  %5.1f %%  %d of %s", width, f.File, f.Percent(), f.Ran, count(f.Lines, "line"))
		if f.Ways > 0 {
			text += fmt.Sprintf(", %d of %s", f.Taken, count(f.Ways, "way"))
		}
		if len(f.Missed) > 0 {
			text += "; not " + ranges(f.Missed)
		}
		fmt.Fprintln(w, text)
		for i, missed := range f.NotTaken {
			if i == 20 {
				fmt.Fprintf(w, "  %*s  not taken: %d more\n", width, "", len(f.NotTaken)-i)
				break
			}
			fmt.Fprintf(w, "  %*s  not taken: %s\n", width, "", missed)
		}
	}
}

// ranges writes sorted numbers as "3, 7-9".
func ranges(numbers []int) string {
	var parts []string
	for i := 0; i < len(numbers); {
		j := i
		for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(numbers[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", numbers[i], numbers[j]))
		}
		i = j + 1
	}
	if len(parts) > 12 {
		parts = append(parts[:12], "…")
	}
	return strings.Join(parts, ", ")
}

// WriteJSON writes what ran of each script, for programs: an object on each line.
func (c *Coverage) WriteJSON(w io.Writer, snapshot *engine.Snapshot) {
	files, total := c.Of(snapshot)
	p := &JSONPrinter{Out: w}
	for _, f := range append(files, total) {
		p.print(coverageLine{"coverage", f})
	}
}

type coverageLine struct {
	Type string `json:"type"` // coverage
	Covered
}
