package simulator

import (
	"fmt"
	"sort"
	"strings"
	"time"

	"callisto/esl"
)

// An apiCall is the execution of an API function.
type apiCall struct {
	task     *task    // waits if the function takes time
	channel  *Channel // on whose behalf, in an expansion
	function string
	args     string
}

const (
	noSuchChannel = "-ERR No such channel!\n"
	okReply       = "+OK\n"
)

// api runs an API function and returns what it prints; ok is false if there is
// no such function. s.mu is held.
func (s *Switch) api(call *apiCall) (reply string, ok bool) {
	if hook := s.API; hook != nil {
		s.unlocked(func() { reply, ok = hook(call.function, call.args) })
		if ok {
			return reply, true
		}
	}
	f, ok := functions[strings.ToLower(call.function)]
	if !ok {
		return "", false
	}
	return f(s, call), true
}

// background runs an API function for bgapi. The result is an event.
func (s *Switch) background(owner *Channel, job, function, args string) {
	s.note(owner, Ran, function, args)
	t := &task{s: s, owner: owner}
	s.jobs[t] = struct{}{}
	s.spawn(func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		defer delete(s.jobs, t)
		reply, ok := s.api(&apiCall{task: t, function: function, args: args})
		if !ok {
			reply = "-ERR " + function + " Command not found!\n"
		}
		e := s.newEvent(evJob, "", nil, owner, fromJob)
		if e == nil {
			return
		}
		e.add("Job-UUID", job)
		if owner != nil {
			e.add("Job-Owner-UUID", owner.UUID)
		}
		e.add("Job-Command", function)
		if args != "" {
			e.add("Job-Command-Arg", args)
		}
		e.body = reply
		e.fire()
	})
}

// functions are the API functions that the simulator knows.
var functions map[string]func(s *Switch, call *apiCall) string

func init() {
	functions = map[string]func(s *Switch, call *apiCall) string{
		"status":            apiStatus,
		"version":           func(*Switch, *apiCall) string { return "FreeSWITCH Version " + Version + " (simulated)\n" },
		"hostname":          func(s *Switch, _ *apiCall) string { return s.hostname() },
		"switchname":        func(s *Switch, _ *apiCall) string { return s.hostname() },
		"create_uuid":       func(*Switch, *apiCall) string { return newUUID() },
		"echo":              func(_ *Switch, call *apiCall) string { return call.args },
		"eval":              apiEval,
		"expand":            apiExpand,
		"msleep":            apiSleep,
		"sleep":             apiSleep,
		"strepoch":          func(s *Switch, _ *apiCall) string { return itoa(int(s.clock.Now().Unix())) },
		"epoch":             func(s *Switch, _ *apiCall) string { return itoa(int(s.clock.Now().Unix())) },
		"global_getvar":     apiGlobalGet,
		"global_setvar":     apiGlobalSet,
		"system":            apiSystem,
		"bg_system":         apiSystem,
		"spawn":             apiSystem,
		"log":               func(s *Switch, call *apiCall) string { s.note(call.channel, Logged, "", call.args); return okReply },
		"show":              apiShow,
		"originate":         apiOriginate,
		"conference":        func(s *Switch, call *apiCall) string { return s.conferenceAPI(call.args) },
		"sched_hangup":      apiSchedHangup,
		"sched_transfer":    apiSchedTransfer,
		"sched_broadcast":   apiSchedBroadcast,
		"sched_api":         apiSchedAPI,
		"sched_del":         func(*Switch, *apiCall) string { return okReply },
		"reloadxml":         func(*Switch, *apiCall) string { return "+OK [Success]\n" },
		"sofia_contact":     func(_ *Switch, call *apiCall) string { return "error/user_not_registered" },
		"user_exists":       func(*Switch, *apiCall) string { return "true" },
		"regex":             apiRegex,
		"cond":              apiCond,
		"url_encode":        func(_ *Switch, call *apiCall) string { return string(esl.AppendEscaped(nil, call.args)) },
		"url_decode":        func(_ *Switch, call *apiCall) string { return unescape(call.args) },
		"uuid_exists":       func(s *Switch, call *apiCall) string { return fmt.Sprint(s.channels[call.args] != nil) },
		"uuid_getvar":       apiGetVar,
		"uuid_setvar":       apiSetVar,
		"uuid_setvar_multi": apiSetVarMulti,
		"uuid_dump":         apiDump,
		"uuid_kill":         onChannel(2, apiKill),
		"hupall":            apiHupall,
		"file_exists":       apiFileExists,
		"uuid_break":        onChannel(2, apiBreak),
		"uuid_answer":       onChannel(1, func(s *Switch, c *Channel, a []string) string { c.cast("answer::"); return okReply }),
		"uuid_pre_answer":   onChannel(1, func(s *Switch, c *Channel, a []string) string { c.cast("pre_answer::"); return okReply }),
		"uuid_park":         onChannel(1, apiPark),
		"uuid_transfer":     onChannel(5, apiTransfer),
		"uuid_hold":         apiHold,
		"uuid_broadcast":    apiBroadcast,
		"uuid_send_dtmf":    apiSendDTMF,
		"uuid_recv_dtmf":    apiRecvDTMF,
		"uuid_flush_dtmf":   onChannel(1, func(s *Switch, c *Channel, a []string) string { c.digits = nil; return okReply }),
		"uuid_fileman":      onChannel(2, apiFileman),
		"uuid_record":       apiRecord,
		"uuid_display":      apiDisplay,
		"uuid_bridge":       apiBridge,
		"uuid_displace": onChannel(4, func(s *Switch, c *Channel, a []string) string {
			s.note(c, Played, "displace", a[2])
			return "+OK Success\n"
		}),
		"uuid_deflect":     onChannel(2, func(s *Switch, c *Channel, a []string) string { c.cast("deflect::" + a[1]); return "+OK\n" }),
		"uuid_audio":       onChannel(4, func(*Switch, *Channel, []string) string { return "+OK Success\n" }),
		"uuid_media":       onChannel(2, func(*Switch, *Channel, []string) string { return "+OK Success\n" }),
		"uuid_phone_event": onChannel(2, func(*Switch, *Channel, []string) string { return "+OK Success\n" }),
		"uuid_simplify":    onChannel(1, func(*Switch, *Channel, []string) string { return okReply }),
		"uuid_debug_media": onChannel(2, func(*Switch, *Channel, []string) string { return "+OK Success\n" }),
		"uuid_buglist":     onChannel(1, func(*Switch, *Channel, []string) string { return "<media-bugs/>" }),
		"uuid_early_ok":    onChannel(1, func(*Switch, *Channel, []string) string { return okReply }),
	}
}

func apiStatus(s *Switch, _ *apiCall) string {
	up := s.clock.Now().Sub(s.began)
	var out strings.Builder
	fmt.Fprintf(&out, "UP 0 years, %d days, %d hours, %d minutes, %d seconds, %d milliseconds, %d microseconds\n",
		int(up.Hours())/24, int(up.Hours())%24, int(up.Minutes())%60, int(up.Seconds())%60,
		up.Milliseconds()%1000, up.Microseconds()%1000)
	fmt.Fprintf(&out, "FreeSWITCH (Version %s-release simulated 64bit) is ready\n", Version)
	fmt.Fprintf(&out, "%d session(s) since startup\n", s.sessions)
	fmt.Fprintf(&out, "%d session(s) - peak %d, last 5min %d \n", len(s.channels), s.sessions, len(s.channels))
	fmt.Fprintf(&out, "0 session(s) per Sec out of max 2000, peak 900, last 5min 4 \n")
	fmt.Fprintf(&out, "20000 session(s) max\nmin idle cpu 0.00/98.87\nCurrent Stack Size/Max 240K/8192K\n")
	return out.String()
}

// consoleEnv is what an expansion outside of a channel sees.
type consoleEnv struct {
	s    *Switch
	call *apiCall
}

func (e consoleEnv) variable(name string, index int) (string, bool) {
	if v := e.s.globals.get(name); v != "" {
		return element(v, index)
	}
	return "", false
}

func (e consoleEnv) evaluate(function, args string) (string, bool) {
	e.s.note(nil, Evaluated, function, args)
	return e.s.api(&apiCall{task: e.call.task, function: function, args: args})
}

// expandFor expands text as seen by the channel named in front, "uuid:UUID text",
// by the channel on whose behalf the call is made, or by none.
func (s *Switch) expandFor(call *apiCall) string {
	text := call.args
	var env environment = consoleEnv{s, call}
	if call.channel != nil {
		env = call.channel
	}
	if rest, ok := strings.CutPrefix(text, "uuid:"); ok {
		uuid, tail := cutSpace(rest)
		if c := s.channels[uuid]; c != nil {
			env = c
		}
		text = tail
	}
	return expandVariables(env, text, 0)
}

func apiEval(s *Switch, call *apiCall) string {
	if call.args == "" {
		return ""
	}
	return s.expandFor(call)
}

// apiExpand runs another function with its arguments expanded.
func apiExpand(s *Switch, call *apiCall) string {
	function, args := cutSpace(s.expandFor(call))
	reply, ok := s.api(&apiCall{task: call.task, channel: call.channel, function: function, args: args})
	if !ok {
		return "-ERR Cannot execute command\n"
	}
	return reply
}

func apiSleep(s *Switch, call *apiCall) string {
	call.task.sleep(millis(call.args))
	return "+OK"
}

func apiGlobalGet(s *Switch, call *apiCall) string {
	if call.args != "" {
		return s.globals.get(call.args)
	}
	var out strings.Builder
	for _, v := range s.globals {
		fmt.Fprintf(&out, "%s=%s\n", v.Name, v.Value)
	}
	return out.String()
}

func apiGlobalSet(s *Switch, call *apiCall) string {
	name, value, _ := strings.Cut(call.args, "=")
	s.globals.set(name, value)
	return "+OK"
}

// apiSystem runs nothing: it notes the command that a real switch would run.
func apiSystem(s *Switch, call *apiCall) string {
	s.note(call.channel, System, "", call.args)
	return ""
}

func apiShow(s *Switch, call *apiCall) string {
	switch what, _ := cutSpace(call.args); what {
	case "channels", "calls":
		uuids := make([]string, 0, len(s.channels))
		for uuid := range s.channels {
			uuids = append(uuids, uuid)
		}
		sort.Strings(uuids)
		var out strings.Builder
		if strings.HasSuffix(call.args, "count") {
			return fmt.Sprintf("\n%d total.\n", len(uuids))
		}
		if len(uuids) > 0 {
			out.WriteString("uuid,direction,created,name,state,cid_name,cid_num,dest\n")
		}
		for _, uuid := range uuids {
			c := s.channels[uuid]
			fmt.Fprintf(&out, "%s,%s,%s,%s,%s,%s,%s,%s\n", uuid, c.profile.direction, c.times.created.UTC().Format(time.DateTime),
				c.name, c.state, c.profile.callerName, c.profile.callerNumber, c.profile.destination)
		}
		fmt.Fprintf(&out, "\n%d total.\n", len(uuids))
		return out.String()
	}
	return "\n0 total.\n"
}

func apiRegex(s *Switch, call *apiCall) string {
	parts := strings.Split(call.args, "|")
	if len(parts) < 2 {
		return "-ERR\n"
	}
	found := submatches(parts[1], parts[0])
	if len(parts) == 2 {
		return fmt.Sprint(found != nil)
	}
	if found == nil {
		return parts[0]
	}
	out := parts[2]
	for i := len(found) - 1; i >= 0; i-- {
		out = strings.ReplaceAll(out, "%"+itoa(i), found[i])
		out = strings.ReplaceAll(out, "$"+itoa(i), found[i])
	}
	return out
}

// apiCond is "cond a == b ? yes : no", also with != < > <= >=.
func apiCond(s *Switch, call *apiCall) string {
	test, results, ok := strings.Cut(call.args, "?")
	yes, no, ok2 := strings.Cut(results, ":")
	if !ok || !ok2 {
		return "-ERR"
	}
	for _, op := range [...]string{"==", "!=", "<=", ">=", "<", ">"} {
		a, b, found := strings.Cut(test, op)
		if !found {
			continue
		}
		a, b = strings.Trim(a, " '"), strings.Trim(b, " '")
		order := strings.Compare(a, b)
		if isNumber(a) && isNumber(b) {
			order = atoi(a) - atoi(b)
		}
		holds := map[string]bool{"==": order == 0, "!=": order != 0, "<=": order <= 0, ">=": order >= 0, "<": order < 0, ">": order > 0}[op]
		if holds {
			return strings.TrimSpace(yes)
		}
		return strings.TrimSpace(no)
	}
	return "-ERR"
}

func isNumber(s string) bool {
	return s != "" && strings.Trim(s, "0123456789-") == ""
}

// onChannel makes a function whose first argument is a channel's UUID.
func onChannel(limit int, f func(s *Switch, c *Channel, args []string) string) func(*Switch, *apiCall) string {
	return func(s *Switch, call *apiCall) string {
		a := separate(call.args, ' ', max(limit, 1))
		if len(a) == 0 {
			return "-USAGE: <uuid>\n"
		}
		c := s.channels[a[0]]
		if c == nil {
			return noSuchChannel
		}
		return f(s, c, append(a, make([]string, limit+1)...))
	}
}

func apiKill(s *Switch, c *Channel, a []string) string {
	c.hangup(causeNamed(or(a[1], "NORMAL_CLEARING")), false)
	return okReply
}

func apiBreak(s *Switch, c *Channel, a []string) string {
	c.interrupt(strings.Contains(a[1], "all"))
	if b := c.partner; b != nil && strings.Contains(a[1], "both") {
		b.interrupt(strings.Contains(a[1], "all"))
	}
	return okReply
}

func apiPark(s *Switch, c *Channel, a []string) string {
	c.leaveTo(&transfer{destination: "park", dialplan: "inline", actions: []Action{{"park", ""}}})
	return okReply
}

func apiTransfer(s *Switch, c *Channel, a []string) string {
	rest := a[1:]
	if strings.HasPrefix(rest[0], "-") {
		leg := c.partner
		switch strings.ToLower(rest[0]) {
		case "-bleg":
			if leg != nil {
				c = leg
			}
		case "-both":
			if leg != nil {
				leg.leaveTo(&transfer{destination: rest[1], dialplan: rest[2], context: rest[3]})
			}
		}
		rest = rest[1:]
	}
	if rest[0] == "" {
		return "-USAGE: <uuid> [-bleg|-both] <dest-exten> [<dialplan>] [<context>]\n"
	}
	c.leaveTo(&transfer{destination: rest[0], dialplan: rest[1], context: rest[2]})
	return okReply
}

func apiHold(s *Switch, call *apiCall) string {
	a := arguments(call.args, 3)
	on := true
	uuid := a[0]
	switch strings.ToLower(a[0]) {
	case "off":
		on, uuid = false, a[1]
	case "toggle":
		uuid = a[1]
		if c := s.channels[uuid]; c != nil {
			on = !c.held
		}
	}
	c := s.channels[uuid]
	if c == nil {
		return "-ERR Operation failed\n"
	}
	c.hold(on)
	return "+OK Success\n"
}

func apiBroadcast(s *Switch, call *apiCall) string {
	a := arguments(call.args, 3)
	if a[1] == "" {
		return "-USAGE: <uuid> <path> [aleg|bleg|holdb|both]\n"
	}
	c := s.channels[a[0]]
	if c == nil {
		return "-ERR invalid uuid\n"
	}
	where := strings.ToLower(a[2])
	if where == "" || strings.Contains(where, "aleg") || strings.Contains(where, "both") || strings.Contains(where, "holdb") {
		c.cast(a[1])
	}
	if b := c.partner; b != nil && (strings.Contains(where, "bleg") || strings.Contains(where, "both")) {
		b.cast(a[1])
	}
	return "+OK Message sent\n"
}

func apiSendDTMF(s *Switch, call *apiCall) string {
	a := arguments(call.args, 2)
	if a[1] == "" {
		return "-USAGE: <uuid> <dtmf_data>\n"
	}
	c := s.channels[a[0]]
	if c == nil {
		return "-ERR Cannot locate session!\n"
	}
	s.note(c, Sent, "", a[1])
	return "+OK " + a[0] + " sent DTMF " + a[1] + ".\n"
}

func apiRecvDTMF(s *Switch, call *apiCall) string {
	a := arguments(call.args, 2)
	if a[1] == "" {
		return "-USAGE: <uuid> <dtmf_data>\n"
	}
	c := s.channels[a[0]]
	if c == nil {
		return "-ERR Cannot locate session!\n"
	}
	if !c.press(a[1], "APP") {
		return "-USAGE: <uuid> <dtmf_data>\n"
	}
	return "+OK " + a[0] + " received DTMF " + a[1] + ".\n"
}

func apiFileman(s *Switch, c *Channel, a []string) string {
	if a[1] == "" {
		return "-USAGE: <uuid> <cmd>:<val>\n"
	}
	if !c.control(a[1]) {
		return "-ERR No file handle!\n"
	}
	return okReply
}

func apiRecord(s *Switch, call *apiCall) string {
	a := arguments(call.args, 5)
	if a[2] == "" {
		return "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>]\n"
	}
	c := s.channels[a[0]]
	if c == nil {
		return "-ERR Cannot locate session!\n"
	}
	ok, what := false, ""
	switch strings.ToLower(a[1]) {
	case "start":
		ok, what = c.startRecording(a[2], time.Duration(atoi(a[3]))*time.Second), "record"
	case "stop":
		ok, what = c.stopRecording(a[2]), "stop record"
	case "mask", "pause":
		ok, what = c.maskRecording(a[2], true), a[1]+" recording"
	case "unmask", "resume":
		ok, what = c.maskRecording(a[2], false), a[1]+" recording"
	default:
		return "-USAGE: <uuid> [start|stop|mask|unmask] <path> [<limit>]\n"
	}
	if !ok {
		return "-ERR Cannot " + what + " session!\n"
	}
	return "+OK Success\n"
}

func apiDisplay(s *Switch, call *apiCall) string {
	a := arguments(call.args, 2)
	if a[1] == "" {
		return "-USAGE: <uuid> [<display>]\n"
	}
	c := s.channels[a[0]]
	if c == nil {
		return "-ERR Operation failed\n"
	}
	name, number, _ := strings.Cut(a[1], "|")
	c.setProfile("callee_id_name", name)
	c.setProfile("callee_id_number", number)
	c.event(evUpdate, fromState).fire()
	return "+OK Success\n"
}

func apiBridge(s *Switch, call *apiCall) string {
	a := arguments(call.args, 3)
	if a[1] == "" {
		return "-USAGE: <uuid> <other_uuid>\n"
	}
	one := s.channels[a[0]]
	for _, uuid := range a[1:] {
		if other := s.channels[uuid]; one != nil && other != nil && other != one && one.up() && other.up() {
			s.uuidBridge(one, other)
			return "+OK " + uuid + "\n"
		}
	}
	return "-ERR Invalid uuid\n"
}

func apiGetVar(s *Switch, call *apiCall) string {
	a := arguments(call.args, 4)
	if a[1] == "" {
		return "-USAGE: <uuid> <var>\n"
	}
	c := s.channels[a[0]]
	if c == nil {
		return noSuchChannel
	}
	name, index, _ := splitIndex(a[1])
	if value, ok := c.variable(name, index); ok {
		return value
	}
	return "_undef_"
}

func apiSetVar(s *Switch, call *apiCall) string {
	a := separate(call.args, ' ', 3)
	if len(a) < 2 || a[0] == "" {
		return "-USAGE: <uuid> <var> [value]\n"
	}
	c := s.channels[a[0]]
	if c == nil {
		return noSuchChannel
	}
	if a[1] == "" {
		return "-ERR No variable specified\n"
	}
	c.set(a[1], append(a, "")[2])
	return okReply
}

// apiSetVarMulti sets variables, except to values that hold a "${": those the
// switch takes for an attack (recording expansion2).
func apiSetVarMulti(s *Switch, call *apiCall) string {
	uuid, list, ok := strings.Cut(call.args, " ")
	if !ok {
		return ""
	}
	c := s.channels[uuid]
	const usage = "-USAGE: <uuid> <var>=<value>;<var>=<value>...\n"
	if c == nil {
		return noSuchChannel + usage
	}
	set := 0
	for _, pair := range separate(list, ';', 64) {
		name, value, _ := strings.Cut(pair, "=")
		if name == "" {
			continue
		}
		set++
		if !hasVariable(value) {
			c.set(name, value)
		}
	}
	if set == 0 {
		return usage
	}
	return okReply
}

func apiDump(s *Switch, call *apiCall) string {
	a := arguments(call.args, 2)
	c := s.channels[a[0]]
	if c == nil {
		return noSuchChannel
	}
	s.sequence++
	e := &event{s: s, id: evData, channel: c}
	e.begin(fromCommand)
	c.describe(e)
	switch strings.ToLower(a[1]) {
	case "json":
		return string(appendJSON(nil, e))
	case "xml":
		return string(appendXML(nil, e))
	case "plain":
		var out strings.Builder
		e.each(func(name, value string) { out.WriteString(name + ": " + value + "\n") })
		return out.String() + "\n"
	}
	return string(appendPlain(nil, e))
}

func apiSchedHangup(s *Switch, call *apiCall) string {
	a := arguments(call.args, 3)
	if a[1] == "" {
		return "-USAGE: [+]<time> <uuid> [<cause>]\n"
	}
	if s.channels[a[1]] == nil {
		return noSuchChannel
	}
	cause := causeNamed(or(a[2], "ALLOTTED_TIMEOUT"))
	s.after(s.scheduled(a[0]), a[1], func(c *Channel) { c.hangup(cause, false) })
	return okReply
}

func apiSchedTransfer(s *Switch, call *apiCall) string {
	a := arguments(call.args, 5)
	if s.channels[a[1]] == nil {
		return noSuchChannel
	}
	t := &transfer{destination: a[2], dialplan: a[3], context: a[4]}
	s.after(s.scheduled(a[0]), a[1], func(c *Channel) { c.leaveTo(t) })
	return okReply
}

func apiSchedBroadcast(s *Switch, call *apiCall) string {
	a := arguments(call.args, 4)
	if s.channels[a[1]] == nil {
		return noSuchChannel
	}
	s.after(s.scheduled(a[0]), a[1], func(c *Channel) { c.cast(a[2]) })
	return okReply
}

// apiSchedAPI is "sched_api [+]time group function args", once.
func apiSchedAPI(s *Switch, call *apiCall) string {
	a := arguments(call.args, 3)
	if a[2] == "" {
		return "-USAGE: [+@]<time> <group_name> <command_string>[&]\n"
	}
	function, args := cutSpace(strings.TrimSuffix(a[2], "&"))
	s.clock.AfterFunc(s.scheduled(a[0]), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closed {
			s.background(nil, newUUID(), function, args)
		}
	})
	return "+OK Added: 1\n"
}

// apiOriginate dials a leg and lets it do something: "originate DIAL &app(args)",
// or "originate DIAL extension [dialplan [context [name [number [timeout]]]]]".
func apiOriginate(s *Switch, call *apiCall) string {
	// The dial string may hold spaces in its braces; separate cannot tell.
	words := splitOutside(strings.TrimSpace(call.args), " ")
	dial, rest := words[0], strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(call.args), words[0]))
	if rest == "" {
		return "-USAGE: <call url> <exten>|&<application_name>(<app_args>) [<dialplan>] [<context>] [<cid_name>] [<cid_num>] [<timeout_sec>]\n"
	}
	var then []Action
	if app, ok := strings.CutPrefix(rest, "&"); ok {
		name, args, _ := strings.Cut(app, "(")
		if end := strings.LastIndexByte(args, ')'); end >= 0 {
			args = args[:end]
		}
		then = []Action{{strings.TrimSpace(name), args}}
	} else {
		a := arguments(rest, 3)
		then = []Action{{"transfer", strings.TrimSpace(a[0] + " " + a[1] + " " + a[2])}}
	}
	d := parseDialString(dial)
	timeout := atoi(or(valueOf(d.vars, "originate_timeout"), "60"))
	leg, cause := s.originate(call.task, nil, d, time.Duration(timeout)*time.Second, then)
	if leg == nil {
		return "-ERR " + cause + "\n"
	}
	// The switch hands the leg over a frame later; what it was told to do
	// before that is broken off (recording originate_second_leg).
	if s.Tick > 0 {
		call.task.sleep(s.Tick)
	}
	leg.reset, leg.stateNumber = true, 4
	leg.wake()
	return "+OK " + leg.UUID + "\n"
}
