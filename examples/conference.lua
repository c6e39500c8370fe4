-- Conference rooms with PINs: each PIN leads to its room. After three wrong ones the call is over.
--
-- The PINs are in config.toml, under [config.script.conference], each with the step that is its room.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/conference async full"/>
-- Try it:   callisto dial conference --press 4711#@4s --hangup 30s
-- Try it:   callisto dial conference --press 1#@4s --press 2#@8s --press 3#@12s
return flow {
  start = "welcome",

  welcome = flow.playback { "conference/conf-welcome.wav", next = "ask" },
  ask = flow.gather {
    prompt = "conference/conf-enter_conf_pin.wav", timeout = "10s", into = "pin", next = "look", otherwise = "goodbye",
  },
  look = flow.run {
    to = { "sales", "support", "again", "goodbye" },
    function(call, data)
      local room = config.pins[data.pin]
      data.pin = nil -- data goes with the call, where others can read it
      if room then return room end
      data.wrong = (data.wrong or 0) + 1
      return data.wrong < 3 and "again" or "goodbye"
    end,
  },
  again = flow.playback { "conference/conf-bad-pin.wav", next = "ask" },
  sales = flow.conference { "sales", next = "goodbye" },
  support = flow.conference { "support", next = "goodbye" },
  goodbye = flow.playback { "conference/conf-goodbye.wav", next = "done" },
}
