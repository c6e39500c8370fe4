package simulator

import (
	"regexp"
	"strings"
	"time"
)

// handle obeys one command and answers it. The order of the tests, and that
// most of them look at the beginning of the line only, are the switch's
// (parse_command in mod_event_socket.c; recording errors_and_replies).
func (l *listener) handle(cmd *command) {
	first := l.outbound && !l.connected
	line := cmd.line
	is := func(prefix string) bool {
		return len(line) >= len(prefix) && strings.EqualFold(line[:len(prefix)], prefix)
	}
	rest := func(prefix string) string { return line[len(prefix):] }
	reply := func(text string) {
		if first {
			return // what comes before connect is obeyed, but not answered
		}
		if text == "" {
			text = "-ERR command not found"
		}
		l.reply(text)
	}

	switch {
	case is("exit"), is("..."):
		l.stop()
		reply("+OK bye")
		l.finish()
		return
	case !l.authed:
		l.authenticate(line, reply)
		return
	case is("filter "):
		reply(l.filter(rest("filter ")))
		return
	case l.channel != nil && is("resume"):
		l.resume = true
		l.channel.set("socket_resume", "true")
		reply("+OK")
		return
	}

	if l.channel != nil || is("myevents ") {
		switch {
		case is("connect"):
			l.connected = true
			l.patience.Stop()
			l.connect()
			return
		case is("getvar") && l.channel != nil:
			_, name := cutSpace(line)
			value, _ := l.channel.variable(name, -1)
			reply(value)
			return
		case is("myevents"):
			reply(l.myEvents(line))
			return
		}
	}

	switch {
	case is("divert_events"):
		reply(l.divertEvents(strings.TrimLeft(rest("divert_events"), " ")))
	case is("sendmsg"):
		l.sendmsg(strings.TrimSpace(rest("sendmsg")), cmd, reply)
	case l.outbound && !l.full:
		reply("")
	case is("sendevent"):
		reply(l.sendEvent(strings.TrimSpace(rest("sendevent")), cmd))
	case is("api "):
		function, args := cutSpace(rest("api "))
		l.s.note(l.channel, Ran, function, args)
		out, ok := l.s.api(&apiCall{task: &l.task, function: function, args: args})
		if !ok {
			out = "-ERR " + function + " Command not found!\n"
		}
		if l.killed {
			return
		}
		l.out = appendAPIResponse(l.out, out)
		l.answered()
	case is("bgapi "):
		function, args := cutSpace(rest("bgapi "))
		job := cmd.header("job-uuid")
		if job == "" {
			job = newUUID()
		}
		l.s.background(l.channel, job, function, args)
		reply("~Reply-Text: +OK Job-UUID: " + job + "\nJob-UUID: " + job + "\n\n")
	case is("log"):
		reply(l.log(strings.TrimLeft(rest("log"), " ")))
	case is("linger"):
		reply(l.setLinger(rest("linger")))
	case is("nolinger"):
		if l.channel == nil {
			reply("-ERR not controlling a session")
			return
		}
		l.lingers = false
		reply("+OK will not linger")
	case is("nolog"):
		if !l.logging {
			reply("-ERR not loging")
			return
		}
		l.logging = false
		reply("+OK no longer logging")
	case is("event"):
		reply(l.event(rest("event")))
	case is("nixevent"):
		reply(l.nixEvent(rest("nixevent")))
	case is("noevents"):
		l.held, l.queued = nil, 0
		if !l.on {
			reply("-ERR not listening for events")
			return
		}
		l.on, l.events, l.custom = false, eventSet{}, nil
		l.classify()
		reply("+OK no longer listening for events")
	default:
		reply("")
	}
}

// connect answers with everything about the channel, in one block of headers
// that is encoded throughout, "+OK\n" included.
func (l *listener) connect() {
	s, c := l.s, l.channel
	s.sequence++
	e := &event{s: s, id: evData, channel: c, headers: s.scratch[:0]}
	e.begin(fromCommand)
	e.headers = c.appendProfile(e.headers, "Channel-", true)
	c.describe(e)
	e.add("Content-Type", "command/reply")
	e.add("Reply-Text", "+OK\n")
	mode, control := "static", "single-channel"
	if l.async {
		mode = "async"
	}
	if l.full {
		control = "full"
	}
	e.add("Socket-Mode", mode)
	e.add("Control", control)
	s.scratch = e.headers[:0]
	l.out = appendPlain(l.out, e)
	l.answered()
	c.wake()
}

func (l *listener) myEvents(line string) string {
	if l.mine {
		return "-ERR aready enabled." // the switch's spelling
	}
	if l.channel == nil {
		uuid, format := cutSpace(strings.TrimSpace(line[len("myevents "):]))
		if l.channel = l.s.channels[uuid]; l.channel == nil {
			return "-ERR invalid uuid"
		}
		l.setFormat(format)
		l.async = true
	}
	for i := range myEvents {
		l.events[i] |= myEvents[i]
	}
	l.mine, l.on = true, true
	lower := strings.ToLower(line)
	if strings.Contains(lower, "xml") {
		l.format = xmlFormat
	}
	if strings.Contains(lower, "json") {
		l.format = jsonFormat
	}
	l.classify()
	return "+OK Events Enabled"
}

func (l *listener) setFormat(word string) bool {
	switch f := format(strings.ToLower(word)); f {
	case plainFormat, jsonFormat, xmlFormat:
		l.format = f
		return true
	}
	return false
}

func (l *listener) event(list string) string {
	_, list, ok := strings.Cut(list, " ")
	keys, custom := 0, false
	if ok {
		for i, word := range strings.Split(list, " ") {
			if i == 0 && l.setFormat(word) || word == "" {
				continue
			}
			if custom {
				if l.custom == nil {
					l.custom = make(map[string]bool)
				}
				l.custom[word] = true
			} else if id, ok := eventNamed(word); ok {
				keys++
				l.events.add(id)
				custom = id == evCustom
			}
		}
	}
	if keys == 0 {
		return "-ERR no keywords supplied"
	}
	l.on = true
	l.classify()
	return "+OK event listener enabled " + string(l.format)
}

func (l *listener) nixEvent(list string) string {
	_, list, _ = strings.Cut(list, " ")
	keys, custom := 0, false
	for word := range strings.SplitSeq(list, " ") {
		if custom {
			delete(l.custom, word)
			continue
		}
		id, ok := eventNamed(word)
		if !ok {
			continue
		}
		keys++
		switch {
		case id == evCustom:
			custom = true
		case id == evAll:
			l.events = eventSet{}
		default:
			if l.events.has(evAll) {
				for i := range evAll {
					l.events.add(i)
				}
				l.events.remove(evAll)
			}
			l.events.remove(id)
		}
	}
	if keys == 0 {
		return "-ERR no keywords supplied"
	}
	l.on = true
	l.classify()
	return "+OK events nixed"
}

func (l *listener) filter(args string) string {
	name, value := cutSpace(strings.TrimLeft(args, " "))
	if strings.EqualFold(name, "delete") && value != "" {
		name, value = cutSpace(value)
		kept := l.filters[:0]
		for _, f := range l.filters {
			if !strings.EqualFold(name, "all") && (!strings.EqualFold(f.name, name) || value != "" && f.value != value) {
				kept = append(kept, f)
			}
		}
		l.filters = kept
		l.classify()
		return "+OK filter deleted. [" + name + "][" + value + "]"
	}
	if value == "" {
		return "-ERR invalid syntax"
	}
	if strings.EqualFold(name, "add") {
		name, value = cutSpace(value)
	}
	f := filter{name: name, value: strings.TrimLeft(value, "+- ")}
	f.negative = strings.Contains(value[:len(value)-len(f.value)], "-")
	if len(value) > 2 && value[0] == '/' && strings.HasSuffix(value, "/") {
		f.pattern, _ = regexp.Compile(value[1 : len(value)-1])
	}
	l.filters = append(l.filters, f)
	l.classify()
	return "+OK filter added. [" + name + "]=[" + value + "]"
}

func (l *listener) divertEvents(word string) string {
	switch {
	case l.channel == nil:
		return "-ERR not controlling a session."
	case word == "":
		return "-ERR missing value."
	case strings.EqualFold(word, "on"):
		return "+OK events diverted" // there are none of that kind here
	}
	return "+OK events not diverted"
}

func (l *listener) setLinger(arg string) string {
	if l.channel == nil {
		return "-ERR not controlling a session"
	}
	l.lingers = true
	if len(arg) > 1 && arg[0] == ' ' {
		l.linger = max(atoi(arg[1:]), 0)
		return "+OK will linger " + itoa(l.linger) + " seconds"
	}
	l.linger = forever
	return "+OK will linger"
}

var logLevels = strings.Fields("console alert crit err warning notice info debug")

func (l *listener) log(level string) string {
	level, _ = cutSpace(level)
	n := -1
	if level == "" {
		n = 7
	} else if level[0] >= '0' && level[0] <= '9' {
		n = min(atoi(level), 17)
	}
	for i, name := range logLevels {
		if strings.EqualFold(name, level) {
			n = i
		}
	}
	if n < 0 {
		return "-ERR invalid log level"
	}
	l.logging, l.logLevel = true, n
	return "+OK log level " + level + " [" + itoa(n) + "]"
}

// sendmsg queues a message for a channel. Without async, the socket's own
// channel performs it before the reply.
func (l *listener) sendmsg(uuid string, cmd *command, reply func(string)) {
	s := l.s
	if uuid == "" {
		uuid = cmd.header("session-id")
	}
	c := l.channel
	if uuid != "" && (c == nil || uuid != c.UUID) {
		if c = s.channels[uuid]; c == nil {
			reply("-ERR invalid session id [" + uuid + "]")
			return
		}
		c.enqueue(&message{cmd: cmd})
		reply("+OK")
		return
	}
	if c == nil {
		reply("-ERR invalid session id []")
		return
	}
	if l.async || isTrue(cmd.header("async")) {
		c.enqueue(&message{cmd: cmd})
		reply("+OK")
		return
	}
	m := &message{cmd: cmd, from: l}
	l.busy = true
	c.enqueue(m)
	for !m.done && l.running && !c.gone && !s.closed {
		l.block(time.Time{})
	}
	l.busy = false
	if l.finishing || l.killed {
		return
	}
	if c.cause == "" {
		reply("+OK")
		return
	}
	// The socket sees that the call is over before it sees the event that says
	// so: recording basic_sync_full.
	if len(l.held) == 0 || !l.lingers {
		reply("+OK")
		l.hungUp()
		return
	}
	l.out = appendReply(l.out, "+OK")
	l.notice()
	l.answered()
}

// enqueue gives the channel something to do. On a channel that is gone it
// stays undone.
func (c *Channel) enqueue(m *message) {
	if !c.gone {
		c.queue = append(c.queue, m)
		c.wake()
	}
}

// sendEvent fires an event of the other side's making.
func (l *listener) sendEvent(name string, cmd *command) string {
	uuid := newUUID()
	id, ok := eventNamed(name)
	if !ok {
		id = eventIDs["CLONE"]
	}
	subclass := ""
	if id == evCustom {
		subclass = cmd.header("Event-Subclass")
	}
	target := l.s.channels[cmd.header("unique-id")]
	if e := l.s.newEvent(id, subclass, target, nil, fromCommand); e != nil {
		e.add("Command", cmd.line)
		for _, h := range cmd.headers {
			if !strings.EqualFold(h.Name, "Event-Subclass") && !strings.EqualFold(h.Name, "Event-Name") && !strings.EqualFold(h.Name, "content-length") {
				e.add(h.Name, h.Value)
			}
		}
		e.add("Event-UUID", uuid)
		e.body = cmd.body
		e.fire()
	}
	return "+OK " + uuid
}

// authenticate handles the commands of an inbound connection before it is let in.
func (l *listener) authenticate(line string, reply func(string)) {
	s := l.s
	refuse := func() {
		l.stop()
		reply("-ERR invalid")
		l.finish()
	}
	switch {
	case len(line) >= 5 && strings.EqualFold(line[:5], "auth "):
		password := s.Password
		if password == "" {
			password = "ClueCon"
		}
		if line[5:] != password {
			refuse()
			return
		}
		l.authed = true
		l.patience.Stop()
		reply("+OK accepted")
	case len(line) >= 9 && strings.EqualFold(line[:9], "userauth "):
		// user@domain:password or user:password@domain
		user, domain, _ := strings.Cut(line[9:], "@")
		domain, password, _ := strings.Cut(domain, ":")
		if name, p, ok := strings.Cut(user, ":"); ok {
			user, password = name, p
		}
		want, ok := s.Users[user+"@"+domain]
		if !ok || password == "" || password != want {
			refuse()
			return
		}
		l.authed = true
		l.patience.Stop()
		reply("~Reply-Text: +OK accepted\nAllowed-Events: all\nAllowed-API: all\nAllowed-LOG: true\n\n")
	default:
		// Nothing else is answered, and the switch asks no second time.
		l.authed = false
		l.stop()
		reply("-ERR command not found")
		l.finish()
	}
}
