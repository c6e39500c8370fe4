-- When the office is open. For require: it takes no calls itself.
local hours = {}

-- open tells whether the office is open now, and if not when it opens next.
function hours.open()
  return time.open("mon-fri 09:00-17:00; 12-24 closed", { zone = "Europe/Stockholm" })
end

return hours
