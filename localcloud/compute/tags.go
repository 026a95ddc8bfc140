package compute

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
)

func (s *Service) showTags(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"tags": append([]string{}, v.Tags...)})
}

// replaceTags sets the tags of the body, or none when it is a DELETE.
func (s *Service) replaceTags(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	body := struct {
		Tags []string `json:"tags"`
	}{[]string{}}
	if r.Method == http.MethodPut {
		if err := httpx.Read(w, r, &body); err != nil {
			return err
		}
	}
	if err := s.change(v.ID, func(v *server) { v.Tags = body.Tags }); err != nil {
		return err
	}
	if r.Method == http.MethodDelete {
		return httpx.NoContent(w)
	}
	return httpx.Write(w, http.StatusOK, body)
}

func (s *Service) addTag(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	tag, status := r.PathValue("tag"), http.StatusNoContent
	err = s.change(v.ID, func(v *server) {
		if !slices.Contains(v.Tags, tag) {
			v.Tags, status = append(v.Tags, tag), http.StatusCreated
		}
	})
	if err != nil {
		return err
	}
	w.WriteHeader(status)
	return nil
}

func (s *Service) removeTag(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	tag := r.PathValue("tag")
	if !slices.Contains(v.Tags, tag) {
		return httpx.NotFound("", "Server %s has no tag '%s'", v.ID, tag)
	}
	if err := s.change(v.ID, func(v *server) { v.Tags = slices.DeleteFunc(v.Tags, func(t string) bool { return t == tag }) }); err != nil {
		return err
	}
	return httpx.NoContent(w)
}
