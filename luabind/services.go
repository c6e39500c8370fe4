package luabind

import (
	"context"
	"net/http"
	"time"
)

// Services are what modules reach outside the call. The engine makes one set from its
// configuration and gives it to all calls: every method may be called from any goroutine, obeys its context,
// and leaves nothing behind when that ends. A nil field is a service that is not configured: the module's functions
// raise an error that names the setting.
type Services struct {
	HTTP  HTTP
	Store Store
}

// HTTP sends a request, as *http.Client's Do does. Whom it may reach, how many redirects it follows and how large
// an answer may be is its own to enforce.
type HTTP interface {
	Do(*http.Request) (*http.Response, error)
}

// A Store keeps small values by key, for all calls, beyond a restart. What a method has acknowledged
// is not lost when the process is killed. A ttl of 0 is for ever.
type Store interface {
	Get(ctx context.Context, key string) (value string, found bool, err error)
	Set(ctx context.Context, key, value string, ttl time.Duration) error
	// Add sets what is not there yet.
	Add(ctx context.Context, key, value string, ttl time.Duration) (added bool, err error)
	// Swap sets a key to new if its value is old.
	Swap(ctx context.Context, key, old, new string, ttl time.Duration) (swapped bool, err error)
	// Incr adds to a number, 0 where there is none. A ttl is given to a key that Incr makes, and to no other.
	Incr(ctx context.Context, key string, by int64, ttl time.Duration) (int64, error)
	Delete(ctx context.Context, key string) (existed bool, err error)
	// List returns at most limit keys that begin with prefix, sorted.
	List(ctx context.Context, prefix string, limit int) ([]string, error)
}
