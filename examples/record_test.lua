describe("record", function()
  it("says what the call came to, with the final variables", function()
    local caller = test.call { script = "record", args = { account = "42" } }
    caller:waits("3s")
    expect(caller.log):is { "recorded" }
    caller:hangs_up()
    expect(caller.log):is { "recorded", "call record" }
    expect(caller.vars.account):is("42")
  end)

  it("takes what callers are called as it is", function()
    local caller = test.call { script = "record", name = "${system(reboot)}" }
    caller:waits("1s")
    expect(caller.vars.said_to_be):is("${system(reboot)}")
    caller:hangs_up()
  end)
end)
