package compute

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

// versions: what novaclient, openstacksdk and gophercloud negotiate with. 2.93 is Zed's.
var versions = httpx.Microversions{
	Service: "compute", Legacy: "X-OpenStack-Nova-API-Version",
	Min: httpx.Microversion{Major: 2, Minor: 1}, Max: httpx.Microversion{Major: 2, Minor: 93},
}

// handler answers a request in the microversion that it asked for.
type handler func(w http.ResponseWriter, r *http.Request, who httpx.Caller, v httpx.Microversion) error

// Handler answers the paths under /compute.
func (s *Service) Handler() http.Handler {
	rt := httpx.NewRouter("/compute", httpx.Nova, s.Tokens, s.Logger)
	rt.Public("GET /", s.listVersions)
	rt.Public("GET /v2.1", s.showVersion)
	for pattern, h := range map[string]handler{
		"POST /v2.1/servers":                            s.createServer,
		"GET /v2.1/servers":                             s.listServers,
		"GET /v2.1/servers/detail":                      s.listServersDetail,
		"GET /v2.1/servers/{id}":                        s.showServer,
		"PUT /v2.1/servers/{id}":                        s.updateServer,
		"DELETE /v2.1/servers/{id}":                     s.deleteServer,
		"POST /v2.1/servers/{id}/action":                s.act,
		"GET /v2.1/servers/{id}/metadata":               s.showMetadata,
		"POST /v2.1/servers/{id}/metadata":              s.mergeMetadata,
		"PUT /v2.1/servers/{id}/metadata":               s.replaceMetadata,
		"DELETE /v2.1/servers/{id}/metadata/{key}":      s.deleteMetadata,
		"GET /v2.1/servers/{id}/os-interface":           s.listInterfaces,
		"POST /v2.1/servers/{id}/os-interface":          s.attachInterface,
		"GET /v2.1/servers/{id}/os-interface/{port}":    s.showInterface,
		"DELETE /v2.1/servers/{id}/os-interface/{port}": s.detachInterface,
		"GET /v2.1/servers/{id}/os-security-groups":     s.listServerGroupsOfPorts,
		"GET /v2.1/servers/{id}/os-volume_attachments":  s.empty("volumeAttachments"),
		"GET /v2.1/servers/{id}/tags":                   s.showTags,
		"PUT /v2.1/servers/{id}/tags":                   s.replaceTags,
		"DELETE /v2.1/servers/{id}/tags":                s.replaceTags,
		"PUT /v2.1/servers/{id}/tags/{tag}":             s.addTag,
		"DELETE /v2.1/servers/{id}/tags/{tag}":          s.removeTag,
		"GET /v2.1/flavors":                             s.listFlavors,
		"GET /v2.1/flavors/detail":                      s.listFlavors,
		"GET /v2.1/flavors/{id}":                        s.showFlavor,
		"POST /v2.1/flavors":                            s.createFlavor,
		"DELETE /v2.1/flavors/{id}":                     s.deleteFlavor,
		"GET /v2.1/flavors/{id}/os-extra_specs":         s.showExtraSpecs,
		"GET /v2.1/os-keypairs":                         s.listKeypairs,
		"POST /v2.1/os-keypairs":                        s.createKeypair,
		"GET /v2.1/os-keypairs/{name}":                  s.showKeypair,
		"DELETE /v2.1/os-keypairs/{name}":               s.deleteKeypair,
		"GET /v2.1/os-server-groups":                    s.listGroups,
		"POST /v2.1/os-server-groups":                   s.createGroup,
		"GET /v2.1/os-server-groups/{id}":               s.showGroup,
		"DELETE /v2.1/os-server-groups/{id}":            s.deleteGroup,
		"GET /v2.1/os-availability-zone":                s.listZones,
		"GET /v2.1/os-availability-zone/detail":         s.listZones,
		"GET /v2.1/limits":                              s.showLimits,
		"GET /v2.1/os-quota-sets/{project}":             s.showQuotas,
		"PUT /v2.1/os-quota-sets/{project}":             s.updateQuotas,
		"DELETE /v2.1/os-quota-sets/{project}":          s.resetQuotas,
		"GET /v2.1/os-quota-sets/{project}/defaults":    s.showDefaultQuotas,
		"GET /v2.1/extensions":                          s.empty("extensions"),
	} {
		rt.Handle(pattern, func(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
			v, err := versions.Negotiate(w, r)
			if err != nil {
				return err
			}
			return h(w, r, who, v)
		})
	}
	return rt
}

// empty answers a list of something that this cloud does not have.
func (s *Service) empty(name string) handler {
	return func(w http.ResponseWriter, _ *http.Request, _ httpx.Caller, _ httpx.Microversion) error {
		return httpx.Write(w, http.StatusOK, map[string]any{name: []any{}})
	}
}

func versionBody(r *http.Request) map[string]any {
	return map[string]any{
		"id": "v2.1", "status": "CURRENT", "version": versions.Max.String(), "min_version": versions.Min.String(),
		"updated": "2013-07-23T11:33:21Z",
		"links":   []map[string]string{{"rel": "self", "href": httpx.BaseURL(r) + "/v2.1/"}},
	}
}

func (s *Service) listVersions(w http.ResponseWriter, r *http.Request) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"versions": []any{versionBody(r)}})
}

func (s *Service) showVersion(w http.ResponseWriter, r *http.Request) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"version": versionBody(r)})
}

func (s *Service) listZones(w http.ResponseWriter, _ *http.Request, _ httpx.Caller, _ httpx.Microversion) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"availabilityZoneInfo": []any{
		map[string]any{"zoneName": zone, "zoneState": map[string]bool{"available": true}, "hosts": nil}}})
}

// zone is the only availability zone.
const zone = "nova"
