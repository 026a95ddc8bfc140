package localcloud

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"regexp"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/cloud/management"
	"github.com/octavo-lb/octavo/secrets"
)

// managementTest finds or makes the management network's objects in a cloud.
type managementTest struct {
	*machineTest
	network *gophercloud.ServiceClient
	calls   *countdown
	options management.Options
	said    string
}

func startManagement(t *testing.T) *managementTest {
	m := &managementTest{machineTest: startMachine(t), calls: &countdown{left: -1}}
	client := cloud.New(cloud.Options{Region: "RegionOne", Transport: m.calls, Auth: cloud.Auth{URL: m.url + "/identity", UserName: ServiceUser,
		UserDomainName: "Default", Password: secrets.New(passwords[ServiceUser]), ProjectName: ServiceProject, ProjectDomainName: "Default"}})
	var err error
	m.options = management.Options{Create: true, AgentPort: 5555, Controller: "one", Host: "localhost", Tell: func(line string) { m.said += line + "\n" }}
	if m.network, m.options.ProjectID, err = client.Neutron(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m
}

func (m *managementTest) ensure() (management.Resources, error) {
	m.said = ""
	return management.Ensure(m.t.Context(), m.network, m.options)
}

func (m *managementTest) must() management.Resources {
	m.t.Helper()
	r, err := m.ensure()
	if err != nil {
		m.t.Fatal(err)
	}
	return r
}

// service is the client of the service's account.
func (m *managementTest) service() func(args ...string) string {
	return m.client(ServiceUser, ServiceProject).Run
}

// countdown lets so many changes through, carries out the next one and loses its answer, as a kill would. A negative number
// lets all through.
type countdown struct{ left, changes int }

func (c *countdown) RoundTrip(r *http.Request) (*http.Response, error) {
	change := r.Method != http.MethodGet && !strings.HasSuffix(r.URL.Path, "/auth/tokens")
	if change {
		c.changes++
	}
	resp, err := http.DefaultTransport.RoundTrip(r)
	if !change || err != nil {
		return resp, err
	}
	if c.left--; c.left == -1 {
		resp.Body.Close()
		return nil, errKilled
	}
	return resp, nil
}

var errKilled = errors.New("killed")

func TestManagementNetworkIsMadeOnce(t *testing.T) {
	t.Parallel()
	m := startManagement(t)
	first := m.must()
	if want := netip.MustParsePrefix("fc00::/16"); !first.Changed || !want.Contains(first.Port.Address()) || first.Port.MTU == 0 || first.Port.VIF != management.VIFBridge {
		t.Errorf("%+v", first)
	}
	m.calls.changes = 0
	again := m.must()
	if again.Changed || m.calls.changes > 0 || again.NetworkID != first.NetworkID || again.Port.ID != first.Port.ID {
		t.Errorf("%d changes, %+v\n%s", m.calls.changes, again, m.said)
	}
	m.options.Create = false // what was made is complete
	m.must()

	m.options.Controller = "two"
	second := m.must()
	if len(second.Controllers) != 2 || second.Port.ID == first.Port.ID || second.NetworkID != first.NetworkID {
		t.Errorf("a second controller: %+v", second)
	}

	run := m.service()
	for _, list := range [][2]string{{"network", management.Tag}, {"subnet", management.Tag}, {"router", management.Tag},
		{"security group", management.Tag}, {"security group", management.ControllerTag}, {"port", management.Tag + "-one"}} {
		if n := len(strings.Fields(run(append(strings.Fields(list[0]), "list", "--tags", list[1], "-f", "value", "-c", "ID")...))); n != 1 {
			t.Errorf("%d objects of kind %s have the tag %s", n, list[0], list[1])
		}
	}
	if rules := run("security", "group", "rule", "list", "--ingress", first.AmphoraGroup, "-f", "value"); rules != "" {
		t.Errorf("amphorae let in %s", rules)
	}
}

func TestManagementNetworkOfIPv4(t *testing.T) {
	t.Parallel()
	m := startManagement(t)
	m.options.Prefix = netip.MustParsePrefix("172.16.0.0/22")
	if r := m.must(); !m.options.Prefix.Contains(r.Port.Address()) {
		t.Errorf("%+v", r.Port)
	}
	if m.must().Changed {
		t.Errorf("again:\n%s", m.said)
	}
}

// A run may end after any of its changes; the next one completes what it left and makes nothing twice.
func TestManagementNetworkSurvivesKills(t *testing.T) {
	t.Parallel()
	m := startManagement(t)
	kills := 0
	for ; ; kills++ {
		m.calls.left = 1 // one change each time, and one more whose answer is lost
		if _, err := m.ensure(); err == nil {
			break
		} else if !strings.Contains(err.Error(), "killed") || kills > 30 {
			t.Fatal(err)
		}
	}
	if kills < 4 {
		t.Errorf("only %d kills", kills)
	}
	m.calls.left = -1
	if m.must().Changed {
		t.Errorf("again:\n%s", m.said)
	}
	run := m.service()
	for kind, name := range map[string]string{"network": "lb-mgmt-net", "subnet": "lb-mgmt-subnetv6", "router": "lb-mgmt", "port": management.PortName("one")} {
		ids := strings.Fields(run(kind, "list", "--name", name, "-f", "value", "-c", "ID"))
		if want := 1; kind != "network" && len(ids) != want || kind == "network" && len(ids) != 2 { // the cloud has one of that name from the start
			t.Errorf("%d of %s %s", len(ids), kind, name)
		}
	}
}

var command = regexp.MustCompile("`(openstack [^`]+)`")

// Without permission to make anything, the commands that it tells are those that complete the network.
func TestManagementNetworkTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	m := startManagement(t)
	m.options.Create = false
	run := m.service()
	for round := 1; ; round++ {
		_, err := m.ensure()
		if err == nil {
			break
		}
		missing, ok := err.(management.Missing)
		if !ok || round > 5 {
			t.Fatalf("round %d: %v", round, err)
		}
		for _, found := range command.FindAllStringSubmatch(missing.Error(), -1) {
			for part := range strings.SplitSeq(found[1], " && ") {
				run(strings.Fields(part)[1:]...)
			}
		}
	}
	if !strings.Contains(m.said, "port "+management.PortName("one")) {
		t.Errorf("the controller's own port:\n%s", m.said)
	}
}

func TestManagementNetworkTakesNoDoubtfulObjects(t *testing.T) {
	t.Parallel()
	m := startManagement(t)
	stranger := m.client(DemoUser, DemoProject)
	stranger.Run("network", "create", "--tag", management.Tag, "lb-mgmt-net")
	m.options.Create = false
	if _, err := m.ensure(); err == nil || !strings.Contains(err.Error(), "no network of the service's project") {
		t.Errorf("a tenant's network was taken: %v", err)
	}
	m.options.Create = true
	r := m.must()
	run := m.service()

	run("security", "group", "rule", "create", "--protocol", "tcp", "--dst-port", "9443", r.AmphoraGroup)
	m.must()
	if !strings.Contains(m.said, "lets in IPv4 tcp 9443") || !strings.Contains(m.said, "openstack security group rule delete") {
		t.Errorf("a rule that lets somebody in:\n%s", m.said)
	}

	m.options.Host = "elsewhere"
	if _, err := m.ensure(); err == nil || !strings.Contains(err.Error(), `to host "elsewhere"`) || !strings.Contains(err.Error(), "--host") {
		t.Errorf("a host without an agent: %v", err)
	}
	m.options.Host = "localhost"
	if r := m.must(); r.Port.VIF != management.VIFBridge {
		t.Errorf("bound again: %+v", r.Port)
	}

	run("network", "create", "--tag", management.Tag, "another")
	if _, err := m.ensure(); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("2 objects of kind network have the tag %s", management.Tag)) {
		t.Errorf("two networks: %v", err)
	}
}
