-- What an agent dials to call back whoever has waited longest (see callback.lua).
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/callback_agent async full"/>
-- Try it:   callisto dial callback_agent
local function waiting()
  local list = {}
  for _, key in ipairs(kv.list("callback:") or {}) do
    list[#list + 1] = kv.get(key) -- nil if another agent was faster
  end
  table.sort(list, function(a, b) return a.since < b.since end)
  return list
end

-- take returns the first whom no other agent is calling just now.
local function take()
  for _, entry in ipairs(waiting()) do
    if kv.add("calling:" .. entry.number, call.caller.number, { ttl = "4h" }) then return entry end
  end
end

call:answer()
local entry = take()
if not entry then
  call:playback("ivr/ivr-no_calls_waiting_in_queue.wav")
  return
end

-- Once the two talk it is done. Until then the entry stays, whatever happens: this call may end at any moment.
call:on("bridge", function() kv.delete("callback:" .. entry.number) end)
call:on("hangup", function() kv.delete("calling:" .. entry.number) end)

call:playback("ivr/ivr-please_hold_while_party_contacted.wav")
local leg = call:bridge("sofia/gateway/carrier/" .. entry.number, { ring = "30s", caller_id_number = "+4680000000" })
if leg.answered then return end

entry.tries, entry.since = entry.tries + 1, os.time() -- to the end of the line, three times
if entry.tries < 3 then
  kv.set("callback:" .. entry.number, entry, { ttl = "48h" })
else
  kv.delete("callback:" .. entry.number)
  log.warn("could not be reached", { number = entry.number, cause = leg.cause })
end
call:playback(leg.cause == "USER_BUSY" and "ivr/ivr-user_busy.wav" or "ivr/ivr-no_user_response.wav")
