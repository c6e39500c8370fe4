package phone

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/term"

	"callisto/cmd/internal/simcall"
	"callisto/engine"
)

const (
	// frameTime is how often the screen looks how far the call is.
	frameTime = 100 * time.Millisecond
	// goodbyeTime is how long a script may take to end when the phone is put away by a signal.
	goodbyeTime = 5 * time.Second
)

// A Terminal is what a phone reads and writes.
type Terminal struct {
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
}

// Interactive reports whether there is a screen to draw on and a keyboard to read.
func (t Terminal) Interactive() bool {
	in, ok := t.In.(*os.File)
	out, too := t.Out.(*os.File)
	if !ok || !too || !term.IsTerminal(in.Fd()) || !term.IsTerminal(out.Fd()) {
		return false
	}
	for _, v := range t.Environ {
		if v == "TERM=dumb" || v == "TERM=" { // no cursor to move
			return false
		}
	}
	return true
}

// Print makes one call and prints what happens, while keys are read from the keyboard a line at a time. It
// reports whether the script raised an error. A signal that would end the program hangs up.
func Print(ctx context.Context, library *engine.Library, o Options, t Terminal) (failed bool, err error) {
	for _, p := range library.Snapshot().Problems { // what is wrong elsewhere may be why this call surprises
		if p.File != library.Snapshot().Config.File {
			fmt.Fprintln(t.Err, "note:", p)
		}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	lines, recorder := &Lines{Out: t.Out, JSON: o.JSON}, NewRecorder(o)
	if err := recorder.ready(); err != nil {
		return false, err
	}
	call, err := Start(context.WithoutCancel(ctx), library, o, func(e Event) { lines.Tell(e); recorder.Tell(e) })
	if err != nil {
		return false, err
	}
	defer func() {
		call.Close()
		err = errors.Join(err, recorder.save(t.Err))
	}()
	if !o.Fast {
		go keyboard(t.In, call, t.Err) // ends with its input: a read cannot be taken back
	}
	select {
	case <-call.Done():
	case <-ctx.Done():
		stop() // the next signal is the end
		call.Hangup()
		late := time.NewTimer(goodbyeTime)
		defer late.Stop()
		select {
		case <-call.Done():
		case <-late.C:
			call.Close()
		}
	}
	return call.Wait()
}

// A caller is who sits at the keyboard: a *Call.
type caller interface {
	Press(keys string)
	Say(text string)
	Hangup()
}

// keyboard reads what the caller does, a line at a time, until its input ends.
func keyboard(in io.Reader, c caller, stderr io.Writer) {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		text := strings.TrimSpace(lines.Text())
		said, says := strings.CutPrefix(text, "/")
		switch said = strings.TrimSpace(said); {
		case text == "":
		case strings.EqualFold(text, "h"):
			c.Hangup()
		case simcall.IsKeys(text):
			c.Press(text)
		case says && said != "":
			c.Say(said)
		default:
			fmt.Fprintln(stderr, "digits press keys, h hangs up, / and a text says it")
		}
	}
}

// Screen makes calls on the whole screen, until the user leaves. It reports whether the last one's script raised an error.
// Whatever ends it, a signal or a panic too, the terminal is as it was and the call is over.
func Screen(ctx context.Context, library *engine.Library, o Options, t Terminal) (failed bool, err error) {
	return screen(ctx, library, o, t)
}

func screen(ctx context.Context, library *engine.Library, o Options, t Terminal, more ...tea.ProgramOption) (failed bool, err error) {
	o.Ask = true
	p, err := o.plan()
	if err != nil {
		return false, err
	}
	if _, _, err := simcall.Script(library.Snapshot(), p.script); err != nil { // nothing that a save while the phone is on would mend
		return false, &ScriptError{err}
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	recorder := NewRecorder(o)
	if err := recorder.ready(); err != nil {
		return false, err
	}
	feed := newFeed()
	h := &handset{ctx: context.WithoutCancel(ctx), library: library, options: o}
	h.tell = func(e Event) { recorder.Tell(e); feed.put(e) }
	h.options.Wire = true // the screen shows it at a key
	m := newModel(h, o)
	m.problems = library.Snapshot().Problems
	options := []tea.ProgramOption{tea.WithInput(t.In), tea.WithOutput(t.Out), tea.WithEnvironment(t.Environ), tea.WithoutSignalHandler()}
	program := tea.NewProgram(m, append(options, more...)...)

	var wg sync.WaitGroup
	watching, stopWatching := context.WithCancel(ctx)
	wg.Go(func() { library.Watch(watching) })
	wg.Go(func() { h.watch(watching) })
	wg.Go(func() {
		// Not tea.WithContext: a program that is killed does not wait for its own goroutines.
		<-watching.Done()
		program.Quit()
	})
	wg.Go(func() {
		for events := feed.take(); events != nil; events = feed.take() {
			program.Send(batch(events))
		}
	})
	wg.Go(func() {
		frames := time.NewTicker(frameTime)
		defer frames.Stop()
		for {
			select {
			case <-frames.C:
				if t, ok := h.tick(); ok {
					program.Send(t)
				}
			case <-watching.Done():
				return
			}
		}
	})
	_, err = program.Run()
	stopWatching()
	feed.close()
	if !m.quitting || ctx.Err() != nil { // the caller has not hung up yet
		h.hangup(goodbyeTime)
	}
	h.Close()
	wg.Wait()
	if ctx.Err() != nil {
		err = nil // a signal is a way to leave, and may have come because the terminal is gone
	}
	return m.failed, errors.Join(err, recorder.save(t.Err))
}
