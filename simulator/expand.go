package simulator

import "strings"

// An environment is what an expansion can see and what it can set off.
type environment interface {
	// variable looks a name up; index is -1, or that of an element of an array.
	variable(name string, index int) (string, bool)
	// evaluate runs an API function. Unknown functions leave nothing behind.
	evaluate(function, args string) (string, bool)
}

// needsExpansion is the switch's own test for whether it looks at a text at
// all (switch_string_var_check_const and switch_string_has_escaped_data): "${",
// with backslashes between allowed, or a backslash followed by one of \ n s t '.
func needsExpansion(s string) bool { return hasVariable(s) || hasEscape(s) }

func hasVariable(s string) bool {
	dollar := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '$':
			dollar = true
		case dollar && s[i] == '{':
			return true
		case dollar && s[i] != '\\':
			dollar = false
		}
	}
	return false
}

func hasEscape(s string) bool {
	for i := strings.IndexByte(s, '\\'); i >= 0 && i+1 < len(s); {
		if strings.IndexByte(`\nst'`, s[i+1]) >= 0 {
			return true
		}
		next := strings.IndexByte(s[i+1:], '\\')
		if next < 0 {
			break
		}
		i += 1 + next
	}
	return false
}

// expandVariables replaces ${name}, ${name:offset:length}, ${name[index]},
// ${function(arguments)} and ${function arguments} in s, the way
// switch_channel_expand_variables_check does, and with its corners:
//
//   - the value of a variable is itself expanded;
//   - \$ is a dollar that stays, \\ a backslash, \' vanishes, other escapes stay;
//   - of two dollars the first is dropped, so that $${name} expands;
//   - the character behind a replacement is copied as it is: in ${a}\${b} the
//     backslash protects nothing.
//
// Recordings expansion and expansion2.
func expandVariables(env environment, s string, depth int) string {
	if depth > 100 || !needsExpansion(s) {
		return s
	}
	at := func(i int) byte {
		if i < len(s) {
			return s[i]
		}
		return 0
	}
	out := make([]byte, 0, len(s)+32)
	for p := 0; p < len(s); p++ {
		literal := false
		if s[p] == '\\' {
			switch at(p + 1) {
			case '$':
				literal = true
				p++
				if at(p+1) == '$' {
					p++
				}
			case '\'':
				p++
				continue
			case '\\':
				out = append(out, '\\')
				p++
				continue
			}
		}
		if s[p] == '$' && !literal {
			if at(p+1) == '$' {
				p++
			}
			literal = at(p+1) != '{'
		}
		if literal || s[p] != '$' {
			out = append(out, s[p])
			continue
		}

		inner, after := braced(s, p+2)
		out = append(out, replacement(env, inner, depth)...)
		if at(after) == '$' {
			p = after - 1
		} else {
			if after < len(s) {
				out = append(out, s[after])
			}
			p = after
		}
	}
	return string(out)
}

// braced returns the text from start to its closing brace, and where to go on.
// Text without a closing brace goes to its end.
func braced(s string, start int) (inner string, after int) {
	depth := 1
	for i := start; i < len(s); i++ {
		if depth == 1 && s[i] == '}' {
			return s[start:i], i + 1
		}
		if i != start && s[i] == '{' {
			depth++
		} else if depth > 1 && s[i] == '}' {
			depth--
		}
	}
	return s[start:], len(s)
}

// replacement is what "${inner}" stands for.
func replacement(env environment, inner string, depth int) string {
	cut := strings.IndexAny(inner, " (")
	if cut < 0 {
		return variableReplacement(env, inner, depth)
	}
	name := strings.TrimRight(inner[:cut], " ")
	args := inner[cut+1:]
	level := 0
	if inner[cut] == '(' {
		level = 1
	}
scan:
	for i := 0; i < len(args); i++ {
		switch {
		case args[i] == '(':
			level++
		case args[i] == ')' && level > 1:
			level--
		case args[i] == ')' && level == 1:
			args = args[:i]
			break scan
		}
	}
	name = expandVariables(env, name, depth+1)
	args = expandVariables(env, args, depth+1)
	out, _ := env.evaluate(name, args)
	return out
}

func variableReplacement(env environment, name string, depth int) string {
	name = expandVariables(env, name, depth+1)
	offset, length := 0, 0
	if head, tail, ok := strings.Cut(name, ":"); ok {
		name, offset = head, atoi(tail)
		if _, tail, ok = strings.Cut(tail, ":"); ok {
			length = atoi(tail)
		}
	}
	index := -1
	if head, tail, ok := strings.Cut(name, "["); ok && strings.Contains(tail, "]") {
		name, index = head, atoi(tail)
	}
	value, ok := env.variable(name, index)
	if !ok {
		return ""
	}
	value = expandVariables(env, value, depth+1)
	switch {
	case offset > len(value):
		value = ""
	case offset >= 0:
		value = value[offset:]
	case -offset <= len(value):
		value = value[len(value)+offset:]
	}
	if length > 0 && length < len(value) {
		value = value[:length]
	}
	return value
}
