package luabind_test

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

var flowCost = flag.Bool("flowcost", false, "measure flows against scripts")

// The same verbs, as a script and as a flow.
const (
	costSteps  = 10
	costScript = `call:answer()
for _, f in ipairs{ "a.wav", "b.wav", "c.wav", "d.wav", "e.wav", "f.wav", "g.wav", "h.wav", "i.wav", "j.wav" } do call:playback(f) end
call:hangup()`
)

func costFlow() string {
	var b strings.Builder
	b.WriteString("return flow{ start = \"s1\",\n")
	for i := range costSteps {
		fmt.Fprintf(&b, "s%d = flow.playback{ \"%c.wav\", next = \"s%d\" },\n", i+1, 'a'+i, i+2)
	}
	fmt.Fprintf(&b, "s%d = flow.hangup{} }", costSteps+1)
	return b.String()
}

// TestFlowCost prints what a flow costs, as a ratio to a script with the same verbs, in one run: both sides and
// the simulated switch in this process, which makes the ratio smaller; without the switch, as allocations of the engine's side.
func TestFlowCost(t *testing.T) {
	if !*flowCost {
		t.Skip("go test ./luabind -run TestFlowCost -flowcost")
	}
	b := newBench(t, map[string]string{"script": costScript, "flow": costFlow()}, func(c *engine.Config) {})
	b.sw.Clock = simulator.Instant()
	run := func(script string, n int) time.Duration {
		began := time.Now()
		for range n {
			c := b.start(script)
			if _, err := c.Wait(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
		return time.Since(began)
	}
	run("script", 200)
	run("flow", 200)
	var script, flow time.Duration
	for range 20 {
		script += run("script", 100)
		flow += run("flow", 100)
	}
	t.Logf("a call with %d playbacks: script %v, flow %v: ratio %.3f", costSteps, script/2000, flow/2000, float64(flow)/float64(script))
}

// A flow of a thousand steps is read and checked in well under a second.
func TestLargeFlow(t *testing.T) {
	var b strings.Builder
	b.WriteString("return flow{ start = \"s0\",\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "s%d = flow.menu{ prompt = \"%d.wav\", keys = { [\"1\"] = \"s%d\", [\"2\"] = \"s%d\" }, otherwise = \"s%d\" },\n", i, i, (i+1)%1000, (i*7)%1000, (i+500)%1000)
	}
	b.WriteString("}")
	p, err := luabind.Compile("large", []byte(b.String()))
	if err != nil {
		t.Fatal(err)
	}
	read, _, problems := p.ReadFlow(nil, luabind.Limits{CPU: 5 * time.Second, Memory: 32 << 20})
	if len(problems) > 0 || read == nil || len(read.Flow().Steps) != 1000 {
		t.Fatalf("%d problems, the first %v", len(problems), problems[:min(len(problems), 1)])
	}
}

func BenchmarkReadLargeFlow(b *testing.B) {
	var text strings.Builder
	text.WriteString("return flow{ start = \"s0\",\n")
	for i := range 1000 {
		fmt.Fprintf(&text, "s%d = flow.playback{ \"%d.wav\", next = \"s%d\" },\n", i, i, (i+1)%1000)
	}
	text.WriteString("}")
	p, err := luabind.Compile("large", []byte(text.String()))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		p.ReadFlow(nil, luabind.Limits{CPU: 5 * time.Second, Memory: 32 << 20})
	}
}
