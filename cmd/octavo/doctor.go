package main

import (
	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
)

func doctor() *cobra.Command {
	var o app.DoctorOptions
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at everything that the service needs, and say what to do about what is wrong",
		Long: `Looks at the configuration, the database, Keystone, the catalog, the image, flavor and networks of amphorae, the agents' endpoint, the
ends of certificates, and at what the database says of load balancers and agents. It changes nothing and can be run at any time, on
any machine that has the configuration and the key file.

The exit code is that of the worst finding: 0 when all is well, 1 with warnings, 2 with failures.`,
		Args: cobra.NoArgs,
	}
	o.Config = configFlags(c)
	c.Flags().StringVar(&o.DataDir, "data-dir", "", "data directory of a standalone service, in place of a configuration")
	c.Flags().BoolVar(&o.JSON, "json", false, "print the findings as JSON")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.Out = c.OutOrStdout()
		worst, err := app.Doctor(c.Context(), o)
		if err == nil && worst > app.Fine {
			return exitCode(worst)
		}
		return err
	}
	return c
}
