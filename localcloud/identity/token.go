package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/localcloud/state"
)

// token is what a token's text says; its text is this, signed.
type token struct {
	User    string    `json:"u"`
	Project string    `json:"p,omitempty"`
	Methods []string  `json:"m"`
	AppCred string    `json:"a,omitempty"`
	Audit   []string  `json:"j"` // its own audit id, then that of the token it was made from
	Issued  time.Time `json:"i"`
	Expires time.Time `json:"e"`
}

func newAuditID() string {
	b := make([]byte, 16)
	rand.Read(b)
	return base64.RawURLEncoding.EncodeToString(b)
}

func (s *Service) seal(t token) (string, error) {
	body, err := json.Marshal(t)
	if err != nil {
		return "", err
	}
	text := base64.RawURLEncoding.EncodeToString(body)
	return text + "." + base64.RawURLEncoding.EncodeToString(s.sign(text)), nil
}

// open answers the token that we sealed, unless it has expired or was revoked.
func (s *Service) open(text string) (t token, ok bool) {
	body, signature, _ := strings.Cut(text, ".")
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	if err != nil || !hmac.Equal(mac, s.sign(body)) {
		return t, false
	}
	decoded, err := base64.RawURLEncoding.DecodeString(body)
	if err != nil || json.Unmarshal(decoded, &t) != nil {
		return t, false
	}
	return t, s.now().Before(t.Expires) && !s.revoked(t)
}

func (s *Service) revoked(t token) bool {
	return slices.ContainsFunc(t.Audit, func(id string) bool {
		_, err := state.Get[revocation](s.state, id)
		return err == nil
	})
}

func (s *Service) sign(text string) []byte {
	mac := hmac.New(sha256.New, s.key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}

// revoke makes a token invalid, and if a password was shown for it also all tokens that were made from it; it forgets
// revocations that have become pointless.
func (s *Service) revoke(t token) error {
	now := s.now()
	return s.state.Update(func(tx *state.Tx) error {
		for _, old := range state.List(tx, func(r *revocation) bool { return r.ExpiresAt.Before(now) }) {
			tx.Delete(old)
		}
		return tx.Put(revocation{t.Audit[0], t.Expires})
	})
}

// grant is what a token stands for now.
type grant struct {
	user    account
	project *Project // nil without scope
	roles   []Role
	appCred *appCredential
}

// grantOf looks up what the token allows; it is not ok when that is nothing any more.
func (s *Service) grantOf(t token) (g grant, ok bool) {
	user, err := state.Get[account](s.state, t.User)
	if err != nil || !user.Enabled || t.Issued.Before(user.ValidFrom) {
		return g, false
	}
	g.user = user
	if t.Project == "" {
		return g, true
	}
	project, err := state.Get[Project](s.state, t.Project)
	if err != nil || !project.Enabled {
		return g, false
	}
	g.project = &project
	g.roles = rolesOf(s.state, user.ID, project.ID)
	if t.AppCred != "" {
		cred, err := state.Get[appCredential](s.state, t.AppCred)
		if err != nil || s.expired(cred) {
			return g, false
		}
		g.appCred = &cred
		g.roles = slices.DeleteFunc(g.roles, func(r Role) bool { return !slices.Contains(cred.RoleIDs, r.ID) })
	}
	return g, len(g.roles) > 0
}

func (s *Service) expired(c appCredential) bool {
	return c.ExpiresAt != nil && !s.now().Before(*c.ExpiresAt)
}
