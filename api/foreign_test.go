package api_test

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
)

// foreign is an attribute that refers to something, tried by member-a with what member-b has.
type foreign struct {
	id     string // of project B
	absent string // of nothing; an id unless it says otherwise
	beside object // what else has to be said for it to count
	list   bool
	status int // of the refusal, 400 unless it says otherwise
	gone   int // of the refusal of what is absent, where that differs
}

// Every attribute that refers to another object is resolved with the caller's rights: what belongs to another project is as if it were
// not there, by POST, in a single-call create, in a batch, by PUT and in a graph, and nothing is written. Only of the objects of this
// service that one is put under, others' are known from none, as in Octavia.
func TestNobodyReachesAcrossProjects(t *testing.T) {
	s, k := newTLSSite(t)
	const portB, qosB, sgB = "bbbbbbbb-0000-4000-8000-00000000000f", "bbbbbbbb-0000-4000-8000-0000000000aa", "bbbbbbbb-0000-4000-8000-0000000000bb"
	for _, id := range []string{portB, qosB, sgB} {
		s.network.owner[id] = projectB
	}
	b := s.as("member-b")
	lbB := b.post(lbs, object{"loadbalancer": object{"vip_subnet_id": subB}}).want(201).id()
	poolB := b.post("/v2/lbaas/pools", object{"pool": named(poolBase, object{"loadbalancer_id": lbB})}).want(201).id()
	listenerB := b.post("/v2/lbaas/listeners", object{"listener": named(listenerBase, object{"loadbalancer_id": lbB})}).want(201).id()
	theirs := barbican + "theirs"
	tls := object{"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": barbican + "cert"}
	withCA := named(tls, object{"client_ca_tls_container_ref": barbican + "ca"})
	tries := map[string]foreign{
		"loadbalancer.vip_port_id": {id: portB}, "loadbalancer.vip_subnet_id": {id: subB}, "loadbalancer.vip_network_id": {id: netB},
		"loadbalancer.vip_qos_policy_id": {id: qosB}, "loadbalancer.vip_sg_ids": {id: sgB, list: true},
		"listener.loadbalancer_id": {id: lbB, status: 403, gone: 404}, "listener.default_pool_id": {id: poolB, status: 404},
		"listener.default_tls_container_ref": {id: theirs, beside: tls}, "listener.sni_container_refs": {id: theirs, beside: tls, list: true},
		"listener.client_ca_tls_container_ref": {id: theirs, beside: tls}, "listener.client_crl_container_ref": {id: theirs, beside: withCA},
		"pool.loadbalancer_id": {id: lbB, status: 403, gone: 404}, "pool.tls_container_ref": {id: theirs}, "pool.ca_tls_container_ref": {id: theirs},
		"pool.crl_container_ref": {id: theirs, beside: object{"ca_tls_container_ref": barbican + "ca"}},
		"member.subnet_id":       {id: subB}, "healthmonitor.pool_id": {id: poolB, status: 403, gone: 404}, "l7policy.listener_id": {id: listenerB, status: 403, gone: 404},
		"l7policy.redirect_pool_id": {id: poolB, status: 404, beside: object{"action": "REDIRECT_TO_POOL"}},
	}
	// These have no owner: flavors and availability zones are the operator's, for all.
	shared := []string{"loadbalancer.flavor_id", "loadbalancer.availability_zone"}
	all := triedResources()
	all["loadbalancer"] = tried{table: attr.Of[lb.LoadBalancer](), base: object{"vip_subnet_id": subA}}
	k.owner[theirs] = "member-b"
	for resource, r := range all {
		for _, a := range r.table.Attrs {
			name := resource + "." + a.Name
			if a.Ref == "" || slices.Contains(shared, name) {
				continue
			}
			f, ok := tries[name]
			if !ok {
				t.Errorf("nothing tries whether %s reaches across projects", name)
				continue
			}
			f.try(s, resource, r, a)
			if f.id == theirs {
				f.absent = barbican + "missing"
			}
			f.id, f.status = cmp.Or(f.absent, absent), cmp.Or(f.gone, f.status)
			f.try(s, resource, r, a)
		}
	}
	for _, a := range attr.Of[lb.VIP]().Attrs {
		foreign := map[string]string{"subnet_id": subB, "port_id": portB}[a.Name]
		if a.Ref != "" && foreign == "" {
			t.Errorf("nothing tries whether additional_vips' %s reaches across projects", a.Name)
		}
		for _, id := range []string{foreign, absent} {
			vip := named(object{"subnet_id": subA2}, object{a.Name: id})
			if a.Ref != "" {
				s.as("member-a").post(lbs, object{"loadbalancer": object{"vip_subnet_id": subA, "additional_vips": []object{vip}}}).want(400, id+" not found.")
			}
		}
	}
	before := s.as("admin").get("/v2/lbaas/loadbalancers/" + lbB + "/graph").want(200)
	if got := before.in("loadbalancer.listeners").([]any); len(got) != 1 {
		t.Errorf("project B has %d listeners, want its own", len(got))
	}
}

func (f foreign) try(s *site, resource string, r tried, a *attr.Attr) {
	s.t.Helper()
	if f.status == 0 {
		f.status = 400
	}
	f.ways(s, resource, r, a, func(way string, got answer) {
		s.t.Helper()
		words := fault(got)
		if got.status != f.status || f.status != 403 && !strings.Contains(words, f.id) {
			s.t.Errorf("%s.%s %s by %s: %d %s", resource, a.Name, f.id, way, got.status, words)
		}
	})
}

// ways says the reference on every path on which it can be said.
func (f foreign) ways(s *site, resource string, r tried, a *attr.Attr, answered func(way string, got answer)) {
	s.t.Helper()
	p := paths{s.as("member-a"), resource, r, a, r.base}
	ask := named(r.base, f.beside)
	var value any = f.id
	if f.list {
		value = []string{f.id}
	}
	ask[a.Name] = value
	if resource == "loadbalancer" {
		if strings.HasPrefix(a.Name, "vip_port") || strings.HasPrefix(a.Name, "vip_network") {
			delete(ask, "vip_subnet_id")
		}
		answered("POST", p.post(lbs, object{"loadbalancer": ask}))
		if a.Writable(attr.Update) {
			own := lbs + "/" + p.loadBalancer()
			answered("PUT", p.put(own, object{"loadbalancer": object{a.Name: value}}))
			answered("PUT of a graph", p.put(own+"/graph", object{"loadbalancer": object{a.Name: value}}))
		}
		return
	}
	above := p.parents()
	place := p.place()
	answered("POST", p.post(place, object{resource: named(above, ask)}))
	if resource == "member" {
		answered("a batch", p.put(p.place(), object{"members": []object{ask}}))
	}
	if a.Access&attr.RootOnly != 0 {
		return
	}
	inside := p.nested(ask)
	answered("a single-call create", p.post(lbs, object{"loadbalancer": named(object{"vip_subnet_id": subA}, inside)}))
	answered("PUT of a graph", p.put(lbs+"/"+p.loadBalancer()+"/graph", object{"loadbalancer": inside}))
	if a.Writable(attr.Update) {
		own := named(p.parents(), r.base, maps.Clone(f.beside))
		if a.Name == "redirect_pool_id" {
			own = named(p.parents(), policyBase)
		}
		id := p.create(strings.TrimPrefix(place, "/v2/lbaas/"), resource, own)
		answered("PUT", p.put(place+"/"+id, object{resource: object{a.Name: value}}))
	}
}

// parents are what an object of its kind says of what it is below.
func (p paths) parents() object {
	switch p.resource {
	case "listener", "pool":
		return object{"loadbalancer_id": p.loadBalancer()}
	case "healthmonitor":
		return object{"pool_id": p.pool()}
	case "l7policy":
		return object{"listener_id": p.listener()}
	}
	return object{}
}

// Pools of other load balancers are not there either, for whoever owns both.
func TestNothingLeadsToAnotherLoadBalancer(t *testing.T) {
	s := newSite(t, func(c *api.Config) { c.Providers = []api.Provider{{Name: "amphora"}} })
	other := s.create("pools", "pool", named(poolBase, object{"loadbalancer_id": s.loadBalancer()}))
	lbID := s.loadBalancer()
	u, missing := s.as("member-a"), "Pool "+other+" not found."
	u.post("/v2/lbaas/listeners", object{"listener": named(listenerBase, object{"loadbalancer_id": lbID, "default_pool_id": other})}).want(404, missing)
	listener := s.create("listeners", "listener", named(listenerBase, object{"loadbalancer_id": lbID}))
	u.put("/v2/lbaas/listeners/"+listener, object{"listener": object{"default_pool_id": other}}).want(404, missing)
	u.put(lbs+"/"+lbID+"/graph", object{"loadbalancer": inListener(named(listenerBase, object{"default_pool_id": other}))}).want(404, missing)
	u.post("/v2/lbaas/l7policies", object{"l7policy": object{"listener_id": listener, "action": "REDIRECT_TO_POOL", "redirect_pool_id": other}}).want(404, missing)
}

// What is the caller's own is taken on every path, and so is what others share with the caller.
func TestOwnAndSharedReferencesAreTaken(t *testing.T) {
	s, k := newTLSSite(t)
	const netS, subS, qosS, sgS = "cccccccc-0000-4000-8000-000000000000", "cccccccc-0000-4000-8000-000000000004",
		"cccccccc-0000-4000-8000-0000000000aa", "cccccccc-0000-4000-8000-0000000000bb"
	s.network.networks[netS] = lb.Network{ID: netS, Subnets: []string{subS}}
	s.network.subnets[subS] = lb.Subnet{ID: subS, NetworkID: netS, CIDR: netip.MustParsePrefix("203.0.113.128/25")}
	for _, id := range []string{netS, subS, qosS, sgS} {
		s.network.owner[id] = allProjects
	}
	k.owner[barbican+"shared"] = allProjects
	ids := map[string][]string{"port": {portA}, "subnet": {subA, subS}, "network": {netA, netS}, "qos_policy": {qosA, qosS}, "security_group": {sgA, sgS},
		"secret": {barbican + "sni", barbican + "shared"}}
	tls := object{"protocol": "TERMINATED_HTTPS", "default_tls_container_ref": barbican + "cert"}
	beside := map[string]object{"listener": tls, "client_crl_container_ref": named(tls, object{"client_ca_tls_container_ref": barbican + "ca"}),
		"crl_container_ref": {"ca_tls_container_ref": barbican + "ca"}}
	all := triedResources()
	all["loadbalancer"] = tried{table: attr.Of[lb.LoadBalancer](), base: object{"vip_subnet_id": subA}}
	for resource, r := range all {
		for _, a := range r.table.Attrs {
			for _, id := range ids[a.Ref] {
				f := foreign{id: id, beside: beside[resource], list: slices.Contains([]string{"vip_sg_ids", "sni_container_refs"}, a.Name)}
				if needed := beside[a.Name]; needed != nil {
					f.beside = needed
				}
				f.ways(s, resource, r, a, func(way string, got answer) {
					if got.status >= 300 {
						t.Errorf("%s.%s %s by %s: %d %s", resource, a.Name, id, way, got.status, fault(got))
					}
				})
			}
		}
	}
}
