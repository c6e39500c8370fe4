local function calls(appointment)
  local called = test.call { script = "reminder", args = { appointment = appointment or "17" } }
  return called
end

local function status() return sql.open("office"):row("SELECT status FROM appointments WHERE id = 17").status end

describe("reminder", function()
  before_each(function() test.call({ script = "setup" }):ends() end)

  it("is confirmed", function()
    local called = calls()
    called:hears("ivr-appointment_schedule_for.wav")
    called:hears("office/appointment.wav")
    called:press("1")
    called:hears("ivr-thank_you.wav")
    called:ends()
    expect(status()):is("confirmed")
  end)

  it("is said again", function()
    local called = calls()
    called:hears("office/appointment.wav")
    called:press("3")
    called:hears("ivr-appointment_schedule_for.wav")
    called:hears("office/appointment.wav")
    called:press("1")
    called:ends()
    expect(status()):is("confirmed")
  end)

  it("is to be moved, with the desk", function()
    local called = calls()
    called:hears("office/appointment.wav")
    called:press("2")
    called:ends()
    expect(called.dialled):is { "user/1000" }
    expect(status()):is("to be moved")
  end)

  it("is to be moved later when nobody is at the desk", function()
    test.leg("user/1000", "no_answer")
    local called = calls()
    called:hears("office/appointment.wav")
    called:press("2")
    called:hears("ivr-we_will_return_your_call_at_this_number.wav")
    called:ends()
    expect(status()):is("to be moved")
  end)

  it("tells an answering machine where to call", function()
    local called = calls()
    called:hears("ivr-please_return_our_call_at.wav")
    called:hears("+4680000000")
    called:ends()
    expect(status()):is("not heard")
  end)

  it("knows who has hung up", function()
    local called = calls()
    called:hears("ivr-appointment_schedule_for.wav")
    called:hangs_up()
    expect(status()):is("hung up")
  end)

  it("says nothing of an appointment that there is not", function()
    local called = calls("18")
    called:ends()
    expect(called.heard):is {}
    expect(called.cause):is("NORMAL_TEMPORARY_FAILURE")
  end)

  it("calls in vain when the database is gone", function()
    test.database("office", "gone")
    local called = calls()
    called:ends()
    expect(called.cause):is("NORMAL_TEMPORARY_FAILURE")
  end)

  it("has the answer in the log when the database is slow meanwhile", function()
    local called = calls()
    called:hears("office/appointment.wav")
    test.database("office", "slow")
    called:press("1")
    called:ends()
    expect(called.log):contains("an answer was not kept")
  end)
end)
