package boot

import (
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// settings are kernel settings for the machine as a whole. What concerns the load balancer's traffic is per network
// namespace and the agent's.
var settings = map[string]string{
	"kernel/dmesg_restrict":            "1",
	"kernel/kptr_restrict":             "2",
	"kernel/unprivileged_bpf_disabled": "1",
	"kernel/yama/ptrace_scope":         "1",
	"kernel/sysrq":                     "0",
	"kernel/panic_on_oops":             "1", // with panic=10: a broken kernel restarts instead of limping on
	"fs/protected_symlinks":            "1",
	"fs/protected_hardlinks":           "1",
	"fs/nr_open":                       "4194304", // haproxy: two descriptors a connection
	"fs/file-max":                      "8388608",
}

func tuneKernel(log *slog.Logger) {
	for key, value := range settings {
		path := filepath.Join("/proc/sys", key)
		if err := os.WriteFile(path, []byte(value), 0o644); err != nil && !os.IsNotExist(err) {
			log.Warn("cannot change a kernel setting", "setting", key, "err", err)
		}
	}
}

func setHostname(name string) { _ = unix.Sethostname([]byte(name)) }

// restart and powerOff end the machine. Everything has been written before: only the state partition is ever written to.
func restart()  { end(unix.LINUX_REBOOT_CMD_RESTART) }
func powerOff() { end(unix.LINUX_REBOOT_CMD_POWER_OFF) }

func end(how int) {
	unix.Sync()
	_ = unix.Unmount(StateDir, 0)
	_ = unix.Reboot(how)
	select {}
}
