package proxy

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/octavo-lb/octavo/haproxy"
)

func (p *Proxy) writeLists(config *haproxy.Config, dir string) error {
	for _, l := range config.Lists {
		if err := writeFile(filepath.Join(p.path(dir), l.Name), l.Content()); err != nil {
			return fmt.Errorf("writing a list of certificates: %w", err)
		}
	}
	return nil
}

// listChange is what makes the list of certificates that HAProxy has in memory the wanted one.
type listChange struct {
	path          string
	forget, learn []string
}

// listChanges asks HAProxy for its lists. ok is false when only a reload will do.
func (p *Proxy) listChanges(ctx context.Context, config *haproxy.Config) (changes []listChange, ok bool) {
	for _, l := range config.Lists {
		path := filepath.Join(p.path(secretDir), l.Name)
		answer, err := command(ctx, p.path(haproxy.StatsSocket), "show ssl crt-list "+path)
		if err != nil {
			return nil, false
		}
		forget, learn, ok := l.Changes(haproxy.ParseFiles(answer))
		if !ok {
			return nil, false
		}
		if len(forget)+len(learn) > 0 {
			changes = append(changes, listChange{path, forget, learn})
		}
	}
	return changes, true
}

// announce makes room in HAProxy's memory for certificates that it has not heard of.
func (p *Proxy) announce(ctx context.Context, changes []listChange) error {
	if len(changes) == 0 {
		return nil
	}
	socket := p.path(haproxy.StatsSocket)
	answer, err := command(ctx, socket, "show ssl cert")
	if err != nil {
		return err
	}
	known := haproxy.ParseFiles(answer)
	for _, c := range changes {
		for _, file := range c.learn {
			if slices.Contains(known, file) {
				continue
			}
			if err := confirmed(ctx, socket, "new ssl cert "+file, "New empty"); err != nil {
				return err
			}
			known = append(known, file)
		}
	}
	return nil
}

// changeLists shows clients certificates that have been loaded, and others no more.
func (p *Proxy) changeLists(ctx context.Context, changes []listChange) error {
	socket := p.path(haproxy.StatsSocket)
	for _, c := range changes {
		for _, file := range c.learn {
			if err := confirmed(ctx, socket, "add ssl crt-list "+c.path+" "+file, "Success"); err != nil {
				return err
			}
		}
		for _, file := range c.forget {
			if err := confirmed(ctx, socket, "del ssl crt-list "+c.path+" "+file, "deleted"); err != nil {
				return err
			}
		}
	}
	for _, c := range changes {
		for _, file := range c.forget {
			_, _ = command(ctx, socket, "del ssl cert "+file) // another list may still have it
		}
	}
	return nil
}

// confirmed gives a command whose success HAProxy tells by that word.
func confirmed(ctx context.Context, socket, line, word string) error {
	answer, err := command(ctx, socket, line)
	if err == nil && !strings.Contains(answer, word) {
		err = fmt.Errorf("HAProxy refuses to %q: %s", line, strings.TrimSpace(answer))
	}
	return err
}
