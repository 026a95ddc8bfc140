// Package clitest runs Debian's openstack client in tests, against a cloud that the test serves.
package clitest

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// Client is the openstack command with somebody's credentials.
type Client struct {
	t   testing.TB
	env []string
}

// New makes a client for the identity service at authURL ("http://127.0.0.1:1234/identity/v3").
func New(t testing.TB, authURL, user, password, project string) *Client {
	return NewWith(t, "OS_AUTH_URL="+authURL, "OS_USERNAME="+user, "OS_PASSWORD="+password, "OS_PROJECT_NAME="+project,
		"OS_USER_DOMAIN_NAME=Default", "OS_PROJECT_DOMAIN_NAME=Default", "OS_AUTH_TYPE=password")
}

// NewWith makes a client with other OS_... variables.
func NewWith(t testing.TB, env ...string) *Client {
	base := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + t.TempDir(), "OS_IDENTITY_API_VERSION=3", "PYTHONWARNINGS=ignore"}
	return &Client{t, append(base, env...)}
}

// Try runs a command and answers what it wrote, and whether it succeeded.
func (c *Client) Try(args ...string) (stdout, stderr string, ok bool) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "openstack", args...)
	cmd.Env = c.env
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		c.t.Fatalf("cannot run the openstack client (Debian: python3-openstackclient): %v", err)
	}
	return out.String(), errs.String(), err == nil
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
