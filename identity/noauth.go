package identity

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// NoAuth believes what requests say about themselves in the headers X-Project-Id (or X-Tenant-Id), X-User-Id,
// X-User-Name, X-Roles (comma separated) and X-Auth-Token.
type NoAuth struct {
	everybodyAdmin bool
}

// NewNoAuth is for octavia.conf's auth_strategy noauth, where everybody is an admin, or testing, where roles count. It
// refuses an address that others than this machine can reach, unless forced: nothing asks who they are.
func NewNoAuth(strategy string, listen netip.Addr, forced bool) (*NoAuth, error) {
	if !listen.IsLoopback() && !forced {
		return nil, fmt.Errorf("auth_strategy %s lets everybody in who reaches the API, so it listens on a loopback address "+
			"only, and %v is none: change bind_host or set [api_settings] noauth_anywhere = true", strategy, listen)
	}
	return &NoAuth{everybodyAdmin: strategy == "noauth"}, nil
}

// Identify implements Identifier. It always succeeds.
func (n *NoAuth) Identify(r *http.Request) (Caller, error) {
	c := Caller{
		UserID: r.Header.Get("X-User-Id"), UserName: r.Header.Get("X-User-Name"),
		ProjectID: r.Header.Get("X-Project-Id"), ProjectName: r.Header.Get("X-Project-Name"),
		DomainID: r.Header.Get("X-User-Domain-Id"), ProjectDomainID: r.Header.Get("X-Project-Domain-Id"),
		Token: r.Header.Get("X-Auth-Token"), IsAdmin: n.everybodyAdmin,
	}
	if c.ProjectID == "" {
		c.ProjectID = r.Header.Get("X-Tenant-Id")
	}
	for role := range strings.SplitSeq(r.Header.Get("X-Roles"), ",") {
		if role = strings.TrimSpace(role); role != "" {
			c.Roles = append(c.Roles, role)
		}
	}
	return c, nil
}
