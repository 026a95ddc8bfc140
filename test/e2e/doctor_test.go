package e2e

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/test/dbtest"
)

// finding is one of octavo doctor's.
type finding struct{ Severity, Check, Detail, Hint string }

// examined runs octavo doctor and answers its worst finding of each check, and the exit code.
func examined(t *testing.T, conf string) (map[string]finding, int) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "octavia.conf")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(binary(t, "octavo"), "doctor", "--json", "-c", file).Output()
	var exit *exec.ExitError
	code := 0
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		t.Fatal(err)
	}
	var all []finding
	if err := json.Unmarshal(out, &all); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, exit.Stderr)
	}
	found := map[string]finding{}
	for _, severity := range []string{"ok", "warning", "failure"} { // the worst of a check comes last
		for _, f := range all {
			if f.Severity == severity {
				found[f.Check] = f
			}
		}
	}
	return found, code
}

func scrape(t *testing.T, address string) string {
	t.Helper()
	answer, err := http.Get("http://" + address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatal(answer.Status, err)
	}
	return string(text)
}

// operatorsConf brings an operator's CAs, as files and in the way in which Juju's charm has them.
func operatorsConf(t *testing.T) string {
	t.Helper()
	dir := makePKI(t)
	bundle, err := os.ReadFile(filepath.Join(dir, "bundle.pem"))
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf(`[certificates]
ca_certificate = %[1]s/issuing.pem
ca_private_key = %[1]s/issuing.key
ca_private_key_passphrase = geheim
[controller_worker]
client_ca = %[1]s/controller.pem
[haproxy_amphora]
server_ca = %[1]s/issuing.pem
client_cert = %[2]s
`, dir, base64.StdEncoding.EncodeToString(bundle))
}

// uploadImage makes a newer amphora image as the service's own account. What is in it does not matter here.
func (c *smallCloud) uploadImage(t *testing.T, conf string) {
	t.Helper()
	dir := t.TempDir()
	for name, content := range map[string]string{"octavia.conf": conf, "amphora.qcow2": "QFI\xfb newer"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	out, err := exec.Command(binary(t, "octavo"), "image", "upload", "-c", filepath.Join(dir, "octavia.conf"), filepath.Join(dir, "amphora.qcow2")).CombinedOutput()
	if err != nil {
		t.Fatalf("octavo image upload: %v\n%s", err, out)
	}
}

// TestDoctorAndMetricsTellHowADeploymentIs examines one that is well, and one whose controller was ended.
func TestDoctorAndMetricsTellHowADeploymentIs(t *testing.T) {
	t.Parallel()
	front, figures := freePort(t), freePort(t)
	cloud := startCloud(t)
	cloud.bootstrap(t, front)
	conf := cloud.conf("node", dbtest.DSN(t, "sqlite"), front, net.JoinHostPort(cloud.ManagementAddress().String(), "9443")) +
		"metrics_address = " + figures + "\n" + operatorsConf(t)
	found, code := examined(t, conf)
	if code != 2 || found["database"].Severity != "failure" || found["keystone"].Severity != "ok" {
		t.Errorf("before the first start: exit code %d, %+v", code, found)
	}
	c := serve(t, conf)
	n := cloud.tenant(t)
	n.server("web1", "192.168.21.100")
	n.active(n.full("lb", "192.168.21.100").ID)

	found, code = examined(t, conf)
	for check, f := range found {
		if f.Severity == "failure" || f.Severity == "warning" && check != "image" {
			t.Errorf("a deployment that is well: %+v", f)
		}
	}
	if code != 1 { // amp_image_owner_id is not set
		t.Errorf("exit code %d", code)
	}
	for _, check := range []string{"database", "certificates", "queue", "agents", "load balancers", "keystone", "endpoint", "cloud", "flavor",
		"management network", "agents' endpoint", "key manager", "notifications", "amphorae", "controllers", "connections"} {
		if found[check].Severity != "ok" {
			t.Errorf("%s: %+v", check, found[check])
		}
	}
	cloud.uploadImage(t, conf)
	if found, _ := examined(t, conf); found["amphorae"].Severity != "warning" || !strings.HasPrefix(found["amphorae"].Detail, "1 of 1 amphorae run another image") {
		t.Errorf("after a newer image was uploaded: %+v", found["amphorae"])
	}
	text := scrape(t, figures)
	for _, want := range []string{
		`octavo_load_balancers\{operating_status="[A-Z_]+",provisioning_status="ACTIVE"\} 1`, `octavo_agents\{state="reporting"\} 1`, `octavo_agents\{state="silent"\} 0`,
		`octavo_queue_age_seconds 0`, `octavo_agents_behind 0`, `octavo_database_up 1`,
		`octavo_controllers\{config="[0-9a-f]{16}",version=".+"\} 1`, `octavo_amphora_max_connections [1-9]\d+`, `octavo_listeners_beyond_capacity 0`, `octavo_ca_expiry_seconds\{ca="ca-[0-9a-f]{16}",in_use="true",role="issuing"\} 7\.77\d+e\+07`,
		`octavo_controller_certificate_expiry_seconds\{ca="ca-[0-9a-f]{16}"\} 2\.59\d+e\+07`,
		`octavo_agent_certificate_expiry_seconds 2\.59\d+e\+06`,
		`octavo_api_request_duration_seconds_count\{code="2xx",method="POST",resource="loadbalancers"\} 1`, `octavo_build_info\{config="[0-9a-f]{16}",version=".+"\} 1`,
	} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(text) {
			t.Errorf("the metrics lack %s:\n%s", want, text)
		}
	}

	c.end(t)
	// Of an agent's silence: heartbeat_timeout after its last report.
	silent := strings.Replace(conf, "heartbeat_interval = 3", "heartbeat_interval = 1\nheartbeat_timeout = 7", 1)
	eventually(t, 20*time.Second, "what a controller does is missed", func() error {
		found, code = examined(t, silent)
		for check, severity := range map[string]string{"agents": "failure", "agents' endpoint": "failure", "endpoint": "warning", "controllers": "warning", "database": "ok"} {
			if found[check].Severity != severity {
				return fmt.Errorf("%s: %+v", check, found[check])
			}
			if severity != "ok" && found[check].Hint == "" {
				t.Errorf("%s has no hint", check)
			}
		}
		return nil
	})
	if code != 2 {
		t.Errorf("exit code %d", code)
	}
}
