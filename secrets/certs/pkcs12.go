package certs

import (
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
)

// A PKCS #12 file (RFC 7292) is read here, rather than by a library, for two reasons: libraries run as many iterations as
// the file asks for, which a stranger may set to never end; and without a password the file's MAC proves nothing, so that
// checking it is work for nothing. That the key fits the certificate is checked in any case.

var (
	oidData          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 1}
	oidEncryptedData = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 7, 6}
	oidKeyBag        = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 1}
	oidShroudedKey   = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 2}
	oidCertBag       = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 12, 10, 1, 3}
	oidX509          = asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 22, 1}
)

var errDamagedPKCS12 = errors.New("it is neither PEM nor PKCS #12 without a password")

type pfx struct {
	Version  int
	AuthSafe contentInfo
	MAC      asn1.RawValue `asn1:"optional"`
}

type encryptedData struct {
	Version int
	Info    encryptedContentInfo
}

type encryptedContentInfo struct {
	Type      asn1.ObjectIdentifier
	Algorithm algorithm
	Content   []byte `asn1:"tag:0,optional"`
}

type safeBag struct {
	ID         asn1.ObjectIdentifier
	Value      asn1.RawValue `asn1:"explicit,tag:0"`
	Attributes asn1.RawValue `asn1:"optional,set"`
}

type certBag struct {
	ID   asn1.ObjectIdentifier
	Cert []byte `asn1:"explicit,tag:0"`
}

// contents collects what the bags of a file hold.
type contents struct {
	budget       *budget
	certificates []*x509.Certificate
	keys         []crypto.PrivateKey
}

func fromPKCS12(der []byte) (*Certificate, error) {
	var file pfx
	if rest, err := asn1.Unmarshal(der, &file); err != nil || len(rest) > 0 || file.Version != 3 || !file.AuthSafe.Type.Equal(oidData) {
		return nil, errDamagedPKCS12
	}
	safe, err := octets(file.AuthSafe.Content.Bytes)
	if err != nil {
		return nil, err
	}
	var parts []contentInfo
	if _, err := asn1.Unmarshal(safe, &parts); err != nil {
		return nil, errDamagedPKCS12
	}
	c := contents{budget: newBudget()}
	for _, part := range parts {
		if err := c.open(part); err != nil {
			return nil, err
		}
	}
	switch {
	case len(c.keys) != 1:
		return nil, errors.New("the PKCS #12 file must hold one private key")
	case len(c.certificates) == 0:
		return nil, errors.New("the PKCS #12 file holds no certificate")
	}
	return assemble(c.certificates, c.keys[0])
}

func octets(der []byte) (content []byte, err error) {
	if _, err := asn1.Unmarshal(der, &content); err != nil {
		return nil, errDamagedPKCS12
	}
	return content, nil
}

func (c *contents) open(part contentInfo) error {
	switch {
	case part.Type.Equal(oidData):
		bags, err := octets(part.Content.Bytes)
		if err != nil {
			return err
		}
		return c.readBags(bags)
	case part.Type.Equal(oidEncryptedData):
		var data encryptedData
		if _, err := asn1.Unmarshal(part.Content.Bytes, &data); err != nil {
			return errDamagedPKCS12
		}
		return withoutPassword(func(password password) error {
			bags, err := data.Info.Algorithm.decrypt(data.Info.Content, password, c.budget)
			if err != nil {
				return err
			}
			return c.readBags(bags)
		})
	}
	return errDamagedPKCS12
}

// withoutPassword tries the two ways in which programs write no password: as an empty text, and as none at all.
func withoutPassword(try func(password) error) error {
	if err := try(password{bmp: []byte{0, 0}}); err == nil || errors.Is(err, errTooLong) {
		return err
	}
	return try(password{})
}

func (c *contents) readBags(der []byte) error {
	var bags []safeBag
	if _, err := asn1.Unmarshal(der, &bags); err != nil {
		return errDamagedPKCS12
	}
	for _, bag := range bags {
		if err := c.readBag(bag); err != nil {
			return err
		}
	}
	return nil
}

func (c *contents) readBag(bag safeBag) error {
	switch {
	case bag.ID.Equal(oidKeyBag):
		return c.addKey(bag.Value.Bytes)
	case bag.ID.Equal(oidShroudedKey):
		return withoutPassword(func(password password) error {
			key, err := openPKCS8(bag.Value.Bytes, password, c.budget)
			if err != nil {
				return err
			}
			return c.addKey(key)
		})
	case bag.ID.Equal(oidCertBag):
		var cert certBag
		if _, err := asn1.Unmarshal(bag.Value.Bytes, &cert); err != nil || !cert.ID.Equal(oidX509) {
			return errDamagedPKCS12
		}
		parsed, err := x509.ParseCertificate(cert.Cert)
		if err != nil {
			return errors.New("a certificate is damaged")
		}
		c.certificates = append(c.certificates, parsed)
	}
	return nil // CRLs and other secrets are none of our business
}

func (c *contents) addKey(der []byte) error {
	key, err := parseKey(der)
	if err != nil {
		return err
	}
	c.keys = append(c.keys, key)
	return nil
}
