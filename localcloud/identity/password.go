package identity

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"sync"

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

// matches takes as long for a hash that does not exist (nil) as for one that does. A secret that has matched does so at once
// from then on: a command line client shows its password with every command, and a hash is made to take long.
func (s *Service) matches(hash []byte, secret string) bool {
	if hash == nil {
		bcrypt.CompareHashAndPassword(s.decoy, digest(secret))
		return false
	}
	if s.matched.has(hash, secret) {
		return true
	}
	if bcrypt.CompareHashAndPassword(hash, digest(secret)) != nil {
		return false
	}
	s.matched.add(hash, secret)
	return true
}

// matches remembers pairs of a hash and its secret, in a form that tells neither without the process's own key.
type matches struct {
	key   []byte
	mu    sync.Mutex
	pairs map[[sha256.Size]byte]bool
}

// maxMatches is more than a small cloud has users and application credentials; beyond it, all are forgotten.
const maxMatches = 1000

func newMatches() *matches {
	m := &matches{key: make([]byte, sha256.Size), pairs: map[[sha256.Size]byte]bool{}}
	rand.Read(m.key)
	return m
}

func (m *matches) pair(hash []byte, secret string) [sha256.Size]byte {
	mac := hmac.New(sha256.New, m.key)
	mac.Write(digest(secret)) // of one length always
	mac.Write(hash)
	return [sha256.Size]byte(mac.Sum(nil))
}

func (m *matches) has(hash []byte, secret string) bool {
	pair := m.pair(hash, secret)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.pairs[pair]
}

func (m *matches) add(hash []byte, secret string) {
	pair := m.pair(hash, secret)
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.pairs) >= maxMatches {
		clear(m.pairs)
	}
	m.pairs[pair] = true
}
