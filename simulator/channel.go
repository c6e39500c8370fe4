package simulator

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"callisto/esl"
)

// An Invite is a call that comes in at a [Switch].
type Invite struct {
	UUID         string // a random one if empty
	CallerName   string // "Ada Test" if both are empty
	CallerNumber string // "+15551230000" if both are empty
	Destination  string // "9000" if empty
	Context      string // "default" if empty

	// Variables are set before the first action, in this order.
	Variables []Variable

	// SIP makes the channel one of mod_sofia, which has no media before it is
	// answered: CHANNEL_PROGRESS_MEDIA comes in front of CHANNEL_ANSWER
	// (recording sip_basic). Otherwise it is like those of the other recordings.
	SIP bool
	// ChannelName replaces the name made from the kind of channel and the destination.
	ChannelName string
	// MediaVariables are set when a SIP channel gets its media.
	MediaVariables []Variable

	// Socket is the data of the socket action: host[:port][/path][|host2…]
	// [async] [full] [words].
	Socket string
	// Actions are further socket actions, taken when the one before has ended
	// and the call still goes on.
	Actions []string

	// Conn is used instead of dialling for the first socket action.
	Conn net.Conn
	// Dial replaces dialling over TCP; addr is host:port.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
}

// How a simulated channel's time came to its end.
type OutcomeKind string

const (
	// HungUpOutcome: somebody hung up while the socket was in control.
	HungUpOutcome OutcomeKind = "hung up"
	// ContinuedOutcome: the last socket action ended, and the call went on in
	// the dialplan, which had nothing more to offer.
	ContinuedOutcome OutcomeKind = "continued"
	// TransferredOutcome: the call left for another extension.
	TransferredOutcome OutcomeKind = "transferred"
	// DroppedOutcome: the switch died.
	DroppedOutcome OutcomeKind = "dropped"
)

// An Outcome is how a call ended.
type Outcome struct {
	Kind        OutcomeKind
	Cause       string // the hangup cause, whatever the kind; empty when dropped
	Destination string // of the last transfer
}

func (o Outcome) String() string {
	switch o.Kind {
	case TransferredOutcome:
		return fmt.Sprintf("%s to %s, %s", o.Kind, o.Destination, o.Cause)
	case DroppedOutcome:
		return string(o.Kind)
	}
	return fmt.Sprintf("%s, %s", o.Kind, o.Cause)
}

// A Channel is one leg of a call on a [Switch]. Its methods may be called from
// any goroutine, also when the channel is gone.
type Channel struct {
	UUID string

	task // its goroutine, which runs the dialplan and every application
	done chan struct{}

	name     string
	source   string // the endpoint's module
	sip      bool
	outbound bool
	profile  profile
	times    times
	index    int    // of the caller profile: 1, and one more with every transfer
	caller   []byte // the rendered Caller- headers; nil when something changed
	other    []byte // the rendered Other-Leg- headers

	state       string // CS_EXECUTE…
	stateNumber int    // of the state it is going to
	callState   string
	answered    bool
	early       bool
	codec       codec
	vars        variables
	scope       []variables // of the applications that run, the newest last
	media       []Variable  // to be set with the media

	listener    *listener // the socket in control, or the last that was
	queue       []*message
	locks       int  // event-lock, nested
	digitStops  bool // a digit ends what runs, and stays where it is
	deafToBreak bool // uuid_break does not end what runs
	breaksAll   bool // uuid_break all does
	exits       exits
	dialled     string   // of a leg: the dial string without variables
	picked      bool     // and whether somebody told it to answer
	intercepted *Channel // what a leg of loopback has taken over
	digits      []digit
	dialed      string // all digits so far
	broken      bool   // uuid_break: what runs is to end
	stopped     bool   // and so are its loops
	broadcast   bool   // a queued message runs

	cause    string    // set: hung up
	transfer *transfer // set: on its way elsewhere
	reset    bool      // the socket went away and the dialplan goes on at once
	dropped  bool      // the switch died
	gone     bool      // nothing more will happen

	partner  *Channel // bridged with
	attempt  *attempt // the dialling or the bridge that wants to know of changes
	loose    bool     // the other side of the bridge has gone
	orphaned string   // and this leg is to hang up with the cause
	joining  *Channel // uuid_bridge: whom the channel waits for
	then     []Action // what a leg of "originate" does once the dialling is over
	started  bool     // and it is
	playing  *playing
	hearing  *playing // playing, or speech, which uuid_fileman does not concern
	held     bool
	speech   *speech
	room     *room
	member   int
	muted    bool
	kicked   bool
	records  []*recording
	say      []string // what the caller said and nobody has heard yet

	log       []Occurrence
	lastApp   string
	lastArg   string
	socketed  bool // a socket action ran
	outcome   Outcome
	hungUpIn  bool // hung up while a socket was in control
	transfers string

	conn net.Conn
	dial func(ctx context.Context, addr string) (net.Conn, error)
}

// A profile is what the switch calls a caller profile.
type profile struct {
	direction, logical          string
	username, dialplan          string
	callerName, callerNumber    string
	origName, origNumber        string
	calleeName, calleeNumber    string
	networkAddr, ani            string
	destination, transferSource string
	context, rdnis              string
}

type times struct {
	profileCreated, created, answered, progress, media, hungUp, transferred, bridged, lastHold time.Time
	holdAccum                                                                                  time.Duration
}

type codec struct {
	name string
	rate int
	bits int
}

// A message is a sendmsg that waits in a channel's queue.
type message struct {
	cmd  *command
	from *listener // in synchronous mode: who waits for its end
	done bool
}

type transfer struct {
	destination, dialplan, context string
	actions                        []Action // xferext brings its own
	with                           *Channel // uuid_bridge: the other side
	lead                           bool     // and whether it is the one that runs the bridge
}

type digit struct {
	key      byte
	duration int // in samples
	source   string
}

// ready reports whether the channel can go on with what it does.
func (c *Channel) ready() bool {
	return c.cause == "" && c.transfer == nil && !c.reset && !c.dropped && !c.s.closed
}

// up reports whether nobody has hung up.
func (c *Channel) up() bool { return c.cause == "" && !c.dropped && !c.s.closed }

func (c *Channel) set(name, value string) { c.vars.set(name, value) }

func (c *Channel) setInt(name string, n int) { c.vars.set(name, itoa(n)) }

func itoa(n int) string { return strconv.Itoa(n) }

// Done is closed when the call is over and its last event on its way. A socket
// that lingers may stay open longer: see [Channel.Closed].
func (c *Channel) Done() <-chan struct{} { return c.done }

// Closed is closed when the channel's last socket connection is, nil if it
// never had one. It is for after Done.
func (c *Channel) Closed() <-chan struct{} {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.listener == nil {
		return nil
	}
	return c.listener.ended
}

// Wait returns when the call is over, or with ctx's error.
func (c *Channel) Wait(ctx context.Context) (Outcome, error) {
	select {
	case <-c.done:
		c.s.mu.Lock()
		defer c.s.mu.Unlock()
		return c.outcome, nil
	case <-ctx.Done():
		return Outcome{}, fmt.Errorf("waiting for the end of call %s: %w", c.UUID, ctx.Err())
	}
}

// Log returns what has happened on the channel so far.
func (c *Channel) Log() []Occurrence {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return append([]Occurrence(nil), c.log...)
}

// Variable returns a variable's value, "" if it is not set.
func (c *Channel) Variable(name string) string {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	value, _ := c.variable(name, -1)
	return value
}

// Answered reports whether the call was answered.
func (c *Channel) Answered() bool {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return c.answered
}

// Hangup lets the caller hang up; an empty cause is NORMAL_CLEARING.
func (c *Channel) Hangup(cause string) {
	if cause == "" {
		cause = "NORMAL_CLEARING"
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.hangup(causeNamed(cause), false)
}

// Answer lets a leg answer that was dialled and rings, before its [Behaviour] would have
// it do so. With [NoAnswer] and [Channel.Hangup] it leaves the decision to somebody who watches
// the switch. It does nothing to a channel that does not ring.
func (c *Channel) Answer() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if c.outbound && !c.answered && c.cause == "" && !c.gone {
		c.picked = true
		c.wake()
	}
}

// Hearing is what the channel hears at the moment: a file or a stream, or the text of speech, how
// far it has got, and how long it is in all (negative: without end). What is "" while it
// hears nothing of the switch.
func (c *Channel) Hearing() (what string, position, length time.Duration) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	p := c.hearing
	if p == nil {
		return "", 0, 0
	}
	position = p.position
	if !p.paused {
		position += c.s.clock.Now().Sub(p.since)
	}
	if p.length >= 0 {
		position = min(position, p.length)
	}
	return p.what, position, p.length
}

// Press lets the caller press keys: 0-9, *, #, A-D, w and W; others are
// ignored. It takes what the API function uuid_recv_dtmf takes.
func (c *Channel) Press(digits string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.press(digits, "RTP")
}

// Say lets the caller say something that a detect_speech under way, or the
// next one, takes for the result of its recognition.
func (c *Channel) Say(text string) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.hear(text)
}

// Drop lets the switch die as far as this call is concerned: the connection
// closes without a notice, no event follows.
func (c *Channel) Drop() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	c.dropped = true
	if l := c.listener; l != nil {
		if t, ok := l.conn.(*net.TCPConn); ok {
			t.SetLinger(0) // a reset, not an orderly end
		}
		l.kill()
	}
	c.wake()
}

// StopReading makes the socket read no more commands, as if it was stuck;
// StopReading(false) undoes it.
func (c *Channel) StopReading(stop bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if l := c.listener; l != nil {
		l.deaf = stop
		l.wake()
	}
}

// StopWriting makes the socket write nothing more; StopWriting(false) lets out
// what has gathered.
func (c *Channel) StopWriting(stop bool) {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if l := c.listener; l != nil {
		l.mute = stop
		l.flush()
	}
}

// CutFrame makes the socket write only half of what it writes next, and close.
func (c *Channel) CutFrame() {
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	if l := c.listener; l != nil {
		l.cut = true
	}
}

// newChannel makes a channel without starting it. s.mu is held.
func (s *Switch) newChannel(uuid string) *Channel {
	s.sessions++
	now := s.clock.Now()
	c := &Channel{
		UUID: uuid, done: make(chan struct{}), state: "CS_EXECUTE", stateNumber: 4, callState: "RINGING", index: 1,
		times: times{profileCreated: now, created: now},
	}
	c.s = s
	s.channels[uuid] = c
	return c
}

// event begins an event of the channel with its headers, nil if nobody wants
// it; extra headers that stand in front are given as text.
func (c *Channel) event(id eventID, from string) *event {
	e := c.s.newEvent(id, "", c, nil, from)
	c.describe(e)
	return e
}

// describe adds what the switch tells of the channel in an event: its call, and
// in some kinds of events its variables (switch_channel_event_set_data).
func (c *Channel) describe(e *event) {
	if e == nil {
		return
	}
	c.describeCall(e)
	if !withVariables.has(e.id) {
		return
	}
	for i := len(c.scope) - 1; i >= 0; i-- {
		for _, v := range c.scope[i] {
			e.add("scope_variable_"+v.Name, v.Value)
		}
	}
	for i := range c.vars {
		e.headers = append(e.headers, "variable_"...)
		e.headers = append(e.headers, c.vars[i].Name...)
		e.headers = append(e.headers, ": "...)
		e.headers = esl.AppendEscaped(e.headers, c.vars[i].Value)
		e.headers = append(e.headers, '\n')
	}
}

func (c *Channel) describeCall(e *event) {
	e.headers = append(e.headers, "Channel-State: "...)
	e.headers = append(e.headers, c.state...)
	e.headers = append(e.headers, "\nChannel-Call-State: "...)
	e.headers = append(e.headers, c.callState...)
	e.headers = append(e.headers, '\n')
	e.addInt("Channel-State-Number", int64(c.stateNumber))
	e.add("Channel-Name", c.name)
	e.add("Unique-ID", c.UUID)
	direction := "inbound"
	if c.outbound {
		direction = "outbound"
	}
	e.add("Call-Direction", direction)
	e.add("Presence-Call-Direction", direction)
	hit := "true"
	if c.outbound {
		hit = "false"
	}
	e.add("Channel-HIT-Dialplan", hit)
	if id := c.vars.get("presence_id"); id != "" {
		e.add("Channel-Presence-ID", id)
	}
	callUUID := c.vars.get("call_uuid")
	if callUUID == "" {
		callUUID = c.UUID
	}
	e.add("Channel-Call-UUID", callUUID)
	e.add("Answer-State", c.answerState())
	if c.cause != "" {
		e.add("Hangup-Cause", c.cause)
	}
	if c.codec.name != "" {
		for _, way := range [...]string{"Channel-Read-Codec-", "Channel-Write-Codec-"} {
			e.add(way+"Name", c.codec.name)
			e.addInt(way+"Rate", int64(c.codec.rate))
			e.addInt(way+"Bit-Rate", int64(c.codec.bits))
		}
	}
	if c.caller == nil {
		c.caller = c.appendProfile(nil, "Caller-", true)
	}
	e.headers = append(e.headers, c.caller...)
	e.headers = append(e.headers, c.other...)
}

func (c *Channel) answerState() string {
	switch {
	case c.cause != "":
		return "hangup"
	case c.answered:
		return "answered"
	case c.early:
		return "early"
	}
	return "ringing"
}

// appendProfile renders the caller profile under a prefix; withIndex only for
// the channel itself, as the switch does.
func (c *Channel) appendProfile(dst []byte, prefix string, withIndex bool) []byte {
	p := &c.profile
	add := func(name, value string) {
		if value != "" {
			dst = append(dst, prefix...)
			dst = esl.AppendHeader(dst, name, value)
		}
	}
	at := func(name string, t time.Time) {
		n := int64(0)
		if !t.IsZero() {
			n = t.UnixMicro()
		}
		dst = append(dst, prefix...)
		dst = append(dst, name...)
		dst = append(dst, ": "...)
		dst = strconv.AppendInt(dst, n, 10)
		dst = append(dst, '\n')
	}
	add("Direction", p.direction)
	add("Logical-Direction", p.logical)
	add("Username", p.username)
	add("Dialplan", p.dialplan)
	add("Caller-ID-Name", p.callerName)
	add("Caller-ID-Number", p.callerNumber)
	add("Orig-Caller-ID-Name", p.origName)
	add("Orig-Caller-ID-Number", p.origNumber)
	add("Callee-ID-Name", p.calleeName)
	add("Callee-ID-Number", p.calleeNumber)
	add("Network-Addr", p.networkAddr)
	add("ANI", p.ani)
	add("Destination-Number", p.destination)
	add("Unique-ID", c.UUID)
	add("Source", c.source)
	add("Transfer-Source", p.transferSource)
	add("Context", p.context)
	add("RDNIS", p.rdnis)
	add("Channel-Name", c.name)
	if withIndex {
		add("Profile-Index", itoa(c.index))
	}
	at("Profile-Created-Time", c.times.profileCreated)
	at("Channel-Created-Time", c.times.created)
	at("Channel-Answered-Time", c.times.answered)
	at("Channel-Progress-Time", c.times.progress)
	at("Channel-Progress-Media-Time", c.times.media)
	at("Channel-Hangup-Time", c.times.hungUp)
	at("Channel-Transfer-Time", c.times.transferred)
	at("Channel-Resurrect-Time", time.Time{})
	at("Channel-Bridged-Time", c.times.bridged)
	at("Channel-Last-Hold", c.times.lastHold)
	add("Channel-Hold-Accum", itoa(int(c.times.holdAccum.Microseconds())))
	add("Screen-Bit", "true")
	add("Privacy-Hide-Name", "false")
	add("Privacy-Hide-Number", "false")
	return dst
}

// changed notes that the caller profile or its times changed.
func (c *Channel) changed() { c.caller = nil }

// variable implements environment: scope variables, the channel's own, fields
// of the caller profile, global ones.
func (c *Channel) variable(name string, index int) (string, bool) {
	for i := len(c.scope) - 1; i >= 0; i-- {
		if v := c.scope[i].get(name); v != "" {
			return element(v, index)
		}
	}
	if v := c.vars.get(name); v != "" {
		return element(v, index)
	}
	if v := c.profileField(name); v != "" {
		return v, true
	}
	if v := c.s.globals.get(name); v != "" {
		return element(v, index)
	}
	return "", false
}

func (c *Channel) profileField(name string) string {
	p := &c.profile
	switch strings.ToLower(name) {
	case "dialplan":
		return p.dialplan
	case "caller_id_name", "effective_caller_id_name":
		return p.callerName
	case "caller_id_number", "effective_caller_id_number":
		return p.callerNumber
	case "orig_caller_id_name":
		return p.origName
	case "orig_caller_id_number":
		return p.origNumber
	case "callee_id_name":
		return p.calleeName
	case "callee_id_number":
		return p.calleeNumber
	case "network_addr":
		return p.networkAddr
	case "ani":
		return p.ani
	case "rdnis":
		return p.rdnis
	case "destination_number":
		return p.destination
	case "uuid":
		return c.UUID
	case "source":
		return c.source
	case "transfer_source":
		return p.transferSource
	case "context":
		return p.context
	case "chan_name":
		return c.name
	case "username":
		return p.username
	case "profile_index":
		return itoa(c.index)
	case "created_time":
		return itoa(int(c.times.created.UnixMicro()))
	case "answered_time":
		if c.times.answered.IsZero() {
			return "0"
		}
		return itoa(int(c.times.answered.UnixMicro()))
	}
	return ""
}

// evaluate implements environment: it runs an API function for an expansion,
// and remembers that it did.
func (c *Channel) evaluate(function, args string) (string, bool) {
	c.s.note(c, Evaluated, function, args)
	return c.s.api(&apiCall{task: &c.task, channel: c, function: function, args: args})
}

// expand expands a text as the switch does with arguments of applications.
func (c *Channel) expand(text string) string { return expandVariables(c, text, 0) }

// hangup ends the call. The event comes at once; what the channel's own
// goroutine has to say follows when it notices. inside is true when that
// goroutine itself hangs up. s.mu is held.
func (c *Channel) hangup(cause string, inside bool) {
	if c.cause != "" || c.gone {
		return
	}
	if cause == "NONE" {
		cause = "NORMAL_CLEARING"
	}
	c.cause = cause
	c.stateNumber = 10
	c.hungUpIn = c.listener != nil && c.listener.running
	c.s.note(c, HungUp, cause, "")
	l := c.listener
	if l != nil && l.running {
		switch {
		case !l.full:
			// Nothing of the end is seen: recording async_single_channel.
			l.finish()
		case l.lingers && l.async && c.s.NoticeFirst:
			l.hungUp()
		}
	}
	c.event(evHangup, fromHangup).fire()
	if l != nil && !inside && !l.lingers {
		// Without linger the socket goes before the channel has noticed:
		// recording caller_hangs_up_no_linger.
		l.finish()
	}
	c.attempt.changed()
	c.wake()
}

// press queues digits in the notation of uuid_recv_dtmf: "1w2@200+3".
func (c *Channel) press(text, source string) bool {
	any := false
	for _, part := range separate(text, '+', 256) {
		keys, length, _ := strings.Cut(part, "@")
		duration := 2000
		if n := atoi(length) * 8; n > 400 {
			duration = min(n, 192000)
		}
		for i := 0; i < len(keys); i++ {
			if strings.IndexByte("0123456789*#ABCDabcdWwFf", keys[i]) >= 0 {
				c.digits = append(c.digits, digit{keys[i], duration, source})
				any = true
			}
		}
	}
	if any {
		c.wake()
	}
	return any
}

// takeDigit takes the next digit, which is when the switch tells of it.
func (c *Channel) takeDigit() (byte, bool) {
	if len(c.digits) == 0 {
		return 0, false
	}
	d := c.digits[0]
	c.digits = c.digits[1:]
	c.dialed += string(d.key)
	c.s.note(c, Digit, "", string(d.key))
	if e := c.event(evDTMF, fromDTMF); e != nil {
		e.add("DTMF-Digit", string(d.key))
		e.addInt("DTMF-Duration", int64(d.duration))
		e.add("DTMF-Source", d.source)
		e.fire()
	}
	return d.key, true
}
