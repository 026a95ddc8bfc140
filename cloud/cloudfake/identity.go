package cloudfake

import (
	"encoding/json"
	"net/http"

	"github.com/octavo-lb/octavo/cloud"
	"github.com/octavo-lb/octavo/secrets"
)

// ServiceProject is the project of the service account.
const ServiceProject = "11111111111111111111111111111111"

const (
	baseURL     = "http://cloud.test"
	servicePass = "service-password"
)

// Client makes a client for the service account that needs no socket.
func (c *Cloud) Client() *cloud.Client { return cloud.New(c.ClientOptions()) }

// ClientOptions are what Client makes a client with.
func (c *Cloud) ClientOptions() cloud.Options {
	return cloud.Options{Transport: c, Clock: c.options.Clock, Auth: cloud.Auth{URL: baseURL + "/identity", UserName: "octavia", UserDomainName: "Default",
		Password: secrets.New(servicePass), ProjectName: "service", ProjectDomainName: "Default"}}
}

// Token makes a token of a user of a project, without any right to other projects' objects.
func (c *Cloud) Token(project string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.issue(caller{project: project})
}

// RevokeTokens makes all tokens worthless.
func (c *Cloud) RevokeTokens() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.tokens)
}

func (c *Cloud) issue(who caller) string {
	who.expires = c.options.Clock().Add(c.options.TokenLifetime)
	token := "token-" + c.newID()
	c.tokens[token] = who
	return token
}

func (c *Cloud) authenticate(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var body struct {
		Auth struct {
			Identity struct {
				Password struct {
					User struct{ Name, Password string }
				}
			}
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		write(w, answer{}, refuse(http.StatusBadRequest, "", "%v", err))
		return
	}
	if user := body.Auth.Identity.Password.User; user.Name != "octavia" || user.Password != servicePass {
		write(w, answer{}, refuse(http.StatusUnauthorized, "", "The request you have made requires authentication."))
		return
	}
	catalog := []object{}
	for kind, path := range map[string]string{"network": "/network", "compute": "/compute/v2.1", "image": "/image"} {
		endpoint := object{"interface": "public", "region": "RegionOne", "region_id": "RegionOne", "url": baseURL + path}
		catalog = append(catalog, object{"type": kind, "name": kind, "endpoints": []object{endpoint}})
	}
	w.Header().Set("X-Subject-Token", c.issue(caller{project: ServiceProject, admin: true}))
	write(w, answer{http.StatusCreated, object{"token": object{
		"catalog": catalog, "project": object{"id": ServiceProject, "name": "service", "domain": object{"id": "default", "name": "Default"}},
		"expires_at": c.options.Clock().Add(c.options.TokenLifetime).UTC().Format("2006-01-02T15:04:05.000000Z"),
	}}}, nil)
}
