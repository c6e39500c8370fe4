-- The caller's name arrives at every application as those bytes.
local name = call.caller.name
call:answer()
local function seen() return call:api("uuid_getvar", call.uuid .. " current_application_data") end
call:set("viaset", name)
call:export("viaexport", name)
call:execute("set", "viaexecute=" .. name)
call:execute("log", "INFO " .. name)
local handle = call:playback("silence_stream://2000," .. name, { wait = false })
call:sleep(1)
log.info("literal", { caller = name, set = call:get("viaset", { fresh = true }), export = call:get("viaexport", { fresh = true }), execute = call:get("viaexecute", { fresh = true }) })
call:hangup()
