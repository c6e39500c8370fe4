local function calls() return test.call { script = "survey", number = "+46701234567" } end

local function answers()
  return sql.open("office"):query("SELECT number, recommend, friendly, comment FROM answers")
end

describe("survey", function()
  before_each(function() test.call({ script = "setup" }):ends() end)

  it("keeps the answers", function()
    local caller = calls()
    caller:hears("office/recommend.wav")
    caller:press("5")
    caller:hears("office/friendly.wav")
    caller:press("4")
    caller:hears("tone_stream://%(250,0,1000)")
    caller:hears("ivr-thank_you.wav") -- three seconds of silence are no comment
    caller:ends()
    expect(answers()):is { { number = "+46701234567", recommend = 5, friendly = 4 } }
  end)

  for _, ends in ipairs { "#", "hangup" } do
    it("keeps where the comment is that ends with " .. ends, function()
      local caller = calls()
      caller:hears("tone_stream://%(250,0,1000)")
      caller:waits("2500ms")
      if ends == "#" then
        caller:press("#")
        caller:hears("ivr-thank_you.wav")
        caller:ends()
      else
        caller:hangs_up()
      end
      expect(answers()):is { { number = "+46701234567", comment = caller.recorded[1] } }
    end)
  end

  it("asks again after a key that is no answer, and goes on without one", function()
    local caller = calls()
    caller:hears("office/recommend.wav")
    caller:press("9")
    caller:hears("ivr-that_was_an_invalid_entry.wav")
    caller:hears("office/recommend.wav")
    caller:hears("office/friendly.wav")
    caller:press("3")
    caller:ends()
    expect(answers()):is { { number = "+46701234567", friendly = 3 } }
  end)

  it("keeps what there is of who hangs up half-way", function()
    local caller = calls()
    caller:hears("office/recommend.wav")
    caller:press("1")
    caller:hears("office/friendly.wav")
    caller:hangs_up()
    expect(answers()):is { { number = "+46701234567", recommend = 1 } }
  end)

  for _, how in ipairs { "gone", "slow", "nonsense" } do
    it("has the answers in the log when the database is " .. how, function()
      test.database("office", how)
      local caller = calls()
      caller:hears("office/recommend.wav")
      caller:press("1")
      caller:hears("ivr-thank_you.wav")
      caller:ends()
      expect(caller.log):contains("answers were not kept")
    end)
  end
end)
