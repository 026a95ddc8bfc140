package fabric

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Fabric is the networks of one cloud. It is safe for concurrent use.
type Fabric struct {
	tag  string
	log  *slog.Logger
	ns   *Namespace
	host *Namespace

	applying sync.Mutex // one change of the rules at a time
	routers  routerMemory
}

// Open makes the cloud's fabric, or finds the one that an earlier process made, with everything in it at work.
// Call Reset before anything else.
func Open(tag string, log *slog.Logger) (*Fabric, error) {
	if err := checkMachine(); err != nil {
		return nil, err
	}
	host, err := hostNamespace()
	if err != nil {
		return nil, err
	}
	ns, _, err := EnsureNamespace(fabricNamespace(tag))
	if err != nil {
		host.Close()
		return nil, err
	}
	f := &Fabric{tag: tag, log: log, ns: ns, host: host}
	if err := f.prepare(); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// Close forgets the fabric, which goes on to work. Clean takes it away.
func (f *Fabric) Close() {
	f.ns.Close()
	f.host.Close()
}

// Tag is the cloud's tag.
func (f *Fabric) Tag() string { return f.tag }

// checkMachine says what is missing before anything fails half way.
func checkMachine() error {
	if os.Geteuid() != 0 {
		return errors.New("networks need root: network namespaces and nftables cannot be made otherwise")
	}
	if _, err := exec.LookPath("nft"); err != nil {
		return errors.New("nft is missing: install the package nftables")
	}
	return nil
}

func (f *Fabric) prepare() error {
	for _, m := range modules {
		if err := m.load(); err != nil {
			return err
		}
	}
	if err := f.ns.up("lo"); err != nil {
		return err
	}
	return f.ns.sysctl(map[string]string{
		"bridge/bridge-nf-call-iptables":  "1",
		"bridge/bridge-nf-call-ip6tables": "1",
		"bridge/bridge-nf-call-arptables": "0",
		"ipv6/conf/default/disable_ipv6":  "1", // the fabric itself has no addresses
		// A connection that was cut must not come back by its next packet, whichever end sends that.
		"netfilter/nf_conntrack_tcp_loose": "0",
	}, tracking)
}

// tracking is how namespaces that pass packets on keep track of connections: windows are the endpoints' business, and
// what is over is soon forgotten, for the kernel's table is one for the whole machine.
var tracking = map[string]string{
	"netfilter/nf_conntrack_tcp_be_liberal":        "1",
	"netfilter/nf_conntrack_tcp_timeout_time_wait": "5",
	"netfilter/nf_conntrack_tcp_timeout_close":     "5",
	"netfilter/nf_conntrack_tcp_timeout_last_ack":  "10",
	"netfilter/nf_conntrack_tcp_timeout_fin_wait":  "30",
}

// module is a part of the kernel that nothing loads by itself before its parameters are set. A parameter tells that it is
// there, built in or loaded.
type module struct{ name, parameter, why string }

var modules = []module{
	{"br_netfilter", "bridge/bridge-nf-call-iptables", "security groups see bridged packets through it"},
	{"nf_conntrack", "netfilter/nf_conntrack_tcp_loose", "security groups keep track of connections with it"},
}

func (m module) load() error {
	if _, err := os.Stat("/proc/sys/net/" + m.parameter); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if out, err := exec.Command("modprobe", m.name).CombinedOutput(); err != nil {
		return fmt.Errorf("the kernel module %s cannot be loaded (%s): %w: %s", m.name, m.why, err, strings.TrimSpace(string(out)))
	}
	return nil
}

// Reset makes the fabric exactly what change says: what it does not mention is taken away. Connections that the rules
// still allow go on.
func (f *Fabric) Reset(ctx context.Context, change Change) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	if err := f.apply(ctx, resetTables, change); err != nil {
		return err
	}
	return f.removeUnknownLinks(change)
}

// Apply makes the change in force: bridges first, then all rules in one transaction, then what is gone goes.
func (f *Fabric) Apply(ctx context.Context, change Change) error {
	f.applying.Lock()
	defer f.applying.Unlock()
	return f.apply(ctx, "", change)
}

func (f *Fabric) apply(ctx context.Context, first string, change Change) error {
	for _, n := range change.Networks {
		if err := f.ensureBridge(n); err != nil {
			return err
		}
	}
	if err := f.ns.nft(ctx, first+change.script()); err != nil {
		return err
	}
	for _, id := range change.GonePorts {
		if err := f.ns.removeLink(TapName(id)); err != nil {
			return err
		}
	}
	for _, id := range change.GoneNetworks {
		if err := f.ns.removeLink(bridgeName(id)); err != nil {
			return err
		}
	}
	return nil
}

func (c Change) script() string {
	var s script
	for _, n := range c.Networks {
		s.network(n)
	}
	for _, g := range c.Groups {
		s.group(g)
	}
	for _, p := range c.Ports {
		s.port(p)
	}
	for _, id := range c.GonePorts {
		s.gonePort(id)
	}
	for _, id := range c.GoneGroups {
		s.goneGroup(id)
	}
	for _, id := range c.GoneNetworks {
		s.goneNetwork(id)
	}
	return s.String()
}

func (f *Fabric) ensureBridge(n Network) error {
	name := bridgeName(n.ID)
	link, err := f.ns.find(name)
	if err != nil {
		return err
	}
	if link == nil {
		snooping := false // nobody queries here, so snooping would cut IPv6 neighbour discovery off
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.MTU = name, n.MTU
		link = &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &snooping}
		if err := f.ns.LinkAdd(link); err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("cannot make the bridge %s: %w", name, err)
		}
	}
	if err := f.ns.setMTU(name, n.MTU); err != nil {
		return err
	}
	return f.ns.up(name)
}

// removeUnknownLinks takes away what an earlier process made and did not live to remove.
func (f *Fabric) removeUnknownLinks(change Change) error {
	known := map[string]bool{"lo": true}
	for _, n := range change.Networks {
		known[bridgeName(n.ID)] = true
	}
	for _, p := range change.Ports {
		known[TapName(p.ID)] = true
	}
	links, err := dump(f.ns.LinkList)
	if err != nil {
		return fmt.Errorf("cannot list the links of %s: %w", f.ns.Name, err)
	}
	for _, l := range links {
		if !known[l.Attrs().Name] {
			if err := f.ns.removeLink(l.Attrs().Name); err != nil {
				return err
			}
		}
	}
	return nil
}
