-- Puts callers through to the support team while it is there.
--
-- <action application="socket" data="127.0.0.1:8084/support/reception async full team=1001,1002"/>
local hours = require "lib.hours"

local team = {}
for extension in (call.args.team or "1001"):gmatch("[^,]+") do
  team[#team + 1] = "user/" .. extension
end

call:answer()
local now = os.date("*t") -- the time where Callisto runs
if not hours.open(now) and call.args.always ~= "yes" then
  call:playback("ivr/ivr-please_call_back_later.wav")
  call:hangup()
end

local leg = call:bridge(team, { all = true, ring = "25s", ringback = "local_stream://moh" })
if not leg.answered then
  log.warn("nobody took the call", { team = #team, cause = leg.cause })
  call:playback("ivr/ivr-no_one_available.wav")
end
