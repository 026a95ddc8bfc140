package agent

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// What connections take at most: two sockets each and a pipe for every fourth, a buffer for each direction with what the
// kernel and HAProxy keep beside it.
const (
	descriptorsPerTwo  = 5
	bytesPerConnection = 40 << 10
	otherDescriptors   = 1000
)

// connections tells how many connections the instance can carry with half of its memory, and raises the limit of open files
// for the programs that the agent starts to what that takes.
func connections() (int, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("finding out how much memory there is: %w", err)
	}
	byMemory := info.Totalram * uint64(info.Unit) / 2 / bytesPerConnection
	limit := syscall.Rlimit{Cur: byMemory*descriptorsPerTwo/2 + otherDescriptors}
	limit.Max = limit.Cur
	if syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		// In a container the limit may be fixed.
		if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return 0, fmt.Errorf("finding out how many files may be open: %w", err)
		}
		limit.Cur = limit.Max
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
			return 0, os.NewSyscallError("setrlimit", err)
		}
	}
	byFiles := (max(limit.Cur, 2*otherDescriptors) - otherDescriptors) * 2 / descriptorsPerTwo
	return int(min(byMemory, byFiles, 1_000_000)), nil
}
