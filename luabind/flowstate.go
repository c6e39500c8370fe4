package luabind

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"math"
	"slices"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

// A call carries its own state in a channel variable, from one engine to the next: where in which flow it is, and
// data. The variable's text is
//
//	1.<state, base64url>.<the first 16 bytes of HMAC-SHA256, base64url>
//
// of which no byte means anything to the switch. The HMAC is over the channel's UUID and the state, with the key of
// the configuration: without a key it still tells a variable that came over from another channel. What the
// state holds is binary: see stateWriter. A reader refuses what it does not know: the first number counts versions of
// the whole.

// StateVariable is the channel variable that holds a call's state.
const StateVariable = "callisto_flow"

const stateVersion = "1"

// A State is what a call carried from an engine that is gone.
type State struct {
	Script string // the script that ran the call

	frames     []savedFrame // the flows in progress, the outermost first
	checkpoint *saved       // of an imperative script
}

// A savedFrame is one flow in progress.
type savedFrame struct {
	flow, step string
	data       *saved
}

// saved is a plain value outside any VM.
type saved struct {
	value any // bool, float64, string, or *savedTable
}

type savedTable struct {
	list  []any
	pairs []savedPair
}

type savedPair struct{ key, value any }

// Errors of reading a state.
var (
	errStateVersion = errors.New("it is of a version that this Callisto does not know")
	errStateFormat  = errors.New("it is damaged")
	errStateSize    = fmt.Errorf("it is larger than %d bytes", maxState)
	errStateKey     = errors.New("it was not written for this channel with this flows.key")
)

// ReadState reads the text of StateVariable. The key and the channel's UUID must be those it was written
// with.
func ReadState(text, uuid string, key []byte) (*State, error) {
	if len(text) > maxState {
		return nil, errStateSize
	}
	version, rest, ok := strings.Cut(text, ".")
	if !ok {
		return nil, errStateFormat
	}
	if version != stateVersion {
		return nil, errStateVersion
	}
	body, mac, ok := strings.Cut(rest, ".")
	if !ok {
		return nil, errStateFormat
	}
	content, err1 := base64.RawURLEncoding.Strict().DecodeString(body)
	sum, err2 := base64.RawURLEncoding.Strict().DecodeString(mac)
	if err1 != nil || err2 != nil || strings.ContainsAny(text, "\r\n") {
		return nil, errStateFormat
	}
	if !hmac.Equal(sum, stateSum(content, uuid, key)) {
		return nil, errStateKey
	}
	r := stateReader{rest: content}
	s := r.state()
	if r.failed || len(r.rest) > 0 {
		return nil, errStateFormat
	}
	return s, nil
}

func stateSum(content []byte, uuid string, key []byte) []byte {
	return newSealer(uuid, key).sum(content)
}

// A sealer seals the states of one call. It is kept from step to step, with what it needs.
type sealer struct {
	uuid []byte // and a zero byte
	hash hash.Hash
	mac  [sha256.Size]byte
	w    stateWriter
	text []byte
}

func newSealer(uuid string, key []byte) *sealer {
	return &sealer{uuid: append([]byte(uuid), 0), hash: hmac.New(sha256.New, key)}
}

func (s *sealer) sum(content []byte) []byte {
	s.hash.Reset()
	s.hash.Write(s.uuid)
	s.hash.Write(content)
	return s.hash.Sum(s.mac[:0])[:16]
}

// seal is the text of the state that was written to s.w. It is valid until the next.
func (s *sealer) seal() []byte {
	enc := base64.RawURLEncoding
	s.text = append(s.text[:0], stateVersion+"."...)
	s.text = enc.AppendEncode(s.text, s.w.buf)
	s.text = append(s.text, '.')
	s.text = enc.AppendEncode(s.text, s.sum(s.w.buf))
	return s.text
}

// A stateWriter writes values: a letter for the kind, then the value. A length is a varint.
//
//	F T            false, true
//	i varint       a whole number
//	d 8 bytes      another number
//	s length bytes a string
//	t length items length pairs   a table: what has the keys 1, 2, …, then the rest, by key
//
// What it is given may have been changed since it was looked at, by a handler of the call's: what it cannot write is
// a fault, and so is what does not end.
type stateWriter struct {
	buf   []byte
	depth int  // of the table that is being written
	fault bool // unstorable says which
}

// maxWritten is where a writer gives up: what is so large cannot be kept in any case.
const maxWritten = 1 << 20

func (w *stateWriter) length(n int) { w.buf = binary.AppendUvarint(w.buf, uint64(n)) }

func (w *stateWriter) text(s string) {
	w.length(len(s))
	w.buf = append(w.buf, s...)
}

// value writes what unstorable has nothing against.
func (w *stateWriter) value(v lua.LValue) {
	if w.fault = w.fault || len(w.buf) > maxWritten; w.fault {
		return
	}
	switch v := v.(type) {
	case lua.LBool:
		if v {
			w.buf = append(w.buf, 'T')
		} else {
			w.buf = append(w.buf, 'F')
		}
	case lua.LNumber:
		w.fault = math.IsNaN(float64(v))
		if n := float64(v); n == math.Trunc(n) && math.Abs(n) <= 1<<53 && !(n == 0 && math.Signbit(n)) {
			w.buf = binary.AppendVarint(append(w.buf, 'i'), int64(n))
		} else {
			w.buf = binary.BigEndian.AppendUint64(append(w.buf, 'd'), math.Float64bits(n))
		}
	case lua.LString:
		w.buf = append(w.buf, 's')
		w.text(string(v))
	case *lua.LTable:
		w.table(v)
	default:
		w.fault = true
	}
}

func (w *stateWriter) table(t *lua.LTable) {
	if w.fault = w.fault || w.depth > maxDataDepth; w.fault {
		return
	}
	w.depth++
	defer func() { w.depth-- }()
	w.buf = append(w.buf, 't')
	n := 0
	for t.RawGetInt(n+1) != lua.LNil {
		n++
	}
	w.length(n)
	for i := 1; i <= n; i++ {
		w.value(t.RawGetInt(i))
	}
	var keys []lua.LValue
	t.ForEach(func(key, _ lua.LValue) {
		if k, ok := key.(lua.LNumber); !ok || k < 1 || int(k) > n {
			keys = append(keys, key)
		}
	})
	slices.SortFunc(keys, func(a, b lua.LValue) int { // the same data is the same text
		if a.Type() != b.Type() {
			return int(a.Type()) - int(b.Type())
		}
		if x, ok := a.(lua.LNumber); ok {
			return int(max(min(x-b.(lua.LNumber), 1), -1))
		}
		return strings.Compare(a.String(), b.String())
	})
	w.length(len(keys))
	for _, key := range keys {
		w.value(key)
		w.value(t.RawGet(key))
	}
}

// A stateReader reads what a stateWriter wrote. It trusts nothing.
type stateReader struct {
	rest   []byte
	failed bool
}

func (r *stateReader) fail() {
	r.failed = true
	r.rest = nil
}

func (r *stateReader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

// length is a count of things that are at least one byte each.
func (r *stateReader) length() int {
	n, size := binary.Uvarint(r.rest)
	if size <= 0 || n > uint64(len(r.rest)-size) {
		r.fail()
		return 0
	}
	r.rest = r.rest[size:]
	return int(n)
}

func (r *stateReader) text() string {
	n := r.length()
	s := string(r.rest[:n])
	r.rest = r.rest[n:]
	return s
}

func (r *stateReader) value(depth int) any {
	switch r.byte() {
	case 'F':
		return false
	case 'T':
		return true
	case 'i':
		n, size := binary.Varint(r.rest)
		if size <= 0 {
			r.fail()
			return nil
		}
		r.rest = r.rest[size:]
		return float64(n)
	case 'd':
		if len(r.rest) < 8 {
			r.fail()
			return nil
		}
		n := math.Float64frombits(binary.BigEndian.Uint64(r.rest))
		r.rest = r.rest[8:]
		if math.IsNaN(n) {
			r.fail()
		}
		return n
	case 's':
		return r.text()
	case 't':
		if depth > maxDataDepth {
			r.fail()
			return nil
		}
		t := &savedTable{}
		for n := r.length(); n > 0 && !r.failed; n-- {
			t.list = append(t.list, r.value(depth+1))
		}
		for n := r.length(); n > 0 && !r.failed; n-- {
			key := r.value(depth + 1)
			switch key.(type) {
			case string, float64:
			default:
				r.fail()
			}
			t.pairs = append(t.pairs, savedPair{key, r.value(depth + 1)})
		}
		return t
	}
	r.fail()
	return nil
}

// table reads a value that has to be a table.
func (r *stateReader) table() *saved {
	t, ok := r.value(0).(*savedTable)
	if !ok {
		r.fail()
	}
	return &saved{t}
}

func (r *stateReader) state() *State {
	s := &State{Script: r.text()}
	for n := r.length(); n > 0 && !r.failed; n-- {
		s.frames = append(s.frames, savedFrame{r.text(), r.text(), r.table()})
	}
	if len(r.rest) > 0 {
		s.checkpoint = r.table()
	}
	return s
}

// in makes the value in a VM. Tables in data have data's metatable.
func (s *saved) in(L *lua.LState, meta lua.LValue) lua.LValue { return toLua(L, s.value, meta) }

func toLua(L *lua.LState, v any, meta lua.LValue) lua.LValue {
	switch v := v.(type) {
	case bool:
		return lua.LBool(v)
	case float64:
		return lua.LNumber(v)
	case string:
		return lua.LString(v)
	case *savedTable:
		t := L.CreateTable(len(v.list), len(v.pairs))
		for i, item := range v.list {
			t.RawSetInt(i+1, toLua(L, item, meta))
		}
		for _, p := range v.pairs {
			t.RawSet(toLua(L, p.key, meta), toLua(L, p.value, meta))
		}
		if meta != nil {
			t.Metatable = meta
		}
		return t
	}
	return lua.LNil
}
