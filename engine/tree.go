package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"unicode/utf8"

	"callisto/luabind"
)

// A file is a script as it was read, compiled. It is immutable.
type file struct {
	hash    [sha256.Size]byte
	program *luabind.Program // nil: broken
	fault   Problem          // why there is no program
}

// A tree is the script root as it was read.
type tree struct {
	files    map[string]*file // by script name
	dirs     []string         // the real directories to watch for changes of it
	problems []Problem        // that belong to no script
	compiled int              // how many scripts were new or changed
}

// maxDirs bounds a script root in which symbolic links multiply.
const maxDirs = 10_000

// errTorn says that the tree changed under the reader.
var errTorn = errors.New("the scripts changed while they were read")

// readTree reads and compiles every script below root. What is byte for byte
// as in before is taken from there. The error says that the root itself cannot be read;
// everything else is a problem in the tree.
//
// Scripts are the files that end in .lua, without those that are hidden (a
// ConfigMap's ..data and its kind among them) and without tests (*_test.lua). Symbolic
// links are followed as long as they stay inside the root.
func readTree(ctx context.Context, root string, before map[string]*file) (*tree, error) {
	const tries = 4
	for try := 1; ; try++ {
		r := treeReader{ctx: ctx, before: before, last: try == tries, tree: tree{files: make(map[string]*file, len(before))}}
		err := r.read(root)
		if err == nil {
			return &r.tree, nil
		}
		if !errors.Is(err, errTorn) {
			return nil, err
		}
	}
}

type treeReader struct {
	ctx    context.Context
	before map[string]*file
	last   bool // no further try: what vanished is gone
	root   *os.Root
	path   string
	buf    bytes.Buffer
	ndirs  int
	tree
}

func (r *treeReader) read(path string) (err error) {
	if r.path, err = filepath.EvalSymlinks(path); err != nil {
		return err
	}
	if r.path, err = filepath.Abs(r.path); err != nil {
		return err
	}
	if r.root, err = os.OpenRoot(r.path); err != nil {
		return err
	}
	defer r.root.Close()
	info, err := r.root.Stat(".")
	if err != nil {
		return err
	}
	if err := r.dir(r.root, ".", r.path, []os.FileInfo{info}); err != nil {
		return err
	}
	slices.Sort(r.dirs)
	r.dirs = slices.Compact(r.dirs)
	return nil
}

// dir reads the directory called name below the root, opened as here, which
// is really at the path real. Its parents are above.
func (r *treeReader) dir(here *os.Root, name, real string, above []os.FileInfo) error {
	if r.ndirs++; r.ndirs > maxDirs {
		return fmt.Errorf("there are more than %d directories: do symbolic links lead in circles?", maxDirs)
	}
	r.dirs = append(r.dirs, real)
	entries, err := readDir(here)
	if err != nil {
		if name == "." {
			return err
		}
		return r.unreadableDir(name, err)
	}
	for _, e := range entries {
		base := e.Name()
		if strings.HasPrefix(base, ".") {
			continue
		}
		child := path.Join(name, base)
		mode := e.Type()
		realChild, opener, local := filepath.Join(real, base), here, base
		if mode&fs.ModeSymlink != 0 {
			opener, local = r.root, child // it may lead out of this directory and stay in the root
			info, err := r.root.Stat(child)
			if err != nil {
				message := "is a symbolic link that leads nowhere, or out of the script root, or starts with /: " + reason(err)
				if isScript(base) {
					r.broken(child, message)
				} else {
					r.brokenDir(Problem{File: child, Message: message}) // if it was a directory
				}
				continue
			}
			mode = info.Mode()
			if target, err := filepath.EvalSymlinks(realChild); err == nil {
				realChild = target
				if !mode.IsDir() {
					r.dirs = append(r.dirs, filepath.Dir(target))
				}
			}
		}
		switch {
		case mode.IsDir():
			if !utf8.ValidString(base) {
				r.problems = append(r.problems, Problem{File: printable(child), Message: "is not a UTF-8 name, so its scripts have no names: rename the directory", Warning: true})
				continue
			}
			if err := r.subdir(opener, local, child, realChild, above); err != nil {
				return err
			}
		case isScript(base):
			if err := r.file(opener, local, child); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *treeReader) subdir(parent *os.Root, local, name, real string, above []os.FileInfo) error {
	sub, err := parent.OpenRoot(local)
	if err != nil {
		return r.unreadableDir(name, err)
	}
	defer sub.Close()
	info, err := sub.Stat(".")
	if err != nil {
		return r.unreadableDir(name, err)
	}
	for _, a := range above {
		if os.SameFile(a, info) {
			return nil // a link to a directory that holds it
		}
	}
	return r.dir(sub, name, real, append(slices.Clip(above), info))
}

func readDir(d *os.Root) ([]os.DirEntry, error) {
	f, err := d.Open(".")
	if err != nil {
		return nil, err
	}
	defer f.Close()
	entries, err := f.ReadDir(-1)
	slices.SortFunc(entries, func(a, b os.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, err
}

// isScript reports whether a file of that name is a script: not an editor's
// backup (menu.lua~, #menu.lua#), and not a test.
func isScript(base string) bool {
	return strings.HasSuffix(base, ".lua") && !strings.HasSuffix(base, "_test.lua") && base != ".lua"
}

func (r *treeReader) file(dir *os.Root, local, child string) error {
	if err := r.ctx.Err(); err != nil {
		return err
	}
	name := strings.TrimSuffix(child, ".lua")
	if fault := nameFault(name); fault != "" || strings.HasSuffix(name, ".lua") {
		if fault == "" {
			fault = "it ends in .lua twice"
		}
		r.problems = append(r.problems, Problem{File: printable(child), Message: "has no name to call it by: " + fault, Warning: true})
		return nil
	}
	text, err := r.text(dir, local)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			if !r.last {
				return errTorn
			}
			return nil
		}
		r.broken(child, "cannot be read: "+reason(err))
		return nil
	}
	hash := sha256.Sum256(text)
	if f, ok := r.before[name]; ok && f.hash == hash {
		r.files[name] = f
		return nil
	}
	f := &file{hash: hash}
	r.compiled++
	r.files[name] = f
	if len(bytes.TrimSpace(text)) == 0 {
		// Editors empty a file before they write it.
		f.fault = Problem{File: child, Message: "is empty: write a script, or remove the file"}
		return nil
	}
	f.program, err = luabind.Compile(name, slices.Clone(text))
	if err != nil {
		f.program = nil
		f.fault = Problem{File: child, Message: err.Error()}
		if se := (*luabind.SyntaxError)(nil); errors.As(err, &se) {
			f.fault = Problem{File: child, Line: se.Line, Column: se.Column, Message: se.Message}
		}
	}
	return nil
}

// text reads a file, as far as a script may be large. The result is valid until the
// next call.
func (r *treeReader) text(dir *os.Root, local string) ([]byte, error) {
	f, err := dir.OpenFile(local, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe must not stop the reader
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if info.Size() > luabind.MaxSource {
		return nil, fmt.Errorf("it is larger than %s, the most a script may have: split it", shortSize(luabind.MaxSource))
	}
	r.buf.Reset()
	r.buf.Grow(int(info.Size()) + bytes.MinRead)
	if _, err := r.buf.ReadFrom(io.LimitReader(f, luabind.MaxSource+1)); err != nil {
		return nil, err
	}
	return r.buf.Bytes(), nil
}

// broken adds a script that cannot even be read: the same file as before if the
// reason is.
func (r *treeReader) broken(child, message string) {
	name, fault := strings.TrimSuffix(child, ".lua"), Problem{File: child, Message: message}
	f := r.before[name]
	if f == nil || f.program != nil || f.fault != fault {
		f = unread(fault)
	}
	r.files[name] = f
}

func unread(fault Problem) *file {
	return &file{hash: sha256.Sum256([]byte("unread: " + fault.Message)), fault: fault}
}

// unreadableDir is for a directory that cannot be read. One that vanished is another matter.
func (r *treeReader) unreadableDir(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		if !r.last {
			return errTorn
		}
		return nil
	}
	fault := Problem{File: name + "/", Message: "cannot be read: " + reason(err)}
	if !r.brokenDir(fault) {
		r.problems = append(r.problems, fault)
	}
	return nil
}

// brokenDir keeps the scripts that were in a directory, broken. It is false if none were.
func (r *treeReader) brokenDir(fault Problem) (known bool) {
	inside := strings.TrimSuffix(fault.File, "/") + "/"
	for script, f := range r.before {
		if !strings.HasPrefix(script, inside) {
			continue
		}
		known = true
		if f.program != nil || f.fault != fault {
			f = unread(fault)
		}
		r.files[script] = f
	}
	return known
}

// reason is an error without the operation and the path, which are said already.
func reason(err error) string {
	if pe := (*fs.PathError)(nil); errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// printable is a file name fit for a log.
func printable(name string) string {
	return strings.ToValidUTF8(strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f {
			return '�'
		}
		return c
	}, name), "�")
}
