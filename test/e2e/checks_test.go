package e2e

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/ports"

	"github.com/octavo-lb/octavo/localcloud/fabric"
)

// served fails unless exactly these names answer over a few dozen requests.
func served(client *http.Client, url string, names ...string) error {
	seen := map[string]int{}
	for range 20 {
		body, err := get(client, url)
		if err != nil {
			return err
		}
		seen[body]++
	}
	for _, n := range names {
		if seen[n] == 0 {
			return fmt.Errorf("answered by %v, not by %s", seen, n)
		}
	}
	if len(seen) != len(names) {
		return fmt.Errorf("answered by %v, wanted %v only", seen, names)
	}
	return nil
}

// shows runs one openstack command and fails unless its output holds one of the two texts; two empty ones want no output.
func shows(o *octavo, command, want, or string) error {
	out, err := o.tryShell("openstack " + command)
	if err != nil {
		return err
	}
	out = strings.TrimSpace(out)
	switch {
	case want == "" && or == "":
		if out == "" {
			return nil
		}
	case strings.Contains(out, want), or != "" && strings.Contains(out, or):
		return nil
	}
	return fmt.Errorf("openstack %s printed %q", command, out)
}

// noLeftPorts fails while Neutron has a port that the service or an instance made.
func (o *octavo) noLeftPorts(t testing.TB) error {
	pages, err := ports.List(o.api(t, "octavo-admin").network, ports.ListOpts{}).AllPages(context.Background())
	if err != nil {
		return err
	}
	all, err := ports.ExtractPorts(pages)
	if err != nil {
		return err
	}
	for _, p := range all {
		if !slices.Contains([]string{"network:router_interface", "network:router_gateway", "octavo:host"}, p.DeviceOwner) {
			return fmt.Errorf("port %s %q of %s %s is left", p.ID, p.Name, p.DeviceOwner, p.DeviceID)
		}
	}
	return nil
}

// leftovers lists what the service has on the machine: namespaces, links, processes, mounts and files.
func (o *octavo) leftovers(t testing.TB) string {
	t.Helper()
	cmd := exec.Command("bash", "-c", `
ip netns list | grep "octavo-$tag-"
ip -o link show | grep "o$tag"
pgrep -af "$dir" | cut -c1-200
grep -E "octavo-$tag-|$dir" /proc/mounts
find "$dir" -mindepth 1
true`)
	cmd.Env = append(os.Environ(), "tag="+fabric.Tag(o.dir), "dir="+o.dir)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return string(out)
}

func isNotFound(err error) bool { return gophercloud.ResponseCodeIs(err, http.StatusNotFound) }
