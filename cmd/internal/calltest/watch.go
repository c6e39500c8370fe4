package calltest

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"time"

	"callisto/engine"
)

// lookEvery is how often the test files are looked at. The scripts are the library's to watch.
const lookEvery = 200 * time.Millisecond

// Watch calls run, and again whenever a script or a test file has changed, until ctx ends. The library is watched
// with it.
func Watch(ctx context.Context, library *engine.Library, o Options, run func()) {
	watching, stop := context.WithCancel(ctx)
	watched := make(chan struct{})
	go func() {
		defer close(watched)
		library.Watch(watching)
	}()
	defer func() { stop(); <-watched }()
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		changed, seen := library.Changed(), look(library, o)
		run()
		for again := false; !again; {
			select {
			case <-ctx.Done():
				return
			case <-changed:
				again = true
			case <-tick.C:
				// What is being written has not settled: the next look will tell.
				now := look(library, o)
				again = now != seen && sleep(ctx, lookEvery/4) && look(library, o) == now
			}
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// look is a fingerprint of the test files.
func look(library *engine.Library, o Options) (f [sha256.Size]byte) {
	h := sha256.New()
	paths, err := find(library.Snapshot().Config, o.Paths)
	if err != nil {
		fmt.Fprint(h, err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		fmt.Fprintf(h, "%s %d %v\n%s\n", path, len(text), err, text)
	}
	h.Sum(f[:0])
	return f
}
