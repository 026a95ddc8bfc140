package network

import (
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
)

func TestPortsGetAddressesAsAskedFor(t *testing.T) {
	c := newCloud(t)
	net := c.create("demo", "networks", object{"name": "n"}).str("id")
	v4 := c.create("demo", "subnets", object{"network_id": net, "ip_version": 4, "cidr": "10.1.0.0/29"}).str("id")
	v6 := c.create("demo", "subnets", object{"network_id": net, "ip_version": 6, "cidr": "fd00:1::/64"}).str("id")
	addresses := func(p object) (all []string) {
		for _, f := range p["fixed_ips"].([]any) {
			all = append(all, f.(map[string]any)["ip_address"].(string))
		}
		return all
	}
	for _, row := range []struct {
		asked any
		want  []string
	}{
		{nil, []string{"10.1.0.2", "fd00:1::2"}},
		{[]object{{"subnet_id": v4}}, []string{"10.1.0.3"}},
		{[]object{{"ip_address": "10.1.0.5"}}, []string{"10.1.0.5"}},
		{[]object{{"subnet_id": v6, "ip_address": "fd00:1:0::0:aa"}}, []string{"fd00:1::aa"}},
		{[]object{}, nil},
		{[]object{{"subnet_id": v4}, {"subnet_id": v6}}, []string{"10.1.0.4", "fd00:1::3"}},
		{[]object{{"subnet_id": v4}}, []string{"10.1.0.6"}},
	} {
		attributes := object{"network_id": net}
		if row.asked != nil {
			attributes["fixed_ips"] = row.asked
		}
		if got := addresses(c.create("demo", "ports", attributes)); !slices.Equal(got, row.want) {
			t.Errorf("asked for %v, got %v, want %v", row.asked, got, row.want)
		}
	}
	port := func(fixed object) object { return object{"network_id": net, "fixed_ips": []object{fixed}} }
	c.refused("demo", "POST", "ports", port(object{"subnet_id": v4}), 409, "IpAddressGenerationFailure")
	c.refused("demo", "POST", "ports", port(object{"ip_address": "10.1.0.5"}), 409, "IpAddressAlreadyAllocated")
	c.refused("demo", "POST", "ports", port(object{"ip_address": "10.2.0.5"}), 400, "InvalidIpForNetwork")
	c.refused("demo", "POST", "ports", port(object{"ip_address": "10.1.0.7"}), 400, "InvalidIpForSubnet")
	c.refused("demo", "POST", "ports", port(object{"subnet_id": v4, "ip_address": "fd00:1::5"}), 400, "InvalidIpForSubnet")
	c.refused("demo", "POST", "ports", port(object{"subnet_id": "nope"}), 404, "SubnetNotFound")
	c.refused("demo", "POST", "ports", object{"network_id": "nope"}, 404, "NetworkNotFound")

	found := c.list("demo", "ports", "fixed_ips=ip_address=10.1.0.5&fixed_ips=subnet_id="+v4)
	if len(found) != 1 || addresses(found[0])[0] != "10.1.0.5" {
		t.Errorf("the filter by fixed IP found %v", found)
	}
	moved := c.update("demo", "ports", found[0].str("id"), object{"fixed_ips": []object{{"subnet_id": v4}, {"subnet_id": v6}}})
	if got := addresses(moved); len(got) != 2 || got[0] != "10.1.0.5" {
		t.Errorf("an update that keeps the subnet changed the address: %v", got)
	}
	c.refused("demo", "DELETE", "subnets/"+v4, nil, 409, "SubnetInUse")
	c.refused("demo", "DELETE", "networks/"+net, nil, 409, "NetworkInUse")
	for _, p := range c.list("demo", "ports", "network_id="+net) {
		c.remove("demo", "ports", p.str("id"))
	}
	c.remove("demo", "networks", net)
	c.refused("demo", "GET", "subnets/"+v4, nil, 404, "SubnetNotFound")
}

func TestManyAtOnceGetDifferentAddresses(t *testing.T) {
	c := newCloud(t)
	c.token("demo")
	net := c.named("demo", "networks", "private").str("id")
	var mu sync.Mutex
	seen := map[string]int{}
	var wg sync.WaitGroup
	for range 10 {
		wg.Go(func() {
			for range 5 {
				p := c.create("demo", "ports", object{"network_id": net})
				mu.Lock()
				seen[fmt.Sprint(p["fixed_ips"].([]any)[0].(map[string]any)["ip_address"])]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if len(seen) != 50 {
		t.Errorf("50 ports have %d addresses: %v", len(seen), seen)
	}
	for a := range seen {
		if a == "192.168.21.1" || a >= "192.168.21.100" && a <= "192.168.21.109" {
			t.Errorf("%s was given away, which is not in the pools", a)
		}
	}
}

func TestProjectsSeeTheirOwn(t *testing.T) {
	c := newCloud(t)
	net := c.create("demo", "networks", object{"name": "mine"}).str("id")
	sub := c.create("demo", "subnets", object{"network_id": net, "ip_version": 4, "cidr": "10.1.0.0/24"}).str("id")
	port := c.create("demo", "ports", object{"network_id": net}).str("id")
	group := c.create("demo", "security-groups", object{"name": "g"}).str("id")
	router := c.create("demo", "routers", object{"name": "r"}).str("id")
	ext := c.named("other", "networks", "ext_net")
	if !ext["router:external"].(bool) || ext["provider:network_type"] != nil {
		t.Errorf("the external network as a tenant sees it: %v", ext)
	}
	fip := c.create("demo", "floatingips", object{"floating_network_id": ext["id"]}).str("id")
	for _, row := range [][2]string{{"networks/" + net, "NetworkNotFound"}, {"subnets/" + sub, "SubnetNotFound"}, {"ports/" + port, "PortNotFound"},
		{"security-groups/" + group, "SecurityGroupNotFound"}, {"routers/" + router, "RouterNotFound"}, {"floatingips/" + fip, "FloatingIPNotFound"}} {
		for _, method := range []string{"GET", "DELETE"} {
			c.refused("other", method, row[0], nil, 404, row[1])
		}
		if status, _ := c.call("admin", "GET", row[0], nil); status != http.StatusOK {
			t.Errorf("an administrator gets %d for %s", status, row[0])
		}
	}
	c.refused("other", "POST", "ports", object{"network_id": net}, 404, "NetworkNotFound")
	c.refused("other", "POST", "ports", object{"network_id": ext["id"]}, 403, "PolicyNotAuthorized")
	c.refused("other", "PUT", "networks/"+ext.str("id"), object{"name": "x"}, 403, "PolicyNotAuthorized")
	c.refused("other", "POST", "networks", object{"shared": true}, 403, "PolicyNotAuthorized")
	c.refused("other", "POST", "networks", object{"project_id": c.id.ProjectID("demo")}, 400, "HTTPBadRequest")
	c.refused("other", "PUT", "floatingips/"+fip, object{"port_id": nil}, 404, "FloatingIPNotFound")

	c.update("admin", "networks", net, object{"shared": true})
	theirs := c.create("other", "ports", object{"network_id": net})
	if theirs.str("project_id") != c.id.ProjectID("other") || theirs["binding:host_id"] != nil {
		t.Errorf("a port on a shared network: %v", theirs)
	}
	c.refused("other", "POST", "ports", object{"network_id": net, "fixed_ips": []object{{"ip_address": "10.1.0.99"}}}, 403, "PolicyNotAuthorized")
	c.refused("other", "PUT", "ports/"+theirs.str("id"), object{"allowed_address_pairs": []object{{"ip_address": "10.1.0.99"}}}, 403, "PolicyNotAuthorized")
	c.refused("other", "PUT", "ports/"+theirs.str("id"), object{"security_groups": []string{group}}, 404, "SecurityGroupNotFound")
	if status, _ := c.call("demo", "GET", "ports/"+theirs.str("id"), nil); status != http.StatusOK {
		t.Errorf("the network's owner gets %d for a port on it", status)
	}
}

func TestRequestsAreCheckedAndChangeNothing(t *testing.T) {
	c := newCloud(t)
	net := c.named("demo", "networks", "private").str("id")
	port := c.create("demo", "ports", object{"network_id": net, "name": "p"})
	path := "ports/" + port.str("id")
	c.refused("demo", "PUT", path, object{"name": "changed", "colour": "red"}, 400, "HTTPBadRequest")
	c.refused("demo", "PUT", path, object{"name": "changed", "network_id": "x"}, 400, "HTTPBadRequest")
	c.refused("demo", "PUT", path, object{"name": "changed", "admin_state_up": "perhaps"}, 400, "HTTPBadRequest")
	c.refused("demo", "PUT", path, object{"name": 7}, 400, "HTTPBadRequest")
	c.refused("demo", "PUT", path, object{"name": "changed", "security_groups": []string{"nope"}}, 404, "SecurityGroupNotFound")
	c.refused("demo", "PUT", path, object{"name": "changed", "qos_policy_id": "nope"}, 404, "QosPolicyNotFound")
	c.refused("demo", "PUT", path, object{"name": "changed", "allowed_address_pairs": []object{{"ip_address": "300.1.1.1"}}}, 400, "HTTPBadRequest")
	c.refused("demo", "PUT", path, object{"name": "changed", "port_security_enabled": false}, 409, "PortSecurityPortHasSecurityGroup")
	c.refused("demo", "POST", "ports", object{"network_id": net, "mac_address": port["mac_address"]}, 409, "MacAddressInUse")
	c.refused("demo", "POST", "ports", object{"network_id": net, "status": "ACTIVE"}, 400, "HTTPBadRequest")
	c.refused("demo", "POST", "networks", object{"mtu": 5}, 400, "HTTPBadRequest")
	c.refused("demo", "GET", "ports?colour=red", nil, 400, "HTTPBadRequest")
	if now := c.named("demo", "ports", "p"); now["revision_number"] != port["revision_number"] {
		t.Errorf("a refused request changed the port: %v", now)
	}
	subnet := func(cidr string) object { return object{"network_id": net, "ip_version": 4, "cidr": cidr} }
	c.refused("demo", "POST", "subnets", subnet("192.168.21.128/25"), 400, "InvalidInput")
	c.refused("demo", "POST", "subnets", subnet("fd00::/64"), 400, "InvalidInput")
	c.refused("demo", "POST", "subnets", subnet("10.0.0.300/8"), 400, "HTTPBadRequest")
	c.refused("demo", "PUT", "subnets/"+c.named("demo", "subnets", "private_subnet").str("id"), object{"gateway_ip": "192.168.21.7"}, 409, "GatewayConflictWithAllocationPools")
	c.refused("demo", "PUT", "subnets/"+c.named("demo", "subnets", "private_subnet").str("id"), object{"gateway_ip": "192.168.21.101"}, 409, "GatewayIpInUse")
	if sub := c.create("demo", "subnets", object{"network_id": net, "ip_version": "4", "cidr": "10.5.0.0/30"}); fmt.Sprint(sub["allocation_pools"]) != "[map[end:10.5.0.2 start:10.5.0.2]]" || sub["gateway_ip"] != "10.5.0.1" {
		t.Errorf("a subnet's defaults: %v", sub)
	}
}

func TestSecurityGroupRulesAreChecked(t *testing.T) {
	c := newCloud(t)
	group := c.create("demo", "security-groups", object{"name": "g"})
	if len(group["security_group_rules"].([]any)) != 2 {
		t.Errorf("a new group has the rules %v, want the two that let everything out", group["security_group_rules"])
	}
	id := group.str("id")
	rule := func(more object) object {
		all := object{"security_group_id": id, "direction": "ingress"}
		for k, v := range more {
			all[k] = v
		}
		return all
	}
	made := c.create("demo", "security-group-rules", rule(object{"protocol": "TCP", "port_range_min": 80, "port_range_max": 80, "remote_ip_prefix": "10.0.0.7/8"}))
	if made["protocol"] != "tcp" || made["normalized_cidr"] != "10.0.0.0/8" || made["ethertype"] != "IPv4" {
		t.Errorf("made %v", made)
	}
	c.refused("demo", "POST", "security-group-rules", rule(object{"protocol": "tcp", "port_range_min": 80, "port_range_max": 80, "remote_ip_prefix": "10.0.0.7/8"}), 409, "SecurityGroupRuleExists")
	for kind, bad := range map[string]object{
		"SecurityGroupProtocolRequiredWithPorts":    {"port_range_min": 80, "port_range_max": 80},
		"SecurityGroupInvalidPortRange":             {"protocol": "udp", "port_range_min": 80, "port_range_max": 70},
		"SecurityGroupRuleInvalidProtocol":          {"protocol": "carrier-pigeon"},
		"SecurityGroupRuleParameterConflict":        {"remote_ip_prefix": "fd00::/8"},
		"SecurityGroupRuleInvalidEtherType":         {"ethertype": "IPX"},
		"SecurityGroupMissingIcmpType":              {"protocol": "icmp", "port_range_max": 3},
		"SecurityGroupMultipleRemoteEntitiesInRule": {"remote_ip_prefix": "10.0.0.0/8", "remote_group_id": id},
	} {
		c.refused("demo", "POST", "security-group-rules", rule(bad), 400, kind)
	}
	c.refused("demo", "POST", "security-group-rules", rule(object{"remote_group_id": "nope"}), 404, "SecurityGroupNotFound")
	friend := c.create("demo", "security-groups", object{"name": "friend"}).str("id")
	c.create("demo", "security-group-rules", rule(object{"remote_group_id": friend, "ethertype": "IPv6"}))
	c.remove("demo", "security-groups", friend)
	if left := c.list("demo", "security-group-rules", "security_group_id="+id); len(left) != 3 {
		t.Errorf("%d rules are left, want 3: the one about the deleted group goes with it", len(left))
	}
	port := c.create("demo", "ports", object{"network_id": c.named("demo", "networks", "private").str("id"), "security_groups": []string{id}}).str("id")
	c.refused("demo", "DELETE", "security-groups/"+id, nil, 409, "SecurityGroupInUse")
	c.remove("demo", "ports", port)
	c.remove("demo", "security-groups", id)
	standard := c.named("demo", "security-groups", "default")
	c.refused("demo", "DELETE", "security-groups/"+standard.str("id"), nil, 409, "SecurityGroupCannotRemoveDefault")
	c.refused("demo", "POST", "security-groups", object{"name": "default"}, 409, "SecurityGroupDefaultAlreadyExists")
}

func TestRoutersAndFloatingIPsHoldTogether(t *testing.T) {
	c := newCloud(t)
	ext, private := c.named("demo", "networks", "ext_net").str("id"), c.named("demo", "networks", "private").str("id")
	router := c.named("demo", "routers", "router1")
	gateway := router["external_gateway_info"].(map[string]any)
	if gateway["network_id"] != ext || len(gateway["external_fixed_ips"].([]any)) != 1 || gateway["enable_snat"] != true {
		t.Errorf("router1's gateway: %v", gateway)
	}
	port := c.create("demo", "ports", object{"network_id": private, "fixed_ips": []object{{"ip_address": "192.168.21.50"}, {"ip_address": "192.168.21.51"}}}).str("id")
	c.refused("demo", "POST", "floatingips", object{"floating_network_id": ext, "port_id": port}, 400, "BadRequest")
	c.refused("demo", "POST", "floatingips", object{"floating_network_id": private}, 400, "BadRequest")
	fip := c.create("demo", "floatingips", object{"floating_network_id": ext, "port_id": port, "fixed_ip_address": "192.168.21.51"})
	if fip["router_id"] != router["id"] || fip["status"] != "ACTIVE" || fip["port_details"].(map[string]any)["network_id"] != private {
		t.Errorf("associated: %v", fip)
	}
	c.refused("demo", "POST", "floatingips", object{"floating_network_id": ext, "port_id": port, "fixed_ip_address": "192.168.21.51"}, 409, "FloatingIPPortAlreadyAssociated")
	sub := c.named("demo", "subnets", "private_subnet").str("id")
	path := "routers/" + router.str("id")
	if status, o := c.call("demo", "PUT", path+"/remove_router_interface", object{"subnet_id": sub}); status != 409 {
		t.Errorf("an interface that a floating IP needs was removed: %d %v", status, o)
	}
	c.refused("demo", "PUT", path, object{"external_gateway_info": nil}, 409, "RouterExternalGatewayInUseByFloatingIp")
	c.refused("demo", "DELETE", path, nil, 409, "RouterInUse")
	routerPort := c.list("demo", "ports", "device_owner=network:router_interface")[0].str("id")
	c.refused("demo", "DELETE", "ports/"+routerPort, nil, 409, "ServicePortInUse")

	lonely := c.create("demo", "networks", object{}).str("id")
	other := c.create("demo", "subnets", object{"network_id": lonely, "ip_version": 4, "cidr": "10.9.0.0/24"}).str("id")
	far := c.create("demo", "ports", object{"network_id": lonely}).str("id")
	c.refused("demo", "PUT", "floatingips/"+fip.str("id"), object{"port_id": far}, 404, "ExternalGatewayForFloatingIPNotFound")
	if status, o := c.call("demo", "PUT", path+"/add_router_interface", object{"subnet_id": other}); status != 200 || o["subnet_id"] != other {
		t.Fatalf("add_router_interface: %d %v", status, o)
	}
	if moved := c.update("demo", "floatingips", fip.str("id"), object{"port_id": far}); moved["fixed_ip_address"] == "192.168.21.51" {
		t.Errorf("moved: %v", moved)
	}
	c.remove("demo", "ports", far)
	_, o := c.call("demo", "GET", "floatingips/"+fip.str("id"), nil)
	if freed := o["floatingip"].(map[string]any); freed["port_id"] != nil || freed["status"] != "DOWN" {
		t.Errorf("its port is gone: %v", freed)
	}
	c.remove("demo", "floatingips", fip.str("id"))
	for _, s := range []string{sub, other} {
		if status, o := c.call("demo", "PUT", path+"/remove_router_interface", object{"subnet_id": s}); status != 200 {
			t.Errorf("remove_router_interface: %d %v", status, o)
		}
	}
	c.remove("demo", "routers", router.str("id"))
	if left := c.list("admin", "ports", "network_id="+ext); len(left) != 1 || left[0]["device_owner"] != ownerHost {
		t.Errorf("left on ext_net: %v, want only the machine itself", left)
	}
}

func TestListsFilterSortAndPage(t *testing.T) {
	c := newCloud(t)
	for _, name := range []string{"a", "b", "c"} {
		c.create("demo", "security-groups", object{"name": name, "description": "mine"})
	}
	names := func(query string) (all []string) {
		for _, g := range c.list("demo", "security-groups", query) {
			all = append(all, g.str("name"))
		}
		return all
	}
	for query, want := range map[string][]string{
		"description=mine&sort_key=name&sort_dir=desc": {"c", "b", "a"},
		"name=a&name=c":                 {"a", "c"},
		"description=mine&limit=2":      {"a", "b"},
		"description=mine&name=default": nil,
	} {
		if got := names(query); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", query, got, want)
		}
	}
	narrow := c.list("demo", "networks", "fields=id&fields=name&router:external=True")
	if len(narrow) != 1 || len(narrow[0]) != 2 || narrow[0]["name"] != "ext_net" {
		t.Errorf("fields and a filter: %v", narrow)
	}
}
