-- Puts callers through to the support team while it is there.
--
-- <action application="socket" data="127.0.0.1:8084/support/reception async full team=1001,1002"/>
local hours = require "lib.hours"

local team = {}
for extension in (call.args.team or "1001"):gmatch("[^,]+") do
  team[#team + 1] = "user/" .. extension
end

call:answer()
local open, opens = hours.open()
if not open and call.args.always ~= "yes" then
  log.info("closed", { opens = opens and opens:format("%A at %H:%M") })
  call:playback("voicemail/vm-not_available_no_voicemail.wav")
  call:hangup()
end

local leg = call:bridge(team, { all = true, ring = "25s", ringback = "local_stream://moh" })
if not leg.answered then
  log.warn("nobody took the call", { team = #team, cause = leg.cause })
  call:playback("voicemail/vm-not_available_no_voicemail.wav")
end
