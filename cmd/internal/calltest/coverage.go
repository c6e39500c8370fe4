package calltest

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"

	"callisto/engine"
)

// A Coverage counts which lines of the scripts have run. Its methods may be called from any goroutine.
type Coverage struct {
	mu    sync.Mutex
	lines map[string]map[int]bool // by file
}

// NewCoverage returns one that has seen nothing.
func NewCoverage() *Coverage { return &Coverage{lines: map[string]map[int]bool{}} }

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

// A CoveredFile is what ran of a script.
type CoveredFile struct {
	File   string `json:"file"`
	Lines  int    `json:"lines"` // that do something
	Ran    int    `json:"ran"`
	Missed []int  `json:"missed"` // those that did not run
}

// Percent is how much of the lines ran.
func (f CoveredFile) Percent() float64 { return percent(f.Ran, f.Lines) }

func percent(n, of int) float64 {
	if of == 0 {
		return 100
	}
	return 100 * float64(n) / float64(of)
}

// Files is what ran of each script of a snapshot, by name.
func (c *Coverage) Files(snapshot *engine.Snapshot) (files []CoveredFile, total CoveredFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	total.File = "all scripts"
	for _, name := range slices.Sorted(maps.Keys(snapshot.Programs)) {
		p := snapshot.Programs[name]
		f := CoveredFile{File: p.File, Missed: []int{}}
		for _, line := range p.Lines() {
			f.Lines++
			if c.lines[p.File][line] {
				f.Ran++
			} else {
				f.Missed = append(f.Missed, line)
			}
		}
		total.Lines += f.Lines
		total.Ran += f.Ran
		files = append(files, f)
	}
	return files, total
}

// Write writes what ran of each script, for people.
func (c *Coverage) Write(w io.Writer, snapshot *engine.Snapshot) {
	files, total := c.Files(snapshot)
	width := len(total.File)
	for _, f := range files {
		width = max(width, len(f.File))
	}
	fmt.Fprintln(w, "\ncoverage: the lines that ran")
	for _, f := range append(files, total) {
		text := fmt.Sprintf("  %-*s  %5.1f %%  %d of %d", width, f.File, f.Percent(), f.Ran, f.Lines)
		if len(f.Missed) > 0 {
			text += "; not " + ranges(f.Missed)
		}
		fmt.Fprintln(w, text)
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

// WriteCoverageJSON writes what ran of each script, for programs: an object on each line.
func WriteCoverageJSON(w io.Writer, c *Coverage, snapshot *engine.Snapshot) {
	files, total := c.Files(snapshot)
	p := &JSONPrinter{Out: w}
	for _, f := range files {
		p.print(coverageLine{"coverage", f})
	}
	p.print(coverageLine{"coverage", CoveredFile{Lines: total.Lines, Ran: total.Ran, Missed: []int{}}})
}

// A coverageLine is one script's; all of them where no file is named.
type coverageLine struct {
	Type string `json:"type"` // coverage
	CoveredFile
}
