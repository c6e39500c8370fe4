local function calls()
  local caller = test.call { script = "screening", destination = "1001" }
  caller:hears("ivr-please_state_your_name_and_reason_for_calling.wav")
  return caller
end

describe("screening", function()
  it("connects whose call is accepted", function()
    test.leg("user/1001", { presses = "1", talks = "30s" })
    local caller = calls()
    caller:hears("local_stream://moh")
    caller:ends()
    expect(caller.dialled[1]):is("user/1001")
    expect(caller.seconds):is_above(30)
    expect(caller.executed):lacks("voicemail default example.com 1001")
  end)

  it("tells whose call is refused no more than that nobody is there", function()
    test.leg("user/1001", { presses = "2", talks = "1m" })
    local caller = calls()
    caller:hears("office/nobody.wav")
    caller:ends()
    expect(caller.executed):lacks("voicemail default example.com 1001")
  end)

  it("takes a message when it is to go to the voicemail", function()
    test.leg("user/1001", { presses = "93", talks = "1m" }) -- a wrong key first
    local caller = calls()
    caller:ends()
    expect(caller.executed):contains("voicemail default example.com 1001")
  end)

  it("takes a message when nobody answers", function()
    test.leg("user/1001", "no_answer")
    local caller = calls()
    caller:ends()
    expect(caller.dialled):is { "user/1001" }
    expect(caller.executed):contains("voicemail default example.com 1001")
  end)

  it("takes a message when who is called hangs up without a word", function()
    local caller = calls()
    caller:ends()
    expect(caller.executed):contains("voicemail default example.com 1001")
  end)

  it("calls nobody for who says nothing and hangs up", function()
    local caller = calls()
    caller:hangs_up()
    expect(caller.dialled):is {}
  end)
end)
