package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"callisto/esl"
)

// A liveSwitch is a real FreeSWITCH, with an engine in front that serves testdata/live.
type liveSwitch struct {
	*house
	inbound *esl.Conn
	host    string // the engine's address as the switch sees it
}

func newLive(t *testing.T, config string, scripts map[string]string) *liveSwitch {
	t.Helper()
	addr := os.Getenv("CALLISTO_LIVE")
	if addr == "" {
		t.Skip("no switch is given: make test-live FREESWITCH=host:8021 PASSWORD=ClueCon [CALLISTO=our.address]")
	}
	files, err := filepath.Glob("testdata/live/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal("no scripts", err)
	}
	all := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all[filepath.Base(f)] = string(text)
	}
	all["hostile.lua"] = "return {}"
	for name, text := range scripts {
		all[name] = text
	}
	if config == "" {
		config = "[calls]\n"
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	conn, err := esl.Dial(ctx, addr, esl.Auth{Password: os.Getenv("CALLISTO_LIVE_PASSWORD")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })

	l := &liveSwitch{inbound: conn, host: os.Getenv("CALLISTO_LIVE_LISTEN")}
	if l.host == "" { // the address that this machine has towards the switch
		nc, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		l.host, _, _ = net.SplitHostPort(nc.LocalAddr().String())
		nc.Close()
	}
	listener, err := net.Listen("tcp", net.JoinHostPort(l.host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	l.house = newHouseOn(t, listener, "[server]\nallow = [\"0.0.0.0/0\", \"::/0\"]\n"+config, all, nil)
	return l
}

// api runs an API command on the switch.
func (l *liveSwitch) api(command, args string) string {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := l.inbound.Do(ctx, esl.API{Command: command, Args: args})
	if err != nil && !errors.As(err, new(*esl.ReplyError)) {
		l.t.Fatal(err)
	}
	return strings.TrimSpace(r.Text)
}

// originate places a call to a script; data is what the socket application is given besides the
// address. The channel is ours to clean up.
// origination_callee_id_name among the vars is the caller's name: the switch exchanges the two for a
// leg that it dialled.
func (l *liveSwitch) originate(vars, data string) (uuid string) {
	l.t.Helper()
	return l.place(vars, "&socket('"+l.addr+"/"+data+"')")
}

func (l *liveSwitch) place(vars, application string) (uuid string) {
	l.t.Helper()
	uuid = l.api("create_uuid", "")
	args := "{origination_uuid=" + uuid + ",ignore_early_media=true" + vars + "}null/1 " + application
	if r, err := l.inbound.Do(context.Background(), esl.BgAPI{Command: "originate", Args: args}); err != nil {
		l.t.Fatal(r, err)
	}
	l.t.Cleanup(func() {
		if l.inbound.Err() == nil && l.api("uuid_exists", uuid) == "true" {
			l.api("uuid_kill", uuid)
		}
	})
	return uuid
}

// want checks attributes of the first line with a message about a call.
func (l *liveSwitch) want(uuid, message string, attrs map[string]string) {
	l.t.Helper()
	got := l.log.of(message, uuid)
	for name, value := range attrs {
		if got == nil || got[name] != value {
			l.t.Errorf("%s: %s is %q, want %q\n%s", message, name, got[name], value, l.log)
		}
	}
}

func (l *liveSwitch) end(uuid, ending, cause string) {
	l.t.Helper()
	if e := l.log.awaitOf(l.t, "call ended", uuid); e["ending"] != ending || e["cause"] != cause {
		l.t.Errorf("ended as %q with %q, want %q with %q\n%s", e["ending"], e["cause"], ending, cause, l.log)
	}
	if l.log.find("never") != nil {
		l.t.Error("the script went on")
	}
}

// The simple flow, in all modes.
func TestLiveModes(t *testing.T) {
	for _, mode := range modes {
		t.Run(mode, func(t *testing.T) {
			l := newLive(t, "", nil)
			uuid := l.originate(",origination_callee_id_name='Ada Test'", "results "+mode)
			cause := "USER_BUSY"
			l.end(uuid, "hung up by script", cause)
			l.want(uuid, "heard", map[string]string{"played": "true", "why": "played", "greeting": "hello world", "caller": "Ada Test"})
			l.want(uuid, "missing", map[string]string{"why": "not found"})
			l.want(uuid, "hook", map[string]string{"cause": cause})
		})
	}
}

func TestLiveEndings(t *testing.T) {
	t.Run("unknown application", func(t *testing.T) {
		l := newLive(t, "", nil)
		l.end(l.originate("", "unknown async full"), "caller hung up", "DESTINATION_OUT_OF_ORDER")
	})
	t.Run("uuid_kill, lingering", func(t *testing.T) {
		l := newLive(t, "", nil)
		uuid := l.originate("", "long async full")
		l.log.awaitOf(t, "answered", uuid)
		l.api("uuid_kill", uuid+" CALL_REJECTED")
		l.end(uuid, "caller hung up", "CALL_REJECTED")
		l.want(uuid, "hook", map[string]string{"cause": "CALL_REJECTED"})
	})
	t.Run("uuid_kill, without linger", func(t *testing.T) {
		l := newLive(t, "", nil)
		uuid := l.originate("", "long async")
		l.log.awaitOf(t, "answered", uuid)
		l.api("uuid_kill", uuid+" CALL_REJECTED")
		if e := l.log.awaitOf(t, "call ended", uuid); e["ending"] != "caller hung up" || e["cause"] != "" && e["cause"] != "CALL_REJECTED" {
			t.Errorf("ended as %v", e)
		}
	})
	t.Run("limits.call in a playback", func(t *testing.T) {
		l := newLive(t, "[limits]\ncall = \"1s\"\n", nil)
		l.end(l.originate("", "long async full"), "timed out", "ALLOTTED_TIMEOUT")
	})
	t.Run("hangup behind music", func(t *testing.T) {
		l := newLive(t, "", nil)
		uuid := l.originate("", "music async full")
		l.end(uuid, "hung up by script", "USER_BUSY")
		if l.api("uuid_exists", uuid) != "false" {
			t.Error("the channel is still there")
		}
	})
	t.Run("transfer", func(t *testing.T) {
		l := newLive(t, "", nil)
		l.end(l.originate("", "transfer async full"), "transferred", "")
	})
	t.Run("apis", func(t *testing.T) {
		l := newLive(t, "", nil)
		uuid := l.originate("", "apis async full")
		l.end(uuid, "hung up by script", "NORMAL_CLEARING")
		l.want(uuid, "apis", map[string]string{"name": "null/1", "none": "true", "why": "true", "job": "from the background"})
	})
}

func TestLiveBridge(t *testing.T) {
	l := newLive(t, "", nil)
	// None of these needs a dialplan: error/ refuses, null/ answers at once and waits.
	uuid := l.originate("", "bridges async full error/USER_BUSY error/NO_ANSWER nosuch/1000 null/2")
	l.log.until(t, func() bool { return l.log.of("bridge 3", uuid) != nil })
	l.want(uuid, "bridge 1", map[string]string{"answered": "false", "cause": "USER_BUSY", "disposition": "USER_BUSY"})
	l.want(uuid, "bridge 2", map[string]string{"answered": "false", "cause": "NO_ANSWER"})
	l.want(uuid, "bridge 3", map[string]string{"answered": "false", "disposition": "CHAN_NOT_IMPLEMENTED"})
	other := ""
	for limit := time.Now().Add(20 * time.Second); other == "" && time.Now().Before(limit); { // each turn asks the switch
		if v := l.api("uuid_getvar", uuid+" bridge_uuid"); v != "_undef_" && !strings.HasPrefix(v, "-ERR") {
			other = v
		}
	}
	l.api("uuid_kill", other+" NORMAL_CLEARING")
	l.end(uuid, "hung up by script", "NORMAL_CLEARING")
	l.want(uuid, "bridge 4", map[string]string{"answered": "true", "cause": "NORMAL_CLEARING", "disposition": "SUCCESS"})
}

// No text makes the switch evaluate anything, and each arrives byte for byte.
func TestLiveLiteral(t *testing.T) {
	touched := filepath.Join(t.TempDir(), "INJECTED")
	system := "${system(touch " + touched + ")}"
	hostile := []string{
		system, "\\" + system, "\\\\" + system, "$" + system, "a'" + system + "'b", "${${hostname}}", "${hostname}", "$\\{hostname}",
		"\\'\\n\\s\\t\\\\", "%[x=" + system + "]y", "$", "$$", "x$", "${", "}", "\\", "\\\\",
		"x\n\nsendmsg\ncall-command: hangup\n\n", "x\nX: y", "x\r\n\r\ny", "a=b", "a,b|c", "日本語 ünï", "100%25 %20",
	}
	var list strings.Builder
	for _, s := range hostile {
		for i := range len(s) {
			fmt.Fprintf(&list, "\\%03d", s[i])
		}
		list.WriteString("\", \"")
	}
	l := newLive(t, "", map[string]string{"hostile.lua": "return { \"" + strings.TrimSuffix(list.String(), ", \"") + " }"})
	// originate refuses such names; a phone's INVITE does not. The backslash is for the dialplan's own
	// expansion.
	uuid := l.place("", "'m:^:set_profile_var:caller_id_name=\\"+system+"^socket:"+l.addr+"/literal async full' inline")
	l.end(uuid, "hung up by script", "NORMAL_CLEARING")
	l.want(uuid, "done", map[string]string{"caller": system})
	hostile = append(hostile, system)
	seen := 0
	for _, e := range l.log.all("literal") {
		nr, _ := strconv.Atoi(e["nr"])
		want := hostile[nr-1]
		seen++
		if e["log"] != "DEBUG "+want {
			t.Errorf("log got %q, not %q", e["log"], want)
		}
		if e["set"] != want || e["export"] != want {
			t.Errorf("set %q and export %q, not %q", e["set"], e["export"], want)
		}
	}
	if seen != len(hostile) {
		t.Errorf("%d of %d texts were tried\n%s", seen, len(hostile), l.log)
	}
	l.want(uuid, "expand", map[string]string{"plain": "${hostname}", "expanded": "true"})
	if _, err := os.Stat(touched); !errors.Is(err, os.ErrNotExist) {
		t.Error("the switch ran the command")
	}
}

// When the engine goes, the dialplan's next socket action reaches another, with all variables.
func TestLiveResume(t *testing.T) {
	first := newLive(t, "", map[string]string{"first.lua": `call:answer() call:set("mark", "kept") log.info("first") call:playback("silence_stream://20000")`})
	second := newLive(t, "", map[string]string{"second.lua": `log.info("second", { mark = call:get("mark") }) call:hangup("USER_BUSY")`})
	uuid := first.place(",socket_resume=true", "'m:^:socket:"+first.addr+"/first async full^socket:"+second.addr+"/second async full' inline")
	first.log.awaitOf(t, "first", uuid)
	for first.api("uuid_getvar", uuid+" current_application") != "playback" { // each turn asks the switch
	}
	first.server.Close()
	second.end(uuid, "hung up by script", "USER_BUSY")
	second.want(uuid, "second", map[string]string{"mark": "kept"})
}

// The time to the first prompt is reported, as it depends on the switch's machine.
func TestLiveFirstPrompt(t *testing.T) {
	l := newLive(t, "", nil)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	uuid := l.api("create_uuid", "")
	for _, cmd := range []esl.Command{esl.Filter{Header: "Unique-ID", Value: uuid}, esl.Events{Names: []string{"CHANNEL_EXECUTE"}}} {
		if _, err := l.inbound.Do(ctx, cmd); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := l.inbound.Do(ctx, esl.BgAPI{Command: "originate", Args: "{origination_uuid=" + uuid + "}null/1 &socket('" + l.addr + "/prompt async full')"}); err != nil {
		t.Fatal(err)
	}
	var began int64
	sets := 0
	for {
		e, err := l.inbound.Next(ctx)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := strconv.ParseInt(e.Get("Event-Date-Timestamp"), 10, 64)
		switch e.Get("Application") {
		case "socket":
			began = at
		case "set":
			sets++
		case "playback":
			t.Logf("the playback began %v after the socket application, %d sets before it", time.Duration(at-began)*time.Microsecond, sets)
			if sets != 10 || began == 0 {
				t.Error("that is not the whole story")
			}
			l.end(uuid, "hung up by script", "NORMAL_CLEARING")
			return
		}
	}
}

// A call that is given back goes on in the dialplan, in every mode and however early: when its
// script returns at once, when there is no room for it, and when the engine goes away.
func TestLiveGoesOn(t *testing.T) {
	then := newLive(t, "", map[string]string{"then.lua": `log.info("went on", { mark = call:get("mark") }) call:hangup("USER_BUSY")`})
	for _, mode := range modes {
		place := func(l *liveSwitch, script string) string {
			return l.place("", "'m:^:socket:"+l.addr+"/"+script+" "+mode+"^socket:"+then.addr+"/then async full' inline")
		}
		t.Run("it returns at once, "+mode, func(t *testing.T) {
			l := newLive(t, "[calls]\non_return = \"continue\"\n", map[string]string{"once.lua": `call:set("mark", "kept")`})
			uuid := place(l, "once")
			then.end(uuid, "hung up by script", "USER_BUSY")
			then.want(uuid, "went on", map[string]string{"mark": "kept"})
		})
		t.Run("there is no room, "+mode, func(t *testing.T) {
			l := newLive(t, "max_calls = 1\n", map[string]string{"stay.lua": `call:answer() log.info("in") call:playback("silence_stream://20000")`})
			first := l.originate("", "stay async full")
			l.log.awaitOf(t, "in", first)
			uuid := place(l, "stay")
			then.end(uuid, "hung up by script", "USER_BUSY")
		})
		t.Run("the engine goes away, "+mode, func(t *testing.T) {
			l := newLive(t, "", map[string]string{"gone.lua": `call:answer() log.info("in") call:playback("silence_stream://1500")`})
			uuid := place(l, "gone")
			l.log.awaitOf(t, "in", uuid)
			l.server.Close()
			then.end(uuid, "hung up by script", "USER_BUSY")
		})
	}
}
