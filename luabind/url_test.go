package luabind_test

import (
	"fmt"
	neturl "net/url"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestURL(t *testing.T) {
	parts := `local function parts(s) local t, e = url.parse(s) if not t then return e end return json.encode(t) end `
	refuse := func(expression, want string) luaCase {
		return luaCase{"refuse " + expression, oops(expression), want}
	}
	runLua(t, []luaCase{
		{"encode", `log.info(url.encode("a-._~b /?#[]@!$&'()*+,;=%\0å"))`, "a-._~b%20%2F%3F%23%5B%5D%40%21%24%26%27%28%29%2A%2B%2C%3B%3D%25%00%C3%A5"},
		{"decode", `log.info(url.decode("a%20b+c%C3%a5%00"):gsub("%z", "0") .. tostring(url.decode("%zz")) .. select(2, url.decode("100%")))`, `a b+cå0nilthe escape "%" is none: % and two hexadecimal digits are`},
		{"fill", `log.info(url.fill("https://h.example/a/{id}/b?q={q}&n={n}#{f}", { id = "x/../y", q = "1&2=3", n = 5, f = true }))`, "https://h.example/a/x%2F..%2Fy/b?q=1%262%3D3&n=5#true"},
		{"fill without a host", `log.info(url.fill("/a/{id}", { id = "ü" }))`, "/a/%C3%BC"},
		{"an empty value in a query", `log.info(url.fill("/a?q={q}", { q = "" }))`, "/a?q="},
		{"build", `log.info(url.build{ scheme = "http", host = "h.example", port = 8080, user = "u:x", password = "p@y", path = { "a b", "c/d", 5 }, query = { b = "1", a = { "x", "y z" }, c = true }, fragment = "f#g" })`,
			"http://u%3Ax:p%40y@h.example:8080/a%20b/c%2Fd/5?a=x&a=y%20z&b=1&c=true#f%23g"},
		{"build with a path that is text", `log.info(url.build{ host = "h.example", path = "/a b/c?d" } .. " " .. url.build{ host = "h.example", path = "a/" } .. " " .. url.build{ host = "h.example" })`, "https://h.example/a%20b/c%3Fd https://h.example/a/ https://h.example"},
		{"build without a host", `log.info(url.build{ path = { "a" }, query = {} } .. url.build{})`, "/a"},
		{"hosts that are addresses", `log.info(url.build{ host = "::1", port = 80 } .. url.build{ host = "[::1]" } .. url.build{ host = "127.0.0.1" })`, "https://[::1]:80https://[::1]https://127.0.0.1"},
		{"parse", parts + `log.info(parts("https://u:p%40@h.example:8080/a%20b/c?x=1&y=%C3%A5+z&x=2#f"))`,
			`{"fragment":"f","host":"h.example","password":"p@","path":"/a b/c","port":8080,"query":{"x":"1","y":"å z"},"scheme":"https","user":"u"}`},
		{"parse what is short", parts + `log.info(parts("") .. parts("/a") .. parts("tel:+46") .. parts("//h/x"))`, `{}{"path":"/a"}{"path":"+46","scheme":"tel"}{"host":"h","path":"/x"}`},
		{"parse what is none", parts + `for _, s in ipairs{ "http://[::1", "http://h:x/", "http://h:99999/", "a%zz", "/?%zz", "http://a b/", "\0" } do log.info(parts(s)) end`,
			`"http://[::1" is no address: missing ']' in host | "http://h:x/" is no address: invalid port ":x" after host | "http://h:99999/" is no address: the port is beyond 65535 | ` +
				`"a%zz" is no address: the escape "%zz" is none: % and two hexadecimal digits are | "/?%zz" is no address: the escape "%zz" is none: % and two hexadecimal digits are | ` +
				`"http://a b/" is no address: invalid character " " in host name | "\x00" is no address: invalid control character in URL`},
		{"queries", `log.info(url.encode_query{ b = "x=&y", a = 1, ["å "] = "" } .. " " .. json.encode(url.decode_query("a=1&a=2&&b&c=%26+d")) .. json.encode(url.decode_query("a=1&a=2", { all = true })))`,
			`a=1&b=x%3D%26y&%C3%A5%20= {"a":"1","b":"","c":"& d"}{"a":["1","2"]}`},
		refuse(`url.fill("/a/{id}", {})`, "url.fill: there is no value for {id}"), refuse(`url.fill("/a/{id}", { idd = 1 })`, "url.fill: there is no value for {id}, did you mean `idd`?"),
		refuse(`url.fill("/a/{id}", { id = 1, q = 2 })`, `url.fill: there is a value for "q", but the template "/a/{id}" has no such place`),
		refuse(`url.fill("/a/{id}", { id = {} })`, "url.fill: the value of {id} must be a string, not a table"),
		refuse(`url.fill("/a/{id}/b", { id = "" })`, `url.fill: the value of {id} is "", which in a path leads elsewhere`), refuse(`url.fill("/a/{id}", { id = ".." })`, `url.fill: the value of {id} is "..", which in a path leads elsewhere`),
		refuse(`url.fill("https://{h}/", { h = "evil.example" })`, "url.fill: {h} is in the host: build the address of a known one"),
		refuse(`url.fill("https://h.{h}", { h = "x" })`, "url.fill: {h} is in the host: build the address of a known one"), refuse(`url.fill("https://u:{h}@h/", { h = "x" })`, "url.fill: {h} is in the host: build the address of a known one"),
		refuse(`url.fill("{s}://h/", { s = "x" })`, `url.fill: the template "{s}://h/" begins neither with a scheme and a host, such as https://crm.example.com/, nor with one slash`),
		refuse(`url.fill("//{h}/", { h = "x" })`, `url.fill: the template "//{h}/" begins neither with a scheme and a host, such as https://crm.example.com/, nor with one slash`),
		refuse(`url.fill("/{a b}", {})`, `url.fill: the template "/{a b}" has a { at character 2 that begins no {name}`), refuse(`url.fill("/{", {})`, `url.fill: the template "/{" has a { at character 2 that begins no {name}`),
		refuse(`url.build{ hots = "x" }`, "url.build: unknown part \"hots\", did you mean `host`?"), refuse(`url.build{ host = "a/b" }`, `url.build: the part `+"`host`"+` is "a/b"; it is a name of letters, digits, hyphens and dots, or an address. A port is a part of its own`),
		refuse(`url.build{ host = "a:80" }`, "url.build: the part `host` is \"a:80\"; it is a name of letters, digits, hyphens and dots, or an address. A port is a part of its own"),
		refuse(`url.build{ host = "" }`, "url.build: the part `host` is empty"), refuse(`url.build{ host = "h", scheme = "a:b" }`, "url.build: the part `scheme` is \"a:b\"; it is a name such as https"),
		refuse(`url.build{ host = "h", port = "80@x" }`, "url.build: the part `port` must be 1 to 65535, not \"80@x\""), refuse(`url.build{ port = 80 }`, "url.build: there is a port, but no host"),
		refuse(`url.build{ path = { "a", ".." } }`, "url.build: part 2 of `path` is \"..\", which leads elsewhere"), refuse(`url.build{ path = { "" } }`, "url.build: part 1 of `path` is \"\", which leads elsewhere"),
		refuse(`url.build{ path = "/a/../b" }`, "url.build: the part `path` has a .., which leads elsewhere"), refuse(`url.build{ path = "//h/" }`, "url.build: the part `path` begins with two slashes, which would be a host"),
		refuse(`url.build{ query = "a=1" }`, "url.build: the part `query` must be a table, not \"a=1\"; decode_query makes one"), refuse(`url.build{ query = { a = { {} } } }`, "url.build: the part `query`: the value of \"a\" must be a string, not a table"),
		refuse(`url.encode_query{ "a" }`, "url.encode_query: the key 1 is no name"), refuse(`url.encode_query{ a = json.null }`, "url.encode_query: the value of \"a\" must be a string, not a userdata"),
	})
}

// No value changes what an address is: what Go reads is what was put in, and nothing else.
func TestURLValuesStayValues(t *testing.T) {
	values := hostile
	gen := rapid.StringOfN(rapid.SampledFrom([]rune("a/?#@:&=%+ .\\\n\x00å;,[]{}")), 1, 12, -1)
	for seed := range 200 {
		values = append(values, gen.Example(seed))
	}
	simulated(t, func(t *testing.T) {
		var script strings.Builder
		var sent []string
		for _, s := range values {
			if s == "." || s == ".." {
				continue
			}
			sent = append(sent, s)
			fmt.Fprintf(&script, `do local s = %s
				log.info(url.fill("https://h.example/a/{x}/b?q={x}&r=1#{x}", { x = s }))
				log.info(url.build{ host = "h.example", path = { "a", s, "b" }, query = { q = s, r = 1 }, fragment = s })
				local p = assert(url.parse(url.build{ host = "h.example", user = s, password = s, path = { s }, query = { [s] = s } }))
				if p.host ~= "h.example" or p.user ~= s or p.password ~= s or p.path ~= "/" .. s or p.query[s] ~= s or p.fragment then log.info("wrong") end
				if url.decode(url.encode(s)) ~= s or url.decode_query(url.encode_query{ [s] = { s, s } }, { all = true })[s][2] ~= s then log.info("wrong") end end
				`, luaString(s))
		}
		b := newBench(t, map[string]string{"main": script.String()}, nil)
		b.run("main")
		got := b.log.messages()
		if len(got) != 2*len(sent) {
			t.Fatalf("%d addresses of %d values\n%s", len(got), len(sent), b.log)
		}
		for i, text := range got {
			s := sent[i/2]
			u, err := neturl.Parse(text)
			if err != nil {
				t.Errorf("%q: %v", s, err)
				continue
			}
			if u.Scheme != "https" || u.Host != "h.example" || u.User != nil || u.Path != "/a/"+s+"/b" || strings.Count(u.EscapedPath(), "/") != 3 || u.Fragment != s ||
				len(u.Query()) != 2 || len(u.Query()["q"]) != 1 || u.Query().Get("q") != s || u.Query().Get("r") != "1" {
				t.Errorf("%q: %s", s, text)
			}
		}
	})
}

func TestURLLimits(t *testing.T) {
	runLimits(t, []luaCase{
		{"text that grows", `local s = "/" while true do s = url.encode(s .. s) end`, "string of"},
		{"text that grows at once", `local s = url.fill("/" .. ("{a}"):rep(10000), { a = ("/"):rep(10000) })`, "string of"},
		{"a query that grows", `local t = {} for i = 1, 1000 do t["a" .. i] = ("/"):rep(1000) end url.encode_query(t)`, "string of"},
		{"queries", `url.decode_query(("a&"):rep(500000), { all = true })`, "too much memory"},
		{"parse in a loop", `while true do pcall(url.parse, "https://h.example/?" .. ("a=b&"):rep(1000)) end`, "computes for too long"},
	})
}
