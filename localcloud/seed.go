package localcloud

import (
	"fmt"

	"github.com/octavo-lb/octavo/localcloud/identity"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// Names of what the cloud starts with.
const (
	AdminProject   = "admin"
	DemoProject    = "demo"
	ServiceProject = "service"

	AdminUser   = "admin"   // the operator
	DemoUser    = "demo"    // a tenant
	ServiceUser = "octavia" // the load balancing service

	AmphoraImage    = "amphora-x64-haproxy"
	AmphoraImageTag = "octavia-amphora"
	WebImage        = "web"

	// AmphoraProgram and WebProgram are what instances of the images run.
	AmphoraProgram = "octavo-agent"
	WebProgram     = "web"
)

// roles are Keystone's own and those of Octavia's policies.
var roles = []string{"admin", "member", "reader", "load-balancer_admin", "load-balancer_member", "load-balancer_observer",
	"load-balancer_global_observer", "load-balancer_quota_admin"}

// seeded is kept once everything is there, so that what an operator deletes stays deleted.
type seeded struct {
	ID string `json:"id"`
}

func (seeded) Kind() string  { return "localcloud.seeded" }
func (s seeded) Key() string { return s.ID }

// seed makes what the cloud starts with. A first start that was killed half way is completed by the next one.
func (c *Cloud) seed(passwords map[string]string) error {
	done := seeded{"identity and images"}
	if _, err := state.Get[seeded](c.state, done.ID); err == nil {
		return nil
	}
	users := []identity.SeedUser{
		{Name: AdminUser, Grants: map[string][]string{AdminProject: {"admin"}, DemoProject: {"admin"}}},
		{Name: DemoUser, Grants: map[string][]string{DemoProject: {"member", "load-balancer_member"}}},
		{Name: ServiceUser, Grants: map[string][]string{ServiceProject: {"admin"}}},
	}
	for i := range users {
		if users[i].Password = passwords[users[i].Name]; users[i].Password == "" {
			return fmt.Errorf("there is no password for the user %s", users[i].Name)
		}
	}
	err := c.identity.Ensure(identity.Seed{Projects: []string{AdminProject, DemoProject, ServiceProject}, Roles: roles, Users: users})
	if err != nil {
		return err
	}
	owner := c.ProjectID(ServiceProject)
	if err := c.image.Seed(AmphoraImage, owner, AmphoraProgram, true, AmphoraImageTag); err != nil {
		return err
	}
	if err := c.image.Seed(WebImage, owner, WebProgram, true); err != nil {
		return err
	}
	return c.state.Put(done)
}
