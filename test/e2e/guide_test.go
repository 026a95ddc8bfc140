package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

// guide is the deployment guide's example, word for word. The members that it balances to are started before.
const guide = `
lb_vip_port_id=$(openstack loadbalancer create -f value -c vip_port_id --name lb1 --vip-subnet-id private_subnet)
openstack loadbalancer show lb1
openstack loadbalancer listener create --name listener1 --protocol HTTP --protocol-port 80 lb1
openstack loadbalancer pool create --name pool1 --lb-algorithm ROUND_ROBIN --listener listener1 --protocol HTTP
openstack loadbalancer healthmonitor create --delay 5 --max-retries 4 --timeout 10 --type HTTP --url-path /healthcheck pool1
openstack loadbalancer member create --subnet-id private_subnet --address 192.168.21.100 --protocol-port 80 pool1
openstack loadbalancer member create --subnet-id private_subnet --address 192.168.21.101 --protocol-port 80 pool1
floating_ip=$(openstack floating ip create -f value -c floating_ip_address ext_net)
openstack floating ip set --port $lb_vip_port_id $floating_ip
echo FLOATING $floating_ip
`

const twoMembers = `
openstack server create --image web --flavor tiny --nic net-id=private,v4-fixed-ip=192.168.21.100 web1
openstack server create --image web --flavor tiny --nic net-id=private,v4-fixed-ip=192.168.21.101 web2
`

// TestDeploymentGuideExample walks the example with Debian's openstack client, then what an operator does next: a member
// that fails its check, updates of every object, and deleting everything.
func TestDeploymentGuideExample(t *testing.T) {
	o := start(t)
	o.shell(t, twoMembers)
	if o.leftovers(t) == "" {
		t.Fatal("the search for leftovers finds nothing even while the service runs")
	}
	out := o.shell(t, guide)
	_, floatingIP, found := strings.Cut(out, "FLOATING ")
	if !found {
		t.Fatalf("the example did not reach its end:\n%s", out)
	}
	url := "http://" + strings.TrimSpace(floatingIP) + "/"
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}

	if rows := o.rows(t); !strings.Contains(rows, "load_balancer: 1") || !strings.Contains(rows, "amphora: 1") {
		t.Errorf("the database holds %s", rows)
	}
	eventually(t, 15*time.Second, "both members answer in turn", func() error { return served(client, url, "web1", "web2") })
	eventually(t, 5*time.Second, "lb1 is ACTIVE and ONLINE", func() error {
		return shows(o, "loadbalancer show lb1 -f value -c provisioning_status -c operating_status", "ONLINE\nACTIVE", "ACTIVE\nONLINE")
	})

	t.Run("a member that fails its check leaves the rotation and comes back", func(t *testing.T) {
		direct := "http://" + strings.TrimSpace(o.shell(t, `openstack floating ip create -f value -c floating_ip_address --port $(openstack port list --fixed-ip ip-address=192.168.21.100 -f value -c id) ext_net`))
		post(t, client, direct+"/healthcheck?fail=1")
		eventually(t, 60*time.Second, "only web2 answers", func() error { return served(client, url, "web2") })
		eventually(t, 10*time.Second, "web1 is shown in ERROR", func() error {
			return shows(o, "loadbalancer member list pool1 -f value -c address -c operating_status", "192.168.21.100 ERROR", "")
		})
		post(t, client, direct+"/healthcheck?fail=0")
		eventually(t, 60*time.Second, "web1 answers again", func() error { return served(client, url, "web1", "web2") })
	})

	t.Run("every object can be updated", func(t *testing.T) {
		o.shell(t, `
openstack loadbalancer set --description "the first" lb1
openstack loadbalancer listener set --connection-limit 1000 --description front listener1
openstack loadbalancer pool set --lb-algorithm LEAST_CONNECTIONS pool1
openstack loadbalancer healthmonitor set --delay 3 --timeout 2 $(openstack loadbalancer healthmonitor list -f value -c id)
openstack loadbalancer member set --weight 7 pool1 $(openstack loadbalancer member list pool1 -f value -c id | head -1)
openstack loadbalancer l7policy create --name p1 --action REJECT listener1
openstack loadbalancer l7rule create --type PATH --compare-type STARTS_WITH --value /secret p1
openstack loadbalancer l7policy set --name p2 p1
openstack loadbalancer l7rule set --value /private p2 $(openstack loadbalancer l7rule list p2 -f value -c id)`)
		eventually(t, 15*time.Second, "the policy rejects", func() error {
			resp, err := client.Get(url + "private/x")
			if err != nil {
				return err
			}
			resp.Body.Close()
			if resp.StatusCode != http.StatusForbidden {
				return fmt.Errorf("%s", resp.Status)
			}
			return nil
		})
	})

	t.Run("every object can be deleted", func(t *testing.T) {
		o.shell(t, `
openstack loadbalancer l7rule delete p2 $(openstack loadbalancer l7rule list p2 -f value -c id)
openstack loadbalancer l7policy delete p2
for m in $(openstack loadbalancer member list pool1 -f value -c id); do openstack loadbalancer member delete pool1 $m; done
openstack loadbalancer healthmonitor delete $(openstack loadbalancer healthmonitor list -f value -c id)
openstack loadbalancer pool delete pool1
openstack loadbalancer listener delete listener1
openstack loadbalancer delete lb1`)
		eventually(t, 15*time.Second, "no load balancer is left", func() error { return shows(o, "loadbalancer list -f value", "", "") })
	})

	t.Run("cascade", func(t *testing.T) {
		o.shell(t, `
openstack loadbalancer create --name lb2 --vip-subnet-id private_subnet
openstack loadbalancer listener create --name l2 --protocol TCP --protocol-port 81 lb2
openstack loadbalancer pool create --name pl2 --lb-algorithm SOURCE_IP --listener l2 --protocol TCP
openstack loadbalancer member create --address 192.168.21.100 --protocol-port 80 pl2
openstack loadbalancer delete --cascade lb2`)
		eventually(t, 15*time.Second, "no load balancer is left", func() error { return shows(o, "loadbalancer list -f value", "", "") })
	})

	t.Run("nothing stays in the cloud", func(t *testing.T) {
		if rows := o.rows(t); rows != "" {
			t.Errorf("rows are left in the database: %s", rows)
		}
		o.shell(t, `openstack server delete --wait web1 web2; for f in $(openstack floating ip list -f value -c ID); do openstack floating ip delete $f; done`)
		eventually(t, 15*time.Second, "no port of a load balancer or server is left", func() error {
			return o.noLeftPorts(t)
		})
	})

	o.stop(t, syscall.SIGINT)
	if left := o.leftovers(t); left != "" {
		t.Errorf("this was left on the machine:\n%s", left)
	}
}
