-- Answers the main number: a menu while the office is open, its voicemail otherwise.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/attendant async full"/>
-- Try it:   callisto dial attendant --press 1 --fast --time '2026-11-23 10:00 Europe/Stockholm'
-- Try it:   callisto dial attendant --press 3 --press 1005 --leg user/1005=busy --fast --time '2026-11-23 10:00 Europe/Stockholm'
-- Try it:   callisto dial attendant --fast --time '2026-12-24 18:00 Europe/Stockholm'
local domain = "example.com" -- of the mailboxes
local hours = "mon-thu 08:30-17:00; fri 08:30-15:00; 12-24 08:30-12:00"
local zone = "Europe/Stockholm"
local holidays = { ["New Year"] = "01-01", ["Good Friday"] = "easter-2", Christmas = "12-25..12-26" }

return flow {
  start = "hours",
  defaults = { timeout = "5s", tries = 3, invalid = "ivr/ivr-that_was_an_invalid_entry.wav", ring = "20s" },

  hours = flow.hours { hours, zone = zone, holidays = holidays, open = "menu", closed = "closed" },
  menu = flow.menu {
    prompt = {
      "ivr/ivr-welcome.wav", -- here and not in a step of its own: whoever knows the menu need not hear it
      "ivr/ivr-sales.wav", "voicemail/vm-press.wav", "digits/1.wav",
      "ivr/ivr-technical_support.wav", "voicemail/vm-press.wav", "digits/2.wav",
      "ivr/ivr-extension_number.wav", "voicemail/vm-press.wav", "digits/3.wav",
      "ivr/ivr-to_speak_with_an_operator.wav", "voicemail/vm-press.wav", "digits/0.wav",
    },
    keys = { ["1"] = "sales", ["2"] = "support", ["3"] = "extension", ["0"] = "operator" },
    otherwise = "operator", -- whoever presses nothing may have no keys to press
  },

  sales = flow.bridge { "user/1001", "user/1002", all = true, answered = "done", otherwise = "operator" },
  support = flow.bridge { "user/1003", "user/1004", answered = "done", otherwise = "operator" },
  operator = flow.bridge { "user/1000", answered = "done", otherwise = "message" },

  extension = flow.gather {
    prompt = "ivr/ivr-enter_ext_pound.wav", max = 4, pattern = "10[0-9]{2}", next = "person", otherwise = "operator",
  },
  person = flow.bridge { "user/{extension}", answered = "done", otherwise = "person_message" },
  person_message = flow.voicemail { "{extension}", domain = domain, next = "done" },

  closed = flow.playback { "office/closed.wav", next = "message" }, -- "The office is closed. Please leave a message."
  message = flow.voicemail { "1000", domain = domain, next = "done" },
}
