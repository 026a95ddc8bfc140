package openstack

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
)

// inventory is what there is in the cloud: a description by kind and id.
type inventory map[string]string

// takeInventory lists everything that load balancing makes, of all projects; secrets are those of the tenant.
func takeInventory(t *testing.T, admin, tenant account) inventory {
	t.Helper()
	all := inventory{}
	service := func(c *gophercloud.ServiceClient, err error) *gophercloud.ServiceClient {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	network := admin.network(t)
	for _, kind := range []string{"networks", "subnets", "routers", "ports", "security_groups", "floatingips"} {
		path := map[string]string{"security_groups": "security-groups"}[kind]
		if path == "" {
			path = kind
		}
		all.add(t, network, network.ServiceURL(path), kind)
	}
	compute := service(openstack.NewComputeV2(admin.provider, admin.endpoint))
	all.add(t, compute, compute.ServiceURL("servers")+"?all_tenants=1", "servers")
	all.add(t, compute, compute.ServiceURL("os-server-groups")+"?all_projects=True", "server_groups")
	all.add(t, compute, compute.ServiceURL("flavors")+"?is_public=None", "flavors")
	images := service(openstack.NewImageV2(admin.provider, admin.endpoint))
	all.add(t, images, images.ServiceURL("images"), "images")
	secrets := service(openstack.NewKeyManagerV1(tenant.provider, tenant.endpoint))
	all.add(t, secrets, secrets.ServiceURL("secrets"), "secrets")
	all.add(t, secrets, secrets.ServiceURL("containers"), "containers")
	return all
}

func (i inventory) add(t *testing.T, client *gophercloud.ServiceClient, url, kind string) {
	t.Helper()
	var answer map[string]any
	if _, err := client.Get(t.Context(), url, &answer, nil); err != nil {
		t.Fatalf("cannot list %s: %v", kind, err)
	}
	list, _ := answer[kind].([]any)
	for _, entry := range list {
		o, _ := entry.(map[string]any)
		id, _ := o["id"].(string)
		if id == "" { // the key manager's
			id, _ = o[kind[:len(kind)-1]+"_ref"].(string)
		}
		name, _ := o["name"].(string)
		if kind == "security_groups" && name == "default" {
			continue // Neutron makes one for each project when it is first asked for
		}
		owner, _ := o["device_owner"].(string)
		if network, _ := o["network_id"].(string); owner == "network:dhcp" {
			name = "of network " + network
		}
		i[kind+" "+id] = kind + " " + name + " " + owner + " " + id
	}
}

// leftSince describes what was not there before.
func (i inventory) leftSince(before inventory) []string {
	var left []string
	for _, key := range slices.Sorted(maps.Keys(i)) {
		if _, old := before[key]; !old && !i.isOfOldNetwork(key, before) {
			left = append(left, i[key])
		}
	}
	return left
}

// isOfOldNetwork tells whether it is a DHCP port of a network that was there before: Neutron makes it when it gets round to it.
func (i inventory) isOfOldNetwork(key string, before inventory) bool {
	words := strings.Fields(i[key])
	if len(words) != 6 || words[4] != "network:dhcp" {
		return false
	}
	_, old := before["networks "+words[3]]
	return old
}
