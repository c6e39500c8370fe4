package calltest

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"callisto/engine"
)

// randomFlow is a flow of n steps, some of which have mistakes.
func randomFlow(r *rand.Rand, n int) string {
	var b strings.Builder
	b.WriteString("local sounds = { hello = 'hello.wav' }\nlocal n = 0\nlocal function bump() n = n + 1 return n end\nreturn flow {\n  start = 's0',\n")
	step := func() string { return fmt.Sprintf("s%d", r.IntN(n)) }
	forward := func(i int) string { // where nobody is waited for there may be no loop
		if i == n-1 {
			return "bye"
		}
		return fmt.Sprintf("s%d", i+1+r.IntN(n-1-i))
	}
	if r.IntN(3) == 0 {
		fmt.Fprintf(&b, "  on_error = %q,\n", step())
	}
	if r.IntN(3) == 0 {
		b.WriteString("  on_hangup = 'gone', gone = flow.run { to = { 'gone2', 'done' }, function(call, data) data.gone = bump() return data.number and 'gone2' or 'done' end },\n")
		b.WriteString("  gone2 = flow.run { to = { 'done' }, function(call, data) return data.none.y end },\n")
	}
	for i := range n {
		fmt.Fprintf(&b, "  s%d = ", i)
		switch r.IntN(8) {
		case 0:
			fmt.Fprintf(&b, "flow.playback { sounds.hello, next = %q },\n", step())
		case 1:
			fmt.Fprintf(&b, "flow.menu { prompt = 'a' .. '.wav', tries = 1, keys = { ['1'] = %q, ['2'] = %q }, otherwise = %q },\n", step(), step(), step())
		case 2:
			fmt.Fprintf(&b, "flow.gather { prompt = 'n.wav', max = 4, into = 'number', next = %q, otherwise = %q },\n", step(), step())
		case 3:
			fmt.Fprintf(&b, "flow.bridge { 'user/1001', ring = '5s', answered = %q, otherwise = %q },\n", step(), step())
		case 4:
			fmt.Fprintf(&b, "flow.run { to = { %q, 'bye' }, waits = true, function(call, data) data.n = bump() if data.number then return nil + 1 end return 'bye' end },\n", step())
		case 5:
			fmt.Fprintf(&b, "flow.run { to = { %q, 'bye' }, waits = true, function(call, data) if bump() > %d then return data.none.x end call:playback('x.wav') return 'bye' end },\n", step(), i%2)
		case 6:
			fmt.Fprintf(&b, "flow.set { data = { tries = '{number}' }, vars = { v = 'a' }, next = %q },\n", forward(i))
		default:
			fmt.Fprintf(&b, "flow.branch { on = 'number', cases = { ['1'] = %q }, otherwise = 'bye' },\n", forward(i))
		}
	}
	b.WriteString("  bye = flow.hangup {},\n}\n")
	return b.String()
}

// Calls that run only the steps that they need find what calls find that run the whole script.
func TestExcerptsFindTheSame(t *testing.T) {
	t.Parallel()
	same := func(t *testing.T, library *engine.Library) (failures int) {
		t.Helper()
		var lists [2][]*Explored
		for i := range lists {
			list, err := Explore(t.Context(), library, ExploreOptions{Ways: 10, whole: i == 0})
			if err != nil {
				t.Fatal(err)
			}
			lists[i] = list
		}
		if diff := cmp.Diff(lists[0], lists[1], cmpopts.IgnoreUnexported(ExploreFail{})); diff != "" {
			t.Errorf("(-whole +excerpts):\n%s", diff)
		}
		for _, e := range lists[0] {
			failures += len(e.Failures)
		}
		return failures
	}
	config, err := engine.LoadConfig("../../../examples/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	library, err := engine.NewLibrary(t.Context(), config, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	same(t, library)
	flows, failures := 0, 0
	for seed := range uint64(12) {
		text := randomFlow(rand.New(rand.NewPCG(seed, 1)), 4+int(seed)/2)
		library, _ := project(t, map[string]string{"random.lua": text})
		if len(library.Snapshot().Programs) == 0 {
			continue
		}
		flows++
		failures += same(t, library)
	}
	if flows < 8 || failures < 10 {
		t.Errorf("only %d flows could be explored, with %d failures", flows, failures)
	}
}
