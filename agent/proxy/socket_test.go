package proxy

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"testing"
)

// TestAskWantsAnAnswerToEachQuestion: an answer that is cut short is none, for what is missing might be what matters.
func TestAskWantsAnAnswerToEachQuestion(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	said := make(chan string, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 100))
			_, _ = conn.Write([]byte(<-said))
			conn.Close()
		}
	}()
	said <- "one: 1\nmore: 2\n\n# table\nx,1\n\n"
	got, err := ask(context.Background(), path, "show info", "show stat")
	if want := []string{"one: 1\nmore: 2", "# table\nx,1"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q, %v", got, err)
	}
	for _, text := range []string{"", "one: 1\n\n", "one: 1\n\n# table\n\nx,1\n\n"} {
		said <- text
		if got, err := ask(context.Background(), path, "show info", "show stat"); !errors.Is(err, errSilent) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
}
