package api

import (
	"cmp"
	"context"
	"errors"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// kind is what the seven resources differ in where they are shown.
type kind[T store.Resource] struct {
	name   string // in policies
	member string // the member of a body that holds one
	plural string // the member of a body that holds a list
	title  string // in sentences
	table  *attr.Table
	meta   func(*T) *lb.Meta
	// balancer is the load balancer's id where the object names it; nil where it does not.
	balancer func(*T) string
	// parents are the references that the object holds itself.
	parents func(*T) []ref
	// load reads the references to the objects below for a page of objects, in a constant number of statements.
	load func(ctx context.Context, r store.Reader, ids []string) (func(id string) []ref, error)
	// find picks the same references from a tree.
	find func(t *lb.Tree, id string) []ref
}

// ref is a member of an answer that names other objects: as a list of {"id": ...}, or as one plain id.
type ref struct {
	name   string
	ids    []string
	single bool
}

func list(name string, ids ...string) ref { return ref{name: name, ids: ids} }

// single is a reference to one object; an empty id is null.
func single(name, id string) ref { return ref{name: name, ids: []string{id}, single: true} }

func (r ref) append(dst []byte) []byte {
	dst = attr.AppendName(dst, r.name)
	if r.single {
		if r.ids[0] == "" {
			return append(dst, "null,"...)
		}
		return append(attr.AppendString(dst, r.ids[0]), ',')
	}
	dst = append(dst, '[')
	for _, id := range r.ids {
		dst = append(attr.AppendString(append(dst, `{"id":`...), id), '}', ',')
	}
	return append(attr.Close(dst, ']'), ',')
}

// appendOne appends an object as answers show it. only picks members; nil is all.
func (k *kind[T]) appendOne(dst []byte, o *T, below []ref, only func(string) bool) []byte {
	dst = k.table.AppendMembers(append(dst, '{'), o, only)
	for _, refs := range [][]ref{k.parents(o), below} {
		for _, r := range refs {
			if only == nil || only(r.name) {
				dst = r.append(dst)
			}
		}
	}
	return attr.Close(dst, '}')
}

// inTree shows an object as the transaction left it. The answer needs no further statement.
func (k *kind[T]) inTree(t *lb.Tree, o *T) []byte {
	shown := *o
	m := k.meta(&shown)
	if b, ok := any(&shown).(*lb.LoadBalancer); ok {
		m.ProvisioningStatus = b.Provisioning()
	} else {
		m.ProvisioningStatus = m.Provisioning(&t.LB)
	}
	b := append([]byte(`{"`), k.member...)
	b = k.appendOne(append(b, `":`...), &shown, k.find(t, m.ID), nil)
	return append(b, '}')
}

// get reads one object for the caller: a 404 before a 403, as in Octavia.
func get[T store.Resource](s *Server, c *call, k *kind[T], id, verb string) (T, error) {
	o, err := store.Get[T](c.Context(), s.Store, id)
	if err != nil {
		return o, k.absent(id, err)
	}
	return o, s.allow(c, k.name, verb, k.meta(&o).ProjectID)
}

// absent turns the store's ErrNotFound into what the client is told. An id that was null is told as Octavia does.
func (k *kind[T]) absent(id string, err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return lb.Missing(k.title, cmp.Or(id, "None"))
	}
	return err
}

// show answers GET of one object. within, which may be nil, checks that the object is below the one that the path names.
func show[T store.Resource](s *Server, k *kind[T], within func(c *call, o *T) bool) handler {
	return func(c *call) error {
		id := c.PathValue("id")
		o, err := get(s, c, k, id, policy.Show)
		if err != nil {
			return err
		}
		if within != nil && !within(c, &o) {
			return lb.Missing(k.title, id)
		}
		below, err := k.load(c.Context(), s.Store, []string{id})
		if err != nil {
			return err
		}
		b := append([]byte(`{"`), k.member...)
		only := s.fieldsOf(c)
		b = k.appendOne(append(b, `":`...), &o, below(id), only)
		if only == nil || only(conditionsMember) {
			b[len(b)-1] = ','
			if b, err = k.appendConditions(b, s, c, &o); err != nil {
				return err
			}
			b = attr.Close(b, '}')
		}
		return c.write(200, append(b, '}'))
	}
}
