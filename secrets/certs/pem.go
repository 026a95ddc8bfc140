package certs

import (
	"bytes"
	"crypto"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// readPEM collects the certificates and keys in a text; other blocks, such as EC PARAMETERS, are left out.
func readPEM(text, passphrase []byte) (certificates []*x509.Certificate, keys []crypto.PrivateKey, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return certificates, keys, nil
		}
		switch block.Type {
		case "CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE":
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return nil, nil, errors.New("a certificate is damaged")
			}
			certificates = append(certificates, c)
		case "PKCS7", "CMS":
			more, err := readPKCS7(block.Bytes)
			if err != nil {
				return nil, nil, err
			}
			certificates = append(certificates, more...)
		case "PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY":
			key, err := readKey(block, passphrase)
			if err != nil {
				return nil, nil, err
			}
			keys = append(keys, key)
		}
	}
}

func readKey(block *pem.Block, passphrase []byte) (crypto.PrivateKey, error) {
	der, encrypted := block.Bytes, true
	switch {
	case block.Type == "ENCRYPTED PRIVATE KEY":
		if len(passphrase) == 0 {
			return nil, errors.New("it has a passphrase, which is not there")
		}
		var err error
		if der, err = decryptPKCS8(der, passphrase, newBudget()); err != nil {
			return nil, err
		}
	//lint:ignore SA1019 old and weak, but the form that its owner's file has
	case x509.IsEncryptedPEMBlock(block):
		if len(passphrase) == 0 {
			return nil, errors.New("it has a passphrase, which is not there")
		}
		var err error
		//lint:ignore SA1019 see above: nobody learns from us whether its padding is right but its owner
		der, err = x509.DecryptPEMBlock(block, passphrase)
		if errors.Is(err, x509.IncorrectPasswordError) {
			return nil, errWrongPassphrase
		}
		if err != nil {
			return nil, errUnsupported
		}
	default:
		encrypted = false
	}
	key, err := parseKey(der)
	if err != nil && encrypted {
		return nil, errWrongPassphrase // one of 256 wrong ones gives a padding that looks right
	}
	return key, err
}

// parseKey tries the forms: the names on PEM blocks are often wrong.
func parseKey(der []byte) (crypto.PrivateKey, error) {
	if key, err := x509.ParsePKCS8PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParsePKCS1PrivateKey(der); err == nil {
		return key, nil
	}
	if key, err := x509.ParseECPrivateKey(der); err == nil {
		return key, nil
	}
	return nil, errors.New("it is neither PKCS #8, PKCS #1 nor SEC 1, or of a kind that is not RSA, ECDSA or Ed25519")
}

// PrivateKey reads the one private key in a text in PEM, in any form in which OpenSSL writes keys. The passphrase may be empty.
func PrivateKey(text, passphrase []byte) (crypto.Signer, error) {
	_, keys, err := readPEM(text, passphrase)
	switch {
	case err != nil:
		return nil, err
	case len(keys) == 0:
		return nil, errors.New("there is no private key in PEM")
	case len(keys) > 1:
		return nil, errors.New("there is more than one private key")
	}
	signer, ok := keys[0].(crypto.Signer)
	if !ok {
		return nil, errors.New("the private key cannot sign")
	}
	return signer, nil
}

// Certificates reads the certificates in a text in PEM, in their order. Text around them is passed over.
func Certificates(text []byte) ([]*x509.Certificate, error) {
	certificates, _, err := readPEM(withoutKeys(text), nil)
	if err == nil && len(certificates) == 0 {
		err = errors.New("there is no certificate in PEM")
	}
	return certificates, err
}

// withoutKeys keeps the blocks that need no passphrase to be read.
func withoutKeys(text []byte) []byte {
	var b bytes.Buffer
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return b.Bytes()
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			pem.Encode(&b, block) // a buffer takes everything
		}
	}
}

func readIntermediates(text []byte) ([]*x509.Certificate, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return nil, nil
	}
	if !bytes.Contains(text, []byte("-----BEGIN ")) {
		return readPKCS7(text)
	}
	certificates, _, err := readPEM(text, nil)
	if err == nil && len(certificates) == 0 {
		err = errors.New("there is none")
	}
	return certificates, err
}

// Authorities reads certificates in PEM that others are checked against, and answers them in PEM with nothing else
// around them.
func Authorities(text []byte) ([]byte, error) {
	certificates, _, err := readPEM(text, nil)
	if err != nil {
		return nil, err
	}
	if len(certificates) == 0 {
		return nil, errors.New("there is no certificate in PEM")
	}
	var b bytes.Buffer
	for _, c := range certificates {
		writePEM(&b, "CERTIFICATE", c.Raw)
	}
	return b.Bytes(), nil
}

// Revocations reads revocation lists in PEM, and answers them in PEM with nothing else around them.
func Revocations(text []byte) ([]byte, error) {
	var b bytes.Buffer
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			continue
		}
		if _, err := x509.ParseRevocationList(block.Bytes); err != nil {
			return nil, fmt.Errorf("revocation list %d is damaged", bytes.Count(b.Bytes(), []byte("-----BEGIN"))+1)
		}
		writePEM(&b, "X509 CRL", block.Bytes)
	}
	if b.Len() == 0 {
		return nil, errors.New("there is no revocation list in PEM")
	}
	return b.Bytes(), nil
}
