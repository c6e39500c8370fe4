local function edits(number)
  local caller = test.call { script = "blocklist_edit", number = "1001" }
  caller:hears("ivr-enter_number_to_add_to_blacklist.wav")
  if number then caller:press(number .. "#") end
  return caller
end

describe("blocklist_edit", function()
  it("lists a number, and takes it off the next time", function()
    local caller = edits("0701234567")
    caller:hears("ivr-has_been_added_to_the_blacklist.wav")
    caller:ends()
    expect(kv.get("blocked:0701234567").by):is("1001")

    caller = edits("0701234567")
    caller:hears("ivr-has_been_removed_from_blacklist.wav")
    caller:ends()
    expect(kv.get("blocked:0701234567")):is(nil)
  end)

  it("takes no half number", function()
    local caller = edits("070")
    caller:hears("ivr-invalid_number_format.wav")
    caller:hears("ivr-enter_number_to_add_to_blacklist.wav")
    caller:hangs_up()
    expect(kv.list("")):is {}
  end)

  it("says so when the list cannot be changed", function()
    test.store("gone")
    local caller = edits("0701234567")
    caller:hears("misc/error.wav")
    caller:ends()
  end)

  it("says goodbye to who enters nothing", function()
    edits():hears("vm-goodbye.wav")
  end)
end)
