local function calls() return test.call { script = "ringgroup" } end

describe("ring group", function()
  it("connects the first of the group to answer", function()
    test.leg("user/1002", "answers", { answers_after = "1s" })
    local caller = calls()
    caller:ends()
    expect(caller.dialled):is { "user/1001", "user/1002", "user/1003" }
    expect(caller.played):is {} -- but the ringing
  end)

  it("rings the deputy and the mobile phone when nobody of the group answers", function()
    test.leg("user/100*", "no_answer")
    local caller = calls()
    caller:hears("ivr-stay_on_line_call_answered_momentarily.wav")
    caller:ends()
    expect(caller.dialled):contains("user/1010")
    expect(caller.dialled):contains("sofia/gateway/carrier/+46701234567")
  end)

  it("does not wait when all are busy", function()
    test.leg("user/100*", "busy")
    local caller = calls()
    caller:hears("ivr-stay_on_line_call_answered_momentarily.wav", { within = "3s" })
    caller:hangs_up()
  end)

  it("takes a message when nobody answers at all", function()
    test.leg("user/*", "no_answer")
    test.leg("sofia/*", "GATEWAY_DOWN")
    local caller = calls()
    caller:ends()
    expect(caller.executed):contains("voicemail default example.com 1001")
    expect(caller.seconds):is_above(35)
  end)

  it("rings no more when the caller hangs up", function()
    test.leg("user/*", "no_answer")
    local caller = calls()
    caller:waits("5s")
    caller:hangs_up()
    expect(#caller.dialled):is(3)
  end)
end)
