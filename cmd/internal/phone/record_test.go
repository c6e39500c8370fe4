package phone

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"callisto/cmd/internal/simcall"
	"callisto/luabind"
	"callisto/simulator"
)

func behaving(e Event, b simulator.Behaviour) Event {
	h := e.What.(Happened)
	h.Behaves = &b
	return Event{e.At, h}
}

// TestRecorder holds what is written against a golden file; cmd/callisto runs recordings.
func TestRecorder(t *testing.T) {
	r := NewRecorder(Options{Script: "menu", Caller: "+4670", Name: `Ada "Ä" Test`, Number: "9001", Mode: "full",
		Args: []string{"lang=sv", "a-b=c", "end=x", "word"}, Vars: []string{"v=1 2"}})
	tell := func(events ...Event) {
		for _, e := range events {
			r.Tell(e)
		}
	}
	tell(Event{0, Started{}}) // before any call: nothing
	tell(Event{0, Dialling{time.Date(2026, 11, 22, 17, 30, 5, 0, time.FixedZone("", 3600))}})
	tell(begins[1:]...)
	tell(
		Event{50 * time.Millisecond, Happened{Occurrence: simulator.Occurrence{Kind: simulator.Played, Data: "long.wav"}, Length: 6440 * time.Millisecond}},
		on(60*time.Millisecond, simulator.Played, "", "silence_stream://1000"),
		on(70*time.Millisecond, simulator.Played, "", "say:one two"),
		Event{3 * seconds, Acted{Presses, "", "1"}}, Event{3100 * time.Millisecond, Acted{Presses, "", "2"}},
		on(3110*time.Millisecond, simulator.Digit, "", "1"), on(3130*time.Millisecond, simulator.Digit, "", "2"),
		Event{4 * seconds, Asked{"GET", "http://example.com/a", 200, "application/json", "{\"a\":\n1}", ""}},
		Event{4 * seconds, Asked{"GET", "http://example.com/a", 200, "application/json", "{\"a\":\n1}", ""}},
		Event{4 * seconds, Asked{"GET", "http://example.com/a", 0, "", "", "timeout"}},
		Event{4 * seconds, Asked{"POST", "http://example.com/b", 0, "", "", "refused: nobody is there"}},
		// rung by hand, busy; then it answers and talks until the caller leaves
		behaving(on(5*seconds, simulator.Dialled, "", "user/1001"), simulator.NoAnswer()),
		behaving(onLeg(5*seconds+1, "1001", simulator.Rings, "ada", "user/1001"), simulator.NoAnswer()),
		Event{8 * seconds, Acted{HangsUp, "uuid-1001", "USER_BUSY"}},
		onLeg(8*seconds, "1001", simulator.HungUp, "USER_BUSY", ""),
		// one that was told to be gone
		behaving(on(8*seconds, simulator.Dialled, "", "user/gone"), simulator.Refuses("SUBSCRIBER_ABSENT", seconds)),
		// one that rings until it is given up, and one that does as legs do
		behaving(on(9*seconds, simulator.Dialled, "", "user/1002"), simulator.NoAnswer()),
		behaving(onLeg(9*seconds, "1002", simulator.Rings, "ada", "user/1002"), simulator.NoAnswer()),
		onLeg(29*seconds, "1002", simulator.HungUp, "NO_ANSWER", ""),
		behaving(on(29*seconds, simulator.Dialled, "", "user/1003"), simulator.Answers(2*seconds, 5*seconds)),
		behaving(onLeg(29*seconds, "1003", simulator.Rings, "ada", "user/1003"), simulator.Answers(2*seconds, 5*seconds)),
		onLeg(31*seconds, "1003", simulator.Answered, "", ""),
		onLeg(36*seconds, "1003", simulator.HungUp, "NORMAL_CLEARING", ""),
		Event{37 * seconds, Acted{Says, "", "yes, \"please\"\x01"}},
		// the first again, other than before
		behaving(on(38*seconds, simulator.Dialled, "", "user/1001"), simulator.NoAnswer()),
		onLegNamed(38*seconds, "again", "1001", simulator.Rings, "ada", "user/1001"),
		Event{39 * seconds, Acted{Answers, "again", ""}},
		onLegNamed(39*seconds, "again", "1001", simulator.Answered, "", ""),
		Event{45 * seconds, Acted{HangsUp, "", "ORIGINATOR_CANCEL"}},
		on(45*seconds, simulator.Played, "", "after.wav"),
		Event{45 * seconds, Acted{HangsUp, "", "ORIGINATOR_CANCEL"}},
		onLegNamed(45*seconds, "again", "1001", simulator.HungUp, "ORIGINATOR_CANCEL", ""),
		Event{45 * seconds, Ended{"the caller hung up", "caller hung up", "ORIGINATOR_CANCEL", false}},
	)
	tell(begins...) // another call, whose script fails
	tell(Event{seconds, Logged{Record: simcall.Record{Message: "script error", Fields: []simcall.Field{{Name: "error", Value: `no "such" thing`}}, Traceback: "menu.lua:3 in main chunk"}}},
		Event{seconds, Ended{"the script raised an error", "script error", "NORMAL_TEMPORARY_FAILURE", true}})
	tell(Event{0, Dialling{}}) // one of which nothing came
	tell(begins...)            // and one that was cut off
	for range 2 * maxMoments {
		tell(on(2*seconds, simulator.Played, "", "moh.wav"))
	}
	text, calls := r.test()
	if calls != 3 {
		t.Errorf("it holds %d calls", calls)
	}
	if n := strings.Count(text, "moh.wav"); n > maxMoments {
		t.Errorf("%d moments", n)
	}
	text = strings.Replace(text, strings.Repeat("    caller:hears(\"moh.wav\")\n", maxMoments-2), "    …\n", 1)
	golden(t, "recording", text)
	if _, err := luabind.Compile("menu_test", []byte(strings.Replace(text, "…", "", 1))); err != nil {
		t.Error(err)
	}
}

func onLegNamed(at time.Duration, uuid, leg string, kind simulator.Kind, name, data string) Event {
	e := onLeg(at, leg, kind, name, data)
	h := e.What.(Happened)
	h.Channel = uuid
	b := simulator.NoAnswer()
	h.Behaves = &b
	return Event{at, h}
}

// Whatever a caller is called, or says, is a string in Lua.
func TestLuaStrings(t *testing.T) {
	for _, text := range []string{"", `\`, `"`, "a\nb\r\x00\x7f", "]] end)", "é日\xff", `\"..os.exit()..\"`} {
		quoted := lua(text)
		if strings.ContainsAny(quoted, "\n\r\x00") {
			t.Errorf("%q is %s", text, quoted)
		}
		if _, err := luabind.Compile("x", []byte("return "+quoted+"\n")); err != nil {
			t.Errorf("%q is %s: %v", text, quoted, err)
		}
	}
}

func TestRecordingFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "menu_test.lua")
	r := NewRecorder(Options{Script: "menu"})
	if n, err := r.Write(file, false); n != 0 || err != nil {
		t.Error(n, err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("a recording of nothing is written")
	}
	for _, e := range begins {
		r.Tell(e)
	}
	if n, err := r.Write(file, false); n != 1 || err != nil {
		t.Error(n, err)
	}
	if _, err := r.Write(file, false); err == nil || !strings.Contains(err.Error(), "--force overwrites it") {
		t.Errorf("a file is overwritten: %v", err)
	}
	if n, err := r.Write(file, true); n != 1 || err != nil {
		t.Error(n, err)
	}
	for name, want := range map[string]string{"menu.lua": "ends in _test.lua", "nowhere/x_test.lua": "there is no directory"} {
		if err := Writable(filepath.Join(dir, name), true); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "dir_test.lua"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := Writable(filepath.Join(dir, "dir_test.lua"), true); err == nil {
		t.Error("a directory is overwritten")
	}
	left, err := os.ReadDir(dir)
	if err != nil || slices.ContainsFunc(left, func(e os.DirEntry) bool { return strings.HasPrefix(e.Name(), ".") }) {
		t.Error("something is left beside it", left, err)
	}
}
