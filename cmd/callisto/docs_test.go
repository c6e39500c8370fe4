package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/cobra"

	"callisto/engine"
	"callisto/luabind"
)

// What the documentation says is tried here: its scripts run, its configurations parse, its commands exist
// and print what it says they print.

const root = "../.."

// documents are the Markdown files, by their path from the root of the project.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	read := func(path string) {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name, _ := filepath.Rel(root, path)
		docs[name] = string(text)
	}
	read(root + "/README.md")
	read(root + "/CHANGELOG.md")
	read(root + "/examples/README.md")
	err := filepath.WalkDir(root+"/docs", func(path string, d fs.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".md" {
			read(path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return docs
}

// A block is what stands between two lines of ```.
type block struct{ file, language, text string }

func blocks(t *testing.T, language string) (list []block) {
	t.Helper()
	docs := documents(t)
	for _, file := range slices.Sorted(maps.Keys(docs)) {
		for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(docs[file], -1) {
			if m[1] == language {
				list = append(list, block{file, m[1], m[2]})
			}
		}
	}
	return list
}

// command runs callisto in this process, and returns what it prints.
func command(t *testing.T, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := newRoot()
	cmd.SetArgs(args)
	cmd.SetIn(strings.NewReader(""))
	cmd.SetOut(&out)
	cmd.SetErr(&errs)
	err = cmd.ExecuteContext(context.Background())
	return out.String(), errs.String(), err
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestReadme does what the README says, in its order, with the project's own scripts.
func TestReadme(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir+"/scripts", os.DirFS(root+"/scripts")); err != nil {
		t.Fatal(err)
	}
	config, err := os.ReadFile(root + "/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks(t, "toml") {
		if b.file == "README.md" {
			config = append(config, b.text...)
		}
	}
	write(t, dir+"/config.toml", string(config))
	var script string
	for _, b := range blocks(t, "lua") {
		if b.file == "README.md" {
			script = b.text
		}
	}
	if n := strings.Count(script, "\n"); n > 10 {
		t.Errorf("the README's script has %d lines", n)
	}
	write(t, dir+"/scripts/hello.lua", script)
	if out, _, err := command(t, "check", "--config", dir+"/config.toml"); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
	write(t, dir+"/scripts/support/menu.lua", "call:answer()\nrequire \"lib.hors\"\n") // the mistake that it shows
	shown := 0
	for _, b := range blocks(t, "console") {
		if b.file != "README.md" {
			continue
		}
		for _, part := range strings.Split(b.text, "$ bin/callisto ")[1:] {
			line, want, _ := strings.Cut(part, "\n")
			args := strings.Fields(line)
			got, stderr, _ := command(t, append(args, "--config", dir+"/config.toml")...)
			if diff := cmp.Diff(timeless(want), timeless(got)); diff != "" {
				t.Errorf("callisto %s (-README +got):\n%s%s", line, diff, stderr)
			}
			shown++
		}
	}
	if shown < 4 {
		t.Errorf("the README shows %d commands", shown)
	}
}

// fileOf is the name of the file that a block of Lua says it is, in a comment at its beginning.
func fileOf(b block) string {
	first, _, _ := strings.Cut(b.text, "\n")
	name, _ := strings.CutPrefix(first, "-- ")
	if !strings.HasSuffix(name, ".lua") || strings.Contains(name, " ") {
		return ""
	}
	return name
}

// TestTestingDocument does what docs/testing.md says, in its order.
func TestTestingDocument(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	text, err := os.ReadFile(filepath.Join(home, "docs/testing.md"))
	if err != nil {
		t.Fatal(err)
	}
	shown := 0
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(string(text), -1) {
		switch b := (block{"docs/testing.md", m[1], m[2]}); b.language {
		case "lua":
			if name := fileOf(b); name != "" {
				write(t, filepath.Join(dir, name), b.text)
			}
		case "toml":
			write(t, filepath.Join(dir, "config.toml"), b.text)
		case "console":
			for _, part := range strings.Split(b.text, "$ callisto ")[1:] {
				line, want, _ := strings.Cut(part, "\n")
				got, stderr, _ := command(t, strings.Fields(line)...)
				if diff := cmp.Diff(timeless(want), timeless(got)); diff != "" {
					t.Errorf("callisto %s (-docs +got):\n%s%s", line, diff, stderr)
				}
				shown++
			}
		}
	}
	if shown < 4 {
		t.Errorf("docs/testing.md shows %d commands", shown)
	}
	for _, m := range luabind.TestModules {
		names := func(verbs []luabind.Verb) {
			for _, v := range verbs {
				if !strings.Contains(string(text), v.Name) {
					t.Errorf("docs/testing.md does not say what %s is", v.Name)
				}
			}
		}
		names(m.Functions)
		for _, k := range m.Classes {
			names(k.Methods)
			for _, f := range k.Fields {
				if !strings.Contains(string(text), "`"+f.Name+"`") {
					t.Errorf("docs/testing.md does not say what %s is", f.Name)
				}
			}
		}
	}
}

// home is the root of the project, from wherever a test is.
var home, _ = filepath.Abs(root)

// TestTenMinutes does what the README's first section says, in its order: its commands, and its changes to the project
// that they make.
func TestTenMinutes(t *testing.T) {
	text, err := os.ReadFile(root + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## Ten minutes")
	section, _, _ = strings.Cut(section, "\n## ")
	t.Chdir(t.TempDir())
	commands, changes := 0, 0
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$").FindAllStringSubmatch(section, -1) {
		switch m[1] {
		case "diff":
			change(t, m[2])
			changes++
		case "console":
			for _, part := range strings.Split(m[2], "$ ")[1:] {
				line, want, _ := strings.Cut(part, "\n")
				args := arguments(line)
				if args[0] == "cd" {
					t.Chdir(args[1])
					continue
				}
				got, stderr, _ := command(t, args[1:]...)
				if diff := cmp.Diff(timeless(want), timeless(got)); diff != "" {
					t.Errorf("%s (-README +got):\n%s%s", line, diff, stderr)
				}
				commands++
			}
		}
	}
	if commands < 7 || changes < 4 {
		t.Errorf("there are %d commands and %d changes", commands, changes)
	}
}

// arguments takes a command's line apart.
func arguments(line string) (list []string) {
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			list = append(list, part)
		} else {
			list = append(list, strings.Fields(part)...)
		}
	}
	return list
}

// change applies a diff to the one script that it fits.
func change(t *testing.T, diff string) {
	t.Helper()
	var before, after string
	for line := range strings.Lines(diff) {
		switch {
		case line[0] == '+':
			after += line[1:]
		case line[0] == '-':
			before += line[1:]
		default:
			before += strings.TrimPrefix(line, " ")
			after += strings.TrimPrefix(line, " ")
		}
	}
	files, err := filepath.Glob("scripts/*.lua")
	if err != nil {
		t.Fatal(err)
	}
	changed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if n := strings.Count(string(text), before); n > 0 {
			changed += n
			write(t, file, strings.Replace(string(text), before, after, 1))
		}
	}
	if changed != 1 {
		t.Fatalf("this fits %d places:\n%s", changed, diff)
	}
}

// TestScriptsInDocuments calls every script that stands in the documentation, and every one of scripts/.
func TestScriptsInDocuments(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/config.toml", "[sql.crm]\ndsn = \"sqlite::memory:\"\n[http]\nallow = []\n[mail]\nserver = \"127.0.0.1:1\"\n") // nothing leaves this machine
	n := 0
	for _, b := range blocks(t, "lua") {
		if strings.HasSuffix(fileOf(b), "_test.lua") {
			continue
		}
		n++
		write(t, dir+"/scripts/main.lua", b.text)
		if out, stderr, err := command(t, "dial", "main", "--fast", "--config", dir+"/config.toml"); err != nil {
			t.Errorf("%s: %v\n%s\n%s%s", b.file, err, b.text, out, stderr)
		}
	}
	if n < 4 {
		t.Errorf("there are %d scripts in the documentation", n)
	}
	if out, _, err := command(t, "check", "--config", root+"/config.toml"); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
	for _, args := range []string{"main", "support/reception", "support/reception always=yes team=1001,1002"} {
		if out, _, err := command(t, append(append([]string{"dial"}, strings.Fields(args)...), "--fast", "--config", root+"/config.toml")...); err != nil {
			t.Errorf("dial %s: %v\n%s", args, err, out)
		}
	}
}

// exampleProject is a copy of examples/: its calls leave values in a database beside its configuration.
func exampleProject(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(root+"/examples")); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestExamples checks the examples, runs their tests, which come to every line and every way, walks their flows, and
// does what each says one should try.
func TestExamples(t *testing.T) {
	dir := exampleProject(t)
	config := dir + "/config.toml"
	if out, _, err := command(t, "check", "--config", config); err != nil {
		t.Errorf("check: %v\n%s", err, out)
	}
	if out, stderr, err := command(t, "test", "--threshold", "100", "--config", config); err != nil {
		t.Errorf("test: %v\n%s%s", err, out, stderr)
	}
	if out, stderr, err := command(t, "test", "--explore", "--config", config); err != nil {
		t.Errorf("test --explore: %v\n%s%s", err, out, stderr)
	}
	list, err := os.ReadFile(dir + "/README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(dir + "/*.lua")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".lua")
		if strings.HasSuffix(name, "_test") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(strings.TrimSuffix(file, ".lua") + "_test.lua"); err != nil {
				t.Error("it has no test")
			}
			if !strings.Contains(string(list), "| ["+name+"]("+name+".lua) |") {
				t.Error("examples/README.md does not list it")
			}
			if !regexp.MustCompile(`(?m)^-- Dialplan: <action application="socket" data="127\.0\.0\.1:8084/`+name+` async full[^"]*"/>$`).Match(text) && name != "setup" {
				t.Error("it does not say which line of a dialplan runs it")
			}
			try := regexp.MustCompile(`(?m)^-- Try it: +callisto (dial (?:setup|`+name+`)\b.*)$`).FindAllSubmatch(text, -1)
			if len(try) == 0 {
				t.Error("it does not say how to try it")
			}
			for _, m := range try {
				var args []string
				for _, word := range regexp.MustCompile(`'[^']*'|\S+`).FindAllString(string(m[1]), -1) {
					args = append(args, strings.Trim(word, "'"))
				}
				out, stderr, err := command(t, append(args, "--fast", "--config", config)...)
				if err != nil {
					t.Errorf("%q: %v\n%s%s", args, err, out, stderr)
				}
				if strings.Contains(out, "nothing has ended the call") {
					t.Errorf("%q does not end:\n%s", args, out)
				}
			}
			// What a prompt of one's own says stands beside its name, and where the phone looks for it.
			for _, m := range regexp.MustCompile(`"(office/[a-z_]+)\.wav"`).FindAllSubmatch(text, -1) {
				words, err := os.ReadFile(dir + "/sounds/" + string(m[1]) + ".txt")
				if err != nil || !strings.Contains(string(text), `"`+strings.TrimSpace(string(words))+`"`) {
					t.Errorf("the words of %s.wav, %q, are not those of the script: %v", m[1], words, err)
				}
			}
		})
	}
}

// The announcement of examples/emergency.lua begins with the next call after its switch is saved.
func TestExampleSwitch(t *testing.T) {
	dir := exampleProject(t)
	dial := func() string {
		out, stderr, err := command(t, "dial", "emergency", "--fast", "--config", dir+"/config.toml")
		if err != nil {
			t.Fatalf("%v\n%s%s", err, out, stderr)
		}
		return out
	}
	if out := dial(); strings.Contains(out, "office/emergency.wav") || !strings.Contains(out, "transfer 9000") {
		t.Errorf("it is off, and a caller hears\n%s", out)
	}
	text, err := os.ReadFile(dir + "/emergency/switch.lua")
	if err != nil {
		t.Fatal(err)
	}
	write(t, dir+"/emergency/switch.lua", strings.Replace(string(text), "on = false", "on = true", 1))
	if out := dial(); !strings.Contains(out, "office/emergency.wav") {
		t.Errorf("it is on, and a caller hears\n%s", out)
	}
}

// TestConfigInDocuments loads every configuration that stands in the documentation.
func TestConfigInDocuments(t *testing.T) {
	for _, b := range blocks(t, "toml") {
		path := filepath.Join(t.TempDir(), "config.toml")
		write(t, path, b.text)
		if _, err := engine.LoadConfig(path); err != nil {
			t.Errorf("%s: %v\n%s", b.file, err, b.text)
		}
	}
	if _, err := engine.LoadConfig(root + "/config.toml"); err != nil {
		t.Error(err)
	}
}

// TestDialplanInDocuments parses every piece of dialplan, and looks for how it names a socket.
func TestDialplanInDocuments(t *testing.T) {
	for _, b := range blocks(t, "xml") {
		d := xml.NewDecoder(strings.NewReader(b.text))
		for {
			if _, err := d.Token(); err == io.EOF {
				break
			} else if err != nil {
				t.Errorf("%s: %v\n%s", b.file, err, b.text)
				break
			}
		}
		if !strings.Contains(b.text, `application="socket"`) {
			t.Errorf("%s: there is no socket action in\n%s", b.file, b.text)
		}
	}
}

// TestNamesInDocuments looks up the settings, the commands with their flags, the make targets, the
// environment variables and the files that the documentation names.
func TestNamesInDocuments(t *testing.T) {
	makefile, err := os.ReadFile(root + "/Makefile")
	if err != nil {
		t.Fatal(err)
	}
	targets := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^([a-z-]+):.*## `).FindAllSubmatch(makefile, -1) {
		targets[string(m[1])] = true
	}
	settings := map[string]bool{}
	text, err := os.ReadFile(root + "/config.toml")
	if err != nil {
		t.Fatal(err)
	}
	var config map[string]map[string]any
	if err := toml.Unmarshal(text, &config); err != nil {
		t.Fatal(err)
	}
	for section, table := range config {
		for name := range table {
			settings[section+"."+name] = true
			settings["CALLISTO_"+strings.ToUpper(section+"_"+name)] = true
		}
	}
	docs := documents(t)
	for _, file := range slices.Sorted(maps.Keys(docs)) {
		text := docs[file]
		for _, m := range regexp.MustCompile("`([a-z]+)\\.([a-z_]+)[`= ]").FindAllStringSubmatch(text, -1) {
			if config[m[1]] != nil && !settings[m[1]+"."+m[2]] && !luabind.HasFunction(m[1], m[2]) {
				t.Errorf("%s: there is no setting %s.%s", file, m[1], m[2])
			}
		}
		for _, m := range regexp.MustCompile(`\bCALLISTO_[A-Z]+_[A-Z_]+`).FindAllString(text, -1) {
			section, _, _ := strings.Cut(strings.TrimPrefix(m, "CALLISTO_"), "_")
			if config[strings.ToLower(section)] != nil && !settings[m] {
				t.Errorf("%s: there is no setting for %s", file, m)
			}
		}
		commands := strings.Join(regexp.MustCompile("(?ms)^```(?:sh|console|ini)\n.*?^```$|`[^`\n]+`").FindAllString(text, -1), "\n")
		for _, m := range regexp.MustCompile("(?m)(?:`|^)make ([a-z-]+)").FindAllStringSubmatch(commands, -1) {
			if !targets[m[1]] {
				t.Errorf("%s: there is no make %s", file, m[1])
			}
		}
		for _, m := range regexp.MustCompile("(?m)(?:`|^|/)callisto ([a-z]+)([^`\n]*)").FindAllStringSubmatch(commands, -1) {
			cmd, rest, err := newRoot().Find([]string{m[1]})
			if err != nil || len(rest) > 0 {
				t.Errorf("%s: there is no callisto %s", file, m[1])
				continue
			}
			for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(m[2], -1) {
				if !hasFlag(cmd, flag[1]) {
					t.Errorf("%s: callisto %s has no flag --%s", file, m[1], flag[1])
				}
			}
		}
		for _, m := range regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`).FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(root, filepath.Dir(file), m[1])); err != nil {
				t.Errorf("%s: the link to %s leads nowhere", file, m[1])
			}
		}
	}
}

// TestLogInDocuments looks for the log's lines, and the endings of calls, in docs/operations.md.
func TestLogInDocuments(t *testing.T) {
	text := documents(t)["docs/operations.md"]
	var source strings.Builder
	for _, pattern := range []string{"/engine/*.go", "/engine/services/*.go", "/esl/*.go", "/luabind/*.go", "/cmd/callisto/*.go"} {
		files, _ := filepath.Glob(root + pattern)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			code, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			source.Write(code)
		}
	}
	_, table, _ := strings.Cut(text, "| line | what it means |")
	table, _, _ = strings.Cut(table, "\n\n")
	lines := regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(table, -1)
	if len(lines) < 10 {
		t.Fatalf("it lists %d lines of the log", len(lines))
	}
	for _, m := range lines {
		for name := range strings.SplitSeq(strings.Trim(m[1], "`"), "`, `") {
			if !strings.Contains(source.String(), `"`+name) {
				t.Errorf("nothing logs %q", name)
			}
		}
	}
	for e := luabind.Returned; e <= luabind.Disconnected; e++ {
		if !strings.Contains(text, "\n| `"+e.String()+"` |") {
			t.Errorf("it does not explain the ending %q", e)
		}
	}
}

func hasFlag(cmd *cobra.Command, name string) bool {
	return name == "help" || cmd.Flags().Lookup(name) != nil || cmd.InheritedFlags().Lookup(name) != nil
}

// The help of each command has an example or needs none, and says what the command does.
func TestHelp(t *testing.T) {
	for _, cmd := range newRoot().Commands() {
		if cmd.Short == "" || cmd.Example == "" && cmd.Name() != "version" && cmd.Name() != "help" {
			t.Errorf("callisto %s has no example", cmd.Name())
		}
		for _, m := range regexp.MustCompile(`callisto ([a-z]+)(.*)`).FindAllStringSubmatch(cmd.Example, -1) {
			for _, flag := range regexp.MustCompile(`--([a-z-]+)`).FindAllStringSubmatch(m[2], -1) {
				if !hasFlag(cmd, flag[1]) {
					t.Errorf("the example %q has no flag --%s", m[0], flag[1])
				}
			}
		}
	}
}
