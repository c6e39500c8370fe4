-- The hangup waits behind the music, on the switch.
call:answer()
call:playback("silence_stream://20000", { wait = false })
call:set("x", 1)
call:hangup("USER_BUSY")
