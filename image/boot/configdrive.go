package boot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// ConfigDriveLabel is the volume label by which OpenStack marks the drive.
const ConfigDriveLabel = "config-2"

// findConfigDrive waits for the drive, mounts it and returns its device.
func findConfigDrive(ctx context.Context, drivers *modules) (string, error) {
	for {
		for _, name := range blockDevices() {
			device := "/dev/" + name
			kind, found := configDriveKind(device)
			if !found {
				continue
			}
			if err := drivers.load("fs-" + kind); err != nil {
				return "", err
			}
			return device, mountAll(mount{device, ConfigDrive, kind, plain | unix.MS_RDONLY, ""})
		}
		select {
		case <-ctx.Done():
			return "", fmt.Errorf("none of the drives %v is labelled %s", blockDevices(), ConfigDriveLabel)
		case <-time.After(10 * time.Millisecond):
		}
		// A CD-ROM shows up some time after its controller's driver was loaded.
		if err := drivers.loadForDevices(); err != nil {
			return "", err
		}
	}
}

// configDriveKind tells whether a device holds a config drive, and in which of the two formats that Nova writes.
func configDriveKind(device string) (string, bool) {
	file, err := os.Open(device)
	if err != nil {
		return "", false
	}
	defer file.Close()
	// The volume descriptor of ISO 9660, in its 16th sector of 2048 bytes: "CD001" at 1, the label at 40.
	descriptor := make([]byte, 2048)
	if _, err := file.ReadAt(descriptor, 16*2048); err == nil && string(descriptor[1:6]) == "CD001" {
		return "iso9660", isLabel(descriptor[40:72])
	}
	// The boot sector of a FAT file system: the label is at 43 (FAT12, FAT16) or 71 (FAT32).
	if _, err := file.ReadAt(descriptor[:512], 0); err != nil {
		return "", false
	}
	return "vfat", isLabel(descriptor[43:54]) || isLabel(descriptor[71:82])
}

func isLabel(field []byte) bool {
	return strings.EqualFold(string(bytes.TrimRight(field, " \x00")), ConfigDriveLabel)
}

// readNetworkData reads the description of the instance's interfaces from a mounted config drive.
func readNetworkData(dir string) (networkData, error) {
	var data networkData
	text, err := os.ReadFile(dir + "/openstack/latest/network_data.json")
	if err != nil {
		return data, err
	}
	if err := json.Unmarshal(text, &data); err != nil {
		return data, fmt.Errorf("network_data.json: %w", err)
	}
	if len(data.Links) == 0 {
		return data, errors.New("network_data.json names no interface")
	}
	return data, nil
}

func readHostname(dir string) string {
	var meta struct {
		Hostname string `json:"hostname"`
		Name     string `json:"name"`
	}
	text, err := os.ReadFile(dir + "/openstack/latest/meta_data.json")
	if err != nil || json.Unmarshal(text, &meta) != nil {
		return ""
	}
	if meta.Hostname == "" {
		return meta.Name
	}
	host, _, _ := strings.Cut(meta.Hostname, ".")
	return host
}
