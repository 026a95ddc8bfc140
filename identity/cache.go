package identity

import (
	"container/list"
	"crypto/sha256"
	"sync"
)

type cacheKey = [sha256.Size]byte

// cache holds a bounded number of values and forgets the least recently used first.
type cache[V any] struct {
	limit int

	mu     sync.Mutex
	recent *list.List // of item[V], most recently used first
	byKey  map[cacheKey]*list.Element
}

type item[V any] struct {
	key   cacheKey
	value V
}

func newCache[V any](limit int) *cache[V] {
	return &cache[V]{limit: limit, recent: list.New(), byKey: map[cacheKey]*list.Element{}}
}

func (c *cache[V]) get(key cacheKey) (v V, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.byKey[key]
	if !ok {
		return v, false
	}
	c.recent.MoveToFront(e)
	return e.Value.(item[V]).value, true
}

func (c *cache[V]) put(key cacheKey, v V) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		e.Value = item[V]{key, v}
		c.recent.MoveToFront(e)
		return
	}
	c.byKey[key] = c.recent.PushFront(item[V]{key, v})
	if oldest := c.recent.Back(); c.recent.Len() > c.limit {
		delete(c.byKey, c.recent.Remove(oldest).(item[V]).key)
	}
}

func (c *cache[V]) remove(key cacheKey) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.byKey[key]; ok {
		c.recent.Remove(e)
		delete(c.byKey, key)
	}
}
