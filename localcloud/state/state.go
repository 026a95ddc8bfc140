package state

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
)

// ErrNotFound says that there is no object of that kind and key.
var ErrNotFound = errors.New("not found")

// Object is a kept struct. Both methods have value receivers; Kind must not depend on the value.
type Object interface {
	Kind() string
	Key() string
}

// Reader is a *Store or a *Tx.
type Reader interface {
	get(kind, key string) *entry
	each(kind string, visit func(*entry))
}

// Store is an open state file. It is safe for concurrent use.
type Store struct {
	db      *sql.DB
	writing sync.Mutex // one transaction at a time

	reading sync.RWMutex // guards what follows; held for writing only while a commit is copied in
	kinds   map[string]map[string]*entry
	seq     int64 // of the newest object
}

// Open opens the state file, or makes it. A second process that opens the same file is refused: two clouds on one
// directory would undo each other's work.
func Open(path string) (*Store, error) {
	db, err := openDatabase(path)
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, kinds: map[string]map[string]*entry{}}
	if err := s.load(); err != nil {
		db.Close()
		return nil, fmt.Errorf("cannot read the state file %s: %w", path, err)
	}
	return s, nil
}

// Close waits for a running transaction and closes the file.
func (s *Store) Close() error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return s.db.Close()
}

// Update runs change in a transaction. Its writes become visible and durable together when change returns nil; any error
// (which Update returns as it is) or panic leaves everything as it was. A transaction must not call Update again.
func (s *Store) Update(change func(tx *Tx) error) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	tx := &Tx{store: s, changed: map[objectID]*entry{}, seq: s.seq}
	if err := change(tx); err != nil {
		return err
	}
	if len(tx.order) == 0 {
		return nil
	}
	if err := save(context.Background(), s.db, tx); err != nil {
		return err
	}
	s.adopt(tx)
	return nil
}

// Put writes one object in a transaction of its own.
func (s *Store) Put(o Object) error {
	return s.Update(func(tx *Tx) error { return tx.Put(o) })
}

// Delete removes one object in a transaction of its own. That it was not there is no error.
func (s *Store) Delete(o Object) error {
	return s.Update(func(tx *Tx) error { tx.Delete(o); return nil })
}

func (s *Store) adopt(tx *Tx) {
	s.reading.Lock()
	defer s.reading.Unlock()
	s.seq = tx.seq
	for id, e := range tx.changed {
		if e == nil {
			delete(s.kinds[id.kind], id.key)
			continue
		}
		s.insert(id, e)
	}
}

func (s *Store) insert(id objectID, e *entry) {
	objects := s.kinds[id.kind]
	if objects == nil {
		objects = map[string]*entry{}
		s.kinds[id.kind] = objects
	}
	objects[id.key] = e
}

func (s *Store) get(kind, key string) *entry {
	s.reading.RLock()
	defer s.reading.RUnlock()
	return s.kinds[kind][key]
}

func (s *Store) each(kind string, visit func(*entry)) {
	s.reading.RLock()
	defer s.reading.RUnlock()
	for _, e := range s.kinds[kind] {
		visit(e)
	}
}

// Get answers the object with that key, or ErrNotFound.
func Get[T Object](r Reader, key string) (T, error) {
	var zero T
	e := r.get(zero.Kind(), key)
	if e == nil {
		return zero, fmt.Errorf("%s %s: %w", zero.Kind(), key, ErrNotFound)
	}
	return decode[T](e), nil
}

// List answers the objects that keep accepts (nil: all), oldest first.
func List[T Object](r Reader, keep func(*T) bool) []T {
	found := matching(r, keep)
	slices.SortFunc(found, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	list := make([]T, len(found))
	for i, e := range found {
		list[i] = decode[T](e)
	}
	return list
}

// Find answers the oldest object that keep accepts.
func Find[T Object](r Reader, keep func(*T) bool) (T, bool) {
	found := matching(r, keep)
	if len(found) == 0 {
		var zero T
		return zero, false
	}
	return decode[T](slices.MinFunc(found, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })), true
}

// Count answers how many objects keep accepts (nil: all).
func Count[T Object](r Reader, keep func(*T) bool) int {
	return len(matching(r, keep))
}

func matching[T Object](r Reader, keep func(*T) bool) []*entry {
	var zero T
	var found []*entry
	r.each(zero.Kind(), func(e *entry) {
		if keep == nil || keep(shared[T](e)) {
			found = append(found, e)
		}
	})
	return found
}

// entry is one version of an object; it never changes.
type entry struct {
	seq  int64 // order of creation
	body []byte

	once  sync.Once
	value any // *T, decoded when a predicate first looks
}

func shared[T Object](e *entry) *T {
	e.once.Do(func() { v := decode[T](e); e.value = &v })
	v, ok := e.value.(*T)
	if !ok {
		var zero T
		panic(fmt.Sprintf("state: kind %q is used with the types %T and *%T", zero.Kind(), e.value, zero))
	}
	return v
}

// decode panics when the body does not fit the type: bodies are checked to be JSON when they are loaded, so this is a
// type that changed incompatibly, a programming error.
func decode[T Object](e *entry) T {
	var v T
	if err := json.Unmarshal(e.body, &v); err != nil {
		panic(fmt.Sprintf("state: a kept %s does not fit its type: %v", v.Kind(), err))
	}
	return v
}
