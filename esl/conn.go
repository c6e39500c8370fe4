package esl

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Times a connection grants its peer. The switch answers in microseconds on a
// local network; these only bound what has gone wrong.
const (
	writeTimeout = 10 * time.Second // for the peer to take what we write
	frameTimeout = 30 * time.Second // for the rest of a frame once it has begun
)

// ErrDisconnected is returned when the connection ended without the channel's
// hangup having been seen. Errors that say more wrap it.
var ErrDisconnected = errors.New("the connection to the switch is gone")

// A HangupError is returned when the channel has hung up, or has left our control by a
// transfer: where the mode of the socket does not tell, the two look alike.
type HangupError struct {
	Cause string // such as NORMAL_CLEARING; empty where the mode of the socket does not tell
	Event *Event // CHANNEL_HANGUP, or the notice of the end
}

func (e *HangupError) Error() string {
	if e.Cause == "" {
		return "the channel has hung up"
	}
	return "the channel has hung up: " + e.Cause
}

// A ReplyError is a reply of the switch that begins with -ERR, or one to an
// inbound client's authentication that is no +OK.
type ReplyError struct{ Text string }

func (e *ReplyError) Error() string { return "the switch answered " + strconv.Quote(e.Text) }

// A Reply is what the switch answered to a command.
type Reply struct {
	Text string // Reply-Text, or an API command's output; decoded where the switch encodes it
	head string
}

// OK reports whether the text begins with +OK.
func (r Reply) OK() bool { return strings.HasPrefix(r.Text, "+OK") }

// Get is a header of the reply, such as Job-UUID.
func (r Reply) Get(name string) string {
	return (&Event{raw: true, head: r.head}).Get(name)
}

// A Conn is one connection with the switch, of either direction. A goroutine of its
// own reads it from NewConn until Close or the end of the stream.
//
// Post, Do, Flush, Hungup, Close may be called from any goroutine. One goroutine at a
// time reads the events: Connect, Next, Execute, Start and Wait belong to it. With a clock of its own
// ([Server].Clock) Do does, too.
type Conn struct {
	// Settings, to be made before the first use.

	// Unclaimed, where set, is told of a reply -ERR to a command nobody waits for. It is called on
	// the reading goroutine and must not block.
	Unclaimed func(*ReplyError)

	nc     net.Conn
	clock  Clock   // nil: the system's
	turn   *turn   // the event goroutine's, where the clock stands still while it works
	socket *socket // nc, where it is one of the system's
	reader *Reader
	queue  *queue
	done   chan struct{} // closed when the reader has ended
	gone   chan struct{} // closed when the channel is known to have hung up, or the stream has ended
	goneFn func()

	// The event goroutine's.
	uuid     string // of the outbound socket's channel
	uuidLine string // the header that says so
	uuidAt   int    // where it stood last
	async    bool
	full     bool
	hungup   *HangupError // the hangup, once the events have come to it
	latest   *Event       // the newest event of the channel that was read
	running  []*Execution // those waited for

	// The reading goroutine's.
	talked bool         // something of the event socket has come
	own    string       // the outbound socket's channel
	end    *HangupError // the channel's, as soon as it has come
	timed  uint64       // the frame that the read deadline is for

	// The commands on their way out, and who waits for which reply.
	mu      sync.Mutex
	out     []byte
	waiting line
	err     error      // why nothing can be sent any more
	exiting bool       // we asked for the end ourselves
	writing sync.Mutex // held while out is written; taken before mu
	writeBy time.Time  // the write deadline: writing's

	ownOnly atomic.Bool
	prefix  string // of our Event-UUIDs: 24 characters, then 12 of the counter
	counter atomic.Uint64
}

// NewConn makes a connection of a net.Conn and starts to read it. The Conn
// owns nc from then on.
func NewConn(nc net.Conn) *Conn { return newConn(nc, DefaultMaxQueue, nil) }

func newConn(nc net.Conn, maxQueue int, clock Clock) *Conn {
	c := &Conn{
		nc:     nc,
		clock:  clock,
		socket: newSocket(nc),
		done:   make(chan struct{}),
		gone:   make(chan struct{}),
	}
	c.queue = newQueue(maxQueue, c.share)
	c.goneFn = sync.OnceFunc(func() { close(c.gone) })
	c.reader = NewReader(source{c})
	c.reader.skip = c.unwanted
	var id [16]byte
	rand.Read(id[:])
	id[6], id[8] = id[6]&0xf|0x40, id[8]&0x3f|0x80
	h := hex.EncodeToString(id[:10])
	c.prefix = h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-"
	release := func() {}
	if clock, ok := clock.(Holder); ok {
		c.turn = newTurn(clock)
		c.queue.turn = c.turn
		if r, ok := nc.(clockReader); ok {
			r.LetGo(clock)
			release = clock.Hold()
		}
	}
	go func() {
		defer release()
		c.read()
	}()
	return c
}

// source reads the network for the Reader, and bounds the time a begun frame may take.
type source struct{ c *Conn }

func (s source) Read(p []byte) (int, error) {
	s.c.queue.signal()
	s.setDeadline()
	return s.c.nc.Read(p)
}

// readIdle implements idleReader.
func (s source) readIdle() (*[readBuffer]byte, int, error) {
	s.c.queue.signal()
	s.setDeadline()
	if s.c.socket != nil {
		return s.c.socket.read()
	}
	return readIdle(s.c.nc)
}

func (s source) setDeadline() {
	c := s.c
	if frame := c.reader.begun(); frame != c.timed {
		c.timed = frame
		var deadline time.Time
		if frame > 0 {
			deadline = time.Now().Add(frameTimeout)
		}
		c.nc.SetReadDeadline(deadline)
	}
}

// IgnoreOthers makes the connection pass over completions of applications that were not begun with
// Start or Execute, most of them at least, before they cost anything: those that were posted, the
// socket application's own, those run by others. May be called from any goroutine.
func (c *Conn) IgnoreOthers(on bool) { c.ownOnly.Store(on) }

// unwanted reports whether IgnoreOthers is about this event.
func (c *Conn) unwanted(body []byte) bool {
	if !c.ownOnly.Load() || !bytes.HasPrefix(body, []byte("Event-Name: CHANNEL_EXECUTE_COMPLETE\n")) {
		return false
	}
	body, ok := bytes.CutSuffix(body, []byte("\n\n"))
	last, ok2 := bytes.CutPrefix(body[bytes.LastIndexByte(body, '\n')+1:], []byte("Application-UUID: "))
	return ok && ok2 && !bytes.HasPrefix(last, []byte(c.prefix))
}

// read is the reading goroutine: it hands replies to those who wait, and events to
// the queue. It never waits for either.
func (c *Conn) read() {
	defer close(c.done)
	// A mistake in reading what a peer sends must not end the other calls.
	defer func() {
		if v := recover(); v != nil {
			c.finish(fmt.Errorf("panic in reading: %v\n%s", v, debug.Stack()))
		}
	}()
	for {
		m, err := c.reader.Next()
		if err == nil {
			err = c.take(m)
		}
		if err != nil {
			c.finish(err)
			return
		}
	}
}

// finish makes everybody who waits, or will, know that the stream is at its end.
func (c *Conn) finish(err error) {
	switch {
	case err == io.EOF || errors.Is(err, net.ErrClosed):
		err = ErrDisconnected
	case errors.Is(err, os.ErrDeadlineExceeded):
		err = fmt.Errorf("%w: the switch stopped in the middle of a message", ErrDisconnected)
	default:
		err = fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	err = c.err
	if c.end != nil {
		c.err = c.end
	}
	for w, ok := c.waiting.next(); ok; w, ok = c.waiting.next() {
		if w != nil {
			close(w)
		}
	}
	c.mu.Unlock()
	c.queue.close(err)
	c.goneFn()
	c.turn.wake()
	c.nc.Close()
}

func (c *Conn) take(m Message) error {
	switch m.Kind {
	case CommandReply, APIResponse:
		c.talked = true
		c.mu.Lock()
		w, ok := c.waiting.next()
		c.mu.Unlock()
		if !ok {
			return protocolError("a reply to no command")
		}
		if c.own == "" && bytes.HasPrefix(m.Head, []byte("Event-Name: CHANNEL_DATA")) {
			if uuid, ok := find(m.Head, "Unique-ID"); ok {
				c.own = string(uuid)
			}
		}
		if w != nil {
			w <- reply(m)
			c.turn.wake()
		} else if c.Unclaimed != nil {
			if r := reply(m); strings.HasPrefix(r.Text, "-ERR") {
				c.Unclaimed(&ReplyError{strings.TrimSpace(r.Text)})
			}
		}
		return nil
	case EventPlain, EventJSON, EventXML, LogData, DisconnectNotice, AuthRequest, RudeRejection:
		c.talked = true
		e, err := event(m)
		if err != nil {
			return err
		}
		hangup := c.hangup(e, c.own)
		c.end = newer(c.end, hangup)
		if hangup != nil || e.kind == DisconnectNotice {
			c.goneFn()
		}
		c.queue.put(e)
		return nil
	}
	// A getvar whose value holds a blank line leaves such pieces (recording body_arguments).
	// Before connect is answered it means that the peer is something else.
	if c.talked {
		return nil
	}
	return protocolError("the peer does not speak the event socket: it sent %q", clip(string(m.Head)))
}

// hangup is the hangup of the channel uuid that an event tells of, or nil. A notice tells
// of it too, unless it is the answer to our Exit: it may be all there is (recordings
// async_single_channel, caller_hangs_up_before_connect_done), even instead of the reply to
// connect.
func (c *Conn) hangup(e *Event, uuid string) *HangupError {
	switch {
	case e.kind == EventPlain:
		if uuid != "" && strings.HasPrefix(e.Name(), "CHANNEL_HANGUP") && e.UUID() == uuid {
			return &HangupError{Cause: e.Get("Hangup-Cause"), Event: e}
		}
	case e.kind == DisconnectNotice && e.Get("Controlled-Session-UUID") != "":
		c.mu.Lock()
		defer c.mu.Unlock()
		if !c.exiting {
			return &HangupError{Event: e}
		}
	}
	return nil
}

// newer is the better of what is known of the hangup: the first that tells the cause.
func newer(known, next *HangupError) *HangupError {
	if known == nil || known.Cause == "" && next != nil && next.Cause != "" {
		return next
	}
	return known
}

// share is how many times its length the queue may be filled with such an event: once; twice
// where somebody may wait for it; four times where the call itself surely does, so that no
// number of the others can keep it out.
func (c *Conn) share(e *Event) int {
	switch e.kind {
	case EventPlain:
	case LogData:
		return 1
	default:
		return 4
	}
	switch name := e.Name(); {
	case strings.HasPrefix(name, "CHANNEL_HANGUP"):
		if c.own != "" && e.UUID() == c.own {
			return 4
		}
		return 2
	case name == "CHANNEL_EXECUTE_COMPLETE":
		if strings.HasPrefix(e.Get("Application-UUID"), c.prefix) {
			return 4
		}
		return 2
	case name == "BACKGROUND_JOB":
		return 2
	}
	return 1
}

func reply(m Message) Reply {
	if m.Kind == APIResponse {
		return Reply{Text: m.Body, head: string(m.Head)}
	}
	const accepted = "Content-Type: command/reply\nReply-Text: +OK"
	if string(m.Head) == accepted {
		return Reply{Text: "+OK", head: accepted}
	}
	head := string(m.Head)
	// The reply to connect has it among its last headers, any other among its first.
	tail := head[max(0, len(head)-200):]
	text := (&Event{raw: true, head: tail[strings.IndexByte(tail, '\n')+1:]}).Get("Reply-Text")
	if text == "" {
		text = (&Event{raw: true, head: head}).Get("Reply-Text")
	}
	if strings.HasPrefix(text, "%2B") { // only the reply to connect is encoded
		text = unescape(text)
	}
	return Reply{Text: text, head: head}
}

// A line is those who wait for replies, in the order of their commands; nil stands
// for a command whose reply nobody waits for.
type line struct {
	waiters []chan Reply
	first   int
}

func (l *line) add(w chan Reply) {
	switch {
	case l.first > 0 && l.first == len(l.waiters):
		l.waiters, l.first = l.waiters[:0], 0
	case l.first > 64 && l.first > len(l.waiters)/2:
		n := copy(l.waiters, l.waiters[l.first:])
		clear(l.waiters[n:])
		l.waiters, l.first = l.waiters[:n], 0
	}
	l.waiters = append(l.waiters, w)
}

func (l *line) next() (chan Reply, bool) {
	if l.first == len(l.waiters) {
		return nil, false
	}
	w := l.waiters[l.first]
	l.waiters[l.first] = nil
	l.first++
	return w, true
}

// Post puts a command into the next packet, which the next Flush, Do, Start with
// Wait, or Execute sends; Close does not. Nobody waits for its reply. The error is a
// *CommandError, or Err's.
func (c *Conn) Post(cmd Command) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.post(cmd, nil)
}

func (c *Conn) post(cmd Command, w chan Reply) error {
	if c.err != nil {
		return c.err
	}
	if c.out == nil {
		c.out = buffers.Get().(*[readBuffer]byte)[:0]
	}
	out, err := AppendCommand(c.out, cmd)
	if err != nil {
		return err
	}
	c.out = out
	c.waiting.add(w)
	if _, ok := cmd.(Exit); ok {
		c.exiting = true
	}
	return nil
}

// Flush sends what was posted. A peer that does not take it within ten to twenty seconds is given up.
func (c *Conn) Flush() error {
	c.writing.Lock()
	defer c.writing.Unlock()
	c.mu.Lock()
	out, err := c.out, c.err
	if err == nil {
		c.out = nil
	}
	c.mu.Unlock()
	if err != nil || len(out) == 0 {
		return err
	}

	// Not under mu: the reading goroutine has to go on meanwhile, or a switch that waits
	// for us to read what it writes would never read this.
	if now := time.Now(); now.After(c.writeBy.Add(-writeTimeout)) { // to set it costs more than to look
		c.writeBy = now.Add(2 * writeTimeout)
		c.nc.SetWriteDeadline(c.writeBy)
	}
	_, err = c.nc.Write(out)

	if cap(out) == readBuffer {
		buffers.Put((*[readBuffer]byte)(out[:readBuffer]))
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil && c.err == nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errors.New("the switch does not read what is written")
			c.nc.Close() // ends the reading goroutine, which tells the others
		}
		// Else the peer is gone, and the reading goroutine gets to the end of what it left for
		// us: that may tell of the hangup.
		c.err = fmt.Errorf("%w: %w", ErrDisconnected, err)
	}
	return c.err
}

// flushBy is Flush for a connection that is about to be closed: what was posted is sent if the peer takes it by then.
func (c *Conn) flushBy(deadline time.Time) {
	c.nc.SetWriteDeadline(deadline) // also for a write that waits
	c.writing.Lock()
	c.writeBy = deadline.Add(2 * writeTimeout) // Flush is to leave it as it is
	c.writing.Unlock()
	c.Flush()
}

// Do sends a command, with what was posted before it, and waits for its reply. A reply
// that begins with -ERR is returned with a *ReplyError. If ctx ends first the
// reply, when it comes, is thrown away. The other errors are a *CommandError and Err's.
func (c *Conn) Do(ctx context.Context, cmd Command) (Reply, error) {
	w := make(chan Reply, 1)
	c.mu.Lock()
	err := c.post(cmd, w)
	c.mu.Unlock()
	if err != nil {
		return Reply{}, err
	}
	c.Flush() // where it fails, the reading goroutine ends too, and closes w
	answered := func(r Reply, ok bool) (Reply, error) {
		if !ok {
			return Reply{}, c.Err()
		}
		if strings.HasPrefix(r.Text, "-ERR") {
			return r, &ReplyError{strings.TrimSpace(r.Text)}
		}
		return r, nil
	}
	for {
		select { // before the rest: see turn.rest
		case r, ok := <-w:
			return answered(r, ok)
		default:
		}
		if err := ctx.Err(); err != nil {
			return Reply{}, err
		}
		woken := c.turn.rest()
		select {
		case r, ok := <-w:
			c.turn.rise()
			return answered(r, ok)
		case <-ctx.Done():
			c.turn.rise()
			return Reply{}, ctx.Err()
		case <-woken:
			c.turn.rise()
		}
	}
}

// Err says why the connection cannot be used any more, or nil: a *HangupError when it
// ended after the channel had hung up, else one that wraps ErrDisconnected.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Connect asks an outbound socket for its channel: it is the first command on one. It
// returns the channel's data, which the Conn keeps only until the channel's first event.
func (c *Conn) Connect(ctx context.Context) (*Event, error) {
	r, err := c.Do(ctx, Connect{})
	if err != nil {
		return nil, err
	}
	channel := newEvent(r.head, "")
	v := channel.Values("Unique-ID", "Socket-Mode", "Control")
	uuid := v[0]
	if channel.Name() != "CHANNEL_DATA" || uuid == "" {
		return nil, protocolError("the reply to connect describes no channel: %q", clip(r.Text))
	}
	c.latest, c.uuid = channel, strings.Clone(uuid)
	c.uuidLine = "\nUnique-ID: " + uuid + "\n"
	c.async, c.full = v[1] == "async", v[2] == "full"
	return channel, nil
}

// UUID is the outbound socket's channel, once Connect has returned.
func (c *Conn) UUID() string { return c.uuid }

// Async reports whether applications are queued (the socket application's word async);
// without it a command's reply comes when its application has ended.
func (c *Conn) Async() bool { return c.async }

// Full reports whether all commands are allowed (the socket application's word full).
func (c *Conn) Full() bool { return c.full }

// RemoteAddr is the switch's address.
func (c *Conn) RemoteAddr() net.Addr { return c.nc.RemoteAddr() }

// Latest is the newest event of the channel among those that were read: its variables
// are the channel's as they were then.
func (c *Conn) Latest() *Event { return c.latest }

// Hungup is closed as soon as the channel is known to have hung up, or the connection
// to have ended, ahead of the events that still wait to be read.
func (c *Conn) Hungup() <-chan struct{} { return c.gone }

// Dropped is how many events were thrown away because the queue was full.
func (c *Conn) Dropped() uint64 {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	return c.queue.dropped
}

// Lost tells which events were thrown away, by name, a CUSTOM one with its subclass.
func (c *Conn) Lost() map[string]uint64 {
	c.queue.mu.Lock()
	defer c.queue.mu.Unlock()
	return maps.Clone(c.queue.lost)
}

// Close ends the connection and waits for its reading goroutine. What was posted and not
// flushed is not sent. Closing again does nothing.
func (c *Conn) Close() error {
	c.mu.Lock()
	if c.err == nil {
		c.err = ErrDisconnected
	}
	c.mu.Unlock()
	err := c.nc.Close()
	<-c.done
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// Next returns the next event, in the order they came. The error is ctx's, or one that
// wraps ErrDisconnected when there will be no more.
func (c *Conn) Next(ctx context.Context) (*Event, error) { return c.next(ctx, "") }

// next is Next for somebody who waits for the end of an application, where its UUID is given.
func (c *Conn) next(ctx context.Context, application string) (*Event, error) {
	for {
		e, err := c.queue.take(application)
		if e != nil {
			c.note(e)
			return e, nil
		}
		if err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil { // before the rest: see turn.rest
			return nil, err
		}
		woken := c.turn.rest()
		select {
		case <-c.queue.ready:
			c.turn.rise()
		case <-ctx.Done():
			c.turn.rise()
			return nil, ctx.Err()
		case <-woken:
			c.turn.rise()
		}
	}
}

// note keeps what an event says of the channel and of what runs on it.
func (c *Conn) note(e *Event) {
	name := e.Name()
	if name != "" && name != "BACKGROUND_JOB" && c.isOurs(e) && (strings.HasPrefix(name, "CHANNEL_EXECUTE") || e.HasVariables()) {
		c.latest = e
	}
	c.hungup = newer(c.hungup, c.hangup(e, c.uuid))
	switch {
	case len(c.running) > 0 && name == "CHANNEL_EXECUTE_COMPLETE":
		if x := c.execution(e); x != nil {
			x.loops--
			x.Event = e
			if x.loops <= 0 || x.endsEarly(e) {
				x.done = true
				c.Forget(x)
			}
		}
	case len(c.running) > 0 && name == "CHANNEL_EXECUTE":
		if x := c.execution(e); x != nil {
			x.began, _ = strconv.ParseInt(e.Get("Event-Date-Timestamp"), 10, 64)
		}
	}
}

// isOurs reports whether an event is of the connection's own channel. In all its events the
// UUID stands at about the same place.
func (c *Conn) isOurs(e *Event) bool {
	if c.uuid == "" {
		return false
	}
	if c.uuidAt < len(e.head) && strings.HasPrefix(e.head[c.uuidAt:], c.uuidLine) {
		return true
	}
	at := strings.Index(e.head, c.uuidLine)
	if at < 0 {
		return false
	}
	c.uuidAt = at
	return true
}

// execution is the one of ours that an event is about, or nil: the socket
// application's own and those run by others are not.
func (c *Conn) execution(e *Event) *Execution {
	uuid := e.Get("Application-UUID")
	for _, x := range c.running {
		if x.UUID == uuid {
			return x
		}
	}
	return nil
}

// An Execution is an application that runs, or waits its turn, on the channel.
type Execution struct {
	UUID  string // its Event-UUID
	Event *Event // its newest completion; with Loops there is one for each

	loops int
	began int64 // µs; when the loop that runs began, where that is told
	done  bool
}

// Done reports whether the application has ended, as far as the events have been read.
func (x *Execution) Done() bool { return x.done }

// endsEarly reports whether no further loop follows though the command asked for
// more: the switch repeats only what took half a second or more (switch_ivr.c,
// switch_ivr_parse_event; recording loops). That can be told only where the connection
// is subscribed to CHANNEL_EXECUTE.
func (x *Execution) endsEarly(e *Event) bool {
	ended, err := strconv.ParseInt(e.Get("Event-Date-Timestamp"), 10, 64)
	return e.Get("Answer-State") == "hangup" || err == nil && x.began > 0 && ended-x.began < 500_000
}

// Start puts an Execute into the next packet and keeps account of it, for Wait.
func (c *Conn) Start(cmd Execute) (*Execution, error) {
	x := &Execution{loops: cmd.Loops}
	if cmd.UUID == "" {
		cmd.UUID = c.newUUID()
	}
	x.UUID = cmd.UUID
	if err := c.Post(cmd); err != nil {
		return nil, err
	}
	c.running = append(c.running, x)
	return x, nil
}

// newUUID makes Event-UUIDs cheaply: random once for the connection, then counting.
func (c *Conn) newUUID() string {
	n := c.counter.Add(1)
	b := append(make([]byte, 0, 36), c.prefix...)
	for shift := 44; shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[n>>shift&0xf])
	}
	return string(b)
}

// Wait reads events until the application ends, and hands every event to on, if there is one, in
// order, its completion included. It returns the completion. When there is none the error tells
// why: a *HangupError, one that wraps ErrDisconnected, or ctx's own.
func (c *Conn) Wait(ctx context.Context, x *Execution, on func(*Event)) (*Event, error) {
	c.Flush() // where it fails, the last events tell why
	only := x.UUID
	if on != nil || x.loops > 1 {
		only = "" // every event matters
	}
	late, limit := 0, 0
	for !x.done {
		if c.hungup != nil {
			return nil, c.hungup
		}
		// When ctx has ended, what had come by then is still looked at: it may be the end.
		if ctx.Err() != nil {
			if late == 0 {
				limit = c.queue.length()
			}
			if late++; late > limit {
				return nil, ctx.Err()
			}
		}
		e, err := c.next(ctx, only)
		if err != nil {
			return nil, err
		}
		if on != nil {
			on(e)
		}
	}
	return x.Event, nil
}

// Forget takes an application that nobody will wait for any more out of the account.
func (c *Conn) Forget(x *Execution) {
	for i, r := range c.running {
		if r == x {
			c.running = append(c.running[:i], c.running[i+1:]...)
			return
		}
	}
}

// Execute is Start and Wait. An application it gives up on is forgotten; it may still be
// running on the channel.
func (c *Conn) Execute(ctx context.Context, cmd Execute) (*Event, error) {
	x, err := c.Start(cmd)
	if err != nil {
		return nil, err
	}
	e, err := c.Wait(ctx, x, nil)
	if err != nil {
		c.Forget(x)
	}
	return e, err
}

// Hangup is the channel's hangup, if the events that were read have come to it.
func (c *Conn) Hangup() *HangupError { return c.hungup }
