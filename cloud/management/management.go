// Package management finds or makes, in Neutron, what amphorae and controllers meet on: a network with its subnet and
// router, a security group for each side, and this controller's own port. Objects are known by their tags, which are those
// of Octavia's deployment guide and charm, so that what is there already is used.
package management

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// Tags of the objects.
const (
	Tag           = "charm-octavia"        // network, subnet, router, the amphorae's security group, controllers' ports
	ControllerTag = "charm-octavia-health" // the controllers' security group
)

// Options say what is wanted.
type Options struct {
	ProjectID string // of the service: only its own objects are taken
	// Create makes what is missing. Without it, what is missing is told; only the controller's own port is always made.
	Create bool
	// Prefix of a subnet that has to be made. The zero Prefix stands for one of IPv6 that follows from the network's id.
	Prefix netip.Prefix
	// AgentPort is where agents reach controllers, by TCP.
	AgentPort int
	// Controller is this controller's name; Host is what the network agent on its machine calls itself.
	Controller, Host string
	// Tell is told, one line each, what was found or done, and what an operator should look at.
	Tell func(line string)
}

// Resources are what there is afterwards.
type Resources struct {
	NetworkID       string
	AmphoraGroup    string // security group of amphorae's ports in the network
	ControllerGroup string
	Port            Port         // of this controller
	Controllers     []netip.Addr // of all controllers, in order
	Changed         bool         // something was made or corrected
}

// Ensure finds everything, or makes it. It may be killed at any moment and called again. Its error is Missing when
// something is not there and may not be made.
func Ensure(ctx context.Context, network *gophercloud.ServiceClient, o Options) (Resources, error) {
	s := &setup{Options: o, api: network}
	if err := s.run(ctx); err != nil {
		return Resources{}, err
	}
	if len(s.missing) > 0 {
		return Resources{}, s.missing
	}
	return s.Resources, nil
}

type setup struct {
	Options
	Resources
	api     *gophercloud.ServiceClient
	network network
	subnets []subnet
	missing Missing
}

func (s *setup) run(ctx context.Context) error {
	if err := s.ensureNetwork(ctx); err != nil {
		return err
	}
	if s.NetworkID == "" {
		return s.ensureGroups(ctx) // so that all that is missing is told at once
	}
	for _, step := range []func(context.Context) error{s.ensureSubnets, s.ensureRouter, s.ensureGroups} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if len(s.missing) > 0 {
		return nil
	}
	return s.ensurePort(ctx)
}

func (s *setup) say(format string, args ...any) { s.Tell(fmt.Sprintf(format, args...)) }

func (s *setup) made(format string, args ...any) {
	s.Changed = true
	s.say(format, args...)
}

// Missing are sentences about what is not there, with the command that makes it.
type Missing []string

func (m Missing) Error() string {
	return "the management network is not complete:\n" + strings.Join(m, "\n")
}

func (s *setup) lacks(what, command string, args ...any) {
	s.missing = append(s.missing, fmt.Sprintf("  %s: make it with `%s`, or leave --no-create away", what, fmt.Sprintf(command, args...)))
}

// preferred is the address that others are told: IPv6 first, as Octavia's charm does.
func preferred(addresses []netip.Prefix) netip.Addr {
	sorted := slices.SortedFunc(slices.Values(addresses), func(a, b netip.Prefix) int {
		if a.Addr().Is6() != b.Addr().Is6() {
			if a.Addr().Is6() {
				return -1
			}
			return 1
		}
		return a.Addr().Compare(b.Addr())
	})
	if len(sorted) == 0 {
		return netip.Addr{}
	}
	return sorted[0].Addr()
}
