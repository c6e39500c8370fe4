package engine

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"callisto/luabind"
)

// CountsVersion is the version of the format of Counts.
const CountsVersion = 1

// Counts say how often each step of each flow was entered, how it was left, and how long calls were in it. It
// is what /counts answers, and the form in which other tools keep such numbers.
type Counts struct {
	Version int                              `json:"version"`
	Since   time.Time                        `json:"since"` // when counting began
	Flows   map[string]map[string]StepCounts `json:"flows"` // by flow, by step
}

// StepCounts are the counts of one step.
type StepCounts struct {
	Entered  uint64            `json:"entered"`
	Resumed  uint64            `json:"resumed,omitempty"` // by calls that came from an engine that is gone
	Outcomes map[string]uint64 `json:"outcomes"`          // how often it was left, by Mark.Outcome: luabind.Abandoned is one
	Seconds  float64           `json:"seconds"`           // in the step, of all calls that have left it
}

// log writes a line for each step: what is counted is gone with the process.
func (c *Counts) log(log *slog.Logger) {
	for _, flow := range slices.Sorted(maps.Keys(c.Flows)) {
		for _, step := range slices.Sorted(maps.Keys(c.Flows[flow])) {
			n := c.Flows[flow][step]
			var outcomes []string
			for _, outcome := range slices.Sorted(maps.Keys(n.Outcomes)) {
				outcomes = append(outcomes, fmt.Sprintf("%s=%d", outcome, n.Outcomes[outcome]))
			}
			log.Info("step counted", "flow", flow, "step", step, "entered", n.Entered, "resumed", n.Resumed,
				"outcomes", strings.Join(outcomes, " "), "took", time.Duration(n.Seconds*float64(time.Second)).Round(time.Millisecond))
		}
	}
}

// maxCounts bounds the text that ReadCounts reads.
const maxCounts = 64 << 20

// ReadCounts reads what /counts answers.
func ReadCounts(r io.Reader) (*Counts, error) {
	text, err := io.ReadAll(io.LimitReader(r, maxCounts+1))
	if err != nil {
		return nil, fmt.Errorf("the counts cannot be read: %w", err)
	}
	if len(text) > maxCounts {
		return nil, fmt.Errorf("the counts are larger than %d MB", maxCounts>>20)
	}
	var c Counts
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("these are no counts, which GET /counts on admin.listen answers: %w", err)
	}
	if c.Version != CountsVersion {
		return nil, fmt.Errorf("the counts have version %d, and this callisto reads version %d: use the same callisto for both", c.Version, CountsVersion)
	}
	return &c, nil
}

// A Tally counts the steps of flows. The zero value is ready, and its methods may be called from any
// goroutine.
type Tally struct {
	once  sync.Once
	since time.Time
	steps bounded[stepKey, stepCount]
}

// A stepKey is a step, and how it was entered or left.
type stepKey struct{ flow, step, outcome string }

type stepCount struct {
	times atomic.Uint64
	nanos atomic.Int64 // until it was left
}

// maxSteps bounds the steps and outcomes that are told apart: a flow made at run time may have new names in every
// call.
const maxSteps = 4000

// start begins counting.
func (t *Tally) start() {
	t.once.Do(func() {
		t.since = time.Now()
		t.steps.limit = maxSteps
		t.steps.rest = func(k stepKey) stepKey {
			switch k.outcome {
			case luabind.Entered, luabind.Resumed, luabind.Abandoned, luabind.Raised, luabind.Ended, luabind.Broken:
			default:
				k.outcome = otherName
			}
			return stepKey{otherName, otherName, k.outcome}
		}
	})
}

// Mark counts that a step was entered or left.
func (t *Tally) Mark(m luabind.Mark) { t.mark(m) }

// mark returns what the mark is counted as.
func (t *Tally) mark(m luabind.Mark) *stepKey {
	t.start()
	e := t.steps.get(stepKey{label(m.Flow), label(m.Step), label(m.Outcome)})
	e.value.times.Add(1)
	e.value.nanos.Add(int64(m.Took))
	return &e.key
}

// Counts returns what has been counted.
func (t *Tally) Counts() *Counts {
	t.start()
	counts := &Counts{Version: CountsVersion, Since: t.since, Flows: map[string]map[string]StepCounts{}}
	for _, e := range t.steps.all() {
		steps := counts.Flows[e.key.flow]
		if steps == nil {
			steps = map[string]StepCounts{}
			counts.Flows[e.key.flow] = steps
		}
		c := steps[e.key.step]
		if c.Outcomes == nil {
			c.Outcomes = map[string]uint64{}
		}
		switch n := e.value.times.Load(); e.key.outcome {
		case luabind.Entered:
			c.Entered = n
		case luabind.Resumed:
			c.Resumed = n
		default:
			c.Outcomes[e.key.outcome] = n
			c.Seconds += time.Duration(e.value.nanos.Load()).Seconds()
		}
		steps[e.key.step] = c
	}
	return counts
}

// isArrival reports whether a mark says that a call has come to a step, rather than left it.
func isArrival(outcome string) bool { return outcome == luabind.Entered || outcome == luabind.Resumed }

// otherName is what counts stand under that are one name too many. No script, flow or step is likely to have it.
const otherName = "(other)"

// label makes of a name one that can stand in a metric: it may come from a script, or from the network.
func label(name string) string {
	const longest = 200
	if len(name) > longest {
		return otherName
	}
	return strings.ToValidUTF8(name, "?")
}

// A bounded map makes a value for each of the first keys that are asked for. Those that come when there are limit
// share the values of the keys that rest makes of them.
type bounded[K comparable, V any] struct {
	limit int
	rest  func(K) K
	full  func() // where set, is called once, at the first key too many

	mu    sync.RWMutex
	slots map[K]*slot[K, V]
	told  bool
}

type slot[K comparable, V any] struct {
	key   K
	value V
}

// get returns the slot that a key has or shares.
func (b *bounded[K, V]) get(key K) *slot[K, V] {
	b.mu.RLock()
	e := b.slots[key]
	b.mu.RUnlock()
	if e != nil {
		return e
	}
	b.mu.Lock()
	e, tell := b.add(key)
	b.mu.Unlock()
	if tell && b.full != nil {
		b.full()
	}
	return e
}

func (b *bounded[K, V]) add(key K) (e *slot[K, V], tell bool) {
	if e := b.slots[key]; e != nil { // since get looked
		return e, false
	}
	if len(b.slots) >= b.limit {
		tell, b.told = !b.told, true
		key = b.rest(key)
		if e := b.slots[key]; e != nil {
			return e, tell
		}
	}
	if b.slots == nil {
		b.slots = make(map[K]*slot[K, V])
	}
	e = &slot[K, V]{key: key}
	b.slots[key] = e
	return e, tell
}

// all returns the slots so far, in no order.
func (b *bounded[K, V]) all() []*slot[K, V] {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return slices.Collect(maps.Values(b.slots))
}
