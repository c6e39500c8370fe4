package engine

import (
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"callisto/esl"
)

// What one who asks on admin.listen may take: whoever asks too much, or too slowly, waits for himself.
const (
	adminConns      = 64
	adminHeader     = 8 << 10 // bytes
	adminHeaderTime = 5 * time.Second
	adminWriteTime  = 30 * time.Second
	adminIdleTime   = 2 * time.Minute
	adminScrapes    = 4    // of /metrics at the same time
	adminCalls      = 1000 // in /calls
	adminProblems   = 100  // on the page
)

// ServeAdmin answers what is asked about the server over HTTP: health, metrics, counts and the calls that run. All
// of it only reads. It ends when Close has been called, with esl.ErrServerClosed, after all its answers; or when l fails.
func (s *Server) ServeAdmin(l net.Listener) error {
	s.init()
	if !isLoopback(l.Addr()) {
		s.logger().Warn("admin.listen is open to other machines, and asks for no password: keep it on 127.0.0.1, or behind a firewall", "listen", l.Addr().String())
	}
	err := s.admin.Serve(l)
	s.adminConns.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return esl.ErrServerClosed
	}
	return err
}

func (s *Server) initAdmin() {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.Write([]byte("ok\n"))
	})
	mux.HandleFunc("GET /readyz", s.serveReady)
	mux.HandleFunc("GET /calls", s.serveCalls)
	mux.HandleFunc("GET /counts", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, s.Counts()) })
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.registry(), promhttp.HandlerOpts{MaxRequestsInFlight: adminScrapes}))

	a := &s.admin
	a.Handler = guard(mux)
	a.ReadHeaderTimeout, a.ReadTimeout = adminHeaderTime, adminHeaderTime
	a.WriteTimeout, a.IdleTimeout = adminWriteTime, adminIdleTime
	a.MaxHeaderBytes = adminHeader
	a.ErrorLog = slog.NewLogLogger(s.logger().Handler(), slog.LevelWarn)
	var open atomic.Int64
	a.ConnState = func(nc net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			s.adminConns.Add(1)
			if open.Add(1) > adminConns {
				nc.Close() // calls need the descriptors
			}
		case http.StateClosed, http.StateHijacked:
			open.Add(-1)
			s.adminConns.Done()
		}
	}
}

// guard turns away what no honest question looks like, and has browsers do nothing with an answer but show it.
func guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		local, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		switch {
		case r.ContentLength != 0:
			h.Set("Connection", "close")
			http.Error(w, "nothing is to be sent here: ask with GET and no body", http.StatusRequestEntityTooLarge)
		case isLoopback(local) && !isLocalName(r.Host):
			// A page from elsewhere, shown by a browser on this machine, can have its own name lead to 127.0.0.1, and
			// would then be free to read what we answer.
			http.Error(w, "ask for localhost, or for an address", http.StatusMisdirectedRequest)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

func isLoopback(addr net.Addr) bool {
	if addr == nil {
		return false
	}
	ap, err := netip.ParseAddrPort(addr.String())
	return err == nil && ap.Addr().Unmap().IsLoopback()
}

// isLocalName reports whether a Host header can only mean this machine: it is an address or localhost, or is missing.
func isLocalName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	_, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil || host == "" || strings.EqualFold(host, "localhost")
}

// answer writes JSON.
func answer(w http.ResponseWriter, status int, v any) {
	text, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	w.Write(append(text, '\n'))
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	reasons, status := s.NotReady(), http.StatusOK
	if len(reasons) > 0 {
		status = http.StatusServiceUnavailable
	}
	answer(w, status, struct {
		Ready      bool     `json:"ready"`
		Reasons    []string `json:"reasons,omitempty"`
		Generation uint64   `json:"generation"`
	}{len(reasons) == 0, reasons, s.Library.Snapshot().Number})
}

// A shownCall is a call in /calls. Who calls whom is not in it: that is in the log, which has rules of its own for who
// reads it and for how long. The UUID finds it there.
type shownCall struct {
	UUID       string  `json:"uuid"`
	Script     string  `json:"script"`
	Generation uint64  `json:"generation"`
	Flow       string  `json:"flow,omitempty"`
	Step       string  `json:"step,omitempty"`
	Seconds    float64 `json:"seconds"` // since its connection
}

// serveCalls lists the calls that run, the oldest first: those one looks for.
func (s *Server) serveCalls(w http.ResponseWriter, _ *http.Request) {
	calls, now := s.record.calls(), time.Now()
	if s.Clock != nil {
		now = s.Clock.Now()
	}
	slices.SortFunc(calls, func(a, b *running) int { return cmp.Or(a.began.Compare(b.began), cmp.Compare(a.uuid, b.uuid)) })
	answered := struct {
		Running int         `json:"running"`
		Calls   []shownCall `json:"calls"` // at most adminCalls
	}{len(calls), []shownCall{}}
	for _, c := range calls[:min(len(calls), adminCalls)] {
		shown := shownCall{UUID: c.uuid, Script: c.script, Generation: c.generation, Seconds: now.Sub(c.began).Round(time.Millisecond).Seconds()}
		if at := c.at.Load(); at != nil {
			shown.Flow, shown.Step = at.flow, at.step
		}
		answered.Calls = append(answered.Calls, shown)
	}
	answer(w, http.StatusOK, answered)
}

//go:embed admin.html
var pageText string

var page = template.Must(template.New("page").Parse(pageText))

func (s *Server) servePage(w http.ResponseWriter, r *http.Request) {
	snapshot := s.Library.Snapshot()
	problems := snapshot.Problems
	var text strings.Builder
	err := page.Execute(&text, map[string]any{
		"NotReady":   s.NotReady(),
		"Running":    s.Calls(),
		"Limit":      snapshot.Config.Server.MaxCalls,
		"Generation": snapshot.Number,
		"Scripts":    snapshot.Names(),
		"Problems":   problems[:min(len(problems), adminProblems)],
		"More":       max(0, len(problems)-adminProblems),
		"Restart":    snapshot.Restart,
	})
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write([]byte(text.String()))
}
