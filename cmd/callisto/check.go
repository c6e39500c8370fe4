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
script exists. It says what a reload would say, and what to do.

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
			if asJSON, _ := cmd.Flags().GetBool("json"); asJSON {
				if problems == nil {
					problems = []engine.Problem{}
				}
				if err := json.NewEncoder(out).Encode(problems); err != nil {
					return err
				}
			} else {
				for _, p := range problems {
					fmt.Fprintln(out, p)
				}
			}
			if len(problems) == 0 {
				fmt.Fprintln(cmd.ErrOrStderr(), "no problems")
			}
			if slices.ContainsFunc(problems, func(p engine.Problem) bool { return !p.Warning }) {
				return errScripts
			}
			return nil
		},
	}
	cmd.Flags().Bool("json", false, "print the problems as JSON")
	return cmd
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
