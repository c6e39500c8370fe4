package simulator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"
)

// An Action is one action of the dialplan: an application and its argument.
type Action struct{ Application, Data string }

// maxTransfers is what max_forwards starts with.
const maxTransfers = 70

// Call lets a call come in. It returns as soon as there is a channel; that the
// socket could not be reached shows in the outcome, as it would on a switch.
// Its end keeps the channel from dialling, and changes nothing else.
func (s *Switch) Call(ctx context.Context, in Invite) (*Channel, error) {
	if in.Socket == "" {
		return nil, errors.New("an Invite needs the data of a socket action in Socket")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return nil, err
	}
	if in.UUID == "" {
		in.UUID = newUUID()
	} else if s.channels[in.UUID] != nil {
		return nil, fmt.Errorf("there is a channel %s already", in.UUID)
	}
	c := s.newChannel(in.UUID)
	c.setUp(in)
	actions := []Action{{"socket", in.Socket}}
	for _, data := range in.Actions {
		actions = append(actions, Action{"socket", data})
	}
	c.conn, c.dial = in.Conn, in.Dial
	if c.dial == nil {
		c.dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "tcp", addr)
		}
	}
	dialling, cancel := context.WithCancel(s.base)
	detach := context.AfterFunc(ctx, cancel)
	s.spawn(func() {
		defer cancel()
		defer detach()
		c.run(dialling, actions)
	})
	return c, nil
}

// setUp fills in the channel of an incoming call, variables in the order of
// the recordings.
func (c *Channel) setUp(in Invite) {
	if in.CallerName == "" && in.CallerNumber == "" {
		in.CallerName, in.CallerNumber = "Ada Test", "+15551230000"
	}
	if in.Destination == "" {
		in.Destination = "9000"
	}
	if in.Context == "" {
		in.Context = "default"
	}
	c.sip, c.media, c.name = in.SIP, in.MediaVariables, in.ChannelName
	c.profile = profile{
		direction: "inbound", logical: "inbound", dialplan: "xml",
		callerName: in.CallerName, callerNumber: in.CallerNumber, origName: in.CallerName, origNumber: in.CallerNumber,
		ani: in.CallerNumber, destination: in.Destination, context: in.Context,
	}
	c.set("direction", "inbound")
	c.set("uuid", c.UUID)
	c.setInt("session_id", 15010+c.s.sessions)
	if c.sip {
		c.source = "mod_sofia"
		c.profile.dialplan, c.profile.username, c.profile.networkAddr = "XML", in.CallerNumber, "127.0.0.1"
		if c.name == "" {
			c.name = "sofia/internal/" + in.CallerNumber + "@127.0.0.1"
		}
		if valueOf(in.Variables, "channel_name") == "" {
			c.set("channel_name", c.name)
		}
	} else {
		c.source = "mod_loopback"
		c.profile.calleeName, c.profile.calleeNumber = "Outbound Call", in.Context
		if c.name == "" {
			c.name = "loopback/" + in.Destination + "-b"
		}
		c.set("channel_name", c.name)
		c.mediaUp()
		c.set("origination_caller_id_number", in.CallerNumber)
		c.set("origination_caller_id_name", in.CallerName)
		c.set("other_loopback_leg_uuid", newUUID())
		c.set("loopback_leg", "B")
	}
	if !c.sip {
		c.set("call_uuid", c.UUID)
	}
	for _, v := range in.Variables {
		c.set(v.Name, v.Value)
	}
	if c.sip {
		c.set("call_uuid", c.UUID)
	}
}

// mediaUp gives the channel its codec.
func (c *Channel) mediaUp() {
	if c.codec.name != "" {
		return
	}
	c.codec = codec{"L16", 8000, 128000}
	if c.sip {
		c.codec = codec{"PCMU", 8000, 64000}
	}
	for _, way := range [...]string{"read", "write"} {
		c.set(way+"_codec", c.codec.name)
		c.setInt(way+"_rate", c.codec.rate)
	}
	for _, v := range c.media {
		c.set(v.Name, v.Value)
	}
}

// run is the channel's goroutine: the dialplan from its first action to the
// end of the call.
func (c *Channel) run(ctx context.Context, actions []Action) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := ContinuedOutcome
	c.dialplan(ctx, actions)
	switch {
	case c.dropped || s.closed:
		kind = DroppedOutcome
	case c.transfers != "":
		kind = TransferredOutcome
	case c.cause != "" && (c.hungUpIn || !c.socketed):
		kind = HungUpOutcome
	}
	if c.up() {
		c.hangup("NORMAL_CLEARING", true) // the dialplan is at its end
	}
	c.outcome = Outcome{Kind: kind, Cause: c.cause, Destination: c.transfers}
	c.end()
}

// dialplan executes actions, and those of every extension the channel is
// transferred to.
func (c *Channel) dialplan(ctx context.Context, actions []Action) {
	for {
		for _, a := range actions {
			if !c.ready() {
				break
			}
			if a.Application == "socket" {
				c.execute("socket", a.Data, func(data string) { c.socket(ctx, data) })
			} else {
				c.perform(a.Application, a.Data)
			}
			c.reset = c.reset && c.transfer != nil
		}
		if c.transfer == nil || !c.up() {
			return
		}
		t := c.transfer
		c.transfer, c.reset = nil, false
		c.transfers = t.destination
		c.toTick()
		c.callState, c.state, c.stateNumber = "RINGING", "CS_ROUTING", 2
		c.event(evState, fromState).fire()
		c.set("call_uuid", c.UUID)
		actions = t.actions
		if actions == nil && c.s.Dialplan != nil {
			c.s.unlocked(func() { actions, _ = c.s.Dialplan(t.destination, t.dialplan, t.context) })
		}
		if !c.ready() {
			continue
		}
		if c.answered {
			c.callState = "ACTIVE"
		}
		if t.with != nil {
			c.state = "CS_SOFT_EXECUTE"
			c.set("uuid_bridge", "")
			c.event(evState, fromState).fire()
			if t.lead {
				c.leads(t.with)
			} else {
				c.follows(t.with)
			}
			actions = nil
			continue
		}
		c.state, c.stateNumber = "CS_EXECUTE", 4
		c.event(evState, fromState).fire()
	}
}

// end tells the end of the call, the order as recorded in basic_async_full,
// and forgets the channel.
func (c *Channel) end() {
	s := c.s
	if c.cause != "" && !c.dropped && !s.closed {
		c.stopRecordings()
		c.state, c.stateNumber = "CS_HANGUP", 10
		c.event(evState, fromState).fire()
		c.times.hungUp = s.clock.Now()
		c.changed()
		c.callState, c.state, c.stateNumber = "HANGUP", "CS_REPORTING", 11
		c.event(evState, fromState).fire()
		c.bill()
		if e := s.newEvent(evHangupComplete, "", c, nil, fromReport); e != nil {
			e.add("Hangup-Cause", c.cause)
			c.describe(e)
			e.fire()
		}
	}
	c.gone = true
	delete(s.channels, c.UUID)
	s.note(c, Ended, string(c.outcome.Kind), c.outcome.String())
	if s.noticed != nil {
		s.noticed.Signal()
	}
	if l := c.listener; l != nil && !c.dropped {
		l.hungUp()
	}
	if c.conn != nil {
		c.conn.Close()
	}
	close(c.done)
}

// bill sets the variables that only CHANNEL_HANGUP_COMPLETE has.
func (c *Channel) bill() {
	t := &c.times
	c.set("hangup_cause", c.cause)
	c.setInt("hangup_cause_q850", q850(c.cause))
	dialed := c.dialed
	if dialed == "" {
		dialed = "none"
	}
	c.set("digits_dialed", dialed)
	stamp := func(name string, at time.Time) {
		if !at.IsZero() {
			c.set(name+"_stamp", at.UTC().Format(time.DateTime))
		}
	}
	stamp("start", t.created)
	stamp("profile_start", t.profileCreated)
	stamp("answer", t.answered)
	stamp("bridge", t.bridged)
	stamp("progress", t.progress)
	stamp("progress_media", t.media)
	stamp("end", t.hungUp)
	epoch := func(name string, at time.Time) {
		seconds, micros := int64(0), int64(0)
		if !at.IsZero() {
			seconds, micros = at.Unix(), at.UnixMicro()
		}
		c.setInt(name+"_epoch", int(seconds))
		c.setInt(name+"_uepoch", int(micros))
	}
	epoch("start", t.created)
	epoch("profile_start", t.profileCreated)
	epoch("answer", t.answered)
	epoch("bridge", t.bridged)
	epoch("last_hold", t.lastHold)
	c.setInt("hold_accum_seconds", int(t.holdAccum.Seconds()))
	c.setInt("hold_accum_usec", int(t.holdAccum.Microseconds()))
	c.setInt("hold_accum_ms", int(t.holdAccum.Milliseconds()))
	epoch("resurrect", time.Time{})
	epoch("progress", t.progress)
	epoch("progress_media", t.media)
	epoch("end", t.hungUp)
	if c.lastApp != "" {
		c.set("last_app", c.lastApp)
		if !hasVariable(c.lastArg) { // the switch takes such a value for an attack
			c.set("last_arg", c.lastArg)
		}
	}
	c.set("caller_id", fmt.Sprintf("%q <%s>", c.profile.callerName, c.profile.callerNumber))
	since := func(from, to time.Time) time.Duration {
		if from.IsZero() || to.IsZero() || to.Before(from) {
			return 0
		}
		return to.Sub(from)
	}
	spans := [...]struct {
		name string
		d    time.Duration
	}{
		{"duration", since(t.created, t.hungUp)}, {"bill", since(t.answered, t.hungUp)},
		{"progress", since(t.created, t.progress)}, {"answer", since(t.created, t.answered)},
		{"wait", since(t.created, t.bridged)}, {"progress_media", since(t.created, t.media)},
		{"flow_bill", since(t.created, t.hungUp)},
	}
	for _, unit := range [...]struct {
		prefix, suffix string
		d              time.Duration
	}{{"", "sec", time.Second}, {"m", "msec", time.Millisecond}, {"u", "usec", time.Microsecond}} {
		for _, span := range spans {
			name := span.name + unit.suffix
			if span.name == "duration" {
				name = unit.prefix + "duration"
			}
			n := span.d / unit.d
			if unit.d == time.Second {
				n = (span.d + time.Second/2) / time.Second
			}
			c.setInt(name, int(n))
		}
	}
	if c.source == "mod_loopback" {
		c.set("is_loopback", "1")
	}
}

// socket is the socket application: it connects and, until the other side or
// the call ends it, does what it is told (socket_function in mod_event_socket.c).
func (c *Channel) socket(ctx context.Context, data string) {
	s := c.s
	c.socketed = true
	words := separate(data, ' ', 80)
	if len(words) == 0 {
		return
	}
	conn := c.reach(ctx, words[0])
	if conn == nil {
		return
	}
	if !c.ready() {
		conn.Close()
		return
	}
	if old := c.listener; old != nil {
		c.listener = nil
		old.classify()
	}
	l := s.newListener(conn, c)
	l.outbound, l.authed = true, true
	for _, word := range words[1:] {
		switch strings.ToLower(word) {
		case "async":
			l.async = true
		case "full":
			l.full = true
		}
	}
	c.listener = l
	l.classify()
	l.expire(connectTimeout, func() bool { return !l.connected })
	s.spawn(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		l.serve(bufio.NewReaderSize(conn, 2048))
	})
	if l.async {
		c.park(l)
	} else {
		c.follow(l)
	}
	if c.transfer == nil && c.up() && (l.resume || isTrue(c.vars.get("socket_resume"))) {
		c.reset = false
		c.state, c.stateNumber = "CS_EXECUTE", 4
	}
}

// reach connects to the first host that takes the call. A host without a port
// inherits that of the one before, and a path stays behind as socket_path.
func (c *Channel) reach(ctx context.Context, hosts string) net.Conn {
	port := "8084"
	for host := range strings.SplitSeq(hosts, "|") {
		if host == "" {
			continue
		}
		tail := host
		colon := strings.LastIndexByte(host, ':')
		if colon >= 0 {
			tail = host[colon+1:]
		}
		var path string
		if slash := strings.IndexByte(tail, '/'); slash >= 0 {
			path, tail = tail[slash+1:], tail[:slash]
			c.set("socket_path", path)
		}
		if colon >= 0 {
			host, port = host[:colon], itoa(atoi(tail))
		} else {
			host = tail
		}
		c.set("socket_host", host)
		if conn := c.conn; conn != nil {
			c.conn = nil
			return conn
		}
		var conn net.Conn
		var err error
		c.s.unlocked(func() { conn, err = c.dial(ctx, net.JoinHostPort(strings.Trim(host, "[]"), port)) })
		if err == nil {
			return conn
		}
		c.s.note(c, Logged, "error", "socket: "+err.Error())
	}
	return nil
}

// park is a channel under asynchronous control: it waits for messages and
// performs them (switch_ivr_park).
func (c *Channel) park(l *listener) {
	for c.ready() && l.running && !l.connected {
		c.block(time.Time{})
	}
	// Whether the other side gets CHANNEL_PARK depends on its asking for it
	// within this millisecond: recordings basic_async_full, async_single_channel.
	var wait time.Time
	if _, ok := c.s.clock.(instant); !ok {
		wait = c.s.clock.Now().Add(time.Millisecond)
	}
	for c.ready() && l.running && len(c.queue) == 0 && !c.block(wait) {
	}
	c.parked(func() bool { return l.running })
}

// parked stays until stay says otherwise or the channel is wanted elsewhere.
func (c *Channel) parked(stay func() bool) {
	c.event(evPark, fromPark).fire()
	for c.ready() && stay() {
		if len(c.queue) == 0 && len(c.digits) == 0 && !c.broken {
			c.block(time.Time{})
			if !c.ready() {
				c.toTick()
			}
			continue
		}
		c.toTick()
		c.broken = false
		c.performQueued()
		if c.ready() {
			c.takeDigit()
		}
	}
	c.event(evUnpark, fromUnpark).fire()
	// What is still queued is performed as far as that is possible on a channel
	// that is gone.
	for len(c.queue) > 0 && !c.dropped && !c.s.closed {
		c.performQueued()
	}
}

// follow is a channel under synchronous control: the socket itself performs
// what it is told, one thing after another.
func (c *Channel) follow(l *listener) {
	for l.running && !c.dropped && !c.s.closed && c.transfer == nil && !c.reset && (c.cause == "" || l.lingers) {
		if len(c.queue) > 0 && c.queue[0].from == l {
			m := c.queue[0]
			c.queue = c.queue[1:]
			c.obey(m)
			m.done = true
			l.wake()
			continue
		}
		if c.cause != "" && !l.busy {
			l.hungUp()
		}
		if l.running {
			c.block(time.Time{})
		}
	}
}

// performQueued performs what waits in the queue, until something breaks it off.
func (c *Channel) performQueued() {
	for len(c.queue) > 0 && !c.dropped && !c.s.closed {
		m := c.queue[0]
		c.queue = c.queue[1:]
		c.obey(m)
		if c.broken || !c.ready() {
			break
		}
	}
}

// toTick waits for the channel's next media frame. A hangup does not shorten it.
func (c *Channel) toTick() {
	tick := c.s.Tick
	if tick <= 0 {
		return
	}
	now := c.s.clock.Now()
	until := now.Add(tick - now.Sub(c.times.created)%tick)
	for !c.dropped && !c.s.closed && !c.block(until) {
	}
}

// obey does what a sendmsg says (switch_ivr_parse_event).
func (c *Channel) obey(m *message) {
	cmd := m.cmd
	if isTrue(cmd.header("event-lock")) || isTrue(cmd.header("event-lock-pri")) {
		c.locks++
		defer func() { c.locks-- }()
	}
	switch strings.ToLower(cmd.header("call-command")) {
	case "execute":
		c.obeyExecute(cmd)
	case "hangup":
		cause := "NORMAL_CLEARING"
		if h := cmd.header("hangup-cause"); h != "" {
			cause = causeNamed(h)
		}
		c.hangup(cause, true)
	case "xferext":
		var actions []Action
		for _, h := range cmd.headers {
			if strings.EqualFold(h.Name, "application") {
				app, data := cutSpace(h.Value)
				actions = append(actions, Action{app, data})
			}
		}
		if c.up() {
			c.leaveTo(&transfer{destination: "xferext", dialplan: c.profile.dialplan, context: c.profile.context, actions: actions})
		}
	case "unicast", "nomedia":
		// Media take no shape here.
	}
}

func (c *Channel) obeyExecute(cmd *command) {
	app := cmd.header("execute-app-name")
	if app == "" {
		return
	}
	arg := cmd.header("execute-app-arg")
	if arg == "" && strings.EqualFold(cmd.header("content-type"), "text/plain") {
		arg = cmd.body
	}
	loops := 1
	if h := cmd.header("loops"); h != "" {
		loops = atoi(h)
	}
	c.stopped = false
	outer := c.broadcast
	c.broadcast = true
	for i := 0; i < loops || loops < 0; i++ {
		if uuid := cmd.header("event-uuid"); uuid != "" {
			c.set("app_uuid", uuid)
		}
		if name := cmd.header("event-uuid-name"); name != "" {
			c.set("app_uuid_name", name)
		}
		c.setInt("current_loop", i+1)
		c.setInt("total_loops", loops)
		began := c.s.clock.Now()
		if !c.perform(app, arg) {
			break
		}
		// What took less than half a second is not repeated.
		if !c.ready() || c.stopped || c.s.clock.Now().Sub(began) < 500*time.Millisecond {
			break
		}
	}
	c.set("current_loop", "")
	c.set("total_loops", "")
	c.broadcast = outer
	if c.stopped {
		c.broadcast = false
		c.broken = true
	}
}

// interrupt is uuid_break: what runs ends; with all, what waits is dropped too.
func (c *Channel) interrupt(all bool) {
	if all {
		c.queue = nil
		if c.breaksAll {
			c.deafToBreak = false
		}
	}
	c.broken = true
	if c.broadcast {
		c.stopped = true
	}
	c.wake()
}

// perform runs an application by name, with the switch's checks.
func (c *Channel) perform(name, arg string) bool {
	app, ok := applications[strings.ToLower(name)]
	if !ok && arg == "" && strings.Contains(name, "::") {
		name, arg, _ = strings.Cut(name, "::")
		app, ok = applications[strings.ToLower(name)]
	}
	if ok && c.s.Missing != nil && c.s.Missing(app.name) {
		ok = false
	}
	if !c.up() {
		if ok && app.zombie && !c.dropped && !c.s.closed {
			c.execute(app.name, arg, func(data string) { app.run(c, data) })
			return true
		}
		return ok
	}
	if !ok {
		// No completion follows: recording unknown_application.
		c.hangup("DESTINATION_OUT_OF_ORDER", true)
		return false
	}
	if app.media && !c.answered && !c.early {
		c.preAnswer()
	}
	c.execute(app.name, arg, func(data string) {
		if c.s.Stuck != nil && c.s.Stuck(app.name) {
			c.deafToBreak = true
			c.idle(-1, nil)
			return
		}
		app.run(c, data)
	})
	return true
}

// execute expands the argument, runs the application and tells its begin and
// end (switch_core_session_exec).
func (c *Channel) execute(name, arg string, run func(data string)) {
	expand := !isTrue(c.vars.get("app_disable_expand_variables"))
	uuid := c.vars.get("app_uuid")
	c.set("app_uuid", "")
	if uuid == "" {
		uuid = newUUID()
	}
	uuidName := c.vars.get("app_uuid_name")
	c.set("app_uuid_name", "")
	if expand && arg != "" {
		arg = c.expand(arg)
		if rest, vars, ok := takeScope(arg); ok {
			arg = rest
			c.scope = append(c.scope, vars)
			defer func() { c.scope = c.scope[:len(c.scope)-1] }()
		}
	}
	c.s.note(c, Executed, name, arg)
	c.set("current_application", name)
	c.set("current_application_data", arg)
	c.set("current_application_response", "")
	tell := func(id eventID, from, response string) {
		e := c.event(id, from)
		if e == nil {
			return
		}
		e.add("Application", name)
		if arg != "" {
			e.add("Application-Data", arg)
		}
		if response != "" {
			e.add("Application-Response", response)
		}
		e.add("Application-UUID", uuid)
		if uuidName != "" {
			e.add("Application-UUID-Name", uuidName)
		}
		e.fire()
	}
	tell(evExecute, fromExec, "")
	c.broken = false
	c.set("current_application", name)
	c.lastApp, c.lastArg = name, arg

	run(arg)

	if c.dropped || c.s.closed {
		return
	}
	response := c.vars.get("current_application_response")
	if response == "" {
		response = "_none_"
	}
	tell(evExecuteComplete, fromExecEnd, response)
}

// takeScope splits the leading "%[a=1,b=2]", or "%;[a=1;b=2]", of an argument:
// variables that the application alone sees.
func takeScope(arg string) (rest string, vars variables, ok bool) {
	if len(arg) < 3 || arg[0] != '%' {
		return arg, nil, false
	}
	delim, p := byte(','), arg[1:]
	if p[0] != '[' {
		if p[1] != '[' {
			return arg, nil, false
		}
		delim, p = p[0], p[1:]
	}
	list, rest, found := takeBrackets(p, '[', ']', delim)
	if !found {
		return arg, nil, false
	}
	for _, v := range list {
		vars.set(v.Name, v.Value)
	}
	return rest, vars, true
}

// leaveTo makes the channel go elsewhere as soon as what it does has ended
// (switch_ivr_session_transfer).
func (c *Channel) leaveTo(t *transfer) {
	if !c.up() {
		return
	}
	left := maxTransfers
	if v := c.vars.get("max_forwards"); v != "" {
		left = atoi(v) - 1
	}
	if left <= 0 {
		c.hangup("EXCHANGE_ROUTING_ERROR", true)
		return
	}
	c.setInt("max_forwards", left)
	if t.dialplan == "" {
		if t.dialplan = c.vars.get("force_transfer_dialplan"); t.dialplan == "" {
			t.dialplan = c.profile.dialplan
		}
	}
	if t.context == "" {
		if t.context = c.vars.get("force_transfer_context"); t.context == "" {
			t.context = c.profile.context
		}
	}
	if t.destination == "" {
		t.destination = "service"
	}
	c.profile.rdnis = c.profile.destination
	c.profile.destination, c.profile.dialplan, c.profile.context = t.destination, t.dialplan, t.context
	c.set("signal_bond", "")
	now := c.s.clock.Now()
	c.profile.transferSource = fmt.Sprintf("%d:%s:bl_xfer:%s/%s/%s", now.Unix(), newUUID(), t.destination, t.context, t.dialplan)
	c.index++
	c.times.profileCreated = now
	c.changed()
	c.vars.add("transfer_history", c.profile.transferSource, false)
	c.set("transfer_source", c.profile.transferSource)
	c.stateNumber = 2
	c.transfer = t
	c.attempt.changed()
	c.wake()
}
