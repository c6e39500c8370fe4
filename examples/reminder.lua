-- Calls people about their appointments: they confirm it, want to move it, or hear it again; the answer goes into a database.
--
-- A timer or a program has the switch call each of them:
--   fs_cli -x "originate {ignore_early_media=true}sofia/gateway/carrier/+46701234567 '&socket(127.0.0.1:8084/reminder async full appointment=17)'"
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/reminder async full appointment=17"/>
-- Try it:   callisto dial setup
-- Try it:   callisto dial reminder appointment=17 --press 3@4s --press 1@9s
-- Try it:   callisto dial reminder appointment=17 --press 2@5s --leg user/1000=busy
return flow {
  start = "begin",
  on_hangup = "store",

  begin = flow.set { data = { status = "hung up" }, next = "load" }, -- what is stored of who says nothing else
  load = flow.sql {
    "SELECT at FROM appointments WHERE id = :id", database = "office",
    with = { id = "{call.args.appointment}" }, into = { at = "at" },
    next = "hello", none = "unknown", failed = "unknown",
  },
  unknown = flow.hangup { "NORMAL_TEMPORARY_FAILURE" }, -- there is nothing to say; whoever had it called may try again

  hello = flow.playback { "ivr/ivr-hello.wav", "ivr/ivr-appointment_schedule_for.wav", next = "when" },
  when = flow.say { "{at}", "short_date_time", next = "choose" },
  choose = flow.menu {
    prompt = "office/appointment.wav", -- "Press 1 if you will come, 2 to move it, 3 to hear this again."
    keys = { ["1"] = "confirmed", ["2"] = "move", ["3"] = "hello" }, tries = 2,
    otherwise = "machine",
  },

  confirmed = flow.set { data = { status = "confirmed" }, next = "thanks" },
  thanks = flow.playback { "ivr/ivr-thank_you.wav", "voicemail/vm-goodbye.wav", next = "store" },

  move = flow.set { data = { status = "to be moved" }, next = "desk" },
  desk = flow.bridge { "user/1000", ring = "20s", answered = "store", otherwise = "later" },
  later = flow.playback { "ivr/ivr-we_will_return_your_call_at_this_number.wav", next = "store" },

  -- Nobody pressed a key: an answering machine, which records by now.
  machine = flow.set { data = { status = "not heard" }, next = "leave" },
  leave = flow.playback { "ivr/ivr-please_return_our_call_at.wav", next = "number" },
  number = flow.say { "+4680000000", "telephone_number", method = "iterated", next = "store" },

  store = flow.sql {
    "UPDATE appointments SET status = :status, asked = CURRENT_TIMESTAMP WHERE id = :id", database = "office", exec = true,
    with = { status = "{status}", id = "{call.args.appointment}" },
    next = "done", failed = "lost",
  },
  lost = flow.run {
    to = "done",
    function(call, data) log.error("an answer was not kept", { appointment = call.args.appointment, status = data.status }) end,
  },
}
