package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestRefusals runs the program where it cannot work: each time one sentence, and an exit code that is not 0.
func TestRefusals(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "octavo-agent")
	if out, err := exec.Command("go", "build", "-o", binary, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	drive := t.TempDir()
	user := filepath.Join(drive, "openstack/latest")
	if err := os.MkdirAll(user, 0o755); err != nil {
		t.Fatal(err)
	}
	damaged := t.TempDir()
	if err := os.MkdirAll(filepath.Join(damaged, "openstack/latest"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(damaged, "openstack/latest/user_data"), []byte("#!/bin/sh"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, want string
		args       []string
		uid, code  int
	}{
		{"no root", "has to be started as root", nil, 65534, 1},
		{"no config drive", "no config drive", []string{"--config-drive", filepath.Join(drive, "none")}, 0, 1},
		{"damaged config drive", "cannot read " + damaged, []string{"--config-drive", damaged}, 0, 1},
		{"argument", `takes no arguments but flags, got "serve"`, []string{"serve"}, 0, 2},
		{"unknown flag", "flag provided but not defined", []string{"--listen", "x"}, 0, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := exec.Command(binary, c.args...)
			cmd.Dir = "/"
			if c.uid != 0 {
				if err := os.Chmod(filepath.Dir(binary), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.Chmod(filepath.Dir(filepath.Dir(binary)), 0o755); err != nil {
					t.Fatal(err)
				}
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(c.uid), Gid: uint32(c.uid)}}
			}
			out, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); err == nil || code != c.code || !strings.Contains(string(out), c.want) {
				t.Errorf("exit code %d, printed %q; want %d and %q", code, out, c.code, c.want)
			}
		})
	}
	t.Run("version", func(t *testing.T) {
		if out, err := exec.Command(binary, "--version").Output(); err != nil || !strings.HasPrefix(string(out), "octavo-agent ") {
			t.Errorf("%q %v", out, err)
		}
	})
}
