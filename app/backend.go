package app

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"os"
	"slices"

	"github.com/octavo-lb/octavo/api"
	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/cloud/noop"
	"github.com/octavo-lb/octavo/config"
	"github.com/octavo-lb/octavo/identity"
	"github.com/octavo-lb/octavo/secrets/keymanager"
)

// backend is the cloud that a configuration names.
type backend struct {
	cloud    controllerCloud
	networks api.Networks
	client   *cloud.Client // nil where there is no cloud
}

func newBackend(cfg *config.Config) (backend, error) {
	if cfg.ControllerWorker.NetworkDriver == "network_noop_driver" {
		return backend{cloud: noop.Cloud{}, networks: noop.NewLookups()}, nil
	}
	client, err := newCloudClient(cfg)
	if err != nil {
		return backend{}, err
	}
	return backend{cloud: client, networks: client.Lookups(), client: client}, nil
}

func newCloudClient(cfg *config.Config) (*cloud.Client, error) {
	trust, err := cloudTLS(cfg)
	if err != nil {
		return nil, err
	}
	s := &cfg.ServiceAuth
	services := map[string]cloud.Service{
		"network": {Endpoint: cfg.Neutron.EndpointOverride, Region: cfg.Neutron.RegionName, Interface: string(cfg.Neutron.Interface()),
			Type: cfg.Neutron.ServiceType, Name: cfg.Neutron.ServiceName, Insecure: cfg.Neutron.Insecure},
	}
	for kind, at := range map[string]config.ServiceEndpoint{
		"compute": cfg.Nova.ServiceEndpoint, "image": cfg.Glance.ServiceEndpoint, "key-manager": cfg.KeyManagerEndpoint(),
	} {
		services[kind] = cloud.Service{Endpoint: at.Endpoint, Region: at.RegionName, Interface: string(at.Interface()), Name: at.ServiceName, Insecure: at.Insecure}
	}
	return cloud.New(cloud.Options{
		Auth: cloudAuth(&s.Auth), Region: s.RegionName, Interface: string(s.Interface()), Services: services, TLS: trust, Timeout: s.Timeout,
	}), nil
}

func cloudAuth(a *config.Auth) cloud.Auth {
	c := cloud.Auth{
		URL: a.AuthURL, UserID: a.UserID, UserName: a.Username, Password: a.Password,
		UserDomainID: cmp.Or(a.UserDomainID, a.DefaultDomainID), UserDomainName: cmp.Or(a.UserDomainName, a.DefaultDomainName),
		ProjectID: a.ProjectID, ProjectName: a.ProjectName,
		ProjectDomainID: cmp.Or(a.ProjectDomainID, a.DefaultDomainID), ProjectDomainName: cmp.Or(a.ProjectDomainName, a.DefaultDomainName),
		ApplicationCredentialID: a.CredentialID, ApplicationCredentialName: a.CredentialName, ApplicationCredentialSecret: a.CredentialSecret,
	}
	// As in keystoneauth: a domain's name counts where there is no id of it.
	if c.UserDomainID != "" {
		c.UserDomainName = ""
	}
	if c.ProjectDomainID != "" {
		c.ProjectDomainName = ""
	}
	return c
}

// cloudTLS trusts, beside the system's authorities, those that any of the cloud's sections names: one connection pool
// serves them all.
func cloudTLS(cfg *config.Config) (*tls.Config, error) {
	t, err := cfg.ServiceAuth.TLS("")
	if err != nil {
		return nil, fmt.Errorf("[service_auth]: %w", err)
	}
	files := []string{cfg.ServiceAuth.CAFile, cfg.Neutron.CAFile, cfg.Nova.CAFile, cfg.Glance.CAFile, cfg.KeyManagerEndpoint().CAFile}
	files = slices.DeleteFunc(files, func(f string) bool { return f == "" })
	if len(files) == 0 {
		return t, nil
	}
	if t.RootCAs, err = x509.SystemCertPool(); err != nil {
		return nil, fmt.Errorf("cannot read the system's CA certificates: %w", err)
	}
	for _, file := range files {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read CA certificates: %w", err)
		}
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("there is no certificate in PEM in %s", file)
		}
	}
	return t, nil
}

// newKeyManager answers nil where there is none.
func newKeyManager(cfg *config.Config, at backend, log *slog.Logger) (keymanager.Manager, error) {
	c := &cfg.Certificates
	switch c.CertManager {
	case "local_cert_manager":
		local, err := keymanager.OpenLocal(c.StoragePath)
		if err != nil {
			return nil, fmt.Errorf("[certificates] storage_path: %w", err)
		}
		return local, nil
	case "noop_cert_manager":
		return keymanager.Noop{}, nil
	}
	if cfg.UsesVault() {
		vault, err := newVault(cfg, log)
		if err != nil {
			return nil, err
		}
		return vault, nil
	}
	if at.client == nil {
		return nil, nil
	}
	return &keymanager.Barbican{Connect: at.client.KeyManager, IDs: c.CertManager == "castellan_cert_manager"}, nil
}

func newVault(cfg *config.Config, log *slog.Logger) (*keymanager.Vault, error) {
	c := &cfg.Vault
	o := keymanager.VaultOptions{URL: c.URL, Namespace: c.Namespace, Mount: c.Mount, Path: c.Path, Version: c.Version,
		Token: c.Token, RoleID: c.RoleID, SecretID: c.SecretID, AnyID: c.UnscopedID, Logger: log}
	if c.CAFile != "" {
		roots, err := readRoots(c.CAFile)
		if err != nil {
			return nil, fmt.Errorf("[vault] ssl_ca_crt_file: %w", err)
		}
		o.TLS = &tls.Config{RootCAs: roots}
	}
	return keymanager.NewVault(o)
}

func readRoots(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("cannot read CA certificates: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("there is no certificate in PEM in %s", file)
	}
	return roots, nil
}

// newAuthenticator tells who callers are.
func newAuthenticator(cfg *config.Config, o identity.Options) (api.Authenticator, error) {
	if cfg.API.AuthStrategy != "keystone" {
		return identity.NewNoAuth(cfg.API.AuthStrategy, cfg.API.BindHost, cfg.API.NoAuthAnywhere)
	}
	k := &cfg.KeystoneToken
	trust, err := k.TLS("")
	if err != nil {
		return nil, fmt.Errorf("[keystone_authtoken]: %w", err)
	}
	account, err := identity.NewAccount(k.Options(), trust)
	if err != nil {
		return nil, err
	}
	o.TTL, o.Timeout = k.CacheTime, k.Timeout
	return identity.NewKeystone(account, o), nil
}
