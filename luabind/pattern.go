package luabind

import (
	"errors"
	"strings"
)

// Lua's patterns, matched with a bound on the steps taken: a short hostile pattern
// can otherwise backtrack for hours inside one call that nothing interrupts. The
// language is that of the Lua 5.1 reference manual, 5.4.1, with %f.

const (
	maxCaptures = 32
	maxMatchRec = 200 // nesting of one match, as in Lua itself
)

var (
	errPatternEnd   = errors.New("malformed pattern (ends with '%')")
	errPatternSet   = errors.New("malformed pattern (missing ']')")
	errPatternB     = errors.New("malformed pattern (missing arguments to '%b')")
	errPatternF     = errors.New("malformed pattern (missing '[' after '%f')")
	errCapture      = errors.New("invalid pattern capture")
	errCaptures     = errors.New("too many captures")
	errCaptureIndex = errors.New("invalid capture index")
	errTooComplex   = errors.New("pattern too complex")
)

const (
	capOpen     = -1
	capPosition = -2
)

// A matcher matches one pattern against one subject. step is called with the number
// of steps taken since the last call; it may panic to end the match.
type matcher struct {
	src, pat string
	level    int
	depth    int
	captures [maxCaptures]struct{ at, len int }
	steps    int
	step     func(int)
}

// A patternError travels as a panic inside one match, and is returned by find.
type patternError struct{ err error }

func (m *matcher) fail(err error) { panic(patternError{err}) }

func (m *matcher) tick() {
	if m.steps++; m.steps >= 256 {
		m.step(m.steps)
		m.steps = 0
	}
}

// find looks for the pattern in src from at on. It returns where the match starts and
// ends, or -1.
func (m *matcher) find(at int) (start, end int, err error) {
	defer func() {
		if v := recover(); v != nil {
			pe, ok := v.(patternError)
			if !ok {
				panic(v)
			}
			start, end, err = -1, -1, pe.err
		}
	}()
	pat, anchored := strings.CutPrefix(m.pat, "^")
	base := len(m.pat) - len(pat)
	for s := at; s <= len(m.src); s++ {
		m.level, m.depth = 0, 0
		if e := m.match(s, base); e >= 0 {
			return s, e, nil
		}
		if anchored {
			break
		}
	}
	return -1, -1, nil
}

// match matches the pattern from p on at s, and returns where it ends, or -1.
func (m *matcher) match(s, p int) int {
	if m.depth++; m.depth > maxMatchRec {
		m.fail(errTooComplex)
	}
	defer func() { m.depth-- }()
	for {
		m.tick()
		if p == len(m.pat) {
			return s
		}
		switch m.pat[p] {
		case '(':
			if p+1 < len(m.pat) && m.pat[p+1] == ')' {
				return m.startCapture(s, p+2, capPosition)
			}
			return m.startCapture(s, p+1, capOpen)
		case ')':
			return m.endCapture(s, p+1)
		case '$':
			if p+1 == len(m.pat) {
				if s == len(m.src) {
					return s
				}
				return -1
			}
		case '%':
			if p+1 < len(m.pat) {
				switch c := m.pat[p+1]; {
				case c == 'b':
					if s = m.balance(s, p+2); s < 0 {
						return -1
					}
					p += 4
					continue
				case c == 'f':
					p += 2
					if p >= len(m.pat) || m.pat[p] != '[' {
						m.fail(errPatternF)
					}
					end := m.classEnd(p)
					var before, after byte
					if s > 0 {
						before = m.src[s-1]
					}
					if s < len(m.src) {
						after = m.src[s]
					}
					if m.inSet(before, p, end-1) || !m.inSet(after, p, end-1) {
						return -1
					}
					p = end
					continue
				case '0' <= c && c <= '9':
					if s = m.backReference(s, c); s < 0 {
						return -1
					}
					p += 2
					continue
				}
			}
		}
		end := m.classEnd(p)
		var suffix byte
		if end < len(m.pat) {
			suffix = m.pat[end]
		}
		switch suffix {
		case '?':
			if s < len(m.src) && m.single(s, p, end) {
				if e := m.match(s+1, end+1); e >= 0 {
					return e
				}
			}
			p = end + 1
		case '*':
			return m.greedy(s, p, end, 0)
		case '+':
			return m.greedy(s, p, end, 1)
		case '-':
			return m.lazy(s, p, end)
		default:
			if s >= len(m.src) || !m.single(s, p, end) {
				return -1
			}
			s++
			p = end
		}
	}
}

func (m *matcher) greedy(s, p, end, atLeast int) int {
	i := 0
	for s+i < len(m.src) && m.single(s+i, p, end) {
		i++
		m.tick()
	}
	for ; i >= atLeast; i-- {
		if e := m.match(s+i, end+1); e >= 0 {
			return e
		}
	}
	return -1
}

func (m *matcher) lazy(s, p, end int) int {
	for {
		if e := m.match(s, end+1); e >= 0 {
			return e
		}
		if s >= len(m.src) || !m.single(s, p, end) {
			return -1
		}
		s++
		m.tick()
	}
}

func (m *matcher) startCapture(s, p, what int) int {
	if m.level >= maxCaptures {
		m.fail(errCaptures)
	}
	m.captures[m.level].at, m.captures[m.level].len = s, what
	m.level++
	e := m.match(s, p)
	if e < 0 {
		m.level--
	}
	return e
}

func (m *matcher) endCapture(s, p int) int {
	for l := m.level - 1; l >= 0; l-- {
		if m.captures[l].len == capOpen {
			m.captures[l].len = s - m.captures[l].at
			e := m.match(s, p)
			if e < 0 {
				m.captures[l].len = capOpen
			}
			return e
		}
	}
	m.fail(errCapture)
	return -1
}

func (m *matcher) backReference(s int, c byte) int {
	l := int(c - '1')
	if l < 0 || l >= m.level || m.captures[l].len == capOpen {
		m.fail(errCaptureIndex)
	}
	n := max(m.captures[l].len, 0)
	if strings.HasPrefix(m.src[s:], m.src[m.captures[l].at:m.captures[l].at+n]) {
		return s + n
	}
	return -1
}

func (m *matcher) balance(s, p int) int {
	if p+1 >= len(m.pat) {
		m.fail(errPatternB)
	}
	if s >= len(m.src) || m.src[s] != m.pat[p] {
		return -1
	}
	open, shut := m.pat[p], m.pat[p+1]
	depth := 1
	for i := s + 1; i < len(m.src); i++ {
		m.tick()
		switch c := m.src[i]; {
		case c == shut:
			if depth--; depth == 0 {
				return i + 1
			}
		case c == open:
			depth++
		}
	}
	return -1
}

// classEnd returns where the single-character class at p ends.
func (m *matcher) classEnd(p int) int {
	c := m.pat[p]
	p++
	switch c {
	case '%':
		if p >= len(m.pat) {
			m.fail(errPatternEnd)
		}
		return p + 1
	case '[':
		if p < len(m.pat) && m.pat[p] == '^' {
			p++
		}
		for first := true; first || p >= len(m.pat) || m.pat[p] != ']'; first = false {
			if p >= len(m.pat) {
				m.fail(errPatternSet)
			}
			c := m.pat[p]
			p++
			if c == '%' {
				if p >= len(m.pat) {
					m.fail(errPatternSet)
				}
				p++
			}
		}
		return p + 1
	}
	return p
}

func (m *matcher) single(s, p, end int) bool {
	c := m.src[s]
	switch m.pat[p] {
	case '.':
		return true
	case '%':
		return inClass(c, m.pat[p+1])
	case '[':
		return m.inSet(c, p, end-1)
	}
	return m.pat[p] == c
}

// inSet reports whether c is in the set from '[' at p to ']' at end.
func (m *matcher) inSet(c byte, p, end int) bool {
	yes := true
	p++
	if m.pat[p] == '^' {
		yes = false
		p++
	}
	for ; p < end; p++ {
		switch {
		case m.pat[p] == '%' && p+1 < end:
			p++
			if inClass(c, m.pat[p]) {
				return yes
			}
		case p+2 < end && m.pat[p+1] == '-':
			if m.pat[p] <= c && c <= m.pat[p+2] {
				return yes
			}
			p += 2
		case m.pat[p] == c:
			return yes
		}
	}
	return !yes
}

func inClass(c, class byte) bool {
	var yes bool
	switch class | 0x20 {
	case 'a':
		yes = isAlpha(c)
	case 'c':
		yes = c < ' ' || c == 0x7f
	case 'd':
		yes = isDigit(c)
	case 'l':
		yes = 'a' <= c && c <= 'z'
	case 'p':
		yes = ' ' < c && c < 0x7f && !isAlpha(c) && !isDigit(c)
	case 's':
		yes = c == ' ' || '\t' <= c && c <= '\r'
	case 'u':
		yes = 'A' <= c && c <= 'Z'
	case 'w':
		yes = isAlpha(c) || isDigit(c)
	case 'x':
		yes = isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f'
	case 'z':
		yes = c == 0
	default:
		return class == c
	}
	if class&0x20 == 0 {
		return !yes
	}
	return yes
}

func isAlpha(c byte) bool { c |= 0x20; return 'a' <= c && c <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
