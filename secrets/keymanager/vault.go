package keymanager

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/octavo-lb/octavo/secrets/certs"
)

// Vault fetches from the key/value store of a HashiCorp Vault or OpenBao. It is safe for concurrent use.
//
// A tenant's secrets are below the tenant's project: vault://PROJECT/NAME is NAME in the folder PROJECT, and only callers of
// that project can refer to it. Who can write there is up to Vault's own policies. A secret has the fields of a certificate
// container (certificate, private_key, private_key_passphrase, intermediates, all PEM), or pkcs12 in base64, or crl; or it
// is what castellan stores.
type Vault struct {
	options VaultOptions
	session *vaultSession
}

// NewVault makes a manager, which asks Vault for nothing until it is used. Run keeps its token alive.
func NewVault(o VaultOptions) (*Vault, error) {
	session, err := newVaultSession(&o)
	if err != nil {
		return nil, err
	}
	return &Vault{options: o, session: session}, nil
}

// Run renews the service's token in time until ctx ends.
func (v *Vault) Run(ctx context.Context) { v.session.run(ctx) }

var (
	vaultReference = regexp.MustCompile(`^vault://([A-Za-z0-9_-]+)((?:/[A-Za-z0-9_-][A-Za-z0-9._-]*)+)$`)
	castellanID    = regexp.MustCompile(`^(?:[0-9a-fA-F]{32}|[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$`)
)

// path is where a reference leads, and the project that it is of; empty for castellan's, which are of none.
func (v *Vault) path(ref string) (path, project string, err error) {
	if m := vaultReference.FindStringSubmatch(ref); m != nil {
		return m[1] + m[2], m[1], nil
	}
	if !castellanID.MatchString(ref) {
		return "", "", unusable(ref, "it is not of the form vault://PROJECT/NAME")
	}
	if !v.options.AnyID {
		return "", "", unusable(ref, "it is an id and not of the form vault://PROJECT/NAME: whose it is cannot be told, so such ids work only where "+
			"[vault] allow_unscoped_ids is set")
	}
	return ref, "", nil
}

// Grant makes sure that the reference is of the caller's project. The service reads it by its own policy.
func (v *Vault) Grant(_ context.Context, who Caller, ref string) error {
	_, project, err := v.path(ref)
	if err != nil {
		return err
	}
	if project != "" && project != who.Project {
		return unusable(ref, "it is not of your project")
	}
	return nil
}

// Certificate fetches a certificate with its key. Errors are as with Barbican.Certificate.
func (v *Vault) Certificate(ctx context.Context, ref string) (Material, error) {
	r, err := v.read(ctx, ref)
	if err != nil {
		return Material{}, err
	}
	var c *certs.Certificate
	if bundle, whole, err := r.bundle(); err != nil {
		return Material{}, unusable(ref, "%v", err)
	} else if whole {
		c, err = certs.FromBundle(bundle)
		if err != nil {
			return Material{}, unusable(ref, "%v", err)
		}
		return certificate(c)
	}
	c, err = certs.FromParts(certs.Parts{Certificate: r.text("certificate"), PrivateKey: r.text("private_key"),
		Passphrase: []byte(strings.TrimRight(string(r.text("private_key_passphrase")), "\r\n")), Intermediates: r.text("intermediates")})
	if err != nil {
		return Material{}, unusable(ref, "%v", err)
	}
	return certificate(c)
}

// Authorities fetches certificates that others are checked against. Errors are as with Barbican.Certificate.
func (v *Vault) Authorities(ctx context.Context, ref string) (Material, error) {
	return v.list(ctx, ref, "certificate", "CERTIFICATE", certs.Authorities)
}

// Revocations fetches revocation lists. Errors are as with Barbican.Certificate.
func (v *Vault) Revocations(ctx context.Context, ref string) (Material, error) {
	return v.list(ctx, ref, "crl", "X509 CRL", certs.Revocations)
}

func (v *Vault) list(ctx context.Context, ref, field, block string, parse func([]byte) ([]byte, error)) (Material, error) {
	r, err := v.read(ctx, ref)
	if err != nil {
		return Material{}, err
	}
	content, whole, err := r.bundle()
	if err != nil {
		return Material{}, unusable(ref, "%v", err)
	}
	if !whole {
		content = r.text(field)
	} else if r["type"] == "certificate" && !strings.Contains(string(content), "-----BEGIN ") {
		content = pem.EncodeToMemory(&pem.Block{Type: block, Bytes: content}) // castellan keeps DER
	}
	if len(content) == 0 {
		return Material{}, unusable(ref, "it has no field %s", field)
	}
	text, err := parse(content)
	if err != nil {
		return Material{}, unusable(ref, "%v", err)
	}
	return material(text), nil
}

// record is what a path of the key/value store holds.
type record map[string]any

func (r record) text(field string) []byte {
	s, _ := r[field].(string)
	return []byte(s)
}

// bundle is a secret that is one piece: castellan's (castellan/key_manager/vault_key_manager.py), or a PKCS #12 file.
func (r record) bundle() (content []byte, whole bool, err error) {
	if value, ok := r["value"].(string); ok && r["type"] != nil {
		if content, err = hex.DecodeString(value); err != nil {
			return nil, false, errors.New("its value is not hexadecimal, as castellan writes it")
		}
		return content, true, nil
	}
	if file, ok := r["pkcs12"].(string); ok {
		if content, err = base64.StdEncoding.DecodeString(strings.Join(strings.Fields(file), "")); err != nil {
			return nil, false, errors.New("its field pkcs12 is not base64")
		}
		return content, true, nil
	}
	return nil, false, nil
}

// storage is where a path of the service's folder is in Vault's API.
func (v *Vault) storage(path string) string {
	if v.options.Path != "" {
		path = v.options.Path + "/" + path
	}
	if v.options.Version == 1 {
		return v.options.Mount + "/" + path
	}
	return v.options.Mount + "/data/" + path
}

// read reads the newest version of a secret.
func (v *Vault) read(ctx context.Context, ref string) (record, error) {
	path, _, err := v.path(ref)
	if err != nil {
		return nil, err
	}
	a, err := v.session.get(ctx, v.storage(path))
	switch {
	case errors.Is(err, errVaultAbsent):
		return nil, unusable(ref, "there is no such secret in Vault, or its newest version was deleted")
	case errors.Is(err, errVaultDenied):
		return nil, unusable(ref, "Vault does not let the service read it")
	case err != nil:
		return nil, fmt.Errorf("cannot fetch %s: %w", ref, err)
	}
	if v.options.Version == 1 {
		return a.Data, nil
	}
	data, ok := a.Data["data"].(map[string]any)
	if !ok {
		return nil, unusable(ref, "it is not a secret of a key/value store of version 2: see [vault] kv_version")
	}
	return data, nil
}
