-- Keeps account of a call: what it was about while it goes on, what it came to when it is over.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/record async full account=42"/>
-- Try it:   callisto dial record account=42 --name '${hostname}'
-- Try it:   callisto dial record account=42 --hangup 3s
call:on("hangup", function(cause)
  -- The channel's variables are final here.
  log.info("call record", {
    account = call:get("account"), seconds = call:get("billsec"), cause = cause,
  })
end)

-- What a caller can choose goes into variables as it is. Only expand asks for expansion.
call:set { account = call.args.account or "none", said_to_be = call.caller.name }
call:set("seen_by", expand "${hostname}")
call:export("account", call:get("account")) -- the legs of a bridge get it too

call:answer()
log.info("recorded", { name = call:get("said_to_be"), host = call:get("seen_by") })
call:playback("ivr/ivr-welcome_to_freeswitch.wav", { loops = 10 })
