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
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/spf13/cobra"

	"callisto/engine"
	"callisto/engine/services"
	"callisto/esl"
)

func newServe() *cobra.Command {
	return &cobra.Command{
		Use:   "serve",
		Short: "Take calls from FreeSWITCH",
		Long: `Serve takes the calls that FreeSWITCH's dialplan hands over, and runs their scripts.

Scripts, routes and limits are read again when their files change, or on SIGHUP. On
SIGTERM or SIGINT no new calls are taken, and those that run may finish within server.drain; a
second signal ends them.

The log goes to the standard error. It exits with 2 when it cannot start: a configuration with
mistakes, no directory of scripts, an address that is in use. Two servers on one machine need two
addresses each: server.listen and admin.listen.`,
		Example: `  callisto serve
  callisto serve --config /etc/callisto/config.toml
  CALLISTO_SERVER_LISTEN=0.0.0.0:8084 callisto serve`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), config, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
}

func serve(ctx context.Context, config *engine.Config, stdout, stderr io.Writer) error {
	engine.TuneMemory()
	// First of all: SIGHUP would end a program that does not know it yet.
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP)
	defer signal.Stop(signals)
	level := &configLevel{start: config.Log.Level}
	log := newLogger(config, level, stderr)
	library, err := engine.NewLibrary(ctx, config, log)
	if err != nil {
		return err
	}
	level.library.Store(library)
	outside, err := services.Open(config, log)
	if err != nil {
		return err
	}
	defer outside.Close()
	listener, err := listen("server.listen", config.Server.Listen)
	if err != nil {
		return err
	}
	var admin net.Listener
	if config.Admin.Listen != "" {
		if admin, err = listen("admin.listen", config.Admin.Listen); err != nil {
			listener.Close()
			return err
		}
	}
	greet(stdout, listener.Addr(), admin, config)

	watching, stopWatching := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		library.Watch(watching)
	}()
	defer func() { stopWatching(); <-watched }()

	server := &engine.Server{Library: library, Services: &outside.Services, Logger: log}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	if admin != nil {
		answered := make(chan struct{})
		go func() {
			defer close(answered)
			if err := server.ServeAdmin(admin); !errors.Is(err, esl.ErrServerClosed) {
				log.Error("admin.listen is no longer answered; calls go on", "error", err)
			}
		}()
		defer func() { <-answered }() // server.Close ends it
	}

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

// listen listens on an address of the configuration.
func listen(setting, address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, fmt.Errorf("%s: another program uses %s already; stop it, or set another port", setting, address)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", setting, err)
	}
	return l, nil
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

// greet says how a dialplan reaches us.
func greet(w io.Writer, addr net.Addr, admin net.Listener, config *engine.Config) {
	at := addr.String()
	if tcp, ok := addr.(*net.TCPAddr); ok && tcp.IP.IsUnspecified() {
		at = "HOST:" + strconv.Itoa(tcp.Port) // every interface: no address to dial
	}
	first := fmt.Sprintf(`<action application="socket" data="%s async full"/>`, at)
	second := fmt.Sprintf(`<action application="socket" data="%s/NAME async full"/>`, at)
	fmt.Fprintf(w, `Callisto takes calls on %s and runs the scripts in %s.
In FreeSWITCH's dialplan:
  %-*s  runs %s.lua, or what a [[route]] says
  %s  runs NAME.lua
`, addr, config.Scripts.Root, len(second), first, config.Scripts.Default, second)
	if strings.HasPrefix(at, "HOST") {
		fmt.Fprintln(w, "where HOST is this machine as FreeSWITCH knows it.")
	}
	fmt.Fprintf(w, "Without a FreeSWITCH at hand: callisto dial %s\n", config.Scripts.Default)
	if admin != nil {
		fmt.Fprintf(w, "Health, metrics and counts: http://%s/\n", admin.Addr())
	}
}

// A configLevel is the level of the log that the configuration in effect says.
type configLevel struct {
	start   slog.Level // while there is no library
	library atomic.Pointer[engine.Library]
}

// Level implements slog.Leveler.
func (l *configLevel) Level() slog.Level {
	if library := l.library.Load(); library != nil {
		return library.Snapshot().Config.Log.Level
	}
	return l.start
}

func newLogger(config *engine.Config, level slog.Leveler, w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	if config.Log.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
