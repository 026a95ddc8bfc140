package agent

import (
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// kept are the capabilities that the agent uses all its life: to set up the namespace (SYS_ADMIN, NET_ADMIN, NET_RAW for
// announcements and checks), to start HAProxy as another user (SETUID, SETGID), to get along with its files and processes
// (CHOWN, DAC_OVERRIDE, FOWNER, KILL), and to let keepalived speak in time however busy the machine is (SYS_NICE).
func kept() []uint {
	return []uint{
		unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_NET_RAW, unix.CAP_SETUID, unix.CAP_SETGID, unix.CAP_CHOWN,
		unix.CAP_DAC_OVERRIDE, unix.CAP_FOWNER, unix.CAP_KILL, unix.CAP_SYS_NICE,
	}
}

// dropPrivileges gives up all other capabilities, for the agent and for whatever it starts, and that programs can give them
// back. It fails with ENOTSUP in a binary that is linked with C.
func dropPrivileges() error {
	var keep [2]uint32
	for _, c := range kept() {
		keep[c/32] |= 1 << (c % 32)
	}
	for c := uint(0); c <= unix.CAP_LAST_CAP; c++ {
		if keep[c/32]&(1<<(c%32)) != 0 {
			continue
		}
		// An agent that took another one's place has it dropped already, and could not drop it any more.
		if has, _, e := syscall.RawSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_READ, uintptr(c), 0); e == 0 && has == 0 {
			continue
		}
		// EINVAL: this kernel has no such capability.
		if _, _, e := syscall.AllThreadsSyscall(unix.SYS_PRCTL, unix.PR_CAPBSET_DROP, uintptr(c), 0); e != 0 && e != unix.EINVAL {
			return fmt.Errorf("dropping capability %d: %w", c, e)
		}
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	data := [2]unix.CapUserData{{Effective: keep[0], Permitted: keep[0]}, {Effective: keep[1], Permitted: keep[1]}}
	if _, _, e := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&data)), 0); e != 0 {
		return fmt.Errorf("dropping capabilities: %w", e)
	}
	if _, _, e := syscall.AllThreadsSyscall6(unix.SYS_PRCTL, unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, 0); e != 0 {
		return fmt.Errorf("giving up that programs can gain privileges: %w", e)
	}
	return nil
}
