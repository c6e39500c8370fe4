package luabind

import (
	"strings"
	"time"

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
			{"reason", "string?", "played, terminated, not found or error"},
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
	loops := a.optInt("loops", 1)
	if loops < 0 {
		a.fail("option `loops` cannot be negative; 0 is without end")
	}
	terminators, ended := a.optText("terminators")
	if ended {
		c.post(L, execute("set", assignment("set", "playback_terminators", terminators)))
	}
	if !a.optBool("wait", true) {
		return c.startPlaying(L, a, files, loops, ended)
	}
	var e *esl.Event
play:
	for i := 0; i < loops || loops == 0; i++ {
		for _, f := range files {
			e = c.run(L, execute("playback", f.escaped()), 0)
			if played, reason, _ := playResult(e); !played || reason == "terminated" {
				if !played {
					file, line := where(L)
					c.log.Warn("playback: "+reason, "file", f.text(), "at", at(file, line))
				}
				break play
			}
		}
	}
	if ended {
		c.post(L, execute("unset", "playback_terminators"))
	}
	return pushPlayResult(L, e)
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
	executions []*esl.Execution
	sequence   int
	ended      bool // playback_terminators is to be unset
	stopped    bool
}

func (c *Call) startPlaying(L *lua.LState, a args, files []argument, loops int, ended bool) int {
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
	p := &playing{ended: ended}
	for range loops {
		for _, f := range files {
			x, err := c.conn.Start(execute(app, f.escaped()))
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
			var timeout time.Duration
			if L.Get(2) != lua.LNil {
				d, err := toDuration(L.Get(2))
				if err != nil {
					L.RaiseError("wait: argument `timeout` must be milliseconds or a string such as \"20s\", not %s", describe(L.Get(2)))
				}
				timeout = d
			}
			last := p.executions[len(p.executions)-1]
			if !c.pump(L, timeout, func() bool { return last.Done() || p.stopped && p.over() }) {
				L.Push(lua.LFalse)
				L.Push(lua.LString("timeout"))
				return 2
			}
			c.applied(p.sequence)
			if p.ended {
				p.ended = false
				c.post(L, execute("unset", "playback_terminators"))
			}
			for i := len(p.executions) - 1; i >= 0; i-- {
				if e := p.executions[i].Event; e != nil {
					return pushPlayResult(L, e)
				}
			}
			L.Push(lua.LFalse)
			L.Push(lua.LString("stopped"))
			return 2
		},
		"stop": func(L *lua.LState) int {
			c, p := playingOf(L)
			if p.stopped {
				return 0
			}
			p.stopped = true
			c.fileman(L, "uuid_break", c.conn.UUID()+" all")
			return 0
		},
		"pause": func(L *lua.LState) int {
			c, _ := playingOf(L)
			c.fileman(L, "uuid_fileman", c.conn.UUID()+" pause")
			return 0
		},
		"seek": func(L *lua.LState) int {
			c, _ := playingOf(L)
			c.fileman(L, "uuid_fileman", c.conn.UUID()+" seek:"+steps(L, "seek"))
			return 0
		},
		"volume": func(L *lua.LState) int {
			c, _ := playingOf(L)
			c.fileman(L, "uuid_fileman", c.conn.UUID()+" volume:"+steps(L, "volume"))
			return 0
		},
	}
}

// over reports whether a stopped playback has ended: what was queued behind the one that
// was broken off never completes (recording hold_and_break_all).
func (p *playing) over() bool {
	for _, x := range p.executions {
		if x.Done() {
			continue
		}
		return x.Event == nil && x != p.executions[0]
	}
	return true
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

func (c *Call) fileman(L *lua.LState, command, args string) {
	if !c.conn.Full() {
		L.RaiseError("this needs the word full in the dialplan: <action application=\"socket\" data=\"host:port async full\"/>")
	}
	c.check(L, c.conn.Post(esl.API{Command: command, Args: args}))
	c.check(L, c.conn.Flush())
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
