call:answer()
call:transfer("answer,sleep:100,hangup:CALL_REJECTED", "inline")
log.info("never")
