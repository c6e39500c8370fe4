package luabind

import (
	"slices"
	"testing"
)

// An excerpt leaves out the steps that nobody wants, if all that making them does is to make them.
func TestExcerpts(t *testing.T) {
	const rest = " {\n" +
		"start = 'a',\n" +
		"a = flow.playback { name, next = 'b' },\n" +
		"b = flow.playback { 'b' .. '.wav', ring = ring, next = 'done' },\n" +
		"c = flow.run { to = { 'done' }, function() return 'done' end },\n" +
		"d = flow.playback { next() or 'd.wav', next = 'done' },\n" +
		"e = step,\n" +
		"[name] = flow.hangup {},\n" +
		"f = flow.set { data = { number = call.caller.number }, next = 'done' },\n}"
	const first = "local name, ring, next, step = 'x', '5s', function() end, flow.hangup {} "
	for text, want := range map[string][]int{
		first + "return flow" + rest:                                    {1, 3, 6, 9},
		first + "local f = flow{ start = 'a', a = step } return f":      nil,
		first + "local flow = require 'flow' return flow" + rest:        nil,
		first + "local make = flow return make" + rest:                  nil,
		first + "local t =" + rest + " return flow(t)":                  nil,
		first + "for i = 1, 2 do local flow = i end return flow" + rest: {1, 3, 6, 9},
	} {
		p, err := Compile("menu", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		p.flow = &Flow{Name: "menu", Line: 1} // as if it were read
		x := p.Excerpts([]byte(text))
		if (x != nil) != (want != nil) {
			t.Errorf("%s: there are excerpts: %v", text, x != nil)
		}
		if x == nil {
			continue
		}
		for range 2 { // the first takes nothing from the second
			got := x.Of(func(step string) bool { return step == "a" })
			lines := got.Lines()
			if got.flow != p.flow || !slices.Equal(lines, want) {
				t.Errorf("%s: an excerpt has the lines %v, want %v", text, lines, want)
			}
		}
		if got := x.Of(func(string) bool { return true }).Lines(); !slices.Equal(got, p.Lines()) {
			t.Errorf("%s: an excerpt of all has the lines %v, want %v", text, got, p.Lines())
		}
	}
}
