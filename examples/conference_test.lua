local function calls() return test.call { script = "conference" } end

describe("conference", function()
  it("has a room for each PIN", function()
    for pin, room in pairs { ["4711"] = "sales", ["0815"] = "support" } do
      local caller = calls()
      caller:hears("conf-enter_conf_pin.wav")
      caller:press(pin .. "#")
      caller:waits("1s")
      expect(caller.executed):contains("conference " .. room .. "@default")
      caller:hangs_up()
    end
  end)

  it("says goodbye to who leaves it", function()
    for _, pin in ipairs { "4711", "0815" } do
      local caller = calls()
      caller:hears("conf-enter_conf_pin.wav")
      caller:press(pin .. "#")
      caller:waits("1m")
      caller:press("#")
      caller:hears("conf-goodbye.wav")
      caller:ends()
    end
  end)

  it("forgives two wrong PINs", function()
    local caller = calls()
    for _ = 1, 2 do
      caller:hears("conf-enter_conf_pin.wav")
      caller:press("1234#")
      caller:hears("conf-bad-pin.wav")
    end
    caller:hears("conf-enter_conf_pin.wav")
    caller:press("4711#")
    caller:waits("1s")
    expect(caller.executed):contains("conference sales@default")
  end)

  it("ends the call after three", function()
    local caller = calls()
    for _ = 1, 3 do
      caller:hears("conf-enter_conf_pin.wav")
      caller:press("1234#")
    end
    caller:hears("conf-goodbye.wav")
    caller:ends()
    expect(caller.executed):lacks("conference sales@default")
  end)

  it("does not wait for ever for a PIN", function()
    local caller = calls()
    caller:hears("conf-goodbye.wav")
    caller:ends()
  end)
end)
