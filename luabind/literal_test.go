package luabind_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"callisto/luabind"
	"callisto/simulator"
)

// luaString writes s as a Lua string with every byte spelt out.
func luaString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(s) {
		fmt.Fprintf(&b, "\\%03d", s[i])
	}
	b.WriteByte('"')
	return b.String()
}

// hostile are texts that a caller could have as a name, and that would do something if
// anything on their way were to read them.
var hostile = []string{
	"${system(touch INJECTED)}", "\\${system(touch INJECTED)}", "\\\\${system(INJECTED)}", "$${system(INJECTED)}", "$\\{system(INJECTED)}",
	"${${x}}", "a'${system(INJECTED)}'b", "\\'\\n\\s\\t\\\\", "%[x=INJECTED]y", "%,[x=INJECTED", "$", "$$", "x$", "${", "}", "\\", "\\\\",
	"x\n\nINJECTED", "x\nINJECTED: y", "x\r\n\r\nINJECTED", "x\rINJECTED: y", "\nINJECTED", "  two spaces", " ", "\t", "ARRAY::a|:INJECTED",
	"a=b", "^^:a=b:c=d", "a,b|c", "user/1,[api_on_answer=INJECTED]null/1", "{INJECTED=1}null/1", "x\n\nsendmsg\ncall-command: execute\nexecute-app-name: INJECTED\n\n",
	"日本語 ünï", "\xff\xfe", "100%25 %20", strings.Repeat("${", 200),
}

// Every string arrives at the application as those bytes, and the switch evaluates nothing.
func TestArgumentsArrive(t *testing.T) {
	arrive := func(t *testing.T, s string) {
		script := fmt.Sprintf(`local s = %s
call:execute("log", s)
call:execute("set", "viaexecute=" .. s)
call:set("viaset", s)
call:export("viaexport", s)
call:sleep(1)`, luaString(s))
		b := newBench(t, map[string]string{"main": script}, nil)
		c := b.run("main")
		if e, ok := b.log.find("script error", ""); ok {
			t.Fatalf("%q: %v", s, e)
		}
		for _, o := range c.Log() {
			switch {
			case o.Kind == simulator.Evaluated || o.Kind == simulator.System:
				t.Errorf("%q: the switch %s", s, o)
			case o.Kind == simulator.Executed && o.Name == "log" && o.Data != s:
				t.Errorf("log got %q, not %q", o.Data, s)
			}
		}
		for _, name := range []string{"viaexecute", "viaset", "viaexport"} {
			if got := c.Variable(name); got != s {
				t.Errorf("variable %s is %q, not %q", name, got, s)
			}
		}
	}
	t.Run("hostile", func(t *testing.T) {
		simulated(t, func(t *testing.T) {
			for _, s := range hostile {
				if !strings.HasPrefix(s, "ARRAY::") { // the switch makes arrays of such values, whoever sets them
					arrive(t, s)
				}
			}
		})
	})
	t.Run("random", func(t *testing.T) {
		alphabet := rapid.SampledFrom([]string{"$", "{", "}", "\\", "'", "\"", "%", "[", "]", "n", "s", "t", " ", "=", ",", "^", "|", ":", "\n", "\r", "x", "hostname", "system(x)", "${", "å"})
		simulated(t, func(t *testing.T) {
			var b strings.Builder
			gen := rapid.SliceOfN(alphabet, 1, 12)
			for seed := range 300 { // one call tries many, as a bubble cannot be left by rapid's own loop
				s := strings.Join(gen.Example(seed), "")
				fmt.Fprintf(&b, "do local s = %s call:set(\"v%d\", s) call:execute(\"log\", s) end\n", luaString(s), seed)
			}
			bench := newBench(t, map[string]string{"main": b.String() + "call:sleep(1)"}, nil)
			c := bench.run("main")
			var got []string
			for _, o := range c.Log() {
				if o.Kind == simulator.Executed && o.Name == "log" {
					got = append(got, o.Data)
				}
			}
			for seed := range 300 {
				s := strings.Join(gen.Example(seed), "")
				if v := c.Variable("v" + strconv.Itoa(seed)); v != s {
					t.Errorf("variable is %q, not %q", v, s)
				}
				if !slices.Contains(got, s) {
					t.Errorf("log did not get %q", s)
				}
			}
			if e := did(c, simulator.Evaluated, simulator.System); e != nil {
				t.Errorf("the switch evaluated %q", e)
			}
		})
	})
}

// What expand "…" is given the switch expands, and nothing else around it.
func TestExpand(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"main": `
call:execute("log", expand "host ${hostname}")
call:set("plain", "${hostname}")
call:set("expanded", expand "${hostname}")
log.info(call:get("plain") .. " " .. call:get("expanded") .. " " .. tostring(expand "x"))
call:sleep(1)`}, nil)
		c := b.run("main")
		if got := b.log.messages(); !slices.Equal(got, []string{"${hostname} vm x"}) {
			t.Errorf("logged %q\n%s", got, b.log)
		}
		if !slices.Contains(did(c, simulator.Executed), "log host vm") {
			t.Errorf("executed %q", did(c, simulator.Executed))
		}
	})
}

// No string in any argument or option of any verb adds a header, starts a second
// command, or makes the switch evaluate something.
func TestNoVerbCanBeInjectedInto(t *testing.T) {
	for _, v := range luabind.Verbs {
		for _, slot := range slots(v) {
			t.Run(v.Name+" "+slot.name, func(t *testing.T) {
				simulated(t, func(t *testing.T) {
					list := hostile
					if strings.HasPrefix(slot.source, "leg:") {
						list = hostile[:8]
					}
					for _, s := range list {
						tryInjection(t, slot, s)
					}
				})
			})
		}
	}
}

// A slot is a place in a verb's arguments where a text goes; %s in its source stands for it.
type slot struct{ name, source string }

// example is a fitting value for a parameter that is not the one under test.
func example(p luabind.Param) string {
	if len(p.Enum) > 0 {
		return strconv.Quote(p.Enum[0])
	}
	switch p.Type {
	case luabind.Integer, luabind.Number, luabind.Duration:
		return "1000"
	case luabind.Boolean:
		return "true"
	case luabind.Function:
		return "function() end"
	case luabind.Table:
		return "{}"
	}
	return `"x1"`
}

func takesText(p luabind.Param) bool {
	switch p.Type {
	case luabind.Text, luabind.Word, luabind.Texts, luabind.Any:
		return len(p.Enum) == 0
	}
	return false
}

func slots(v luabind.Verb) []slot {
	var list []slot
	call := func(changed int, with string, options string) string {
		var args []string
		for i, p := range v.Params {
			if i == changed {
				args = append(args, with)
			} else {
				args = append(args, example(p))
			}
		}
		if options != "" {
			args = append(args, options)
		}
		return "call:" + v.Name + "(" + strings.Join(args, ", ") + ")"
	}
	for i, p := range v.Params {
		if takesText(p) {
			list = append(list, slot{p.Name, call(i, "s", "")})
		}
		if p.Type == luabind.Texts {
			list = append(list, slot{p.Name + "[]", call(i, `{ "x1", s }`, "")})
		}
		if p.Type == luabind.Any {
			list = append(list, slot{p.Name + " table", call(i, `{ [s] = s }`, "")})
		}
	}
	for _, o := range v.Options {
		switch {
		case takesText(o):
			list = append(list, slot{o.Name, call(-1, "", "{ "+o.Name+" = s }")})
		case o.Type == luabind.Table:
			list = append(list, slot{o.Name, call(-1, "", "{ "+o.Name+" = { [s] = s } }")},
				slot{o.Name + " value", call(-1, "", "{ "+o.Name+" = { x = s } }")})
		}
	}
	switch v.Name {
	case "bridge":
		list = append(list, slot{"a target's variables", `call:bridge({ "user/1001", vars = { x = s } })`}, slot{"a target with variables", `call:bridge({ { s, vars = { x = "1" } } })`},
			slot{"the name of a target's variable", `call:bridge({ "user/1001", vars = { [s] = "1" } })`}, slot{"one of all", `call:bridge({ "user/1001", s }, { all = true })`})
	case "gather":
		list = append(list, slot{"the engine", `call:gather{ speech = { engine = s, grammar = "g" } }`}, slot{"the grammar", `call:gather{ speech = { engine = "e", grammar = s } }`},
			slot{"prompts", `call:gather{ prompt = { s, "b.wav", s } }`})
	case "execute":
		for _, app := range []string{"playback", "phrase", "set", "multiset", "export", "log", "say", "speak", "bridge", "read", "conference", "record", "event", "callcenter"} {
			list = append(list, slot{"the argument of " + app, `call:execute("` + app + `", s, { timeout = "1s" })`})
		}
	case "conference":
		list = append(list, slot{"who", `local r = call:conference("room", { wait = false }) pcall(r.mute, r, s) pcall(r.kick, r, s) pcall(r.play, r, s) r:leave()`})
	case "playback":
		list = append(list, slot{"a handle", `local h = call:playback("a.wav", { wait = false }) pcall(h.seek, h, s) pcall(h.volume, h, s) h:stop()`},
			slot{"what a handler returns", `call:on("dtmf", function() return s end) call:playback("silence_stream://2000")`})
	}
	// On a leg, too.
	for _, s := range list {
		if rest, ok := strings.CutPrefix(s.source, "call:"); ok && v.Name != "join" {
			list = append(list, slot{"leg " + s.name, "leg:" + rest})
		}
	}
	return list
}

func tryInjection(t *testing.T, slot slot, s string) {
	t.Helper()
	script := "local s = " + luaString(s) + "\nlocal ok, e = pcall(function() " + slot.source + " end)\ncall:sleep(1)"
	if strings.HasPrefix(slot.source, "leg:") {
		script = "leg = call:originate(\"user/1001\")\n" + script
	}
	b := newBench(t, map[string]string{"main": script}, nil)
	var evaluated []simulator.Occurrence
	b.sw.Observer = func(o simulator.Occurrence) {
		if o.Kind == simulator.Evaluated || o.Kind == simulator.System {
			evaluated = append(evaluated, o)
		}
	}
	ours, theirs := simulator.Pipe()
	wire := &wiretap{Conn: ours}
	c, err := b.sw.Call(context.Background(), simulator.Invite{Socket: "127.0.0.1:8084/main async full", Conn: theirs})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.server.ServeConn(wire); err != nil {
		t.Fatal(err)
	}
	time.Sleep(time.Second)
	c.Press("1")
	time.Sleep(time.Minute)
	c.Hangup("NORMAL_CLEARING")
	b.finish(c)
	b.sw.Close() // the observer has been told of everything, on every channel
	for _, o := range evaluated {
		t.Errorf("with %q the switch %s", s, o)
	}
	for _, command := range wire.commands(t) {
		for i, line := range strings.Split(command.head, "\n") {
			name, _, _ := strings.Cut(line, ":")
			if i == 0 {
				name, _, _ = strings.Cut(line, " ")
			}
			if !known[name] {
				t.Errorf("with %q a line %q was sent in\n%s", s, line, command.head)
			}
		}
	}
}

// known are the commands, and the headers of them, that verbs send.
var known = map[string]bool{
	"connect": true, "resume": true, "linger": true, "filter": true, "event": true, "sendmsg": true, "api": true, "bgapi": true, "exit": true,
	"call-command": true, "execute-app-name": true, "execute-app-arg": true, "event-lock": true, "Event-UUID": true,
	"content-type": true, "content-length": true, "hangup-cause": true, "Job-UUID": true,
}

// A wiretap keeps what the engine writes.
type wiretap struct {
	net.Conn
	mu   sync.Mutex
	sent bytes.Buffer
}

func (w *wiretap) Write(b []byte) (int, error) {
	w.mu.Lock()
	w.sent.Write(b)
	w.mu.Unlock()
	return w.Conn.Write(b)
}

type sentCommand struct{ head, body string }

// commands takes apart what was sent the way the switch does.
func (w *wiretap) commands(t *testing.T) []sentCommand {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	rest := w.sent.String()
	var list []sentCommand
	for rest != "" {
		head, after, ok := strings.Cut(rest, "\n\n")
		if !ok {
			t.Fatalf("a command without an end: %q", rest)
		}
		c := sentCommand{head: head}
		for line := range strings.Lines(head) {
			if v, ok := strings.CutPrefix(line, "content-length: "); ok {
				n, err := strconv.Atoi(strings.TrimSpace(v))
				if err != nil || n > len(after) {
					t.Fatalf("content-length %q with %d bytes left", v, len(after))
				}
				c.body, after = after[:n], after[n:]
			}
		}
		list = append(list, c)
		rest = after
	}
	return list
}
