-- 2026-11-23 is a Monday.
local function calls(time) return test.call { script = "attendant", time = (time or "2026-11-23 10:00") .. " Europe/Stockholm" } end

describe("attendant, while the office is open", function()
  it("rings both phones of sales, and the first to answer gets the call", function()
    local caller = calls()
    caller:hears("ivr-sales.wav")
    caller:press("1")
    caller:ends()
    expect(caller.dialled):is { "user/1001", "user/1002" }
  end)

  it("tries the phones of support one after the other", function()
    test.leg("user/1003", "busy")
    local caller = calls()
    caller:press("2")
    caller:ends()
    expect(caller.dialled):is { "user/1003", "user/1004" }
  end)

  for key, dialled in pairs { ["1"] = { "user/1001", "user/1002", "user/1000" }, ["2"] = { "user/1003", "user/1004", "user/1000" } } do
    it("gives who presses " .. key .. " and finds nobody to the operator, then to the voicemail", function()
      test.leg("user/*", "no_answer")
      local caller = calls()
      caller:press(key)
      caller:ends()
      expect(caller.dialled):is(dialled)
      expect(caller.executed):contains("voicemail default example.com 1000")
    end)
  end

  it("calls the extension that was dialled", function()
    local caller = calls()
    caller:press("3")
    caller:hears("ivr-enter_ext_pound.wav")
    caller:press("1007")
    caller:ends()
    expect(caller.dialled):is { "user/1007" }
  end)

  it("takes a message for an extension where nobody answers", function()
    test.leg("user/1007", "busy")
    local caller = calls()
    caller:press("3")
    caller:hears("ivr-enter_ext_pound.wav")
    caller:press("1007")
    caller:ends()
    expect(caller.executed):contains("voicemail default example.com 1007")
  end)

  it("knows no extension outside the house", function()
    local caller = calls()
    caller:press("3")
    for _ = 1, 3 do
      caller:hears("ivr-enter_ext_pound.wav")
      caller:press("9999")
      caller:hears("ivr-that_was_an_invalid_entry.wav")
    end
    caller:ends()
    expect(caller.dialled):is { "user/1000" }
  end)

  it("gives who presses 0 to the operator", function()
    local caller = calls()
    caller:press("0")
    caller:ends()
    expect(caller.dialled):is { "user/1000" }
  end)

  it("gives who presses nothing to the operator", function()
    local caller = calls()
    caller:ends()
    expect(caller.dialled):is { "user/1000" }
  end)
end)

describe("attendant, while the office is closed", function()
  for _, time in ipairs { "2026-11-22 10:00", "2026-11-23 08:29", "2026-11-27 15:00", "2026-12-24 12:01", "2026-12-25 10:00" } do
    it("takes a message at " .. time, function()
      local caller = calls(time)
      caller:hears("office/closed.wav")
      caller:ends()
      expect(caller.executed):contains("voicemail default example.com 1000")
    end)
  end

  it("lets the caller hang up", function()
    local caller = calls("2026-11-22 10:00")
    caller:hears("office/closed.wav")
    caller:hangs_up()
    expect(caller.ending):is("caller hung up")
  end)
end)
