-- The script for calls that no route and no path in the dialplan sends elsewhere.
call:answer()
call:playback("tone_stream://%(250,50,440);%(250,50,660)")
local played, why = call:playback("ivr/ivr-welcome_to_freeswitch.wav")
log.info("welcomed", { caller = call.caller.number, heard = why })
call:hangup()
