package services

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/http/httptest"
	"net/mail"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"callisto/engine"
	"callisto/luabind"
)

const postAddr = "mail.example.com:25"

// newPost is mail on a network in memory.
func newPost(t *testing.T, n *network, change func(*engine.MailConfig)) *Services {
	t.Helper()
	config := engine.DefaultConfig().Mail
	config.Server, config.TLS = postAddr, engine.TLSNone
	config.From = &mail.Address{Address: "switchboard@example.com"}
	if change != nil {
		change(&config)
	}
	m, err := newMailer(config)
	if err != nil {
		t.Fatal(err)
	}
	m.dial = n.dial
	s := &Services{Services: luabind.Services{Mail: m}}
	s.onClose(m.close)
	return s
}

// A postOffice is a mail server that answers as it is told, and keeps what it gets.
type postOffice struct {
	replies  map[string]string // by the beginning of a command; "" is the greeting, "." the end of a message
	tls      *tls.Config
	mu       sync.Mutex
	commands []string
	letters  []string
}

func (p *postOffice) serve(c net.Conn) {
	p.speak(c, true)
}

func (p *postOffice) speak(c net.Conn, greet bool) {
	r := bufio.NewReader(c)
	if greet && !p.reply(c, "", "220 mail.example.com ESMTP") {
		return
	}
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		line = strings.TrimSuffix(line, "\r\n")
		p.mu.Lock()
		p.commands = append(p.commands, line)
		p.mu.Unlock()
		verb := strings.ToUpper(strings.Fields(line + " ?")[0])
		switch verb {
		case "EHLO":
			if !p.reply(c, line, "250-mail.example.com\r\n250 8BITMIME") {
				return
			}
		case "STARTTLS":
			if !p.reply(c, line, "220 go on") {
				return
			}
			if p.tls != nil {
				p.speak(tls.Server(c, p.tls), false)
				return
			}
		case "DATA":
			if !p.reply(c, line, "354 go on") {
				continue
			}
			var letter strings.Builder
			for {
				line, err := r.ReadString('\n')
				if err != nil {
					return
				}
				if line == ".\r\n" {
					break
				}
				letter.WriteString(strings.TrimPrefix(line, "."))
			}
			p.mu.Lock()
			p.letters = append(p.letters, letter.String())
			p.mu.Unlock()
			if !p.reply(c, ".", "250 taken") {
				return
			}
		case "QUIT":
			p.reply(c, line, "221 bye")
			return
		default:
			if !p.reply(c, line, "250 ok") {
				return
			}
		}
	}
}

// reply answers, and reports whether to go on.
func (p *postOffice) reply(c net.Conn, command, usual string) bool {
	best := ""
	text, found := usual, false
	for prefix, reply := range p.replies {
		if (prefix == command || prefix != "" && strings.HasPrefix(command, prefix)) && (!found || len(prefix) > len(best)) {
			best, text, found = prefix, reply, true
		}
	}
	switch text {
	case "hang":
		silent(c)
		return false
	case "close":
		return false
	case "talk":
		for {
			if _, err := io.WriteString(c, "250-and so on and so on\r\n"); err != nil {
				return false
			}
		}
	case "babble":
		for {
			if _, err := c.Write(bytes.Repeat([]byte("x"), 1000)); err != nil {
				return false
			}
		}
	}
	io.WriteString(c, text+"\r\n")
	return text[0] == '2' || text[0] == '3' || text[0] == '5' || text[0] == '4'
}

func message() luabind.MailMessage {
	return luabind.MailMessage{To: []string{"ada@example.com", "Bob <bob@example.com>"}, Subject: "A call", Text: "Hello."}
}

// What mail servers may do wrong, and what a script gets then.
func TestOddMailServers(t *testing.T) {
	tests := []struct {
		name    string
		replies map[string]string
		why     string
	}{
		{"never says anything", map[string]string{"": "hang"}, "timeout"},
		{"hangs up at once", map[string]string{"": "close"}, "lost"},
		{"refuses us", map[string]string{"": "554 go away"}, "rejected: 554 go away"},
		{"is no mail server", map[string]string{"": "HTTP/1.1 400 Bad Request"}, "bad answer: "},
		{"begins a line and never ends it", map[string]string{"": "babble"}, "bad answer: "},
		{"has endless abilities", map[string]string{"EHLO": "talk", "HELO": "talk"}, "bad answer: the server does not stop talking"},
		{"hangs", map[string]string{"MAIL": "hang"}, "timeout"},
		{"goes away", map[string]string{"MAIL": "421 closing"}, "rejected: 421 closing"},
		{"takes nobody", map[string]string{"RCPT": "550 5.1.1 no\tsuch\x01 user\xff"}, "rejected: 550 5.1.1 no such\x01 user?"},
		{"takes no message", map[string]string{"DATA": "451 later"}, "rejected: 451 later"},
		{"does not like the message", map[string]string{".": "554 spam"}, "rejected: 554 spam"},
		{"hangs at the end", map[string]string{".": "hang"}, "timeout"},
		{"hangs up at the end", map[string]string{".": "close"}, "lost"},
		{"says nonsense at the end", map[string]string{".": "2x"}, "bad answer: "},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				n.serve(postAddr, (&postOffice{replies: tt.replies}).serve)
				s := newPost(t, n, nil)
				receipt, err := s.Mail.Send(t.Context(), message())
				if err == nil {
					t.Fatalf("it was sent: %+v", receipt)
				}
				if got := whyOf(err); !strings.HasPrefix(got, tt.why) {
					t.Errorf("got %q, want %q", got, tt.why)
				}
				s.Close()
				n.serving.Wait()
			})
		})
	}
	t.Run("hangs up in the middle of the message", func(t *testing.T) {
		simulated(t, func(t *testing.T) {
			n := newNetwork()
			n.serve(postAddr, func(c net.Conn) {
				r := bufio.NewReader(c)
				io.WriteString(c, "220 x\r\n")
				for {
					line, err := r.ReadString('\n')
					if err != nil || strings.HasPrefix(line, "Subject") {
						return
					}
					switch {
					case strings.HasPrefix(line, "DATA"):
						io.WriteString(c, "354 go on\r\n")
					case strings.HasPrefix(line, "EHLO"), strings.HasPrefix(line, "MAIL"), strings.HasPrefix(line, "RCPT"):
						io.WriteString(c, "250 ok\r\n")
					}
				}
			})
			s := newPost(t, n, nil)
			m := message()
			m.Text = strings.Repeat("a long text\n", 10000)
			if _, err := s.Mail.Send(t.Context(), m); err == nil || err.Error() != "lost" {
				t.Errorf("got %v", err)
			}
			s.Close()
			n.serving.Wait()
		})
	})
}

// Who is refused does not keep the others from getting it.
func TestSomeRecipientsRefused(t *testing.T) {
	simulated(t, func(t *testing.T) {
		n := newNetwork()
		office := &postOffice{replies: map[string]string{"RCPT TO:<bob@": "550 no such user", "QUIT": "close"}}
		n.serve(postAddr, office.serve)
		s := newPost(t, n, nil)
		m := message()
		m.To = append(m.To, "nonsense", "eve@example.com\r\nRCPT TO:<mallory@example.com>")
		m.Bcc = []string{"ada@example.com", "carol@example.com"}
		receipt, err := s.Mail.Send(t.Context(), m)
		if err != nil {
			t.Fatal(err)
		}
		want := []luabind.MailRefusal{
			{Address: "nonsense", Why: "it is no address"}, {Address: "eve@example.com\r\nRCPT TO:<mallory@example.com>", Why: "it is no address"},
			{Address: "bob@example.com", Why: "550 no such user"},
		}
		if diff := cmp.Diff(want, receipt.Refused); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		var rcpt []string
		for _, c := range office.commands {
			if strings.HasPrefix(c, "RCPT") {
				rcpt = append(rcpt, c)
			}
		}
		if want := []string{"RCPT TO:<ada@example.com>", "RCPT TO:<bob@example.com>", "RCPT TO:<carol@example.com>"}; !slices.Equal(rcpt, want) {
			t.Errorf("got %q, want %q", rcpt, want)
		}
		if got := readLetter(t, office.letters[0]); got.head.Get("Bcc") != "" || got.head.Get("To") != "<ada@example.com>, \"Bob\" <bob@example.com>" || got.head.Get("Message-Id") != receipt.ID {
			t.Errorf("the header is %v", got.head)
		}
		s.Close()
		n.serving.Wait()
	})
}

// A parsedLetter is a message as its reader sees it.
type parsedLetter struct {
	head  mail.Header
	parts []string // kind, name and text of each
}

func readLetter(t *testing.T, text string) parsedLetter {
	t.Helper()
	for line := range strings.Lines(text) {
		if len(line) > 1000 || !strings.HasSuffix(line, "\r\n") || strings.ContainsAny(strings.TrimSuffix(line, "\r\n"), "\r\n\x00") {
			t.Fatalf("the line %q may not be sent", line)
		}
	}
	m, err := mail.ReadMessage(strings.NewReader(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	l := parsedLetter{head: m.Header}
	l.add(t, m.Header.Get("Content-Type"), "", m.Header.Get("Content-Transfer-Encoding"), m.Body)
	return l
}

func (l *parsedLetter) add(t *testing.T, kind, name, encoding string, r io.Reader) {
	t.Helper()
	media, params, err := mime.ParseMediaType(kind)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(media, "multipart/") {
		text, err := io.ReadAll(decoder(encoding, r))
		if err != nil {
			t.Fatal(err)
		}
		l.parts = append(l.parts, strings.Join([]string{media, name, string(text)}, "|"))
		return
	}
	parts := multipart.NewReader(r, params["boundary"])
	for {
		p, err := parts.NextRawPart()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		l.add(t, p.Header.Get("Content-Type"), p.FileName(), p.Header.Get("Content-Transfer-Encoding"), p)
	}
}

// What a reader sees of a mail is what the script has written.
func TestLetters(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.wav"), []byte("RIFF\x00"), 0o644); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 5000)
	for i := range noise {
		noise[i] = byte(i * 7)
	}
	tests := []struct {
		name    string
		message luabind.MailMessage
		subject string
		parts   []string
	}{
		{"text", luabind.MailMessage{Subject: "A call", Text: "Hello.\n.\nFrom me\n"}, "A call", []string{"text/plain||Hello.\r\n.\r\nFrom me\r\n"}},
		{"nothing", luabind.MailMessage{}, "", []string{"text/plain||"}},
		{"unicode", luabind.MailMessage{Subject: strings.Repeat("Zoë ☎ ", 60), Text: "Zoë ☎"}, strings.Repeat("Zoë ☎ ", 60), []string{"text/plain||Zoë ☎\r\n"}},
		{"no unicode", luabind.MailMessage{Subject: "a\xff", Text: "b\xff"}, "a�", []string{"text/plain||b�\r\n"}},
		{"a long line", luabind.MailMessage{Text: strings.Repeat("x", 5000)}, "", []string{"text/plain||" + strings.Repeat("x", 5000) + "\r\n"}},
		{"a long subject", luabind.MailMessage{Subject: strings.Repeat("x", 900)}, strings.Repeat("x", 900), []string{"text/plain||"}},
		{"html", luabind.MailMessage{HTML: "<p>Hi"}, "", []string{"text/html||<p>Hi\r\n"}},
		{"both", luabind.MailMessage{Text: "Hi", HTML: "<p>Hi"}, "", []string{"text/plain||Hi", "text/html||<p>Hi"}},
		{"data", luabind.MailMessage{Text: "Hi", Attachments: []luabind.MailAttachment{{Name: "noise.bin", Data: string(noise)}}}, "",
			[]string{"text/plain||Hi", "application/octet-stream|noise.bin|" + string(noise)}},
		{"a file", luabind.MailMessage{Attachments: []luabind.MailAttachment{{File: "a.wav"}}}, "", []string{"text/plain||", "audio/x-wav|a.wav|RIFF\x00"}},
		{"a file by its whole path", luabind.MailMessage{Attachments: []luabind.MailAttachment{{File: filepath.Join(dir, "a.wav"), Name: "Nachricht für Zoë.wav"}}}, "",
			[]string{"text/plain||", "audio/x-wav|Nachricht für Zoë.wav|RIFF\x00"}},
		{"everything", luabind.MailMessage{Text: "Hi", HTML: "<p>Hi", Attachments: []luabind.MailAttachment{{Name: "a.csv", Data: "1;2"}, {Name: "b", Type: "text/x-b", Data: ""}, {Name: "c", Type: "non\"sense", Data: "x"}}}, "",
			[]string{"text/plain||Hi", "text/html||<p>Hi", "text/csv|a.csv|1;2", "text/x-b|b|", "application/octet-stream|c|x"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			simulated(t, func(t *testing.T) {
				n := newNetwork()
				office := &postOffice{}
				n.serve(postAddr, office.serve)
				s := newPost(t, n, func(c *engine.MailConfig) { c.Attachments = dir })
				tt.message.To = []string{"ada@example.com"}
				if _, err := s.Mail.Send(t.Context(), tt.message); err != nil {
					t.Fatal(err)
				}
				s.Close()
				n.serving.Wait()
				got := readLetter(t, office.letters[0])
				subject, err := new(mime.WordDecoder).DecodeHeader(got.head.Get("Subject"))
				if err != nil || subject != tt.subject {
					t.Errorf("the subject is %q (%v), want %q", subject, err, tt.subject)
				}
				if diff := cmp.Diff(tt.parts, got.parts); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
			})
		})
	}
}

// No file leads out of mail.attachments, or is larger than a mail may be, or keeps us waiting.
func TestAttachedFiles(t *testing.T) {
	dir := t.TempDir()
	inside := filepath.Join(dir, "recordings")
	for path, text := range map[string]string{"secret.txt": "secret", "recordings/a.wav": "a", "recordings/sub/b.wav": "b", "recordings/large.wav": strings.Repeat("x", 5000), "recordings2/c.wav": "c"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, path)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, path), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for name, to := range map[string]string{"link.wav": filepath.Join(dir, "secret.txt"), "up.wav": "../secret.txt", "dir": ".."} {
		if err := os.Symlink(to, filepath.Join(inside, name)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(inside, "pipe.wav"), 0o644); err != nil {
		t.Fatal(err)
	}
	n := newNetwork()
	s := newPost(t, n, func(c *engine.MailConfig) { c.Attachments, c.MaxSize = inside, 4000 })
	defer s.Close()
	none := newPost(t, n, nil)
	tests := []struct {
		s          *Services
		file, want string
	}{
		{s, "a.wav", "refused"}, // the connection: the file is fine
		{s, inside + "/sub/b.wav", "refused"},
		{s, "missing.wav", "no file: missing.wav: no such file or directory"},
		{s, "../secret.txt", "no file: ../secret.txt: path escapes from parent"},
		{s, "sub/../../secret.txt", "no file: sub/../../secret.txt: path escapes from parent"},
		{s, "/etc/passwd", "no file: /etc/passwd: path escapes from parent"},
		{s, dir + "/recordings2/c.wav", "no file: " + dir + "/recordings2/c.wav: path escapes from parent"},
		{s, "link.wav", "no file: link.wav: path escapes from parent"},
		{s, "up.wav", "no file: up.wav: path escapes from parent"},
		{s, "dir/secret.txt", "no file: dir/secret.txt: path escapes from parent"},
		{s, "sub", "no file: sub: it is no regular file"},
		{s, "pipe.wav", "no file: pipe.wav: it is no regular file"},
		{s, "a.wav\x00", "no file: a.wav\x00: invalid argument"},
		{s, "large.wav", "too large"},
		{none, "a.wav", "no file: mail.attachments is not set in config.toml"},
	}
	for _, tt := range tests {
		m := message()
		m.Attachments = []luabind.MailAttachment{{File: tt.file}}
		if _, err := tt.s.Mail.Send(t.Context(), m); err == nil || err.Error() != tt.want {
			t.Errorf("%q: got %v, want %s", tt.file, err, tt.want)
		}
	}
	m := message()
	m.Attachments = []luabind.MailAttachment{{Name: "a", Data: strings.Repeat("x", 3500)}} // too large once encoded
	if _, err := s.Mail.Send(t.Context(), m); err == nil || err.Error() != "too large" {
		t.Errorf("got %v", err)
	}
}

// The password goes to the server that the certificate is for, over TLS, and to nobody else.
func TestMailSecrets(t *testing.T) {
	t.Parallel()
	web := httptest.NewTLSServer(nil) // for its certificate
	defer web.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: web.Certificate().Raw}), 0o644); err != nil {
		t.Fatal(err)
	}
	server := &tls.Config{Certificates: web.TLS.Certificates}
	starts := map[string]string{"EHLO": "250-mail.example.com\r\n250-STARTTLS\r\n250 AUTH PLAIN LOGIN"}
	tests := []struct {
		name    string
		office  *postOffice
		mode    string
		ca      string
		want    string
		command string // that has to have come, over TLS
	}{
		{"starttls", &postOffice{tls: server, replies: starts}, engine.TLSStart, ca, "", "AUTH PLAIN AGFkYQBzZWNyZXQ="},
		{"login", &postOffice{tls: server, replies: map[string]string{"EHLO": "250-mail.example.com\r\n250-STARTTLS\r\n250 AUTH LOGIN", "AUTH": "334 VXNlcm5hbWU6", "YWRh": "334 UGFzc3dvcmQ6", "c2VjcmV0": "235 ok"}}, engine.TLSStart, ca, "", "c2VjcmV0"},
		{"tls", &postOffice{tls: server, replies: starts}, engine.TLSAlways, ca, "", "AUTH PLAIN AGFkYQBzZWNyZXQ="},
		{"no starttls", &postOffice{}, engine.TLSStart, ca, "bad answer: the server offers no STARTTLS", ""},
		{"a stranger", &postOffice{tls: server, replies: starts}, engine.TLSStart, "", "bad certificate: ", ""},
		{"a stranger from the start", &postOffice{tls: server, replies: starts}, engine.TLSAlways, "", "bad certificate: ", ""},
		{"starttls and then nothing", &postOffice{replies: map[string]string{"EHLO": starts["EHLO"], "STARTTLS": "220 go\r\nplain text after all"}}, engine.TLSStart, ca, "bad answer: ", ""},
		{"a wrong password", &postOffice{tls: server, replies: map[string]string{"EHLO": starts["EHLO"], "AUTH": "535 wrong"}}, engine.TLSStart, ca, "rejected: 535 wrong", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if tt.office.replies != nil && tt.office.replies["AUTH"] == "" {
				tt.office.replies = map[string]string{"EHLO": tt.office.replies["EHLO"], "STARTTLS": tt.office.replies["STARTTLS"], "AUTH": "235 ok"}
				if tt.office.replies["STARTTLS"] == "" {
					delete(tt.office.replies, "STARTTLS")
				}
			}
			addr := listen(t, func(c net.Conn) {
				if tt.mode == engine.TLSAlways {
					c = tls.Server(c, server)
				}
				tt.office.serve(c)
			})
			config := engine.DefaultConfig()
			config.Mail.Server, config.Mail.TLS, config.Mail.CA = addr, tt.mode, tt.ca
			config.Mail.Username, config.Mail.Password = "ada", "secret"
			config.Mail.From = &mail.Address{Address: "switchboard@example.com"}
			config.Mail.Timeout = 20 * time.Second
			s, err := Open(config, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			got := ""
			if _, err := s.Mail.Send(t.Context(), message()); err != nil {
				got = whyOf(err)
			}
			if tt.want == "" && got != "" || !strings.HasPrefix(got, tt.want) {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			tt.office.mu.Lock()
			defer tt.office.mu.Unlock()
			if tt.command != "" && !slices.Contains(tt.office.commands, tt.command) {
				t.Errorf("the commands are %q", tt.office.commands)
			}
			if tt.want != "" && !strings.HasPrefix(tt.want, "rejected") {
				for _, c := range tt.office.commands {
					if strings.HasPrefix(c, "AUTH") || strings.HasPrefix(c, "MAIL") {
						t.Errorf("the server got %q", c)
					}
				}
			}
		})
	}
	_, err := newMailer(engine.MailConfig{Server: postAddr, TLS: engine.TLSNone, Username: "ada", Password: "secret"})
	if err == nil || strings.Contains(fmt.Sprint(err), "secret") || !strings.Contains(fmt.Sprint(err), "mail.tls") {
		t.Errorf("a password without TLS: %v", err)
	}
}

func decoder(encoding string, r io.Reader) io.Reader {
	switch encoding {
	case "base64":
		return base64.NewDecoder(base64.StdEncoding, r)
	case "quoted-printable":
		return quotedprintable.NewReader(r)
	}
	return r
}

// What a script says to mail.send, and what it gets.
func TestMailModule(t *testing.T) {
	tests := []struct{ script, want string }{
		{`local s, why = mail.send{ to = { "ada@example.com", "bob@example.com" }, text = "x" } return #s.id > 10, #s.refused, s.refused[1].address, s.refused[1].why, why`,
			"true 1 bob@example.com 550 no such user nil"},
		{`return mail.send{ to = "bob@example.com" }`, "nil rejected: 550 no such user"},
		{`return mail.send{ to = "nobody" }`, "nil rejected: it is no address"},
		{`return mail.send{ text = "x" }`, "mail.send: it needs a recipient: to, cc or bcc"},
		{`return mail.send{ to = "ada@example.com", subject = "a\r\nBcc: eve@example.com" }`, "mail.send: option `subject` holds a line break or another control character: \"a\\r\\nBcc: eve@example.com\""},
		{`return mail.send{ to = "ada@example.com", subject = ("x"):rep(901) }`, "mail.send: option `subject` is longer than 900 bytes"},
		{`return mail.send{ to = "ada@example.com", from = "eve" }`, "mail.send: option `from` is no address: \"eve\""},
		{`return mail.send{ to = "ada@example.com", reply_to = "a@b\r\nX: y" }`, "mail.send: option `reply_to` is no address: \"a@b\\r\\nX: y\""},
		{`return mail.send{ to = expand "x" }`, "mail.send: option `to`: entry 1: there is nothing to expand here"},
		{`return mail.send{ to = "ada@example.com", sbject = "x" }`, "mail.send: unknown option `sbject`, did you mean `subject`?"},
		{`return mail.send{ to = "ada@example.com", attachments = { name = "a", data = "b" } }`, "mail.send: option `attachments` is a list: { { name = \"a.txt\", data = \"…\" }, { file = \"b.wav\" } }"},
		{`return mail.send{ to = "ada@example.com", attachments = { { data = "b" } } }`, "mail.send: option `attachments`: entry 1 has no name"},
		{`return mail.send{ to = "ada@example.com", attachments = { { name = "a" } } }`, "mail.send: option `attachments`: entry 1 has either data or a file"},
		{`return mail.send{ to = "ada@example.com", attachments = { { name = "../a", data = "b" } } }`, "mail.send: option `attachments`: entry 1: the name holds a slash: \"../a\""},
		{`return mail.send{ to = "ada@example.com", attachments = { { nmae = "a", data = "b" } } }`, "mail.send: option `attachments`: entry 1 has an unknown `nmae`, did you mean `name`?"},
		{`return mail.send{ to = "ada@example.com", attachments = { { name = "a\r\nb", data = "b" } } }`, "mail.send: option `attachments`: entry 1: `name` is empty or holds a line break or another control character"},
		{`return mail.send{ to = "ada@example.com", attachments = { "a.wav" } }`, "mail.send: option `attachments`: entry 1 must be a table such as { name = \"a.txt\", data = \"…\" }, not \"a.wav\""},
	}
	simulated(t, func(t *testing.T) {
		n := newNetwork()
		n.serve(postAddr, (&postOffice{replies: map[string]string{"RCPT TO:<bob@": "550 no such user"}}).serve)
		scripts := map[string]string{"main": ""}
		var want []string
		for i, tt := range tests {
			scripts[fmt.Sprint("m", i)] = saying(tt.script)
			want = append(want, tt.want)
		}
		b := newBench(t, newPost(t, n, nil), scripts, nil)
		for i := range tests {
			b.ended(b.start(fmt.Sprint("m", i)))
		}
		b.expect(want...)
	})
	t.Run("not configured", func(t *testing.T) {
		simulated(t, func(t *testing.T) {
			b := newBench(t, &Services{}, map[string]string{"main": `mail.send{ to = "ada@example.com" }`}, nil)
			b.ended(b.start("main"))
			b.expect("mail.send: there is no mail server: set mail.server in config.toml")
		})
	})
}
