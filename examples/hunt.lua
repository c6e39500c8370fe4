-- Rings one phone, then two at once, and says sorry when nobody answers.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/hunt async full first=1001"/>
-- Try it:   callisto dial hunt first=1001 --root examples --leg user/1001=busy
-- Try it:   callisto dial hunt --root examples --leg user/*=no_answer
local function ring(targets, options)
  local leg = call:bridge(targets, options)
  log.info("rang", { answered = leg.answered, cause = leg.cause, seconds = leg.seconds })
  return leg.answered
end

call:ring_ready()
if ring("user/" .. (call.args.first or "1001"), { ring = "10s" }) then return end
if ring({ "user/1002", "user/1003" }, { ring = "20s", all = true, headers = { ["X-Queue"] = "overflow" } }) then return end

call:answer()
call:playback("ivr/ivr-no_one_available.wav")
call:hangup("NO_ANSWER")
