package ca

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/secrets"
)

// EnrolToken is what an instance proves itself with once (agentapi.Boot.Token), and what is stored of it. It depends on
// the amphora and the expiry alone, in seconds: a worker that is killed while it makes the server makes the same token
// when it goes on, whether or not the server got the first one.
func (a *Authorities) EnrolToken(amphoraID string, expiry time.Time) (token secrets.Secret, hash string) {
	a.mu.RLock()
	mac := hmac.New(sha256.New, a.tokenKey)
	a.mu.RUnlock()
	mac.Write([]byte("octavo enrolment\x00" + amphoraID + "\x00"))
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(expiry.Unix())))
	text := amphoraID + "." + base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	return secrets.New(text), HashToken(text)
}

// HashToken is the form in which a token is stored.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// TokenAmphora returns the amphora that a token claims to be for. Only TokenMatches tells whether that is true.
func TokenAmphora(token string) (string, error) {
	id, _, found := strings.Cut(token, ".")
	if !found || !uuidPattern.MatchString(id) {
		return "", errors.New("not an enrolment token")
	}
	return id, nil
}

// TokenMatches compares a token with the stored hash in constant time. An empty hash matches nothing.
func TokenMatches(token, hash string) bool {
	return hash != "" && subtle.ConstantTimeCompare([]byte(HashToken(token)), []byte(hash)) == 1
}

func newTokenKey() ([]byte, error) {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	return key, nil
}
