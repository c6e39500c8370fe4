// Package services holds what the modules of scripts reach outside their calls: web servers, mail, stores, databases.
// They are made once, from the configuration, and serve all calls.
package services

import (
	"errors"
	"log/slog"
	"slices"

	"callisto/engine"
	"callisto/luabind"
)

// Services are those that a configuration describes. Its settings wait for a restart.
type Services struct {
	luabind.Services // for the calls

	closers []func() error
}

// Open makes the services of a configuration. Close ends them, once the server has ended.
func Open(config *engine.Config, log *slog.Logger) (*Services, error) {
	s := &Services{}
	web, err := openHTTP(config.HTTP)
	if err != nil {
		return nil, err
	}
	s.HTTP = web
	s.onClose(web.close)
	if err := s.openMail(config.Mail); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.openStore(config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.openLimiter(config, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.openDatabases(config); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// onClose has f called by Close, before those that were added earlier.
func (s *Services) onClose(f func() error) { s.closers = append(s.closers, f) }

// Close gives back what the services hold. No call may run any more.
func (s *Services) Close() error {
	var errs []error
	for _, f := range slices.Backward(s.closers) {
		errs = append(errs, f())
	}
	s.closers = nil
	return errors.Join(errs...)
}
