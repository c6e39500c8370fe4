-- Takes a message and mails it, with the recording, to whoever the dialplan names.
--
-- The switch writes recordings to /tmp, and Callisto finds them there: it is `attachments` of [mail] in config.toml.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/voicemail async full to=ada@example.com"/>
-- Try it:   callisto dial voicemail to=ada@example.com
-- Try it:   callisto dial voicemail --hangup 5s
local file = call.uuid .. ".wav"
local path = "/tmp/" .. file
local silent = false

-- Most callers hang up when they have said what they had to say, so the mail is sent when the call is over.
call:on("hangup", function()
  local seconds = tonumber(call:get("record_seconds") or 0)
  if silent or seconds < 2 then return end -- nothing was said
  local sent, why = mail.send {
    to = call.args.to or "reception@example.com",
    subject = ("A message of %d seconds"):format(seconds),
    text = ("%s, %s, has called %s."):format(call.caller.name, call.caller.number, call.destination),
    attachments = { { file = file } },
    timeout = "20s", -- less than limits.hangup, which is the time of this function
  }
  if not sent then log.error("a message was not mailed, its recording is still there", { why = why, path = path }) end
end)

call:answer()
call:playback("voicemail/vm-record_message.wav")
local recording = call:record(path, { max = "3m", silence = "5s", terminators = "any", beep = true })
silent = recording.reason == "silence" and recording.seconds <= 5
call:playback("ivr/ivr-thank_you.wav")
