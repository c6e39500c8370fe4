package services

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

// newWeb is HTTP on a network in memory.
func newWeb(t *testing.T, n *network, change func(*engine.HTTPConfig)) *Services {
	t.Helper()
	config := engine.DefaultConfig().HTTP
	if change != nil {
		change(&config)
	}
	h, err := openHTTP(config)
	if err != nil {
		t.Fatal(err)
	}
	h.dial = n.dial
	s := &Services{Services: luabind.Services{HTTP: h}}
	s.onClose(h.close)
	return s
}

// answers reads a request and writes text.
func answers(text string) func(net.Conn) {
	return func(c net.Conn) {
		if read(c) != nil {
			io.WriteString(c, text)
		}
	}
}

func read(c net.Conn) *http.Request {
	r, err := http.ReadRequest(bufio.NewReader(c))
	if err != nil {
		return nil
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return r
}

// handles serves requests on a connection, for as long as there are any.
func handles(h func(*http.Request) string) func(net.Conn) {
	return func(c net.Conn) {
		for r := bufio.NewReader(c); ; {
			request, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, _ := io.ReadAll(request.Body)
			request.Body = io.NopCloser(bytes.NewReader(body))
			if _, err := io.WriteString(c, h(request)); err != nil {
				return
			}
		}
	}
}

func redirect(status int, to string) string {
	return fmt.Sprintf("HTTP/1.1 %d Elsewhere\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n", status, to)
}

func ok(body string) string {
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
}

func bomb() string {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	zeros := make([]byte, 1<<20)
	for range 4 { // max_body is 1 MB
		z.Write(zeros)
	}
	z.Close()
	return fmt.Sprintf("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", b.Len(), b.String())
}

// What servers may do wrong, and what a script gets then. None of it leaves a connection behind.
var odd = []struct {
	name  string
	serve func(net.Conn)
	why   string
}{
	{"never answers", silent, "timeout"},
	{"hangs after the headers", func(c net.Conn) {
		answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n")(c)
		silent(c)
	}, "timeout"},
	{"drips", func(c net.Conn) {
		answers("HTTP/1.1 200 OK\r\n\r\n")(c)
		for {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}, "timeout"},
	{"drips headers", func(c net.Conn) {
		answers("HTTP/1.1 200 OK\r\n")(c)
		for {
			if _, err := c.Write([]byte("X: y\r\n")); err != nil {
				return
			}
			time.Sleep(time.Second)
		}
	}, "timeout"},
	{"hangs up", func(c net.Conn) { read(c) }, "lost"},
	{"hangs up in the headers", answers("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"), "lost"},
	{"hangs up in the body", answers("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), "lost"},
	{"hangs up in a chunk", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\na\r\nhalf"), "lost"},
	{"speaks no HTTP", answers("SSH-2.0-OpenSSH\r\n"), "bad answer: malformed HTTP response"},
	{"a status that is none", answers("HTTP/1.1 OK 200\r\n\r\n"), "bad answer: malformed HTTP status code"},
	{"a length that is none", answers("HTTP/1.1 200 OK\r\nContent-Length: ten\r\n\r\n"), "bad answer: bad Content-Length"},
	{"two lengths", answers("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"), "bad answer: "},
	{"a chunk that is none", answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"), "bad answer: invalid byte in chunk length"},
	{"a header that is none", answers("HTTP/1.1 200 OK\r\nno colon\r\n\r\n"), "bad answer: malformed MIME header"},
	{"endless headers", func(c net.Conn) {
		answers("HTTP/1.1 200 OK\r\n")(c)
		for {
			if _, err := io.WriteString(c, "X-Padding: "+strings.Repeat("x", 1000)+"\r\n"); err != nil {
				return
			}
		}
	}, "bad answer: server response headers exceeded"},
	{"endless interim answers", func(c net.Conn) {
		read(c)
		for {
			if _, err := io.WriteString(c, "HTTP/1.1 103 Early Hints\r\nX: "+strings.Repeat("x", 1000)+"\r\n\r\n"); err != nil {
				return
			}
		}
	}, "bad answer: server response headers exceeded"},
	{"an endless body", func(c net.Conn) {
		answers("HTTP/1.1 200 OK\r\n\r\n")(c)
		for {
			if _, err := c.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	}, "too large"},
	{"a compressed body that is large", func(c net.Conn) { answers(bomb())(c) }, "too large"},
	{"a compressed body that is none", answers("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 30\r\n\r\n" + strings.Repeat("not gzip! ", 3)), "bad answer: gzip: invalid header"},
	{"redirects in a circle", handles(func(*http.Request) string { return redirect(302, "/again") }), "too many redirects"},
	{"redirects to what is not allowed", answers(redirect(302, "http://evil.example.net/")), "not allowed: evil.example.net:80 is not in http.allow"},
	{"redirects to the metadata", answers(redirect(307, "http://169.254.169.254/latest/meta-data")), "not allowed: 169.254.169.254:80 is not in http.allow"},
	{"redirects to a file", answers(redirect(302, "file:///etc/passwd")), "not allowed: "},
	{"redirects to nonsense", answers(redirect(302, "http://[::1")), "bad answer: "},
}

func TestOddServers(t *testing.T) {
	for _, tt := range odd {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				n.serve("api.example.com:80", tt.serve)
				s := newWeb(t, n, func(c *engine.HTTPConfig) { c.Allow = rules(t, "api.example.com") })
				answer, err := s.HTTP.Send(t.Context(), get("http://api.example.com/"))
				if err == nil {
					t.Fatalf("got the answer %+v", answer)
				}
				if got := whyOf(err); !strings.HasPrefix(got, tt.why) {
					t.Errorf("got %q, want %q", got, tt.why)
				}
				s.Close()
				n.serving.Wait() // until every server has seen its connection end
			})
		})
	}
}

// whyOf is what a script gets of an error.
func whyOf(err error) string {
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return err.Error()
}

func get(text string) luabind.HTTPRequest {
	u, err := url.Parse(text)
	if err != nil {
		panic(err)
	}
	return luabind.HTTPRequest{Method: "GET", URL: u, Redirects: 5}
}

func rules(t *testing.T, list ...string) []engine.HostRule {
	t.Helper()
	quoted := make([]string, len(list))
	for i := range list {
		quoted[i] = strconv.Quote(list[i])
	}
	path := filepath.Join(t.TempDir(), "config.toml")
	if err := os.WriteFile(path, []byte("[http]\nallow = ["+strings.Join(quoted, ", ")+"]\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	config, err := engine.LoadConfig(path)
	if err != nil {
		t.Fatal(err)
	}
	return config.HTTP.Allow
}

// Whom a request reaches under a list, by name or by address, at once or by way of a redirect.
func TestAllow(t *testing.T) {
	tests := []struct {
		allow    string
		url      string
		address  string // of its name
		direct   bool   // may be asked
		redirect bool   // may be redirected to, from elsewhere
	}{
		{"*", "http://api.example.com/", "203.0.113.1", true, true},
		{"*", "http://203.0.113.1/", "", true, true},
		{"*", "http://intern.example.com/", "10.0.0.1", true, false},
		{"*", "http://10.0.0.1/", "", true, false},
		{"*", "http://100.64.0.1/", "", true, false},
		{"*", "http://127.0.0.1:8085/", "", true, false},
		{"*", "http://[::1]:8085/", "", true, false},
		{"*", "http://localhost:8085/", "127.0.0.1", true, false},
		{"*", "http://[::ffff:127.0.0.1]:8085/", "", true, false},
		{"* 127.0.0.1", "http://127.0.0.1:8085/", "", true, true},
		{"*", "http://169.254.169.254/", "", false, false},
		{"*", "http://[::ffff:169.254.169.254]/", "", false, false},
		{"*", "http://[64:ff9b::a9fe:a9fe]/", "", false, false},
		{"*", "http://[2002:a9fe:a9fe::1]/", "", false, false},
		{"*", "http://[fe80::1]/", "", false, false},
		{"*", "http://[fd00:ec2::254]/", "", false, false},
		{"*", "http://100.100.100.200/", "", false, false},
		{"*", "http://0.0.0.0:8085/", "", false, false},
		{"*", "http://[::]:8085/", "", false, false},
		{"*", "http://224.0.0.1/", "", false, false},
		{"*", "http://metadata.example.com/", "169.254.169.254", false, false},
		{"metadata.example.com", "http://metadata.example.com/", "169.254.169.254", false, false},
		{"169.254.169.254", "http://169.254.169.254/", "", true, true},
		{"169.254.0.0/16", "http://metadata.example.com/", "169.254.169.254", true, true},
		{"api.example.com", "http://api.example.com/", "203.0.113.1", true, true},
		{"api.example.com", "http://API.Example.com./", "203.0.113.1", true, true},
		{"api.example.com", "http://api.example.com/", "10.0.0.1", true, true}, // its owner is trusted so far
		{"api.example.com", "http://example.com/", "203.0.113.1", false, false},
		{"api.example.com", "http://evil-api.example.com/", "203.0.113.1", false, false},
		{"api.example.com", "http://api.example.com.evil.net/", "203.0.113.1", false, false},
		{"api.example.com", "http://api.example.com@evil.net/", "203.0.113.1", false, false},
		{"*.example.com", "http://a.b.example.com/", "203.0.113.1", true, true},
		{"*.example.com", "http://example.com/", "203.0.113.1", false, false},
		{"*.example.com", "http://evilexample.com/", "203.0.113.1", false, false},
		{"*.example.com", "http://.example.com/", "203.0.113.1", false, false},
		{"api.example.com:8080", "http://api.example.com:8080/", "203.0.113.1", true, true},
		{"api.example.com:8080", "http://api.example.com/", "203.0.113.1", false, false},
		{"*:80", "http://api.example.com/", "203.0.113.1", true, true},
		{"*:80", "http://api.example.com:81/", "203.0.113.1", false, false},
		{"10.0.0.0/8", "http://10.1.2.3:81/", "", true, true},
		{"10.0.0.0/8", "http://intern.example.com/", "10.1.2.3", true, true},
		{"10.0.0.0/8", "http://intern.example.com/", "11.1.2.3", false, false},
		{"10.0.0.7:81", "http://10.0.0.7:81/", "", true, true},
		{"10.0.0.7:81", "http://10.0.0.7/", "", false, false},
		{"[fd00::1]:81", "http://[fd00::1]:81/", "", true, true},
		{"", "http://api.example.com/", "203.0.113.1", false, false},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(tt.allow+" "+tt.url, "/", "|"), func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				target := get(tt.url)
				host, port := hostPort(target.URL)
				n.names[host] = tt.address
				n.serve(net.JoinHostPort(host, fmt.Sprint(port)), handles(func(*http.Request) string { return ok("here") }))
				n.serve("start.example.org:80", handles(func(*http.Request) string { return redirect(302, tt.url) }))
				ask := func(r luabind.HTTPRequest, want bool, more ...string) {
					t.Helper()
					s := newWeb(t, n, func(c *engine.HTTPConfig) { c.Allow = rules(t, append(more, strings.Fields(tt.allow)...)...) })
					defer s.Close()
					dialled := len(n.dialled)
					answer, err := s.HTTP.Send(t.Context(), r)
					switch {
					case want && err != nil:
						t.Errorf("%v, but it is allowed", err)
					case want && answer.Body != "here":
						t.Errorf("got %+v", answer)
					case !want && (err == nil || !strings.HasPrefix(err.Error(), "not allowed: ")):
						t.Errorf("it is not allowed, but the error is %v", err)
					case !want && len(n.dialled) > dialled+len(more):
						t.Errorf("it is not allowed, but %v was dialled", n.dialled[dialled:])
					}
				}
				ask(target, tt.direct)
				ask(get("http://start.example.org/"), tt.redirect, "start.example.org")
			})
		})
	}
}

// What a script sends with a request goes to no other server, whatever a redirect says.
func TestRedirectsCarryNoSecrets(t *testing.T) {
	tests := []struct {
		name, from, to string
		status         int
		method         string
		keeps          bool   // the headers
		got            string // the status and the method of the last request
	}{
		{"the same server", "http://a.example.com/1", "http://a.example.com/2", 302, "GET", true, "200 GET"},
		{"a path", "http://a.example.com/1", "/2", 302, "GET", true, "200 GET"},
		{"another server", "http://a.example.com/1", "http://b.example.com/2", 302, "GET", false, "200 GET"},
		{"one below", "http://a.example.com/1", "http://c.a.example.com/2", 302, "GET", false, "200 GET"},
		{"another port", "http://a.example.com/1", "http://a.example.com:81/2", 302, "GET", false, "200 GET"},
		{"there and back", "http://a.example.com/1", "http://b.example.com/back", 302, "GET", false, "200 GET"},
		{"a body becomes none", "http://a.example.com/1", "http://b.example.com/2", 303, "POST", false, "200 GET"},
		{"a body for the same server", "http://a.example.com/1", "/2", 307, "POST", true, "200 POST"},
		{"a body for another server", "http://a.example.com/1", "http://b.example.com/2", 307, "POST", true, "307 POST"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				var last *http.Request
				for _, addr := range []string{"a.example.com:80", "b.example.com:80", "c.a.example.com:80", "a.example.com:81"} {
					n.names[strings.TrimSuffix(strings.TrimSuffix(addr, ":80"), ":81")] = "203.0.113.1"
					n.serve(addr, handles(func(r *http.Request) string {
						last = r
						switch r.URL.Path {
						case "/1":
							return redirect(tt.status, tt.to)
						case "/back":
							return redirect(302, "http://a.example.com/2")
						}
						return ok("here")
					}))
				}
				s := newWeb(t, n, nil)
				r := get(tt.from + "?secret=1")
				r.Method = tt.method
				r.Header = http.Header{"Authorization": {"Bearer x"}, "X-Api-Key": {"x"}, "Cookie": {"x=1"}, "Accept": {"text/plain"}}
				if tt.method == "POST" {
					r.Body = "secret"
				}
				answer, err := s.HTTP.Send(t.Context(), r)
				if err != nil {
					t.Fatal(err)
				}
				if got := fmt.Sprint(answer.Status, " ", last.Method); got != tt.got {
					t.Errorf("got %s, want %s", got, tt.got)
				}
				for _, name := range []string{"Authorization", "X-Api-Key", "Cookie"} {
					if kept := last.Header.Get(name) != ""; kept != tt.keeps {
						t.Errorf("%s was sent: %v, want %v", name, kept, tt.keeps)
					}
				}
				if last.Header.Get("Accept") == "" || last.Header.Get("Referer") != "" {
					t.Errorf("the headers are %v", last.Header)
				}
				s.Close()
				n.serving.Wait()
			})
		})
	}
}

// What is tried again, how often and when.
func TestRetries(t *testing.T) {
	busy := "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
	tests := []struct {
		name     string
		method   string
		headers  http.Header
		fails    func(c net.Conn)
		retries  int
		requests int
		result   string
	}{
		{"a status", "GET", nil, answers(busy), 2, 3, "503"},
		{"not more than asked for", "GET", nil, answers(busy), 0, 1, "503"},
		{"a lost answer", "PUT", nil, func(c net.Conn) { read(c) }, 2, 3, "lost"},
		{"a lost answer to a post", "POST", nil, func(c net.Conn) { read(c) }, 2, 1, "lost"},
		{"a status for a post", "POST", nil, answers(busy), 2, 1, "503"},
		{"a post that may be repeated", "POST", http.Header{"Idempotency-Key": {"7"}}, answers(busy), 2, 3, "503"},
		{"nonsense", "GET", nil, answers("nonsense\r\n"), 2, 1, "bad answer: "},
		{"a mistake", "GET", nil, answers("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"), 2, 1, "404"},
		{"as the server asks", "GET", nil, answers("HTTP/1.1 503 Busy\r\nRetry-After: 4\r\nContent-Length: 0\r\n\r\n"), 2, 3, "503"},
		{"later than there is time", "GET", nil, answers("HTTP/1.1 503 Busy\r\nRetry-After: 6\r\nContent-Length: 0\r\n\r\n"), 2, 2, "503"},
		{"never", "GET", nil, answers("HTTP/1.1 503 Busy\r\nRetry-After: 99999999999999999999\r\nContent-Length: 0\r\n\r\n"), 1, 2, "503"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				n.serve("api.example.com:80", tt.fails)
				s := newWeb(t, n, nil)
				defer s.Close()
				r := get("http://api.example.com/")
				r.Method, r.Header, r.Retries = tt.method, tt.headers, tt.retries
				began := time.Now()
				answer, err := s.HTTP.Send(t.Context(), r)
				got := ""
				if err != nil {
					got = whyOf(err)
				} else {
					got = fmt.Sprint(answer.Status)
				}
				if !strings.HasPrefix(got, tt.result) {
					t.Errorf("got %s, want %s", got, tt.result)
				}
				if len(n.dialled) != tt.requests {
					t.Errorf("%d requests, want %d", len(n.dialled), tt.requests)
				}
				if time.Since(began) > 10*time.Second {
					t.Errorf("it took %v, longer than http.timeout", time.Since(began))
				}
			})
		})
	}
	t.Run("refused, so a post too", func(t *testing.T) {
		simulated(t, func(t *testing.T) {
			n := newNetwork()
			s := newWeb(t, n, nil)
			defer s.Close()
			r := get("http://api.example.com/")
			r.Method, r.Retries = "POST", 3
			if _, err := s.HTTP.Send(t.Context(), r); err == nil || err.Error() != "refused" || len(n.dialled) != 4 {
				t.Errorf("%v after %d attempts", err, len(n.dialled))
			}
		})
	})
}

// A connection serves one request after another.
func TestConnectionsAreKept(t *testing.T) {
	simulated(t, func(t *testing.T) {
		n := newNetwork()
		n.serve("api.example.com:80", handles(func(r *http.Request) string { return ok(r.URL.Path) }))
		s := newWeb(t, n, nil)
		for i := range 10 {
			path := fmt.Sprint("/", i)
			answer, err := s.HTTP.Send(t.Context(), get("http://api.example.com"+path))
			if err != nil || answer.Body != path {
				t.Errorf("%+v, %v", answer, err)
			}
			synctest.Wait()
		}
		if len(n.dialled) != 1 {
			t.Errorf("%d connections for ten requests", len(n.dialled))
		}
		time.Sleep(2 * idleTime)
		if n.connections() != 0 {
			t.Errorf("the idle connection is still there")
		}
		s.Close()
	})
}

// A proxy is asked for everything, and decides about addresses; names are still ours to allow.
func TestProxy(t *testing.T) {
	simulated(t, func(t *testing.T) {
		n := newNetwork()
		n.names["proxy.example.com"] = "169.254.0.1"
		n.serve("proxy.example.com:3128", handles(func(r *http.Request) string { return ok(r.RequestURI) }))
		s := newWeb(t, n, func(c *engine.HTTPConfig) {
			c.Proxy, c.Allow = "http://proxy.example.com:3128", rules(t, "api.example.com")
		})
		answer, err := s.HTTP.Send(t.Context(), get("http://api.example.com/x"))
		if err != nil || answer.Body != "http://api.example.com/x" {
			t.Errorf("%+v, %v", answer, err)
		}
		if _, err := s.HTTP.Send(t.Context(), get("http://other.example.com/x")); err == nil || !strings.HasPrefix(err.Error(), "not allowed: ") {
			t.Errorf("another host: %v", err)
		}
		if _, err := s.HTTP.Send(t.Context(), get("http://169.254.169.254/x")); err == nil || !strings.HasPrefix(err.Error(), "not allowed: ") {
			t.Errorf("the metadata: %v", err)
		}
		s.Close()
	})
}

// The same on real connections: what the system says of them, and of certificates.
func TestLoopback(t *testing.T) {
	t.Parallel()
	secure := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "secure") }))
	secure.Config.ErrorLog = log.New(io.Discard, "", 0) // of handshakes that fail here on purpose
	secure.StartTLS()
	defer secure.Close()
	resets := listen(t, func(c net.Conn) {
		answers("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")(c)
		c.(*net.TCPConn).SetLinger(0)
	})
	well := listen(t, answers(ok("well")))
	plain := listen(t, func(c net.Conn) {
		c.Read(make([]byte, 1))
		io.WriteString(c, "220 mail.example.com ESMTP\r\n")
		io.Copy(io.Discard, c)
	})
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: secure.Certificate().Raw})
	if err := os.WriteFile(ca, cert, 0o644); err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(well)
	tests := []struct {
		name, url, ca, allow, want string
	}{
		{"well", "http://" + well, "", "*", "well"},
		{"refused", "http://" + gone.Addr().String(), "", "*", "refused"},
		{"reset", "http://" + resets, "", "*", "lost"},
		{"a certificate that nobody vouches for", secure.URL, "", "*", "bad certificate: "},
		{"a certificate that we trust", secure.URL, ca, "*", "secure"},
		{"a certificate for another name", strings.Replace(secure.URL, "127.0.0.1", "localhost", 1), ca, "*", "bad certificate: "},
		{"no TLS", "https://" + plain, "", "*", "bad answer: "},
		{"a name in a network", "http://localhost:" + port, "", "127.0.0.0/8 ::1", "well"},
		{"a name outside", "http://localhost:" + port, "", "10.0.0.0/8", "not allowed: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			config := engine.DefaultConfig()
			config.HTTP.CA, config.HTTP.Allow = tt.ca, rules(t, strings.Fields(tt.allow)...)
			s, err := Open(config, slog.New(slog.DiscardHandler))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got := ""
			answer, err := s.HTTP.Send(t.Context(), get(tt.url))
			if err == nil {
				got = answer.Body
			} else {
				got = whyOf(err)
			}
			if !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

// listen serves connections to an address of this machine until the test ends.
func listen(t *testing.T, serve func(net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer c.Close()
				serve(c)
			})
		}
	})
	t.Cleanup(func() {
		l.Close()
		serving.Wait()
	})
	return l.Addr().String()
}

// A file of certificates that cannot be used keeps Callisto from starting, and says why.
func TestBadCA(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ca.pem")
	if _, err := openHTTP(engine.HTTPConfig{CA: path}); err == nil || !strings.HasPrefix(err.Error(), "http.ca cannot be read: ") {
		t.Errorf("no file: %v", err)
	}
	if err := os.WriteFile(path, []byte("nothing"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := openHTTP(engine.HTTPConfig{CA: path}); err == nil || !strings.HasSuffix(err.Error(), "holds no certificate in PEM") {
		t.Errorf("no certificate: %v", err)
	}
}
