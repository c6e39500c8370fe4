package phone

import (
	"encoding/binary"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// maxPrompt is how much of a prompt's text is shown.
const maxPrompt = 1000

// prompts knows the words of sound files: menu.txt, or menu.wav.txt, beside menu.wav.
type prompts struct {
	dirs []string // where relative names are looked up

	mu      sync.Mutex
	texts   map[string]string
	lengths map[string]time.Duration
}

// text is what a prompt says, or "".
func (p *prompts) text(name string) string {
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

// paths are where a sound file may be.
func (p *prompts) paths(name string) []string {
	if name == "" || strings.Contains(name, "://") || strings.ContainsRune(name, 0) {
		return nil
	}
	if filepath.IsAbs(name) {
		return []string{name}
	}
	var list []string
	for _, dir := range p.dirs {
		list = append(list, filepath.Join(dir, filepath.FromSlash(name)))
	}
	return list
}

func (p *prompts) look(name string) string {
	for _, path := range p.paths(name) {
		for _, candidate := range [...]string{strings.TrimSuffix(path, filepath.Ext(path)) + ".txt", path + ".txt"} {
			if text := readText(candidate); text != "" {
				return text
			}
		}
	}
	return ""
}

// sound is how long a file plays, and whether it is there: as its own header says, as long as its words take to
// speak, or, where nothing is known of it, a second. As for the switch itself, what is below /nosuch is not there.
func (p *prompts) sound(name string) (length time.Duration, ok bool) {
	if strings.HasPrefix(name, "/nosuch") || name == "" || strings.ContainsAny(name, "${}") {
		return 0, false
	}
	p.mu.Lock()
	length, known := p.lengths[name]
	p.mu.Unlock()
	if known {
		return length, true
	}
	for _, path := range p.paths(name) {
		if length = wavLength(path); length > 0 {
			break
		}
	}
	if text := p.text(name); length == 0 && text != "" {
		length = 500*time.Millisecond + time.Duration(utf8.RuneCountInString(text))*60*time.Millisecond
	}
	if length == 0 {
		length = time.Second
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lengths == nil {
		p.lengths = map[string]time.Duration{}
	}
	p.lengths[name] = length
	return length, true
}

// wavLength is how long a file of RIFF/WAVE plays; 0 where it is none.
func wavLength(path string) time.Duration {
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return 0
	}
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	var head [12]byte
	if _, err := io.ReadFull(f, head[:]); err != nil || string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return 0
	}
	rate := int64(0) // bytes per second
	for range 64 {   // chunks before the sound
		var chunk [8]byte
		if _, err := io.ReadFull(f, chunk[:]); err != nil {
			return 0
		}
		size := int64(binary.LittleEndian.Uint32(chunk[4:]))
		switch string(chunk[:4]) {
		case "fmt ":
			var format [16]byte
			if _, err := io.ReadFull(f, format[:]); err != nil {
				return 0
			}
			rate = int64(binary.LittleEndian.Uint32(format[8:]))
			size -= int64(len(format))
		case "data":
			if rate == 0 {
				return 0
			}
			return time.Duration(float64(size) / float64(rate) * float64(time.Second))
		}
		if _, err := f.Seek(size+size%2, io.SeekCurrent); err != nil {
			return 0
		}
	}
	return 0
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
