package state

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

type thing struct {
	ID   string   `json:"id"`
	N    int      `json:"n"`
	Tags []string `json:"tags"`
}

func (thing) Kind() string  { return "thing" }
func (t thing) Key() string { return t.ID }

type other struct {
	ID string `json:"id"`
}

func (other) Kind() string  { return "other" }
func (o other) Key() string { return o.ID }

func open(t *testing.T, path string) *Store {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func put(t *testing.T, s *Store, objects ...Object) {
	t.Helper()
	for _, o := range objects {
		if err := s.Put(o); err != nil {
			t.Fatal(err)
		}
	}
}

func ids(things []thing) string {
	var b strings.Builder
	for _, t := range things {
		b.WriteString(t.ID)
	}
	return b.String()
}

func TestObjectsSurviveReopeningInOrderOfCreation(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a dir?#%", "state.db")
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	put(t, s, thing{ID: "c"}, other{ID: "c"}, thing{ID: "a"}, thing{ID: "b"}, thing{ID: "c", N: 7})
	if err := s.Delete(thing{ID: "a"}); err != nil {
		t.Fatal(err)
	}
	s.Close()

	s = open(t, path)
	put(t, s, thing{ID: "a"})
	if got := ids(List[thing](s, nil)); got != "cba" {
		t.Errorf("listed %s, want c (replaced, so still first), b, a (made anew)", got)
	}
	c, err := Get[thing](s, "c")
	if err != nil || c.N != 7 {
		t.Errorf("c is %+v, %v; want the replacing version", c, err)
	}
	if n := Count[other](s, nil); n != 1 {
		t.Errorf("%d others, want 1: kinds must not mix", n)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("state file: %v %v, want mode 0600", info.Mode(), err)
	}
}

func TestFailedUpdateChangesNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	s := open(t, path)
	put(t, s, thing{ID: "a", N: 1}, thing{ID: "b"})
	wanted := errors.New("no")
	err := s.Update(func(tx *Tx) error {
		if err := tx.Put(thing{ID: "a", N: 2}); err != nil {
			return err
		}
		tx.Delete(thing{ID: "b"})
		if err := tx.Put(thing{ID: "c"}); err != nil {
			return err
		}
		if got := ids(List[thing](tx, nil)); got != "ac" {
			t.Errorf("inside, listed %s, want its own writes: ac", got)
		}
		if _, err := Get[thing](tx, "b"); !errors.Is(err, ErrNotFound) {
			t.Errorf("inside, b: %v, want ErrNotFound", err)
		}
		return wanted
	})
	if err != wanted {
		t.Fatalf("Update returned %v, want the function's error", err)
	}
	for range 2 {
		if got := ids(List[thing](s, nil)); got != "ab" {
			t.Errorf("listed %s, want ab", got)
		}
		if a, _ := Get[thing](s, "a"); a.N != 1 {
			t.Errorf("a.N = %d, want 1", a.N)
		}
		s.Close()
		s = open(t, path)
	}
}

func TestCallersGetTheirOwnCopy(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	mine := thing{ID: "a", Tags: []string{"kept"}}
	put(t, s, mine)
	mine.Tags[0] = "changed"
	read, _ := Get[thing](s, "a")
	read.Tags[0] = "changed"
	List[thing](s, nil)[0].Tags[0] = "changed"
	found, ok := Find(s, func(t *thing) bool { return t.Tags[0] == "kept" })
	if !ok || found.Tags[0] != "kept" {
		t.Errorf("found %v %v: a caller changed what is kept", found, ok)
	}
}

func TestConcurrentUpdatesLoseNothing(t *testing.T) {
	s := open(t, filepath.Join(t.TempDir(), "state.db"))
	put(t, s, thing{ID: "counter"})
	const writers, rounds = 8, 25
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for range rounds {
				err := s.Update(func(tx *Tx) error {
					c, err := Get[thing](tx, "counter")
					if err != nil {
						return err
					}
					c.N++
					return tx.Put(c)
				})
				if err != nil {
					t.Error(err)
				}
				List(s, func(t *thing) bool { return t.N > 0 })
			}
		})
	}
	wg.Wait()
	if c, _ := Get[thing](s, "counter"); c.N != writers*rounds {
		t.Errorf("counter is %d, want %d", c.N, writers*rounds)
	}
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	open(t, path)
	if s, err := Open(path); !errors.Is(err, ErrInUse) {
		if err == nil {
			s.Close()
		}
		t.Errorf("second Open: %v, want ErrInUse", err)
	}
}

func TestDamagedFileIsRefusedWithItsName(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("not a database ", 100)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Open(path)
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("Open: %v, want an error that names the file and says that it is damaged", err)
	}
}

// TestKilledWriter runs this test binary as a writer, kills it in full flight and looks for what it had acknowledged.
func TestKilledWriter(t *testing.T) {
	const variable = "OCTAVO_STATE_TEST_FILE"
	if path := os.Getenv(variable); path != "" {
		writePairsUntilKilled(path)
	}
	path := filepath.Join(t.TempDir(), "state.db")
	writer := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledWriter$")
	writer.Env = append(os.Environ(), variable+"="+path)
	out, err := writer.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := writer.Start(); err != nil {
		t.Fatal(err)
	}
	acknowledged := 0
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if _, err := fmt.Sscanf(lines.Text(), "done %d", &acknowledged); err != nil {
			t.Errorf("writer says %q", lines.Text())
		}
		if acknowledged == 200 {
			writer.Process.Kill()
		}
	}
	writer.Wait()
	s := open(t, path)
	a, _ := Get[thing](s, "a")
	b, _ := Get[thing](s, "b")
	if a.N != b.N || a.N < acknowledged || acknowledged < 200 {
		t.Errorf("after the kill a=%d b=%d, acknowledged %d: want both the same and not older", a.N, b.N, acknowledged)
	}
}

func writePairsUntilKilled(path string) {
	s, err := Open(path)
	for n := 1; err == nil; n++ {
		err = s.Update(func(tx *Tx) error {
			return errors.Join(tx.Put(thing{ID: "a", N: n}), tx.Put(thing{ID: "b", N: n}))
		})
		fmt.Println("done", n)
	}
	fmt.Println(err)
	os.Exit(1)
}

func BenchmarkFindAmong10000(b *testing.B) {
	s, err := Open(filepath.Join(b.TempDir(), "state.db"))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	if err := s.Update(func(tx *Tx) error {
		for i := range 10_000 {
			if err := tx.Put(thing{ID: fmt.Sprint(i), N: i}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		Find(s, func(t *thing) bool { return t.N == 9_999 })
	}
}
