package update_test

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/agent/update"
	"github.com/octavo-lb/octavo/agentapi"
)

// TestRefusedPrograms holds that an agent becomes nothing that its operator did not sign, whoever offers it.
func TestRefusedPrograms(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	_, stranger, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	const content = "#!/bin/sh\necho something else\n"
	sum := sha256.Sum256([]byte(content))
	noon := time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		name   string
		change func(p *agentapi.Program)
		signer ed25519.PrivateKey
		sent   string
		key    ed25519.PublicKey
		want   string
	}{
		{"of a stranger", nil, stranger, content, public, "its signature is not that of the key"},
		{"of another digest than was signed", func(p *agentapi.Program) { p.Digest = strings.Repeat("0", 64) }, nil, content, public, "its signature is not that of the key"},
		{"of another time than was signed", func(p *agentapi.Program) { p.Signed = noon.Add(time.Hour) }, nil, content, public, "its signature is not that of the key"},
		{"that was exchanged", nil, private, strings.Replace(content, "else", "evil", 1), public, "not what was signed"},
		{"that is longer", nil, private, content + "#", public, "not what was signed"},
		{"that is shorter", nil, private, content[1:], public, "not what was signed"},
		{"that is no agent", nil, private, content, public, "does not say that it is octavo-agent"},
		{"where there is no key", nil, private, content, nil, "made without a key"},
		{"older than what was taken last", func(p *agentapi.Program) { p.Signed = noon.Add(-time.Hour) }, private, content, public, "before the one that was taken last"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := agentapi.Program{Digest: hex.EncodeToString(sum[:]), Size: int64(len(content)), Version: "1", Signed: noon}
			if c.signer != nil && c.change != nil {
				c.change(&p)
			}
			if p.Sign(private); c.signer != nil {
				p.Sign(c.signer)
			} else {
				c.change(&p)
			}
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "program.json"), []byte(`{"digest": "x", "signed": "2026-01-02T11:30:00Z"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			u, err := update.New(update.Options{RunDir: filepath.Join(dir, "agent"), StateDir: dir, Key: c.key, Trial: time.Minute,
				Fetch: func(_ context.Context, _ string, to io.Writer) error {
					_, err := io.WriteString(to, c.sent)
					return err
				},
				Logger: slog.New(slog.DiscardHandler)})
			if err != nil {
				t.Fatal(err)
			}
			err = u.Become(t.Context(), &p, func() { t.Fatal("it becomes the program") })
			refused, why := u.Refused()
			if err == nil || !strings.Contains(err.Error(), c.want) || refused != p.Digest || why != err.Error() {
				t.Errorf("%v; it refused %s: %s", err, refused, why)
			}
		})
	}
}

// TestProgramThatCannotBeFetchedIsNotRefused holds that an outage of the controllers decides nothing.
func TestProgramThatCannotBeFetchedIsNotRefused(t *testing.T) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	u, err := update.New(update.Options{RunDir: filepath.Join(dir, "agent"), StateDir: dir, Key: public, Trial: time.Minute,
		Fetch: func(context.Context, string, io.Writer) error { return errors.New("nobody answers") }, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	p := agentapi.Program{Digest: strings.Repeat("a", 64), Size: 1, Version: "1", Signed: time.Now()}
	p.Sign(private)
	if err := u.Become(t.Context(), &p, nil); !errors.Is(err, update.ErrNotFetched) {
		t.Errorf("%v", err)
	}
	if refused, _ := u.Refused(); refused != "" {
		t.Errorf("it refused %s", refused)
	}
}
