package network

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) routeTags(rt *httpx.Router) {
	for plural, find := range map[string]func(r state.Reader, id string, who httpx.Caller) (taggable, error){
		"networks":        tagged(s.networkFor),
		"subnets":         tagged(s.subnetFor),
		"ports":           tagged(s.portFor),
		"routers":         tagged(s.routerFor),
		"floatingips":     tagged(s.floatingIPFor),
		"security-groups": tagged(s.groupFor),
		"policies":        tagged(s.policyFor),
	} {
		t := tags{s, find}
		path := "/v2.0/" + plural + "/{id}/tags"
		rt.Handle("GET "+path, t.list)
		rt.Handle("PUT "+path, t.replace)
		rt.Handle("DELETE "+path, t.clear)
		rt.Handle("GET "+path+"/{tag}", t.check)
		rt.Handle("PUT "+path+"/{tag}", t.add)
		rt.Handle("DELETE "+path+"/{tag}", t.remove)
	}
}

// taggable is a pointer to an object.
type taggable interface {
	state.Object
	meta() *common
}

func tagged[T any, P interface {
	*T
	taggable
}](find func(state.Reader, string, httpx.Caller) (T, error)) func(state.Reader, string, httpx.Caller) (taggable, error) {
	return func(r state.Reader, id string, who httpx.Caller) (taggable, error) {
		o, err := find(r, id, who)
		return P(&o), err
	}
}

type tags struct {
	service *Service
	find    func(r state.Reader, id string, who httpx.Caller) (taggable, error)
}

// change rewrites the object's tags.
func (t tags) change(r *http.Request, who httpx.Caller, change func([]string) ([]string, error)) error {
	return t.service.state.Update(func(tx *state.Tx) error {
		o, err := t.find(tx, r.PathValue("id"), who)
		if err != nil {
			return err
		}
		c := o.meta()
		if err := owned(who, c.ProjectID, "update_"+o.Kind()); err != nil {
			return err
		}
		if c.Tags, err = change(c.Tags); err != nil {
			return err
		}
		c.touch(t.service.now())
		return tx.Put(o)
	})
}

func (t tags) list(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	o, err := t.find(t.service.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"tags": o.meta().Tags})
}

func (t tags) replace(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var body struct {
		Tags []string `json:"tags"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	slices.Sort(body.Tags)
	all := append([]string{}, slices.Compact(body.Tags)...)
	for _, tag := range all {
		if tag == "" || len(tag) > 255 {
			return invalid("tags", "'%s' has not 1 to 255 characters", tag)
		}
	}
	if err := t.change(r, who, func([]string) ([]string, error) { return all, nil }); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"tags": all})
}

func (t tags) clear(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := t.change(r, who, func([]string) ([]string, error) { return []string{}, nil }); err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func noTag(tag string) error {
	return httpx.NotFound("TagNotFound", "Tag %s could not be found.", tag)
}

func (t tags) check(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	o, err := t.find(t.service.state, r.PathValue("id"), who)
	if err != nil {
		return err
	}
	if !slices.Contains(o.meta().Tags, r.PathValue("tag")) {
		return noTag(r.PathValue("tag"))
	}
	return httpx.NoContent(w)
}

func (t tags) add(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	tag := r.PathValue("tag")
	err := t.change(r, who, func(have []string) ([]string, error) {
		if !slices.Contains(have, tag) {
			have = append(have, tag)
		}
		return have, nil
	})
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (t tags) remove(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	tag := r.PathValue("tag")
	err := t.change(r, who, func(have []string) ([]string, error) {
		i := slices.Index(have, tag)
		if i < 0 {
			return nil, noTag(tag)
		}
		return slices.Delete(have, i, i+1), nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}
