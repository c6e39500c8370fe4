-- Answers the main number: a menu while somebody is there, a message otherwise.
--
-- See it:   callisto graph main -o main.svg
-- Hear it:  callisto dial main
-- Test it:  callisto test

return flow {
  start = "hours",
  defaults = { tries = 3, timeout = "5s", ring = "20s" },

  hours = flow.hours { "mon-fri 09:00-17:00", zone = "Europe/Stockholm", open = "welcome", closed = "closed" },

  welcome = flow.playback { "ivr/ivr-welcome.wav", next = "menu" },
  menu = flow.menu {
    prompt = "ivr/ivr-enter_destination_telephone_number.wav", -- yours: "For sales press 1, for support press 2."
    keys = { ["1"] = "sales", ["2"] = "support" },
    otherwise = "support",
  },

  sales = flow.bridge { "user/1001", answered = "done", otherwise = "sorry" },
  support = flow.bridge { "user/1002", "user/1003", answered = "done", otherwise = "sorry" },

  closed = flow.playback { "ivr/ivr-no_user_available.wav", next = "sorry" }, -- yours: "We are closed."
  sorry = flow.playback { "ivr/ivr-thank_you_for_calling.wav", next = "done" },
}
