package calltest

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const shop = `return flow {
  start = "greet",
  greet = flow.playback { "welcome.wav", next = "ask" },
  ask = flow.menu { prompt = "menu.wav", tries = 1, keys = { ["1"] = "sales", ["2"] = "number", ["0"] = "greet" }, otherwise = "bye" },
  sales = flow.bridge { "user/1001", ring = "5s", answered = "bye", busy = "ask", otherwise = "bye" },
  number = flow.gather { prompt = "number.wav", max = 4, next = "look", otherwise = "bye" },
  look = flow.run { to = { "ask", "bye" }, function(call, data) %s end },
  bye = flow.hangup { "NORMAL_CLEARING" },
}
`

// What is walked is the same each time; what ends in an error is told with the shortest way to it.
func TestExplore(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ name, look, want string }{
		{name: "all is well", look: `data.last = data.number .. "!" return "ask"`, want: "ok    shop  6 steps: 17 outcomes, 4 hangups, 4 ways without a loop, in 18 calls\n"},
		{name: "an error in a function", look: `return data.order.id`, want: `FAIL  shop  6 steps: 17 outcomes, 4 hangups, 4 ways without a loop, in 18 calls

    shop.lua:7: step ` + "`look`" + `: attempt to index a non-table object(nil) with key 'id'
      on the way greet -next-> ask -2-> number -next-> look, by itself
      and on 2 ways more
`},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			library, _ := project(t, map[string]string{"shop.lua": fmt.Sprintf(shop, test.look), "main.lua": ""})
			for range 3 {
				var out strings.Builder
				cover := NewCoverage()
				list, err := Explore(t.Context(), library, ExploreOptions{Cover: cover, Tell: func(e *Explored) { e.Write(&out) }})
				if err != nil || len(list) != 1 {
					t.Fatal(list, err)
				}
				if diff := cmp.Diff(test.want, out.String()); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				if _, total := cover.Of(library.Snapshot()); list[0].OK() && total.Taken != total.Ways {
					t.Errorf("%d of %d ways were taken", total.Taken, total.Ways)
				}
			}
		})
	}
}

func TestExploreLimits(t *testing.T) {
	t.Parallel()
	var many strings.Builder // 2^20 ways
	many.WriteString("return flow { start = \"s0\",\n")
	for i := range 20 {
		fmt.Fprintf(&many, "s%d = flow.menu { prompt = \"m.wav\", tries = 1, keys = { [\"1\"] = \"a%d\" }, otherwise = \"b%d\" },\n", i, i, i)
		next := fmt.Sprintf("s%d", i+1)
		if i == 19 {
			next = "bye"
		}
		fmt.Fprintf(&many, "a%d = flow.playback { \"a.wav\", next = %q }, b%d = flow.playback { \"b.wav\", next = %q },\n", i, next, i, next)
	}
	many.WriteString("bye = flow.hangup { \"NORMAL_CLEARING\" } }")
	library, _ := project(t, map[string]string{
		"many.lua": many.String(), "plain.lua": `call:answer()`,
		"endless.lua": `return flow { start = "a", a = flow.playback { "a.wav", next = "b" }, b = flow.playback { "b.wav", next = "a" } }`,
	})
	list, err := Explore(t.Context(), library, ExploreOptions{Scripts: []string{"many"}, Ways: 30})
	if err != nil || !list[0].OK() || !list[0].More || list[0].Ways != 30 {
		t.Errorf("%+v %v", list, err)
	}
	list, err = Explore(t.Context(), library, ExploreOptions{Scripts: []string{"endless"}})
	if err != nil || !list[0].OK() || list[0].Hangups != 2 || list[0].Ways != 0 {
		t.Errorf("%+v %v", list[0], err)
	}
	for script, want := range map[string]string{"plain": "the script plain returns no flow", "mny": "there is no script mny, did you mean many?", "../x": `"../x"`} {
		if _, err := Explore(t.Context(), library, ExploreOptions{Scripts: []string{script}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", script, err, want)
		}
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	list, err = Explore(stopped, library, ExploreOptions{Scripts: []string{"many"}})
	if err != nil || list[0].OK() {
		t.Errorf("%+v %v", list, err)
	}
}

// A save of a test, or of a script, runs the tests again.
func TestWatch(t *testing.T) {
	t.Parallel()
	library, dir := project(t, map[string]string{"a.lua": `call:answer()`, "a_test.lua": `it("a", function() local c = test.call { script = "a" } c:ends() expect(c.executed):contains("answer") end)`})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	runs := make(chan *Report)
	done := make(chan struct{})
	go func() {
		defer close(done)
		Watch(ctx, library, Options{}, func() {
			r, err := Run(ctx, library, Options{})
			if err != nil {
				t.Error(err)
			}
			select {
			case runs <- r:
			case <-ctx.Done():
			}
		})
	}()
	next := func(passed, failed int) {
		t.Helper()
		late := time.After(20 * time.Second)
		for {
			select {
			case r := <-runs:
				if r.Passed == passed && r.Failed == failed {
					return
				}
			case <-late:
				t.Fatalf("no run with %d passed and %d failed", passed, failed)
			}
		}
	}
	save := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	next(1, 0)
	save("a.lua", `call:pre_answer()`)
	next(0, 1)
	save("a_test.lua", `it("a", function() end) it("b", function() end)`)
	next(2, 0)
	save("b_test.lua", `it("c", function() error("c") end)`)
	next(2, 1)
	cancel()
	<-done
}

// A report in JUnit's form names what failed.
func TestJUnit(t *testing.T) {
	t.Parallel()
	r, _ := run(t, map[string]string{"a_test.lua": `it("a <b>", function() expect("x & y"):is("z") end)`, "b_test.lua": "it("}, Options{})
	var out strings.Builder
	if err := WriteJUnit(&out, r); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`<testsuites tests="2" failures="2"`, `<testcase name="a &lt;b&gt;"`, `<failure message="expected &#34;z&#34;, not &#34;x &amp; y&#34;">`, `syntax error`} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("want %s in\n%s", want, out.String())
		}
	}
}
