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
	L.Push(playingClass.new(p))
	return 1
}

var playingClass = &Class{
	Name: "Playing", Article: "a handle of playback", Var: "handle",
	Doc: "A playback with `wait = false`, which goes on while the script does something else.",
	Methods: []Verb{
		{
			Name:    "wait",
			Params:  []Param{{Name: "timeout", Type: Duration, Optional: true, Doc: "give up after this long; it plays on"}},
			Results: []Result{{"played", "boolean?", "as of playback; false when the time is up or it was stopped"}, {"reason", "string?", "as of playback, timeout, or stopped"}, {"digit", "string?", "the digit that ended it"}},
			Doc:     "Waits for its end.",
			run:     playingWait,
		},
		{
			Name: "stop",
			Doc:  "Ends it, with all that waits on the channel behind it.",
			run:  func(c *Call, L *lua.LState, a args) int { c.stopPlaying(L, a.self().(*playing)); return 0 },
		},
		{
			Name: "pause",
			Doc:  "Pauses it, or lets it go on.",
			run:  func(c *Call, L *lua.LState, a args) int { return a.steer(c, "pause") },
		},
		{
			Name:   "seek",
			Params: []Param{{Name: "ms", Type: String, Doc: "milliseconds from the beginning; with a sign, in a string such as \"+5000\", from where it is"}},
			Doc:    "Goes to another place.",
			run:    func(c *Call, L *lua.LState, a args) int { return a.steer(c, "seek:"+a.steps(0)) },
		},
		{
			Name:   "volume",
			Params: []Param{{Name: "step", Type: String, Doc: "from -4 to 4; with a sign, in a string such as \"+1\", so much louder or softer"}},
			Doc:    "Makes it louder or softer.",
			run:    func(c *Call, L *lua.LState, a args) int { return a.steer(c, "volume:"+a.steps(0)) },
		},
	},
}

func playingWait(c *Call, L *lua.LState, a args) int {
	p := a.self().(*playing)
	last := p.executions[len(p.executions)-1]
	saved := c.channel
	c.channel = p.channel
	defer func() { c.channel = saved }()
	in := c.enter("playback")
	defer c.leave(in)
	in.stop = func() { c.stopPlaying(L, p) }
	leg := c.leg
	if !c.pump(L, a.duration(0), func() bool { return last.Done() || p.stopped && p.behind.Done() || leg != nil && leg.gone }) {
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
}

// steer gives an order to what plays.
func (a args) steer(c *Call, order string) int {
	c.control(a.L, a.self().(*playing).channel, "uuid_fileman", order)
	return 0
}

// steps is the argument of seek and volume: "+1000", "-2", or a number to be taken as it is.
func (a args) steps(i int) string {
	s := a.string(i)
	digits := strings.TrimLeft(s, "+-")
	if digits == "" || len(s)-len(digits) > 1 || strings.Trim(digits, "0123456789") != "" {
		a.fail("wants a whole number, or one with a sign in a string such as \"+1000\", not %s", describe(a.value(i)))
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
