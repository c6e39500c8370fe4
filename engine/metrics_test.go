package engine

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"callisto/luabind"
	"callisto/simulator"
)

// samples are the values of our own metrics, as name{label="value"}; a histogram has _count and _sum.
func (s *Server) samples(t testing.TB) map[string]float64 {
	t.Helper()
	s.init()
	families, err := s.registry().Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "callisto_") {
			continue
		}
		for _, m := range f.Metric {
			var labels []string
			for _, l := range m.Label {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			of := ""
			if len(labels) > 0 {
				of = "{" + strings.Join(labels, ",") + "}"
			}
			switch {
			case m.Counter != nil:
				values[f.GetName()+of] = m.Counter.GetValue()
			case m.Gauge != nil:
				values[f.GetName()+of] = m.Gauge.GetValue()
			case m.Histogram != nil:
				values[f.GetName()+"_count"+of] = float64(m.Histogram.GetSampleCount())
				values[f.GetName()+"_sum"+of] = m.Histogram.GetSampleSum()
			}
		}
	}
	return values
}

// ready waits until calls are taken, and returns the samples.
func (h *house) ready() map[string]float64 {
	h.t.Helper()
	for h.server.serving.Load() == 0 {
		runtime.Gosched()
	}
	return h.server.samples(h.t)
}

// moved are the samples that differ, with the difference; those of time are left out.
func moved(before, after map[string]float64) map[string]float64 {
	diff := map[string]float64{}
	for name, v := range after {
		if d := v - before[name]; d != 0 && !strings.Contains(name, "seconds_sum") && !strings.Contains(name, "seconds_total") {
			diff[name] = d
		}
	}
	return diff
}

// Every end of a call moves its own counter, and no other.
func TestEveryEndingIsCounted(t *testing.T) {
	tests := []struct {
		name, config, script string
		do                   func(h *house, c *simulator.Channel) // once it plays
		ending, cause        string
		verbs                float64
	}{
		{name: "returned", script: `call:answer()`, ending: "returned", cause: "NORMAL_CLEARING", verbs: 1},
		{name: "hung up", script: `call:hangup("USER_BUSY")`, ending: "hung up by script", cause: "USER_BUSY", verbs: 1},
		{name: "the caller hangs up", script: `call:playback("long.wav")`, do: func(_ *house, c *simulator.Channel) { c.Hangup("ORIGINATOR_CANCEL") }, ending: "caller hung up", cause: "ORIGINATOR_CANCEL", verbs: 1},
		{name: "transferred", script: `call:transfer("2000", "XML", "default")`, ending: "transferred", verbs: 1},
		{name: "an error", script: `error("oops")`, ending: "script error", cause: "NORMAL_TEMPORARY_FAILURE"},
		{name: "too much computing", config: "[limits]\ncpu = \"1ms\"\n", script: `while true do end`, ending: "over limit", cause: "NORMAL_TEMPORARY_FAILURE"},
		{name: "too long", config: "[limits]\ncall = \"1s\"\n", script: `call:playback("long.wav")`, ending: "timed out", cause: "ALLOTTED_TIMEOUT", verbs: 1},
		{name: "the engine stops", script: `call:playback("long.wav")`, do: func(h *house, _ *simulator.Channel) { h.server.Close() }, ending: "stopped", verbs: 1},
		{name: "the switch dies", script: `call:playback("long.wav")`, do: func(_ *house, c *simulator.Channel) { c.Drop() }, ending: "disconnected", verbs: 1},
	}
	seen := map[string]bool{}
	for _, tt := range tests {
		seen[tt.ending] = true
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, tt.config, map[string]string{"main.lua": tt.script}, nil)
			before := h.ready()
			c := h.call("main", "async full")
			if tt.do != nil {
				h.log.awaitOf(t, "switch played", c.UUID)
				if n := h.server.samples(t)["callisto_calls_running"]; n != 1 {
					t.Errorf("%v calls run", n)
				}
				tt.do(h, c)
			}
			h.log.awaitOf(t, "call ended", c.UUID)
			h.server.Close() // so that none runs, not even a little
			want := map[string]float64{
				`callisto_calls_started_total{script="main"}`:                            1,
				`callisto_calls_ended_total{ending="` + tt.ending + `",script="main"}`:   1,
				`callisto_call_duration_seconds_count`:                                   1,
				`callisto_call_verbs_count`:                                              1,
				`callisto_call_verbs_sum`:                                                tt.verbs,
				`callisto_ready`:                                                         -1,
				`callisto_hangup_causes_total{cause="` + cmp.Or(tt.cause, "none") + `"}`: 1,
			}
			delete(want, `callisto_hangup_causes_total{cause="none"}`)
			if tt.verbs == 0 {
				delete(want, `callisto_call_verbs_sum`)
			}
			after := h.server.samples(t)
			if diff := gocmp.Diff(want, moved(before, after)); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
			if took := after[`callisto_call_seconds_total{script="main"}`]; took <= 0 || took != after["callisto_call_duration_seconds_sum"] {
				t.Errorf("the call took %v s by its script, %v by the histogram", took, after["callisto_call_duration_seconds_sum"])
			}
		})
	}
	for e := luabind.Returned; e <= luabind.Disconnected; e++ {
		if !seen[e.String()] {
			t.Errorf("no call of the test ended as %q", e)
		}
	}
}

// What is not the end of a call.
func TestOtherThingsAreCounted(t *testing.T) {
	tests := []struct {
		name, config string
		do           func(h *house)
		want         map[string]float64
	}{
		{"a call without a script", "", func(h *house) {
			c := h.call("no/such", "async full")
			h.log.awaitOf(h.t, "call ended", c.UUID)
			h.log.until(h.t, func() bool { return h.log.of("switch ended", c.UUID) != nil })
			h.server.Close()
		}, map[string]float64{
			`callisto_calls_started_total{script="(none)"}`:                     1,
			`callisto_calls_ended_total{ending="script error",script="(none)"}`: 1,
			`callisto_hangup_causes_total{cause="NORMAL_TEMPORARY_FAILURE"}`:    1,
			`callisto_call_duration_seconds_count`:                              1,
			`callisto_call_verbs_count`:                                         1,
			`callisto_ready`:                                                    -1,
		}},
		{"one call too many", "[server]\nmax_calls = 1\n", func(h *house) {
			first := h.call("beside", "async full")
			h.log.awaitOf(h.t, "switch played", first.UUID)
			h.outcome(h.call("main", "async full"))
		}, map[string]float64{
			`callisto_calls_running`:                            1,
			`callisto_calls_started_total{script="beside"}`:     1,
			`callisto_connections_refused_total{reason="full"}`: 1,
			`callisto_ready`:                                    -1,
		}},
		{"not a switch", "", func(h *house) {
			nc, err := net.Dial("tcp", h.addr)
			if err != nil {
				h.t.Fatal(err)
			}
			nc.Close()
			h.log.await(h.t, "a connection brought no call")
		}, map[string]float64{`callisto_connections_refused_total{reason="no call"}`: 1}},
		{"from elsewhere", "[server]\nallow = [\"192.0.2.1\"]\n", func(h *house) {
			h.closedAtOnce()
		}, map[string]float64{`callisto_connections_refused_total{reason="not allowed"}`: 1}},
		{"a reload", "", func(h *house) {
			write(h.t, h.dir, "scripts/new.lua", "call:answer()")
			h.library.Reload(context.Background())
		}, map[string]float64{`callisto_generation`: 1, `callisto_reloads_total`: 1, `callisto_scripts`: 1}},
		{"a script breaks", "", func(h *house) {
			write(h.t, h.dir, "scripts/main.lua", "call:answer(")
			h.library.Reload(context.Background())
		}, map[string]float64{`callisto_reload_failures_total`: 1, `callisto_problems{level="error"}`: 1}},
		{"a script hides", "", func(h *house) {
			write(h.t, h.dir, "scripts/log.lua", "return {}")
			h.library.Reload(context.Background())
		}, map[string]float64{`callisto_generation`: 1, `callisto_reloads_total`: 1, `callisto_scripts`: 1, `callisto_problems{level="warning"}`: 1}},
		{"the configuration", "", func(h *house) {
			write(h.t, h.dir, "config.toml", "[server]\nmax_calls = 10001\n[admin]\nlisten = \"\"\n")
			h.library.Reload(context.Background())
		}, map[string]float64{`callisto_generation`: 1, `callisto_reloads_total`: 1, `callisto_calls_limit`: 1, `callisto_settings_waiting`: 1}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			h := newHouse(t, tt.config, nil, nil)
			before := h.ready()
			tt.do(h)
			if diff := gocmp.Diff(tt.want, moved(before, h.server.samples(t))); diff != "" {
				t.Errorf("(-want +got)\n%s", diff)
			}
		})
	}
}

// The events that a script did not keep up with, and the marks of flows.
func TestRecord(t *testing.T) {
	library, _ := newLibrary(t, "", map[string]string{"main.lua": "call:answer()"}, nil)
	s := &Server{Library: library}
	s.init()
	before := s.samples(t)
	began := time.Now()
	c := s.record.started("uuid", "main", 1, began)
	for _, m := range []luabind.Mark{
		{Flow: "main", Step: "greet"},
		{Flow: "main", Step: "greet", Outcome: "next", Took: 2 * time.Second},
		{Flow: "main", Step: "menu"},
		{Flow: "main", Step: "menu", Outcome: luabind.Abandoned, Took: 3 * time.Second},
	} {
		c.mark(m)
	}
	if at := c.at.Load(); at.flow != "main" || at.step != "menu" {
		t.Errorf("the call is at %v", at)
	}
	c.ended(luabind.Outcome{Ending: luabind.CallerHungUp, Verbs: 7}, time.Minute, 40)
	c.ended(luabind.Outcome{Ending: luabind.Failed}, time.Minute, 40) // a second end is none
	d := s.record.started("uuid 2", "main", 1, began)
	d.mark(luabind.Mark{Flow: "main", Step: "menu", Outcome: luabind.Resumed})

	want := map[string]float64{
		`callisto_calls_started_total{script="main"}`:                                2,
		`callisto_calls_ended_total{ending="caller hung up",script="main"}`:          1,
		`callisto_call_duration_seconds_count`:                                       1,
		`callisto_call_verbs_count`:                                                  1,
		`callisto_call_verbs_sum`:                                                    7,
		`callisto_events_dropped_total`:                                              40,
		`callisto_flow_steps_entered_total{flow="main",step="greet"}`:                1,
		`callisto_flow_steps_entered_total{flow="main",step="menu"}`:                 1,
		`callisto_flow_steps_resumed_total{flow="main",step="menu"}`:                 1,
		`callisto_flow_steps_left_total{flow="main",outcome="next",step="greet"}`:    1,
		`callisto_flow_steps_left_total{flow="main",outcome="(hangup)",step="menu"}`: 1,
	}
	after := s.samples(t)
	if diff := gocmp.Diff(want, moved(before, after)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	for name, seconds := range map[string]float64{
		`callisto_call_seconds_total{script="main"}`:                 60,
		`callisto_flow_step_seconds_total{flow="main",step="greet"}`: 2,
		`callisto_flow_step_seconds_total{flow="main",step="menu"}`:  3,
	} {
		if after[name] != seconds {
			t.Errorf("%s is %v, not %v", name, after[name], seconds)
		}
	}
}

// Names without end, of scripts, causes and steps, become a bounded number of series; what is too long or no text
// does no harm.
func TestSeriesAreBounded(t *testing.T) {
	log := &logbook{}
	library, _ := newLibrary(t, "", map[string]string{"main.lua": "call:answer()"}, nil)
	s := &Server{Library: library, Logger: slog.New(log)}
	s.init()
	const many = 10000
	name := func(i int) string {
		switch i {
		case 0:
			return strings.Repeat("long", 1000)
		case 1:
			return "not \xff text"
		case 2:
			return "two\nlines \"quoted\" {x}"
		}
		return fmt.Sprint("name", i)
	}
	var workers sync.WaitGroup
	for w := range 4 {
		workers.Go(func() {
			for i := w; i < many; i += 4 {
				c := s.record.started("uuid", name(i), 1, time.Now())
				c.mark(luabind.Mark{Flow: name(i), Step: name(i)})
				c.mark(luabind.Mark{Flow: name(i), Step: name(i), Outcome: name(i)})
				c.ended(luabind.Outcome{Ending: luabind.HungUp, Cause: name(i)}, time.Second, 0)
			}
		})
	}
	workers.Wait()
	values := s.samples(t)
	of := map[string]int{}
	sum := map[string]float64{}
	for sample, v := range values {
		metric, _, _ := strings.Cut(sample, "{")
		of[metric]++
		sum[metric] += v
	}
	steps := of["callisto_flow_steps_entered_total"] + of["callisto_flow_steps_left_total"]
	if of["callisto_calls_started_total"] > maxScripts+1 || of["callisto_hangup_causes_total"] > maxCauses+1 || steps > maxSteps+2 {
		t.Errorf("series: %v", of)
	}
	for _, metric := range []string{"callisto_calls_started_total", "callisto_calls_ended_total", "callisto_hangup_causes_total", "callisto_flow_steps_entered_total", "callisto_flow_steps_left_total"} {
		if sum[metric] != many {
			t.Errorf("%s counts %v of %d", metric, sum[metric], many)
		}
	}
	if n := len(log.all("more names than are counted apart: the others count as (other)")); n != 2 { // scripts, and steps
		t.Errorf("it is said %d times\n%s", n, log)
	}
}

// The metrics are what Prometheus recommends, and their table is in the documentation as they are.
func TestMetricsAreDocumented(t *testing.T) {
	library, _ := newLibrary(t, "", map[string]string{"main.lua": "call:answer()"}, nil)
	s := &Server{Library: library}
	s.init()
	c := s.record.started("uuid", "main", 1, time.Now())
	c.mark(luabind.Mark{Flow: "main", Step: "greet"})
	c.mark(luabind.Mark{Flow: "main", Step: "greet", Outcome: luabind.Resumed})
	c.mark(luabind.Mark{Flow: "main", Step: "greet", Outcome: "next"})
	c.ended(luabind.Outcome{Cause: "NORMAL_CLEARING"}, time.Second, 0)
	problems, err := testutil.GatherAndLint(s.registry())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "callisto_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}

	var table strings.Builder
	table.WriteString("| metric | kind | labels | what it is |\n|---|---|---|---|\n")
	gathered := map[string]bool{}
	for sample := range s.samples(t) {
		name, _, _ := strings.Cut(sample, "{")
		gathered[strings.TrimSuffix(strings.TrimSuffix(name, "_count"), "_sum")] = true
	}
	for _, m := range metrics {
		labels := ""
		if len(m.labels) > 0 {
			labels = "`" + strings.Join(m.labels, "`, `") + "`"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s |\n", m.name, m.kind, labels, strings.TrimSuffix(m.help, "."))
		if !gathered[m.name] {
			t.Errorf("%s is not gathered", m.name)
		}
		delete(gathered, m.name)
	}
	if len(gathered) > 0 {
		t.Errorf("not in the table: %v", slices.Sorted(maps.Keys(gathered)))
	}
	text, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "\n"+table.String()+"\n") {
		t.Errorf("docs/operations.md should have this table:\n%s", &table)
	}
	for _, name := range regexp.MustCompile(`\bcallisto_[a-z_]+`).FindAllString(string(text), -1) {
		if !slices.ContainsFunc(metrics, func(m *metric) bool {
			return name == m.name || m.kind == "histogram" && slices.Contains([]string{"_bucket", "_count", "_sum"}, strings.TrimPrefix(name, m.name))
		}) {
			t.Errorf("docs/operations.md: there is no metric %s", name)
		}
	}
}

// Counting a call allocates one record of it, and counting its steps nothing.
func TestCountingAllocatesNothing(t *testing.T) {
	library, _ := newLibrary(t, "", map[string]string{"main.lua": "call:answer()"}, nil)
	s := &Server{Library: library}
	s.init()
	began := time.Now()
	arrive := luabind.Mark{Flow: "main", Step: "greet"}
	leave := luabind.Mark{Flow: "main", Step: "greet", Outcome: "next", Took: time.Second}
	if n := testing.AllocsPerRun(1000, func() {
		c := s.record.started("uuid", "main", 1, began)
		for range 10 {
			c.mark(arrive)
			c.mark(leave)
		}
		c.ended(luabind.Outcome{Ending: luabind.HungUp, Cause: "NORMAL_CLEARING", Verbs: 3}, time.Second, 0)
	}); n > 1 {
		t.Errorf("%v allocations for a call", n)
	}
}

// BenchmarkRecord is what counting adds to a call.
func BenchmarkRecord(b *testing.B) {
	library, _ := newLibrary(b, "", map[string]string{"main.lua": "call:answer()"}, nil)
	s := &Server{Library: library}
	s.init()
	began := time.Now()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c := s.record.started("uuid", "main", 1, began)
			c.ended(luabind.Outcome{Ending: luabind.HungUp, Cause: "NORMAL_CLEARING", Verbs: 3}, time.Second, 0)
		}
	})
}
