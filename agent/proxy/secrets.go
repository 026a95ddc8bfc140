package proxy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
)

// Directories of secrets, in Options.RunDir. Each secret is one file that is called by its digest; what HAProxy is told are
// links to them, so that a key is never copied and a renewed one replaces the old one at once.
const (
	secretDir = "secrets"
	storeDir  = secretDir + "/store"
	checkDir  = secretDir + "/check" // the links of a configuration that HAProxy has not accepted yet
)

// makeSecretDirectories makes sure that keys are in memory only, whatever the directory for the rest is on.
func (p *Proxy) makeSecretDirectories() error {
	dir := p.path(secretDir)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("making the directory for keys: %w", err)
	}
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return fmt.Errorf("looking at the directory for keys: %w", err)
	}
	if s.Type != unix.TMPFS_MAGIC && s.Type != unix.RAMFS_MAGIC {
		if err := unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=0750"); err != nil {
			return fmt.Errorf("making a directory in memory for keys: %w", err)
		}
	}
	for _, d := range []string{secretDir, storeDir, checkDir} {
		if err := os.MkdirAll(p.path(d), 0o750); err != nil {
			return fmt.Errorf("making the directory for keys: %w", err)
		}
		if err := os.Chown(p.path(d), 0, p.o.GID); err != nil {
			return fmt.Errorf("making the directory for keys: %w", err)
		}
	}
	return nil
}

// MissingSecrets lists the digests of those secrets of a state that were not stored yet.
func (p *Proxy) MissingSecrets(state *agentapi.State) []string {
	var missing []string
	for _, s := range state.Secrets {
		if _, err := os.Stat(p.stored(s.Digest)); err != nil && !slices.Contains(missing, s.Digest) {
			missing = append(missing, s.Digest)
		}
	}
	return missing
}

func (p *Proxy) stored(digest string) string {
	return filepath.Join(p.path(storeDir), filepath.Base(digest))
}

// StoreSecret keeps a secret, in memory, where HAProxy can read it. It fails if the secret is not what the digest says.
func (p *Proxy) StoreSecret(digest string, secret []byte) error {
	sum := sha256.Sum256(secret)
	if hex.EncodeToString(sum[:]) != digest {
		return fmt.Errorf("the controller sent another secret than that of digest %s", digest)
	}
	path := p.stored(digest)
	if err := os.WriteFile(path+"~", secret, 0o640); err != nil {
		return fmt.Errorf("storing a secret: %w", err)
	}
	if err := os.Chown(path+"~", 0, p.o.GID); err != nil {
		return fmt.Errorf("storing a secret: %w", err)
	}
	return os.Rename(path+"~", path)
}

// link points the names that a configuration uses to its secrets, and writes its lists, in one of the directories.
func (p *Proxy) link(config *haproxy.Config, dir string) error {
	for _, s := range config.Secrets {
		if err := p.linkOne(s, dir); err != nil {
			return fmt.Errorf("linking a secret: %w", err)
		}
	}
	return p.writeLists(config, dir)
}

func (p *Proxy) linkOne(s haproxy.Secret, dir string) error {
	path := filepath.Join(p.path(dir), s.Name)
	if err := os.Remove(path + "~"); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(p.stored(s.Digest), path+"~"); err != nil {
		return err
	}
	return os.Rename(path+"~", path)
}

// loaded tells whether HAProxy has the version of a secret that is wanted.
func (p *Proxy) loaded(s haproxy.Secret) bool {
	target, err := os.Readlink(filepath.Join(p.path(secretDir), s.Name))
	return err == nil && target == p.stored(s.Digest)
}

// renew gives HAProxy, at run time, those secrets that are newer than what it has loaded. A link is changed when HAProxy
// has accepted the secret, so that after a crash in between it is done again.
func (p *Proxy) renew(ctx context.Context, config *haproxy.Config) error {
	for _, s := range config.Secrets {
		if p.loaded(s) {
			continue
		}
		content, err := os.ReadFile(p.stored(s.Digest))
		if err != nil {
			return fmt.Errorf("reading a secret: %w", err)
		}
		if err := p.replace(ctx, s.Kind, filepath.Join(p.path(secretDir), s.Name), string(content)); err != nil {
			return err
		}
		if err := p.linkOne(s, secretDir); err != nil {
			return fmt.Errorf("linking a secret: %w", err)
		}
	}
	return nil
}

// replace is one transaction on HAProxy's socket. Its answers are not logged in full: they are about keys.
func (p *Proxy) replace(ctx context.Context, kind, path, content string) error {
	// An empty line would end the content.
	content = strings.ReplaceAll(strings.TrimSpace(content), "\n\n", "\n")
	socket := p.path(haproxy.StatsSocket)
	answer, err := command(ctx, socket, fmt.Sprintf("set ssl %s %s <<\n%s\n", kind, path, content))
	if err == nil && !strings.Contains(answer, "ransaction") {
		err = fmt.Errorf("HAProxy does not take a renewed %s at run time", kind)
	}
	if err == nil {
		answer, err = command(ctx, socket, fmt.Sprintf("commit ssl %s %s", kind, path))
		if err == nil && !strings.Contains(answer, "Success") {
			err = fmt.Errorf("HAProxy does not accept a renewed %s", kind)
		}
	}
	if err != nil {
		_, _ = command(ctx, socket, fmt.Sprintf("abort ssl %s %s", kind, path))
	}
	return err
}

// forget removes what the configuration in force does not use.
func (p *Proxy) forget(config *haproxy.Config) {
	keep := map[string]bool{filepath.Base(storeDir): true, filepath.Base(checkDir): true}
	stored := map[string]bool{}
	for _, s := range config.Secrets {
		keep[s.Name], stored[s.Digest] = true, true
	}
	for _, l := range config.Lists {
		keep[l.Name] = true
	}
	clear(p.path(secretDir), keep)
	clear(p.path(storeDir), stored)
	clear(p.path(checkDir), nil)
}

func clear(dir string, keep map[string]bool) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, e := range entries {
		if !keep[e.Name()] {
			_ = os.Remove(filepath.Join(dir, e.Name()))
		}
	}
}
