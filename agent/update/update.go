// Package update replaces the agent's own program by one that its operator signed. What the agent has started serves on: the
// new program takes over HAProxy and keepalived as a restarted agent does. A program that does not report to a controller in
// time is ended, and the one of the image comes back.
package update

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// Options say where things are. What is in RunDir is gone after a reboot, which brings the image's program back.
type Options struct {
	RunDir   string // in memory, programs can be started from it
	StateDir string // outlives a reboot
	Key      ed25519.PublicKey
	// Trial is how long a new program may take until it has reported.
	Trial time.Duration
	// Fetch writes the program of that digest.
	Fetch  func(ctx context.Context, digest string, to io.Writer) error
	Logger *slog.Logger
}

// Updater is the agent's program.
type Updater struct {
	Options
	own string // digest of what runs

	mu      sync.Mutex
	refused string // digest of the wanted program that does not run
	failure string // why not
	trial   *trial // what this process is on; nil when it has proved itself
}

// trial is what is remembered of a program from its start until it has reported.
type trial struct {
	Digest string    `json:"digest"`
	Signed time.Time `json:"signed"`
}

// failed is a program that did not prove itself. It is not tried again before a reboot.
type failed struct {
	Digest string `json:"digest"`
	Why    string `json:"why"`
}

// New finds out what runs, and whether it runs because another program failed.
func New(o Options) (*Updater, error) {
	if err := os.MkdirAll(o.RunDir, 0o700); err != nil {
		return nil, fmt.Errorf("preparing for updates: %w", err)
	}
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		return nil, fmt.Errorf("reading the own program: %w", err)
	}
	defer self.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, self); err != nil {
		return nil, fmt.Errorf("reading the own program: %w", err)
	}
	u := &Updater{Options: o, own: hex.EncodeToString(sum.Sum(nil))}
	var t trial
	switch err := u.read(u.pending(), &t); {
	case err != nil:
	case t.Digest == u.own:
		u.trial = &t
	default:
		u.fail(t.Digest, "it ended before it had reported to a controller")
		_ = os.Remove(u.pending())
	}
	return u, nil
}

// Running is the digest of the program that runs.
func (u *Updater) Running() string { return u.own }

// Able tells whether there is a key to check programs with.
func (u *Updater) Able() bool { return len(u.Key) > 0 }

// Refused tells which wanted program does not run, and never will, and why; empty if there is none.
func (u *Updater) Refused() (digest, why string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.refused, u.failure
}

// ErrNotFetched is that a program could not be fetched: a controller may be away for a moment.
var ErrNotFetched = errors.New("the program could not be fetched")

// Confirm tells that this process has reported to a controller: it has proved itself.
func (u *Updater) Confirm() {
	u.mu.Lock()
	t := u.trial
	u.trial = nil
	u.mu.Unlock()
	if t == nil {
		return
	}
	if err := u.write(u.newest(), t); err != nil {
		u.Logger.Warn("an older program could be offered again", "err", err)
	}
	if err := os.Remove(u.pending()); err != nil {
		u.Logger.Error("the program that runs cannot be confirmed", "err", err)
		return
	}
	u.Logger.Info("this program is the agent from now on", "digest", u.own)
}

// Become makes this process the wanted program, and then does not return. It returns nil when that is what runs, and an
// error when it must not or cannot run, for good (Refused) unless it is ErrNotFetched. last is called right before the change.
func (u *Updater) Become(ctx context.Context, p *agentapi.Program, last func()) error {
	err := u.become(ctx, p, last)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.refused, u.failure = "", ""; err != nil && !errors.Is(err, ErrNotFetched) {
		u.refused, u.failure = p.Digest, err.Error()
	}
	return err
}

func (u *Updater) become(ctx context.Context, p *agentapi.Program, last func()) error {
	if p == nil || p.Digest == u.own {
		return nil
	}
	if err := u.admit(p); err != nil {
		return fmt.Errorf("the agent program %s is refused: %w", p.Version, err)
	}
	path := filepath.Join(u.RunDir, "octavo-agent")
	if err := u.place(ctx, p, path); err != nil {
		return fmt.Errorf("the agent program %s is refused: %w", p.Version, err)
	}
	if err := u.write(u.pending(), trial{p.Digest, p.Signed}); err != nil {
		return err
	}
	if err := u.startGuard(p.Digest); err != nil {
		_ = os.Remove(u.pending())
		return err
	}
	u.Logger.Info("becoming another program", "version", p.Version, "digest", p.Digest)
	last()
	err := syscall.Exec(path, os.Args, os.Environ())
	_ = os.Remove(u.pending())
	return fmt.Errorf("cannot start the agent program %s: %w", p.Version, err)
}

// admit judges what is said of a program, before any of it is fetched.
func (u *Updater) admit(p *agentapi.Program) error {
	if !u.Able() {
		return errors.New("this amphora was made without a key to check programs with: only its image can be replaced")
	}
	if err := p.Verify(u.Key); err != nil {
		return err
	}
	var f failed
	if u.read(u.failedFile(), &f) == nil && f.Digest == p.Digest {
		return fmt.Errorf("it was tried: %s", f.Why)
	}
	var newest trial
	if u.read(u.newest(), &newest) == nil && p.Signed.Before(newest.Signed) {
		return fmt.Errorf("it was signed on %s, before the one that was taken last", p.Signed.UTC().Format(time.RFC3339))
	}
	return nil
}

// place puts the program where it is started from, in one step and only if it is what was signed.
func (u *Updater) place(ctx context.Context, p *agentapi.Program, path string) error {
	part := path + ".part"
	defer os.Remove(part)
	file, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o700)
	if err != nil {
		return err
	}
	sum := sha256.New()
	bound := &limited{to: io.MultiWriter(file, sum), left: p.Size}
	err = errors.Join(u.Fetch(ctx, p.Digest, bound), file.Close())
	if err != nil && bound.left >= 0 {
		return fmt.Errorf("%w: %w", ErrNotFetched, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != p.Digest || bound.left != 0 {
		return fmt.Errorf("what was fetched is not what was signed: it has SHA-256 %s", got)
	}
	// A program for another machine is found out while this one still runs.
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	out, err := exec.CommandContext(ctx, part, "--version").CombinedOutput()
	if err != nil || !strings.HasPrefix(string(out), "octavo-agent ") {
		return fmt.Errorf("it does not say that it is octavo-agent: %v: %.100s", err, out)
	}
	return os.Rename(part, path)
}

// limited takes no more than was announced.
type limited struct {
	to   io.Writer
	left int64
}

func (l *limited) Write(b []byte) (int, error) {
	if l.left -= int64(len(b)); l.left < 0 {
		return 0, io.ErrShortWrite // it is longer than what was signed
	}
	return l.to.Write(b)
}

func (u *Updater) pending() string    { return filepath.Join(u.RunDir, "trial.json") }
func (u *Updater) failedFile() string { return filepath.Join(u.RunDir, "failed.json") }
func (u *Updater) newest() string     { return filepath.Join(u.StateDir, "program.json") }

func (u *Updater) fail(digest, why string) {
	u.Logger.Error("the program of the image is back: another one failed", "digest", digest, "err", why)
	if err := u.write(u.failedFile(), failed{digest, why}); err != nil {
		u.Logger.Error("it may be tried again", "err", err)
	}
}

func (u *Updater) read(path string, into any) error {
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		u.Logger.Warn("ignoring a damaged file", "err", err)
	}
	return err
}

func (u *Updater) write(path string, value any) error {
	text, err := json.Marshal(value)
	if err == nil {
		err = os.WriteFile(path+".new", text, 0o600)
	}
	if err == nil {
		err = os.Rename(path+".new", path)
	}
	if err != nil {
		return fmt.Errorf("storing what is known of a program: %w", err)
	}
	return nil
}
