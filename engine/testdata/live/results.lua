-- What the caller got, verb by verb.
call:on("hangup", function(cause) log.info("hook", { cause = cause }) end)
call:answer()
call:set("greeting", "hello world")
local played, why = call:playback("silence_stream://200")
log.info("heard", { played = played, why = why, greeting = call:get("greeting"), caller = call.caller.name })
log.info("missing", { why = select(2, call:playback("/nosuch/file.wav")) })
call:hangup("USER_BUSY")
