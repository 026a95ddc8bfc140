package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/store"
)

const (
	someNetwork = "6b8f5b6e-0000-4000-8000-000000000001"
	someSubnet  = "6b8f5b6e-0000-4000-8000-000000000002"
)

var someProject = strings.Repeat("1", 32)

// desk is an API for clients' tests, behind which there is no cloud.
type desk struct {
	caller
	url string
	dir string
}

func startDesk(t *testing.T) *desk {
	t.Helper()
	front, dir := freePort(t), t.TempDir()
	_, port, _ := net.SplitHostPort(front)
	serve(t, fmt.Sprintf(noopConf, port, "noauth", dir, dir))
	url := "http://" + front
	return &desk{caller{t, url + "/v2.0/lbaas/"}, url, dir}
}

// amphora puts an amphora into the database, for calls about amphorae: noop providers have none.
func (d *desk) amphora() (id, lbID string) {
	d.t.Helper()
	made := d.call("POST", "loadbalancers", fmt.Sprintf(`{"loadbalancer": {"name": "amphorae", "vip_network_id": %q, "vip_subnet_id": %q}}`,
		someNetwork, someSubnet), 201)
	lbID = made["id"].(string)
	s, err := store.Open(d.t.Context(), "sqlite:"+filepath.Join(d.dir, "octavo.db"), store.Options{})
	if err != nil {
		d.t.Fatal(err)
	}
	defer s.Close()
	a := store.Amphora{Role: "STANDALONE", ComputeID: someNetwork, LBNetworkIP: "198.18.0.7", VRRPIP: "192.0.2.8"}
	err = s.Write(d.t.Context(), func(tx *store.Tx) error {
		if _, err := tx.Lock(d.t.Context(), lbID); err != nil {
			return err
		}
		return tx.InsertAmphora(d.t.Context(), &a)
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return a.ID, lbID
}

// TestEveryMethodOfOpenStackSDK walks the proxy that Ansible, Horizon and others use; what the SDK has and the walk lacks
// fails the test.
func TestEveryMethodOfOpenStackSDK(t *testing.T) {
	t.Parallel()
	d := startDesk(t)
	amphora, balancer := d.amphora()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "-W", "ignore", "testdata/sdk.py", d.url, amphora, balancer)
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir()}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v (it needs Debian's python3-openstacksdk)\n%s", err, out)
	}
	if left := strings.TrimSpace(string(out)); left != "" {
		t.Errorf("methods that the walk lacks: %s", left)
	}
}

// TestCertificatesOfADirectory has no key manager: a reference is the id of files.
func TestCertificatesOfADirectory(t *testing.T) {
	t.Parallel()
	front, dir := freePort(t), t.TempDir()
	_, port, _ := net.SplitHostPort(front)
	certificate, key := selfSignedPEM(t)
	const id, other = "6b8f5b6e-0000-4000-8000-00000000000a", "6b8f5b6e-0000-4000-8000-00000000000b"
	for name, text := range map[string]string{id + ".crt": certificate, id + ".key": key} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	conf := strings.Replace(fmt.Sprintf(noopConf, port, "noauth", dir, dir), "cert_manager = noop_cert_manager",
		"cert_manager = local_cert_manager\nstorage_path = "+dir, 1)
	serve(t, conf)
	u := caller{t, "http://" + front + "/v2.0/lbaas/"}
	balancer := func(ref string) string {
		return fmt.Sprintf(`{"loadbalancer": {"vip_network_id": %q, "vip_subnet_id": %q, "listeners": [{"protocol": "TERMINATED_HTTPS",
			"protocol_port": 443, "default_tls_container_ref": %q}]}}`, someNetwork, someSubnet, ref)
	}
	u.call("POST", "loadbalancers", balancer(id), 201)
	for _, ref := range []string{other, "../" + id, "http://keys/1"} {
		if fault := u.call("POST", "loadbalancers", balancer(ref), 400)["faultstring"]; !strings.Contains(fmt.Sprint(fault), ref) {
			t.Errorf("%s: %v", ref, fault)
		}
	}
}
