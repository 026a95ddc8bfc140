package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/secrets"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/listeners"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/pools"
)

// keyManager is a project's client for the key manager.
func (o *octavo) keyManager(t *testing.T, cloud string) *gophercloud.ServiceClient {
	t.Helper()
	c, err := openstack.NewKeyManagerV1(o.api(t, cloud).provider, gophercloud.EndpointOpts{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func storeSecret(t *testing.T, c *gophercloud.ServiceClient, payload []byte) string {
	t.Helper()
	made, err := secrets.Create(t.Context(), c, secrets.CreateOpts{Payload: base64.StdEncoding.EncodeToString(payload),
		PayloadContentType: "application/octet-stream", PayloadContentEncoding: "base64"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return made.SecretRef
}

// strict is a client that trusts only the one certificate.
func strict(trust *x509.CertPool, name string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true,
		TLSClientConfig: &tls.Config{RootCAs: trust, ServerName: name, MinVersion: tls.VersionTLS12}}}
}

// TestCertificateFromTheKeyManager terminates TLS with a tenant's secret, and goes on when the secret is gone.
func TestCertificateFromTheKeyManager(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	n.server("web1", "192.168.21.100")
	const name = "shop.example.org"
	first, trustFirst := certificate(t, name)
	second, trustSecond := certificate(t, name)
	keys := o.keyManager(t, "octavo")
	ref := storeSecret(t, keys, first)
	foreign := storeSecret(t, o.keyManager(t, "octavo-admin"), first)

	tlsListener := func(ref string) listeners.CreateOpts {
		return listeners.CreateOpts{Protocol: listeners.ProtocolTerminatedHTTPS, ProtocolPort: 443, DefaultTlsContainerRef: ref,
			DefaultPool: &pools.CreateOpts{Name: "members", Protocol: pools.ProtocolHTTP, LBMethod: pools.LBMethodRoundRobin,
				Members: []pools.CreateMemberOpts{{Address: "192.168.21.100", ProtocolPort: 80}}}}
	}
	create := func(ref string) (*loadbalancers.LoadBalancer, error) {
		return loadbalancers.Create(n.cx, n.c.lb, loadbalancers.CreateOpts{Name: "tls", VipSubnetID: n.subnetID,
			Listeners: []listeners.CreateOpts{tlsListener(ref)}}).Extract()
	}
	if _, err := create(foreign); !gophercloud.ResponseCodeIs(err, http.StatusBadRequest) || !strings.Contains(err.Error(), "Could not retrieve certificate") {
		t.Errorf("another project's secret: %v", err)
	}
	lb, err := create(ref)
	n.ok(err)
	n.active(lb.ID)
	url := strings.Replace(n.floatingIP(lb.VipPortID), "http://", "https://", 1)
	eventually(t, 20*time.Second, "web1 answers over TLS", func() error { return served(strict(trustFirst, name), url, "web1") })

	n.ok(secrets.Delete(n.cx, keys, ref[strings.LastIndex(ref, "/")+1:]).ExtractErr())
	o.stop(t, syscall.SIGKILL)
	o.run(t)
	n = o.tenant(t)
	_, err = pools.CreateMember(n.cx, n.c.lb, n.poolOf(lb.ID), pools.CreateMemberOpts{Address: "192.168.21.101", ProtocolPort: 80, Weight: new(0)}).Extract()
	n.ok(err)
	n.active(lb.ID)
	n.ok(served(strict(trustFirst, name), url, "web1"))

	renewed := storeSecret(t, o.keyManager(t, "octavo"), second)
	got, err := loadbalancers.Get(n.cx, n.c.lb, lb.ID).Extract()
	n.ok(err)
	_, err = listeners.Update(n.cx, n.c.lb, got.Listeners[0].ID, listeners.UpdateOpts{DefaultTlsContainerRef: &renewed}).Extract()
	n.ok(err)
	n.active(lb.ID)
	eventually(t, 10*time.Second, "the new certificate is shown", func() error { return served(strict(trustSecond, name), url, "web1") })
	if err := served(strict(trustFirst, name), url, "web1"); err == nil {
		t.Error("the old certificate is shown as well")
	}
	n.ok(loadbalancers.Delete(n.cx, n.c.lb, lb.ID, loadbalancers.DeleteOpts{Cascade: true}).ExtractErr())
	n.gone(lb.ID)
	if leaked := o.log.tail(1 << 20); strings.Contains(leaked, "PRIVATE KEY") {
		t.Error(fmt.Sprint("the log holds a key: ", leaked))
	}
}
