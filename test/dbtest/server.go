package dbtest

import (
	"database/sql"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

// Password is that of the user octavo, who owns every database.
const Password = "pa/ss:w@rd%"

// Server is a running database server.
type Server struct {
	name     string
	dir      string
	port     int
	command  []string // starts the server in the foreground
	signal   string   // ends it as a crash would, so that stopping is quick and recovery is exercised
	identity *syscall.Credential
	admin    func() (*sql.DB, error)
	create   []string // statements that make the database %s
	url      string   // with the port and the database's name

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

// Start starts a server that was stopped, on the same port with the same data, and waits until it answers.
func (s *Server) Start() error {
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	defer read.Close()
	args := append([]string{"-c", guardianScript, "guardian", s.dir, s.signal}, s.command...)
	s.guardian = exec.Command("/bin/sh", args...)
	s.guardian.Dir = s.dir
	s.guardian.Env = s.environment()
	s.guardian.Stdin = read
	s.guardian.SysProcAttr = &syscall.SysProcAttr{Credential: s.identity, Setpgid: true}
	if err := s.guardian.Start(); err != nil {
		write.Close()
		return fmt.Errorf("cannot start %s: %w", s.name, err)
	}
	s.leash = write
	return s.wait()
}

func (s *Server) wait() error {
	db, err := s.admin()
	if err != nil {
		return err
	}
	defer db.Close()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		if err = db.Ping(); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(filepath.Join(s.dir, "log"))
			return fmt.Errorf("%s does not answer: %w\n%s", s.name, err, log)
		}
	}
}

// Stop ends the server as a crash would and keeps its data.
func (s *Server) Stop() error {
	if _, err := io.WriteString(s.leash, "keep\n"); err != nil {
		return err
	}
	defer s.leash.Close()
	return s.guardian.Wait()
}

// Close ends the server and removes its data.
func (s *Server) Close() error {
	s.leash.Close()
	s.guardian.Wait()
	return os.RemoveAll(s.dir)
}

// discardAfter cleans up after a server that could not be started.
func (s *Server) discardAfter(err *error) {
	if *err == nil {
		return
	}
	if s.guardian != nil && s.leash != nil {
		s.leash.Close()
		s.guardian.Wait()
	}
	if s.dir != "" {
		os.RemoveAll(s.dir)
	}
}

// Dir is where the server keeps its data.
func (s *Server) Dir() string { return s.dir }

// NewDatabase makes an empty database and returns its URL.
func (s *Server) NewDatabase(name string) (string, error) {
	db, err := s.admin()
	if err != nil {
		return "", err
	}
	defer db.Close()
	for _, statement := range s.create {
		if _, err := db.Exec(fmt.Sprintf(statement, name)); err != nil {
			return "", fmt.Errorf("cannot make database %s in %s: %w", name, s.name, err)
		}
	}
	return fmt.Sprintf(s.url, s.port, name), nil
}

// prepare makes the directory and finds a port and the user to run as: database servers refuse to run as root.
func (s *Server) prepare(users ...string) error {
	var err error
	if s.dir, err = os.MkdirTemp("", "octavo-"+s.name+"-"); err != nil {
		return err
	}
	if s.port, err = freePort(); err != nil {
		return err
	}
	if os.Getuid() != 0 {
		return nil
	}
	for _, name := range append(users, "nobody") {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.Atoi(u.Uid)
		gid, _ := strconv.Atoi(u.Gid)
		s.identity = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return os.Chown(s.dir, uid, gid)
	}
	return fmt.Errorf("%s must not run as root, and no user %v exists", s.name, users)
}

func (s *Server) run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Dir = s.dir
	cmd.Env = s.environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.identity}
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", cmd, err, out)
	}
	return nil
}

// environment keeps temporary files apart from those of other servers that start at the same time: MariaDB's collide.
func (s *Server) environment() []string { return append(os.Environ(), "TMPDIR="+s.dir) }

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// find looks for a program on PATH and in the directories that match the patterns; the last match is the newest version.
func find(program string, patterns ...string) (string, error) {
	if path, err := exec.LookPath(program); err == nil {
		return path, nil
	}
	for _, pattern := range patterns {
		if found, _ := filepath.Glob(filepath.Join(pattern, program)); len(found) > 0 {
			return found[len(found)-1], nil
		}
	}
	return "", fmt.Errorf("%s is not installed; packaging/deps test installs it", program)
}
