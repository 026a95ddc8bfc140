package lb

import "time"

// Secret is one version of what a reference to the key manager names: the one that a load balancer works with.
type Secret struct {
	Ref    string
	Kind   string // CertificateSecret, AuthoritySecret or RevocationSecret
	Digest string // hex SHA-256 of the material; another one is another version

	// Sealed is the material, encrypted. Trees are without it.
	Sealed []byte
	// NotAfter is when a certificate expires, zero for what does not.
	NotAfter time.Time
	// Failure is why it could not be fetched again when that was last tried; this version stays in use then.
	Failure string
}

// Kinds of secrets, by how they are used.
const (
	CertificateSecret = "certificate" // with its key and chain
	AuthoritySecret   = "ca"          // that others' certificates are checked against
	RevocationSecret  = "crl"
)

// Secrets are what the listener refers to, without their versions.
func (l *Listener) Secrets() (all []Secret) {
	all = refer(all, CertificateSecret, l.DefaultTLSContainerRef)
	for i := range l.SniContainerRefs {
		all = refer(all, CertificateSecret, &l.SniContainerRefs[i])
	}
	all = refer(all, AuthoritySecret, l.ClientCATLSContainerRef)
	return refer(all, RevocationSecret, l.ClientCRLContainerRef)
}

// Secrets are what the pool refers to, without their versions.
func (p *Pool) Secrets() (all []Secret) {
	all = refer(all, CertificateSecret, p.TLSContainerRef)
	all = refer(all, AuthoritySecret, p.CATLSContainerRef)
	return refer(all, RevocationSecret, p.CRLContainerRef)
}

func refer(to []Secret, kind string, ref *string) []Secret {
	if !isSet(ref) {
		return to
	}
	return append(to, Secret{Ref: *ref, Kind: kind})
}

// UsedSecrets are what listeners and pools that are not being deleted refer to, by reference and without versions. The
// fault is that one is used in two ways: the data plane knows a secret by its reference.
func (t *Tree) UsedSecrets() (map[string]Secret, error) {
	used := map[string]Secret{}
	for i := range t.Listeners {
		if l := &t.Listeners[i]; !l.Deleting {
			if err := use(used, l.Secrets()); err != nil {
				return used, err
			}
		}
	}
	for i := range t.Pools {
		if p := &t.Pools[i]; !p.Deleting {
			if err := use(used, p.Secrets()); err != nil {
				return used, err
			}
		}
	}
	return used, nil
}

func use(used map[string]Secret, more []Secret) error {
	for _, s := range more {
		if other, known := used[s.Ref]; known && other.Kind != s.Kind {
			return invalid("%s is used as %s and as %s on the same load balancer", s.Ref, kindNames[other.Kind], kindNames[s.Kind])
		}
		used[s.Ref] = s
	}
	return nil
}

var kindNames = map[string]string{CertificateSecret: "a certificate", AuthoritySecret: "a certificate authority",
	RevocationSecret: "a revocation list"}
