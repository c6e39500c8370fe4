call:answer()
for i = 1, 10 do call:set("v" .. i, i) end
call:playback("silence_stream://100")
call:hangup()
