package luabind

import lua "github.com/yuin/gopher-lua"

// What tests from outside the package see of its inside.

// RecodeJSON decodes and encodes, in a VM of its own.
func RecodeJSON(text string) ([]byte, error) {
	shared()
	L := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer L.Close()
	v, err := decodeJSON(L, text)
	if err != nil {
		return nil, err
	}
	return encodeJSON(L, v)
}
