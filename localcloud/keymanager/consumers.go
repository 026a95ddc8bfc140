package keymanager

import (
	"net/http"
	"slices"

	"github.com/octavo-lb/octavo/localcloud/httpx"
	"github.com/octavo-lb/octavo/localcloud/state"
)

func (s *Service) listConsumers(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	c, err := s.container(s.state, r.PathValue("id"), who, (*object).readable)
	if err != nil {
		return err
	}
	return writeList(w, r, "consumers", orNone(c.Consumers))
}

func orNone(c []consumer) []consumer {
	if c == nil {
		return []consumer{}
	}
	return c
}

// addConsumer notes that something uses the container; twice is once.
func (s *Service) addConsumer(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	return s.editConsumers(w, r, who, func(c *container, named consumer) error {
		if !slices.Contains(c.Consumers, named) {
			c.Consumers = append(c.Consumers, named)
		}
		return nil
	})
}

func (s *Service) removeConsumer(w http.ResponseWriter, r *http.Request, who httpx.Caller) error {
	return s.editConsumers(w, r, who, func(c *container, named consumer) error {
		if !slices.Contains(c.Consumers, named) {
			return httpx.NotFound("", "Consumer not found.")
		}
		c.Consumers = slices.DeleteFunc(c.Consumers, func(have consumer) bool { return have == named })
		return nil
	})
}

// editConsumers is for all who may read the container, and answers it as it is then.
func (s *Service) editConsumers(w http.ResponseWriter, r *http.Request, who httpx.Caller, edit func(*container, consumer) error) error {
	var named consumer
	if err := httpx.Read(w, r, &named); err != nil {
		return err
	}
	if named.Name == "" || named.URL == "" {
		return httpx.BadRequest("", "Provided object does not match schema 'Consumer': name and URL must be there.")
	}
	var c container
	err := s.state.Update(func(tx *state.Tx) (err error) {
		if c, err = s.container(tx, r.PathValue("id"), who, (*object).readable); err != nil {
			return err
		}
		if err := edit(&c, named); err != nil {
			return err
		}
		return tx.Put(c)
	})
	if err != nil {
		return err
	}
	return httpx.Write(w, http.StatusOK, shownWhole(r, &c))
}
