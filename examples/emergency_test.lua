local function calls(args)
  return test.call { script = "emergency", args = args, destination = "1000" }
end

describe("emergency", function()
  it("puts callers through while it is switched off", function()
    local caller = calls()
    caller:ends()
    expect(caller.transferred):is("1000")
    expect(caller.answered):is(false)
  end)

  it("plays the announcement, and puts through who insists", function()
    local caller = calls { test = "yes" }
    caller:hears("office/emergency.wav")
    caller:press("1")
    caller:ends()
    expect(caller.transferred):is("1000")
  end)

  it("says it twice, then goodbye", function()
    local caller = calls { test = "yes" }
    caller:hears("office/emergency.wav")
    caller:hears("office/emergency.wav")
    caller:hears("ivr-thank_you_for_calling.wav")
    caller:ends()
    expect(caller.transferred):is(nil)
  end)

  it("lets the caller hang up", function()
    local caller = calls { test = "yes" }
    caller:hears("office/emergency.wav")
    caller:hangs_up()
  end)
end)
