package services

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/netip"
	"net/smtp"
	"net/textproto"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"callisto/engine"
	"callisto/luabind"
)

const (
	maxMails = 20       // connections to the server at a time: more wait within their time
	maxTalk  = 64 << 10 // bytes that the server may say to a message, and 1 KB more for each recipient

	maxAddress = 900 // bytes of one, with the name: a line of a message has 998
)

// A mailer is the Mail of all calls. Each message has a connection of its own.
type mailer struct {
	config engine.MailConfig
	host   string // of the server
	hello  string // what we call ourselves
	tls    *tls.Config
	files  *os.Root // where attachments lie; nil: nowhere
	slots  chan struct{}
	dial   func(ctx context.Context, addr string, check func(netip.AddrPort) error) (net.Conn, error)
}

// openMail gives the services mail where a server is configured.
func (s *Services) openMail(config engine.MailConfig) error {
	if config.Server == "" {
		return nil
	}
	m, err := newMailer(config)
	if err != nil {
		return err
	}
	s.Mail = m
	s.onClose(m.close)
	return nil
}

func newMailer(config engine.MailConfig) (*mailer, error) {
	host, _, err := net.SplitHostPort(config.Server)
	if err != nil {
		return nil, fmt.Errorf("mail.server: %w", err)
	}
	if config.Username != "" && config.TLS == engine.TLSNone && !isLocal(host) {
		return nil, errors.New("mail.username is set, and with mail.tls = \"none\" the password would go out for all to read: use \"starttls\" or \"tls\"")
	}
	roots, err := trusted("mail.ca", config.CA)
	if err != nil {
		return nil, err
	}
	m := &mailer{config: config, host: host, hello: "localhost", slots: make(chan struct{}, maxMails), dial: dial,
		tls: &tls.Config{ServerName: host, RootCAs: roots}}
	if name, err := os.Hostname(); err == nil && isHostName(name) {
		m.hello = name
	}
	if config.Attachments != "" {
		if m.files, err = os.OpenRoot(config.Attachments); err != nil {
			return nil, fmt.Errorf("mail.attachments: %w", err)
		}
	}
	return m, nil
}

func isLocal(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.IsLoopback()
}

func isHostName(s string) bool {
	return s != "" && strings.Trim(strings.ToLower(s), "abcdefghijklmnopqrstuvwxyz0123456789.-") == ""
}

func (m *mailer) close() error {
	if m.files != nil {
		return m.files.Close()
	}
	return nil
}

// Send implements luabind.Mail.
func (m *mailer) Send(ctx context.Context, message luabind.MailMessage) (*luabind.MailReceipt, error) {
	timeout := message.Timeout
	if timeout == 0 {
		timeout = m.config.Timeout
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	letter, err := m.write(message)
	if err != nil {
		return nil, err
	}
	receipt := &luabind.MailReceipt{ID: letter.id, Refused: letter.refused}
	if len(letter.to) == 0 {
		return nil, errors.New("rejected: " + letter.refused[0].Why)
	}
	select {
	case m.slots <- struct{}{}:
		defer func() { <-m.slots }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	conn, err := m.dial(ctx, m.config.Server, func(netip.AddrPort) error { return nil })
	if err != nil {
		return nil, mailWhy(ctx, err)
	}
	defer conn.Close()
	// net/smtp knows no contexts: the end of ours is that of the connection.
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	line := &bounded{Conn: conn, left: maxTalk + len(letter.to)<<10}
	refused, err := m.deliver(line, letter)
	if err != nil && line.left <= 0 {
		err = errTalks
	}
	if err != nil {
		return nil, mailWhy(ctx, err)
	}
	receipt.Refused = append(receipt.Refused, refused...)
	return receipt, nil
}

// bounded is a connection that a server cannot talk on for ever.
type bounded struct {
	net.Conn
	left int
}

var errTalks = errors.New("the server does not stop talking")

func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		b.Close() // or net/smtp would go on with another command
		return 0, errTalks
	}
	n, err := b.Conn.Read(p[:min(len(p), b.left)])
	b.left -= n
	return n, err
}

// deliver hands a letter over. Whom the server refuses alone is no error.
func (m *mailer) deliver(conn net.Conn, l *letter) (refused []luabind.MailRefusal, err error) {
	if m.config.TLS == engine.TLSAlways {
		conn = tls.Client(conn, m.tls)
	}
	c, err := smtp.NewClient(conn, m.host)
	if err != nil {
		return nil, err
	}
	if err := c.Hello(m.hello); err != nil {
		return nil, err
	}
	if m.config.TLS == engine.TLSStart {
		if offered, _ := c.Extension("STARTTLS"); !offered {
			return nil, errors.New("the server offers no STARTTLS; mail.tls says that it must")
		}
		if err := c.StartTLS(m.tls); err != nil {
			return nil, err
		}
	}
	if m.config.Username != "" {
		if err := c.Auth(m.auth(c)); err != nil {
			return nil, err
		}
	}
	if err := c.Mail(l.from); err != nil {
		return nil, err
	}
	for _, to := range l.to {
		if err := c.Rcpt(to); err != nil {
			reply := (*textproto.Error)(nil)
			if !errors.As(err, &reply) {
				return nil, err
			}
			refused = append(refused, luabind.MailRefusal{Address: to, Why: replyText(reply)})
			if len(refused) == len(l.to) {
				return nil, err
			}
		}
	}
	w, err := c.Data()
	if err != nil {
		return nil, err
	}
	if _, err := w.Write(l.text); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	c.Quit() // the message is the server's now, whatever it says to this
	return refused, nil
}

// auth is what the server offers, the better first. Both send the password, so net/smtp asks for TLS.
func (m *mailer) auth(c *smtp.Client) smtp.Auth {
	_, offered := c.Extension("AUTH")
	ways := strings.Fields(strings.ToUpper(offered))
	if !slices.Contains(ways, "PLAIN") && slices.Contains(ways, "LOGIN") {
		return &login{m.config.Username, m.config.Password, m.host}
	}
	return smtp.PlainAuth("", m.config.Username, m.config.Password, m.host)
}

// login is AUTH LOGIN, which some servers offer alone.
type login struct{ username, password, host string }

func (l *login) Start(server *smtp.ServerInfo) (string, []byte, error) {
	if !server.TLS && !isLocal(l.host) {
		return "", nil, errors.New("unencrypted connection")
	}
	return "LOGIN", nil, nil
}

func (l *login) Next(prompt []byte, more bool) ([]byte, error) {
	if !more {
		return nil, nil
	}
	switch text := strings.ToLower(string(prompt)); {
	case strings.HasPrefix(text, "user"):
		return []byte(l.username), nil
	case strings.HasPrefix(text, "pass"):
		return []byte(l.password), nil
	}
	return nil, errors.New("the server asks for neither a name nor a password")
}

// mailWhy is the error that a script gets: the server's own words where it refused something.
func mailWhy(ctx context.Context, err error) error {
	reply := (*textproto.Error)(nil)
	if errors.As(err, &reply) && ctx.Err() == nil {
		return errors.New("rejected: " + replyText(reply))
	}
	return why(ctx, err)
}

// replyText is a reply as one line.
func replyText(e *textproto.Error) string {
	return cut(fmt.Sprintf("%d %s", e.Code, strings.Join(strings.Fields(strings.ToValidUTF8(e.Msg, "?")), " ")))
}

// A letter is a message ready for the wire.
type letter struct {
	id      string
	from    string
	to      []string
	refused []luabind.MailRefusal // what is no address
	text    []byte
}

func (m *mailer) write(message luabind.MailMessage) (*letter, error) {
	from := message.From
	if from == nil {
		from = m.config.From
	}
	if from == nil {
		return nil, errors.New("rejected: it has no sender: give it `from`, or set mail.from in config.toml")
	}
	_, domain, _ := strings.Cut(from.Address, "@")
	l := &letter{id: "<" + strings.ToLower(rand.Text()) + "@" + domain + ">", from: from.Address}
	var head header
	head.add("From", from.String())
	for _, h := range []struct {
		name string
		list []string
	}{{"To", message.To}, {"Cc", message.Cc}, {"", message.Bcc}} {
		var shown []string
		for _, text := range h.list {
			a, err := mail.ParseAddress(text)
			if err != nil || len(text) > maxAddress || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }) {
				l.refused = append(l.refused, luabind.MailRefusal{Address: text, Why: "it is no address"})
				continue
			}
			shown = append(shown, a.String())
			if !slices.Contains(l.to, a.Address) {
				l.to = append(l.to, a.Address)
			}
		}
		if len(shown) > 0 && h.name != "" {
			head.add(h.name, strings.Join(shown, ",\r\n "))
		}
	}
	if message.ReplyTo != nil {
		head.add("Reply-To", message.ReplyTo.String())
	}
	head.add("Subject", encoded(message.Subject))
	head.add("Date", time.Now().Format(time.RFC1123Z))
	head.add("Message-ID", l.id)
	head.add("Auto-Submitted", "auto-generated") // so that no vacation notice answers
	head.add("MIME-Version", "1.0")
	body, err := m.body(message)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Content-Type", "Content-Transfer-Encoding"} {
		if v := body.header.Get(name); v != "" {
			head.add(name, v)
		}
	}
	head.WriteString("\r\n")
	head.Write(body.content)
	if int64(head.Len()) > m.config.MaxSize {
		return nil, errTooLarge
	}
	l.text = head.Bytes()
	return l, nil
}

// A header is the lines above a message. What it is given has no line breaks but its own.
type header struct{ bytes.Buffer }

func (h *header) add(name, value string) { fmt.Fprintf(h, "%s: %s\r\n", name, value) }

// encoded is text for a header, in encoded words where it is not ASCII, one to a line.
func encoded(text string) string {
	return strings.ReplaceAll(mime.QEncoding.Encode("utf-8", strings.ToValidUTF8(text, "�")), "?= =?", "?=\r\n =?")
}

// A piece is a part of a message, or all of it.
type piece struct {
	header  textproto.MIMEHeader
	content []byte
}

func (m *mailer) body(message luabind.MailMessage) (piece, error) {
	var texts []piece
	if message.Text != "" || message.HTML == "" {
		texts = append(texts, textPart("text/plain", message.Text))
	}
	if message.HTML != "" {
		texts = append(texts, textPart("text/html", message.HTML))
	}
	text, err := together("alternative", texts)
	if err != nil || len(message.Attachments) == 0 {
		return text, err
	}
	parts := []piece{text}
	var size int64
	for _, a := range message.Attachments {
		data := []byte(a.Data)
		if a.File != "" {
			var err error
			if data, err = m.file(a.File); err != nil {
				return piece{}, err
			}
			if a.Name == "" {
				a.Name = filepath.Base(a.File)
			}
		}
		if size += int64(len(data)); size > m.config.MaxSize {
			return piece{}, errTooLarge
		}
		parts = append(parts, attachment(a.Name, a.Type, data))
	}
	return together("mixed", parts)
}

func textPart(kind, text string) piece {
	var b bytes.Buffer
	w := quotedprintable.NewWriter(&b)
	io.WriteString(w, strings.ToValidUTF8(text, "�"))
	w.Close()
	return piece{textproto.MIMEHeader{"Content-Type": {kind + "; charset=utf-8"}, "Content-Transfer-Encoding": {"quoted-printable"}}, b.Bytes()}
}

// kinds are the types of what is attached to calls; the system's own table knows others.
var kinds = map[string]string{".wav": "audio/x-wav", ".mp3": "audio/mpeg", ".ogg": "audio/ogg", ".txt": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8", ".pdf": "application/pdf"}

func attachment(name, kind string, data []byte) piece {
	name = strings.ToValidUTF8(name, "_")
	if _, _, err := mime.ParseMediaType(kind); kind == "" || err != nil {
		ext := strings.ToLower(filepath.Ext(name))
		if kind = kinds[ext]; kind == "" {
			kind = mime.TypeByExtension(ext)
		}
		if kind == "" {
			kind = "application/octet-stream"
		}
	}
	var b bytes.Buffer
	line := make([]byte, base64.StdEncoding.EncodedLen(57))
	for chunk := range slices.Chunk(data, 57) { // 76 characters a line
		base64.StdEncoding.Encode(line, chunk)
		b.Write(line[:base64.StdEncoding.EncodedLen(len(chunk))])
		b.WriteString("\r\n")
	}
	return piece{textproto.MIMEHeader{
		"Content-Type":              {kind},
		"Content-Transfer-Encoding": {"base64"},
		"Content-Disposition":       {mime.FormatMediaType("attachment", map[string]string{"filename": name})},
	}, b.Bytes()}
}

// together makes one part of several.
func together(how string, parts []piece) (piece, error) {
	if len(parts) == 1 {
		return parts[0], nil
	}
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range parts {
		into, err := w.CreatePart(p.header)
		if err != nil {
			return piece{}, err
		}
		into.Write(p.content)
	}
	w.Close()
	return piece{textproto.MIMEHeader{"Content-Type": {"multipart/" + how + ";\r\n boundary=" + w.Boundary()}}, b.Bytes()}, nil
}

// file reads a file below mail.attachments. No name and no link leads out of there.
func (m *mailer) file(name string) ([]byte, error) {
	if m.files == nil {
		return nil, errors.New("no file: mail.attachments is not set in config.toml")
	}
	path := name
	if filepath.IsAbs(path) {
		base, err := filepath.Abs(m.config.Attachments)
		if err != nil {
			return nil, err
		}
		if path, err = filepath.Rel(base, path); err != nil {
			return nil, noFile(name, err)
		}
	}
	// Opening a pipe would wait for its writer.
	f, err := m.files.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, noFile(name, err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, noFile(name, err)
	case !info.Mode().IsRegular():
		return nil, noFile(name, errors.New("it is no regular file"))
	case info.Size() > m.config.MaxSize:
		return nil, errTooLarge
	}
	data, err := io.ReadAll(io.LimitReader(f, m.config.MaxSize+1))
	if err != nil {
		return nil, noFile(name, err)
	}
	return data, nil
}

func noFile(name string, err error) error {
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("no file: %s: %w", cut(name), err)
}
