local server = "https://billing.example.com/accounts/"

local function asks(account)
  local caller = test.call { script = "balance" }
  caller:hears("ivr-account_number.wav")
  caller:press(account .. "#")
  return caller
end

describe("balance", function()
  it("is told", function()
    test.http("GET", server .. "123456", { json = { balance = 12.5 } })
    local caller = asks("123456")
    caller:hears("ivr-account_balance_is.wav")
    caller:hears("12.5")
    caller:hears("vm-goodbye.wav")
    caller:ends()
    expect(test.requests()[1].headers.Authorization):is("Bearer secret")
  end)

  it("is for another account after a mistake", function()
    test.http("GET", server .. "*", { status = 404 })
    test.http("GET", server .. "654321", { json = { balance = 0 } })
    local caller = asks("123456")
    caller:hears("ivr-that_was_an_invalid_entry.wav")
    caller:hears("ivr-account_number.wav")
    caller:press("654321#")
    caller:hears("ivr-account_balance_is.wav")
    caller:ends()
  end)

  it("is for the operator after three accounts that there are not", function()
    test.http("GET", server .. "*", { status = 404 })
    local caller = asks("111111")
    for _ = 1, 2 do
      caller:hears("ivr-account_number.wav")
      caller:press("222222#")
    end
    caller:ends()
    expect(caller.dialled):is { "user/1000" }
    expect(#test.requests()):is(3)
  end)

  it("is for the operator when nothing is entered", function()
    local caller = test.call { script = "balance" }
    caller:ends()
    expect(caller.dialled):is { "user/1000" }
  end)

  for name, answer in pairs {
    ["is gone"] = "gone", ["is slow"] = "slow", ["answers nonsense"] = "nonsense", ["fails"] = { status = 500 },
    ["answers something else"] = { body = "<html>" }, ["has no balance"] = { json = {} }, ["has a balance of words"] = { json = { balance = "much" } },
  } do
    it("is for the operator when the server " .. name, function()
      test.leg("user/1000", "busy")
      test.http("GET", server .. "*", answer)
      local caller = asks("123456")
      caller:hears("office/nobody.wav")
      caller:ends()
      expect(caller.dialled):is { "user/1000" }
      expect(caller.seconds):is_below(20)
    end)
  end

  it("lets the caller hang up while the server thinks", function()
    test.http("GET", server .. "*", "slow")
    local caller = asks("123456")
    caller:hears("ivr-one_moment_please.wav")
    caller:waits("2s")
    caller:hangs_up()
    expect(caller.dialled):is {}
  end)
end)
