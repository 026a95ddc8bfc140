// Package lb holds the nouns of load balancing as Octavia's API v2 names them: load balancer, listener, pool, member,
// health monitor, L7 policy and L7 rule, with every attribute of API version 2.30 declared once (see package attr),
// and the rules that hold between them. It imports nothing but the standard library.
package lb

import "time"

// Meta is what every resource has. Names, defaults and limits: Octavia's octavia/api/v2/types.
type Meta struct {
	ID                 string             `json:"id" attr:"r,kind=uuid" doc:"The ID of the resource."`
	ProjectID          string             `json:"project_id" attr:"c,root,max=36,alias=tenant_id" doc:"The ID of the project that owns the resource."`
	ProvisioningStatus ProvisioningStatus `json:"provisioning_status" attr:"r" doc:"How far the last change is in force."`
	OperatingStatus    OperatingStatus    `json:"operating_status" attr:"r" doc:"What was last observed in the data plane."`
	AdminStateUp       bool               `json:"admin_state_up" attr:"rw,default=true,null=false" doc:"Whether the resource is in service."`
	Tags               []string           `json:"tags" attr:"rw,max=255,since=2.5" doc:"Strings to find the resource by."`
	CreatedAt          time.Time          `json:"created_at" attr:"r" doc:"When the resource was created (UTC)."`
	UpdatedAt          *time.Time         `json:"updated_at" attr:"r,null" doc:"When the resource was last changed (UTC)."`

	// Generation is the load balancer's generation at which this object was last written; it is in force as soon as the
	// load balancer's observed generation has reached it.
	Generation int64 `json:"-"`
	// Created is the load balancer's generation at which this object was made: it tells PENDING_CREATE from PENDING_UPDATE.
	Created int64 `json:"-"`
	// Deleting marks an object that was deleted by its user and is still to be removed from the data plane.
	Deleting bool `json:"-"`
	// Told is the provisioning status that a provider outside of the process gave the object since it was last written;
	// empty for all others. Deleted, of a load balancer, is the provider's leave to let it go.
	Told ProvisioningStatus `json:"-"`
}

func (m Meta) meta() Meta { return m }
