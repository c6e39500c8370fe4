package simulator

import (
	"strconv"
	"strings"
	"time"
)

// A queue's caller may leave it with a key (fifo_caller_exit_key, cc_exit_keys), where it plays music.
type exits struct {
	keys string // that end the waiting; empty: none does
	used byte
}

// takeExit looks at the digits of a caller who waits in a queue, and reports whether one ends the waiting.
func (c *Channel) takeExit() bool {
	for c.exits.keys != "" && len(c.digits) > 0 {
		if key, ok := c.takeDigit(); ok && strings.IndexByte(c.exits.keys, key) >= 0 {
			c.exits.used = key
			return true
		}
	}
	return false
}

// appCallcenter is a queue of mod_callcenter. One named nosuch@… does not exist.
func appCallcenter(c *Channel, data string) {
	name, _ := cutSpace(data)
	if strings.HasPrefix(name, "nosuch") {
		return
	}
	c.expand(c.vars.get("cc_moh_override")) // the module does (mod_callcenter.c, callcenter_function)
	c.answer()
	c.exits = exits{keys: c.vars.get("cc_exit_keys")}
	c.queueUp("callcenter/"+name, "cc")
	if c.exits.used != 0 {
		c.set("cc_exit_key", string(c.exits.used))
		c.set("cc_cancel_reason", "EXIT_WITH_KEY")
	}
	c.exits = exits{}
}

// appFifo is mod_fifo. A caller who is served is no longer the socket's.
func appFifo(c *Channel, data string) {
	a := arguments(data, 5)
	if strings.EqualFold(a[1], "out") {
		c.set("fifo_status", "WAITING")
		if !strings.EqualFold(a[2], "nowait") {
			appWait(c, "")
		}
		return
	}
	c.answer()
	c.set("fifo_status", "WAITING")
	c.exits = exits{keys: c.vars.get("fifo_caller_exit_key")}
	c.s.note(c, Played, "", "local_stream://moh")
	d := dialling{groups: [][]dialedLeg{{{DialedLeg: DialedLeg{DialString: "fifo/" + a[0]}}}}}
	if leg, _ := c.s.originate(&c.task, c, d, 0, nil); leg != nil {
		c.set("fifo_serviced_uuid", leg.UUID)
		leg.hangup("NORMAL_CLEARING", false)
		c.leaveTo(&transfer{destination: "fifo", dialplan: "inline"})
	}
	if c.exits.used != 0 {
		c.set("fifo_caller_exit_key", string(c.exits.used))
		c.set("fifo_status", "ABORTED")
	}
	c.exits = exits{}
}

// appValetPark parks the caller: "lot space", or "lot auto in from to". Nobody ever picks the call up.
func appValetPark(c *Channel, data string) {
	a := arguments(data, 6)
	space := a[1]
	if a[0] == "" || space == "" {
		return
	}
	if strings.EqualFold(space, "auto") {
		space = a[3]
	}
	c.expand(c.vars.get("valet_hold_music")) // it ends up in an inline dialplan
	c.set("valet_lot_extension", space)
	limit := time.Duration(-1)
	if n, err := strconv.Atoi(c.vars.get("valet_parking_timeout")); err == nil && n > 0 {
		limit = time.Duration(n) * time.Second
	}
	c.idle(limit, func(byte) bool { return true })
}

const interceptor = "loopback/app=intercept:"

// intercepts finds the channel that a leg of loopback takes over, as application intercept does.
func (c *Channel) intercepts(dialled string) {
	uuid, ok := strings.CutPrefix(dialled, interceptor)
	if !ok {
		return
	}
	other := c.s.channels[uuid]
	if other == nil || !other.up() {
		c.hangup("DESTINATION_OUT_OF_ORDER", true)
		return
	}
	c.intercepted = other
	other.attempt = &attempt{waiter: &c.task}
}

// followIntercepted ends the leg when the channel it took over has gone.
func (c *Channel) followIntercepted() bool {
	if other := c.intercepted; other != nil && (!other.up() || other.gone) {
		c.intercepted = nil
		c.hangup(or(other.cause, "NORMAL_CLEARING"), true)
		return true
	}
	return false
}

// letGo ends what the leg took over, unless it is to be parked.
func (c *Channel) letGo() {
	if other := c.intercepted; other != nil && other.up() && !isTrue(other.vars.get("park_after_bridge")) {
		other.hangup(or(c.cause, "NORMAL_CLEARING"), false)
	}
	c.intercepted = nil
}

// apiHupall hangs up the channels of which a variable has a value: cause, name, value.
func apiHupall(s *Switch, call *apiCall) string {
	a := separate(call.args, ' ', 3)
	if len(a) < 3 {
		return "-ERR this would hang up every channel\n"
	}
	cause := causeNamed(a[0])
	for _, c := range s.channels {
		if c.vars.get(a[1]) == a[2] {
			c.hangup(cause, false)
		}
	}
	return "+OK hangup all channels matching [" + a[1] + "]=[" + a[2] + "] with cause: " + cause + "\n"
}

// apiFileExists knows of the directories that recordings can be made in, and of the files there are.
func apiFileExists(s *Switch, call *apiCall) string {
	return strconv.FormatBool(s.writable(strings.TrimSuffix(call.args, "/") + "/x"))
}
