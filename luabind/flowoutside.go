package luabind

import (
	"strconv"
	"strings"
	"time"

	lua "github.com/yuin/gopher-lua"
)

// The steps that use modules: they look at the time, and ask others.
var outsideKinds = []*StepKind{
	{
		Name: "hours", Verb: "time.open", OffCall: true, pure: true,
		Doc: "Decides on opening hours, as `time.open` reads them.",
		Outcomes: []StepOutcome{{Name: "open", Doc: "when it is open"},
			{Name: "closed", Doc: "when it is not"},
			{Name: "holiday", Falls: "closed", Doc: "when it is closed and the day is a holiday"}},
		check: func(k *stepCheck) {
			text, _ := wordOf(k.t.RawGetInt(1))
			if isDynamic(text) {
				return
			}
			holidays, _ := k.t.RawGetString("holidays").(*lua.LTable)
			if _, err := newOpeningHours(text, holidays); err != nil {
				k.wrong("%s", err.Error())
			}
			if zone, ok := k.t.RawGetString("zone").(lua.LString); ok && !isDynamic(string(zone)) {
				if _, err := time.LoadLocation(string(zone)); err != nil {
					k.wrong("option `zone`: there is no zone %q, such as \"Europe/Stockholm\"", string(zone))
				}
			}
		},
		run: func(s *stepRun) string {
			s.verb(3)
			switch {
			case s.result(0) == lua.LTrue:
				return "open"
			case s.result(2) != lua.LNil:
				return "holiday"
			}
			return "closed"
		},
	},
	{
		Name: "http", OffCall: true,
		Doc: "Asks a web server, as the module `http` does. A {name} in the URL's path is from data, escaped; in the other options texts are filled in as everywhere. " +
			"With `into`, data gets the answer: what its JSON says, or else its text; or with a table parts of the JSON, `into = { vip = \"customer.vip\" }`.",
		Params: []Param{{Name: "url", Type: String, Doc: "http:// or https://"}},
		Options: []Param{
			{Name: "method", Type: Word, Doc: "such as POST; GET where left out"},
			{Name: "into", Type: Any, Doc: "the name in data that gets the answer, or a table of names and parts of it"},
		},
		Outcomes: []StepOutcome{{Name: next, Doc: "when the answer is a success"},
			{Name: "missing", Falls: "failed", Doc: "when the answer is 404"},
			{Name: "failed", Doc: "when there is no answer in time, another status, or `into` is more than data can keep"}},
		check: checkInto,
		run:   stepHTTP,
	},
	{
		Name: "sql", OffCall: true,
		Doc: "Runs one statement in a database, as the module `sql` does, and reads the first row of its answer. Values come from `with`, as parameters: `:number` in the statement is with.number. " +
			"Nothing is filled into the statement itself. With `into`, data gets the row, or with a table parts of it, `into = { greeting = \"greeting\" }`; with `exec`, how many rows were changed.",
		Params: []Param{{Name: "statement", Type: String, Doc: "with :name for each value"}},
		Options: []Param{
			{Name: "database", Type: Word, Doc: "as in [sql.NAME]; has to be given"},
			{Name: "with", Type: Table, Doc: "the values: { number = \"{call.caller.number}\" }. One that is a name alone, \"{order.total}\", keeps its type"},
			{Name: "exec", Type: Boolean, Doc: "true: the statement changes something and has no rows"},
			{Name: "timeout", Type: Duration, Doc: "instead of the configuration's"},
			{Name: "into", Type: Any, Doc: "the name in data that gets the answer, or a table of names and columns"},
		},
		Outcomes: []StepOutcome{{Name: next, Doc: "when there is a row, or one was changed"},
			{Name: "none", Falls: next, Doc: "when there is none"},
			{Name: "failed", Doc: "when the database does not answer in time, or refuses, or `into` is more than data can keep"}},
		check: func(k *stepCheck) {
			if k.t.RawGetString("database") == lua.LNil {
				k.wrong("option `database` is missing: the NAME of a [sql.NAME] in the configuration")
			}
			checkInto(k)
		},
		run: stepSQL,
	},
}

// checkInto checks an option into that is a name in data, or a table of names and parts of the answer.
func checkInto(k *stepCheck) {
	const want = "option `into` is a name, or a table of names and parts of the answer, { vip = \"customer.vip\" }"
	switch into := k.t.RawGetString("into").(type) {
	case *lua.LNilType:
	case lua.LString:
		if !isPath(string(into)) {
			k.wrong("option `into`: %s is no name, such as account or order.number", describe(into))
		}
	case *lua.LTable:
		into.ForEach(func(key, from lua.LValue) {
			name, ok := key.(lua.LString)
			part, isName := from.(lua.LString)
			if !ok || !isName || !isPath(string(name)) || !isPath(string(part)) {
				k.wrong(want)
			}
		})
	default:
		k.wrong(want)
	}
}

// putInto puts an answer into data, as the option into says: all of it, or none, with a warning, where the call cannot
// carry it.
func (s *stepRun) putInto(answer lua.LValue) bool {
	why := s.keep(func(put func(name string, v lua.LValue)) {
		switch into := s.def.t.RawGetString("into").(type) {
		case lua.LString:
			put(string(into), answer)
		case *lua.LTable:
			parts, ok := answer.(*lua.LTable)
			if !ok {
				parts = s.L.NewTable()
			}
			into.ForEach(func(name, from lua.LValue) { put(name.String(), lookupPath(parts, from.String())) })
		}
	})
	if why != "" {
		s.c.log.Warn("a step has an answer that cannot be kept", "step", s.name, "why", why, "at", at(s.def.file, s.def.line))
	}
	return why == ""
}

// keep puts into data what fill has, if the call can carry it then, and says why where it cannot.
func (s *stepRun) keep(fill func(put func(name string, v lua.LValue))) (why string) {
	fr, data := s.fr, s.fr.data
	if why := unstorable(data, "data"); why != "" {
		return why
	}
	fr.data = copyValue(s.L, data).(*lua.LTable)
	defer func() { fr.data = data }()
	fill(func(name string, v lua.LValue) {
		if why == "" {
			why = unstorable(v, "data."+name)
		}
		if why == "" {
			assignPath(s.L, fr.data, name, v)
		}
	})
	if why == "" {
		_, why = s.c.sealed(fr)
	}
	if why == "" {
		fill(func(name string, v lua.LValue) { assignPath(s.L, data, name, v) })
	}
	return why
}

func stepSQL(s *stepRun) string {
	L, t := s.L, s.def.t
	options := L.CreateTable(0, 1)
	if v := t.RawGetString("timeout"); v != lua.LNil {
		options.RawSetString("timeout", v)
	}
	s.flush()
	L.Push(moduleFunction("sql.open"))
	L.Push(s.fill(t.RawGetString("database")))
	L.Push(options)
	L.Call(2, 1)
	db := L.Get(-1)
	changes := t.RawGetString("exec") == lua.LTrue
	method := "row"
	if changes {
		method = "exec"
	}
	L.Push(databaseClass.bound[method])
	L.Push(db)
	L.Push(t.RawGetInt(1))
	given := 2
	if with, ok := t.RawGetString("with").(*lua.LTable); ok {
		values := L.NewTable()
		with.ForEach(func(name, v lua.LValue) { values.RawSet(name, s.fillValue(v)) })
		L.Push(values)
		given++
	}
	L.Call(given, 2)
	answer, why := L.Get(-2), L.Get(-1)
	switch {
	case answer == lua.LNil && why != lua.LNil: // the module has warned of it
		return "failed"
	case answer == lua.LNil, changes && answer == lua.LNumber(0):
		return "none"
	}
	if !s.putInto(plainValue(L, answer)) {
		return "failed"
	}
	return next
}

// fillValue is fill, but a text that is one name alone keeps the type of what it stands for.
func (s *stepRun) fillValue(v lua.LValue) lua.LValue {
	if text, ok := v.(lua.LString); ok && strings.HasPrefix(string(text), "{") && strings.HasSuffix(string(text), "}") {
		if name := string(text[1 : len(text)-1]); isPath(name) {
			return s.lookup(name)
		}
	}
	return s.fill(v)
}

// requestOptionsOfSteps are the options of http.request that its step has: path is made of the URL's names.
func requestOptionsOfSteps() []Param {
	var list []Param
	for _, o := range moduleVerb("http.request").Options {
		if o.Name != "path" {
			list = append(list, o)
		}
	}
	return list
}

// moduleVerb is a function of a module by its full name.
func moduleVerb(name string) *Verb {
	module, function, _ := strings.Cut(name, ".")
	return moduleOf(module).function(function)
}

// moduleFunction is the same as scripts call it.
func moduleFunction(name string) lua.LValue {
	module, function, _ := strings.Cut(name, ".")
	return shared().libraries[module].RawGetString(function)
}

func stepHTTP(s *stepRun) string {
	L, t := s.L, s.def.t
	options := L.CreateTable(0, 4)
	for _, o := range requestOptionsOfSteps() {
		if v := t.RawGetString(o.Name); v != lua.LNil {
			options.RawSetString(o.Name, s.fill(v))
		}
	}
	url, path := s.urlNames(lua.LVAsString(t.RawGetInt(1)))
	if path != nil {
		options.RawSetString("path", path)
	}
	method := "GET"
	if m, ok := wordOf(t.RawGetString("method")); ok {
		method = m
	}
	s.flush() // the place of the call is known before others are
	L.Push(moduleFunction("http.request"))
	L.Push(lua.LString(method))
	L.Push(lua.LString(url))
	L.Push(options)
	L.Call(3, 2)
	value, ok := responseClass.of(L.Get(-2))
	if !ok {
		s.c.log.Warn("a step has no answer", "step", s.name, "why", L.Get(-1).String(), "at", at(s.def.file, s.def.line))
		return "failed"
	}
	answer := value.(*webAnswer)
	switch {
	case answer.Status == 404:
		return "missing"
	case !answer.ok():
		s.c.log.Warn("a step has an answer that is no success", "step", s.name, "status", answer.Status, "at", at(s.def.file, s.def.line))
		return "failed"
	}
	if t.RawGetString("into") == lua.LNil {
		return next
	}
	body, err := decodeJSON(L, answer.Body)
	if err != nil {
		body = lua.LString(answer.Body)
	}
	if !s.putInto(plainValue(L, body)) {
		return "failed"
	}
	return next
}

// urlNames takes the names out of a URL's path: what they stand for is escaped by the module.
func (s *stepRun) urlNames(text string) (url string, path *lua.LTable) {
	var b strings.Builder
	n := 0
	if why := eachPart(text, func(plain, name string) {
		b.WriteString(plain)
		if name == "" {
			return
		}
		n++
		if path == nil {
			path = s.L.NewTable()
		}
		key := "p" + strconv.Itoa(n)
		b.WriteString("{" + key + "}")
		path.RawSetString(key, s.lookup(name))
	}); why != "" {
		s.fail("the url %s: %s", describe(lua.LString(text)), why)
	}
	return b.String(), path
}

// flush sends what was posted: the step reaches others than the switch.
func (s *stepRun) flush() {
	if !s.c.inHooks {
		s.c.check(s.L, s.c.conn.Flush())
	}
}

// plainValue is a value as data can have it: nothing where JSON has null, and lists and objects without what they know of
// that.
func plainValue(L *lua.LState, v lua.LValue) lua.LValue {
	switch v := v.(type) {
	case *lua.LTable:
		t := L.CreateTable(v.Len(), 0)
		v.ForEach(func(key, value lua.LValue) {
			if value = plainValue(L, value); value != lua.LNil {
				t.RawSet(key, value)
			}
		})
		return t
	case *lua.LUserData:
		return lua.LNil
	}
	return v
}
