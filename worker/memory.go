package worker

import (
	"sync"
	"time"
)

// memory is what a process remembers of load balancers between runs. All of it may be lost: that costs calls to the
// cloud, and shows a failure later.
type memory struct {
	mu      sync.Mutex
	entries map[string]remembered
}

type remembered struct {
	generation int64
	since      time.Time // when the generation was first seen
	applied    time.Time // when every amphora was first seen at the generation
	failing    time.Time // since when runs have failed; zero if the last did not
	failures   int       // in a row
	settled    string    // the plan's digest for which all was done
	token      int64     // of the lease under which it was
	verified   time.Time // when all was looked at last
}

// maxRemembered bounds the memory; what is forgotten beyond it is anybody's.
const maxRemembered = 20_000

func newMemory() *memory { return &memory{entries: map[string]remembered{}} }

func (m *memory) get(lb string) remembered {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.entries[lb]
}

func (m *memory) put(lb string, r remembered) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, known := m.entries[lb]; !known && len(m.entries) >= maxRemembered {
		for other := range m.entries {
			delete(m.entries, other)
			break
		}
	}
	m.entries[lb] = r
}

func (m *memory) forget(lb string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.entries, lb)
}
