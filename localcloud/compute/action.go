package compute

import (
	"encoding/json"
	"maps"
	"net/http"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/instance"
)

// act carries out the one action that the body names.
func (s *Service) act(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	var body map[string]json.RawMessage
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	if len(body) != 1 {
		return httpx.BadRequest("", "There must be exactly one action.")
	}
	for action, arguments := range body {
		switch action {
		case "os-start", "os-stop":
			return s.setStopped(w, v, action == "os-stop")
		case "reboot":
			// An instance that ends is started again.
			if err := instance.Kill(r.Context(), s.dir(v.ID)); err != nil {
				return err
			}
			w.WriteHeader(http.StatusAccepted)
			return nil
		case "os-getConsoleOutput":
			var a struct {
				Length int `json:"length"`
			}
			_ = json.Unmarshal(arguments, &a) // null means all
			return s.consoleOutput(w, v, a.Length)
		}
		return httpx.BadRequest("", "There is no such action: %s", action)
	}
	return nil
}

func (s *Service) setStopped(w http.ResponseWriter, v server, stopped bool) error {
	if v.Stopped == stopped {
		return httpx.Conflict("", "Cannot do this while the instance is in vm_state %s", map[bool]string{true: "stopped", false: "active"}[stopped])
	}
	if err := s.change(v.ID, func(v *server) { v.Stopped = stopped }); err != nil {
		return err
	}
	s.background(func() { s.converge(v.ID) })
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func (s *Service) showMetadata(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"metadata": v.Metadata})
}

func (s *Service) mergeMetadata(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	return s.setMetadata(w, r, who, func(old, given map[string]string) map[string]string {
		maps.Copy(old, given)
		return old
	})
}

func (s *Service) replaceMetadata(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	return s.setMetadata(w, r, who, func(_, given map[string]string) map[string]string { return given })
}

func (s *Service) setMetadata(w http.ResponseWriter, r *http.Request, who httpx.Caller, combine func(old, given map[string]string) map[string]string) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	var body struct {
		Metadata map[string]string `json:"metadata"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	var now map[string]string
	if err := s.change(v.ID, func(v *server) {
		v.Metadata = combine(orEmpty(v.Metadata), orEmpty(body.Metadata))
		now = v.Metadata
	}); err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"metadata": now})
}

func (s *Service) deleteMetadata(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	v, err := s.find(r, who)
	if err != nil {
		return err
	}
	key := r.PathValue("key")
	if _, ok := v.Metadata[key]; !ok {
		return httpx.NotFound("", "Metadata item was not found")
	}
	if err := s.change(v.ID, func(v *server) { delete(v.Metadata, key) }); err != nil {
		return err
	}
	return httpx.NoContent(w)
}
