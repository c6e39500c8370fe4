call:answer()
for i, target in ipairs(call.args) do
  local leg = call:bridge(target)
  log.info("bridge " .. i, { answered = leg.answered, cause = leg.cause, disposition = leg.disposition, leg = leg.leg and "one", seconds = math.floor(leg.seconds * 10) / 10 })
end
call:hangup()
