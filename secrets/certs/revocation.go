package certs

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
)

// CheckRevocations makes sure that revocation lists are of the authorities that they go with, both as Authorities and
// Revocations answer them. HAProxy would turn everybody away otherwise.
func CheckRevocations(lists, authorities []byte) error {
	issuers, _, err := readPEM(authorities, nil)
	if err != nil {
		return err
	}
	for {
		var block *pem.Block
		if block, lists = pem.Decode(lists); block == nil {
			return nil
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return err
		}
		if !signedByOne(list, issuers) {
			return errors.New("none of the certificate authorities that it goes with has signed it")
		}
	}
}

func signedByOne(list *x509.RevocationList, issuers []*x509.Certificate) bool {
	for _, issuer := range issuers {
		if list.CheckSignatureFrom(issuer) == nil {
			return true
		}
	}
	return false
}
