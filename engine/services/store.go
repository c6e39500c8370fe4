package services

import (
	"fmt"
	"log/slog"
	"strings"

	"callisto/engine"
)

// openStore makes the store of the module kv. Neither the file nor the connection is opened before a script uses it:
// who needs none has none.
func (s *Services) openStore(config *engine.Config) error {
	switch at := config.KV.Store; {
	case at == "":
	case strings.Contains(at, "://"):
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

// openLimiter makes what the module limit counts with.
func (s *Services) openLimiter(config *engine.Config, log *slog.Logger) error {
	if config.Limit.Store == "" {
		s.Limiter = newLocalLimiter()
		return nil
	}
	limiter, err := newRedisLimiter(config.Limit.Store, log)
	if err != nil {
		return fmt.Errorf("limit.store %w", err)
	}
	s.Limiter = limiter
	s.onClose(limiter.Close)
	return nil
}
