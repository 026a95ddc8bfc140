package firewall_test

import (
	"os/exec"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/agentapi/agentapitest"
	"github.com/octavo-lb/octavo/firewall"
)

// TestGolden reads each testdata/NAME.yaml, compares with NAME.nft what is written for it, and asks nft itself.
func TestGolden(t *testing.T) {
	agentapitest.Golden(t, ".nft", func(t *testing.T, input string) (string, func() (string, error)) {
		text := build(t, input).Text()
		return text, func() (string, error) { return judge(t, text) }
	})
}

// TestJudgeSaysNo proves that the judge of the other tests can refuse, and that it looks at what rules refer to.
func TestJudgeSaysNo(t *testing.T) {
	t.Parallel()
	text := build(t, udp).Text()
	broken := strings.Replace(text, "goto listener-l1-ip", "goto listener-l9-ip", 1)
	if broken == text {
		t.Fatalf("there is nothing to break in\n%s", text)
	}
	if out, err := judge(t, broken); err == nil {
		t.Errorf("nft accepts a rule that leads to no chain: %s", out)
	}
}

// udp is a listener with two members.
const udp = `
interfaces: [{mac: '02:00:00:00:00:64', vip: true, addresses: [10.0.0.50/24], gateway: [10.0.0.1]}]
vips: [{address: 10.0.0.100/24}]
listeners: [{id: l1, protocol: UDP, protocol_port: 53, default_pool_id: p1}]
pools: [{id: p1, protocol: UDP, lb_algorithm: ROUND_ROBIN}]
members:
  - {id: m1, pool_id: p1, address: 10.0.0.11, protocol_port: 53}
  - {id: m2, pool_id: p1, address: 10.0.0.12, protocol_port: 5353}
`

func build(t testing.TB, text string) *firewall.Ruleset {
	t.Helper()
	rules, err := firewall.Build(parse(t, text))
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

// parse reads a state, and beside it `down`, the ids of ill members, and `flows`, how many there are by listener and
// member.
func parse(t testing.TB, text string) (*agentapi.State, firewall.Seen) {
	t.Helper()
	state, err := agentapitest.State(text)
	if err != nil {
		t.Fatal(err)
	}
	var beside struct {
		Down  []string
		Flows map[string]map[string]int
	}
	if err := yaml.Unmarshal([]byte(text), &beside); err != nil {
		t.Fatal(err)
	}
	seen := firewall.Seen{Down: map[firewall.Member]bool{}, Flows: map[firewall.Path]int{}}
	for _, m := range state.Members {
		for _, id := range beside.Down {
			if id == m.ID {
				seen.Down[firewall.Member{Pool: m.PoolID, ID: id}] = true
			}
		}
	}
	for listener, members := range beside.Flows {
		for id, n := range members {
			seen.Flows[firewall.Path{Listener: listener, Member: id}] = n
		}
	}
	return state, seen
}

// judge asks nft whether the kernel would take the text. It runs in a network namespace of its own.
func judge(t testing.TB, text string) (string, error) {
	t.Helper()
	cmd := exec.Command("unshare", "-n", "nft", "-c", "-f", "-")
	cmd.Stdin = strings.NewReader(text)
	out, err := cmd.CombinedOutput()
	return string(out), err
}
