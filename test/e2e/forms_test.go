package e2e

import (
	"net/netip"
	"regexp"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
)

// TestImmunity19_AddressForms: whatever form addresses come in, they are shown, compared and written in one, and served.
func TestImmunity19_AddressForms(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	six := s.subnet(s.networkID, "fd00:21::/64")
	s.serverOn(s.networkID, "web6", "fd00:21::100")
	client := s.clientIn(t, s.serverOn(s.networkID, "client6", "fd00:21::a5"))
	var made struct{ LoadBalancer loadbalancers.LoadBalancer }
	s.send(t, "POST", "loadbalancers", m{"loadbalancer": m{"name": "forms", "vip_subnet_id": six, "vip_address": "FD00:0021:0:0:0000::00B0", "listeners": []m{{
		"protocol": "HTTP", "protocol_port": 80, "allowed_cidrs": []string{"FD00:21:0:0:0:0:0:A5/128"}, "default_pool": pool([]m{
			{"address": "FD00:0021:0000::0:0100", "protocol_port": 80, "monitor_address": "fd00:21:0::0:100", "subnet_id": six},
		}, m{"name": "forms", "healthmonitor": m{"type": "TCP", "delay": 1, "timeout": 1, "max_retries": 1}})}}}}, &made)
	lb := s.inForce(t, made.LoadBalancer.ID)
	if lb.VipAddress != "fd00:21::b0" {
		t.Errorf("the VIP is shown as %s", lb.VipAddress)
	}
	eventually(t, 10*time.Second, "the VIP answers", func() error { return served(client, "http://[fd00:21::b0]/", "web6") })
	for _, again := range []string{"fd00:21::100", "FD00:21:0:0:0:0:0:100"} {
		if err := s.trySend("POST", "pools/"+s.idOf(t, "pools", "forms")+"/members", m{"member": m{"address": again, "protocol_port": 80}}, nil); err == nil {
			t.Errorf("the member is there twice, as %s too", again)
		}
	}
	config := s.octavo.within(t, s.amphora(t, lb.ID).ComputeID, "cat /run/octavo/haproxy.cfg")
	found := 0
	for _, text := range regexp.MustCompile(`(?i)fd00:[0-9a-f:]+`).FindAllString(config, -1) {
		found++
		if a, err := netip.ParseAddr(text); err == nil && a.String() != text {
			t.Errorf("%s is written as %s", a, text)
		}
	}
	if found < 4 {
		t.Errorf("only %d addresses are in\n%s", found, config)
	}
}
