package ca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"sync"
	"time"
)

// serverCertificate is the one that this process shows. Its key lives and dies with the process.
type serverCertificate struct {
	mu         sync.Mutex
	current    *tls.Certificate
	signer     *x509.Certificate
	renewAfter time.Time
}

// ServerCertificate is for tls.Config.GetCertificate: it makes the controller's certificate on first use, a new one when
// two thirds of its life are over, and one by the controller CA's successor once that is in use.
func (a *Authorities) ServerCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	_, controller := a.current()
	now := a.options.Clock()
	signer := controller.signer(now).certificate

	s := &a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.current != nil && now.Before(s.renewAfter) && s.signer.Equal(signer) {
		return s.current, nil
	}
	made, err := a.newServerCertificate(controller)
	if err != nil {
		return nil, fmt.Errorf("cannot make the controller's certificate: %w", err)
	}
	s.current, s.signer, s.renewAfter = made, signer, a.renewAfter(made.Leaf)
	return made, nil
}

func (a *Authorities) newServerCertificate(controller *authority) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{Organization: []string{"Octavo"}, CommonName: "Octavo controller"},
		DNSNames:    a.options.ServerNames,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, address := range a.options.ServerAddresses {
		template.IPAddresses = append(template.IPAddresses, address.Unmap().AsSlice())
	}
	leaf, err := a.sign(controller, key.Public(), a.options.ServerLifetime, template)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
