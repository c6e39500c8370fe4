package simulator

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Version is the version of FreeSWITCH that a [Switch] says it is, and whose
// recordings it follows.
const Version = "1.11.2"

// ErrClosed is the error of a call to a [Switch] that has been closed.
var ErrClosed = errors.New("the simulated switch is closed")

// A Switch is a simulated FreeSWITCH. The zero value is ready to use: real
// time, no media tick, every file there and a second long, every endpoint
// answering at once.
//
// The exported fields are set before the first call and not changed afterwards.
// The functions among them may be called from several goroutines at a time;
// they are called without any lock held, and may use the switch and its channels.
// All methods may be called from any goroutine.
type Switch struct {
	// Hostname is FreeSWITCH-Hostname and ${hostname}. Empty means "vm", the
	// host of the recordings.
	Hostname string

	// Clock is the time. Nil means real time.
	Clock Clock

	// Tick is how often a channel looks at its queue and takes a digit: 20 ms
	// on a real switch, once per media frame; events then also wait for the
	// socket's next look at them, as they do there. 0 means at once.
	Tick time.Duration

	// Password is what an inbound connection has to say; empty means "ClueCon".
	Password string
	// Users are the names and passwords for userauth, as "name@domain".
	Users map[string]string
	// Reject lets inbound connections be turned away with a text/rude-rejection.
	Reject func(remote net.Addr) bool

	// Endpoints says how dialled legs behave; the first match counts, before
	// [DefaultEndpoints].
	Endpoints []Endpoint
	// Dial, if set, is asked before Endpoints; ok = false leaves it to them.
	Dial func(leg DialedLeg) (b Behaviour, ok bool)

	// Sounds tells how long a file plays, and whether it is there. Nil means
	// that every file is there and plays for a second, except those below
	// /nosuch. silence_stream, tone_stream and the like are not asked for.
	Sounds func(path string) (length time.Duration, ok bool)

	// Writable tells whether a recording can be made at a path. Nil means that
	// it can, except below /nosuch.
	Writable func(path string) bool

	// Dialplan tells what a channel does at an extension it is transferred to.
	// Without it, or when ok is false, the far end takes the call and ends it.
	Dialplan func(destination, dialplan, context string) (actions []Action, ok bool)

	// Missing tells which applications the switch does not have, as if their modules
	// were not loaded.
	Missing func(application string) bool

	// Stuck tells which applications never end by themselves, nor by uuid_break.
	Stuck func(application string) bool

	// API is asked first for every API function, from a command or an
	// expansion; ok = false leaves it to the switch.
	API func(function, args string) (reply string, ok bool)

	// Globals are the switch's global variables, besides hostname and its like.
	Globals map[string]string

	// Observer is told what happened, in order, on a goroutine of its own.
	Observer func(Occurrence)

	// ReplyDelay is how long the socket takes to answer each command.
	ReplyDelay time.Duration
	// NoticeFirst sends the linger notice before the events of the hangup
	// instead of behind them, as a busy switch may: recording expansion.
	NoticeFirst bool

	// mu guards everything below and all state of channels and connections.
	// It is held for microseconds, and never while waiting or in a hook.
	mu       sync.Mutex
	started  bool
	closed   bool
	coreUUID string
	virtual  *VirtualClock // Clock, if it is one
	clock    Clock
	began    time.Time
	globals  variables
	channels map[string]*Channel
	wide     map[*listener]struct{} // listeners that other channels' events may concern
	all      map[*listener]struct{}
	rooms    map[string]*room
	jobs     map[*task]struct{} // API calls that wait
	sequence uint64
	sessions int
	stamp    dateStamp
	scratch  []byte
	plain    []byte
	free     [][]byte     // buffers of connections that have nothing to send
	history  []Occurrence // what had no channel
	notices  []Occurrence
	noticed  *sync.Cond
	base     context.Context // cancelled by Close
	cancel   context.CancelFunc
	wg       sync.WaitGroup
}

// start makes the zero value work. s.mu is held.
func (s *Switch) start() error {
	if s.closed {
		return ErrClosed
	}
	if s.started {
		return nil
	}
	s.started = true
	s.coreUUID = newUUID()
	if s.clock = s.Clock; s.clock == nil {
		s.clock = realTime{}
	}
	s.virtual, _ = s.clock.(*VirtualClock)
	s.began = s.clock.Now()
	s.channels = make(map[string]*Channel)
	s.wide = make(map[*listener]struct{})
	s.all = make(map[*listener]struct{})
	s.rooms = make(map[string]*room)
	s.jobs = make(map[*task]struct{})
	s.base, s.cancel = context.WithCancel(context.Background())
	s.sequence = 367921 // where the recordings are
	s.globals = variables{
		{"hostname", s.hostname()}, {"local_ip_v4", "192.0.2.2"}, {"local_mask_v4", "255.255.255.0"},
		{"local_ip_v6", "fd00::2"}, {"switch_serial", "000000000000"}, {"base_dir", "/opt/fs"},
		{"conf_dir", "/opt/fs/conf"}, {"sounds_dir", "/opt/fs/packages/sounds"}, {"recordings_dir", "/opt/fs/recordings"},
		{"domain", s.hostname()}, {"hold_music", "local_stream://moh"}, {"core_uuid", s.coreUUID},
	}
	for name, value := range s.Globals {
		s.globals.set(name, value)
	}
	if s.Observer != nil {
		s.noticed = sync.NewCond(&s.mu)
		s.wg.Go(s.observe)
	}
	return nil
}

func (s *Switch) hostname() string {
	if s.Hostname == "" {
		return "vm"
	}
	return s.Hostname
}

// Close ends every call and connection without a word, like a switch that
// dies, and waits until all goroutines of the simulator have ended. Listeners
// given to [Switch.ServeInbound] are the caller's to close.
func (s *Switch) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		if s.started {
			s.cancel()
			for l := range s.all {
				l.kill()
			}
			for _, c := range s.channels {
				c.dropped = true
				c.wake()
			}
			for t := range s.jobs {
				t.wake()
			}
			if s.noticed != nil {
				s.noticed.Broadcast()
			}
		}
	}
	s.mu.Unlock()
	s.wg.Wait()
	return nil
}

// Channel returns the channel with that UUID, nil if there is none any more.
func (s *Switch) Channel(uuid string) *Channel {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.channels[uuid]
}

// Channels returns how many channels there are now, dialled legs included.
func (s *Switch) Channels() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.channels)
}

// Execute runs an API function as if typed at the console of the switch
// ("uuid_kill UUID USER_BUSY") and returns what it printed.
func (s *Switch) Execute(ctx context.Context, command string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.start(); err != nil {
		return "", err
	}
	s.hold()
	defer s.release()
	t := &task{s: s}
	s.jobs[t] = struct{}{}
	defer delete(s.jobs, t)
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		t.cancelled = true
		t.wake()
		s.mu.Unlock()
	})
	defer stop()
	function, args := cutSpace(command)
	reply, ok := s.api(&apiCall{task: t, function: function, args: args})
	if ctx.Err() != nil {
		return reply, ctx.Err()
	}
	if !ok {
		return "", fmt.Errorf("api function %q does not exist", function)
	}
	return reply, nil
}

func (s *Switch) hold() {
	if s.virtual != nil {
		s.virtual.hold()
	}
}

func (s *Switch) release() {
	if s.virtual != nil {
		s.virtual.release()
	}
}

// spawn runs f on a goroutine that Close waits for and that holds a virtual
// clock unless it waits in a task.
func (s *Switch) spawn(f func()) {
	s.hold()
	s.wg.Go(func() {
		defer s.release()
		f()
	})
}

// unlocked calls a hook with the lock released.
func (s *Switch) unlocked(f func()) {
	s.mu.Unlock()
	defer s.mu.Lock()
	f()
}

// borrow returns an empty buffer. A connection has one only while there is
// something to send: thousands of calls that are held need none.
func (s *Switch) borrow() []byte {
	if n := len(s.free); n > 0 {
		b := s.free[n-1]
		s.free = s.free[:n-1]
		return b
	}
	return make([]byte, 0, 4<<10)
}

func (s *Switch) giveBack(b []byte) {
	if b != nil && cap(b) <= 64<<10 && len(s.free) < 64 {
		s.free = append(s.free, b[:0])
	}
}

// A task is a goroutine that waits for something to change under the switch's
// lock, or for time to pass. While it waits it does not hold a virtual clock:
// whoever wakes it takes hold of the clock in its name, so that time cannot
// pass between the waking and the work.
type task struct {
	s         *Switch
	owner     *Channel // whose connection has asked for it in the background
	cond      *sync.Cond
	blocked   bool
	expired   bool
	cancelled bool // nobody waits for the result any more
	wait      uint64
}

// block waits for wake, or until the given time (zero: for ever); it reports
// whether that time has come. s.mu is held.
func (t *task) block(until time.Time) (expired bool) {
	if t.cond == nil {
		t.cond = sync.NewCond(&t.s.mu)
	}
	t.wait++
	var timer Timer
	if !until.IsZero() {
		d := until.Sub(t.s.clock.Now())
		if d <= 0 {
			return true
		}
		wait := t.wait
		timer = t.s.clock.AfterFunc(d, func() {
			t.s.mu.Lock()
			defer t.s.mu.Unlock()
			if t.wait == wait && t.blocked {
				t.expired = true
				t.wake()
			}
		})
	}
	t.blocked, t.expired = true, false
	t.s.release()
	for t.blocked {
		t.cond.Wait()
	}
	if timer != nil {
		timer.Stop()
	}
	return t.expired
}

// wake ends block. s.mu is held.
func (t *task) wake() {
	if t.blocked {
		t.blocked = false
		t.s.hold()
		t.cond.Signal()
	}
}

// sleep blocks for d, whoever wakes the task meanwhile, but not past the end
// of the switch.
func (t *task) sleep(d time.Duration) {
	for until := t.s.clock.Now().Add(d); !t.s.closed && !t.cancelled && !t.block(until); {
	}
}

// newUUID returns a random (version 4) UUID.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	var text [36]byte
	hex.Encode(text[0:8], b[0:4])
	hex.Encode(text[9:13], b[4:6])
	hex.Encode(text[14:18], b[6:8])
	hex.Encode(text[19:23], b[8:10])
	hex.Encode(text[24:36], b[10:16])
	text[8], text[13], text[18], text[23] = '-', '-', '-', '-'
	return string(text[:])
}
