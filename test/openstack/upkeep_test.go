package openstack

import (
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"
)

// checkUpkeep replaces the amphora by one of a newer image, and the agent in it by a newer program, under requests.
func (d *deployment) checkUpkeep(t *testing.T, _ string) {
	d.run(`octavo agent key operator.key
install -m 644 operator.key.pub /etc/octavia/operator.key.pub
printf '[octavo]\nagent_update_key = /etc/octavia/operator.key.pub\n' >/etc/octavia/octavia.conf.d/agent.conf
systemctl restart octavo
until openstack loadbalancer list >/dev/null; do sleep 1; done
mkdir -p overlay/usr/share/octavo && date >overlay/usr/share/octavo/built`)
	old := d.run("openstack --os-cloud admin loadbalancer amphora list -f value -c id")
	v := visit(t, d.run(`echo "http://$floating_ip/"`))

	out, took := d.timed(`export OS_CLOUD=admin
octavo image build --overlay overlay -o newer.qcow2 && octavo image upload newer.qcow2 && octavo image rollout`)
	t.Logf("a newer image:\n%s", out)
	d.onlyAnother(t, old)
	d.tell("a newer image, built, uploaded and rolled out: %.0f s", took.Seconds())

	out, took = d.timed(`CGO_ENABLED=0 go build -ldflags '-X main.version=newer' -o newer-agent ./cmd/octavo-agent
octavo agent update newer-agent --key operator.key
export OS_CLOUD=demo`)
	t.Logf("a newer agent:\n%s", out)
	if !strings.Contains(out, "1 load balancers done") {
		t.Errorf("octavo agent update:\n%s", out)
	}
	d.tell("a newer agent, built, uploaded and in force: %.0f s", took.Seconds())
	d.run("openstack loadbalancer set --wait --description updated lb1") // the new agent does what it is told
	d.tell("%s", v.end(t))
	d.run("rm -r operator.key operator.key.pub overlay newer.qcow2 newer.manifest.json newer-agent newer-agent.signed.json")
}

// timed runs a script that must succeed.
func (d *deployment) timed(script string) (string, time.Duration) {
	d.t.Helper()
	began := time.Now()
	return d.run(script), time.Since(began)
}

// visitor asks again and again, over a new connection each time.
type visitor struct {
	stop    chan struct{}
	ended   chan struct{}
	asked   int
	failed  []string
	longest time.Duration
}

func visit(t *testing.T, url string) *visitor {
	v := &visitor{stop: make(chan struct{}), ended: make(chan struct{})}
	client := &http.Client{Timeout: 15 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	go func() {
		defer close(v.ended)
		for {
			select {
			case <-v.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
			began := time.Now()
			v.asked++
			if err := answered(client, url); err != nil {
				v.failed = append(v.failed, err.Error())
			}
			v.longest = max(v.longest, time.Since(began))
		}
	}()
	t.Cleanup(func() { v.end(t) })
	return v
}

func answered(client *http.Client, url string) error {
	response, err := client.Get(url)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && (response.StatusCode != http.StatusOK || !regexp.MustCompile(`^web[12]\n$`).Match(body)) {
		err = fmt.Errorf("%s: %s", response.Status, body)
	}
	return err
}

// end tells how it went.
func (v *visitor) end(t *testing.T) string {
	select {
	case <-v.ended:
	default:
		close(v.stop)
		<-v.ended
		if len(v.failed) > 0 {
			t.Errorf("%d of %d requests failed: %s", len(v.failed), v.asked, strings.Join(v.failed[:min(5, len(v.failed))], "\n"))
		}
	}
	return fmt.Sprintf("meanwhile %d requests, %d of them failed, the longest took %.1f s", v.asked, len(v.failed), v.longest.Seconds())
}
