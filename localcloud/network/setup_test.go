package network

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"github.com/octavo-lb/octavo/localcloud/clitest"
	"github.com/octavo-lb/octavo/localcloud/fabric"
	"github.com/octavo-lb/octavo/localcloud/identity"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// cloud is Keystone and Neutron at a real address, on a fabric of its own.
type cloud struct {
	*Service
	t      *testing.T
	id     *identity.Service
	url    string
	path   string
	tag    string
	tokens map[string]string
	stop   func()
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	t.Parallel()
	dir := t.TempDir()
	c := &cloud{t: t, path: filepath.Join(dir, "state.db"), tag: fabric.Tag(dir + rand.Text()), tokens: map[string]string{}}
	t.Cleanup(func() {
		if err := fabric.Clean(context.Background(), c.tag); err != nil {
			t.Error(err)
		}
	})
	c.start()
	t.Cleanup(func() { c.stop() })
	return c
}

func (c *cloud) ok(err error) {
	c.t.Helper()
	if err != nil {
		c.t.Fatal(err)
	}
}

// start is also what happens after a kill: nothing was told to anybody.
func (c *cloud) start() {
	c.t.Helper()
	st, err := state.Open(c.path)
	c.ok(err)
	log := slog.New(slog.DiscardHandler)
	c.id, err = identity.New(identity.Options{State: st, Logger: log, HashCost: bcrypt.MinCost, Services: []identity.CatalogService{
		{Type: "identity", Name: "keystone", Path: "/identity"}, {Type: "network", Name: "neutron", Path: "/network"}}})
	c.ok(err)
	c.ok(c.id.Ensure(identity.Seed{
		Projects: []string{"admin", "demo", "service", "other"},
		Roles:    []string{"admin", "member"},
		Users: []identity.SeedUser{
			{Name: "admin", Password: "adminpw", Grants: map[string][]string{"admin": {"admin"}}},
			{Name: "demo", Password: "demopw", Grants: map[string][]string{"demo": {"member"}}},
			{Name: "other", Password: "otherpw", Grants: map[string][]string{"other": {"member"}}},
		},
	}))
	f, err := fabric.Open(c.tag, log)
	c.ok(err)
	c.Service = New(Options{State: st, Tokens: c.id, Fabric: f, Host: "testhost", Logger: log})
	c.ok(c.Start(c.t.Context(), Seed{c.id.ProjectID("admin"), c.id.ProjectID("demo"), c.id.ProjectID("service")}))
	mux := http.NewServeMux()
	mux.Handle("/identity/", c.id.Handler())
	mux.Handle("/network/", c.Handler())
	server := httptest.NewServer(mux)
	c.url = server.URL
	stopped := false
	c.stop = func() {
		if !stopped {
			stopped = true
			server.Close()
			c.Close()
			f.Close()
			st.Close()
		}
	}
}

func (c *cloud) client(user string) *clitest.Client {
	return clitest.New(c.t, c.url+"/identity/v3", user, user+"pw", user)
}

func (c *cloud) token(user string) string {
	c.t.Helper()
	if c.tokens[user] == "" {
		body := fmt.Sprintf(`{"auth": {"identity": {"methods": ["password"], "password": {"user": {"name": %q, "domain": {"id": "default"}, "password": %q}}},
			"scope": {"project": {"name": %q, "domain": {"id": "default"}}}}}`, user, user+"pw", user)
		answer, err := http.Post(c.url+"/identity/v3/auth/tokens", "application/json", bytes.NewBufferString(body))
		c.ok(err)
		answer.Body.Close()
		c.tokens[user] = answer.Header.Get("X-Subject-Token")
	}
	return c.tokens[user]
}

// object is a JSON object.
type object map[string]any

func (o object) str(name string) string { s, _ := o[name].(string); return s }

// call makes a request and answers its status and body.
func (c *cloud) call(user, method, path string, body any) (int, object) {
	c.t.Helper()
	text, err := json.Marshal(body)
	c.ok(err)
	request, err := http.NewRequest(method, c.url+"/network/v2.0/"+path, bytes.NewReader(text))
	c.ok(err)
	request.Header.Set("X-Auth-Token", c.token(user))
	answer, err := http.DefaultClient.Do(request)
	c.ok(err)
	defer answer.Body.Close()
	var o object
	_ = json.NewDecoder(answer.Body).Decode(&o)
	return answer.StatusCode, o
}

var singulars = map[string]string{"networks": "network", "subnets": "subnet", "ports": "port", "routers": "router",
	"floatingips": "floatingip", "security-groups": "security_group", "security-group-rules": "security_group_rule", "qos/policies": "policy"}

// create makes an object that must come into being.
func (c *cloud) create(user, plural string, attributes object) object {
	c.t.Helper()
	status, o := c.call(user, "POST", plural, object{singulars[plural]: attributes})
	if status != http.StatusCreated {
		c.t.Fatalf("POST %s %v: %d %v", plural, attributes, status, o)
	}
	inner, _ := o[singulars[plural]].(map[string]any)
	return inner
}

func (c *cloud) update(user, plural, id string, attributes object) object {
	c.t.Helper()
	status, o := c.call(user, "PUT", plural+"/"+id, object{singulars[plural]: attributes})
	if status != http.StatusOK {
		c.t.Fatalf("PUT %s %v: %d %v", plural, attributes, status, o)
	}
	inner, _ := o[singulars[plural]].(map[string]any)
	return inner
}

func (c *cloud) remove(user, plural, id string) {
	c.t.Helper()
	if status, o := c.call(user, "DELETE", plural+"/"+id, nil); status != http.StatusNoContent {
		c.t.Fatalf("DELETE %s: %d %v", plural, status, o)
	}
}

// refused makes a request that must fail in Neutron's words.
func (c *cloud) refused(user, method, path string, attributes object, status int, kind string) {
	c.t.Helper()
	var body any
	if attributes != nil {
		plural := path
		for p := range singulars {
			if len(path) > len(p) && path[:len(p)+1] == p+"/" {
				plural = p
			}
		}
		body = object{singulars[plural]: attributes}
	}
	got, o := c.call(user, method, path, body)
	e, _ := o["NeutronError"].(map[string]any)
	if got != status || e["type"] != kind {
		c.t.Errorf("%s %s %v as %s: %d %v, want %d %s", method, path, attributes, user, got, o, status, kind)
	}
}

// list answers the ids that a list has, in its order.
func (c *cloud) list(user, plural, query string) []object {
	c.t.Helper()
	status, o := c.call(user, "GET", plural+"?"+query, nil)
	if status != http.StatusOK {
		c.t.Fatalf("GET %s?%s: %d %v", plural, query, status, o)
	}
	for key, value := range o {
		if items, ok := value.([]any); ok && len(key) < 6 || ok && key[len(key)-6:] != "_links" {
			var all []object
			for _, item := range items {
				all = append(all, item.(map[string]any))
			}
			return all
		}
	}
	c.t.Fatalf("GET %s?%s: no list in %v", plural, query, o)
	return nil
}

// named answers the only object with that name.
func (c *cloud) named(user, plural, name string) object {
	c.t.Helper()
	all := c.list(user, plural, "name="+name)
	if len(all) != 1 {
		c.t.Fatalf("%d %s are named %s", len(all), plural, name)
	}
	return all[0]
}
