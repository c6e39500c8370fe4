package esl

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"
)

const authRequest = "Content-Type: auth/request\n\n"

// inbound is a switch that listens; it serves one connection.
func inbound(t *testing.T, serve func(*peer)) (addr string) {
	t.Helper()
	l := listen(t)
	done := aside(func() {
		nc, err := l.Accept()
		if err != nil {
			return
		}
		defer nc.Close()
		serve(&peer{t: t, nc: nc})
	})
	t.Cleanup(func() { l.Close(); <-done })
	return l.Addr().String()
}

func TestDial(t *testing.T) {
	for _, tt := range []struct {
		auth   Command
		wire   string
		answer string
	}{
		{Auth{"ClueCon"}, "auth ClueCon\n\n", replied("+OK accepted")},
		{UserAuth{"1000@example.com", "x:y"}, "userauth 1000@example.com:x:y\n\n",
			"Content-Type: command/reply\nReply-Text: +OK accepted\nAllowed-Events: all\nAllowed-API: all\nAllowed-LOG: true\n\n"},
	} {
		addr := inbound(t, func(p *peer) {
			p.send(authRequest)
			p.expect(tt.wire)
			p.send(tt.answer)
			p.expect("api status\n\n")
			p.send(answered("UP"))
			p.expect("exit\n\n")
			p.send(replied("+OK bye"), "Content-Type: text/disconnect-notice\nContent-Length: 0\n\n")
		})
		c, err := Dial(t.Context(), addr, tt.auth)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if r := do(t, c, API{Command: "status"}); r.Text != "UP" {
			t.Errorf("%q", r.Text)
		}
		if c.RemoteAddr().String() != addr || c.UUID() != "" {
			t.Errorf("%v, %q", c.RemoteAddr(), c.UUID())
		}
		do(t, c, Exit{})
		if e := next(t, c); e.Kind() != DisconnectNotice {
			t.Errorf("%v", e)
		}
		_, err = c.Next(t.Context())
		disconnected(t, err, "")
		if c.Hangup() != nil {
			t.Error("a connection without channel has hung up")
		}
	}
}

func TestDialSaysWhyItCannot(t *testing.T) {
	tests := []struct {
		name  string
		serve func(*peer)
		check func(error) bool
		text  string
	}{
		{"a wrong password", func(p *peer) {
			p.send(authRequest)
			p.command()
			p.send(replied("-ERR invalid"), "Content-Type: text/disconnect-notice\nContent-Length: 0\n\n")
		}, func(err error) bool {
			var re *ReplyError
			return errors.Is(err, ErrAuth) && errors.As(err, &re) && re.Text == "-ERR invalid"
		}, "the switch does not accept the password"},
		{"a password that is not answered with OK", func(p *peer) {
			p.send(authRequest)
			p.command()
			p.send(replied(""))
		}, func(err error) bool { return errors.Is(err, ErrAuth) }, `answered ""`},
		{"an end instead of an answer", func(p *peer) {
			p.send(authRequest)
			p.command()
		}, func(err error) bool { return errors.Is(err, ErrDisconnected) && !errors.Is(err, ErrAuth) }, ""},
		{"the access list", func(p *peer) {
			p.send("Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n")
		}, func(err error) bool { return errors.Is(err, ErrRejected) && !errors.Is(err, ErrAuth) }, "go away."},
		{"something else that listens", func(p *peer) { p.send("SSH-2.0-OpenSSH_9.9\r\n\r\n") },
			func(err error) bool { var pe *ProtocolError; return errors.As(err, &pe) }, "SSH-2.0"},
		{"an event first", func(p *peer) { p.send(eventFrame("HEARTBEAT")); p.command() },
			func(err error) bool { var pe *ProtocolError; return errors.As(err, &pe) }, "it begins with text/event-plain"},
		{"an end at once", func(*peer) {}, func(err error) bool { return errors.Is(err, ErrDisconnected) }, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			addr := inbound(t, tt.serve)
			c, err := Dial(t.Context(), addr, Auth{"ClueCon"})
			if err == nil || c != nil || !tt.check(err) || !strings.Contains(err.Error(), tt.text) || !strings.Contains(err.Error(), addr) {
				t.Errorf("%v", err)
			}
			if err != nil && strings.Contains(err.Error(), "ClueCon") {
				t.Errorf("the error tells the password: %v", err)
			}
		})
	}
}

func TestDialEndsWithItsContext(t *testing.T) {
	for name, serve := range map[string]func(*peer){
		"no greeting": func(p *peer) { p.command() },
		"no answer":   func(p *peer) { p.send(authRequest); p.command(); p.command() },
	} {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		addr := inbound(t, serve)
		if _, err := Dial(ctx, addr, Auth{"ClueCon"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

func TestDialRefusesWhatDoesNotAuthenticate(t *testing.T) {
	if _, err := Dial(t.Context(), "127.0.0.1:1", Exit{}); err == nil || !strings.Contains(err.Error(), "esl.Exit") {
		t.Error(err)
	}
	addr := inbound(t, func(p *peer) { p.send(authRequest); p.command() })
	var ce *CommandError
	if _, err := Dial(t.Context(), addr, Auth{"a\nb"}); !errors.As(err, &ce) {
		t.Error(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	var oe *net.OpError
	if _, err := Dial(t.Context(), l.Addr().String(), Auth{"x"}); !errors.As(err, &oe) {
		t.Error(err)
	}
}
