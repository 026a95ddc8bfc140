package app

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/cloud/management"
	"github.com/octavo-lb/octavo/cloud/plug"
	"github.com/octavo-lb/octavo/config"
)

// ResourcesOptions are the flags of octavo configure-resources.
type ResourcesOptions struct {
	Config    config.Sources
	NoCreate  bool
	NoPlug    bool         // leave this machine as it is
	Prefix    netip.Prefix // of a new subnet; the zero Prefix for one of IPv6
	Host      string       // as its network agent calls this machine; empty for the machine's name
	Interface string
	Write     string // file for the configuration that was found; empty to print it
	Units     string // where systemd finds units; empty not to write one
	Out       io.Writer
}

// resourcesPatience bounds the cloud's part.
const resourcesPatience = 5 * time.Minute

// ConfigureResources finds or makes the management network, connects this machine to it, now and at each boot, and tells what
// octavia.conf has to say of it.
func ConfigureResources(ctx context.Context, o ResourcesOptions) error {
	cfg, err := config.Load(o.Config)
	if err != nil {
		return err
	}
	if cfg.HealthManager.BindPort == 0 {
		return errors.New("[health_manager] bind_port = 0: agents must know the port beforehand: choose one, such as 5555")
	}
	found, err := ensureResources(ctx, cfg, o)
	if err != nil {
		return err
	}
	changed := found.Changed
	if !o.NoPlug {
		p := managementPort(cfg, found.Port, o.Interface)
		plugged, err := plugPort(ctx, o, p)
		if err != nil {
			return err
		}
		changed = changed || plugged
	}
	wrote, err := tellConfiguration(o, resourcesConfig(cfg, found))
	if err != nil {
		return err
	}
	if !changed && !wrote {
		fmt.Fprintln(o.Out, "# nothing was changed")
	}
	return nil
}

func ensureResources(ctx context.Context, cfg *config.Config, o ResourcesOptions) (management.Resources, error) {
	client, err := newCloudClient(cfg)
	if err != nil {
		return management.Resources{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, resourcesPatience)
	defer cancel()
	network, project, err := client.Neutron(ctx)
	if err != nil {
		return management.Resources{}, err
	}
	name, err := controllerName(cfg)
	if err != nil {
		return management.Resources{}, err
	}
	host := o.Host
	if host == "" {
		if host, err = os.Hostname(); err != nil {
			return management.Resources{}, fmt.Errorf("this machine has no name (%w): give the one that its network agent uses with --host", err)
		}
	}
	return management.Ensure(ctx, network, management.Options{
		ProjectID: project, Create: !o.NoCreate, Prefix: o.Prefix, AgentPort: cfg.HealthManager.BindPort, Controller: name, Host: host,
		Tell: func(line string) { fmt.Fprintln(o.Out, "#", line) },
	})
}

func controllerName(cfg *config.Config) (string, error) {
	if cfg.Default.Host != "" {
		return cfg.Default.Host, nil
	}
	name, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("this machine has no name (%w): set [DEFAULT] host", err)
	}
	return name, nil
}

func managementPort(cfg *config.Config, p management.Port, link string) plug.Port {
	return plug.Port{ID: p.ID, NetworkID: p.NetworkID, MAC: p.MAC, MTU: p.MTU, Addresses: p.Addresses, Kind: p.VIF, Interface: link, Serves: cfg.HealthManager.BindPort}
}

// plugPort keeps what is known of the port before it uses it, so that a boot finds it whenever this one ends.
func plugPort(ctx context.Context, o ResourcesOptions, p plug.Port) (changed bool, err error) {
	if before, err := readPort(portFile(o.Config)); err == nil && (before.ID != p.ID || before.Interface != p.Interface) {
		if err := plug.Unplug(ctx, before); err != nil {
			return false, err
		}
	}
	text, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return false, err
	}
	kept, err := writeIfNew(portFile(o.Config), append(text, '\n'))
	if err != nil {
		return false, err
	}
	unit, err := writeUnit(o)
	if err != nil {
		return false, err
	}
	plugged, err := plug.Plug(ctx, p)
	if err != nil {
		return false, err
	}
	state := "as it was"
	if plugged {
		state = "connected"
	}
	fmt.Fprintf(o.Out, "# interface %s, %v, MTU %d: %s\n", p.Interface, p.Addresses[0], p.MTU, state)
	return kept || unit || plugged, nil
}

// portFile is where this machine's port is kept: beside the configuration, where nobody but root writes, for root reads it at
// boot.
func portFile(from config.Sources) string {
	const name = "management-port.json"
	if len(from.Files) == 0 {
		return filepath.Join("/etc/octavia", name)
	}
	beside := from.Files[0]
	if !isDirectory(beside) {
		beside = filepath.Dir(beside)
	}
	return filepath.Join(beside, name)
}

func readPort(path string) (p plug.Port, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return p, fmt.Errorf("this machine's port is not known (%s is not there): run octavo configure-resources first", path)
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(text, &p); err != nil {
		return p, fmt.Errorf("%s is damaged (%w): run octavo configure-resources again", path, err)
	}
	return p, nil
}

// PlugResources connects this machine as ConfigureResources left it, without asking anybody: at boot, the cloud may not be
// there yet.
func PlugResources(ctx context.Context, from config.Sources) error {
	p, err := readPort(portFile(from))
	if err != nil {
		return err
	}
	_, err = plug.Plug(ctx, p)
	return err
}

// UnplugResources takes away from this machine what connects it, now and at boot.
func UnplugResources(ctx context.Context, from config.Sources, units string) error {
	p, err := readPort(portFile(from))
	if err != nil {
		return err
	}
	if err := plug.Unplug(ctx, p); err != nil {
		return err
	}
	if units != "" {
		if err := removeUnit(units); err != nil {
			return err
		}
	}
	return os.Remove(portFile(from))
}

// resourcesConfig is what octavia.conf has to say of what was found.
func resourcesConfig(cfg *config.Config, r management.Resources) string {
	port := strconv.Itoa(cfg.HealthManager.BindPort)
	var all []string
	for _, address := range r.Controllers {
		all = append(all, net.JoinHostPort(address.String(), port))
	}
	return fmt.Sprintf(`[controller_worker]
amp_boot_network_list = %s
amp_secgroup_list = %s

[health_manager]
bind_ip = %v
bind_port = %s
controller_ip_port_list = %s
`, r.NetworkID, r.AmphoraGroup, r.Port.Address(), port, strings.Join(all, ", "))
}

func tellConfiguration(o ResourcesOptions, text string) (wrote bool, err error) {
	if o.Write == "" {
		fmt.Fprint(o.Out, text)
		return false, nil
	}
	wrote, err = writeIfNew(o.Write, []byte("# Written by octavo configure-resources.\n"+text))
	if err == nil && wrote {
		fmt.Fprintf(o.Out, "# %s: written\n", o.Write)
	}
	return wrote, err
}

// writeIfNew writes a file that anybody may read, and tells whether it was not as it should be.
func writeIfNew(path string, content []byte) (bool, error) {
	if have, err := os.ReadFile(path); err == nil && string(have) == string(content) {
		return false, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, err
	}
	if err := writeFile(path, content); err != nil {
		return false, err
	}
	return true, os.Chmod(path, 0o644)
}
