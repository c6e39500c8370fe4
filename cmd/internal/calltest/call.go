package calltest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// socketData is what the dialplan's socket action would hold.
func socketData(snapshot *engine.Snapshot, t luabind.TestCall) (string, error) {
	words := []string{"127.0.0.1:8084"}
	if t.Script != "" {
		name, err := engine.ScriptName(t.Script)
		if err != nil {
			return "", fmt.Errorf("test.call: %w", err)
		}
		if _, _, err := snapshot.Script(name); err != nil {
			if missing := (*engine.NoScriptError)(nil); errors.As(err, &missing) && missing.Problem != nil {
				p := *missing.Problem
				p.Serving = ""
				err = errors.New(p.String())
			}
			return "", fmt.Errorf("test.call: %w", err)
		}
		words[0] += "/" + name
	}
	for word := range strings.FieldsSeq(t.Mode) {
		switch word {
		case "async", "full":
			words = append(words, word)
		case "none":
		default:
			return "", fmt.Errorf("test.call: the mode %q: its words are async and full, either, both, or none", t.Mode)
		}
	}
	add := func(word string) error {
		if word == "" || len(strings.Fields(word)) != 1 {
			return fmt.Errorf("test.call: the argument %q is not one word: in the dialplan, spaces separate arguments", word)
		}
		words = append(words, word)
		return nil
	}
	for _, w := range t.Words {
		if err := add(w); err != nil {
			return "", err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.Args)) {
		if err := add(name + "=" + t.Args[name]); err != nil {
			return "", err
		}
	}
	return strings.Join(words, " "), nil
}

func variables(vars map[string]string) (list []simulator.Variable) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, simulator.Variable{Name: name, Value: vars[name]})
	}
	return list
}
