package engine

import (
	"bufio"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A replay plays the switch's side of a recording to a running server: it answers each command
// of the server's with what the switch answered to the same one, with the Event-UUIDs
// exchanged, and sends the events that followed. Commands that the recording does not have are
// answered as the switch would.
type replay struct {
	t     *testing.T
	steps []replayStep
	data  string // of the socket application, instead of the recording's
}

type replayStep struct {
	from byte // '<' the switch, '>' the server
	text string
}

func readRecording(t *testing.T, name string) []replayStep {
	t.Helper()
	data, err := os.ReadFile("../esl/testdata/transcripts/" + name + ".esl")
	if err != nil {
		t.Fatal(err)
	}
	var steps []replayStep
	for rest := string(data); rest != ""; {
		line, after, _ := strings.Cut(rest, "\n")
		rest = after
		if line == "" || line[0] == '#' {
			continue
		}
		n, err := strconv.Atoi(line[strings.LastIndexByte(line, ' ')+1:])
		if err != nil {
			t.Fatal(err)
		}
		steps = append(steps, replayStep{line[0], rest[:n]})
		rest = strings.TrimPrefix(rest[n:], "\n")
	}
	return steps
}

// headerOf is a header's value in a command.
func headerOf(command, name string) string {
	for line := range strings.Lines(command) {
		if v, ok := strings.CutPrefix(line, name+": "); ok {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// same reports whether a command of the server's is the one recorded. An argument that differs would
// make the recorded answer a lie.
func same(ours, recorded string) bool {
	kind := func(c string) string {
		first, _, _ := strings.Cut(c, "\n")
		return strings.Join([]string{first, headerOf(c, "call-command"), headerOf(c, "execute-app-name"), headerOf(c, "execute-app-arg"), headerOf(c, "hangup-cause")}, "|")
	}
	// Some recordings hang up without saying the cause's default.
	return kind(ours) == kind(recorded) || strings.TrimSuffix(kind(ours), "NORMAL_CLEARING") == kind(recorded)
}

// play has the conversation on nc.
func (r *replay) play(nc net.Conn) {
	defer nc.Close()
	in := bufio.NewReader(nc)
	uuids := make(map[string]string) // the recording's to the server's
	send := func(frame string) bool {
		for from, to := range uuids {
			frame = strings.ReplaceAll(frame, from, to)
		}
		_, err := io.WriteString(nc, frame)
		return err == nil
	}
	// events sends what the switch sent unasked, up to the next command of the recording.
	at := 0
	events := func() bool {
		for at < len(r.steps) && r.steps[at].from == '<' {
			if !send(r.steps[at].text) {
				return false
			}
			at++
		}
		return true
	}
	skipReply := func() {
		if at < len(r.steps) && r.steps[at].from == '<' && strings.Contains(r.steps[at].text, "command/reply") {
			at++
		}
	}
	for {
		var command strings.Builder
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\n" {
				break
			}
			command.WriteString(line)
		}
		ours := command.String()
		found := -1
		for i := at; i < len(r.steps); i++ {
			if r.steps[i].from == '>' && same(ours, strings.TrimSuffix(r.steps[i].text, "\n")) {
				found = i
				break
			}
		}
		if found < 0 {
			if strings.HasPrefix(ours, "sendmsg") && !strings.Contains(ours, "execute-app-name: set\n") && !strings.Contains(ours, "hangup") {
				r.t.Errorf("the server sent what the recording does not have: %q", ours)
			}
			if !send("Content-Type: command/reply\nReply-Text: +OK\n\n") {
				return
			}
			continue
		}
		for at < found { // commands that the server does not send, with their replies
			if r.steps[at].from == '>' {
				at++
				skipReply()
			} else if !send(r.steps[at].text) {
				return
			} else {
				at++
			}
		}
		if theirs := headerOf(r.steps[at].text, "Event-UUID"); theirs != "" {
			uuids[theirs] = headerOf(ours, "Event-UUID")
			if uuids[theirs] == "" { // the server does not wait for this one
				uuids[theirs] = "00000000-0000-4000-8000-000000000000"
			}
		}
		at++
		if strings.HasPrefix(ours, "connect") {
			frame := r.steps[at].text
			if r.data != "" {
				frame = regexp.MustCompile(`(?m)^variable_current_application_data: .*$`).ReplaceAllString(frame, "variable_current_application_data: "+r.data)
			}
			if !send(frame) {
				return
			}
			at++
		}
		if !events() {
			return
		}
		if at == len(r.steps) {
			return
		}
	}
}

// Recorded calls, played to a running server over TCP, end as they did for the switch.
func TestReplay(t *testing.T) {
	type want map[string]string // attributes of a log record
	tests := []struct {
		recording, script string
		data              string
		ending, cause     string
		logs              map[string]want
	}{
		{"basic_async_full", "basic_async_full", "", "hung up by script", "USER_BUSY", map[string]want{
			"heard": {"played": "true", "reason": "played", "ms": "300", "greeting": "hello world"},
			"hook":  {"cause": "USER_BUSY", "q850": "17"}}},
		{"basic_sync_full", "basic_sync_full", "", "hung up by script", "USER_BUSY", map[string]want{
			"heard": {"reason": "played", "greeting": "hello"},
			"hook":  {"cause": "USER_BUSY"}}},
		{"sip_basic", "sip_basic", "", "hung up by script", "USER_BUSY", map[string]want{
			"heard": {"played": "true", "reason": "played", "ms": "300"},
			"hook":  {"cause": "USER_BUSY", "q850": "17"}}},
		{"async_single_channel", "async_single_channel", "", "hung up by script", "USER_BUSY", map[string]want{
			"heard": {"reason": "played"},
			"api":   {"error": `async_single_channel.lua:4: api: needs the word full in the dialplan: <action application="socket" data="host:port async full"/>`},
			"hook":  {"cause": "USER_BUSY"}}},
		{"caller_hangs_up_mid_playback_linger", "caller_hangs_up", "", "caller hung up", "ORIGINATOR_CANCEL", map[string]want{
			"hook": {"cause": "ORIGINATOR_CANCEL", "q850": "16"}}},
		{"caller_hangs_up_no_linger", "caller_hangs_up", "", "caller hung up", "NORMAL_CLEARING", map[string]want{
			"hook": {"cause": "NORMAL_CLEARING"}}},
		{"caller_hangs_up_before_connect_done", "caller_hangs_up", "", "caller hung up", "", map[string]want{"hook": {"cause": ""}}},
		{"unknown_application", "unknown_application", "", "caller hung up", "DESTINATION_OUT_OF_ORDER", nil},
		{"bridge_answered", "bridge", "x loopback/9112/default", "hung up by script", "NORMAL_CLEARING", map[string]want{
			"bridge 1": {"answered": "true", "cause": "NORMAL_CLEARING", "disposition": "SUCCESS", "leg": "one", "seconds": "1.5"}}},
		{"bridge_busy", "bridge", "x loopback/9110/default", "hung up by script", "NORMAL_CLEARING", map[string]want{
			"bridge 1": {"answered": "false", "cause": "USER_BUSY", "disposition": "USER_BUSY", "leg": "", "seconds": "0"}}},
		{"bridge_no_answer", "bridge_execute", "x [leg_timeout=2]loopback/9111/default", "hung up by script", "NORMAL_CLEARING", map[string]want{
			"bridge 1": {"disposition": "ALLOTTED_TIMEOUT", "cause": "ALLOTTED_TIMEOUT"}}},
		{"bridge_bad_endpoint", "bridge", "x nosuch/1000 user/9999@nowhere", "hung up by script", "NORMAL_CLEARING", map[string]want{
			"bridge 1": {"answered": "false", "cause": "CHAN_NOT_IMPLEMENTED", "disposition": "CHAN_NOT_IMPLEMENTED"},
			"bridge 2": {"answered": "false", "cause": "SUBSCRIBER_ABSENT", "disposition": "SUBSCRIBER_ABSENT"}}},
		{"bridge_aleg_hangs_up", "bridge", "x loopback/9004/default", "caller hung up", "NORMAL_CLEARING", nil},
		{"path_and_words", "path_and_words", "", "hung up by script", "NORMAL_CLEARING", map[string]want{
			"words": {"lang": "sv", "tenant": "acme"}}},
	}
	for _, tt := range tests {
		t.Run(tt.recording, func(t *testing.T) {
			t.Parallel()
			text, err := os.ReadFile("testdata/replay/" + tt.script + ".lua")
			if err != nil {
				t.Fatal(err)
			}
			log := &logbook{}
			config := fmt.Sprintf("[scripts]\ndefault = %q\n", tt.script)
			library, _ := newLibrary(t, config, map[string]string{tt.script + ".lua": string(text), "support/menu.lua": string(text)}, slog.New(log))
			server := &Server{Library: library, Logger: slog.New(log)}
			l := listen(t)
			served := make(chan error, 1)
			go func() { served <- server.Serve(l) }()
			defer func() { server.Close(); <-served }()

			nc, err := net.Dial("tcp", l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			nc.SetDeadline(time.Now().Add(time.Minute))
			r := &replay{t: t, steps: readRecording(t, tt.recording), data: strings.ReplaceAll(tt.data, " ", "%20")}
			r.play(nc)
			end := log.await(t, "call ended")
			if end["ending"] != tt.ending || end["cause"] != tt.cause {
				t.Errorf("the call ended as %q with %q, want %q with %q", end["ending"], end["cause"], tt.ending, tt.cause)
			}
			for message, attrs := range tt.logs {
				got := log.find(message)
				for _, name := range slices.Sorted(maps.Keys(attrs)) {
					if got == nil || got[name] != attrs[name] {
						t.Errorf("%s: %s is %q, want %q", message, name, got[name], attrs[name])
					}
				}
			}
			defer func() {
				if t.Failed() {
					t.Log("logged:\n" + log.String())
				}
			}()
			for _, message := range []string{"never logged", "script error", "the switch refused a command"} {
				if e := log.find(message); e != nil {
					t.Errorf("logged %s: %v", message, e)
				}
			}
		})
	}
}

func listen(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}
