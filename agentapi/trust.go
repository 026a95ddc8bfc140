package agentapi

import (
	"cmp"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Trust is how an agent recognises its controllers. The first one comes with the boot file, a newer one with each
// certificate. An agent trusts what the newest one says and nothing else.
type Trust struct {
	// ServerCA is a PEM bundle of CAs that sign controllers' certificates for the boot file's server name.
	ServerCA string `json:"server_ca"`
	// OperatorCA is a PEM bundle of CAs of which every certificate is a controller's, whatever its name and usage: the
	// certificates that Octavia's guide makes for controllers name no host and are for clients.
	OperatorCA string `json:"operator_ca,omitempty"`
	// ServerLabel is shown to the controller as the name that is asked for (SNI), so that it answers with a certificate of a
	// CA that is in this trust. Empty: the boot file's server name is shown.
	ServerLabel string `json:"server_label,omitempty"`
}

// ID is the same for trusts that say the same.
func (t Trust) ID() string {
	sum := sha256.Sum256([]byte(t.ServerCA + "\x00" + t.OperatorCA + "\x00" + t.ServerLabel))
	return hex.EncodeToString(sum[:8])
}

// SNI is the name that the agent shows when it dials.
func (t Trust) SNI(serverName string) string { return cmp.Or(t.ServerLabel, serverName) }

// Check fails unless the certificates in this trust can be read.
func (t Trust) Check() error {
	for _, bundle := range []string{t.ServerCA, t.OperatorCA} {
		if bundle != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(bundle)) {
			return errors.New("the bundle of the controllers' CAs holds no certificate in PEM")
		}
	}
	if t.ServerCA+t.OperatorCA == "" {
		return errors.New("there is no certificate of the controllers' CA")
	}
	return nil
}

// Verify decides whether the chain that a server showed, leaf first, is a controller's. Nothing that was issued to an amphora
// ever is, even where an operator has one CA for both.
func (t Trust) Verify(chain []*x509.Certificate, serverName string, now time.Time) error {
	if len(chain) == 0 {
		return errors.New("the controller shows no certificate")
	}
	leaf := chain[0]
	for _, uri := range leaf.URIs {
		if strings.HasPrefix(uri.String(), AmphoraURI("")) {
			return errors.New("an amphora poses as the controller")
		}
	}
	strict := verify(t.ServerCA, chain, x509.VerifyOptions{DNSName: serverName, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	if strict == nil || t.OperatorCA == "" {
		return strict
	}
	if leaf.IsCA {
		return errors.New("the controller shows the certificate of a CA as its own")
	}
	if err := verify(t.OperatorCA, chain, x509.VerifyOptions{CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}); err != nil {
		return fmt.Errorf("neither as a named controller's (%w) nor as one of the operator's CA: %w", strict, err)
	}
	return nil
}

func verify(roots string, chain []*x509.Certificate, o x509.VerifyOptions) error {
	o.Roots, o.Intermediates = x509.NewCertPool(), x509.NewCertPool()
	o.Roots.AppendCertsFromPEM([]byte(roots))
	for _, c := range chain[1:] {
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	return err
}
