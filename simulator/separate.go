package simulator

import "strings"

// separate splits the arguments of applications and API functions as the
// switch does (switch_separate_string in switch_utils.c): at delim, a space
// counting only once; not inside single quotes or behind a backslash, both of
// which it removes (recording expansion2, uuid_setvar); with a delimiter of the
// text's own choosing after "^^". The last of limit parts keeps the rest whole.
func separate(s string, delim byte, limit int) []string {
	if strings.HasPrefix(s, "^^") && len(s) > 3 {
		delim, s = s[2], s[3:]
	}
	if delim == ' ' {
		return separateBlank(s, limit)
	}
	var parts []string
	for i := 0; i < len(s) && len(parts) < limit; {
		start, quoted := i, false
		// The first character never separates: the switch's loop looks at it
		// only once it has noted the start of the part.
		for ; i < len(s); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0) {
				quoted = !quoted
			} else if s[i] == delim && !quoted {
				break
			}
		}
		i = min(i, len(s))
		end := i
		i++
		if len(parts) == limit-1 {
			end, i = len(s), len(s)
		}
		parts = append(parts, unquote(s[start:end], delim))
	}
	return parts
}

func separateBlank(s string, limit int) []string {
	var parts []string
	for i := 0; i < len(s) && len(parts) < limit; {
		start := i
		for i < len(s) && s[i] == ' ' {
			i++
		}
		for quoted := false; i < len(s); i++ {
			if s[i] == '\\' {
				i++
			} else if s[i] == '\'' {
				quoted = !quoted
			} else if s[i] == ' ' && !quoted {
				break
			}
		}
		end := min(i, len(s))
		for i < len(s) && s[i] == ' ' {
			i++
		}
		if len(parts) == limit-1 {
			end, i = len(s), len(s)
		}
		parts = append(parts, unquote(s[start:end], 0))
	}
	return parts
}

// unquote removes quotes, escapes and the spaces around a part.
func unquote(s string, delim byte) string {
	s = strings.TrimLeft(s, " ")
	out := make([]byte, 0, len(s))
	end, quoted := -1, false
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '\\' && i+1 < len(s) {
			e, known := s[i+1], true
			switch e {
			case '\'', '"', '\\':
			case 'n':
				e = '\n'
			case 'r':
				e = '\r'
			case 't':
				e = '\t'
			case 's':
				e = ' '
			default:
				known = delim != 0 && e == delim
			}
			if known {
				i++
				out = append(out, e)
				end = len(out)
				continue
			}
		}
		if c == '\'' && (quoted || strings.IndexByte(s[i+1:], '\'') >= 0) {
			if quoted = !quoted; quoted {
				end = len(out)
			}
			continue
		}
		out = append(out, c)
		if c != ' ' || quoted {
			end = len(out)
		}
	}
	if end >= 0 {
		out = out[:end]
	}
	return string(out)
}

// takeBrackets splits text that starts with a bracketed list of variables,
// such as "{a=1,b=2}rest". The list may choose its delimiter with "^^".
func takeBrackets(s string, open, shut, delim byte) (vars []Variable, rest string, ok bool) {
	if s == "" || s[0] != open {
		return nil, s, false
	}
	depth, end := 0, -1
	for i := 0; i < len(s) && end < 0; i++ {
		switch s[i] {
		case open:
			depth++
		case shut:
			if depth--; depth == 0 {
				end = i
			}
		}
	}
	if end < 0 {
		return nil, s, false
	}
	inner := s[1:end]
	for _, pair := range separate(inner, delim, 1024) {
		if kv := separate(pair, '=', 2); len(kv) == 2 {
			vars = append(vars, Variable{kv[0], kv[1]})
		}
	}
	return vars, s[end+1:], true
}
