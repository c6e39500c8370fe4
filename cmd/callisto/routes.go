package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"callisto/engine"
)

func newRoutes() *cobra.Command {
	var call engine.CallInfo
	cmd := &cobra.Command{
		Use:   "routes NUMBER",
		Short: "Say which script a number runs, and why",
		Long: `Routes says which script a call to a number runs, and why: what the dialplan's path names, else
the first [[route]] that matches, else scripts.default. It exits with 1 when that script cannot run.`,
		Example: `  callisto routes +18005551234
  callisto routes 9000 --caller +4612345 --context public
  callisto routes 9000 --path support/menu`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			config, err := loadConfig(cmd)
			if err != nil {
				return err
			}
			library, err := engine.NewLibrary(cmd.Context(), config, slog.New(slog.NewTextHandler(io.Discard, nil)))
			if err != nil {
				return err
			}
			call.Destination = args[0]
			choice, err := library.Snapshot().Pick(call)
			out := cmd.OutOrStdout()
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				answer := map[string]any{"number": args[0], "script": choice.Script, "why": choice.Why, "args": choice.Args}
				if err != nil {
					answer["error"] = err.Error()
				}
				if err := json.NewEncoder(out).Encode(answer); err != nil {
					return err
				}
			} else {
				fmt.Fprintf(out, "%s runs %s: %s\n", args[0], choice.Script, choice.Why)
				for _, name := range slices.Sorted(maps.Keys(choice.Args)) {
					fmt.Fprintf(out, "  args.%s = %s\n", name, choice.Args[name])
				}
			}
			if err != nil {
				fmt.Fprintln(cmd.ErrOrStderr(), err)
				return errScripts
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&call.Caller, "caller", "", "the caller's `number`")
	cmd.Flags().StringVar(&call.Context, "context", "default", "the dialplan's context")
	cmd.Flags().StringVar(&call.Path, "path", "", "the path in the socket action")
	cmd.Flags().Bool("json", false, "print it as JSON")
	return cmd
}
