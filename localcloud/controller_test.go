package localcloud

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/containers"
	barbican "github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/secrets"

	"github.com/octavo-lb/octavo/secrets/keymanager"
)

// client is somebody's client for the key manager.
func client(t *testing.T, url, user, project string) *gophercloud.ServiceClient {
	t.Helper()
	provider, err := openstack.AuthenticatedClient(t.Context(), gophercloud.AuthOptions{IdentityEndpoint: url + "/identity/v3",
		Username: user, Password: passwords[user], DomainName: "Default", TenantName: project, AllowReauth: true})
	if err != nil {
		t.Fatal(err)
	}
	c, err := openstack.NewKeyManagerV1(provider, gophercloud.EndpointOpts{Region: "RegionOne"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func store(t *testing.T, c *gophercloud.ServiceClient, payload []byte) string {
	t.Helper()
	made, err := barbican.Create(t.Context(), c, barbican.CreateOpts{Payload: base64.StdEncoding.EncodeToString(payload),
		PayloadContentType: "application/octet-stream", PayloadContentEncoding: "base64"}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	return made.SecretRef
}

// selfSigned answers a certificate and its key in PEM.
func selfSigned(t *testing.T) (certificate, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "example.org"}, NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER})
}

// The controller's way to tenants' certificates, against this key manager and identity service.
func TestControllerFetchesCertificatesThatTenantsLetItRead(t *testing.T) {
	t.Parallel()
	_, url, _ := start(t, t.TempDir())
	demo, admin, service := client(t, url, "demo", "demo"), client(t, url, "admin", "admin"), client(t, url, "octavia", "service")
	manager := &keymanager.Barbican{Connect: func(context.Context) (*gophercloud.ServiceClient, error) { return service, nil }}
	certificate, key := selfSigned(t)
	bundle := store(t, demo, append(bytes.Clone(certificate), key...))

	var fault *keymanager.Unusable
	if _, err := manager.Certificate(t.Context(), bundle); !errors.As(err, &fault) || !strings.Contains(err.Error(), "access list") {
		t.Errorf("before it may: %v", err)
	}
	if err := manager.Grant(t.Context(), keymanager.Caller{Token: admin.Token()}, bundle); !errors.As(err, &fault) {
		t.Errorf("another project's admin lets the service read it: %v", err)
	}
	for range 2 {
		if err := manager.Grant(t.Context(), keymanager.Caller{Token: demo.Token()}, bundle); err != nil {
			t.Fatal(err)
		}
	}
	m, err := manager.Certificate(t.Context(), bundle)
	if err != nil || !bytes.HasPrefix(m.PEM, certificate) || len(m.Names) != 1 || len(m.Digest) != 64 {
		t.Errorf("%+v, %v", m, err)
	}
	castellan := &keymanager.Barbican{Connect: manager.Connect, IDs: true}
	if same, err := castellan.Certificate(t.Context(), bundle[strings.LastIndex(bundle, "/")+1:]); err != nil || same.Digest != m.Digest {
		t.Errorf("by its id: %+v, %v", same, err)
	}
	if err := manager.Grant(t.Context(), keymanager.Caller{Token: admin.Token()}, bundle); !errors.As(err, &fault) {
		t.Errorf("now that the service may read it, another project's admin uses it: %v", err)
	}

	whole, err := containers.Create(t.Context(), demo, containers.CreateOpts{Type: containers.CertificateContainer, SecretRefs: []containers.SecretRef{
		{Name: "certificate", SecretRef: store(t, demo, certificate)}, {Name: "private_key", SecretRef: store(t, demo, key)}}}).Extract()
	if err != nil {
		t.Fatal(err)
	}
	if err := manager.Grant(t.Context(), keymanager.Caller{Token: demo.Token()}, whole.ContainerRef); err != nil {
		t.Fatal(err)
	}
	if again, err := manager.Certificate(t.Context(), whole.ContainerRef); err != nil || again.Digest != m.Digest {
		t.Errorf("as a container: %+v, %v; want the same as in one", again, err)
	}
	authority := store(t, demo, certificate)
	if err := manager.Grant(t.Context(), keymanager.Caller{Token: demo.Token()}, authority); err != nil {
		t.Fatal(err)
	}
	if m, err := manager.Authorities(t.Context(), authority); err != nil || !bytes.Equal(m.PEM, certificate) {
		t.Errorf("authority: %v", err)
	}
	if _, err := manager.Revocations(t.Context(), authority); !errors.As(err, &fault) {
		t.Errorf("a certificate as a revocation list: %v", err)
	}
}

func TestControllerTellsBadReferencesFromAnAbsentKeyManager(t *testing.T) {
	t.Parallel()
	_, url, stop := start(t, t.TempDir())
	service := client(t, url, "octavia", "service")
	manager := &keymanager.Barbican{Connect: func(context.Context) (*gophercloud.ServiceClient, error) { return service, nil }}
	const id = "7f3a0000-0000-4000-8000-000000000000"
	var fault *keymanager.Unusable
	for _, ref := range []string{"", id, "file:///etc/passwd", "http://169.254.169.254/v1/secrets/../../latest", url + "/v1/secrets/" + id + "?x",
		"http://other/v1/orders/" + id, url + "/key-manager/v1/secrets/" + id} {
		if _, err := manager.Certificate(t.Context(), ref); !errors.As(err, &fault) || fault.Ref != ref {
			t.Errorf("%q: %v, want Unusable", ref, err)
		}
	}
	stop()
	if _, err := manager.Certificate(t.Context(), url+"/key-manager/v1/secrets/"+id); err == nil || errors.As(err, &fault) {
		t.Errorf("without a key manager: %v, want an error that is not the tenant's", err)
	}
}
