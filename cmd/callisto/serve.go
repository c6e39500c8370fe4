package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"callisto/engine"
	"callisto/esl"
)

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Take calls from FreeSWITCH",
		Long: `Serve takes the calls that FreeSWITCH's dialplan hands over, and runs their scripts.

Scripts, routes and limits are read again when their files change, or on SIGHUP. On
SIGTERM or SIGINT no new calls are taken, and those that run may finish within server.drain; a
second signal ends them.`,
		Example: `  callisto serve
  callisto serve --config /etc/callisto/config.toml
  CALLISTO_SERVER_LISTEN=0.0.0.0:8084 callisto serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), config, cmd.ErrOrStderr())
		},
	}
}

func serve(ctx context.Context, config *engine.Config, stderr io.Writer) error {
	engine.TuneMemory()
	log := newLogger(config, stderr)
	library, err := engine.NewLibrary(ctx, config, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", config.Server.Listen)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("server.listen: another program uses %s already; stop it, or set another port", config.Server.Listen)
		}
		return fmt.Errorf("server.listen: %w", err)
	}
	fmt.Fprintf(stderr, `Callisto takes calls on %[1]s and runs the scripts in %[2]s.
In FreeSWITCH's dialplan:
  <action application="socket" data="%[1]s async full"/>         runs %[3]s.lua, or what a [[route]] says
  <action application="socket" data="%[1]s/NAME async full"/>    runs NAME.lua
Without a FreeSWITCH at hand: callisto dial %[3]s
`, listener.Addr(), config.Scripts.Root, config.Scripts.Default)

	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)

	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		library.Watch(watching)
	}()
	defer func() { stopWatching(); <-watched }()

	server := &engine.Server{Library: library, Logger: log}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	for {
		select {
		case err := <-served:
			server.Close()
			return err
		case <-ctx.Done():
			return drain(server, served, signals, library, log)
		case s := <-signals:
			if s == syscall.SIGHUP {
				library.Reload(ctx)
				continue
			}
			return drain(server, served, signals, library, log)
		}
	}
}

// drain lets the running calls finish within server.drain, or until another signal.
func drain(server *engine.Server, served chan error, signals chan os.Signal, library *engine.Library, log *slog.Logger) error {
	limit := library.Snapshot().Config.Server.Drain
	log.Info("stopping: no new calls", "running", server.Calls(), "limit", limit)
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	go func() {
		for {
			select {
			case s := <-signals:
				if s != syscall.SIGHUP {
					cancel()
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("letting go of the calls that still run", "running", server.Calls())
	}
	server.Close()
	if err := <-served; !errors.Is(err, esl.ErrServerClosed) {
		return err
	}
	log.Info("stopped")
	return nil
}

func newLogger(config *engine.Config, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: config.Log.Level}
	if config.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
