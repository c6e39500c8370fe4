package luabind_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// every is a flow with every kind of step, and how its callers answer it.
var every = map[string]string{
	"main": prelude + `return flow{ start = "greet", defaults = { engine = "flite", voice = "slt" },
greet  = flow.playback{ "greet.wav", next = "count" },
count  = flow.say{ "42", next = "talk" },
talk   = flow.speak{ "Hello {call.caller.number}", next = "pin" },
pin    = flow.gather{ prompt = "pin.wav", min = 4, max = 4, next = "choose", otherwise = "bye" },
choose = flow.menu{ prompt = "menu.wav", keys = { ["1"] = "note", ["2"] = "bye" }, otherwise = "bye" },
note   = flow.record{ "/tmp/{pin}.wav", terminators = "#", next = "mark" },
mark   = flow.set{ data = { marked = { "yes", deep = { 1, 2 } } }, vars = { marked = "yes" }, next = "where" },
where  = flow.branch{ on = "marked.deep.2", cases = { ["2"] = "think" }, otherwise = "bye" },
think  = flow.run{ to = { "card", "bye" }, function(call, data) data.thought = (data.thought or 0) + 1 call:playback("think.wav") return "card" end },
card   = flow.subflow{ "pay/card", with = { amount = "{pin}" }, into = { paid = "digits.1" }, paid = "ring", refused = "bye" },
ring   = flow.bridge{ "user/short", answered = "wait", otherwise = "bye" },
wait   = flow.queue{ "support@default", answered = "room", otherwise = "bye" },
room   = flow.conference{ "room", next = "box" },
box    = flow.voicemail{ "1001", domain = "example.com", next = "tell" },
tell   = flow.run{ to = "bye", function(call, data) out(data.pin, data.note.path, data.marked[1], data.marked.deep[2], data.paid, call:get("marked")) end },
bye    = flow.hangup{},
}`,
	"pay/card": `return flow{ start = "amount", results = { "paid", "refused" },
amount = flow.playback{ "{amount}.wav", next = "ask" },
ask    = flow.gather{ prompt = "card.wav", max = 2, into = "digits.1", next = "paid", otherwise = "refused" },
}`,
}

// answers are what the caller does some time after a step has begun.
var answers = map[string]string{"pin": "press 1234", "choose": "press 1", "note": "press #", "ask": "press 77", "room": "kick"}

const toldByEvery = "1234 /tmp/1234.wav yes 2 77 yes"

// A pair is two engines that serve the same scripts, and a switch whose calls can reach both.
type pair struct {
	t   *testing.T
	sw  *simulator.Switch
	log *records

	wg      sync.WaitGroup
	mu      sync.Mutex
	servers map[string]*engine.Server // by host; one that is dead is not there
	conns   map[string][]net.Conn     // the engines' ends
	marks   map[string][]luabind.Mark // by channel
	onMark  func(host, uuid string, m luabind.Mark)
}

func newPair(t *testing.T, scripts map[string]string, change func(*engine.Config)) *pair {
	b := newBench(t, scripts, func(c *engine.Config) {
		c.Limits.Call = time.Hour
		if change != nil {
			change(c)
		}
	})
	p := &pair{t: t, sw: b.sw, log: b.log, servers: map[string]*engine.Server{}, conns: map[string][]net.Conn{}, marks: map[string][]luabind.Mark{}}
	p.sw.Endpoints = []simulator.Endpoint{{Pattern: "user/short", Behaviour: simulator.Answers(time.Second, 10*time.Second)}}
	t.Cleanup(p.wg.Wait)
	for _, host := range []string{"a", "b"} {
		server := &engine.Server{Library: b.server.Library, Logger: slog.New(b.log)}
		server.Flow = func(uuid string, m luabind.Mark) {
			p.mu.Lock()
			p.marks[uuid] = append(p.marks[uuid], m)
			on := p.onMark
			p.mu.Unlock()
			if on != nil {
				on(host, uuid, m)
			}
		}
		p.servers[host] = server
		t.Cleanup(func() { server.Close() })
	}
	return p
}

// call makes a call that reaches a, or else b, as often as it has to.
func (p *pair) call(words ...string) *simulator.Channel {
	p.t.Helper()
	socket := strings.Join(append([]string{"a:1/main|b:2/main", "async full"}, words...), " ")
	c, err := p.sw.Call(context.Background(), simulator.Invite{
		Socket: socket, Actions: []string{socket, socket, socket}, Dial: p.dial,
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return c
}

func (p *pair) dial(_ context.Context, addr string) (net.Conn, error) {
	host, _, _ := net.SplitHostPort(addr)
	p.mu.Lock()
	server := p.servers[host]
	p.mu.Unlock()
	if server == nil {
		return nil, errors.New("connection refused")
	}
	ours, theirs := simulator.Pipe()
	p.mu.Lock()
	p.conns[host] = append(p.conns[host], ours)
	p.mu.Unlock()
	return theirs, server.ServeConn(ours)
}

// kill is the end of an engine's process: its connections break, and nobody listens there.
func (p *pair) kill(host string) {
	p.mu.Lock()
	delete(p.servers, host)
	conns := p.conns[host]
	p.conns[host] = nil
	p.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
}

// answer has the callers do what answers says, half a second after a step has begun.
func (p *pair) answer(host, uuid string, m luabind.Mark) {
	act := answers[m.Step]
	if act == "" || m.Outcome != luabind.Entered && m.Outcome != luabind.Resumed {
		return
	}
	p.mu.Lock()
	at := len(p.marks[uuid])
	p.mu.Unlock()
	p.later(1500*time.Millisecond, func() {
		p.mu.Lock()
		since := slices.Clone(p.marks[uuid][at:])
		p.mu.Unlock()
		c := p.sw.Channel(uuid)
		if c == nil || slices.ContainsFunc(since, func(m luabind.Mark) bool { return m.Outcome != luabind.Broken }) {
			return // the call is elsewhere by now
		}
		if digits, ok := strings.CutPrefix(act, "press "); ok {
			c.Press(digits)
		} else {
			p.sw.Execute(context.Background(), "conference room kick all")
		}
	})
}

// later does something after a while, within the test.
func (p *pair) later(d time.Duration, f func()) {
	p.wg.Go(func() {
		time.Sleep(d)
		f()
	})
}

// heard is what was done for the caller, without repetitions.
func heard(c *simulator.Channel) (list []string, repeated int) {
	for _, x := range did(c, simulator.Executed) {
		app, _, _ := strings.Cut(x, " ")
		if !slices.Contains([]string{"playback", "say", "speak", "read", "record", "bridge", "callcenter", "conference", "voicemail"}, app) {
			continue
		}
		if n := len(list); n > 0 && list[n-1] == x {
			repeated++
		} else {
			list = append(list, x)
		}
	}
	return list, repeated
}

// finish waits for the call's end.
func (p *pair) finish(c *simulator.Channel) simulator.Outcome {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Hour)
	defer cancel()
	out, err := c.Wait(ctx)
	if err != nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.t.Fatalf("the call does not end: %v, after %v", err, p.marks[c.UUID])
	}
	return out
}

// The engine dies at every step of a flow with every kind of step, at its beginning and in its middle. Another takes
// the call over, and the caller hears what would have been heard, at most one prompt again.
func TestSurvivalOfEveryStep(t *testing.T) {
	var steps []string
	var want []string
	t.Run("undisturbed", func(t *testing.T) {
		simulatedHere(t, func(t *testing.T) {
			p := newPair(t, every, nil)
			p.onMark = p.answer
			c := p.call()
			p.finish(c)
			var repeated int
			want, repeated = heard(c)
			if got := p.log.messages(); !slices.Equal(got, []string{toldByEvery}) || repeated > 0 {
				t.Fatalf("logged %q, heard %q\n%s", got, want, p.log)
			}
			for _, m := range p.marks[c.UUID] {
				if m.Outcome == luabind.Entered {
					steps = append(steps, m.Step)
				}
			}
		})
	})
	if len(steps) != 18 {
		t.Fatalf("the steps are %q", steps)
	}
	for _, step := range steps {
		for _, when := range []time.Duration{0, 20 * time.Millisecond, 700 * time.Millisecond, 1600 * time.Millisecond} {
			t.Run(fmt.Sprint(step, " after ", when), func(t *testing.T) {
				simulated(t, func(t *testing.T) {
					p := newPair(t, every, nil)
					killed := false
					p.onMark = func(host, uuid string, m luabind.Mark) {
						p.answer(host, uuid, m)
						if killed || m.Step != step || m.Outcome != luabind.Entered {
							return
						}
						killed = true
						if when == 0 {
							p.kill(host)
							return
						}
						p.later(when, func() { p.kill(host) })
					}
					c := p.call()
					out := p.finish(c)
					// A function that has not waited may run again.
					if got := slices.Compact(p.log.messages()); !slices.Equal(got, []string{toldByEvery}) {
						t.Errorf("logged %q, want %q\n%s", got, toldByEvery, p.log)
					}
					got, repeated := heard(c)
					if !slices.Equal(got, want) || repeated > 1 {
						t.Errorf("heard %d again, in all %q\nwant %q\n%s", repeated, got, want, p.log)
					}
					if out.Kind != simulator.HungUpOutcome || out.Cause != "NORMAL_CLEARING" {
						t.Errorf("the call ended %v", out)
					}
					if v := c.Variable(luabind.StateVariable); len(v) < 40 || strings.Trim(v, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.") != "" {
						t.Errorf("the call carries %q", v)
					}
				})
			})
		}
	}
}

// Two hundred calls, each somewhere in its flow, when the engine dies: none is lost.
func TestSurvivalOfManyCalls(t *testing.T) {
	simulated(t, func(t *testing.T) {
		const calls = 200
		p := newPair(t, every, func(c *engine.Config) { c.Flows.Key = "a secret of both" })
		p.onMark = p.answer
		var list []*simulator.Channel
		for range calls {
			list = append(list, p.call())
			time.Sleep(200 * time.Millisecond)
		}
		p.kill("a")
		for _, c := range list {
			p.finish(c)
		}
		told := 0
		for _, m := range p.log.messages() {
			if m == toldByEvery {
				told++
			}
		}
		if told < calls {
			t.Errorf("%d of %d calls came to their end", told, calls)
		}
		if _, ok := p.log.find("call taken over", ""); !ok {
			t.Error("no call was taken over")
		}
	})
}
