package luabind

import (
	"fmt"
	"net/netip"
	neturl "net/url"
	"slices"
	"strconv"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var urlModule = &Module{
	Name: "url",
	Doc: "`url` puts addresses together such that no value in them, whoever chose it, changes where they lead.\n\n" +
		"```lua\nlocal address = url.fill(\"https://crm.example.com/accounts/{id}/calls?from={number}\", {\n" +
		"  id = \"a/b?c\", number = call.caller.number,\n})\n" +
		"log.info(address)  -- https://crm.example.com/accounts/a%2Fb%3Fc/calls?from=%2B15551230000\n" +
		"log.info(url.build{ host = \"crm.example.com\", path = { \"search\" }, query = { q = \"åäö & co\", page = 2 } })\n```",
	Functions: []Verb{
		{
			Name:   "fill",
			Params: []Param{{Name: "template", Type: String, Doc: `an address with places for values: "https://host/accounts/{id}?q={text}", or one that begins with "/"`}, {Name: "values", Type: Table, Doc: "a string, number or boolean for each place"}},
			Results: []Result{
				{"url", "string", "the address"},
			},
			Doc: "Puts values into an address, each escaped. It raises an error where a place has no value or a value no place, where a place is in the host, " +
				"and where a value in the path is empty, `.` or `..`: the address would be another one.",
			run: urlFill,
		},
		{
			Name:    "build",
			Params:  []Param{{Name: "parts", Type: Table, Doc: "scheme (https where left out), host, port, user, password, path, query, fragment; without a host it begins with the path"}},
			Results: []Result{{"url", "string", "the address"}},
			Doc: "Puts an address together of its parts, each escaped. The path is a list, `{ \"accounts\", id }`, of which no part can be empty, `.` or `..`; or a string, whose slashes separate. " +
				"The query is a table as of encode_query.",
			run: urlBuild,
		},
		{
			Name:   "parse",
			Params: []Param{{Name: "text", Type: String, Doc: "an address"}},
			Results: []Result{
				{"parts", "table?", "scheme, host, port (a number), user, password, path, query (a table, as of decode_query) and fragment, as far as they are there, with nothing escaped; nil where it is no address"},
				{"error", "string?", "what is wrong"},
			},
			Doc: "Takes an address apart.",
			run: urlParse,
		},
		{
			Name:    "encode",
			Params:  []Param{{Name: "text", Type: String, Doc: "any text"}},
			Results: []Result{{"text", "string", "the text, with all but letters, digits and -._~ as %XX"}},
			Doc:     "Escapes one value, for any place of an address.",
			run: func(c *Call, L *lua.LState, a args) int {
				charge(L, len(a.string(0)))
				work(L)(len(a.string(0)) / 8)
				text := escapeURL(a.string(0), "")
				charge(L, len(text))
				L.Push(lua.LString(text))
				return 1
			},
		},
		{
			Name:    "decode",
			Params:  []Param{{Name: "text", Type: String, Doc: "a part of an address"}},
			Results: []Result{{"text", "string?", "the text; nil where a % is not followed by two hexadecimal digits"}, {"error", "string?", "what is wrong"}},
			Doc:     "Undoes the escapes of one value. A plus sign stays one; in a query it is a space, see decode_query.",
			run: func(c *Call, L *lua.LState, a args) int {
				charge(L, len(a.string(0)))
				work(L)(len(a.string(0)) / 8)
				text, err := neturl.PathUnescape(a.string(0))
				if err != nil {
					return pushNone(L, badEscape(err))
				}
				L.Push(lua.LString(text))
				return 1
			},
		},
		{
			Name:    "encode_query",
			Params:  []Param{{Name: "query", Type: Table, Doc: "names and values: strings, numbers, booleans, or lists of them for a name that comes several times"}},
			Results: []Result{{"text", "string", "such as a=1&b=x%20y, in the order of the names"}},
			Doc:     "Writes a query, or the body of a form.",
			run: func(c *Call, L *lua.LState, a args) int {
				text, err := encodeQuery(L, a.table(0))
				if err != nil {
					a.fail("%s", err)
				}
				L.Push(lua.LString(text))
				return 1
			},
		},
		{
			Name:    "decode_query",
			Params:  []Param{{Name: "text", Type: String, Doc: "a query, without the question mark, or the body of a form"}},
			Options: []Param{{Name: "all", Type: Boolean, Doc: "true: a list of values for every name, not the first value"}},
			Results: []Result{{"query", "table?", "names and values; nil where an escape is wrong"}, {"error", "string?", "what is wrong"}},
			Doc:     "Reads a query. Of a name that comes several times the first value counts, so that nobody can turn a string into a list.",
			run: func(c *Call, L *lua.LState, a args) int {
				t, err := decodeQuery(L, a.string(0), a.optBool("all", false))
				if err != nil {
					return pushNone(L, err.Error())
				}
				L.Push(t)
				return 1
			},
		},
	},
}

// escapeURL writes all but unreserved characters (RFC 3986, 2.3), and those of keep, as %XX.
func escapeURL(s, keep string) string {
	n := 0
	plain := func(c byte) bool {
		return isAlpha(c) || isDigit(c) || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(keep, c) >= 0
	}
	for i := range len(s) {
		if !plain(s[i]) {
			n++
		}
	}
	if n == 0 {
		return s
	}
	b := make([]byte, 0, len(s)+2*n)
	for i := range len(s) {
		if c := s[i]; plain(c) {
			b = append(b, c)
		} else {
			b = append(b, '%', "0123456789ABCDEF"[c>>4], "0123456789ABCDEF"[c&15])
		}
	}
	return string(b)
}

func badEscape(err error) string {
	if e, ok := err.(neturl.EscapeError); ok {
		return "the escape " + describe(lua.LString(e)) + " is none: % and two hexadecimal digits are"
	}
	return err.Error()
}

// scalar is the text of a value that stands for itself.
func scalar(v lua.LValue) (string, bool) {
	if b, ok := v.(lua.LBool); ok {
		return b.String(), true
	}
	return wordOf(v)
}

// turns reports whether a value, as a part of a path, leads to another place than below.
func turns(segment string) bool { return segment == "" || segment == "." || segment == ".." }

func urlFill(c *Call, L *lua.LState, a args) int {
	L.Push(lua.LString(a.filled(a.string(0), a.table(1))))
	return 1
}

// filled is an address with values in the places for them, each escaped.
func (a args) filled(template string, values *lua.LTable) string {
	path := 0 // where it begins
	if scheme, rest, ok := strings.Cut(template, "://"); ok && !strings.ContainsAny(scheme, "/?#{") {
		slash := strings.IndexAny(rest, "/?#")
		if slash < 0 {
			slash = len(rest)
		}
		path = len(template) - len(rest) + slash
	} else if !strings.HasPrefix(template, "/") || strings.HasPrefix(template, "//") {
		a.fail("the template %s begins neither with a scheme and a host, such as https://crm.example.com/, nor with one slash", describe(lua.LString(template)))
	}
	end := len(template) // of the path
	if i := strings.IndexAny(template, "?#"); i >= 0 {
		end = i
	}
	used := map[string]bool{}
	m := newMeter(a.L)
	var b strings.Builder
	for at := 0; at < len(template); {
		open := strings.IndexByte(template[at:], '{')
		if open < 0 {
			b.WriteString(template[at:])
			break
		}
		b.WriteString(template[at : at+open])
		at += open
		name, _, ok := strings.Cut(template[at+1:], "}")
		if !ok || strings.ContainsAny(name, "{/?#& ") || name == "" {
			a.fail("the template %s has a { at character %d that begins no {name}", describe(lua.LString(template)), at+1)
		}
		v := values.RawGetString(name)
		text, isText := scalar(v)
		switch {
		case v == lua.LNil:
			a.fail("there is no value for {%s}%s", name, didYouMean(name, tableNames(values)))
		case !isText:
			a.fail("the value of {%s} must be a string, not %s", name, describe(v))
		case at < path:
			a.fail("{%s} is in the host: build the address of a known one", name)
		case at < end && turns(text):
			a.fail("the value of {%s} is %s, which in a path leads elsewhere", name, describe(v))
		}
		used[name] = true
		m.fits(b.Len() + len(text))
		escaped := escapeURL(text, "")
		b.WriteString(escaped)
		m.add(len(escaped) + 16)
		m.fits(b.Len())
		at += len(name) + 2
	}
	values.ForEach(func(k, _ lua.LValue) {
		if name, ok := k.(lua.LString); !ok || !used[string(name)] {
			a.fail("there is a value for %s, but the template %s has no such place", describe(k), describe(lua.LString(template)))
		}
	})
	m.fits(b.Len())
	return b.String()
}

var urlParts = []string{"scheme", "host", "port", "user", "password", "path", "query", "fragment"}

func urlBuild(c *Call, L *lua.LState, a args) int {
	t := a.table(0)
	t.ForEach(func(k, _ lua.LValue) {
		if name, ok := k.(lua.LString); !ok || !slices.Contains(urlParts, string(name)) {
			hint := ""
			if ok {
				hint = didYouMean(string(name), urlParts)
			}
			if hint == "" {
				hint = "; there are " + strings.Join(urlParts, ", ")
			}
			a.fail("unknown part %s%s", describe(k), hint)
		}
	})
	size := 0
	text := func(name string) (string, bool) {
		v := t.RawGetString(name)
		s, ok := wordOf(v)
		if v != lua.LNil && !ok {
			a.fail("the part `%s` must be a string, not %s", name, describe(v))
		}
		size += len(s)
		charge(L, size)
		return s, ok
	}
	var b strings.Builder
	if host, ok := text("host"); ok {
		scheme, given := text("scheme")
		if !given {
			scheme = "https"
		}
		for i := range len(scheme) {
			if c := scheme[i]; !isAlpha(c) && (i == 0 || !isDigit(c) && strings.IndexByte("+-.", c) < 0) {
				a.fail("the part `scheme` is %s; it is a name such as https", describe(lua.LString(scheme)))
			}
		}
		if scheme == "" {
			a.fail("the part `scheme` is empty")
		}
		b.WriteString(scheme + "://")
		if user, ok := text("user"); ok {
			b.WriteString(escapeURL(user, ""))
			if password, ok := text("password"); ok {
				b.WriteString(":" + escapeURL(password, ""))
			}
			b.WriteByte('@')
		}
		b.WriteString(hostOf(a, host))
		if v := t.RawGetString("port"); v != lua.LNil {
			s, _ := wordOf(v)
			port, err := strconv.ParseUint(s, 10, 16)
			if err != nil || port == 0 {
				a.fail("the part `port` must be 1 to 65535, not %s", describe(v))
			}
			b.WriteString(":" + strconv.Itoa(int(port)))
		}
	} else {
		for _, name := range []string{"scheme", "port", "user", "password"} {
			if t.RawGetString(name) != lua.LNil {
				a.fail("there is a %s, but no host", name)
			}
		}
	}
	b.WriteString(pathOf(L, a, t.RawGetString("path")))
	if v := t.RawGetString("query"); v != lua.LNil {
		q, ok := v.(*lua.LTable)
		if !ok {
			a.fail("the part `query` must be a table, not %s; decode_query makes one", describe(v))
		}
		query, err := encodeQuery(L, q)
		if err != nil {
			a.fail("the part `query`: %s", err)
		}
		if query != "" {
			b.WriteString("?" + query)
		}
	}
	if fragment, ok := text("fragment"); ok {
		b.WriteString("#" + escapeURL(fragment, ""))
	}
	charge(L, b.Len())
	L.Push(lua.LString(b.String()))
	return 1
}

// hostOf is a host as it stands in an address. A name holds nothing that would end it.
func hostOf(a args, host string) string {
	if ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")); err == nil && ip.Zone() == "" {
		if ip.Is6() {
			return "[" + ip.String() + "]"
		}
		return ip.String()
	}
	for i := range len(host) {
		if c := host[i]; !isAlpha(c) && !isDigit(c) && strings.IndexByte("-._", c) < 0 {
			a.fail("the part `host` is %s; it is a name of letters, digits, hyphens and dots, or an address. A port is a part of its own", describe(lua.LString(host)))
		}
	}
	if host == "" {
		a.fail("the part `host` is empty")
	}
	return host
}

// pathOf is a path of build.
func pathOf(L *lua.LState, a args, v lua.LValue) string {
	var b strings.Builder
	m := newMeter(L)
	switch v := v.(type) {
	case *lua.LNilType:
	case *lua.LTable:
		for i := 1; i <= v.Len(); i++ {
			s, ok := scalar(v.RawGetInt(i))
			switch {
			case !ok:
				a.fail("part %d of `path` must be a string, not %s", i, describe(v.RawGetInt(i)))
			case turns(s):
				a.fail("part %d of `path` is %s, which leads elsewhere", i, describe(v.RawGetInt(i)))
			}
			m.fits(b.Len() + len(s))
			b.WriteString("/" + escapeURL(s, ""))
			m.add(len(s) + 16)
		}
	default:
		s, ok := wordOf(v)
		if !ok {
			a.fail("the part `path` must be a list or a string, not %s", describe(v))
		}
		m.add(len(s))
		if s = strings.TrimPrefix(s, "/"); strings.HasPrefix(s, "/") {
			a.fail("the part `path` begins with two slashes, which would be a host")
		}
		for segment := range strings.SplitSeq(s, "/") {
			if segment == "." || segment == ".." {
				a.fail("the part `path` has a %s, which leads elsewhere", segment)
			}
		}
		b.WriteString("/" + escapeURL(s, "/"))
	}
	return b.String()
}

// encodeQuery writes a table as a query.
func encodeQuery(L *lua.LState, t *lua.LTable) (string, error) {
	m := newMeter(L)
	var names []string
	var bad lua.LValue
	t.ForEach(func(k, _ lua.LValue) {
		if name, ok := k.(lua.LString); ok {
			names = append(names, string(name))
			m.add(16)
		} else {
			bad = k
		}
	})
	if bad != nil {
		return "", fmt.Errorf("the key %s is no name", describe(bad))
	}
	slices.Sort(names)
	var b strings.Builder
	for _, name := range names {
		list, ok := t.RawGetString(name).(*lua.LTable)
		n := 1
		if ok {
			n = list.Len()
		}
		for i := 1; i <= n; i++ {
			v := t.RawGetString(name)
			if ok {
				v = list.RawGetInt(i)
			}
			text, isText := scalar(v)
			if !isText {
				return "", fmt.Errorf("the value of %s must be a string, not %s", describe(lua.LString(name)), describe(v))
			}
			m.fits(b.Len() + len(name) + len(text) + 2)
			if b.Len() > 0 {
				b.WriteByte('&')
			}
			before := b.Len()
			b.WriteString(escapeURL(name, "") + "=" + escapeURL(text, ""))
			m.add(b.Len() - before + 16)
			m.fits(b.Len())
		}
	}
	return b.String(), nil
}

// decodeQuery reads a query.
func decodeQuery(L *lua.LState, text string, all bool) (*lua.LTable, error) {
	m := newMeter(L)
	m.add(len(text))
	t := L.CreateTable(0, 1)
	for pair := range strings.SplitSeq(text, "&") {
		if pair == "" {
			continue
		}
		rawName, rawValue, _ := strings.Cut(pair, "=")
		name, err := neturl.QueryUnescape(rawName)
		if err != nil {
			return nil, fmt.Errorf("%s", badEscape(err))
		}
		value, err := neturl.QueryUnescape(rawValue)
		if err != nil {
			return nil, fmt.Errorf("%s", badEscape(err))
		}
		m.add(40 + len(pair))
		old := t.RawGetString(name)
		switch list, ok := old.(*lua.LTable); {
		case ok:
			list.Append(lua.LString(strings.Clone(value)))
		case all:
			list := L.CreateTable(1, 0)
			list.Append(lua.LString(strings.Clone(value)))
			t.RawSetString(strings.Clone(name), list)
			m.add(120)
		case old == lua.LNil:
			t.RawSetString(strings.Clone(name), lua.LString(strings.Clone(value)))
		}
	}
	return t, nil
}

func urlParse(c *Call, L *lua.LState, a args) int {
	text := a.string(0)
	charge(L, 2*len(text))
	work(L)(len(text) / 4)
	u, err := neturl.Parse(text)
	if err != nil {
		return pushNone(L, describe(lua.LString(text))+" is no address: "+strings.TrimPrefix(badURL(err), "net/url: "))
	}
	t := L.CreateTable(0, 8)
	set := func(name, value string) {
		if value != "" {
			t.RawSetString(name, lua.LString(strings.Clone(value)))
		}
	}
	set("scheme", u.Scheme)
	set("host", u.Hostname())
	if p := u.Port(); p != "" {
		port, err := strconv.ParseUint(p, 10, 16)
		if err != nil {
			return pushNone(L, describe(lua.LString(text))+" is no address: the port is beyond 65535")
		}
		t.RawSetString("port", lua.LNumber(port))
	}
	if u.User != nil {
		set("user", u.User.Username())
		password, _ := u.User.Password()
		set("password", password)
	}
	set("path", u.Path+u.Opaque)
	set("fragment", u.Fragment)
	if u.RawQuery != "" {
		query, err := decodeQuery(L, u.RawQuery, false)
		if err != nil {
			return pushNone(L, describe(lua.LString(text))+" is no address: "+err.Error())
		}
		t.RawSetString("query", query)
	}
	L.Push(t)
	return 1
}

// badURL is what net/url says of a text, without the text.
func badURL(err error) string {
	if e, ok := err.(*neturl.Error); ok {
		err = e.Err
	}
	return badEscape(err)
}
