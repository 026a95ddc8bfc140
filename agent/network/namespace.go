// Package network makes the network that an amphora's load balancer lives in: a namespace of its own, apart from the
// management interface, with the interfaces, addresses and routes of the wanted state.
package network

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// Directory is where ip-netns(8) looks for named namespaces, so that `ip netns exec` works in the amphora.
const Directory = "/run/netns"

// Namespace is a network namespace with a name. It lives on when the process that made it ends.
type Namespace struct {
	Name string
	file *os.File
}

// Open makes the namespace unless it exists.
func Open(name string) (*Namespace, error) {
	path := filepath.Join(Directory, name)
	if !isNamespace(path) {
		if err := create(path); err != nil {
			return nil, fmt.Errorf("making the network namespace %s: %w", name, err)
		}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the network namespace %s: %w", name, err)
	}
	return &Namespace{Name: name, file: file}, nil
}

// Close gives back the handle. The namespace stays.
func (n *Namespace) Close() error { return n.file.Close() }

func isNamespace(path string) bool {
	var s unix.Statfs_t
	return unix.Statfs(path, &s) == nil && s.Type == unix.NSFS_MAGIC
}

// create keeps a new namespace alive by mounting it on a file. A file without a mount is left of a crash or a reboot.
func create(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0)
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f.Close()
	return onThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount(fmt.Sprintf("/proc/self/task/%d/ns/net", unix.Gettid()), path, "", unix.MS_BIND, "")
	})
}

// Do calls f on a thread that is in the namespace. Processes that f starts, sockets that it opens and files of /proc/sys/net
// that it writes belong there.
func (n *Namespace) Do(f func() error) error {
	return onThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("entering the network namespace %s: %w", n.Name, err)
		}
		return f()
	})
}

// onThread calls f on a thread that ends afterwards, so that no other goroutine ever runs in the namespace by mistake.
func onThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked
		done <- f()
	}()
	return <-done
}

func (n *Namespace) netlink() (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(n.file.Fd()), unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("opening netlink in the network namespace %s: %w", n.Name, err)
	}
	return h, nil
}
