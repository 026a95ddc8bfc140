package identity

import (
	"strings"
	"testing"

	"github.com/octavo-lb/octavo/localcloud/clitest"
)

func (c *cloud) client(t *testing.T, user, project string) *clitest.Client {
	return clitest.New(t, c.url+"/identity/v3", user, user+"pw", project)
}

func equal(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}

func TestClientManagesUsersProjectsAndRoles(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	admin := c.client(t, "admin", "admin")
	equal(t, "projects", admin.Names("project", "list"), "admin demo service")
	equal(t, "roles", admin.Names("role", "list"), "admin member reader load-balancer_member")
	project := admin.Value("id", "project", "create", "--description", "for tests", "lab")
	user := admin.Value("id", "user", "create", "--password", "evapw", "--email", "eva@example.org", "--project", "lab", "eva")
	equal(t, "users", admin.Names("user", "list"), "admin demo octavia eva")
	admin.Refused("409", "user", "create", "eva")
	admin.Run("role", "create", "auditor")
	admin.Run("role", "add", "--user", "eva", "--project", "lab", "auditor")
	admin.Run("role", "add", "--user", "eva", "--project", "lab", "member")
	rows := admin.Rows("role", "assignment", "list", "--user", "eva", "--names")
	if len(rows) != 2 || rows[0]["Role"] != "auditor" || rows[0]["User"] != "eva@Default" || rows[0]["Project"] != "lab@Default" {
		t.Errorf("assignments of eva: %v", rows)
	}
	eva := c.client(t, "eva", "lab")
	equal(t, "eva's own id", eva.Value("user_id", "token", "issue"), user)
	eva.Refused("403", "user", "list")

	equal(t, "project", admin.Value("id", "project", "show", "lab"), project)
	admin.Run("project", "set", "--description", "changed", "--disable", "lab")
	equal(t, "description", admin.Value("description", "project", "show", "lab"), "changed")
	admin.Run("role", "remove", "--user", "eva", "--project", "lab", "auditor")
	admin.Run("user", "delete", "eva")
	admin.Run("project", "delete", "lab")
	admin.Run("role", "delete", "auditor")
	if rows := admin.Rows("role", "assignment", "list"); len(rows) != 5 {
		t.Errorf("%d assignments are left, want the 5 of the start: %v", len(rows), rows)
	}
	equal(t, "domains", admin.Names("domain", "list"), "Default")
	equal(t, "user", admin.Value("enabled", "user", "show", "demo"), "True")
}

func TestClientReadsCatalogAndTokens(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	demo := c.client(t, "demo", "demo")
	var services []string
	for _, row := range demo.Rows("catalog", "list") {
		services = append(services, row["Type"].(string))
	}
	equal(t, "catalog", strings.Join(services, " "), "identity network compute image load-balancer")
	if out := demo.Run("catalog", "show", "network"); !strings.Contains(out, "public: "+c.url+"/network") {
		t.Errorf("catalog show network: %s", out)
	}
	token := demo.Value("id", "token", "issue")
	demo.Run("token", "revoke", token)
	if _, ok := c.open(token); ok {
		t.Error("a revoked token is still valid")
	}
	if rows := c.client(t, "admin", "admin").Rows("endpoint", "list"); len(rows) != 15 {
		t.Errorf("%d endpoints, want 3 for each of 5 services: %v", len(rows), rows)
	}
	clitest.New(t, c.url+"/identity/v3", "demo", "wrong", "demo").Refused("requires authentication", "token", "issue")
}

func TestClientUsesApplicationCredentials(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	demo := c.client(t, "demo", "demo")
	id := demo.Value("id", "application", "credential", "create", "--secret", "s3cret", "--role", "load-balancer_member", "ci")
	equal(t, "list", demo.Names("application", "credential", "list"), "ci")
	program := clitest.NewWith(t, "OS_AUTH_URL="+c.url+"/identity/v3", "OS_AUTH_TYPE=v3applicationcredential",
		"OS_APPLICATION_CREDENTIAL_ID="+id, "OS_APPLICATION_CREDENTIAL_SECRET=s3cret")
	token := program.Value("id", "token", "issue")
	caller, err := c.Authenticate(t.Context(), token)
	if err != nil || strings.Join(caller.Roles, " ") != "load-balancer_member" || caller.ProjectName != "demo" {
		t.Errorf("the credential's token is for %+v, %v", caller, err)
	}
	program.Refused("403", "application", "credential", "create", "grandchild")
	program.Refused("403", "application", "credential", "delete", "ci")
	demo.Refused("not find role assignment", "application", "credential", "create", "--role", "admin", "more")
	demo.Run("application", "credential", "delete", "ci")
	if _, err := c.Authenticate(t.Context(), token); err == nil {
		t.Error("the token outlived its credential")
	}
	program.Refused("requires authentication", "token", "issue")
}

func TestClientRegistersServicesAndEndpoints(t *testing.T) {
	t.Parallel()
	c := newCloud(t)
	admin := c.client(t, "admin", "admin")
	id := admin.Value("id", "service", "create", "--name", "designate", "dns")
	endpoint := admin.Value("id", "endpoint", "create", "--region", "RegionOne", "dns", "public", "http://dns.example.org:9001/")
	if out := admin.Run("catalog", "show", "dns"); !strings.Contains(out, "public: http://dns.example.org:9001/") {
		t.Errorf("catalog show dns: %s", out)
	}
	admin.Run("endpoint", "set", "--url", "http://dns.example.org:9002/", endpoint)
	equal(t, "url", admin.Value("url", "endpoint", "show", endpoint), "http://dns.example.org:9002/")
	own := admin.Rows("endpoint", "list", "--service", "network", "--interface", "public")[0]["ID"].(string)
	admin.Run("endpoint", "set", "--url", "http://elsewhere.example.org/network", own)
	if out := c.client(t, "demo", "demo").Run("catalog", "show", "network"); !strings.Contains(out, "public: http://elsewhere.example.org/network") {
		t.Errorf("catalog show network: %s", out)
	}
	admin.Run("endpoint", "delete", own) // back to its own
	if out := admin.Run("catalog", "show", "network"); !strings.Contains(out, "public: "+c.url+"/network") {
		t.Errorf("catalog show network: %s", out)
	}
	admin.Refused("404", "endpoint", "delete", own)
	admin.Run("service", "delete", id)
	if rows := admin.Rows("endpoint", "list"); len(rows) != 15 {
		t.Errorf("%d endpoints are left, want 15", len(rows))
	}
	c.client(t, "demo", "demo").Refused("403", "service", "create", "mine")
}
