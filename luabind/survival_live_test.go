package luabind_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/esl"
)

// survivalScripts, in the environment, makes the test binary an engine that serves the scripts of that directory.
const survivalScripts = "CALLISTO_SURVIVAL_SCRIPTS"

func init() {
	dir := os.Getenv(survivalScripts)
	if dir == "" {
		return
	}
	config := *engine.DefaultConfig()
	config.Scripts.Root, config.Flows.Key = dir, "a secret of both"
	log := slog.New(slog.DiscardHandler)
	library, err := engine.NewLibrary(context.Background(), &config, log)
	if err == nil {
		var ln net.Listener
		if ln, err = net.Listen("tcp", "127.0.0.1:0"); err == nil {
			fmt.Println(ln.Addr())
			err = (&engine.Server{Library: library, Logger: log}).Serve(ln)
		}
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

const liveSurvival = prelude + `return flow{ start = "greet",
greet = flow.playback{ "silence_stream://4000", next = "ask" },
ask   = flow.gather{ prompt = "silence_stream://6000", max = 2, next = "note", otherwise = "note" },
note  = flow.record{ "/tmp/callisto-live-{ask}.wav", max = "3s", next = "ring" },
ring  = flow.bridge{ "null/2", vars = { execute_on_answer = "sched_hangup +3" }, answered = "room", otherwise = "lost" },
room  = flow.conference{ "callisto-live-flow", next = "tell" },
tell  = flow.run{ to = "bye", function(call, data) out(data.ask, data.note.path, data.note.reason) end },
bye   = flow.hangup{ "USER_BUSY" },
lost  = flow.hangup{ "NORMAL_TEMPORARY_FAILURE" },
}`

// An engine's process is killed while a real switch runs each of a flow's applications for a call. The dialplan's second
// socket action reaches another engine, and the call goes on there; who talks, or leaves a message, is not disturbed.
func TestLiveSurvival(t *testing.T) {
	for _, tt := range []struct {
		app   string // is running when the engine is killed
		takes string // the step that is taken over
	}{
		{"playback", "greet"}, {"read", "ask"}, {"record", "note"}, {"bridge", "ring"}, {"conference", "room"},
	} {
		t.Run(tt.app, func(t *testing.T) {
			l := newLive(t, map[string]string{"main": liveSurvival}, func(c *engine.Config) { c.Flows.Key = "a secret of both" })
			t.Parallel()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "main.lua"), []byte(liveSurvival), 0o644); err != nil {
				t.Fatal(err)
			}
			process := exec.Command(os.Args[0])
			process.Env = append(os.Environ(), survivalScripts+"="+dir)
			out, err := process.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := process.Start(); err != nil {
				t.Fatal(err)
			}
			defer process.Wait()
			defer process.Process.Kill()
			first, err := bufio.NewReader(out).ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}

			uuid := l.api("create_uuid", "")
			l.sw.Post(esl.BgAPI{Command: "originate", Args: fmt.Sprintf("{origination_uuid=%s}null/1 'm:^:socket:%s/main async full^socket:%s/main async full' inline",
				uuid, strings.TrimSpace(first), l.addr)})
			l.sw.Flush()
			defer l.api("uuid_kill", uuid)
			began := time.Now()
			dead, sent := false, false
			for time.Since(began) < 40*time.Second { // each turn asks the switch
				app := l.api("uuid_getvar", uuid+" current_application")
				if strings.HasPrefix(app, "-ERR") && time.Since(began) > 5*time.Second {
					break
				}
				if !dead && app == tt.app {
					dead = true
					process.Process.Kill()
				} else if _, taken := l.log.find("call taken over", uuid); app == "read" && !sent && taken == dead {
					sent = true
					l.api("uuid_recv_dtmf", uuid+" 42")
				} else if app == "conference" && taken == dead || app == "conference" && tt.app == "conference" && dead {
					l.api("conference", "callisto-live-flow kick all")
				}
				if _, ok := l.log.find("call ended", uuid); ok {
					break
				}
			}
			l.logged(uuid, "call ended")
			e, ok := l.log.find("call taken over", uuid)
			if !ok || e.attrs["step"] != tt.takes {
				t.Errorf("taken over %v, want at %s", e.attrs, tt.takes)
			}
			if m := l.log.messages(); len(m) != 1 || m[0] != "42 /tmp/callisto-live-42.wav max" && m[0] != "42 /tmp/callisto-live-42.wav ended" {
				t.Errorf("logged %q", m)
			}
			if e, _ := l.log.find("call ended", uuid); e.attrs["cause"] != "USER_BUSY" {
				t.Errorf("the call ended %v\n%s", e.attrs, l.log)
			}
		})
	}
}
