package main

import (
	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
)

func bootstrap() *cobra.Command {
	var o app.BootstrapOptions
	c := &cobra.Command{
		Use:   "bootstrap --public-url URL",
		Short: "Register the service, its endpoints and its roles in Keystone",
		Long: `Registers the service of type load-balancer, its endpoints and the load-balancer_* roles in Keystone. What is there stays, what
is missing is made, other addresses are corrected: it can be run again at any time. The account is that of --os-cloud or OS_CLOUD
(clouds.yaml), of the OS_* variables, or else [service_auth] of octavia.conf; it needs the role admin.`,
		Args: cobra.NoArgs,
	}
	o.Config = configFlags(c)
	f := c.Flags()
	f.StringVar(&o.Cloud, "os-cloud", "", "cloud of clouds.yaml whose account is used")
	f.StringVar(&o.PublicURL, "public-url", "", "where users reach the API (required)")
	f.StringVar(&o.InternalURL, "internal-url", "", "where other services reach it (default the public one)")
	f.StringVar(&o.Admin, "admin-url", "", "where operators reach it (default the internal one)")
	f.StringVar(&o.Region, "region", "", "region of the endpoints (default that of the account)")
	c.RunE = func(c *cobra.Command, _ []string) error {
		o.Out = c.OutOrStdout()
		return app.Bootstrap(c.Context(), o)
	}
	return c
}
