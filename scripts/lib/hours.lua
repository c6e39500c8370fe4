-- When the office is open. For require: it takes no calls itself.
local hours = {}

local opens, closes = 9, 17 -- Monday to Friday

-- open tells whether the office is open at a time as os.date("*t") gives it.
function hours.open(time)
  local weekend = time.wday == 1 or time.wday == 7
  return not weekend and time.hour >= opens and time.hour < closes
end

return hours
