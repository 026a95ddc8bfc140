// Package clitest runs Debian's openstack client in tests, against a cloud that the test serves. Most of such a command's
// time goes into reading Python modules, so commands here run in copies of a process that has read them; package test/e2e
// runs the command itself.
package clitest

import (
	"bufio"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed warm.py
var warm string

// process is the warm one. It ends when this one does, with its standard input.
type process struct {
	address string // an abstract socket
	stdin   io.Closer
}

var warmed = sync.OnceValues(func() (p process, err error) {
	name := fmt.Sprint("octavo-clitest-", os.Getpid())
	cmd := exec.Command("/usr/bin/python3", "-W", "ignore", "-c", warm, name)
	cmd.Stderr = os.Stderr
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		return p, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return p, err
	}
	if err := cmd.Start(); err != nil {
		return p, err
	}
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		return p, errors.Join(err, p.stdin.Close(), cmd.Wait())
	}
	p.address = "@" + name
	return p, nil
})

// Client is the openstack command with somebody's credentials.
type Client struct {
	t   testing.TB
	env map[string]string
}

// New makes a client for the identity service at authURL ("http://127.0.0.1:1234/identity/v3").
func New(t testing.TB, authURL, user, password, project string) *Client {
	return NewWith(t, "OS_AUTH_URL="+authURL, "OS_USERNAME="+user, "OS_PASSWORD="+password, "OS_PROJECT_NAME="+project,
		"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_AUTH_TYPE=password")
}

// NewWith makes a client with other OS_... variables.
func NewWith(t testing.TB, env ...string) *Client {
	c := &Client{t, map[string]string{"PATH": os.Getenv("PATH"), "HOME": t.TempDir(), "OS_IDENTITY_API_VERSION": "3"}}
	for _, variable := range env {
		name, value, _ := strings.Cut(variable, "=")
		c.env[name] = value
	}
	return c
}

// Try runs a command and answers what it wrote, and whether it succeeded.
func (c *Client) Try(args ...string) (stdout, stderr string, ok bool) {
	c.t.Helper()
	p, err := warmed()
	if err != nil {
		c.t.Fatalf("cannot run the openstack client (Debian: python3-openstackclient): %v", err)
	}
	answer, err := ask(p.address, request{args, c.env})
	if err != nil {
		c.t.Fatalf("openstack %s: %v", strings.Join(args, " "), err)
	}
	return answer.Stdout, answer.Stderr, answer.Code == 0
}

type request struct {
	Args []string          `json:"args"`
	Env  map[string]string `json:"env"`
}

type answer struct {
	Code           int
	Stdout, Stderr string
}

func ask(address string, q request) (a answer, err error) {
	connection, err := net.Dial("unix", address)
	if err != nil {
		return a, err
	}
	defer connection.Close()
	if err := connection.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		return a, err
	}
	if err := json.NewEncoder(connection).Encode(q); err != nil { // a line
		return a, err
	}
	raw, err := io.ReadAll(connection)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(raw, &a)
}

// Run runs a command that must succeed and answers its output.
func (c *Client) Run(args ...string) string {
	c.t.Helper()
	out, errs, ok := c.Try(args...)
	if !ok {
		c.t.Fatalf("openstack %s: %s%s", strings.Join(args, " "), out, errs)
	}
	return strings.TrimSpace(out)
}

// Value answers one column of a command's only row.
func (c *Client) Value(column string, args ...string) string {
	c.t.Helper()
	return c.Run(append(args, "-f", "value", "-c", column)...)
}

// Rows answers a list command's rows.
func (c *Client) Rows(args ...string) []map[string]any {
	c.t.Helper()
	var rows []map[string]any
	out := c.Run(append(args, "-f", "json")...)
	if err := json.Unmarshal([]byte(out), &rows); err != nil {
		c.t.Fatalf("openstack %s answers %s", strings.Join(args, " "), out)
	}
	return rows
}

// Names answers a column of a list command, sorted as it came and joined by blanks.
func (c *Client) Names(args ...string) string {
	c.t.Helper()
	var names []string
	for _, row := range c.Rows(args...) {
		name, _ := row["Name"].(string)
		names = append(names, name)
	}
	return strings.Join(names, " ")
}

// Refused runs a command that must fail with all of these words in its error.
func (c *Client) Refused(words string, args ...string) {
	c.t.Helper()
	out, errs, ok := c.Try(args...)
	if ok || !strings.Contains(errs, words) {
		c.t.Errorf("openstack %s: success %v: %s%s, want an error with %q", strings.Join(args, " "), ok, out, errs, words)
	}
}
