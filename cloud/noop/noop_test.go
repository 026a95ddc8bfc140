package noop_test

import (
	"context"
	"net/netip"
	"testing"

	"github.com/octavo-lb/octavo/cloud/noop"
	"github.com/octavo-lb/octavo/lb"
)

func TestSubnetsOfOneRequestAreOfTheNetworkThatItNamed(t *testing.T) {
	n := noop.NewLookups()
	first, endFirst := context.WithCancel(t.Context())
	second, endSecond := context.WithCancel(t.Context())
	defer endSecond()
	if _, err := n.Network(first, "", "network-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Network(second, "", "network-2"); err != nil {
		t.Fatal(err)
	}
	for ctx, want := range map[context.Context]string{first: "network-1", second: "network-2"} {
		for _, id := range []string{"a", "b"} {
			if s, err := n.Subnet(ctx, "", id); err != nil || s.NetworkID != want || s.ID != id {
				t.Errorf("%+v (%v), want one of %s", s, err, want)
			}
		}
	}
	endFirst()
	again, end := context.WithCancel(t.Context())
	defer end()
	one, _ := n.Subnet(again, "", "a")
	other, _ := n.Subnet(t.Context(), "", "a")
	if one.NetworkID == "" || one.NetworkID != other.NetworkID {
		t.Errorf("a subnet by itself is of %q and %q, want the same network", one.NetworkID, other.NetworkID)
	}
}

func TestVIPGetsAnAddressOnce(t *testing.T) {
	n := noop.Cloud{}
	network, _ := noop.NewLookups().Network(t.Context(), "", "net")
	b := lb.LoadBalancer{Meta: lb.Meta{ID: "lb"}, VipNetworkID: &network.ID, VipSubnetID: &network.Subnets[0],
		AdditionalVips: []lb.VIP{{SubnetID: network.Subnets[1]}}}
	again := b
	again.AdditionalVips = []lb.VIP{{SubnetID: network.Subnets[1]}}
	for _, b := range []*lb.LoadBalancer{&b, &again} {
		if err := n.EnsureVIP(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	if !netip.MustParseAddr(b.VipAddress).Is4() || !netip.MustParseAddr(b.AdditionalVips[0].IPAddress).Is6() || b.VipPortID == nil {
		t.Errorf("placed as %+v", b)
	}
	if b.VipAddress != again.VipAddress || *b.VipPortID != *again.VipPortID {
		t.Errorf("placed at %s and at %s", b.VipAddress, again.VipAddress)
	}
	given := lb.LoadBalancer{Meta: lb.Meta{ID: "lb"}, VipAddress: "192.0.2.7"}
	if err := n.EnsureVIP(t.Context(), &given); err != nil || given.VipAddress != "192.0.2.7" {
		t.Errorf("an address that was given: %s (%v)", given.VipAddress, err)
	}
}
