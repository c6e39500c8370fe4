-- A menu of single keys: whoever knows it need not hear it out.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/menu async full"/>
-- Try it:   callisto dial menu --root examples --press 2
-- Try it:   callisto dial menu --root examples --press 1 --leg user/1001=answered
local menu = "ivr/ivr-welcome_to_freeswitch.wav"

call:answer()
for try = 1, 3 do
  -- The greeting, then five seconds to think; a key ends either.
  local _, _, key = call:playback({ menu, "silence_stream://5000" }, { terminators = "12" })
  if key == "1" then
    call:bridge("user/1001", { ring = "20s" })
    break
  elseif key == "2" then
    call:playback("ivr/ivr-thank_you_for_calling.wav")
    break
  end
  log.info("no choice", { try = try })
end
