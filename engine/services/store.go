package services

import (
	"fmt"
	"net/url"
	"slices"

	"callisto/engine"
)

// openStore makes the store of the module kv. Neither the file nor the connection is opened before a script uses it:
// who needs none has none.
func (s *Services) openStore(config *engine.Config) error {
	switch at := config.KV.Store; {
	case at == "":
	case isRedis(at):
		store, err := newRedisStore(at)
		if err != nil {
			return fmt.Errorf("kv.store %w", err)
		}
		s.Store = store
		s.onClose(store.Close)
	default:
		store := newEmbedded(config.Beside(at))
		s.Store = store
		s.onClose(store.Close)
	}
	return nil
}

// isRedis reports whether a store is the URL of a Redis, rather than the path of a file.
func isRedis(store string) bool {
	u, err := url.Parse(store)
	return err == nil && slices.Contains([]string{"redis", "rediss", "unix"}, u.Scheme)
}
