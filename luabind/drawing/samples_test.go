package drawing

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// flow reads a graph from lines such as
//
//	menu ask gather ivr/menu.wav: 1 > sales, 2 > balance, timeout > menu
//
// The first step is the start.
func flow(name, text string) Graph {
	kinds := map[string]Kind{}
	for k, s := range styles {
		kinds[s.name] = Kind(k)
	}
	g := Graph{Name: name}
	for i, line := range strings.Split(strings.TrimSpace(text), "\n") {
		head, tail, _ := strings.Cut(strings.TrimSpace(line), ": ")
		words := strings.SplitN(head, " ", 3)
		n := Node{ID: words[0], Kind: kinds[words[1]], Note: fmt.Sprintf("%s.lua:%d", name, i+2)}
		if len(words) > 2 {
			n.Text = words[2]
		}
		if n.Kind == Subflow {
			n.Opens = strings.TrimPrefix(n.Text, "subflow ")
		}
		if g.Start == "" {
			g.Start = n.ID
		}
		g.Nodes = append(g.Nodes, n)
		for _, out := range strings.Split(tail, ", ") {
			if label, to, ok := strings.Cut(out, "> "); ok {
				g.Edges = append(g.Edges, Edge{From: n.ID, To: to, Label: strings.TrimSpace(label)})
			}
		}
	}
	return g
}

var small = flow("support", `
greet play playback ivr/welcome.wav: > menu
menu ask menu ivr/menu.wav: 1 > sales, 2 > operator, timeout > menu, invalid > menu
sales connect bridge user/1001,user/1002: answered > bye, busy > operator, no answer > operator
operator connect bridge user/1000: answered > bye, failed > menu
bye end hangup
`)

// callCentre is a flow as a call centre has it.
var callCentre = flow("callcentre", `
open decide hours mon-fri 08:00-18:00: open > language, closed > night, holiday > holiday
language ask menu ivr/language.wav: 1 > swedish, 2 > english, timeout > swedish, invalid > language
swedish work set language sv: > known
english work set language en: > known
known work http GET crm/customers/{caller}: found > customer, missing > welcome, failed > welcome
customer decide branch data.tier: gold > welcome_gold, else > welcome
welcome_gold play playback ivr/welcome-gold.wav: > gold_queue
welcome play playback ivr/welcome.wav: > main
main ask menu ivr/main.wav: 1 > sales, 2 > support, 3 > invoices, 4 > delivery, 5 > jobs, 9 > directory, 0 > operator, timeout > main_again, invalid > main_again
main_again play playback ivr/sorry.wav: > retries
retries decide branch data.tries: again > main, enough > operator
sales ask menu ivr/sales.wav: 1 > new_order, 2 > sales_queue, 3 > quote, * > main, timeout > sales_queue, invalid > sales
new_order ask gather article number: digits > article, timeout > sales_queue
article work sql article by number: found > read_price, missing > no_article, failed > sales_queue
no_article play say no such article: > new_order
read_price play say {price} kronor: > confirm
confirm ask menu ivr/order-now.wav: 1 > place_order, 2 > new_order, timeout > sales_queue, * > main
place_order work http POST shop/orders: created > ordered, refused > sales_queue, failed > sales_queue
ordered play say your order number is {order}: > anything
quote ask record your question after the tone: recorded > send_quote, silence > sales_queue
send_quote work http POST crm/quotes: sent > anything, failed > sales_queue
sales_queue connect queue sales@default: answered > survey, timeout > sales_full, full > sales_full
sales_full play playback ivr/all-busy.wav: > callback
support ask menu ivr/support.wav: 1 > status, 2 > fault, 3 > password, * > main, timeout > support_queue, invalid > support
status work http GET status/{area}: ok > all_well, disturbed > disturbance, failed > support_queue
all_well play say nothing is known in your area: > fault
disturbance play say known fault since {since}: > notify
notify ask menu text me when it works: 1 > subscribe, 2 > anything, timeout > anything
subscribe work sql insert into subscriptions: done > anything, failed > support_queue
fault ask record describe the fault: recorded > ticket, silence > support_queue
ticket work http POST tickets: created > read_ticket, failed > support_queue
read_ticket play say your ticket is {ticket}: > urgent
urgent ask menu is it urgent: 1 > on_call, 2 > anything, timeout > anything
on_call connect bridge user/oncall1,user/oncall2: answered > survey, busy > support_queue, no answer > support_queue, failed > support_queue
password subflow subflow lib/identify: ok > reset, refused > support_queue
reset work run reset_password: done > texted, failed > support_queue
texted play say a new password is on its way: > anything
support_queue connect queue support@default: answered > survey, timeout > support_full, full > support_full
support_full play playback ivr/all-busy.wav: > callback
invoices subflow subflow lib/identify: ok > balance, refused > billing_queue
balance work sql balance of {customer}: found > read_balance, failed > billing_queue
read_balance play say you owe {amount}: > invoice_menu
invoice_menu ask menu ivr/invoice.wav: 1 > pay, 2 > postpone, 3 > billing_queue, * > main, timeout > billing_queue
pay subflow subflow lib/payment: paid > thanks, refused > billing_queue, failed > billing_queue
thanks play say thank you {name}: > anything
postpone work run postpone: yes > postponed, no > billing_queue
postponed play say pay by {date}: > anything
billing_queue connect queue billing@default: answered > survey, timeout > callback
delivery ask gather order number: digits > where, timeout > operator
where work http GET shipments/{order}: found > read_where, missing > delivery, failed > operator
read_where play say it arrives {date}: > anything
jobs play playback ivr/jobs.wav: > anything
directory ask gather extension: digits > extension, timeout > operator, invalid > directory
extension connect bridge user/{extension}: answered > bye, busy > mailbox, no answer > mailbox, failed > directory
mailbox connect voicemail {extension}: > bye
gold_queue connect queue gold@default: answered > survey, timeout > manager
manager connect bridge user/manager ring 30s: answered > survey, busy > callback, no answer > callback
operator connect queue operators: answered > survey, timeout > callback
callback ask menu shall we call you back: 1 > book, 2 > voicemail, timeout > voicemail
book work sql insert into callbacks: done > booked, failed > voicemail
booked play say we call you within two hours: > bye
anything ask menu anything else: 1 > main, 2 > bye, timeout > bye
survey ask menu were you content 1 to 5: digits > store, timeout > bye
store work sql insert into survey: > bye
night ask menu ivr/closed.wav: 1 > emergency, 2 > voicemail, timeout > bye
emergency connect bridge user/oncall1: answered > bye, failed > voicemail
holiday play playback ivr/holiday.wav: > night
voicemail connect voicemail office: > bye
bye end hangup
`)

// invented is a flow of n steps, with menus, queues and ways back as flows have them, different for each seed.
func invented(n int, seed uint64) Graph {
	random := rand.New(rand.NewPCG(seed, 1))
	g := Graph{Name: fmt.Sprintf("invented-%d", n), Start: "step 0"}
	id := func(i int) string { return fmt.Sprintf("step %d", i) }
	texts := []string{"set x", "playback ivr/prompt.wav", "menu ivr/choose.wav", "hours mon-fri", "bridge user/1001"}
	labels := []string{"done", "busy", "no answer", "timeout", "1", "2", "failed"}
	hubs := max(n/40, 1)
	for i := range n {
		kind := Kind(random.IntN(5))
		if i >= n-hubs {
			g.Nodes = append(g.Nodes, Node{ID: id(i), Kind: End, Text: "hangup"})
			continue
		}
		g.Nodes = append(g.Nodes, Node{ID: id(i), Kind: kind, Text: texts[kind]})
		ways := 0
		if kind >= Ask {
			ways = 1 + random.IntN(3)
		}
		for range ways {
			to := i + 1 + random.IntN(9)
			switch p := random.Float64(); {
			case p < 0.35:
				to = n - 1 - random.IntN(hubs)
			case p < 0.45:
				to = max(0, i-random.IntN(9))
			}
			g.Edges = append(g.Edges, Edge{From: id(i), To: id(min(to, n-1)), Label: labels[random.IntN(len(labels))]})
		}
	}
	for i := 1; i < n; i++ { // something leads to each
		from := max(0, i-1-random.IntN(12))
		g.Edges = append(g.Edges, Edge{From: id(min(from, n-hubs-1)), To: id(i), Label: labels[random.IntN(len(labels))]})
	}
	return g
}
