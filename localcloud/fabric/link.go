package fabric

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// dump lists what others may be changing meanwhile: the kernel says when a list may be incomplete, and is asked again.
func dump[T any](list func() (T, error)) (all T, err error) {
	for range 20 {
		if all, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return all, err
		}
	}
	return all, err
}

// find answers the named link, nil when there is none.
func (n *Namespace) find(name string) (netlink.Link, error) {
	link, err := n.LinkByName(name)
	if isNoLink(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("cannot look for the link %s in %s: %w", name, n.Name, err)
	}
	return link, nil
}

func isNoLink(err error) bool {
	var notFound netlink.LinkNotFoundError
	return errors.As(err, &notFound) || errors.Is(err, unix.ENODEV)
}

func (n *Namespace) up(name string) error {
	link, err := n.LinkByName(name)
	if err == nil {
		err = n.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("cannot bring up the link %s in %s: %w", name, n.Name, err)
	}
	return nil
}

func (n *Namespace) setMTU(name string, mtu int) error {
	link, err := n.LinkByName(name)
	if err == nil && link.Attrs().MTU != mtu {
		err = n.LinkSetMTU(link, mtu)
	}
	if err != nil {
		return fmt.Errorf("cannot set the MTU of %s in %s to %d: %w", name, n.Name, mtu, err)
	}
	return nil
}

// removeLink deletes the link, and its peer with it. That there is none is no error.
func (n *Namespace) removeLink(name string) error {
	link, err := n.find(name)
	if err != nil || link == nil {
		return err
	}
	if err := n.LinkDel(link); err != nil && !isNoLink(err) {
		return fmt.Errorf("cannot delete the link %s in %s: %w", name, n.Name, err)
	}
	return nil
}

// Plug wires a port to a link in the target namespace; the link is down and has no address. A port that is plugged
// already stays as it is: Unplug it first to wire it elsewhere.
func (f *Fabric) Plug(p Plug, target *Namespace) error {
	tap := TapName(p.PortID)
	link, err := f.ns.find(tap)
	if err != nil {
		return err
	}
	if link == nil {
		if link, err = f.addVeth(p, target); err != nil {
			return err
		}
	}
	bridge, err := f.ns.LinkByName(bridgeName(p.NetworkID))
	if err != nil {
		return fmt.Errorf("cannot find the bridge of the network %s: %w", p.NetworkID, err)
	}
	if err := f.ns.setMTU(tap, p.MTU); err != nil {
		return err
	}
	if link.Attrs().MasterIndex != bridge.Attrs().Index {
		if err := f.ns.LinkSetMasterByIndex(link, bridge.Attrs().Index); err != nil {
			return fmt.Errorf("cannot put %s into the bridge %s: %w", tap, bridge.Attrs().Name, err)
		}
	}
	return f.ns.up(tap)
}

// addVeth makes both ends at once, each where it belongs: there is no half of it to be found after a kill.
func (f *Fabric) addVeth(p Plug, target *Namespace) (netlink.Link, error) {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU = TapName(p.PortID), p.MTU
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNamespace, veth.PeerHardwareAddr, veth.PeerMTU = p.Name, target.peer(), p.MAC, uint32(p.MTU)
	if err := f.ns.LinkAdd(veth); err != nil && !errors.Is(err, unix.EEXIST) {
		return nil, fmt.Errorf("cannot make the link %s with its end %s in %s: %w", attrs.Name, p.Name, target.Name, err)
	}
	link, err := f.ns.LinkByName(attrs.Name)
	if err != nil {
		return nil, fmt.Errorf("cannot find the link %s (is the name %s taken in %s?): %w", attrs.Name, p.Name, target.Name, err)
	}
	return link, nil
}

// Settle waits until the bridge forwards what a plugged port sends and gets. The kernel gets there on its own, but some
// milliseconds after the other end of the wire is up; a neighbour request lost in between costs a second. (Since Linux
// 6.8 asking for the link is enough to get there at once.)
func (f *Fabric) Settle(portID string) error {
	for deadline := time.Now().Add(3 * time.Second); ; time.Sleep(time.Millisecond) {
		link, err := f.ns.LinkByName(TapName(portID))
		if err != nil {
			return fmt.Errorf("cannot find the wire of the port %s: %w", portID, err)
		}
		if link.Attrs().OperState == netlink.OperUp {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the other end of the port %s is not up", portID)
		}
	}
}

// Unplug takes the wire away. That there is none is no error.
func (f *Fabric) Unplug(portID string) error { return f.ns.removeLink(TapName(portID)) }
