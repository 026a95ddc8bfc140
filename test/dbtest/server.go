package dbtest

import (
	"database/sql"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/octavo-lb/octavo/test/daemon"
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

	daemon *daemon.Daemon // nil until it was started
}

// Start starts a server that was stopped, on the same port with the same data, and waits until it answers.
func (s *Server) Start() error {
	d, err := daemon.Start(daemon.Options{Name: s.name, Dir: s.dir, Command: s.command, Signal: s.signal, Identity: s.identity, Env: s.environment()})
	if err != nil {
		return err
	}
	s.daemon = d
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
			return fmt.Errorf("%s does not answer: %w\n%s", s.name, err, s.daemon.Log())
		}
	}
}

// Stop ends the server as a crash would and keeps its data.
func (s *Server) Stop() error {
	return s.daemon.Stop()
}

// Close ends the server and removes its data.
func (s *Server) Close() error { return s.daemon.Close() }

// discardAfter cleans up after a server that could not be started.
func (s *Server) discardAfter(err *error) {
	if *err == nil {
		return
	}
	if s.daemon != nil {
		s.daemon.Close()
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
	if s.port, err = daemon.FreePort(); err != nil {
		return err
	}
	s.identity, err = daemon.Identity(s.dir, append(users, "nobody")...)
	return err
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
