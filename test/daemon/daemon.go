// Package daemon runs the real servers that tests need: on free ports, with data in a temporary directory, as an
// unprivileged user. A server and its data are gone when the test binary ends in any way, also killed.
package daemon

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// Options say what to run.
type Options struct {
	Name     string // for errors
	Dir      string // the server's working directory; its output goes to the file log in it
	Command  []string
	Signal   string // ends the server: KILL, or what its program takes for a crash
	Identity *syscall.Credential
	Env      []string
}

// Daemon is a running server.
type Daemon struct {
	dir      string
	guardian *exec.Cmd
	leash    io.WriteCloser
}

// guardianScript ends the server and removes its directory when its standard input is closed, which the kernel does when
// the test binary is gone, whatever ended it. The line "keep" ends the server only.
const guardianScript = `
dir=$1; signal=$2; shift 2
"$@" </dev/null >>"$dir/log" 2>&1 &
pid=$!
read -r how
kill -s "$signal" "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
[ "$how" = keep ] || rm -rf "$dir"
`

// Start starts a server. It may not answer yet.
func Start(o Options) (*Daemon, error) {
	read, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer read.Close()
	d := &Daemon{dir: o.Dir, leash: write}
	d.guardian = exec.Command("/bin/sh", append([]string{"-c", guardianScript, "guardian", o.Dir, o.Signal}, o.Command...)...)
	d.guardian.Dir, d.guardian.Env, d.guardian.Stdin = o.Dir, o.Env, read
	d.guardian.SysProcAttr = &syscall.SysProcAttr{Credential: o.Identity, Setpgid: true}
	if err := d.guardian.Start(); err != nil {
		write.Close()
		return nil, fmt.Errorf("cannot start %s: %w", o.Name, err)
	}
	return d, nil
}

// Stop ends the server and keeps its data.
func (d *Daemon) Stop() error {
	if _, err := io.WriteString(d.leash, "keep\n"); err != nil {
		return err
	}
	defer d.leash.Close()
	return d.guardian.Wait()
}

// Close ends the server, if it was not stopped, and removes its data.
func (d *Daemon) Close() error {
	d.leash.Close()
	_ = d.guardian.Wait()
	return os.RemoveAll(d.dir)
}

// Log is what the server wrote, for errors.
func (d *Daemon) Log() string {
	log, _ := os.ReadFile(filepath.Join(d.dir, "log"))
	return string(log)
}

// FreePort is a TCP port that nobody listens on.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// Identity gives the directory to the first of the users that exists, for servers that refuse to run as root; nil and no
// error when this is not root.
func Identity(dir string, users ...string) (*syscall.Credential, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	for _, name := range users {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, os.Chown(dir, uid, gid)
	}
	return nil, fmt.Errorf("a server must not run as root, and none of the users %v exists", users)
}
