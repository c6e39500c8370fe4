package luabind

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A Dialect is how a database writes its SQL.
type Dialect string

// The dialects that are known.
const (
	SQLite     Dialect = "sqlite"
	PostgreSQL Dialect = "postgres"
	MySQL      Dialect = "mysql"
)

// A sqlText is a statement as its database wants it, and what its parameters are called, in the order of their values: ""
// for a ?.
type sqlText struct {
	text   string
	params []string
}

// parseSQL finds the parameters of a statement, ? or, where named is true, :name. What stands in quotes or comments is none.
// It refuses a text that is more than one statement.
func parseSQL(text string, d Dialect, named bool) (sqlText, error) {
	s := sqlScanner{in: text, dialect: d, named: named}
	if strings.IndexByte(text, 0) >= 0 {
		return sqlText{}, errors.New("the statement has a zero byte")
	}
	for s.at < len(text) {
		if err := s.next(); err != nil {
			return sqlText{}, err
		}
	}
	if strings.TrimSpace(s.out.String()) == "" {
		return sqlText{}, errors.New("the statement is empty")
	}
	return sqlText{s.out.String(), s.params}, nil
}

// A sqlScanner goes through a statement once.
type sqlScanner struct {
	in      string
	at      int
	dialect Dialect
	named   bool
	out     strings.Builder
	params  []string
	ended   bool // after a semicolon
}

// copy takes n bytes over as they are.
func (s *sqlScanner) copy(n int) {
	s.out.WriteString(s.in[s.at : s.at+n])
	s.at += n
}

func (s *sqlScanner) rest() string { return s.in[s.at:] }

func (s *sqlScanner) next() error {
	c, rest := s.in[s.at], s.rest()
	if n, err := s.comment(rest); n > 0 || err != nil {
		s.copy(n)
		return err
	}
	if strings.IndexByte(" \t\r\n\f\v", c) >= 0 {
		s.copy(1)
		return nil
	}
	if s.ended {
		return errors.New("these are several statements; give one at a time")
	}
	switch {
	case c == ';':
		s.ended = true
		s.at++
		return nil
	case c == '\'' || c == '"' || c == '`' && s.dialect != PostgreSQL || c == '[' && s.dialect == SQLite:
		return s.quoted(c)
	case c == '$' && s.dialect == PostgreSQL && !s.inWord():
		return s.dollar(rest)
	case c == '?':
		return s.questionMark(rest)
	case c == ':':
		return s.colon(rest)
	}
	s.copy(1)
	return nil
}

// inWord reports whether what comes is not the first letter of a word.
func (s *sqlScanner) inWord() bool { return s.at > 0 && isWordByte(s.in[s.at-1]) }

func isWordByte(c byte) bool {
	return c == '_' || c|0x20 >= 'a' && c|0x20 <= 'z' || isDigit(c) || c >= 0x80
}

// comment is the length of the comment that the text begins with; 0 where it begins with none.
func (s *sqlScanner) comment(text string) (int, error) {
	switch {
	case strings.HasPrefix(text, "--"):
		if s.dialect == MySQL && len(text) > 2 && text[2] > ' ' {
			return 0, nil // there it is minus, twice
		}
	case text[0] == '#' && s.dialect == MySQL:
	case strings.HasPrefix(text, "/*"):
		depth := 0
		for i := 0; i+1 < len(text); i++ {
			switch text[i : i+2] {
			case "/*":
				if depth == 0 || s.dialect == PostgreSQL { // only there a comment can hold another
					depth++
					i++
				}
			case "*/":
				depth--
				i++
			}
			if depth == 0 {
				return i + 1, nil
			}
		}
		return 0, errors.New("a comment of the statement has no end")
	default:
		return 0, nil
	}
	if n := strings.IndexByte(text, '\n'); n >= 0 {
		return n, nil
	}
	return len(text), nil
}

// quoted takes a string or a quoted name over.
func (s *sqlScanner) quoted(quote byte) error {
	end := quote
	if quote == '[' {
		end = ']'
	}
	backslash := s.dialect == MySQL && quote != '`'
	if s.dialect == PostgreSQL && quote == '\'' && s.at > 0 && s.in[s.at-1]|0x20 == 'e' {
		backslash = s.at == 1 || !isWordByte(s.in[s.at-2]) // E'…'
	}
	for i := s.at + 1; i < len(s.in); i++ {
		switch c := s.in[i]; {
		case c == '\\' && backslash:
			i++
		case c == end && quote != '[' && i+1 < len(s.in) && s.in[i+1] == end:
			i++
		case c == end:
			s.copy(i + 1 - s.at)
			return nil
		}
	}
	return fmt.Errorf("a %c of the statement is not closed", quote)
}

// dollar takes a string over that is quoted by $name$.
func (s *sqlScanner) dollar(rest string) error {
	n := 1
	for n < len(rest) && isWordByte(rest[n]) {
		n++
	}
	switch {
	case n > 1 && isDigit(rest[1]):
		return errors.New("parameters are written ?, or :name, not $1")
	case n == len(rest) || rest[n] != '$':
		s.copy(1)
		return nil
	}
	tag := rest[:n+1]
	end := strings.Index(rest[len(tag):], tag)
	if end < 0 {
		return fmt.Errorf("a %s of the statement is not closed", tag)
	}
	s.copy(end + 2*len(tag))
	return nil
}

func (s *sqlScanner) questionMark(rest string) error {
	switch {
	case s.dialect == PostgreSQL && strings.HasPrefix(rest, "??"): // its operator ?
		s.out.WriteByte('?')
		s.at += 2
		return nil
	case s.named:
		return errors.New("the statement has a ?, but the values have names: write :name")
	case len(rest) > 1 && isDigit(rest[1]):
		return errors.New("parameters are written ?, or :name, not ?1")
	}
	s.at++
	s.parameter("")
	return nil
}

func (s *sqlScanner) colon(rest string) error {
	if strings.HasPrefix(rest, "::") { // a cast
		s.copy(2)
		return nil
	}
	n := 1
	for n < len(rest) && isWordByte(rest[n]) {
		n++
	}
	if n == 1 || isDigit(rest[1]) || s.inWord() { // such as :=, or [1:2]
		s.copy(1)
		return nil
	}
	if !s.named {
		if s.dialect == PostgreSQL {
			s.copy(1) // a[i:j]
			return nil
		}
		return fmt.Errorf("the statement has :%s: give a table with the values, such as { %s = … }", rest[1:n], rest[1:n])
	}
	s.at += n
	s.parameter(rest[1:n])
	return nil
}

// parameter writes a parameter in the dialect.
func (s *sqlScanner) parameter(name string) {
	if s.dialect != PostgreSQL {
		s.params = append(s.params, name)
		s.out.WriteByte('?')
		return
	}
	number := slices.Index(s.params, name) + 1 // the same value has the same number, so that its type is found
	if number == 0 || name == "" {
		s.params = append(s.params, name)
		number = len(s.params)
	}
	s.out.WriteString("$" + strconv.Itoa(number))
}
