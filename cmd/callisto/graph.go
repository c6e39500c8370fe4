package main

import (
	"fmt"
	"io"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"callisto/engine"
	"callisto/luabind"
	"callisto/luabind/drawing"
)

// graphFormats are what graph writes, and the endings of their files.
var graphFormats = map[string]struct {
	write   func(...drawing.Graph) []byte
	endings []string
}{
	"svg":     {drawing.SVG, []string{".svg"}},
	"mermaid": {drawing.Mermaid, []string{".mmd", ".mermaid"}},
	"dot":     {drawing.DOT, []string{".dot", ".gv"}},
}

func newGraph() *cobra.Command {
	var format, file, coverage, counts string
	var subflows bool
	cmd := &cobra.Command{
		Use:   "graph SCRIPT",
		Short: "Draw a flow, with what calls did in it",
		Long: `Graph draws the flow that a script returns: its steps, and on the arrows the outcomes that lead from
one to the next. It writes SVG, for which nothing else need be installed, Mermaid, which many forges show in
Markdown, or DOT for Graphviz.

--counts draws over it how often each step was entered, how it was left and how long it took, as a running server
counts it: give the address of its admin.listen, or a file with what its /counts answered. --coverage
reads a file of the same form and marks what was never reached.

A flow with mistakes is drawn, too, with the mistakes in red; graph then exits with 1, as check does.`,
		Example: `  callisto graph support/menu -o menu.svg
  callisto graph support/menu --format mermaid
  callisto graph support/menu --with-subflows -o menu.svg
  callisto graph support/menu --counts http://127.0.0.1:8085 -o today.svg
  callisto graph support/menu --coverage coverage.json -o tested.svg`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			write, err := graphWriter(format, file)
			if err != nil {
				return err
			}
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			library, err := engine.NewLibrary(cmd.Context(), config, slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err != nil {
				return err
			}
			var over engine.Overlay
			if source := counts + coverage; source != "" {
				if over.Counts, err = engine.OpenCounts(cmd.Context(), source); err != nil {
					return err
				}
				over.Data = drawing.Counts
				if coverage != "" {
					over.Data = drawing.Coverage
				}
			}
			graphs, problems, err := library.Snapshot().Draw(args[0], subflows, over)
			if err != nil {
				return err
			}
			if file == "" {
				_, err = cmd.OutOrStdout().Write(write(graphs...))
			} else {
				err = os.WriteFile(file, write(graphs...), 0o644)
			}
			if err != nil {
				return err
			}
			for _, p := range problems {
				warning := ""
				if p.Warning {
					warning = "warning: "
				}
				fmt.Fprintln(cmd.ErrOrStderr(), warning+p.String())
			}
			if slices.ContainsFunc(problems, engine.Problem.Fails) {
				return errScripts
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&format, "format", "", "svg, mermaid or dot (default: as FILE ends, else svg)")
	cmd.Flags().StringVarP(&file, "output", "o", "", "write to `FILE`, not to stdout")
	cmd.Flags().StringVar(&counts, "counts", "", "draw the counts of a running server over it: its `URL`, or a file")
	cmd.Flags().StringVar(&coverage, "coverage", "", "mark what was never reached, from a `FILE` of counts")
	cmd.Flags().BoolVar(&subflows, "with-subflows", false, "draw the flows that it runs, too")
	cmd.MarkFlagsMutuallyExclusive("counts", "coverage")
	return cmd
}

// graphWriter is what writes the format, or where none is given the one that the file's ending means.
func graphWriter(format, file string) (func(...drawing.Graph) []byte, error) {
	if format == "" {
		format = "svg"
		if ending := strings.ToLower(filepath.Ext(file)); ending != "" {
			format = ""
			for name, f := range graphFormats {
				if slices.Contains(f.endings, ending) {
					format = name
				}
			}
			if format == "" {
				return nil, fmt.Errorf("%s says no format that is known: add --format svg, mermaid or dot", file)
			}
		}
	}
	f, ok := graphFormats[format]
	if !ok {
		names := slices.Sorted(maps.Keys(graphFormats))
		hint := ""
		if n := luabind.Nearest(format, names); n != "" {
			hint = fmt.Sprintf(", did you mean %s?", n)
		}
		return nil, fmt.Errorf("there is no format %s%s; there are %s", format, hint, strings.Join(names, ", "))
	}
	return f.write, nil
}
