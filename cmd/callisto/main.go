// Callisto runs call flows for FreeSWITCH as Lua files.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	_ "time/tzdata" // scripts name zones, and not every machine has the database

	"github.com/spf13/cobra"
)

// Exit codes. 1 means that the user's scripts are wrong, 2 that the command could not
// run.
const (
	exitScripts = 1
	exitFailed  = 2
)

// errScripts ends the program with exitScripts. What is wrong has been printed.
var errScripts = errors.New("the scripts have problems")

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	root := newRoot()
	root.SetArgs(args)
	err := root.ExecuteContext(context.Background())
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errScripts):
		return exitScripts
	}
	fmt.Fprintln(os.Stderr, "callisto:", err)
	return exitFailed
}

func newRoot() *cobra.Command {
	root := &cobra.Command{
		Use:   "callisto",
		Short: "Call flows for FreeSWITCH as plain Lua files",
		Long: `Callisto runs call flows for FreeSWITCH as plain Lua files. The dialplan hands a call over:

  <action application="socket" data="127.0.0.1:8084/support/menu async full"/>

and scripts/support/menu.lua runs for that call. Save the file, and the next call runs
the new version.

  callisto new DIRECTORY  begin a project
  callisto serve          take calls
  callisto dial SCRIPT    try a script without a FreeSWITCH
  callisto check          find mistakes before a caller does
  callisto types          teach an editor what scripts can use
  callisto test           run the scripts' tests

Every command exits with 0 when all went well, 1 when the scripts are wrong, and 2 when it
could not run.`,
		SilenceUsage:      true,
		SilenceErrors:     true,
		CompletionOptions: cobra.CompletionOptions{HiddenDefaultCmd: true},
	}
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; %s --help lists what there is", err, cmd.CommandPath())
	})
	root.PersistentFlags().StringP("config", "c", "", "configuration `file` (default: config.toml, where there is one)")
	root.PersistentFlags().String("root", "", "the scripts' `directory`, instead of the configuration's scripts.root")
	root.AddCommand(newNew(), newServe(), newCheck(), newDial(), newTest(), newRoutes(), newGraph(), newTypes(), newVersion())
	return root
}
