call:answer()
call:execute("nosuchapp", "x")
log.info("never logged")
