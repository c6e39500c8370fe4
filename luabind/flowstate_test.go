package luabind

import (
	"testing"

	lua "github.com/yuin/gopher-lua"
)

// What a state holds comes back as it was, and whatever else is in the variable is refused without harm.
func FuzzReadState(f *testing.F) {
	const uuid = "5b1d0f0e-1111-4222-8333-444455556666"
	seal := func(content []byte) string {
		s := newSealer(uuid, nil)
		s.w.buf = content
		return string(s.seal())
	}
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer L.Close()
	data := L.NewTable()
	data.RawSetString("n", lua.LNumber(-7))
	data.RawSetString("half", lua.LNumber(0.5))
	data.RawSetInt(1, lua.LString("a\x00b"))
	data.RawSetInt(10, lua.LFalse)
	inner := L.NewTable()
	inner.Append(lua.LTrue)
	data.RawSetString("inner", inner)
	w := stateWriter{}
	w.text("main")
	w.length(1)
	w.text("main")
	w.text("menu")
	w.table(data)
	f.Add(w.buf)
	f.Add([]byte{})
	f.Add([]byte("\x04main\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"))
	f.Add([]byte("\x00\x00t\x00\x01ttttttttttttttttttttttttttttttt"))
	f.Fuzz(func(t *testing.T, content []byte) {
		if len(content) > maxState/2 {
			return
		}
		s, err := ReadState(seal(content), uuid, nil)
		if _, plain := ReadState(string(content), uuid, nil); plain == nil {
			t.Error("what was not sealed is believed")
		}
		if err != nil {
			return
		}
		// What was read is written again, and read as the same.
		again := stateWriter{}
		again.text(s.Script)
		again.length(len(s.frames))
		for _, fr := range s.frames {
			again.text(fr.flow)
			again.text(fr.step)
			again.table(fr.data.in(L, nil).(*lua.LTable))
		}
		if s.checkpoint != nil {
			again.table(s.checkpoint.in(L, nil).(*lua.LTable))
		}
		back, err := ReadState(seal(again.buf), uuid, nil)
		if err != nil || back.Script != s.Script || back.Step() != s.Step() || back.Flow() != s.Flow() {
			t.Errorf("%q: %v", content, err)
		}
	})
}
