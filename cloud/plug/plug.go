// Package plug connects this machine to a network of Neutron: an interface with the MAC and the address of a port, wired as
// the network agent on the machine expects it, and closed to all but what the controller serves there. Doing it again changes
// nothing, and it needs no cloud: a machine plugs its port when it boots, before anything else runs.
package plug

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Port is all that has to be known of a port; it is kept as JSON.
type Port struct {
	ID        string         `json:"id"`
	NetworkID string         `json:"network_id"`
	MAC       string         `json:"mac"`
	MTU       int            `json:"mtu"`
	Addresses []netip.Prefix `json:"addresses"`
	// Kind is how the machine's network agent connects ports, as Neutron names it: bridge or ovs.
	Kind string `json:"kind"`
	// Interface is the name that the machine's end has.
	Interface string `json:"interface"`
	// Serves is the TCP port that others may reach through the interface; everything else is dropped.
	Serves int `json:"serves"`
}

// Bridge is the integration bridge of Open vSwitch.
const Bridge = "br-int"

// agentPatience is how long the network agent may take to wire a port.
const agentPatience = 60 * time.Second

// Plug connects the machine, or corrects what is not as it should be, and tells whether it changed the interface. It waits
// for the network agent.
func Plug(ctx context.Context, p Port) (changed bool, err error) {
	if err := p.check(); err != nil {
		return false, err
	}
	// The filter first: there is no moment at which the interface is open.
	if err := protect(ctx, p); err != nil {
		return false, err
	}
	switch p.Kind {
	case "bridge":
		changed, err = ensureVeth(p)
	case "ovs":
		changed, err = ensureInternal(ctx, p)
	default:
		err = fmt.Errorf("ports of kind %q cannot be connected: it must be bridge or ovs", p.Kind)
	}
	if err != nil {
		return changed, err
	}
	configured, err := p.configure()
	if err == nil && p.Kind == "bridge" {
		err = p.awaitBridge(ctx)
	}
	return changed || configured, err
}

func (p Port) check() error {
	if os.Geteuid() != 0 {
		return errors.New("only root can connect this machine to a network")
	}
	if _, err := net.ParseMAC(p.MAC); err != nil {
		return fmt.Errorf("port %s: %w", p.ID, err)
	}
	if n := len(p.Interface); n == 0 || n > 15 {
		return fmt.Errorf("an interface's name has 1 to 15 characters, and %q has not", p.Interface)
	}
	return nil
}

func (p Port) mac() net.HardwareAddr {
	mac, _ := net.ParseMAC(p.MAC) // checked before
	return mac
}

// configure gives the interface its MTU and addresses and brings it up.
func (p Port) configure() (changed bool, err error) {
	if err := p.sysctls(); err != nil {
		return false, err
	}
	link, err := netlink.LinkByName(p.Interface)
	if err != nil {
		return false, fmt.Errorf("cannot find interface %s: %w", p.Interface, err)
	}
	for _, step := range []func(netlink.Link) (bool, error){p.setMAC, p.setMTU, p.setAddresses, setUp} {
		did, err := step(link)
		if changed = changed || did; err != nil {
			return changed, fmt.Errorf("cannot configure interface %s: %w", p.Interface, err)
		}
	}
	return changed, nil
}

func (p Port) setMAC(link netlink.Link) (bool, error) {
	if link.Attrs().HardwareAddr.String() == p.mac().String() {
		return false, nil
	}
	return true, netlink.LinkSetHardwareAddr(link, p.mac())
}

func (p Port) setMTU(link netlink.Link) (bool, error) {
	if p.MTU == 0 || link.Attrs().MTU == p.MTU {
		return false, nil
	}
	return true, netlink.LinkSetMTU(link, p.MTU)
}

func setUp(link netlink.Link) (bool, error) {
	if link.Attrs().Flags&net.FlagUp != 0 {
		return false, nil
	}
	return true, netlink.LinkSetUp(link)
}

// setAddresses leaves link-local addresses alone.
func (p Port) setAddresses(link netlink.Link) (changed bool, err error) {
	have, err := netlink.AddrList(link, netlink.FAMILY_ALL)
	if err != nil {
		return false, err
	}
	present := map[netip.Prefix]bool{}
	for _, a := range have {
		present[prefixOf(a.IPNet)] = true
	}
	for _, a := range p.Addresses {
		if present[a] {
			delete(present, a)
			continue
		}
		address := &netlink.Addr{IPNet: &net.IPNet{IP: a.Addr().AsSlice(), Mask: net.CIDRMask(a.Bits(), a.Addr().BitLen())}}
		if a.Addr().Is6() {
			address.Flags = unix.IFA_F_NODAD // Neutron has seen to it that nobody else has it
		}
		if err := netlink.AddrAdd(link, address); err != nil {
			return changed, fmt.Errorf("adding address %v: %w", a, err)
		}
		changed = true
	}
	for _, a := range have {
		if p := prefixOf(a.IPNet); present[p] && !p.Addr().IsLinkLocalUnicast() {
			if err := netlink.AddrDel(link, &a); err != nil {
				return changed, fmt.Errorf("removing address %v: %w", p, err)
			}
			changed = true
		}
	}
	return changed, nil
}

func prefixOf(n *net.IPNet) netip.Prefix {
	address, _ := netip.AddrFromSlice(n.IP)
	bits, _ := n.Mask.Size()
	return netip.PrefixFrom(address.Unmap(), bits)
}

// find answers nil when there is no such link.
func find(name string) (netlink.Link, error) {
	link, err := netlink.LinkByName(name)
	if errors.As(err, new(netlink.LinkNotFoundError)) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for interface %s: %w", name, err)
	}
	return link, nil
}
