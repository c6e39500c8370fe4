package engine

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// A modelFile is a script as the test wrote it.
type modelFile struct {
	version  int
	requires []string
	broken   bool
}

// good are the scripts of a tree that are good: they compile, and everything they require,
// and so on down, is there and good.
func goodOf(tree map[string]modelFile) map[string]bool {
	good := map[string]bool{}
	for name, f := range tree {
		good[name] = !f.broken
	}
	for again := true; again; {
		again = false
		for name, f := range tree {
			if good[name] && slices.ContainsFunc(f.requires, func(r string) bool { return !good[r] }) {
				good[name], again = false, true
			}
		}
	}
	return good
}

// served is what a call to name gets in a tree, as resolve says it.
func servedOf(tree map[string]modelFile, name string) string {
	seen := map[string]bool{}
	var visit func(string)
	visit = func(n string) {
		if !seen[n] {
			seen[n] = true
			for _, r := range tree[n].requires {
				visit(r)
			}
		}
	}
	visit(name)
	delete(seen, name)
	out := []string{fmt.Sprintf("%s@%d", name, tree[name].version)}
	for _, n := range slices.Sorted(maps.Keys(seen)) {
		out = append(out, fmt.Sprintf("%s@%d", n, tree[n].version))
	}
	return strings.Join(out, " ")
}

// A thousand random edits, some of them broken, while others read: every script is served as
// it was when it last was good, with all it required then; every snapshot that anyone sees
// hangs together; generations only go up.
func TestRandomEdits(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 0))

	const scripts = 12
	name := func(i int) string { return fmt.Sprintf("s%02d", i) }
	tree := map[string]modelFile{}
	l, dir := newLibrary(t, "[scripts]\ndefault = \"s00\"", map[string]string{"s00.lua": source(1)}, nil)
	tree["s00"] = modelFile{version: 1}
	last := map[string]string{"s00": "s00@1"} // what each script was when it was good
	unsure := map[string]bool{}               // removed: a script that still needs it may keep it

	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			number := uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				s := l.Snapshot()
				if s.Number < number {
					t.Errorf("generation %d after %d", s.Number, number)
					return
				}
				number = s.Number
				for _, n := range s.Names() {
					if _, err := resolve(s, n); err != nil {
						t.Errorf("a snapshot that does not hang together: %v", err)
						return
					}
				}
			}
		})
	}

	edits := 1000
	if testing.Short() {
		edits = 200
	}
	for edit := range edits {
		for range 1 + random.IntN(3) {
			n := name(random.IntN(scripts))
			path := filepath.Join(dir, "scripts", n+".lua")
			if _, ok := tree[n]; ok && random.IntN(8) == 0 && n != "s00" {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				delete(tree, n)
				unsure[n] = true
				continue
			}
			f := modelFile{version: edit + 2, broken: random.IntN(4) == 0}
			for range random.IntN(3) {
				f.requires = append(f.requires, name(random.IntN(scripts)))
			}
			text := source(f.version, f.requires...)
			if f.broken {
				text += "return ("
			}
			write(t, dir, "scripts/"+n+".lua", text)
			tree[n] = f
		}
		s := l.Reload(t.Context())
		good := goodOf(tree)
		for n := range tree {
			if good[n] {
				last[n] = servedOf(tree, n)
				delete(unsure, n)
			}
			got, err := resolve(s, n)
			if want := last[n]; got != want && !unsure[n] {
				t.Fatalf("edit %d, generation %d: %s is served as %q (%v), want %q", edit, s.Number, n, got, err, want)
			}
		}
		for n := range unsure {
			if _, ok := tree[n]; !ok {
				delete(last, n)
			}
		}
	}
	close(stop)
	readers.Wait()
}
