package engine

import (
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"

	"callisto/luabind"
)

// A flowRead is a script that returns a flow, as it was read and checked. It holds as long as the script and all it
// requires stay as they were.
type flowRead struct {
	from     *luabind.Program            // as compiled
	needs    map[string]*luabind.Program // what it requires, and so on down, as compiled
	program  *luabind.Program            // that knows its flow; nil: the flow is wrong
	flow     *luabind.Flow               // right or wrong; nil: there is none
	problems []luabind.FlowProblem
}

// readFlows reads the flows of the scripts that have none of the faults known so far. What has not changed since
// the last snapshot is taken from there.
func (b *build) readFlows(config *Config) {
	b.next.flows = map[string]*flowRead{}
	if config == nil {
		config = b.prev.Config
	}
	limits := luabind.Limits{CPU: config.Limits.CPU, Memory: int(config.Limits.Memory)}
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		p := b.files[name].program
		if p == nil || !p.ReturnsFlow() {
			continue
		}
		needs, good := b.closure(p)
		if !good {
			continue // it is not served anyway, whatever its flow is
		}
		read := b.lastRead(name)
		if read == nil || read.from != p || !maps.Equal(read.needs, needs) {
			read = &flowRead{from: p, needs: needs}
			read.program, read.flow, read.problems = p.ReadFlow(func(name string) *luabind.Program { return needs[name] }, limits)
		}
		b.next.flows[name] = read
		for _, f := range read.problems {
			b.flowProblem(name, f)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b.next.flows)) {
		b.linkFlow(name, b.next.flows[name])
	}
	if dir := config.Scripts.Sounds; dir != "" {
		b.missingSounds(dir)
	}
}

func (b *build) lastRead(name string) *flowRead {
	if b.prev == nil {
		return nil
	}
	return b.prev.flows[name]
}

// closure are the programs that p requires, and so on down, with itself. It is not good if one of them is missing or
// has a fault.
func (b *build) closure(p *luabind.Program) (needs map[string]*luabind.Program, good bool) {
	needs = map[string]*luabind.Program{p.Name: p}
	for queue := []*luabind.Program{p}; len(queue) > 0; queue = queue[1:] {
		if _, bad := b.bad[queue[0].Name]; bad {
			return nil, false
		}
		for _, r := range queue[0].Requires {
			if luabind.IsModule(r.Name) || needs[r.Name] != nil {
				continue
			}
			f := b.files[r.Name]
			if f == nil || f.program == nil {
				return nil, false
			}
			needs[r.Name] = f.program
			queue = append(queue, f.program)
		}
	}
	return needs, true
}

// flowProblem adds what is wrong with a script's flow: a fault that holds the script back, or a warning.
func (b *build) flowProblem(name string, f luabind.FlowProblem) {
	p := Problem{File: f.File, Line: f.Line, Message: f.Message, Warning: f.Warning}
	if p.Warning {
		b.next.Problems = append(b.next.Problems, p)
	} else {
		b.fault(name, p)
	}
}

// linkFlow makes a flow depend on those it runs, and checks what is between them.
func (b *build) linkFlow(name string, read *flowRead) {
	if read.program == nil || read.program.Flow() == nil {
		return
	}
	for _, s := range read.program.Flow().Steps {
		if s.Subflow == "" {
			continue
		}
		if _, ok := b.files[s.Subflow]; ok {
			if !slices.Contains(b.users[s.Subflow], name) {
				b.users[s.Subflow] = append(b.users[s.Subflow], name)
			}
			continue
		}
		b.flowProblem(name, luabind.FlowProblem{File: s.File, Line: s.Line,
			Message: fmt.Sprintf("step `%s`: there is no script %s%s", s.Name, s.Subflow, b.nearFile(s.Subflow))})
	}
	for _, f := range read.program.Flow().CheckSubflows(b.flowProgram) {
		b.flowProblem(name, f)
	}
}

// flowProgram is a script that has no fault, with its flow if it returns one; nil if it has.
func (b *build) flowProgram(name string) *luabind.Program {
	if read := b.next.flows[name]; read != nil {
		return read.program
	}
	f := b.files[name]
	if _, bad := b.bad[name]; bad || f == nil {
		return nil
	}
	return f.program
}

// program is a script as it is served.
func (b *build) program(name string) *luabind.Program {
	if read := b.next.flows[name]; read != nil && read.program != nil {
		return read.program
	}
	return b.files[name].program
}

// missingSounds warns of prompts that are not in the directory of the switch's sounds. They are looked for at every
// build: a recording may come after the flow that plays it.
func (b *build) missingSounds(dir string) {
	looked := map[string]bool{}
	there := func(file string) bool {
		found, ok := looked[file]
		if !ok {
			found = soundExists(dir, file)
			looked[file] = found
		}
		return found
	}
	for _, name := range slices.Sorted(maps.Keys(b.next.flows)) {
		p := b.next.flows[name].program
		if p == nil || p.Flow() == nil || p.Flow().Sounds != "" {
			continue
		}
		for _, s := range p.Flow().Steps {
			for _, file := range s.Files {
				if !there(file) {
					b.next.Problems = append(b.next.Problems, Problem{File: s.File, Line: s.Line, Warning: true,
						Message: fmt.Sprintf("step `%s`: there is no sound %s in %s", s.Name, file, dir)})
				}
			}
		}
	}
}

// soundRates are the directories that the switch looks into beside a file's own, for the rate of the call.
var soundRates = []string{"8000", "16000", "32000", "48000"}

func soundExists(dir, file string) bool {
	if path.IsAbs(file) {
		_, err := os.Stat(file)
		return err == nil
	}
	full := filepath.Join(dir, filepath.FromSlash(file))
	if _, err := os.Stat(full); err == nil {
		return true
	}
	for _, rate := range soundRates {
		if _, err := os.Stat(filepath.Join(filepath.Dir(full), rate, filepath.Base(full))); err == nil {
			return true
		}
	}
	return false
}
