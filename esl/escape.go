package esl

import "strings"

const upperHex = "0123456789ABCDEF"

// urlUnsafe are the printable characters that FreeSWITCH encodes in event
// values (SWITCH_URL_UNSAFE in switch_utils.h).
const urlUnsafe = "\r\n #%&+:;<=>?@[\\]^`{|}\""

var encodes = func() (t [256]bool) {
	for c := range 256 {
		t[c] = c < ' ' || c > '~' || strings.IndexByte(urlUnsafe, byte(c)) >= 0
	}
	return
}()

// AppendEscaped appends s to dst the way FreeSWITCH encodes the values of an
// event. It keeps the switch's one ambiguity: a percent sign already followed
// by two upper-case hexadecimal digits is not encoded again, so that a
// variable that holds "100%25" reads as "100%" in events (recording
// body_arguments). "api uuid_getvar" answers such a value as it is.
func AppendEscaped(dst []byte, s string) []byte { return appendEscaped(dst, s, true) }

// appendEscaped encodes every percent sign, or not those that AppendEscaped keeps.
func appendEscaped(dst []byte, s string, keep bool) []byte {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !encodes[c] || keep && c == '%' && i+2 < len(s) && isUpperHex(s[i+1]) && isUpperHex(s[i+2]) {
			dst = append(dst, c)
			continue
		}
		dst = append(dst, '%', upperHex[c>>4], upperHex[c&0xf])
	}
	return dst
}

// AppendHeader appends one event header, "name: value\n", with the value encoded.
func AppendHeader(dst []byte, name, value string) []byte {
	dst = append(dst, name...)
	dst = append(dst, ": "...)
	dst = AppendEscaped(dst, value)
	return append(dst, '\n')
}

func isUpperHex(c byte) bool {
	return '0' <= c && c <= '9' || 'A' <= c && c <= 'F'
}

// unescape decodes %XX. What is not a valid escape stays as it is, as in the
// switch itself.
func unescape(s string) string {
	first := strings.IndexByte(s, '%')
	if first < 0 {
		return s
	}
	var out strings.Builder
	out.Grow(len(s))
	out.WriteString(s[:first])
	for i := first; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			hi, lo := fromHex(s[i+1]), fromHex(s[i+2])
			if hi >= 0 && lo >= 0 {
				out.WriteByte(byte(hi<<4 | lo))
				i += 2
				continue
			}
		}
		out.WriteByte(s[i])
	}
	return out.String()
}

func fromHex(c byte) int {
	switch {
	case '0' <= c && c <= '9':
		return int(c - '0')
	case 'a' <= c && c <= 'f':
		return int(c-'a') + 10
	case 'A' <= c && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}
