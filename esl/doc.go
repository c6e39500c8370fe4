// Package esl speaks FreeSWITCH's event socket: the frames on the wire, the
// commands, the events, and one connection type for both directions.
//
// A server of the outbound socket accepts what the dialplan's socket
// application sends it:
//
//	srv := &esl.Server{Handler: func(ctx context.Context, c *esl.Conn) {
//		channel, err := c.Connect(ctx)
//		if err != nil {
//			return
//		}
//		c.Post(esl.Execute{App: "answer", EventLock: true})
//		done, err := c.Execute(ctx, esl.Execute{App: "playback", Arg: "ivr/welcome.wav", EventLock: true})
//		...
//	}}
//	err := srv.ListenAndServe("127.0.0.1:8084")
//
// A client of the inbound socket dials the switch:
//
//	c, err := esl.Dial(ctx, "127.0.0.1:8021", esl.Auth{Password: "ClueCon"})
//	reply, err := c.Do(ctx, esl.API{Command: "status"})
//
// # Replies and events
//
// Nothing on the wire ties a reply to its command but the order, so a Conn
// keeps a line of those who wait; one who gives up stays in the line, and the
// reply that comes for it later is thrown away. Events come in their own
// order through one bounded queue that one goroutine reads, with Next, Execute
// or Wait.
//
// # Trust
//
// The reader takes nothing on trust: headers and bodies are bounded, names
// may hold anything, a stream that ends half-way is an error. Commands are
// typed and refuse what would end a line early, so no argument can add a header
// or start a second command.
//
// The facts about the wire are those of FreeSWITCH 1.11.2: recorded in
// testdata/transcripts and read in its mod_event_socket.c.
package esl
