package identity

import (
	"net/http"
	"net/url"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// addRegistered puts what operators registered into the catalog.
func (s *Service) addRegistered(all []catalogService) []catalogService {
	for _, r := range state.List[registeredService](s.state, nil) {
		all = append(all, catalogService{ID: r.ID, Type: r.Type, Name: r.Name, Endpoints: []catalogEndpoint{}})
	}
	for _, r := range state.List[registeredEndpoint](s.state, nil) {
		i := slices.IndexFunc(all, func(c catalogService) bool { return c.ID == r.ServiceID })
		if i < 0 {
			continue
		}
		e := catalogEndpoint{ID: r.ID, Interface: r.Interface, RegionID: r.Region, Region: r.Region, URL: r.URL}
		if own := slices.IndexFunc(all[i].Endpoints, func(o catalogEndpoint) bool { return o.ID == r.ID }); own >= 0 {
			all[i].Endpoints[own] = e
		} else {
			all[i].Endpoints = append(all[i].Endpoints, e)
		}
	}
	return all
}

func (s *Service) createService(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	var body struct {
		Service struct {
			Type string `json:"type"`
			Name string `json:"name"`
		} `json:"service"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	if err := checkName("service's type", body.Service.Type, 255); err != nil {
		return err
	}
	made := registeredService{ID: newID(), Type: body.Service.Type, Name: body.Service.Name}
	if err := s.state.Put(made); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusCreated, map[string]any{"service": service{made.ID, made.Type, made.Name, true, linkTo(r, "services", made.ID)}})
}

func (s *Service) deleteService(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	id := r.PathValue("id")
	err := s.state.Update(func(tx *state.Tx) error {
		registered, err := state.Get[registeredService](tx, id)
		if err != nil {
			return notRegistered("service", id)
		}
		tx.Delete(registered)
		for _, e := range state.List(tx, func(e *registeredEndpoint) bool { return e.ServiceID == id }) {
			tx.Delete(e)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

// notRegistered is the answer for what is not there, and for what this server has of its own.
func notRegistered(what, id string) error {
	return httpx.NotFound("", "Could not find %s: %s, or it is built in.", what, id)
}

type endpointChange struct {
	Endpoint struct {
		ServiceID *string `json:"service_id"`
		Interface *string `json:"interface"`
		Region    *string `json:"region"`
		RegionID  *string `json:"region_id"`
		URL       *string `json:"url"`
	} `json:"endpoint"`
}

func (s *Service) applyTo(r *http.Request, c *endpointChange, e *registeredEndpoint) error {
	set(&e.ServiceID, c.Endpoint.ServiceID)
	set(&e.Interface, c.Endpoint.Interface)
	set(&e.Region, c.Endpoint.Region)
	set(&e.Region, c.Endpoint.RegionID)
	set(&e.URL, c.Endpoint.URL)
	if !slices.ContainsFunc(s.catalog(r), func(c catalogService) bool { return c.ID == e.ServiceID }) {
		return notFound("service", e.ServiceID)
	}
	if !slices.Contains(interfaces, e.Interface) {
		return httpx.BadRequest("", "The interface of an endpoint is public, internal or admin, not %q.", e.Interface)
	}
	if u, err := url.Parse(e.URL); err != nil || u.Host == "" {
		return httpx.BadRequest("", "The URL of an endpoint is not a URL: %q.", e.URL)
	}
	return nil
}

func (s *Service) createEndpoint(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	return s.putEndpoint(w, r, http.StatusCreated, registeredEndpoint{ID: newID(), Region: s.opts.Region})
}

func (s *Service) updateEndpoint(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	id := r.PathValue("id")
	all := s.endpoints(r)
	i := slices.IndexFunc(all, func(e endpoint) bool { return e.ID == id })
	if i < 0 {
		return notFound("endpoint", id)
	}
	return s.putEndpoint(w, r, http.StatusOK, registeredEndpoint{id, all[i].ServiceID, all[i].Interface, all[i].Region, all[i].URL})
}

func (s *Service) putEndpoint(w http.ResponseWriter, r *http.Request, status int, e registeredEndpoint) error {
	var change endpointChange
	if err := httpx.Read(w, r, &change); err != nil {
		return err
	}
	if err := s.applyTo(r, &change, &e); err != nil {
		return err
	}
	if err := s.state.Put(e); err != nil {
		return err
	}
	return httpx.Write(w, status, map[string]any{"endpoint": endpoint{
		catalogEndpoint{ID: e.ID, Interface: e.Interface, RegionID: e.Region, Region: e.Region, URL: e.URL}, e.ServiceID, true, linkTo(r, "endpoints", e.ID)}})
}

func (s *Service) deleteEndpoint(w http.ResponseWriter, r *http.Request, _ httpx.Caller) error {
	id := r.PathValue("id")
	err := s.state.Update(func(tx *state.Tx) error {
		registered, err := state.Get[registeredEndpoint](tx, id)
		if err != nil {
			return notRegistered("endpoint", id)
		}
		tx.Delete(registered)
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}
