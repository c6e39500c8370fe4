-- Call screening: callers say who they are, and whoever is called hears it and takes the call, refuses it, or sends
-- it to the voicemail.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/screening async full"/>
-- Try it:   callisto dial screening --number 1001 --leg user/1001=answered:1
-- Try it:   callisto dial screening --number 1001 --hangup 5s
local domain = "example.com" -- of the mailboxes

return flow {
  start = "ask",

  ask = flow.playback { "ivr/ivr-please_state_your_name_and_reason_for_calling.wav", next = "name" },
  name = flow.record { "/tmp/screening-{call.uuid}.wav", max = "8s", silence = "2s", beep = true, next = "hold" },
  hold = flow.playback { "ivr/ivr-hold_connect_call.wav", next = "offer" },

  offer = flow.run {
    to = { "done", "refused", "message" }, waits = true,
    function(call, data)
      local music = call:playback("local_stream://moh", { loops = 0, wait = false })
      local leg, cause = call:originate("user/" .. call.destination, { ring = "25s", caller_id_number = call.caller.number })
      local choice = leg and leg:menu {
        prompt = { "ivr/ivr-call_from.wav", data.name.path, "ivr/ivr-accept_reject_voicemail.wav" },
        keys = { ["1"] = "accept", ["2"] = "refused", ["3"] = "message" },
      }
      music:stop()
      log.info("screened", { choice = choice, cause = cause })
      if choice == "accept" and call:join(leg).answered then return "done" end
      if leg then leg:hangup() end
      return choice == "refused" and "refused" or "message"
    end,
  },
  refused = flow.playback { "office/nobody.wav", next = "done" }, -- "Nobody can take your call now. Please call again later."
  message = flow.voicemail { "{call.destination}", domain = domain, next = "done" },
}
