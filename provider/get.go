package provider

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/octavo-lb/octavo/store"
)

// get answers what an object is, in the shape that octavia-lib's data models are made from: {} for one that is not there,
// and nothing at all if the question cannot be read or answered, as Octavia does.
func (s *Server) get(ctx context.Context, request []byte) any {
	message, err := read(request)
	if err != nil {
		s.Logger.Info("a provider's question cannot be read", "err", err)
		return nil
	}
	var what, id string
	if json.Unmarshal(message["object"], &what) != nil || json.Unmarshal(message["id"], &id) != nil {
		s.Logger.Info("a provider's question cannot be read", "err", "it must name an object and an id")
		return nil
	}
	found, err := s.look(ctx, what, id)
	if err != nil {
		s.Logger.Warn("cannot answer a provider", "object", what, "id", id, "err", err)
		return nil
	}
	return found
}

// look finds an object of a load balancer that a program serves; what is served otherwise is nobody's business here.
func (s *Server) look(ctx context.Context, what, id string) (object, error) {
	var kind store.Kind
	for _, section := range sections {
		if section.name == what {
			kind = section.kind
		}
	}
	if kind == "" {
		return object{}, nil
	}
	owners, err := s.Store.OwnersOf(ctx, kind, id)
	if err != nil || owners[id] == "" {
		return object{}, err
	}
	tree, err := s.Store.Tree(ctx, owners[id])
	if errors.Is(err, store.ErrNotFound) {
		return object{}, nil
	}
	if err != nil || !s.Serves(tree.LB.Provider) {
		return object{}, err
	}
	v := &view{Tree: tree, server: s, ctx: ctx}
	return v.find(kind, id), v.err
}

// find shows an object also while it is being deleted: whoever takes it out of service may need to know what it was.
func (v *view) find(kind store.Kind, id string) object {
	t := v.Tree
	switch kind {
	case store.LoadBalancer:
		return v.balancer()
	case store.Listener:
		return one(t.Listeners, id, v.listener)
	case store.Pool:
		return one(t.Pools, id, v.pool)
	case store.Member:
		return one(t.Members, id, v.member)
	case store.HealthMonitor:
		return one(t.Monitors, id, v.monitor)
	case store.L7Policy:
		return one(t.Policies, id, v.policy)
	}
	return one(t.Rules, id, v.rule)
}

func one[T store.Resource](list []T, id string, show func(*T) object) object {
	for i := range list {
		if store.MetaOf(&list[i]).ID == id {
			return show(&list[i])
		}
	}
	return object{}
}

// shown shows those of a list that belong to something and are not being deleted; nil when there are none.
func shown[T store.Resource](list []T, belongs func(*T) bool, show func(*T) object) []object {
	var out []object
	for i := range list {
		if o := &list[i]; !store.MetaOf(o).Deleting && belongs(o) {
			out = append(out, show(o))
		}
	}
	return out
}
