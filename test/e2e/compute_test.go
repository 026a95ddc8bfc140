package e2e

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"

	"github.com/octavo-lb/octavo/test/dbtest"
)

// TestAmphoraeAreWhatTheOperatorChose has amphorae boot from volumes, with a key pair, in a server group, as octavia.conf says,
// and with another compute flavor in an availability zone, as a load balancer's flavor and zone say.
func TestAmphoraeAreWhatTheOperatorChose(t *testing.T) {
	t.Parallel()
	front := freePort(t)
	cloud := startCloud(t)
	cloud.bootstrap(t, front)
	agents := net.JoinHostPort(cloud.ManagementAddress().String(), "9443")
	conf := cloud.conf("node", dbtest.DSN(t, "sqlite"), front, agents)
	conf = strings.Replace(conf, "[controller_worker]\n", `[nova]
enable_anti_affinity = true
anti_affinity_policy = soft-anti-affinity
[cinder]
volume_size = 3
volume_type = fast
[controller_worker]
volume_driver = volume_cinder_driver
loadbalancer_topology = ACTIVE_STANDBY
amp_ssh_key_name = operators
`, 1)
	cloud.service(t, `ssh-keygen -q -t ed25519 -N "" -f $DIR/key; openstack keypair create --public-key $DIR/key.pub operators`)
	controller := serve(t, conf)
	n := cloud.tenant(t)
	n.server("web1", "192.168.21.100")
	cloud.shell(t, `export OS_CLOUD=octavo-admin
openstack flavor create --id amphora-large --ram 512 --disk 4 --vcpus 2 amphora-large
openstack loadbalancer flavorprofile create --name large --provider amphora --flavor-data '{"loadbalancer_topology": "SINGLE", "compute_flavor": "amphora-large"}'
openstack loadbalancer flavor create --name large --flavorprofile large --enable
for zone in nova mars; do
  openstack loadbalancer availabilityzoneprofile create --name $zone --provider amphora --availability-zone-data "{\"compute_zone\": \"$zone\"}"
  openstack loadbalancer availabilityzone create --name $zone --availabilityzoneprofile $zone --enable
done
! openstack loadbalancer flavorprofile create --name fast --provider amphora --flavor-data '{"sriov_vip": true}'`)

	t.Run("as configured", func(t *testing.T) {
		n.t = t
		lb := n.active(n.full("pair", "192.168.21.100").ID)
		groups := map[string]bool{}
		for _, a := range cloud.pair(t, lb.ID) {
			s := cloud.amphoraServer(t, a.ComputeID)
			if len(s.AttachedVolumes) != 1 || s.KeyName != "operators" || s.Flavor["original_name"] != "amphora" || s.ServerGroups == nil || len(*s.ServerGroups) != 1 {
				t.Errorf("server %s: volumes %v, key %s, flavor %v, groups %v", s.ID, s.AttachedVolumes, s.KeyName, s.Flavor, s.ServerGroups)
				continue
			}
			groups[(*s.ServerGroups)[0]] = true
			if a.ImageID == "" {
				t.Errorf("the image of amphora %s is not known, which boots from a volume", a.ID)
			}
		}
		if len(groups) != 1 {
			t.Errorf("the pair is in the groups %v", groups)
		}
		client := &http.Client{Timeout: 5 * time.Second}
		url := n.floatingIP(lb.VipPortID)
		eventually(t, 20*time.Second, "web1 answers", func() error { return served(client, url, "web1") })
	})
	t.Run("as the flavor and the zone say", func(t *testing.T) {
		n.t = t
		id := strings.TrimSpace(cloud.shell(t, `openstack loadbalancer create --vip-subnet-id private_subnet --flavor large --availability-zone nova -f value -c id`))
		n.active(id)
		a := cloud.amphora(t, id)
		if s := cloud.amphoraServer(t, a.ComputeID); a.CachedZone != "nova" || s.Flavor["original_name"] != "amphora-large" {
			t.Errorf("it is in zone %q, and its server has flavor %v", a.CachedZone, s.Flavor)
		}
	})
	t.Run("a zone that is none", func(t *testing.T) {
		n.t = t
		id := strings.TrimSpace(cloud.shell(t, `openstack loadbalancer create --vip-subnet-id private_subnet --availability-zone mars -f value -c id`))
		eventually(t, 20*time.Second, "it is in ERROR", func() error {
			lb, err := loadbalancers.Get(n.cx, n.c.lb, id).Extract()
			if err == nil && lb.ProvisioningStatus != "ERROR" {
				err = fmt.Errorf("it is %s", lb.ProvisioningStatus)
			}
			return err
		})
		if log := controller.log.tail(1 << 20); !strings.Contains(log, "The requested availability zone is not available") {
			t.Error("the log does not tell why")
		}
	})
}

// service runs a script as the load balancing service's own user, with a directory of its own.
func (c *smallCloud) service(t *testing.T, script string) {
	t.Helper()
	c.shell(t, fmt.Sprintf(`unset OS_CLOUD OS_CLIENT_CONFIG_FILE; export DIR=%s OS_IDENTITY_API_VERSION=3 OS_AUTH_URL=%s/identity/v3 OS_USERNAME=octavia OS_PASSWORD=%s
export OS_PROJECT_NAME=service OS_USER_DOMAIN_NAME=Default OS_PROJECT_DOMAIN_NAME=Default
`, t.TempDir(), c.url, passwords["octavia"])+script)
}

// amphoraServer reads a server with all that the newest clients are shown.
func (o *octavo) amphoraServer(t *testing.T, id string) *servers.Server {
	t.Helper()
	compute := o.api(t, "octavo-admin").compute
	compute.Microversion = "2.71"
	s, err := servers.Get(t.Context(), compute, id).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return s
}
