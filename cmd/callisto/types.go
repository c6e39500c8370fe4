package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"callisto/luabind"
)

// The directory of the definitions, below that of the project, and the file in it.
const (
	typesDir  = ".callisto"
	typesFile = "callisto.lua"
)

func newTypes() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "types [DIRECTORY]",
		Short: "Teach an editor the call, its verbs and the modules",
		Long: `Types writes definitions for lua-language-server and editors that understand LuaCATS:
.callisto/callisto.lua with every verb, option, event and module, and .luarc.json, which has
the editor read them. Then the editor completes, shows documentation, and marks what does not fit.

DIRECTORY is what the editor opens, and is the current one where it is left out. What a
.luarc.json says already stays. Run it again after an update of Callisto.`,
		Example: `  callisto types
  callisto types /etc/callisto`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return writeTypes(cmd, dir)
		},
	}
	return cmd
}

func writeTypes(cmd *cobra.Command, dir string) error {
	if info, err := os.Stat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no directory", dir)
	}
	var types bytes.Buffer
	if err := luabind.WriteTypes(&types); err != nil {
		return err
	}
	rc := filepath.Join(dir, ".luarc.json")
	old, err := os.ReadFile(rc)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	settings, err := luabind.EditorSettings(old, typesDir)
	if err != nil {
		return fmt.Errorf("%s is no plain JSON (%w): add %q to workspace.library in it by hand, or move it away", rc, err, typesDir)
	}
	if err := os.MkdirAll(filepath.Join(dir, typesDir), 0o755); err != nil {
		return err
	}
	for path, text := range map[string][]byte{filepath.Join(dir, typesDir, typesFile): types.Bytes(), rc: settings} {
		if err := os.WriteFile(path, text, 0o644); err != nil {
			return err
		}
	}
	fmt.Fprintf(cmd.OutOrStdout(), "wrote %s and %s\n", filepath.Join(dir, typesDir, typesFile), rc)
	return nil
}
