// Package simulator is a FreeSWITCH to develop against: channels that answer,
// play, take digits, bridge and hang up, and an event socket that says so the
// way FreeSWITCH 1.11.2 was recorded to, byte for byte where programs look.
//
//	clock := simulator.NewVirtualClock()
//	defer clock.AutoAdvance(time.Millisecond)()
//	s := &simulator.Switch{Clock: clock, Tick: 20 * time.Millisecond}
//	defer s.Close()
//	call, err := s.Call(ctx, simulator.Invite{Destination: "9000", Socket: "127.0.0.1:8084/support/menu async full"})
//	…
//	call.Press("1")
//	outcome, err := call.Wait(ctx)
//
// A [Switch] makes calls to an outbound event socket server ([Switch.Call]) and
// serves inbound connections ([Switch.ServeInbound]), over TCP or in memory
// ([Pipe]). It runs on real time, on a [VirtualClock] or without waiting
// ([Instant]). What happened is in [Channel.Log] and told to Switch.Observer:
// what was played, said, set, dialled, and every application's argument as the
// application saw it. API functions that an expansion of ${…} ran are there as
// [Evaluated], shell commands that a real switch would have run as [System];
// neither the simulator nor anything in it ever runs one. [Channel.Hearing] is what a
// channel hears at the moment; a dialled leg that rings can be answered
// ([Channel.Answer]) or refused ([Channel.Hangup]) by hand.
//
// # What it does
//
// The socket: the four combinations of async and full; connect, myevents,
// event, nixevent, noevents, filter, divert_events, linger, nolinger, resume,
// getvar, log, nolog, api, bgapi, sendevent, sendmsg (execute with header or
// body argument, loops, event-lock, Event-UUID, and hangup, xferext; unicast
// and nomedia are accepted), exit, auth, userauth; plain, JSON and XML events;
// replies, errors, and the order of everything as in the recordings, which the
// tests play against it header by header. socket_resume, several hosts, a
// server that goes away.
//
// The dialplan: expansion of ${…} with all its corners, twice in set and its
// like, %[…] scope variables, app_disable_expand_variables; an unknown
// application hangs up with DESTINATION_OUT_OF_ORDER and does not complete.
//
// Applications that behave: answer, pre_answer, ring_ready, playback,
// endless_playback, loop_playback, speak, say, phrase, gentones, sleep, read,
// play_and_get_digits, send_dtmf, queue_dtmf, flush_dtmf, record,
// record_session and its like, set, multiset, unset, multiunset, push, unshift,
// export, bridge_export, set_global, set_profile_var, log, event, capture,
// strftime, hangup, sched_hangup, sched_transfer, sched_broadcast, transfer,
// deflect, redirect, execute_extension, park, hold, unhold, bridge, conference,
// detect_speech, play_and_detect_speech, echo, break, system (noted only).
//
// Applications that stand for something larger: callcenter and fifo keep the
// caller until an agent answers, who behaves as the [Endpoint]
// "callcenter/NAME" or "fifo/NAME" says, or the caller leaves with a key, and set cc_cause
// and its like; valet_park, soft_hold, delay_echo keep the caller until uuid_break or a
// hangup; voicemail speaks for a while; eavesdrop lasts as long as the other
// call. Those that complete at once, without effect: info, eval, presence,
// privacy, start_dtmf, stop_dtmf, tone_detect, fax_detect, limit, hash, db,
// curl, set_audio_level, set_mute, bind_meta_app, bind_digit_action,
// displace_session, att_xfer, intercept, pickup, page, ivr, and some more in
// apps.go.
//
// API functions: status, version, hostname, create_uuid, eval, expand, msleep,
// global_getvar, global_setvar, originate, conference, hupall of some, file_exists, show, regex, cond,
// system (noted only), sched_hangup, sched_transfer, sched_broadcast, sched_api,
// uuid_answer, uuid_break, uuid_bridge, uuid_broadcast, uuid_deflect,
// uuid_display, uuid_dump, uuid_exists, uuid_fileman, uuid_flush_dtmf,
// uuid_getvar, uuid_hold, uuid_kill, uuid_record, uuid_recv_dtmf,
// uuid_send_dtmf, uuid_setvar, uuid_setvar_multi, uuid_transfer. Others come
// from Switch.API.
//
// # What it deliberately does not do
//
//   - There is no audio: files have a length, speech a duration made from its
//     text, the caller is silent for record, and nothing is written to disk.
//   - There is no SIP, no RTP and no second end of a loopback. A SIP channel is
//     one whose variables say so and whose media come with the answer; the SIP
//     and RTP statistics in CHANNEL_HANGUP_COMPLETE are missing.
//   - An outgoing leg has the variables that matter, not all, and keeps its
//     caller id the way round it was dialled.
//   - A socket without "full" that the call outlives tells nothing of the end
//     (async_single_channel); on a real switch that is a race.
//   - The log is not sent, except for lines of the log application to a socket
//     that asked for them.
//   - Heartbeats, presence, module and scheduler events do not occur, and
//     CHANNEL_CALLSTATE and CHANNEL_DESTROY are not sent (the recordings, all
//     with myevents, show none either).
//   - Regular expressions are Go's, not Perl's. strftime knows one format.
//   - Dialplan XML is not read: [Switch].Dialplan says what an extension does.
package simulator
