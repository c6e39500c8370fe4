package luabind

import (
	"strings"

	"callisto/esl"
)

// When the connection ends before the call does, the switch looks at the variable socket_resume: if it is set, what runs
// on the channel is cut off and the dialplan goes on at once; else that is when what runs has ended (both measured on
// FreeSWITCH 1.11). A prompt is better cut off: the next engine plays it again. A conversation is not, and record
// would even hang up. So every call of an async full socket has it set, except while something lasting runs.

const resumeVariable = "socket_resume"

// lasting are the applications that are left to end when the engine dies.
var lasting = map[string]bool{
	"bridge": true, "conference": true, "callcenter": true, "fifo": true, "valet_park": true, "voicemail": true, "record": true, "att_xfer": true,
}

// LetGoOn says what becomes of what runs on the channel should the connection end: it is cut off and the dialplan goes
// on, or it runs to its end first. It is sent with the next command. The connection is async and full.
func LetGoOn(conn *esl.Conn, cutOff bool) error {
	args := conn.UUID() + " " + resumeVariable
	if cutOff {
		args += " true"
	}
	return conn.Post(esl.API{Command: "uuid_setvar", Args: args})
}

// KeepsPlace reports whether an API command, or an application, is one that keeps a call's place, or what becomes of it should
// the engine die: what no verb of the script asked for.
func KeepsPlace(uuid, function, args string) bool {
	if function == "set" || function == "unset" {
		name, _, _ := strings.Cut(args, "=")
		return name == StateVariable
	}
	rest, ok := strings.CutPrefix(args, uuid+" ")
	return ok && strings.HasPrefix(function, "uuid_setvar") && (strings.HasPrefix(rest, StateVariable) || strings.HasPrefix(rest, resumeVariable))
}

// lasts reports whether an application is left to end when the engine dies.
func (c *Call) lasts(app string) bool {
	return lasting[app] && c.leg == nil && c.conn.Async() && c.conn.Full()
}
