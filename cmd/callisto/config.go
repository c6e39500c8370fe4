package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"callisto/engine"
)

// loadConfig reads the configuration that the flags name, or config.toml where there
// is one, or none.
func loadConfig(cmd *cobra.Command) (*engine.Config, error) {
	path, _ := cmd.Flags().GetString("config")
	if path == "" {
		switch _, err := os.Stat("config.toml"); {
		case err == nil:
			path = "config.toml"
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
	}
	config, err := engine.LoadConfig(path)
	if err != nil {
		return nil, err
	}
	if root, _ := cmd.Flags().GetString("root"); root != "" {
		if root, err = filepath.Abs(root); err != nil {
			return nil, err
		}
		changed := *config
		changed.Scripts.Root = root
		config = &changed
	}
	return config, nil
}
