// Package keymanager fetches tenants' certificates from where they keep them: Barbican, or a directory of this machine.
//
// A tenant names a secret by a reference. It is used only if the tenant's own token may read it (Grant): that the service
// may is no proof, for others have let it read theirs.
package keymanager

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/octavo-lb/octavo/secrets/certs"
)

// Material is what a load balancer's HAProxy loads: a certificate with key and chain, authorities, or revocation lists.
type Material struct {
	PEM    []byte
	Digest string // hex SHA-256 of PEM: another one is another version
	// Names and NotAfter are the certificate's, empty for authorities and lists.
	Names    []string
	NotAfter time.Time
}

func material(text []byte) Material {
	sum := sha256.Sum256(text)
	return Material{PEM: text, Digest: hex.EncodeToString(sum[:])}
}

func certificate(c *certs.Certificate) (Material, error) {
	text, err := c.PEM()
	if err != nil {
		return Material{}, err
	}
	m := material(text)
	m.Names, m.NotAfter = c.Names(), c.Leaf.NotAfter
	return m, nil
}

// Unusable is a reference that cannot be used as it is: the tenant's to mend, not the service's. Every other error means
// that it could not be found out.
type Unusable struct {
	Ref string
	Why string // completes "Ref cannot be used: "
}

func (u *Unusable) Error() string { return fmt.Sprintf("%s cannot be used: %s", u.Ref, u.Why) }

func unusable(ref, format string, args ...any) error {
	return &Unusable{ref, fmt.Sprintf(format, args...)}
}

// maxPayload is more than any certificate with its chain needs; Barbican takes 20,000 bytes by default.
const maxPayload = 256 << 10

// target is what a reference names.
type target struct {
	container bool
	id        string
}

var reference = regexp.MustCompile(`^https?://[^/?#]+(?:/[^?#]*)?/v1/(secrets|containers)/([0-9a-fA-F-]{36})/?$`)

var secretID = regexp.MustCompile(`^[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// parse takes from a reference what it names and nothing of where: a request goes to the key manager's endpoint and never
// to an address that a tenant chose.
func parse(ref string) (target, error) {
	m := reference.FindStringSubmatch(ref)
	if m == nil {
		return target{}, unusable(ref, "it is not the address of a secret or container of the key manager")
	}
	return target{m[1] == "containers", strings.ToLower(m[2])}, nil
}
