package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"
)

// datagrams is a load balancer of UDP with two members that are checked, at a floating IP.
const datagrams = `
openstack security group rule create --protocol udp --dst-port 80 default
lb_vip_port_id=$(openstack loadbalancer create -f value -c vip_port_id --name lb1 --vip-subnet-id private_subnet)
openstack loadbalancer listener create --name listener1 --protocol UDP --protocol-port 53 lb1
openstack loadbalancer pool create --name pool1 --lb-algorithm SOURCE_IP_PORT --listener listener1 --protocol UDP
openstack loadbalancer healthmonitor create --delay 3 --max-retries 1 --max-retries-down 1 --timeout 2 --type UDP-CONNECT pool1
openstack loadbalancer member create --name m1 --subnet-id private_subnet --address 192.168.21.100 --protocol-port 80 pool1
openstack loadbalancer member create --name m2 --subnet-id private_subnet --address 192.168.21.101 --protocol-port 80 pool1
floating_ip=$(openstack floating ip create -f value -c floating_ip_address ext_net)
openstack floating ip set --port $lb_vip_port_id $floating_ip
echo FLOATING $floating_ip
`

// TestUDP walks from the openstack client to datagrams and back to statuses and statistics.
func TestUDP(t *testing.T) {
	t.Parallel()
	o := start(t)
	o.shell(t, twoMembers)
	out := o.shell(t, datagrams)
	_, floatingIP, found := strings.Cut(out, "FLOATING ")
	if !found {
		t.Fatalf("the example did not reach its end:\n%s", out)
	}
	vip := strings.TrimSpace(floatingIP) + ":53"
	eventually(t, 30*time.Second, "both members answer", func() error { return answered(vip, "web1", "web2") })
	eventually(t, 20*time.Second, "lb1 is ACTIVE and ONLINE", func() error {
		return shows(o, "loadbalancer show lb1 -f value -c provisioning_status -c operating_status", "ONLINE\nACTIVE", "ACTIVE\nONLINE")
	})
	o.shell(t, `
openstack loadbalancer pool set --lb-algorithm ROUND_ROBIN --session-persistence type=SOURCE_IP,persistence_timeout=60,persistence_granularity=255.255.255.255 pool1
openstack loadbalancer member set --weight 0 pool1 m1`)
	eventually(t, 20*time.Second, "a drained member gets no new flows", func() error { return answered(vip, "web2") })
	o.shell(t, "openstack server delete --wait web2; openstack loadbalancer member set --weight 1 pool1 m1")
	eventually(t, 60*time.Second, "the other member takes over", func() error { return answered(vip, "web1") })
	eventually(t, 10*time.Second, "m2 is shown in ERROR", func() error {
		return shows(o, "loadbalancer member list pool1 -f value -c address -c operating_status", "192.168.21.101 ERROR", "")
	})
	eventually(t, 20*time.Second, "flows and bytes are counted", func() error {
		stats := o.shell(t, "openstack loadbalancer listener stats show listener1 -f value -c total_connections -c bytes_in -c bytes_out")
		if strings.Contains("\n"+stats, "\n0\n") {
			return fmt.Errorf("the statistics are %q", stats)
		}
		return nil
	})
	refusal, err := o.tryShell("openstack loadbalancer pool create --lb-algorithm SOURCE_IP_PORT --loadbalancer lb1 --protocol HTTP")
	if err == nil || !strings.Contains(refusal+err.Error(), "SOURCE_IP_PORT of a HTTP pool") {
		t.Errorf("hashing of HTTP by port is answered %q, %v", refusal, err)
	}
}

// answered asks by new flows and fails unless exactly the named members answer.
func answered(vip string, names ...string) error {
	seen := map[string]bool{}
	for range 24 {
		name, err := ask(vip)
		if err != nil {
			return err
		}
		seen[name] = true
	}
	for _, n := range names {
		if !seen[n] {
			return fmt.Errorf("%v answered, not %v", seen, names)
		}
	}
	if len(seen) != len(names) {
		return fmt.Errorf("%v answered, not only %v", seen, names)
	}
	return nil
}

func ask(address string) (string, error) {
	c, err := net.Dial("udp", address)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Second)); err != nil {
		return "", err
	}
	if _, err := c.Write([]byte("who?")); err != nil {
		return "", err
	}
	buffer := make([]byte, 200)
	n, err := c.Read(buffer)
	return strings.TrimSpace(string(buffer[:n])), err
}
