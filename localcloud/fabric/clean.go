package fabric

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Clean takes away everything that carries the tag: the instances' processes, the namespaces with all links and rules
// in them, and the host's links. It needs no data directory and no running cloud, and may be repeated.
func Clean(ctx context.Context, tag string) error {
	if err := killInstances(ctx, tag); err != nil {
		return err
	}
	host, err := hostNamespace()
	if err != nil {
		return err
	}
	defer host.Close()
	links, err := dump(host.LinkList)
	if err != nil {
		return fmt.Errorf("cannot list the host's links: %w", err)
	}
	for _, l := range links {
		if strings.HasPrefix(l.Attrs().Name, hostLinkPrefix(tag)) && l.Type() == "veth" {
			if err := host.removeLink(l.Attrs().Name); err != nil {
				return err
			}
		}
	}
	names, err := namespaces(namespacePrefix(tag))
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := RemoveNamespace(name); err != nil {
			return err
		}
	}
	return nil
}

// killInstances ends the first process of each instance, and with it all others of the instance. It is known by what no
// stranger has: it is the first process of a process namespace, in a network namespace with the cloud's tag.
func killInstances(ctx context.Context, tag string) error {
	names, err := namespaces(namespacePrefix(tag))
	if err != nil {
		return err
	}
	ours := map[string]bool{}
	for _, name := range names {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(netnsDir, name), &st); err == nil {
			ours[fmt.Sprintf("net:[%d]", st.Ino)] = true
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	for _, dir := range processes {
		isInstance := func() bool {
			ns, err := os.Readlink(dir + "/ns/net")
			return err == nil && ours[ns] && isFirst(dir)
		}
		if pid, err := strconv.Atoi(filepath.Base(dir)); err != nil || !isInstance() {
			continue
		} else if err := kill(ctx, pid, isInstance); err != nil {
			return fmt.Errorf("cannot end the instance with the process %d: %w", pid, err)
		}
	}
	return nil
}

// isFirst tells whether the process is the first of a process namespace below ours.
func isFirst(dir string) bool {
	status, err := os.ReadFile(dir + "/status")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(status), "\nNSpid:")
	line, _, _ := strings.Cut(rest, "\n")
	pids := strings.Fields(line)
	return len(pids) > 1 && pids[len(pids)-1] == "1"
}

// kill ends a process and waits until it has ended. From the pidfd on it is the same process all along, so it is asked
// then whether it is the right one.
func kill(ctx context.Context, pid int, right func() bool) error {
	fd, err := unix.PidfdOpen(pid, 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if !right() {
		return nil
	}
	if err := unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0); err != nil && !errors.Is(err, unix.ESRCH) {
		return err
	}
	for ctx.Err() == nil {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}, int((100 * time.Millisecond).Milliseconds()))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return err
		}
		if n == 1 {
			return nil
		}
	}
	return ctx.Err()
}
