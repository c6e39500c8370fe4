-- A whole dial string, as the dialplan would have it.
call:answer()
call:set("continue_on_fail", true)
call:execute("bridge", call.args[1])
log.info("bridge 1", { disposition = call:get("originate_disposition"), cause = call:get("last_bridge_hangup_cause") })
call:hangup()
