package network

import (
	"strings"
	"testing"
)

func TestClientWalksThroughNetworks(t *testing.T) {
	c := newCloud(t)
	demo := c.client("demo")
	if names := demo.Names("network", "list", "--sort-column", "Name"); names != "ext_net private" {
		t.Errorf("networks at the start: %s", names)
	}
	if names := demo.Names("network", "list", "--external"); names != "ext_net" {
		t.Errorf("external networks: %s", names)
	}
	demo.Run("network", "create", "--mtu", "1400", "--tag", "blue", "lab")
	demo.Run("subnet", "create", "--network", "lab", "--subnet-range", "10.7.0.0/24", "--dns-nameserver", "10.7.0.9",
		"--host-route", "destination=10.8.0.0/24,gateway=10.7.0.8", "--allocation-pool", "start=10.7.0.10,end=10.7.0.20", "lab4")
	demo.Run("subnet", "create", "--network", "lab", "--subnet-range", "fd00:7::/64", "--ip-version", "6", "--no-dhcp", "lab6")
	if mtu := demo.Value("mtu", "network", "show", "lab"); mtu != "1400" {
		t.Errorf("MTU %s", mtu)
	}
	if shown := demo.Run("subnet", "show", "lab4", "-f", "json"); !strings.Contains(shown, `"gateway_ip": "10.7.0.1"`) || !strings.Contains(shown, "10.8.0.0/24") {
		t.Errorf("subnet show: %s", shown)
	}
	demo.Run("subnet", "set", "--name", "lab-v4", "lab4")
	demo.Run("port", "create", "--network", "lab", "--fixed-ip", "subnet=lab-v4,ip-address=10.7.0.15", "--allowed-address", "ip-address=10.7.0.99", "p1")
	if shown := demo.Run("port", "show", "p1", "-f", "json"); !strings.Contains(shown, "10.7.0.99") || !strings.Contains(shown, "10.7.0.15") {
		t.Errorf("port show: %s", shown)
	}
	demo.Run("port", "set", "--no-allowed-address", "--name", "p2", "--disable", "p1")
	if rows := demo.Rows("port", "list", "--fixed-ip", "ip-address=10.7.0.15"); len(rows) != 1 || rows[0]["Name"] != "p2" {
		t.Errorf("port list: %v", rows)
	}
	demo.Refused("already allocated", "port", "create", "--network", "lab", "--fixed-ip", "ip-address=10.7.0.15", "p3")
	demo.Refused("still in use", "network", "delete", "lab")
	demo.Run("network", "set", "--tag", "red", "lab")
	if names := demo.Names("network", "list", "--tags", "blue,red"); names != "lab" {
		t.Errorf("networks with both tags: %s", names)
	}
	demo.Run("port", "delete", "p2")
	demo.Run("subnet", "delete", "lab6")
	demo.Run("network", "delete", "lab")
	admin := c.client("admin")
	admin.Run("network", "create", "--share", "--provider-network-type", "vlan", "--provider-segment", "7", "common")
	if names := demo.Names("network", "list", "--share"); names != "common" {
		t.Errorf("shared networks: %s", names)
	}
	demo.Refused("403", "network", "delete", "common")
	if out := demo.Run("extension", "list", "--network", "-c", "Alias", "-f", "value"); !strings.Contains(out, "allowed-address-pairs") {
		t.Errorf("extensions: %s", out)
	}
}

func TestClientWalksThroughRoutersAndFloatingIPs(t *testing.T) {
	c := newCloud(t)
	demo := c.client("demo")
	demo.Run("router", "create", "--tag", "mine", "r")
	demo.Run("router", "set", "--external-gateway", "ext_net", "r")
	demo.Run("network", "create", "lab")
	demo.Run("subnet", "create", "--network", "lab", "--subnet-range", "10.7.0.0/24", "lab4")
	demo.Run("router", "add", "subnet", "r", "lab4")
	if names := demo.Names("router", "list"); names != "router1 r" {
		t.Errorf("routers: %s", names)
	}
	demo.Run("router", "set", "--route", "destination=10.99.0.0/24,gateway=10.7.0.5", "r")
	if shown := demo.Run("router", "show", "r", "-f", "json"); !strings.Contains(shown, "10.99.0.0/24") || !strings.Contains(shown, "10.7.0.1") {
		t.Errorf("router show: %s", shown)
	}
	demo.Run("port", "create", "--network", "lab", "p")
	address := demo.Value("floating_ip_address", "floating", "ip", "create", "ext_net")
	demo.Run("floating", "ip", "set", "--port", "p", address)
	if status := demo.Value("status", "floating", "ip", "show", address); status != "ACTIVE" {
		t.Errorf("the floating IP is %s", status)
	}
	if rows := demo.Rows("floating", "ip", "list", "--port", "p"); len(rows) != 1 || rows[0]["Floating IP Address"] != address {
		t.Errorf("floating ip list: %v", rows)
	}
	demo.Refused("floating IPs", "router", "remove", "subnet", "r", "lab4")
	demo.Run("floating", "ip", "unset", "--port", address)
	demo.Run("floating", "ip", "delete", address)
	demo.Refused("required by one or more routes", "router", "remove", "subnet", "r", "lab4")
	demo.Run("router", "unset", "--route", "destination=10.99.0.0/24,gateway=10.7.0.5", "r")
	demo.Run("router", "remove", "subnet", "r", "lab4")
	demo.Run("router", "unset", "--external-gateway", "r")
	demo.Run("router", "delete", "r")
}

func TestClientWalksThroughSecurityGroups(t *testing.T) {
	c := newCloud(t)
	demo := c.client("demo")
	if names := demo.Names("security", "group", "list"); names != "default" {
		t.Errorf("groups at the start: %s", names)
	}
	demo.Run("security", "group", "create", "--description", "for web servers", "web")
	rule := demo.Value("id", "security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "80:81", "--remote-ip", "0.0.0.0/0", "web")
	demo.Run("security", "group", "rule", "create", "--protocol", "icmp", "--icmp-type", "8", "--remote-group", "default", "web")
	demo.Refused("already exists", "security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "80:81", "--remote-ip", "0.0.0.0/0", "web")
	if rows := demo.Rows("security", "group", "rule", "list", "web"); len(rows) != 4 {
		t.Errorf("rules: %v", rows)
	}
	if shown := demo.Run("security", "group", "rule", "show", rule, "-f", "json"); !strings.Contains(shown, `"port_range_max": 81`) {
		t.Errorf("rule show: %s", shown)
	}
	demo.Run("security", "group", "rule", "delete", rule)
	demo.Run("security", "group", "set", "--name", "www", "web")
	demo.Run("security", "group", "delete", "www")
	admin := c.client("admin")
	admin.Run("network", "qos", "policy", "create", "--share", "gold")
	if names := demo.Names("network", "qos", "policy", "list"); names != "gold" {
		t.Errorf("QoS policies: %s", names)
	}
	demo.Run("port", "create", "--network", "private", "--qos-policy", "gold", "p")
	admin.Refused("is used by", "network", "qos", "policy", "delete", "gold")
	demo.Run("port", "unset", "--qos-policy", "p")
	admin.Run("network", "qos", "policy", "delete", "gold")
}
