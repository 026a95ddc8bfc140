package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/store"
)

// object is an object as octavia-lib's data models have it (octavia_lib/api/drivers/data_models.py).
type object map[string]any

// view shows a load balancer's tree. The first error is kept.
type view struct {
	*lb.Tree
	server *Server
	ctx    context.Context
	err    error
}

// tables are the attributes that programs see under the names that users know; the rest, ids and what belongs together, is
// added by hand. Those after the bar came to octavia-lib later than its release 3.1 (Debian 12's), which cannot take them:
// they are left out where they say nothing.
var tables = struct{ balancer, listener, pool, member, monitor, policy, rule fields }{
	balancer: newFields[lb.LoadBalancer]("admin_state_up description name project_id vip_address vip_network_id vip_port_id vip_subnet_id " +
		"vip_qos_policy_id availability_zone | vip_sg_ids"),
	listener: newFields[lb.Listener]("admin_state_up connection_limit default_pool_id default_tls_container_ref description insert_headers name " +
		"protocol protocol_port sni_container_refs timeout_client_data timeout_member_connect timeout_member_data timeout_tcp_inspect " +
		"client_ca_tls_container_ref client_authentication client_crl_container_ref project_id allowed_cidrs tls_versions tls_ciphers " +
		"alpn_protocols | hsts_max_age hsts_include_subdomains hsts_preload"),
	pool: newFields[lb.Pool]("admin_state_up description lb_algorithm name protocol session_persistence tls_container_ref ca_tls_container_ref " +
		"crl_container_ref tls_enabled project_id tls_versions tls_ciphers alpn_protocols"),
	member: newFields[lb.Member]("address admin_state_up monitor_address monitor_port name protocol_port subnet_id weight backup project_id | vnic_type"),
	monitor: newFields[lb.HealthMonitor]("admin_state_up delay expected_codes http_method max_retries max_retries_down name timeout type url_path " +
		"http_version domain_name project_id"),
	policy: newFields[lb.L7Policy]("action admin_state_up description name position redirect_pool_id redirect_url redirect_prefix redirect_http_code project_id"),
	rule:   newFields[lb.L7Rule]("admin_state_up compare_type invert key type value project_id"),
}

type fields struct {
	table         *attr.Table
	always, later []string
}

func newFields[T any](names string) fields {
	always, later, _ := strings.Cut(names, "|")
	return fields{attr.Of[T](), strings.Fields(always), strings.Fields(later)}
}

// nothing is what the later attributes say where they say nothing.
var nothing = []string{"null", "false", "[]", `"normal"`}

func (v *view) show(f fields, src any) object {
	var all map[string]json.RawMessage
	if err := json.Unmarshal(f.table.AppendObject(nil, src), &all); err != nil {
		v.err = errors.Join(v.err, err)
		return object{}
	}
	o := object{}
	for _, name := range f.always {
		o[name] = all[name]
	}
	for _, name := range f.later {
		if !slices.Contains(nothing, string(all[name])) {
			o[name] = all[name]
		}
	}
	return o
}

func (v *view) balancer() object {
	b := &v.LB
	o := v.show(tables.balancer, b)
	o["loadbalancer_id"], o["flavor"] = b.ID, v.flavor()
	o["listeners"] = shown(v.Listeners, func(*lb.Listener) bool { return true }, v.listener)
	o["pools"] = shown(v.Pools, func(*lb.Pool) bool { return true }, v.pool)
	var vips []object
	for _, vip := range b.AdditionalVips {
		vips = append(vips, object{"subnet_id": vip.SubnetID, "ip_address": vip.IPAddress, "port_id": vip.PortID, "network_id": b.VipNetworkID})
	}
	o["additional_vips"] = vips
	return o
}

// flavor is what the flavor's profile says to the provider.
func (v *view) flavor() any {
	if v.LB.FlavorID == nil {
		return nil
	}
	flavor, err := store.GetEntry[lb.Flavor](v.ctx, v.server.Store, *v.LB.FlavorID)
	if err != nil {
		v.err = errors.Join(v.err, err)
		return nil
	}
	profile, err := store.GetEntry[lb.FlavorProfile](v.ctx, v.server.Store, flavor.FlavorProfileID)
	if err != nil {
		v.err = errors.Join(v.err, err)
		return nil
	}
	return json.RawMessage(profile.FlavorData)
}

func (v *view) listener(l *lb.Listener) object {
	o := v.show(tables.listener, l)
	o["listener_id"], o["loadbalancer_id"], o["default_pool"] = l.ID, v.LB.ID, nil
	if l.DefaultPoolID != nil {
		if p := v.Pool(*l.DefaultPoolID); p != nil {
			o["default_pool"] = v.pool(p)
		}
	}
	o["l7policies"] = list(shown(v.Policies, func(p *lb.L7Policy) bool { return p.ListenerID == l.ID }, v.policy))
	o["default_tls_container_data"] = v.certificate(l.DefaultTLSContainerRef)
	var sni []object
	for i := range l.SniContainerRefs {
		if c := v.certificate(&l.SniContainerRefs[i]); c != nil {
			sni = append(sni, c)
		}
	}
	o["sni_container_data"] = sni
	o["client_ca_tls_container_data"], o["client_crl_container_data"] = v.text(l.ClientCATLSContainerRef), v.text(l.ClientCRLContainerRef)
	return o
}

func (v *view) pool(p *lb.Pool) object {
	o := v.show(tables.pool, p)
	o["pool_id"], o["loadbalancer_id"], o["listener_id"], o["healthmonitor"] = p.ID, v.LB.ID, nil, nil
	for i := range v.Listeners {
		if l := &v.Listeners[i]; !l.Deleting && v.Uses(l, p.ID) {
			o["listener_id"] = l.ID
			break
		}
	}
	if m := v.MonitorOf(p.ID); m != nil {
		o["healthmonitor"] = v.monitor(m)
	}
	o["members"] = shown(v.Members, func(m *lb.Member) bool { return m.PoolID == p.ID }, v.member)
	o["tls_container_data"] = v.certificate(p.TLSContainerRef)
	o["ca_tls_container_data"], o["crl_container_data"] = v.text(p.CATLSContainerRef), v.text(p.CRLContainerRef)
	return o
}

func (v *view) member(m *lb.Member) object {
	o := v.show(tables.member, m)
	o["member_id"], o["pool_id"] = m.ID, m.PoolID
	return o
}

func (v *view) monitor(m *lb.HealthMonitor) object {
	o := v.show(tables.monitor, m)
	o["healthmonitor_id"], o["pool_id"] = m.ID, m.PoolID
	return o
}

func (v *view) policy(p *lb.L7Policy) object {
	o := v.show(tables.policy, p)
	o["l7policy_id"], o["listener_id"] = p.ID, p.ListenerID
	o["rules"] = list(shown(v.Rules, func(r *lb.L7Rule) bool { return r.L7PolicyID == p.ID }, v.rule))
	return o
}

func (v *view) rule(r *lb.L7Rule) object {
	o := v.show(tables.rule, r)
	o["l7rule_id"], o["l7policy_id"] = r.ID, r.L7PolicyID
	return o
}

// list is empty where octavia-lib has an empty list in place of None.
func list(objects []object) []object {
	if objects == nil {
		return []object{}
	}
	return objects
}

// text is the material of a secret, nil when there is none.
func (v *view) text(ref *string) any {
	if pem := v.material(ref); pem != nil {
		return string(pem)
	}
	return nil
}

func (v *view) material(ref *string) []byte {
	if ref == nil || v.server.Secrets == nil {
		return nil
	}
	i := slices.IndexFunc(v.Secrets, func(s lb.Secret) bool { return s.Ref == *ref })
	if i < 0 {
		return nil
	}
	sealed, err := v.server.Store.SealedSecret(v.ctx, v.LB.ID, v.Secrets[i].Digest)
	var pem []byte
	if err == nil {
		pem, err = v.server.Secrets.Open(sealed, v.Secrets[i].Digest)
	}
	if err != nil {
		v.err = errors.Join(v.err, fmt.Errorf("secret %s: %w", *ref, err))
	}
	return pem
}
