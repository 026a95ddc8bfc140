package keymanager

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// VaultState is what Probe found out, in the order in which it asks. A question whose answer depends on an earlier one that
// went wrong is not asked.
type VaultState struct {
	Version string
	Address error // Vault cannot be reached, or is sealed
	Account error // it does not take the service's account
	Store   error // there is no such key/value store, or not of this version
	Read    error // the service may not read below the folder
}

// Probe looks at everything that fetching a secret needs, and reads none.
func (v *Vault) Probe(ctx context.Context) VaultState {
	var s VaultState
	if s.Version, s.Address = v.session.health(ctx); s.Address != nil {
		return s
	}
	if _, s.Account = v.session.current(ctx); s.Account != nil {
		return s
	}
	if s.Store = v.probeStore(ctx); s.Store != nil {
		return s
	}
	_, err := v.session.get(ctx, v.storage("octavo-doctor/none"))
	switch {
	case errors.Is(err, errVaultDenied):
		s.Read = fmt.Errorf("Vault does not let the service read below %s", v.storage(""))
	case !errors.Is(err, errVaultAbsent):
		s.Read = err
	}
	return s
}

// probeStore asks as the vault program does before it uses a key/value store; every token may that can use something in it.
func (v *Vault) probeStore(ctx context.Context) error {
	o := &v.options
	a, err := v.session.get(ctx, "sys/internal/ui/mounts/"+o.Mount)
	switch {
	case errors.Is(err, errVaultDenied), errors.Is(err, errVaultAbsent):
		return fmt.Errorf("there is no key/value store %s that the service may use: see [vault] kv_mountpoint, namespace and the service's policy", o.Mount)
	case err != nil:
		return err
	}
	kind, _ := a.Data["type"].(string)
	options, _ := a.Data["options"].(map[string]any)
	version, _ := options["version"].(string)
	if version == "" {
		version = "1"
	}
	if kind != "kv" && kind != "generic" {
		return fmt.Errorf("%s is a secrets engine of type %s, not a key/value store: see [vault] kv_mountpoint", o.Mount, kind)
	}
	if version != fmt.Sprint(o.Version) {
		return fmt.Errorf("the key/value store %s is of version %s: see [vault] kv_version", o.Mount, version)
	}
	return nil
}

// health asks without an account, and outside of namespaces, where there is no such answer. Vault tells its state by many
// status codes, and by the same body with each.
func (s *vaultSession) health(ctx context.Context) (version string, err error) {
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, s.base+"sys/health", nil)
	if err != nil {
		return "", err
	}
	resp, err := s.http.Do(q)
	if err != nil {
		return "", fmt.Errorf("cannot reach Vault: %w", err)
	}
	defer resp.Body.Close()
	var a struct {
		Initialized *bool
		Sealed      bool
		Version     string
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, vaultMaxAnswer)).Decode(&a)
	switch {
	case err != nil || a.Initialized == nil:
		return "", fmt.Errorf("what answers at %s is not Vault: it answers %s", s.options.URL, resp.Status)
	case !*a.Initialized:
		return a.Version, errors.New("Vault was never initialized")
	case a.Sealed:
		return a.Version, errVaultSealed
	}
	return a.Version, nil
}
