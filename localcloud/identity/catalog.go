package identity

import (
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

type catalogService struct {
	ID        string            `json:"id"`
	Type      string            `json:"type"`
	Name      string            `json:"name"`
	Endpoints []catalogEndpoint `json:"endpoints"`
}

type catalogEndpoint struct {
	ID        string `json:"id"`
	Interface string `json:"interface"`
	RegionID  string `json:"region_id"`
	Region    string `json:"region"`
	URL       string `json:"url"`
}

var interfaces = []string{"public", "internal", "admin"}

// catalog lists the services of this server, at the address that the client used (what reached us by one name is told that
// name), and those that operators registered.
func (s *Service) catalog(r *http.Request) []catalogService {
	var all []catalogService
	for _, service := range s.opts.Services {
		c := catalogService{ID: stableID(service.Type), Type: service.Type, Name: service.Name}
		for _, i := range interfaces {
			c.Endpoints = append(c.Endpoints, catalogEndpoint{
				ID: stableID(service.Type, i), Interface: i, RegionID: s.opts.Region, Region: s.opts.Region,
				URL: httpx.RootURL(r) + service.Path,
			})
		}
		all = append(all, c)
	}
	return s.addRegistered(all)
}

// stableID is an id for what is configured rather than kept.
func stableID(words ...string) string {
	h := sha256.New()
	for _, w := range words {
		h.Write([]byte(w + "\n"))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (s *Service) showCatalog(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return httpx.Write(w, http.StatusOK, map[string]any{"catalog": s.catalog(r), "links": links{Self: self(r)}})
}

func (s *Service) routeCatalog(rt *httpx.Router) {
	rt.Handle("GET /v3/services", admin(s.listServices))
	rt.Handle("GET /v3/services/{id}", admin(s.showService))
	rt.Handle("POST /v3/services", admin(s.createService))
	rt.Handle("DELETE /v3/services/{id}", admin(s.deleteService))
	rt.Handle("GET /v3/endpoints", admin(s.listEndpoints))
	rt.Handle("GET /v3/endpoints/{id}", admin(s.showEndpoint))
	rt.Handle("POST /v3/endpoints", admin(s.createEndpoint))
	rt.Handle("PATCH /v3/endpoints/{id}", admin(s.updateEndpoint))
	rt.Handle("DELETE /v3/endpoints/{id}", admin(s.deleteEndpoint))
	rt.Handle("GET /v3/regions", s.listRegions)
	rt.Handle("GET /v3/regions/{id}", s.showRegion)
}

// service and endpoint are catalog entries as objects of the API.
type service struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Name    string `json:"name"`
	Enabled bool   `json:"enabled"`
	Links   links  `json:"links"`
}

type endpoint struct {
	catalogEndpoint
	ServiceID string `json:"service_id"`
	Enabled   bool   `json:"enabled"`
	Links     links  `json:"links"`
}

type region struct {
	ID          string  `json:"id"`
	Description string  `json:"description"`
	ParentID    *string `json:"parent_region_id"`
	Links       links   `json:"links"`
}

func (s *Service) services(r *http.Request) (all []service) {
	for _, c := range s.catalog(r) {
		all = append(all, service{c.ID, c.Type, c.Name, true, linkTo(r, "services", c.ID)})
	}
	return all
}

func (s *Service) endpoints(r *http.Request) (all []endpoint) {
	for _, c := range s.catalog(r) {
		for _, e := range c.Endpoints {
			all = append(all, endpoint{e, c.ID, true, linkTo(r, "endpoints", e.ID)})
		}
	}
	return all
}

func (s *Service) regions(r *http.Request) []region {
	return []region{{ID: s.opts.Region, Links: linkTo(r, "regions", s.opts.Region)}}
}

func (s *Service) listServices(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "services", s.services(r))
}

func (s *Service) listEndpoints(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "endpoints", s.endpoints(r))
}

func (s *Service) listRegions(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return listed(w, r, "regions", s.regions(r))
}

func (s *Service) showService(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return one(w, r, "service", s.services(r), func(o service) string { return o.ID })
}

func (s *Service) showEndpoint(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return one(w, r, "endpoint", s.endpoints(r), func(o endpoint) string { return o.ID })
}

func (s *Service) showRegion(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return one(w, r, "region", s.regions(r), func(o region) string { return o.ID })
}

func one[T any](w http.ResponseWriter, r *http.Request, singular string, all []T, id func(T) string) error {
	i := slices.IndexFunc(all, func(o T) bool { return id(o) == r.PathValue("id") })
	if i < 0 {
		return notFound(singular, r.PathValue("id"))
	}
	return httpx.Write(w, http.StatusOK, map[string]any{singular: all[i]})
}
