package localcloud

import (
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/cloud/cloudtest"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
)

// TestKeepsTheContractOfClouds runs the suite that every cloud must pass that is to carry load balancers.
func TestKeepsTheContractOfClouds(t *testing.T) {
	m := startMachine(t)
	admin := m.client(AdminUser, AdminProject)
	admin.Run("project", "create", "elsewhere")
	admin.Run("user", "create", "--password", "strangerpw", "stranger")
	admin.Run("role", "add", "--project", "elsewhere", "--user", "stranger", "member")
	user := m.networker(DemoUser, passwords[DemoUser], DemoProject)
	made, subnet := user.add("contract", "10.77.0.0/24")
	other, otherSubnet := user.add("contract-other", "10.78.0.0/24")
	cloudtest.Run(t, cloudtest.Target{
		Client: cloud.New(cloud.Options{Region: "RegionOne", Auth: cloud.Auth{URL: m.url + "/identity", UserName: ServiceUser, UserDomainName: "Default",
			Password: secrets.New(passwords[ServiceUser]), ProjectName: ServiceProject, ProjectDomainName: "Default"}}),
		ProjectID: m.ProjectID(DemoProject), UserToken: user.Token(), StrangerToken: m.networker("stranger", "strangerpw", "elsewhere").Token(),
		NetworkID: made, SubnetID: subnet, OtherNetworkID: other, OtherSubnetID: otherSubnet, ManagementNetworkID: m.ManagementNetworkID(),
		FlavorID: AmphoraFlavor, Image: plan.Image{Tag: AmphoraImageTag, Owner: m.ProjectID(ServiceProject)}, Wait: 20 * time.Second,
	})
}

// networker is somebody's client for networks.
type networker struct {
	*gophercloud.ServiceClient
	t *testing.T
}

func (m *machineTest) networker(user, password, project string) networker {
	t := m.t
	t.Helper()
	provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{IdentityEndpoint: m.url + "/identity/v3",
		Username: user, Password: password, DomainName: "Default", TenantName: project, AllowReauth: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openstack.NewNetworkV2(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	if err != nil {
		t.Fatal(err)
	}
	return networker{c, t}
}

func (n networker) add(name, cidr string) (network, subnet string) {
	n.t.Helper()
	made, err := networks.Create(n.t.Context(), n.ServiceClient, networks.CreateOpts{Name: name}).Extract()
	if err != nil {
		n.t.Fatal(err)
	}
	s, err := subnets.Create(n.t.Context(), n.ServiceClient, subnets.CreateOpts{NetworkID: made.ID, CIDR: cidr, IPVersion: gophercloud.IPv4}).Extract()
	if err != nil {
		n.t.Fatal(err)
	}
	return made.ID, s.ID
}
