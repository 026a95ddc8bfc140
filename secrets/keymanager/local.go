package keymanager

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"regexp"

	"github.com/octavo-lb/octavo/secrets/certs"
)

// Local fetches from a directory of this machine, as Octavia's local_cert_manager keeps certificates: ID.crt, ID.key,
// ID.int and ID.pass. Whoever can name an id can use it: it is for tests and single machines.
type Local struct {
	root *os.Root
}

// OpenLocal opens the directory.
func OpenLocal(dir string) (*Local, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("cannot open the directory of certificates: %w", err)
	}
	return &Local{root}, nil
}

// Close closes the directory.
func (l *Local) Close() error { return l.root.Close() }

var localID = regexp.MustCompile(`^[0-9a-fA-F-]{36}$`)

// Certificate reads a certificate with its key. Errors are as with Barbican.Certificate.
func (l *Local) Certificate(_ context.Context, ref string) (Material, error) {
	var parts certs.Parts
	for suffix, into := range map[string]*[]byte{".crt": &parts.Certificate, ".key": &parts.PrivateKey, ".int": &parts.Intermediates, ".pass": &parts.Passphrase} {
		content, err := l.read(ref, suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return Material{}, err
		}
		*into = content
	}
	c, err := certs.FromParts(parts)
	if err != nil {
		return Material{}, unusable(ref, "%v", err)
	}
	return certificate(c)
}

// Authorities reads certificates that others are checked against.
func (l *Local) Authorities(_ context.Context, ref string) (Material, error) {
	return l.text(ref, certs.Authorities)
}

// Revocations reads revocation lists.
func (l *Local) Revocations(_ context.Context, ref string) (Material, error) {
	return l.text(ref, certs.Revocations)
}

func (l *Local) text(ref string, parse func([]byte) ([]byte, error)) (Material, error) {
	content, err := l.read(ref, ".crt")
	if errors.Is(err, fs.ErrNotExist) {
		return Material{}, unusable(ref, "there is no such file")
	}
	if err != nil {
		return Material{}, err
	}
	text, err := parse(content)
	if err != nil {
		return Material{}, unusable(ref, "%v", err)
	}
	return material(text), nil
}

func (l *Local) read(ref, suffix string) ([]byte, error) {
	if !localID.MatchString(ref) {
		return nil, unusable(ref, "it is not the id of a certificate")
	}
	f, err := l.root.Open(ref + suffix)
	if err != nil {
		return nil, fmt.Errorf("cannot read a certificate: %w", err)
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxPayload))
}

// Grant has nothing to do: a directory asks nobody.
func (l *Local) Grant(context.Context, Caller, string) error { return nil }
