package api

import (
	"errors"
	"reflect"

	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/lb/attr"
	"github.com/octavo-lb/octavo/policy"
	"github.com/octavo-lb/octavo/store"
)

// edit is a transaction that changes one load balancer's tree: the tree as it is, with the changes made to it so far.
// New objects are appended to the tree's slices and written together at the end, so that the number of statements does
// not grow with theirs.
type edit struct {
	*call
	s    *Server
	tx   *store.Tx
	tree *lb.Tree
	had  sizes // of the tree when the transaction began
}

type sizes struct{ balancers, listeners, pools, members, monitors, policies, rules int }

func sizesOf(t *lb.Tree) sizes {
	return sizes{0, len(t.Listeners), len(t.Pools), len(t.Members), len(t.Monitors), len(t.Policies), len(t.Rules)}
}

// edit locks a load balancer, hands its tree to change and writes what change added. change runs again when the database
// asks for it. A load balancer that is being deleted takes no writes.
func (s *Server) edit(c *call, lbID string, change func(e *edit) error) error {
	return s.editIf(c, lbID, func(b *lb.LoadBalancer) bool { return b.Provisioning() == lb.Active }, change)
}

// editForDelete is edit for the load balancer itself, which can be deleted in ERROR also where writes have to wait.
func (s *Server) editForDelete(c *call, lbID string, change func(e *edit) error) error {
	return s.editIf(c, lbID, settledOrFailed, change)
}

func settledOrFailed(b *lb.LoadBalancer) bool {
	status := b.Provisioning()
	return status == lb.Active || status == lb.ProvError
}

func (s *Server) editIf(c *call, lbID string, settled func(*lb.LoadBalancer) bool, change func(e *edit) error) error {
	return s.Store.Write(c.Context(), func(tx *store.Tx) error {
		tree, err := tx.LockTree(c.Context(), lbID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			return lb.Missing("Load Balancer", lbID)
		case err != nil:
			return err
		case tree.LB.Deleting || s.ImmutableWhilePending && !settled(&tree.LB):
			return lb.BeingDeleted("Load Balancer", lbID)
		}
		e := &edit{call: c, s: s, tx: tx, tree: tree, had: sizesOf(tree)}
		if err := change(e); err != nil {
			return err
		}
		if err := e.insertNew(); err != nil {
			return err
		}
		return e.putSecrets()
	})
}

// insertNew writes the objects that were appended to the tree, unless they are more than the project may have.
func (e *edit) insertNew() error {
	if sizesOf(e.tree) == e.had {
		return nil
	}
	if err := e.checkQuota(); err != nil {
		return err
	}
	return e.insertRows()
}

func (e *edit) insertRows() error {
	t := e.tree
	for _, insert := range []func() error{
		func() error { return insertFrom(e, t.Pools, e.had.pools) },
		func() error { return insertFrom(e, t.Listeners, e.had.listeners) },
		func() error { return insertFrom(e, t.Members, e.had.members) },
		func() error { return insertFrom(e, t.Monitors, e.had.monitors) },
		func() error { return insertFrom(e, t.Policies, e.had.policies) },
		func() error { return insertFrom(e, t.Rules, e.had.rules) },
	} {
		if err := insert(); err != nil {
			return err
		}
	}
	return nil
}

func insertFrom[T store.Resource](e *edit, objects []T, from int) error {
	if from == len(objects) {
		return nil
	}
	fresh := make([]*T, 0, len(objects)-from)
	for i := from; i < len(objects); i++ {
		fresh = append(fresh, &objects[i])
	}
	return store.Insert(e.Context(), e.tx, fresh...)
}

// begin gives a new object its id and its owner.
func (e *edit) begin(m *lb.Meta) {
	m.ID = e.s.NewID()
	m.ProjectID = e.tree.LB.ProjectID
	m.OperatingStatus = lb.Offline
}

// can is what the load balancer's provider can do.
func (e *edit) can() lb.Capabilities {
	for _, p := range e.s.Providers {
		if p.Name == e.tree.LB.Provider {
			return p.Can
		}
	}
	return lb.Capabilities{}
}

// change is what the resources differ in where they are updated and deleted.
type change[T store.Resource] struct {
	*kind[T]
	argument string // the name that error messages have for the body
	in       func(t *lb.Tree, id string) *T
	within   func(c *call, o *T) bool // whether the object is below the one that the path names; nil for always
	// lookUp resolves what the new attributes refer to outside, before the transaction. It may be nil.
	lookUp func(c *call, now, was *T, given attr.Given) error
	// update checks the object as it shall be, and changes what goes with it.
	update func(e *edit, now, was *T, given attr.Given) error
	// remove checks that the object may go, and changes what goes with it. It may be nil.
	remove func(e *edit, o *T) error
}

func (k *change[T]) get(s *Server, c *call, verb string) (o T, lbID string, err error) {
	id := c.PathValue("id")
	if o, err = get(s, c, k.kind, id, verb); err != nil {
		return o, "", err
	}
	if k.within != nil && !k.within(c, &o) {
		return o, "", lb.Missing(k.title, id)
	}
	lbID, err = k.owner(c, s, &o)
	return o, lbID, err
}

// put answers PUT of one object.
func put[T store.Resource](s *Server, k *change[T]) handler {
	path := k.argument + "." + k.member
	return func(c *call) error {
		body, err := c.body(k.argument, k.member)
		var empty *absentMember
		if err != nil && !errors.As(err, &empty) {
			return err
		}
		o, lbID, err := k.get(s, c, policy.Update)
		if err != nil {
			return k.unreadable(path, body, err)
		}
		if empty != nil {
			return empty
		}
		wanted := o
		given, err := k.table.Decode(path, body, &wanted, attr.Update)
		if err != nil {
			return err
		}
		if k.lookUp != nil {
			if err := k.lookUp(c, &wanted, &o, given); err != nil {
				return err
			}
		}
		var answer []byte
		err = s.edit(c, lbID, func(e *edit) error {
			answer, err = k.put(e, path, body)
			return err
		})
		if err != nil {
			return err
		}
		return c.write(200, answer)
	}
}

// unreadable is told first, as in Octavia: before an object that is not there, or of others. An absent body is not.
func (k *change[T]) unreadable(path string, body attr.Body, otherwise error) error {
	var none T
	if _, err := k.table.Decode(path, body, &none, attr.Update); err != nil {
		return err
	}
	return otherwise
}

func (k *change[T]) put(e *edit, path string, body attr.Body) ([]byte, error) {
	id := e.PathValue("id")
	o := k.in(e.tree, id)
	if o == nil {
		return nil, lb.BeingDeleted(k.title, id)
	}
	was, now := *o, *o
	given, err := k.table.Decode(path, body, &now, attr.Update)
	if err != nil {
		return nil, err
	}
	if err := k.update(e, &now, &was, given); err != nil {
		return nil, err
	}
	*o = now
	if !reflect.DeepEqual(now, was) { // what changes nothing is not worth a reload
		if err := store.Update(e.Context(), e.tx, o); err != nil {
			return nil, err
		}
	}
	return k.inTree(e.tree, o), nil
}

// remove answers DELETE of one object.
func remove[T store.Resource](s *Server, k *change[T]) handler {
	return func(c *call) error {
		o, lbID, err := k.get(s, c, policy.Delete)
		if err != nil {
			return err
		}
		id := k.meta(&o).ID
		err = s.edit(c, lbID, func(e *edit) error {
			o := k.in(e.tree, id)
			if o == nil {
				return lb.BeingDeleted(k.title, id)
			}
			if k.remove != nil {
				if err := k.remove(e, o); err != nil {
					return err
				}
			}
			return store.Delete[T](c.Context(), e.tx, id)
		})
		if err != nil {
			return err
		}
		return c.done(204)
	}
}
