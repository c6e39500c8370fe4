-- Makes the tables of the examples that use a database, with a row or two. Nobody calls it but you, once:
--
-- Try it:   callisto dial setup
local db = sql.open("office")
local done, why = db:transaction(function(tx)
  tx:exec "CREATE TABLE IF NOT EXISTS greetings (number TEXT PRIMARY KEY, file TEXT NOT NULL, extension TEXT NOT NULL)"
  tx:exec "INSERT OR REPLACE INTO greetings VALUES ('9000', 'ivr/ivr-good_morning.wav', '1001')"

  tx:exec [[CREATE TABLE IF NOT EXISTS answers (call TEXT PRIMARY KEY, number TEXT NOT NULL,
    recommend INTEGER, friendly INTEGER, comment TEXT)]]

  tx:exec "CREATE TABLE IF NOT EXISTS appointments (id INTEGER PRIMARY KEY, at INTEGER NOT NULL, status TEXT, asked TEXT)"
  tx:exec("INSERT OR IGNORE INTO appointments (id, at) VALUES (17, ?)", time.date { day = time.now().day + 1, hour = 9 }.unix)
end)
if not done then error(why) end
log.info("the tables are there")
