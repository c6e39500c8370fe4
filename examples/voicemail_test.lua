local function speaks(seconds, args)
  local caller = test.call { script = "voicemail", name = "Ada", number = "+46701234567", destination = "1001", args = args }
  caller:hears("vm-record_message.wav")
  caller:hears("tone_stream://%(250,0,1000)") -- the beep
  caller:waits(seconds .. "s")
  return caller
end

describe("voicemail", function()
  it("mails what was said by who hangs up then", function()
    speaks(5, { to = "ada@example.com" }):hangs_up()
    local mail = test.mails()[1]
    expect(mail.to):is { "ada@example.com" }
    expect(mail.subject):is("A message of 4 seconds")
    expect(mail.text):is("Ada, +46701234567, has called 1001.")
    expect(mail.attachments):is(1)
  end)

  it("thanks who presses a key", function()
    local caller = speaks(5)
    caller:press("#")
    caller:hears("ivr-thank_you.wav")
    caller:ends()
    expect(test.mails()[1].to):is { "reception@example.com" }
  end)

  it("mails nothing where nothing was said", function()
    speaks(1):hangs_up()
    local caller = test.call { script = "voicemail" } -- who hangs up before the tone
    caller:waits("500ms")
    caller:hangs_up()
    expect(test.mails()):is {}
  end)

  it("mails no silence", function()
    local caller = speaks(0)
    caller:hears("ivr-thank_you.wav")
    caller:ends()
    expect(test.mails()):is {}
  end)

  it("says in the log where the recording is when it cannot be mailed", function()
    test.mail_server("gone")
    local caller = speaks(5)
    caller:hangs_up()
    expect(caller.log):contains("a message was not mailed, its recording is still there")
  end)

  it("does not wait for ever for the mail server", function()
    test.mail_server("slow")
    local caller = speaks(5)
    caller:hangs_up()
    expect(caller.log):contains("a message was not mailed, its recording is still there")
  end)
end)
