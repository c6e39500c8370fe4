-- What callers of the main number should find. Run it with: callisto test

-- 2026-11-23 is a Monday.
local function call_at(time) return test.call { script = "main", time = "2026-11-23 " .. time .. " Europe/Stockholm" } end

describe("while somebody is there", function()
  it("rings sales for 1", function()
    local caller = call_at("10:00")
    caller:hears("ivr-welcome.wav")
    caller:hears("ivr-enter_destination_telephone_number.wav")
    caller:press("1")
    caller:ends()
    expect(caller.dialled):is { "user/1001" }
  end)

  it("rings the next phone of support where one is busy", function()
    test.leg("user/1002", "busy")
    local caller = call_at("10:00")
    caller:hears("ivr-enter_destination_telephone_number.wav")
    caller:press("2")
    caller:ends()
    expect(caller.dialled):is { "user/1002", "user/1003" }
  end)

  it("thanks the caller where nobody answers", function()
    test.leg("user/*", "no_answer")
    for minute, key in ipairs { "1", "2" } do
      local caller = call_at("10:0" .. minute)
      caller:hears("ivr-enter_destination_telephone_number.wav")
      caller:press(key)
      caller:hears("ivr-thank_you_for_calling.wav")
      caller:ends()
    end
  end)

  it("gives who presses nothing to support", function()
    local caller = call_at("10:00")
    caller:ends()
    expect(caller.dialled):is { "user/1002" }
  end)
end)

describe("while nobody is there", function()
  it("says so, and rings nobody", function()
    local caller = call_at("17:00")
    caller:hears("ivr-no_user_available.wav")
    caller:ends()
    expect(caller.dialled):is {}
  end)
end)
