package services

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"callisto/luabind"
)

// hostile is what callers, and others whom a script asks, may put into any text.
var hostile = []string{
	"a\r\nX-Injected: 1", "a\nX-Injected: 1", "a\rX-Injected: 1", "\r\n\r\nGET /injected HTTP/1.1\r\n\r\n", "a\x00b",
	"../../injected", "..", ".", "", "/injected", "//evil.example.net/", "?injected=1", "#injected", "&injected=1", "a=1&injected=1", "%0d%0aX-Injected: 1", "%2e%2e",
	"@evil.example.net", "evil.example.net", "http://evil.example.net/", "\u2028X-Injected: 1", "\xff\xfe", "{id}",
	"a@b>\r\nRCPT TO:<injected@example.com", "<injected@example.com>, ada", "a\r\n.\r\nMAIL FROM:<injected@example.com>\r\n", "\"\r\nBcc: injected@example.com", "${injected}",
}

// Nothing in any place of any function becomes another request, another header, another host or another path, nor
// another recipient. A new option is tried too: they come from the table of modules.
func TestNothingIsInjected(t *testing.T) {
	usual := map[string]string{
		"http.url": `"http://a.example.com/u/{id}?q=1"`, "http.method": `"GET"`, "mail.to": `"ada@example.com"`,
	}
	base := map[string]string{"http": `path = { id = "7" }`, "mail": `to = "ada@example.com", subject = "x", text = "y"`}
	shapes := map[string][]string{ // where a text stands in an option that is a table
		"http.path": {"{ id = %s }"}, "http.query": {"{ x = %s }", "{ [%s] = 1 }", "{ x = { %s } }"}, "http.form": {"{ x = %s }", "{ [%s] = 1 }"},
		"http.headers": {"{ [\"X-Text\"] = %s }", "{ [%s] = \"1\" }"}, "http.auth": {"{ user = %s }", "{ user = \"a\", password = %s }", "{ bearer = %s }"},
		"mail.attachments": {"{ { name = %s, data = \"x\" } }", "{ { name = \"a\", data = %s } }", "{ { name = \"a\", data = \"x\", type = %s } }"},
	}
	var scripts []string
	for _, m := range luabind.Modules {
		if base[m.Name] == "" {
			continue
		}
		for i := range m.Functions {
			f := &m.Functions[i]
			call := func(arg, option, value string) {
				var args []string
				for _, p := range f.Params {
					text := usual[m.Name+"."+p.Name]
					if text == "" {
						t.Fatalf("there is no usual %s for %s.%s", p.Name, m.Name, f.Name)
					}
					if p.Name == arg {
						text = value
					}
					args = append(args, text)
				}
				options := base[m.Name]
				if option != "" {
					options += ", " + option + " = " + value
				}
				scripts = append(scripts, "pcall(function() "+m.Name+"."+f.Name+"("+strings.Join(append(args, "{ "+options+" }"), ", ")+") end)")
			}
			for _, text := range hostile {
				quoted := luaQuoted(text)
				for _, p := range f.Params {
					if p.Name == "url" { // what is put into a URL is part of it, but for line breaks
						call("url", "", `"http://a.example.com/u/{id}?y=" .. `+quoted)
						call("url", "", `"http://a.example.com/u/{id}#" .. `+quoted)
						continue
					}
					call(p.Name, "", quoted)
				}
				for _, o := range f.Options {
					switch o.Type {
					case luabind.Duration, luabind.Integer, luabind.Number, luabind.Boolean:
						continue
					}
					if o.Type != luabind.Table {
						call("", o.Name, quoted)
						continue
					}
					forms := shapes[m.Name+"."+o.Name]
					if forms == nil {
						t.Fatalf("the option %s of %s.%s holds texts in ways that this test does not know", o.Name, m.Name, f.Name)
					}
					for _, form := range forms {
						call("", o.Name, fmt.Sprintf(form, quoted))
					}
				}
			}
		}
	}
	if len(scripts) < 1000 {
		t.Fatalf("only %d uses", len(scripts))
	}
	simulated(t, func(t *testing.T) {
		n := newNetwork()
		sent := 0
		n.serve("a.example.com:80", func(c net.Conn) {
			var raw bytes.Buffer
			r := bufio.NewReader(io.TeeReader(c, &raw))
			for {
				raw.Reset()
				request, err := http.ReadRequest(r)
				if err != nil {
					return
				}
				io.Copy(io.Discard, request.Body)
				sent++
				path := request.URL.EscapedPath()
				value, below := strings.CutPrefix(path, "/u/")
				switch {
				case request.Host != "a.example.com":
					t.Errorf("the host became %q", request.Host)
				case !below || strings.Contains(value, "/") || value == "" || value == "." || value == "..":
					t.Errorf("the path became %q", path)
				case request.Header.Get("X-Injected") != "":
					t.Errorf("a header came in: %q", raw.String())
				case request.URL.Query().Has("injected") && !strings.HasPrefix(request.URL.RawQuery, "y="): // y is the script's own doing
					t.Errorf("the query became %q", request.URL.RawQuery)
				}
				io.WriteString(c, ok(""))
			}
		})
		office := &postOffice{}
		n.serve(postAddr, office.serve)
		s := newWeb(t, n, nil)
		s.Mail = newPost(t, n, nil).Mail
		files := map[string]string{"main": ""}
		var names []string
		for some := range slices.Chunk(scripts, 100) {
			name := fmt.Sprint("uses", len(names))
			files[name] = strings.Join(some, "\n")
			names = append(names, name)
		}
		b := newBench(t, s, files, nil)
		for _, name := range names {
			b.ended(b.start(name))
		}
		b.expect()
		for _, addr := range n.dialled {
			if addr != "a.example.com:80" && addr != postAddr {
				t.Errorf("%s was dialled", addr)
			}
		}
		s.Close()
		n.serving.Wait()
		if sent < 500 || len(office.letters) < 50 {
			t.Errorf("only %d requests and %d mails: the test tries too little", sent, len(office.letters))
		}
		for _, command := range office.commands {
			verb, rest, _ := strings.Cut(command, " ")
			if verb == "RCPT" && strings.Contains(rest, "injected") && rest != "TO:<injected@example.com>" || strings.Contains(command, "X-Injected") {
				t.Errorf("the server got %q", command)
			}
		}
		for _, letter := range office.letters {
			head := readLetter(t, letter).head
			for name := range head {
				switch name {
				case "From", "To", "Cc", "Reply-To", "Subject", "Date", "Message-Id", "Auto-Submitted", "Mime-Version", "Content-Type", "Content-Transfer-Encoding":
				default:
					t.Errorf("the header %s came in:\n%s", name, letter)
				}
			}
		}
	})
}

// luaQuoted is a text as a Lua string.
func luaQuoted(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for i := range len(text) {
		fmt.Fprintf(&b, `\%03d`, text[i])
	}
	return b.String() + `"`
}
