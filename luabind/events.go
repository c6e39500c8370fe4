package luabind

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var eventVerbs = []Verb{
	{
		Name:    "on",
		Params:  []Param{{Name: "event", Type: Text, Check: checkEvent, Known: eventNames(), Doc: "dtmf, answer, bridge, unbridge, hold, unhold, speech or hangup, any event of FreeSWITCH such as CHANNEL_PROGRESS, or a CUSTOM subclass such as conference::maintenance"}, {Name: "fn", Type: Function, Doc: "what to call: for dtmf with the digit and the event, for speech with the text and the event, for hangup with the cause, else with the event"}},
		Options: []Param{{Name: "match", Type: Table, Doc: "headers that the event must have, such as { [\"Conference-Name\"] = \"sales\" }; then it need not be of this channel"}},
		Results: []Result{{"handler", "Handler", "handler:cancel() ends it"}},
		Doc: "Calls fn when it happens, on the call's own thread, in order, while the script waits in a verb. fn may use verbs; what it has the " +
			"channel do comes after what runs. It may return \"stop\" to end the running verb, or, while something plays, \"pause\", \"restart\", " +
			"\"seek:+3000\", \"volume:-1\" or \"speed:1\". Events that come while a handler runs wait for it. Handlers of hangup run after the script " +
			"has been ended by the hangup, with the final variables, for a bounded time.",
		run: on,
	},
	{
		Name:   "wait_for",
		Params: []Param{{Name: "event", Type: Text, Check: checkEvent, Known: eventNames(), Doc: "as for call:on"}},
		Options: []Param{
			{Name: "timeout", Type: Duration, Doc: "give up after this long"},
			{Name: "match", Type: Table, Doc: "headers that the event must have, as for call:on"},
		},
		Results: []Result{{"event", "Event?", "the event; nil when there was none in time"}, {"reason", "string?", "timeout, or stopped by a handler"}},
		Doc:     "Waits for an event. One that came before does not count.",
		run:     waitFor,
	},
	{
		Name:    "every",
		Params:  []Param{{Name: "interval", Type: Duration, Doc: "how often"}, {Name: "fn", Type: Function, Doc: "what to call; it may return what a handler of call:on may"}},
		Results: []Result{{"handler", "Handler", "handler:cancel() ends it"}},
		Doc:     "Calls fn again and again while the script waits in a verb. What is due while the script computes, or a handler runs, is made up for once.",
		Async:   true,
		run:     every,
	},
}

// A listener is a function of the script that waits for events, or for the time.
type listener struct {
	fn        *lua.LFunction
	event     wanted
	cancelled bool

	interval time.Duration // of every
	due      time.Time
}

// wanted says which events are meant.
type wanted struct {
	kind     string // dtmf, speech, hangup or ""
	name     string
	subclass string // of CUSTOM
	channel  string // its Unique-ID, where match is empty
	match    []esl.Header
}

// listening is what a call knows of who waits for what.
type listening struct {
	listeners []*listener
	timers    []*listener
	waiters   []*waiter
	later     []pendingEvent // what came while a handler ran
	handling  bool           // a handler runs
	waits     []*waiting     // the verbs that wait, the innermost last
	stopped   bool           // the last wait was ended by a handler
	events    map[string]bool
	filters   map[esl.Header]bool
	dropped   uint64 // events the connection had dropped when that was last told
	overrun   bool   // a full c.later was told
}

type waiter struct {
	then  func() // called when it comes
	event wanted
	got   *esl.Event
}

type pendingEvent struct {
	listener *listener
	event    *esl.Event
}

// waiting is a verb that waits.
type waiting struct {
	app     string // the application that runs; empty: none
	stop    func() // how to end it, where that is not by the application's name
	channel *channel
	stopped bool
}

// maxLater is how many events may wait for a handler that runs.
const maxLater = 500

// kinds are the events with a short name.
var kinds = map[string]string{
	"dtmf": "DTMF", "answer": "CHANNEL_ANSWER", "bridge": "CHANNEL_BRIDGE", "unbridge": "CHANNEL_UNBRIDGE",
	"hold": "CHANNEL_HOLD", "unhold": "CHANNEL_UNHOLD", "speech": "DETECTED_SPEECH", "hangup": "CHANNEL_HANGUP",
}

// switchEvents are the events that FreeSWITCH has (switch_event.c).
var switchEvents = strings.Fields(`CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_STATE CHANNEL_CALLSTATE CHANNEL_ANSWER CHANNEL_HANGUP
	CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HOLD CHANNEL_UNHOLD CHANNEL_BRIDGE CHANNEL_UNBRIDGE
	CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_OUTGOING CHANNEL_PARK CHANNEL_UNPARK CHANNEL_APPLICATION CHANNEL_ORIGINATE
	CHANNEL_UUID API LOG INBOUND_CHAN OUTBOUND_CHAN STARTUP SHUTDOWN PUBLISH UNPUBLISH TALK NOTALK SESSION_CRASH MODULE_LOAD
	MODULE_UNLOAD DTMF MESSAGE PRESENCE_IN NOTIFY_IN PRESENCE_OUT PRESENCE_PROBE MESSAGE_WAITING MESSAGE_QUERY ROSTER CODEC
	BACKGROUND_JOB DETECTED_SPEECH DETECTED_TONE PRIVATE_COMMAND HEARTBEAT TRAP ADD_SCHEDULE DEL_SCHEDULE EXE_SCHEDULE RE_SCHEDULE
	RELOADXML NOTIFY PHONE_FEATURE PHONE_FEATURE_SUBSCRIBE SEND_MESSAGE RECV_MESSAGE REQUEST_PARAMS CHANNEL_DATA GENERAL COMMAND
	SESSION_HEARTBEAT CLIENT_DISCONNECTED SERVER_DISCONNECTED SEND_INFO RECV_INFO RECV_RTCP_MESSAGE SEND_RTCP_MESSAGE CALL_SECURE
	NAT RECORD_START RECORD_STOP PLAYBACK_START PLAYBACK_STOP CALL_UPDATE FAILURE SOCKET_DATA MEDIA_BUG_START MEDIA_BUG_STOP
	CONFERENCE_DATA_QUERY CONFERENCE_DATA CALL_SETUP_REQ CALL_SETUP_RESULT CALL_DETAIL DEVICE_STATE TEXT SHUTDOWN_REQUESTED CERT_RELOAD`)

// myEvents are those that come without the word full (mod_event_socket.c, myevents).
var myEvents = strings.Fields(`CHANNEL_ANSWER CHANNEL_APPLICATION CHANNEL_BRIDGE CHANNEL_CREATE CHANNEL_DATA CHANNEL_DESTROY
	CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_ORIGINATE CHANNEL_UUID
	CHANNEL_OUTGOING CHANNEL_PARK CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_STATE CHANNEL_UNBRIDGE CHANNEL_UNPARK
	DETECTED_SPEECH DTMF NOTALK TALK`)

func on(c *Call, L *lua.LState, a args) int {
	l := &listener{fn: a.function(1)}
	w := c.wanted(a)
	l.event = w
	if w.kind == "hangup" && c.leg == nil {
		c.onHangup = append(c.onHangup, l)
	} else {
		c.listen(L, a, w)
		c.listeners = append(c.listeners, l)
	}
	L.Push(handlerClass.new(l))
	return 1
}

// wanted reads the event that on and wait_for are asked for.
func (c *Call) wanted(a args) wanted {
	asked := a.text(0).text()
	w := wanted{name: asked, channel: c.channelID()}
	if name, ok := kinds[strings.ToLower(asked)]; ok {
		w.name = name
	}
	switch w.name {
	case "DTMF":
		w.kind = "dtmf"
	case "DETECTED_SPEECH":
		w.kind = "speech"
	case "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE":
		w.kind = "hangup"
	}
	if subclass, custom := customEvent(asked); custom {
		w.name, w.subclass = "CUSTOM", subclass
	}
	if t, ok := a.option("match"); ok {
		for _, name := range sortedNames(a, "match", t.(*lua.LTable)) {
			value, ok := wordOf(t.(*lua.LTable).RawGetString(name))
			if !ok || value == "" || strings.ContainsAny(value, "\r\n\x00") || name == "" || strings.ContainsAny(name, ": \t\r\n\x00") {
				a.fail("match: `%s` must be the name of a header, and its value a string of one line", name)
			}
			w.match = append(w.match, esl.Header{Name: name, Value: value})
		}
	}
	return w
}

// eventNames are the names of all events, the short ones first.
func eventNames() []string { return append(slices.Sorted(maps.Keys(kinds)), switchEvents...) }

// customEvent is the subclass that a name asks for, with CUSTOM before it or not.
func customEvent(asked string) (subclass string, ok bool) {
	subclass, ok = strings.CutPrefix(asked, "CUSTOM ")
	return subclass, ok || strings.Contains(asked, "::")
}

// checkEvent says what is wrong with the name of an event, or "".
func checkEvent(asked string) string {
	if subclass, custom := customEvent(asked); custom {
		if subclass == "" || strings.ContainsAny(subclass, " \t\r\n\x00") {
			return fmt.Sprintf("a CUSTOM subclass is one word, such as conference::maintenance, not %q", subclass)
		}
		return ""
	}
	if _, ok := kinds[strings.ToLower(asked)]; ok || slices.Contains(switchEvents, asked) {
		return ""
	}
	return fmt.Sprintf("there is no event `%s`%s", asked, didYouMean(asked, eventNames()))
}

// listen asks the switch for events, where that has not been done.
func (c *Call) listen(L *lua.LState, a args, w wanted) {
	if !c.conn.Async() {
		a.needs(false, true)
	}
	if !c.conn.Full() {
		if !slices.Contains(myEvents, w.name) || len(w.match) > 0 {
			a.needs(true, false)
		}
		return
	}
	name := w.name
	if w.subclass != "" {
		name += " " + w.subclass
	}
	c.subscribe(L, name)
	if w.name == "CHANNEL_EXECUTE_COMPLETE" {
		c.conn.IgnoreOthers(false) // all of them are wanted now
	}
	if w.kind == "speech" && !c.speech {
		// Without it the results go to an embedded script's callback only (switch_ivr_async.c).
		c.speech = true
		c.post(L, execute("set", "fire_asr_events=true"))
	}
	// One of the headers is enough to let the events through: the rest is checked here. The switch takes some values
	// for more than text: a regular expression, a sign (mod_event_socket.c, filter).
	for i, h := range w.match {
		if h.Name == "Unique-ID" && h.Value == c.channelID() {
			return
		}
		if strings.HasPrefix(h.Value, "/") || strings.ContainsAny(h.Value[:1], "+- ") {
			if i == len(w.match)-1 {
				a.fail("match: no value may begin with a space or one of / + -")
			}
			continue
		}
		if c.filters == nil {
			c.filters = make(map[esl.Header]bool)
		}
		if !c.filters[h] {
			c.filters[h] = true
			c.check(L, c.conn.Post(esl.Filter{Header: h.Name, Value: h.Value}))
		}
		return
	}
}

// subscribe asks for an event that calls do not get by themselves.
func (c *Call) subscribe(L *lua.LState, name string) {
	if c.events[name] || slices.Contains(BasicEvents, name) {
		return
	}
	if c.events == nil {
		c.events = make(map[string]bool)
	}
	c.events[name] = true
	c.conn.IgnoreOthers(name == "BACKGROUND_JOB" && len(c.events) == 1)
	c.check(L, c.conn.Post(esl.Events{Names: strings.Fields(name)}))
}

func (w *wanted) matches(e *esl.Event) bool {
	if e.Name() != w.name || w.subclass != "" && e.Get("Event-Subclass") != w.subclass {
		return false
	}
	if w.kind == "speech" && e.Get("Speech-Type") != "detected-speech" {
		return false
	}
	if len(w.match) == 0 {
		return e.UUID() == w.channel
	}
	for _, h := range w.match {
		if e.Get(h.Name) != h.Value {
			return false
		}
	}
	return true
}

func waitFor(c *Call, L *lua.LState, a args) int {
	w := &waiter{event: c.wanted(a)}
	if leg := c.leg; leg != nil && w.event.kind == "hangup" && leg.gone {
		L.Push(newEvent(leg.newest))
		return 1
	}
	c.listen(L, a, w.event)
	c.waiters = append(c.waiters, w)
	defer c.forgetWaiter(w)
	timeout, _ := a.optDuration("timeout")
	in := c.enter("")
	defer c.leave(in)
	leg := c.leg
	ok := c.pump(L, timeout, func() bool { return w.got != nil || in.stopped || leg != nil && leg.gone })
	c.stopped = in.stopped
	switch {
	case w.got != nil:
		c.budget.charged += w.got.Size()
		L.Push(newEvent(w.got))
		return 1
	case in.stopped:
		return pushNone(L, "stopped")
	case !ok:
		return pushNone(L, "timeout")
	}
	return pushNone(L, "hangup")
}

func (c *Call) forgetWaiter(w *waiter) {
	// A new list: the old one may be in use by the dispatch that ended the wait.
	c.waiters = slices.DeleteFunc(slices.Clone(c.waiters), func(x *waiter) bool { return x == w })
}

// pushNone returns nil and why.
func pushNone(L *lua.LState, reason string) int {
	L.Push(lua.LNil)
	L.Push(lua.LString(reason))
	return 2
}

// minInterval is the shortest interval of every: a timer is no loop.
const minInterval = 20 * time.Millisecond

func every(c *Call, L *lua.LState, a args) int {
	l := &listener{fn: a.function(1), interval: a.duration(0)}
	if l.interval < minInterval {
		a.fail("the interval is %v; the shortest is %v", l.interval, minInterval)
	}
	l.due = c.now().Add(l.interval)
	c.timers = append(c.timers, l)
	L.Push(handlerClass.new(l))
	return 1
}

var handlerClass = &Class{
	Name: "Handler", Article: "a handler", Var: "handler",
	Doc: "What waits for an event, or for the time.",
	Methods: []Verb{{
		Name: "cancel",
		Doc:  "Ends it: its function is not called any more.",
		run: func(c *Call, L *lua.LState, a args) int {
			l := a.self().(*listener)
			l.cancelled = true
			c.listeners = without(c.listeners, l)
			c.timers = without(c.timers, l)
			return 0
		},
	}},
}

func without(list []*listener, l *listener) []*listener {
	// A new list: the old one may be in use by those who run its functions.
	return slices.DeleteFunc(slices.Clone(list), func(x *listener) bool { return x == l })
}

func (c *Call) listenerRoots(list []lua.LValue) []lua.LValue {
	for _, some := range [][]*listener{c.onHangup, c.listeners, c.timers} {
		for _, l := range some {
			list = append(list, l.fn)
		}
	}
	return list
}

// listens reports whether a wait has to look at events besides the completion it waits for.
func (c *Call) listens() bool {
	return len(c.listeners) > 0 || len(c.timers) > 0 || len(c.legs) > 0 || len(c.jobs) > 0 || len(c.waiters) > 0
}

func (c *Call) enter(app string) *waiting {
	w := &waiting{app: app, channel: c.channel}
	c.waits = append(c.waits, w)
	return w
}

func (c *Call) leave(w *waiting) {
	if i := slices.Index(c.waits, w); i >= 0 {
		c.waits = c.waits[:i] // with those inside it that an error ended
	}
}

// awaitListening is await for a call that listens.
func (c *Call) awaitListening(L *lua.LState, app string, x *esl.Execution, sequence int, timeout time.Duration) *esl.Event {
	in := c.enter(app)
	defer c.leave(in)
	leg := c.leg
	c.pump(L, timeout, func() bool { return x.Done() || leg != nil && leg.gone })
	c.stopped = in.stopped
	if !x.Done() {
		c.conn.Forget(x)
		if leg != nil && leg.gone {
			panic(legGone{leg})
		}
		return nil
	}
	c.applied(sequence)
	return x.Event
}

// pause waits without an application: the digits that come meanwhile are noticed (in sleep they wait), and what
// plays goes on.
func (c *Call) pause(L *lua.LState, d time.Duration) {
	in := c.enter("")
	defer c.leave(in)
	leg := c.leg
	c.pump(L, d, func() bool { return in.stopped || leg != nil && leg.gone })
	c.stopped = in.stopped
}

// maxOverdue is how many events are still looked at when the time is up: what had come by then may be the end.
const maxOverdue = 4 * esl.DefaultMaxQueue

// pump waits, handling events and timers, until done says so. It returns false when the time is up; 0 is no
// time but the call's own.
func (c *Call) pump(L *lua.LState, timeout time.Duration, done func() bool) bool {
	return c.pumpUntil(L, c.ctx, timeout, done)
}

// pumpUntil is pump for a wait that something besides events may end: then the end of wake, which is derived from
// c.ctx, has it ask done.
func (c *Call) pumpUntil(L *lua.LState, wake context.Context, timeout time.Duration, done func() bool) bool {
	c.conn.Flush() // where it fails, the last events tell why
	var deadline time.Time
	if timeout > 0 {
		deadline = c.now().Add(timeout)
	}
	defer c.budget.resume()
	ctx, cancel := wake, func() {}
	var until time.Time // of ctx
	defer func() { cancel() }()
	for overdue := 0; !done(); {
		if h := c.conn.Hangup(); h != nil && !c.inHooks {
			c.check(L, h)
		}
		if next := c.soonest(deadline); next != until {
			cancel()
			ctx, cancel, until = wake, func() {}, next
			if !next.IsZero() {
				deadline, stop := c.conn.WithDeadline(wake, next)
				ctx, cancel = deadline, stop
			}
		}
		e, err := c.conn.Next(ctx)
		if err == nil {
			c.dispatch(L, e)
		} else if c.ctx.Err() != nil || wake.Err() == nil && !errors.Is(err, context.DeadlineExceeded) {
			c.check(L, err)
		}
		if !until.IsZero() {
			now := c.now()
			c.ring(L, now)
			if !deadline.IsZero() && !now.Before(deadline) {
				if overdue++; err != nil || overdue > maxOverdue {
					return done()
				}
			}
		}
	}
	return true
}

// soonest is the deadline, or when the next timer is due, whichever comes first.
func (c *Call) soonest(deadline time.Time) time.Time {
	if c.handling || c.inHooks {
		return deadline
	}
	for _, t := range c.timers {
		if deadline.IsZero() || t.due.Before(deadline) {
			deadline = t.due
		}
	}
	return deadline
}

// ring calls the timers that are due.
func (c *Call) ring(L *lua.LState, now time.Time) {
	if c.handling || c.inHooks {
		return
	}
	for _, t := range c.timers {
		if t.cancelled || now.Before(t.due) {
			continue
		}
		t.due = t.due.Add(t.interval)
		if t.due.Before(now) {
			t.due = now.Add(t.interval)
		}
		c.handle(L, t, nil)
	}
	c.catchUp(L)
}

// dispatch takes in an event: what it says of jobs, legs and who waits for it at once, the handlers unless one runs.
func (c *Call) dispatch(L *lua.LState, e *esl.Event) {
	if c.conn.Dropped() > c.dropped {
		c.tellDropped()
	}
	if e.Name() == "BACKGROUND_JOB" {
		if j := c.jobs[e.Get("Job-UUID")]; j != nil {
			j.text, j.done = e.Body(), true
		}
	}
	if leg := c.legs[e.UUID()]; leg != nil {
		leg.note(e)
	}
	for _, w := range c.waiters {
		if w.got == nil && w.event.matches(e) {
			w.got = e
			if w.then != nil {
				w.then()
			}
		}
	}
	if c.inHooks {
		return
	}
	for _, l := range c.listeners {
		if l.cancelled || !l.event.matches(e) {
			continue
		}
		if !c.handling {
			c.handle(L, l, e)
		} else if len(c.later) < maxLater {
			c.later = append(c.later, pendingEvent{l, e})
		} else if !c.overrun {
			c.overrun = true
			c.log.Warn("events are lost: a handler runs too long to keep up with them", "waiting", len(c.later), "event", e.Name())
		}
	}
	c.catchUp(L)
}

// catchUp hands over what came while handlers ran.
func (c *Call) catchUp(L *lua.LState) {
	for !c.handling && len(c.later) > 0 {
		next := c.later[0]
		c.later = c.later[1:]
		if !next.listener.cancelled {
			c.handle(L, next.listener, next.event)
		}
	}
}

// handle calls a handler and does what it asks for. What it raises ends the verb that waits.
func (c *Call) handle(L *lua.LState, l *listener, e *esl.Event) {
	c.handling = true
	defer func() { c.handling = false }()
	c.budget.resume()
	top := L.GetTop()
	L.Push(l.fn)
	n := 0
	if e != nil {
		c.budget.charged += e.Size()
		switch l.event.kind {
		case "dtmf":
			L.Push(lua.LString(e.Get("DTMF-Digit")))
			n++
		case "speech":
			L.Push(lua.LString(spoken(e.Body())))
			n++
		case "hangup":
			L.Push(lua.LString(e.Get("Hangup-Cause")))
			n++
		}
		L.Push(newEvent(e))
		n++
	}
	L.Call(n, 1)
	said := L.Get(-1)
	L.SetTop(top)
	c.obey(L, said)
}

// obey does what a handler asks for by its result.
func (c *Call) obey(L *lua.LState, said lua.LValue) {
	text, ok := said.(lua.LString)
	if !ok || len(c.waits) == 0 {
		return
	}
	in := c.waits[len(c.waits)-1]
	switch order := string(text); {
	case order == "stop":
		c.stop(L, in)
	case playControl(order):
		c.control(L, in.channel, "uuid_fileman", order)
	default:
		L.RaiseError("a handler returns nothing, \"stop\", \"pause\", \"restart\", or such as \"seek:+3000\", \"volume:-1\" and \"speed:1\", not %s", describe(said))
	}
}

// playControl reports whether text is an order that uuid_fileman takes.
func playControl(text string) bool {
	verb, n, found := strings.Cut(text, ":")
	switch verb {
	case "pause", "restart", "truncate":
		return !found
	case "seek", "volume", "speed":
		digits := strings.TrimLeft(n, "+-")
		return digits != "" && len(n)-len(digits) <= 1 && len(digits) < 10 && strings.Trim(digits, "0123456789") == ""
	}
	return false
}

// exitKey is what stops a wait in a queue: no telephone has it. It is pressed for the caller.
const exitKey = "D"

// stop ends a verb that waits. How depends on the application (measured on FreeSWITCH 1.11: uuid_break ends neither
// a bridge nor a conference).
func (c *Call) stop(L *lua.LState, in *waiting) {
	in.stopped = true
	if in.stop != nil {
		in.stop()
		return
	}
	switch in.app {
	case "":
	case "bridge":
		c.order(L, in.channel, esl.API{Command: "hupall", Args: "NORMAL_CLEARING " + bridgeMark + " " + c.idOf(in.channel)})
	case "conference":
		c.order(L, in.channel, esl.API{Command: "conference", Args: in.channel.room + " kick uuid=" + c.idOf(in.channel)})
	case "fifo", "callcenter":
		c.control(L, in.channel, "uuid_recv_dtmf", exitKey)
	case "read", "play_and_get_digits", "play_and_detect_speech":
		c.control(L, in.channel, "uuid_break", "all")
	default:
		c.control(L, in.channel, "uuid_break", "")
	}
}

// control gives an API command about a channel, and does not wait for it.
func (c *Call) control(L *lua.LState, ch *channel, command, args string) {
	line := c.idOf(ch)
	if args != "" {
		line += " " + args
	}
	c.order(L, ch, esl.API{Command: command, Args: line})
}

func (c *Call) order(L *lua.LState, ch *channel, cmd esl.API) {
	if !c.conn.Full() {
		L.RaiseError("this needs the word full in the dialplan: <action application=\"socket\" data=\"host:port async full\"/>")
	}
	c.check(L, c.conn.Post(cmd))
	c.check(L, c.conn.Flush())
}

func (c *Call) idOf(ch *channel) string {
	if ch.leg != nil {
		return ch.leg.uuid
	}
	return c.conn.UUID()
}

// tellDropped says, once for a call, that events were lost, and which.
func (c *Call) tellDropped() {
	if c.dropped == 0 {
		c.log.Warn("events were dropped: the script computed while more came than limits.queue holds", "events", lostText(c.conn.Lost()))
	}
	c.dropped = c.conn.Dropped()
}

func lostText(lost map[string]uint64) string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(lost)) {
		list = append(list, fmt.Sprintf("%s: %d", name, lost[name]))
	}
	return strings.Join(list, ", ")
}

func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0xf|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
