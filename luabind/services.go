package luabind

import (
	"context"
	"database/sql"
	"errors"
	"net/http"
	"net/mail"
	"net/url"
	"time"
)

// Services are what modules reach outside the call. The engine makes one set from its
// configuration and gives it to all calls: every method may be called from any goroutine, obeys its context,
// and leaves nothing behind when that ends. A nil field is a service that is not configured: the module's functions
// raise an error that names the setting.
type Services struct {
	HTTP    HTTP
	Mail    Mail
	Store   Store
	Limiter Limiter

	Databases map[string]*Database // by [sql.NAME]
}

// HTTP sends requests to web servers. Whom they may reach, and how large an answer may be at most, is its own to
// enforce.
type HTTP interface {
	// Send returns the answer, with all of its body, whatever its status is. The text of an error is what
	// scripts get: one word, or one with a colon and what there is to say. context.DeadlineExceeded is "timeout".
	Send(ctx context.Context, r HTTPRequest) (*HTTPResponse, error)
}

// An HTTPRequest is checked before it is sent: its URL is one of http or https, its header has no line breaks.
type HTTPRequest struct {
	Method    string
	URL       *url.URL
	Header    http.Header
	Body      string
	Timeout   time.Duration // of all attempts together; 0: as configured
	Retries   int           // further attempts, where that is safe
	Redirects int           // that are followed; the answer after the last is an error, with 0 the redirect itself is the answer
	MaxBody   int           // bytes of the answer's body; 0, and at most: as configured
}

// An HTTPResponse is what a server has answered.
type HTTPResponse struct {
	Status int
	URL    string // whose answer it is, after redirects
	Header http.Header
	Body   string // decompressed
}

// Mail hands messages over to a mail server.
type Mail interface {
	// Send returns once the server has taken the message for at least one recipient. The text of an error
	// is what scripts get, as with HTTP.
	Send(ctx context.Context, m MailMessage) (*MailReceipt, error)
}

// A MailMessage has no line breaks in what becomes of its header.
type MailMessage struct {
	From, ReplyTo *mail.Address // nil: as configured; none
	To, Cc, Bcc   []string      // as the script wrote them
	Subject       string
	Text, HTML    string
	Attachments   []MailAttachment
	Timeout       time.Duration // 0: as configured
}

// A MailAttachment is data, or a file where attachments may lie.
type MailAttachment struct {
	Name string // "": the file's
	Type string // "": guessed from the name
	Data string
	File string // "": Data
}

// A MailReceipt says what became of a message.
type MailReceipt struct {
	ID      string // the Message-ID
	Refused []MailRefusal
}

// A MailRefusal is a recipient who does not get it.
type MailRefusal struct{ Address, Why string }

// A Store keeps small values by key, for all calls, beyond a restart. Keys and values are any bytes. What a method has
// acknowledged is not lost when the process is killed; what it has not, because its context ended first, may still
// come to be. A ttl of 0 is for ever.
type Store interface {
	Get(ctx context.Context, key string) (value string, found bool, err error)
	Set(ctx context.Context, key, value string, ttl time.Duration) error
	// Swap gives a key the value new if it has the value old; nil is that it is not there.
	Swap(ctx context.Context, key string, old, new *string, ttl time.Duration) (swapped bool, err error)
	// Incr adds to a whole number, 0 where there is none, and returns the sum. The ttl is for a key that Incr makes:
	// another keeps its own. It is ErrNotNumber where there is something else, or the sum would be beyond 2^53 - 1.
	Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error)
	Delete(ctx context.Context, key string) (existed bool, err error)
	// List returns the first limit keys that begin with prefix, in the order of their bytes.
	List(ctx context.Context, prefix string, limit int) ([]string, error)
}

// A Limiter counts what goes on, by name, for all calls: of all Callistos that share it.
type Limiter interface {
	// Acquire takes one of so many places, and returns what gives it back, which is nil where all are taken. That works
	// once, and even if its context has ended. A place that nobody gives back, as its process has died, is free again
	// after a while.
	Acquire(ctx context.Context, name string, places int) (release func(context.Context) error, err error)
	// Count is how many places are taken.
	Count(ctx context.Context, name string) (int, error)
	// Rate lets times happen in any stretch of per, and returns 0; or how long it is until the next may. What it does
	// not let happen does not count.
	Rate(ctx context.Context, name string, times int, per time.Duration) (wait time.Duration, err error)
}

// A Database is one that scripts may ask. It is not changed once calls have it.
type Database struct {
	DB      *sql.DB // with a bound on how many connections are open
	Dialect Dialect

	Timeout     time.Duration // of a statement, with the wait for a connection
	Transaction time.Duration // how long a transaction, or rows that are being read, may keep a connection
	MaxRows     int           // that query returns

	// Parameter gives a value the form that the driver wants: a string, []byte, int64, float64, bool or
	// time.Time; nil: it takes all of them.
	Parameter func(any) any

	// Duplicate reports whether an error is that something is there already that may be there only once.
	Duplicate func(error) bool

	// Interrupt returns what ends the statement that runs on a connection, for a driver that does not see the end of its
	// context while rows are read; nil: it does.
	Interrupt func(*sql.Conn) (func(), error)

	// Connect takes a connection; nil: DB.Conn. For who waits by another clock than the system's.
	Connect func(context.Context) (*sql.Conn, error)

	// Ask is told of each statement before it runs on a connection, BEGIN and COMMIT included, on the goroutine that waits for
	// it. It may wait until ctx ends; its error is the statement's. nil: nobody is told.
	Ask func(ctx context.Context, statement string) error
}

// ErrNotNumber is why a Store does not count.
var ErrNotNumber = errors.New("its value is no whole number, or would be too large")
