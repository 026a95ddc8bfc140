package api_test

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/lb"
)

// cli is Debian's openstack client with its load balancer plugin, talking to the API.
type cli struct {
	t   *testing.T
	in  io.WriteCloser
	out *bufio.Reader
	ran []string // lines that were carried out
}

type result struct {
	Code     int
	Out, Err string
}

// startCLI serves what else the client asks for beside the load balancers: subnets, projects.
func startCLI(t *testing.T, s *site) *cli {
	t.Helper()
	mux := http.NewServeMux()
	reply := func(pattern string, body any) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			json.NewEncoder(w).Encode(body)
		})
	}
	reply("GET /v2.0/subnets", object{"subnets": []object{{"id": subA, "name": "private_subnet"}}})
	reply("GET /v3/projects/{id}", object{"project": object{"id": projectA, "name": "demo", "links": object{"self": ""}}})
	reply("GET /projects/{id}", object{"project": object{"id": projectA, "name": "demo", "links": object{"self": ""}}})
	mux.Handle("/", s.server.Config.Handler)
	front := httptest.NewServer(mux)
	t.Cleanup(front.Close)

	cmd := exec.Command("/usr/bin/python3", "testdata/walk.py")
	cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "OS_AUTH_TYPE=none", "OS_ENDPOINT=" + front.URL,
		"OS_IDENTITY_API_VERSION=3", "PYTHONWARNINGS=ignore"}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("this test needs Debian's python3-openstackclient and python3-octaviaclient: %v", err)
	}
	t.Cleanup(func() {
		in.Close()
		cmd.Wait()
	})
	return &cli{t: t, in: in, out: bufio.NewReader(out)}
}

func (c *cli) try(line string) result {
	c.t.Helper()
	r := c.send("loadbalancer " + line)
	if r.Code == 0 {
		c.ran = append(c.ran, "loadbalancer "+line+" ")
	}
	return r
}

// uncovered are the client's own commands that were not carried out, shorter ones only where no longer one was meant.
func (c *cli) uncovered() []string {
	c.t.Helper()
	all := strings.Fields(strings.ReplaceAll(strings.ReplaceAll(c.send("?").Out, " ", "_"), "\n", " "))
	if len(all) < 80 {
		c.t.Fatalf("the client has %d commands: %v", len(all), all)
	}
	slices.SortFunc(all, func(a, b string) int { return len(b) - len(a) })
	covered := map[string]bool{}
	for _, line := range c.ran {
		if i := slices.IndexFunc(all, func(command string) bool {
			return strings.HasPrefix(line, strings.ReplaceAll(command, "_", " ")+" ")
		}); i >= 0 {
			covered[all[i]] = true
		}
	}
	return slices.DeleteFunc(all, func(command string) bool { return covered[command] })
}

func (c *cli) send(line string) result {
	c.t.Helper()
	if _, err := io.WriteString(c.in, line+"\n"); err != nil {
		c.t.Fatal(err)
	}
	text, err := c.out.ReadString('\n')
	if err != nil {
		c.t.Fatalf("%s: %v", line, err)
	}
	var r result
	if err := json.Unmarshal([]byte(text), &r); err != nil {
		c.t.Fatalf("%s: %v in %s", line, err, text)
	}
	return r
}

func (c *cli) run(line string) string {
	c.t.Helper()
	r := c.try(line)
	if r.Code != 0 {
		c.t.Errorf("openstack loadbalancer %s: %d %s%s", line, r.Code, r.Out, r.Err)
	}
	return strings.TrimSpace(r.Out)
}

// value runs a command and returns one column of the object that it shows.
func (c *cli) value(column, line string) string {
	c.t.Helper()
	return c.run(line + " -f value -c " + column)
}

// everybody is who calls, whatever they show.
type everybody struct{}

func (everybody) Identify(*http.Request) (identity.Caller, error) {
	return identity.Caller{ProjectID: projectA, IsAdmin: true, Token: "member-a"}, nil
}

func newCLISite(t *testing.T) *site {
	return newSite(t, withSettings, func(c *api.Config) { c.Auth = everybody{} })
}

// Every subcommand of openstack loadbalancer that there is in Debian 12's client.
func TestEverySubcommandOfTheOpenStackClient(t *testing.T) {
	s := newCLISite(t)
	c := startCLI(t, s)
	var lbID string
	settle := func() { s.converge(lbID) }

	c.run("create --name lb1 --vip-subnet-id private_subnet --description first --tag a --tag b")
	lbID = c.value("id", "show lb1")
	settle()
	for column, want := range map[string]string{"provisioning_status": "ACTIVE", "vip_address": "192.0.2.11", "tags": "a\nb", "provider": "amphora"} {
		if got := c.value(column, "show lb1"); got != want {
			t.Errorf("show lb1: %s is %q, want %q", column, got, want)
		}
	}
	if got := c.value("name", "list --name lb1 --tags a --provisioning-status ACTIVE"); got != "lb1" {
		t.Errorf("list: %q", got)
	}
	if got := c.value("name", "list --not-tags a"); got != "" {
		t.Errorf("list --not-tags: %q", got)
	}
	c.run("set --name lb2 --description second --disable lb1")
	c.run("set --name lb1 --enable --tag c lb2")
	c.run("unset --description --all-tag lb1")
	if got := c.value("description", "show lb1"); got != "" {
		t.Errorf("description %q is not unset", got)
	}
	c.run("stats show lb1")
	c.run("status show lb1")

	c.run("listener create --name l1 --protocol HTTP --protocol-port 80 --connection-limit 5 --insert-headers X-Forwarded-For=true --allowed-cidr 10.0.0.0/8 --timeout-client-data 7 lb1")
	c.run("listener list --loadbalancer lb1")
	c.run("listener set --name l2 --description d --connection-limit 6 --allowed-cidr 10.0.0.0/9 --timeout-member-data 9 l1")
	c.run("listener set --name l1 --disable l2")
	c.run("listener unset --description --connection-limit --insert-headers --allowed-cidrs --timeout-client-data --timeout-member-connect --timeout-member-data --timeout-tcp-inspect l1")
	if got := c.value("connection_limit", "listener show l1"); got != "-1" {
		t.Errorf("connection limit %q is not unset", got)
	}
	c.run("listener stats show l1")

	c.run("pool create --name p1 --protocol HTTP --lb-algorithm ROUND_ROBIN --listener l1 --session-persistence type=APP_COOKIE,cookie_name=x")
	c.run("pool list --loadbalancer lb1")
	c.run("pool set --name p1 --description d --lb-algorithm LEAST_CONNECTIONS --session-persistence type=SOURCE_IP p1")
	c.run("pool unset --description --session-persistence p1")
	if got := c.value("session_persistence", "pool show p1"); got != "None" {
		t.Errorf("session persistence %q is not unset", got)
	}

	c.run("member create --name m1 --address 192.0.2.100 --protocol-port 80 --weight 5 --subnet-id private_subnet --enable-backup p1")
	c.run("member create --name m2 --address 192.0.2.101 --protocol-port 80 --monitor-port 81 --monitor-address 192.0.2.102 p1")
	c.run("member list p1")
	c.run("member set --weight 7 --disable-backup --monitor-port 99 p1 m1")
	c.run("member unset --weight --monitor-port --backup p1 m1")
	if got := c.value("weight", "member show p1 m1"); got != "1" {
		t.Errorf("weight %q is not unset", got)
	}
	c.run("member delete p1 m2")

	c.run("healthmonitor create --name h1 --delay 5 --max-retries 4 --timeout 10 --type HTTP --url-path /healthcheck --http-version 1.1 --domain-name a.example p1")
	c.run("healthmonitor list")
	c.run("healthmonitor set --delay 6 --expected-codes 200,201 --http-method HEAD --max-retries-down 2 h1")
	c.run("healthmonitor unset --expected-codes --http-method --domain-name --http-version --max-retries-down --url-path h1")
	if got := c.value("expected_codes", "healthmonitor show h1"); got != "200" {
		t.Errorf("expected codes %q are not unset", got)
	}

	c.run("l7policy create --name y1 --action REDIRECT_TO_URL --redirect-url http://example.com/ --position 1 l1")
	c.run("l7policy list")
	c.run("l7policy set --redirect-pool p1 --name y1 y1")
	if got := c.value("action", "l7policy show y1"); got != "REDIRECT_TO_POOL" {
		t.Errorf("action %q", got)
	}
	c.run("l7policy set --action REDIRECT_PREFIX --redirect-prefix http://b.example/ --redirect-http-code 301 y1")
	c.run("l7policy unset --description --redirect-http-code y1")
	ruleID := c.value("id", "l7rule create --type HEADER --key X-A --compare-type EQUAL_TO --value b y1")
	c.run("l7rule list y1")
	c.run("l7rule set --value c --invert y1 " + ruleID)
	c.run("l7rule unset --invert y1 " + ruleID)
	if got := c.value("invert", "l7rule show y1 "+ruleID); got != "False" {
		t.Errorf("invert %q is not unset", got)
	}

	c.run("l7rule delete y1 " + ruleID)
	c.run("l7policy delete y1")
	c.run("healthmonitor delete h1")
	c.run("member delete p1 m1")
	c.run("pool delete p1")
	c.run("listener delete l1")
	if r := c.try("show nobody"); r.Code == 0 {
		t.Error("a load balancer that is not there was shown")
	}

	c.run("provider list")
	c.run("provider capability list amphora")
	c.run(`flavorprofile create --name fp --provider amphora --flavor-data '{"loadbalancer_topology":"SINGLE"}'`)
	c.run("flavorprofile list")
	c.run("flavorprofile show fp")
	c.run("flavorprofile set --name fp1 fp")
	c.run("flavor create --name f --flavorprofile fp1 --description d --enable")
	c.run("flavor list")
	c.run("flavor set --name f1 --disable f")
	c.run("flavor unset --description f1")
	c.run("flavor show f1")
	c.run("flavor delete f1")
	c.run("flavorprofile delete fp1")
	c.run(`availabilityzoneprofile create --name zp --provider amphora --availability-zone-data '{"compute_zone":"nova"}'`)
	c.run("availabilityzoneprofile list")
	c.run("availabilityzoneprofile show zp")
	c.run("availabilityzoneprofile set --name zp1 zp")
	c.run("availabilityzone create --name z --availabilityzoneprofile zp1 --description d --enable")
	c.run("availabilityzone list")
	c.run("availabilityzone show z")
	c.run("availabilityzone set --disable z")
	c.run("availabilityzone unset --description z")
	c.run("availabilityzone delete z")
	c.run("availabilityzoneprofile delete zp1")

	c.run("quota defaults show")
	c.run("quota set --loadbalancer 5 --healthmonitor 6 " + projectA)
	c.run("quota list")
	if got := c.value("load_balancer", "quota show "+projectA); got != "5" {
		t.Errorf("quota %q", got)
	}
	c.run("quota unset --loadbalancer " + projectA)
	c.run("quota reset " + projectA)

	listenerID := c.value("id", "listener create --protocol TCP --protocol-port 81 lb1")
	amphoraID := s.addAmphora(lbID, nil)
	s.report(lbID, amphoraID, agentapi.Report{Boot: "a", Sequence: 1, Listeners: []agentapi.ListenerHealth{{ID: listenerID, Status: lb.Online, BytesIn: 7}}})
	c.run("amphora list")
	c.run("amphora show " + amphoraID)
	if got := c.value("bytes_in", "amphora stats show --listener "+listenerID+" "+amphoraID); got != "7" {
		t.Errorf("the amphora's bytes in are %q", got)
	}
	c.run("amphora configure " + amphoraID)

	c.run("amphora failover " + amphoraID)
	c.run("failover lb1")
	s.report(lbID, amphoraID, agentapi.Report{Boot: "b", Sequence: 1, Failure: "none", FailedGen: 1})
	c.run("amphora delete " + amphoraID)
	c.run("delete --cascade lb1")
	for _, command := range c.uncovered() {
		t.Errorf("the client has the command %q, and no line above uses it with success", strings.ReplaceAll(command, "_", " "))
	}
}
