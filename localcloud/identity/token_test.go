package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

// call sends a request; it answers the status, the headers and the decoded body.
func (c *cloud) call(t *testing.T, method, path, token, body string, headers ...string) (int, http.Header, map[string]any) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, c.url+"/identity"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("X-Auth-Token", token)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if len(bytes.TrimSpace(raw)) > 0 {
		if err := json.Unmarshal(raw, &answer); err != nil {
			t.Fatalf("%s %s answers %q", method, path, raw)
		}
	}
	return resp.StatusCode, resp.Header, answer
}

const passwordBody = `{"auth": {"identity": {"methods": ["password"], "password": {"user":
	{"name": %q, "domain": {"id": "default"}, "password": %q}}}%s}}`

func inProject(name string) string {
	return fmt.Sprintf(`, "scope": {"project": {"name": %q, "domain": {"name": "Default"}}}`, name)
}

// issue answers a token's text for a password.
func (c *cloud) issue(t *testing.T, user, password, scope string) string {
	t.Helper()
	status, header, answer := c.call(t, "POST", "/v3/auth/tokens", "", fmt.Sprintf(passwordBody, user, password, scope))
	if status != http.StatusCreated {
		t.Fatalf("no token for %s: %d %v", user, status, answer)
	}
	return header.Get("X-Subject-Token")
}

// at walks through decoded JSON: names, and numbers for places in lists.
func at(v any, path ...any) any {
	for _, step := range path {
		switch step := step.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[step]
		case int:
			l, _ := v.([]any)
			if step >= len(l) {
				return nil
			}
			v = l[step]
		}
	}
	return v
}

func TestTokenSaysWhoAndWhereAndWhatServices(t *testing.T) {
	c := newCloud(t)
	_, _, answer := c.call(t, "POST", "/v3/auth/tokens", "", fmt.Sprintf(passwordBody, "demo", "demopw", inProject("demo")))
	token := at(answer, "token")
	for want, got := range map[string]any{
		"demo":                          at(token, "user", "name"),
		"Default":                       at(token, "user", "domain", "name"),
		c.ProjectID("demo"):             at(token, "project", "id"),
		"member":                        at(token, "roles", 0, "name"),
		"reader":                        at(token, "roles", 1, "name"), // implied by member
		"load-balancer_member":          at(token, "roles", 2, "name"),
		"network":                       at(token, "catalog", 1, "type"),
		"password":                      at(token, "methods", 0),
		c.url + "/network":              at(token, "catalog", 1, "endpoints", 0, "url"),
		timestamp(c.now.Add(60 * 60e9)): at(token, "expires_at"),
	} {
		if got != want {
			t.Errorf("token says %v, want %v", got, want)
		}
	}
}

func TestWrongCredentialsGetTheSame401(t *testing.T) {
	c := newCloud(t)
	good := c.issue(t, "demo", "demopw", inProject("demo"))
	for name, body := range map[string]string{
		"wrong password":       fmt.Sprintf(passwordBody, "demo", "x", ""),
		"empty password":       fmt.Sprintf(passwordBody, "demo", "", ""),
		"unknown user":         fmt.Sprintf(passwordBody, "nobody", "demopw", ""),
		"another domain":       strings.ReplaceAll(fmt.Sprintf(passwordBody, "demo", "demopw", ""), `"default"`, `"other"`),
		"project without role": fmt.Sprintf(passwordBody, "demo", "demopw", inProject("admin")),
		"unknown project":      fmt.Sprintf(passwordBody, "demo", "demopw", inProject("nowhere")),
		"altered token":        `{"auth": {"identity": {"methods": ["token"], "token": {"id": "x` + good + `"}}}}`,
		"unsigned token":       `{"auth": {"identity": {"methods": ["token"], "token": {"id": "` + strings.Split(good, ".")[0] + `"}}}}`,
		"unknown method":       `{"auth": {"identity": {"methods": ["totp"]}}}`,
	} {
		status, header, answer := c.call(t, "POST", "/v3/auth/tokens", "", body)
		if status != 401 || at(answer, "error", "message") != unauthorized.Message || at(answer, "error", "title") != "Unauthorized" {
			t.Errorf("%s: %d %v, want Keystone's 401", name, status, answer)
		}
		if header.Get("X-Subject-Token") != "" {
			t.Errorf("%s: got a token", name)
		}
	}
}

func TestMalformedAuthenticationIsABadRequest(t *testing.T) {
	c := newCloud(t)
	for _, body := range []string{``, `[]`, `{}`, `{"auth": {"identity": {"methods": ["password"]}}}`, `{"auth": 1}`} {
		if status, _, answer := c.call(t, "POST", "/v3/auth/tokens", "", body); status != 400 {
			t.Errorf("%s: %d %v, want 400", body, status, answer)
		}
	}
}

func TestTokenEnds(t *testing.T) {
	demoUser := func(c *cloud) string {
		a, _ := c.findUser(&reference{Name: "demo", Domain: &reference{ID: DefaultDomain}})
		return a.ID
	}
	for name, end := range map[string]func(t *testing.T, c *cloud, admin, demo string){
		"when its time is over": func(t *testing.T, c *cloud, _, _ string) { c.pass(time.Hour) },
		"when it is revoked": func(t *testing.T, c *cloud, _, demo string) {
			c.call(t, "DELETE", "/v3/auth/tokens", demo, "", "X-Subject-Token", demo)
		},
		"when the password is changed": func(t *testing.T, c *cloud, admin, _ string) {
			c.pass(time.Second)
			c.call(t, "PATCH", "/v3/users/"+demoUser(c), admin, `{"user": {"password": "new"}}`)
		},
		"when the user is disabled": func(t *testing.T, c *cloud, admin, _ string) {
			c.call(t, "PATCH", "/v3/users/"+demoUser(c), admin, `{"user": {"enabled": false}}`)
		},
		"when the user is deleted": func(t *testing.T, c *cloud, admin, _ string) {
			c.call(t, "DELETE", "/v3/users/"+demoUser(c), admin, "")
		},
		"when the project is disabled": func(t *testing.T, c *cloud, admin, _ string) {
			c.call(t, "PATCH", "/v3/projects/"+c.ProjectID("demo"), admin, `{"project": {"enabled": false}}`)
		},
		"when the roles are taken": func(t *testing.T, c *cloud, admin, _ string) {
			_, _, roles := c.call(t, "GET", "/v3/projects/"+c.ProjectID("demo")+"/users/"+demoUser(c)+"/roles", admin, "")
			for _, role := range at(roles, "roles").([]any) {
				c.call(t, "DELETE", "/v3/projects/"+c.ProjectID("demo")+"/users/"+demoUser(c)+"/roles/"+at(role, "id").(string), admin, "")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCloud(t)
			admin := c.issue(t, "admin", "adminpw", inProject("admin"))
			demo := c.issue(t, "demo", "demopw", inProject("demo"))
			if _, err := c.Authenticate(t.Context(), demo); err != nil {
				t.Fatal("the token was never valid")
			}
			end(t, c, admin, demo)
			if caller, err := c.Authenticate(t.Context(), demo); err != httpx.ErrBadToken {
				t.Errorf("still valid: %+v, %v", caller, err)
			}
			if status, _, _ := c.call(t, "GET", "/v3/auth/tokens", demo, "", "X-Subject-Token", demo); status != 401 {
				t.Errorf("the API answers %d, want 401", status)
			}
		})
	}
}

func TestTokensAndRevocationsSurviveARestart(t *testing.T) {
	c := newCloud(t)
	kept := c.issue(t, "demo", "demopw", inProject("demo"))
	revoked := c.issue(t, "demo", "demopw", inProject("demo"))
	c.call(t, "DELETE", "/v3/auth/tokens", revoked, "", "X-Subject-Token", revoked)
	c.restart(t)
	if _, err := c.Authenticate(t.Context(), kept); err != nil {
		t.Errorf("after a restart: %v", err)
	}
	if _, err := c.Authenticate(t.Context(), revoked); err != httpx.ErrBadToken {
		t.Errorf("the revoked token after a restart: %v", err)
	}
}

func TestRescopedTokenKeepsItsExpiryAndItsEnd(t *testing.T) {
	c := newCloud(t)
	unscoped := c.issue(t, "admin", "adminpw", `, "scope": "unscoped"`)
	c.pass(30 * time.Minute)
	rescope := fmt.Sprintf(`{"auth": {"identity": {"methods": ["token"], "token": {"id": %q}}, "scope": {"project": {"id": %q}}}}`,
		unscoped, c.ProjectID("demo"))
	status, header, answer := c.call(t, "POST", "/v3/auth/tokens", "", rescope)
	if status != 201 || at(answer, "token", "project", "name") != "demo" || at(answer, "token", "expires_at") != timestamp(c.now.Add(30*time.Minute)) {
		t.Fatalf("%d %v, want a token for demo that ends with the first", status, answer)
	}
	c.call(t, "DELETE", "/v3/auth/tokens", unscoped, "", "X-Subject-Token", unscoped)
	if _, err := c.Authenticate(t.Context(), header.Get("X-Subject-Token")); err != httpx.ErrBadToken {
		t.Errorf("after its parent was revoked: %v", err)
	}
}

func TestEndedTokenMakesNoNewOne(t *testing.T) {
	c := newCloud(t)
	demo := c.issue(t, "demo", "demopw", inProject("demo"))
	admin := c.issue(t, "admin", "adminpw", inProject("admin"))
	a, _ := c.findUser(&reference{Name: "demo", Domain: &reference{ID: DefaultDomain}})
	c.pass(time.Second)
	c.call(t, "PATCH", "/v3/users/"+a.ID, admin, `{"user": {"password": "new"}}`)
	c.pass(time.Second)
	rescope := fmt.Sprintf(`{"auth": {"identity": {"methods": ["token"], "token": {"id": %q}}}}`, demo)
	if status, header, _ := c.call(t, "POST", "/v3/auth/tokens", "", rescope); status != 401 || header.Get("X-Subject-Token") != "" {
		t.Errorf("%d: a token from before the password was changed makes a new one", status)
	}
}

func TestValidationOfAnotherUsersToken(t *testing.T) {
	c := newCloud(t)
	service := c.issue(t, "octavia", "octaviapw", inProject("service"))
	admin := c.issue(t, "admin", "adminpw", inProject("admin"))
	demo := c.issue(t, "demo", "demopw", inProject("demo"))
	tests := []struct {
		caller, subject string
		status          int
	}{
		{service, demo, 200}, {demo, demo, 200}, {demo, admin, 403}, {service, "nonsense", 404},
		{service, demo + "x", 404}, {"", demo, 401}, {"nonsense", demo, 401},
	}
	for i, test := range tests {
		status, header, answer := c.call(t, "GET", "/v3/auth/tokens?nocatalog", test.caller, "", "X-Subject-Token", test.subject)
		if status != test.status {
			t.Errorf("%d: %d %v, want %d", i, status, answer, test.status)
		}
		if status == 200 && (header.Get("X-Subject-Token") != demo || at(answer, "token", "catalog") != nil || at(answer, "token", "user", "name") != "demo") {
			t.Errorf("%d: %v", i, answer)
		}
	}
	r, _ := http.NewRequestWithContext(t.Context(), "HEAD", c.url+"/identity/v3/auth/tokens", nil)
	r.Header.Set("X-Auth-Token", service)
	r.Header.Set("X-Subject-Token", demo)
	if resp, err := http.DefaultClient.Do(r); err != nil || resp.StatusCode != 200 {
		t.Errorf("HEAD: %v %v", resp, err)
	}
}

func TestSecretsAreNotInTheStateFile(t *testing.T) {
	c := newCloud(t)
	for _, name := range []string{"", "-wal"} {
		content := readFile(t, c.path+name)
		for _, secret := range []string{"adminpw", "demopw", "octaviapw"} {
			if bytes.Contains(content, []byte(secret)) {
				t.Errorf("%s holds the password %s", c.path+name, secret)
			}
		}
	}
}
