package simulator_test

import (
	"context"
	"fmt"
	"io"
	"time"

	"callisto/simulator"
)

// A call whose server, here no more than a few commands, answers it, asks for a
// digit and hangs up. The caller presses a key when the prompt begins.
func Example() {
	clock := simulator.NewVirtualClock()
	defer clock.AutoAdvance(time.Millisecond)()
	digit := make(chan func(), 1)
	s := &simulator.Switch{
		Clock: clock, Tick: 20 * time.Millisecond,
		Observer: func(o simulator.Occurrence) {
			if o.Kind == simulator.Played {
				(<-digit)()
			}
		},
	}
	defer s.Close()
	server, conn := simulator.Pipe()
	call, err := s.Call(context.Background(), simulator.Invite{Socket: "127.0.0.1:8084/menu async full", Conn: conn})
	if err != nil {
		fmt.Println(err)
		return
	}
	digit <- func() { call.Press("7#") }
	io.WriteString(server, "connect\n\nmyevents\n\nlinger 0\n\n"+
		"sendmsg\ncall-command: execute\nexecute-app-name: answer\nevent-lock: true\n\n"+
		"sendmsg\ncall-command: execute\nexecute-app-name: read\nexecute-app-arg: 1 4 menu.wav choice 5000 #\nevent-lock: true\n\n"+
		"sendmsg\ncall-command: hangup\nhangup-cause: USER_BUSY\n\n")
	io.Copy(io.Discard, server)
	outcome, err := call.Wait(context.Background())
	fmt.Println(outcome, err)
	fmt.Println("choice:", call.Variable("choice"))
	for _, o := range call.Log() {
		fmt.Println(o)
	}
	// Output:
	// hung up, USER_BUSY <nil>
	// choice: 7
	// executed socket "127.0.0.1:8084/menu async full"
	// executed answer ""
	// executed read "1 4 menu.wav choice 5000 #"
	// played "menu.wav"
	// digit "7"
	// digit "#"
	// hung up USER_BUSY ""
	// ended hung up "hung up, USER_BUSY"
}
