package luabind

import "strings"

// Many applications take their argument apart at spaces, or at another character, and
// undo quotes and backslashes in each part (switch_utils.c, switch_separate_string). What a
// script hands over must stay one part, and arrive in it byte for byte.

// word makes one of the space-separated words of an argument.
func word(a argument) argument {
	if a.text() == "" {
		return literal("''")
	}
	return a.mapped(func(s string) string { return wordEscapes.Replace(s) })
}

var wordEscapes = strings.NewReplacer(`\`, `\\`, `'`, `\'`, " ", `\s`, "\n", `\n`, "\r", `\r`, "\t", `\t`)

// words joins words with spaces.
func words(list ...argument) argument {
	var all argument
	for i, a := range list {
		if i > 0 {
			all = all.with(literal(" "))
		}
		all = all.with(word(a))
	}
	return all
}

// mapped is the argument with its literal pieces changed.
func (a argument) mapped(change func(string) string) argument {
	pieces := make([]piece, len(a.pieces))
	for i, p := range a.pieces {
		if !p.expand {
			p.text = change(p.text)
		}
		pieces[i] = p
	}
	return argument{pieces}
}

// holds reports whether a literal piece of the argument has one of these characters.
func (a argument) holds(chars string) bool {
	for _, p := range a.pieces {
		if !p.expand && strings.ContainsAny(p.text, chars) {
			return true
		}
	}
	return false
}

// playable raises where a file's name would be more to the switch than that.
func (a args) playable(files ...argument) {
	for _, f := range files {
		if f.expands() || f.text() != "" && !strings.Contains(f.text(), ":") {
			continue // no scheme in it
		}
		text := strings.ToLower(strings.TrimLeft(f.text(), " "))
		switch {
		case text == "":
			a.fail("the name of a file is empty")
		case strings.HasPrefix(text, "phrase:") && strings.Contains(text, "$"):
			a.fail("%s holds a $: the macros of a phrase expand it, and would run what is in it", describeText(f))
		case strings.Contains(text, "shell_stream://"):
			a.fail("%s runs a command on the switch; if that is meant, say so with expand", describeText(f))
		}
	}
}

func describeText(a argument) string {
	text := a.text()
	if len(text) > 60 {
		text = text[:60] + "…"
	}
	return "`" + text + "`"
}

// prompts are several files as the one file that read and its like take, with what has to be set for it:
// played one after the other, any key in any of them ends them all (switch_ivr_play_say.c,
// switch_ivr_play_file).
func prompts(files []argument) (file argument, delimiter string) {
	if len(files) == 1 {
		return files[0], ""
	}
	for _, d := range "!|~^;`" {
		delimiter = string(d)
		used := false
		for _, f := range files {
			used = used || strings.Contains(f.text(), delimiter)
		}
		if !used {
			break
		}
	}
	for i, f := range files {
		if i > 0 {
			file = file.with(literal(delimiter))
		}
		file = file.with(f.mapped(func(s string) string {
			return strings.ReplaceAll(wordEscapes.Replace(s), delimiter, `\`+delimiter)
		}))
	}
	return file, delimiter
}
