-- Music while the switch does something that takes its time.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/lookup async full"/>
-- Try it:   callisto dial lookup --root examples
call:answer()
local music = call:playback("local_stream://moh", { loops = 0, wait = false })
local job = call:bgapi("msleep", "3000") -- stands for what takes long: originate, curl, …
local text, why = job:wait("10s") -- the call's own time; nothing else waits for it
music:stop()
music:wait()

if text then
  log.info("done", { answer = text:match("%C+") })
  call:playback("ivr/ivr-thank_you.wav")
else
  log.warn("no answer", { why = why })
  call:playback("ivr/ivr-call_cannot_be_completed_as_dialed.wav")
end
