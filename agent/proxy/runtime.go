package proxy

import (
	"context"

	"github.com/octavo-lb/octavo/haproxy"
)

// seen is what the process that takes connections says of itself at one moment.
type seen struct {
	info   map[string]string
	states []haproxy.ServerState
	rows   []haproxy.Row
}

// look asks for all of it at once: on a busy machine each question waits in line for as long as its answer takes. The error is
// errSilent if nobody answers.
func (p *Proxy) look(ctx context.Context) (*seen, error) {
	answers, err := ask(ctx, p.path(haproxy.StatsSocket), "show info", "show servers state", "show stat")
	if err != nil {
		return nil, err
	}
	s := &seen{info: haproxy.ParseInfo(answers[0])}
	if s.states, err = haproxy.ParseServersState(answers[1]); err != nil {
		return nil, err
	}
	s.rows, err = haproxy.ParseStats(answers[2])
	return s, err
}

// change brings about at run time what can be, in a process that runs a configuration of the same structure and looks like
// that. It tells false if a reload is needed.
func (p *Proxy) change(ctx context.Context, config *haproxy.Config, now *seen) (bool, error) {
	commands, ok := config.Changes(now.states, now.rows)
	if !ok {
		return false, nil
	}
	if changed, err := p.changeSecrets(ctx, config); !changed || err != nil {
		return false, err
	}
	p.leftover = false
	for _, c := range commands {
		err := order(ctx, p.path(haproxy.StatsSocket), c)
		if err != nil && haproxy.MayFail(c) {
			p.leftover = true
		} else if err != nil {
			p.o.Logger.Warn("HAProxy could not be changed at run time and is reloaded", "err", err)
			return false, nil
		}
	}
	if p.config == nil || p.config.Text != config.Text {
		if err := writeFile(p.path(configFile), config.Text); err != nil {
			return false, err
		}
	}
	p.config = config
	return true, nil
}

// changeSecrets brings renewed secrets and other certificates to the process. It tells false if a reload is needed.
func (p *Proxy) changeSecrets(ctx context.Context, config *haproxy.Config) (bool, error) {
	changes, ok := p.listChanges(ctx, config)
	if !ok {
		return false, nil
	}
	err := p.announce(ctx, changes)
	if err == nil {
		err = p.renew(ctx, config)
	}
	if err == nil {
		err = p.changeLists(ctx, changes)
	}
	if err != nil {
		p.o.Logger.Warn("HAProxy is reloaded for secrets", "err", err)
		return false, nil
	}
	if len(changes) == 0 {
		return true, nil
	}
	return true, p.writeLists(config, secretDir)
}

func (p *Proxy) info(ctx context.Context) (map[string]string, error) {
	answer, err := command(ctx, p.path(haproxy.StatsSocket), "show info")
	if err != nil {
		return nil, err
	}
	return haproxy.ParseInfo(answer), nil
}

// SetHealth tells HAProxy what a check that is not its own has found.
func (p *Proxy) SetHealth(ctx context.Context, backend, server string, up bool) error {
	return order(ctx, p.path(haproxy.StatsSocket), haproxy.HealthCommand(backend, server, up))
}
