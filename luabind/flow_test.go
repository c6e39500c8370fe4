package luabind_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"callisto/engine"
	"callisto/engine/services"
	"callisto/luabind"
	"callisto/simulator"
)

// A stepCase is a flow of which each outcome of the step x leads to a step that logs its name.
type stepCase struct {
	name   string
	x      string   // flow.kind{…}, with outcomes that lead to steps called at_…
	more   string   // further words of the flow
	caller []string // as for flow
	want   []string // what was logged
	does   []string // what the channel must have done, in this order
}

func (s stepCase) script() string {
	var b strings.Builder
	b.WriteString(prelude + "return flow{ start = \"x\", x = " + s.x + ", " + s.more + "\n")
	for _, name := range []string{"next", "failed", "nothing", "wrong", "otherwise", "answered", "busy", "no_answer", "rejected", "left", "timeout",
		"one", "two", "missing", "small", "large", "sweden", "swedish", "ok", "no"} {
		if strings.Contains(s.x+s.more, `"at_`+name+`"`) {
			b.WriteString("at_" + name + ` = flow.run{ to = "done", function(call, data) out("` + name + `", data.x, data.seen) end },` + "\n")
		}
	}
	b.WriteString("}")
	return b.String()
}

var stepCases = []stepCase{
	{name: "playback", x: `flow.playback{ "a.wav", "b.wav", next = "at_next" }`, want: []string{"next nil nil"}, does: []string{"answer", "playback a.wav", "playback b.wav"}},
	{name: "playback of a missing file", x: `flow.playback{ "/nosuch/a.wav", next = "at_next", failed = "at_failed" }`, want: []string{"playback: not found", "failed nil nil"}},
	{name: "playback of a missing file goes on", x: `flow.playback{ "/nosuch/a.wav", next = "at_next" }`, want: []string{"playback: not found", "next nil nil"}},
	{name: "say", x: `flow.say{ "42", "number", method = "counted", next = "at_next" }`, want: []string{"next nil nil"}, does: []string{"say en number counted 42"}},
	{name: "speak", x: `flow.speak{ "Hello there", engine = "flite", voice = "slt", next = "at_next" }`, want: []string{"next nil nil"}, does: []string{"speak flite|slt|Hello there"}},
	{name: "speak with the flow's voice", x: `flow.speak{ "Hello", next = "at_next" }`, more: `defaults = { engine = "flite", voice = "rms" },`, want: []string{"next nil nil"}, does: []string{"set tts_engine=flite", "speak flite|rms|Hello"}},
	{name: "gather", x: `flow.gather{ prompt = "pin.wav", min = 4, max = 4, next = "at_next", otherwise = "at_otherwise" }`, caller: []string{"500ms press 1234"}, want: []string{"next 1234 nil"}},
	{name: "gather into", x: `flow.gather{ prompt = "pin.wav", max = 2, into = "seen", next = "at_next", otherwise = "at_otherwise" }`, caller: []string{"500ms press 12"}, want: []string{"next nil 12"}},
	{name: "gather nothing", x: `flow.gather{ prompt = "pin.wav", next = "at_next", nothing = "at_nothing", otherwise = "at_otherwise" }`, want: []string{"nothing nil nil"}},
	{name: "gather wrong", x: `flow.gather{ prompt = "pin.wav", max = 2, pattern = "9.", next = "at_next", wrong = "at_wrong", otherwise = "at_otherwise" }`, caller: []string{"500ms press 12"}, want: []string{"wrong nil nil"}},
	{name: "gather with a pattern that counts", x: `flow.gather{ prompt = "pin.wav", max = 4, pattern = "10[0-9]{2}", next = "at_next", otherwise = "at_otherwise" }`, caller: []string{"500ms press 1042"}, want: []string{"next 1042 nil"}},
	{name: "gather otherwise", x: `flow.gather{ prompt = "pin.wav", next = "at_next", otherwise = "at_otherwise" }`, want: []string{"otherwise nil nil"}},
	{name: "menu", x: `flow.menu{ prompt = "menu.wav", keys = { ["1"] = "at_one", ["2"] = "at_two" }, otherwise = "at_otherwise" }`, caller: []string{"500ms press 2"}, want: []string{"two nil nil"}},
	{name: "menu with a number for a key", x: `flow.menu{ prompt = "menu.wav", keys = { "at_one", "at_two" }, otherwise = "at_otherwise" }`, caller: []string{"500ms press 1"}, want: []string{"one nil nil"}},
	{name: "menu by a word", x: `flow.menu{ prompt = "menu.wav", keys = { ["1"] = "at_one" }, speech = { engine = "unimrcp", grammar = "builtin:speech" }, words = { sales = "at_one", ["the operator"] = "at_two" }, otherwise = "at_otherwise" }`, caller: []string{"500ms say The operator"}, want: []string{"two nil nil"}},
	{name: "menu by no such word", x: `flow.menu{ prompt = "menu.wav", tries = 1, keys = { ["1"] = "at_one" }, speech = { engine = "unimrcp", grammar = "builtin:speech" }, words = { sales = "at_one" }, nothing = "at_nothing", wrong = "at_wrong" }`, caller: []string{"500ms say Hello"}, want: []string{"wrong nil nil"}},
	{name: "menu nothing", x: `flow.menu{ prompt = "menu.wav", keys = { ["1"] = "at_one" }, nothing = "at_nothing", wrong = "at_wrong" }`, want: []string{"nothing nil nil"}},
	{name: "menu wrong", x: `flow.menu{ prompt = "menu.wav", tries = 1, keys = { ["1"] = "at_one" }, nothing = "at_nothing", wrong = "at_wrong" }`, caller: []string{"500ms press 7"}, want: []string{"wrong nil nil"}},
	{name: "menu with the flow's tries", x: `flow.menu{ prompt = "menu.wav", keys = { ["1"] = "at_one" }, otherwise = "at_otherwise" }`, more: `defaults = { tries = 1, timeout = "2s" },`, want: []string{"otherwise nil nil"}, does: []string{"read 1 1 menu.wav callisto_digits 2000 ~ 3000"}},
	{name: "record", x: `flow.record{ "/tmp/a.wav", max = "2s", next = "at_next" }`, want: []string{"next a_table nil"}, does: []string{"record /tmp/a.wav 2"}},
	{name: "bridge answered", x: `flow.bridge{ "user/short", answered = "at_answered", otherwise = "at_otherwise" }`, want: []string{"answered nil nil"}},
	{name: "bridge busy", x: `flow.bridge{ "user/busy", answered = "at_answered", busy = "at_busy", otherwise = "at_otherwise" }`, want: []string{"busy nil nil"}},
	{name: "bridge no answer", x: `flow.bridge{ "user/never", ring = "5s", answered = "at_answered", no_answer = "at_no_answer", otherwise = "at_otherwise" }`, want: []string{"no_answer nil nil"}, does: []string{"set call_timeout=5"}},
	{name: "bridge rejected", x: `flow.bridge{ "error/CALL_REJECTED", answered = "at_answered", rejected = "at_rejected", otherwise = "at_otherwise" }`, want: []string{"rejected nil nil"}},
	{name: "bridge failed", x: `flow.bridge{ "nowhere/1", answered = "at_answered", failed = "at_failed", otherwise = "at_otherwise" }`, want: []string{"failed nil nil"}},
	{name: "bridge tries the next", x: `flow.bridge{ "user/busy", "user/short", answered = "at_answered", otherwise = "at_otherwise" }`, want: []string{"answered nil nil"}, does: []string{"bridge user/busy", "bridge user/short"}},
	{name: "queue answered", x: `flow.queue{ "support@default", answered = "at_answered", otherwise = "at_otherwise" }`, want: []string{"answered nil nil"}},
	{name: "queue left", x: `flow.queue{ "empty@default", exit_key = "9", answered = "at_answered", left = "at_left", otherwise = "at_otherwise" }`, caller: []string{"2s press 9"}, want: []string{"left nil nil"}},
	{name: "conference", x: `flow.conference{ "room", next = "at_next" }`, caller: []string{"2s api conference room kick all"}, want: []string{"next nil nil"}},
	{name: "voicemail", x: `flow.voicemail{ "1001", domain = "example.com", next = "at_next" }`, want: []string{"next nil nil"}, does: []string{"voicemail default example.com 1001"}},
	{name: "set", x: `flow.set{ vars = { language = "sv", old = false }, data = { seen = 1 }, next = "at_next" }`, want: []string{"next nil 1"}, does: []string{"set language=sv", "unset old"}},
	{name: "branch on a case", x: `flow.set{ data = { amount = "sv" }, next = "y" }`, more: `y = flow.branch{ on = "amount", cases = { sv = "at_swedish" }, otherwise = "at_otherwise" },`, want: []string{"swedish nil nil"}},
	{name: "branch on the caller", x: `flow.branch{ on = "call.caller.number", cases = { ["+1*"] = "at_one", ["+1555*"] = "at_two" }, otherwise = "at_otherwise" }`, want: []string{"two nil nil"}},
	{name: "branch on a number", x: `flow.set{ data = { amount = 150 }, next = "y" }`, more: `y = flow.branch{ on = "amount", at_least = { [0] = "at_small", [100] = "at_large", [1000] = "at_no" }, otherwise = "at_otherwise" },`, want: []string{"large nil nil"}},
	{name: "branch on nothing", x: `flow.branch{ on = "call.vars.none", cases = { a = "at_one" }, missing = "at_missing", otherwise = "at_otherwise" }`, want: []string{"missing nil nil"}},
	{name: "branch otherwise", x: `flow.branch{ on = "call.destination", cases = { a = "at_one" }, otherwise = "at_otherwise" }`, want: []string{"otherwise nil nil"}},
	{name: "run", x: `flow.run{ to = { "at_one", "at_two" }, function(call, data) data.seen = call.destination return "at_two" end }`, want: []string{"two nil 9000"}},
	{name: "hours open", x: `flow.hours{ "sat 00:00-12:00", zone = "UTC", open = "at_one", closed = "at_two" }`, want: []string{"one nil nil"}}, // tests begin on such a day
	{name: "hours closed", x: `flow.hours{ "mon-fri 09:00-17:00", zone = "UTC", open = "at_one", closed = "at_two" }`, want: []string{"two nil nil"}},
	{name: "hours on a holiday", x: `flow.hours{ "daily 09:00-17:00", zone = "UTC", holidays = { "01-01" }, open = "at_one", holiday = "at_no", closed = "at_two" }`, want: []string{"no nil nil"}},
	{name: "http", x: `flow.http{ "https://x.test/a/{call.caller.name}?q=1", json = { n = "{call.destination}" }, method = "POST", into = "seen", next = "y", failed = "at_failed" }`,
		more: `y = flow.run{ to = "done", function(call, data) out(data.seen.url, data.seen.body, data.seen.list[2], data.seen.none) end },`, want: []string{`POST https://x.test/a/Ada%20Test?q=1 {"n":"9000"} 2 nil`}},
	{name: "http parts", x: `flow.http{ "https://x.test/parts", into = { seen = "list.2", x = "nothing.there" }, next = "at_next", failed = "at_failed" }`, want: []string{"next nil 2"}},
	{name: "http text", x: `flow.http{ "https://x.test/text", into = "seen", next = "at_next", failed = "at_failed" }`, want: []string{"next nil plain text"}},
	{name: "http missing", x: `flow.http{ "https://x.test/404", next = "at_next", missing = "at_missing", failed = "at_failed" }`, want: []string{"missing nil nil"}},
	{name: "http another status", x: `flow.http{ "https://x.test/500", next = "at_next", failed = "at_failed" }`, want: []string{"a step has an answer that is no success", "failed nil nil"}},
	{name: "http more than data can keep", x: `flow.http{ "https://x.test/large", into = "seen", next = "at_next", failed = "at_failed" }`, want: []string{"a step has an answer that cannot be kept", "failed nil nil"}},
	{name: "http many small parts", x: `flow.http{ "https://x.test/many", into = "seen", next = "at_next", failed = "at_failed" }`, want: []string{"a step has an answer that cannot be kept", "failed nil nil"}},
	{name: "http lost", x: `flow.http{ "https://x.test/lost", next = "at_next", failed = "at_failed" }`, want: []string{"a step has no answer", "failed nil nil"}},
	{name: "sql", x: `flow.sql{ "SELECT name, n, '{n}' AS braces FROM t WHERE name = :who", database = "db", with = { who = "{call.caller.name}" }, into = "seen", next = "y", failed = "at_failed" }`,
		more: `y = flow.run{ to = "done", function(call, data) out(data.seen.name, data.seen.n + 1, data.seen.braces) end },`, want: []string{"Ada Test 8 {n}"}},
	{name: "sql parts", x: `flow.sql{ "SELECT n FROM t WHERE n = :n", database = "db", with = { n = 7 }, into = { seen = "n" }, next = "at_next", failed = "at_failed" }`, want: []string{"next nil 7"}},
	{name: "sql none", x: `flow.sql{ "SELECT n FROM t WHERE name = :who", database = "db", with = { who = "'; DROP TABLE t; --" }, next = "at_next", missing = nil, none = "at_nothing", failed = "at_failed" }`, want: []string{"nothing nil nil"}},
	{name: "sql exec", x: `flow.sql{ "UPDATE t SET n = :n WHERE name = 'Ada Test'", database = "db", exec = true, with = { n = "{nothing}" }, into = "seen", next = "at_next", failed = "at_failed" }`, want: []string{"next nil 1"}},
	{name: "sql refused", x: `flow.sql{ "SELECT nothing FROM nowhere", database = "db", next = "at_next", failed = "at_failed" }`, want: []string{"a module's function failed", "failed nil nil"}},
	{name: "hangup", x: `flow.hangup{ "USER_BUSY" }`, want: nil},
	{name: "transfer", x: `flow.transfer{ "1000", "XML", "default" }`, want: nil, does: []string{"transfer 1000 XML default"}},
}

// An echoServer answers with what it was asked.
type echoServer struct{}

func (echoServer) Send(_ context.Context, r luabind.HTTPRequest) (*luabind.HTTPResponse, error) {
	answer := &luabind.HTTPResponse{Status: 200, Header: http.Header{}, URL: r.URL.String()}
	switch r.URL.Path {
	case "/404":
		answer.Status = 404
	case "/500":
		answer.Status = 500
	case "/lost":
		return nil, errors.New("lost")
	case "/large":
		answer.Body = `"` + strings.Repeat("x", 9000) + `"`
	case "/many":
		answer.Body = "[" + strings.Repeat(`{"n":12345},`, 1500) + "1]"
	case "/text":
		answer.Body = "plain text"
	default:
		said, _ := json.Marshal(map[string]any{"url": r.Method + " " + r.URL.String(), "body": string(r.Body), "list": []int{1, 2}, "none": nil})
		answer.Body = string(said)
	}
	return answer, nil
}

func TestStepOutcomes(t *testing.T) {
	for _, tt := range stepCases {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				b := newBench(t, map[string]string{"main": strings.ReplaceAll(tt.script(), "data.x,", `type(data.x) == "table" and "a_table" or data.x,`)}, func(c *engine.Config) { c.Limits.Call = time.Hour })
				b.sw.Endpoints = []simulator.Endpoint{
					{Pattern: "user/busy", Behaviour: simulator.Refuses("USER_BUSY", 0)},
					{Pattern: "user/never", Behaviour: simulator.NoAnswer()},
					{Pattern: "user/short", Behaviour: simulator.Answers(time.Second, 10*time.Second)},
					{Pattern: "callcenter/empty*", Behaviour: simulator.NoAnswer()},
				}
				b.server.Services = &luabind.Services{HTTP: echoServer{}}
				if strings.Contains(tt.x, "flow.sql") {
					db, err := services.NewMemoryDatabase(engine.DatabaseConfig{Name: "db", DSN: "sqlite:memory", MaxOpen: 1, MaxIdle: 1, Timeout: time.Minute, MaxRows: 10})
					if err != nil {
						t.Fatal(err)
					}
					t.Cleanup(func() { db.DB.Close() })
					if _, err := db.DB.Exec("CREATE TABLE t (name TEXT, n INTEGER); INSERT INTO t VALUES ('Ada Test', 7)"); err != nil {
						t.Fatal(err)
					}
					b.server.Services.Databases = map[string]*luabind.Database{"db": db}
				}
				c := b.start("main")
				play(t, b, c, tt.caller)
				b.finish(c)
				if e, ok := b.log.find("script error", ""); ok {
					t.Fatalf("%v", e)
				}
				if got := b.log.messages(); !slices.Equal(got, tt.want) {
					t.Errorf("logged %q\n  want %q\n%s", got, tt.want, b.log)
				}
				all := did(c, simulator.Executed)
				for _, want := range tt.does {
					i := slices.Index(all, want)
					if i < 0 {
						t.Fatalf("the channel did not %q; it did %q", want, did(c, simulator.Executed))
					}
					all = all[i+1:]
				}
			})
		})
	}
}
