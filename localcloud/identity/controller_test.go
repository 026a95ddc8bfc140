package identity

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/gophercloud/gophercloud/v2"

	controller "github.com/octavo-lb/octavo/identity"
)

func (c *cloud) account(t *testing.T, password string) *controller.Keystone {
	t.Helper()
	account, err := controller.NewAccount(gophercloud.AuthOptions{IdentityEndpoint: c.url + "/identity/v3", Username: "octavia",
		Password: password, DomainName: "Default", TenantName: "service"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return controller.NewKeystone(account, controller.Options{Clock: c.clock})
}

// The controller's side of token validation, against this Keystone over HTTP.
func TestControllerIdentifiesCallers(t *testing.T) {
	c := newCloud(t)
	k := c.account(t, "octaviapw")
	demo := c.issue(t, "demo", "demopw", inProject("demo"))
	caller, err := k.IdentifyToken(t.Context(), demo)
	if err != nil {
		t.Fatal(err)
	}
	if caller.UserName != "demo" || caller.ProjectID != c.ProjectID("demo") || caller.ProjectName != "demo" || caller.DomainID != "default" ||
		!caller.Has("load-balancer_member") || caller.IsAdmin || !caller.ExpiresAt.Equal(c.now.Add(time.Hour).Truncate(time.Microsecond)) {
		t.Errorf("the caller is %v, %v, expires %v", caller, caller.Roles, caller.ExpiresAt)
	}
	if caller, err := k.IdentifyToken(t.Context(), demo+"x"); !errors.Is(err, controller.ErrUnauthorized) {
		t.Errorf("an altered token is for %v: %v", caller, err)
	}

	c.pass(61 * time.Minute) // now the account's own token has expired, too
	later := c.issue(t, "demo", "demopw", inProject("demo"))
	if _, err := k.IdentifyToken(t.Context(), later); err != nil {
		t.Errorf("after the account's token expired: %v", err)
	}
	if _, err := k.IdentifyToken(t.Context(), demo); !errors.Is(err, controller.ErrUnauthorized) {
		t.Errorf("an expired token: %v", err)
	}
}

func TestControllerTellsOutageFromBadToken(t *testing.T) {
	c := newCloud(t)
	demo := c.issue(t, "demo", "demopw", inProject("demo"))
	wrong := c.account(t, "wrong")
	if _, err := wrong.IdentifyToken(t.Context(), demo); !errors.Is(err, controller.ErrUnavailable) || strings.Contains(err.Error(), "wrong") {
		t.Errorf("with a wrong password of the service account: %v, want ErrUnavailable without the password", err)
	}
	k := c.account(t, "octaviapw")
	c.stop()
	if _, err := k.IdentifyToken(t.Context(), demo); !errors.Is(err, controller.ErrUnavailable) {
		t.Errorf("with Keystone gone since before the start: %v, want ErrUnavailable", err)
	}
}
