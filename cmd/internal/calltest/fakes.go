package calltest

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
	"callisto/engine/services"
	"callisto/esl"
	"callisto/luabind"
)

// fakes stand for what scripts reach outside their calls.
type fakes struct {
	bench *bench
	store interface {
		luabind.Store
		Close() error
	}
	limiter   luabind.Limiter
	databases *databases

	mu      sync.Mutex
	servers []*webServer
	made    []luabind.HTTPRequest
	strange []string // requests that the test says nothing of
	post    string   // how the mail server is: "", gone, slow
	keeps   string   // how the store is for scripts, likewise
	mails   []luabind.MailMessage
}

// A webServer is what test.http describes.
type webServer struct {
	method, url string
	answers     []luabind.HTTPAnswer
}

func newFakes(b *bench, configured []engine.DatabaseConfig) *fakes {
	return &fakes{bench: b, store: services.NewMemory(b.clock.Now), limiter: services.NewLimiter(b.clock.Now), databases: newDatabases(b, configured)}
}

func (f *fakes) close() {
	f.store.Close()
	f.databases.close()
}

func (f *fakes) services() *luabind.Services {
	return &luabind.Services{HTTP: f, Mail: mailbox{f}, Store: keeper{f}, Limiter: f.limiter, Databases: f.databases.scripts}
}

// A mailbox stands for the mail server: a luabind.Mail.
type mailbox struct{ *fakes }

// Send implements luabind.Mail.
func (m mailbox) Send(ctx context.Context, message luabind.MailMessage) (*luabind.MailReceipt, error) {
	m.mu.Lock()
	how := m.post
	m.mu.Unlock()
	b := m.bench
	b.mu.Lock()
	b.tell(event{at: b.clock.Now(), class: logged, what: "mail", text: simcall.Plain(strings.Join(message.To, ", ") + ": " + message.Subject)})
	b.mu.Unlock()
	switch how {
	case "gone":
		return nil, errRefused
	case "slow":
		limit := message.Timeout
		if limit == 0 {
			limit = b.library.Snapshot().Config.Mail.Timeout
		}
		if err := esl.Sleep(ctx, limit); err != nil {
			return nil, err
		}
		return nil, context.DeadlineExceeded
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.mails = append(m.mails, message)
	return &luabind.MailReceipt{ID: fmt.Sprintf("<%d@test>", len(m.mails))}, nil
}

func (f *fakes) answer(method, url string, answers []luabind.HTTPAnswer) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.servers = append([]*webServer{{method, url, answers}}, f.servers...)
	return nil
}

func (f *fakes) requests() []luabind.HTTPRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]luabind.HTTPRequest(nil), f.made...)
}

// unasked are the requests that the test said nothing of.
func (f *fakes) unasked() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.strange
}

// Send implements luabind.HTTP, with the retries and the timeout that the real one has, on the test's clock.
func (f *fakes) Send(ctx context.Context, r luabind.HTTPRequest) (*luabind.HTTPResponse, error) {
	limit := r.Timeout
	if limit == 0 {
		limit = f.bench.library.Snapshot().Config.HTTP.Timeout
	}
	until := f.bench.clock.Now().Add(limit)
	sleep := func(d time.Duration) error {
		left := until.Sub(f.bench.clock.Now())
		if err := esl.Sleep(ctx, min(d, left)); err != nil {
			return err
		}
		if d >= left {
			return context.DeadlineExceeded
		}
		return nil
	}
	for attempt := 0; ; attempt++ {
		answer, err := f.attempt(r, sleep)
		if attempt == r.Retries || !again(r, answer, err) {
			return answer, err
		}
		if err := sleep(firstPause << min(attempt, 10)); err != nil {
			return nil, err
		}
	}
}

// firstPause is how long it is until the second attempt; each further pause is twice as long.
const firstPause = 200 * time.Millisecond

// errRefused is the error of a server that is not there.
var errRefused = errors.New("refused")

// again reports whether the real one would try again.
func again(r luabind.HTTPRequest, answer *luabind.HTTPResponse, err error) bool {
	if answer == nil {
		return err == errRefused
	}
	if r.Header.Get("Idempotency-Key") == "" && (r.Method == "POST" || r.Method == "PATCH") {
		return false
	}
	return answer.Status == 429 || answer.Status >= 502 && answer.Status <= 504
}

func (f *fakes) attempt(r luabind.HTTPRequest, sleep func(time.Duration) error) (*luabind.HTTPResponse, error) {
	url := r.URL.String()
	answer, ok := f.next(r)
	b := f.bench
	b.mu.Lock()
	b.tell(event{at: b.clock.Now(), class: logged, what: "http", text: simcall.Plain(r.Method + " " + url)})
	b.mu.Unlock()
	if !ok {
		text := fmt.Sprintf("%s %s: the test does not say what it answers: test.http(%q, %q, { status = 200 })", r.Method, url, r.Method, url)
		f.mu.Lock()
		f.strange = append(f.strange, text)
		f.mu.Unlock()
		return nil, errors.New(text)
	}
	if answer.How == "slow" {
		answer.After = 1 << 62
	}
	if answer.After > 0 {
		if err := sleep(answer.After); err != nil {
			return nil, err
		}
	}
	switch answer.How {
	case "gone":
		return nil, errRefused
	case "nonsense":
		return nil, errors.New("bad answer: malformed HTTP response \"\\x15\\x03\\x01\\x00\"")
	}
	header := http.Header{}
	for name, value := range answer.Headers {
		header.Set(name, value)
	}
	if r.MaxBody > 0 && len(answer.Body) > r.MaxBody {
		return nil, errors.New("too large")
	}
	return &luabind.HTTPResponse{Status: answer.Status, URL: url, Header: header, Body: answer.Body}, nil
}

// next is the answer to a request: of the server that was described last.
func (f *fakes) next(r luabind.HTTPRequest) (luabind.HTTPAnswer, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made = append(f.made, r)
	url := r.URL.String()
	for _, s := range f.servers {
		prefix, open := strings.CutSuffix(s.url, "*")
		if s.method != "*" && !strings.EqualFold(s.method, r.Method) || s.url != url && (!open || !strings.HasPrefix(url, prefix)) {
			continue
		}
		answer := s.answers[0]
		if len(s.answers) > 1 {
			s.answers = s.answers[1:]
		}
		return answer, true
	}
	return luabind.HTTPAnswer{}, false
}
