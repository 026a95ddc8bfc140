package instance

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

const (
	driveMount   = "/mnt/config"
	programMount = "/run/octavo-program"
	// diskMount is what survives a reboot, as a disk does: what programs know of themselves, such as an agent's identity.
	diskMount = "/var/lib"
)

// writable are the directories in which programs of an instance may write, to memory. What the machine has there is not
// seen.
var writable = []string{"/run", "/tmp", "/var/log", "/var/tmp", "/mnt", "/dev/shm"}

// mountAll makes the file system that the instance sees, and answers the program's command line in it.
func mountAll(s Spec) (program []string, err error) {
	// What is unmounted on the machine must not live on in here, and what is mounted in here must not be seen there.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SLAVE, ""); err != nil {
		return nil, fmt.Errorf("cannot separate the mounts: %w", err)
	}
	// Both may be below a directory that is about to be hidden.
	drive, err := openPath(filepath.Join(s.Dir, "drive"))
	if err != nil {
		return nil, err
	}
	defer drive.Close()
	disk, err := openDisk(s.Dir)
	if err != nil {
		return nil, err
	}
	defer disk.Close()
	program = append([]string{}, s.Program...)
	var binary *os.File
	if program[0] != WebProgram[0] {
		if program[0], err = exec.LookPath(program[0]); err != nil {
			return nil, fmt.Errorf("the image's program is missing: %w", err)
		}
		if binary, err = openPath(program[0]); err != nil {
			return nil, err
		}
		defer binary.Close()
	}
	hidden := existing(s.Hide)
	for _, dir := range hidden {
		if err := mountTmpfs(dir, "mode=0,size=0"); err != nil {
			return nil, err
		}
	}
	if err := readOnlyRoot(); err != nil {
		return nil, err
	}
	if err := mountEach(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(driveMount, 0o755); err != nil {
		return nil, err
	}
	if err := errors.Join(bind(drive, driveMount, unix.MS_RDONLY), bind(disk, diskMount, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC)); err != nil {
		return nil, err
	}
	if binary != nil {
		if err := os.WriteFile(programMount, nil, 0o755); err != nil {
			return nil, err
		}
		if err := bind(binary, programMount, unix.MS_RDONLY); err != nil {
			return nil, err
		}
		program[0] = programMount
	}
	return program, nil
}

func openPath(path string) (*os.File, error) {
	fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot open %s: %w", path, err)
	}
	return os.NewFile(uintptr(fd), path), nil
}

func existing(dirs []string) []string {
	var found []string
	for _, dir := range dirs {
		if info, err := os.Stat(dir); err == nil && info.IsDir() {
			found = append(found, dir)
		}
	}
	return found
}

// readOnlyRoot keeps the instance from writing to the machine's file system.
func readOnlyRoot() error {
	if err := unix.Mount("", "/", "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("cannot make the root file system read-only: %w", err)
	}
	return nil
}

func mountEach() error {
	// The machine's named network namespaces would be kept alive by the copies of their mounts in here.
	if err := unix.Unmount("/run/netns", unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return fmt.Errorf("cannot let go of the machine's network namespaces: %w", err)
	}
	for _, dir := range existing(writable) {
		if err := mountTmpfs(dir, "mode=755"); err != nil {
			return err
		}
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /proc: %w", err)
	}
	if err := unix.Mount("sysfs", "/sys", "sysfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("cannot mount /sys: %w", err)
	}
	return nil
}

func mountTmpfs(dir, options string) error {
	if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return fmt.Errorf("cannot mount an empty %s: %w", dir, err)
	}
	return nil
}

// openDisk opens the instance's disk, which it gets with its first boot.
func openDisk(dir string) (*os.File, error) {
	disk := filepath.Join(dir, "disk")
	if err := os.Mkdir(disk, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("cannot make the instance's disk: %w", err)
	}
	return openPath(disk)
}

// bind shows an opened file or directory at a path, where one must be already.
func bind(what *os.File, at string, flags uintptr) error {
	source := "/proc/self/fd/" + strconv.Itoa(int(what.Fd()))
	err := unix.Mount(source, at, "", unix.MS_BIND, "")
	if err == nil {
		err = unix.Mount("", at, "", unix.MS_BIND|unix.MS_REMOUNT|flags, "")
	}
	if err != nil {
		return fmt.Errorf("cannot show %s at %s: %w", what.Name(), at, err)
	}
	return nil
}
