-- A queue whose callers may hang up and be called back: they press 1, say at which number, and keep their turn.
-- callback_agent.lua is the other half.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/callback async full"/>
-- Try it:   callisto dial callback --leg callcenter/*=no_answer --press 1@10s --press 1@25s
-- Try it:   callisto dial callback --caller anonymous --leg callcenter/*=no_answer --press 1@10s --press 0701234567#@15s --press 1@30s
return flow {
  start = "greeting",
  defaults = { timeout = "6s", tries = 2, invalid = "ivr/ivr-that_was_an_invalid_entry.wav" },

  greeting = flow.playback {
    "ivr/ivr-call_answered_order_received.wav",
    "ivr/ivr-if_you_would_like_us_to_call_back.wav", "digits/1.wav", next = "queue",
  },
  queue = flow.queue { "support@default", exit_key = "1", answered = "done", otherwise = "known" },

  known = flow.run {
    to = { "read", "ask" },
    function(call, data)
      data.number = call.caller.number:match("^%+?%d+$") -- some callers are anonymous
      return data.number and "read" or "ask"
    end,
  },
  read = flow.playback { "ivr/ivr-it_appears_that_your_phone_number_is.wav", next = "number" },
  number = flow.say { "{number}", "telephone_number", method = "iterated", next = "confirm" },
  confirm = flow.menu {
    prompt = { "ivr/ivr-would_you_like_to_receive_a_call_at_this_number.wav", "ivr/ivr-one_yes_two_no.wav" },
    keys = { ["1"] = "keep", ["2"] = "ask" },
    otherwise = "queue", -- nothing was agreed upon
  },
  ask = flow.gather {
    prompt = "ivr/ivr-please_enter_the_number_where_we_can_reach_you.wav",
    pattern = "[0-9]{5,15}", into = "number", next = "entered", otherwise = "queue",
  },
  entered = flow.playback { "ivr/ivr-you_entered.wav", next = "number" },

  keep = flow.run {
    to = { "promise", "queue" },
    function(call, data)
      -- Whoever is waiting already keeps that place: add is false then, and that is fine. Only nil means that it failed.
      local added = kv.add("callback:" .. data.number, { number = data.number, since = os.time(), tries = 0 }, { ttl = "48h" })
      return added ~= nil and "promise" or "queue"
    end,
  },
  promise = flow.playback { "ivr/ivr-we_will_return_your_call_at_this_number.wav", next = "done" },
}
