package simulator

import (
	"strconv"
	"strings"
)

// A Variable is a channel variable.
type Variable struct{ Name, Value string }

// variables are a channel's variables in the order in which the switch lists
// them: a variable that is set again moves to the end. Names ignore case.
type variables []Variable

func (v variables) find(name string) int {
	for i := range v {
		if len(v[i].Name) == len(name) && (v[i].Name == name || strings.EqualFold(v[i].Name, name)) {
			return i
		}
	}
	return -1
}

func (v variables) get(name string) string {
	if i := v.find(name); i >= 0 {
		return v[i].Value
	}
	return ""
}

// set gives a variable a value. An empty value removes it, as everywhere in the switch.
func (v *variables) set(name, value string) {
	if name == "" {
		return
	}
	if base, index, ok := splitIndex(name); ok && value != "" {
		v.setElement(base, index, value)
		return
	}
	if i := v.find(name); i >= 0 {
		*v = append((*v)[:i], (*v)[i+1:]...)
	}
	if value != "" {
		*v = append(*v, Variable{name, value})
	}
}

// The switch writes a variable that holds several values as "ARRAY::a|:b".
const (
	arrayPrefix    = "ARRAY::"
	arraySeparator = "|:"
)

func elements(value string) []string {
	if value == "" {
		return nil
	}
	if rest, ok := strings.CutPrefix(value, arrayPrefix); ok {
		return strings.Split(rest, arraySeparator)
	}
	return []string{value}
}

func joinElements(list []string) string {
	if len(list) == 1 {
		return list[0]
	}
	return arrayPrefix + strings.Join(list, arraySeparator)
}

// add puts a value at the end (push) or the front (unshift) of a variable's values.
func (v *variables) add(name, value string, front bool) {
	if value == "" {
		v.set(name, "")
		return
	}
	list := elements(v.get(name))
	if front {
		list = append([]string{value}, list...)
	} else {
		list = append(list, value)
	}
	v.set(name, joinElements(list))
}

func (v *variables) setElement(name string, index int, value string) {
	list := elements(v.get(name))
	for len(list) <= index && len(list) < 4000 {
		list = append(list, "")
	}
	if index < len(list) {
		list[index] = value
		v.set(name, joinElements(list))
	}
}

// element answers value's element at index, or value itself when index is negative.
func element(value string, index int) (string, bool) {
	if index < 0 {
		return value, true
	}
	if list := elements(value); index < len(list) {
		return list[index], true
	}
	return "", false
}

// splitIndex takes "name[3]" apart.
func splitIndex(name string) (base string, index int, ok bool) {
	base, rest, found := strings.Cut(name, "[")
	if !found || base == "" || !strings.HasSuffix(rest, "]") {
		return name, -1, false
	}
	index, err := strconv.Atoi(rest[:len(rest)-1])
	if err != nil || index < 0 {
		return name, -1, false
	}
	return base, index, true
}

// isTrue is the switch's idea of a true value.
func isTrue(s string) bool {
	switch strings.ToLower(s) {
	case "yes", "on", "true", "t", "enabled", "active", "allow":
		return true
	}
	n, err := strconv.Atoi(s)
	return err == nil && n != 0
}

// atoi reads the number s starts with, as C does: 0 when there is none.
func atoi(s string) int {
	s = strings.TrimLeft(s, " \t\r\n\v\f")
	end := 0
	for end < len(s) && (s[end] >= '0' && s[end] <= '9' || end == 0 && (s[0] == '-' || s[0] == '+')) {
		end++
	}
	n, _ := strconv.Atoi(s[:end])
	return n
}
