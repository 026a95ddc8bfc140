package app

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"go.yaml.in/yaml/v3"
)

// credentials are the passwords of the users that a standalone cloud starts with, by user name. They are made on the
// first start and kept, readable by root only, beside the rest of the data.
type credentials map[string]string

var seededUsers = []string{"admin", "demo", "octavia"}

func loadCredentials(dir string) (credentials, error) {
	path := filepath.Join(dir, "credentials.json")
	c := credentials{}
	text, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	default:
		if err := json.Unmarshal(text, &c); err != nil {
			return nil, fmt.Errorf("%s is damaged (%w): restore it, or start anew with another data directory", path, err)
		}
	}
	complete := true
	for _, user := range seededUsers {
		if c[user] == "" {
			c[user], complete = rand.Text(), false
		}
	}
	if complete {
		return c, nil
	}
	text, err = json.MarshalIndent(c, "", "  ")
	if err != nil {
		return nil, err
	}
	return c, writeFile(path, append(text, '\n'))
}

// cloudEntry is one cloud of a clouds.yaml, as openstacksdk reads it.
type cloudEntry struct {
	Auth struct {
		AuthURL           string `yaml:"auth_url"`
		Username          string `yaml:"username"`
		Password          string `yaml:"password"`
		ProjectName       string `yaml:"project_name"`
		UserDomainName    string `yaml:"user_domain_name"`
		ProjectDomainName string `yaml:"project_domain_name"`
	} `yaml:"auth"`
	Region             string `yaml:"region_name"`
	IdentityAPIVersion string `yaml:"identity_api_version"`
}

// writeCloudsYAML writes the clouds octavo (a tenant), octavo-admin (the operator) and octavo-service (the service itself).
func writeCloudsYAML(path, authURL string, c credentials) error {
	clouds := map[string]cloudEntry{}
	for name, login := range map[string]struct{ user, project string }{
		"octavo":       {"demo", "demo"},
		"octavo-admin": {"admin", "admin"},
		// To whom amphora images belong.
		"octavo-service": {"octavia", "service"},
	} {
		e := cloudEntry{Region: region, IdentityAPIVersion: "3"}
		e.Auth.AuthURL, e.Auth.Username, e.Auth.Password = authURL, login.user, c[login.user]
		e.Auth.ProjectName, e.Auth.UserDomainName, e.Auth.ProjectDomainName = login.project, "Default", "Default"
		clouds[name] = e
	}
	text, err := yaml.Marshal(map[string]any{"clouds": clouds})
	if err != nil {
		return err
	}
	return writeFile(path, text)
}

// writeFile replaces a file whole, so that a kill leaves the old one or the new one; only root may read it.
func writeFile(path string, content []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
