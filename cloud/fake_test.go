package cloud_test

import (
	"testing"
	"time"

	"github.com/octavo-lb/octavo/cloud/cloudfake"
	"github.com/octavo-lb/octavo/cloud/cloudtest"
	"github.com/octavo-lb/octavo/plan"
)

const user = "22222222222222222222222222222222"

// target is a fake that pages its lists and takes its time.
func target(t *testing.T, o cloudfake.Options) (*cloudfake.Cloud, cloudtest.Target) {
	t.Helper()
	fake := cloudfake.New(o)
	network, subnets := fake.AddNetwork(cloudfake.Network{Name: "private", Project: user, Subnets: []cloudfake.Subnet{{CIDR: "192.168.21.0/24", Gateway: "192.168.21.1"}}})
	other, otherSubnets := fake.AddNetwork(cloudfake.Network{Name: "other", Project: user, Subnets: []cloudfake.Subnet{{CIDR: "10.5.0.0/16"}}})
	management, _ := fake.AddNetwork(cloudfake.Network{Name: "lb-mgmt-net", Project: cloudfake.ServiceProject, Subnets: []cloudfake.Subnet{{CIDR: "172.16.0.0/22"}}})
	fake.AddImage(cloudfake.ServiceProject, "octavia-amphora")
	return fake, cloudtest.Target{
		Client: fake.Client(), ProjectID: user, UserToken: fake.Token(user), StrangerToken: fake.Token("stranger"),
		NetworkID: network, SubnetID: subnets[0], OtherNetworkID: other, OtherSubnetID: otherSubnets[0], ManagementNetworkID: management,
		FlavorID: "flavor", Image: plan.Image{Tag: "octavia-amphora"}, Wait: 5 * time.Second,
	}
}

func TestFakeKeepsTheContract(t *testing.T) {
	fake, target := target(t, cloudfake.Options{PageSize: 2, BootTime: 50 * time.Millisecond, DeleteTime: 50 * time.Millisecond})
	cloudtest.Run(t, target)
	for _, collection := range []string{"ports", "security-groups", "servers", "server_groups"} {
		if left := fake.Objects(collection); len(left) > 0 {
			t.Errorf("%s are left: %v", collection, left)
		}
	}
}
