package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
)

// TestTerminatedHTTPSWithASecretOfTheKeyManager stores a bundle as tenants do and speaks TLS to the VIP with a strict client;
// deleting the secret changes nothing for what runs.
func TestTerminatedHTTPSWithASecretOfTheKeyManager(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	n.server("web1", "192.168.21.100")
	bundle, pool := certificate(t, "www.example.com")
	ref := strings.TrimSpace(o.shell(t, `openstack secret store -f value -c "Secret href" --name tls -t "application/octet-stream" -e base64 --payload `+
		base64.StdEncoding.EncodeToString(bundle)))
	lb, err := loadbalancers.Create(n.cx, n.c.lb, loadbalancers.CreateOpts{Name: "tls", VipSubnetID: n.subnetID}).Extract()
	n.ok(err)
	o.shell(t, `openstack loadbalancer listener create --name l --protocol TERMINATED_HTTPS --protocol-port 443 --default-tls-container-ref `+ref+` tls
openstack loadbalancer pool create --name p --lb-algorithm ROUND_ROBIN --listener l --protocol HTTP
openstack loadbalancer member create --subnet-id private_subnet --address 192.168.21.100 --protocol-port 80 p`)
	n.active(lb.ID)
	address := strings.TrimSuffix(strings.TrimPrefix(n.floatingIP(lb.VipPortID), "http://"), "/")
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: true,
		TLSClientConfig:   &tls.Config{RootCAs: pool, ServerName: "www.example.com", MinVersion: tls.VersionTLS13},
	}}
	answers := func() error { return served(client, "https://"+address+"/", "web1") }
	eventually(t, 20*time.Second, "web1 answers over TLS 1.3", answers)
	resp, err := client.Get("https://" + address + "/")
	n.ok(err)
	resp.Body.Close()
	if resp.ProtoMajor != 2 {
		t.Errorf("the listener offers %s, not HTTP/2", resp.Proto)
	}

	o.shell(t, "openstack secret delete "+ref)
	o.shell(t, "openstack loadbalancer listener set --connection-limit 500 l")
	n.active(lb.ID)
	if err := answers(); err != nil {
		t.Errorf("after the secret was deleted: %v", err)
	}
	// Keys are in memory on the instance and sealed in the database: nowhere else.
	key, _ := pem.Decode(bundle)
	secret := base64.StdEncoding.EncodeToString(key.Bytes)[40:80]
	out, err := o.tryShell(`grep -rlF -- "` + secret + `" ` + o.dir + ` || true`)
	n.ok(err)
	if out != "" {
		t.Errorf("the private key is readable in %s", out)
	}
	if strings.Contains(o.log.tail(1<<20), secret) {
		t.Error("the private key is in the log")
	}
}

// certificate makes a self-signed one, as a PEM bundle with the key first, and the pool that trusts it.
func certificate(t *testing.T, name string) (bundle []byte, trust *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	trust = x509.NewCertPool()
	trust.AddCert(cert)
	bundle = append(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})...)
	return bundle, trust
}
