package simcall

import (
	"errors"
	"fmt"
	"strings"

	"callisto/engine"
	"callisto/luabind"
)

// Socket is the data of a socket action: a script, or none for the routes to choose, the words of mode (async, full, or
// none), and further words. Nothing listens at its address: the connection is in memory.
func Socket(script, mode string, words []string) (string, error) {
	list := []string{"127.0.0.1:8084"}
	if script != "" {
		list[0] += "/" + script
	}
	for word := range strings.FieldsSeq(mode) {
		switch word {
		case "async", "full":
			list = append(list, word)
		case "none":
		default:
			return "", fmt.Errorf("the mode %q: its words are async and full, either, both, or none", mode)
		}
	}
	for _, word := range words {
		if word == "" || len(strings.Fields(word)) != 1 || strings.ContainsAny(word, " \t\r\n") {
			return "", fmt.Errorf("the argument %q is not one word: in the dialplan, spaces separate arguments", word)
		}
		list = append(list, word)
	}
	return strings.Join(list, " "), nil
}

// Script is a script by its name, among the programs that its requires find. The error says what is wrong with it, or
// which name was meant.
func Script(s *engine.Snapshot, name string) (*luabind.Program, map[string]*luabind.Program, error) {
	program, programs, err := s.Script(name)
	if missing := (*engine.NoScriptError)(nil); errors.As(err, &missing) && missing.Problem != nil {
		problem := *missing.Problem
		problem.Serving = "" // nobody is served here
		err = errors.New(problem.String())
	}
	return program, programs, err
}

// IsKeys reports whether a text is keys of a telephone, and nothing else.
func IsKeys(text string) bool {
	return text != "" && strings.Trim(text, "0123456789*#ABCDabcd") == ""
}
