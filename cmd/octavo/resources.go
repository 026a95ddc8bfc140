package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/spf13/cobra"

	"github.com/octavo-lb/octavo/app"
)

const unitDir = "/etc/systemd/system"

func configureResources() *cobra.Command {
	var o app.ResourcesOptions
	var prefix string
	var plug, unplug bool
	c := &cobra.Command{
		Use:   "configure-resources",
		Short: "Find or make the management network, and connect this machine to it",
		Long: `Finds the management network's objects in Neutron by their tags, charm-octavia and charm-octavia-health, or makes them: network,
subnet, router, security groups for amphorae and for controllers, and this controller's port. Connects this machine to the port
(Linux bridge, Open vSwitch or OVN, as Neutron says), now and at each boot, and prints what octavia.conf has to say of it.

Run it on each controller, and on all of them again when one is added. Running it twice changes nothing. The account is that of
[service_auth], which needs the role admin to say on which host a port is.`,
		Args: cobra.NoArgs,
	}
	sources := configFlags(c)
	f := c.Flags()
	f.BoolVar(&o.NoCreate, "no-create", false, "make nothing but this controller's port: say what is missing, with the command that makes it")
	f.StringVar(&prefix, "subnet", "", "prefix of a subnet that has to be made, such as 172.16.0.0/22 (default a unique local one of IPv6)")
	f.StringVar(&o.Host, "host", "", "what the network agent on this machine calls it (default the machine's name)")
	f.StringVar(&o.Interface, "interface", "o-hm0", "this machine's interface on the network")
	f.StringVarP(&o.Write, "write", "w", "", "file for the configuration, such as /etc/octavia/octavia.conf.d/management.conf (default print it)")
	f.BoolVar(&o.NoPlug, "no-plug", false, "do the cloud's part only")
	f.BoolVar(&plug, "plug", false, "connect this machine as before, without asking the cloud: what happens at boot")
	f.BoolVar(&unplug, "unplug", false, "take this machine off the network")
	c.MarkFlagsMutuallyExclusive("plug", "unplug", "no-plug")
	c.RunE = func(c *cobra.Command, _ []string) (err error) {
		if o.Config, err = sources(); err != nil {
			return err
		}
		if o.Prefix, err = parsePrefix(prefix); err != nil {
			return err
		}
		if _, err := os.Stat("/run/systemd/system"); err == nil {
			o.Units = unitDir
		}
		o.Out = c.OutOrStdout()
		switch {
		case plug:
			return app.PlugResources(c.Context(), o.Config)
		case unplug:
			return app.UnplugResources(c.Context(), o.Config, o.Units)
		}
		return app.ConfigureResources(c.Context(), o)
	}
	return c
}

// parsePrefix asks for room for amphorae; in IPv6 addresses follow from MACs, which takes a /64.
func parsePrefix(text string) (netip.Prefix, error) {
	if text == "" {
		return netip.Prefix{}, nil
	}
	p, err := netip.ParsePrefix(text)
	switch {
	case err != nil || p != p.Masked():
		err = errors.New("it must be the first address of a network with its length, such as 172.16.0.0/22")
	case p.Addr().Is6() && p.Bits() != 64:
		err = errors.New("a subnet of IPv6 must be a /64")
	case p.Addr().Is4() && p.Bits() > 29:
		err = errors.New("a subnet of IPv4 must be a /29 or larger")
	}
	if err != nil {
		return netip.Prefix{}, fmt.Errorf("--subnet %s: %w", text, err)
	}
	return p, nil
}
