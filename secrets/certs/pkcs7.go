package certs

import (
	"crypto/x509"
	"encoding/asn1"
	"errors"
)

var oidSignedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 2}

// contentInfo is the frame of everything in PKCS #7 and #12 (RFC 2315, section 7).
type contentInfo struct {
	Type    asn1.ObjectIdentifier
	Content asn1.RawValue `asn1:"explicit,tag:0,optional"`
}

// signedData is the part of RFC 2315, section 9.1, up to the certificates. Only they are read: nothing is signed here.
type signedData struct {
	Version      int
	Digests      asn1.RawValue
	Content      asn1.RawValue
	Certificates asn1.RawValue `asn1:"optional,tag:0"`
	CRLs         asn1.RawValue `asn1:"optional,tag:1"`
	Signers      asn1.RawValue
}

// readPKCS7 takes the certificates from a bundle in DER.
func readPKCS7(der []byte) ([]*x509.Certificate, error) {
	var frame contentInfo
	if _, err := asn1.Unmarshal(der, &frame); err != nil || !frame.Type.Equal(oidSignedData) {
		return nil, errors.New("it is neither PEM nor a bundle of certificates in PKCS #7")
	}
	var data signedData
	if _, err := asn1.Unmarshal(frame.Content.Bytes, &data); err != nil {
		return nil, errors.New("the PKCS #7 bundle is damaged")
	}
	certificates, err := x509.ParseCertificates(data.Certificates.Bytes)
	if err != nil || len(certificates) == 0 {
		return nil, errors.New("the PKCS #7 bundle holds no certificates that can be read")
	}
	return certificates, nil
}
