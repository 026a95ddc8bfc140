package compute

import (
	"net/http"

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
	key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(body.Keypair.PublicKey))
	if err != nil {
		return httpx.BadRequest("", "Invalid input for field/attribute public_key: a public key in OpenSSH's form is needed, this cloud makes none.")
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
	return httpx.Write(w, status, map[string]any{"keypair": k})
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
