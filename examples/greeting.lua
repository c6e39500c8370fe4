-- One script for all numbers of a house: each has its greeting and its phone in a database.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/greeting async full"/>
-- Try it:   callisto dial setup
-- Try it:   callisto dial greeting
-- Try it:   callisto dial greeting --number 9999 --leg user/*=no_answer
local domain = "example.com" -- of the mailboxes

return flow {
  start = "usual",

  -- For a number without a row; and when the database does not answer, callers are greeted all the same.
  usual = flow.set { data = { file = "ivr/ivr-welcome.wav", extension = "1000" }, next = "look" },
  look = flow.sql {
    "SELECT file, extension FROM greetings WHERE number = :number", database = "office", timeout = "2s",
    with = { number = "{call.destination}" }, into = { file = "file", extension = "extension" },
    next = "greet", failed = "greet",
  },
  greet = flow.playback { "{file}", next = "ring" },
  ring = flow.bridge { "user/{extension}", ring = "20s", answered = "done", otherwise = "message" },
  message = flow.voicemail { "{extension}", domain = domain, next = "done" },
}
