package simulator

import (
	"bufio"
	"net"
	"regexp"
	"strings"
	"time"
)

// A format is how a listener wants its events.
type format string

const (
	plainFormat format = "plain"
	jsonFormat  format = "json"
	xmlFormat   format = "xml"
)

var contentTypes = map[format]string{plainFormat: "text/event-plain", jsonFormat: "text/event-json", xmlFormat: "text/event-xml"}

const (
	pollInterval   = 20 * time.Millisecond // how long the socket sleeps between two looks at its events
	maxQueued      = 100000                // events waiting for a reader who does not read
	maxLost        = 500                   // events lost before the switch gives the listener up
	connectTimeout = 25 * time.Second      // for the first command
	forever        = -1                    // linger without a number
)

const goodbye = "Disconnected, goodbye.\nSee you at ClueCon! http://www.cluecon.com/\n"

// A listener is one event socket connection, outbound or inbound. Its reader
// goroutine takes commands and its replies leave in their order; what is to be
// sent is queued, and written by a goroutine that lives only while there is
// something to write, so that a reader who does not read stops nobody.
type listener struct {
	task    // the reader, when a command makes it wait
	conn    net.Conn
	watched bool // a pipe that sees to the virtual clock itself

	channel  *Channel // the channel that an outbound socket controls
	outbound bool
	async    bool
	full     bool
	authed   bool

	connected bool // "connect" was said
	running   bool // takes events; ends with the connection
	busy      bool // performs a synchronous sendmsg
	finishing bool // the connection closes once everything is written
	killed    bool // closed without a word
	resume    bool

	on      bool // LFLAG_EVENTS
	mine    bool // myevents
	format  format
	events  eventSet
	custom  map[string]bool
	filters []filter
	narrow  bool // only ever gets what concerns its own channel; else it is in Switch.wide

	logging  bool
	logLevel int

	lingers   bool
	linger    int // seconds, or forever
	lingering bool

	out     []byte // frames that may be written
	held    []byte // frames of events that wait for the socket's next look
	looks   time.Time
	looking bool
	writing bool
	mute    bool // a fault: write nothing
	cut     bool // a fault: half a frame, then the end
	deaf    bool // a fault: read nothing
	queued  int  // events that were not written yet
	lost    int

	patience Timer         // until the first command, and while lingering
	ended    chan struct{} // closed when the connection is
}

type filter struct {
	name, value string
	negative    bool
	pattern     *regexp.Regexp
}

// newListener registers a connection. s.mu is held.
func (s *Switch) newListener(conn net.Conn, c *Channel) *listener {
	l := &listener{conn: conn, channel: c, format: plainFormat, running: true, linger: forever, ended: make(chan struct{})}
	l.s = s
	s.all[l] = struct{}{}
	if s.virtual != nil {
		if p, ok := conn.(*pipeEnd); ok {
			p.in.watch(s.virtual)
			l.watched = true
		}
	}
	l.looks = s.clock.Now()
	l.classify()
	return l
}

// classify decides whether other channels' events may concern the listener.
func (l *listener) classify() {
	own := func(f filter) bool {
		if f.negative || f.pattern != nil || !strings.EqualFold(f.value, l.channel.UUID) {
			return false
		}
		switch strings.ToLower(f.name) {
		case "unique-id", "caller-unique-id", "job-owner-uuid":
			return true
		}
		return false
	}
	narrow := !l.on
	if l.channel != nil {
		narrow = narrow || l.mine
		if len(l.filters) > 0 {
			all := true
			for _, f := range l.filters {
				all = all && own(f)
			}
			narrow = narrow || all
		}
		narrow = narrow && l.channel.listener == l
	}
	l.narrow = narrow
	if narrow || !l.running {
		delete(l.s.wide, l)
	} else {
		l.s.wide[l] = struct{}{}
	}
}

// subscribed reports whether the listener takes this kind of event.
func (l *listener) subscribed(id eventID, subclass string) bool {
	if !l.on || !l.running {
		return false
	}
	if l.events.has(evAll) {
		return true
	}
	return l.events.has(id) && (id != evCustom || subclass == "" || l.custom[subclass])
}

// offer queues the event if the listener wants it (event_handler in mod_event_socket.c).
func (l *listener) offer(e *event) {
	if !l.subscribed(e.id, e.subclass) || !l.passes(e) {
		return
	}
	if l.mine && (e.channel == nil || e.channel != l.channel) && (e.owner == nil || e.owner != l.channel) {
		return
	}
	if l.queued >= maxQueued {
		if l.lost++; l.lost > maxLost {
			l.kill()
		}
		return
	}
	s := l.s
	switch l.format {
	case jsonFormat:
		s.plain = appendJSON(s.plain[:0], e)
	case xmlFormat:
		s.plain = appendXML(s.plain[:0], e)
	default:
		s.plain = appendPlain(s.plain[:0], e)
	}
	l.queued++
	if l.held == nil {
		l.held = s.borrow()
	}
	l.held = appendFrame(l.held, contentTypes[l.format], s.plain)
	if l.busy {
		return // the reply comes first, and looks then
	}
	if s.Tick == 0 {
		l.look()
		return
	}
	if !l.looking {
		l.looking = true
		now := s.clock.Now()
		wait := pollInterval - now.Sub(l.looks)%pollInterval
		s.clock.AfterFunc(wait, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			l.looking = false
			l.look()
		})
	}
}

// passes applies the filters: any that matches lets an event through, any
// negative one that matches keeps it out.
func (l *listener) passes(e *event) bool {
	if len(l.filters) == 0 {
		return true
	}
	send := false
	for _, f := range l.filters {
		if send && !f.negative {
			continue
		}
		value, ok := e.header(f.name)
		if !ok {
			continue
		}
		match := strings.EqualFold(value, f.value)
		if f.pattern != nil {
			match = f.pattern.MatchString(value)
		}
		if match {
			if f.negative {
				return false
			}
			send = true
		}
	}
	return send
}

// look is the socket's look at its events: they go out.
func (l *listener) look() {
	if len(l.held) == 0 || l.killed {
		return
	}
	if len(l.out) == 0 {
		l.out, l.held = l.held, l.out
	} else {
		l.out = append(l.out, l.held...)
	}
	l.s.giveBack(l.held)
	l.held = nil
	l.flush()
}

// logLine sends a line of the switch's log.
func (l *listener) logLine(level int, file, function string, number int, user, text string) {
	l.out = append(l.out, "Content-Type: log/data\nContent-Length: "+itoa(len(text))+"\nLog-Level: "+itoa(level)+
		"\nText-Channel: 3\nLog-File: "+file+"\nLog-Func: "+function+"\nLog-Line: "+itoa(number)+
		"\nUser-Data: "+user+"\n\n"+text...)
	l.flush()
}

// reply answers a command, and looks.
func (l *listener) reply(text string) {
	if l.out == nil {
		l.out = l.s.borrow()
	}
	l.out = appendReply(l.out, text)
	l.answered()
}

func (l *listener) answered() {
	l.looks = l.s.clock.Now()
	l.look()
	l.flush()
}

// flush sees to it that what is in out gets written.
func (l *listener) flush() {
	if l.writing || l.mute || l.killed || len(l.out) == 0 && !l.finishing {
		return
	}
	l.writing = true
	l.s.spawn(l.write)
}

func (l *listener) write() {
	s := l.s
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(l.out) > 0 && !l.mute && !l.killed {
		data := l.out
		l.out, l.queued = nil, 0
		n := len(data)
		if l.cut {
			n /= 2
			l.killed = true
		}
		s.mu.Unlock()
		_, err := l.conn.Write(data[:n])
		s.mu.Lock()
		if err != nil {
			l.killed = true
		}
		s.giveBack(data)
	}
	l.writing = false
	if l.killed || l.finishing && len(l.out) == 0 && !l.mute {
		l.close()
	}
}

// stop ends the taking of events and commands: the switch has removed the
// listener from its list.
func (l *listener) stop() {
	if !l.running {
		return
	}
	l.running = false
	l.classify()
	if l.patience != nil {
		l.patience.Stop()
	}
	c := l.channel
	if c != nil && l.outbound && c.listener == l {
		if c.up() && c.transfer == nil && (l.resume || isTrue(c.vars.get("socket_resume"))) {
			c.reset = true // the dialplan goes on at once: recording resume_after_disconnect
		}
		c.wake()
	}
	l.wake()
}

// finish says goodbye and closes the connection once everything is written.
func (l *listener) finish() {
	if l.finishing || l.killed {
		return
	}
	l.look()
	l.goodbye()
}

func (l *listener) goodbye() {
	l.stop()
	l.finishing = true
	l.held = nil
	l.out = append(l.out, "Content-Type: text/disconnect-notice\n"...)
	if l.channel != nil {
		l.out = append(l.out, "Controlled-Session-UUID: "+l.channel.UUID+"\nContent-Disposition: disconnect\n"...)
	}
	l.out = append(l.out, "Content-Length: 67\n\n"+goodbye...)
	l.flush()
}

// kill closes the connection without a word. s.mu is held.
func (l *listener) kill() {
	if l.killed {
		return
	}
	l.killed = true
	l.stop()
	if !l.writing {
		l.close()
	} else {
		l.conn.Close() // the writer notices
	}
}

// close closes the connection and forgets the listener.
func (l *listener) close() {
	select {
	case <-l.ended:
		return
	default:
	}
	l.killed = true
	l.stop()
	delete(l.s.all, l)
	l.conn.Close()
	close(l.ended)
	if c := l.channel; c != nil {
		c.wake()
	}
}

// hungUp is the socket's noticing that its channel is gone: it lingers, or ends.
func (l *listener) hungUp() {
	if l.finishing || l.killed || l.lingering {
		return
	}
	if !l.lingers {
		l.finish()
		return
	}
	l.look()
	l.notice()
}

// notice tells the other side that the socket lingers, and sees to its end:
// the switch counts whole seconds, so that "linger 2" lasts between two and three.
func (l *listener) notice() {
	s := l.s
	l.lingering = true
	l.out = append(l.out, "Content-Type: text/disconnect-notice\nControlled-Session-UUID: "+l.channel.UUID+
		"\nContent-Disposition: linger\nChannel-Name: "+l.channel.name+"\nLinger-Time: "...)
	l.out = append(l.out, itoa(l.linger)+"\nContent-Length: 0\n\n"...)
	l.flush()
	if l.linger == forever {
		return
	}
	now := s.clock.Now()
	end := time.Unix(now.Unix()+int64(l.linger)+1, 0)
	l.expire(end.Sub(now), func() bool { return true })
}

// expire ends the connection after d, if it still should then.
func (l *listener) expire(d time.Duration, should func() bool) {
	l.patience = l.s.clock.AfterFunc(d, func() {
		l.s.mu.Lock()
		defer l.s.mu.Unlock()
		if should() {
			l.finish()
		}
	})
}

// serve reads commands until the connection ends, for whatever reason.
func (l *listener) serve(r *bufio.Reader) {
	s := l.s
	for {
		// Waiting for the other side does not hold a virtual clock.
		s.mu.Unlock()
		if !l.watched {
			s.release()
		}
		cmd, err := readCommand(r)
		if !l.watched {
			s.hold()
		}
		s.mu.Lock()
		for l.deaf && !l.killed && !s.closed {
			l.block(time.Time{})
		}
		if err != nil || l.finishing || l.killed {
			break
		}
		if s.ReplyDelay > 0 {
			l.sleep(s.ReplyDelay)
		}
		l.handle(cmd)
		if l.finishing || l.killed {
			break
		}
	}
	if !l.finishing {
		l.kill()
	}
}
