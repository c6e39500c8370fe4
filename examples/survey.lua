-- A survey of two questions and a comment. Its answers go into a database, also those of who hangs up half-way.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/survey async full"/>
-- Try it:   callisto dial setup
-- Try it:   callisto dial survey --press 5@2s --press 4@5s
-- Try it:   callisto dial survey --press 5@2s --hangup 4s
return flow {
  start = "recommend",
  on_hangup = "note",
  defaults = { tries = 2, timeout = "4s", invalid = "ivr/ivr-that_was_an_invalid_entry.wav" },

  -- No answer is an answer, too: the survey goes on.
  recommend = flow.gather {
    prompt = "office/recommend.wav", -- "Would you recommend us? Press a key from 1, never, to 5, gladly."
    max = 1, pattern = "[1-5]", next = "friendly", otherwise = "friendly",
  },
  friendly = flow.gather {
    prompt = "office/friendly.wav", -- "Were we friendly? Press a key from 1, not at all, to 5, very."
    max = 1, pattern = "[1-5]", next = "comment_ask", otherwise = "comment_ask",
  },
  comment_ask = flow.playback { "ivr/ivr-at_the_tone.wav", "voicemail/vm-record_message.wav", next = "comment" },
  comment = flow.record {
    "/tmp/survey-{call.uuid}.wav", max = "1m", silence = "3s", terminators = "#", beep = true, next = "thanks",
  },
  thanks = flow.playback { "ivr/ivr-thank_you.wav", next = "note" },

  note = flow.run {
    to = "keep",
    function(call, data)
      local silent = data.comment and data.comment.reason == "silence" and data.comment.seconds <= 3
      local spoke = tonumber(call:get("record_seconds") or 0) > 0 and not silent -- also who has hung up then
      data.file = spoke and "/tmp/survey-" .. call.uuid .. ".wav" or nil
      data.recommend, data.friendly = tonumber(data.recommend), tonumber(data.friendly)
    end,
  },
  keep = flow.sql {
    "INSERT INTO answers VALUES (:call, :number, :recommend, :friendly, :file) ON CONFLICT DO NOTHING",
    database = "office", exec = true,
    with = {
      call = "{call.uuid}", number = "{call.caller.number}",
      recommend = "{recommend}", friendly = "{friendly}", file = "{file}",
    },
    next = "done", failed = "lost",
  },
  lost = flow.run { to = "done", function(_, data) log.error("answers were not kept", data) end },
}
