package plug

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// ensureInternal makes an internal port of the integration bridge. Its external ids are what the Open vSwitch agent, or
// OVN's controller, knows Neutron's port by.
func ensureInternal(ctx context.Context, p Port) (changed bool, err error) {
	link, err := find(p.Interface)
	if err != nil {
		return false, err
	}
	// The second type is what Open vSwitch's datapath in user space makes.
	if link != nil && link.Type() != "openvswitch" && link.Type() != "tuntap" {
		return false, fmt.Errorf("interface %s is there and is something else (%s): choose another name with --interface", p.Interface, link.Type())
	}
	wanted := map[string]string{"iface-id": p.ID, "attached-mac": p.MAC, "iface-status": "active", "skip_cleanup": "true"}
	changed = link == nil
	for key, value := range wanted {
		if have, err := vsctl(ctx, "--if-exists", "get", "Interface", p.Interface, "external_ids:"+key); err != nil || strings.Trim(have, `"`) != value {
			changed = true
		}
	}
	if have, err := vsctl(ctx, "--if-exists", "get", "Interface", p.Interface, "mtu_request"); err != nil || p.MTU > 0 && have != strconv.Itoa(p.MTU) {
		changed = true // which Open vSwitch would take back if the link alone were changed
	}
	if !changed {
		return false, nil
	}
	args := []string{"--may-exist", "add-port", Bridge, p.Interface, "--", "set", "Interface", p.Interface, "type=internal"}
	if p.MTU > 0 {
		args = append(args, "mtu_request="+strconv.Itoa(p.MTU))
	}
	for key, value := range wanted {
		args = append(args, fmt.Sprintf("external_ids:%s=%q", key, value))
	}
	if _, err := vsctl(ctx, args...); err != nil {
		return false, fmt.Errorf("cannot add %s to %s: %w", p.Interface, Bridge, err)
	}
	return true, nil
}

// vsctl returns when Open vSwitch has carried out what was asked.
func vsctl(ctx context.Context, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, "ovs-vsctl", append([]string{"--timeout=25"}, args...)...).Output()
	if errors.Is(err, exec.ErrNotFound) {
		return "", errors.New("ovs-vsctl is missing: install openvswitch-common")
	}
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("ovs-vsctl: %s", strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(out)), err
}
