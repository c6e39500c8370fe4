package esl

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
)

// ErrRejected is returned when the switch's access list refuses us.
var ErrRejected = errors.New("the switch refuses connections from here: see its event_socket.conf, apply-inbound-acl")

// ErrAuth is wrapped when the switch does not accept the password.
var ErrAuth = errors.New("the switch does not accept the password")

// Dial connects to a switch's inbound event socket and authenticates with auth, an
// Auth or a UserAuth. Whether to connect again when it ends is the caller's to
// decide. The error wraps ErrRejected or ErrAuth where the switch said no.
func Dial(ctx context.Context, addr string, auth Command) (*Conn, error) {
	switch auth.(type) {
	case Auth, UserAuth:
	default:
		return nil, fmt.Errorf("esl: %T does not authenticate", auth)
	}
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	c := NewConn(nc)
	if err := c.authenticate(ctx, auth); err != nil {
		c.Close()
		return nil, fmt.Errorf("event socket %s: %w", addr, err)
	}
	return c, nil
}

func (c *Conn) authenticate(ctx context.Context, auth Command) error {
	e, err := c.Next(ctx)
	switch {
	case err != nil:
		return err
	case e.kind == RudeRejection:
		return fmt.Errorf("%w: %s", ErrRejected, strings.TrimSpace(e.Body()))
	case e.kind != AuthRequest:
		return protocolError("it begins with %s, not with auth/request", e.kind)
	}
	r, err := c.Do(ctx, auth)
	var refused *ReplyError
	if errors.As(err, &refused) {
		return fmt.Errorf("%w: %w", ErrAuth, err)
	}
	if err == nil && !r.OK() {
		return fmt.Errorf("%w: %w", ErrAuth, &ReplyError{r.Text})
	}
	return err
}
