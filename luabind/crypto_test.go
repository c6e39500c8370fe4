package luabind_test

import (
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCrypto(t *testing.T) {
	runLua(t, []luaCase{
		{"sha256", `log.info(crypto.hash("sha256", "abc"))`, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"sha1", `log.info(crypto.hash("sha1", "abc"))`, "a9993e364706816aba3e25717850c26c9cd0d89d"},
		{"md5", `log.info(crypto.hash("md5", ""))`, "d41d8cd98f00b204e9800998ecf8427e"},
		{"sha512", `log.info(crypto.hash("sha512", "abc"):sub(1, 16) .. #crypto.hash("sha512", "abc", { encoding = "raw" }))`, "ddaf35a193617aba64"},
		{"in Base64", `log.info(crypto.hash("sha1", "abc", { encoding = "base64" }) .. crypto.hash("sha1", "abc", { encoding = "base64url" }))`, "qZk+NkcGgWq6PiVxeFDCbJzQ2J0=qZk-NkcGgWq6PiVxeFDCbJzQ2J0"},
		{"hmac of RFC 4231, 2", `log.info(crypto.hmac("sha256", "Jefe", "what do ya want for nothing?"))`, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{"equal", `log.info(tostring(crypto.equal("abc", "abc")) .. tostring(crypto.equal("abc", "abd")) .. tostring(crypto.equal("abc", "ab")))`, "truefalsefalse"},
		{"random", `log.info(#crypto.random(16) .. #crypto.random(16, { encoding = "raw" }) .. tostring(crypto.random(16) == crypto.random(16)))`, "3216false"},
		{"uuid", `log.info(tostring(re.match(crypto.uuid(), "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$") ~= nil) .. tostring(crypto.uuid() == crypto.uuid()))`, "truefalse"},
		{"uuid of the time", `log.info(crypto.uuid{ version = 7 }:sub(1, 15))`, "00dc6acf-ac00-7"},
		{"Base64", `log.info(crypto.base64_encode("a\0\255?") .. crypto.base64_encode("\255\255?", { url = true }) .. crypto.base64_encode(""))`, "YQD/Pw==__8_"},
		{"Base64 however it is written", `log.info(crypto.base64_decode("YWI=") .. crypto.base64_decode("YWI") .. crypto.base64_decode("YW\r\nJj\n") .. #crypto.base64_decode("__8_") .. #crypto.base64_decode("//8/"))`, "abababc33"},
		{"Base64 that is none", `for _, s in ipairs{ "a", "YQ=", "YWI==", "Y Q=", "a===", "é" } do log.info(tostring(crypto.base64_decode(s)) .. select(2, crypto.base64_decode(s))) end`,
			"nilthere is no Base64: it is wrong at character 1, not counting line breaks | nilthere is no Base64: it ends in the wrong number of = | nilthere is no Base64: it ends in the wrong number of = | " +
				"nilthere is no Base64: it is wrong at character 2, not counting line breaks | nilthere is no Base64: it ends in the wrong number of = | nilthere is no Base64: it is wrong at character 1, not counting line breaks"},
		{"hexadecimal", `log.info(crypto.hex_encode("a\0\255") .. crypto.hex_decode("6A4b") .. select(2, crypto.hex_decode("6")) .. select(2, crypto.hex_decode("zz")))`, "6100ffjKthere are no bytes: odd length hex stringthere are no bytes: invalid byte: U+007A 'z'"},
		{"an unknown hash", oops(`crypto.hash("sha265", "x")`), "crypto.hash: argument `algorithm` must be one of sha256, sha512, sha1, md5, did you mean `sha256`?, not \"sha265\""},
		{"an unknown encoding", oops(`crypto.hmac("md5", "k", "x", { encoding = "base46" })`), "crypto.hmac: option `encoding` must be one of hex, base64, base64url, raw, did you mean `base64`?, not \"base46\""},
		{"no digits", oops(`crypto.digits(0)`), "crypto.digits: argument `count` must be 1 to 1000, not 0"},
		{"too many bytes", oops(`crypto.random(1e9)`), "crypto.random: argument `bytes` must be 1 to 65536, not 1000000000"},
		{"another uuid", oops(`crypto.uuid{ version = 1 }`), "crypto.uuid: option `version` must be 4 or 7, not 1"},
	})
}

// Each digit is as likely as the others, to what can be seen in 20,000.
func TestCryptoDigits(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"main": `for i = 1, 20 do log.info(crypto.digits(1000)) end`}, nil)
		b.run("main")
		all := strings.Join(b.log.messages(), "")
		if len(all) != 20000 {
			t.Fatalf("%d digits", len(all))
		}
		for d := '0'; d <= '9'; d++ {
			if n := strings.Count(all, string(d)); n < 1700 || n > 2300 { // 2000, seven standard deviations around
				t.Errorf("%c came %d times", d, n)
			}
		}
	})
}

// What is encoded is decoded again, and as Go encodes it.
func TestCryptoEncodings(t *testing.T) {
	gen := rapid.SliceOf(rapid.Byte())
	simulated(t, func(t *testing.T) {
		var script strings.Builder
		for seed := range 300 {
			data := gen.Example(seed)
			fmt.Fprintf(&script, `do local s = %s
				if crypto.base64_encode(s) ~= %q or crypto.base64_encode(s, { url = true }) ~= %q or crypto.hex_encode(s) ~= %q then log.info(%q) end
				if crypto.base64_decode(crypto.base64_encode(s)) ~= s or crypto.base64_decode(crypto.base64_encode(s, { url = true })) ~= s or crypto.hex_decode(crypto.hex_encode(s)) ~= s then log.info(%[5]q) end end
				`, luaString(string(data)), base64.StdEncoding.EncodeToString(data), base64.RawURLEncoding.EncodeToString(data), hex.EncodeToString(data), fmt.Sprint(data))
		}
		b := newBench(t, map[string]string{"main": script.String() + `log.info("done")`}, nil)
		b.run("main")
		if got := strings.Join(b.log.messages(), " "); got != "done" {
			t.Errorf("logged %s\n%s", got, b.log)
		}
	})
}

func TestCryptoLimits(t *testing.T) {
	runLimits(t, []luaCase{
		{"hash in a loop", `local s = ("x"):rep(1000000) while true do pcall(crypto.hash, "sha512", s) end`, "computes for too long"},
		{"random in a loop", `while true do pcall(crypto.random, 65536) end`, "computes for too long"},
		{"text that grows", `local s = "x" while true do s = crypto.hex_encode(s) end`, "string of"},
		{"Base64 that grows", `local s = "x" while true do s = crypto.base64_encode(s .. s) end`, "string of"},
		{"uuids", `local t = {} while true do t[#t + 1] = crypto.uuid() end`, "too much memory"},
	})
}
