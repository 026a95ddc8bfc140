package network

import (
	"errors"
	"net/netip"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// portWith answers the port that has the address of the subnet.
func portWith(r state.Reader, subnetID string, a netip.Addr) (Port, bool) {
	return state.Find(r, func(p *Port) bool {
		return slices.ContainsFunc(p.FixedIPs, func(f FixedIP) bool { return f.SubnetID == subnetID && f.IPAddress == a })
	})
}

// assign turns what was asked for into the port's addresses, and takes them. An address that the port has already stays.
func (s *Service) assign(tx *state.Tx, p *Port, asked []FixedIP) error {
	kept, _ := state.Get[Port](tx, p.ID)
	p.FixedIPs = []FixedIP{}
	for _, a := range asked {
		sub, err := chooseSubnet(tx, p.NetworkID, a)
		if err != nil {
			return err
		}
		if !a.IPAddress.IsValid() {
			if a.IPAddress, err = s.nextAddress(tx, sub, p.FixedIPs, kept.FixedIPs); err != nil {
				return err
			}
		} else if err := free(tx, p, sub, a.IPAddress); err != nil {
			return err
		}
		p.FixedIPs = append(p.FixedIPs, FixedIP{sub.ID, a.IPAddress})
	}
	return nil
}

// chooseSubnet is the one that was named, or the one that the address belongs to.
func chooseSubnet(r state.Reader, networkID string, a FixedIP) (Subnet, error) {
	if a.SubnetID != "" {
		sub, err := state.Get[Subnet](r, a.SubnetID)
		switch {
		case errors.Is(err, state.ErrNotFound):
			return sub, noSubnet(a.SubnetID)
		case err != nil:
			return sub, err
		case sub.NetworkID != networkID:
			return sub, httpx.BadRequest("InvalidInput", "Invalid input for operation: Failed to create port on network %s, because fixed_ips included invalid subnet %s.", networkID, a.SubnetID)
		case a.IPAddress.IsValid() && !sub.CIDR.Contains(a.IPAddress):
			return sub, httpx.BadRequest("InvalidIpForSubnet", "IP address %v is not a valid IP for the specified subnet.", a.IPAddress)
		}
		return sub, nil
	}
	if !a.IPAddress.IsValid() {
		return Subnet{}, httpx.BadRequest("InvalidInput", "Invalid input for operation: IP allocation requires subnet_id or ip_address.")
	}
	for _, sub := range subnetsOf(r, networkID) {
		if sub.CIDR.Contains(a.IPAddress) {
			return sub, nil
		}
	}
	return Subnet{}, httpx.BadRequest("InvalidIpForNetwork", "IP address %v is not a valid IP for any of the subnets on the specified network.", a.IPAddress)
}

func free(r state.Reader, p *Port, sub Subnet, a netip.Addr) error {
	if sub.CIDR.Bits() < sub.CIDR.Addr().BitLen()-1 && (a == sub.CIDR.Addr() || a.Is4() && a == lastOf(sub.CIDR)) {
		return httpx.BadRequest("InvalidIpForSubnet", "IP address %v is not a valid IP for the specified subnet.", a)
	}
	taken := slices.Contains(p.FixedIPs, FixedIP{sub.ID, a})
	if other, ok := portWith(r, sub.ID, a); ok && other.ID != p.ID {
		taken = true
	}
	if taken {
		return httpx.Conflict("IpAddressAlreadyAllocated", "IP address %v already allocated in subnet %s", a, sub.ID)
	}
	return nil
}

// nextAddress takes the first free one after the one that was taken last, or keeps the one that the port has.
func (s *Service) nextAddress(tx *state.Tx, sub Subnet, chosen, kept []FixedIP) (netip.Addr, error) {
	for _, f := range kept {
		if f.SubnetID == sub.ID && !slices.Contains(chosen, f) {
			return f.IPAddress, nil
		}
	}
	taken := map[netip.Addr]bool{}
	for _, p := range portsOn(tx, sub.NetworkID) {
		for _, f := range p.FixedIPs {
			taken[f.IPAddress] = true
		}
	}
	for _, f := range chosen {
		taken[f.IPAddress] = true
	}
	last, _ := state.Get[cursor](tx, sub.ID)
	if a, ok := firstFree(sub.AllocationPools, last.Last, taken); ok {
		return a, tx.Put(cursor{sub.ID, a})
	}
	if a, ok := firstFree(sub.AllocationPools, netip.Addr{}, taken); ok {
		return a, tx.Put(cursor{sub.ID, a})
	}
	return netip.Addr{}, httpx.Conflict("IpAddressGenerationFailure", "No more IP addresses available on network %s.", sub.NetworkID)
}

// firstFree is the first address of the pools after the given one that nobody has.
func firstFree(pools []Pool, after netip.Addr, taken map[netip.Addr]bool) (netip.Addr, bool) {
	for _, pool := range pools {
		a := pool.Start
		if after.IsValid() && !after.Less(a) {
			a = after.Next()
		}
		for ; a.IsValid() && !pool.End.Less(a); a = a.Next() {
			if !taken[a] {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

// anyAddresses is what a port gets that asks for nothing: one address of each IP version that its network has.
func anyAddresses(r state.Reader, networkID string) []FixedIP {
	var asked []FixedIP
	for _, version := range []int{4, 6} {
		if sub, ok := state.Find(r, func(sub *Subnet) bool { return sub.NetworkID == networkID && sub.IPVersion == version }); ok {
			asked = append(asked, FixedIP{SubnetID: sub.ID})
		}
	}
	return asked
}
