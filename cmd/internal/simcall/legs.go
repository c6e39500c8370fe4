package simcall

import (
	"strings"
	"time"

	"callisto/simulator"
)

// Usual is how somebody behaves who is called and of whom nothing is said.
var Usual = simulator.Answers(2*time.Second, 5*time.Second)

// Refusal is how somebody behaves who does not answer: busy, no_answer, or a hangup cause, after some time. ok is false
// where how is none of these.
func Refusal(how string, after time.Duration) (b simulator.Behaviour, ok bool) {
	switch {
	case how == "busy":
		return simulator.Refuses("USER_BUSY", after), true
	case how == "no_answer":
		return simulator.NoAnswer(), true
	case how != "" && strings.Trim(how, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_") == "":
		return simulator.Refuses(how, after), true
	}
	return b, false
}

// Endpoints are those that something is said of, and behind them the switch's own, which behave as usual; its queues have
// their own ways, and loopback, with which call:join connects two, is nobody who would hang up.
func Endpoints(said []simulator.Endpoint) []simulator.Endpoint {
	list := said[:len(said):len(said)]
	for _, e := range simulator.DefaultEndpoints() {
		if e.Behaviour == simulator.Answers(0, 0) && e.Pattern != "loopback/*" {
			e.Behaviour = Usual
		}
		list = append(list, e)
	}
	return list
}

// Behaviour is how somebody behaves who is dialled, nil where nothing in the list says.
func Behaviour(list []simulator.Endpoint, dialled string) *simulator.Behaviour {
	for i, e := range list {
		prefix, open := strings.CutSuffix(e.Pattern, "*")
		if dialled == e.Pattern || open && strings.HasPrefix(dialled, prefix) {
			return &list[i].Behaviour
		}
	}
	return nil
}
