package image

import (
	"encoding/json"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func write(w http.ResponseWriter, status int, i *Image) error {
	body, err := i.render()
	if err != nil {
		return err
	}
	return httpx.Write(w, status, body)
}

func (s *Service) create(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var body map[string]json.RawMessage
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	if who.ProjectID == "" {
		return httpx.Forbidden("", "An image belongs to a project; the token has none.")
	}
	i := newImage(who.ProjectID, s.now())
	for _, attribute := range slices.Sorted(maps.Keys(body)) {
		if err := i.assign(attribute, body[attribute], who); err != nil {
			return err
		}
	}
	err := s.state.Update(func(tx *state.Tx) error {
		if _, err := state.Get[Image](tx, i.ID); err == nil {
			return httpx.Conflict("", "Image ID %s already exists!", i.ID)
		}
		return tx.Put(i)
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", httpx.BaseURL(r)+"/v2/images/"+i.ID)
	w.Header().Set("OpenStack-image-import-methods", "")
	return write(w, http.StatusCreated, &i)
}

func (s *Service) show(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	i, err := s.visible(r, who)
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, &i)
}

// change edits an image, as only its owner and admins may.
func (s *Service) change(r *http.Request, who httpx.Caller, edit func(*Image) error) (i Image, err error) {
	err = s.state.Update(func(tx *state.Tx) error {
		if i, err = state.Get[Image](tx, r.PathValue("id")); err != nil || !i.SeenBy(who) {
			return httpx.NotFound("", "No image found with ID %s", r.PathValue("id"))
		}
		if !who.Sees(i.Owner) {
			return httpx.Forbidden("", "You are not authorized to change image %s.", i.ID)
		}
		if err := edit(&i); err != nil {
			return err
		}
		i.UpdatedAt = s.now()
		return tx.Put(i)
	})
	return i, err
}

// operation is one of a JSON patch (RFC 6902), of which Glance takes these three on attributes as a whole.
type operation struct {
	Op    string          `json:"op"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value"`
}

func (s *Service) update(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/openstack-images-v2") {
		w.Header().Set("Accept-Patch", "application/openstack-images-v2.1-json-patch, application/openstack-images-v2.0-json-patch")
		return httpx.Errorf(http.StatusUnsupportedMediaType, "", "The request has no supported patch format.")
	}
	var patch []operation
	if err := httpx.Read(w, r, &patch); err != nil {
		return err
	}
	i, err := s.change(r, who, func(i *Image) error {
		for _, op := range patch {
			if err := i.apply(op, who); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return write(w, http.StatusOK, &i)
}

func (i *Image) apply(op operation, who httpx.Caller) error {
	attribute, ok := strings.CutPrefix(op.Path, "/")
	attribute = strings.NewReplacer("~1", "/", "~0", "~").Replace(attribute)
	if !ok || attribute == "" || attribute == "id" {
		return httpx.Forbidden("", "Attribute '%s' is read-only.", attribute)
	}
	switch op.Op {
	case "add", "replace":
		return i.assign(attribute, op.Value, who)
	case "remove":
		return i.remove(attribute)
	}
	return httpx.BadRequest("", "Operation '%s' is not one of add, replace, remove.", op.Op)
}

func (s *Service) addTag(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if _, err := s.change(r, who, func(i *Image) error { return i.tag(r.PathValue("tag")) }); err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) removeTag(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	tag := r.PathValue("tag")
	_, err := s.change(r, who, func(i *Image) error {
		if !slices.Contains(i.Tags, tag) {
			return httpx.NotFound("", "Tag %s is not on image %s.", tag, i.ID)
		}
		i.Tags = slices.DeleteFunc(i.Tags, func(t string) bool { return t == tag })
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) act(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	status := map[string]string{"deactivate": deactivated, "reactivate": active}[r.PathValue("action")]
	if status == "" {
		return httpx.NotFound("", "The resource could not be found.")
	}
	_, err := s.change(r, who, func(i *Image) error {
		if !who.IsAdmin {
			return httpx.Forbidden("", "You are not authorized to complete %s action.", r.PathValue("action"))
		}
		if i.Status == queued {
			return httpx.Forbidden("", "Not allowed to %s image in status 'queued'", r.PathValue("action"))
		}
		i.Status = status
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) delete(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	var gone Image
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if gone, err = state.Get[Image](tx, r.PathValue("id")); err != nil || !gone.SeenBy(who) {
			return httpx.NotFound("", "Failed to find image %s to delete", r.PathValue("id"))
		}
		if !who.Sees(gone.Owner) {
			return httpx.Forbidden("", "You are not authorized to complete delete_image action.")
		}
		if gone.Protected {
			return httpx.Forbidden("", "Image %s is protected and cannot be deleted.", gone.ID)
		}
		tx.Delete(gone)
		return nil
	})
	if err != nil {
		return err
	}
	// A file that cannot be removed now is removed at the next start.
	if err := os.Remove(s.path(gone.ID)); err != nil && !os.IsNotExist(err) {
		s.opts.Logger.WarnContext(r.Context(), "the content of a deleted image is still there", "image", gone.ID, "err", err)
	}
	return httpx.NoContent(w)
}

// listMembers answers that an image is shared with nobody: it cannot be here.
func (s *Service) listMembers(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if _, err := s.visible(r, who); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"members": []any{}, "schema": "/v2/schemas/members"})
}
