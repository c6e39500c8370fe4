package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"text/template"

	"github.com/spf13/cobra"
)

// project is what a new project begins with. A dot goes before gitignore, which embed would not take.
//
//go:embed project
var project embed.FS

func newNew() *cobra.Command {
	return &cobra.Command{
		Use:   "new DIRECTORY",
		Short: "Begin a project: a flow, its test, configuration and dialplan",
		Long: `New writes a project that runs and passes its own test: a flow with opening hours and a menu, its
test, config.toml, the lines for FreeSWITCH's dialplan, a README, and what an editor needs.

DIRECTORY must not exist, or be empty.`,
		Example: `  callisto new office
  cd office && callisto test && callisto dial main`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			dir := filepath.Clean(args[0])
			if err := writeProject(dir); err != nil {
				return err
			}
			if err := writeTypes(cmd, dir); err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), `%s is ready. Go on with

  cd %s
  callisto test         call it without a switch
  callisto dial main    be the caller
  callisto serve        take calls: dialplan/callisto.xml has what FreeSWITCH needs
`, dir, dir)
			return nil
		},
	}
}

func writeProject(dir string) error {
	switch entries, err := os.ReadDir(dir); {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return err
	case len(entries) > 0:
		return fmt.Errorf("%s is not empty: name a directory that does not exist yet", dir)
	}
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	return fs.WalkDir(project, "project", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(strings.TrimPrefix(path, "project"), "/")
		if name == "gitignore" {
			name = ".gitignore"
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := project.ReadFile(path)
		if err != nil {
			return err
		}
		if name != "README.md" {
			return os.WriteFile(target, text, 0o644)
		}
		file, err := os.Create(target)
		if err != nil {
			return err
		}
		err = template.Must(template.New(name).Parse(string(text))).Execute(file, map[string]string{"Name": filepath.Base(absolute)})
		return errors.Join(err, file.Close())
	})
}
