package simulator

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

// place lets a call come in on s, in memory and on a virtual clock.
func place(t *testing.T, s *Switch, in Invite) (*Channel, *peer) {
	t.Helper()
	clock := s.Clock.(*VirtualClock)
	ours, theirs := Pipe()
	in.Conn = theirs
	if in.Socket == "" {
		in.Socket = "127.0.0.1:8084 async full"
	}
	call, err := s.Call(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	clock.Wait()
	return call, &peer{t: t, clock: clock, conn: ours.(*pipeEnd)}
}

func virtual() *Switch { return &Switch{Clock: NewVirtualClock(), Tick: 20 * time.Millisecond} }

// ask sends commands and returns the answers to them, reading over events.
func (p *peer) ask(commands ...string) []string {
	p.t.Helper()
	var answers []string
	for _, c := range commands {
		p.send(c + "\n\n")
		for {
			frame := p.await(time.Minute)
			if frame == "" {
				p.t.Fatalf("no answer to %q", c)
			}
			if !strings.Contains(frame, "Content-Type: text/event-") {
				answers = append(answers, frame)
				break
			}
		}
	}
	return answers
}

func execute(app, arg string) string {
	return "sendmsg\ncall-command: execute\nevent-lock: true\nexecute-app-name: " + app + "\nexecute-app-arg: " + arg
}

// event waits for the next event of that name, reading over everything else.
func (p *peer) event(name string) []header {
	p.t.Helper()
	for {
		frame := p.await(time.Hour)
		if frame == "" {
			p.t.Fatalf("%s did not come", name)
		}
		if h := parseFrame(p.t, frame); get(h, "Event-Name") == name {
			return h
		}
	}
}

// do executes an application and returns its completion.
func (p *peer) do(app, arg string) []header {
	p.t.Helper()
	p.send(execute(app, arg) + "\n\n")
	for {
		if h := p.event("CHANNEL_EXECUTE_COMPLETE"); get(h, "Application") == app {
			return h
		}
	}
}

func evaluated(log []Occurrence) (list []string) {
	for _, o := range log {
		if o.Kind == Evaluated {
			list = append(list, o.Name+"("+o.Data+")")
		}
	}
	return list
}

func outcome(t *testing.T, c *Channel) Outcome {
	t.Helper()
	select {
	case <-c.Done():
	default:
		t.Fatal("the call is not over")
	}
	o, err := c.Wait(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestExpansion(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{Variables: []Variable{{"name", "Ada"}, {"evil", "${system(touch /tmp/x)}"}, {"n", "1"}, {"v1", "one"}}})
	p.ask("connect", "myevents")
	for _, tc := range []struct{ sent, saw, ran string }{
		{"plain $5 text", "plain $5 text", ""},
		{"${hostname}", "vm", ""},
		{`\${hostname}`, "${hostname}", ""},
		{`\\${hostname}`, `\vm`, ""},
		{`\\\${hostname}`, `\${hostname}`, ""},
		{"$${hostname}", "vm", ""},
		{`$\{hostname}`, `$\{hostname}`, ""},
		{`a\nb\tc\\d\'e`, `a\nb\tc\de`, ""},
		{`cost $5 and \$5`, `cost $5 and \$5`, ""},
		{"${name}${name}", "AdaAda", ""},
		{"${name:1}", "da", ""},
		{"${name:0:2}", "Ad", ""},
		{"${name:-2}", "da", ""},
		{"${v${n}}", "one", ""},
		{"${nosuch}x", "x", ""},
		{"${name}\\${hostname}", `Ada\vm`, ""}, // behind a replacement nothing is protected
		{"${unterminated", "", ""},
		{"${evil}", "", "system(touch /tmp/x)"},
		{"${system(a (b) c)}", "", "system(a (b) c)"},
		{"${system touch /tmp/y}", "", "system(touch /tmp/y)"},
		{"${system(${name})}", "", "system(Ada)"},
		{"${nosuchfunction(x)}", "", "nosuchfunction(x)"},
		{`\${system(x)}`, "${system(x)}", ""},
		{`'${system(x)}'`, "''", "system(x)"},
		{"%[a=1,b=2]${a}x", "x", ""},
	} {
		before := len(call.Log())
		h := p.do("eval", tc.sent)
		if saw := get(h, "Application-Data"); saw != tc.saw {
			t.Errorf("%q: the application saw %q, want %q", tc.sent, saw, tc.saw)
		}
		if ran := strings.Join(evaluated(call.Log()[before:]), " "); ran != tc.ran {
			t.Errorf("%q: ran %q, want %q", tc.sent, ran, tc.ran)
		}
	}
	for _, o := range call.Log() {
		if o.Kind == Played {
			t.Errorf("%v", o)
		}
	}
}

func TestVariablesAreExpandedTwice(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	for _, app := range []string{"set x=", "multiset x=", "push y=", "unshift y="} {
		name, prefix, _ := strings.Cut(app, " ")
		before := len(call.Log())
		p.do(name, prefix+`\${system(id)}`)
		if ran := evaluated(call.Log()[before:]); !slices.Equal(ran, []string{"system(id)"}) {
			t.Errorf("%s once escaped ran %v", name, ran)
		}
		before = len(call.Log())
		p.do(name, prefix+`\\\${system(id)}`)
		if ran := evaluated(call.Log()[before:]); ran != nil {
			t.Errorf("%s twice escaped ran %v", name, ran)
		}
	}
	if got := call.Variable("x"); got != "${system(id)}" {
		t.Errorf("x is %q", got)
	}
	for _, app := range []string{"export", "set_global"} {
		before := len(call.Log())
		p.do(app, `z=\${system(id)}`)
		if ran := evaluated(call.Log()[before:]); ran != nil {
			t.Errorf("%s expands once, and ran %v", app, ran)
		}
	}
	p.do("set", "app_disable_expand_variables=true")
	before := len(call.Log())
	p.do("playback", "${system(id)}")
	if ran := evaluated(call.Log()[before:]); ran != nil {
		t.Errorf("with expansion disabled, playback ran %v", ran)
	}
	p.do("set", "x=${system(id)}")
	if ran := evaluated(call.Log()[before:]); !slices.Equal(ran, []string{"system(id)"}) {
		t.Errorf("with expansion disabled, set ran %v", ran)
	}
	p.ask("api expand echo ${system(outside)}")
	if ran := evaluated(s.Log()); !slices.Equal(ran, []string{"system(outside)"}) {
		t.Errorf("api expand ran %v", ran)
	}
}

func TestScopeVariables(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	h := p.do("playback", "%[color=red,size=2]silence_stream://20")
	if get(h, "scope_variable_color") != "red" || get(h, "scope_variable_size") != "2" {
		t.Error("the scope variables are not in the event")
	}
	if get(h, "Application-Data") != "silence_stream://20" {
		t.Errorf("the application saw %q", get(h, "Application-Data"))
	}
	if call.Variable("color") != "" {
		t.Error("the variable outlived the application")
	}
}

func TestArrays(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	p.do("push", "a=one")
	p.do("push", "a=two")
	p.do("unshift", "a=zero")
	if got := call.Variable("a"); got != "ARRAY::zero|:one|:two" {
		t.Errorf("a is %q", got)
	}
	if h := p.do("eval", "${a[1]}"); get(h, "Application-Data") != "one" {
		t.Errorf("${a[1]} is %q", get(h, "Application-Data"))
	}
	if got := p.ask("api uuid_getvar " + call.UUID + " a[2]"); !strings.HasSuffix(got[0], "\n\ntwo") {
		t.Errorf("uuid_getvar a[2] answered %q", got[0])
	}
}

// With socket_resume the next action runs at once, without it when the running
// application ends; the variables are still there.
func TestServerGoesAway(t *testing.T) {
	for _, resume := range []bool{true, false} {
		t.Run(fmt.Sprintf("resume=%v", resume), func(t *testing.T) {
			s := virtual()
			clock := s.Clock.(*VirtualClock)
			var second *peer
			in := Invite{
				Actions: []string{"10.0.0.2:9000/again async full"},
				Dial: func(_ context.Context, addr string) (net.Conn, error) {
					if addr != "10.0.0.2:9000" {
						t.Errorf("dialled %s", addr)
					}
					ours, theirs := Pipe()
					second = &peer{t: t, clock: clock, conn: ours.(*pipeEnd)}
					return theirs, nil
				},
			}
			if resume {
				in.Variables = []Variable{{"socket_resume", "true"}}
			}
			call, first := place(t, s, in)
			first.ask("connect", "myevents")
			first.do("answer", "")
			first.do("set", "callstate=menu")
			first.send(execute("playback", "silence_stream://5000") + "\n\n")
			first.event("CHANNEL_EXECUTE")
			began := clock.Now()
			first.conn.Close()
			clock.Wait()
			for second == nil {
				if !clock.Step(time.Minute) {
					t.Fatal("the second server was not called")
				}
			}
			if gap := clock.Now().Sub(began); resume != (gap <= 40*time.Millisecond) {
				t.Errorf("the second server was called after %v", gap)
			}
			answer := parseFrame(t, second.ask("connect")[0])
			for name, want := range map[string]string{
				"Unique-ID": call.UUID, "Answer-State": "answered", "variable_callstate": "menu", "variable_socket_path": "again",
			} {
				if got := get(answer, name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			second.ask("exit")
			for range 10 {
				clock.Step(time.Second)
			}
			if o := outcome(t, call); o.Kind != ContinuedOutcome {
				t.Errorf("outcome %v", o)
			}
		})
	}
}

func TestSecondHostTakesTheCall(t *testing.T) {
	s := virtual()
	var tried []string
	ours, theirs := Pipe()
	call, err := s.Call(t.Context(), Invite{
		Socket: "one:1111/a|two/b async full",
		Dial: func(_ context.Context, addr string) (net.Conn, error) {
			tried = append(tried, addr)
			if len(tried) == 1 {
				return nil, errors.New("refused")
			}
			return theirs, nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	p := &peer{t: t, clock: s.Clock.(*VirtualClock), conn: ours.(*pipeEnd)}
	h := parseFrame(t, p.ask("connect")[0])
	if want := []string{"one:1111", "two:1111"}; !slices.Equal(tried, want) {
		t.Errorf("dialled %v, want %v", tried, want)
	}
	if get(h, "variable_socket_path") != "b" || get(h, "variable_socket_host") != "two" {
		t.Errorf("socket_path %q, socket_host %q", get(h, "variable_socket_path"), get(h, "variable_socket_host"))
	}
	call.Hangup("")
}

func TestNobodyListens(t *testing.T) {
	s := virtual()
	call, err := s.Call(t.Context(), Invite{Socket: "gone:1 async full", Dial: func(context.Context, string) (net.Conn, error) {
		return nil, errors.New("refused")
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.Clock.(*VirtualClock).Wait()
	if o := outcome(t, call); o.Kind != ContinuedOutcome || o.Cause != "NORMAL_CLEARING" {
		t.Errorf("outcome %v", o)
	}
}

func TestFirstCommandIsAwaited(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.clock.Advance(24 * time.Second)
	if p.ended() {
		t.Fatal("the switch gave up too soon")
	}
	p.clock.Advance(2 * time.Second)
	if frame := p.next(); !strings.Contains(frame, "Content-Disposition: disconnect") || !p.ended() {
		t.Errorf("after 25 s came %q", frame)
	}
	if o := outcome(t, call); o.Kind != ContinuedOutcome {
		t.Errorf("outcome %v", o)
	}
}

func TestDrop(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents", "linger")
	p.do("answer", "")
	p.send(execute("playback", "silence_stream://5000") + "\n\n")
	p.event("CHANNEL_EXECUTE")
	call.Drop()
	p.clock.Wait()
	if frame := p.next(); frame != "" || !p.ended() {
		t.Errorf("a switch that died still sent %q", frame)
	}
	if o := outcome(t, call); o.Kind != DroppedOutcome {
		t.Errorf("outcome %v", o)
	}
	if s.Channels() != 0 {
		t.Error("the channel is still there")
	}
}

func TestCutFrame(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	call.CutFrame()
	p.send(execute("answer", "") + "\n\n")
	p.clock.Advance(time.Second)
	p.fill()
	if n := len(p.buf); n == 0 || p.next() != "" {
		t.Errorf("%d bytes came, or a whole frame", n)
	}
	p.buf = nil
	if !p.ended() {
		t.Error("the connection is open")
	}
}

func TestStuckSocket(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	call.StopWriting(true)
	p.send("linger 3\n\n")
	p.clock.Advance(time.Second)
	if frame := p.next(); frame != "" {
		t.Errorf("a muted socket wrote %q", frame)
	}
	call.StopWriting(false)
	if frame := p.await(time.Second); !strings.Contains(frame, "+OK will linger 3 seconds") {
		t.Errorf("then came %q", frame)
	}
	call.StopReading(true)
	p.send("nolinger\n\n")
	p.clock.Advance(time.Second)
	if frame := p.next(); frame != "" && !strings.Contains(frame, "CHANNEL_PARK") {
		t.Errorf("a deaf socket answered %q", frame)
	}
	call.StopReading(false)
	for {
		frame := p.await(time.Second)
		if strings.Contains(frame, "will not linger") {
			break
		}
		if frame == "" {
			t.Fatal("no answer after all")
		}
	}
}

func TestReplyDelay(t *testing.T) {
	s := virtual()
	s.ReplyDelay = time.Second
	_, p := place(t, s, Invite{})
	began := p.clock.Now()
	p.ask("connect", "myevents")
	if d := p.clock.Now().Sub(began); d != 2*time.Second {
		t.Errorf("two answers took %v", d)
	}
}

func TestInbound(t *testing.T) {
	s := virtual()
	s.Password = "secret"
	s.Users = map[string]string{"ada@example.com": "pw"}
	defer s.Close()
	connect := func() *peer {
		ours, theirs := Pipe()
		if err := s.ServeConn(theirs); err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, clock: s.Clock.(*VirtualClock), conn: ours.(*pipeEnd)}
		if frame := p.await(time.Second); frame != "Content-Type: auth/request\n\n" {
			t.Fatalf("first came %q", frame)
		}
		return p
	}
	for _, tc := range []struct{ say, reply string }{
		{"auth secret", "+OK accepted"},
		{"userauth ada@example.com:pw", "+OK accepted"},
		{"userauth ada:pw@example.com", "+OK accepted"},
		{"auth wrong", "-ERR invalid"},
		{"userauth ada@example.com:no", "-ERR invalid"},
		{"userauth ada", "-ERR invalid"},
		{"api status", "-ERR command not found"},
	} {
		p := connect()
		if got := p.ask(tc.say)[0]; !strings.Contains(got, "Reply-Text: "+tc.reply+"\n") {
			t.Errorf("%s answered %q", tc.say, got)
		}
		if strings.HasPrefix(tc.reply, "-ERR") {
			if frame := p.await(time.Second); !strings.Contains(frame, "disconnect-notice") || strings.Contains(frame, "Controlled-Session") || !p.ended() {
				t.Errorf("%s: then came %q", tc.say, frame)
			}
		}
	}

	p := connect()
	p.ask("auth secret", "event plain BACKGROUND_JOB CHANNEL_ANSWER CHANNEL_HANGUP_COMPLETE")
	if got := p.ask("linger")[0]; !strings.Contains(got, "-ERR not controlling a session") {
		t.Errorf("linger answered %q", got)
	}
	p.ask("bgapi originate null/7 &park()\nJob-UUID: job-1")
	answer := p.event("CHANNEL_ANSWER")
	job := p.event("BACKGROUND_JOB")
	if get(job, "Job-UUID") != "job-1" || get(job, "(body)") != "+OK "+get(answer, "Unique-ID")+"\n" {
		t.Errorf("the job answered %v", job)
	}
	p.ask("api uuid_kill " + get(answer, "Unique-ID") + " USER_BUSY")
	if h := p.event("CHANNEL_HANGUP_COMPLETE"); get(h, "Hangup-Cause") != "USER_BUSY" {
		t.Errorf("hangup cause %q", get(h, "Hangup-Cause"))
	}
	if got := p.ask("exit")[0]; !strings.Contains(got, "+OK bye") {
		t.Errorf("exit answered %q", got)
	}
}

func TestRudeRejection(t *testing.T) {
	s := virtual()
	s.Reject = func(net.Addr) bool { return true }
	defer s.Close()
	ours, theirs := Pipe()
	if err := s.ServeConn(theirs); err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, clock: s.Clock.(*VirtualClock), conn: ours.(*pipeEnd)}
	if frame := p.await(time.Second); frame != "Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n" {
		t.Errorf("came %q", frame)
	}
}

// A call over TCP in real time, with no tick: the whole conversation, and every
// goroutine gone at the end.
func TestTCP(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	s := new(Switch)
	call, err := s.Call(t.Context(), Invite{Socket: ln.Addr().String() + " async full"})
	if err != nil {
		t.Fatal(err)
	}
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprintf(conn, "connect\n\nmyevents\n\nlinger 0\n\n%s\n\n%s\n\nsendmsg\ncall-command: hangup\n\n",
		execute("answer", ""), execute("playback", "silence_stream://20"))
	all, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Event-Name: CHANNEL_ANSWER", "Application-Response: FILE%20PLAYED", "Event-Name: CHANNEL_HANGUP_COMPLETE",
		"Content-Disposition: linger", "See you at ClueCon!"} {
		if !strings.Contains(string(all), want) {
			t.Errorf("%s did not come", want)
		}
	}
	if o, err := call.Wait(t.Context()); err != nil || o.Kind != HungUpOutcome || o.Cause != "NORMAL_CLEARING" {
		t.Errorf("outcome %v, %v", o, err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if _, err := s.Call(t.Context(), Invite{Socket: "x"}); !errors.Is(err, ErrClosed) {
		t.Errorf("a call on a closed switch: %v", err)
	}
}

// Closing a switch with calls in every state leaves nothing behind.
func TestCloseWithCalls(t *testing.T) {
	s := virtual()
	var calls []*Channel
	for _, app := range []string{"playback silence_stream://-1", "park ", "bridge user/1", "conference c", "sleep 100000", "play_and_get_digits 1 9 9 90000 # x y z"} {
		call, p := place(t, s, Invite{})
		p.ask("connect", "myevents")
		p.do("answer", "")
		name, arg, _ := strings.Cut(app, " ")
		p.send(execute(name, arg) + "\n\n")
		p.event("CHANNEL_EXECUTE")
		calls = append(calls, call)
	}
	s.Close()
	for _, c := range calls {
		if o := outcome(t, c); o.Kind != DroppedOutcome {
			t.Errorf("outcome %v", o)
		}
	}
	if s.Channels() != 0 {
		t.Errorf("%d channels are left", s.Channels())
	}
}

// Half an hour of waiting takes no time, and what happens in it happens in order.
func TestAutoAdvance(t *testing.T) {
	s := virtual()
	s.Endpoints = []Endpoint{{"callcenter/support", Answers(30*time.Minute, 5*time.Minute)}}
	ours, theirs := Pipe()
	clock := s.Clock.(*VirtualClock)
	release := clock.Hold() // until the commands are there: the switch waits 25 s for the first, no longer
	stop := clock.AutoAdvance(0)
	defer stop()
	began := s.Clock.Now()
	call, err := s.Call(t.Context(), Invite{Socket: "x async full", Conn: theirs})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	fmt.Fprintf(ours, "connect\n\nmyevents\n\nlinger 0\n\n%s\n\n%s\n\nsendmsg\ncall-command: hangup\n\n", execute("answer", ""), execute("callcenter", "support"))
	release()
	all, _ := io.ReadAll(ours)
	if !strings.Contains(string(all), "variable_cc_cause: answered") {
		t.Error("no agent took the call")
	}
	if d := s.Clock.Now().Sub(began); d < 35*time.Minute || d > 36*time.Minute {
		t.Errorf("the call took %v", d)
	}
	if o := outcome(t, call); o.Kind != HungUpOutcome {
		t.Errorf("outcome %v", o)
	}
}

// While somebody holds the clock it stands.
func TestHold(t *testing.T) {
	clock := NewVirtualClock()
	fired := make(chan time.Time, 1)
	clock.AfterFunc(time.Hour, func() { fired <- clock.Now() })
	release := clock.Hold()
	stop := clock.AutoAdvance(0)
	defer stop()
	began := clock.Now()
	select {
	case <-fired:
		t.Fatal("the clock moved while it was held")
	default:
	}
	release()
	release()
	if at := <-fired; at.Sub(began) != time.Hour {
		t.Errorf("fired after %v", at.Sub(began))
	}
}

func TestVirtualTimers(t *testing.T) {
	clock := NewVirtualClock()
	began := clock.Now()
	var got []string
	note := func(name string) func() {
		return func() { got = append(got, fmt.Sprintf("%s@%v", name, clock.Now().Sub(began))) }
	}
	clock.AfterFunc(2*time.Second, note("b"))
	clock.AfterFunc(time.Second, note("a"))
	clock.AfterFunc(2*time.Second, note("c"))
	stopped := clock.AfterFunc(time.Second, note("never"))
	clock.AfterFunc(time.Second, func() { clock.AfterFunc(500*time.Millisecond, note("nested")) })
	if !stopped.Stop() || stopped.Stop() {
		t.Error("a timer stops once")
	}
	clock.Advance(3 * time.Second)
	if want := "a@1s nested@1.5s b@2s c@2s"; strings.Join(got, " ") != want {
		t.Errorf("fired %v, want %v", got, want)
	}
	if clock.Now().Sub(began) != 3*time.Second {
		t.Error("the clock does not stand where it was moved to")
	}
}

func TestPipe(t *testing.T) {
	a, b := Pipe()
	for range 1000 {
		if _, err := a.Write(make([]byte, 1000)); err != nil {
			t.Fatal(err) // writing never waits
		}
	}
	a.Close()
	if n, err := io.Copy(io.Discard, b); n != 1000000 || err != nil {
		t.Errorf("read %d bytes, %v", n, err)
	}
	if _, err := b.Write([]byte("x")); err == nil {
		t.Error("writing to somebody who has gone succeeds")
	}
	c, d := Pipe()
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	var timeout net.Error
	if _, err := c.Read(make([]byte, 1)); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("past the deadline: %v", err)
	}
	d.Close()
}

func TestObserver(t *testing.T) {
	s := virtual()
	var call *Channel
	var seen []string
	s.Observer = func(o Occurrence) {
		seen = append(seen, o.String())
		if o.Kind == Played && o.Data == "menu.wav" {
			call.Press("1#") // the observer may act: time stands still meanwhile
		}
	}
	ours, theirs := Pipe()
	call, err := s.Call(t.Context(), Invite{Socket: "x async full", Conn: theirs, CallerName: "Bob", CallerNumber: "1"})
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t: t, clock: s.Clock.(*VirtualClock), conn: ours.(*pipeEnd)}
	p.ask("connect", "myevents")
	h := p.do("play_and_get_digits", "1 4 1 3000 # menu.wav bad.wav choice")
	if get(h, "variable_choice") != "1" || get(h, "variable_read_result") != "success" {
		t.Errorf("choice %q, %q", get(h, "variable_choice"), get(h, "variable_read_result"))
	}
	call.Hangup("USER_BUSY")
	p.clock.Advance(time.Second)
	s.Close()
	want := []string{`executed socket "x async full"`, `executed play_and_get_digits "1 4 1 3000 # menu.wav bad.wav choice"`,
		`played "menu.wav"`, `digit "1"`, `digit "#"`, `hung up USER_BUSY ""`, `ended hung up "hung up, USER_BUSY"`}
	if !slices.Equal(seen, want) {
		t.Errorf("seen\n%s\nwant\n%s", strings.Join(seen, "\n"), strings.Join(want, "\n"))
	}
}

func TestSpeech(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	p.do("detect_speech", "vosk default default")
	call.Say("two & more")
	if h := p.event("DETECTED_SPEECH"); get(h, "Speech-Type") != "begin-speaking" {
		t.Errorf("speech type %q", get(h, "Speech-Type"))
	}
	if h := p.event("DETECTED_SPEECH"); get(h, "Speech-Type") != "detected-speech" || !strings.Contains(get(h, "(body)"), "<instance>two &amp; more</instance>") {
		t.Errorf("heard %v", h)
	}
	p.do("detect_speech", "stop")
	call.Say("yes")
	if h := p.do("play_and_detect_speech", "ask.wav detect:vosk default"); !strings.Contains(get(h, "variable_detect_speech_result"), "yes") {
		t.Errorf("result %q", get(h, "variable_detect_speech_result"))
	}
}

func TestFileControl(t *testing.T) {
	s := virtual()
	call, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	p.do("answer", "")
	p.send(execute("playback", "silence_stream://60000") + "\n\n")
	p.event("CHANNEL_EXECUTE")
	began := p.clock.Now()
	file := "api uuid_fileman " + call.UUID + " "
	p.ask(file + "pause")
	p.clock.Advance(time.Hour)
	p.ask(file+"pause", file+"seek:+50000")
	h := p.event("CHANNEL_EXECUTE_COMPLETE")
	if d := p.clock.Now().Sub(began) - time.Hour; d < 9*time.Second || d > 11*time.Second {
		t.Errorf("the file played for %v", d)
	}
	if get(h, "variable_playback_last_offset_pos") != "480000" {
		t.Errorf("last position %q", get(h, "variable_playback_last_offset_pos"))
	}
	if got := p.ask(file + "stop")[0]; !strings.Contains(got, "-ERR No file handle!") {
		t.Errorf("nothing plays, but: %q", got)
	}
}

// Without an event-lock, what is sent later runs in the middle of what plays.
func TestWithoutEventLock(t *testing.T) {
	s := virtual()
	_, p := place(t, s, Invite{})
	p.ask("connect", "myevents")
	p.do("answer", "")
	p.send("sendmsg\ncall-command: execute\nexecute-app-name: playback\nexecute-app-arg: silence_stream://5000\n\n")
	p.event("CHANNEL_EXECUTE")
	p.send(execute("set", "a=1") + "\n\n")
	if h := p.event("CHANNEL_EXECUTE_COMPLETE"); get(h, "Application") != "set" {
		t.Errorf("%s completed first", get(h, "Application"))
	}
	p.send("sendmsg\ncall-command: hangup\n\n")
	if h := p.event("CHANNEL_EXECUTE_COMPLETE"); get(h, "Application-Response") != "PLAYBACK ERROR" {
		t.Errorf("the playback ended %q", get(h, "Application-Response"))
	}
}

func TestBridgeDecides(t *testing.T) {
	for _, tc := range []struct {
		name, dial string
		vars       []Variable
		after      time.Duration // the caller hangs up then
		goesOn     bool
		want       map[string]string
	}{
		{name: "first of several at once", dial: "user/slow,user/fast", goesOn: true,
			want: map[string]string{"originate_disposition": "SUCCESS", "bridge_channel": "user/fast"}},
		{name: "one after another", dial: "user/busy|user/fast", goesOn: true,
			want: map[string]string{"originate_disposition": "SUCCESS", "bridge_channel": "user/fast"}},
		{name: "enterprise", dial: "{x=1}user/busy:_:[y=2]user/fast", goesOn: true,
			want: map[string]string{"bridge_channel": "user/fast"}},
		{name: "nobody answers", dial: "{originate_timeout=3}user/never", goesOn: true,
			want: map[string]string{"originate_disposition": "NO_ANSWER", "DIALSTATUS": "NOANSWER"}},
		{name: "call_timeout", dial: "user/never", goesOn: true, vars: []Variable{{"call_timeout", "4"}},
			want: map[string]string{"originate_disposition": "NO_ANSWER"}},
		{name: "busy ends the call", dial: "user/busy", goesOn: false, want: map[string]string{"DIALSTATUS": "BUSY"}},
		{name: "busy is on the list", dial: "user/busy", goesOn: true, vars: []Variable{{"continue_on_fail", "NO_ANSWER,USER_BUSY"}},
			want: map[string]string{"originate_failed_cause": "USER_BUSY"}},
		{name: "busy is not on the list", dial: "user/busy", goesOn: false, vars: []Variable{{"continue_on_fail", "NO_ANSWER"}}},
		{name: "rejected", dial: "error/call_rejected", goesOn: true, vars: []Variable{{"continue_on_fail", "true"}},
			want: map[string]string{"DIALSTATUS": "DONTCALL", "originate_disposition": "CALL_REJECTED"}},
		{name: "caller gives up", dial: "user/never", after: 2 * time.Second, want: map[string]string{"originate_disposition": "ORIGINATOR_CANCEL", "DIALSTATUS": "CANCEL"}},
		{name: "the call goes on after the bridge", dial: "user/fast", goesOn: true, want: map[string]string{"bridge_hangup_cause": "NORMAL_CLEARING"}},
		{name: "the bridge ends the call", dial: "user/fast", goesOn: false, vars: []Variable{{"hangup_after_bridge", "true"}}, want: map[string]string{"bridge_hangup_cause": "NORMAL_CLEARING"}},
		{name: "no endpoint", dial: "nosuch/1", goesOn: true, vars: []Variable{{"continue_on_fail", "true"}},
			want: map[string]string{"originate_disposition": "CHAN_NOT_IMPLEMENTED"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := virtual()
			s.Endpoints = []Endpoint{{"user/slow", Answers(5*time.Second, 10*time.Second)}, {"user/fast", Answers(time.Second, 10*time.Second)},
				{"user/busy", Refuses("USER_BUSY", time.Second)}, {"user/never", NoAnswer()}}
			call, p := place(t, s, Invite{Variables: tc.vars})
			p.ask("connect", "myevents", "linger 1")
			p.do("answer", "")
			p.send(execute("bridge", tc.dial) + "\n\n")
			if tc.after > 0 {
				p.clock.Advance(tc.after)
				call.Hangup("")
			}
			h := p.event("CHANNEL_EXECUTE_COMPLETE")
			for name, want := range tc.want {
				if got := get(h, "variable_"+name); got != want {
					t.Errorf("%s is %q, want %q", name, got, want)
				}
			}
			if goesOn := get(h, "Answer-State") == "answered"; goesOn != tc.goesOn {
				t.Errorf("the call goes on: %v, want %v", goesOn, tc.goesOn)
			}
			p.clock.Advance(time.Minute)
			for uuid := range s.channels {
				if uuid != call.UUID {
					t.Errorf("leg %s is left over", s.channels[uuid].name)
				}
			}
		})
	}
}

// Events of other channels come to a socket without a filter, and not to one
// that filters for its own channel.
func TestOtherChannelsEvents(t *testing.T) {
	s := virtual()
	_, wide := place(t, s, Invite{})
	wide.ask("connect", "event plain CHANNEL_ANSWER")
	one, narrow := place(t, s, Invite{})
	narrow.ask("connect", "event plain CHANNEL_ANSWER", "filter Unique-ID "+one.UUID)
	two, p := place(t, s, Invite{})
	p.ask("connect", "event json CHANNEL_ANSWER CUSTOM my::sub")
	p.send(execute("answer", "") + "\n\n")
	if h := wide.event("CHANNEL_ANSWER"); get(h, "Unique-ID") != two.UUID {
		t.Errorf("the wide socket got %s", describe(h))
	}
	p.event("CHANNEL_ANSWER")
	narrow.clock.Advance(time.Second)
	if frame := narrow.next(); frame != "" {
		t.Errorf("the filtered socket got %q", frame)
	}
	narrow.ask("filter delete all")
	p.ask("sendevent CUSTOM\nEvent-Subclass: my::sub\nX-Y: z")
	if h := p.event("CUSTOM"); get(h, "X-Y") != "z" || get(h, "Event-Subclass") != "my::sub" {
		t.Errorf("got %v", h)
	}
}

func TestLogLines(t *testing.T) {
	s := virtual()
	_, p := place(t, s, Invite{})
	p.ask("connect", "log 5")
	p.send(execute("log", "INFO quiet") + "\n\n" + execute("log", "WARNING loud") + "\n\n")
	for {
		frame := p.await(time.Second)
		if frame == "" {
			t.Fatal("no log line came")
		}
		if strings.Contains(frame, "log/data") {
			if !strings.HasSuffix(frame, "\n\nloud\n") || !strings.Contains(frame, "Log-Level: 4\n") {
				t.Errorf("came %q", frame)
			}
			return
		}
	}
}

func TestReadCommand(t *testing.T) {
	for _, tc := range []struct {
		in   string
		want command
		err  bool
	}{
		{in: "\n\nexit\n\n", want: command{line: "exit"}},
		{in: "exit\r\n\r\n", want: command{line: "exit"}},
		{in: "sendmsg\na:   b\nA: c\nempty: \n\n", want: command{line: "sendmsg", headers: []Variable{{"a", "b"}, {"A", "c"}}}},
		{in: "sendmsg\ncontent-length: 5\n\na\n\nb\n", want: command{line: "sendmsg", headers: []Variable{{"content-length", "5"}}, body: "a\n\nb\n"}},
		{in: "x\narg: one\rinjected: two\n\n", want: command{line: "x", headers: []Variable{{"arg", "one"}, {"injected", "two"}}}},
		{in: "x\ncontent-length: -1\n\n", err: true},
		{in: "x\ncontent-length: 5\n\nab", err: true},
		{in: "half", err: true},
	} {
		got, err := readCommand(bufio.NewReader(strings.NewReader(tc.in)))
		if (err != nil) != tc.err {
			t.Errorf("%q: %v", tc.in, err)
		}
		if err == nil && (got.line != tc.want.line || got.body != tc.want.body || !slices.Equal(got.headers, tc.want.headers)) {
			t.Errorf("%q: got %+v, want %+v", tc.in, *got, tc.want)
		}
	}
}

func TestSeparate(t *testing.T) {
	for _, tc := range []struct {
		in    string
		delim byte
		limit int
		want  []string
	}{
		{"a  b c", ' ', 9, []string{"a", "b", "c"}},
		{"a b  c  d ", ' ', 3, []string{"a", "b", "c  d"}},
		{"a 'b c' d", ' ', 9, []string{"a", "b c", "d"}},
		{`u x it\'s "q" \n`, ' ', 3, []string{"u", "x", "it's \"q\" \n"}},
		{"a=1;b=2 3", ';', 9, []string{"a=1", "b=2 3"}},
		{`a\,b,c`, ',', 9, []string{"a,b", "c"}},
		{"^^:a:b", ',', 9, []string{"a", "b"}},
		{"", ' ', 9, nil},
	} {
		if got := separate(tc.in, tc.delim, tc.limit); !slices.Equal(got, tc.want) {
			t.Errorf("%q at %q: %q, want %q", tc.in, tc.delim, got, tc.want)
		}
	}
}

// One short call after another, over in-memory connections, by a server that
// does nothing but look for the ends of calls: what the simulator itself costs.
func BenchmarkCall(b *testing.B) {
	s := &Switch{Clock: Instant()}
	defer s.Close()
	script := []byte("connect\n\nmyevents\n\nlinger 0\n\n" + execute("answer", "") + "\n\n" + execute("set", "a=1") + "\n\n" +
		execute("playback", "silence_stream://1000") + "\n\nsendmsg\ncall-command: hangup\n\n")
	b.ReportAllocs()
	for b.Loop() {
		ours, theirs := Pipe()
		if _, err := s.Call(b.Context(), Invite{Socket: "x async full", Conn: theirs}); err != nil {
			b.Fatal(err)
		}
		ours.Write(script)
		if _, err := io.Copy(io.Discard, ours); err != nil {
			b.Fatal(err)
		}
		ours.Close()
	}
}
