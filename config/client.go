package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
)

// Options answers the account in gophercloud's form.
func (a *Auth) Options() gophercloud.AuthOptions {
	o := gophercloud.AuthOptions{IdentityEndpoint: a.AuthURL, AllowReauth: true}
	if a.AuthType == "v3applicationcredential" {
		o.ApplicationCredentialID, o.ApplicationCredentialName = a.CredentialID, a.CredentialName
		o.ApplicationCredentialSecret = a.CredentialSecret.Reveal()
		if a.CredentialID == "" { // a name is unique only among the user's
			a.addUser(&o)
		}
		return o
	}
	a.addUser(&o)
	o.Password = a.Password.Reveal()
	scope := gophercloud.AuthScope{ProjectID: a.ProjectID, System: a.SystemScope == "all"}
	if a.ProjectID == "" && a.ProjectName != "" {
		scope.ProjectName = a.ProjectName
		scope.DomainID = cmp.Or(a.ProjectDomainID, a.DefaultDomainID)
		if scope.DomainID == "" {
			scope.DomainName = cmp.Or(a.ProjectDomainName, a.DefaultDomainName)
		}
	}
	o.Scope = &scope
	return o
}

func (a *Auth) addUser(o *gophercloud.AuthOptions) {
	if a.UserID != "" {
		o.UserID = a.UserID
		return
	}
	o.Username = a.Username
	o.DomainID = cmp.Or(a.UserDomainID, a.DefaultDomainID)
	if o.DomainID == "" {
		o.DomainName = cmp.Or(a.UserDomainName, a.DefaultDomainName)
	}
}

// TLS answers how servers are checked and what client certificate they are shown; caFile, if any, counts before the
// account's own.
func (a *Auth) TLS(caFile string) (*tls.Config, error) {
	t := &tls.Config{InsecureSkipVerify: a.Insecure} // what the operator wrote in so many words
	if file := cmp.Or(caFile, a.CAFile); file != "" {
		pem, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("cannot read CA certificates: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("there is no certificate in PEM in %s", file)
		}
	}
	if a.CertFile != "" {
		certificate, err := tls.LoadX509KeyPair(a.CertFile, cmp.Or(a.KeyFile, a.CertFile))
		if err != nil {
			return nil, fmt.Errorf("cannot load the client certificate: %w", err)
		}
		t.Certificates = []tls.Certificate{certificate}
	}
	return t, nil
}

// Interface answers the catalog's interface in gophercloud's form; public when none is chosen.
func (e *Endpoint) Interface() gophercloud.Availability {
	if len(e.ValidInterfaces) == 0 {
		return gophercloud.AvailabilityPublic
	}
	return availability(e.ValidInterfaces[0])
}

// Interface answers the catalog's interface in gophercloud's form.
func (e *ServiceEndpoint) Interface() gophercloud.Availability { return availability(e.EndpointType) }

func availability(name string) gophercloud.Availability {
	return gophercloud.Availability(strings.TrimSuffix(name, "URL"))
}

// complete says what an account lacks to get a token.
func (a *Auth) complete() error {
	switch {
	case a.AuthURL == "":
		return errors.New("auth_url is not set")
	case a.AuthType == "v3applicationcredential":
		if a.CredentialSecret.Empty() || a.CredentialID == "" && a.CredentialName == "" {
			return errors.New("application_credential_id (or application_credential_name) and application_credential_secret must be set")
		}
	case a.UserID == "" && a.Username == "":
		return errors.New("username (or user_id) is not set")
	case a.Password.Empty():
		return errors.New("password is not set")
	case a.ProjectID == "" && a.ProjectName == "" && a.SystemScope == "":
		return errors.New("project_name (or project_id) is not set")
	}
	return nil
}
