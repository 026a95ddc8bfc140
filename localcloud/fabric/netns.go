package fabric

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 keeps namespaces, so that `ip netns exec` works with ours.
const netnsDir = "/run/netns"

// Namespace is an open network namespace. Its Handle speaks netlink inside.
type Namespace struct {
	Name string
	*netlink.Handle
	file *os.File
}

// EnsureNamespace opens the named namespace and makes it first if there is none; fresh tells that it did.
func EnsureNamespace(name string) (ns *Namespace, fresh bool, err error) {
	path := filepath.Join(netnsDir, name)
	if !isNamespace(path) {
		if err := createNamespace(path); err != nil {
			return nil, false, fmt.Errorf("cannot make the network namespace %s: %w", name, err)
		}
		fresh = true
	}
	ns, err = OpenNamespace(name)
	return ns, fresh, err
}

// OpenNamespace opens the named namespace; the error is fs.ErrNotExist when there is none.
func OpenNamespace(name string) (*Namespace, error) {
	path := filepath.Join(netnsDir, name)
	if !isNamespace(path) {
		return nil, fmt.Errorf("network namespace %s: %w", name, os.ErrNotExist)
	}
	return openNamespace(name, path)
}

// hostNamespace is the one that this process lives in. It is asked of the thread, for /proc/self is the first thread, which
// Do may have taken elsewhere.
func hostNamespace() (*Namespace, error) {
	return openNamespace("the host", "/proc/thread-self/ns/net")
}

func openNamespace(name, path string) (*Namespace, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open the network namespace %s: %w", name, err)
	}
	handle, err := netlink.NewHandleAt(netns.NsHandle(file.Fd()), unix.NETLINK_ROUTE, unix.NETLINK_NETFILTER)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot open netlink in the network namespace %s: %w", name, err)
	}
	return &Namespace{Name: name, Handle: handle, file: file}, nil
}

// Close forgets the namespace, which goes on to exist.
func (n *Namespace) Close() {
	n.Handle.Close()
	n.file.Close()
}

// peer is the namespace as netlink names the place of a veth's other end.
func (n *Namespace) peer() netlink.NsFd { return netlink.NsFd(n.file.Fd()) }

// Do runs f on a thread that is in the namespace. Processes that f starts are in it too.
func (n *Namespace) Do(f func() error) error {
	return onOwnThread(func() error {
		if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
			return fmt.Errorf("cannot enter the network namespace %s: %w", n.Name, err)
		}
		return f()
	})
}

// onOwnThread runs f where it may change the thread's namespace; the thread comes back to its own or ends.
func onOwnThread(f func() error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		home, err := os.Open("/proc/thread-self/ns/net")
		if err != nil {
			runtime.UnlockOSThread()
			result <- err
			return
		}
		defer home.Close()
		err = f()
		if unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil {
			runtime.UnlockOSThread() // otherwise the thread ends with this goroutine
		}
		result <- err
	}()
	return <-result
}

func createNamespace(path string) error {
	if err := shareNetnsDir(); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDONLY|os.O_CREATE, 0o444)
	if err != nil {
		return err
	}
	file.Close()
	err = onOwnThread(func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			return err
		}
		return unix.Mount("/proc/thread-self/ns/net", path, "", unix.MS_BIND, "")
	})
	if err != nil {
		os.Remove(path)
	}
	return err
}

// shareNetnsDir does what `ip netns add` does first, under the same lock: with the directory a shared mount, a namespace
// that is deleted here is not kept alive by a copy of its mount in another mount namespace.
func shareNetnsDir() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return err
	}
	unlock, err := lockFile(netnsDir)
	if err != nil {
		return err
	}
	defer unlock()
	err = unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
	if !errors.Is(err, unix.EINVAL) {
		return err
	}
	if err := unix.Mount(netnsDir, netnsDir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return err
	}
	return unix.Mount("", netnsDir, "", unix.MS_SHARED|unix.MS_REC, "")
}

// lockFile waits for the file's lock, which ends with the process at the latest.
func lockFile(path string) (unlock func(), err error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		file.Close()
		return nil, fmt.Errorf("cannot lock %s: %w", path, err)
	}
	return func() { file.Close() }, nil
}

// isNamespace tells a namespace from the empty file that a kill between making the file and mounting leaves.
func isNamespace(path string) bool {
	var fs unix.Statfs_t
	return unix.Statfs(path, &fs) == nil && fs.Type == unix.NSFS_MAGIC
}

// RemoveNamespace unlinks the named namespace; it ends with the last process and open file in it. That there is none is
// no error.
func RemoveNamespace(name string) error {
	path := filepath.Join(netnsDir, name)
	for { // one mount on top of another is possible after two crashes
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil {
			break
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("cannot remove the network namespace %s: %w", name, err)
	}
	return nil
}

// namespaces lists those whose names begin with prefix.
func namespaces(prefix string) ([]string, error) {
	entries, err := os.ReadDir(netnsDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return slices.DeleteFunc(names, func(n string) bool { return !strings.HasPrefix(n, prefix) }), nil
}

// sysctl writes kernel parameters of the namespace; keys are paths below /proc/sys/net. A kernel without IPv6 needs none
// for it.
func (n *Namespace) sysctl(values ...map[string]string) error {
	return n.Do(func() error {
		for _, some := range values {
			for key, value := range some {
				err := os.WriteFile("/proc/sys/net/"+key, []byte(value), 0o644)
				if errors.Is(err, os.ErrNotExist) && strings.HasPrefix(key, "ipv6/") {
					continue
				}
				if err != nil {
					return fmt.Errorf("cannot set net/%s to %s in %s: %w", key, value, n.Name, err)
				}
			}
		}
		return nil
	})
}
