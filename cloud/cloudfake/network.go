package cloudfake

import (
	"cmp"
	"fmt"
	"maps"
	"net/http"
	"net/netip"
	"slices"
)

// Network is what a network and its subnets are made from.
type Network struct {
	Name    string
	Project string
	Shared  bool
	MTU     int
	Subnets []Subnet
}

type Subnet struct {
	CIDR    string
	Gateway string // empty for none
	Routes  map[string]string
}

// AddNetwork makes a network with subnets, and returns their ids.
func (c *Cloud) AddNetwork(n Network) (id string, subnets []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	id = c.newID()
	for _, s := range n.Subnets {
		subnetID := c.newID()
		subnets = append(subnets, subnetID)
		routes := []object{}
		for destination, hop := range s.Routes {
			routes = append(routes, object{"destination": destination, "nexthop": hop})
		}
		version := 4
		if netip.MustParsePrefix(s.CIDR).Addr().Is6() {
			version = 6
		}
		var gateway any
		if s.Gateway != "" {
			gateway = s.Gateway
		}
		c.objects["subnets"] = append(c.objects["subnets"], object{"id": subnetID, "network_id": id, "cidr": s.CIDR, "ip_version": version,
			"gateway_ip": gateway, "host_routes": routes, "project_id": n.Project, "shared": n.Shared})
	}
	c.objects["networks"] = append(c.objects["networks"], object{"id": id, "name": n.Name, "project_id": n.Project, "shared": n.Shared,
		"mtu": cmp.Or(n.MTU, 1500), "subnets": subnets, "router:external": false, "status": "ACTIVE"})
	return id, subnets
}

// NetworkOf is the network that a subnet is of.
func (c *Cloud) NetworkOf(subnet string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, s := c.find("subnets", subnet)
	return s.str("network_id")
}

// Drop removes an object by its id or name, without regard to who uses it.
func (c *Cloud) Drop(collection, name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.objects[collection] = slices.DeleteFunc(c.objects[collection], func(o object) bool { return o.str("id") == name || o.str("name") == name })
}

// SetPort changes a port, found by its name, as its owner may.
func (c *Cloud) SetPort(name string, attributes map[string]any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, p := range c.objects["ports"] {
		if p.str("name") == name {
			maps.Copy(p, attributes)
		}
	}
}

// SetQuota bounds how many objects there may be in a collection: ports, security-groups, servers. Negative is no bound.
func (c *Cloud) SetQuota(collection string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.quotas[collection] = n
}

func (c *Cloud) full(collection string) bool {
	n, bounded := c.quotas[collection]
	return bounded && n >= 0 && len(c.objects[collection]) >= n
}

func (c *Cloud) createPort(r request) (answer, error) {
	if c.full("ports") {
		return answer{}, refuse(http.StatusConflict, "OverQuota", "Quota exceeded for resources: ['port'].")
	}
	_, network := c.find("networks", r.body.str("network_id"))
	if network == nil || !visible(r.caller, network) {
		return answer{}, notFound("networks", r.body.str("network_id"))
	}
	p := object{"id": c.newID(), "mac_address": fmt.Sprintf("fa:16:3e:%02x:%02x:%02x", c.serial>>16&0xff, c.serial>>8&0xff, c.serial&0xff),
		"name": "", "project_id": r.caller.project, "device_id": "", "device_owner": "", "admin_state_up": true,
		"allowed_address_pairs": []any{}, "security_groups": []any{}, "qos_policy_id": nil, "status": "DOWN"}
	if err := c.setPort(p, r.body, network); err != nil {
		return answer{}, err
	}
	if p["fixed_ips"] == nil {
		any4 := []any{}
		if subnets := toStrings(network["subnets"]); len(subnets) > 0 {
			any4 = append(any4, map[string]any{"subnet_id": subnets[0]})
		}
		if err := c.setPort(p, object{"fixed_ips": any4}, network); err != nil {
			return answer{}, err
		}
	}
	p = clone(p)
	c.objects["ports"] = append(c.objects["ports"], p)
	return answer{http.StatusCreated, object{"port": p}}, nil
}

func (c *Cloud) updatePort(r request) (answer, error) {
	i, p := c.find("ports", r.PathValue("id"))
	if p == nil || !visible(r.caller, p) {
		return answer{}, notFound("ports", r.PathValue("id"))
	}
	_, network := c.find("networks", p.str("network_id"))
	changed := clone(p)
	if err := c.setPort(changed, r.body, network); err != nil {
		return answer{}, err
	}
	c.objects["ports"][i] = clone(changed)
	return answer{http.StatusOK, object{"port": changed}}, nil
}

// setPort writes what is given into a port, or nothing.
func (c *Cloud) setPort(p, given, network object) error {
	for name, value := range given {
		switch name {
		case "fixed_ips":
			ips, err := c.assign(p.str("id"), network, value)
			if err != nil {
				return err
			}
			p["fixed_ips"] = ips
		case "security_groups":
			for _, id := range toStrings(value) {
				if _, g := c.find("security-groups", id); g == nil {
					return notFound("security-groups", id)
				}
			}
			p[name] = value
		default:
			p[name] = value
		}
	}
	return nil
}

// assign finds addresses for what is asked for.
func (c *Cloud) assign(portID string, network object, asked any) ([]any, error) {
	ips := []any{}
	for _, a := range asked.([]any) {
		ask := object(a.(map[string]any))
		subnet, wanted := ask.str("subnet_id"), ask.str("ip_address")
		_, s := c.find("subnets", subnet)
		if s == nil || s.str("network_id") != network.str("id") {
			return nil, refuse(http.StatusBadRequest, "InvalidInput", "Invalid input for operation: Failed to create port on network %s, because fixed_ips included invalid subnet %s.", network.str("id"), subnet)
		}
		cidr := netip.MustParsePrefix(s.str("cidr"))
		used := c.used(portID)
		if wanted != "" {
			address, err := netip.ParseAddr(wanted)
			switch {
			case err != nil || !cidr.Contains(address):
				return nil, refuse(http.StatusBadRequest, "InvalidIpForSubnet", "IP address %s is not a valid IP for the specified subnet.", wanted)
			case used[address]:
				return nil, refuse(http.StatusConflict, "IpAddressAlreadyAllocated", "IP address %s already allocated in subnet %s", wanted, subnet)
			}
			ips = append(ips, object{"subnet_id": subnet, "ip_address": address.String()})
			continue
		}
		address := cidr.Masked().Addr().Next()
		for ; cidr.Contains(address.Next()) && (used[address] || address.String() == s.str("gateway_ip")); address = address.Next() {
		}
		if !cidr.Contains(address.Next()) {
			return nil, refuse(http.StatusConflict, "IpAddressGenerationFailure", "No more IP addresses available on network %s.", network.str("id"))
		}
		ips = append(ips, object{"subnet_id": subnet, "ip_address": address.String()})
	}
	return ips, nil
}

func (c *Cloud) used(but string) map[netip.Addr]bool {
	used := map[netip.Addr]bool{}
	for _, p := range c.objects["ports"] {
		if p.str("id") == but {
			continue
		}
		for _, ip := range p["fixed_ips"].([]any) {
			if a, err := netip.ParseAddr(object(ip.(map[string]any)).str("ip_address")); err == nil {
				used[a] = true
			}
		}
	}
	return used
}

func (c *Cloud) deletePort(r request) (answer, error) {
	i, p := c.find("ports", r.PathValue("id"))
	if p == nil || !visible(r.caller, p) {
		return answer{}, notFound("ports", r.PathValue("id"))
	}
	c.remove("ports", i)
	return answer{http.StatusNoContent, nil}, nil
}

func (c *Cloud) availability(r request) (answer, error) {
	id := r.PathValue("id")
	if i, _ := c.find("networks", id); i < 0 {
		return answer{}, notFound("networks", id)
	}
	subnets := []object{}
	for _, s := range c.objects["subnets"] {
		if s.str("network_id") != id {
			continue
		}
		used := 0
		for _, p := range c.objects["ports"] {
			for _, ip := range p["fixed_ips"].([]any) {
				if object(ip.(map[string]any)).str("subnet_id") == s.str("id") {
					used++
				}
			}
		}
		cidr := netip.MustParsePrefix(s.str("cidr"))
		total := 1<<min(cidr.Addr().BitLen()-cidr.Bits(), 30) - 3
		subnets = append(subnets, object{"subnet_id": s.str("id"), "cidr": s.str("cidr"), "ip_version": s["ip_version"], "total_ips": total, "used_ips": used})
	}
	return answer{http.StatusOK, object{"network_ip_availability": object{"network_id": id, "total_ips": 0, "used_ips": 0, "subnet_ip_availability": subnets}}}, nil
}

func toStrings(v any) []string {
	switch list := v.(type) {
	case []string:
		return slices.Clone(list)
	case []any:
		all := make([]string, 0, len(list))
		for _, e := range list {
			all = append(all, fmt.Sprint(e))
		}
		return all
	}
	return nil
}
