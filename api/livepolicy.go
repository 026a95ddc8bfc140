package api

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/octavo-lb/octavo/policy"
)

// Enforcer decides what callers may do. A *policy.Enforcer is one whose rules stay, a *LivePolicy one whose rules an
// operator may change.
type Enforcer interface {
	Allows(action string, who policy.Caller, target policy.Target) bool
}

// PolicyFiles are where an operator's rules are: [oslo_policy] policy_file and policy_dirs. What is not there is no rule.
type PolicyFiles struct {
	File    string   // YAML or JSON
	Dirs    []string // each *.yaml, *.yml and *.json in them counts, in order of names, after File
	Options policy.Options
}

// LivePolicy follows changes of the files. Rules that cannot be read do not replace those in force.
type LivePolicy struct {
	files    PolicyFiles
	log      *slog.Logger
	current  atomic.Pointer[policy.Enforcer]
	snapshot string // of the files when they were read; used by one goroutine
	hurry    chan struct{}
}

// NewLivePolicy reads the files. The error names the file and the rule.
func NewLivePolicy(files PolicyFiles, log *slog.Logger) (*LivePolicy, error) {
	p := &LivePolicy{files: files, log: log, hurry: make(chan struct{}, 1)}
	if err := p.load(); err != nil {
		return nil, err
	}
	return p, nil
}

// Allows implements Enforcer.
func (p *LivePolicy) Allows(action string, who policy.Caller, target policy.Target) bool {
	return p.current.Load().Allows(action, who, target)
}

// Run looks for changes until ctx ends.
func (p *LivePolicy) Run(ctx context.Context, every time.Duration) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.hurry:
		case <-time.After(every):
		}
		if p.state() == p.snapshot {
			continue
		}
		if err := p.load(); err != nil {
			p.log.Error("the policy's files were changed and cannot be used: the rules before stay in force", "err", err)
		} else {
			p.log.Info("the policy's files were changed: the new rules are in force")
		}
	}
}

// Reload makes Run look for changes now.
func (p *LivePolicy) Reload() {
	select {
	case p.hurry <- struct{}{}:
	default: // it is about to look anyway
	}
}

func (p *LivePolicy) load() error {
	p.snapshot = p.state()
	rules := map[string]string{}
	for _, path := range p.paths() {
		data, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return fmt.Errorf("cannot read the policy: %w", err)
		}
		more, err := policy.Read(data)
		if err != nil {
			return fmt.Errorf("policy file %s: %w", path, err)
		}
		maps.Copy(rules, more)
	}
	e, err := policy.New(rules, p.files.Options)
	if err == nil {
		p.current.Store(e)
	}
	return err
}

func (p *LivePolicy) paths() []string {
	var paths []string
	if p.files.File != "" {
		paths = append(paths, p.files.File)
	}
	for _, dir := range p.files.Dirs {
		entries, _ := os.ReadDir(dir) // a directory that is not there has no files
		for _, e := range entries {
			if slices.Contains([]string{".yaml", ".yml", ".json"}, filepath.Ext(e.Name())) && !strings.HasPrefix(e.Name(), ".") {
				paths = append(paths, filepath.Join(dir, e.Name()))
			}
		}
	}
	return paths
}

// state tells apart whether any file changed.
func (p *LivePolicy) state() string {
	var b strings.Builder
	for _, path := range p.paths() {
		if info, err := os.Stat(path); err == nil {
			fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano())
		}
	}
	return b.String()
}
