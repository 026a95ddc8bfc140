package app

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// unitName is the systemd unit that connects this machine to the management network at boot.
const unitName = "octavo-management-port.service"

const unit = `# Written by octavo configure-resources.
[Unit]
Description=This machine's port on the management network of Octavo
After=network-pre.target nftables.service openvswitch-switch.service ovs-vswitchd.service
Before=octavo.service

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=%s
Restart=on-failure
RestartSec=5

[Install]
WantedBy=multi-user.target
`

// writeUnit makes systemd run this program at boot, with the same configuration. It says so where there is no systemd.
func writeUnit(o ResourcesOptions) (changed bool, err error) {
	self, err := os.Executable()
	if err != nil {
		return false, err
	}
	command := []string{self, "configure-resources", "--plug"}
	if len(o.Config.Files) > 0 { // the first one tells where the port is kept
		path, err := filepath.Abs(o.Config.Files[0])
		if err != nil {
			return false, err
		}
		command = append(command, "--config-file", path)
	}
	if o.Units == "" {
		fmt.Fprintf(o.Out, "# there is no systemd here: run `%s` at each boot\n", strings.Join(command, " "))
		return false, nil
	}
	path := filepath.Join(o.Units, unitName)
	changed, err = writeIfNew(path, fmt.Appendf(nil, unit, strings.Join(command, " ")))
	if err != nil {
		return false, err
	}
	// What systemctl enable does, which also works in an image that is being built.
	wants := filepath.Join(o.Units, "multi-user.target.wants", unitName)
	if target, err := os.Readlink(wants); err == nil && target == path {
		return changed, nil
	}
	if err := os.MkdirAll(filepath.Dir(wants), 0o755); err != nil {
		return false, err
	}
	_ = os.Remove(wants)
	return true, os.Symlink(path, wants)
}

func removeUnit(units string) error {
	for _, path := range []string{filepath.Join(units, "multi-user.target.wants", unitName), filepath.Join(units, unitName)} {
		if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
			return err
		}
	}
	return nil
}
