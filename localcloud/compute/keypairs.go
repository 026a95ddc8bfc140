package compute

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/pem"
	"fmt"
	"net/http"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) listKeypairs(w http.ResponseWriter, _ *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	list := []any{}
	for _, k := range state.List(s.State, func(k *keypair) bool { return k.UserID == who.UserID }) {
		list = append(list, map[string]any{"keypair": k})
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"keypairs": list})
}

func (s *Service) createKeypair(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	var body struct {
		Keypair struct {
			Name      string `json:"name"`
			PublicKey string `json:"public_key"`
		} `json:"keypair"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	private := ""
	if body.Keypair.PublicKey == "" && !mv.AtLeast(2, 92) {
		var err error
		if private, body.Keypair.PublicKey, err = newKey(); err != nil {
			return fmt.Errorf("cannot make a key pair: %w", err)
		}
	}
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(body.Keypair.PublicKey))
	if err != nil {
		return httpx.BadRequest("", "Invalid input for field/attribute public_key: a public key in OpenSSH's form is needed.")
	}
	k := keypair{Name: body.Keypair.Name, UserID: who.UserID, PublicKey: body.Keypair.PublicKey,
		Fingerprint: ssh.FingerprintLegacyMD5(key), Type: "ssh", Created: s.Clock().UTC()}
	if k.Name == "" {
		return httpx.BadRequest("", "A key pair needs a name.")
	}
	err = s.State.Update(func(tx *state.Tx) error {
		if _, err := state.Get[keypair](tx, k.Key()); err == nil {
			return httpx.Conflict("", "Key pair '%s' already exists.", k.Name)
		}
		return tx.Put(k)
	})
	if err != nil {
		return err
	}
	status := http.StatusOK
	if mv.AtLeast(2, 2) {
		status = http.StatusCreated
	}
	if private != "" {
		return httpx.Write(w, status, map[string]any{"keypair": struct {
			keypair
			PrivateKey string `json:"private_key"`
		}{k, private}})
	}
	return httpx.Write(w, status, map[string]any{"keypair": k})
}

// newKey makes a key pair. The private key is given away once and kept nowhere.
func newKey() (private, public string, err error) {
	_, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return "", "", err
	}
	block, err := ssh.MarshalPrivateKey(key, "made by the cloud")
	if err != nil {
		return "", "", err
	}
	signer, err := ssh.NewSignerFromKey(key)
	if err != nil {
		return "", "", err
	}
	return string(pem.EncodeToMemory(block)), strings.TrimSpace(string(ssh.MarshalAuthorizedKey(signer.PublicKey()))), nil
}

func (s *Service) findKeypair(r *http.Request, who httpx.Caller) (keypair, error) {
	k, err := state.Get[keypair](s.State, keypair{UserID: who.UserID, Name: r.PathValue("name")}.Key())
	if err != nil {
		return k, httpx.NotFound("", "Keypair %s not found for user %s", r.PathValue("name"), who.UserID)
	}
	return k, nil
}

func (s *Service) showKeypair(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	k, err := s.findKeypair(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"keypair": k})
}

func (s *Service) deleteKeypair(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	k, err := s.findKeypair(r, who)
	if err != nil {
		return err
	}
	if err := s.State.Delete(k); err != nil {
		return err
	}
	if mv.AtLeast(2, 2) {
		return httpx.NoContent(w)
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}
