local function calls(number) return test.call { script = "greeting", destination = number } end

describe("greeting", function()
  before_each(function() test.call({ script = "setup" }):ends() end)

  it("is that of the number, and so is the phone that rings", function()
    local caller = calls("9000")
    caller:hears("ivr-good_morning.wav")
    caller:ends()
    expect(caller.dialled):is { "user/1001" }
  end)

  it("is another as soon as the table says so", function()
    sql.open("office"):exec("INSERT INTO greetings VALUES ('9001', 'office/hello.wav', '1005')")
    local caller = calls("9001")
    caller:hears("office/hello.wav")
    caller:ends()
    expect(caller.dialled):is { "user/1005" }
  end)

  it("is the usual one for other numbers, whatever they hold", function()
    local caller = calls("' OR 1=1 --")
    caller:hears("ivr-welcome.wav")
    caller:ends()
    expect(caller.dialled):is { "user/1000" }
  end)

  for _, how in ipairs { "gone", "slow", "nonsense" } do
    it("is the usual one when the database is " .. how, function()
      test.database("office", how)
      local caller = calls("9000")
      caller:hears("ivr-welcome.wav", { within = "4s" })
      caller:ends()
      expect(caller.dialled):is { "user/1000" }
    end)
  end

  it("is followed by the voicemail when nobody answers", function()
    test.leg("user/*", "busy")
    local caller = calls("9000")
    caller:ends()
    expect(caller.executed):contains("voicemail default example.com 1001")
  end)

  it("ends when the caller hangs up", function()
    local caller = calls("9000")
    caller:hears("ivr-good_morning.wav")
    caller:hangs_up()
    expect(caller.dialled):is {}
  end)
end)
