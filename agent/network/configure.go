package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
)

// ErrMissing is that an interface of the wanted state is not plugged (yet).
var ErrMissing = errors.New("no interface has the address")

// Network brings a namespace to the wanted state.
type Network struct {
	Namespace *Namespace
	wait      time.Duration
	news      chan struct{} // fresh has something

	mu        sync.Mutex
	announced map[netip.Addr]announcement
	fresh     []announcement
}

// New is for one namespace. wait is how long an interface may take to be plugged.
func New(namespace *Namespace, wait time.Duration) *Network {
	return &Network{Namespace: namespace, wait: wait, news: make(chan struct{}, 1)}
}

// Apply makes the namespace what the state says, whatever it was before: it may be called any number of times, also after
// a crash in the middle. It waits for interfaces that are still to be plugged. It only adds: what serves may still use what
// the state no longer has. New VIPs are not put on.
func (n *Network) Apply(ctx context.Context, state *agentapi.State) error {
	return n.bring(ctx, state, false)
}

// Raise comes after Apply, when what serves uses nothing but what the state says: it takes off addresses and routes that are
// not wanted any more, and puts on the VIPs, which bring the clients. The VIPs of a pair are left to keepalived. An interface
// that the state no longer has is left as it is: requests are still answered over it, and the controller unplugs it when they
// had time to end.
func (n *Network) Raise(ctx context.Context, state *agentapi.State) error {
	return n.bring(ctx, state, true)
}

func (n *Network) bring(ctx context.Context, state *agentapi.State, raise bool) error {
	if err := n.Namespace.Do(setSysctls); err != nil {
		return err
	}
	inside, err := n.Namespace.netlink()
	if err != nil {
		return err
	}
	defer inside.Close()
	if err := up(inside, "lo"); err != nil {
		return err
	}
	multi := len(state.Interfaces) > 1
	for _, wanted := range state.Interfaces {
		link, err := n.plugged(ctx, inside, wanted.MAC)
		if err != nil {
			return err
		}
		c := interfaceConfig{handle: inside, link: link, wanted: wanted, multi: multi, keep: !raise}
		switch {
		case wanted.VIP && raise && state.VRRP == nil:
			c.vips, c.sources = state.VIPs, state.VIPs
		case wanted.VIP:
			c.leave, c.sources = state.VIPs, state.VIPs
		}
		if err := c.apply(); err != nil {
			return fmt.Errorf("interface %s: %w", wanted.MAC, err)
		}
		if wanted.VIP && (raise || state.VRRP != nil) {
			n.announce(link, c.vips)
		}
	}
	return nil
}

// plugged finds the interface by its MAC in the namespace, or moves it there.
func (n *Network) plugged(ctx context.Context, inside *netlink.Handle, mac string) (netlink.Link, error) {
	deadline := time.Now().Add(n.wait)
	for {
		link, err := find(inside, mac)
		if err != nil || link != nil {
			return link, err
		}
		if err := n.moveIn(mac); err == nil {
			continue
		} else if !errors.Is(err, ErrMissing) {
			return nil, err
		}
		if time.Now().After(deadline) {
			return nil, fmt.Errorf("%w %s", ErrMissing, mac)
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// moveIn takes an interface from the process's own namespace into the load balancer's. It gets a name made from its MAC
// there, because the kernel gives the name that becomes free to the next interface that is plugged.
func (n *Network) moveIn(mac string) error {
	outside, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("opening netlink: %w", err)
	}
	defer outside.Close()
	link, err := find(outside, mac)
	if err != nil {
		return err
	}
	if link == nil {
		return ErrMissing
	}
	if err := outside.LinkSetDown(link); err != nil {
		return fmt.Errorf("moving %s: %w", link.Attrs().Name, err)
	}
	if err := outside.LinkSetName(link, Name(mac)); err != nil {
		return fmt.Errorf("renaming %s: %w", link.Attrs().Name, err)
	}
	if err := outside.LinkSetNsFd(link, int(n.Namespace.file.Fd())); err != nil {
		return fmt.Errorf("moving %s into %s: %w", link.Attrs().Name, n.Namespace.Name, err)
	}
	return nil
}

// Name is what an interface is called in the namespace.
func Name(mac string) string { return "lb" + strings.ReplaceAll(strings.ToLower(mac), ":", "") }

// Holds tells whether an address is on an interface of the namespace.
func (n *Network) Holds(a netip.Addr) (bool, error) {
	inside, err := n.Namespace.netlink()
	if err != nil {
		return false, err
	}
	defer inside.Close()
	have, err := inside.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return false, fmt.Errorf("listing addresses: %w", err)
	}
	return slices.ContainsFunc(have, func(one netlink.Addr) bool {
		p, ok := toPrefix(one.IPNet)
		return ok && p.Addr() == a
	}), nil
}

// Watch calls changed whenever an address comes or goes in the namespace, until the context ends.
func (n *Network) Watch(ctx context.Context, changed func()) error {
	updates := make(chan netlink.AddrUpdate, 16)
	ns := netns.NsHandle(n.Namespace.file.Fd())
	if err := netlink.AddrSubscribeWithOptions(updates, ctx.Done(), netlink.AddrSubscribeOptions{Namespace: &ns, ErrorCallback: func(error) {}}); err != nil {
		return fmt.Errorf("watching addresses: %w", err)
	}
	for range updates {
		changed()
	}
	return nil
}

func find(h *netlink.Handle, mac string) (netlink.Link, error) {
	want, err := net.ParseMAC(mac)
	if err != nil {
		return nil, fmt.Errorf("finding an interface: %w", err)
	}
	links, err := h.LinkList()
	if err != nil {
		return nil, fmt.Errorf("listing interfaces: %w", err)
	}
	i := slices.IndexFunc(links, func(l netlink.Link) bool { return slices.Equal(l.Attrs().HardwareAddr, want) })
	if i < 0 {
		return nil, nil
	}
	return links[i], nil
}

func up(h *netlink.Handle, name string) error {
	link, err := h.LinkByName(name)
	if err == nil {
		err = h.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("bringing up %s: %w", name, err)
	}
	return nil
}
