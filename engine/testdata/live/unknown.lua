call:answer()
call:execute("nosuchapplication", "x")
log.info("never")
