package identity

import (
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

type links struct {
	Self string `json:"self"`
}

func linkTo(r *http.Request, collection, id string) links {
	return links{httpx.BaseURL(r) + "/v3/" + collection + "/" + id}
}

func self(r *http.Request) string { return httpx.BaseURL(r) + r.URL.Path }

// listed answers with those that the query selects.
func listed[T any](w http.ResponseWriter, r *http.Request, plural string, all []T) error {
	page, err := httpx.Select(r, all, httpx.Lenient)
	if err != nil {
		return err
	}
	if page.Items == nil {
		page.Items = []T{}
	}
	neighbours := map[string]any{"self": self(r), "previous": nil, "next": nil}
	for _, l := range page.Links() {
		neighbours[l.Rel] = l.Href
	}
	return httpx.Write(w, http.StatusOK, map[string]any{plural: page.Items, "links": neighbours})
}

// admin lets only callers with the role admin through to the handler.
func admin(h httpx.Handler) httpx.Handler {
	return func(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
		if !who.IsAdmin {
			return httpx.Forbidden("", "You are not authorized to perform the requested action: %s %s.", r.Method, r.URL.Path)
		}
		return h(w, r, who)
	}
}

func notFound(what, id string) *httpx.Error {
	return httpx.NotFound("", "Could not find %s: %s.", what, id)
}

func duplicate(what, name string) *httpx.Error {
	return httpx.Conflict("", "Conflict occurred attempting to store %s - Duplicate entry found with name %s.", what, name)
}

// checkName: Keystone's limits for the names of users, projects and roles.
func checkName(what, name string, limit int) error {
	if name == "" || len(name) > limit {
		return httpx.BadRequest("", "The name of a %s has 1 to %d characters; this one has %d.", what, limit, len(name))
	}
	return nil
}

// checkDomain accepts the only domain, or none.
func checkDomain(id string) error {
	if id != "" && id != DefaultDomain {
		return notFound("domain", id)
	}
	return nil
}
