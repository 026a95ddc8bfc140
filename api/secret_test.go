package api_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/lb"
)

// keys is a key manager in memory: what is in it may be read by whoever has the token.
type keys struct {
	mu     sync.Mutex
	owner  map[string]string // by reference
	asked  []string
	away   bool
	strays string // the revocation list that is of no authority
}

func (k *keys) Admit(_ context.Context, token, _ string, want lb.Secret) (lb.Secret, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked = append(k.asked, want.Kind+" "+want.Ref)
	switch {
	case k.away:
		return lb.Secret{}, errors.New("connection refused")
	case k.owner[want.Ref] != token && k.owner[want.Ref] != allProjects:
		return lb.Secret{}, lb.Refuse(lb.InvalidReference, "Could not retrieve certificate: %s", want.Ref)
	}
	want.Digest, want.Sealed = "digest of "+want.Ref, []byte("sealed")
	return want, nil
}

func (k *keys) CheckRevocations(lists, _ lb.Secret) error {
	if lists.Ref == k.strays {
		return lb.Refuse(lb.InvalidReference, "Could not retrieve certificate: %s: not the authority's", lists.Ref)
	}
	return nil
}

const barbican = "http://keys.example/v1/secrets/"

// newTLSSite has secrets of member-a by the names that tests use.
func newTLSSite(t testing.TB) (*site, *keys) {
	k := &keys{owner: map[string]string{}, strays: barbican + "stray"}
	for _, name := range []string{"cert", "cert2", "sni", "ca", "crl", "stray", "client"} {
		k.owner[barbican+name] = "member-a"
	}
	k.owner[barbican+"theirs"] = "member-b"
	return newSite(t, func(c *api.Config) { c.Secrets = k }), k
}

// versions are the secrets that a load balancer depends on.
func (s *site) versions(lbID string) string {
	s.t.Helper()
	tree, err := s.store.Tree(s.t.Context(), lbID)
	if err != nil {
		s.t.Fatal(err)
	}
	var all []string
	for _, v := range tree.Secrets {
		all = append(all, fmt.Sprint(v.Kind, " ", strings.TrimPrefix(v.Ref, barbican)))
		if v.Digest != "digest of "+v.Ref {
			s.t.Errorf("%s has version %q", v.Ref, v.Digest)
		}
	}
	return strings.Join(all, ", ")
}

func TestSecretsComeWithTheObjectThatRefersToThem(t *testing.T) {
	s, k := newTLSSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	listener := s.create("listeners", "listener", object{"loadbalancer_id": lbID, "protocol": "TERMINATED_HTTPS", "protocol_port": 443,
		"default_tls_container_ref": barbican + "cert", "sni_container_refs": []string{barbican + "sni"}, "client_authentication": "OPTIONAL",
		"client_ca_tls_container_ref": barbican + "ca", "client_crl_container_ref": barbican + "crl"})
	if got, want := s.versions(lbID), "ca ca, certificate cert, crl crl, certificate sni"; got != want {
		t.Errorf("after the listener: %s, want %s", got, want)
	}
	pool := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "tls_enabled": true,
		"tls_container_ref": barbican + "client", "ca_tls_container_ref": barbican + "ca"})
	k.asked = nil
	u.put("/v2/lbaas/listeners/"+listener, object{"listener": object{"default_tls_container_ref": barbican + "cert2", "name": "n"}}).want(200)
	if len(k.asked) != 1 || k.asked[0] != "certificate "+barbican+"cert2" {
		t.Errorf("an update asked for %v, want the new certificate only", k.asked)
	}
	k.away = true
	u.put("/v2/lbaas/listeners/"+listener, object{"listener": object{"name": "no secret is new"}}).want(200)
	u.put("/v2/lbaas/pools/"+pool, object{"pool": object{"tls_container_ref": nil}}).want(200)
	u.delete("/v2/lbaas/listeners/" + listener).want(204)
	u.delete("/v2/lbaas/loadbalancers/" + lbID + "?cascade=true").want(204)
}

func TestSecretsComeWithASingleCallCreate(t *testing.T) {
	s, _ := newTLSSite(t)
	id := s.as("member-a").post("/v2/lbaas/loadbalancers", object{"loadbalancer": object{"vip_subnet_id": subA, "listeners": []object{{
		"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": barbican + "cert",
		"default_pool": object{"name": "p", "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN", "tls_enabled": true, "ca_tls_container_ref": barbican + "ca"},
	}}}}).want(201).id()
	if got, want := s.versions(id), "ca ca, certificate cert"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestSecretThatTheCallerCannotUseIsRefused(t *testing.T) {
	s, k := newTLSSite(t)
	u := s.as("member-a")
	lbID := s.loadBalancer()
	tls := func(change object) object {
		o := object{"loadbalancer_id": lbID, "protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": barbican + "cert"}
		for name, value := range change {
			o[name] = value
		}
		return object{"listener": o}
	}
	for what, refused := range map[string]object{
		"another's certificate":      {"default_tls_container_ref": barbican + "theirs"},
		"another's SNI certificate":  {"sni_container_refs": []string{barbican + "sni", barbican + "theirs"}},
		"one that is not there":      {"default_tls_container_ref": barbican + "missing"},
		"another's authorities":      {"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": barbican + "theirs"},
		"a list of others":           {"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": barbican + "ca", "client_crl_container_ref": barbican + "stray"},
		"a certificate as authority": {"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": barbican + "cert"},
	} {
		t.Log(what)
		u.post("/v2/lbaas/listeners", tls(refused)).want(400, barbican)
	}
	pool := s.create("pools", "pool", object{"loadbalancer_id": lbID, "protocol": "HTTP", "lb_algorithm": "ROUND_ROBIN"})
	u.put("/v2/lbaas/pools/"+pool, object{"pool": object{"ca_tls_container_ref": barbican + "theirs"}}).want(400, "Could not retrieve certificate")
	k.away = true
	u.post("/v2/lbaas/listeners", tls(nil)).want(503, "key manager")
	if got := s.versions(lbID); got != "" {
		t.Errorf("refused requests left %s", got)
	}
	u.get("/v2/lbaas/listeners").want(200, `"listeners":[]`)
}

func TestWithoutAKeyManagerReferencesAreRefused(t *testing.T) {
	s := newSite(t)
	lbID := s.loadBalancer()
	s.as("member-a").post("/v2/lbaas/listeners", object{"listener": object{"loadbalancer_id": lbID, "protocol": "TERMINATED_HTTPS", "protocol_port": 443,
		"default_tls_container_ref": barbican + "cert"}}).want(400, "no key manager")
}

func TestSecretsComeWithAWholeGraph(t *testing.T) {
	s, k := newTLSSite(t)
	u := s.as("member-a")
	id := s.loadBalancer()
	graph := func(cert string) object {
		return object{"loadbalancer": object{"listeners": []object{{"protocol": "TERMINATED_HTTPS", "protocol_port": 443, "default_tls_container_ref": barbican + cert,
			"client_authentication": "OPTIONAL", "client_ca_tls_container_ref": barbican + "ca"}}}}
	}
	u.put("/v2/lbaas/loadbalancers/"+id+"/graph", graph("theirs")).want(400, "Could not retrieve certificate")
	u.put("/v2/lbaas/loadbalancers/"+id+"/graph", graph("cert")).want(200)
	k.asked = nil
	u.put("/v2/lbaas/loadbalancers/"+id+"/graph", graph("cert2")).want(200)
	if len(k.asked) != 1 || k.asked[0] != "certificate "+barbican+"cert2" {
		t.Errorf("asked for %v, want the new certificate only", k.asked)
	}
	if got, want := s.versions(id), "ca ca, certificate cert, certificate cert2"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
