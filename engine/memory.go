package engine

import (
	"runtime"
	"runtime/debug"
)

// ballast is memory that is never touched, and so never taken from the system; but the
// collector counts it. It collects when the heap has doubled, which with a few calls' few megabytes
// would be hundreds of times a second at full load, each time looking through every stack.
var ballast []byte

const (
	ballastSize = 64 << 20
	gcPercent   = 60 // with thousands of calls held, garbage is at most so much of what they hold
)

// TuneMemory sets the collector up for a process that does nothing but run calls.
func TuneMemory() {
	ballast = make([]byte, ballastSize)
	runtime.KeepAlive(ballast)
	debug.SetGCPercent(gcPercent)
}
