package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"github.com/octavo-lb/octavo/localcloud/fabric"
)

// programs are what a standalone service runs, with the Debian package that each comes from.
var programs = []struct{ name, pkg string }{
	{"haproxy", "haproxy"}, {"keepalived", "keepalived"}, {"ip", "iproute2"}, {"nft", "nftables"},
}

// preflight finds out, before anything is changed, whether a standalone service can run here. Every error is one sentence
// that says what to do.
func preflight() error {
	if os.Geteuid() != 0 {
		return errors.New("octavo standalone builds network namespaces and must be run as root: try sudo")
	}
	for _, p := range programs {
		if _, err := lookPath(p.name); err != nil {
			return fmt.Errorf("%s is not installed: run `apt install %s`, or `make run`, which installs all that is missing", p.name, p.pkg)
		}
	}
	return nil
}

// lookPath finds a program also where root's PATH may not lead.
func lookPath(name string) (string, error) {
	path, err := exec.LookPath(name)
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if err == nil {
			break
		}
		path, err = exec.LookPath(filepath.Join(dir, name))
	}
	return path, err
}

// listen opens the API's socket first of all, so that a port in use is found before anything is started.
func listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another program listens on %s already: stop it, or choose another address with --listen", address)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot listen on %s (%w): choose an address of this machine with --listen ADDR:PORT", address, err)
	}
	return l, nil
}

// dataDir is a data directory that this process alone uses.
type dataDir struct {
	path string
	lock *os.File
}

// openDataDir makes the directory if need be and locks it until close.
func openDataDir(path string) (*dataDir, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, fmt.Errorf("cannot use %s as data directory (%w): choose another with --data-dir", path, err)
	}
	lock, err := os.OpenFile(filepath.Join(path, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot write to the data directory %s (%w): choose another with --data-dir", path, err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("another octavo runs with the data directory %s: stop it, or choose another with --data-dir", path)
	}
	return &dataDir{path, lock}, nil
}

func (d *dataDir) file(name string) string { return filepath.Join(d.path, name) }

// tag is in the names of all that this data directory's cloud has on the machine.
func (d *dataDir) tag() string { return fabric.Tag(d.path) }

// wipe takes away everything that a standalone service made: on the machine first, then its data.
func (d *dataDir) wipe(ctx context.Context) error {
	if err := fabric.Clean(ctx, d.tag()); err != nil {
		return fmt.Errorf("cannot take everything off the machine: %w", err)
	}
	files, err := filepath.Glob(d.file("octavo.*"))
	if err != nil {
		return err
	}
	var errs []error
	for _, path := range append(files, d.file("cloud"), d.file("clouds.yaml"), d.file("credentials.json")) {
		errs = append(errs, os.RemoveAll(path))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	_ = os.Remove(d.file("lock"))
	_ = os.Remove(d.path) // which fails, as it should, when somebody else keeps something there
	return nil
}

func (d *dataDir) close() { d.lock.Close() }
