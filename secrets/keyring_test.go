package secrets_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/octavo-lb/octavo/secrets"
)

func openKeyring(t *testing.T, path string) *secrets.Keyring {
	t.Helper()
	k, err := secrets.OpenKeyring(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestKeyFileIsMadeOnceAndForItsOwnerOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	rings := make([]*secrets.Keyring, 20)
	var wg sync.WaitGroup
	for i := range rings {
		wg.Go(func() { rings[i], _ = secrets.OpenKeyring(path) })
	}
	wg.Wait()
	sealed, err := rings[0].Seal([]byte("x"), "p")
	if err != nil {
		t.Fatal(err)
	}
	for i, k := range rings {
		if _, err := k.Open(sealed, "p"); err != nil {
			t.Errorf("process %d holds another key: %v", i, err)
		}
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if left, _ := filepath.Glob(filepath.Join(filepath.Dir(path), ".*")); len(left) != 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestSealedBytesOpenOnlyUnchangedAndForTheirPurpose(t *testing.T) {
	k := openKeyring(t, filepath.Join(t.TempDir(), "key"))
	sealed, err := k.Seal([]byte("plain text"), "ca/issuing")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(sealed, []byte("plain")) {
		t.Error("sealed bytes hold the text")
	}
	if plain, err := k.Open(sealed, "ca/issuing"); err != nil || string(plain) != "plain text" {
		t.Errorf("opened %q, %v", plain, err)
	}
	if _, err := k.Open(sealed, "ca/controller"); !errors.Is(err, secrets.ErrTampered) {
		t.Errorf("opened for another purpose: %v", err)
	}
	for i := range sealed {
		changed := bytes.Clone(sealed)
		changed[i] ^= 1
		if _, err := k.Open(changed, "ca/issuing"); err == nil {
			t.Errorf("opened with byte %d changed", i)
		}
		if _, err := k.Open(sealed[:i], "ca/issuing"); err == nil {
			t.Errorf("opened when cut at byte %d", i)
		}
	}
	other := openKeyring(t, filepath.Join(t.TempDir(), "key"))
	if _, err := other.Open(sealed, "ca/issuing"); !errors.Is(err, secrets.ErrUnknownKey) {
		t.Errorf("another deployment's key: %v", err)
	}
}

func TestRotatedKeyOpensWhatTheOldOneSealed(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	before := openKeyring(t, path)
	old, err := before.Seal([]byte("x"), "p")
	if err != nil {
		t.Fatal(err)
	}
	if err := secrets.RotateKeyFile(path); err != nil {
		t.Fatal(err)
	}
	after := openKeyring(t, path)
	if _, err := after.Open(old, "p"); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if !after.Stale(old) || before.Stale(old) {
		t.Error("what the old key sealed is stale after the rotation and not before")
	}
	renewed, err := after.Seal([]byte("x"), "p")
	if err != nil {
		t.Fatal(err)
	}
	if after.Stale(renewed) {
		t.Error("the new key is not in use")
	}
	if _, err := before.Open(renewed, "p"); !errors.Is(err, secrets.ErrUnknownKey) {
		t.Errorf("a controller without the new key: %v", err)
	}
}

func TestUnusableKeyFilesAreRefusedWithTheReason(t *testing.T) {
	for _, c := range []struct {
		name, content string
		mode          os.FileMode
		want          string
	}{
		{"readable by others", "", 0o644, "chmod 600"},
		{"empty", "# nothing\n\n", 0o600, "holds no key"},
		{"not base64", "!!!\n", 0o600, "line 1"},
		{"short key", "\nAAAA\n", 0o600, "line 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(c.content), c.mode); err != nil {
				t.Fatal(err)
			}
			if _, err := secrets.OpenKeyring(path); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
	if _, err := secrets.OpenKeyring(filepath.Join(t.TempDir(), "none", "key")); err == nil {
		t.Error("made a key in a directory that does not exist")
	}
}
