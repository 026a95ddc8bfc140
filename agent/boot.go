package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
)

// bootFile is where the compute service puts what the controller passed as user data, on the config drive.
const bootFile = "openstack/latest/user_data"

// configDriveDevice is the config drive of a virtual machine.
const configDriveDevice = "/dev/disk/by-label/config-2"

// readBoot reads the boot file from the config drive, which it mounts unless somebody did already.
func readBoot(drive string) (agentapi.Boot, error) {
	var boot agentapi.Boot
	path := filepath.Join(drive, bootFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		if err := mountConfigDrive(drive); err != nil {
			return boot, err
		}
		text, err = os.ReadFile(path)
	}
	if err != nil {
		return boot, fmt.Errorf("cannot read the config drive: %w", err)
	}
	if err := json.Unmarshal(text, &boot); err != nil {
		return boot, fmt.Errorf("cannot read %s: %w", path, err)
	}
	return boot, nil
}

func mountConfigDrive(drive string) error {
	if _, err := os.Stat(configDriveDevice); err != nil {
		return fmt.Errorf("no config drive: there is neither %s nor %s", filepath.Join(drive, bootFile), configDriveDevice)
	}
	if err := os.MkdirAll(drive, 0o755); err != nil {
		return fmt.Errorf("cannot mount the config drive: %w", err)
	}
	if err := unix.Mount(configDriveDevice, drive, "iso9660", unix.MS_RDONLY|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount the config drive on %s: %w", drive, err)
	}
	return nil
}
