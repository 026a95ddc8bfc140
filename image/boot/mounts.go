package boot

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Nothing on a file system of our own making is a device, a set-user-id program or, but for the root, a program.
const (
	plain   = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	newRoot = "/newroot"
)

type mount struct {
	source, target, kind string
	flags                uintptr
	data                 string
}

func mountAll(mounts ...mount) error {
	for _, m := range mounts {
		if err := os.MkdirAll(m.target, 0o755); err != nil && !errors.Is(err, os.ErrExist) && !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("cannot mount %s: %w", m.target, err)
		}
		if err := unix.Mount(m.source, m.target, m.kind, m.flags, m.data); err != nil {
			return fmt.Errorf("cannot mount %s (%s) at %s: %w", m.source, m.kind, m.target, err)
		}
	}
	return nil
}

func mountKernelFilesystems() error {
	return mountAll(
		mount{"proc", "/proc", "proc", plain, ""},
		mount{"sysfs", "/sys", "sysfs", plain, ""},
		mount{"devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID | unix.MS_NOEXEC, "mode=0755"},
	)
}

// enterRoot makes the root file system of the image this process's root, and the kernel's own: file systems move along,
// and what the initial RAM disk occupied is freed.
func enterRoot(ctx context.Context, log *slog.Logger) error {
	disk, err := findDisk(ctx)
	if err != nil {
		return err
	}
	root, state := partition(disk, RootPartition), partition(disk, StatePartition)
	if err := mountAll(mount{root, newRoot, "squashfs", unix.MS_RDONLY | unix.MS_NODEV | unix.MS_NOSUID, ""}); err != nil {
		return err
	}
	if err := mountAll(mount{state, newRoot + StateDir, "ext4", plain | unix.MS_NOATIME, "errors=remount-ro"}); err != nil {
		// The agent serves from memory; after a reboot it cannot prove who it is, and the controller replaces the amphora.
		log.Error("no storage that outlives a reboot", "err", err)
		if err := mountAll(mount{"tmpfs", newRoot + StateDir, "tmpfs", plain, "mode=0700"}); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/proc", "/sys", "/dev"} {
		if err := unix.Mount(dir, newRoot+dir, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("cannot move %s to the root file system: %w", dir, err)
		}
	}
	if err := switchRoot(); err != nil {
		return err
	}
	return mountAll(
		mount{"tmpfs", "/run", "tmpfs", unix.MS_NOSUID | unix.MS_NODEV, "mode=0755"},
		mount{"tmpfs", "/tmp", "tmpfs", plain, "mode=1777,size=64m"},
	)
}

func switchRoot() error {
	for _, name := range []string{"/init", "/sbin", ModulesDir} {
		_ = os.RemoveAll(name) // only to free memory
	}
	if err := unix.Chdir(newRoot); err != nil {
		return fmt.Errorf("cannot enter the root file system: %w", err)
	}
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("cannot enter the root file system: %w", err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("cannot enter the root file system: %w", err)
	}
	// Namespaces are made below /run/netns by bind mounts that every process shall see.
	if err := unix.Mount("", "/", "", unix.MS_SHARED|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("cannot share mounts: %w", err)
	}
	return unix.Chdir("/")
}

// findDisk loads the drivers in the RAM disk and waits for the disk that the image was written to, whatever it is called
// here (vda, sda, nvme0n1).
func findDisk(ctx context.Context) (string, error) {
	drivers, err := openModules(ModulesDir)
	if err != nil {
		return "", err
	}
	if err := drivers.load("squashfs"); err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, diskTimeout)
	defer cancel()
	for {
		driverErr := drivers.loadForDevices()
		for _, disk := range blockDevices() {
			if signature(disk) == DiskSignature && partition(disk, StatePartition) != "" {
				return disk, nil
			}
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(fmt.Errorf("none of the disks %v carries this image", blockDevices()), driverErr)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func blockDevices() []string {
	var names []string
	entries, _ := os.ReadDir("/sys/block")
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// signature reads the disk signature of a PC partition table; 0 when there is none.
func signature(disk string) uint32 {
	device, err := os.Open("/dev/" + disk)
	if err != nil {
		return 0
	}
	defer device.Close()
	sector := make([]byte, 512)
	if _, err := device.ReadAt(sector, 0); err != nil || sector[510] != 0x55 || sector[511] != 0xaa {
		return 0
	}
	return binary.LittleEndian.Uint32(sector[440:])
}

// partition returns the device of a disk's partition; empty when the kernel does not know it (yet).
func partition(disk string, number int) string {
	files, _ := filepath.Glob("/sys/block/" + disk + "/" + disk + "*/partition")
	for _, file := range files {
		if readLine(file) == strconv.Itoa(number) {
			return "/dev/" + filepath.Base(filepath.Dir(file))
		}
	}
	return ""
}
