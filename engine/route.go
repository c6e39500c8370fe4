package engine

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"callisto/luabind"
)

// A Route is one [[route]]: the calls that all its fields match run its script.
type Route struct {
	Number  Pattern // of the destination
	Caller  Pattern // of the caller's number
	Context string  // the dialplan context; "": any
	Script  string  // canonical script name
	Args    map[string]string
	Line    int // in the configuration file; 0: not known

	scriptLine int
}

// A Pattern matches numbers: exact, a prefix that ends in *, or an RE2
// expression between slashes, which matches anywhere unless it is anchored. The zero
// Pattern matches everything.
type Pattern struct {
	text   string
	prefix bool
	re     *regexp.Regexp
}

func parsePattern(text string) (Pattern, error) {
	p := Pattern{text: text}
	if strings.HasPrefix(text, "/") {
		if len(text) < 3 || !strings.HasSuffix(text, "/") {
			return Pattern{}, fmt.Errorf("%q is not a pattern: a regular expression stands between two slashes, such as /^1[0-9]{3}$/", text)
		}
		var err error
		if p.re, err = regexp.Compile(text[1 : len(text)-1]); err != nil {
			reason := strings.TrimPrefix(err.Error(), "error parsing regexp: ")
			return Pattern{}, fmt.Errorf("%s is not a regular expression: %s (RE2: no look-around, no back-references)", text, reason)
		}
		return p, nil
	}
	p.prefix = strings.HasSuffix(text, "*")
	return p, nil
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern matches number.
func (p Pattern) Match(number string) bool {
	switch {
	case p.text == "":
		return true
	case p.re != nil:
		return p.re.MatchString(number)
	case p.prefix:
		return strings.HasPrefix(number, p.text[:len(p.text)-1])
	}
	return number == p.text
}

// all reports whether the pattern matches everything.
func (p Pattern) all() bool { return p.text == "" || p.text == "*" }

func (r *Route) match(call CallInfo) bool {
	return r.Number.Match(call.Destination) && r.Caller.Match(call.Caller) && (r.Context == "" || r.Context == call.Context)
}

// why says what the route asks for, as "number +1800* and context public match".
func (r *Route) why() string {
	var fields []string
	if r.Number.text != "" {
		fields = append(fields, "number "+r.Number.text)
	}
	if r.Caller.text != "" {
		fields = append(fields, "caller "+r.Caller.text)
	}
	if r.Context != "" {
		fields = append(fields, "context "+r.Context)
	}
	switch len(fields) {
	case 0:
		return "matches every call"
	case 1:
		return fields[0] + " matches"
	}
	return join(fields) + " match"
}

// join is "a", "a and b", "a, b and c".
func join(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " and " + words[last]
}

// A CallInfo is what routing knows of a call.
type CallInfo struct {
	Path        string // after the host in the socket application's data: socket_path
	ScriptWord  string // of script= among the extra words
	Destination string // number
	Caller      string // number
	Context     string
}

// A Choice is the script that a call runs.
type Choice struct {
	Script  string            // canonical name
	Args    map[string]string // of the route; nil without one; the caller may change it
	Why     string            // a sentence: "route 2: number +1800* matches"
	Program *luabind.Program

	// Programs are the scripts that a require of this call finds, by name. They fit
	// together: see Snapshot.
	Programs map[string]*luabind.Program
}

// ErrNoScript is what a *NoScriptError is.
var ErrNoScript = errors.New("no such script")

// A NoScriptError says that a script cannot run a call.
type NoScriptError struct {
	Script  string
	Nearest string   // a script that was likely meant, or ""
	Problem *Problem // why it is not served though it exists; nil: it does not exist
}

func (e *NoScriptError) Error() string {
	if e.Problem != nil {
		return fmt.Sprintf("the script %s is broken and has no earlier version to serve: %s", e.Script, e.Problem.cause())
	}
	return fmt.Sprintf("there is no script %s%s", e.Script, didYouMean(e.Nearest))
}

// Unwrap makes errors.Is(err, ErrNoScript) true.
func (e *NoScriptError) Unwrap() error { return ErrNoScript }

// Pick chooses the script for a call: what the dialplan's path names, else script=
// among the words, else the first route that matches, else the default. The
// error is a *NameError or a *NoScriptError; Why and Script are set even then. What
// the dialplan names and does not exist is an error, never the default.
func (s *Snapshot) Pick(call CallInfo) (Choice, error) {
	var c Choice
	switch {
	case call.Path != "":
		c.Script, c.Why = call.Path, "the path in the dialplan's socket action names it"
	case call.ScriptWord != "":
		c.Script, c.Why = call.ScriptWord, "script= in the dialplan's socket action names it"
	default:
		c.Script, c.Why = s.Config.Scripts.Default, "no route matches, so the default runs"
		if len(s.Config.Routes) == 0 {
			c.Why = "there are no routes, so the default runs"
		}
		for i := range s.Config.Routes {
			if r := &s.Config.Routes[i]; r.match(call) {
				c.Script, c.Args = r.Script, maps.Clone(r.Args)
				c.Why = fmt.Sprintf("route %d: %s", i+1, r.why())
				break
			}
		}
	}
	name, err := ScriptName(c.Script)
	if err != nil {
		return c, err
	}
	c.Script = name
	c.Program, c.Programs, err = s.Script(name)
	return c, err
}
