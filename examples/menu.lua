-- A menu, the smallest flow that is of use: one key puts the caller through, the other thanks and says goodbye.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/menu async full"/>
-- Try it:   callisto dial menu --press 2
-- Try it:   callisto dial menu --press 1 --leg user/1001=busy
return flow {
  start = "choose",

  choose = flow.menu {
    prompt = { "ivr/ivr-welcome.wav", "ivr/ivr-to_speak_with_an_operator.wav", "voicemail/vm-press.wav", "digits/1.wav" },
    invalid = "ivr/ivr-that_was_an_invalid_entry.wav",
    keys = { ["1"] = "operator", ["2"] = "goodbye" },
    otherwise = "goodbye",
  },
  operator = flow.bridge { "user/1001", ring = "20s", answered = "done", otherwise = "sorry" },
  sorry = flow.playback { "office/nobody.wav", next = "done" }, -- "Nobody can take your call now. Please call again later."
  goodbye = flow.playback { "ivr/ivr-thank_you_for_calling.wav", next = "done" },
}
