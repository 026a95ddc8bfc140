package compute

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// EnsureFlavors makes those flavors that don't exist.
func (s *Service) EnsureFlavors(flavors ...Flavor) error {
	return s.State.Update(func(tx *state.Tx) error {
		for _, f := range flavors {
			if _, err := state.Get[Flavor](tx, f.ID); err == nil {
				continue
			}
			if err := tx.Put(f); err != nil {
				return err
			}
		}
		return nil
	})
}

func flavorBody(r *http.Request, f Flavor, mv httpx.Microversion) map[string]any {
	d := map[string]any{
		"id": f.ID, "name": f.Name, "ram": f.RAM, "vcpus": f.VCPUs, "disk": f.Disk, "swap": "", "rxtx_factor": 1.0,
		"OS-FLV-DISABLED:disabled": false, "OS-FLV-EXT-DATA:ephemeral": 0, "os-flavor-access:is_public": f.Public,
		"links": links(r, "flavors", f.ID),
	}
	if mv.AtLeast(2, 55) {
		d["description"] = f.Description
	}
	if mv.AtLeast(2, 61) {
		d["extra_specs"] = orEmpty(f.Extra)
	}
	if mv.AtLeast(2, 75) {
		d["swap"] = 0
	}
	return d
}

func (s *Service) listFlavors(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	q, taken := httpx.TakeQuery(r, "is_public", "minRam", "minDisk")
	minRAM, _ := strconv.Atoi(taken.Get("minRam"))
	minDisk, _ := strconv.Atoi(taken.Get("minDisk"))
	page, err := httpx.SelectQuery(q, state.List(s.State, func(f *Flavor) bool {
		return (f.Public || who.IsAdmin) && f.RAM >= minRAM && f.Disk >= minDisk
	}), httpx.Lenient)
	if err != nil {
		return err
	}
	list := []any{}
	for _, f := range page.Items {
		list = append(list, flavorBody(r, f, mv))
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"flavors": list})
}

func (s *Service) findFlavor(r *http.Request, who httpx.Caller) (Flavor, error) {
	f, err := state.Get[Flavor](s.State, r.PathValue("id"))
	if err != nil || !f.Public && !who.IsAdmin {
		return f, httpx.NotFound("", "Flavor %s could not be found.", r.PathValue("id"))
	}
	return f, nil
}

func (s *Service) showFlavor(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	f, err := s.findFlavor(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"flavor": flavorBody(r, f, mv)})
}

func (s *Service) showExtraSpecs(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	f, err := s.findFlavor(r, who)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"extra_specs": orEmpty(f.Extra)})
}

func (s *Service) createFlavor(w http.ResponseWriter, r *http.Request, who httpx.Caller, mv httpx.Microversion) error {
	if !who.IsAdmin {
		return forbidden()
	}
	var body struct {
		Flavor struct {
			ID     string `json:"id"`
			Name   string `json:"name"`
			RAM    int    `json:"ram"`
			VCPUs  int    `json:"vcpus"`
			Disk   int    `json:"disk"`
			Public *bool  `json:"os-flavor-access:is_public"`
		} `json:"flavor"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	q := body.Flavor
	if q.Name == "" || q.RAM < 1 || q.VCPUs < 1 {
		return httpx.BadRequest("", "A flavor needs a name, ram of at least 1 MB and at least 1 of vcpus.")
	}
	if q.ID == "" || q.ID == "auto" {
		q.ID = uuid.NewString()
	}
	f := Flavor{ID: q.ID, Name: q.Name, RAM: q.RAM, VCPUs: q.VCPUs, Disk: q.Disk, Public: q.Public == nil || *q.Public}
	err := s.State.Update(func(tx *state.Tx) error {
		if _, taken := state.Find(tx, func(o *Flavor) bool { return o.ID == f.ID || o.Name == f.Name }); taken {
			return httpx.Conflict("", "Flavor with ID %s or name %s already exists.", f.ID, f.Name)
		}
		return tx.Put(f)
	})
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, map[string]any{"flavor": flavorBody(r, f, mv)})
}

func (s *Service) deleteFlavor(w http.ResponseWriter, r *http.Request, who httpx.Caller, _ httpx.Microversion) error {
	if !who.IsAdmin {
		return forbidden()
	}
	f, err := s.findFlavor(r, who)
	if err != nil {
		return err
	}
	if err := s.State.Delete(f); err != nil {
		return err
	}
	w.WriteHeader(http.StatusAccepted)
	return nil
}

func forbidden() error {
	return httpx.Forbidden("", "Policy doesn't allow this request to be performed.")
}
