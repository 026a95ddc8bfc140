package agentapi

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"time"
)

// Program is an agent program that its operator signed. What Statement says of it is what the signature is of.
type Program struct {
	Digest    string    `json:"digest"` // hex SHA-256 of the file
	Size      int64     `json:"size"`
	Version   string    `json:"version"`
	Signed    time.Time `json:"signed"` // when: an agent takes none that was signed before the one that it took last
	Signature []byte    `json:"signature"`
}

// MaxProgram is how long a program may be.
const MaxProgram = 64 << 20

// CanUpdate is the capability of agents that have a key to check programs with.
const CanUpdate = "agent:update"

// Statement is what is signed. It begins with what it is, so that the signature can be of nothing else.
func (p *Program) Statement() []byte {
	return fmt.Appendf(nil, "octavo-agent program, version 1\nsha256 %s\nsize %d\nversion %q\nsigned %s\n",
		p.Digest, p.Size, p.Version, p.Signed.UTC().Format(time.RFC3339))
}

// Sign signs the program.
func (p *Program) Sign(key ed25519.PrivateKey) { p.Signature = ed25519.Sign(key, p.Statement()) }

// Verify fails unless the holder of the key signed the program.
func (p *Program) Verify(key ed25519.PublicKey) error {
	switch {
	case len(p.Digest) != 64 || p.Size <= 0 || p.Size > MaxProgram:
		return errors.New("it does not say which file it is")
	case !ed25519.Verify(key, p.Statement(), p.Signature):
		return errors.New("its signature is not that of the key that this amphora was given when it was made")
	}
	return nil
}

// ParseProgramKey reads a public key in base64.
func ParseProgramKey(text string) (ed25519.PublicKey, error) {
	key, err := base64.StdEncoding.DecodeString(text)
	if err != nil || len(key) != ed25519.PublicKeySize {
		return nil, errors.New("an Ed25519 public key in base64 was expected")
	}
	return key, nil
}
