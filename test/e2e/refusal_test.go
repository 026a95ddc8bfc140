package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2/openstack/loadbalancer/v2/loadbalancers"
)

// TestRefusesToStartWithOneClearSentence starts the service where it cannot run.
func TestRefusesToStartWithOneClearSentence(t *testing.T) {
	t.Parallel()
	octavoPath := binary(t, "octavo")
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	damaged := t.TempDir()
	if err := os.WriteFile(filepath.Join(damaged, "octavo.db"), []byte(strings.Repeat("not a database ", 1000)), 0o600); err != nil {
		t.Fatal(err)
	}
	// A copy that nobody may run, too.
	shared := filepath.Join(os.TempDir(), filepath.Base(t.TempDir())+"-octavo")
	if out, err := exec.Command("install", "-m", "755", octavoPath, shared).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	defer os.Remove(shared)

	for name, c := range map[string]struct {
		cmd  *exec.Cmd
		says []string
	}{
		"without root": {asNobody(exec.Command(shared, "standalone", "--data-dir", "/nonexistent", "--listen", freePort(t))),
			[]string{"root"}},
		"without haproxy": {exec.Command("unshare", "-m", "bash", "-c",
			`mount --bind /dev/null /usr/sbin/haproxy && exec "$0" standalone --data-dir "$1" --listen "$2"`, octavoPath, t.TempDir(), freePort(t)),
			[]string{"haproxy", "install"}},
		"port in use": {exec.Command(octavoPath, "standalone", "--data-dir", t.TempDir(), "--listen", busy.Addr().String()),
			[]string{busy.Addr().String(), "--listen"}},
		"damaged data directory": {exec.Command(octavoPath, "standalone", "--data-dir", damaged, "--listen", freePort(t)),
			[]string{"octavo.db", "damaged"}},
		"unknown flag": {exec.Command(octavoPath, "standalone", "--no-such-flag"), []string{"no-such-flag"}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			stop := context.AfterFunc(ctx, func() { _ = c.cmd.Process.Kill() })
			defer stop()
			out, err := c.cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("it ended with exit code 0 and said:\n%s", out)
			}
			if ctx.Err() != nil {
				t.Fatalf("it did not end:\n%s", out)
			}
			lines := strings.Split(strings.TrimSpace(string(out)), "\n")
			for _, word := range c.says {
				if !strings.Contains(lines[len(lines)-1], word) {
					t.Errorf("the last line does not speak of %q:\n%s", word, out)
				}
			}
			if len(lines) > 1 {
				t.Errorf("more than one sentence:\n%s", out)
			}
		})
	}
}

func asNobody(cmd *exec.Cmd) *exec.Cmd {
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	return cmd
}

// TestWrongRequestsAreRefusedAndChangeNothing sends what clients get wrong, with tokens of the real identity service.
func TestWrongRequestsAreRefusedAndChangeNothing(t *testing.T) {
	t.Parallel()
	o := start(t)
	n := o.tenant(t)
	lb := n.full("lb", "192.168.21.100")
	n.active(lb.ID)
	admin := o.api(t, "octavo-admin")
	other, err := loadbalancers.Create(n.cx, admin.lb, loadbalancers.CreateOpts{Name: "other", VipSubnetID: n.subnetID}).Extract()
	n.ok(err)
	// A user who may sign in but has no load balancer role.
	o.shell(t, `export OS_CLOUD=octavo-admin
openstack user create --project demo --password secret-enough norole
openstack role create bystander
openstack role add --user norole --project demo bystander`)
	norole := strings.TrimSpace(o.shell(t, `export OS_CLOUD=octavo-admin
openstack --os-cloud "" --os-auth-url $(openstack endpoint list --service identity --interface public -f value -c URL) --os-username norole --os-password secret-enough --os-project-name demo --os-user-domain-name Default --os-project-domain-name Default --os-identity-api-version 3 token issue -f value -c id`))
	token := n.c.provider.Token()
	before := o.everything(t, n)

	url := strings.TrimSuffix(n.c.lb.Endpoint, "/") + "/v2.0/lbaas/"
	url = strings.Replace(url, "/v2.0/v2.0/", "/v2.0/", 1)
	listener := `{"listener": {"loadbalancer_id": "` + lb.ID + `", "protocol": "HTTP", "protocol_port": 81, %s}}`
	for name, c := range map[string]struct {
		method, path, body, token string
		status                    int
		says                      string
	}{
		"unknown attribute":      {"POST", "listeners", fmt.Sprintf(listener, `"colour": "red"`), token, 400, "colour"},
		"wrong type":             {"POST", "listeners", fmt.Sprintf(listener, `"connection_limit": "many"`), token, 400, "connection_limit"},
		"out of range":           {"POST", "listeners", fmt.Sprintf(listener, `"timeout_client_data": -1`), token, 400, "timeout_client_data"},
		"missing attribute":      {"POST", "listeners", `{"listener": {"loadbalancer_id": "` + lb.ID + `", "protocol": "HTTP"}}`, token, 400, "protocol_port"},
		"not served":             {"POST", "pools", `{"pool": {"loadbalancer_id": "` + lb.ID + `", "protocol": "HTTP", "lb_algorithm": "SOURCE_IP_PORT"}}`, token, 501, "SOURCE_IP_PORT"},
		"port taken":             {"POST", "listeners", strings.Replace(fmt.Sprintf(listener, `"name": "x"`), ": 81", ": 80", 1), token, 409, "80"},
		"unknown id":             {"GET", "loadbalancers/6f2e9b4e-0000-4000-8000-000000000000", "", token, 404, "6f2e9b4e"},
		"unknown subnet":         {"POST", "loadbalancers", `{"loadbalancer": {"vip_subnet_id": "6f2e9b4e-0000-4000-8000-000000000000"}}`, token, 400, "6f2e9b4e"},
		"no VIP":                 {"POST", "loadbalancers", `{"loadbalancer": {"name": "x"}}`, token, 400, "vip_subnet_id"},
		"not JSON":               {"POST", "loadbalancers", `{"loadbalancer": `, token, 400, ""},
		"another project's":      {"GET", "loadbalancers/" + other.ID, "", token, 403, ""},
		"change another's":       {"PUT", "loadbalancers/" + other.ID, `{"loadbalancer": {"name": "mine"}}`, token, 403, ""},
		"update what is fixed":   {"PUT", "loadbalancers/" + lb.ID, `{"loadbalancer": {"vip_address": "192.168.21.9"}}`, token, 400, "vip_address"},
		"no token":               {"GET", "loadbalancers", "", "", 401, ""},
		"a token that is none":   {"GET", "loadbalancers", "", "gAAAAABnonsense", 401, ""},
		"no load balancer role":  {"GET", "loadbalancers", "", norole, 403, ""},
		"control plane's member": {"POST", "pools/" + n.poolOf(lb.ID) + "/members", `{"member": {"address": "169.254.169.254", "protocol_port": 80}}`, token, 400, "169.254.169.254"},
	} {
		t.Run(name, func(t *testing.T) {
			status, fault := request(t, c.method, url+c.path, c.body, c.token)
			if c.status != 0 && status != c.status || c.status == 0 && (status < 400 || status > 501) {
				t.Errorf("answered %d, wanted %d: %s", status, c.status, fault)
			}
			if !strings.Contains(fault, c.says) {
				t.Errorf("the fault does not speak of %q: %s", c.says, fault)
			}
		})
	}
	if after := o.everything(t, n); after != before {
		t.Errorf("something changed\nbefore: %s\nafter:  %s", before, after)
	}
}

// request answers the status and, of a refusal, the faultstring.
func request(t *testing.T, method, url, body, token string) (int, string) {
	t.Helper()
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("X-Auth-Token", token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var fault struct{ Faultstring string }
	if json.Unmarshal(text, &fault) != nil || fault.Faultstring == "" {
		return resp.StatusCode, string(text)
	}
	return resp.StatusCode, fault.Faultstring
}

// everything is all that the tenant sees of load balancing, but what is observed.
func (o *octavo) everything(t *testing.T, n *tenant) string {
	t.Helper()
	var b strings.Builder
	for _, what := range []string{"loadbalancers", "listeners", "pools", "healthmonitors"} {
		url := strings.TrimSuffix(n.c.lb.Endpoint, "/") + "/v2.0/lbaas/" + what
		_, text := request(t, "GET", strings.Replace(url, "/v2.0/v2.0/", "/v2.0/", 1), "", n.c.provider.Token())
		b.WriteString(text)
	}
	return b.String()
}
