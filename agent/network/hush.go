package network

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
)

// hushTable is the nftables table of Hush.
const hushTable = "octavo_hush"

// Hush leaves new TCP connections to the VIPs unanswered from now on. Clients take that for a lost packet and ask again;
// those that are connected notice nothing.
func (n *Network) Hush(ctx context.Context, vips []agentapi.VIP) error {
	var rules strings.Builder
	fmt.Fprintf(&rules, "table inet %s\ndelete table inet %s\ntable inet %s {\n chain in {\n  type filter hook prerouting priority raw;\n", hushTable, hushTable, hushTable)
	for _, v := range vips {
		family := "ip"
		if v.Address.Addr().Is6() {
			family = "ip6"
		}
		fmt.Fprintf(&rules, "  %s daddr %s tcp flags & (syn|ack) == syn drop\n", family, v.Address.Addr())
	}
	rules.WriteString(" }\n}\n")
	return n.Namespace.Do(func() error {
		cmd := exec.CommandContext(ctx, "nft", "-f", "-")
		cmd.Stdin = strings.NewReader(rules.String())
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("nft refuses to leave new connections unanswered: %w: %.200s", err, out)
		}
		return nil
	})
}

// Connection is a TCP connection of a client.
type Connection struct{ VIP, Client netip.AddrPort }

// AwaitEnd waits until none of these connections to the VIPs is open any more, and tells whether that was before the context
// ended. If which is nil, it is none at all.
func (n *Network) AwaitEnd(ctx context.Context, vips []agentapi.VIP, which []Connection) bool {
	awaited := map[Connection]bool{}
	for _, c := range which {
		awaited[c] = true
	}
	for {
		open, err := n.Connections(vips)
		if err == nil && !slices.ContainsFunc(open, func(c Connection) bool { return which == nil || awaited[c] }) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-time.After(silencePoll):
		}
	}
}

const silencePoll = 10 * time.Millisecond

// The states of TCP connections (include/net/tcp_states.h) in which the other end is still to hear something of us.
const (
	tcpEstablished = 1
	tcpSynReceived = 3
	tcpFinWait1    = 4
	tcpCloseWait   = 8
	tcpLastAck     = 9
	tcpClosing     = 11
)

// Connections are those to the VIPs that are open.
func (n *Network) Connections(vips []agentapi.VIP) (open []Connection, err error) {
	err = n.Namespace.Do(func() error {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			sockets, err := netlink.SocketDiagTCP(family)
			if err != nil {
				return fmt.Errorf("listing connections: %w", err)
			}
			for _, s := range sockets {
				local, _ := netip.AddrFromSlice(s.ID.Source)
				remote, _ := netip.AddrFromSlice(s.ID.Destination)
				if !slices.ContainsFunc(vips, func(v agentapi.VIP) bool { return v.Address.Addr() == local.Unmap() }) {
					continue
				}
				switch s.State {
				case tcpEstablished, tcpSynReceived, tcpFinWait1, tcpCloseWait, tcpLastAck, tcpClosing:
					open = append(open, Connection{netip.AddrPortFrom(local.Unmap(), s.ID.SourcePort), netip.AddrPortFrom(remote.Unmap(), s.ID.DestinationPort)})
				}
			}
		}
		return nil
	})
	return open, err
}
