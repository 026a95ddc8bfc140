package identity

import (
	"crypto/sha256"
	"encoding/base64"

	"golang.org/x/crypto/bcrypt"
)

// digest makes a secret of any length fit into the 72 bytes that bcrypt looks at.
func digest(secret string) []byte {
	sum := sha256.Sum256([]byte(secret))
	return []byte(base64.StdEncoding.EncodeToString(sum[:]))
}

func (s *Service) hash(secret string) ([]byte, error) {
	return bcrypt.GenerateFromPassword(digest(secret), s.opts.HashCost)
}

// matches takes as long for a hash that does not exist (nil) as for one that does.
func (s *Service) matches(hash []byte, secret string) bool {
	if hash == nil {
		bcrypt.CompareHashAndPassword(s.decoy, digest(secret))
		return false
	}
	return bcrypt.CompareHashAndPassword(hash, digest(secret)) == nil
}
