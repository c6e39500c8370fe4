package luabind

import (
	"context"
	"net/mail"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// maxSubject is the longest subject, in bytes: a line of a message has 998.
const maxSubject = 900

var mailModule = &Module{
	Name: "mail",
	Doc: "`mail` sends e-mail by way of the server that `mail.server` in the configuration names.\n\n" +
		"```lua\n" +
		`local sent, why = mail.send{
  to = "Ada Example <ada@example.com>", from = "switchboard@example.com",
  subject = "A call from " .. call.caller.number,
  text = "Somebody called, and nobody answered.",
}
if not sent then log.error("the mail was not sent", { why = why }) end
` + "```\n\n" +
		"The result says which recipients the server has refused; where it has refused all of them, or the message, " +
		"and where there is no server, it is nil and why:\n\n" +
		"| why | what happened |\n|---|---|\n" +
		"| `rejected: …` | the server does not take it, and says why: `550 no such user` |\n" +
		"| `timeout` | it took longer than `timeout`, or `mail.timeout` in the configuration |\n" +
		"| `refused`, `unreachable: …`, `unknown host: …` | there is no server there |\n" +
		"| `lost` | the connection ended: the mail has most likely not been sent |\n" +
		"| `bad answer: …`, `bad certificate: …` | it is no mail server, or not the one that was asked for |\n" +
		"| `no file: …` | there is no such file to attach, below `mail.attachments` in the configuration |\n" +
		"| `too large` | the message is larger than `mail.max_size` in the configuration |\n" +
		"| `stopped` | a handler of the call has ended the wait |\n\n" +
		"In a hangup handler a mail has the time that all handlers have, `limits.hangup`: with recordings to attach, allow for more " +
		"than the default, or let a mail server nearby take them.",
	Functions: []Verb{{
		Name: "send",
		Options: []Param{
			{Name: "to", Type: Texts, Doc: "an address such as `ada@example.com` or `Ada <ada@example.com>`, or a list of them"},
			{Name: "cc", Type: Texts, Doc: "who gets a copy, likewise"},
			{Name: "bcc", Type: Texts, Doc: "who gets a copy that the others do not know of"},
			{Name: "from", Type: String, Doc: "the sender; `mail.from` in the configuration if left out"},
			{Name: "reply_to", Type: String, Doc: "who gets the answers"},
			{Name: "subject", Type: String, Doc: "one line"},
			{Name: "text", Type: String, Doc: "the message"},
			{Name: "html", Type: String, Doc: "the same in HTML: escape what has come from a caller"},
			{Name: "attachments", Type: Table, Doc: "a list of `{ name =, data = }` or `{ file = }`, each with `name` and `type`, such as audio/x-wav, where they " +
				"are not to be guessed; a file lies below `mail.attachments` in the configuration"},
			{Name: "timeout", Type: Duration, Doc: "for all of it; `mail.timeout` in the configuration if left out"},
		},
		Results: []Result{{"sent", "Sent?", "what became of it; nil when it was not sent"}, {"why", "string?", "why not"}},
		Doc:     "Sends a mail, and returns once the server has taken it.",
		run:     sendMail,
	}},
	Shapes: []*Shape{{"Sent", "what mail.send returns", []Field{
		{"id", "string", "The Message-ID."},
		{"refused", "table", "Who does not get it: a list of { address =, why = }, empty where all do."},
	}}},
	Outside: true,
}

func sendMail(c *Call, L *lua.LState, a args) int {
	m := MailMessage{To: a.mailboxes("to"), Cc: a.mailboxes("cc"), Bcc: a.mailboxes("bcc"),
		From: a.mailbox("from"), ReplyTo: a.mailbox("reply_to")}
	m.Subject, _ = a.optString("subject")
	m.Text, _ = a.optString("text")
	m.HTML, _ = a.optString("html")
	m.Timeout, _ = a.optDuration("timeout")
	switch {
	case len(m.To)+len(m.Cc)+len(m.Bcc) == 0:
		a.fail("it needs a recipient: to, cc or bcc")
	case !isHeaderValue(m.Subject):
		a.fail("option `subject` holds a line break or another control character: %s", describe(lua.LString(m.Subject)))
	case len(m.Subject) > maxSubject:
		a.fail("option `subject` is longer than %d bytes", maxSubject)
	}
	if v, ok := a.option("attachments"); ok {
		m.Attachments = a.attachments(v.(*lua.LTable))
	}
	if c.env.Services == nil || c.env.Services.Mail == nil {
		a.fail("there is no mail server: set mail.server in config.toml")
	}
	var receipt *MailReceipt
	err := c.outside(L, 0, func(ctx context.Context) (err error) {
		receipt, err = c.env.Services.Mail.Send(ctx, m)
		return err
	})
	if err != nil {
		return failure(L, err)
	}
	refused := L.CreateTable(len(receipt.Refused), 0)
	for _, r := range receipt.Refused {
		t := L.CreateTable(0, 2)
		t.RawSetString("address", lua.LString(r.Address))
		t.RawSetString("why", lua.LString(r.Why))
		refused.Append(t)
	}
	t := L.CreateTable(0, 2)
	t.RawSetString("id", lua.LString(receipt.ID))
	t.RawSetString("refused", refused)
	L.Push(t)
	return 1
}

// mailbox is an option that holds an address, or nil. That of a recipient is the server's to judge; one of ours is to be
// right.
func (a args) mailbox(option string) *mail.Address {
	text, ok := a.optString(option)
	if !ok {
		return nil
	}
	address, err := mail.ParseAddress(text)
	if err != nil || !isHeaderValue(text) || len(text) > maxSubject {
		a.fail("option `%s` is no address: %s", option, describe(lua.LString(text)))
	}
	return address
}

func (a args) mailboxes(option string) []string {
	v, ok := a.option(option)
	if !ok {
		return nil
	}
	var list []string
	for i, t := range texts(v) {
		if t.expands() {
			a.fail("option `%s`: entry %d: there is nothing to expand here", option, i+1)
		}
		list = append(list, t.text())
	}
	return list
}

func (a args) attachments(list *lua.LTable) []MailAttachment {
	var all []MailAttachment
	n := list.Len()
	list.ForEach(func(key, _ lua.LValue) {
		if i, ok := key.(lua.LNumber); !ok || float64(i) < 1 || int(i) > n {
			a.fail("option `attachments` is a list: { { name = \"a.txt\", data = \"…\" }, { file = \"b.wav\" } }")
		}
	})
	for i := 1; i <= n; i++ {
		t, ok := list.RawGetInt(i).(*lua.LTable)
		if !ok {
			a.fail("option `attachments`: entry %d must be a table such as { name = \"a.txt\", data = \"…\" }, not %s", i, describe(list.RawGetInt(i)))
		}
		given := map[string]string{}
		t.ForEach(func(key, value lua.LValue) {
			name := key.String()
			text, ok := wordOf(value)
			switch {
			case name != "name" && name != "data" && name != "file" && name != "type":
				a.fail("option `attachments`: entry %d has an unknown `%s`%s", i, name, didYouMean(name, []string{"name", "data", "file", "type"}))
			case !ok:
				a.fail("option `attachments`: entry %d: `%s` must be a string, not %s", i, name, describe(value))
			case name != "data" && (!isHeaderValue(text) || text == ""):
				a.fail("option `attachments`: entry %d: `%s` is empty or holds a line break or another control character", i, name)
			}
			given[name] = text
		})
		_, data := given["data"]
		_, file := given["file"]
		switch {
		case data == file:
			a.fail("option `attachments`: entry %d has either data or a file", i)
		case data && given["name"] == "":
			a.fail("option `attachments`: entry %d has no name", i)
		case strings.ContainsAny(given["name"], `/\`):
			a.fail("option `attachments`: entry %d: the name holds a slash: %s", i, describe(lua.LString(given["name"])))
		}
		all = append(all, MailAttachment{Name: given["name"], Type: given["type"], Data: given["data"], File: given["file"]})
	}
	return all
}
