package api_test

import (
	"errors"
	"testing"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/lb"
)

const lbs = "/v2/lbaas/loadbalancers"

// Where the VIP goes, as _validate_vip_request_object in Octavia decides.
func TestWhereTheVIPGoes(t *testing.T) {
	for name, c := range map[string]struct {
		ask             object
		subnet, address string // expected
		status          int
		want            string
	}{
		"subnet":                        {object{"vip_subnet_id": subA}, subA, "192.0.2.11", 201, ""},
		"subnet and address":            {object{"vip_subnet_id": subA, "vip_address": "192.0.2.99"}, subA, "192.0.2.99", 201, ""},
		"network: first of IPv4":        {object{"vip_network_id": netA}, subA, "192.0.2.11", 201, ""},
		"network and address":           {object{"vip_network_id": netA, "vip_address": "2001:db8::9"}, subA6, "2001:db8::9", 201, ""},
		"network and subnet":            {object{"vip_network_id": netA, "vip_subnet_id": subA2}, subA2, "198.51.100.11", 201, ""},
		"network and foreign address":   {object{"vip_network_id": netA, "vip_address": "10.0.0.1"}, "", "", 400, "10.0.0.1"},
		"network and foreign subnet":    {object{"vip_network_id": netA, "vip_subnet_id": subB}, "", "", 400, "Subnet " + subB + " not found."},
		"port":                          {object{"vip_port_id": portA}, subA, "192.0.2.77", 201, ""},
		"port and its address":          {object{"vip_port_id": portA, "vip_address": "192.0.2.77"}, subA, "192.0.2.77", 201, ""},
		"port and another address":      {object{"vip_port_id": portA, "vip_address": "192.0.2.78"}, "", "", 400, "192.0.2.78"},
		"port and another subnet":       {object{"vip_port_id": portA, "vip_subnet_id": subA2}, "", "", 400, "port " + portA},
		"nothing":                       {object{}, "", "", 400, "VIP must contain one of: vip_port_id, vip_network_id, vip_subnet_id."},
		"no such port":                  {object{"vip_port_id": absent}, "", "", 400, "Port " + absent + " not found."},
		"no such network":               {object{"vip_network_id": absent}, "", "", 400, "Network " + absent + " not found."},
		"no such subnet":                {object{"vip_subnet_id": absent}, "", "", 400, "Subnet " + absent + " not found."},
		"no id":                         {object{"vip_subnet_id": "private_subnet"}, "", "", 400, "Invalid input for field/attribute vip_subnet_id."},
		"second VIP":                    {object{"vip_subnet_id": subA, "additional_vips": []object{{"subnet_id": subA6}}}, subA, "192.0.2.11", 201, `"2001:db8::b"`},
		"second VIP on the same subnet": {object{"vip_subnet_id": subA, "additional_vips": []object{{"subnet_id": subA}}}, "", "", 400, subA},
		"second VIP of another address": {object{"vip_subnet_id": subA, "additional_vips": []object{{"subnet_id": subA6, "ip_address": "192.0.2.5"}}}, "", "", 400, "192.0.2.5"},
		"flavor":                        {object{"vip_subnet_id": subA, "flavor_id": absent}, "", "", 400, "Invalid flavor_id."},
		"provider":                      {object{"vip_subnet_id": subA, "provider": "octavia"}, subA, "192.0.2.11", 201, `"provider":"octavia"`},
		"unknown provider":              {object{"vip_subnet_id": subA, "provider": "f5"}, "", "", 400, "Provider 'f5' is not enabled."},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t)
			a := s.as("member-a").post(lbs, object{"loadbalancer": c.ask}).want(c.status, c.want)
			if c.status != 201 {
				if left := s.as("member-a").get(lbs).ids("loadbalancers"); len(left) != 0 {
					t.Errorf("left %v", left)
				}
				return
			}
			if a.in("loadbalancer.vip_subnet_id") != c.subnet || a.in("loadbalancer.vip_address") != c.address || a.in("loadbalancer.vip_network_id") != netA {
				t.Error(a.raw)
			}
			if again := s.as("member-a").get(lbs + "/" + a.id()); again.in("loadbalancer.vip_address") != c.address || again.in("loadbalancer.vip_port_id") == nil {
				t.Errorf("stored: %s", again.raw)
			}
		})
	}
}

func TestSubnetsThatAreFullAreNotChosen(t *testing.T) {
	s := newSite(t)
	s.network.free = map[string]int{subA: 1, subA2: 2, subA6: 1000}
	a := s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_network_id": netA}}).want(201)
	if got := a.in("loadbalancer.vip_subnet_id"); got != subA2 {
		t.Error(got)
	}
	s.network.free = map[string]int{subA: 0, subA2: 0, subA6: 1000}
	a = s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_network_id": netA}}).want(201)
	if got := a.in("loadbalancer.vip_subnet_id"); got != subA6 {
		t.Error(got)
	}
	s.network.free = map[string]int{subA: 0, subA2: 0, subA6: 0}
	s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_network_id": netA}}).want(400, "free addresses")
}

// Whatever a user names is looked up with the user's own rights.
func TestForeignIDsAreThoseThatTheCallerCanSee(t *testing.T) {
	s := newSite(t)
	lbID := s.loadBalancer()
	poolID := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	for id, ask := range map[string]object{
		subA: {"vip_subnet_id": subA}, netA: {"vip_network_id": netA}, portA: {"vip_port_id": portA},
		qosA: {"vip_subnet_id": subB, "vip_qos_policy_id": qosA}, sgA: {"vip_subnet_id": subB, "vip_sg_ids": []string{sgA}},
	} {
		s.as("member-b").post(lbs, object{"loadbalancer": ask}).want(400, id+" not found.")
	}
	own := s.as("member-b").post(lbs, object{"loadbalancer": object{"vip_subnet_id": subB}}).want(201).id()
	s.as("member-b").put(lbs+"/"+own, object{"loadbalancer": object{"vip_qos_policy_id": qosA}}).want(400, qosA)
	s.as("member-b").put(lbs+"/"+own, object{"loadbalancer": object{"vip_sg_ids": []string{sgA}}}).want(400, sgA)
	s.as("member-a").put(lbs+"/"+lbID, object{"loadbalancer": object{"vip_qos_policy_id": qosA, "vip_sg_ids": []string{sgA}}}).want(200, qosA, sgA)
	s.as("member-a").post("/v2/lbaas/pools/"+poolID+"/members", object{"member": object{"address": "192.0.2.9", "protocol_port": 80, "subnet_id": subB}}).
		want(400, "Subnet "+subB+" not found.")

	// Ids of this service: those of another load balancer are not there.
	other := s.loadBalancer()
	listener := object{"loadbalancer_id": other, "protocol": "HTTP", "protocol_port": 80, "default_pool_id": poolID}
	s.as("member-a").post("/v2/lbaas/listeners", object{"listener": listener}).want(404, "Pool "+poolID+" not found.")
	delete(listener, "default_pool_id")
	listenerID := s.create("listeners", "listener", listener)
	s.as("member-a").put("/v2/lbaas/listeners/"+listenerID, object{"listener": object{"default_pool_id": poolID}}).want(404, poolID)
	s.as("member-a").post("/v2/lbaas/l7policies", object{"l7policy": object{"listener_id": listenerID, "action": "REDIRECT_TO_POOL", "redirect_pool_id": poolID}}).want(404, poolID)
	memberID := s.create("pools/"+poolID+"/members", "member", object{"address": "192.0.2.9", "protocol_port": 80})
	otherPool := s.create("pools", "pool", object{"loadbalancer_id": other, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	for _, method := range []string{"GET", "DELETE"} {
		s.as("member-a").do(method, "/v2/lbaas/pools/"+otherPool+"/members/"+memberID, nil).want(404, "Member "+memberID+" not found.")
	}
	s.as("member-a").put("/v2/lbaas/pools/"+otherPool+"/members/"+memberID, object{"member": object{}}).want(404, memberID)
}

func TestAVIPThatCannotBeMadeLeavesNothing(t *testing.T) {
	s := newSite(t)
	s.network.fail = lb.Refuse(lb.InUse, "IP address 192.0.2.99 already allocated")
	s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "vip_address": "192.0.2.99",
		"pools": []object{{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"}}}}).want(409, "192.0.2.99")
	if left := s.as("member-a").get(lbs).ids("loadbalancers"); len(left) != 0 {
		t.Errorf("left %v", left)
	}
	// An outage: perhaps the port was made. The worker that deletes the load balancer looks for it.
	s.network.fail = errors.New("connection reset")
	s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(500)
	a := s.as("member-a").get(lbs).want(200)
	if len(a.ids("loadbalancers")) != 1 || a.in("loadbalancers.0.provisioning_status") != "PENDING_DELETE" {
		t.Errorf("left %s", a.raw)
	}
}

func TestTheRowIsThereBeforeThePort(t *testing.T) {
	s := newSite(t)
	s.network.during = func(b *lb.LoadBalancer) {
		row := s.as("member-a").get(lbs + "/" + b.ID).want(200)
		if row.in("loadbalancer.vip_address") != nil || row.in("loadbalancer.provisioning_status") != "PENDING_CREATE" {
			t.Error(row.raw)
		}
		if due, _, err := s.store.NextDue(t.Context()); err != nil || due.IsZero() {
			t.Errorf("due %v, %v: a kill now would leave the load balancer to nobody", due, err)
		}
	}
	s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(201)
}

func TestNetworksThatTheOperatorDoesNotAllow(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.DeniedVIPNetworks = []string{netA} })
	s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(400, "not allowed by the configuration")
	s = newSite(t, func(c *api.Config) { c.VIPNetworks = []string{netB} })
	s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_network_id": netA}}).want(400, "not allowed by the configuration")
}

func TestWaysToAVIPThatTheOperatorForbids(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.NoVIPPort, c.NoVIPNetwork = true, true })
	a := s.as("member-a")
	for _, way := range []object{{"vip_port_id": portA}, {"vip_network_id": netA}} {
		a.post(lbs, object{"loadbalancer": way}).want(400, "disallowed by this deployment's configuration")
	}
	a.post(lbs, object{"loadbalancer": object{}}).want(400, "VIP must contain one of: vip_subnet_id.")
	a.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(201)
}

func TestAnOperatorsDefaultsOfListeners(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.ListenerDefaults = map[string]any{"timeout_client_data": 7000} })
	a := s.as("member-a")
	id := a.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA}}).want(201).in("loadbalancer.id")
	l := a.post("/v2.0/lbaas/listeners", object{"listener": object{"loadbalancer_id": id, "protocol": "HTTP", "protocol_port": 80,
		"timeout_member_data": 9000}}).want(201)
	if l.in("listener.timeout_client_data") != 7000. || l.in("listener.timeout_member_data") != 9000. {
		t.Error(l.raw)
	}
}
