call:on("hangup", function(cause) log.info("hook", { cause = cause }) end)
call:answer()
call:sleep(50) -- what was posted has arrived
log.info("answered")
call:playback("silence_stream://20000")
log.info("never")
