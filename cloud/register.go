package cloud

import (
	"context"
	"fmt"
	"strings"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/endpoints"
	"github.com/gophercloud/gophercloud/v2/openstack/identity/v3/roles"
	catalog "github.com/gophercloud/gophercloud/v2/openstack/identity/v3/services"
)

// Registration is what Keystone needs to know of the load balancing service.
type Registration struct {
	Region string
	// URLs are the API's, by interface: public, internal, admin.
	URLs map[gophercloud.Availability]string
}

// What the service is called in Keystone's catalog, and the roles that its policies know (octavia/policies).
const (
	ServiceType = "load-balancer"
	ServiceName = "octavia"
)

// Roles are those of users of the load balancing service.
func Roles() []string {
	return []string{"load-balancer_observer", "load-balancer_global_observer", "load-balancer_member", "load-balancer_quota_admin", "load-balancer_admin"}
}

// Register sees to it that Keystone has the service, its endpoints in the region, and its roles. It makes what is missing,
// corrects addresses, removes nothing, and tells what it found or did, one line each. It may be called again at any time.
func Register(ctx context.Context, identity *gophercloud.ServiceClient, want Registration, tell func(line string)) error {
	r := &registrar{identity: identity, tell: tell}
	id, err := r.service(ctx)
	if err != nil {
		return err
	}
	for _, interfaceName := range []gophercloud.Availability{gophercloud.AvailabilityPublic, gophercloud.AvailabilityInternal, gophercloud.AvailabilityAdmin} {
		if url := want.URLs[interfaceName]; url != "" {
			if err := r.endpoint(ctx, id, want.Region, interfaceName, url); err != nil {
				return err
			}
		}
	}
	for _, name := range Roles() {
		if err := r.role(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

type registrar struct {
	identity *gophercloud.ServiceClient
	tell     func(string)
}

func (r *registrar) say(format string, args ...any) { r.tell(fmt.Sprintf(format, args...)) }

// service finds the service by its type: an operator may have given it another name.
func (r *registrar) service(ctx context.Context) (id string, err error) {
	pages, err := catalog.List(r.identity, catalog.ListOpts{ServiceType: ServiceType}).AllPages(ctx)
	if err != nil {
		return "", wrap(err, "list the services in Keystone")
	}
	all, err := catalog.ExtractServices(pages)
	if err != nil {
		return "", wrap(err, "list the services in Keystone")
	}
	for _, s := range all {
		if s.Type == ServiceType {
			r.say("service %s: there", ServiceType)
			return s.ID, nil
		}
	}
	made, err := catalog.Create(ctx, r.identity, catalog.CreateOpts{Type: ServiceType, Extra: map[string]any{
		"name": ServiceName, "description": "OpenStack Load Balancing service"}}).Extract()
	if err != nil {
		return "", wrap(err, "register the service in Keystone")
	}
	r.say("service %s: made", ServiceType)
	return made.ID, nil
}

func (r *registrar) endpoint(ctx context.Context, serviceID, region string, at gophercloud.Availability, url string) error {
	pages, err := endpoints.List(r.identity, endpoints.ListOpts{ServiceID: serviceID, Availability: at}).AllPages(ctx)
	if err != nil {
		return wrap(err, "list the endpoints in Keystone")
	}
	all, err := endpoints.ExtractEndpoints(pages)
	if err != nil {
		return wrap(err, "list the endpoints in Keystone")
	}
	for _, e := range all {
		switch {
		case e.ServiceID != serviceID || e.Availability != at || e.Region != region:
		case strings.TrimSuffix(e.URL, "/") == strings.TrimSuffix(url, "/"):
			r.say("%s endpoint %s: there", at, url)
			return nil
		default:
			if err := endpoints.Update(ctx, r.identity, e.ID, endpoints.UpdateOpts{URL: url}).Err; err != nil {
				return wrap(err, "change the %s endpoint in Keystone", at)
			}
			r.say("%s endpoint %s: changed, it was %s", at, url, e.URL)
			return nil
		}
	}
	opts := endpoints.CreateOpts{Availability: at, Region: region, URL: url, ServiceID: serviceID}
	if err := endpoints.Create(ctx, r.identity, opts).Err; err != nil {
		return wrap(err, "register the %s endpoint in Keystone", at)
	}
	r.say("%s endpoint %s: made", at, url)
	return nil
}

func (r *registrar) role(ctx context.Context, name string) error {
	pages, err := roles.List(r.identity, roles.ListOpts{Name: name}).AllPages(ctx)
	if err != nil {
		return wrap(err, "list the roles in Keystone")
	}
	all, err := roles.ExtractRoles(pages)
	if err != nil {
		return wrap(err, "list the roles in Keystone")
	}
	for _, role := range all {
		if role.Name == name && role.DomainID == "" {
			r.say("role %s: there", name)
			return nil
		}
	}
	if err := roles.Create(ctx, r.identity, roles.CreateOpts{Name: name}).Err; err != nil {
		return wrap(err, "make role %s in Keystone", name)
	}
	r.say("role %s: made", name)
	return nil
}
