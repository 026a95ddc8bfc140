package proxy

import (
	"context"

	"github.com/octavo-lb/octavo/haproxy"
)

// change brings about at run time what can be. It tells false if a reload is needed.
func (p *Proxy) change(ctx context.Context, config *haproxy.Config) (bool, error) {
	info, err := p.info(ctx)
	if err != nil || info["description"] != config.Digest {
		return false, nil
	}
	states, rows, err := p.servers(ctx)
	if err != nil {
		return false, nil
	}
	commands, ok := config.Changes(states, rows)
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

func (p *Proxy) servers(ctx context.Context) ([]haproxy.ServerState, []haproxy.Row, error) {
	answer, err := command(ctx, p.path(haproxy.StatsSocket), "show servers state")
	if err != nil {
		return nil, nil, err
	}
	states, err := haproxy.ParseServersState(answer)
	if err != nil {
		return nil, nil, err
	}
	if answer, err = command(ctx, p.path(haproxy.StatsSocket), "show stat"); err != nil {
		return nil, nil, err
	}
	rows, err := haproxy.ParseStats(answer)
	return states, rows, err
}

// SetHealth tells HAProxy what a check that is not its own has found.
func (p *Proxy) SetHealth(ctx context.Context, backend, server string, up bool) error {
	return order(ctx, p.path(haproxy.StatsSocket), haproxy.HealthCommand(backend, server, up))
}
