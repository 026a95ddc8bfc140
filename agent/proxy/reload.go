package proxy

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/octavo-lb/octavo/agent/process"
	"github.com/octavo-lb/octavo/haproxy"
)

func (p *Proxy) start(ctx context.Context, config *haproxy.Config) error {
	if err := p.install(config, haproxy.NoServersState); err != nil {
		return err
	}
	return p.launchAndWait(ctx, config)
}

func (p *Proxy) launchAndWait(ctx context.Context, config *haproxy.Config) error {
	p.killStrays()
	started, err := p.launch()
	if err != nil {
		return err
	}
	if err := p.await(ctx, started, func(info map[string]string) bool { return info["description"] == config.Digest }); err != nil {
		started.End(0)
		return err
	}
	p.process, p.config, p.draining = started, config, false
	p.notice(started)
	return nil
}

// reload lets a new worker take over the listening sockets, and what checks have found. Connections stay with the old worker
// until they end.
func (p *Proxy) reload(ctx context.Context, config *haproxy.Config, before *seen) error {
	p.relieve(ctx)
	failed := make(chan failures, 1)
	go func() { // which is the master's to say
		n, err := p.failedReloads(ctx)
		failed <- failures{n, err}
	}()
	sticky := p.remembered(ctx)
	earlier := <-failed
	if earlier.err != nil {
		return earlier.err
	}
	former, _ := os.ReadFile(p.path(configFile))
	if err := p.install(config, haproxy.StateFor(config, before.states)); err != nil {
		return err
	}
	err := p.process.Signal(unix.SIGUSR2)
	if err == nil {
		p.draining = true
		err = p.await(ctx, p.process, func(info map[string]string) bool {
			return info["description"] == config.Digest && info["Pid"] != before.info["Pid"]
		}, func() error {
			if answer, err := command(ctx, p.path(masterSocket), "show proc"); err == nil && haproxy.ParseProcesses(answer).Failed > earlier.n {
				return fmt.Errorf("HAProxy could not load the configuration: %s", p.complaint())
			}
			return nil
		})
	}
	if err != nil {
		// The old worker serves on; should it die, it is to be started with what it serves.
		return errors.Join(err, writeFile(p.path(configFile), string(former)))
	}
	p.remind(ctx, sticky)
	p.config, p.leftover = config, false
	return nil
}

// await waits until HAProxy tells what is wanted of it, or ends, or one of the checks, which are made now and then, finds a
// reason to give up.
func (p *Proxy) await(ctx context.Context, running *process.Process, ready func(info map[string]string) bool, checks ...func() error) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	checked := time.Now()
	for pause := time.Millisecond; ; pause = min(2*pause, 4*time.Millisecond) {
		if info, err := p.info(ctx); err == nil && ready(info) {
			return nil
		}
		if time.Since(checked) > checkEvery {
			for _, c := range checks {
				if err := c(); err != nil {
					return err
				}
			}
			checked = time.Now()
		}
		select {
		case <-running.Exited():
			return fmt.Errorf("HAProxy ended instead of serving: %s", p.complaint())
		case <-ctx.Done():
			return fmt.Errorf("HAProxy does not serve the configuration: %w", ctx.Err())
		case <-time.After(pause):
		}
	}
}

// checkEvery is longer than a reload usually takes: the master answers its checks only after the new worker serves.
const checkEvery = 50 * time.Millisecond

func (p *Proxy) install(config *haproxy.Config, servers string) error {
	if err := p.link(config, secretDir); err != nil {
		return err
	}
	if err := writeFile(p.path(haproxy.StateFile), servers); err != nil {
		return err
	}
	return writeFile(p.path(configFile), config.Text)
}

type failures struct {
	n   int
	err error
}

// failedReloads asks the master, which does not answer for some milliseconds after it has loaded a configuration: its new
// worker does earlier.
func (p *Proxy) failedReloads(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	for {
		answer, err := command(ctx, p.path(masterSocket), "show proc")
		if err == nil {
			return haproxy.ParseProcesses(answer).Failed, nil
		}
		select {
		case <-ctx.Done():
			return 0, err
		case <-p.process.Exited():
			return 0, err
		case <-time.After(5 * time.Millisecond):
		}
	}
}
