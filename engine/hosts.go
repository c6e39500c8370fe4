package engine

import (
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// A HostRule is an entry of a list of hosts that may be reached: a name, or a network.
type HostRule struct {
	Name    string       // "api.example.com"; "*.example.com": every name below; "*": every host; "": Network
	Network netip.Prefix // where Name is empty
	Port    uint16       // 0: any
}

// hostRules reads a list such as ["api.example.com", "*.example.com:443", "10.0.0.0/8", "[fd00::1]:8080"].
func hostRules(list []string) ([]HostRule, error) {
	rules := make([]HostRule, len(list))
	for i, text := range list {
		r, ok := hostRule(text)
		if !ok {
			return nil, fmt.Errorf("holds %q: write a host, an address or a network, such as \"api.example.com\", \"*.example.com:443\", \"10.0.0.7:8080\" or \"10.0.0.0/8\"", text)
		}
		if m := r.Network.Masked(); m != r.Network {
			return nil, fmt.Errorf("holds %q, which is an address inside a network: write %q for the network or %q for the address", text, m, r.Network.Addr())
		}
		rules[i] = r
	}
	return rules, nil
}

func hostRule(text string) (r HostRule, ok bool) {
	if r.Network, ok = network(text); ok {
		return r, true
	}
	host := text
	if at := strings.LastIndexByte(text, ':'); at >= 0 {
		port, err := strconv.ParseUint(text[at+1:], 10, 16)
		if err != nil || port == 0 {
			return r, false
		}
		host, r.Port = text[:at], uint16(port)
	}
	bare, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		if bare, bracketed = strings.CutSuffix(bare, "]"); !bracketed {
			return r, false
		}
	} else if strings.ContainsRune(bare, ':') {
		return r, false
	}
	if r.Network, ok = network(bare); ok {
		return r, true
	}
	r.Name = strings.ToLower(strings.TrimSuffix(bare, "."))
	return r, !bracketed && isHostPattern(r.Name)
}

func network(text string) (netip.Prefix, bool) {
	if a, err := netip.ParseAddr(text); err == nil && a.Zone() == "" {
		a = a.Unmap()
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	p, err := netip.ParsePrefix(text)
	return p, err == nil
}

// isHostPattern reports whether s is a name, with or without "*." in front, or "*". What looks like an address
// is none.
func isHostPattern(s string) bool {
	if s == "*" {
		return true
	}
	s = strings.TrimPrefix(s, "*.")
	labels := strings.Split(s, ".")
	for _, label := range labels {
		if label == "" || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return false
		}
	}
	return strings.Trim(labels[len(labels)-1], "0123456789") != ""
}

func proxyURL(v string) (string, error) {
	if v == "" {
		return "", nil
	}
	u, err := url.Parse(v)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return "", fmt.Errorf("is no URL of a proxy: write one such as \"http://proxy.example.com:3128\"")
	}
	return v, nil
}
