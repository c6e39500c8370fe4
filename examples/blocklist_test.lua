local function calls(number)
  local caller = test.call { script = "blocklist", number = number, destination = "1000" }
  caller:ends()
  return caller
end

describe("blocklist", function()
  it("lets callers pass", function()
    local caller = calls("+46701234567")
    expect(caller.transferred):is("1000")
    expect(caller.answered):is(false)
  end)

  it("refuses who is listed, without answering", function()
    kv.set("blocked:+46701234567", true)
    local caller = calls("+46701234567")
    expect(caller.cause):is("CALL_REJECTED")
    expect(caller.answered):is(false)
  end)

  for _, how in ipairs { "gone", "slow" } do
    it("lets everybody pass when the list is " .. how, function()
      kv.set("blocked:+46701234567", true)
      test.store(how)
      expect(calls("+46701234567").transferred):is("1000")
    end)
  end

  it("refuses all numbers that cost", function()
    expect(calls("+469001234").cause):is("CALL_REJECTED")
  end)

  it("tells who is anonymous why", function()
    local caller = test.call { script = "blocklist", number = "anonymous", destination = "1000" }
    caller:hears("ivr-not_accept_anonymous_calls.wav")
    caller:ends()
    expect(caller.transferred):is(nil)
  end)

  it("takes who sends no number for anonymous, and lets them hang up", function()
    local caller = test.call { script = "blocklist", name = "Nobody" }
    caller:hears("ivr-not_accept_anonymous_calls.wav")
    caller:hangs_up()
  end)
end)
