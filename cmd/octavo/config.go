package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
	"github.com/octavo-lb/octavo/config"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Check and show the configuration", Args: cobra.NoArgs}
	c.AddCommand(configCheck(), configShow(), configReference())
	return c
}

func configCheck() *cobra.Command {
	c := &cobra.Command{
		Use:   "check",
		Short: "Say what is wrong with the configuration, and what in it has no effect",
		Args:  cobra.NoArgs,
	}
	sources := configFlags(c)
	c.RunE = func(c *cobra.Command, _ []string) error {
		from, err := sources()
		if err != nil {
			return err
		}
		return app.CheckConfig(from, c.OutOrStdout())
	}
	return c
}

func configShow() *cobra.Command {
	var effective bool
	c := &cobra.Command{
		Use:   "show",
		Short: "Show the configuration as it was read, with where each key was set; secrets show as ***",
		Args:  cobra.NoArgs,
	}
	sources := configFlags(c)
	c.Flags().BoolVar(&effective, "effective", false, "show keys that were not set as well, with what they are")
	c.RunE = func(c *cobra.Command, _ []string) error {
		from, err := sources()
		if err != nil {
			return err
		}
		cfg, err := config.Load(from)
		if err != nil {
			return err
		}
		fmt.Fprintf(c.OutOrStdout(), "# %s\n", cfg.Hash())
		if effective {
			return cfg.Dump(c.OutOrStdout())
		}
		return cfg.DumpSet(c.OutOrStdout())
	}
	return c
}

func configReference() *cobra.Command {
	return &cobra.Command{
		Use:   "reference",
		Short: "Print every key with its documentation and default, as a configuration file to begin with",
		Args:  cobra.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return config.Reference(c.OutOrStdout()) },
	}
}
