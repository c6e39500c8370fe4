package services

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func init() { parts["kv"] = writeForEver }

// writeForEver writes one key after the other, from several goroutines, and tells what has been acknowledged.
func writeForEver() {
	s := newEmbedded(os.Getenv("CALLISTO_TEST_FILE"))
	round := os.Getenv("CALLISTO_TEST_ROUND")
	for w := range 8 {
		go func() {
			for i := 0; ; i++ {
				key := fmt.Sprintf("%s.%d.%d", round, w, i)
				if err := s.Set(context.Background(), key, "value of "+key, 0); err != nil {
					fmt.Println("error", err)
					return
				}
				if _, err := s.Incr(context.Background(), "counter", 1, 0); err != nil {
					fmt.Println("error", err)
					return
				}
				fmt.Println("done", key) // one write: lines do not mix
			}
		}()
	}
	select {}
}

// part runs a part of this program until it is killed, at a random moment after its first line, and returns the
// lines that it has finished.
func part(t *testing.T, name string, env ...string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(env, "CALLISTO_TEST_PART="+name)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	r := bufio.NewReader(out)
	first, err := r.ReadString('\n')
	if err != nil {
		t.Fatalf("it ends before it writes: %v", err)
	}
	kill := time.AfterFunc(time.Duration(rand.IntN(30_000))*time.Microsecond, func() { cmd.Process.Kill() })
	defer kill.Stop()
	rest, err := io.ReadAll(r)
	must(t, err)
	cmd.Wait()
	text := first + string(rest)
	lines := strings.Split(text, "\n")
	return lines[:len(lines)-1] // the last is empty, or half
}

// A process that is killed, at whatever moment, loses nothing that it has acknowledged.
func TestKilled(t *testing.T) {
	file := filepath.Join(t.TempDir(), "kv.db")
	acknowledged := 0
	for round := range 15 {
		lines := part(t, "kv", "CALLISTO_TEST_FILE="+file, fmt.Sprint("CALLISTO_TEST_ROUND=", round))
		s := newEmbedded(file)
		for _, line := range lines {
			key, ok := strings.CutPrefix(line, "done ")
			if !ok {
				t.Fatal(line)
			}
			if got := mustGet(t, s, key); got != "value of "+key {
				t.Fatalf("round %d: %s was acknowledged and is %q", round, key, got)
			}
		}
		acknowledged += len(lines)
		n, err := s.Incr(within(t), "counter", 0, 0)
		must(t, err)
		if int(n) < acknowledged {
			t.Fatalf("round %d: it counted to %d of %d", round, n, acknowledged)
		}
		must(t, s.Close())
	}
	t.Log(acknowledged, "writes were acknowledged")
}
