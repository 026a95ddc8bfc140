package policy

// Action names what is done to a kind of resource, as rules do: Action("loadbalancer", "get_one").
func Action(resource, verb string) string { return "os_load-balancer_api:" + resource + ":" + verb }

// The verbs of actions.
const (
	Create    = "post"
	Update    = "put"
	Delete    = "delete"
	Show      = "get_one"
	List      = "get_all"
	ListAll   = "get_all-global"
	Status    = "get_status"
	Stats     = "get_stats"
	Failover  = "put_failover"
	Configure = "put_config"
	Defaults  = "get_defaults"
)

// roles is who is who (octavia/policies/keystone_default_roles.py and advanced_rbac.py): for each, by Keystone's
// own roles, and by those that Octavia had before and that still count beside them.
var roles = []struct{ name, now, before string }{
	{"project-member", "role:member and project_id:%(project_id)s", ""},
	{"project-reader", "role:reader and project_id:%(project_id)s", ""},
	{"service", "role:service", ""},
	{"load-balancer:owner", "project_id:%(project_id)s", ""},
	{"context_is_admin", "role:admin", "role:admin or role:load-balancer_admin"},
	{"load-balancer:admin", "is_admin:True or role:admin", "is_admin:True or role:admin or role:load-balancer_admin"},
	{"load-balancer:global_observer", "role:admin", "role:load-balancer_global_observer"},
	{"load-balancer:member_and_owner", "rule:project-member", "role:load-balancer_member and rule:load-balancer:owner"},
	{"load-balancer:observer_and_owner", "rule:project-reader", "role:load-balancer_observer and rule:load-balancer:owner"},
	{"load-balancer:quota-admin", "role:admin", "role:load-balancer_quota_admin"},
}

// access is what they may do (octavia/policies/base.py).
var access = map[string]string{
	"load-balancer:read": "rule:load-balancer:observer_and_owner or rule:load-balancer:global_observer or " +
		"rule:load-balancer:member_and_owner or rule:load-balancer:admin",
	"load-balancer:read-global": "rule:load-balancer:global_observer or rule:load-balancer:admin",
	"load-balancer:write":       "rule:load-balancer:member_and_owner or rule:load-balancer:admin",
	"load-balancer:read-quota": "rule:load-balancer:observer_and_owner or rule:load-balancer:global_observer or " +
		"rule:load-balancer:member_and_owner or rule:load-balancer:quota-admin or rule:load-balancer:admin",
	"load-balancer:read-quota-global": "rule:load-balancer:global_observer or rule:load-balancer:quota-admin or rule:load-balancer:admin",
	"load-balancer:write-quota":       "rule:load-balancer:quota-admin or rule:load-balancer:admin",
}

const (
	read            = "rule:load-balancer:read"
	readGlobal      = "rule:load-balancer:read-global"
	write           = "rule:load-balancer:write"
	adminOnly       = "rule:load-balancer:admin"
	readQuota       = "rule:load-balancer:read-quota"
	readQuotaGlobal = "rule:load-balancer:read-quota-global"
	writeQuota      = "rule:load-balancer:write-quota"
)

// actions is which access each call needs (octavia/policies/*.py), by resource and verb.
var actions = map[string]map[string]string{
	"loadbalancer": {List: read, ListAll: readGlobal, Create: write, Create + ":vip_sg_ids": write, Show: read, Update: write,
		Update + ":vip_sg_ids": write, Delete: write, Stats: read, Status: read, Failover: adminOnly},
	"listener": {List: read, ListAll: readGlobal, Create: write, Show: read, Update: write, Delete: write, Stats: read},
	"pool":     {List: read, ListAll: readGlobal, Create: write, Show: read, Update: write, Delete: write},
	// Aodh's service user lists members of every project.
	"member":                     {List: read + " or rule:service", Create: write, Show: read, Update: write, Delete: write},
	"healthmonitor":              {List: read, ListAll: readGlobal, Create: write, Show: read, Update: write, Delete: write},
	"l7policy":                   {List: read, ListAll: readGlobal, Create: write, Show: read, Update: write, Delete: write},
	"l7rule":                     {List: read, Create: write, Show: read, Update: write, Delete: write},
	"quota":                      {List: readQuota, ListAll: readQuotaGlobal, Show: readQuota, Update: writeQuota, Delete: writeQuota, Defaults: readQuota},
	"amphora":                    {List: adminOnly, Show: adminOnly, Delete: adminOnly, Configure: adminOnly, Failover: adminOnly, Stats: adminOnly},
	"provider":                   {List: read},
	"provider-flavor":            {List: adminOnly},
	"provider-availability-zone": {List: adminOnly},
	"flavor":                     {List: read, Create: adminOnly, Update: adminOnly, Show: read, Delete: adminOnly},
	"flavor-profile":             {List: adminOnly, Create: adminOnly, Update: adminOnly, Show: adminOnly, Delete: adminOnly},
	"availability-zone":          {List: read, Create: adminOnly, Update: adminOnly, Show: read, Delete: adminOnly},
	"availability-zone-profile":  {List: adminOnly, Create: adminOnly, Update: adminOnly, Show: adminOnly, Delete: adminOnly},
}

// defaults are all rules by name.
func defaults(newOnly bool) map[string]string {
	out := make(map[string]string)
	for _, r := range roles {
		out[r.name] = r.now
		if r.before != "" && !newOnly {
			out[r.name] = "(" + r.now + ") or (" + r.before + ")"
		}
	}
	for name, text := range access {
		out[name] = text
	}
	for resource, verbs := range actions {
		for verb, text := range verbs {
			out[Action(resource, verb)] = text
		}
	}
	return out
}
