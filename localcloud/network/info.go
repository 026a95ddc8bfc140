package network

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

// extension is a part of the API that clients ask for before they use it.
type extension struct {
	Alias       string   `json:"alias"`
	Name        string   `json:"name"`
	Description string   `json:"description"`
	Updated     string   `json:"updated"`
	Links       []string `json:"links"`
}

func extensions() []extension {
	var all []extension
	for _, e := range [][2]string{
		{"allowed-address-pairs", "Allowed Address Pairs"},
		{"availability_zone", "Availability Zone"},
		{"binding", "Port Binding"},
		{"default-subnetpools", "Default Subnetpools"},
		{"ext-gw-mode", "Neutron L3 Configurable external gateway mode"},
		{"external-net", "Neutron external network"},
		{"extra_dhcp_opt", "Neutron Extra DHCP options"},
		{"extraroute", "Neutron Extra Route"},
		{"fip-port-details", "Floating IP Port Details Extension"},
		{"ip-substring-filtering", "IP address substring filtering"},
		{"net-mtu", "Network MTU"},
		{"net-mtu-writable", "Network MTU (writable)"},
		{"network_availability_zone", "Network Availability Zone"},
		{"pagination", "Pagination support"},
		{"port-security", "Port Security"},
		{"project-id", "project_id field enabled"},
		{"provider", "Provider Network"},
		{"qos", "Quality of Service"},
		{"qos-fip", "Floating IP QoS"},
		{"quotas", "Quota management support"},
		{"router", "Neutron L3 Router"},
		{"router_availability_zone", "Router Availability Zone"},
		{"security-group", "security-group"},
		{"security-groups-normalized-cidr", "Normalized CIDR field for security group rules"},
		{"sorting", "Sorting support"},
		{"standard-attr-description", "standard-attr-description"},
		{"standard-attr-revisions", "Resource revision numbers"},
		{"standard-attr-tag", "Tag support for resources with standard attribute: port, subnet, router, security_group, network, floatingip, policy"},
		{"standard-attr-timestamp", "Resource timestamps"},
		{"subnet-service-types", "Subnet service types"},
	} {
		all = append(all, extension{Alias: e[0], Name: e[1], Description: e[1], Updated: "2024-01-01T00:00:00-00:00", Links: []string{}})
	}
	return all
}

type link struct {
	Rel  string `json:"rel"`
	Href string `json:"href"`
}

func (s *Service) routeInfo(rt *httpx.Router) {
	rt.Public("GET /", showVersions)
	rt.Public("GET /v2.0", showResources)
	rt.Handle("GET /v2.0/extensions", listExtensions)
	rt.Handle("GET /v2.0/extensions/{alias}", showExtension)
	rt.Handle("GET /v2.0/availability_zones", listZones)
	rt.Handle("GET /v2.0/quotas/{project}", s.showQuota)
	rt.Handle("PUT /v2.0/quotas/{project}", s.updateQuota)
	rt.Handle("DELETE /v2.0/quotas/{project}", s.resetQuota)
	rt.Handle("GET /v2.0/quotas/{project}/default", s.showDefaultQuota)
	rt.Handle("GET /v2.0/quotas/{project}/details", s.showQuotaDetails)
	for _, nothing := range []string{"subnetpools", "address-scopes", "agents", "rbac-policies", "trunks", "segments", "address-groups"} {
		rt.Handle("GET /v2.0/"+nothing, listNothing(nothing))
	}
}

func showVersions(w http.ResponseWriter, r *http.Request) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"versions": []any{map[string]any{
		"id": "v2.0", "status": "CURRENT", "links": []link{{"self", httpx.BaseURL(r) + "/v2.0/"}}}}})
}

func showResources(w http.ResponseWriter, r *http.Request) error {
	var all []any
	for _, name := range []string{"network", "subnet", "port", "router", "floatingip", "security-group", "security-group-rule", "extension"} {
		all = append(all, map[string]any{"name": name, "collection": name + "s", "links": []link{{"self", httpx.BaseURL(r) + "/v2.0/" + name + "s"}}})
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"resources": all})
}

func listExtensions(w http.ResponseWriter, _ *http.Request, _ httpx.Caller) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"extensions": extensions()})
}

func showExtension(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	alias := r.PathValue("alias")
	all := extensions()
	i := slices.IndexFunc(all, func(e extension) bool { return e.Alias == alias })
	if i < 0 {
		return httpx.NotFound("HTTPNotFound", "Extension with alias %s does not exist", alias)
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"extension": all[i]})
}

func listZones(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	type availabilityZone struct {
		ID       string `json:"-"`
		Name     string `json:"name"`
		Resource string `json:"resource"`
		State    string `json:"state"`
	}
	page, err := httpx.Select(r, []availabilityZone{{zone, zone, "network", "available"}, {zone, zone, "router", "available"}}, httpx.Strict)
	if err != nil {
		return err
	}
	return page.Write(w, "availability_zones")
}

func listNothing(name string) httpx.Handler {
	key := map[string]string{"address-scopes": "address_scopes", "rbac-policies": "rbac_policies", "address-groups": "address_groups"}[name]
	if key == "" {
		key = name
	}
	return func(w http.ResponseWriter, _ *http.Request, _ httpx.Caller) error {
		return httpx.Write(w, http.StatusOK, map[string]any{key: []any{}})
	}
}
