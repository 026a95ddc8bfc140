package keymanager

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

// names are what the secrets of a typed container may be called; the first one of a type must be there.
var names = map[string][]string{
	"generic":     nil,
	"certificate": {"certificate", "private_key", "private_key_passphrase", "intermediates"},
	"rsa":         {"private_key", "public_key", "private_key_passphrase"},
}

type secretRef struct {
	Name string `json:"name"`
	Ref  string `json:"secret_ref"`
}

type shownContainer struct {
	Name      string      `json:"name"`
	Type      string      `json:"type"`
	Status    string      `json:"status"`
	Created   string      `json:"created"`
	Updated   string      `json:"updated"`
	CreatorID string      `json:"creator_id"`
	Consumers []consumer  `json:"consumers"`
	Secrets   []secretRef `json:"secret_refs"`
	Ref       string      `json:"container_ref"`
}

func shownWhole(r *http.Request, c *container) shownContainer {
	x := shownContainer{Name: c.Name, Type: c.Type, Status: "ACTIVE", Created: timestamp(c.Created), Updated: timestamp(c.Updated),
		CreatorID: c.CreatorID, Consumers: orNone(c.Consumers), Secrets: []secretRef{}, Ref: ref(r, "containers", c.ID)}
	for _, m := range c.Secrets {
		x.Secrets = append(x.Secrets, secretRef{m.Name, ref(r, "secrets", m.SecretID)})
	}
	return x
}

func (s *Service) createContainer(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	if err := mayCreate(who); err != nil {
		return err
	}
	var body struct {
		Name    string      `json:"name"`
		Type    string      `json:"type"`
		Secrets []secretRef `json:"secret_refs"`
	}
	if err := httpx.Read(w, r, &body); err != nil {
		return err
	}
	now := s.now()
	c := container{object: object{ID: uuid.NewString(), Name: body.Name, ProjectID: who.ProjectID, CreatorID: who.UserID, Created: now, Updated: now}, Type: body.Type}
	for _, m := range body.Secrets {
		c.Secrets = append(c.Secrets, member{m.Name, idOf(m.Ref)})
	}
	if err := c.check(); err != nil {
		return err
	}
	err := s.state.Update(func(tx *state.Tx) error {
		for _, m := range c.Secrets {
			if _, err := s.secret(tx, m.SecretID, who, (*object).readable); err != nil {
				return err
			}
		}
		return tx.Put(c)
	})
	if err != nil {
		return err
	}
	w.Header().Set("Location", ref(r, "containers", c.ID))
	return httpx.Write(w, http.StatusCreated, map[string]string{"container_ref": ref(r, "containers", c.ID)})
}

func (c *container) check() error {
	allowed, known := names[c.Type]
	if !known {
		return invalidContainer("type must be one of certificate, generic, rsa")
	}
	seen := map[string]bool{}
	for _, m := range c.Secrets {
		switch {
		case seen[m.Name]:
			return invalidContainer("two secrets have the name %q", m.Name)
		case allowed != nil && !slices.Contains(allowed, m.Name):
			return invalidContainer("the secrets of a container of type %s are called %s", c.Type, strings.Join(allowed, ", "))
		}
		seen[m.Name] = true
	}
	if allowed != nil && !seen[allowed[0]] {
		return invalidContainer("a container of type %s needs a secret called %s", c.Type, allowed[0])
	}
	return nil
}

func invalidContainer(format string, args ...any) error {
	return httpx.BadRequest("", "Provided object does not match schema 'Container': "+format+".", args...)
}

func (s *Service) showContainer(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	c, err := s.container(s.state, r.PathValue("id"), who, (*object).readable)
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, shownWhole(r, &c))
}

// deleteContainer leaves the secrets: they are objects of their own.
func (s *Service) deleteContainer(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	err := s.state.Update(func(tx *state.Tx) error {
		c, err := s.container(tx, r.PathValue("id"), who, (*object).changeable)
		if err != nil {
			return err
		}
		tx.Delete(c)
		return nil
	})
	if err != nil {
		return err
	}
	return httpx.NoContent(w)
}

func (s *Service) listContainers(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	query := r.URL.Query()
	all := state.List(s.state, func(c *container) bool {
		return c.ProjectID == who.ProjectID && c.changeable(who) && fits(query.Get("name"), c.Name) && fits(query.Get("type"), c.Type)
	})
	list := []shownContainer{}
	for i := range all {
		list = append(list, shownWhole(r, &all[i]))
	}
	return writeList(w, r, "containers", list)
}
