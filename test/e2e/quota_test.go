package e2e

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/quotasets"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/projects"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/extensions/quotas"
)

// TestQuotasOfTheCloud meets the quota of the compute service, which is shown with the time of the next try and heals when
// there is room, and that of the network service, which is the caller's to hear.
func TestQuotasOfTheCloud(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	admin := o.api(t, "octavo-admin")
	project := func(name string) string {
		t.Helper()
		identity, err := openstack.NewIdentityV3(admin.provider, gophercloud.EndpointOpts{})
		n.ok(err)
		pages, err := projects.List(identity, projects.ListOpts{Name: name}).AllPages(n.cx)
		n.ok(err)
		all, err := projects.ExtractProjects(pages)
		n.ok(err)
		return all[0].ID
	}
	service, demo := project("service"), project("demo")
	_, err := quotasets.Update(n.cx, admin.compute, service, quotasets.UpdateOpts{Instances: new(0)}).Extract()
	n.ok(err)
	lb, err := loadbalancers.Create(n.cx, n.c.lb, loadbalancers.CreateOpts{Name: "one too many", VipSubnetID: n.subnetID}).Extract()
	n.ok(err)
	eventually(t, 20*time.Second, "it says that the quota is used up", func() error {
		var shown struct {
			LoadBalancer struct {
				ProvisioningStatus string `json:"provisioning_status"`
				Conditions         []struct {
					Message string
					NextTry string `json:"next_try_at"`
				} `json:"octavo:conditions"`
			}
		}
		if err := loadbalancers.Get(n.cx, n.c.lb, lb.ID).ExtractInto(&shown); err != nil {
			return err
		}
		s := shown.LoadBalancer
		if s.ProvisioningStatus != "ERROR" || len(s.Conditions) == 0 || s.Conditions[0].NextTry == "" ||
			!strings.Contains(s.Conditions[0].Message, "Quota exceeded for instances: Requested 1, but already used 0 of 0 instances") {
			return fmt.Errorf("it shows %+v", s)
		}
		return nil
	})
	_, err = quotasets.Update(n.cx, admin.compute, service, quotasets.UpdateOpts{Instances: new(10)}).Extract()
	n.ok(err)
	_, err = loadbalancers.Update(n.cx, n.c.lb, lb.ID, loadbalancers.UpdateOpts{Name: new("fits")}).Extract() // which is tried at once
	n.ok(err)
	n.active(lb.ID)

	_, err = quotas.Update(n.cx, admin.network, demo, quotas.UpdateOpts{Port: new(0)}).Extract()
	n.ok(err)
	_, err = loadbalancers.Create(n.cx, n.c.lb, loadbalancers.CreateOpts{Name: "no port", VipSubnetID: n.subnetID}).Extract()
	if gophercloud.ResponseCodeIs(err, http.StatusInternalServerError) || err == nil || !strings.Contains(err.Error(), "Quota exceeded for resources: ['port']") {
		t.Errorf("without room for the VIP's port: %v", err)
	}
	pages, err := loadbalancers.List(n.c.lb, loadbalancers.ListOpts{Name: "no port"}).AllPages(n.cx)
	n.ok(err)
	if left, err := loadbalancers.ExtractLoadBalancers(pages); err != nil || len(left) > 0 {
		t.Errorf("what could not be made is left: %v, %v", left, err)
	}
	n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb.ID, nil).ExtractErr())
	n.gone(lb.ID)
}
