// Package openstack runs Octavo on a real OpenStack, the one that the script up in this directory brings up.
package openstack

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/tokens"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/cloud/cloudtest"
	"github.com/octavo-lb/octavo/plan"
	"github.com/octavo-lb/octavo/secrets"
)

// stateDir is where up keeps everything.
func stateDir() string {
	if dir := os.Getenv("TESTBED_STATE"); dir != "" {
		return dir
	}
	return "/var/lib/openstack-testbed"
}

// account is one entry of clouds.yaml, signed in.
type account struct {
	provider  *gophercloud.ProviderClient
	endpoint  gophercloud.EndpointOpts
	auth      gophercloud.AuthOptions
	projectID string
}

func signIn(t *testing.T, name string) account {
	t.Helper()
	auth, endpoint, tls, err := clouds.Parse(clouds.WithCloudName(name), clouds.WithLocations(filepath.Join(stateDir(), "clouds.yaml")))
	if err != nil {
		t.Fatalf("is the testbed up? %v", err)
	}
	provider, err := config.NewProviderClient(t.Context(), auth, config.WithTLSConfig(tls))
	if err != nil {
		t.Fatalf("cannot sign in as %s: %v", name, err)
	}
	project, err := provider.GetAuthResult().(tokens.CreateResult).ExtractProject()
	if err != nil {
		t.Fatal(err)
	}
	return account{provider, endpoint, auth, project.ID}
}

func (a account) network(t *testing.T) *gophercloud.ServiceClient {
	t.Helper()
	c, err := openstack.NewNetworkV2(a.provider, a.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// newNetwork makes a network with one IPv4 subnet for a test.
func (a account) newNetwork(t *testing.T, name, cidr string) (networkID, subnetID string) {
	t.Helper()
	client := a.network(t)
	n, err := networks.Create(t.Context(), client, networks.CreateOpts{Name: name}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := networks.Delete(context.Background(), client, n.ID).ExtractErr(); err != nil {
			t.Errorf("cannot clean up network %s: %v", name, err)
		}
	})
	s, err := subnets.Create(t.Context(), client, subnets.CreateOpts{NetworkID: n.ID, Name: name, CIDR: cidr, IPVersion: 4}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return n.ID, s.ID
}

// flavorID finds a flavor by its name.
func (a account) flavorID(t *testing.T, name string) string {
	t.Helper()
	client, err := openstack.NewComputeV2(a.provider, a.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	pages, err := flavors.ListDetail(client, flavors.ListOpts{AccessType: flavors.AllAccess}).AllPages(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	all, err := flavors.ExtractFlavors(pages)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if f.Name == name {
			return f.ID
		}
	}
	t.Fatalf("no flavor is called %s", name)
	return ""
}

// cloudContract: what the controller relies on holds on a real OpenStack as on the small cloud of one machine. There must be
// an image.
func cloudContract(t *testing.T) {
	service, demo, stranger := signIn(t, "octavia"), signIn(t, "demo"), signIn(t, "alt_demo")
	networkID, subnetID := demo.newNetwork(t, "contract", "10.90.0.0/24")
	otherNetworkID, otherSubnetID := demo.newNetwork(t, "contract-other", "10.91.0.0/24")
	managementID, _ := service.newNetwork(t, "contract-management", "10.92.0.0/24")
	cloudtest.Run(t, cloudtest.Target{
		Client: cloud.New(cloud.Options{Region: service.endpoint.Region, Auth: cloud.Auth{
			URL: service.auth.IdentityEndpoint, UserName: service.auth.Username, UserDomainName: "Default",
			Password: secrets.New(service.auth.Password), ProjectName: service.auth.Scope.ProjectName, ProjectDomainName: "Default",
		}}),
		ProjectID: demo.projectID, UserToken: demo.provider.Token(), StrangerToken: stranger.provider.Token(),
		NetworkID: networkID, SubnetID: subnetID, OtherNetworkID: otherNetworkID, OtherSubnetID: otherSubnetID,
		ManagementNetworkID: managementID, FlavorID: service.flavorID(t, "amphora"), Image: plan.Image{Tag: "octavia-amphora"},
		Wait: 3 * time.Minute,
	})
}
