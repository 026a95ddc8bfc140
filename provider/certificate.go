package provider

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"strings"
)

// certificate is what a reference to a certificate names, nil when there is none: certificate, key and chain by
// themselves, as octavia-lib's programs know them (TLSContainer in octavia/common/data_models.py). Keys have no passphrase
// any more.
func (v *view) certificate(ref *string) object {
	text := v.material(ref)
	if text == nil {
		return nil
	}
	o := object{"id": *ref, "primary_cn": nil, "certificate": nil, "private_key": nil, "passphrase": nil}
	chain := []string{}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		one := string(bytes.TrimSpace(pem.EncodeToMemory(block))) + "\n"
		switch {
		case strings.HasSuffix(block.Type, "PRIVATE KEY"):
			o["private_key"] = one
		case o["certificate"] == nil:
			o["certificate"] = one
			if leaf, err := x509.ParseCertificate(block.Bytes); err == nil {
				o["primary_cn"] = leaf.Subject.CommonName
			}
		default:
			chain = append(chain, one)
		}
	}
	o["intermediates"] = chain
	return o
}
