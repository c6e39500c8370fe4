package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"callisto/esl"
	"callisto/luabind"
)

const (
	connectTimeout = 10 * time.Second // for the switch to describe the channel
	hangupPatience = time.Second      // for a channel to come to the hangup it is told
	finishTimeout  = 3 * time.Second  // for its last events once a channel is told to hang up
	promptTimeout  = time.Minute      // for calls.error_prompt to play
)

// call is the life of one call, from its connection to its end.
func (s *Server) call(ctx context.Context, conn *esl.Conn) {
	began := conn.Now()
	channel, data, err := s.connect(ctx, conn)
	if err != nil {
		s.record.noCall.Add(1)
		s.logger().Warn("a connection brought no call", "remote", conn.RemoteAddr().String(), "error", err)
		return
	}
	snapshot := s.Library.Snapshot()
	config := snapshot.Config
	// Should the connection end before the call does, the dialplan goes on with it. Without this the
	// switch may park it, for ever if the end comes early. (Without async it goes on by itself, and resume would
	// park it: both measured on FreeSWITCH 1.11.)
	switch {
	case conn.Async() && conn.Full():
		luabind.LetGoOn(conn, true) // which can be taken back while somebody talks
	case conn.Async():
		conn.Post(esl.Resume{})
	}
	end := s.begin(config.Server.MaxCalls)
	if end == nil {
		s.logger().Warn("connection refused", "remote", conn.RemoteAddr().String(), "uuid", conn.UUID(), "reason", fmt.Errorf("%w (%d)", ErrFull, config.Server.MaxCalls).Error())
		leave(ctx, conn)
		return
	}
	defer end()
	log := slog.New(&callHandler{s.logger().Handler(), slog.String("uuid", conn.UUID())})
	conn.Unclaimed = func(e *esl.ReplyError) { log.Warn("the switch refused a command", "reply", e.Text) }

	choice, resumed, err := s.choose(conn, snapshot, channel, data, log)
	script := choice.Script
	if err != nil { // the name is the dialplan's, whatever it is
		script = noScript
	}
	counted := s.record.started(conn.UUID(), script, snapshot.Number, began)
	ended := func(out luabind.Outcome) {
		took, dropped := conn.Now().Sub(began), conn.Dropped()
		counted.ended(out, took, dropped)
		logEnd(log, choice, snapshot.Number, channel, out, took, dropped, counted.at.Load())
	}
	defer func() { counted.ended(luabind.Outcome{Ending: luabind.Failed}, conn.Now().Sub(began), 0) }() // after a panic in what follows one
	// A mistake of ours is to the caller what one in the script would be.
	defer func() {
		if v := recover(); v != nil {
			log.Error("panic in a call", "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
			out := luabind.Outcome{Ending: luabind.Failed}
			out.Cause, _ = after(ctx, conn, out, config, log)
			ended(out)
		}
	}()
	subscribe(conn, config.Limits.Hangup)

	logStart(log, conn, choice, snapshot.Number, channel)

	var out luabind.Outcome
	if err != nil {
		log.Error("the call has no script to run", "error", err)
		out = luabind.Outcome{Ending: luabind.Failed, Err: err}
		out.Cause, _ = after(ctx, conn, out, config, log)
	} else {
		session := s.session(conn, config, choice, channel, data, resumed, counted, log)
		defer session.Close()
		out = run(ctx, conn, session, config.Limits.Call)
		logError(log, out)
		var hungUp bool
		if out.Cause, hungUp = after(ctx, conn, out, config, log); hungUp {
			session.RunHangupHandlers(ctx, out)
		}
	}

	ended(out)
}

// session makes what runs the script. It is apart from call, as is what logs: the stack of a call that waits has no room
// for what is needed once.
func (s *Server) session(conn *esl.Conn, config *Config, choice Choice, channel luabind.Channel, data socketData, resumed *luabind.State, counted *running, log *slog.Logger) *luabind.Call {
	var tap func(luabind.Step)
	marks := counted.mark
	if s.Flow != nil {
		marks = func(mark luabind.Mark) {
			counted.mark(mark)
			s.Flow(conn.UUID(), mark)
		}
	}
	if s.Tap != nil {
		tap = func(step luabind.Step) { s.Tap(conn.UUID(), step) }
	}
	if s.Excerpt != nil {
		choice.Program = s.Excerpt(choice.Program)
	}
	return luabind.New(conn, luabind.Env{
		Program: choice.Program,
		Find:    func(name string) *luabind.Program { return choice.Programs[name] },
		Channel: channel,
		Args:    data.merge(choice.Args),
		Words:   data.words,
		Limits:  luabind.Limits{CPU: config.Limits.CPU, Memory: int(config.Limits.Memory), Hangup: config.Limits.Hangup},
		Log:     log,
		Tap:     tap,
		Flow:    marks,
		Cover:   s.Cover,

		Resumed:  resumed,
		StateKey: []byte(config.Flows.Key),
		Force:    s.force(conn.UUID()),
		Config:   config.ScriptValues(choice.Script),
		Services: s.Services,
	})
}

func logStart(log *slog.Logger, conn *esl.Conn, choice Choice, generation uint64, channel luabind.Channel) {
	log.LogAttrs(context.Background(), slog.LevelInfo, "call started", slog.String("script", choice.Script), slog.Uint64("generation", generation),
		slog.String("caller", channel.CallerNumber), slog.String("destination", channel.Destination),
		slog.String("why", choice.Why), slog.Any("remote", conn.RemoteAddr()))
}

func logEnd(log *slog.Logger, choice Choice, generation uint64, channel luabind.Channel, out luabind.Outcome, took time.Duration, dropped uint64, at *stepKey) {
	attrs := []slog.Attr{slog.String("script", choice.Script), slog.Uint64("generation", generation),
		slog.String("caller", channel.CallerNumber), slog.String("destination", channel.Destination),
		slog.String("ending", out.Ending.String()), slog.String("cause", out.Cause), slog.Duration("duration", took.Round(time.Millisecond)),
		slog.Int("verbs", out.Verbs), slog.Uint64("events_dropped", dropped)}
	if at != nil {
		attrs = append(attrs, slog.String("flow", at.flow), slog.String("step", at.step))
	}
	log.LogAttrs(context.Background(), slog.LevelInfo, "call ended", attrs...)
}

func (s *Server) force(uuid string) func(flow, step string, outcomes []string) (string, bool) {
	if s.Force == nil {
		return nil
	}
	return func(flow, step string, outcomes []string) (string, bool) { return s.Force(uuid, flow, step, outcomes) }
}

// choose picks the script of a call: that which it was in when an engine died, or that which the dialplan and the routes name.
func (s *Server) choose(conn *esl.Conn, snapshot *Snapshot, channel luabind.Channel, data socketData, log *slog.Logger) (Choice, *luabind.State, error) {
	choice, err := snapshot.Pick(CallInfo{
		Path:        data.path,
		ScriptWord:  data.script,
		Destination: channel.Destination,
		Caller:      channel.CallerNumber,
		Context:     data.context,
	})
	resumed := s.takeUp(conn, snapshot, data.state, log)
	if resumed != nil {
		if p, programs, gone := snapshot.Script(resumed.Script); gone == nil {
			choice.Script, choice.Program, choice.Programs, choice.Why = resumed.Script, p, programs, "the call comes from a Callisto that is gone, and was there"
			return choice, resumed, nil
		}
		log.Warn("the script that a call was in is gone: the call begins anew", "script", resumed.Script)
		luabind.DropState(conn)
	}
	return choice, nil, err
}

// takeUp reads what a call carries from an engine that is gone; nil where that is nothing, or not to be
// believed.
func (s *Server) takeUp(conn *esl.Conn, snapshot *Snapshot, text string, log *slog.Logger) *luabind.State {
	if text == "" {
		return nil
	}
	state, err := luabind.ReadState(text, conn.UUID(), []byte(snapshot.Config.Flows.Key))
	if err != nil {
		log.Warn("what the call carries is refused, and it begins anew", "variable", luabind.StateVariable, "reason", err)
		luabind.DropState(conn)
		return nil
	}
	log.Info("call taken over", "script", state.Script, "flow", state.Flow(), "step", state.Step())
	return state
}

// A callHandler adds the call's UUID to what is logged of it.
type callHandler struct {
	slog.Handler
	uuid slog.Attr
}

func (h *callHandler) Handle(ctx context.Context, r slog.Record) error {
	r.AddAttrs(h.uuid)
	return h.Handler.Handle(ctx, r)
}

func (h *callHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &callHandler{h.Handler.WithAttrs(attrs), h.uuid}
}

func (h *callHandler) WithGroup(name string) slog.Handler {
	return &callHandler{h.Handler.WithGroup(name), h.uuid}
}

// connect asks for the channel, in a bounded time: a port scanner has none to offer.
func (s *Server) connect(ctx context.Context, conn *esl.Conn) (luabind.Channel, socketData, error) {
	timeout := s.connectTimeout
	if timeout == 0 {
		timeout = connectTimeout
	}
	var late atomic.Bool
	timer := conn.AfterFunc(timeout, func() {
		late.Store(true)
		conn.Close()
	})
	reply, err := conn.Connect(ctx)
	timer.Stop()
	if late.Load() {
		err = fmt.Errorf("no answer to connect within %v", timeout)
	}
	if err != nil {
		return luabind.Channel{}, socketData{}, err
	}
	channel, data := describeCall(reply)
	return channel, data, nil
}

// subscribe asks for the few events that every call needs. Nothing is sent yet: it goes out with
// the script's first command.
func subscribe(conn *esl.Conn, hangup time.Duration) {
	if !conn.Full() {
		conn.Post(esl.MyEvents{})
		return
	}
	// Linger a little longer than the hangup handlers may run, should they never end.
	conn.Post(esl.Linger{Seconds: int((hangup+finishTimeout)/time.Second) + 5})
	// The filter first: between the two, events of every channel would arrive.
	conn.Post(esl.Filter{Header: "Unique-ID", Value: conn.UUID()})
	conn.Post(esl.Events{Names: luabind.BasicEvents})
}

func run(ctx context.Context, conn *esl.Conn, session *luabind.Call, limit time.Duration) luabind.Outcome {
	if limit > 0 {
		var cancel context.CancelFunc
		ctx, cancel = conn.WithTimeout(ctx, limit)
		defer cancel()
	}
	return session.Run(ctx)
}

func logError(log *slog.Logger, out luabind.Outcome) {
	var se *luabind.ScriptError
	switch {
	case out.Err == nil:
	case errors.As(out.Err, &se):
		log.Error("script error", "error", se.Message, "at", se.At(), "traceback", se.Traceback)
	default:
		log.Error("the call was lost", "error", out.Err)
	}
}

// after does with the channel what the script's end calls for. It returns whether the channel
// has hung up, and the cause where that is known.
func after(ctx context.Context, conn *esl.Conn, out luabind.Outcome, config *Config, log *slog.Logger) (string, bool) {
	cause := "NORMAL_CLEARING"
	switch out.Ending {
	case luabind.HungUp:
		return hangup(ctx, conn, out.Cause, log), true
	case luabind.CallerHungUp:
		return finish(ctx, conn, out.Cause), true
	case luabind.Stopped, luabind.Disconnected:
		return "", false
	case luabind.Transferred:
		leave(ctx, conn) // what hangs up after this is a call of the dialplan's
		return "", false
	case luabind.Returned:
		if config.Calls.OnReturn == OnEndContinue {
			return leave(ctx, conn)
		}
	case luabind.TimedOut:
		cause = "ALLOTTED_TIMEOUT"
	case luabind.Failed, luabind.OverLimit:
		if config.Calls.OnError == OnEndContinue {
			return leave(ctx, conn)
		}
		cause = "NORMAL_TEMPORARY_FAILURE"
		if prompt := config.Calls.ErrorPrompt; prompt != "" {
			apologise(ctx, conn, prompt, log)
		}
	}
	conn.Post(esl.Hangup{Cause: cause})
	return hangup(ctx, conn, cause, log), true
}

// hangup sees to it that the channel comes to the hangup that was posted: that waits its turn
// behind what runs, which may be hours of music. Without the words async and full there is
// nothing to be done about that.
func hangup(ctx context.Context, conn *esl.Conn, cause string, log *slog.Logger) string {
	conn.Flush()
	if conn.Async() && conn.Full() {
		kill := esl.API{Command: "uuid_kill", Args: conn.UUID() + " " + cause}
		timer := conn.AfterFunc(hangupPatience, func() {
			conn.Post(kill)
			conn.Flush()
		})
		defer timer.Stop()
	}
	cause = finish(ctx, conn, cause)
	if conn.Hangup() == nil && ctx.Err() == nil && conn.Err() == nil {
		log.Warn("the channel has not hung up yet: it will when what runs on it has ended")
	}
	return cause
}

// finish waits for the channel's last events, which bring its final variables.
func finish(ctx context.Context, conn *esl.Conn, cause string) string {
	ctx, cancel := conn.WithTimeout(ctx, finishTimeout)
	defer cancel()
	conn.Flush()
	for !final(conn) {
		e, err := conn.Next(ctx)
		if err != nil || e.Kind() == esl.DisconnectNotice && e.Get("Content-Disposition") == "disconnect" {
			break
		}
	}
	if h := conn.Hangup(); h != nil && h.Cause != "" {
		return h.Cause
	}
	return cause
}

// final reports whether the newest event is the channel's last: without the word async there
// is none after CHANNEL_HANGUP (recording basic_sync_full).
func final(conn *esl.Conn) bool {
	name := conn.Latest().Name()
	return name == "CHANNEL_HANGUP_COMPLETE" || name == "CHANNEL_HANGUP" && !conn.Async()
}

// leave gives the channel back to the dialplan, with everything done that was posted. It returns
// the cause and true if the channel has hung up before.
func leave(ctx context.Context, conn *esl.Conn) (string, bool) {
	ctx, cancel := conn.WithTimeout(ctx, finishTimeout)
	defer cancel()
	conn.Do(ctx, esl.Exit{})
	if h := conn.Hangup(); h != nil {
		return h.Cause, true
	}
	return "", false
}

func apologise(ctx context.Context, conn *esl.Conn, prompt string, log *slog.Logger) {
	ctx, cancel := conn.WithTimeout(ctx, promptTimeout)
	defer cancel()
	conn.Post(esl.Execute{App: "answer", EventLock: true})
	e, err := conn.Execute(ctx, luabind.Application("playback", prompt))
	if err == nil && e.Get("Application-Response") != "FILE PLAYED" {
		log.Warn("calls.error_prompt was not played", "file", prompt, "response", e.Get("Application-Response"))
	}
}

// socketData is what the dialplan's socket action says besides the address
// (recording path_and_words).
type socketData struct {
	path    string
	script  string            // script=
	args    map[string]string // name=value
	words   []string          // the others
	context string            // of the dialplan
	state   string            // what the call carries from an engine that is gone
}

// describeCall takes out of the reply to connect what is asked of it: clones, as otherwise each would keep
// all of it.
func describeCall(reply *esl.Event) (luabind.Channel, socketData) {
	v := reply.Values("Caller-Caller-ID-Number", "Caller-Caller-ID-Name", "Caller-Destination-Number", "Caller-Context",
		"variable_socket_path", "variable_current_application_data", "variable_"+luabind.StateVariable)
	for i := range v {
		v[i] = strings.Clone(v[i])
	}
	data := parseSocketData(v[5])
	data.context, data.path, data.state = v[3], v[4], v[6]
	return luabind.Channel{CallerNumber: v[0], CallerName: v[1], Destination: v[2]}, data
}

// parseSocketData takes the words of the socket application's data apart.
func parseSocketData(text string) socketData {
	var d socketData
	for i, word := range strings.Fields(text) {
		name, value, named := strings.Cut(word, "=")
		named = named && isName(name)
		switch {
		case i == 0, strings.EqualFold(word, "async"), strings.EqualFold(word, "full"):
		case named && name == "script":
			d.script = value
		case named:
			if d.args == nil {
				d.args = make(map[string]string)
			}
			d.args[name] = value
		default:
			d.words = append(d.words, word)
		}
	}
	return d
}

// isName reports whether a word's part before = is a name; a dial string's [leg_timeout is
// none.
func isName(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && c != '.' && (c|0x20 < 'a' || c|0x20 > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// merge adds to the arguments in the dialplan those of the route. The dialplan's win: they
// are closer to the call.
func (d socketData) merge(route map[string]string) map[string]string {
	if len(route) == 0 {
		return d.args
	}
	for name, value := range d.args {
		route[name] = value
	}
	return route
}
