package controller

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
)

// identity is the amphora's key, and its certificate once it has one. The key is made here and never leaves the instance.
type identity struct {
	AmphoraID string               `json:"amphora_id"`
	Key       []byte               `json:"key"` // PKCS #8
	Issued    agentapi.Certificate `json:"issued"`

	key  *ecdsa.PrivateKey
	leaf *x509.Certificate
}

const identityFile = "identity.json"

// loadIdentity reads the identity, or makes a key and stores it: the key must be on disk before it is certified, because
// the token works for one key only.
func loadIdentity(dir string, boot agentapi.Boot) (*identity, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory of the amphora's identity: %w", err)
	}
	text, err := os.ReadFile(filepath.Join(dir, identityFile))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the amphora's identity: %w", err)
	}
	if err == nil {
		id := new(identity)
		// A damaged file is as good as none, and one of another amphora was copied with the disk.
		if json.Unmarshal(text, id) == nil && id.parse() == nil && id.AmphoraID == boot.AmphoraID {
			return id, nil
		}
	}
	id, err := newIdentity(boot.AmphoraID, boot.Trust)
	if err != nil {
		return nil, err
	}
	return id, id.save(dir)
}

func newIdentity(amphora string, trust agentapi.Trust) (*identity, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the amphora's key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("writing the amphora's key: %w", err)
	}
	return &identity{AmphoraID: amphora, Key: der, Issued: agentapi.Certificate{Trust: trust}, key: key}, nil
}

func (id *identity) parse() error {
	parsed, err := x509.ParsePKCS8PrivateKey(id.Key)
	if err != nil {
		return fmt.Errorf("reading the amphora's key: %w", err)
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok {
		return fmt.Errorf("the amphora's key is a %T", parsed)
	}
	id.key = key
	if id.Issued.Certificate == "" {
		return nil
	}
	block, _ := pem.Decode([]byte(id.Issued.Certificate))
	if block == nil {
		return errors.New("the amphora's certificate is not PEM")
	}
	if id.leaf, err = x509.ParseCertificate(block.Bytes); err != nil {
		return fmt.Errorf("reading the amphora's certificate: %w", err)
	}
	if !key.PublicKey.Equal(id.leaf.PublicKey) {
		return errors.New("the amphora's certificate is not for its key")
	}
	return nil
}

// save replaces the file as a whole, so that a crash leaves the old or the new one.
func (id *identity) save(dir string) error {
	text, err := json.Marshal(id)
	if err != nil {
		return fmt.Errorf("writing the amphora's identity: %w", err)
	}
	return writeFile(filepath.Join(dir, identityFile), text)
}

func writeFile(path string, content []byte) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	_, err = f.Write(content)
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(next, path)
}

func (id *identity) csr() (string, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, id.key)
	if err != nil {
		return "", fmt.Errorf("asking for a certificate: %w", err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der})), nil
}

// certified tells whether there is a certificate that can be used at that time.
func (id *identity) certified(now time.Time) bool {
	return id.leaf != nil && now.Before(id.leaf.NotAfter)
}

// tls verifies by the amphora's trust in place of the standard library's way, which knows one set of CAs with one name.
func (id *identity) tls(serverName string, now func() time.Time) (*tls.Config, error) {
	trust := id.Issued.Trust
	if err := trust.Check(); err != nil {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: trust.SNI(serverName), InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error { return trust.Verify(s.PeerCertificates, serverName, now()) }}
	if id.leaf != nil {
		config.Certificates = []tls.Certificate{{Certificate: chain(id.Issued.Certificate), PrivateKey: id.key, Leaf: id.leaf}}
	}
	return config, nil
}

func chain(bundle string) [][]byte {
	var ders [][]byte
	for rest := []byte(bundle); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return ders
		}
		ders = append(ders, block.Bytes)
	}
}
