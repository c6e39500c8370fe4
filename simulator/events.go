package simulator

import (
	"strconv"
	"strings"
	"time"

	"callisto/esl"
)

// An eventID is an event's number in eventNames.
type eventID uint8

// eventNames are the names of all events of the switch (switch_event.c).
var eventNames = strings.Fields(`CUSTOM CLONE CHANNEL_CREATE CHANNEL_DESTROY CHANNEL_STATE CHANNEL_CALLSTATE
	CHANNEL_ANSWER CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HOLD
	CHANNEL_UNHOLD CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_OUTGOING
	CHANNEL_PARK CHANNEL_UNPARK CHANNEL_APPLICATION CHANNEL_ORIGINATE CHANNEL_UUID API LOG INBOUND_CHAN
	OUTBOUND_CHAN STARTUP SHUTDOWN PUBLISH UNPUBLISH TALK NOTALK SESSION_CRASH MODULE_LOAD MODULE_UNLOAD DTMF
	MESSAGE PRESENCE_IN NOTIFY_IN PRESENCE_OUT PRESENCE_PROBE MESSAGE_WAITING MESSAGE_QUERY ROSTER CODEC
	BACKGROUND_JOB DETECTED_SPEECH DETECTED_TONE PRIVATE_COMMAND HEARTBEAT TRAP ADD_SCHEDULE DEL_SCHEDULE
	EXE_SCHEDULE RE_SCHEDULE RELOADXML NOTIFY PHONE_FEATURE PHONE_FEATURE_SUBSCRIBE SEND_MESSAGE RECV_MESSAGE
	REQUEST_PARAMS CHANNEL_DATA GENERAL COMMAND SESSION_HEARTBEAT CLIENT_DISCONNECTED SERVER_DISCONNECTED
	SEND_INFO RECV_INFO RECV_RTCP_MESSAGE SEND_RTCP_MESSAGE CALL_SECURE NAT RECORD_START RECORD_STOP
	PLAYBACK_START PLAYBACK_STOP CALL_UPDATE FAILURE SOCKET_DATA MEDIA_BUG_START MEDIA_BUG_STOP
	CONFERENCE_DATA_QUERY CONFERENCE_DATA CALL_SETUP_REQ CALL_SETUP_RESULT CALL_DETAIL DEVICE_STATE TEXT
	SHUTDOWN_REQUESTED CERT_RELOAD ALL`)

var eventIDs = func() map[string]eventID {
	ids := make(map[string]eventID, len(eventNames))
	for i, name := range eventNames {
		ids[name] = eventID(i)
	}
	return ids
}()

// eventNamed finds an event by its name, in any case.
func eventNamed(name string) (eventID, bool) {
	id, ok := eventIDs[strings.TrimPrefix(strings.ToUpper(name), "SWITCH_EVENT_")]
	return id, ok
}

var (
	evCustom          = eventIDs["CUSTOM"]
	evCreate          = eventIDs["CHANNEL_CREATE"]
	evState           = eventIDs["CHANNEL_STATE"]
	evAnswer          = eventIDs["CHANNEL_ANSWER"]
	evHangup          = eventIDs["CHANNEL_HANGUP"]
	evHangupComplete  = eventIDs["CHANNEL_HANGUP_COMPLETE"]
	evExecute         = eventIDs["CHANNEL_EXECUTE"]
	evExecuteComplete = eventIDs["CHANNEL_EXECUTE_COMPLETE"]
	evHold            = eventIDs["CHANNEL_HOLD"]
	evUnhold          = eventIDs["CHANNEL_UNHOLD"]
	evBridge          = eventIDs["CHANNEL_BRIDGE"]
	evUnbridge        = eventIDs["CHANNEL_UNBRIDGE"]
	evProgress        = eventIDs["CHANNEL_PROGRESS"]
	evProgressMedia   = eventIDs["CHANNEL_PROGRESS_MEDIA"]
	evOutgoing        = eventIDs["CHANNEL_OUTGOING"]
	evPark            = eventIDs["CHANNEL_PARK"]
	evUnpark          = eventIDs["CHANNEL_UNPARK"]
	evApplication     = eventIDs["CHANNEL_APPLICATION"]
	evOriginate       = eventIDs["CHANNEL_ORIGINATE"]
	evDTMF            = eventIDs["DTMF"]
	evJob             = eventIDs["BACKGROUND_JOB"]
	evSpeech          = eventIDs["DETECTED_SPEECH"]
	evData            = eventIDs["CHANNEL_DATA"]
	evRecordStart     = eventIDs["RECORD_START"]
	evRecordStop      = eventIDs["RECORD_STOP"]
	evPlaybackStart   = eventIDs["PLAYBACK_START"]
	evPlaybackStop    = eventIDs["PLAYBACK_STOP"]
	evUpdate          = eventIDs["CALL_UPDATE"]
	evAll             = eventIDs["ALL"]
)

// myEvents are the kinds that the command "myevents" subscribes to.
var myEvents = func() (set eventSet) {
	for _, name := range strings.Fields(`CHANNEL_ANSWER CHANNEL_APPLICATION CHANNEL_BRIDGE CHANNEL_CREATE CHANNEL_DATA
		CHANNEL_DESTROY CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_HANGUP CHANNEL_HANGUP_COMPLETE CHANNEL_ORIGINATE
		CHANNEL_UUID CHANNEL_OUTGOING CHANNEL_PARK CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_STATE CHANNEL_UNBRIDGE
		CHANNEL_UNPARK DETECTED_SPEECH DTMF NOTALK TALK`) {
		set.add(eventIDs[name])
	}
	return
}()

// withVariables are the kinds that carry the channel's variables
// (switch_channel_event_set_extended_data).
var withVariables = func() (set eventSet) {
	for _, name := range strings.Fields(`CHANNEL_CREATE CHANNEL_ORIGINATE CHANNEL_UUID CHANNEL_ANSWER CHANNEL_PARK
		CHANNEL_UNPARK CHANNEL_BRIDGE CHANNEL_UNBRIDGE CHANNEL_PROGRESS CHANNEL_PROGRESS_MEDIA CHANNEL_HANGUP
		CHANNEL_HANGUP_COMPLETE REQUEST_PARAMS CHANNEL_DATA CHANNEL_EXECUTE CHANNEL_EXECUTE_COMPLETE CHANNEL_DESTROY
		SESSION_HEARTBEAT API RECORD_START RECORD_STOP PLAYBACK_START PLAYBACK_STOP CALL_UPDATE MEDIA_BUG_START
		MEDIA_BUG_STOP CHANNEL_HOLD CHANNEL_UNHOLD TEXT CUSTOM`) {
		set.add(eventIDs[name])
	}
	return
}()

type eventSet [2]uint64

func (e *eventSet) add(id eventID)      { e[id>>6] |= 1 << (id & 63) }
func (e *eventSet) remove(id eventID)   { e[id>>6] &^= 1 << (id & 63) }
func (e *eventSet) has(id eventID) bool { return e[id>>6]&(1<<(id&63)) != 0 }

// An event is being put together: its headers as they appear in plain format,
// in the switch's scratch buffer, and an optional body.
type event struct {
	s        *Switch
	id       eventID
	subclass string
	channel  *Channel // whose event it is, if anybody's
	owner    *Channel // of a BACKGROUND_JOB: the channel that asked for it
	headers  []byte
	body     string
}

func (e *event) add(name, value string) { e.headers = esl.AppendHeader(e.headers, name, value) }

func (e *event) addInt(name string, n int64) {
	e.headers = append(e.headers, name...)
	e.headers = append(e.headers, ": "...)
	e.headers = strconv.AppendInt(e.headers, n, 10)
	e.headers = append(e.headers, '\n')
}

// header finds a header's value, decoded enough for comparing.
func (e *event) header(name string) (string, bool) {
	rest := e.headers
	for len(rest) > 0 {
		line := rest
		for i, c := range rest {
			if c == '\n' {
				line, rest = rest[:i], rest[i+1:]
				break
			}
		}
		if len(line) > len(name) && line[len(name)] == ':' && strings.EqualFold(string(line[:len(name)]), name) {
			return unescape(string(line[len(name)+2:])), true
		}
	}
	return "", false
}

// source says where in the switch an event comes from: three constant headers.
func source(file, function, line string) string {
	return "Event-Calling-File: " + file + "\nEvent-Calling-Function: " + function + "\nEvent-Calling-Line-Number: " + line + "\n"
}

var (
	fromPark     = source("switch_ivr.c", "switch_ivr_park", "1002")
	fromUnpark   = source("switch_ivr.c", "switch_ivr_park", "1213")
	fromExec     = source("switch_core_session.c", "switch_core_session_exec", "2949")
	fromExecEnd  = source("switch_core_session.c", "switch_core_session_exec", "2972")
	fromAnswer   = source("switch_channel.c", "switch_channel_perform_mark_answered", "3848")
	fromMedia    = source("switch_channel.c", "switch_channel_perform_mark_pre_answered", "3562")
	fromRing     = source("switch_channel.c", "switch_channel_perform_mark_ring_ready_value", "3486")
	fromHangup   = source("switch_channel.c", "switch_channel_perform_hangup", "3447")
	fromState    = source("switch_channel.c", "switch_channel_perform_set_running_state", "2409")
	fromReport   = source("switch_core_state_machine.c", "switch_core_session_reporting_state", "943")
	fromDTMF     = source("switch_channel.c", "switch_channel_dequeue_dtmf", "678")
	fromBridge   = source("switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", "1689")
	fromUnbridge = source("switch_ivr_bridge.c", "switch_ivr_multi_threaded_bridge", "1879")
	fromCommand  = source("mod_event_socket.c", "parse_command", "2029")
	fromJob      = source("mod_event_socket.c", "api_exec", "1580")
	fromApp      = source("mod_dptools.c", "event_function", "2037")
	fromCreate   = source("switch_core_session.c", "switch_core_session_run", "")
	fromSpeech   = source("switch_ivr_async.c", "speech_thread", "4951")
	fromRecord   = source("switch_ivr_async.c", "record_callback", "1503")
	fromPlay     = source("switch_ivr_play_say.c", "switch_ivr_play_file", "1593")
	fromHold     = source("switch_channel.c", "switch_channel_perform_set_callstate", "284")
)

// newEvent begins an event, or returns nil when nobody would get it: c is the
// channel it belongs to, which may be nil. At most one event is under way at a
// time. s.mu is held.
func (s *Switch) newEvent(id eventID, subclass string, c, owner *Channel, from string) *event {
	s.sequence++
	if !s.wanted(id, subclass, c, owner) {
		return nil
	}
	e := &event{s: s, id: id, subclass: subclass, channel: c, owner: owner, headers: s.scratch[:0]}
	e.begin(from)
	return e
}

// wanted reports whether any listener could be interested.
func (s *Switch) wanted(id eventID, subclass string, c, owner *Channel) bool {
	if c != nil && c.listener != nil && c.listener.subscribed(id, subclass) {
		return true
	}
	if owner != nil && owner.listener != nil && owner.listener.subscribed(id, subclass) {
		return true
	}
	for l := range s.wide {
		if l.subscribed(id, subclass) {
			return true
		}
	}
	return false
}

// begin writes the headers that every event starts with.
func (e *event) begin(from string) {
	s := e.s
	if e.subclass != "" {
		e.add("Event-Subclass", e.subclass)
	}
	now := s.clock.Now()
	e.headers = append(e.headers, "Event-Name: "...)
	e.headers = append(e.headers, eventNames[e.id]...)
	e.headers = append(e.headers, s.stamp.header(s, now)...)
	e.addInt("Event-Date-Timestamp", now.UnixMicro())
	e.headers = append(e.headers, from...)
	e.addInt("Event-Sequence", int64(s.sequence))
}

// A dateStamp keeps the headers that stay the same for a second.
type dateStamp struct {
	second int64
	text   []byte
}

func (d *dateStamp) header(s *Switch, now time.Time) []byte {
	if second := now.Unix(); second != d.second || d.text == nil {
		d.second = second
		now = now.UTC()
		host := s.hostname()
		e := event{headers: append(d.text[:0], '\n')}
		e.add("Core-UUID", s.coreUUID)
		e.add("FreeSWITCH-Hostname", host)
		e.add("FreeSWITCH-Switchname", host)
		e.add("FreeSWITCH-IPv4", "192.0.2.2")
		e.add("FreeSWITCH-IPv6", "fd00::2")
		e.add("Event-Date-Local", now.Format(time.DateTime))
		e.add("Event-Date-GMT", now.Format("Mon, 02 Jan 2006 15:04:05 GMT"))
		d.text = e.headers
	}
	return d.text
}

// fire sends the event to whom it concerns. The event is not to be used
// afterwards; it may be nil. s.mu is held.
func (e *event) fire() {
	if e == nil {
		return
	}
	s := e.s
	s.scratch = e.headers[:0]
	if c := e.channel; c != nil && c.listener != nil && c.listener.narrow {
		c.listener.offer(e)
	}
	if o := e.owner; o != nil && o != e.channel && o.listener != nil && o.listener.narrow {
		o.listener.offer(e)
	}
	for l := range s.wide {
		l.offer(e)
	}
	// An event with a large body or many variables must not keep its buffer for ever.
	if cap(s.scratch) > 1<<20 {
		s.scratch = nil
	}
}

// unescape decodes %XX.
func unescape(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	out := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				out = append(out, byte(n))
				i += 2
				continue
			}
		}
		out = append(out, s[i])
	}
	return string(out)
}
