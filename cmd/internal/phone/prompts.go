package phone

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"unicode/utf8"
)

// maxPrompt is how much of a prompt's text is shown.
const maxPrompt = 1000

// prompts knows the words of sound files: menu.txt, or menu.wav.txt, beside menu.wav.
type prompts struct {
	dirs []string // where relative names are looked up

	mu    sync.Mutex
	texts map[string]string
}

// text is what a prompt says, or "".
func (p *prompts) text(name string) string {
	if name == "" || strings.Contains(name, "://") || strings.ContainsRune(name, 0) {
		return ""
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text, ok := p.texts[name]
	if !ok {
		text = p.look(name)
		if p.texts == nil {
			p.texts = map[string]string{}
		}
		p.texts[name] = text
	}
	return text
}

func (p *prompts) look(name string) string {
	dirs := p.dirs
	if filepath.IsAbs(name) {
		dirs = []string{""}
	}
	for _, dir := range dirs {
		path := filepath.Join(dir, filepath.FromSlash(name))
		for _, candidate := range [...]string{strings.TrimSuffix(path, filepath.Ext(path)) + ".txt", path + ".txt"} {
			if text := readText(candidate); text != "" {
				return text
			}
		}
	}
	return ""
}

// readText is the beginning of a text file on one line, or "". A pipe or a device is not opened: that may wait
// for ever.
func readText(path string) string {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return ""
	}
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	b, _ := io.ReadAll(io.LimitReader(f, maxPrompt))
	for len(b) > 0 && !utf8.Valid(b) && len(b) > maxPrompt-utf8.UTFMax { // cut in the middle of a character
		b = b[:len(b)-1]
	}
	return strings.Join(strings.Fields(strings.ToValidUTF8(strings.TrimPrefix(string(b), "\ufeff"), "\ufffd")), " ")
}
