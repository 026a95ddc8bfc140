package proxy

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"github.com/octavo-lb/octavo/agent/process"
	"github.com/octavo-lb/octavo/haproxy"
)

// launch starts HAProxy as a user without rights.
func (p *Proxy) launch() (*process.Process, error) {
	log, err := os.OpenFile(p.path(logFile), os.O_WRONLY|os.O_CREATE|os.O_APPEND|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("starting HAProxy: %w", err)
	}
	defer log.Close()
	cmd := exec.Command(p.o.Binary, "-W", "-S", p.path(masterSocket)+",mode,600", "-f", p.path(configFile))
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "TZ=" + cmp.Or(p.o.TimeZone, "UTC0")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: p.credential()}
	return process.Start(cmd, p.o.Namespace)
}

func (p *Proxy) credential() *syscall.Credential {
	return &syscall.Credential{Uid: uint32(p.o.UID), Gid: uint32(p.o.GID), NoSetGroups: false}
}

// find looks for a HAProxy that an earlier process of the agent left serving.
func (p *Proxy) find(ctx context.Context) (*process.Process, error) {
	answer, err := command(ctx, p.path(masterSocket), "show proc")
	if err != nil {
		return nil, nil // nobody answers: there is none
	}
	for _, one := range haproxy.ParseProcesses(answer).All {
		if !one.Master {
			continue
		}
		return process.TakeOver(one.PID, "HAProxy")
	}
	return nil, nil
}

// killStrays ends workers whose master was killed: they keep the listening sockets, and would take connections with an old
// configuration for ever.
func (p *Proxy) killStrays() { process.KillStrays(p.path(configFile)) }

// complaint is what HAProxy printed last that tells why it does not run.
func (p *Proxy) complaint() string {
	text, err := os.ReadFile(p.path(logFile))
	if err != nil {
		return ""
	}
	return complaints(string(text))
}

// complaints picks the alerts from what HAProxy printed, in one line.
func complaints(text string) string {
	var alerts []string
	for line := range strings.Lines(text) {
		if _, alert, ok := strings.Cut(line, "[ALERT]"); ok {
			_, alert, _ = strings.Cut(alert, " : ")
			alerts = append(alerts, strings.TrimSpace(alert))
		}
	}
	if len(alerts) > 3 {
		alerts = alerts[:3]
	}
	return strings.Join(alerts, "; ")
}
