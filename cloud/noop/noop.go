// Package noop stands in for a network service where there is none: Octavia's network_noop_driver. Every subnet, network,
// port, security group and policy that somebody names exists, and a VIP gets an address. Nothing is kept: two answers about
// the same thing are the same because they follow from its id.
package noop

import (
	"context"
	"hash/fnv"
	"net/netip"
	"sync"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/lb"
)

// Lookups is what users' tokens see: everything. Within one request, which is told by its context, subnets are of the
// network that was named first.
type Lookups struct {
	mu       sync.Mutex
	networks map[context.Context]string
}

// NewLookups makes one.
func NewLookups() *Lookups { return &Lookups{networks: map[context.Context]string{}} }

var (
	allIPv4 = netip.MustParsePrefix("0.0.0.0/0")
	allIPv6 = netip.MustParsePrefix("::/0")
)

// Network implements api.Networks. A network has a subnet of each IP version.
func (n *Lookups) Network(ctx context.Context, _, id string) (lb.Network, error) {
	n.network(ctx, id)
	return lb.Network{ID: id, Subnets: []string{derived(id, "ipv4"), derived(id, "ipv6")}}, nil
}

// Subnet implements api.Networks. A subnet that no network named has all addresses of IPv4.
func (n *Lookups) Subnet(ctx context.Context, _, id string) (lb.Subnet, error) {
	s := lb.Subnet{ID: id, NetworkID: n.network(ctx, derived(id, "network")), CIDR: allIPv4}
	if id == derived(s.NetworkID, "ipv6") {
		s.CIDR = allIPv6
	}
	return s, nil
}

// network answers the request's network, which is id if none was named before.
func (n *Lookups) network(ctx context.Context, id string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if known, ok := n.networks[ctx]; ok {
		return known
	}
	if ctx.Done() == nil {
		return id // never over: it would never be forgotten
	}
	n.networks[ctx] = id
	context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.networks, ctx)
	})
	return id
}

// Port implements api.Networks.
func (n *Lookups) Port(ctx context.Context, _, id string) (lb.Port, error) {
	return lb.Port{ID: id, NetworkID: n.network(ctx, derived(id, "network")),
		FixedIPs: []lb.FixedIP{{SubnetID: derived(id, "subnet"), Address: addressOf(id, false)}}}, nil
}

// QosPolicy implements api.Networks.
func (n *Lookups) QosPolicy(context.Context, string, string) error { return nil }

// SecurityGroup implements api.Networks.
func (n *Lookups) SecurityGroup(context.Context, string, string) error { return nil }

// derived is an id that follows from another one.
func derived(id, what string) string {
	return uuid.NewSHA1(uuid.NameSpaceOID, []byte(what+" "+id)).String()
}

// addressOf is one of those that are set aside for examples (RFC 5737, RFC 3849).
func addressOf(id string, ipv6 bool) netip.Addr {
	h := fnv.New32a()
	h.Write([]byte(id))
	sum := h.Sum32()
	if ipv6 {
		a := netip.MustParseAddr("2001:db8::").As16()
		a[14], a[15] = byte(sum>>8), byte(sum%254+1)
		return netip.AddrFrom16(a)
	}
	return netip.AddrFrom4([4]byte{198, 51, 100, byte(sum%254 + 1)})
}
