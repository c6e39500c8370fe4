local queue = "callcenter/support@default"

local function calls(number)
  local caller = test.call { script = "callback", number = number or "+46701234567" }
  caller:hears("ivr-if_you_would_like_us_to_call_back.wav")
  return caller
end

describe("callback", function()
  before_each(function() test.leg(queue, "no_answer") end)

  it("is a queue like any other for who waits", function()
    test.leg(queue, "answers", { answers_after = "30m" })
    local caller = calls()
    caller:ends()
    expect(kv.list("")):is {}
  end)

  it("keeps the turn of who presses 1, at the number of the call", function()
    local caller = calls()
    caller:waits("10m")
    caller:press("1")
    caller:hears("ivr-it_appears_that_your_phone_number_is.wav")
    caller:hears("+46701234567")
    caller:hears("ivr-one_yes_two_no.wav")
    caller:press("1")
    caller:hears("ivr-we_will_return_your_call_at_this_number.wav")
    caller:ends()
    expect(kv.get("callback:+46701234567").number):is("+46701234567")
  end)

  it("takes another number", function()
    local caller = calls()
    caller:waits("1m")
    caller:press("1")
    caller:hears("ivr-one_yes_two_no.wav")
    caller:press("2")
    caller:hears("ivr-please_enter_the_number_where_we_can_reach_you.wav")
    caller:press("0701112233#")
    caller:hears("ivr-you_entered.wav")
    caller:hears("ivr-one_yes_two_no.wav")
    caller:press("1")
    caller:ends()
    expect(kv.list("callback:")):is { "callback:0701112233" }
  end)

  it("asks who is anonymous for a number", function()
    local caller = calls("anonymous")
    caller:waits("1m")
    caller:press("1")
    caller:hears("ivr-please_enter_the_number_where_we_can_reach_you.wav")
    caller:hears("local_stream://moh") -- who enters none waits on
    caller:hangs_up()
  end)

  it("leaves who agrees to nothing in the queue", function()
    local caller = calls()
    caller:waits("1m")
    caller:press("1")
    caller:hears("ivr-one_yes_two_no.wav")
    caller:hears("ivr-one_yes_two_no.wav")
    caller:hears("local_stream://moh")
    caller:hangs_up()
    expect(kv.list("")):is {}
  end)

  it("promises nothing that it cannot keep", function()
    test.store("gone")
    local caller = calls()
    caller:waits("1m")
    caller:press("1")
    caller:hears("ivr-one_yes_two_no.wav")
    caller:press("1")
    caller:hears("local_stream://moh") -- back in the queue
    caller:hangs_up()
  end)

  it("keeps the first place of who asks twice", function()
    kv.set("callback:+46701234567", { number = "+46701234567", since = 1, tries = 0 })
    local caller = calls()
    caller:waits("1m")
    caller:press("1")
    caller:hears("ivr-one_yes_two_no.wav")
    caller:press("1")
    caller:hears("ivr-we_will_return_your_call_at_this_number.wav")
    caller:ends()
    expect(kv.get("callback:+46701234567").since):is(1)
  end)
end)
