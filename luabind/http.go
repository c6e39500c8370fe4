package luabind

import (
	"context"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxRetries and maxRedirects bound what a script may ask for.
const (
	maxRetries       = 10
	maxRedirects     = 20
	defaultRedirects = 5
)

var httpModule = &Module{
	Name: "http",
	Doc: "`http` asks web servers.\n\n" +
		"```lua\n" +
		`local response, why = http.get("https://crm.example.com/customers/{number}", {
  path = { number = call.caller.number }, query = { fields = "name,vip" },
  auth = { bearer = "secret" }, timeout = "3s", retries = 2, expect = "json",
})
if not response then
  log.warn("no answer from the CRM", { why = why })
elseif response.ok then
  call:set("vip", tostring(response:json().vip))
end
` + "```\n\n" +
		"What has come from a caller belongs in `path` and `query`, which escape it: a `..`, a slash or an `&` in it stays text. " +
		"What a script puts into a URL with `..` is part of the URL.\n\n" +
		"A server's answer is a [Response](#response), whatever its status is. Where there is none, the result is nil and why:\n\n" +
		"| why | what happened |\n|---|---|\n" +
		"| `timeout` | it took longer than `timeout`, or `http.timeout` in the configuration |\n" +
		"| `refused`, `unreachable: …`, `unknown host: …` | there is no server there |\n" +
		"| `lost` | the connection ended before the answer did |\n" +
		"| `bad answer: …` | it is no HTTP, or not the JSON that `expect` asks for |\n" +
		"| `bad certificate: …` | it is not the server's that was asked for |\n" +
		"| `too large` | the answer is larger than `max_body` |\n" +
		"| `too many redirects` | more than `redirects` |\n" +
		"| `not allowed: …` | `http.allow` in the configuration does not let scripts reach it |\n" +
		"| `stopped` | a handler of the call has ended the wait |\n\n" +
		"With `retries`, an attempt is repeated that ended in `refused`, `unreachable`, `unknown host`, `lost`, or with the status 429, 502, 503 or 504, after a pause that doubles, or as " +
		"long as the server's `Retry-After` says, and always within `timeout`. `post` and `patch` are repeated only where nothing was sent, " +
		"or with a header `Idempotency-Key`.\n\n" +
		"When a redirect leads to another server, the headers and the `auth` stay behind, and one that would carry the body there is not followed: it is the answer.",
	Functions: []Verb{
		{
			Name:    "request",
			Params:  append([]Param{{Name: "method", Type: Word, Doc: "such as OPTIONS"}}, urlParam),
			Options: append(bodyOptions, requestOptions...), Results: responseResults,
			Doc: "Sends a request with any method.",
			run: func(c *Call, L *lua.LState, a args) int { return c.request(L, a, a.word(0), 1) },
		},
		requestWith("get", "Asks for what is at a URL.", nil),
		requestWith("head", "Asks for the headers alone.", nil),
		requestWith("delete", "Deletes what is at a URL.", bodyOptions),
		requestWith("post", "Sends something to a URL.", bodyOptions),
		requestWith("put", "Puts something at a URL.", bodyOptions),
		requestWith("patch", "Changes what is at a URL.", bodyOptions),
	},
	Classes: []*Class{responseClass, headersClass},
	Outside: true,
}

func requestWith(name, doc string, body []Param) Verb {
	return Verb{
		Name: name, Params: []Param{urlParam}, Options: append(body, requestOptions...), Results: responseResults, Doc: doc,
		run: func(c *Call, L *lua.LState, a args) int { return c.request(L, a, strings.ToUpper(name), 0) },
	}
}

var (
	urlParam = Param{Name: "url", Type: String, Doc: "http:// or https://; a {name} in it stands for a value in `path`"}

	bodyOptions = []Param{
		{Name: "json", Type: Any, Doc: "sent as JSON"},
		{Name: "form", Type: Table, Doc: "sent like a web page's form, escaped"},
		{Name: "body", Type: String, Doc: "sent as it is"},
	}
	requestOptions = []Param{
		{Name: "path", Type: Table, Doc: "values for the {name}s in the URL, escaped as `url.fill` does: { id = 7 }"},
		{Name: "query", Type: Table, Doc: "what follows the ? in the URL, escaped: { q = text, tag = { \"a\", \"b\" } }"},
		{Name: "headers", Type: Table, Doc: "by name"},
		{Name: "auth", Type: Table, Doc: "{ user =, password = } or { bearer = }"},
		{Name: "timeout", Type: Duration, Doc: "for all of it, retries and redirects too; `http.timeout` in the configuration if left out"},
		{Name: "retries", Type: Integer, Doc: "further attempts, up to 10; 0 if left out"},
		{Name: "redirects", Type: Integer, Doc: "how many are followed, up to 20; 5 if left out, and with 0 a redirect is the answer"},
		{Name: "max_body", Type: Integer, Doc: "bytes of the answer's body, less than `http.max_body` in the configuration"},
		{Name: "expect", Type: Word, Enum: []string{"json"}, Doc: "an answer with a status of success that is no JSON is a `bad answer`"},
	}
	responseResults = []Result{{"response", "Response?", "the answer; nil where there is none"}, {"why", "string?", "why there is none"}}
)

// A webAnswer is what scripts have of an answer.
type webAnswer struct {
	*HTTPResponse
	headers *lua.LUserData
}

func (r *webAnswer) size() int {
	n := len(r.Body)
	for name, values := range r.Header {
		n += len(name)
		for _, v := range values {
			n += len(v)
		}
	}
	return n
}

var responseClass = &Class{
	Name: "Response", Article: "a response", Var: "response",
	Doc: "A web server's answer.",
	Fields: []Field{
		{"status", "integer", "The status, such as 404."},
		{"ok", "boolean", "Whether the status is one of success, 200 to 299."},
		{"headers", "Headers", "response.headers[\"Content-Type\"], in upper or lower case; response.headers() is a table of all, with names in lower case."},
		{"body", "string", "The body, decompressed."},
		{"url", "string", "Whose answer it is, after redirects."},
	},
	Methods: []Verb{{
		Name:    "json",
		Results: []Result{{"value", "any", "what the body says; nil where it is no JSON"}, {"why", "string?", "what is wrong with it"}},
		Doc:     "Reads the body as JSON, as `json.decode` does.",
		run: func(c *Call, L *lua.LState, a args) int {
			v, err := decodeJSON(L, a.self().(*webAnswer).Body)
			if err != nil {
				return pushNone(L, "bad answer: "+err.Error())
			}
			L.Push(v)
			return 1
		},
	}},
	field: func(c *Call, L *lua.LState, value any, name string) lua.LValue {
		r := value.(*webAnswer)
		switch name {
		case "status":
			return lua.LNumber(r.Status)
		case "ok":
			return lua.LBool(r.ok())
		case "headers":
			return r.headers
		case "url":
			return lua.LString(r.URL)
		default:
			return lua.LString(r.Body)
		}
	},
}

func (r *webAnswer) ok() bool { return r.Status >= 200 && r.Status < 300 }

var headersClass = &Class{
	Name: "Headers", Article: "headers", Var: "headers",
	Doc: "What stands above an answer's body: `headers[name]` is nil where there is no such header, and has commas where there are several.",
	other: func(c *Call, L *lua.LState, value any, key lua.LValue) (lua.LValue, bool) {
		name, ok := wordOf(key)
		if !ok {
			return nil, false
		}
		if values := value.(http.Header).Values(name); len(values) > 0 {
			return lua.LString(strings.Join(values, ", ")), true
		}
		return lua.LNil, true
	},
	meta: map[string]lua.LGFunction{"__call": headersCall},
}

func headersCall(L *lua.LState) int {
	u, ok := L.Get(1).(*lua.LUserData)
	if !ok {
		L.RaiseError("not headers")
	}
	header, ok := u.Value.(http.Header)
	if !ok {
		L.RaiseError("not headers")
	}
	t := L.NewTable()
	for name, values := range header {
		text := strings.Join(values, ", ")
		charge(L, len(name)+len(text))
		t.RawSetString(strings.ToLower(name), lua.LString(text))
	}
	L.Push(t)
	return 1
}

// request is http.get and its like; the URL is argument i.
func (c *Call) request(L *lua.LState, a args, method string, i int) int {
	r := HTTPRequest{Method: method, Header: http.Header{}, Redirects: a.between("redirects", defaultRedirects, maxRedirects),
		Retries: a.between("retries", 0, maxRetries), MaxBody: a.between("max_body", 0, maxString)}
	if !isToken(method) {
		a.fail("%s is no method", describe(lua.LString(method)))
	}
	r.URL = a.url(i)
	r.Timeout, _ = a.optDuration("timeout")
	a.requestBody(&r)
	a.requestHeaders(&r)
	if c.env.Services == nil || c.env.Services.HTTP == nil {
		a.fail("there is no way out to web servers here")
	}
	var answer *HTTPResponse
	err := c.outside(L, 0, func(ctx context.Context) (err error) {
		answer, err = c.env.Services.HTTP.Send(ctx, r)
		return err
	})
	if err != nil {
		return failure(L, err)
	}
	result := &webAnswer{HTTPResponse: answer, headers: headersClass.new(answer.Header)}
	charge(L, result.size())
	if expect, _ := a.optString("expect"); expect == "json" && result.ok() {
		if _, err := decodeJSON(L, answer.Body); err != nil {
			return pushNone(L, "bad answer: "+err.Error())
		}
	}
	L.Push(responseClass.new(result))
	return 1
}

// between is a whole number among the options, from 0 to most.
func (a args) between(name string, otherwise, most int) int {
	n := a.optInt(name, otherwise)
	if n < 0 || n > most {
		a.fail("option `%s` must be a number from 0 to %d, not %d", name, most, n)
	}
	return n
}

// url is the URL of argument i, with the options path and query in it.
func (a args) url(i int) *url.URL {
	text := a.string(i)
	scheme, _, _ := strings.Cut(text, "://")
	if scheme = strings.ToLower(scheme); scheme != "http" && scheme != "https" {
		a.fail("argument `url` must begin with http:// or https://, not %s", describe(lua.LString(text)))
	}
	values, filled := a.option("path")
	if filled {
		text = a.filled(text, values.(*lua.LTable))
	}
	u, err := url.Parse(text)
	switch {
	case err == nil && !filled && strings.Contains(u.Path, "{"):
		a.fail("argument `url` has a {name} in its path, and there is no option `path` for it")
	case err != nil:
		a.fail("argument `url`: %s", strings.TrimPrefix(err.(*url.Error).Err.Error(), "net/url: "))
	case u.Hostname() == "" || strings.ContainsAny(u.Host, " %\\{}"):
		a.fail("argument `url` names no host: %s", describe(lua.LString(text)))
	}
	u.Fragment, u.RawFragment = "", ""
	if values, ok := a.option("query"); ok {
		query := a.pairs("query", values)
		if u.RawQuery != "" && query != "" {
			query = "&" + query
		}
		u.RawQuery += query
	}
	return u
}

// pairs are the names and values of an option, as in a query.
func (a args) pairs(option string, values lua.LValue) string {
	text, err := encodeQuery(a.L, values.(*lua.LTable))
	if err != nil {
		a.fail("option `%s`: %s", option, err)
	}
	return text
}

func (a args) requestBody(r *HTTPRequest) {
	n := 0
	content := ""
	if v, ok := a.option("json"); ok {
		text, err := encodeJSON(a.L, v)
		if err != nil {
			a.fail("option `json`: %s", err)
		}
		r.Body, content = string(text), "application/json"
		n++
	}
	if v, ok := a.option("form"); ok {
		r.Body, content = a.pairs("form", v), "application/x-www-form-urlencoded"
		n++
	}
	if v, ok := a.optString("body"); ok {
		r.Body, content = v, "text/plain; charset=utf-8"
		n++
	}
	if n > 1 {
		a.fail("the options json, form and body exclude each other")
	}
	if n == 1 {
		r.Header.Set("Content-Type", content)
	}
}

func (a args) requestHeaders(r *HTTPRequest) {
	if v, ok := a.option("headers"); ok {
		v.(*lua.LTable).ForEach(func(key, value lua.LValue) {
			name, ok := key.(lua.LString)
			if !ok || !isToken(string(name)) {
				a.fail("option `headers`: %s is no name of a header", describe(key))
			}
			text, ok := wordOf(value)
			if !ok {
				a.fail("option `headers`: `%s` must be a string, not %s", string(name), describe(value))
			}
			if !isHeaderValue(text) {
				a.fail("option `headers`: `%s` holds a line break or another control character: %s", string(name), describe(value))
			}
			canonical := http.CanonicalHeaderKey(string(name))
			if ownHeaders[canonical] {
				a.fail("option `headers`: %s is not for scripts to set", canonical)
			}
			r.Header.Set(canonical, text)
		})
	}
	v, ok := a.option("auth")
	if !ok {
		return
	}
	given := map[string]string{}
	v.(*lua.LTable).ForEach(func(key, value lua.LValue) {
		text, ok := wordOf(value)
		if !ok {
			a.fail("option `auth`: `%s` must be a string", key.String())
		}
		given[key.String()] = text
	})
	user, named := given["user"]
	bearer, token := given["bearer"]
	password := given["password"]
	delete(given, "user")
	delete(given, "password")
	delete(given, "bearer")
	for name := range given {
		a.fail("option `auth`: unknown `%s`%s", name, didYouMean(name, []string{"user", "password", "bearer"}))
	}
	switch {
	case named == token || token && password != "":
		a.fail("option `auth` is { user =, password = } or { bearer = }")
	case token && !isHeaderValue(bearer), named && strings.Contains(user, ":"):
		a.fail("option `auth` holds a character that cannot be sent") // which one is a secret
	case token:
		r.Header.Set("Authorization", "Bearer "+bearer)
	default:
		r.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
	}
}

// ownHeaders say how a message is cut out of a connection, and whose it is.
var ownHeaders = map[string]bool{
	"Connection": true, "Content-Length": true, "Expect": true, "Host": true, "Keep-Alive": true, "Proxy-Authorization": true,
	"Proxy-Connection": true, "Te": true, "Trailer": true, "Transfer-Encoding": true, "Upgrade": true,
}

// isToken reports whether s may be a method or the name of a header (RFC 9110, 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return s != ""
}

// isHeaderValue reports whether s may be the value of a header: it has no control characters but tabs.
func isHeaderValue(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
