package services

import (
	"fmt"
	"net/netip"
	"strings"

	"callisto/engine"
)

// A gate decides whom a request may reach. Names are not enough: what a name stands for is its owner's to say, from
// one moment to the next. So the address is asked, too, when a connection is made to it.
type gate struct {
	setting string // where its rules stand, for messages
	rules   []engine.HostRule

	// publicOnly says that "*" covers public addresses only.
	publicOnly bool
}

// A notAllowed error says what is not allowed, and where that could be changed.
type notAllowed struct{ what, setting string }

func (e *notAllowed) Error() string {
	return fmt.Sprintf("not allowed: %s is not in %s", e.what, e.setting)
}

// host decides before a name is looked up: nil where the address may still be refused.
func (g *gate) host(host string, port uint16) error {
	if ip, err := netip.ParseAddr(host); err == nil {
		return g.address(host, netip.AddrPortFrom(ip, port))
	}
	if g.named(host, port) {
		return nil
	}
	for _, r := range g.rules {
		if r.Name == "" && (r.Port == 0 || r.Port == port) {
			return nil // its address may be in there
		}
	}
	return &notAllowed{fmt.Sprintf("%s:%d", host, port), g.setting}
}

// address decides on what a host's name stands for.
func (g *gate) address(host string, to netip.AddrPort) error {
	ip := plain(to.Addr())
	for _, r := range g.rules {
		if r.Name == "" && r.Network.Contains(ip) && (r.Port == 0 || r.Port == to.Port()) {
			return nil
		}
	}
	if !special(ip) && g.named(host, to.Port()) && (!g.publicOnly || public(ip) || g.namedItself(host, to.Port())) {
		return nil
	}
	what := to.String()
	if ip.String() != host {
		what += " (" + host + ")"
	}
	return &notAllowed{what, g.setting}
}

func (g *gate) named(host string, port uint16) bool {
	return g.namedItself(host, port) || g.has("*", port)
}

// namedItself is named, by more than "*".
func (g *gate) namedItself(host string, port uint16) bool {
	host = strings.ToLower(strings.TrimSuffix(host, "."))
	if g.has(host, port) {
		return true
	}
	for at := range len(host) {
		if host[at] == '.' && at > 0 && g.has("*"+host[at:], port) {
			return true
		}
	}
	return false
}

func (g *gate) has(name string, port uint16) bool {
	for _, r := range g.rules {
		if r.Name == name && name != "" && (r.Port == 0 || r.Port == port) {
			return true
		}
	}
	return false
}

// plain is the IPv4 address that an IPv6 address leads to, where it does.
func plain(ip netip.Addr) netip.Addr {
	ip = ip.Unmap().WithZone("")
	b := ip.As16()
	switch {
	case nat64.Contains(ip):
		return netip.AddrFrom4([4]byte(b[12:]))
	case sixToFour.Contains(ip):
		return netip.AddrFrom4([4]byte(b[2:6]))
	}
	return ip
}

var (
	nat64     = netip.MustParsePrefix("64:ff9b::/96")
	sixToFour = netip.MustParsePrefix("2002::/16")

	// Where machines ask about themselves, or nobody is.
	specials = []netip.Prefix{
		netip.MustParsePrefix("0.0.0.0/8"),
		netip.MustParsePrefix("100.100.100.200/32"), // a cloud's metadata
		netip.MustParsePrefix("192.0.0.0/24"),       // another's
		netip.MustParsePrefix("240.0.0.0/4"),
		netip.MustParsePrefix("fd00:ec2::/32"), // another's
	}
	shared = netip.MustParsePrefix("100.64.0.0/10") // of carriers: private, too
)

// special reports whether only a network in the list lets a request reach ip.
func special(ip netip.Addr) bool {
	for _, p := range specials {
		if p.Contains(ip) {
			return true
		}
	}
	return ip.IsLinkLocalUnicast() || ip.IsMulticast() || ip.IsUnspecified()
}

func public(ip netip.Addr) bool {
	return !ip.IsLoopback() && !ip.IsPrivate() && !shared.Contains(ip) && !special(ip)
}
