package calltest

import (
	"fmt"
	"maps"
	"slices"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/luabind"
	"callisto/simulator"
)

// socketData is what the dialplan's socket action would hold.
func socketData(snapshot *engine.Snapshot, t luabind.TestCall) (data string, err error) {
	name := ""
	if t.Script != "" {
		if name, err = engine.ScriptName(t.Script); err == nil {
			_, _, err = simcall.Script(snapshot, name)
		}
	}
	words := slices.Clone(t.Words)
	for _, name := range slices.Sorted(maps.Keys(t.Args)) {
		words = append(words, name+"="+t.Args[name])
	}
	if err == nil {
		data, err = simcall.Socket(name, t.Mode, words)
	}
	if err != nil {
		return "", fmt.Errorf("test.call: %w", err)
	}
	return data, nil
}

func variables(vars map[string]string) (list []simulator.Variable) {
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		list = append(list, simulator.Variable{Name: name, Value: vars[name]})
	}
	return list
}
