package state

import (
	"encoding/json"
	"errors"
	"fmt"
)

type objectID struct{ kind, key string }

// Tx is a running transaction. It sees its own writes. It is valid until the function given to Update returns, in that
// goroutine only.
type Tx struct {
	store   *Store
	changed map[objectID]*entry // nil: deleted
	order   []objectID
	seq     int64
}

// Put inserts the object or replaces the one with its kind and key.
func (tx *Tx) Put(o Object) error {
	id := objectID{o.Kind(), o.Key()}
	if id.key == "" {
		return errors.New("state: a " + id.kind + " without a key")
	}
	body, err := json.Marshal(o)
	if err != nil {
		return fmt.Errorf("cannot keep %s %s: %w", id.kind, id.key, err)
	}
	e := &entry{body: body}
	if old := tx.get(id.kind, id.key); old != nil {
		e.seq = old.seq
	} else {
		tx.seq++
		e.seq = tx.seq
	}
	tx.change(id, e)
	return nil
}

// Delete removes the object with o's kind and key; other fields of o don't matter. That it was not there is no error.
func (tx *Tx) Delete(o Object) {
	id := objectID{o.Kind(), o.Key()}
	if tx.get(id.kind, id.key) != nil {
		tx.change(id, nil)
	}
}

func (tx *Tx) change(id objectID, e *entry) {
	if _, again := tx.changed[id]; !again {
		tx.order = append(tx.order, id)
	}
	tx.changed[id] = e
}

func (tx *Tx) get(kind, key string) *entry {
	if e, ok := tx.changed[objectID{kind, key}]; ok {
		return e
	}
	return tx.store.get(kind, key)
}

func (tx *Tx) each(kind string, visit func(*entry)) {
	tx.store.reading.RLock()
	defer tx.store.reading.RUnlock()
	for key, e := range tx.store.kinds[kind] {
		if _, ok := tx.changed[objectID{kind, key}]; !ok {
			visit(e)
		}
	}
	for _, id := range tx.order {
		if e := tx.changed[id]; id.kind == kind && e != nil {
			visit(e)
		}
	}
}
