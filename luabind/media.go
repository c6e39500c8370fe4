package luabind

import (
	"strings"

	"callisto/esl"
	lua "github.com/yuin/gopher-lua"
)

var mediaVerbs = []Verb{
	{
		Name:   "playback",
		Params: []Param{{Name: "file", Type: Texts, Doc: "a file, tone_stream://…, silence_stream://…, or a list of them, played in order"}},
		Options: []Param{
			{Name: "loops", Type: Integer, Doc: "play it so many times; 0 is without end"},
			{Name: "terminators", Type: Text, Doc: "the digits that end it, \"any\" or \"none\"; FreeSWITCH's own is *"},
			{Name: "wait", Type: Boolean, Doc: "false: return at once, with a handle"},
		},
		Results: []Result{
			{"played", "boolean|Playing", "true when it was played to its end or ended by a digit; with wait = false the handle"},
			{"reason", "string?", "played, terminated by a digit, stopped by a handler, not found or error"},
			{"digit", "string?", "the digit that ended it"},
		},
		Doc: "Plays to the caller, and waits for the end.",
		run: playback,
	},
}

// maxQueued is how many files a playback with wait = false queues on the channel.
const maxQueued = 100

func playback(c *Call, L *lua.LState, a args) int {
	files := texts(a.value(0))
	a.playable(files...)
	loops := a.optInt("loops", 1)
	if loops < 0 {
		a.fail("option `loops` cannot be negative; 0 is without end")
	}
	terminators, ended := a.optText("terminators")
	if ended {
		c.assign(L, "playback_terminators", terminators)
	}
	if !a.optBool("wait", true) {
		return c.startPlaying(L, a, files, loops, ended)
	}
	var e *esl.Event
play:
	for i := 0; i < loops || loops == 0; i++ {
		for _, f := range files {
			e = c.run(L, execute("playback", f.escaped()), 0)
			if played, reason, _ := playResult(e); !played || c.stopped || reason == "terminated" {
				if !played && !c.stopped {
					file, line := where(L)
					c.log.Warn("playback: "+reason, "file", f.text(), "at", at(file, line))
				}
				break play
			}
		}
	}
	stopped := c.stopped
	if ended {
		c.unset(L, "playback_terminators")
	}
	if stopped {
		return pushStopped(L)
	}
	return pushPlayResult(L, e)
}

func pushStopped(L *lua.LState) int {
	L.Push(lua.LFalse)
	L.Push(lua.LString("stopped"))
	return 2
}

// playResult tells from a playback's completion how it went (recordings playback_missing_file
// and dtmf_events).
func playResult(e *esl.Event) (played bool, reason, digit string) {
	switch e.Get("Application-Response") {
	case "FILE NOT FOUND":
		return false, "not found", ""
	case "PLAYBACK ERROR":
		return false, "error", ""
	}
	if digit, _ := e.Variable("playback_terminator_used"); digit != "" {
		return true, "terminated", digit
	}
	return true, "played", ""
}

func pushPlayResult(L *lua.LState, e *esl.Event) int {
	played, reason, digit := playResult(e)
	L.Push(lua.LBool(played))
	L.Push(lua.LString(reason))
	if digit == "" {
		return 2
	}
	L.Push(lua.LString(digit))
	return 3
}

// A playing is a playback that goes on while the script does something else.
type playing struct {
	channel    *channel
	executions []*esl.Execution
	sequence   int
	ended      bool // playback_terminators is to be unset
	stopped    bool
	behind     *esl.Execution // runs when what a stop leaves behind is over
}

func (c *Call) startPlaying(L *lua.LState, a args, files []argument, loops int, ended bool) int {
	a.needs(false, true)
	app := "playback"
	if loops == 0 {
		if len(files) > 1 {
			a.fail("with wait = false and loops = 0 there can be one file only")
		}
		app, loops = "endless_playback", 1
	}
	if len(files)*loops > maxQueued {
		a.fail("with wait = false at most %d files are queued; these are %d", maxQueued, len(files)*loops)
	}
	p := &playing{channel: c.channel, ended: ended}
	for range loops {
		for _, f := range files {
			cmd := execute(app, f.escaped())
			cmd.Channel = c.target()
			x, err := c.conn.Start(cmd)
			c.check(L, err)
			c.sequence++
			p.executions = append(p.executions, x)
		}
	}
	p.sequence = c.sequence
	c.check(L, c.conn.Flush())
	L.Push(&lua.LUserData{Value: p, Metatable: shared().playingMeta})
	return 1
}

// playingMethods are what a handle of playback has.
var playingMethods map[string]lua.LGFunction

func init() { // not an initialiser: the functions look into what all VMs share
	playingMethods = map[string]lua.LGFunction{
		"wait": func(L *lua.LState) int {
			c, p := playingOf(L)
			timeout := waitTimeout(L)
			last := p.executions[len(p.executions)-1]
			saved := c.channel
			c.channel = p.channel
			defer func() { c.channel = saved }()
			in := c.enter("playback")
			defer c.leave(in)
			in.stop = func() { c.stopPlaying(L, p) }
			leg := c.leg
			if !c.pump(L, timeout, func() bool { return last.Done() || p.stopped && p.behind.Done() || leg != nil && leg.gone }) {
				L.Push(lua.LFalse)
				L.Push(lua.LString("timeout"))
				return 2
			}
			c.applied(p.sequence)
			if p.ended {
				p.ended = false
				c.unset(L, "playback_terminators")
			}
			if p.stopped {
				return pushStopped(L)
			}
			for i := len(p.executions) - 1; i >= 0; i-- {
				if e := p.executions[i].Event; e != nil {
					return pushPlayResult(L, e)
				}
			}
			return pushNone(L, "hangup")
		},
		"stop": func(L *lua.LState) int {
			c, p := playingOf(L)
			c.stopPlaying(L, p)
			return 0
		},
		"pause": func(L *lua.LState) int {
			c, p := playingOf(L)
			c.control(L, p.channel, "uuid_fileman", "pause")
			return 0
		},
		"seek": func(L *lua.LState) int {
			c, p := playingOf(L)
			c.control(L, p.channel, "uuid_fileman", "seek:"+steps(L, "seek"))
			return 0
		},
		"volume": func(L *lua.LState) int {
			c, p := playingOf(L)
			c.control(L, p.channel, "uuid_fileman", "volume:"+steps(L, "volume"))
			return 0
		},
	}
}

// steps is the argument of seek and volume: "+1000", "-2", or a number to be taken as it is.
func steps(L *lua.LState, what string) string {
	s, ok := wordOf(L.Get(2))
	digits := strings.TrimLeft(s, "+-")
	if !ok || digits == "" || len(s)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		L.RaiseError("%s: wants a whole number, or one with a sign in a string such as \"+1000\", not %s", what, describe(L.Get(2)))
	}
	return s
}

// stopPlaying ends a playback, and drops what is queued behind it.
func (c *Call) stopPlaying(L *lua.LState, p *playing) {
	last := p.executions[len(p.executions)-1]
	if p.stopped || last.Done() {
		return
	}
	c.control(L, p.channel, "uuid_break", "all")
	// What was queued never completes (recording hold_and_break_all), nor does the one that plays, if it had not begun.
	x := execute("unset", syncVariable)
	x.Channel = p.channel.target()
	var err error
	p.behind, err = c.conn.Start(x)
	c.check(L, err)
	c.check(L, c.conn.Flush())
	p.stopped = true
}

func playingOf(L *lua.LState) (*Call, *playing) {
	u, _ := L.Get(1).(*lua.LUserData)
	if u == nil {
		L.RaiseError("use a colon: handle:stop()")
	}
	p, ok := u.Value.(*playing)
	if !ok {
		L.RaiseError("not a handle of playback")
	}
	c := callOf(L)
	if c.ended != nil && !c.inHooks {
		c.unwind(L, *c.ended)
	}
	return c, p
}

func playingIndex(L *lua.LState) int {
	name := L.CheckString(2)
	fn, ok := playingMethods[name]
	if !ok {
		L.RaiseError("a handle of playback has no `%s`; it has wait, stop, pause, seek and volume", name)
	}
	L.Push(L.NewFunction(fn))
	return 1
}
