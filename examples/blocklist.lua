-- Turns away callers whose number is listed, without answering: they hear the tone of a refused call, and pay nothing.
-- Anonymous callers hear that their number is wanted. The others go on to where the context default of the dialplan sends
-- them. blocklist_edit.lua changes the list.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/blocklist async full"/>
-- Try it:   callisto dial blocklist
-- Try it:   callisto dial blocklist --caller anonymous
return flow {
  start = "caller",

  caller = flow.branch {
    on = "call.caller.number",
    cases = { anonymous = "anonymous", ["+46900*"] = "blocked" }, -- numbers that cost who calls back
    missing = "anonymous", otherwise = "listed",
  },
  listed = flow.run {
    to = { "blocked", "pass" },
    function(call)
      -- A list that cannot be read blocks nobody.
      return kv.get("blocked:" .. call.caller.number) and "blocked" or "pass"
    end,
  },
  blocked = flow.hangup { "CALL_REJECTED" },
  anonymous = flow.playback { "ivr/ivr-not_accept_anonymous_calls.wav", next = "done" },
  pass = flow.transfer { "{call.destination}", "XML", "default" },
}
