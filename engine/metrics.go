package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"callisto/luabind"
)

// A metric is a row of the table in docs/operations.md. No metric has a label that a caller can fill: numbers and
// UUIDs belong in the log.
type metric struct {
	name, kind string
	labels     []string
	help       string
	desc       *prometheus.Desc
}

// metrics are all of them, beside those of the process and of Go.
var metrics []*metric

func newMetric(name, kind, help string, labels ...string) *metric {
	m := &metric{name, kind, labels, help, prometheus.NewDesc(name, help, labels, nil)}
	metrics = append(metrics, m)
	return m
}

// send emits a value of a gauge or a counter.
func (m *metric) send(to chan<- prometheus.Metric, value float64, labels ...string) {
	kind := prometheus.CounterValue
	if m.kind == "gauge" {
		kind = prometheus.GaugeValue
	}
	to <- prometheus.MustNewConstMetric(m.desc, kind, value, labels...)
}

func (m *metric) histogram(buckets ...float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: m.name, Help: m.help, Buckets: buckets})
}

var (
	callsRunning  = newMetric("callisto_calls_running", "gauge", "Calls that run.")
	callsLimit    = newMetric("callisto_calls_limit", "gauge", "Calls that may run: server.max_calls.")
	callsStarted  = newMetric("callisto_calls_started_total", "counter", "Calls that began, by script.", "script")
	callsEnded    = newMetric("callisto_calls_ended_total", "counter", "Calls that ended, by script and ending.", "script", "ending")
	callSeconds   = newMetric("callisto_call_seconds_total", "counter", "What the calls that ended took, by script.", "script")
	callDuration  = newMetric("callisto_call_duration_seconds", "histogram", "How long a call took, from its connection to its end.")
	callVerbs     = newMetric("callisto_call_verbs", "histogram", "How many verbs a call ran.")
	hangupCauses  = newMetric("callisto_hangup_causes_total", "counter", "Calls that ended with a hangup, by cause.", "cause")
	refused       = newMetric("callisto_connections_refused_total", "counter", "Connections that were not served, by reason.", "reason")
	eventsDropped = newMetric("callisto_events_dropped_total", "counter", "Events that scripts did not keep up with, of calls that ended.")
	stepsEntered  = newMetric("callisto_flow_steps_entered_total", "counter", "Steps of flows that were entered.", "flow", "step")
	stepsResumed  = newMetric("callisto_flow_steps_resumed_total", "counter", "Steps of flows at which calls went on that came from an engine that is gone.", "flow", "step")
	stepsLeft     = newMetric("callisto_flow_steps_left_total", "counter", "Steps of flows that were left, by outcome.", "flow", "step", "outcome")
	stepSeconds   = newMetric("callisto_flow_step_seconds_total", "counter", "What the steps that were left took.", "flow", "step")
	generation    = newMetric("callisto_generation", "gauge", "The generation that new calls get.")
	scriptsServed = newMetric("callisto_scripts", "gauge", "Scripts that can be called.")
	problemsFound = newMetric("callisto_problems", "gauge", "What is wrong with scripts and configuration, by level.", "level")
	restartNeeded = newMetric("callisto_settings_waiting", "gauge", "Settings that have changed and wait for a restart.")
	reloads       = newMetric("callisto_reloads_total", "counter", "Reloads that made a new generation.")
	reloadsFailed = newMetric("callisto_reload_failures_total", "counter", "Reloads that found something new to be wrong.")
	ready         = newMetric("callisto_ready", "gauge", "1 while new calls are taken, as /readyz says.")
)

// Why a connection is not served.
const (
	refusedFull    = "full"
	refusedAddress = "not allowed"
	refusedNoCall  = "no call"
)

// The names that are told apart.
const (
	maxScripts = 500
	maxCauses  = 100 // FreeSWITCH has some 75
)

// noScript is the script of a call that has none to run.
const noScript = "(none)"

// A record is what a server counts of its calls. It is written by the calls and read by who asks: neither waits
// for the other.
type record struct {
	full, notAllowed, noCall atomic.Uint64
	dropped                  atomic.Uint64
	duration, verbs          prometheus.Histogram
	scripts                  bounded[string, scriptCount]
	causes                   bounded[string, atomic.Uint64]
	flows                    Tally

	mu      sync.Mutex
	running map[*running]struct{}
}

// A scriptCount counts the calls of a script, whatever its version.
type scriptCount struct {
	started atomic.Uint64
	ended   [luabind.Disconnected + 1]atomic.Uint64
	nanos   atomic.Int64
}

// init makes the record ready; full is told of the first name too many.
func (r *record) init(full func(what string, limit int)) {
	other := func(string) string { return otherName }
	r.duration = callDuration.histogram(1, 2, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)
	r.verbs = callVerbs.histogram(1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)
	r.scripts = bounded[string, scriptCount]{limit: maxScripts, rest: other, full: func() { full("scripts", maxScripts) }}
	r.causes = bounded[string, atomic.Uint64]{limit: maxCauses, rest: other}
	r.running = make(map[*running]struct{})
	r.flows.start()
	r.flows.steps.full = func() { full("steps of flows", maxSteps) }
}

// A running call, as /calls shows it.
type running struct {
	record     *record
	count      *scriptCount
	uuid       string
	script     string
	generation uint64
	began      time.Time
	at         atomic.Pointer[stepKey] // the step that it entered last; nil: none
}

// started counts a call that begins.
func (r *record) started(uuid, script string, generation uint64, began time.Time) *running {
	c := &running{record: r, uuid: uuid, script: script, generation: generation, began: began}
	c.count = &r.scripts.get(label(script)).value
	c.count.started.Add(1)
	r.mu.Lock()
	r.running[c] = struct{}{}
	r.mu.Unlock()
	return c
}

// mark counts a step of the call.
func (c *running) mark(m luabind.Mark) {
	key := c.record.flows.mark(m)
	if isArrival(m.Outcome) {
		c.at.Store(key)
	}
}

// ended counts how the call ended, the first time that it is told.
func (c *running) ended(out luabind.Outcome, took time.Duration, dropped uint64) {
	r := c.record
	r.mu.Lock()
	_, runs := r.running[c]
	delete(r.running, c)
	r.mu.Unlock()
	if !runs {
		return
	}
	c.count.ended[out.Ending].Add(1)
	c.count.nanos.Add(int64(took))
	r.duration.Observe(took.Seconds())
	r.verbs.Observe(float64(out.Verbs))
	r.dropped.Add(dropped)
	if out.Cause != "" {
		r.causes.get(label(out.Cause)).value.Add(1)
	}
}

// calls are those that run.
func (r *record) calls() []*running {
	r.mu.Lock()
	defer r.mu.Unlock()
	list := make([]*running, 0, len(r.running))
	for c := range r.running {
		list = append(list, c)
	}
	return list
}

// registry has everything that /metrics answers.
func (s *Server) registry() *prometheus.Registry {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collector{s}, s.record.duration, s.record.verbs,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return registry
}

// A collector reads a server's record, and its library's.
type collector struct{ *Server }

// Describe implements prometheus.Collector.
func (c collector) Describe(to chan<- *prometheus.Desc) {
	for _, m := range metrics {
		if m.kind != "histogram" { // which are their own collectors
			to <- m.desc
		}
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(to chan<- prometheus.Metric) {
	s := c.Library.Snapshot()
	callsRunning.send(to, float64(c.Calls()))
	callsLimit.send(to, float64(s.Config.Server.MaxCalls))
	r := &c.record
	for _, e := range r.scripts.all() {
		callsStarted.send(to, float64(e.value.started.Load()), e.key)
		for ending := range e.value.ended {
			callsEnded.send(to, float64(e.value.ended[ending].Load()), e.key, luabind.Ending(ending).String())
		}
		callSeconds.send(to, time.Duration(e.value.nanos.Load()).Seconds(), e.key)
	}
	for _, e := range r.causes.all() {
		hangupCauses.send(to, float64(e.value.Load()), e.key)
	}
	refused.send(to, float64(r.full.Load()), refusedFull)
	refused.send(to, float64(r.notAllowed.Load()), refusedAddress)
	refused.send(to, float64(r.noCall.Load()), refusedNoCall)
	eventsDropped.send(to, float64(r.dropped.Load()))
	for flow, steps := range r.flows.Counts().Flows {
		for step, n := range steps {
			stepsEntered.send(to, float64(n.Entered), flow, step)
			if n.Resumed > 0 {
				stepsResumed.send(to, float64(n.Resumed), flow, step)
			}
			stepSeconds.send(to, n.Seconds, flow, step)
			for outcome, n := range n.Outcomes {
				stepsLeft.send(to, float64(n), flow, step, outcome)
			}
		}
	}
	generation.send(to, float64(s.Number))
	scriptsServed.send(to, float64(len(s.Names())))
	warnings := 0
	for _, p := range s.Problems {
		if p.Warning {
			warnings++
		}
	}
	problemsFound.send(to, float64(len(s.Problems)-warnings), "error")
	problemsFound.send(to, float64(warnings), "warning")
	restartNeeded.send(to, float64(len(s.Restart)))
	stats := c.Library.Stats()
	reloads.send(to, float64(stats.Reloads))
	reloadsFailed.send(to, float64(stats.Failures))
	if len(c.NotReady()) == 0 {
		ready.send(to, 1)
	} else {
		ready.send(to, 0)
	}
}
