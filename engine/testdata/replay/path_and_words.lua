call:answer()
log.info("words", { lang = call.args.lang, tenant = call.args.tenant, odd = call:get("arr"), mixed = call:get("MixedCase"), multi = call:get("multi") })
call:hangup()
