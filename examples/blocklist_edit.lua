-- Puts a number on the list of blocklist.lua, or takes it off. For the phones of the house only.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/blocklist_edit async full"/>
-- Try it:   callisto dial blocklist_edit --press 0701234567#@2s
-- Try it:   callisto dial blocklist_edit --hangup 3s
return flow {
  start = "ask",

  ask = flow.gather {
    prompt = "ivr/ivr-enter_number_to_add_to_blacklist.wav", pattern = "[0-9]{5,15}", into = "number",
    tries = 3, invalid = "ivr/ivr-invalid_number_format.wav", next = "change", otherwise = "goodbye",
  },
  change = flow.run {
    to = { "added", "removed", "failed" },
    function(call, data)
      local key = "blocked:" .. data.number
      local added = kv.add(key, { by = call.caller.number, at = os.time() })
      if added then return "added" end
      return added == false and kv.delete(key) and "removed" or "failed"
    end,
  },
  added = flow.playback { "ivr/ivr-number.wav", "ivr/ivr-has_been_added_to_the_blacklist.wav", next = "goodbye" },
  removed = flow.playback { "ivr/ivr-number.wav", "ivr/ivr-has_been_removed_from_blacklist.wav", next = "goodbye" },
  failed = flow.playback { "misc/error.wav", next = "goodbye" },
  goodbye = flow.playback { "voicemail/vm-goodbye.wav", next = "done" },
}
