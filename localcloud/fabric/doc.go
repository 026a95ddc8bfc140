// Package fabric is the Linux under localcloud's networks: bridges, veth pairs, routers and nftables, all of it in
// network namespaces of its own. It keeps nothing: everything has a name that is computed from ids and from the cloud's
// tag, what exists is found by that name, and every call may be repeated.
//
// One namespace, octavo-<tag>-fabric, holds a bridge for each network (brq...) and one end of a veth pair for each
// plugged port (tap...). The other end is in an instance's namespace, in a router's namespace (octavo-<tag>-router-...)
// or, for the cloud's own machine, in the host's. Only this namespace decides what passes, so nothing that an instance
// does to its end of the wire matters.
//
// # How a packet is judged
//
// Bridges have no connection tracking of their own where nf_conntrack_bridge is missing, and the inet hooks that
// br_netfilter calls for bridged packets don't know taps. So the two share the work, in this order:
//
//  1. table bridge octavo, prerouting: the guard of the tap that the packet came from drops sources that are not the
//     port's own (its MAC, fixed addresses and allowed address pairs), in IP, ARP and neighbour discovery alike. This is
//     before the bridge learns the MAC.
//  2. table inet octavo, prerouting (from br_netfilter): connection tracking, in a zone for each bridge, so that networks
//     may have the same addresses.
//  3. table bridge octavo, forward: the security groups of the port it came from (egress) and of the port it goes to
//     (ingress) judge it as if it were the first packet of its connection. The verdict is the packet's mark.
//  4. table inet octavo, forward: what belongs to a connection passes; what begins one passes when it is marked.
//
// A port's and a group's rules are chains of their own, so a change replaces one chain in one transaction: no packet
// sees half of it and no other port's packets see any of it.
package fabric
