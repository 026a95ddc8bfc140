package proxy

import (
	"context"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/haproxy"
)

// scarce is the share of memory that is to be left: below it the oldest of the workers that only end their connections has to
// go. Each takes as much as the one that serves, and long connections keep them for long.
const scarce = 0.1

// relieve makes room for another worker.
func (p *Proxy) relieve(ctx context.Context) {
	for available() < scarce {
		answer, err := command(ctx, p.path(masterSocket), "show proc")
		if err != nil {
			return
		}
		oldest, ok := haproxy.ParseProcesses(answer).Oldest()
		if !ok {
			return
		}
		p.o.Logger.Warn("memory is scarce: connections from before an earlier change are ended", "process", oldest.PID)
		if err := unix.Kill(oldest.PID, unix.SIGTERM); err != nil {
			return
		}
		p.gone(ctx, oldest.PID)
	}
}

// gone waits until a worker has ended.
func (p *Proxy) gone(ctx context.Context, pid int) {
	fd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return
	}
	defer unix.Close(fd)
	_, _ = unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, 1000)
}

// available is the share of memory that could be had; 1 if that cannot be found out.
func available() float64 {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 1
	}
	values := map[string]float64{}
	for line := range strings.Lines(string(text)) {
		if f := strings.Fields(line); len(f) > 1 {
			values[f[0]], _ = strconv.ParseFloat(f[1], 64)
		}
	}
	if values["MemTotal:"] == 0 || values["MemAvailable:"] == 0 {
		return 1
	}
	return values["MemAvailable:"] / values["MemTotal:"]
}
