package app

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/octavo-lb/octavo/ca"
	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/secrets/certs"
)

// caOptions are what the configuration says of our certificates.
func caOptions(cfg *config.Config, log *slog.Logger) (ca.Options, error) {
	c := &cfg.Certificates
	o := ca.Options{ClientLifetime: c.Validity, AllowShared: c.AllowSharedCA, Logger: log}
	if cfg.IsSet("house_keeping", "cert_expiry_buffer") {
		o.RenewBefore = cfg.HouseKeeping.CertBuffer
	}
	if cfg.IsSet("certificates", "signing_digest") {
		o.Digest = map[string]crypto.Hash{"sha256": crypto.SHA256, "sha384": crypto.SHA384, "sha512": crypto.SHA512}[c.SigningDigest]
	}
	o.Operator.IssuingPassphrase = c.CAPassphrase
	var errs []error
	for _, value := range []struct {
		key  string
		pem  config.PEM
		into *[]byte
	}{
		{"[certificates] ca_certificate", c.CACertificate, &o.Operator.IssuingCA},
		{"[certificates] ca_private_key", c.CAPrivateKey, &o.Operator.IssuingKey},
		{"[controller_worker] client_ca", cfg.ControllerWorker.ClientCA, &o.Operator.ControllerCA},
		{"[haproxy_amphora] client_cert", cfg.HaproxyAmphora.ClientCert, &o.Operator.ControllerCert},
	} {
		var err error
		if *value.into, err = value.pem.Read(); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", value.key, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return o, err
	}
	return o, checkServerCA(cfg.HaproxyAmphora.ServerCA, o.Operator.IssuingCA)
}

// checkServerCA finds out that the file in which Octavia looks for the issuing CA is another's.
func checkServerCA(serverCA config.PEM, issuing []byte) error {
	if serverCA == "" || len(issuing) == 0 {
		return nil
	}
	const key = "[haproxy_amphora] server_ca"
	text, err := serverCA.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	trusted, err := certs.Certificates(text)
	if err != nil {
		return fmt.Errorf("%s: %w", key, err)
	}
	issuers, err := certs.Certificates(issuing)
	if err != nil {
		return fmt.Errorf("[certificates] ca_certificate: %w", err)
	}
	roots := x509.NewCertPool()
	for _, c := range trusted {
		if bytes.Equal(c.RawSubjectPublicKeyInfo, issuers[0].RawSubjectPublicKeyInfo) {
			return nil
		}
		roots.AddCert(c)
	}
	if _, err := issuers[0].Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		CurrentTime: issuers[0].NotBefore.Add(time.Minute)}); err != nil {
		return fmt.Errorf("%s is not the CA of [certificates] ca_certificate (%s), nor vouches for it: %w", key, issuers[0].Subject, err)
	}
	return nil
}
