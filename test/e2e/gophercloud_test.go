package e2e

import (
	"context"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/amphorae"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/apiversions"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/flavorprofiles"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/l7policies"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/monitors"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/providers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/quotas"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

var errNotActive = errors.New("it is not ACTIVE")

// walk is a walk through gophercloud's calls.
type walk struct {
	t   *testing.T
	ctx context.Context
	c   *gophercloud.ServiceClient
}

func (w *walk) ok(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Error(err)
	}
}

// must is for what the rest of the walk needs.
func must[T any](o *T, err error) func(w *walk) *T {
	return func(w *walk) *T {
		w.t.Helper()
		if err != nil {
			w.t.Fatal(err)
		}
		return o
	}
}

// listed reads all pages, and looks for an object.
func listed[T any](w *walk, p pagination.Pager, extract func(pagination.Page) ([]T, error), is func(T) bool) {
	w.t.Helper()
	pages, err := p.AllPages(w.ctx)
	if err != nil {
		w.t.Error(err)
		return
	}
	if all, err := extract(pages); err != nil || !slices.ContainsFunc(all, is) {
		w.t.Errorf("it is not in a list of %d %T: %v", len(all), all, err)
	}
}

// equal compares what a call answered.
func equal[T comparable](w *walk, what string, got, want T) {
	w.t.Helper()
	if got != want {
		w.t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// TestEveryCallOfGophercloud makes every call that Terraform's provider, Kubernetes' and others make with gophercloud.
func TestEveryCallOfGophercloud(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	amphora, _ := d.amphora()
	client := &gophercloud.ServiceClient{ProviderClient: &gophercloud.ProviderClient{HTTPClient: http.Client{Timeout: 20 * time.Second}},
		Endpoint: d.url + "/", ResourceBase: d.url + "/v2.0/", Type: "load-balancer", MoreHeaders: map[string]string{"X-Project-Id": someProject}}
	w := &walk{t, t.Context(), client}

	lb := w.loadBalancer()
	listener := must(listeners.Create(w.ctx, client, listeners.CreateOpts{Name: "l", LoadbalancerID: lb.ID, Protocol: "HTTP", ProtocolPort: 80}).Extract())(w)
	pool := w.pool(listener.ID)
	w.monitor(pool.ID)
	w.policy(listener.ID, pool.ID)
	w.listener(listener.ID)
	w.ok(pools.Delete(w.ctx, client, pool.ID).ExtractErr())
	w.ok(listeners.Delete(w.ctx, client, listener.ID).ExtractErr())
	w.ok(loadbalancers.Delete(w.ctx, client, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
	w.operator(amphora)

	for _, call := range uncalled(t) {
		t.Errorf("gophercloud has %s, and nothing here calls it", call)
	}
}

func (w *walk) loadBalancer() *loadbalancers.LoadBalancer {
	lb := must(loadbalancers.Create(w.ctx, w.c, loadbalancers.CreateOpts{Name: "g", VipSubnetID: someSubnet, VipNetworkID: someNetwork, Tags: []string{"a"}}).Extract())(w)
	eventually(w.t, 20*time.Second, "it is ACTIVE", func() error {
		got, err := loadbalancers.Get(w.ctx, w.c, lb.ID).Extract()
		if err == nil && got.ProvisioningStatus != "ACTIVE" {
			err = errNotActive
		}
		return err
	})
	changed := must(loadbalancers.Update(w.ctx, w.c, lb.ID, loadbalancers.UpdateOpts{Name: new("g2"), Tags: &[]string{"b"}}).Extract())(w)
	equal(w, "the name", changed.Name, "g2")
	equal(w, "the tag", changed.Tags[0], "b")
	listed(w, loadbalancers.List(w.c, loadbalancers.ListOpts{Tags: []string{"b"}}), loadbalancers.ExtractLoadBalancers, func(o loadbalancers.LoadBalancer) bool { return o.ID == lb.ID })
	tree := must(loadbalancers.GetStatuses(w.ctx, w.c, lb.ID).Extract())(w)
	equal(w, "the status tree's load balancer", tree.Loadbalancer.ID, lb.ID)
	equal(w, "bytes in", must(loadbalancers.GetStats(w.ctx, w.c, lb.ID).Extract())(w).BytesIn, 0)
	w.ok(loadbalancers.Failover(w.ctx, w.c, lb.ID).ExtractErr())
	return lb
}

func (w *walk) listener(id string) {
	got := must(listeners.Get(w.ctx, w.c, id).Extract())(w)
	equal(w, "the listener's load balancers", len(got.Loadbalancers), 1)
	changed := must(listeners.Update(w.ctx, w.c, id, listeners.UpdateOpts{ConnLimit: new(7)}).Extract())(w)
	equal(w, "the connection limit", changed.ConnLimit, 7)
	listed(w, listeners.List(w.c, listeners.ListOpts{Name: "l"}), listeners.ExtractListeners, func(o listeners.Listener) bool { return o.ID == id })
	equal(w, "connections", must(listeners.GetStats(w.ctx, w.c, id).Extract())(w).TotalConnections, 0)
}

func (w *walk) pool(listenerID string) *pools.Pool {
	p := must(pools.Create(w.ctx, w.c, pools.CreateOpts{Name: "p", ListenerID: listenerID, Protocol: "HTTP", LBMethod: pools.LBMethodRoundRobin,
		Persistence: &pools.SessionPersistence{Type: "APP_COOKIE", CookieName: "x"}}).Extract())(w)
	equal(w, "the cookie", must(pools.Get(w.ctx, w.c, p.ID).Extract())(w).Persistence.CookieName, "x")
	changed := must(pools.Update(w.ctx, w.c, p.ID, pools.UpdateOpts{LBMethod: pools.LBMethodLeastConnections}).Extract())(w)
	equal(w, "the algorithm", changed.LBMethod, "LEAST_CONNECTIONS")
	listed(w, pools.List(w.c, pools.ListOpts{LoadbalancerID: p.Loadbalancers[0].ID}), pools.ExtractPools, func(o pools.Pool) bool { return o.ID == p.ID })

	m := must(pools.CreateMember(w.ctx, w.c, p.ID, pools.CreateMemberOpts{Name: "m", Address: "192.0.2.7", ProtocolPort: 80, SubnetID: someSubnet}).Extract())(w)
	equal(w, "the member's address", must(pools.GetMember(w.ctx, w.c, p.ID, m.ID).Extract())(w).Address, "192.0.2.7")
	equal(w, "the weight", must(pools.UpdateMember(w.ctx, w.c, p.ID, m.ID, pools.UpdateMemberOpts{Weight: new(0)}).Extract())(w).Weight, 0)
	listed(w, pools.ListMembers(w.c, p.ID, pools.ListMembersOpts{Name: "m"}), pools.ExtractMembers, func(o pools.Member) bool { return o.ID == m.ID })
	w.ok(pools.DeleteMember(w.ctx, w.c, p.ID, m.ID).ExtractErr())
	w.ok(pools.BatchUpdateMembers(w.ctx, w.c, p.ID, []pools.BatchUpdateMemberOpts{{Address: "192.0.2.8", ProtocolPort: 80}, {Address: "192.0.2.9", ProtocolPort: 80}}).ExtractErr())
	listed(w, pools.ListMembers(w.c, p.ID, nil), pools.ExtractMembers, func(o pools.Member) bool { return o.Address == "192.0.2.9" })
	return p
}

func (w *walk) monitor(poolID string) {
	m := must(monitors.Create(w.ctx, w.c, monitors.CreateOpts{Name: "h", PoolID: poolID, Type: "HTTP", Delay: 5, Timeout: 3, MaxRetries: 2}).Extract())(w)
	equal(w, "the monitor's pool", must(monitors.Get(w.ctx, w.c, m.ID).Extract())(w).Pools[0].ID, poolID)
	equal(w, "the delay", must(monitors.Update(w.ctx, w.c, m.ID, monitors.UpdateOpts{Delay: 9}).Extract())(w).Delay, 9)
	listed(w, monitors.List(w.c, monitors.ListOpts{Type: "HTTP"}), monitors.ExtractMonitors, func(o monitors.Monitor) bool { return o.ID == m.ID })
	w.ok(monitors.Delete(w.ctx, w.c, m.ID).ExtractErr())
}

func (w *walk) policy(listenerID, poolID string) {
	p := must(l7policies.Create(w.ctx, w.c, l7policies.CreateOpts{Name: "y", ListenerID: listenerID, Action: l7policies.ActionRedirectToURL, RedirectURL: "http://a.example/"}).Extract())(w)
	equal(w, "the policy's listener", must(l7policies.Get(w.ctx, w.c, p.ID).Extract())(w).ListenerID, listenerID)
	changed := must(l7policies.Update(w.ctx, w.c, p.ID, l7policies.UpdateOpts{Action: l7policies.ActionRedirectToPool, RedirectPoolID: &poolID}).Extract())(w)
	equal(w, "the policy's pool", changed.RedirectPoolID, poolID)
	listed(w, l7policies.List(w.c, l7policies.ListOpts{ListenerID: listenerID}), l7policies.ExtractL7Policies, func(o l7policies.L7Policy) bool { return o.ID == p.ID })

	r := must(l7policies.CreateRule(w.ctx, w.c, p.ID, l7policies.CreateRuleOpts{RuleType: l7policies.TypePath, CompareType: l7policies.CompareTypeStartWith, Value: "/a"}).Extract())(w)
	equal(w, "the rule's value", must(l7policies.GetRule(w.ctx, w.c, p.ID, r.ID).Extract())(w).Value, "/a")
	equal(w, "the rule", must(l7policies.UpdateRule(w.ctx, w.c, p.ID, r.ID, l7policies.UpdateRuleOpts{Invert: new(true)}).Extract())(w).Invert, true)
	listed(w, l7policies.ListRules(w.c, p.ID, l7policies.ListRulesOpts{}), l7policies.ExtractRules, func(o l7policies.Rule) bool { return o.ID == r.ID })
	w.ok(l7policies.DeleteRule(w.ctx, w.c, p.ID, r.ID).ExtractErr())
	w.ok(l7policies.Delete(w.ctx, w.c, p.ID).ExtractErr())
}

// operator makes the calls of those who run the service.
func (w *walk) operator(amphora string) {
	profile := must(flavorprofiles.Create(w.ctx, w.c, flavorprofiles.CreateOpts{Name: "fp", ProviderName: "noop_driver", FlavorData: `{"a": 1}`}).Extract())(w)
	equal(w, "the profile's provider", must(flavorprofiles.Get(w.ctx, w.c, profile.ID).Extract())(w).ProviderName, "noop_driver")
	equal(w, "the profile", must(flavorprofiles.Update(w.ctx, w.c, profile.ID, flavorprofiles.UpdateOpts{Name: "fp2"}).Extract())(w).Name, "fp2")
	listed(w, flavorprofiles.List(w.c, flavorprofiles.ListOpts{}), flavorprofiles.ExtractFlavorProfiles, func(o flavorprofiles.FlavorProfile) bool { return o.ID == profile.ID })
	flavor := must(flavors.Create(w.ctx, w.c, flavors.CreateOpts{Name: "f", FlavorProfileId: profile.ID}).Extract())(w)
	equal(w, "the flavor's profile", must(flavors.Get(w.ctx, w.c, flavor.ID).Extract())(w).FlavorProfileId, profile.ID)
	equal(w, "the flavor", must(flavors.Update(w.ctx, w.c, flavor.ID, flavors.UpdateOpts{Description: "d"}).Extract())(w).Description, "d")
	listed(w, flavors.List(w.c, flavors.ListOpts{Name: "f"}), flavors.ExtractFlavors, func(o flavors.Flavor) bool { return o.ID == flavor.ID })
	w.ok(flavors.Delete(w.ctx, w.c, flavor.ID).ExtractErr())
	w.ok(flavorprofiles.Delete(w.ctx, w.c, profile.ID).ExtractErr())

	equal(w, "the quota", must(quotas.Update(w.ctx, w.c, someProject, quotas.UpdateOpts{Loadbalancer: new(5)}).Extract())(w).Loadbalancer, 5)
	equal(w, "the quota", must(quotas.Get(w.ctx, w.c, someProject).Extract())(w).Loadbalancer, 5)
	w.ok(quotas.Delete(w.ctx, w.c, someProject).ExtractErr())

	listed(w, providers.List(w.c, providers.ListOpts{}), providers.ExtractProviders, func(o providers.Provider) bool { return o.Name == "octavia" })
	capabilities, err := providers.ListFlavorCapabilities(w.ctx, w.c, "amphora", nil).Extract()
	equal(w, "there are flavor capabilities", err == nil && len(capabilities) > 0, true)
	zones, err := providers.ListAvailabilityZoneCapabilities(w.ctx, w.c, "amphora", nil).Extract()
	equal(w, "there are zone capabilities", err == nil && len(zones) > 0, true)

	equal(w, "the amphora", must(amphorae.Get(w.ctx, w.c, amphora).Extract())(w).ID, amphora)
	listed(w, amphorae.List(w.c, amphorae.ListOpts{}), amphorae.ExtractAmphorae, func(o amphorae.Amphora) bool { return o.ID == amphora })
	w.ok(amphorae.Failover(w.ctx, w.c, amphora).ExtractErr())
	root := *w.c
	root.ResourceBase = root.Endpoint
	listed(w, apiversions.List(&root), apiversions.ExtractAPIVersions, func(v apiversions.APIVersion) bool { return v.ID == "v2.30" && v.Status == "CURRENT" })
}

// uncalled are gophercloud's calls, as its source has them, that this file does not mention.
func uncalled(t *testing.T) []string {
	t.Helper()
	files := token.NewFileSet()
	self, err := parser.ParseFile(files, "gophercloud_test.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	called := map[string]bool{}
	ast.Inspect(self, func(n ast.Node) bool {
		if s, ok := n.(*ast.SelectorExpr); ok {
			if p, ok := s.X.(*ast.Ident); ok {
				called[p.Name+"."+s.Sel.Name] = true
			}
		}
		return true
	})
	dir, err := exec.CommandContext(t.Context(), "go", "list", "-m", "-f", "{{.Dir}}", "github.com/gophercloud/gophercloud/v2").Output()
	if err != nil {
		t.Fatal(err)
	}
	sources, _ := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "openstack/loadbalancer/v2/*/requests.go"))
	if len(sources) < 11 {
		t.Fatalf("gophercloud's source is not where it was: %d packages", len(sources))
	}
	var missing []string
	for _, path := range sources {
		source, err := parser.ParseFile(files, path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range source.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && f.Name.IsExported() && !called[source.Name.Name+"."+f.Name.Name] {
				missing = append(missing, source.Name.Name+"."+f.Name.Name)
			}
		}
	}
	return missing
}
