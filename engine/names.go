package engine

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxScriptName bounds a script's name, in bytes.
const maxScriptName = 255

// A NameError says why a text cannot be the name of a script.
type NameError struct {
	Name   string
	Reason string
}

func (e *NameError) Error() string {
	name := e.Name
	if len(name) > 80 {
		name = name[:80] + "…"
	}
	return fmt.Sprintf("%q is no script name: %s", name, e.Reason)
}

// ScriptName is the canonical form of a script's name as routes and
// dialplans write it: "/support/menu.lua" is "support/menu". One leading slash and one
// trailing ".lua" are dropped; what remains never leaves the script root, whatever
// the text held. The error is a *NameError.
func ScriptName(text string) (string, error) {
	name := strings.TrimSuffix(strings.TrimPrefix(text, "/"), ".lua")
	if reason := nameFault(name); reason != "" {
		return "", &NameError{text, reason}
	}
	return name, nil
}

func nameFault(name string) string {
	switch {
	case name == "":
		return "it is empty"
	case len(name) > maxScriptName:
		return fmt.Sprintf("it is longer than %d bytes", maxScriptName)
	case !utf8.ValidString(name):
		return "it is not UTF-8"
	case strings.ContainsRune(name, '\\'):
		return "it holds a backslash, directories are separated by /"
	case strings.ContainsFunc(name, unicode.IsControl):
		return "it holds a control character"
	}
	for element := range strings.SplitSeq(name, "/") {
		switch element {
		case "":
			return "it has an empty element, directories are separated by one /"
		case ".", "..":
			return "it holds " + element + ", names start at the script root and stay in it"
		}
	}
	return ""
}
