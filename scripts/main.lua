-- The script of every call that neither its dialplan nor a route sends elsewhere.
call:on("hangup", function(cause) log.info("goodbye", { cause = cause }) end)

call:answer()
call:playback("tone_stream://%(250,50,440);%(250,50,660)")
local _, why = call:playback("ivr/ivr-welcome_to_freeswitch.wav")
log.info("welcomed", { caller = call.caller.number, heard = why })
