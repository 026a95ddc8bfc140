package api_test

import (
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
)

func withSettings(c *api.Config) {
	c.Providers = []api.Provider{
		{Name: "amphora", Description: "ours", FlavorSettings: api.AmphoraFlavorSettings(), ZoneSettings: api.AmphoraZoneSettings()},
		{Name: "noop_driver", Description: "nothing", AnySetting: true},
	}
}

func TestProvidersAndWhatTheyCanBeTold(t *testing.T) {
	s := newSite(t, withSettings)
	u := s.as("member-a")
	if a := u.get("/v2/lbaas/providers").want(200); a.raw != `{"providers":[{"name":"amphora","description":"ours"},{"name":"noop_driver","description":"nothing"}]}` {
		t.Error(a.raw)
	}
	u.get("/v2/lbaas/providers?fields=name").want(200, `{"name":"amphora"}`)
	path := "/v2/lbaas/providers/amphora/flavor_capabilities"
	u.get(path).want(403)
	s.as("admin").get(path).want(200, `"flavor_capabilities"`, `"name":"loadbalancer_topology"`, `"name":"allow_member_sriov"`)
	if got := len(s.as("admin").get(path + "?name=compute_flavor").want(200).in("flavor_capabilities").([]any)); got != 1 {
		t.Error(got)
	}
	s.as("admin").get("/v2/lbaas/providers/amphora/availability_zone_capabilities").want(200, `"name":"valid_vip_networks"`)
	s.as("admin").get("/v2/lbaas/providers/f5/flavor_capabilities").want(400, "Provider 'f5' is not enabled.")
}

func TestFlavors(t *testing.T) {
	s := newSite(t, withSettings)
	root, u := s.as("admin"), s.as("member-a")
	profile := func(data string, status int, want string) answer {
		t.Helper()
		return root.post("/v2/lbaas/flavorprofiles", object{"flavorprofile": object{"name": "p", "provider_name": "amphora", "flavor_data": data}}).want(status, want)
	}
	for data, want := range map[string]string{`{`: "flavor_data", `[]`: "flavor_data", `"x"`: "flavor_data"} {
		profile(data, 400, want)
	}
	for data, want := range map[string]string{`{"surprise":1}`: "surprise", `{"loadbalancer_topology":"TRIANGLE"}`: "loadbalancer_topology", `{"sriov_vip":"yes"}`: "sriov_vip",
		`{"compute_flavor":null}`: "compute_flavor"} {
		profile(data, 501, "Provider 'amphora' does not support a requested option: "+want)
	}
	profileID := profile(`{"loadbalancer_topology":"ACTIVE_STANDBY","allow_member_sriov":true}`, 201, "").in("flavorprofile.id").(string)
	root.post("/v2/lbaas/flavorprofiles", object{"flavorprofile": object{"name": "p", "provider_name": "noop_driver", "flavor_data": `{"any": 1}`}}).want(201)

	body := object{"flavor": object{"name": "gold", "description": "two of them", "flavor_profile_id": profileID}}
	u.post("/v2/lbaas/flavors", body).want(403)
	a := root.post("/v2/lbaas/flavors", body).want(201, `"enabled":true`)
	id := a.in("flavor.id").(string)
	path := "/v2/lbaas/flavors/" + id
	root.post("/v2/lbaas/flavors", body).want(409, "A flavor of gold already exists.")
	root.post("/v2/lbaas/flavors", object{"flavor": object{"name": "x", "flavor_profile_id": absent}}).want(404, absent)
	u.get(path).want(200, `"name":"gold"`)
	u.get("/v2/lbaas/flavors?name=gold&fields=id").want(200, `{"flavors":[{"id":"`+id+`"}],"flavors_links":[]}`)
	u.get("/v2/lbaas/flavors?enabled=False").want(200, `"flavors":[]`)
	u.get("/v2/lbaas/flavors?surprise=1").want(400)
	root.put(path, object{"flavor": object{"description": "new"}}).want(200, `"description":"new"`, `"name":"gold"`)
	root.put(path, object{"flavor": object{"flavor_profile_id": profileID}}).want(400, "Unknown attribute for argument flavor_.flavor: flavor_profile_id")
	root.put("/v2/lbaas/flavorprofiles/"+profileID, object{"flavorprofile": object{"flavor_data": "{}"}}).want(409, "in use")
	root.put("/v2/lbaas/flavorprofiles/"+profileID, object{"flavorprofile": object{"name": "q"}}).want(200, `"name":"q"`)
	root.put("/v2/lbaas/flavorprofiles/"+profileID, object{"flavorprofile": object{"name": nil}}).want(400, "None is not a valid option for name")
	root.delete("/v2/lbaas/flavorprofiles/"+profileID).want(409, "Flavor profile "+profileID+" is in use and cannot be modified.")

	made := u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "flavor_id": id,
		"pools": []object{{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "members": []object{{"address": "192.0.2.7", "protocol_port": 1, "request_sriov": true}}}}}}).
		want(201, `"flavor_id":"`+id+`"`, `"provider":"amphora"`, `"vnic_type":"direct"`)
	tree, err := s.store.Tree(t.Context(), made.id())
	if err != nil || tree.LB.Topology != "ACTIVE_STANDBY" {
		t.Errorf("topology %s, %v", tree.LB.Topology, err)
	}
	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "flavor_id": id, "provider": "noop_driver"}}).want(400, "Flavor '"+id+"' is not compatible with provider 'noop_driver'")
	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "flavor_id": absent}}).want(400, "Invalid flavor_id.")
	root.put(path, object{"flavor": object{"enabled": false}}).want(200)
	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "flavor_id": id}}).want(400, "The selected flavor is not allowed in this deployment: "+id)
	root.delete(path).want(409, "Flavor "+id+" is in use and cannot be modified.")
	u.delete(lbs + "/" + made.id() + "?cascade=1").want(204)
	s.converge(made.id())
	root.delete(path).want(204)
	root.delete(path).want(404)
	root.delete("/v2/lbaas/flavorprofiles/" + profileID).want(204)

	plain := s.loadBalancer()
	poolID := s.create("pools", "pool", object{"loadbalancer_id": plain, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	u.post("/v2/lbaas/pools/"+poolID+"/members", object{"member": object{"address": "192.0.2.7", "protocol_port": 1, "request_sriov": true}}).want(400, "SR-IOV")
}

func TestAvailabilityZones(t *testing.T) {
	s := newSite(t, withSettings, func(c *api.Config) { c.VIPNetworks = []string{netB} })
	root, u := s.as("admin"), s.as("member-a")
	profileID := root.post("/v2/lbaas/availabilityzoneprofiles", object{"availability_zone_profile": object{"name": "p", "provider_name": "amphora",
		"availability_zone_data": `{"compute_zone":"nova","valid_vip_networks":["` + strings.ToUpper(netA) + `"]}`}}).want(201).in("availability_zone_profile.id").(string)
	body := object{"availability_zone": object{"name": "east", "availability_zone_profile_id": profileID}}
	root.post("/v2/lbaas/availabilityzones", body).want(201, `"name":"east"`)
	root.post("/v2/lbaas/availabilityzones", body).want(409, "A availability zone of east already exists.")
	u.get("/v2/lbaas/availabilityzones/east").want(200)
	u.get("/v2/lbaas/availabilityzones").want(200, `"availability_zones_links":[]`)
	root.get("/v2/lbaas/availabilityzoneprofiles").want(200, `"availability_zone_profile_links":[]`, "compute_zone")
	root.put("/v2/lbaas/availabilityzones/east", object{"availability_zone": object{"name": "west"}}).want(400, "Unknown attribute")

	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(400, "not allowed by the configuration")
	made := u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "availability_zone": "east"}}).want(201, `"availability_zone":"east"`).id()
	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "availability_zone": "west"}}).want(400, "Invalid availability zone.")
	root.put("/v2/lbaas/availabilityzones/east", object{"availability_zone": object{"enabled": false}}).want(200)
	u.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "availability_zone": "east"}}).want(400, "not allowed in this deployment: east")
	root.delete("/v2/lbaas/availabilityzones/east").want(409, "Availability Zone east is in use")
	u.delete(lbs + "/" + made).want(204)
	s.converge(made)
	root.delete("/v2/lbaas/availabilityzones/east").want(204)
	root.delete("/v2/lbaas/availabilityzoneprofiles/" + profileID).want(204)
}
