describe("setup", function()
  it("makes the tables, and leaves what is in them", function()
    test.call({ script = "setup" }):ends()
    local db = sql.open("office")
    db:exec("UPDATE appointments SET status = 'confirmed'")
    test.call({ script = "setup" }):ends()
    expect(db:row("SELECT id, status FROM appointments")):is { id = 17, status = "confirmed" }
  end)

  it("says what is wrong with the database", function()
    test.database("office", "gone")
    test.call({ script = "setup" }):fails("refused")
  end)
end)
