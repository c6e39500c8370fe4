-- Also for the modes with fewer words, and for SIP: the same small call.
call:on("hangup", function(cause) log.info("hook", { cause = cause, q850 = call:get("hangup_cause_q850") }) end)
call:answer()
call:set("greeting", call.args.greeting or "hello world")
local played, reason = call:playback("silence_stream://300")
log.info("heard", { played = played, reason = reason, ms = call:get("playback_ms"), greeting = call:get("greeting") })
call:hangup("USER_BUSY")
