package agent

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// What connections take at most: two sockets each and a pipe for every fourth, a buffer for each direction with what the
// kernel and HAProxy keep beside it.
const (
	descriptorsPerTwo  = 5
	bytesPerConnection = 40 << 10
	otherDescriptors   = 1000
	mostConnections    = 1_000_000
)

// connections tells how many connections the instance can carry with half of its memory, and raises the limit of open files
// for the programs that the agent starts to what that takes.
func connections() (int, error) {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return 0, fmt.Errorf("finding out how much memory there is: %w", err)
	}
	byMemory, files := afford(info.Totalram*uint64(info.Unit), mostFiles())
	limit := syscall.Rlimit{Cur: files, Max: files}
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
	return int(min(byMemory, carry(limit.Cur))), nil
}

// afford tells for how many connections half of the memory is enough, and how many files they open, of those that the
// kernel lets one process have.
func afford(memory, mostFiles uint64) (connections, files uint64) {
	connections = min(memory/2/bytesPerConnection, mostConnections)
	return connections, min((connections*descriptorsPerTwo+1)/2+otherDescriptors, mostFiles)
}

// carry tells for how many connections so many files are enough.
func carry(files uint64) uint64 {
	return (max(files, 2*otherDescriptors) - otherDescriptors) * 2 / descriptorsPerTwo
}

// mostFiles is what no limit can be above (fs.nr_open); the kernel refuses to set one that is.
func mostFiles() uint64 {
	const standard = 1 << 20
	text, err := os.ReadFile("/proc/sys/fs/nr_open")
	if err != nil {
		return standard
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return standard
	}
	return n
}
