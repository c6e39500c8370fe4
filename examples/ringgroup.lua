-- Rings a group of phones; when nobody there answers, a deputy and a mobile phone; then it takes a message.
--
-- A mobile phone has a voicemail of its own: only who presses 1 on it gets the call.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/ringgroup async full"/>
-- Try it:   callisto dial ringgroup --leg user/1001=busy --leg user/1002=answered
-- Try it:   callisto dial ringgroup --leg user/*=no_answer --leg sofia/*=no_answer
local domain = "example.com" -- of the mailboxes
local mobile = {
  "sofia/gateway/carrier/+46701234567",
  vars = { group_confirm_key = "1", group_confirm_file = "ivr/ivr-to_accept_press_one.wav" },
}

return flow {
  start = "group",

  group = flow.bridge {
    "user/1001", "user/1002", "user/1003", all = true, ring = "15s",
    answered = "done", otherwise = "patience",
  },
  patience = flow.playback { "ivr/ivr-stay_on_line_call_answered_momentarily.wav", next = "overflow" },
  overflow = flow.bridge {
    "user/1010", mobile, all = true, ring = "20s", ringback = "local_stream://moh",
    answered = "done", otherwise = "message",
  },
  message = flow.voicemail { "1001", domain = domain, next = "done" },
}
