package main

import (
	"flag"
	"os"
	"testing"
)

var update = flag.Bool("update", false, "draw docs/support.svg anew")

// TestPictureInDocuments holds docs/support.svg against the script that stands above it.
func TestPictureInDocuments(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/config.toml", "")
	for _, b := range blocks(t, "lua") {
		if b.file == "docs/graph.md" {
			write(t, dir+"/scripts/support.lua", b.text)
		}
	}
	got, stderr, err := command(t, "graph", "support", "--config", dir+"/config.toml")
	if err != nil || stderr != "" {
		t.Fatalf("%v\n%s", err, stderr)
	}
	const file = root + "/docs/support.svg"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != got {
		t.Errorf("docs/support.svg is not what callisto graph draws of the flow in docs/graph.md (%v); make docs draws it anew", err)
	}
}
