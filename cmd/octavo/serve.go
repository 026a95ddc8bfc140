package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
	"github.com/octavo-lb/octavo/config"
)

// configFlags adds the flags that name the configuration, as oslo's programs have them.
func configFlags(c *cobra.Command) func() (config.Sources, error) {
	var files, dirs []string
	f := c.Flags()
	f.StringArrayVarP(&files, "config-file", "c", nil, "configuration file or directory; may be given again, later ones count (default /etc/octavia/octavia.conf and octavia.conf.d)")
	f.StringArrayVar(&dirs, "config-dir", nil, "directory of further *.conf files; may be given again")
	return func() (config.Sources, error) {
		all := append(files, dirs...)
		if len(all) == 0 {
			var err error
			if all, err = config.DefaultFiles("/"); err != nil {
				return config.Sources{}, err
			}
		}
		return config.Sources{Files: all, Env: os.Environ()}, nil
	}
}

func serve() *cobra.Command {
	o := app.ServeOptions{Stderr: os.Stderr, Version: version}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run a controller of a cloud, as octavia.conf says",
		Long: `Runs API, worker, health manager and housekeeping in one process, or those of them that --roles names. Any number of
controllers work on one database. SIGHUP reads the policy and the operator's own certificates again, tells which
other keys were changed, and opens the log file again; SIGTERM ends what is at hand first.`,
		Args: cobra.NoArgs,
	}
	sources := configFlags(c)
	c.Flags().StringSliceVar(&o.Roles, "roles", nil, "what this process does: api, worker, health, housekeeping (default all)")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if o.Config, err = sources(); err != nil {
			return err
		}
		return app.Serve(c.Context(), o)
	}
	return c
}
