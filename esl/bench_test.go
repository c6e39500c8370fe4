package esl

import (
	"io"
	"strings"
	"testing"
)

// A whole recorded call, read and its events made, as a connection does it.
func BenchmarkReader(b *testing.B) {
	stream := strings.Join(frames(b, "bridge_answered"), "")
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		r := NewReader(strings.NewReader(stream))
		for {
			m, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				b.Fatal(err)
			}
			if m.Kind == EventPlain && NewEvent(m.Body).Name() == "" {
				b.Fatal("an event without name")
			}
		}
	}
}

func BenchmarkEventGet(b *testing.B) {
	all := events(b, "bridge_answered")
	e := all[len(all)-1]
	for _, name := range []string{"Unique-ID", "Caller-Caller-ID-Name", "variable_bridge_uuid", "no-such-header"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				e.Lookup(name)
			}
		})
	}
}

func BenchmarkAppendCommand(b *testing.B) {
	dst := make([]byte, 0, 4096)
	for name, cmd := range map[string]Command{
		"execute": Execute{App: "playback", Arg: "ivr/ivr-welcome_to_freeswitch.wav", UUID: callUUID, EventLock: true},
		"body":    Execute{App: "set", Arg: "x=a\nb", UUID: callUUID, EventLock: true},
		"api":     API{"uuid_getvar", callUUID + " x"},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := AppendCommand(dst, cmd); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
