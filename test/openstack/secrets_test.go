package openstack

import (
	"context"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/acls"
	"github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/containers"
	keys "github.com/gophercloud/gophercloud/v2/openstack/keymanager/v1/secrets"

	"github.com/octavo-lb/octavo/secrets/keymanager"
)

func (a account) keyManager(t *testing.T) *gophercloud.ServiceClient {
	t.Helper()
	c, err := openstack.NewKeyManagerV1(a.provider, a.endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// tenant keeps secrets, which go with the test.
type tenant struct {
	*testing.T
	keys *gophercloud.ServiceClient
}

func lastPart(ref string) string { return ref[strings.LastIndexByte(ref, '/')+1:] }

func (k tenant) store(payload []byte) (ref string) {
	k.Helper()
	s, err := keys.Create(k.Context(), k.keys, keys.CreateOpts{Name: "octavo-test", Payload: base64.StdEncoding.EncodeToString(payload),
		PayloadContentType: "application/octet-stream", PayloadContentEncoding: "base64"}).Extract()
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { keys.Delete(context.Background(), k.keys, lastPart(s.SecretRef)) })
	return s.SecretRef
}

func (k tenant) container(parts map[string]string) (ref string) {
	k.Helper()
	o := containers.CreateOpts{Name: "octavo-test", Type: containers.CertificateContainer}
	for name, ref := range parts {
		o.SecretRefs = append(o.SecretRefs, containers.SecretRef{Name: name, SecretRef: ref})
	}
	c, err := containers.Create(k.Context(), k.keys, o).Extract()
	if err != nil {
		k.Fatal(err)
	}
	k.Cleanup(func() { containers.Delete(context.Background(), k.keys, lastPart(c.ContainerRef)) })
	return c.ContainerRef
}

// certificateFiles are a certificate with an encrypted key, and both in PEM and in PKCS #12.
func certificateFiles(t *testing.T) map[string][]byte {
	t.Helper()
	dir, files := t.TempDir(), map[string][]byte{}
	for _, command := range []string{
		"req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=shop.example.org -keyout key -out certificate",
		"pkcs8 -topk8 -in key -passout pass:swordfish -out encrypted", "pkcs12 -export -inkey key -in certificate -passout pass: -out pkcs12",
	} {
		cmd := exec.CommandContext(t.Context(), "openssl", strings.Fields(command)...)
		cmd.Dir = dir
		if text, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
	}
	for _, name := range []string{"certificate", "key", "encrypted", "pkcs12"} {
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = content
	}
	files["pem"] = append(append([]byte{}, files["certificate"]...), files["key"]...)
	return files
}

// TestSecrets reads certificates in every form from the real key manager, with the rights of their tenant.
func TestSecrets(t *testing.T) {
	service, owner, stranger := signIn(t, "octavia"), signIn(t, "alt_demo"), signIn(t, "demo")
	serviceKeys, k, files := service.keyManager(t), tenant{t, owner.keyManager(t)}, certificateFiles(t)
	manager := &keymanager.Barbican{Connect: func(context.Context) (*gophercloud.ServiceClient, error) { return serviceKeys, nil }, IDs: true}
	who := keymanager.Caller{Token: owner.provider.Token(), Project: owner.projectID}
	bundle := k.store(files["pem"])
	refs := map[string]string{"PEM": bundle, "PKCS #12": k.store(files["pkcs12"]), "a container": k.container(map[string]string{
		"certificate": k.store(files["certificate"]), "private_key": k.store(files["encrypted"]), "private_key_passphrase": k.store([]byte("swordfish"))})}
	var unusable *keymanager.Unusable
	digests := map[string]bool{}
	for form, ref := range refs {
		// Barbican's default lets a project's users read its secrets; the service is in another project.
		if _, err := manager.Certificate(t.Context(), ref); !errors.As(err, &unusable) {
			t.Errorf("%s: before its tenant refers to it: %v, want that the service may not read it", form, err)
		}
		if err := manager.Grant(t.Context(), keymanager.Caller{Token: stranger.provider.Token()}, ref); !errors.As(err, &unusable) {
			t.Errorf("%s: a stranger may use it: %v", form, err)
		}
		if err := manager.Grant(t.Context(), who, ref); err != nil {
			t.Fatalf("%s: %v", form, err)
		}
		m, err := manager.Certificate(t.Context(), ref)
		if err != nil || len(m.Names) != 1 || m.Names[0] != "shop.example.org" {
			t.Fatalf("%s: %+v, %v", form, m, err)
		}
		digests[m.Digest] = true
		if err := manager.Grant(t.Context(), keymanager.Caller{Token: stranger.provider.Token()}, ref); !errors.As(err, &unusable) {
			t.Errorf("%s: now that the service may read it, so may a stranger: %v", form, err)
		}
	}
	if len(digests) != 1 {
		t.Errorf("one certificate in %d forms has %d digests", len(refs), len(digests))
	}
	if _, err := manager.Certificate(t.Context(), lastPart(bundle)); err != nil {
		t.Errorf("by its id: %v", err)
	}
	list, err := acls.GetSecretACL(t.Context(), k.keys, lastPart(bundle)).Extract()
	if err != nil || len((*list)["read"].Users) != 1 {
		t.Errorf("its access list has %+v (%v), want the service's user", list, err)
	}
	if err := keys.Delete(t.Context(), k.keys, lastPart(bundle)).ExtractErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.Certificate(t.Context(), bundle); !errors.As(err, &unusable) || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("deleted: %v", err)
	}
}
