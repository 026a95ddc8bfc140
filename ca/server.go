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

// serverCertificates are those that this process shows, by the label of their CA. Keys that are made here live and die with
// the process.
type serverCertificates struct {
	mu      sync.Mutex
	byLabel map[string]madeCertificate
}

type madeCertificate struct {
	*tls.Certificate
	renewAfter time.Time
}

// ServerCertificate is for tls.Config.GetCertificate: it answers a certificate of a CA that the asking agent trusts, which its
// server name tells (agentapi.Trust), the newest such. One is made on first use, and a new one when two thirds of its life
// are over; an operator's is shown as it is. Thus a new CA is in use at once by those who know it, and none is lost who does
// not know it yet.
func (a *Authorities) ServerCertificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	_, controller := a.current()
	now := a.options.Clock()
	name := ""
	if hello != nil {
		name = hello.ServerName
	}
	by := controller.known(name, now)
	if by.key == nil {
		return by.server, nil
	}
	s := &a.server
	s.mu.Lock()
	defer s.mu.Unlock()
	if made, ok := s.byLabel[by.label]; ok && now.Before(made.renewAfter) {
		return made.Certificate, nil
	}
	made, err := a.newServerCertificate(by)
	if err != nil {
		return nil, fmt.Errorf("cannot make the controller's certificate: %w", err)
	}
	if s.byLabel == nil {
		s.byLabel = map[string]madeCertificate{}
	}
	s.byLabel[by.label] = madeCertificate{made, a.renewAfter(made.Leaf)}
	return made, nil
}

func (a *Authorities) newServerCertificate(by *generation) (*tls.Certificate, error) {
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
	leaf, err := a.sign(by, key.Public(), a.options.ServerLifetime, template)
	if err != nil {
		return nil, err
	}
	return &tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}, nil
}
