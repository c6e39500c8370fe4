package phone

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/engine/services"
	"callisto/luabind"
	"callisto/simulator"
)

// A call in no time has to end by itself, or nobody would notice that it does not.
const fastLimit = 10 * time.Minute

// A ScriptError says why there is no call: the script does not exist, or does not compile.
type ScriptError struct{ Err error }

func (e *ScriptError) Error() string { return e.Err.Error() }
func (e *ScriptError) Unwrap() error { return e.Err }

// A Call is one simulated call, on a switch and an engine of its own. Its methods may be called from any
// goroutine, also when it is over.
type Call struct {
	plan    *plan
	tell    func(Event)
	level   slog.Level
	uuid    string // of the caller's channel
	sw      *simulator.Switch
	server  *engine.Server
	outside *services.Services
	channel *simulator.Channel
	clock   *simulator.VirtualClock // nil: real time
	now     func() time.Time
	began   time.Time
	files   map[string][]string // the scripts' texts, as they were when the call began
	flows   map[string]*luabind.Flow
	prompts *prompts
	timers  []interface{ Stop() bool }
	stop    func() // of the virtual clock
	told    chan struct{}
	done    chan struct{}
	failure error // after done: why the call's end is not known
	failed  bool  // after done: the script raised an error
	closing sync.Once

	emitting sync.Mutex
	last     time.Duration

	mu     sync.Mutex
	seen   int       // how much of the channel's log the observer has been told
	caught sync.Cond // of seen
	names  map[string]string
	raised bool
	ending string
	own    *simulator.Channel // the caller's, as the switch knows it
}

// Start makes a call. What happens is told in order, from several goroutines, one at a time; tell must not call
// Close. The call is over when ctx ends. The error is a *ScriptError where the script is to blame.
func Start(ctx context.Context, library *engine.Library, o Options, tell func(Event)) (*Call, error) {
	p, err := o.plan()
	if err != nil {
		return nil, err
	}
	snapshot := library.Snapshot()
	program, programs, err := simcall.Script(snapshot, p.script)
	if err != nil {
		return nil, &ScriptError{err}
	}
	root := snapshot.Config.Scripts.Root
	c := &Call{
		plan: p, tell: tell, level: snapshot.Config.Log.Level, uuid: newUUID(), now: time.Now,
		files: sources(root, program, programs), flows: map[string]*luabind.Flow{},
		prompts: &prompts{dirs: []string{root, filepath.Join(root, "sounds"), filepath.Join(filepath.Dir(root), "sounds")}},
		names:   map[string]string{}, told: make(chan struct{}), done: make(chan struct{}), stop: func() {},
	}
	c.caught.L = &c.mu
	for name, program := range programs {
		if flow := program.Flow(); flow != nil {
			c.flows[name] = flow
		}
	}
	c.sw = &simulator.Switch{Observer: c.observe, Endpoints: p.endpoints, Sounds: c.prompts.sound, Tick: 20 * time.Millisecond}
	log := slog.New(&logger{call: c})
	if c.outside, err = services.Open(snapshot.Config, log); err != nil {
		return nil, err
	}
	if c.outside.HTTP != nil {
		c.outside.HTTP = asking{c.outside.HTTP, c}
	}
	c.server = &engine.Server{Library: library, Services: &c.outside.Services, Logger: log, Tap: c.stepped, Flow: c.marked}
	if p.Fast {
		c.clock = simulator.NewVirtualClock()
		if !p.time.IsZero() {
			c.clock.Set(p.time)
		}
		c.sw.Clock, c.server.Clock, c.now = c.clock, c.clock, c.clock.Now
	}
	c.began = c.now()
	c.tell(Event{0, Dialling{c.began}})
	if err := c.place(ctx, p); err != nil {
		close(c.done)
		c.Close()
		return nil, err
	}
	go c.await(ctx)
	return c, nil
}

// place lets the call come in.
func (c *Call) place(ctx context.Context, p *plan) error {
	ours, theirs := simulator.Pipe()
	conn := net.Conn(ours)
	if p.Wire {
		conn = &tapped{Conn: conn, tell: func(w Wired) { c.emit(c.now(), w) }}
	}
	if err := c.server.ServeConn(conn); err != nil {
		return err
	}
	channel, err := c.sw.Call(ctx, simulator.Invite{
		UUID:       c.uuid,
		CallerName: p.Name, CallerNumber: p.Caller, Destination: p.Number,
		Variables: p.vars,
		Socket:    p.socket,
		Conn:      theirs,
	})
	if err != nil {
		return err
	}
	c.channel = channel
	for _, a := range p.acts {
		c.after(a.at, func() { c.Press(a.keys); c.Say(a.say) })
	}
	if p.Hangup > 0 {
		c.after(p.Hangup, c.Hangup)
	}
	if c.clock != nil {
		if p.Hangup == 0 {
			c.after(fastLimit, func() {
				select {
				case <-c.channel.Done():
					return
				default:
				}
				c.emit(c.now(), Noted{fmt.Sprintf("nothing has ended the call in %v, so the caller hangs up; --hangup sets another time", fastLimit)})
				c.Hangup()
			})
		}
		c.stop = c.clock.AutoAdvance(0)
	}
	return nil
}

func (c *Call) after(d time.Duration, f func()) {
	if c.clock != nil {
		c.timers = append(c.timers, c.clock.AfterFunc(d, f))
	} else {
		c.timers = append(c.timers, time.AfterFunc(d, f))
	}
}

// await waits for the end of the call, and tells of it.
func (c *Call) await(ctx context.Context) {
	defer close(c.done)
	outcome, err := c.channel.Wait(ctx)
	if err == nil {
		<-c.told
		err = c.server.Shutdown(ctx) // the hangup handlers may still run
	}
	if err != nil {
		c.failure = err
		return
	}
	c.mu.Lock()
	ending := c.ending
	c.failed = c.raised
	c.mu.Unlock()
	// At the time of the event before: a virtual clock, which nobody holds any more, has gone on.
	c.emit(c.began, Ended{Why: why(ending, outcome), Ending: ending, Cause: outcome.Cause, Failed: c.failed})
}

// Done is closed when the call is over and everything of it is told.
func (c *Call) Done() <-chan struct{} { return c.done }

// Wait waits for the end of the call. It reports whether its script raised an error; err is that of the context
// that ended before the call did.
func (c *Call) Wait() (failed bool, err error) {
	<-c.done
	return c.failed, c.failure
}

// Close ends the call however far it has come, without a word to it, and waits until nothing of it is left.
func (c *Call) Close() {
	c.closing.Do(func() {
		for _, t := range c.timers {
			t.Stop()
		}
		c.stop()
		c.sw.Close()
		c.server.Close()
		<-c.done
		c.outside.Close()
	})
}

// Press lets the caller press keys.
func (c *Call) Press(keys string) {
	if keys != "" {
		c.act(Presses, "", keys)
		c.channel.Press(keys)
	}
}

// Say lets the caller say something, for the next recognition of speech to hear.
func (c *Call) Say(text string) {
	if text != "" {
		c.act(Says, "", text)
		c.channel.Say(text)
	}
}

// Hangup lets the caller hang up.
func (c *Call) Hangup() {
	const cause = "ORIGINATOR_CANCEL"
	c.act(HangsUp, "", cause)
	c.channel.Hangup(cause)
}

// Answer lets a leg answer that rings.
func (c *Call) Answer(leg string) {
	if l := c.sw.Channel(leg); l != nil {
		c.act(Answers, leg, "")
		l.Answer()
	}
}

// HangupLeg lets a leg hang up, or refuse the call while it rings.
func (c *Call) HangupLeg(leg, cause string) {
	if l := c.sw.Channel(leg); l != nil {
		c.act(HangsUp, leg, cause)
		l.Hangup(cause)
	}
}

// act tells what somebody does, while there is a call.
func (c *Call) act(act Act, leg, text string) {
	select {
	case <-c.channel.Done():
	default:
		c.emit(c.now(), Acted{act, leg, text})
	}
}

// Hearing is what the caller hears at the moment, as [simulator.Channel.Hearing] has it, with the words of the
// prompt.
func (c *Call) Hearing() Hearing {
	what, position, length := c.channel.Hearing()
	return Hearing{what, c.prompts.text(what), position, length}
}

// Hearing is what somebody hears, how far it has got, and how long it is; a negative Length has no end.
type Hearing struct {
	What, Text       string
	Position, Length time.Duration
}

// Elapsed is how long the call has lasted.
func (c *Call) Elapsed() time.Duration { return c.now().Sub(c.began) }

func (c *Call) emit(at time.Time, what any) {
	c.emitting.Lock()
	defer c.emitting.Unlock()
	// What the observer tells late is not shown earlier than what came after it.
	c.last = max(c.last, at.Sub(c.began))
	c.tell(Event{c.last, what})
}

// observe is told what happens on the switch.
func (c *Call) observe(o simulator.Occurrence) {
	h := Happened{Occurrence: o}
	if o.Channel != "" && o.Channel != c.uuid {
		h.Leg = c.leg(o)
	} else if o.Kind == simulator.Bridged {
		h.With = c.leg(simulator.Occurrence{Channel: o.Data})
	}
	switch o.Kind {
	case simulator.Played:
		h.Text = c.prompts.text(o.Data)
		h.Length, _ = c.prompts.sound(o.Data)
	case simulator.Dialled, simulator.Rings:
		h.Behaves = simcall.Behaviour(c.plan.endpoints, o.Data)
	}
	c.emit(o.Time, h)
	if o.Channel != c.uuid {
		return
	}
	c.mu.Lock()
	c.seen++
	c.caught.Broadcast()
	c.mu.Unlock()
	if o.Kind == simulator.Ended {
		close(c.told)
	}
}

// catchUp waits until the observer has been told what has happened so far: what the script does in answer to it is
// told after it.
func (c *Call) catchUp() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.own == nil {
		c.own = c.sw.Channel(c.uuid)
	}
	if c.own == nil {
		return
	}
	for happened := len(c.own.Log()); c.seen < happened; {
		c.caught.Wait()
	}
}

// leg is how another channel is called: by its number.
func (c *Call) leg(o simulator.Occurrence) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if o.Kind == simulator.Rings {
		c.names[o.Channel] = legName(o.Data)
	}
	if name := c.names[o.Channel]; name != "" {
		return name
	}
	return "another leg"
}

// legName is the number in a dial string: user/1001@example.com is 1001.
func legName(dialled string) string {
	parts := strings.Split(dialled, "/")
	number := parts[len(parts)-1]
	if len(parts) > 1 && parts[0] == "loopback" { // behind it is its context
		number = parts[1]
	}
	if number, _, _ = strings.Cut(number, "@"); number == "" {
		return dialled
	}
	return number
}

// stepped is told of every verb.
func (c *Call) stepped(_ string, step luabind.Step) {
	c.catchUp()
	c.emit(c.now(), Stepped{step, c.files[step.File]})
}

// marked is told of every step of a flow.
func (c *Call) marked(_ string, mark luabind.Mark) {
	c.catchUp()
	m := Marked{Mark: mark}
	if flow := c.flows[mark.Flow]; flow != nil {
		if step := flow.Step(mark.Step); step != nil {
			m.Kind, m.File, m.Line, m.Source = step.Kind, step.File, step.Line, c.files[step.File]
		}
	}
	c.emit(c.now(), m)
}

// An asking web client tells of its requests.
type asking struct {
	luabind.HTTP
	call *Call
}

func (a asking) Send(ctx context.Context, r luabind.HTTPRequest) (*luabind.HTTPResponse, error) {
	response, err := a.HTTP.Send(ctx, r)
	asked := Asked{Method: r.Method, URL: r.URL.String()}
	if err != nil {
		asked.Error = err.Error()
	} else {
		asked.Status, asked.Type, asked.Body = response.Status, response.Header.Get("Content-Type"), response.Body
	}
	a.call.catchUp()
	a.call.emit(a.call.now(), asked)
	return response, err
}

// why says how a call ended.
func why(ending string, outcome simulator.Outcome) string {
	var text string
	switch ending {
	case "returned":
		text = "the script returned"
	case "hung up by script":
		text = "the script hung up"
	case "caller hung up":
		text = "the caller hung up"
	case "transferred":
		text = "the script transferred it"
		if outcome.Destination != "" {
			text += " to " + outcome.Destination
		}
	case "script error":
		text = "the script raised an error"
	case "over limit":
		text = "the script went over its limits"
	case "timed out":
		text = "it took longer than limits.call"
	default:
		text = ending
	}
	switch outcome.Kind {
	case simulator.ContinuedOutcome:
		text += ", and the dialplan goes on"
	case simulator.HungUpOutcome:
		if outcome.Cause != "" {
			text += " (" + outcome.Cause + ")"
		}
	}
	return text
}

// sources are the lines of a script, and of those it requires, by file.
func sources(root string, program *luabind.Program, programs map[string]*luabind.Program) map[string][]string {
	files := map[string][]string{}
	var add func(p *luabind.Program)
	add = func(p *luabind.Program) {
		if _, ok := files[p.File]; ok || p == nil {
			return
		}
		text, err := os.ReadFile(filepath.Join(root, filepath.FromSlash(p.File)))
		if err != nil || len(text) > luabind.MaxSource {
			text = nil // it is shown without its text
		}
		files[p.File] = strings.Split(string(text), "\n")
		for _, r := range p.Requires {
			if next := programs[r.Name]; next != nil {
				add(next)
			}
		}
	}
	add(program)
	return files
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0xf|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
