call:answer()
for i, target in ipairs(call.args) do
  local leg = call:bridge(target, { ring = "2s" })
  log.info("bridge " .. i, { answered = leg.answered, cause = leg.cause, disposition = leg.disposition })
end
call:hangup()
