package luabind

import (
	"crypto/hmac"
	"crypto/md5"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"strings"

	lua "github.com/yuin/gopher-lua"
)

var cryptoModule = &Module{
	Name: "crypto",
	Doc: "`crypto` hashes, signs, draws lots and writes bytes as text.\n\n" +
		"```lua\nlocal pin = crypto.digits(6)\nlocal body = json.encode{ id = crypto.uuid(), pin = pin }\n" +
		"local signature = crypto.hmac(\"sha256\", \"the key\", body)\n" +
		"log.info(\"signed\", { signature = signature, right = crypto.equal(signature, crypto.hmac(\"sha256\", \"the key\", body)) })\n```",
	Functions: []Verb{
		{
			Name:    "hash",
			Params:  []Param{algorithmParam, {Name: "data", Type: String, Doc: "what to hash"}},
			Options: []Param{encodingOption},
			Results: []Result{{"digest", "string", "the hash"}},
			Doc:     "Hashes data. md5 and sha1 are for others that ask for them: they do not withstand an attacker.",
			run: func(c *Call, L *lua.LState, a args) int {
				h := algorithms[a.string(0)]()
				return digest(L, a, h, a.string(1))
			},
		},
		{
			Name:    "hmac",
			Params:  []Param{algorithmParam, {Name: "key", Type: String, Doc: "the key"}, {Name: "data", Type: String, Doc: "what to sign"}},
			Options: []Param{encodingOption},
			Results: []Result{{"digest", "string", "the code"}},
			Doc:     "Makes the code by which one who has the key knows that the data is yours (RFC 2104).",
			run: func(c *Call, L *lua.LState, a args) int {
				return digest(L, a, hmac.New(algorithms[a.string(0)], []byte(a.string(1))), a.string(2))
			},
		},
		{
			Name:    "equal",
			Params:  []Param{{Name: "a", Type: String, Doc: "one text"}, {Name: "b", Type: String, Doc: "the other"}},
			Results: []Result{{"equal", "boolean", "whether they are the same"}},
			Doc:     "Compares a secret in a time that does not tell how much of it was right.",
			run: func(c *Call, L *lua.LState, a args) int {
				one, other := a.string(0), a.string(1)
				work(L)(len(one) / 16)
				L.Push(lua.LBool(subtle.ConstantTimeCompare([]byte(one), []byte(other)) == 1))
				return 1
			},
		},
		{
			Name:    "random",
			Params:  []Param{{Name: "bytes", Type: Integer, Doc: "how many bytes, 1 to 65536"}},
			Options: []Param{encodingOption},
			Results: []Result{{"random", "string", "the bytes"}},
			Doc:     "Draws bytes that nobody can foresee, for keys and tokens. math.random is for what nobody wants to foresee.",
			run: func(c *Call, L *lua.LState, a args) int {
				b := make([]byte, a.count(0, 65536))
				work(L)(len(b))
				_, _ = rand.Read(b) // never fails
				return pushEncoded(L, a, b)
			},
		},
		{
			Name:    "digits",
			Params:  []Param{{Name: "count", Type: Integer, Doc: "how many digits, 1 to 1000"}},
			Results: []Result{{"digits", "string", "the digits, which may begin with 0"}},
			Doc:     "Draws digits, each as likely as the others, for PINs and codes.",
			run: func(c *Call, L *lua.LState, a args) int {
				digits := make([]byte, a.count(0, 1000))
				work(L)(len(digits))
				for i := range digits {
					digits[i] = '0' + randomDigit()
				}
				L.Push(lua.LString(digits))
				return 1
			},
		},
		{
			Name:    "uuid",
			Options: []Param{{Name: "version", Type: Integer, Doc: "4, by lot, where left out; 7 begins with the time, such that later ones sort after earlier ones"}},
			Results: []Result{{"uuid", "string", `such as "0b3f6a52-8f0e-4a53-9d3b-2f4f0b7c9a11"`}},
			Doc:     "Makes a UUID (RFC 9562).",
			run:     cryptoUUID,
		},
		{
			Name:    "base64_encode",
			Params:  []Param{{Name: "data", Type: String, Doc: "any bytes"}},
			Options: []Param{{Name: "url", Type: Boolean, Doc: "true: with - and _, and without = at the end, as URLs and tokens have it"}},
			Results: []Result{{"text", "string", "the Base64"}},
			Doc:     "Writes bytes as Base64.",
			run: func(c *Call, L *lua.LState, a args) int {
				encoding := base64.StdEncoding
				if a.optBool("url", false) {
					encoding = base64.RawURLEncoding
				}
				return pushMade(L, encoding.EncodedLen(len(a.string(0))), func() string { return encoding.EncodeToString([]byte(a.string(0))) })
			},
		},
		{
			Name:    "base64_decode",
			Params:  []Param{{Name: "text", Type: String, Doc: "Base64 in either alphabet, with = at the end or without, line breaks or none"}},
			Results: []Result{{"data", "string?", "the bytes; nil where the text is no Base64"}, {"error", "string?", "what is wrong"}},
			Doc:     "Reads Base64.",
			run: func(c *Call, L *lua.LState, a args) int {
				text := a.string(0)
				charge(L, len(text))
				work(L)(len(text) / 8)
				plain := strings.NewReplacer("-", "+", "_", "/", "\r", "", "\n", "").Replace(text)
				trimmed := strings.TrimRight(plain, "=")
				if n := len(plain) - len(trimmed); n > 0 && (n > 2 || len(plain)%4 != 0) {
					return pushNone(L, "there is no Base64: it ends in the wrong number of =")
				}
				b, err := base64.RawStdEncoding.Strict().DecodeString(trimmed)
				if bad, ok := err.(base64.CorruptInputError); ok {
					return pushNone(L, fmt.Sprintf("there is no Base64: it is wrong at character %d, not counting line breaks", int64(bad)+1))
				}
				L.Push(lua.LString(b))
				return 1
			},
		},
		{
			Name:    "hex_encode",
			Params:  []Param{{Name: "data", Type: String, Doc: "any bytes"}},
			Results: []Result{{"text", "string", "two digits for each byte, in small letters"}},
			Doc:     "Writes bytes as hexadecimal digits.",
			run: func(c *Call, L *lua.LState, a args) int {
				return pushMade(L, 2*len(a.string(0)), func() string { return hex.EncodeToString([]byte(a.string(0))) })
			},
		},
		{
			Name:    "hex_decode",
			Params:  []Param{{Name: "text", Type: String, Doc: "hexadecimal digits, in small letters or capitals"}},
			Results: []Result{{"data", "string?", "the bytes; nil where the text is something else"}, {"error", "string?", "what is wrong"}},
			Doc:     "Reads hexadecimal digits.",
			run: func(c *Call, L *lua.LState, a args) int {
				text := a.string(0)
				charge(L, len(text))
				work(L)(len(text) / 8)
				b, err := hex.DecodeString(text)
				if err != nil {
					return pushNone(L, "there are no bytes: "+strings.TrimPrefix(err.Error(), "encoding/hex: "))
				}
				L.Push(lua.LString(b))
				return 1
			},
		},
	},
}

var algorithms = map[string]func() hash.Hash{"sha256": sha256.New, "sha512": sha512.New, "sha1": sha1.New, "md5": md5.New}

var algorithmParam = Param{Name: "algorithm", Type: Word, Enum: []string{"sha256", "sha512", "sha1", "md5"}, Doc: "which hash"}

var encodingOption = Param{Name: "encoding", Type: Word, Enum: []string{"hex", "base64", "base64url", "raw"}, Doc: "how the bytes are written: hex where left out; raw are the bytes themselves"}

// count is an argument that says how many.
func (a args) count(i, most int) int {
	n := a.int(i)
	if n < 1 || n > most {
		a.fail("argument `%s` must be 1 to %d, not %d", a.verb.Params[i].Name, most, n)
	}
	return n
}

func digest(L *lua.LState, a args, h hash.Hash, data string) int {
	work(L)(len(data) / 8)
	h.Write([]byte(data))
	return pushEncoded(L, a, h.Sum(nil))
}

func pushEncoded(L *lua.LState, a args, b []byte) int {
	charge(L, 2*len(b))
	encoding, _ := a.optString("encoding")
	var text string
	switch encoding {
	case "base64":
		text = base64.StdEncoding.EncodeToString(b)
	case "base64url":
		text = base64.RawURLEncoding.EncodeToString(b)
	case "raw":
		text = string(b)
	default:
		text = hex.EncodeToString(b)
	}
	L.Push(lua.LString(text))
	return 1
}

// pushMade pushes a text of n bytes, once it is known that the script may have it.
func pushMade(L *lua.LState, n int, text func() string) int {
	charge(L, n)
	work(L)(n / 8)
	L.Push(lua.LString(text()))
	return 1
}

// randomDigit draws 0 to 9. A byte of 250 or more is drawn again: there are 25 bytes for each digit below.
func randomDigit() byte {
	var b [1]byte
	for {
		_, _ = rand.Read(b[:])
		if b[0] < 250 {
			return b[0] % 10
		}
	}
}

func cryptoUUID(c *Call, L *lua.LState, a args) int {
	var u [16]byte
	_, _ = rand.Read(u[:])
	version := a.optInt("version", 4)
	switch version {
	case 4:
	case 7:
		var ms [8]byte
		binary.BigEndian.PutUint64(ms[:], uint64(c.now().UnixMilli()))
		copy(u[:6], ms[2:])
	default:
		a.fail("option `version` must be 4 or 7, not %d", version)
	}
	u[6] = u[6]&0x0f | byte(version)<<4
	u[8] = u[8]&0x3f | 0x80
	charge(L, 64)
	L.Push(lua.LString(fmt.Sprintf("%x-%x-%x-%x-%x", u[:4], u[4:6], u[6:8], u[8:10], u[10:])))
	return 1
}
