package engine

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"callisto/luabind"
)

// A Snapshot is one generation: a configuration, and the scripts that fit
// together. It is immutable; a call pins it and keeps it to its end.
//
// # Which version of a script is served
//
// A script is good when it compiles and every script it requires, and so on
// down, exists and is good. Programs holds all good scripts as they are on disk. The
// rule for a script that is not good is: it is served from the last generation in which
// it was, together with everything it required then. So whatever a call runs, and
// whatever that requires, was on disk together once and was good together; a call never
// sees a mix, even if a module was changed in the same edit that broke its user.
//
// While nothing it needs has moved on, such a script simply stays in Programs. When
// something has (lib is at its second version, and the broken menu was last good with
// the first), two versions of lib are in use: the calls that run menu get the old
// one, everybody else the new one. Pick returns the script together with the
// programs that its requires find.
//
// A script that was removed is gone, unless the configuration still names it or a
// script that is kept still needs it.
type Snapshot struct {
	// Number is the generation. It counts what is served: an edit that only breaks
	// something changes Problems, not Number.
	Number uint64

	// Config is in effect. What a changed file says of settings that
	// need a restart is not in it.
	Config *Config

	// Programs are the scripts of this generation, by name.
	Programs map[string]*luabind.Program

	// Problems are what is wrong, by file and line.
	Problems []Problem

	// Restart lists the settings that wait for a restart, by key.
	Restart []string

	flows    map[string]*flowRead // the scripts that return a flow
	kept     map[string]kept      // scripts that are not good, but were
	unserved map[string]Problem   // scripts that never were good, and why
}

// A kept script is not good now and is served as it last was.
type kept struct {
	home           // the latest generation it was part of
	good    uint64 // the generation in which it was good
	current bool   // Programs is that home
}

// A home is a script among the programs it fits.
type home struct {
	program  *luabind.Program
	programs map[string]*luabind.Program
}

// Script is the program of a script, and the programs that its requires
// find. The name is canonical. The error is a *NoScriptError.
func (s *Snapshot) Script(name string) (p *luabind.Program, programs map[string]*luabind.Program, err error) {
	if h, ok := s.home(name); ok {
		return h.program, h.programs, nil
	}
	if p, ok := s.unserved[name]; ok {
		return nil, nil, &NoScriptError{Script: name, Problem: &p}
	}
	return nil, nil, &NoScriptError{Script: name, Nearest: s.nearest(name)}
}

func (s *Snapshot) home(name string) (home, bool) {
	if s == nil {
		return home{}, false
	}
	if k, ok := s.kept[name]; ok {
		return k.home, true
	}
	p, ok := s.Programs[name]
	return home{p, s.Programs}, ok
}

// nearest is the served script that name is likely a slip of.
func (s *Snapshot) nearest(name string) string {
	names := slices.Sorted(maps.Keys(s.Programs))
	if near := luabind.Nearest(name, names); near != "" {
		return near
	}
	base := name[strings.LastIndexByte(name, '/')+1:]
	for _, n := range names { // the right file, the wrong directory
		if n == base || strings.HasSuffix(n, "/"+base) {
			return n
		}
	}
	return ""
}

// A build makes the next snapshot.
type build struct {
	prev  *Snapshot // nil: the first
	files map[string]*file

	causes  map[Problem]*cause
	bad     map[string]Problem // scripts that are not good, and why first
	users   map[string][]string
	deleted map[string]bool // scripts without a file that are kept
	next    *Snapshot
}

// A cause is a fault with the scripts it holds back.
type cause struct {
	own        []string // the scripts that have the fault
	dependents []string // the others, which require them
}

// buildSnapshot makes the snapshot that follows prev (nil: the first) from what is on disk
// now. A nil config is one that could not be read: others says why. The result is prev itself if
// nothing changed.
func buildSnapshot(prev *Snapshot, config *Config, restart []string, t *tree, others []Problem) *Snapshot {
	b := &build{
		prev: prev, files: t.files,
		causes:  map[Problem]*cause{},
		bad:     map[string]Problem{},
		users:   map[string][]string{},
		deleted: map[string]bool{},
		next:    &Snapshot{Restart: restart, kept: map[string]kept{}, unserved: map[string]Problem{}},
	}
	b.next.Problems = append(slices.Clone(t.problems), others...)
	b.findFaults()
	b.readFlows(config)
	b.spread()
	b.chooseConfig(config)
	b.serve()
	b.explain()
	b.warn()
	return b.finish()
}

func (b *build) fault(name string, p Problem) {
	c := b.causes[p]
	if c == nil {
		c = &cause{}
		b.causes[p] = c
	}
	c.own = append(c.own, name)
	if _, ok := b.bad[name]; !ok {
		b.bad[name] = p
	}
}

// findFaults finds the scripts that do not compile and the requires that find nothing.
func (b *build) findFaults() {
	for _, name := range slices.Sorted(maps.Keys(b.files)) {
		f := b.files[name]
		if f.program == nil {
			b.fault(name, f.fault)
			continue
		}
		for _, r := range f.program.Requires {
			if luabind.IsModule(r.Name) {
				continue
			}
			if _, ok := b.files[r.Name]; ok {
				b.users[r.Name] = append(b.users[r.Name], name)
				continue
			}
			message := fmt.Sprintf("requires %q, which is neither a script nor a module%s", r.Name, b.nearFile(r.Name))
			if h, ok := b.prev.home(name); ok && h.programs[r.Name] != nil {
				message = fmt.Sprintf("requires %q, which has been removed: bring it back, or take the require out", r.Name)
			}
			b.fault(name, Problem{File: f.program.File, Line: r.Line, Message: message})
		}
	}
}

// spread finds the scripts that require a faulty one.
func (b *build) spread() {
	for p, c := range b.causes {
		seen := map[string]bool{}
		for _, name := range c.own {
			seen[name] = true
		}
		for queue := slices.Clone(c.own); len(queue) > 0; queue = queue[1:] {
			for _, user := range b.users[queue[0]] {
				if !seen[user] {
					seen[user] = true
					queue = append(queue, user)
					c.dependents = append(c.dependents, user)
				}
			}
		}
		slices.Sort(c.dependents)
		for _, name := range c.dependents {
			if q, ok := b.bad[name]; !ok || cmp.Or(cmp.Compare(p.File, q.File), cmp.Compare(p.Line, q.Line)) < 0 {
				b.bad[name] = p
			}
		}
	}
}

// chooseConfig takes the new configuration if every script it names can be
// served, and keeps the one in effect otherwise. The first one is taken as it is.
func (b *build) chooseConfig(config *Config) {
	prev := b.prev
	if prev != nil && (config == nil || config.hash == prev.Config.hash) {
		config = prev.Config
	}
	if prev != nil && config != prev.Config {
		if faults := b.unservable(config); len(faults) > 0 {
			for i := range faults {
				faults[i].Serving = stillServing(prev.Number)
			}
			b.next.Problems = append(b.next.Problems, faults...)
			b.next.Restart = prev.Restart
			config = prev.Config
		}
	}
	b.next.Config = config
	for _, n := range config.scriptNames() {
		if b.files[n.script] != nil {
			continue
		}
		if _, served := b.prev.home(n.script); served {
			b.deleted[n.script] = true
			b.next.Problems = append(b.next.Problems, n.problem("has been removed", stillServing(b.goodGeneration(n.script))))
		} else {
			b.next.Problems = append(b.next.Problems, n.problem("does not exist"+b.nearFile(n.script), "its calls fail"))
		}
	}
}

// unservable says which of the scripts that a configuration names have no good
// version, neither now nor earlier.
func (b *build) unservable(config *Config) (faults []Problem) {
	for _, n := range config.scriptNames() {
		if _, served := b.prev.home(n.script); served {
			continue
		}
		if b.files[n.script] == nil {
			faults = append(faults, n.problem("does not exist"+b.nearFile(n.script), ""))
		} else if _, bad := b.bad[n.script]; bad {
			faults = append(faults, n.problem("is broken", ""))
		}
	}
	return faults
}

func (b *build) nearFile(name string) string {
	return didYouMean(luabind.Nearest(name, slices.Sorted(maps.Keys(b.files))))
}

// A scriptName is a place in the configuration that names a script.
type scriptName struct {
	who, script, file string
	line              int
}

func (c *Config) scriptNames() []scriptName {
	var names []scriptName
	for i, r := range c.Routes {
		names = append(names, scriptName{fmt.Sprintf("route %d", i+1), r.Script, c.File, r.scriptLine})
	}
	return append(names, scriptName{"scripts.default", c.Scripts.Default, c.File, c.defaultLine})
}

func (n scriptName) problem(what, serving string) Problem {
	return Problem{File: n.file, Line: n.line, Message: fmt.Sprintf("%s runs the script %s, which %s", n.who, n.script, what), Serving: serving}
}

func stillServing(generation uint64) string {
	return fmt.Sprintf("still serving generation %d", generation)
}

// goodGeneration is the one in which a script that was served before was good.
func (b *build) goodGeneration(name string) uint64 {
	if k, ok := b.prev.kept[name]; ok {
		return k.good
	}
	return b.prev.Number
}

// serve fills Programs with what is good, and keeps what is not and was.
func (b *build) serve() {
	programs := make(map[string]*luabind.Program, len(b.files))
	for name := range b.files {
		if _, bad := b.bad[name]; !bad {
			programs[name] = b.program(name)
		}
	}
	b.next.Programs = programs
	var names []string
	for name, p := range b.bad {
		if _, ok := b.prev.home(name); ok {
			names = append(names, name)
		} else {
			b.next.unserved[name] = p
		}
	}
	for name := range b.deleted {
		names = append(names, name)
	}
	slices.Sort(names) // where two exclude each other, it is always the same that fits
	for _, name := range names {
		h, _ := b.prev.home(name)
		k := kept{home: h, good: b.goodGeneration(name)}
		if needs := needed(h); b.fits(needs) {
			maps.Copy(programs, needs)
			k.home, k.current = home{h.program, programs}, true
		}
		b.next.kept[name] = k
	}
	if b.prev != nil && maps.Equal(programs, b.prev.Programs) {
		b.next.Programs = b.prev.Programs
		for name, k := range b.next.kept {
			if k.current {
				k.programs = b.prev.Programs
				b.next.kept[name] = k
			}
		}
	}
}

// needed are the programs that h's program requires, and so on down, with itself.
func needed(h home) map[string]*luabind.Program {
	needs := map[string]*luabind.Program{h.program.Name: h.program}
	for queue := []*luabind.Program{h.program}; len(queue) > 0; queue = queue[1:] {
		for _, r := range queue[0].Requires {
			if p := h.programs[r.Name]; p != nil && needs[r.Name] == nil && !luabind.IsModule(r.Name) {
				needs[r.Name] = p
				queue = append(queue, p)
			}
		}
	}
	return needs
}

// fits reports whether needs can join Programs: each is the version that is there, or the
// last good one of a script that is not.
func (b *build) fits(needs map[string]*luabind.Program) bool {
	for name, p := range needs {
		q, ok := b.next.Programs[name]
		if !ok {
			var h home
			if h, ok = b.prev.home(name); ok {
				q = h.program
			}
		}
		if ok && q != p {
			return false
		}
	}
	return true
}

// explain adds the faults to the problems, each with what is served meanwhile.
func (b *build) explain() {
	for p, c := range b.causes {
		p.Serving = b.serving(c)
		b.next.Problems = append(b.next.Problems, p)
	}
}

func (b *build) serving(c *cause) string {
	var keep, lose []string
	for _, name := range c.dependents {
		if _, ok := b.next.kept[name]; ok {
			keep = append(keep, name)
		} else {
			lose = append(lose, name)
		}
	}
	var text string
	if k, ok := b.next.kept[c.own[0]]; ok {
		text = stillServing(k.good)
		if len(keep) > 0 {
			text += ", to " + some(keep) + " too, which " + plural(keep, "requires", "require") + " it"
		}
	} else {
		text = "not served"
		if len(keep) > 0 {
			text += ", and " + some(keep) + " " + plural(keep, "stays", "stay") + " at an earlier generation"
		}
	}
	if len(lose) > 0 {
		text += ", and " + some(lose) + " " + plural(lose, "is", "are") + " not served without it"
	}
	return text
}

// some is a list of names, cut short.
func some(names []string) string {
	const most = 4
	if len(names) > most+1 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
	}
	return join(names)
}

func plural(names []string, one, many string) string {
	if len(names) == 1 {
		return one
	}
	return many
}

// warn adds what holds nothing back: circles of requires, names that hide, routes that no
// call reaches.
func (b *build) warn() {
	b.next.Problems = append(b.next.Problems, circles(b.files)...)
	for name, f := range b.files {
		if f.program != nil && luabind.IsModule(name) {
			b.next.Problems = append(b.next.Problems, Problem{File: f.program.File, Warning: true,
				Message: fmt.Sprintf("has the name of a module: require %q finds the module, rename the script", name)})
		}
	}
	b.next.Problems = append(b.next.Problems, findings(b.files)...)
	c := b.next.Config
	b.next.Problems = append(b.next.Problems, b.configFindings(c)...)
	for i, r := range c.Routes[:max(len(c.Routes)-1, 0)] {
		if r.Context == "" && r.Number.all() && r.Caller.all() {
			b.next.Problems = append(b.next.Problems, Problem{File: c.File, Line: c.Routes[i+1].Line, Warning: true,
				Message: fmt.Sprintf("no call reaches route %d: route %d before it matches every call", i+2, i+1)})
			break
		}
	}
}

// findings are the mistakes that can be seen in scripts that compile. They hold nothing back: a script that
// fails in one of its branches is still what its author saved.
func findings(files map[string]*file) (list []Problem) {
	sets := map[string]bool{} // a global may be set by a script that requires the one that reads it
	for _, f := range files {
		if f.program != nil {
			for _, name := range f.program.Sets {
				sets[name] = true
			}
		}
	}
	known := slices.Sorted(maps.Keys(sets))
	for _, f := range files {
		if f.program == nil {
			continue
		}
		found := slices.Clone(f.program.Findings)
		for _, u := range f.program.Reads {
			if !sets[u.Name] {
				found = append(found, u.Undefined(known))
			}
		}
		for _, m := range found {
			list = append(list, Problem{File: f.program.File, Line: m.Line, Message: m.Message, Warning: true, Mistake: !m.Doubt})
		}
	}
	return list
}

// finish numbers the snapshot, or finds that it is the previous one.
func (b *build) finish() *Snapshot {
	s, prev := b.next, b.prev
	sortProblems(s.Problems)
	s.Problems = slices.Compact(s.Problems)
	if prev == nil {
		s.Number = 1
		return s
	}
	s.Number = prev.Number
	if s.Config != prev.Config || !maps.Equal(s.Programs, prev.Programs) || !maps.EqualFunc(s.apart(), prev.apart(), home.same) {
		s.Number++
		return s
	}
	if slices.Equal(s.Problems, prev.Problems) && slices.Equal(s.Restart, prev.Restart) && maps.Equal(s.unserved, prev.unserved) {
		return prev
	}
	return s
}

// apart are the kept scripts that do not fit in Programs.
func (s *Snapshot) apart() map[string]home {
	homes := map[string]home{}
	for name, k := range s.kept {
		if !k.current {
			homes[name] = k.home
		}
	}
	return homes
}

func (h home) same(g home) bool { return h.program == g.program && maps.Equal(h.programs, g.programs) }
