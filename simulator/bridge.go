package simulator

import (
	"strings"
	"time"
)

// An attempt is somebody who waits for what becomes of legs.
type attempt struct {
	waiter *task
	caller *Channel // in a bridge: the one to be told that the other side has gone
}

// changed tells the attempt, which may be nil, that a leg's state changed.
func (a *attempt) changed() {
	if a == nil {
		return
	}
	if a.caller != nil {
		a.caller.loose = true
	}
	a.waiter.wake()
}

// A dialling is a dial string taken apart: groups tried one after another, the
// legs of a group all at once.
type dialling struct {
	groups [][]dialedLeg
	vars   []Variable
}

type dialedLeg struct {
	DialedLeg
	timeout time.Duration
}

// splitOutside splits at a separator that is not inside brackets of any kind.
func splitOutside(s, separator string) []string {
	var parts []string
	depth, start := 0, 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '{', '[', '<', '(':
			depth++
		case '}', ']', '>', ')':
			depth--
		default:
			if depth <= 0 && strings.HasPrefix(s[i:], separator) {
				parts = append(parts, s[start:i])
				i += len(separator) - 1
				start = i + 1
			}
		}
	}
	return append(parts, s[start:])
}

func valueOf(vars []Variable, name string) string {
	for i := len(vars) - 1; i >= 0; i-- {
		if strings.EqualFold(vars[i].Name, name) {
			return vars[i].Value
		}
	}
	return ""
}

// parseDialString understands <enterprise variables>, the separator ":_:" of
// enterprise originates, {variables for all}, [variables for one leg], "|" for
// one after another and "," for all at once.
func parseDialString(text string) dialling {
	var d dialling
	text = strings.TrimSpace(text)
	if vars, rest, ok := takeBrackets(text, '<', '>', ','); ok {
		d.vars, text = vars, rest
	}
	enterprise := splitOutside(text, ":_:")
	var merged []dialedLeg
	for _, thread := range enterprise {
		common := append([]Variable(nil), d.vars...)
		for {
			vars, rest, ok := takeBrackets(strings.TrimSpace(thread), '{', '}', ',')
			if !ok {
				break
			}
			common, thread = append(common, vars...), rest
		}
		if len(enterprise) == 1 {
			d.vars = common
		}
		for _, group := range splitOutside(thread, "|") {
			var legs []dialedLeg
			for _, part := range splitOutside(group, ",") {
				vars := append([]Variable(nil), common...)
				part = strings.TrimSpace(part)
				for {
					own, rest, ok := takeBrackets(part, '[', ']', ',')
					if !ok {
						break
					}
					vars, part = append(vars, own...), rest
				}
				if part == "" {
					continue
				}
				leg := dialedLeg{DialedLeg: DialedLeg{DialString: part, Variables: vars}}
				leg.timeout = time.Duration(atoi(valueOf(vars, "leg_timeout"))) * time.Second
				legs = append(legs, leg)
			}
			if len(enterprise) > 1 {
				merged = append(merged, legs...)
			} else if len(legs) > 0 {
				d.groups = append(d.groups, legs)
			}
		}
	}
	if len(merged) > 0 {
		d.groups = [][]dialedLeg{merged}
	}
	return d
}

// originate dials until a leg answers; on failure it returns the cause. caller
// is nil for the API; t waits.
func (s *Switch) originate(t *task, caller *Channel, d dialling, timeout time.Duration, then []Action) (leg *Channel, cause string) {
	cause = "DESTINATION_OUT_OF_ORDER"
	if caller != nil {
		caller.set("originated_legs", "")
		caller.set("originate_causes", "")
		if len(d.groups) == 0 {
			caller.tellDialling(nil, cause) // nothing to dial
		}
	}
	for _, group := range d.groups {
		leg, cause = s.attempt(t, caller, group, timeout, then)
		if leg != nil || cause == "ORIGINATOR_CANCEL" {
			break
		}
	}
	return leg, cause
}

// attempt dials the legs of one group at once.
func (s *Switch) attempt(t *task, caller *Channel, group []dialedLeg, timeout time.Duration, then []Action) (won *Channel, cause string) {
	at := &attempt{waiter: t}
	cause = "NORMAL_CLEARING"
	var legs []*Channel
	var deadlines []time.Time
	began := s.clock.Now()
	for _, to := range group {
		dials := t.owner
		if caller != nil {
			dials, to.Caller = caller, caller.UUID
		}
		s.note(dials, Dialled, "", to.DialString)
		b := s.behaviour(to.DialedLeg)
		if b.Cause != "" {
			b.Cause = causeNamed(b.Cause)
		}
		if noLeg(b.Cause) {
			cause = b.Cause
			continue
		}
		leg := s.newLeg(caller, to, at, then)
		legs = append(legs, leg)
		var deadline time.Time
		if to.timeout > 0 {
			deadline = began.Add(to.timeout)
		}
		deadlines = append(deadlines, deadline)
		if caller != nil {
			caller.set("originate_signal_bond", leg.UUID)
			caller.vars.add("originated_legs", leg.UUID+";Outbound Call;"+leg.profile.calleeNumber, false)
		}
		s.spawn(func() { leg.live(b) })
	}
	end := began.Add(timeout)
	for len(legs) > 0 {
		up := 0
		var next time.Time
		now := s.clock.Now()
		for i, leg := range legs {
			switch {
			case leg.cause != "" || leg.gone:
				continue
			case leg.answered:
				won = leg
			case !deadlines[i].IsZero() && !now.Before(deadlines[i]):
				leg.hangup("ALLOTTED_TIMEOUT", false)
				continue
			case !deadlines[i].IsZero() && (next.IsZero() || deadlines[i].Before(next)):
				next = deadlines[i]
			}
			up++
			if caller != nil && caller.times.progress.IsZero() && leg.callState == "RINGING" {
				caller.rung()
			}
		}
		var giveUp string
		switch {
		case won != nil:
			giveUp = "LOSE_RACE"
		case s.closed || t.cancelled || caller != nil && !caller.ready():
			giveUp, cause = "ORIGINATOR_CANCEL", "ORIGINATOR_CANCEL"
		case up == 0:
			cause = legs[len(legs)-1].cause
		case caller != nil && caller.takeExit():
			giveUp, cause = "ORIGINATOR_CANCEL", "ORIGINATOR_CANCEL"
		case timeout > 0 && !now.Before(end):
			giveUp, cause = "NO_ANSWER", "NO_ANSWER"
		default:
			if timeout > 0 && (next.IsZero() || end.Before(next)) {
				next = end
			}
			if caller != nil && len(caller.queue) > 0 && caller.locks == 0 {
				caller.toTick()
				caller.performQueued()
				continue
			}
			if t.block(next) {
				if _, ok := s.clock.(instant); ok {
					// Time does not pass there: whoever has a deadline has met it.
					end = now
					for i := range deadlines {
						if !deadlines[i].IsZero() {
							deadlines[i] = now
						}
					}
				}
			}
			continue
		}
		for _, leg := range legs {
			if leg != won && giveUp != "" {
				leg.hangup(giveUp, false)
			}
		}
		break
	}
	if caller != nil {
		if won == nil && len(legs) > 0 {
			caller.set("last_bridge_hangup_cause", cause)
		}
		caller.tellDialling(won, cause)
		for _, leg := range legs {
			caller.vars.add("originate_causes", leg.UUID+";"+or(leg.cause, "NONE"), false)
		}
	}
	return won, cause
}

// tellDialling sets the variables that say what came of the dialling.
func (c *Channel) tellDialling(won *Channel, cause string) {
	if won != nil {
		c.set("originate_signal_bond", "")
		c.set("originate_disposition", "SUCCESS")
		c.set("DIALSTATUS", "SUCCESS")
		return
	}
	c.set("originate_disposition", cause)
	status := cause
	switch cause {
	case "ORIGINATOR_CANCEL":
		status = "CANCEL"
	case "USER_BUSY":
		status = "BUSY"
	case "NO_ANSWER":
		status = "NOANSWER"
	case "DESTINATION_OUT_OF_ORDER", "INVALID_PROFILE":
		status = "INVALIDARGS"
	case "CALL_REJECTED":
		status = "DONTCALL"
	}
	c.set("DIALSTATUS", status)
}

// rung notes that the far end rings, and passes it on to a caller who waits.
func (c *Channel) rung() {
	if c.answered || c.early {
		c.times.progress = c.s.clock.Now()
		c.changed()
		return
	}
	appRingReady(c, "")
}

// newLeg makes the channel of a dialled leg.
func (s *Switch) newLeg(caller *Channel, to dialedLeg, at *attempt, then []Action) *Channel {
	uuid := valueOf(to.Variables, "origination_uuid")
	if uuid == "" || s.channels[uuid] != nil {
		uuid = newUUID()
	}
	leg := s.newChannel(uuid)
	kind, number, _ := strings.Cut(to.DialString, "/")
	number, context, _ := strings.Cut(number, "/")
	number, _, _ = strings.Cut(number, "@")
	leg.outbound, leg.attempt, leg.then = true, at, then
	leg.source = "mod_" + kind
	leg.name, leg.dialled = to.DialString, to.DialString
	if kind == "loopback" {
		leg.name = "loopback/" + number + "-a"
	}
	leg.state, leg.stateNumber, leg.callState = "CS_CONSUME_MEDIA", 7, "DOWN"
	leg.profile = profile{
		direction: "outbound", logical: "outbound", dialplan: "xml", context: or(context, "default"), destination: number,
		callerNumber: "0000000000", calleeName: "Outbound Call", calleeNumber: or(context, number),
	}
	if caller != nil {
		p := &caller.profile
		leg.profile.logical = "inbound"
		leg.profile.callerName, leg.profile.callerNumber = p.callerName, p.callerNumber
	}
	leg.set("direction", "outbound")
	leg.set("is_outbound", "true")
	leg.setInt("session_id", 15010+s.sessions)
	leg.mediaUp()
	leg.set("channel_name", leg.name)
	leg.set("uuid", uuid)
	leg.set("call_uuid", uuid)
	if caller != nil {
		for _, listed := range [...]string{"export_vars", "bridge_export_vars"} {
			for name := range strings.SplitSeq(caller.vars.get(listed), ",") {
				name = strings.TrimPrefix(name, "nolocal:")
				value := caller.vars.get(name)
				if value == "" {
					value = caller.vars.get("nolocal:" + name)
				}
				leg.set(name, value)
			}
		}
	}
	for _, v := range to.Variables {
		leg.set(v.Name, v.Value)
		switch strings.ToLower(v.Name) {
		case "origination_caller_id_name":
			leg.profile.callerName = v.Value
		case "origination_caller_id_number":
			leg.profile.callerNumber = v.Value
		}
	}
	leg.profile.origName, leg.profile.origNumber, leg.profile.ani = leg.profile.callerName, leg.profile.callerNumber, leg.profile.callerNumber
	leg.set("originate_early_media", "true")
	leg.set("originate_endpoint", kind)
	for _, id := range [...]eventID{evCreate, evOutgoing, evOriginate} {
		leg.event(id, fromCreate).fire()
	}
	s.note(leg, Rings, to.Caller, to.DialString)
	return leg
}

// live is a dialled leg's goroutine, from ringing to its end.
func (c *Channel) live(b Behaviour) {
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	c.ring(b)
	if c.up() && b.Cause != "" && !c.picked {
		c.hangup(b.Cause, true)
	}
	if c.up() {
		c.answered = true
		c.times.answered = s.clock.Now()
		c.changed()
		s.note(c, Answered, "", "")
		c.event(evAnswer, fromAnswer).fire()
		c.callState = "ACTIVE"
		c.set("endpoint_disposition", "ANSWER")
		c.intercepts(c.dialled)
		c.attempt.changed()
		for i := range len(b.Presses) {
			s.after(time.Duration(i+1)*time.Second, c.UUID, func(c *Channel) { c.press(b.Presses[i:i+1], "APP") })
		}
		if b.HangupAfter > 0 {
			cause := causeNamed(or(b.HangupCause, "NORMAL_CLEARING"))
			s.after(b.HangupAfter, c.UUID, func(c *Channel) { c.hangup(cause, false) })
		}
	}
	for c.up() {
		switch {
		case c.reset && c.then != nil:
			// The dialling is over: the leg does what it was dialled for.
			c.reset, c.started = false, true
			c.state, c.stateNumber = "CS_EXECUTE", 4
			c.dialplan(s.base, c.then)
			c.then = nil
			if c.up() {
				c.hangup("NORMAL_CLEARING", true)
			}
		case c.followIntercepted():
		case c.orphaned != "":
			c.orphan()
		case c.transfer != nil:
			c.dialplan(s.base, nil)
			if c.up() {
				c.hangup("NORMAL_CLEARING", true)
			}
		case len(c.queue) > 0:
			c.toTick()
			c.performQueued()
		case len(c.digits) > 0:
			c.toTick()
			c.takeDigit()
		default:
			c.broken, c.loose = false, false
			c.block(time.Time{})
		}
	}
	c.letGo()
	c.outcome = Outcome{Kind: HungUpOutcome, Cause: c.cause}
	if c.dropped || s.closed {
		c.outcome = Outcome{Kind: DroppedOutcome}
	}
	c.end()
}

// ring waits until the leg answers or refuses, or is told to (Answer, Hangup).
func (c *Channel) ring(b Behaviour) {
	if b.After <= 0 && !b.Never {
		return
	}
	c.callState = "RINGING"
	c.times.progress = c.s.clock.Now()
	c.changed()
	c.event(evProgress, fromRing).fire()
	c.attempt.changed()
	var until time.Time
	if !b.Never {
		until = c.s.clock.Now().Add(b.After)
	}
	for c.up() && !c.picked && !c.block(until) {
	}
}

func appBridge(c *Channel, data string) {
	d := parseDialString(data)
	timeout := atoi(or(valueOf(d.vars, "originate_timeout"), or(c.vars.get("call_timeout"), "60")))
	leg, cause := c.s.originate(&c.task, c, d, time.Duration(timeout)*time.Second, nil)
	if leg == nil {
		c.set("originate_failed_cause", cause)
		if !c.ready() {
			c.toTick()
		}
		c.failed(cause)
		return
	}
	c.join(leg)
	if !c.ready() {
		return
	}
	c.afterBridge(or(leg.cause, "NORMAL_CLEARING"))
}

// failed ends a call whose bridge failed, unless its variables say to go on
// (switch_channel_handle_cause).
func (c *Channel) failed(cause string) {
	if !c.ready() {
		return
	}
	listed := func(list string) bool {
		for _, name := range separate(list, ',', 256) {
			if strings.EqualFold(name, cause) || name == itoa(causes[cause]) {
				return true
			}
		}
		return false
	}
	goOn, stop := c.vars.get("continue_on_fail"), c.vars.get("failure_causes")
	switch {
	case stop != "" && !listed(stop):
		return
	case goOn != "" && (isTrue(goOn) || listed(goOn)):
		return
	case goOn == "" && stop == "" && (cause == "NO_ANSWER" || cause == "NO_USER_RESPONSE" || cause == "ORIGINATOR_CANCEL"):
		return // no answer is always a reason to continue
	}
	if to := c.vars.get("transfer_on_fail"); to != "" {
		a := arguments(to, 4)
		if isTrue(a[0]) || listed(a[0]) {
			c.leaveTo(&transfer{destination: or(a[1], cause), dialplan: a[2], context: a[3]})
			return
		}
	}
	c.hangup(cause, true)
}

// afterBridge ends a call whose bridge has ended, if its variables say so. Without
// hangup_after_bridge it goes on: measured on FreeSWITCH 1.11 and so written in switch_ivr_bridge.c.
func (c *Channel) afterBridge(cause string) {
	switch {
	case isTrue(c.vars.get("park_after_bridge")):
		appPark(c, "")
	case c.vars.get("transfer_after_bridge") != "":
		a := arguments(strings.ReplaceAll(c.vars.get("transfer_after_bridge"), ":", " "), 3)
		c.leaveTo(&transfer{destination: a[0], dialplan: a[1], context: a[2]})
	case isTrue(c.vars.get("hangup_after_bridge")):
		c.hangup(cause, true)
	}
}

// join bridges the channel with another until either goes
// (switch_ivr_multi_threaded_bridge; recordings bridge_answered, bridge_aleg_hangs_up).
func (c *Channel) join(b *Channel) {
	s := c.s
	at := &attempt{waiter: &c.task, caller: c}
	c.loose = false
	outer := c.attempt
	c.attempt, b.attempt = nil, at
	c.partner, b.partner = b, c
	if b.answered && !c.answered {
		c.answer()
	}
	b.set("call_uuid", c.UUID)
	c.other = b.appendProfile([]byte("Other-Type: originatee\n"), "Other-Leg-", false)
	now := s.clock.Now()
	c.times.bridged, b.times.bridged = now, now
	c.changed()
	b.changed()
	b.other = c.appendProfile([]byte("Other-Type: originator\n"), "Other-Leg-", false)
	b.state, b.stateNumber = "CS_EXCHANGE_MEDIA", 5
	c.set("signal_bond", b.UUID)
	tell := func(id eventID, from string) {
		if e := s.newEvent(id, "", c, nil, from); e != nil {
			e.add("Bridge-A-Unique-ID", c.UUID)
			e.add("Bridge-B-Unique-ID", b.UUID)
			c.describe(e)
			e.fire()
		}
	}
	tell(evBridge, fromBridge)
	s.note(c, Bridged, "", b.UUID)
	s.note(b, Bridged, "", c.UUID)
	for _, side := range [...][2]*Channel{{c, b}, {b, c}} {
		me, other := side[0], side[1]
		me.set("bridge_to", other.UUID)
		me.set("last_bridge_to", other.UUID)
		me.set("bridge_channel", other.name)
		me.set("bridge_uuid", other.UUID)
		me.set("signal_bond", other.UUID)
	}
	c.set("last_sent_callee_id_name", b.profile.calleeName)
	c.set("last_sent_callee_id_number", b.profile.calleeNumber)
	c.set("last_bridge_role", "originator")

	c.deafToBreak = true
	for c.ready() && b.ready() && !b.gone {
		c.loose = false
		c.idle(-1, func(key byte) bool {
			s.note(b, Sent, "", string(key))
			return true
		})
	}
	c.deafToBreak, c.loose = false, false
	b.attempt, c.attempt = nil, outer
	c.partner, b.partner = nil, nil
	if c.ready() {
		c.set("last_bridge_role", "")
	}
	c.set("bridge_to", "")
	b.set("bridge_to", "")
	b.set("call_uuid", b.UUID)
	switch {
	case b.cause != "":
		c.set("last_bridge_hangup_cause", b.cause)
		c.set("bridge_hangup_cause", b.cause)
	case b.up() && b.transfer == nil:
		// The other side follows, a frame later (recording originate_second_leg).
		b.orphaned = or(c.cause, "NORMAL_CLEARING")
		c.set("bridge_hangup_cause", b.orphaned)
		b.set("bridge_hangup_cause", b.orphaned)
	}
	tell(evUnbridge, fromUnbridge)
	b.loose = true
	b.wake()
}

// follows is the other side of a bridge that uuid_bridge made and join runs.
func (c *Channel) follows(lead *Channel) {
	c.joining = lead
	lead.wake()
	for c.ready() && c.orphaned == "" && !lead.gone {
		c.idle(-1, func(byte) bool { return true })
	}
	c.joining = nil
	c.orphan()
}

// orphan hangs up when the other side of a bridge has gone.
func (c *Channel) orphan() {
	if c.orphaned != "" && c.up() {
		c.toTick()
		c.hangup(c.orphaned, true)
	}
}

// uuidBridge takes a channel from what it does, and when it has left that the
// other one, and bridges them.
func (s *Switch) uuidBridge(a, b *Channel) {
	a.set("uuid_bridge", b.UUID)
	a.divert(b, true)
}

// leads is the part of uuid_bridge on the first channel, once it is free.
func (c *Channel) leads(b *Channel) {
	if b.gone || !b.up() {
		return
	}
	b.divert(c, false)
	for c.ready() && b.up() && !b.gone && b.joining != c {
		c.block(time.Time{})
	}
	if c.ready() && b.up() {
		c.join(b)
	}
}

// divert makes a channel leave what it does for a bridge with another.
func (c *Channel) divert(other *Channel, lead bool) {
	c.set("bridge_channel", other.name)
	c.set("bridge_uuid", other.UUID)
	c.set("signal_bond", other.UUID)
	c.set("original_destination_number", c.profile.destination)
	c.set("original_caller_id_name", c.profile.callerName)
	c.set("original_caller_id_number", c.profile.callerNumber)
	source := itoa(int(c.s.clock.Now().Unix())) + ":" + newUUID() + ":uuid_br:" + other.UUID
	c.vars.add("transfer_history", source, false)
	c.set("transfer_source", source)
	kind := "Other-Type: originator\n"
	if lead {
		kind = "Other-Type: originatee\n"
	}
	c.other = other.appendProfile([]byte(kind), "Other-Leg-", false)
	c.stateNumber = 8
	c.transfer = &transfer{with: other, lead: lead}
	c.wake()
}

// queueUp is a call queue: music until an agent comes, who behaves as the
// endpoint of that name does, then a bridge.
func (c *Channel) queueUp(endpoint, prefix string) {
	endpoint, _ = cutSpace(endpoint)
	began := c.s.clock.Now()
	c.set(prefix+"_queue_joined_epoch", itoa(int(began.Unix())))
	c.s.note(c, Played, "", "local_stream://moh")
	d := dialling{groups: [][]dialedLeg{{{DialedLeg: DialedLeg{DialString: endpoint}}}}}
	leg, _ := c.s.originate(&c.task, c, d, 0, nil)
	if leg == nil {
		c.set(prefix+"_cause", "cancel")
		c.set(prefix+"_cancel_reason", "NO_AGENT_TIMEOUT")
		return
	}
	c.set(prefix+"_queue_answered_epoch", itoa(int(c.s.clock.Now().Unix())))
	c.set(prefix+"_agent_uuid", leg.UUID)
	c.set(prefix+"_cause", "answered")
	c.join(leg)
	c.set(prefix+"_queue_terminated_epoch", itoa(int(c.s.clock.Now().Unix())))
}
