package probe

import (
	"context"
	"net"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// dial connects a socket that is in the namespace. Only making it happens there: waiting takes no thread, of which
// thousands of checks would otherwise need one each.
func dial(ctx context.Context, ns Namespace, kind, protocol int, to netip.AddrPort) (net.Conn, error) {
	domain := unix.AF_INET
	if to.Addr().Is6() {
		domain = unix.AF_INET6
	}
	var file *os.File
	err := ns.Do(func() error {
		fd, err := unix.Socket(domain, kind|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, protocol)
		if err == nil {
			file = os.NewFile(uintptr(fd), "check")
		}
		return err
	})
	if err != nil {
		return nil, short(os.NewSyscallError("socket", err))
	}
	defer file.Close()
	deadline, _ := ctx.Deadline()
	if err := file.SetDeadline(deadline); err != nil {
		return nil, err
	}
	if err := connect(file, to); err != nil {
		return nil, short(err)
	}
	c, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	return c, c.SetDeadline(deadline)
}

// connect waits until the socket is connected or is not going to be.
func connect(file *os.File, to netip.AddrPort) error {
	raw, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Write(func(fd uintptr) bool {
		failed = unix.Connect(int(fd), sockaddr(to))
		return failed != unix.EINPROGRESS && failed != unix.EALREADY && failed != unix.EINTR
	})
	if err == nil && failed != unix.EISCONN {
		err = os.NewSyscallError("connect", failed)
	}
	return err
}

func sockaddr(to netip.AddrPort) unix.Sockaddr {
	if to.Addr().Is6() {
		return &unix.SockaddrInet6{Addr: to.Addr().As16(), Port: int(to.Port())}
	}
	return &unix.SockaddrInet4{Addr: to.Addr().As4(), Port: int(to.Port())}
}
