package cloud

import (
	"context"
	"math/big"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/networkipavailabilities"
)

// FreeAddresses tells how many addresses of a network's subnets are free, by subnet; nil where Neutron does not say.
func (c *Client) FreeAddresses(ctx context.Context, networkID string) (map[string]int, error) {
	ctx, cancel, s, err := c.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	found, err := availability(ctx, s.network, networkID)
	if err != nil && (IsNotFound(err) || KindOf(err) == Denied) {
		return nil, nil
	}
	return found, err
}

func availability(ctx context.Context, network *gophercloud.ServiceClient, id string) (map[string]int, error) {
	found, err := networkipavailabilities.Get(ctx, network, id).Extract()
	if err != nil {
		return nil, wrap(err, "count the free addresses of network %s", id)
	}
	free := make(map[string]int, len(found.SubnetIPAvailabilities))
	for _, s := range found.SubnetIPAvailabilities {
		free[s.SubnetID] = difference(s.TotalIPs, s.UsedIPs)
	}
	return free, nil
}

// difference of two decimal numbers: an IPv6 subnet has more addresses than an int can count.
func difference(total, used string) int {
	t, ok := new(big.Int).SetString(total, 10)
	u, ok2 := new(big.Int).SetString(used, 10)
	if !ok || !ok2 {
		return 0
	}
	const many = 1 << 30
	if d := t.Sub(t, u); d.IsInt64() {
		return int(min(d.Int64(), many))
	}
	return many
}
