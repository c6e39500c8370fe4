-- An announcement for all callers, switched on and off by saving emergency/switch.lua: the next call obeys.
--
-- All other calls go on to where the context default of the dialplan sends them. With test=yes the announcement is played
-- whatever the switch says, to hear it before callers do.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/emergency async full"/>
-- Try it:   callisto dial emergency
-- Try it:   callisto dial emergency test=yes --press 1
local switch = require "emergency.switch"

return flow {
  start = "switched",

  switched = flow.run {
    to = { "announce", "normal" },
    function(call) return (switch.on or call.args.test == "yes") and "announce" or "normal" end,
  },
  announce = flow.menu {
    prompt = { switch.file, "ivr/ivr-to_speak_with_an_operator.wav", "voicemail/vm-press.wav", "digits/1.wav" },
    keys = { ["1"] = "normal" }, tries = 2, timeout = "4s",
    otherwise = "goodbye",
  },
  goodbye = flow.playback { "ivr/ivr-thank_you_for_calling.wav", next = "done" },
  normal = flow.transfer { "{call.destination}", "XML", "default" },
}
