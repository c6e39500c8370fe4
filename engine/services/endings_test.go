package services

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"callisto/engine"
	"callisto/simulator"
)

// A use is a function of a module that waits for another end.
type use struct {
	name   string
	script string // logs nil and why of the function
	addr   string // of the other end
	open   func(t *testing.T, n *network) *Services
	most   int // connections that a hundred calls have
}

var uses = []use{
	{"http", `local r, why = http.get("http://other.example.com/") log.info(tostring(r) .. " " .. tostring(why))`, "other.example.com:80",
		func(t *testing.T, n *network) *Services { return newWeb(t, n, nil) }, 100},
	{"mail", `local r, why = mail.send{ to = "ada@example.com", text = "x" } log.info(tostring(r) .. " " .. tostring(why))`, postAddr,
		func(t *testing.T, n *network) *Services { return newPost(t, n, nil) }, maxMails},
}

// nothingLeft checks that the other end has no connection any more.
func nothingLeft(t *testing.T, n *network) {
	t.Helper()
	synctest.Wait()
	if open := n.connections(); open != 0 {
		t.Errorf("%d connections are left", open)
	}
}

// What a call does when the other end is gone or hangs, and it ends in one of the ways in which a call may end meanwhile.
func TestEndings(t *testing.T) {
	tests := []struct {
		name   string
		serve  func(net.Conn) // nil: refuses
		before string         // of the script
		change func(*engine.Config)
		end    func(b *bench, c *simulator.Channel) // after a second
		ending string
		says   []string
	}{
		{name: "refused", ending: "returned", says: []string{"nil refused", "done"}},
		{name: "hangs", serve: silent, ending: "returned", says: []string{"nil timeout", "done"}},
		{name: "the caller hangs up", serve: silent, ending: "caller hung up",
			end: func(b *bench, c *simulator.Channel) { c.Hangup("NORMAL_CLEARING") }},
		{name: "the call's time is up", serve: silent, ending: "timed out",
			change: func(c *engine.Config) { c.Limits.Call = 2 * time.Second }},
		{name: "the engine stops", serve: silent, ending: "stopped",
			end: func(b *bench, c *simulator.Channel) { b.server.Close() }},
		{name: "the switch is lost", serve: silent, ending: "disconnected",
			end: func(b *bench, c *simulator.Channel) { c.Drop() }},
		{name: "a handler ends the wait", serve: silent, ending: "returned", says: []string{"nil stopped", "done"},
			before: `call:on("dtmf", function(digit) return "stop" end)`,
			end:    func(b *bench, c *simulator.Channel) { c.Press("1") }},
		{name: "a handler runs meanwhile", serve: silent, ending: "returned", says: []string{"digit 1", "nil timeout", "done"},
			before: `call:on("dtmf", function(digit) log.info("digit " .. digit) end)`,
			end:    func(b *bench, c *simulator.Channel) { c.Press("1") }},
	}
	for _, u := range uses {
		for _, tt := range tests {
			t.Run(u.name+"/"+tt.name, func(t *testing.T) {
				simulated(t, func(t *testing.T) {
					n := newNetwork()
					if tt.serve != nil {
						n.serve(u.addr, tt.serve)
					}
					b := newBench(t, u.open(t, n), map[string]string{"main": "call:answer()\n" + tt.before + "\n" + u.script + `
log.info("done")`}, tt.change)
					c := b.start("main")
					if tt.end != nil {
						time.Sleep(time.Second)
						tt.end(b, c)
					}
					began := time.Now()
					if ending := b.ended(c); ending != tt.ending {
						t.Errorf("the call ended %q, want %q\n%s", ending, tt.ending, b.log)
					}
					if tt.end != nil && len(tt.says) == 0 && time.Since(began) > 4*time.Second {
						t.Errorf("the script went on for %v after the call's end", time.Since(began))
					}
					b.expect(tt.says...)
					nothingLeft(t, n)
				})
			})
		}
	}
}

// In a hangup handler the same functions work, for as long as handlers may run.
func TestHangupHandlers(t *testing.T) {
	for _, u := range uses {
		t.Run(u.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				n.serve(u.addr, silent)
				b := newBench(t, u.open(t, n), map[string]string{"main": `call:on("hangup", function() ` + u.script + ` end)
call:answer()
call:sleep("1h")`}, func(c *engine.Config) { c.Limits.Hangup = 2 * time.Second })
				c := b.start("main")
				time.Sleep(time.Second)
				c.Hangup("NORMAL_CLEARING")
				if ending := b.ended(c); ending != "caller hung up" {
					t.Errorf("the call ended %q", ending)
				}
				if _, ok := b.log.wait(t.Context(), func(r record) bool { return r.message == "the hangup handlers took too long and were stopped" }); !ok {
					t.Errorf("%s", b.log)
				}
				nothingLeft(t, n)
			})
		})
	}
}

// A hundred calls that wait for an end that hangs do not hold up one that does not: what it does takes as long as
// it does alone.
func TestManyCallsWait(t *testing.T) {
	for _, u := range uses {
		t.Run(u.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				n.serve(u.addr, silent)
				n.serve("well.example.com:80", handles(func(r *http.Request) string { return ok("well") }))
				s := u.open(t, n)
				if s.HTTP == nil {
					web := newWeb(t, n, nil)
					s.HTTP = web.HTTP
					s.onClose(web.Close) // which mail has no use for
				}
				b := newBench(t, s, map[string]string{"waits": u.script, "other": `call:answer()
log.info(http.get("http://well.example.com/").body)
call:playback("silence_stream://2000")
log.info(call:api("hostname") ~= nil and "api" or "no api")`}, nil)
				alone := func() time.Duration {
					began := time.Now()
					b.ended(b.start("other"))
					return time.Since(began)
				}
				before := alone()
				var waiting []*simulator.Channel
				for range 100 {
					waiting = append(waiting, b.start("waits"))
				}
				synctest.Wait()
				if open := n.connections(); open < u.most {
					t.Fatalf("%d connections, want %d", open, u.most)
				}
				if during := alone(); during != before {
					t.Errorf("an unrelated call takes %v while others wait, %v without them", during, before)
				}
				for _, c := range waiting {
					b.ended(c)
				}
				b.expect(append([]string{"well", "api", "well", "api"}, slices.Repeat([]string{"nil timeout"}, 100)...)...)
				s.Close()
				nothingLeft(t, n)
			})
		})
	}
}

// What a script gets of an answer.
func TestResponses(t *testing.T) {
	tests := []struct{ name, answer, script, want string }{
		{"fields", "HTTP/1.1 201 Made\r\nX-Tag: a\r\nX-Tag: b\r\nContent-Length: 4\r\n\r\nbody",
			`local r = http.get("http://a.example.com/x?y=1")
return r.status, r.ok, r.headers["x-tag"], r.headers["X-TAG"], r.headers()["x-tag"], r.headers.nothing, r.body, r.url`,
			"201 true a, b a, b a, b nil body http://a.example.com/x?y=1"},
		{"a status that is no success is an answer", "HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n",
			`local r = http.get("http://a.example.com/") return r.status, r.ok`, "404 false"},
		{"json", ok(`{"name":"Ada"}`), `return http.get("http://a.example.com/"):json().name`, "Ada"},
		{"no json", ok(`{"name":`), `return select("#", http.get("http://a.example.com/"):json()), (http.get("http://a.example.com/"):json())`, "2 nil"},
		{"expected json", ok(`{"name":"Ada"}`), `return http.get("http://a.example.com/", { expect = "json" }):json().name`, "Ada"},
		{"expected json is none", ok(`<html>`), `local r, why = http.get("http://a.example.com/", { expect = "json" }) return r, why:sub(1, 12)`, "nil bad answer: "},
		{"expected json of a failure", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", `return http.get("http://a.example.com/", { expect = "json" }).status`, "500"},
		{"a misspelt field", ok(""), `return http.get("http://a.example.com/").stauts`, "a response has no method or field `stauts`, did you mean `status`?"},
		{"too large", ok(strings.Repeat("x", 101)), `return http.get("http://a.example.com/", { max_body = 100 })`, "nil too large"},
		{"as large as it may be", ok(strings.Repeat("x", 100)), `return #http.get("http://a.example.com/", { max_body = 100 }).body`, "100"},
		{"a redirect is the answer", redirect(302, "/x"), `local r = http.get("http://a.example.com/", { redirects = 0 }) return r.status, r.headers.location`, "302 /x"},
		{"required", ok("x"), `return require("http").get("http://a.example.com/").body`, "x"},
		{"head", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", `local r = http.head("http://a.example.com/") return r.body, r.headers["content-length"]`, " 5"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				n.serve("a.example.com:80", answers(tt.answer))
				s := newWeb(t, n, nil)
				b := newBench(t, s, map[string]string{"main": saying(tt.script)}, nil)
				b.ended(b.start("main"))
				b.expect(tt.want)
				s.Close()
				nothingLeft(t, n)
			})
		})
	}
}

// saying is a script that logs what another returns.
func saying(script string) string {
	return `local function all(...)
  local t = {}
  for i = 1, select("#", ...) do t[i] = tostring((select(i, ...))) end
  log.info(table.concat(t, " "))
end
all((function() ` + script + ` end)())`
}

// What a server gets of a request.
func TestRequests(t *testing.T) {
	const host = `"http://a.example.com`
	tests := []struct{ name, script, want string }{
		{"get", `http.get(` + host + `/")`, "GET / callisto"},
		{"methods", `http.put(` + host + `/") http.patch(` + host + `/") http.delete(` + host + `/") http.request("PURGE", ` + host + `/")`,
			"PUT / callisto,PATCH / callisto,DELETE / callisto,PURGE / callisto"},
		{"query", `http.get(` + host + `/x?a=1", { query = { b = "2&c=3", d = { "x", "y" }, e = true, f = 7 } })`, "GET /x?a=1&b=2%26c%3D3&d=x&d=y&e=true&f=7 callisto"},
		{"path", `http.get(` + host + `/u/{id}/x", { path = { id = "../a b?c#d%2e&/" } })`, "GET /u/..%2Fa%20b%3Fc%23d%252e%26%2F/x callisto"},
		{"json", `http.post(` + host + `/", { json = { name = "Ada" } })`, `POST / callisto application/json {"name":"Ada"}`},
		{"form", `http.post(` + host + `/", { form = { name = "Ada & Co", n = 1 } })`, "POST / callisto application/x-www-form-urlencoded n=1&name=Ada%20%26%20Co"},
		{"body", `http.post(` + host + `/", { body = "x\r\ny", headers = { ["content-type"] = "text/x" } })`, "POST / callisto text/x x\r\ny"},
		{"basic", `http.get(` + host + `/", { auth = { user = "Ada", password = "x:y" } })`, "GET / callisto Basic QWRhOng6eQ=="},
		{"bearer", `http.get(` + host + `/", { auth = { bearer = "token" } })`, "GET / callisto Bearer token"},
		{"headers", `http.get(` + host + `/", { headers = { ["User-Agent"] = "us", ["X-Caller"] = "Zoë" } })`, "GET / us Zoë"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				var got []string
				n.serve("a.example.com:80", handles(func(r *http.Request) string {
					text := r.Method + " " + r.RequestURI + " " + r.UserAgent()
					for _, name := range []string{"Content-Type", "Authorization", "X-Caller"} {
						if v := r.Header.Get(name); v != "" {
							text += " " + v
						}
					}
					if body, _ := io.ReadAll(r.Body); len(body) > 0 {
						text += " " + string(body)
					}
					got = append(got, text)
					return ok("")
				}))
				s := newWeb(t, n, nil)
				b := newBench(t, s, map[string]string{"main": tt.script}, nil)
				b.ended(b.start("main"))
				b.expect()
				s.Close()
				if text := strings.Join(got, ","); text != tt.want {
					t.Errorf("got %q, want %q", text, tt.want)
				}
			})
		})
	}
}

// Mistakes of a script, and what a caller may have put in a place where it cannot be delivered. Nothing is sent.
func TestRequestMistakes(t *testing.T) {
	const host = `"http://a.example.com`
	tests := []struct{ script, want string }{
		{`http.get("ftp://a.example.com/")`, "http.get: argument `url` must begin with http:// or https://, not \"ftp://a.example.com/\""},
		{`http.get("/etc/passwd")`, "http.get: argument `url` must begin with http:// or https://, not \"/etc/passwd\""},
		{`http.get("http:///x")`, "http.get: argument `url` names no host: \"http:///x\""},
		{`http.get("http://a\r\nHost: b/")`, "http.get: argument `url`: invalid control character in URL"},
		{`http.get(` + host + `/x\r\ny")`, "http.get: argument `url`: invalid control character in URL"},
		{`http.get(` + host + `:0x50/")`, "http.get: argument `url`: invalid port \":0x50\" after host"},
		{`http.get("http://{host}/", { path = { host = "evil.example.net" } })`, "http.get: {host} is in the host: build the address of a known one"},
		{`http.get("http://{host}/")`, "http.get: argument `url`: invalid character \"{\" in host name"},
		{`http.get(` + host + `/{id}")`, "http.get: argument `url` has a {name} in its path, and there is no option `path` for it"},
		{`http.get(` + host + `/{id}", { path = { di = 1 } })`, "http.get: there is no value for {id}, did you mean `di`?"},
		{`http.get(` + host + `/{id}/x", { path = { id = ".." } })`, "http.get: the value of {id} is \"..\", which in a path leads elsewhere"},
		{`http.get(` + host + `/{id}/x", { path = { id = "" } })`, "http.get: the value of {id} is \"\", which in a path leads elsewhere"},
		{`http.get(` + host + `/", { headers = { ["X-Caller"] = "a\r\nX-Admin: 1" } })`, "http.get: option `headers`: `X-Caller` holds a line break or another control character: \"a\\r\\nX-Admin: 1\""},
		{`http.get(` + host + `/", { headers = { ["X\r\nY"] = "a" } })`, "http.get: option `headers`: \"X\\r\\nY\" is no name of a header"},
		{`http.get(` + host + `/", { headers = { host = "b" } })`, "http.get: option `headers`: Host is not for scripts to set"},
		{`http.post(` + host + `/", { headers = { ["transfer-encoding"] = "chunked" }, body = "x" })`, "http.post: option `headers`: Transfer-Encoding is not for scripts to set"},
		{`http.get(` + host + `/", { auth = { bearer = "a\nb" } })`, "http.get: option `auth` holds a character that cannot be sent"},
		{`http.get(` + host + `/", { auth = { user = "a", passwort = "b" } })`, "http.get: option `auth`: unknown `passwort`, did you mean `password`?"},
		{`http.get(` + host + `/", { auth = {} })`, "http.get: option `auth` is { user =, password = } or { bearer = }"},
		{`http.get(` + host + `/", { json = {} })`, "http.get: unknown option `json`; there are path, query, headers, auth, timeout, retries, redirects, max_body, expect"},
		{`http.post(` + host + `/", { json = {}, body = "" })`, "http.post: the options json, form and body exclude each other"},
		{`http.get(` + host + `/", { timout = "1s" })`, "http.get: unknown option `timout`, did you mean `timeout`?"},
		{`http.get(` + host + `/", { retries = 1000 })`, "http.get: option `retries` must be a number from 0 to 10, not 1000"},
		{`http.get(` + host + `/", { query = { "a" } })`, "http.get: option `query`: the key 1 is no name"},
		{`http.get(` + host + `/", { query = { a = print } })`, "http.get: option `query`: the value of \"a\" must be a string, not a function"},
		{`http.request("GET\r\nX:", ` + host + `/")`, "http.request: argument `method` must be one word, without spaces or line breaks, not \"GET\\r\\nX:\""},
		{`http.request("G(T", ` + host + `/")`, "http.request: \"G(T\" is no method"},
		{`http:get(` + host + `/")`, "use a dot: http.get(…), not http:get(…)"},
	}
	simulated(t, func(t *testing.T) {
		n := newNetwork()
		s := newWeb(t, n, nil)
		var want []string
		scripts := map[string]string{}
		for i, tt := range tests {
			scripts[fmt.Sprint("m", i)] = tt.script
			want = append(want, tt.want)
		}
		scripts["main"] = ""
		b := newBench(t, s, scripts, nil)
		for i := range tests {
			b.ended(b.start(fmt.Sprint("m", i)))
		}
		got := b.log.messages()
		for i := range want {
			if i >= len(got) || got[i] != want[i] {
				t.Errorf("%s\ngot  %q\nwant %q", tests[i].script, got[min(i, len(got)-1)], want[i])
			}
		}
		if len(n.dialled) > 0 {
			t.Errorf("%v was dialled", n.dialled)
		}
	})
}
