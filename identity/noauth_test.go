package identity

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestNoAuthListensOnLoopbackOnlyUnlessForced(t *testing.T) {
	for address, want := range map[string]bool{"127.0.0.1": true, "::1": true, "127.8.8.8": true, "0.0.0.0": false, "::": false, "192.0.2.1": false} {
		_, err := NewNoAuth("noauth", netip.MustParseAddr(address), false)
		if (err == nil) != want {
			t.Errorf("%s: %v", address, err)
		}
		if err != nil && !(strings.Contains(err.Error(), address) && strings.Contains(err.Error(), "noauth_anywhere")) {
			t.Errorf("%s: the error does not name the address and the way out: %v", address, err)
		}
		if _, err := NewNoAuth("noauth", netip.MustParseAddr(address), true); err != nil {
			t.Errorf("%s forced: %v", address, err)
		}
	}
}

func TestNoAuthBelievesHeaders(t *testing.T) {
	n, err := NewNoAuth("testing", netip.MustParseAddr("127.0.0.1"), false)
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/", nil)
	r.Header.Set("X-Tenant-Id", "old")
	r.Header.Set("X-User-Id", "eva")
	r.Header.Set("X-Roles", "member, load-balancer_observer,,")
	c, err := n.Identify(r)
	if err != nil || c.ProjectID != "old" || c.UserID != "eva" || strings.Join(c.Roles, "+") != "member+load-balancer_observer" || c.IsAdmin {
		t.Errorf("%+v %q, %v", c, c.Roles, err)
	}
	r.Header.Set("X-Project-Id", "new")
	if c, _ := n.Identify(r); c.ProjectID != "new" {
		t.Errorf("project %s, want X-Project-Id before X-Tenant-Id", c.ProjectID)
	}
	n, _ = NewNoAuth("noauth", netip.MustParseAddr("127.0.0.1"), false)
	if c, _ := n.Identify(r); !c.IsAdmin {
		t.Error("under noauth everybody is an admin")
	}
}
