-- What emergency.lua obeys. Save it with on = true, and every call from then on hears the announcement.
return {
  on = false,
  file = "office/emergency.wav", -- "Our telephones are out of order today. We are working on it."
}
