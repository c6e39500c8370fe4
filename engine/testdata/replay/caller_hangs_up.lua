call:on("hangup", function(cause) log.info("hook", { cause = cause, q850 = call:get("hangup_cause_q850") }) end)
call:answer()
pcall(function() call:playback("silence_stream://5000") end)
log.info("never logged")
