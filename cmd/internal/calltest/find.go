package calltest

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"callisto/engine"
)

// suffix is how the name of a test file ends. The engine serves none of these.
const suffix = "_test.lua"

// find lists the test files that are in, or below, the given paths, sorted; without any, in the script root and in
// the directory tests beside it.
func find(config *engine.Config, paths []string) ([]string, error) {
	given := len(paths) > 0
	if !given {
		paths = []string{config.Scripts.Root}
		beside := filepath.Join(filepath.Dir(filepath.Clean(config.Scripts.Root)), "tests")
		if info, err := os.Stat(beside); err == nil && info.IsDir() {
			paths = append(paths, beside)
		}
	}
	var list []string
	for _, path := range paths {
		before := len(list)
		err := filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case d.IsDir() && strings.HasPrefix(d.Name(), ".") && file != path:
				return filepath.SkipDir
			case !d.IsDir() && strings.HasSuffix(d.Name(), suffix) && !strings.HasPrefix(d.Name(), "."):
				list = append(list, filepath.ToSlash(near(file)))
			case file == path && !d.IsDir():
				return fmt.Errorf("%s is no test file: their names end in %s", path, suffix)
			}
			return nil
		})
		switch {
		case errors.Is(err, fs.ErrNotExist) && given:
			return nil, fmt.Errorf("there is no file or directory %s", path)
		case err != nil:
			return nil, err
		case len(list) == before && given:
			return nil, fmt.Errorf("there are no tests in %s: their names end in %s", path, suffix)
		}
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// near is a path as the directory one works in has it, where it is below that.
func near(path string) string {
	here, err := os.Getwd()
	if err != nil || !filepath.IsAbs(path) {
		return path
	}
	if short, err := filepath.Rel(here, path); err == nil && filepath.IsLocal(short) {
		return short
	}
	return path
}
