package housekeeping_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/octavo-lb/octavo/housekeeping"
	"github.com/octavo-lb/octavo/lb"
	"github.com/octavo-lb/octavo/store"
	"github.com/octavo-lb/octavo/store/storetest"
)

// broker takes notifications, unless it is down.
type broker struct {
	mu   sync.Mutex
	got  []string
	down bool
}

func (b *broker) Publish(_ context.Context, text []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		return errors.New("connection refused")
	}
	b.got = append(b.got, string(text))
	return nil
}

func (b *broker) taken() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.got)
}

// newsroom is a store that has notifications, and the time.
type newsroom struct {
	*testing.T
	store  *store.Store
	broker *broker
	added  time.Duration
}

func newNewsroom(t *testing.T) *newsroom {
	n := &newsroom{T: t, broker: &broker{}}
	n.store = storetest.Open(t, store.Options{Clock: n.now,
		Notify: func(event string, tree *lb.Tree, _ time.Time) []byte { return []byte(event + " " + tree.LB.Name) }})
	return n
}

func (n *newsroom) now() time.Time { return time.Now().Add(n.added) }

func (n *newsroom) announcer(name string) *housekeeping.Announcer {
	return &housekeeping.Announcer{Store: n.store, Publishers: []housekeeping.Publisher{n.broker}, Name: name, Clock: n.now,
		Logger: slog.New(slog.NewTextHandler(n.Output(), nil))}
}

// happens makes a load balancer that is in force at once.
func (n *newsroom) happens(name string) {
	n.Helper()
	made := storetest.Create(n.T, n.store, "p", func(tree *lb.Tree) { tree.LB.Name = name })
	if err := n.store.Write(n.Context(), func(tx *store.Tx) error {
		_, err := tx.Lock(n.Context(), made.LB.ID)
		return errors.Join(err, tx.SetCloudGeneration(n.Context(), 1))
	}); err != nil {
		n.Fatal(err)
	}
}

func (n *newsroom) want(want ...string) {
	n.Helper()
	if got := n.broker.taken(); !slices.Equal(got, want) {
		n.Errorf("the broker got %q, want %q", got, want)
	}
}

func TestNotificationsWaitForTheBroker(t *testing.T) {
	n := newNewsroom(t)
	a := n.announcer("a")
	n.happens("before")
	if err := a.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.broker.down = true
	for i := range 3 {
		n.happens(fmt.Sprint("during", i))
		if err := a.Pass(t.Context()); err == nil {
			t.Error("a broker that is down was not told of")
		}
		n.added += 20 * time.Minute
	}
	n.broker.down = false
	for range 2 {
		if err := a.Pass(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	n.want("create before", "create during0", "create during1", "create during2")
}

func TestOneNodeSendsAndAnotherTakesOver(t *testing.T) {
	n := newNewsroom(t)
	a, b := n.announcer("a"), n.announcer("b")
	n.happens("1")
	n.broker.down = true
	if a.Pass(t.Context()) == nil {
		t.Error("a broker that is down was not told of")
	}
	n.broker.down = false
	if err := b.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.want() // a has the duty
	n.added += time.Minute
	if err := b.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.happens("2")
	if err := a.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.want("create 1")
}

func TestNotificationIsGivenUpWhenTheOperatorWantsSo(t *testing.T) {
	n := newNewsroom(t)
	a := n.announcer("a")
	a.Attempts = 1
	n.happens("given up")
	n.broker.down = true
	if err := a.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.broker.down = false
	n.happens("sent")
	if err := a.Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.want("create sent")
}

func TestNotificationsThatNobodyTakesAreDroppedInTheEnd(t *testing.T) {
	n := newNewsroom(t)
	n.happens("old")
	n.added += 8 * 24 * time.Hour
	n.happens("new")
	if err := n.announcer("a").Pass(t.Context()); err != nil {
		t.Fatal(err)
	}
	n.want("create new")
}

// What is announced comes soon after it happened, however many nodes look; and a node that ends hands over at once.
func TestAnnouncersOfSeveralNodesShareOneQueue(t *testing.T) {
	n := newNewsroom(t)
	first, end := context.WithCancel(t.Context())
	var nodes sync.WaitGroup
	defer nodes.Wait()
	defer end()
	nodes.Go(func() { n.announcer("a").Run(first) })
	other, stop := context.WithCancel(t.Context())
	defer stop()
	nodes.Go(func() { n.announcer("b").Run(other) })
	var want []string
	for i := range 20 {
		if i == 10 {
			end()
		}
		n.happens(fmt.Sprint(i))
		want = append(want, fmt.Sprint("create ", i))
	}
	for deadline := time.Now().Add(20 * time.Second); len(n.broker.taken()) < len(want) && time.Now().Before(deadline); {
		time.Sleep(10 * time.Millisecond)
	}
	n.want(want...)
}
