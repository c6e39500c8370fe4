package luabind_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"callisto/luabind"
	"callisto/simulator"
)

// What every module keeps to. A module that is added is tested here by being in the table; only an
// example of each of its functions has to be given.

// moduleUses are an example of each function that reaches nothing outside: the arguments, as they are written.
var moduleUses = map[string]string{
	"crypto.base64_decode": `"YWI="`, "crypto.base64_encode": `"ab", { url = true }`, "crypto.digits": `6`, "crypto.equal": `"a", "b"`,
	"crypto.hash": `"sha256", "x", { encoding = "raw" }`, "crypto.hex_decode": `"6162"`, "crypto.hex_encode": `"ab"`,
	"crypto.hmac": `"sha1", "key", "x", { encoding = "base64" }`, "crypto.random": `8, { encoding = "hex" }`, "crypto.uuid": `{ version = 7 }`,
	"csv.encode": `{ { a = 1 } }, { header = { "a" }, separator = ";", spreadsheet = true }`, "csv.parse": `"a;b", { header = true, separator = ";" }`,
	"csv.rows":   `"a;b", { header = true, separator = ";" }`,
	"json.array": `{}`, "json.decode": `"[null]", { null = false }`, "json.encode": `{ a = 1 }, { pretty = true }`,
	"log.debug": `"x", { a = 1 }`, "log.info": `"x", { a = 1 }`, "log.warn": `"x", { a = 1 }`, "log.error": `"x", { a = 1 }`,
	"re.all": `"aa", "a", { max = 1 }`, "re.escape": `"a.b"`, "re.find": `"aa", "a", { from = 2 }`, "re.match": `"aa", "a"`,
	"re.replace": `"aa", "(a)", "$1", { max = 1, groups = true }`, "re.split": `"a,b", ",", { max = 2 }`,
	"time.date": `{ year = 2026, month = 1, day = 1, hour = 1, minute = 1, second = 1, zone = "UTC" }`, "time.duration": `"1h"`, "time.milliseconds": `"1h"`,
	"time.now": `{ zone = "UTC" }`, "time.open": `"mon-fri 09:00-17:00", { zone = "UTC", holidays = { "12-25" }, at = time.now() }`,
	"time.parse": `"2026", { format = "%Y", zone = "UTC" }`, "time.unix": `0, { zone = "UTC" }`,
	"url.build": `{ host = "h" }`, "url.decode": `"%20"`, "url.decode_query": `"a=1", { all = true }`, "url.encode": `"a b"`,
	"url.encode_query": `{ a = 1 }`, "url.fill": `"/{a}", { a = 1 }`, "url.parse": `"http://h/"`,
}

// functions calls test with every function of the modules.
func functions(test func(m *luabind.Module, v luabind.Verb)) {
	for _, m := range luabind.Modules {
		for _, v := range m.Functions {
			test(m, v)
		}
	}
}

// Each function has an example, which runs in a script and in a hangup handler, with all of its options.
func TestModuleFunctionsRun(t *testing.T) {
	var script strings.Builder
	known := map[string]bool{}
	functions(func(m *luabind.Module, v luabind.Verb) {
		name := m.Name + "." + v.Name
		known[name] = true
		use, ok := moduleUses[name]
		if !ok {
			if !m.Outside {
				t.Errorf("%s has no example in this test", name)
			}
			return
		}
		for _, o := range v.Options {
			if !strings.Contains(use, o.Name+" = ") {
				t.Errorf("the example of %s is without the option %s", name, o.Name)
			}
		}
		fmt.Fprintf(&script, "do local ok, e = pcall(function() return %s(%s) end) if not ok then print(%q, e) end end\n", name, use, name)
		fmt.Fprintf(&script, "do local r = require(%q) if r ~= %s then print(%q, \"require\") end end\n", m.Name, m.Name, name)
	})
	for name := range moduleUses {
		if !known[name] {
			t.Errorf("there is no %s", name)
		}
	}
	log := strings.Count(script.String(), "log.") // which logs its example
	if log == 0 {
		t.Fatal("no example was run")
	}
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{
			"main": script.String() + `print("done")`,
			"hook": "call:on(\"hangup\", function()\n" + script.String() + "print(\"done\")\nend)",
		}, nil)
		for _, name := range []string{"main", "hook"} {
			b.log.clear()
			b.run(name)
			got := slices.DeleteFunc(b.log.messages(), func(s string) bool { return s == "x" })
			if !slices.Equal(got, []string{"done"}) {
				t.Errorf("%s logged %q\n%s", name, got, b.log)
			}
		}
	})
}

// Everything in the table has words for it.
func TestModuleDocs(t *testing.T) {
	sentence := func(what, doc string) {
		t.Helper()
		if doc == "" || !strings.HasSuffix(doc, ".") || doc[0] < 'A' || doc[0] > 'Z' {
			t.Errorf("%s: its doc is no sentence: %q", what, doc)
		}
	}
	row := func(what string, v luabind.Verb) {
		t.Helper()
		sentence(what, v.Doc)
		seen := map[string]bool{}
		for _, p := range append(slices.Clone(v.Params), v.Options...) {
			if p.Doc == "" || seen[p.Name] {
				t.Errorf("%s: the parameter %s has no doc, or is there twice", what, p.Name)
			}
			seen[p.Name] = true
		}
		for _, r := range v.Results {
			if r.Name == "" || r.Type == "" || r.Doc == "" {
				t.Errorf("%s: a result lacks its name, type or doc: %v", what, r)
			}
		}
	}
	if !slices.IsSortedFunc(luabind.Modules, func(a, b *luabind.Module) int { return strings.Compare(a.Name, b.Name) }) {
		t.Error("the modules are not in the order of their names")
	}
	for _, m := range luabind.Modules {
		if !strings.Contains(m.Doc, "```lua\n") || !strings.HasPrefix(m.Doc, "`"+m.Name+"`") {
			t.Errorf("%s: its doc does not begin with its name, or has no example", m.Name)
		}
		for _, v := range m.Values {
			if v.Type == "" || v.Doc == "" {
				t.Errorf("%s.%s has no type or no doc", m.Name, v.Name)
			}
		}
		for _, k := range m.Classes {
			sentence(k.Name, k.Doc)
			for _, v := range k.Methods {
				row(k.Name+":"+v.Name, v)
			}
			for _, f := range k.Fields {
				if f.Type == "" || f.Doc == "" {
					t.Errorf("%s.%s has no type or no doc", k.Name, f.Name)
				}
			}
		}
	}
	functions(func(m *luabind.Module, v luabind.Verb) { row(m.Name+"."+v.Name, v) })
}

// wrong are values that a parameter does not take, with what the message says of them.
func wrong(p luabind.Param) []string {
	if len(p.Enum) > 0 {
		return []string{`"no such word"`, "{}"}
	}
	switch p.Type {
	case luabind.Any:
		return nil
	case luabind.Table:
		return []string{`"x"`, "5", "true", "print"}
	case luabind.Integer:
		return []string{"1.5", `"x"`, "{}", "0/0", "1/0", "1e300"}
	case luabind.Number:
		return []string{`"x"`, "{}", "0/0"}
	case luabind.Duration:
		return []string{`"soon"`, "-1", "{}", "0/0", "1/0"}
	case luabind.Boolean:
		return []string{"1", `"true"`}
	case luabind.Function:
		return []string{`"x"`, "{}"}
	case luabind.Texts:
		return []string{"true", "{}", "{ true }"}
	}
	return []string{"true", "print", "call"}
}

// What is wrong in an argument or an option raises an error that names the function and the place.
func TestModuleArguments(t *testing.T) {
	var script strings.Builder
	n := 0
	try := func(expression string, want ...string) {
		n++
		fmt.Fprintf(&script, "do local ok, e = pcall(function() return %s end) e = tostring(e) if ok", expression)
		for _, w := range want {
			fmt.Fprintf(&script, " or not e:find(%q, 1, true)", w)
		}
		fmt.Fprintf(&script, " then print(%q, e) end end\n", expression)
	}
	functions(func(m *luabind.Module, v luabind.Verb) {
		label := m.Name + "." + v.Name
		with := func(changed int, value string) string {
			var args []string
			for i, p := range v.Params {
				if i == changed {
					args = append(args, value)
				} else {
					args = append(args, example(p))
				}
			}
			return strings.Join(args, ", ")
		}
		comma := ""
		if len(v.Params) > 0 {
			comma = ", "
		}
		for i, p := range v.Params {
			for _, value := range wrong(p) {
				if value == "{}" && i == len(v.Params)-1 && len(v.Options) > 0 { // it is the options
					continue
				}
				try(label+"("+with(i, value)+")", label+": argument `"+p.Name+"`")
			}
			if !p.Optional {
				try(label+"("+with(i, "nil")+")", label+": argument `"+p.Name+"` is missing")
			}
		}
		for _, o := range v.Options {
			for _, value := range wrong(o) {
				try(label+"("+with(-1, "")+comma+"{ "+o.Name+" = "+value+" })", label+": option `"+o.Name+"`", " must be ")
			}
			try(label+"("+with(-1, "")+comma+"{ "+o.Name+"x = 1 })", label+": unknown option `"+o.Name+"x`")
		}
		if len(v.Params) == 0 || !v.Params[len(v.Params)-1].Rest {
			try(label+"("+with(-1, "")+comma+"nil, {}, 5)", label+": too many arguments")
		}
		try(m.Name+":"+v.Name+"("+with(-1, "")+")", "use a dot: "+label+"(…), not "+m.Name+":"+v.Name+"(…)")
	})
	for _, k := range luabind.Classes() {
		if k.Name != "Time" { // the values of the others come from outside
			continue
		}
		for _, v := range k.Methods {
			try("time.now()."+v.Name+"()", "use a colon: time:"+v.Name+"(…), not time."+v.Name+"(…)")
		}
	}
	if n < 100 {
		t.Fatalf("only %d mistakes were tried", n)
	}
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"main": script.String() + `print("done")`}, nil)
		b.run("main")
		if got := b.log.messages(); !slices.Equal(got, []string{"done"}) {
			t.Errorf("logged\n%s\n%s", strings.Join(got, "\n"), b.log)
		}
	})
}

// Whatever text a caller sends, given to any parameter of any function: the switch is told nothing, and evaluates nothing.
func TestNoModuleCanBeInjectedInto(t *testing.T) {
	for _, m := range luabind.Modules {
		for _, v := range m.Functions {
			places := moduleSlots(m, v)
			if len(places) == 0 {
				continue
			}
			t.Run(m.Name+"."+v.Name, func(t *testing.T) {
				simulated(t, func(t *testing.T) {
					var script strings.Builder
					for _, s := range hostile {
						fmt.Fprintf(&script, "do local s = %s\n", luaString(s))
						for _, p := range places {
							script.WriteString("pcall(function() return " + p.source + " end)\n")
						}
						script.WriteString("end\n")
					}
					b := newBench(t, map[string]string{"main": script.String()}, nil)
					var evaluated []simulator.Occurrence
					b.sw.Observer = func(o simulator.Occurrence) {
						if o.Kind == simulator.Evaluated || o.Kind == simulator.System || o.Kind == simulator.Executed {
							evaluated = append(evaluated, o)
						}
					}
					ours, theirs := simulator.Pipe()
					wire := &wiretap{Conn: ours}
					c, err := b.sw.Call(context.Background(), simulator.Invite{Socket: "127.0.0.1:8084/main async full", Conn: theirs})
					if err != nil {
						t.Fatal(err)
					}
					if err := b.server.ServeConn(wire); err != nil {
						t.Fatal(err)
					}
					b.finish(c)
					b.sw.Close() // the observer has been told of everything
					for _, o := range evaluated {
						if o.Name != "socket" { // which brings the call here
							t.Errorf("the switch %s", o)
						}
					}
					for _, command := range wire.commands(t) {
						if strings.Contains(command.head, "INJECTED") || strings.Contains(command.body, "INJECTED") {
							t.Errorf("sent\n%s\n%s", command.head, command.body)
						}
						for i, line := range strings.Split(command.head, "\n") {
							name, _, _ := strings.Cut(line, ":")
							if i == 0 {
								name, _, _ = strings.Cut(line, " ")
							}
							if !known[name] {
								t.Errorf("a line %q was sent in\n%s", line, command.head)
							}
						}
					}
					if r, ok := b.log.find("script error", ""); ok {
						t.Errorf("%v", r)
					}
				})
			})
		}
	}
}

// moduleSlots are the places in a function's arguments where a text goes.
func moduleSlots(m *luabind.Module, v luabind.Verb) []slot {
	var list []slot
	takes := func(p luabind.Param) []string {
		switch {
		case len(p.Enum) > 0:
			return nil
		case p.Type == luabind.String || p.Type == luabind.Text || p.Type == luabind.Word:
			return []string{"s"}
		case p.Type == luabind.Texts:
			return []string{"s", "{ s, s }"}
		case p.Type == luabind.Table:
			return []string{"{ s }", "{ [s] = s }", "{ { s }, { x = s } }", "{ host = s, path = { s }, query = { q = s }, scheme = s }"}
		case p.Type == luabind.Any:
			return []string{"s", "{ s }", "{ [s] = s }"}
		}
		return nil
	}
	call := func(changed int, with, options string) string {
		var args []string
		for i, p := range v.Params {
			if i == changed {
				args = append(args, with)
			} else {
				args = append(args, example(p))
			}
		}
		if options != "" {
			args = append(args, options)
		}
		return m.Name + "." + v.Name + "(" + strings.Join(args, ", ") + ")"
	}
	for i, p := range v.Params {
		for _, with := range takes(p) {
			list = append(list, slot{p.Name, call(i, with, "")})
		}
	}
	for _, o := range v.Options {
		for _, with := range takes(o) {
			list = append(list, slot{o.Name, call(-1, "", "{ "+o.Name+" = "+with+" }")})
		}
	}
	return list
}
