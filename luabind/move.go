package luabind

import (
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

var moveVerbs = []Verb{
	{
		Name:    "deflect",
		Params:  []Param{{Name: "uri", Type: Word, Doc: "where to, such as sip:1001@example.com"}},
		Results: []Result{{"status", "string?", "what the other side answered, such as 202; nil where that is not known"}},
		Doc:     "Asks the caller's side to call somebody else instead (SIP REFER). It hangs up here when it does.",
		run: func(c *Call, L *lua.LState, a args) int {
			c.unset(L, "sip_refer_status_code")
			e := c.run(L, execute("deflect", literal(a.word(0)).escaped()), 0)
			if status, ok := e.Variable("sip_refer_status_code"); ok {
				L.Push(lua.LString(status))
			} else {
				L.Push(lua.LNil)
			}
			return 1
		},
	},
	{
		Name:   "redirect",
		Params: []Param{{Name: "uri", Type: Word, Doc: "where to, such as sip:1001@example.com"}},
		Doc:    "Sends a call that is not answered elsewhere (SIP 302). It ends here.",
		run: func(c *Call, L *lua.LState, a args) int {
			c.run(L, execute("redirect", literal(a.word(0)).escaped()), 0)
			return 0
		},
	},
	{
		Name: "hold",
		Doc:  "Puts the caller's telephone on hold. It does not wait.",
		run:  func(c *Call, L *lua.LState, a args) int { c.post(L, execute("hold", "")); return 0 },
	},
	{
		Name: "unhold",
		Doc:  "Takes the caller's telephone off hold. It does not wait.",
		run:  func(c *Call, L *lua.LState, a args) int { c.post(L, execute("unhold", "")); return 0 },
	},
	{
		Name:    "send_dtmf",
		Params:  []Param{{Name: "digits", Type: Word, Doc: "the digits; w waits half a second, W a second"}},
		Options: []Param{{Name: "duration", Type: Duration, Doc: "how long each digit is"}},
		Doc:     "Sends digits to the caller's side. It does not wait.",
		run:     sendDTMF,
	},
	{
		Name:   "schedule_hangup",
		Params: []Param{{Name: "after", Type: Duration, Doc: "when, from now, in whole seconds"}, {Name: "cause", Type: Word, Optional: true, Doc: "FreeSWITCH's name for it; ALLOTTED_TIMEOUT where left out"}},
		Doc:    "Hangs up later, whatever goes on then, also after the script has given the call away. It does not wait.",
		run:    scheduleHangup,
	},
}

func sendDTMF(c *Call, L *lua.LState, a args) int {
	digits := a.word(0)
	if strings.Trim(digits, "0123456789*#ABCDabcdwWF") != "" {
		a.fail("%q is no digits: there are 0 to 9, *, #, A to D, F for flash, and the pauses w and W", digits)
	}
	if d, ok := a.optDuration("duration"); ok {
		if d < time.Millisecond {
			a.fail("option `duration` is less than a millisecond")
		}
		digits += "@" + strconv.FormatInt(d.Milliseconds(), 10)
	}
	c.post(L, execute("send_dtmf", digits))
	return 0
}

func scheduleHangup(c *Call, L *lua.LState, a args) int {
	after := a.duration(0)
	if after < time.Second {
		a.fail("argument `after` is %v; write \"20s\" for twenty seconds", after)
	}
	cause := "ALLOTTED_TIMEOUT"
	if a.given(1) {
		cause = a.cause(1)
	}
	c.post(L, execute("sched_hangup", "+"+strconv.Itoa(int((after+time.Second-1)/time.Second))+" "+cause))
	return 0
}

// cause reads the name of a hangup cause.
func (a args) cause(i int) string {
	cause := strings.ToUpper(a.word(i))
	if strings.Trim(cause, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789") != "" {
		a.fail("%q is no hangup cause, such as USER_BUSY", cause)
	}
	return cause
}
