local function waits(number, since, tries)
  kv.set("callback:" .. number, { number = number, since = since, tries = tries or 0 })
end

local function calls() return test.call { script = "callback_agent", number = "1001" } end

describe("callback_agent", function()
  it("says when nobody waits", function()
    local agent = calls()
    agent:hears("ivr-no_calls_waiting_in_queue.wav")
    agent:ends()
    expect(agent.dialled):is {}
  end)

  it("finds nobody when the list cannot be read", function()
    test.store("gone")
    local agent = calls()
    agent:hears("ivr-no_calls_waiting_in_queue.wav")
    agent:ends()
  end)

  it("connects who has waited longest, and forgets them when they have talked", function()
    waits("+4611", 200)
    waits("+4622", 100)
    local agent = calls()
    agent:ends()
    expect(agent.dialled):is { "sofia/gateway/carrier/+4622" }
    expect(kv.list("")):is { "callback:+4611" }
  end)

  it("never gives two agents the same caller", function()
    waits("+4611", 100)
    waits("+4622", 200)
    local first, second, third = calls(), calls(), calls()
    third:hears("ivr-no_calls_waiting_in_queue.wav")
    first:ends()
    second:ends()
    expect({ first.dialled[1], second.dialled[1] }):is { "sofia/gateway/carrier/+4611", "sofia/gateway/carrier/+4622" }
  end)

  it("keeps who did not answer, at the end of the line", function()
    test.leg("sofia/*", "busy")
    waits("+4611", 100)
    local agent = calls()
    agent:hears("ivr-user_busy.wav")
    agent:ends()
    expect(kv.get("callback:+4611").tries):is(1)
    expect(kv.get("callback:+4611").since):is_above(100)
    expect(kv.list("calling:")):is {}
  end)

  it("gives up after three attempts", function()
    test.leg("sofia/*", "no_answer")
    waits("+4611", 100, 2)
    local agent = calls()
    agent:hears("ivr-no_user_response.wav")
    agent:ends()
    expect(kv.list("")):is {}
  end)

  it("keeps whose agent hangs up while it rings", function()
    test.leg("sofia/*", "no_answer")
    waits("+4611", 100)
    local agent = calls()
    agent:waits("10s")
    agent:hangs_up()
    expect(kv.list("")):is { "callback:+4611" }
  end)
end)
