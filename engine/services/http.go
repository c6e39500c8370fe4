package services

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

const (
	maxPerHost  = 1000 // connections: calls beyond wait within their time
	idlePerHost = 32
	idleTime    = 90 * time.Second
	maxHeader   = 64 << 10 // bytes of an answer's
	firstPause  = 100 * time.Millisecond
	longestWait = 5 * time.Second // between two attempts, unless the server asks for more
)

// An httpClient is the HTTP of all calls. It speaks HTTP/1.1, each request on a connection of its own while it lasts:
// one that hangs holds up no other.
type httpClient struct {
	config engine.HTTPConfig
	proxy  *url.URL
	first  *http.Transport // of what scripts ask for
	second *http.Transport // of where other hosts redirect to, which may reach less
	gates  map[*http.Transport]*gate
	dial   func(ctx context.Context, addr string, check func(netip.AddrPort) error) (net.Conn, error)
}

func openHTTP(config engine.HTTPConfig) (*httpClient, error) {
	h := &httpClient{config: config, dial: dial}
	roots, err := trusted("http.ca", config.CA)
	if err != nil {
		return nil, err
	}
	if config.Proxy != "" {
		if h.proxy, err = url.Parse(config.Proxy); err != nil {
			return nil, fmt.Errorf("http.proxy: %w", err)
		}
	}
	h.gates = map[*http.Transport]*gate{}
	h.first = h.transport(roots, &gate{setting: "http.allow", rules: config.Allow})
	h.second = h.transport(roots, &gate{setting: "http.allow", rules: config.Allow, publicOnly: true})
	return h, nil
}

// trusted are the system's certificates and those of a file that a setting names; nil: the system's.
func trusted(setting, file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", setting, err)
	}
	pool, err := x509.SystemCertPool()
	if err != nil {
		return nil, fmt.Errorf("the system's certificates cannot be read: %w", err)
	}
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s: %s holds no certificate in PEM", setting, file)
	}
	return pool, nil
}

func (h *httpClient) transport(roots *x509.CertPool, g *gate) *http.Transport {
	t := &http.Transport{
		DialContext: func(ctx context.Context, _, addr string) (net.Conn, error) {
			host, _, _ := net.SplitHostPort(addr)
			return h.dial(ctx, addr, func(to netip.AddrPort) error {
				if h.proxy != nil {
					return nil // its own address, which the operator has chosen
				}
				return g.address(host, to)
			})
		},
		TLSClientConfig:        &tls.Config{RootCAs: roots},
		TLSHandshakeTimeout:    10 * time.Second,
		ExpectContinueTimeout:  time.Second,
		MaxIdleConns:           8 * idlePerHost,
		MaxIdleConnsPerHost:    idlePerHost,
		MaxConnsPerHost:        maxPerHost,
		IdleConnTimeout:        idleTime,
		MaxResponseHeaderBytes: maxHeader,
	}
	if h.proxy != nil {
		t.Proxy = http.ProxyURL(h.proxy)
	}
	h.gates[t] = g
	return t
}

// dial connects to an address that check lets pass: it is asked once a name has been looked up, and right before the
// first packet.
func dial(ctx context.Context, addr string, check func(netip.AddrPort) error) (net.Conn, error) {
	d := net.Dialer{Timeout: 10 * time.Second, ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
		to, err := netip.ParseAddrPort(address)
		if err != nil {
			return err
		}
		return check(to)
	}}
	return d.DialContext(ctx, "tcp", addr)
}

func (h *httpClient) close() error {
	h.first.CloseIdleConnections()
	h.second.CloseIdleConnections()
	return nil
}

// RoundTrip implements http.RoundTripper, for a request and for each that a redirect makes of it.
func (h *httpClient) RoundTrip(r *http.Request) (*http.Response, error) {
	t := h.first
	if left(r) {
		t = h.second
	}
	host, port := hostPort(r.URL)
	if err := h.gates[t].host(host, port); err != nil {
		return nil, err
	}
	return t.RoundTrip(r)
}

func hostPort(u *url.URL) (string, uint16) {
	port, err := strconv.ParseUint(u.Port(), 10, 16)
	if err != nil {
		port = 80
		if u.Scheme == "https" {
			port = 443
		}
	}
	return u.Hostname(), uint16(port)
}

// left reports whether redirects have led to another server than that of the first request.
func left(r *http.Request) bool {
	for s := r; s.Response != nil && s.Response.Request != nil; {
		s = s.Response.Request
		if s.URL.Scheme != r.URL.Scheme || !strings.EqualFold(s.URL.Host, r.URL.Host) {
			return true
		}
	}
	return false
}

var (
	errTooLarge  = errors.New("too large")
	errRedirects = errors.New("too many redirects")
)

// Send implements luabind.HTTP.
func (h *httpClient) Send(ctx context.Context, r luabind.HTTPRequest) (*luabind.HTTPResponse, error) {
	timeout := r.Timeout
	if timeout == 0 {
		timeout = h.config.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for attempt := 0; ; attempt++ {
		answer, err := h.attempt(ctx, r)
		if attempt == r.Retries || !again(r, answer, err) {
			return answer, why(ctx, err)
		}
		pause := pauseAfter(attempt, answer)
		if end, _ := ctx.Deadline(); time.Until(end) <= pause {
			return answer, why(ctx, err) // better than to have waited for nothing
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
	}
}

// again reports whether another attempt may help, and can do no harm: the server may have done what was asked for
// before its answer was lost.
func again(r luabind.HTTPRequest, answer *luabind.HTTPResponse, err error) bool {
	repeatable := r.Header.Get("Idempotency-Key") != ""
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodPut, http.MethodDelete, http.MethodOptions, http.MethodTrace:
		repeatable = true
	}
	if err == nil {
		switch answer.Status {
		case http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			return repeatable
		}
		return false
	}
	var refused *notAllowed
	if errors.As(err, &refused) {
		return false
	}
	if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
		return true // nothing was sent
	}
	return repeatable && lost(err)
}

// pauseAfter is how long to wait after an attempt: as the server asks, or twice as long each time, by chance a
// little more or less, so that all calls do not come back at once.
func pauseAfter(attempt int, answer *luabind.HTTPResponse) time.Duration {
	pause := firstPause << min(attempt, 10)
	pause = pause/2 + rand.N(pause)
	if answer != nil {
		asked := answer.Header.Get("Retry-After")
		if seconds, err := strconv.Atoi(asked); err == nil && seconds >= 0 {
			return time.Duration(min(seconds, 86400)) * time.Second
		}
		if at, err := http.ParseTime(asked); err == nil {
			return max(time.Until(at), pause)
		}
	}
	return min(pause, longestWait)
}

func (h *httpClient) attempt(ctx context.Context, r luabind.HTTPRequest) (*luabind.HTTPResponse, error) {
	// A copy of the URL: nothing of what the request becomes is the script's.
	target := *r.URL
	request := (&http.Request{
		Method: r.Method, URL: &target, Host: target.Host, Header: r.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
	}).WithContext(ctx)
	if request.Header == nil {
		request.Header = http.Header{}
	}
	if request.Header.Get("User-Agent") == "" {
		request.Header.Set("User-Agent", "callisto")
	}
	if r.Body != "" {
		request.ContentLength = int64(len(r.Body))
		request.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(r.Body)), nil }
		request.Body, _ = request.GetBody()
	}
	client := http.Client{Transport: h, CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if r.Redirects == 0 {
			return http.ErrUseLastResponse
		}
		if len(via) > r.Redirects {
			return errRedirects
		}
		next.Header.Del("Referer")
		if !left(next) {
			return nil
		}
		if next.Body != nil {
			return http.ErrUseLastResponse // what was meant for one server is not another's
		}
		// Nor are the headers: any of them may hold a secret.
		for name := range next.Header {
			if !harmless[name] {
				next.Header.Del(name)
			}
		}
		return nil
	}}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	most := h.config.MaxBody
	if r.MaxBody > 0 {
		most = min(most, int64(r.MaxBody))
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, most+1))
	switch {
	case err != nil:
		return nil, err
	case int64(len(body)) > most:
		return nil, errTooLarge
	}
	return &luabind.HTTPResponse{
		Status: response.StatusCode, URL: response.Request.URL.Redacted(), Header: response.Header, Body: string(body),
	}, nil
}

var harmless = map[string]bool{"Accept": true, "Accept-Language": true, "User-Agent": true}

// lost reports whether the connection ended before the answer did.
func lost(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.ErrClosedPipe) || errors.Is(err, net.ErrClosed) ||
		errors.Is(err, syscall.ECONNRESET) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED)
}

// why is the error that a script gets.
func why(ctx context.Context, err error) error {
	var (
		refused *notAllowed
		lookup  *net.DNSError
		op      *net.OpError
		cert    *tls.CertificateVerificationError
		timeout net.Error
	)
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &refused):
		return refused
	case errors.Is(err, errTooLarge):
		return errTooLarge
	case errors.Is(err, errRedirects):
		return errRedirects
	case errors.As(err, &timeout) && timeout.Timeout():
		return context.DeadlineExceeded
	case errors.As(err, &lookup):
		return errors.New("unknown host: " + lookup.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return errors.New("refused")
	case errors.As(err, &cert):
		return errors.New("bad certificate: " + cut(cert.Err.Error()))
	case errors.As(err, &op) && op.Op == "dial":
		return errors.New("unreachable: " + cut(op.Err.Error()))
	case lost(err):
		return errors.New("lost")
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		err = outer.Err
	}
	text := err.Error()
	for _, prefix := range []string{"net/http: ", "HTTP/1.x transport connection broken: ", "net/http: ", "http: "} {
		text = strings.TrimPrefix(text, prefix)
	}
	return errors.New("bad answer: " + cut(text))
}

// cut keeps a message to a size for a log: a part of it may be what a server has sent.
func cut(text string) string {
	const most = 200
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
