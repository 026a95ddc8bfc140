package secrets

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/crypto/chacha20poly1305"
)

// ErrUnknownKey says that something was sealed with a key that the keyring does not hold: the key file of the controller
// that sealed it has to be copied to this one.
var ErrUnknownKey = errors.New("sealed with a key that is not in the key file")

// ErrTampered says that sealed bytes were changed, or sealed for another purpose.
var ErrTampered = errors.New("sealed bytes are damaged or belong elsewhere")

const (
	format    = 1 // first byte of everything sealed
	keyIDSize = 4
	header    = 1 + keyIDSize + chacha20poly1305.NonceSizeX
)

type key struct {
	id    [keyIDSize]byte // start of the key's SHA-256
	bytes []byte
}

// Keyring seals with its newest key and opens with any of its keys. It is safe for concurrent use.
type Keyring struct {
	path string
	keys []key // oldest first
}

// OpenKeyring reads the key file at path: one base64 key of 32 bytes per line, newest last, # starts a comment. If there
// is none it makes one, readable by its owner only. Several processes may do so at once; all get the same key.
func OpenKeyring(path string) (*Keyring, error) {
	if err := createKeyFile(path); err != nil {
		return nil, fmt.Errorf("cannot make key file %s: %w", path, err)
	}
	return ReadKeyring(path)
}

// ReadKeyring is OpenKeyring of a key file that must be there.
func ReadKeyring(path string) (*Keyring, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read key file: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return nil, fmt.Errorf("key file %s has mode %04o, others than its owner can reach it: chmod 600 it, and rotate the key if they did", path, mode)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read key file: %w", err)
	}
	keys, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("key file %s: %w", path, err)
	}
	return &Keyring{path: path, keys: keys}, nil
}

// RotateKeyFile appends a new key to the key file at path. What is sealed from then on needs it; what was sealed before
// still opens. Every controller needs the new file before the first of them is restarted with it.
func RotateKeyFile(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("cannot rotate key: %w", err)
	}
	if _, err := parseKeys(text); err != nil {
		return fmt.Errorf("key file %s: %w", path, err)
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		text = append(text, '\n')
	}
	temp, err := writeTemp(path, append(text, newKeyLine()...))
	if err != nil {
		return fmt.Errorf("cannot rotate key: %w", err)
	}
	if err := os.Rename(temp, path); err != nil {
		return errors.Join(fmt.Errorf("cannot rotate key: %w", err), os.Remove(temp))
	}
	return nil
}

// Seal encrypts plain for one purpose; Open wants the same purpose, so that sealed bytes cannot be moved to where they
// would mean something else.
func (k *Keyring) Seal(plain []byte, purpose string) ([]byte, error) {
	newest := k.keys[len(k.keys)-1]
	aead, err := chacha20poly1305.NewX(newest.bytes)
	if err != nil {
		return nil, fmt.Errorf("cannot seal: %w", err)
	}
	sealed := make([]byte, header, header+len(plain)+aead.Overhead())
	sealed[0] = format
	copy(sealed[1:], newest.id[:])
	nonce := sealed[1+keyIDSize : header]
	_, _ = rand.Read(nonce) // never fails
	return aead.Seal(sealed, nonce, plain, additional(sealed, purpose)), nil
}

// Open decrypts what Seal made. The error is ErrUnknownKey or ErrTampered, with what is needed to act on it.
func (k *Keyring) Open(sealed []byte, purpose string) ([]byte, error) {
	if len(sealed) < header || sealed[0] != format {
		return nil, fmt.Errorf("cannot open %s: %w", purpose, ErrTampered)
	}
	id := [keyIDSize]byte(sealed[1 : 1+keyIDSize])
	for _, candidate := range k.keys {
		if candidate.id != id {
			continue
		}
		aead, err := chacha20poly1305.NewX(candidate.bytes)
		if err != nil {
			return nil, fmt.Errorf("cannot open %s: %w", purpose, err)
		}
		plain, err := aead.Open(nil, sealed[1+keyIDSize:header], sealed[header:], additional(sealed, purpose))
		if err != nil {
			return nil, fmt.Errorf("cannot open %s: %w", purpose, ErrTampered)
		}
		return plain, nil
	}
	return nil, fmt.Errorf("cannot open %s: %w (key %s, file %s)", purpose, ErrUnknownKey, hex.EncodeToString(id[:]), k.path)
}

// Stale tells whether sealed was sealed with an older key than the newest, so that it can be sealed again.
func (k *Keyring) Stale(sealed []byte) bool {
	newest := k.keys[len(k.keys)-1]
	return len(sealed) < header || !bytes.Equal(sealed[1:1+keyIDSize], newest.id[:])
}

// additional binds the format, the key and the purpose to the encryption.
func additional(sealed []byte, purpose string) []byte {
	return append(bytes.Clone(sealed[:1+keyIDSize]), purpose...)
}

func parseKeys(text []byte) ([]key, error) {
	var keys []key
	for number, line := range strings.Split(string(text), "\n") {
		line, _, _ = strings.Cut(line, "#")
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		raw, err := base64.StdEncoding.DecodeString(line)
		if err != nil || len(raw) != chacha20poly1305.KeySize {
			return nil, fmt.Errorf("line %d is not a base64 key of %d bytes", number+1, chacha20poly1305.KeySize)
		}
		sum := sha256.Sum256(raw)
		keys = append(keys, key{id: [keyIDSize]byte(sum[:keyIDSize]), bytes: raw})
	}
	if len(keys) == 0 {
		return nil, errors.New("holds no key: restore it from a backup, or remove it for a new one, without which nothing sealed before can be opened")
	}
	return keys, nil
}

func newKeyLine() []byte {
	raw := make([]byte, chacha20poly1305.KeySize)
	_, _ = rand.Read(raw) // never fails
	return []byte(base64.StdEncoding.EncodeToString(raw) + "\n")
}

// createKeyFile makes the file appear complete or not at all: a link, unlike a rename, replaces nothing.
func createKeyFile(path string) error {
	if _, err := os.Lstat(path); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	temp, err := writeTemp(path, newKeyLine())
	if err != nil {
		return err
	}
	defer os.Remove(temp)
	if err := os.Link(temp, path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// writeTemp writes a file of mode 0600 beside path and returns its name.
func writeTemp(path string, content []byte) (string, error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".")
	if err != nil {
		return "", err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return "", errors.Join(err, os.Remove(f.Name()))
	}
	return f.Name(), nil
}
