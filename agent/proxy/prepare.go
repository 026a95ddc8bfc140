package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"syscall"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/haproxy"
)

// Prepare writes the configuration for a state whose secrets are stored and, unless HAProxy runs one of the same structure,
// asks HAProxy whether it accepts it. Nothing is changed.
func (p *Proxy) Prepare(ctx context.Context, state *agentapi.State) (*haproxy.Config, error) {
	config, err := p.build(state, secretDir)
	if err != nil || !config.Serves() {
		return config, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config != nil && p.config.Digest == config.Digest && slices.Equal(p.config.Secrets, config.Secrets) {
		return config, nil
	}
	candidate := config
	if len(config.Secrets)+len(config.Lists) > 0 {
		if candidate, err = p.build(state, checkDir); err != nil {
			return nil, err
		}
		if err := p.link(candidate, checkDir); err != nil {
			return nil, err
		}
	}
	return config, p.check(ctx, candidate)
}

func (p *Proxy) build(state *agentapi.State, dir string) (*haproxy.Config, error) {
	config, err := haproxy.Build(state, haproxy.Environment{
		Version: p.version, RunDir: p.o.RunDir, SecretDir: p.path(dir), MaxConn: p.o.MaxConn,
	})
	if err != nil {
		return nil, fmt.Errorf("writing haproxy.cfg: %w", err)
	}
	return config, nil
}

// check asks HAProxy whether it accepts a configuration.
func (p *Proxy) check(ctx context.Context, config *haproxy.Config) error {
	candidate := p.path(configFile + ".new")
	if err := writeFile(candidate, config.Text); err != nil {
		return err
	}
	defer os.Remove(candidate)
	cmd := exec.CommandContext(ctx, p.o.Binary, "-c", "-f", candidate)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential()}
	if out, err := cmd.CombinedOutput(); err != nil {
		if text := complaints(string(out)); text != "" {
			err = errors.New(text)
		}
		return fmt.Errorf("HAProxy refuses the configuration: %w", err)
	}
	return nil
}

// writeFile replaces a file as a whole.
func writeFile(path, content string) error {
	next := path + "~"
	if err := os.WriteFile(next, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(next, path)
}
