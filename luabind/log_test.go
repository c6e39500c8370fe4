package luabind_test

import (
	"strings"
	"testing"
)

// A script's line is no longer than others can wait for: the log is everybody's.
func TestLogLineIsBounded(t *testing.T) {
	simulated(t, func(t *testing.T) {
		b := newBench(t, map[string]string{"main": `local long = ("x"):rep(9000) local t = {} for i = 10, 99 do t["f" .. i] = long end
log.info(long, t) log.info("name", { [long] = "y", ["a\nb"] = "c\nd" })`}, nil)
		c := b.run("main")
		first, ok := b.log.find(strings.Repeat("x", 8192)+"…", c.UUID)
		size := 0
		for name, value := range first.attrs {
			size += len(name) + len(value)
		}
		if !ok || len(first.attrs["f10"]) != 8192+len("…") || size > 70<<10 || first.attrs["left_out"] != "83" {
			t.Errorf("the line has %d bytes, %s fields are left out", size, first.attrs["left_out"])
		}
		if second, _ := b.log.find("name", c.UUID); second.attrs[strings.Repeat("x", 200)+"…"] != "y" || second.attrs["a\nb"] != "c\nd" {
			t.Errorf("the names are %v", second.attrs)
		}
	})
}
