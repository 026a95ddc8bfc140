package ca

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net/url"
	"slices"
	"time"

	"github.com/octavo-lb/octavo/agentapi"
	"github.com/octavo-lb/octavo/secrets"
	"github.com/octavo-lb/octavo/secrets/certs"
)

// Operator is what an operator brings in place of authorities that are made here, all in PEM. Both or one of the CAs may be
// empty. Keys may be in any form in which OpenSSL writes them.
type Operator struct {
	IssuingCA         []byte
	IssuingKey        []byte
	IssuingPassphrase secrets.Secret

	// ControllerCA is what agents trust, its first certificate the one that issues; further ones are trusted with it.
	ControllerCA []byte
	// ControllerCert is a certificate for controllers and its key, in one text. Controllers show it as it is.
	ControllerCert []byte
	// ControllerKey is the controller CA's own, if the service is to make controllers' certificates itself; ControllerCert is
	// empty then.
	ControllerKey        []byte
	ControllerPassphrase secrets.Secret
}

// brought reads and tries what the operator brings for an authority; nil when that is nothing.
func (a *Authorities) brought(name string, o *Operator) (*material, error) {
	if name == issuingName {
		if len(o.IssuingCA) == 0 {
			return nil, nil
		}
		return a.readIssuing(o)
	}
	if len(o.ControllerCA) == 0 {
		return nil, nil
	}
	return a.readController(o)
}

func (a *Authorities) readIssuing(o *Operator) (*material, error) {
	all, err := certs.Certificates(o.IssuingCA)
	if err != nil {
		return nil, fmt.Errorf("the issuing CA's certificate: %w", err)
	}
	key, err := certs.PrivateKey(o.IssuingKey, []byte(o.IssuingPassphrase.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("the issuing CA's private key: %w", err)
	}
	c, err := a.checkAuthority(all, key)
	if err != nil {
		return nil, fmt.Errorf("the issuing CA: %w", err)
	}
	uri, err := url.Parse(agentapi.AmphoraURI("00000000-0000-0000-0000-000000000000"))
	if err != nil {
		return nil, err
	}
	err = a.try(c, key, &x509.Certificate{URIs: []*url.URL{uri}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}},
		x509.VerifyOptions{KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return nil, fmt.Errorf("the issuing CA cannot sign certificates for agents, which are clients: a trial certificate is refused: %w", err)
	}
	return withKey(c, nil, key)
}

func (a *Authorities) readController(o *Operator) (*material, error) {
	all, err := certs.Certificates(o.ControllerCA)
	if err != nil {
		return nil, fmt.Errorf("the controller CA's certificate: %w", err)
	}
	if len(o.ControllerKey) > 0 {
		return a.readControllerKey(o, all)
	}
	for _, c := range all {
		if err := a.checkCertificate(c); err != nil {
			return nil, fmt.Errorf("the controller CA: %w", err)
		}
	}
	server, err := readServer(o.ControllerCert)
	if err != nil {
		return nil, fmt.Errorf("the controllers' certificate: %w", err)
	}
	m := &material{Certificate: all[0].Raw, Imported: true}
	for _, c := range all[1:] {
		m.Issuers = append(m.Issuers, c.Raw)
	}
	if m.Lax, err = a.tryServer(all, server); err != nil {
		return nil, err
	}
	for _, c := range append([]*x509.Certificate{server.Leaf}, server.Chain...) {
		m.Server = append(m.Server, c.Raw)
	}
	m.ServerKey, err = x509.MarshalPKCS8PrivateKey(server.Key)
	return m, err
}

func (a *Authorities) readControllerKey(o *Operator, all []*x509.Certificate) (*material, error) {
	key, err := certs.PrivateKey(o.ControllerKey, []byte(o.ControllerPassphrase.Reveal()))
	if err != nil {
		return nil, fmt.Errorf("the controller CA's private key: %w", err)
	}
	c, err := a.checkAuthority(all, key)
	if err != nil {
		return nil, fmt.Errorf("the controller CA: %w", err)
	}
	err = a.try(c, key, &x509.Certificate{DNSNames: a.options.ServerNames, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}},
		x509.VerifyOptions{DNSName: a.options.ServerNames[0], KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if err != nil {
		return nil, fmt.Errorf("the controller CA cannot sign certificates for controllers, which are servers to the agents: a trial certificate is refused: %w", err)
	}
	others := slices.DeleteFunc(slices.Clone(all), c.Equal)
	return withKey(c, others, key)
}

func withKey(c *x509.Certificate, issuers []*x509.Certificate, key crypto.Signer) (*material, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	m := &material{Certificate: c.Raw, Key: der, Imported: true}
	for _, i := range issuers {
		m.Issuers = append(m.Issuers, i.Raw)
	}
	return m, nil
}

// readServer tells apart what Octavia's older guides make of a request without a common name: openssl ca refuses it, and the
// bundle holds the key alone.
func readServer(bundle []byte) (*certs.Certificate, error) {
	if _, err := certs.Certificates(bundle); err != nil {
		if _, keyErr := certs.PrivateKey(bundle, nil); keyErr == nil {
			return nil, errors.New("there is a private key and no certificate: did `openssl ca` refuse the request for want of a common name? " +
				"Make the request with -subj /CN=" + DefaultServerName + ", sign it, and join certificate and key again")
		}
		return nil, err
	}
	return certs.FromBundle(bundle)
}

// tryServer tells whether agents can check a controller's certificate by name and usage, or (lax) by its CA alone.
func (a *Authorities) tryServer(all []*x509.Certificate, server *certs.Certificate) (lax bool, err error) {
	now := a.options.Clock()
	if now.After(server.Leaf.NotAfter) {
		return false, fmt.Errorf("the controllers' certificate %w on %s: issue a new one", errExpired, date(server.Leaf.NotAfter))
	}
	var bundle string
	for _, c := range all {
		bundle += encodeCertificate(c.Raw)
	}
	chain := append([]*x509.Certificate{server.Leaf}, server.Chain...)
	strict := agentapi.Trust{ServerCA: bundle}.Verify(chain, a.options.ServerNames[0], now)
	if strict == nil {
		return false, nil
	}
	if err := (agentapi.Trust{OperatorCA: bundle}).Verify(chain, a.options.ServerNames[0], now); err != nil {
		return false, fmt.Errorf("the controllers' certificate was not issued by the controller CA (%s): %w", all[0].Subject, err)
	}
	a.options.Logger.Warn("agents will take every certificate of the operator's controller CA for a controller's, as Octavia's amphorae do, "+
		"because the controllers' own is not made for a server of the name "+a.options.ServerNames[0]+
		": issue it with subjectAltName = DNS:"+a.options.ServerNames[0]+" and extendedKeyUsage = serverAuth to have both checked", "err", strict)
	return true, nil
}

// checkAuthority finds the certificate of the key and checks that it is a CA's.
func (a *Authorities) checkAuthority(all []*x509.Certificate, key crypto.Signer) (*x509.Certificate, error) {
	at := slices.IndexFunc(all, func(c *x509.Certificate) bool { return belongs(key, c) })
	if at < 0 {
		return nil, fmt.Errorf("the private key is not that of the certificate (%s)", all[0].Subject)
	}
	return all[at], a.checkCertificate(all[at])
}

func (a *Authorities) checkCertificate(c *x509.Certificate) error {
	now := a.options.Clock()
	switch {
	case !c.BasicConstraintsValid || !c.IsCA:
		return fmt.Errorf("the certificate %s is not a CA's: it lacks the basic constraint CA:TRUE", c.Subject)
	case c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("the certificate %s may not sign certificates: its key usage lacks keyCertSign", c.Subject)
	case now.After(c.NotAfter):
		return fmt.Errorf("the certificate %s %w on %s: make a new CA", c.Subject, errExpired, date(c.NotAfter))
	case now.Before(c.NotBefore):
		return fmt.Errorf("the certificate %s is not valid before %s: is this machine's clock right?", c.Subject, c.NotBefore.UTC().Format(time.RFC3339))
	}
	if err := strongEnough(c.PublicKey); err != nil {
		return fmt.Errorf("the certificate %s: %w", c.Subject, err)
	}
	return nil
}

func date(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// try signs a certificate as it will be done for agents or controllers and verifies it as they will: whatever constrains the
// CA (usages, names, the length of the path) is found out now.
func (a *Authorities) try(by *x509.Certificate, key crypto.Signer, template *x509.Certificate, o x509.VerifyOptions) error {
	trial, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template.Subject, template.SerialNumber = pkix.Name{CommonName: "trial"}, big.NewInt(1)
	leaf, err := a.sign(&generation{certificate: by, key: key}, trial.Public(), time.Hour, template)
	if err != nil {
		return err
	}
	o.Roots, o.CurrentTime = x509.NewCertPool(), a.options.Clock()
	o.Roots.AddCert(by)
	_, err = leaf.Verify(o)
	return err
}

// CheckOperator tries what o.Operator brings as Open would, and stores nothing.
func CheckOperator(o Options) error {
	o.setDefaults()
	a := &Authorities{options: o}
	brought := map[string]*material{}
	var errs []error
	for _, name := range []string{issuingName, controllerName} {
		var err error
		brought[name], err = a.brought(name, &o.Operator)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil || o.AllowShared || brought[issuingName] == nil || brought[controllerName] == nil {
		return err
	}
	issuing, err := brought[issuingName].decode()
	if err != nil {
		return err
	}
	controller, err := brought[controllerName].decode()
	if err != nil {
		return err
	}
	return separate(&authority{generations: []generation{issuing}}, &authority{generations: []generation{controller}})
}

// errExpired is that of an operator's certificate.
var errExpired = errors.New("has expired")

// adopt takes over what the configuration brings, unless it is known: then the shelf tells what became of it. What has come to
// its end since the first start keeps no controller from starting.
func (a *Authorities) adopt(ctx context.Context) error {
	_, err := a.Import(ctx, a.options.Operator)
	if errors.Is(err, errExpired) && a.started(ctx) {
		a.options.Logger.Error("what the configuration brings for our own certificates cannot be used any more; the CAs that are known stay in use", "err", err)
		return nil
	}
	return err
}

// started tells whether there are authorities on the shelf.
func (a *Authorities) started(ctx context.Context) bool {
	for _, name := range []string{issuingName, controllerName} {
		if _, err := a.shelf.Material(ctx, name); err != nil {
			return false
		}
	}
	return true
}

// Import takes over what an operator brings, beside what there is: agents and controllers trust both from then on. It answers
// the labels of CAs that are new, and of those that have a new certificate for controllers. Nothing is stored unless all of
// it is usable.
func (a *Authorities) Import(ctx context.Context, o Operator) (changed []string, err error) {
	brought := map[string]*material{}
	for _, name := range []string{issuingName, controllerName} {
		if brought[name], err = a.brought(name, &o); err != nil {
			return nil, err
		}
	}
	if err := a.wouldBeSeparate(ctx, brought); err != nil {
		return nil, err
	}
	for _, name := range []string{issuingName, controllerName} {
		if brought[name] == nil {
			continue
		}
		did := false
		err := a.change(ctx, name, func(stored []material) ([]material, error) {
			var err error
			stored, did, err = a.merge(name, stored, *brought[name])
			return stored, err
		})
		if err != nil {
			return changed, fmt.Errorf("cannot import %s: %w", name, err)
		}
		if did {
			changed = append(changed, label(brought[name].Certificate))
		}
	}
	return changed, nil
}

// wouldBeSeparate refuses, before anything is stored, one CA in both places.
func (a *Authorities) wouldBeSeparate(ctx context.Context, brought map[string]*material) error {
	if a.options.AllowShared {
		return nil
	}
	both := map[string]*authority{issuingName: {}, controllerName: {}}
	for name, next := range both {
		if sealed, err := a.shelf.Material(ctx, name); err == nil {
			plain, err := a.sealer.Open(sealed, name)
			if err != nil {
				return err
			}
			if next, err = decodeAuthority(sealed, plain); err != nil {
				return fmt.Errorf("%s in the database is damaged: %w", name, err)
			}
		}
		if m := brought[name]; m != nil {
			g, err := m.decode()
			if err != nil {
				return err
			}
			next.generations = append(next.generations, g)
		}
		both[name] = next
	}
	return separate(both[issuingName], both[controllerName])
}

// merge adds a generation, or a newer certificate for controllers to one that is known.
func (a *Authorities) merge(name string, stored []material, m material) ([]material, bool, error) {
	at := slices.IndexFunc(stored, func(s material) bool { return slices.Equal(s.Certificate, m.Certificate) })
	if at < 0 {
		m.UsedFrom = a.options.Clock().Add(settling).UTC()
		if name == controllerName { // agents that do not know it yet are shown the one before
			m.UsedFrom = a.options.Clock().Add(a.options.overlap()).UTC()
		}
		return append(stored, m), true, nil
	}
	known, err := stored[at].decode()
	if err != nil {
		return nil, false, err
	}
	if m.Server == nil || known.server == nil {
		return nil, false, errUnchanged
	}
	leaf, err := x509.ParseCertificate(m.Server[0])
	if err != nil {
		return nil, false, err
	}
	if !leaf.NotAfter.After(known.server.Leaf.NotAfter) {
		return nil, false, errUnchanged
	}
	stored[at].Server, stored[at].ServerKey, stored[at].Lax, stored[at].Issuers = m.Server, m.ServerKey, m.Lax, m.Issuers
	return stored, true, nil
}
