package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"callisto/engine"
)

func newCheck() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "check",
		Short: "Find mistakes in the scripts, their requires and the routes",
		Long: `Check compiles every script, resolves every require, and looks whether every route's
script exists. It knows what the call, its verbs and the modules have, and finds names, options,
events and arguments that do not fit. It says what is wrong, where, and what to do.

It exits with 0 when all is well, with 1 when the scripts, the routes or the configuration are
wrong, and with 2 when it could not look.`,
		Example: `  callisto check
  callisto check --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			problems, err := check(cmd)
			if err != nil {
				return err
			}
			out := cmd.OutOrStdout()
			asJSON, _ := cmd.Flags().GetBool("json")
			switch {
			case asJSON:
				list := []problem{} // not null
				for _, p := range problems {
					list = append(list, problem{p.File, p.Line, p.Column, p.Message, !p.Fails()})
				}
				if err := json.NewEncoder(out).Encode(list); err != nil {
					return err
				}
			case len(problems) == 0:
				fmt.Fprintln(out, "no problems")
			}
			for _, p := range problems {
				if asJSON {
					break
				}
				warning := ""
				if !p.Fails() {
					warning = "warning: "
				}
				fmt.Fprintln(out, warning+p.String())
			}
			if slices.ContainsFunc(problems, engine.Problem.Fails) {
				return errScripts
			}
			return nil
		},
	}
	cmd.Flags().Bool("json", false, "print the problems as JSON")
	return cmd
}

// A problem is what --json prints of one. Line and column are left out where they are not known.
type problem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	Warning bool   `json:"warning"` // it may be meant, or does no harm
}

func check(cmd *cobra.Command) ([]engine.Problem, error) {
	config, err := loadConfig(cmd)
	var wrong *engine.ConfigError
	if errors.As(err, &wrong) {
		return wrong.Problems, nil
	}
	if err != nil {
		return nil, err
	}
	return engine.Check(cmd.Context(), config)
}
