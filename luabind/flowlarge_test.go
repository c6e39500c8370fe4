package luabind_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"callisto/luabind"
)

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
