-- Every hostile text arrives at every application as those bytes; see TestLive.
local hostile = require "hostile"
table.insert(hostile, call.caller.name)
call:answer()
for i, text in ipairs(hostile) do
  call:set("viaset", text)
  call:export("viaexport", text)
  call:execute("log", "DEBUG " .. text)
  log.info("literal", {
    nr = i,
    log = call:api("uuid_getvar", call.uuid .. " current_application_data"),
    set = call:get("viaset", { fresh = true }),
    export = call:get("viaexport", { fresh = true }),
  })
end
call:set("plain", "${hostname}")
call:set("expanded", expand "${hostname}")
log.info("expand", { plain = call:get("plain"), expanded = call:get("expanded") ~= "${hostname}" and call:get("expanded") ~= nil })
log.info("done", { caller = call.caller.name })
call:hangup()
