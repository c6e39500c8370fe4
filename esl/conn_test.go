package esl

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

const (
	callUUID  = "44f8764d-ef70-476e-8d69-26e874f953a5"
	otherUUID = "b8c112f4-5b39-486c-9781-1c8272a3a7da"
	accepted  = "Content-Type: command/reply\nReply-Text: +OK\n\n"
	notice    = "Content-Type: text/disconnect-notice\nControlled-Session-UUID: " + callUUID +
		"\nContent-Disposition: disconnect\nContent-Length: 23\n\nDisconnected, goodbye.\n"
	lingers = "Content-Type: text/disconnect-notice\nControlled-Session-UUID: " + callUUID +
		"\nContent-Disposition: linger\nChannel-Name: null/1\nLinger-Time: 2\nContent-Length: 0\n\n"
	channelData = "Event-Name: CHANNEL_DATA\nUnique-ID: " + callUUID + "\nvariable_a: 1\n" +
		"Content-Type: command/reply\nReply-Text: %2BOK%0A\nSocket-Mode: async\nControl: full\n\n"
)

func replied(text string) string {
	return "Content-Type: command/reply\nReply-Text: " + text + "\n\n"
}

func answered(body string) string {
	return fmt.Sprintf("Content-Type: api/response\nContent-Length: %d\n\n%s", len(body), body)
}

// eventFrame is a frame with an event of the call, and further header lines.
func eventFrame(name string, lines ...string) string {
	head := "Event-Name: " + name + "\nUnique-ID: " + callUUID + "\n" + strings.Join(append(lines, ""), "\n") + "\n"
	return fmt.Sprintf("Content-Length: %d\nContent-Type: text/event-plain\n\n%s", len(head), head)
}

func completion(uuid string, lines ...string) string {
	return eventFrame("CHANNEL_EXECUTE_COMPLETE", append(lines, "Application-UUID: "+uuid)...)
}

var hangupFrame = eventFrame("CHANNEL_HANGUP", "Hangup-Cause: USER_BUSY")

// A peer is the switch's end of a connection.
type peer struct {
	t       testing.TB
	nc      net.Conn
	pending string
}

// command is the next whole command that was sent to the switch, or "" at the end.
func (p *peer) command() string {
	for {
		if _, rest, ok := readPacket(p.pending); ok {
			one := p.pending[:len(p.pending)-len(rest)]
			p.pending = rest
			return one
		}
		buf := make([]byte, 4096)
		n, err := p.nc.Read(buf)
		p.pending += string(buf[:n])
		if err != nil {
			return ""
		}
	}
}

func (p *peer) expect(want string) {
	p.t.Helper()
	if got := p.command(); got != want {
		p.t.Errorf("the switch got %q, want %q", got, want)
	}
}

// executed is the Event-UUID of the next command, which must run that application.
func (p *peer) executed(app string) string {
	p.t.Helper()
	cmd := p.command()
	if !strings.Contains(cmd, "\nexecute-app-name: "+app+"\n") {
		p.t.Errorf("the switch got %q, want it to execute %s", cmd, app)
	}
	_, uuid, _ := strings.Cut(cmd, "\nEvent-UUID: ")
	uuid, _, _ = strings.Cut(uuid, "\n")
	return uuid
}

func (p *peer) send(text ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.nc, strings.Join(text, "")); err != nil {
		p.t.Errorf("the switch cannot write: %v", err)
	}
}

// open makes a connection over loopback.
func open(t testing.TB) (*Conn, *peer) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	near, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	c := NewConn(near)
	t.Cleanup(func() { c.Close(); far.Close() })
	return c, &peer{t: t, nc: far}
}

// openCall is open, with the channel connected.
func openCall(t testing.TB) (*Conn, *peer) {
	t.Helper()
	c, p := open(t)
	connect(t, c, p)
	return c, p
}

func connect(t testing.TB, c *Conn, p *peer) {
	t.Helper()
	done := aside(func() {
		p.expect("connect\n\n")
		p.send(channelData)
	})
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-done
}

// aside runs f beside the test, until the channel is closed.
func aside(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// replay makes a connection with a switch that behaves as recorded: it waits for a command where
// the recording has one, whatever that is, and closes after the last frame.
func replay(t *testing.T, name string) *Conn {
	t.Helper()
	c, p := open(t)
	steps := recording(t, name)
	for steps[len(steps)-1].from != '<' {
		steps = steps[:len(steps)-1]
	}
	done := aside(func() {
		defer p.nc.Close()
		for _, s := range steps {
			switch s.from {
			case '>':
				if p.command() == "" {
					return
				}
			case '<': // what comes after the test has closed its end does not matter
				if _, err := io.WriteString(p.nc, s.text); err != nil {
					return
				}
			}
		}
	})
	t.Cleanup(func() { c.Close(); <-done })
	return c
}

func do(t *testing.T, c *Conn, cmd Command) Reply {
	t.Helper()
	r, err := c.Do(t.Context(), cmd)
	if err != nil {
		t.Fatalf("%#v: %v", cmd, err)
	}
	return r
}

func next(t *testing.T, c *Conn) *Event {
	t.Helper()
	e, err := c.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func hungUp(t *testing.T, err error, cause string) {
	t.Helper()
	var h *HangupError
	if !errors.As(err, &h) || h.Cause != cause || h.Event == nil || errors.Is(err, ErrDisconnected) {
		t.Errorf("%v (%T), want a hangup of cause %q", err, err, cause)
	}
}

func disconnected(t *testing.T, err error, why string) {
	t.Helper()
	var h *HangupError
	if !errors.Is(err, ErrDisconnected) || errors.As(err, &h) || !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want a disconnection: %q", err, why)
	}
}

func TestConnectDescribesTheChannel(t *testing.T) {
	for _, tt := range []struct {
		recording   string
		async, full bool
	}{{"basic_async_full", true, true}, {"basic_sync_full", false, true}, {"async_single_channel", true, false}, {"sip_basic", true, true}} {
		c := replay(t, tt.recording)
		channel, err := c.Connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c.Async() != tt.async || c.Full() != tt.full || c.Latest() != channel || len(c.UUID()) != 36 || c.UUID() != channel.UUID() {
			t.Errorf("%s: async %v, full %v, UUID %q", tt.recording, c.Async(), c.Full(), c.UUID())
		}
		if v, _ := channel.Variable("current_application"); v != "socket" || channel.Get("Reply-Text") != "+OK\n" {
			t.Errorf("%s: the channel is %q", tt.recording, channel)
		}
	}
}

func TestConnectRefusesAReplyWithoutChannel(t *testing.T) {
	for _, answer := range []string{accepted, strings.Replace(channelData, "Unique-ID", "Other-ID", 1), "Content-Type: command/reply\n\n"} {
		c, p := open(t)
		done := aside(func() { p.command(); p.send(answer) })
		_, err := c.Connect(t.Context())
		var pe *ProtocolError
		if !errors.As(err, &pe) {
			t.Errorf("%q: %v", answer, err)
		}
		<-done
	}
}

func TestRepliesAreMatchedInOrder(t *testing.T) {
	c, p := open(t)
	const callers, each = 20, 50
	done := aside(func() {
		for range callers * each {
			args, ok := strings.CutPrefix(p.command(), "api echo ")
			if !ok {
				t.Error("no echo")
			}
			p.send(answered(strings.TrimSpace(args)))
		}
	})
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() {
			for j := range each {
				want := fmt.Sprint(i, "-", j)
				if r, err := c.Do(t.Context(), API{"echo", want}); err != nil || r.Text != want {
					t.Errorf("echo %s is answered %q, %v", want, r.Text, err)
				}
			}
		})
	}
	wg.Wait()
	<-done
}

func TestPostedCommandsGoOutTogether(t *testing.T) {
	c, p := openCall(t)
	for i := range 3 {
		if err := c.Post(Execute{App: "set", Arg: fmt.Sprint("x=", i), EventLock: true}); err != nil {
			t.Fatal(err)
		}
	}
	done := aside(func() {
		for i := range 3 {
			p.expect(fmt.Sprintf("sendmsg\ncall-command: execute\nexecute-app-name: set\nevent-lock: true\nexecute-app-arg: x=%d\n\n", i))
		}
		if p.pending == "" {
			t.Error("the posted commands did not come in one packet with the one that was waited for")
		}
		p.expect("api status\n\n")
		p.send(accepted, accepted, accepted, answered("UP"))
	})
	if r := do(t, c, API{Command: "status"}); r.Text != "UP" {
		t.Errorf("the posted commands' replies shift the others: %q", r.Text)
	}
	<-done
	if err := c.Flush(); err != nil {
		t.Error(err)
	}
}

func TestRepliesThatTheRecordingsShow(t *testing.T) {
	c := replay(t, "errors_and_replies")
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"-ERR command not found", "-ERR invalid syntax", "-ERR no keywords supplied", "-ERR missing value.",
		"-ERR invalid session id [00000000-0000-0000-0000-000000000000]", "+OK", "+OK", "+OK Events Enabled", "-ERR aready enabled.", "+OK will not linger",
		"+OK no longer listening for events", "+OK events nixed", "+OK log level 7 [7]", "+OK no longer logging", "+OK", "+OK bye"} {
		r, err := c.Do(t.Context(), Resume{}) // anything
		var re *ReplyError
		switch {
		case r.Text != want:
			t.Errorf("%q, want %q", r.Text, want)
		case strings.HasPrefix(want, "-ERR"):
			if !errors.As(err, &re) || re.Text != want || r.OK() {
				t.Errorf("%q: %v, OK %v", want, err, r.OK())
			}
		case err != nil || !r.OK():
			t.Errorf("%q: %v, OK %v", want, err, r.OK())
		}
	}
}

func TestAnEmptyReplyIsNoError(t *testing.T) {
	for _, head := range []string{"Content-Type: command/reply\nReply-Text: ", "Content-Type: command/reply\nReply-Text:", "Content-Type: command/reply",
		"Content-Type: api/response\nContent-Length: 0"} {
		c, p := open(t)
		done := aside(func() { p.command(); p.send(head, "\n\n") })
		r, err := c.Do(t.Context(), GetVar{"unset"})
		if r.Text != "" || err != nil || r.OK() {
			t.Errorf("%q: %q, %v", head, r.Text, err)
		}
		<-done
	}
}

func TestReplyHeaders(t *testing.T) {
	c, p := open(t)
	done := aside(func() {
		p.command()
		p.send("Content-Type: command/reply\r\nReply-Text: +OK Job-UUID: j%41\r\nJob-UUID: j%41\r\n\r\n")
	})
	if r := do(t, c, BgAPI{Command: "status"}); r.Text != "+OK Job-UUID: j%41" || r.Get("Job-UUID") != "j%41" {
		t.Errorf("%q, %q", r.Text, r.Get("Job-UUID"))
	}
	<-done
}

// The reply to a command nobody waits for any more must not become the next one's.
func TestALateReplyGoesToNobody(t *testing.T) {
	c, p := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := aside(func() {
		p.expect("api first\n\n")
		cancel() // the first is given up before its reply comes
		p.expect("api second\n\n")
		p.send(answered("one"), answered("two"))
	})
	if _, err := c.Do(ctx, API{Command: "first"}); err != context.Canceled {
		t.Errorf("%v, want context.Canceled", err)
	}
	if r := do(t, c, API{Command: "second"}); r.Text != "two" {
		t.Errorf("the second is answered %q", r.Text)
	}
	<-done
}

func TestUnclaimedIsToldOfErrors(t *testing.T) {
	c, p := open(t)
	told := make(chan string, 10)
	c.Unclaimed = func(e *ReplyError) { told <- e.Text }
	done := aside(func() {
		for range 3 {
			p.command()
		}
		p.send(accepted, replied("-ERR invalid session id [x]"), answered("done"))
	})
	c.Post(Execute{App: "answer"})
	c.Post(Execute{App: "answer", Channel: "x"})
	do(t, c, API{Command: "status"})
	<-done
	close(told)
	var all []string
	for s := range told {
		all = append(all, s)
	}
	if !slices.Equal(all, []string{"-ERR invalid session id [x]"}) {
		t.Errorf("told of %q", all)
	}
}

func TestACommandThatCannotBeSentLeavesTheConnectionAsItWas(t *testing.T) {
	c, p := openCall(t)
	var ce *CommandError
	if err := c.Post(Execute{}); !errors.As(err, &ce) {
		t.Errorf("Post: %v", err)
	}
	if _, err := c.Do(t.Context(), GetVar{}); !errors.As(err, &ce) {
		t.Errorf("Do: %v", err)
	}
	if _, err := c.Execute(t.Context(), Execute{App: "a b"}); !errors.As(err, &ce) {
		t.Errorf("Execute: %v", err)
	}
	if len(c.running) > 0 {
		t.Error("what was never sent is still waited for")
	}
	done := aside(func() { p.expect("resume\n\n"); p.send(accepted) })
	do(t, c, Resume{})
	<-done
}

func TestEventsKeepTheirOrder(t *testing.T) {
	c := replay(t, "bridge_answered")
	var want, got []string
	for _, e := range events(t, "bridge_answered")[1:] {
		want = append(want, e.Get("Event-Sequence"))
	}
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, s := range recording(t, "bridge_answered")[2:] {
		if s.from == '>' {
			c.Post(Resume{})
		}
	}
	c.Flush()
	for {
		e, err := c.Next(t.Context())
		if err != nil {
			disconnected(t, err, "")
			break
		}
		if e.Kind() == EventPlain {
			got = append(got, e.Get("Event-Sequence"))
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	hungUp(t, c.Hangup(), c.Latest().Get("Hangup-Cause"))
	if c.Latest().Name() != "CHANNEL_HANGUP_COMPLETE" {
		t.Errorf("the newest event is %s", c.Latest().Name())
	}
}

func TestExecuteReturnsTheCompletion(t *testing.T) {
	c, p := openCall(t)
	done := aside(func() {
		uuid := p.executed("playback")
		p.send(accepted,
			eventFrame("CHANNEL_EXECUTE", "Application-UUID: "+uuid),
			completion(otherUUID, "Application: set"), // an application that another ran
			completion("", "Application: socket"),     // nobody's
			eventFrame("DTMF", "DTMF-Digit: 5"),       // goes to whom it concerns
			completion(uuid+"0", "Application: set"),  // only its beginning is ours
			completion(uuid, "Application: playback"), // ours
			completion(uuid, "Application: too late")) // ours, again
	})
	e, err := c.Execute(t.Context(), Execute{App: "playback", Arg: "a.wav"})
	<-done
	if err != nil || e.Get("Application") != "playback" {
		t.Errorf("%v, %v", e, err)
	}
	if c.Latest() != e || len(c.running) != 0 {
		t.Errorf("the newest event is %v, %d are waited for", c.Latest(), len(c.running))
	}
}

func TestWaitHandsOnEveryEvent(t *testing.T) {
	c, p := openCall(t)
	x, err := c.Start(Execute{App: "playback", UUID: "e-1"})
	if err != nil {
		t.Fatal(err)
	}
	done := aside(func() {
		if uuid := p.executed("playback"); uuid != "e-1" {
			t.Errorf("Event-UUID is %q", uuid)
		}
		p.send(accepted, eventFrame("DTMF"), "Content-Type: log/data\nContent-Length: 2\n\nhi", completion("e-1"), eventFrame("DTMF"))
	})
	var seen []string
	e, err := c.Wait(t.Context(), x, func(e *Event) { seen = append(seen, e.Name()) })
	<-done
	if err != nil || !x.Done() || x.Event != e {
		t.Errorf("%v, %v", e, err)
	}
	if want := []string{"DTMF", "", "CHANNEL_EXECUTE_COMPLETE"}; !slices.Equal(seen, want) {
		t.Errorf("handed on: %q, want %q", seen, want)
	}
	if again, err := c.Wait(t.Context(), x, nil); again != e || err != nil {
		t.Errorf("waiting again: %v, %v", again, err)
	}
}

func TestSeveralApplicationsInFlight(t *testing.T) {
	c := replay(t, "pipelined_sets")
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, c, MyEvents{})
	do(t, c, Linger{2})
	var uuids []string
	for _, e := range events(t, "pipelined_sets") {
		if e.Name() == "CHANNEL_EXECUTE" {
			uuids = append(uuids, e.Get("Application-UUID"))
		}
	}
	if _, err := c.Execute(t.Context(), Execute{App: "answer", UUID: uuids[0]}); err != nil {
		t.Fatal(err)
	}
	var started []*Execution
	for _, uuid := range uuids[1:7] {
		x, err := c.Start(Execute{App: "set", Arg: "a=1", UUID: uuid})
		if err != nil {
			t.Fatal(err)
		}
		started = append(started, x)
	}
	last := started[len(started)-1]
	if _, err := c.Wait(t.Context(), last, nil); err != nil {
		t.Fatal(err)
	}
	for i, x := range started {
		if !x.Done() || x.Event.Get("Application-UUID") != uuids[1+i] {
			t.Errorf("the application %d of %d: %v", i, len(started), x.Event)
		}
	}
	c.Post(Hangup{})
	x, err := c.Start(Execute{App: "playback"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Wait(t.Context(), x, nil)
	hungUp(t, err, "NORMAL_CLEARING")
	if len(c.running) != 1 {
		t.Fatalf("%d are waited for", len(c.running))
	}
	c.Forget(x)
	c.Forget(x)
	if len(c.running) != 0 {
		t.Error("not forgotten")
	}
}

func TestLoopsEndWithTheLast(t *testing.T) {
	c := replay(t, "loops")
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, c, MyEvents{})
	do(t, c, Linger{2})
	if _, err := c.Execute(t.Context(), Execute{App: "answer", UUID: "2a52c778-ac1a-4e27-8a77-c03ec98b1ccb"}); err != nil {
		t.Fatal(err)
	}
	x, err := c.Start(Execute{App: "playback", Loops: 2, UUID: "aaaaaaaa-0000-4000-8000-000000000001"})
	if err != nil {
		t.Fatal(err)
	}
	completions := 0
	e, err := c.Wait(t.Context(), x, func(e *Event) {
		if e.Name() == "CHANNEL_EXECUTE_COMPLETE" {
			completions++
		}
	})
	if err != nil || completions != 2 {
		t.Fatalf("%v after %d completions", err, completions)
	}
	if v, _ := e.Variable("current_loop"); v != "2" {
		t.Errorf("the completion is of loop %q", v)
	}
}

// The switch does not repeat what took less than half a second, nor what the hangup ended.
func TestLoopsThatEndEarly(t *testing.T) {
	stamp := func(ms int) string { return fmt.Sprint("Event-Date-Timestamp: ", 1795335451000000+ms*1000) }
	tests := []struct {
		name   string
		events func(uuid string) []string
		loops  int // completions until it is done
	}{
		{"too short", func(u string) []string {
			return []string{eventFrame("CHANNEL_EXECUTE", "Application-UUID: "+u, stamp(0)), completion(u, stamp(499))}
		}, 1},
		{"the second too short", func(u string) []string {
			return []string{
				eventFrame("CHANNEL_EXECUTE", "Application-UUID: "+u, stamp(0)), completion(u, stamp(500)),
				eventFrame("CHANNEL_EXECUTE", "Application-UUID: "+u, stamp(500)), completion(u, stamp(900))}
		}, 2},
		{"hung up", func(u string) []string {
			return []string{eventFrame("CHANNEL_EXECUTE", "Application-UUID: "+u, stamp(0)), completion(u, stamp(900), "Answer-State: hangup")}
		}, 1},
		{"all, when nobody tells when they began", func(u string) []string {
			return []string{completion(u, stamp(0)), completion(u, stamp(1)), completion(u, stamp(2))}
		}, 3},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, p := openCall(t)
			done := aside(func() {
				uuid := p.executed("playback")
				p.send(accepted)
				p.send(tt.events(uuid)...)
			})
			x, err := c.Start(Execute{App: "playback", Loops: 3})
			if err != nil {
				t.Fatal(err)
			}
			loops := 0
			if _, err := c.Wait(t.Context(), x, func(e *Event) {
				if e.Name() == "CHANNEL_EXECUTE_COMPLETE" {
					loops++
				}
			}); err != nil || loops != tt.loops {
				t.Errorf("%v after %d completions, want %d", err, loops, tt.loops)
			}
			<-done
		})
	}
}

func TestSynchronousModeAnswersAtTheEnd(t *testing.T) {
	c := replay(t, "basic_sync_full")
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	do(t, c, MyEvents{})
	do(t, c, Linger{2})
	for _, e := range events(t, "basic_sync_full") {
		if e.Name() != "CHANNEL_EXECUTE" {
			continue
		}
		done, err := c.Execute(t.Context(), Execute{App: e.Get("Application"), UUID: e.Get("Application-UUID")})
		if err != nil || done.Get("Application") != e.Get("Application") {
			t.Errorf("%s: %v, %v", e.Get("Application"), done, err)
		}
	}
	do(t, c, Hangup{})
	// The notice that it lingers comes first here, and does not tell the cause.
	_, err := c.Execute(t.Context(), Execute{App: "playback"})
	var h *HangupError
	if !errors.As(err, &h) {
		t.Errorf("%v", err)
	}
	for err = nil; err == nil; {
		_, err = c.Next(t.Context())
	}
	hungUp(t, c.Hangup(), "NORMAL_CLEARING")
	hungUp(t, c.Err(), "NORMAL_CLEARING")
}

func TestSingleChannelTellsOfTheEndByNoticeOnly(t *testing.T) {
	c := replay(t, "async_single_channel")
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	var re *ReplyError
	for _, cmd := range []Command{Linger{2}, Events{Names: []string{"ALL"}}, API{Command: "status"}} {
		if _, err := c.Do(t.Context(), cmd); !errors.As(err, &re) || re.Text != "-ERR command not found" {
			t.Errorf("%T: %v", cmd, err)
		}
	}
	do(t, c, MyEvents{})
	for _, e := range events(t, "async_single_channel") {
		if e.Name() == "CHANNEL_EXECUTE" {
			if _, err := c.Execute(t.Context(), Execute{App: e.Get("Application"), UUID: e.Get("Application-UUID")}); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := c.Execute(t.Context(), Execute{App: "playback"})
	hungUp(t, err, "")
	<-c.Hungup()
}

func TestExecuteTellsTheEndsApart(t *testing.T) {
	tests := []struct {
		name  string
		sends []string // after the command was accepted; then the switch closes
		check func(*testing.T, error)
	}{
		{"hangup", []string{hangupFrame}, func(t *testing.T, err error) { hungUp(t, err, "USER_BUSY") }},
		{"hangup, and the notice", []string{hangupFrame, notice}, func(t *testing.T, err error) { hungUp(t, err, "USER_BUSY") }},
		{"only the notice", []string{notice}, func(t *testing.T, err error) { hungUp(t, err, "") }},
		{"only the end", nil, func(t *testing.T, err error) { disconnected(t, err, "") }},
		{"another channel's hangup", []string{strings.Replace(hangupFrame, callUUID, otherUUID, 1)}, func(t *testing.T, err error) { disconnected(t, err, "") }},
		{"half an event", []string{hangupFrame[:100]}, func(t *testing.T, err error) { disconnected(t, err, "unexpected EOF") }},
		{"half a header", []string{hangupFrame[:10]}, func(t *testing.T, err error) { disconnected(t, err, "unexpected EOF") }},
		{"a reply to nothing", []string{accepted}, func(t *testing.T, err error) { disconnected(t, err, "a reply to no command") }},
		{"a bad length", []string{"Content-Length: x\n\n"}, func(t *testing.T, err error) {
			disconnected(t, err, "not a number")
			var pe *ProtocolError
			if !errors.As(err, &pe) {
				t.Error("the reason is lost")
			}
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c, p := openCall(t)
			done := aside(func() {
				p.executed("playback")
				p.send(accepted)
				p.send(tt.sends...)
				p.nc.Close()
			})
			_, err := c.Execute(t.Context(), Execute{App: "playback"})
			tt.check(t, err)
			<-done
			<-c.Hungup()
			<-c.done
			// Afterwards everything says the same.
			_, err = c.Execute(t.Context(), Execute{App: "playback"})
			tt.check(t, err)
			_, err = c.Do(t.Context(), Resume{})
			tt.check(t, err)
			tt.check(t, c.Post(Resume{}))
			tt.check(t, c.Flush())
			tt.check(t, c.Err())
			if len(c.running) > 0 {
				t.Error("something is still waited for")
			}
			for err = nil; err == nil; {
				_, err = c.Next(t.Context())
			}
			disconnected(t, err, "")
		})
	}
}

func TestExecuteEndsWithItsContext(t *testing.T) {
	c, p := openCall(t)
	ctx, cancel := context.WithTimeoutCause(t.Context(), time.Hour, errors.New("too long"))
	done := aside(func() {
		uuid := p.executed("playback")
		cancel()
		p.executed("hangup")
		p.send(accepted, accepted, completion(uuid), completion("e-2", "Application: hangup"))
	})
	if _, err := c.Execute(ctx, Execute{App: "playback"}); err != context.Canceled {
		t.Errorf("%v, want context.Canceled", err)
	}
	if len(c.running) > 0 {
		t.Error("what was given up is still waited for")
	}
	// Its late completion is not the next one's.
	if e, err := c.Execute(t.Context(), Execute{App: "hangup", UUID: "e-2"}); err != nil || e.Get("Application") != "hangup" {
		t.Errorf("%v, %v", e, err)
	}
	<-done
}

// What has come by the time the context ends still counts, but no flood can hold Wait beyond it.
func TestWaitLooksAtWhatHadComeWhenItsContextEnds(t *testing.T) {
	c, p := openCall(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	x, err := c.Start(Execute{App: "playback"})
	if err != nil {
		t.Fatal(err)
	}
	p.nc.Close()
	<-c.done // only one goroutine may put events, and that was the reader
	for range 10 {
		c.queue.put(NewEvent("Event-Name: HEARTBEAT\n\n"))
	}
	looked := 0
	_, err = c.Wait(ended, x, func(*Event) {
		looked++
		c.queue.put(NewEvent("Event-Name: HEARTBEAT\n\n"))
	})
	if err != context.Canceled || looked != 10 {
		t.Errorf("%v after %d events", err, looked)
	}

	c.queue.put(NewEvent("Event-Name: CHANNEL_HANGUP\nUnique-ID: " + callUUID + "\nHangup-Cause: USER_BUSY\n\n"))
	_, err = c.Wait(ended, x, nil)
	hungUp(t, err, "USER_BUSY")
}

// The caller may be gone before connect is answered: FreeSWITCH 1.11 then sends the notice instead.
func TestHangupBeforeConnectIsNoNetworkError(t *testing.T) {
	c, p := open(t)
	done := aside(func() { p.send(notice); p.nc.Close() })
	_, err := c.Connect(t.Context())
	hungUp(t, err, "")
	<-done
}

func TestHangupBeforeTheSubscriptionIsNoNetworkError(t *testing.T) {
	c := replay(t, "caller_hangs_up_before_connect_done")
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := c.Do(t.Context(), MyEvents{})
	hungUp(t, err, "")
	_, err = c.Execute(t.Context(), Execute{App: "answer"})
	hungUp(t, err, "")
	<-c.Hungup()
	if e := next(t, c); e.Kind() != DisconnectNotice || e.Get("Content-Disposition") != "disconnect" {
		t.Errorf("%q", e)
	}
	if c.Hangup() == nil {
		t.Error("the hangup is not known")
	}
}

// A write that fails because the switch has closed does not hide why it did.
func TestAFailedWriteDoesNotHideTheHangup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		broken := &brokenWrites{Conn: near}
		c := NewConn(broken)
		p := &peer{t: t, nc: far}
		connect(t, c, p)
		broken.broken = true
		go func() {
			time.Sleep(time.Second) // of the bubble: after the write has failed
			p.send(hangupFrame, notice)
			far.Close()
		}()
		_, err := c.Execute(t.Context(), Execute{App: "playback"})
		hungUp(t, err, "USER_BUSY")
		c.Close()
	})
}

// brokenWrites is a connection whose other end is closed, with something still to be read.
type brokenWrites struct {
	net.Conn
	broken bool
}

func (b *brokenWrites) Write(p []byte) (int, error) {
	if b.broken {
		return 0, errors.New("broken pipe")
	}
	return b.Conn.Write(p)
}

func TestNoHangupIsMadeOfOurOwnExit(t *testing.T) {
	c := replay(t, "errors_and_replies")
	if _, err := c.Connect(t.Context()); err != nil {
		t.Fatal(err)
	}
	for range 15 {
		c.Post(Resume{})
	}
	if r := do(t, c, Exit{}); r.Text != "+OK bye" {
		t.Errorf("%q", r.Text)
	}
	_, err := c.Execute(t.Context(), Execute{App: "playback"})
	disconnected(t, err, "")
	if c.Hangup() != nil {
		t.Error(c.Hangup())
	}
}

func TestEventsAfterTheLingerNoticeAreDelivered(t *testing.T) {
	c, p := openCall(t)
	p.send(lingers, hangupFrame, eventFrame("CHANNEL_HANGUP_COMPLETE", "Hangup-Cause: USER_BUSY", "variable_billsec: 3"), notice)
	p.nc.Close()
	var got []string
	for {
		e, err := c.Next(t.Context())
		if err != nil {
			disconnected(t, err, "")
			break
		}
		got = append(got, e.Name()+e.Get("Content-Disposition"))
	}
	if want := []string{"linger", "CHANNEL_HANGUP", "CHANNEL_HANGUP_COMPLETE", "disconnect"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	hungUp(t, c.Hangup(), "USER_BUSY")
	if v, _ := c.Latest().Variable("billsec"); v != "3" {
		t.Errorf("the newest event is %v", c.Latest())
	}
}

func TestHungupIsKnownAheadOfTheEvents(t *testing.T) {
	c, p := openCall(t)
	p.send(eventFrame("DTMF"), strings.Replace(hangupFrame, callUUID, otherUUID, 1))
	if e := next(t, c); e.Name() != "DTMF" {
		t.Errorf("%v", e)
	}
	next(t, c)
	select {
	case <-c.Hungup():
		t.Fatal("another channel's hangup counts")
	default:
	}
	p.send(eventFrame("DTMF"), hangupFrame)
	<-c.Hungup()
	if c.Hangup() != nil || next(t, c).Name() != "DTMF" || next(t, c).Name() != "CHANNEL_HANGUP" {
		t.Error("the events are not read in their order")
	}
	hungUp(t, c.Hangup(), "USER_BUSY")
}

func TestAStrangerIsTurnedAway(t *testing.T) {
	for _, greeting := range []string{"GET / HTTP/1.1\r\nHost: x\r\n\r\n", "SSH-2.0-x\r\n\r\n", "\x16\x03\x01\n\n", "Content-Type: text/html\nContent-Length: 2\n\nhi",
		accepted, "Content-Type: api/response\n\n", "Content-Type: text/event-json\nContent-Length: 2\n\n[]"} {
		c, p := open(t)
		p.send(greeting)
		_, err := c.Next(t.Context())
		disconnected(t, err, "event socket:")
		<-c.Hungup()
	}
}

func TestUnknownFramesAreSkipped(t *testing.T) {
	c, p := openCall(t)
	p.send("Content-Type: text/new\nContent-Length: 4\n\n\n\n\n\n", "after blank\n\n", eventFrame("DTMF"))
	if e := next(t, c); e.Name() != "DTMF" {
		t.Errorf("%v", e)
	}
}

func TestEveryKindOfEventComes(t *testing.T) {
	c, p := openCall(t)
	p.send(
		"Content-Type: text/event-json\nContent-Length: 21\n\n"+`{"Event-Name":"DTMF"}`,
		"Content-Type: text/event-xml\nContent-Length: 58\n\n<headers>\n<Event-Name>TALK</Event-Name>\n</headers>\n</event>\n\n",
		"Content-Type: log/data\nContent-Length: 3\nLog-Level: 7\n\nhi\n",
		"Content-Type: auth/request\n\n")
	for _, want := range []struct {
		kind Kind
		name string
	}{{EventPlain, "DTMF"}, {EventPlain, "TALK"}, {LogData, ""}, {AuthRequest, ""}} {
		if e := next(t, c); e.Kind() != want.kind || e.Name() != want.name {
			t.Errorf("%s %q, want %s %q", e.Kind(), e.Name(), want.kind, want.name)
		}
	}
}

// While nobody reads, however many events come, the queue stays in its bounds and its order, and
// what the call waits for is in it.
func TestAFloodOfEvents(t *testing.T) {
	const flood = 10_000
	numbered := func(frame string, i int) string {
		return strings.Replace(frame, "Job-UUID: -----", fmt.Sprintf("Job-UUID: %05d", i), 1)
	}
	const number = "Job-UUID: -----"
	kinds := map[string]string{
		"events":                eventFrame("CHANNEL_STATE", number),
		"completions of others": completion(otherUUID, number),
		"jobs":                  eventFrame("BACKGROUND_JOB", number),
		"hangups of others":     strings.Replace(eventFrame("CHANNEL_HANGUP", number), callUUID, otherUUID, 1),
		"events of no name":     eventFrame("", number),
		"lines of the log":      "Content-Type: log/data\nContent-Length: 2\n" + number + "\n\nhi",
		"completions of nobody": completion("", number),
	}
	for name, frame := range kinds {
		t.Run(name, func(t *testing.T) {
			c, p := openCall(t)
			x, err := c.Start(Execute{App: "playback"})
			if err != nil {
				t.Fatal(err)
			}
			done := aside(func() {
				uuid := p.executed("playback")
				var all strings.Builder
				all.WriteString(accepted)
				for i := range flood {
					if i == flood/2 {
						all.WriteString(completion(uuid, "Job-UUID: ours"))
					}
					all.WriteString(numbered(frame, i))
				}
				all.WriteString(hangupFrame + notice)
				p.send(all.String())
				p.expect("resume\n\n")
				p.send(accepted)
			})
			c.Flush()
			<-c.Hungup()
			do(t, c, Resume{}) // its reply comes after all of them: nobody has waited for a reader
			<-done
			p.nc.Close()

			waiting := c.queue.length()
			if waiting > 2*DefaultMaxQueue+3 {
				t.Errorf("%d events wait", waiting)
			}
			last, ours := -1, 0
			for range waiting {
				e := next(t, c)
				switch id := e.Get("Job-UUID"); id {
				case "ours", "":
					ours++
				default:
					var i int
					fmt.Sscan(strings.TrimLeft(id, "0")+" ", &i)
					if i <= last {
						t.Fatalf("%d comes after %d", i, last)
					}
					last = i
				}
			}
			if !x.Done() || ours != 3 || c.Hangup() == nil || c.Hangup().Cause != "USER_BUSY" {
				t.Errorf("done %v, hangup %v, %d of the 3 that were waited for", x.Done(), c.Hangup(), ours)
			}
			if got := uint64(waiting) + c.Dropped(); got != flood+3 {
				t.Errorf("%d were read or counted as dropped, of %d", got, flood+3)
			}
		})
	}
}

func TestAFloodOfLargeEvents(t *testing.T) {
	c, p := openCall(t)
	large := eventFrame("CHANNEL_STATE", "variable_x: "+strings.Repeat("x", 1<<20))
	done := aside(func() {
		for range 40 {
			p.send(large)
		}
		p.send(hangupFrame)
	})
	<-c.Hungup()
	<-done
	done = aside(func() { p.command(); p.send(accepted) })
	do(t, c, Resume{})
	<-done
	if n, held := c.queue.length(), c.queue.bytes; held > maxQueueBytes+len(hangupFrame) || n < 10 || uint64(n)+c.Dropped() != 41 {
		t.Errorf("%d events of %d bytes wait, %d were dropped", n, held, c.Dropped())
	}
	for c.Hangup() == nil {
		next(t, c)
	}
	if c.queue.bytes != 0 {
		t.Errorf("an empty queue holds %d bytes", c.queue.bytes)
	}
}

// Even a switch that sends nothing but what must not be lost fills no more than this.
func TestAForgedFloodHasAnEnd(t *testing.T) {
	c, p := openCall(t)
	done := aside(func() { p.send(strings.Repeat(notice, 5*DefaultMaxQueue)); p.nc.Close() })
	<-done
	<-c.done
	if n := c.queue.length(); n != 4*DefaultMaxQueue || c.Dropped() != DefaultMaxQueue {
		t.Errorf("%d wait, %d dropped", n, c.Dropped())
	}
}

func TestQueueLosesNoWakeup(t *testing.T) {
	const n = 100_000
	q := newQueue(n, func(*Event) int { return 1 })
	all := make([]Event, n)
	done := aside(func() {
		for i := range all {
			q.put(&all[i])
		}
		q.close(ErrDisconnected)
	})
	c := &Conn{queue: q}
	for i := range all {
		e, err := c.Next(t.Context())
		if err != nil || e != &all[i] {
			t.Fatalf("event %d: %v", i, err)
		}
	}
	<-done
	for range 3 {
		if _, err := c.Next(t.Context()); err != ErrDisconnected {
			t.Fatal(err)
		}
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	c, _ := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(time.Millisecond, cancel)
	if _, err := c.Next(ctx); err != context.Canceled {
		t.Error(err)
	}
}

// The line of those who wait, and the queue, do not grow with what has passed through them.
func TestLongLivedConnectionsDoNotGrow(t *testing.T) {
	var l line
	q := newQueue(1000, func(*Event) int { return 1 })
	e := NewEvent("A: 1\n\n")
	l.add(nil)
	q.put(e)
	for range 100_000 { // never empty
		l.add(nil)
		q.put(e)
		l.next()
		q.take("")
	}
	if cap(l.waiters) > 1000 || cap(q.events) > 1000 || q.length() != 1 || q.bytes != e.Size() {
		t.Errorf("the line holds %d, the queue %d of %d bytes", cap(l.waiters), cap(q.events), q.bytes)
	}
}

func TestAPeerThatDoesNotReadIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe() // takes nothing until it is read
		c := NewConn(near)
		start := time.Now()
		_, err := c.Do(t.Context(), Connect{})
		disconnected(t, err, "does not read what is written")
		if took := time.Since(start); took < writeTimeout || took > 2*writeTimeout {
			t.Errorf("given up after %v", took)
		}
		_, err = c.Next(t.Context())
		disconnected(t, err, "does not read what is written")
		c.Close()
		far.Close()
	})
}

func TestAPeerThatStopsInsideAFrameIsGivenUp(t *testing.T) {
	event := eventFrame("DTMF", "variable_x: "+strings.Repeat("x", 10_000))
	for _, part := range []int{1, 20, 60, 100, 5000, len(event) - 1} {
		synctest.Test(t, func(t *testing.T) {
			near, far := net.Pipe()
			c := NewConn(near)
			p := &peer{t: t, nc: far}
			connect(t, c, p)
			time.Sleep(10 * frameTimeout) // between frames there is no haste
			p.send(eventFrame("DTMF"), event[:part])
			start := time.Now()
			next(t, c)
			_, err := c.Next(t.Context())
			disconnected(t, err, "stopped in the middle of a message")
			if took := time.Since(start); took != frameTimeout {
				t.Errorf("after %d bytes: given up after %v", part, took)
			}
			c.Close()
			far.Close()
		})
	}
}

// The time is one frame's: a switch that is never between frames when we read is not slow, one that
// trickles is.
func TestEveryFrameHasItsOwnTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := NewConn(near)
		p := &peer{t: t, nc: far}
		connect(t, c, p)
		event := eventFrame("DTMF")
		p.send(event[:50])
		for range 10 {
			time.Sleep(frameTimeout * 2 / 3)
			p.send(event[50:], event[:50])
			next(t, c)
		}
		start := time.Now()
		done := aside(func() {
			for i := 50; ; i++ {
				if _, err := io.WriteString(far, event[i:i+1]); err != nil {
					break
				}
				time.Sleep(time.Second)
			}
		})
		_, err := c.Next(t.Context())
		disconnected(t, err, "stopped in the middle of a message")
		if took := time.Since(start); took != frameTimeout {
			t.Errorf("given up after %v", took)
		}
		c.Close()
		far.Close()
		<-done
	})
}

// A switch that does not read before we have read what it writes (its one thread does both) must not
// stand still with us.
func TestReadingGoesOnWhileAWriteIsStuck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := NewConn(near)
		p := &peer{t: t, nc: far}
		connect(t, c, p)
		c.Post(Resume{})
		flushed := aside(func() { c.Flush() })
		p.expect("resume\n\n")
		<-flushed
		done := aside(func() {
			if r, err := c.Do(t.Context(), API{Command: "status"}); r.Text != "UP" {
				t.Errorf("%q, %v", r.Text, err)
			}
		})
		synctest.Wait() // the command is stuck in its write
		p.send(accepted, eventFrame("DTMF"))
		if e := next(t, c); e.Name() != "DTMF" {
			t.Errorf("%v", e)
		}
		if err := c.Post(NoLog{}); err != nil { // nor does this wait
			t.Error(err)
		}
		p.expect("api status\n\n")
		p.send(answered("UP"))
		<-done
		flushed = aside(func() { c.Flush() })
		p.expect("nolog\n\n")
		<-flushed
		c.Close()
		far.Close()
	})
}

func TestCloseEndsAStuckWrite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		c := NewConn(near)
		done := aside(func() {
			_, err := c.Do(t.Context(), Connect{})
			disconnected(t, err, "")
		})
		synctest.Wait()
		start := time.Now()
		c.Close()
		<-done
		if took := time.Since(start); took != 0 {
			t.Errorf("Close took %v", took)
		}
		far.Close()
	})
}

func TestCloseFromEverywhere(t *testing.T) {
	c, p := openCall(t)
	p.send(eventFrame("DTMF"))
	next(t, c)
	var wg sync.WaitGroup
	wg.Go(func() {
		_, err := c.Execute(t.Context(), Execute{App: "playback"})
		disconnected(t, err, "")
	})
	wg.Go(func() {
		_, err := c.Do(t.Context(), Resume{})
		disconnected(t, err, "")
	})
	p.command()
	p.command()
	for range 10 {
		wg.Go(func() {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	_, err := c.Do(t.Context(), Resume{})
	disconnected(t, err, "")
	disconnected(t, c.Post(Resume{}), "")
	disconnected(t, c.Flush(), "")
	disconnected(t, c.Err(), "")
	_, err = c.Next(t.Context())
	disconnected(t, err, "")
	_, err = c.Execute(t.Context(), Execute{App: "playback"})
	disconnected(t, err, "")
	if rest, err := io.ReadAll(p.nc); err != nil || len(rest) > 0 {
		t.Errorf("after Close the switch gets %q, %v", rest, err)
	}
}

// Connect that was given up may be answered while the events are being read.
func TestALateReplyToConnectIsNoRace(t *testing.T) {
	c, p := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	given := make(chan struct{})
	done := aside(func() {
		p.command()
		<-given
		p.send(eventFrame("DTMF"), channelData, eventFrame("DTMF"), hangupFrame)
	})
	if _, err := c.Connect(ctx); err != context.Canceled {
		t.Fatal(err)
	}
	close(given)
	for range 3 {
		next(t, c)
		if c.UUID() != "" || c.Latest() != nil {
			t.Errorf("%q, %v", c.UUID(), c.Latest())
		}
	}
	<-c.Hungup()
	<-done
}

func TestEventUUIDs(t *testing.T) {
	a, _ := open(t)
	b, _ := open(t)
	seen := make(map[string]bool)
	for _, c := range []*Conn{a, b} {
		for range 1000 {
			uuid := c.newUUID()
			if len(uuid) != 36 || uuid[8] != '-' || uuid[13] != '-' || uuid[14] != '4' || uuid[18] != '-' || uuid[23] != '-' || seen[uuid] {
				t.Fatalf("%q, seen before: %v", uuid, seen[uuid])
			}
			seen[uuid] = true
		}
	}
}

// Whoever waits for the end of a playback is not woken for the completions before it, and yet
// has read them when it ends.
func TestWaitIsWokenForItsEndOnly(t *testing.T) {
	q := newQueue(10, func(*Event) int { return 4 })
	completion := func(uuid string) *Event {
		return NewEvent("Event-Name: CHANNEL_EXECUTE_COMPLETE\nApplication-UUID: " + uuid + "\n\n")
	}
	woken := func() bool {
		select {
		case <-q.ready:
			return true
		default:
			return false
		}
	}
	for _, tt := range []struct {
		e    *Event
		want bool
	}{
		{completion("other"), false},
		{NewEvent("Event-Name: DTMF\n\n"), false},
		{completion("mine"), true},
		{NewEvent("Event-Name: CHANNEL_HANGUP\n\n"), true},
		{&Event{kind: DisconnectNotice}, true},
	} {
		if e, err := q.take("mine"); e != nil || err != nil {
			t.Fatal(e, err)
		}
		q.put(tt.e)
		q.signal()
		if got := woken(); got != tt.want {
			t.Errorf("woken for %q: %v", tt.e, got)
		}
		if e, _ := q.take(""); e != tt.e {
			t.Errorf("took %q", e)
		}
	}
	if q.take("mine"); true {
		for range 5 { // half full: better to look now than to drop
			q.put(completion("other"))
		}
		q.signal()
		if !woken() {
			t.Error("not woken though the queue fills")
		}
	}
}

// With IgnoreOthers the completions that nobody waits for are passed over, and nothing else is.
func TestIgnoreOthers(t *testing.T) {
	c, p := open(t)
	c.IgnoreOthers(true)
	completion := func(uuid string) string {
		return eventText("Event-Name: CHANNEL_EXECUTE_COMPLETE\nUnique-ID: x\nApplication-UUID: " + uuid + "\n\n")
	}
	x, err := c.Start(Execute{App: "playback"})
	if err != nil {
		t.Fatal(err)
	}
	p.send(completion("44f8764d-ef70-476e-8d69-26e874f953a5"), eventFrame("CHANNEL_ANSWER"), completion(x.UUID),
		completion("9bf008ba-8f86-481d-b63a-74774e84b2b3"), eventFrame("DTMF"))
	for _, want := range []string{"CHANNEL_ANSWER", "CHANNEL_EXECUTE_COMPLETE", "DTMF"} {
		if got := next(t, c).Name(); got != want {
			t.Errorf("the next event is %s, want %s", got, want)
		}
	}
	if !x.Done() {
		t.Error("our own completion was passed over")
	}
	c.IgnoreOthers(false)
	p.send(completion("44f8764d-ef70-476e-8d69-26e874f953a5"))
	if got := next(t, c).Get("Application-UUID"); got != "44f8764d-ef70-476e-8d69-26e874f953a5" {
		t.Errorf("the next event is of %s", got)
	}
}

func eventText(text string) string {
	return "Content-Length: " + strconv.Itoa(len(text)) + "\nContent-Type: text/event-plain\n\n" + text
}
