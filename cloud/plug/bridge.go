package plug

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// short is the part of an id that Neutron's names of links have.
func short(id string) string { return id[:min(len(id), 11)] }

// tap is the name by which the Linux bridge agent knows a port's link: it puts it into the network's bridge, applies the
// security groups, and tells Neutron that the port is up.
func (p Port) tap() string { return "tap" + short(p.ID) }

func (p Port) bridge() string { return "brq" + short(p.NetworkID) }

// ensureVeth makes the pair of links whose ends are the interface and the port's tap. One of another port, left over, is
// replaced.
func ensureVeth(p Port) (changed bool, err error) {
	own, err := find(p.Interface)
	if err != nil {
		return false, err
	}
	tap, err := find(p.tap())
	if err != nil {
		return false, err
	}
	if own != nil && own.Type() != "veth" {
		return false, fmt.Errorf("interface %s is there and is something else (%s): choose another name with --interface", p.Interface, own.Type())
	}
	if own != nil && tap != nil && own.Attrs().ParentIndex == tap.Attrs().Index {
		return false, matchMTU(tap, p.MTU)
	}
	for _, old := range []netlink.Link{own, tap} {
		if old != nil {
			_ = netlink.LinkDel(old) // the second one goes with the first if they are a pair
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr, attrs.MTU = p.Interface, p.mac(), p.MTU
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerMTU = p.tap(), uint32(p.MTU)
	if err := netlink.LinkAdd(veth); err != nil {
		return false, fmt.Errorf("cannot make interface %s: %w", p.Interface, err)
	}
	if tap, err = netlink.LinkByName(p.tap()); err == nil {
		err = netlink.LinkSetUp(tap)
	}
	if err != nil {
		return true, fmt.Errorf("cannot bring up %s: %w", p.tap(), err)
	}
	return true, nil
}

func matchMTU(link netlink.Link, mtu int) error {
	if mtu == 0 || link.Attrs().MTU == mtu {
		return nil
	}
	if err := netlink.LinkSetMTU(link, mtu); err != nil {
		return fmt.Errorf("cannot set the MTU of %s: %w", link.Attrs().Name, err)
	}
	return nil
}

// awaitBridge waits until the agent has put the tap into the network's bridge, and closes that to instances.
func (p Port) awaitBridge(ctx context.Context) error {
	deadline := time.Now().Add(agentPatience)
	for {
		tap, err := netlink.LinkByName(p.tap())
		if err != nil {
			return fmt.Errorf("%s has gone: %w", p.tap(), err)
		}
		if tap.Attrs().MasterIndex != 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the Linux bridge agent of this machine has not put %s into a bridge within %v: does neutron-linuxbridge-agent run?", p.tap(), agentPatience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
	return p.closeBridge()
}

// closeBridge: the bridge is this machine's, too. Left as it is, it answers for the interface's address with a MAC of its own,
// and gives itself an address by the router's advertisements: instances would come in there, past the port's rules, and the
// controller go out. A bridge that an operator gave addresses is not only Neutron's, and keeps them.
func (p Port) closeBridge() error {
	conf := func(family, key string) string { return filepath.Join(family, "conf", p.bridge(), key) }
	if err := writeSysctls(map[string]string{conf("ipv4", "arp_ignore"): "1", conf("ipv6", "accept_ra"): "0", conf("ipv6", "autoconf"): "0"}); err != nil {
		return err
	}
	if used, err := p.bridgeIsUsed(); err != nil || used {
		return err
	}
	return writeSysctls(map[string]string{conf("ipv4", "forwarding"): "0", conf("ipv6", "disable_ipv6"): "1"})
}

// bridgeIsUsed tells whether the bridge has an address that it did not give itself.
func (p Port) bridgeIsUsed() (bool, error) {
	bridge, err := find(p.bridge())
	if err != nil || bridge == nil {
		return false, err
	}
	addresses, err := netlink.AddrList(bridge, netlink.FAMILY_ALL)
	if err != nil {
		return false, fmt.Errorf("cannot list the addresses of %s: %w", p.bridge(), err)
	}
	for _, a := range addresses {
		if a.Flags&unix.IFA_F_PERMANENT != 0 && !prefixOf(a.IPNet).Addr().IsLinkLocalUnicast() {
			return true, nil
		}
	}
	return false, nil
}

// sysctls keep the interface to its purpose: nothing is routed through it, and nobody there changes this machine's routes.
func (p Port) sysctls() error {
	values := map[string]string{}
	for key, value := range map[string]int{
		"ipv4/conf/%s/forwarding": 0, "ipv4/conf/%s/accept_redirects": 0, "ipv4/conf/%s/send_redirects": 0, "ipv4/conf/%s/accept_source_route": 0,
		"ipv4/conf/%s/arp_ignore": 1, "ipv4/conf/%s/arp_announce": 2,
		"ipv6/conf/%s/forwarding": 0, "ipv6/conf/%s/accept_redirects": 0, "ipv6/conf/%s/accept_ra": 0, "ipv6/conf/%s/autoconf": 0,
	} {
		values[fmt.Sprintf(key, p.Interface)] = strconv.Itoa(value)
	}
	return writeSysctls(values)
}

func writeSysctls(values map[string]string) error {
	for key, value := range values {
		path := filepath.Join("/proc/sys/net", key)
		if have, err := os.ReadFile(path); err == nil && string(have) == value+"\n" {
			continue
		}
		if err := os.WriteFile(path, []byte(value), 0); err != nil && !os.IsNotExist(err) {
			return fmt.Errorf("cannot set %s: %w", key, err)
		}
	}
	return nil
}

// removeVeth takes away the pair of that port, and no other.
func removeVeth(p Port) error {
	tap, err := find(p.tap())
	if err != nil || tap == nil {
		return err
	}
	if err := netlink.LinkDel(tap); err != nil {
		return fmt.Errorf("cannot remove interface %s: %w", p.Interface, err)
	}
	return nil
}
