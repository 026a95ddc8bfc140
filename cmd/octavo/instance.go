package main

import (
	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/localcloud/instance"
)

// instanceInit only documents the command: main calls the init before anything else.
func instanceInit() *cobra.Command {
	return &cobra.Command{
		Use:    instance.InitCommand,
		Short:  "Be the init of a server of the standalone cloud",
		Hidden: true,
		Run:    func(_ *cobra.Command, args []string) { instance.Main(args) },
	}
}
