package keymanager

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

func (s *Service) showACL(kind string) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
		o, err := s.read(kind, r.PathValue("id"), who, (*object).readable)
		if err != nil {
			return err
		}
		read := map[string]any{"project-access": true}
		if o.ACL != nil {
			read = map[string]any{"project-access": o.ACL.ProjectAccess, "users": o.ACL.Users,
				"created": timestamp(o.ACL.Created), "updated": timestamp(o.ACL.Updated)}
		}
		return httpx.Write(w, http.StatusOK, map[string]any{"read": read})
	}
}

// setACL replaces the list (PUT), where what is left out gets its default, or changes what is given (PATCH).
func (s *Service) setACL(kind string, replace bool) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
		var body struct {
			Read *struct {
				Users         *[]string `json:"users"`
				ProjectAccess *bool     `json:"project-access"`
			} `json:"read"`
		}
		if err := httpx.Read(w, r, &body); err != nil {
			return err
		}
		if body.Read == nil {
			return httpx.BadRequest("", "Provided object does not match schema 'ACL': read is missing.")
		}
		_, err := s.edit(kind, r.PathValue("id"), who, (*object).changeable, func(o *object) error {
			now := s.now()
			if o.ACL == nil {
				o.ACL = &acl{Users: []string{}, ProjectAccess: true, Created: now}
			}
			if replace {
				o.ACL.Users, o.ACL.ProjectAccess = []string{}, true
			}
			if body.Read.Users != nil {
				o.ACL.Users = slices.Compact(slices.Sorted(slices.Values(*body.Read.Users)))
			}
			if body.Read.ProjectAccess != nil {
				o.ACL.ProjectAccess = *body.Read.ProjectAccess
			}
			o.ACL.Updated = now
			return nil
		})
		if err != nil {
			return err
		}
		return httpx.Write(w, http.StatusOK, map[string]string{"acl_ref": ref(r, kind, r.PathValue("id")) + "/acl"})
	}
}

func (s *Service) deleteACL(kind string) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
		_, err := s.edit(kind, r.PathValue("id"), who, (*object).changeable, func(o *object) error { o.ACL = nil; return nil })
		if err != nil {
			return err
		}
		w.WriteHeader(http.StatusOK)
		return nil
	}
}
