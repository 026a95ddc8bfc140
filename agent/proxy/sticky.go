package proxy

import (
	"context"
	"strings"

	"github.com/octavo-lb/octavo/haproxy"
)

// maxCarried bounds how many sticky clients are carried over by hand.
const maxCarried = 20_000

// remembered lists which client belongs to which member, if HAProxy itself will not pass that on to its successor: in the
// first seconds after it was started it does not.
func (p *Proxy) remembered(ctx context.Context) []haproxy.Entry {
	socket := p.path(haproxy.StatsSocket)
	tables, err := command(ctx, socket, "show table")
	if err != nil || !haproxy.Sticky(tables) {
		return nil
	}
	peers, err := command(ctx, socket, "show peers")
	if err != nil || haproxy.Teaches(peers) {
		return nil
	}
	var all []haproxy.Entry
	for _, name := range haproxy.Tables(tables) {
		text, err := command(ctx, socket, "show table "+name)
		if err != nil {
			continue
		}
		all = append(all, haproxy.ParseTable(name, text)...)
	}
	if len(all) > maxCarried {
		all = all[:maxCarried]
	}
	return all
}

// remind tells a new process of HAProxy what its predecessor remembered.
func (p *Proxy) remind(ctx context.Context, entries []haproxy.Entry) {
	if len(entries) == 0 {
		return
	}
	now, err := p.look(ctx)
	if err != nil {
		return
	}
	const batch = 50 // commands in a line, which HAProxy reads into one buffer
	commands := haproxy.Remind(entries, now.states)
	for len(commands) > 0 {
		n := min(batch, len(commands))
		if _, err := command(ctx, p.path(haproxy.StatsSocket), strings.Join(commands[:n], ";")); err != nil {
			p.o.Logger.Warn("some clients may be sent to another member", "err", err)
			return
		}
		commands = commands[n:]
	}
}
