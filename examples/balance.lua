-- Tells callers the balance of their account, which a web server knows.
--
-- It asks GET https://billing.example.com/accounts/NUMBER for { "balance": 12.50 }, with the token of config.toml.
--
-- Dialplan: <action application="socket" data="127.0.0.1:8084/balance async full"/>
-- Try it:   callisto dial balance --press 123456#@2s --leg user/1000=busy
-- Try it:   callisto dial balance --press 12#@2s --hangup 8s
return flow {
  start = "ask",

  ask = flow.gather {
    prompt = { "ivr/ivr-please_enter_the.wav", "ivr/ivr-account_number.wav", "ivr/ivr-followed_by_pound.wav" },
    pattern = "[0-9]{6,10}", invalid = "ivr/ivr-that_was_an_invalid_entry.wav", tries = 3,
    into = "account", next = "patience", otherwise = "operator",
  },
  patience = flow.playback { "ivr/ivr-one_moment_please.wav", next = "fetch" },
  fetch = flow.http {
    "https://billing.example.com/accounts/{account}",
    auth = { bearer = "{config.billing_token}" }, timeout = "5s", retries = 1,
    into = { balance = "balance" },
    next = "known", missing = "unknown", failed = "sorry",
  },
  unknown = flow.run {
    to = { "again", "operator" },
    function(_, data)
      data.unknown = (data.unknown or 0) + 1 -- nobody tries all the numbers
      return data.unknown < 3 and "again" or "operator"
    end,
  },
  again = flow.playback { "ivr/ivr-that_was_an_invalid_entry.wav", next = "ask" },

  -- An answer may be anything. Only a number can be told.
  known = flow.branch { on = "balance", at_least = { [-1000000] = "tell" }, otherwise = "sorry" },
  tell = flow.playback { "ivr/ivr-account_balance_is.wav", next = "amount" },
  amount = flow.say { "{balance}", "currency", next = "goodbye" },
  goodbye = flow.playback { "voicemail/vm-goodbye.wav", next = "done" },

  sorry = flow.playback { "ivr/ivr-im_sorry.wav", "ivr/ivr-one_moment_please.wav", next = "operator" },
  operator = flow.bridge { "user/1000", ring = "25s", answered = "done", otherwise = "nobody" },
  nobody = flow.playback { "office/nobody.wav", next = "done" }, -- "Nobody can take your call now. Please call again later."
}
