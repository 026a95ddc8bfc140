package localcloud

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/octavo-lb/octavo/localcloud/compute"
	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/instance"
	"github.com/octavo-lb/octavo/localcloud/network"
)

// Names of what a Machine starts with, beside what every Cloud does.
const (
	AmphoraFlavor = "amphora"
	TinyFlavor    = "tiny"
)

// MachineConfig is what NewMachine needs.
type MachineConfig struct {
	Config
	// Tag is in the names of everything that the cloud has on this machine; see fabric.Tag.
	Tag string
	// Agent is the path of the program that amphorae run.
	Agent string
	// Hide are directories that servers see empty.
	Hide []string
}

// Machine is a Cloud with networks and servers on this machine.
type Machine struct {
	*Cloud
	fabric  *fabric.Fabric
	network *network.Service
	compute *compute.Service
}

// NewMachine opens the cloud of that configuration, or makes it. Nothing of it is on the machine until Start.
func NewMachine(cfg MachineConfig) (_ *Machine, err error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("cannot make the cloud's directory: %w", err)
	}
	c, err := New(cfg.Config)
	if err != nil {
		return nil, err
	}
	f, err := fabric.Open(cfg.Tag, cfg.Logger)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	m := &Machine{Cloud: c, fabric: f}
	m.network = network.New(network.Options{State: c.state, Tokens: c.identity, Fabric: f, Clock: cfg.Clock, Logger: cfg.Logger})
	m.compute = compute.New(compute.Options{
		State: c.state, Tokens: c.identity, Network: ports{m.network}, Images: images{c.image}, Dir: filepath.Join(cfg.Dir, "servers"),
		Hide: cfg.Hide, Tag: cfg.Tag, Clock: cfg.Clock, Logger: cfg.Logger,
		Programs: map[string][]string{AmphoraProgram: {cfg.Agent}, WebProgram: instance.WebProgram},
	})
	c.Handle("/network", m.network.Handler())
	c.Handle("/compute", m.compute.Handler())
	return m, nil
}

// Start builds what the cloud starts with, brings back what there was, and keeps servers running until ctx ends.
func (m *Machine) Start(ctx context.Context) error {
	err := m.network.Start(ctx, network.Seed{
		AdminProject: m.ProjectID(AdminProject), DemoProject: m.ProjectID(DemoProject), ServiceProject: m.ProjectID(ServiceProject),
	})
	if err != nil {
		return fmt.Errorf("cannot build the networks: %w", err)
	}
	err = m.compute.EnsureFlavors(
		compute.Flavor{ID: TinyFlavor, Name: TinyFlavor, RAM: 64, VCPUs: 1, Disk: 1, Public: true},
		compute.Flavor{ID: AmphoraFlavor, Name: AmphoraFlavor, RAM: 256, VCPUs: 1, Disk: 2},
	)
	if err != nil {
		return fmt.Errorf("cannot make the flavors: %w", err)
	}
	m.compute.Start(ctx)
	return nil
}

// ManagementNetworkID is the network over which amphorae reach the controller.
func (m *Machine) ManagementNetworkID() string { return m.network.ManagementNetworkID() }

// ManagementAddress is this machine's address there. Call it after Start.
func (m *Machine) ManagementAddress() netip.Addr {
	address, _ := m.network.ControllerAddress()
	return address
}

// Close forgets the cloud; everything on the machine goes on. The context of Start must have ended.
func (m *Machine) Close() error {
	m.compute.Wait()
	m.network.Close()
	m.fabric.Close()
	return m.Cloud.Close()
}
