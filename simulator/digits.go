package simulator

import (
	"regexp"
	"strings"
	"time"
)

// A readStatus is what reading digits came to.
type readStatus int

const (
	readOK readStatus = iota
	readTimeout
	readTooSmall
	readRestart
	readFailed
	readNoPrompt
)

// read plays a prompt and collects digits (switch_ivr_read): the first digit
// ends the prompt, then there are timeouts, for the first digit and between
// two, the terminators, and an end when max digits are there. The results are
// variables: name, read_result, read_terminator_used.
func (c *Channel) read(least, most int, prompt, name string, timeout time.Duration, terminators string, between time.Duration) (string, readStatus) {
	if between == 0 {
		between = timeout
	}
	most = max(most, least)
	c.set("read_result", "")
	if name != "" {
		c.set(name, "")
	}
	var digits []byte
	if prompt != "" && !strings.EqualFold(prompt, "silence") {
		switch c.play(prompt, func(key byte) bool { digits = append(digits, key); return false }) {
		case notFound:
			return "", readNoPrompt
		case playFailed:
			return string(digits), readFailed
		}
	}
	status, used := readOK, byte(0)
	if len(digits) < most {
		first := timeout
		if len(digits) > 0 {
			first = between
		}
		digits, used, status = c.collect(digits, most, terminators, first, between)
	}
	if used != 0 {
		c.set("read_terminator_used", string(used))
		// "+#" keeps the terminator, "x#" keeps it and starts anew.
		if i := strings.IndexByte(terminators, used); i > 0 && (terminators[i-1] == '+' || terminators[i-1] == 'x') {
			digits = append(digits, used)
			if terminators[i-1] == 'x' {
				status = readRestart
			}
		}
	} else if strings.HasPrefix(terminators, "=") {
		status = readTooSmall
	}
	if len(digits) < least {
		status = readTooSmall
	}
	switch status {
	case readOK:
		c.set("read_result", "success")
	case readTimeout:
		c.set("read_result", "timeout")
	default:
		c.set("read_result", "failure")
	}
	if status != readRestart && most == 1 && len(digits) == 1 && strings.IndexByte(terminators, digits[0]) >= 0 {
		digits = nil
	}
	if name != "" && len(digits) > 0 {
		c.set(name, string(digits))
	}
	return string(digits), status
}

// collect takes digits until there are most, a terminator, or a timeout. Those
// that are pressed together are taken together (recording read_digits), and
// what is too much stays for later (play_and_get_digits_ok).
func (c *Channel) collect(have []byte, most int, terminators string, first, between time.Duration) (digits []byte, used byte, status readStatus) {
	digits = have
	for i, key := range digits {
		if strings.IndexByte(terminators, key) >= 0 {
			return digits[:i], key, readOK
		}
	}
	timeout := first
	for {
		c.digitStops = true
		c.deafToBreak, c.breaksAll = true, true // measured: uuid_break alone does not end it
		end, _ := c.idle(timeout, nil)
		c.digitStops, c.deafToBreak, c.breaksAll = false, false, false
		switch end {
		case interrupted:
			return digits, 0, readFailed
		case left:
			return digits, 0, readFailed
		case finished:
			return digits, 0, readTimeout
		}
		timeout = between
		for n := 0; n <= most; n++ {
			key, ok := c.takeDigit()
			if !ok {
				break
			}
			if strings.IndexByte(terminators, key) >= 0 {
				return digits, key, readOK
			}
			if digits = append(digits, key); len(digits) >= most {
				return digits, 0, readOK
			}
		}
	}
}

func millis(s string) time.Duration { return time.Duration(max(atoi(s), 0)) * time.Millisecond }

// arguments splits an application's argument and makes missing parts empty.
func arguments(data string, n int) []string {
	return append(separate(data, ' ', n), make([]string, n)...)[:n]
}

func appRead(c *Channel, data string) {
	a := arguments(data, 7)
	least := max(atoi(a[0]), 1)
	c.read(least, atoi(a[1]), a[2], a[3], max(millis(a[4]), time.Second), or(a[5], "#"), millis(a[6]))
}

func or(s, fallback string) string {
	if s == "" {
		return fallback
	}
	return s
}

func appPlayAndGetDigits(c *Channel, data string) {
	a := arguments(data, 11)
	least := max(atoi(a[0]), 0)
	name, pattern := a[7], a[8]
	if pattern != "" && name != "" {
		c.set(name+"_invalid", "")
	}
	for tries := atoi(a[2]); tries > 0 && c.ready(); tries-- {
		digits, status := c.read(least, atoi(a[1]), a[5], name, max(millis(a[3]), time.Second), or(a[4], "#"), millis(a[9]))
		if status == readRestart {
			return
		}
		if status == readTimeout && len(digits) >= least {
			status = readOK
		}
		if least == 0 && digits == "" && c.vars.get("read_terminator_used") != "" {
			return
		}
		if status == readOK && digits != "" {
			if pattern == "" || matches(pattern, digits) {
				return
			}
			c.set(name, "")
			if name != "" {
				c.set(name+"_invalid", digits)
			}
		}
		if !c.ready() {
			return
		}
		c.play(a[6], nil)
	}
	if to := a[10]; to != "" && c.ready() {
		t := arguments(to, 3)
		c.leaveTo(&transfer{destination: t[0], dialplan: t[1], context: t[2]})
	}
}

// matches tries a regular expression of the switch's: Perl's syntax there, Go's here.
func matches(pattern, s string) bool {
	re, err := regexp.Compile(pattern)
	return err == nil && re.MatchString(s)
}

func submatches(pattern, s string) []string {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil
	}
	return re.FindStringSubmatch(s)
}
